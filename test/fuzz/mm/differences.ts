/** Where the emulator may answer otherwise than the bare CPU, each with its reason. docs/MEMORY.md explains them to users. */
import {
  MADV_COLLAPSE,
  MADV_GUARD_INSTALL,
  MADV_GUARD_REMOVE,
  MAP_FIXED,
  MAP_LOCKED,
  MREMAP_DONTUNMAP,
  MREMAP_FIXED,
} from '../../../abi/mman.ts';
import type { Operation } from './operations.ts';

export interface AllowedDifference {
  readonly name: string;
  readonly reason: string;
  readonly explains: (operation: Operation, native: string, other: string) => boolean;
}

/** Bytes from one named address to a higher one. */
function distance(from: string, to: string): number {
  const value = (text: string) => Number.parseInt(text.replace(/^(A|H\+|T\+|T-|0x)/, ''), 16) * (text.startsWith('T-') ? -1 : 1);
  return value(to) - value(from);
}

/** Lines of maps with neighbours joined that differ in nothing. */
function joined(text: string): string {
  const lines: string[][] = [];
  for (const line of text.split('\n').slice(1)) {
    const fields = line.trim().split(' ');
    const last = lines.at(-1);
    const size = last === undefined ? 0 : distance(last[0], last[1]);
    const follows = fields[4] === '-' || Number.parseInt(fields[3], 16) === Number.parseInt(last?.[3] ?? '', 16) + size;
    const same = last?.[2] === fields[2] && last.slice(4).join(' ') === fields.slice(4).join(' ');
    if (last !== undefined && last[1] === fields[0] && same && follows) last[1] = fields[1];
    else lines.push(fields);
  }
  return lines.map((fields) => fields.join(' ')).join('\n');
}

/** Lines of maps without the offsets of private memory of /dev/zero. */
function withoutZeroOffsets(text: string): string {
  return text.replace(/^(.* \S{3}p) [0-9a-f]+ i zero$/gm, '$1 i zero');
}

export const ALLOWED: readonly AllowedDifference[] = [
  {
    name: 'neighbours that Linux does not join',
    reason:
      'Linux joins two anonymous mappings only if their records of private pages (anon_vma) can be shared, which depends on which was touched first. Here equal neighbours are always one.',
    explains: (operation, native, other) => operation.kind === 'maps' && joined(native) === joined(other),
  },
  {
    name: 'offset of moved memory of /dev/zero',
    reason:
      'Private memory of /dev/zero that mremap moves before anything of it was written gets its address as offset on Linux (copy_vma).',
    explains: (operation, native, other) => operation.kind === 'maps' && withoutZeroOffsets(native) === withoutZeroOffsets(other),
  },
  {
    name: 'what of a file is in memory',
    reason:
      'mincore answers for the page cache, and what a system keeps there or reads ahead is its own affair; only the result is compared.',
    explains: (operation, native, other) => operation.name === 'mincore' && native.split(' ')[0] === other.split(' ')[0],
  },
  {
    name: 'largest offset in a file',
    reason: 'MADV_REMOVE at an offset that no file of the host can have is EFBIG where its file system says so, and removes nothing here.',
    explains: (operation, native, other) => operation.name === 'madvise' && native === '-27',
  },
  {
    name: 'guard pages',
    reason: 'Linux has MADV_GUARD_INSTALL and _REMOVE since 6.13, for files since 6.15. Here they are EINVAL, as before.',
    explains: (operation, _native, other) => isGuard(operation) && other === '-22',
  },
  {
    name: 'huge pages',
    reason:
      'MADV_COLLAPSE tries where a range has room for a huge page, and what it answers depends on the system. Here it is EINVAL, as where there is no room.',
    explains: ({ name, args }, _native, other) => name === 'madvise' && args[2].value === MADV_COLLAPSE && other === '-22',
  },
  {
    name: 'which of two reasons',
    reason: 'Writing from memory that cannot be read to a file sealed against writing: since 6.15 Linux looks at the seal first.',
    explains: (operation, native, other) => operation.name === 'pwrite64' && native === '-1' && other === '-14',
  },
];

function isGuard({ name, args }: Operation): boolean {
  return name === 'madvise' && [MADV_GUARD_INSTALL, MADV_GUARD_REMOVE].includes(args[2].value);
}

const LOCKS = ['mlock', 'mlock2', 'mlockall'];
function locks({ name, args }: Operation): boolean {
  return LOCKS.includes(name) || (name.startsWith('mmap') && (args[3].value & MAP_LOCKED) !== 0);
}

/** A mapping at a fixed place that a limit refused: Linux has cut what was there at its ends by then, and leaves it so. */
function cuts({ name, args }: Operation, native: string, program: readonly Operation[]): boolean {
  const isFixed = name === 'shmat' || (name.startsWith('mmap') && (args[3].value & MAP_FIXED) !== 0);
  return isFixed && native === '-12' && program.some(({ kind }) => kind === 'limit');
}

/**
 * Operations after which the rest of a program proves nothing: a refused move has perhaps moved something already, areas that Linux does not join (see above)
 * are refused where a joined one is moved, and locked memory that MREMAP_DONTUNMAP has moved is counted twice by Linux (seen in 6.18). Guard pages, where
 * there are any, are touched later; and a memory file that nothing could be written to has grown to where it would have been (Linux since 6.15).
 * A refused mapping at a fixed place may have cut areas, too.
 */
export function endsProof(operation: Operation, native: string, program: readonly Operation[]): boolean {
  if (isGuard(operation)) return operation.args[2].value === MADV_GUARD_INSTALL && native !== '-22';
  if (operation.name === 'pwrite64') return native === '-14';
  if (cuts(operation, native, program)) return true;
  if (operation.name !== 'mremap') return false;
  const flags = operation.args[3].value;
  const fails = native.startsWith('-');
  return fails ? (flags & MREMAP_FIXED) !== 0 : (flags & MREMAP_DONTUNMAP) !== 0 && program.some(locks);
}

export function explain(operation: Operation, native: string, other: string): AllowedDifference | undefined {
  return ALLOWED.find((allowed) => allowed.explains(operation, native, other));
}
