/** What changed between two dumps of an address space (`--umem --json`): areas and rights by address, and pages that came into memory, went, or were written. */
import { PAGE_SIZE } from '../abi/page.ts';
import { hex8, type UmemEntry } from './umem.ts';

export interface Change {
  /** grown and shrunk: what is added to or taken from an area that stays; the others as they say. */
  readonly kind: 'added' | 'removed' | 'grown' | 'shrunk' | 'protected' | 'resident' | 'dirty' | 'gone';
  readonly base: number;
  /** Exclusive. */
  readonly top: number;
  /** PROT_ bits before and after; undefined where there was or is nothing. */
  readonly before?: number;
  readonly after?: number;
  /** The file, or undefined for anonymous memory. */
  readonly path?: string;
}

type Piece = { readonly base: number; readonly top: number };

/** Ascending by address within: mappings first, then pages. */
export function umemDiff(before: readonly UmemEntry[], after: readonly UmemEntry[]): Change[] {
  return [...mappingChanges(before, after), ...pageChanges(before, after)];
}

/** One line a change; '' where nothing changed. */
export function umemDiffText(changes: readonly Change[]): string {
  return changes
    .map(({ kind, base, top, before, after, path }) => {
      const rights = [before, after].filter((prot) => prot !== undefined).map(rightsText);
      const pages = (top - base) / PAGE_SIZE;
      const what = [...new Set(rights)].join(' -> ');
      return `${kind.padEnd(9)} 0x${hex8(base)}-0x${hex8(top)} ${what === '' ? '' : `${what} `}${pages} page${pages === 1 ? '' : 's'} ${path ?? '*ANON*'}\n`;
    })
    .join('');
}

function mappingChanges(before: readonly UmemEntry[], after: readonly UmemEntry[]): Change[] {
  const borders = [...new Set([...before, ...after].flatMap(({ base, top }) => [base, top]))].sort((a, b) => a - b);
  const changes: Change[] = [];
  const [old, now] = [new Cursor(before), new Cursor(after)];
  for (let i = 0; i + 1 < borders.length; i++) {
    const piece = { base: borders[i], top: borders[i + 1] };
    const [was, is] = [old.at(piece.base), now.at(piece.base)];
    if (was !== undefined && is !== undefined && isSame(was, is)) {
      if (was.prot !== is.prot) push(changes, { kind: 'protected', ...piece, before: was.prot, after: is.prot, path: is.path });
      continue;
    }
    if (was !== undefined) push(changes, { kind: stays(was, after) ? 'shrunk' : 'removed', ...piece, before: was.prot, path: was.path });
    if (is !== undefined) push(changes, { kind: stays(is, before) ? 'grown' : 'added', ...piece, after: is.prot, path: is.path });
  }
  return changes;
}

/** Finds the entry at rising addresses. */
class Cursor {
  private readonly entries: readonly UmemEntry[];
  private next = 0;
  constructor(entries: readonly UmemEntry[]) {
    this.entries = entries;
  }
  at(addr: number): UmemEntry | undefined {
    while (this.next < this.entries.length && this.entries[this.next].top <= addr) this.next++;
    const entry = this.entries[this.next];
    return entry !== undefined && entry.base <= addr ? entry : undefined;
  }
}

/** Whether both show the same bytes of the same thing at the same addresses. */
function isSame(a: UmemEntry, b: UmemEntry): boolean {
  const start = (entry: UmemEntry): number => (entry.offset ?? entry.base) - entry.base;
  return a.path === b.path && a.sharing === b.sharing && start(a) === start(b);
}

/** Whether part of the area is there in the other dump too. */
function stays(area: UmemEntry, others: readonly UmemEntry[]): boolean {
  return others.some((other) => other.base < area.top && other.top > area.base && isSame(area, other));
}

/** Adds a change, joined to the last one where it goes on. */
function push(changes: Change[], change: Change): void {
  const last = changes.findLast(({ kind }) => kind === change.kind);
  const goesOn =
    last !== undefined &&
    last.top === change.base &&
    last.path === change.path &&
    last.before === change.before &&
    last.after === change.after;
  if (goesOn) changes[changes.indexOf(last)] = { ...last, top: change.top };
  else changes.push(change);
}

function pageChanges(before: readonly UmemEntry[], after: readonly UmemEntry[]): Change[] {
  const [old, now] = [pagesOf(before), pagesOf(after)];
  const changes: Change[] = [];
  for (const [addr, { dirty, path }] of now) {
    const was = old.get(addr);
    const piece: Piece = { base: addr, top: addr + PAGE_SIZE };
    if (was === undefined) push(changes, { kind: 'resident', ...piece, path });
    if (dirty && !was?.dirty) push(changes, { kind: 'dirty', ...piece, path });
  }
  for (const [addr, { path }] of old) if (!now.has(addr)) push(changes, { kind: 'gone', base: addr, top: addr + PAGE_SIZE, path });
  return changes.sort((a, b) => PAGE_KINDS.indexOf(a.kind) - PAGE_KINDS.indexOf(b.kind) || a.base - b.base);
}

const PAGE_KINDS: readonly Change['kind'][] = ['resident', 'dirty', 'gone'];

/** Pages in memory that the program has reached, by address. */
function pagesOf(entries: readonly UmemEntry[]): Map<number, { readonly dirty: boolean; readonly path: string | undefined }> {
  const pages = new Map<number, { readonly dirty: boolean; readonly path: string | undefined }>();
  for (const { base, path, pages: runs } of entries) {
    for (const [first, count, state] of runs) {
      if (state === 'cached') continue;
      const page = { dirty: state !== 'clean', path };
      for (let i = 0; i < count; i++) pages.set(base + (first + i) * PAGE_SIZE, page);
    }
  }
  return pages;
}

function rightsText(prot: number): string {
  return `${(prot & 1) !== 0 ? 'r' : '-'}${(prot & 2) !== 0 ? 'w' : '-'}${(prot & 4) !== 0 ? 'x' : '-'}`;
}
