/**
 * The page Linux maps into every i386 program: a small shared library with the system-call entry and the two signal-return stubs, built here byte by
 * byte. gdb and libgcc know the stubs by their code, so it is exactly Linux's. The clock functions are not offered: time stays repeatable.
 */
import { assert } from '../abi/assert.ts';
import { PAGE_SIZE } from '../abi/page.ts';

export interface Vdso {
  /** One page, mapped read and execute at any address: nothing in it is relocated. */
  readonly bytes: Uint8Array;
  /** Offsets in the page: AT_SYSINFO, and where a signal handler without its own restorer returns to. */
  readonly vsyscall: number;
  readonly sigreturn: number;
  readonly rtSigreturn: number;
}

/** Linux's arch/x86/entry/vdso/vdso32/{system_call,sigreturn}.S; int 0x80 is the entry that every i386 has. */
const FUNCTIONS = [
  { name: '__kernel_vsyscall', code: [0xcd, 0x80, 0xc3] },
  { name: '__kernel_sigreturn', code: [0x58, 0xb8, 119, 0, 0, 0, 0xcd, 0x80] },
  { name: '__kernel_rt_sigreturn', code: [0xb8, 173, 0, 0, 0, 0xcd, 0x80] },
] as const;
const SONAME = 'linux-gate.so.1',
  VERSION = 'LINUX_2.5';
const NOP = 0x90;

/** The tables lie below, the functions from here on, each at a multiple of CODE_ALIGN. */
const CODE = 0x300,
  CODE_ALIGN = 32,
  CODE_TOP = CODE + FUNCTIONS.length * CODE_ALIGN;
const EHDR_SIZE = 52,
  PHDR_SIZE = 32,
  SHDR_SIZE = 40,
  SYMBOL_SIZE = 16;
const PT_LOAD = 1,
  PT_DYNAMIC = 2,
  PT_GNU_EH_FRAME = 0x6474e550;
const PF_X = 1,
  PF_R = 4;

interface Section {
  readonly name: string;
  readonly type: number;
  readonly align: number;
  /** Writes the content; offsets of earlier sections are known by then. */
  readonly write: () => void;
  readonly flags?: number;
  readonly link?: number;
  readonly info?: number;
  readonly entsize?: number;
}

interface Placed extends Section {
  readonly offset: number;
  readonly size: number;
}

let built: Vdso | undefined;

/** The vdso; the same value each time, and not to be written to. */
export function vdso(): Vdso {
  return (built ??= { bytes: build(), vsyscall: CODE, sigreturn: CODE + CODE_ALIGN, rtSigreturn: CODE + 2 * CODE_ALIGN });
}

function build(): Uint8Array {
  const image = new Image();
  const strings = new StringTable();
  const names = FUNCTIONS.map(({ name }) => strings.add(name));
  const soname = strings.add(SONAME),
    version = strings.add(VERSION);
  const placed: Placed[] = [];
  const offsetOf = (name: string): number => placed.find((section) => section.name === name)?.offset ?? assertFound(name);

  const sections: readonly Section[] = [
    { name: '.hash', type: 5, align: 4, link: 2, entsize: 4, write: () => writeHash(image) },
    { name: '.dynsym', type: 11, align: 4, link: 3, info: 1, entsize: SYMBOL_SIZE, write: () => writeSymbols(image, names, version) },
    { name: '.dynstr', type: 3, align: 1, write: () => image.ascii(strings.text) },
    { name: '.gnu.version', type: 0x6fffffff, align: 2, link: 2, entsize: 2, write: () => image.u16(0, 2, ...FUNCTIONS.map(() => 2)) },
    { name: '.gnu.version_d', type: 0x6ffffffd, align: 4, link: 3, info: 2, write: () => writeVersions(image, soname, version) },
    { name: '.dynamic', type: 6, align: 4, link: 3, entsize: 8, write: () => writeDynamic(image, soname, strings.text.length, offsetOf) },
    { name: '.eh_frame_hdr', type: 1, align: 4, write: () => writeFrameHeader(image) },
    { name: '.eh_frame', type: 1, align: 4, write: () => writeFrames(image) },
    { name: '.text', type: 1, align: CODE_ALIGN, flags: 4, write: () => writeCode(image) },
  ];
  image.at = EHDR_SIZE + 3 * PHDR_SIZE;
  for (const section of sections) {
    const offset = section.name === '.text' ? (image.at = CODE) : image.align(section.align);
    section.write();
    placed.push({ ...section, offset, size: image.at - offset });
  }
  assert(image.at === CODE_TOP && offsetOf('.eh_frame') + 52 <= CODE, 'the vdso tables reach into its code');
  const table = writeSections(image, placed);
  const top = image.at;
  writeHeaders(image, table, placed.length + 2, [
    { type: PT_LOAD, offset: 0, size: top, flags: PF_R | PF_X, align: PAGE_SIZE },
    { type: PT_DYNAMIC, offset: offsetOf('.dynamic'), size: sizeOf(placed, '.dynamic'), flags: PF_R, align: 4 },
    { type: PT_GNU_EH_FRAME, offset: offsetOf('.eh_frame_hdr'), size: sizeOf(placed, '.eh_frame_hdr'), flags: PF_R, align: 4 },
  ]);
  return image.bytes;
}

function assertFound(name: string): never {
  assert(false, `no vdso section ${name}`);
}

function sizeOf(placed: readonly Placed[], name: string): number {
  return placed.find((section) => section.name === name)?.size ?? assertFound(name);
}

interface ProgramHeader {
  readonly type: number;
  readonly offset: number;
  readonly size: number;
  readonly flags: number;
  readonly align: number;
}

/** The file header and, right behind it, the program headers. The library is linked at 0. */
function writeHeaders(image: Image, sectionTable: number, sectionCount: number, programs: readonly ProgramHeader[]): void {
  image.at = 0;
  image.u8(0x7f, 0x45, 0x4c, 0x46, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0);
  image.u16(3, 3);
  image.u32(1, CODE, EHDR_SIZE, sectionTable, 0);
  image.u16(EHDR_SIZE, PHDR_SIZE, programs.length, SHDR_SIZE, sectionCount, sectionCount - 1);
  for (const { type, offset, size, flags, align } of programs) image.u32(type, offset, offset, offset, size, size, flags, align);
}

/** Section headers: gdb takes its symbols from them. Returns the offset of the table, which ends the image. */
function writeSections(image: Image, sections: readonly Placed[]): number {
  const names = new StringTable();
  const indices = sections.map(({ name }) => names.add(name));
  const ownName = names.add('.shstrtab');
  const strings = image.at;
  image.ascii(names.text);
  const table = image.align(4);
  image.u32(0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
  sections.forEach(({ type, flags = 0, offset, size, link = 0, info = 0, align, entsize = 0 }, index) => {
    image.u32(indices[index], type, 2 | flags, offset, offset, size, link, info, align, entsize);
  });
  image.u32(ownName, 3, 0, 0, strings, names.text.length, 0, 0, 1, 0);
  return table;
}

/** One bucket whose chain runs through every symbol: four of them need no hashing. */
function writeHash(image: Image): void {
  const count = FUNCTIONS.length + 2;
  image.u32(1, count, 1, 0);
  for (let symbol = 1; symbol < count; symbol++) image.u32(symbol + 1 < count ? symbol + 1 : 0);
}

/** The empty symbol, the version's own absolute one, and the functions; all global. */
function writeSymbols(image: Image, names: readonly number[], version: number): void {
  image.u32(0, 0, 0, 0);
  image.u32(version, 0, 0);
  image.u8(0x11, 0);
  image.u16(0xfff1);
  FUNCTIONS.forEach(({ code }, index) => {
    image.u32(names[index], CODE + index * CODE_ALIGN, code.length);
    image.u8(0x12, 0);
    image.u16(9);
  });
}

/** Two Verdef entries: the library itself (base) and LINUX_2.5. */
function writeVersions(image: Image, soname: number, version: number): void {
  image.u16(1, 1, 1, 1);
  image.u32(elfHash(SONAME), 20, 28, soname, 0);
  image.u16(1, 0, 2, 1);
  image.u32(elfHash(VERSION), 20, 0, version, 0);
}

function writeDynamic(image: Image, soname: number, strsz: number, offsetOf: (name: string) => number): void {
  const DT = {
    soname: 14,
    hash: 4,
    strtab: 5,
    symtab: 6,
    strsz: 10,
    syment: 11,
    verdef: 0x6ffffffc,
    verdefnum: 0x6ffffffd,
    versym: 0x6ffffff0,
  };
  image.u32(DT.soname, soname, DT.hash, offsetOf('.hash'), DT.strtab, offsetOf('.dynstr'), DT.symtab, offsetOf('.dynsym'));
  image.u32(
    DT.strsz,
    strsz,
    DT.syment,
    SYMBOL_SIZE,
    DT.verdef,
    offsetOf('.gnu.version_d'),
    DT.verdefnum,
    2,
    DT.versym,
    offsetOf('.gnu.version'),
    0,
    0,
  );
}

/** Bytes of .eh_frame_hdr with its one entry, and of the CIE that .eh_frame begins with. */
const FRAME_HEADER_SIZE = 20,
  CIE_SIZE = 24;

/** Lets an unwinder find the one entry of .eh_frame, which follows at once. */
function writeFrameHeader(image: Image): void {
  const start = image.at;
  image.u8(1, 0x1b, 0x03, 0x3b);
  image.u32(FRAME_HEADER_SIZE - 4, 1, CODE - start, FRAME_HEADER_SIZE + CIE_SIZE);
}

/** Unwinding out of __kernel_vsyscall (a thread cancelled within a call): the caller is at the top of the stack. */
function writeFrames(image: Image): void {
  const start = image.at;
  image.u32(CIE_SIZE - 4, 0);
  // Version 1, "zR", code factor 1, data factor -4, return address column 8, pc-relative; CFA = esp + 4, eip at CFA - 4.
  image.u8(1, 0x7a, 0x52, 0, 1, 0x7c, 8, 1, 0x1b, 0x0c, 4, 4, 0x88, 1, 0, 0);
  image.u32(16, image.at + 4 - start, CODE - (image.at + 8), FUNCTIONS[0].code.length);
  image.u8(0, 0, 0, 0);
  image.u32(0);
}

function writeCode(image: Image): void {
  image.bytes.fill(NOP, CODE, CODE_TOP);
  FUNCTIONS.forEach(({ code }, index) => image.bytes.set(code, CODE + index * CODE_ALIGN));
  image.at = CODE_TOP;
}

/** The System V ABI's hash of symbol names. */
function elfHash(name: string): number {
  let hash = 0;
  for (let i = 0; i < name.length; i++) {
    hash = (hash << 4) + name.charCodeAt(i);
    hash = (hash ^ ((hash >>> 24) & 0xf0)) & 0x0fffffff;
  }
  return hash >>> 0;
}

/** A page written from low to high. */
class Image {
  readonly bytes = new Uint8Array(PAGE_SIZE);
  private readonly view = new DataView(this.bytes.buffer);
  at = 0;

  align(to: number): number {
    this.at = Math.ceil(this.at / to) * to;
    return this.at;
  }
  u8(...values: readonly number[]): void {
    for (const value of values) this.view.setUint8(this.at++, value);
  }
  u16(...values: readonly number[]): void {
    for (const value of values) {
      this.view.setUint16(this.at, value, true);
      this.at += 2;
    }
  }
  u32(...values: readonly number[]): void {
    for (const value of values) {
      this.view.setUint32(this.at, value, true);
      this.at += 4;
    }
  }
  ascii(text: string): void {
    for (let i = 0; i < text.length; i++) this.u8(text.charCodeAt(i));
  }
}

/** Strings, each once and ended by zero; index 0 is the empty one. */
class StringTable {
  text = '\0';
  add(value: string): number {
    const index = this.text.length;
    this.text += `${value}\0`;
    return index;
  }
}
