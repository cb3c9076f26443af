/**
 * ELF headers of a program or interpreter, read as Linux's binfmt_elf reads them: the file header and the program headers decide, everything else
 * in the file may be garbage. The only file that knows `elfy`, which was written for trusted input: it is given a small image that we made.
 */
import elfy from 'elfy';
import { PROT_EXEC, PROT_READ, PROT_WRITE } from '../abi/mman.ts';
import { ENOEXEC } from '../abi/errno.ts';
import { type Refusal, refusal } from './refusal.ts';

/** Reads file bytes at `offset`; returns how many there were (fewer than asked only at the end of the file). */
export type ReadAt = (offset: number, into: Uint8Array) => number;

/** A PT_LOAD header. All values are as in the file, unsigned, and unchecked. */
export interface LoadHeader {
  readonly offset: number;
  readonly vaddr: number;
  readonly filesz: number;
  readonly memsz: number;
  /** PROT_ bits. */
  readonly prot: number;
  readonly align: number;
}

export interface ElfFile {
  readonly kind: 'elf';
  /** `other` only for interpreters, whose type Linux looks at last. */
  readonly type: 'exec' | 'dyn' | 'other';
  readonly entry: number;
  /** File offset of the program headers and their number, for AT_PHDR and AT_PHNUM. */
  readonly phoff: number;
  readonly phnum: number;
  /** In file order, which need not be address order. */
  readonly loads: readonly LoadHeader[];
  /** Where the interpreter's name lies in the file: the first PT_INTERP. */
  readonly interp: { readonly offset: number; readonly filesz: number } | undefined;
  /** The last PT_GNU_STACK: its PF_X; `default` without one, which on i386 also means READ_IMPLIES_EXEC. */
  readonly stack: 'default' | 'executable' | 'plain';
  /** A loader run as a program, which is going to map another one: it can lie anywhere, has no interpreter, and does not call itself a program (DF_1_PIE). */
  readonly isLoader: boolean;
}

/** Bytes of an Elf32_Ehdr, an Elf32_Phdr, an Elf32_Shdr. */
const EHDR_SIZE = 52,
  SHDR_SIZE = 40;
export const PHDR_SIZE = 32;
/** Linux's load_elf_phdrs: the table has at most 64 KiB. */
const PHNUM_MAX = 65536 / PHDR_SIZE;
const SHT_STRTAB = 3;
/** A dynamic table is looked at so far. */
const DYNAMIC_MAX = 4096;
const DT_NULL = 0,
  DT_FLAGS_1 = 0x6fff_fffb,
  DF_1_PIE = 0x0800_0000;

const MACHINES: Readonly<Record<number, string>> = {
  2: 'a SPARC',
  4: 'an m68k',
  8: 'a MIPS',
  15: 'a PA-RISC',
  20: 'a PowerPC',
  21: 'a 64-bit PowerPC',
  22: 'an S/390',
  40: 'an ARM',
  42: 'a SuperH',
  43: 'a 64-bit SPARC',
  50: 'an Itanium',
  62: 'an x86-64',
  183: 'an AArch64',
  243: 'a RISC-V',
  258: 'a LoongArch',
  36902: 'an Alpha',
};
const TYPES: Readonly<Record<number, string>> = { 1: 'is an object file, not a program', 4: 'is a core dump, not a program' };

/** The headers of the file behind `read`, or why Linux's execve would answer ENOEXEC. Never throws, whatever the bytes are. */
export function readElf(read: ReadAt, role: 'program' | 'interpreter' = 'program'): ElfFile | Refusal {
  const header = new ElfyBytes(EHDR_SIZE);
  const present = read(0, header);
  const wrong = checkHeader(header, present, role);
  // A file may end before its header does, as long as the rest may be zero: Linux pads what it read.
  if (wrong)
    return refusal(ENOEXEC, present > 3 && present < EHDR_SIZE && hasMagic(header) ? 'is truncated: it ends within its ELF header' : wrong);

  const phoff = header.readUInt32LE(28);
  const phnum = header.readUInt16LE(44);
  const table = new Uint8Array(phnum * PHDR_SIZE);
  if (read(phoff, table) < table.length) return refusal(ENOEXEC, 'is truncated: its program headers lie past its end');
  return decode(elfy.parse(elfyImage(header, table)), { phoff, phnum }, read);
}

/** What is wrong with the file header, or undefined. EI_CLASS, EI_DATA and the versions do not matter to Linux; the machine decides. */
function checkHeader(header: ElfyBytes, present: number, role: 'program' | 'interpreter'): string | undefined {
  if (present === 0) return 'is empty';
  if (!hasMagic(header)) return 'is not an ELF program';
  const machine = header.readUInt16LE(18);
  if (machine !== 3 && machine !== 6) return `is ${machineName(header)} program; seg386 runs 32-bit i386 ones`;
  const type = header.readUInt16LE(16);
  if (type !== 2 && type !== 3 && role === 'program') return TYPES[type] ?? `has an unknown ELF type (${type})`;
  if (header.readUInt16LE(42) !== PHDR_SIZE) return `has program headers of ${header.readUInt16LE(42)} bytes instead of ${PHDR_SIZE}`;
  const phnum = header.readUInt16LE(44);
  if (phnum === 0) return 'has no program headers';
  if (phnum > PHNUM_MAX) return `has ${phnum} program headers; Linux takes at most ${PHNUM_MAX}`;
  return undefined;
}

function hasMagic(header: Uint8Array): boolean {
  return header[0] === 0x7f && header[1] === 0x45 && header[2] === 0x4c && header[3] === 0x46;
}

/** Big-endian machines wrote their number the other way round. */
function machineName(header: ElfyBytes): string {
  const little = header.readUInt16LE(18);
  const machine = header[5] === 2 ? ((little & 0xff) << 8) | (little >> 8) : little;
  return MACHINES[machine] ?? `a foreign (ELF machine ${machine})`;
}

/**
 * The image elfy sees: class and byte order that it accepts, the program headers right behind the file header, and one empty string table,
 * because it insists on resolving section names. Nothing in it points outside it except segment bytes, which it slices with clamping.
 */
function elfyImage(header: ElfyBytes, table: Uint8Array): ElfyBytes {
  const image = new ElfyBytes(EHDR_SIZE + table.length + SHDR_SIZE);
  image.set(header);
  image.set(table, EHDR_SIZE);
  const view = new DataView(image.buffer);
  const section = EHDR_SIZE + table.length;
  view.setUint8(4, 1);
  view.setUint8(5, 1);
  view.setUint32(28, EHDR_SIZE, true);
  view.setUint32(32, section, true);
  view.setUint16(46, SHDR_SIZE, true);
  view.setUint16(48, 1, true);
  view.setUint16(50, 0, true);
  view.setUint32(section + 4, SHT_STRTAB, true);
  return image;
}

function decode(file: ReturnType<typeof elfy.parse>, table: Pick<ElfFile, 'phoff' | 'phnum'>, read: ReadAt): ElfFile {
  const loads: LoadHeader[] = [];
  let interp: ElfFile['interp'];
  let stack: ElfFile['stack'] = 'default';
  let isProgram = true;
  for (const { type, offset, vaddr, filesz, memsz, flags, align } of file.body.programs) {
    const prot = (flags.r ? PROT_READ : 0) | (flags.w ? PROT_WRITE : 0) | (flags.x ? PROT_EXEC : 0);
    if (type === 'load') loads.push({ offset, vaddr, filesz, memsz, prot, align });
    else if (type === 'interp') interp ??= { offset, filesz };
    else if (type === 'dynamic') isProgram = isNamedProgram(read, offset, filesz);
    else if (type === 'gnu_stack') stack = flags.x ? 'executable' : 'plain';
  }
  const type = typeOf(file.type);
  const isLoader = type === 'dyn' && interp === undefined && !isProgram;
  return { kind: 'elf', type, entry: file.entry, ...table, loads, interp, stack, isLoader };
}

/** Whether the dynamic table has the flag that linkers give to programs that can lie anywhere. */
function isNamedProgram(read: ReadAt, offset: number, size: number): boolean {
  const bytes = new Uint8Array(Math.min(size, DYNAMIC_MAX));
  const view = new DataView(bytes.buffer, 0, read(offset, bytes) & ~7);
  for (let at = 0; at < view.byteLength && view.getUint32(at, true) !== DT_NULL; at += 8)
    if (view.getUint32(at, true) === DT_FLAGS_1) return (view.getUint32(at + 4, true) & DF_1_PIE) !== 0;
  return false;
}

function typeOf(name: string | undefined): ElfFile['type'] {
  return name === 'exec' || name === 'dyn' ? name : 'other';
}

/** The few methods of Node's Buffer that elfy calls, so that it also runs where there is no Buffer. Slices share memory, as a Buffer's do. */
class ElfyBytes extends Uint8Array {
  readUInt16LE(offset: number): number {
    return this[offset] | (this[offset + 1] << 8);
  }
  readUInt32LE(offset: number): number {
    return (this.readUInt16LE(offset) | (this.readUInt16LE(offset + 2) << 16)) >>> 0;
  }
  override slice(from?: number, to?: number): ElfyBytes {
    return this.subarray(from, to) as ElfyBytes;
  }
  override toString(): string {
    return String.fromCharCode(...this);
  }
}
