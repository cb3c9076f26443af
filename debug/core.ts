/**
 * An ELF core file of a dying process, as a 64-bit Linux kernel writes it for i386 programs (fs/binfmt_elf.c): notes on its threads, and its memory.
 * What is not in memory is a hole in the file; pages of files that the program has not changed are left out, as debuggers find them in the file.
 */
import { PAGE_SIZE } from '../abi/page.ts';
import { CS, DS, EAX, EBP, EBX, ECX, EDI, EDX, ES, ESI, ESP, FS, GS, SS } from '../emu/engine.ts';
import { AREA_DONT_DUMP, type Area, objectPage } from '../mm/area.ts';
import { ANONYMOUS } from '../mm/pager.ts';
import { NO_FRAME } from '../mm/page-map.ts';
import type { AddressSpace } from '../mm/space.ts';
import { encodeSiginfo, type SignalInfo } from '../proc/siginfo.ts';
import { type Task, threadsOf } from '../proc/task.ts';

/** A piece of the file and where it lies. */
export interface CorePiece {
  /** Bytes from the start of the file. */
  readonly offset: number;
  readonly bytes: Uint8Array;
}

export interface Core {
  /** Of the whole file, holes included. */
  readonly size: number;
  /** Ascending. The bytes of one piece are valid until the next is asked for. */
  readonly pieces: Iterable<CorePiece>;
}

const ET_CORE = 4,
  EM_386 = 3,
  PT_LOAD = 1,
  PT_NOTE = 4,
  /** e_phnum where the number is in the first section header's sh_info. */
  PN_XNUM = 0xffff;
const NT_PRSTATUS = 1,
  NT_FPREGSET = 2,
  NT_PRPSINFO = 3,
  NT_AUXV = 6,
  NT_386_TLS = 0x200,
  NT_FILE = 0x46494c45,
  NT_PRXFPREG = 0x46e62b7f,
  NT_SIGINFO = 0x53494749;
const EHDR_SIZE = 52,
  PHDR_SIZE = 32,
  SHDR_SIZE = 40;
const FPU_SIZE = 108,
  FX_SIZE = 512;
/** The entries of the GDT that set_thread_area sets. */
const TLS_FIRST = 12,
  TLS_ENTRIES = 3;
const FNAME_SIZE = 16,
  PSARGS_SIZE = 80;

/** The core of `task`'s process, which `info` is about to end. */
export function coreOf(task: Task, info: SignalInfo): Core {
  const areas = [...task.space.areas()].map((area) => ({ area, size: dumpedSize(task.space, area) }));
  const notes = concatenated(notesOf(task, info));
  const headers = 1 + areas.length;
  const extended = headers >= PN_XNUM;
  const notesAt = EHDR_SIZE + headers * PHDR_SIZE + (extended ? SHDR_SIZE : 0);
  let at = roundUp(notesAt + notes.length, PAGE_SIZE);
  const head = new Uint8Array(at);
  const view = new DataView(head.buffer);
  writeElfHeader(view, headers, extended);
  writeProgramHeader(view, 0, { type: PT_NOTE, offset: notesAt, address: 0, fileSize: notes.length, size: 0, flags: 0, align: 4 });
  const loads: { readonly area: Area; readonly size: number; readonly offset: number }[] = [];
  areas.forEach(({ area, size }, index) => {
    const whole = area.top - area.base;
    writeProgramHeader(view, index + 1, {
      type: PT_LOAD,
      offset: at,
      address: area.base,
      fileSize: size,
      size: whole,
      flags: loadFlags(area),
      align: PAGE_SIZE,
    });
    loads.push({ area, size, offset: at });
    at += size;
  });
  head.set(notes, notesAt);
  return { size: at, pieces: pieces(task.space, head, loads) };
}

function* pieces(
  space: AddressSpace,
  head: Uint8Array,
  loads: readonly { readonly area: Area; readonly size: number; readonly offset: number }[],
): Generator<CorePiece> {
  yield { offset: 0, bytes: head };
  for (const { area, size, offset } of loads) {
    const resident: number[] = [];
    const first = area.base / PAGE_SIZE;
    const end = first + size / PAGE_SIZE;
    space.copies.forEach(first, end, (page) => void resident.push(page));
    area.object?.pages.forEach(area.offset, area.offset + size / PAGE_SIZE, (index) => void resident.push(first + index - area.offset));
    for (const page of [...new Set(resident)].sort((a, b) => a - b)) {
      const frame = frameAt(space, area, page);
      if (frame !== NO_FRAME && !space.frames.isZero(frame))
        yield { offset: offset + (page - first) * PAGE_SIZE, bytes: space.frames.bytes(frame) };
    }
  }
}

/** The page as the program sees it, if it is in memory. */
function frameAt(space: AddressSpace, area: Area, page: number): number {
  const own = area.sharing === 'private' ? space.copies.get(page) : NO_FRAME;
  return own !== NO_FRAME || area.object === undefined ? own : area.object.pages.get(objectPage(area, page * PAGE_SIZE));
}

/** Linux's default core filter: anonymous memory, private pages of files once written, and the first page of ELF files. */
function dumpedSize(space: AddressSpace, area: Area): number {
  const whole = area.top - area.base;
  if (area.name === '[vdso]') return whole;
  if ((area.flags & AREA_DONT_DUMP) !== 0 || area.prot === 0) return 0;
  if (area.object === undefined || area.object.name === ANONYMOUS) return whole;
  if (area.sharing === 'private' && space.copies.count(area.base / PAGE_SIZE, area.top / PAGE_SIZE) > 0) return whole;
  if (area.offset !== 0 || area.sharing === 'shared') return 0;
  const frame = area.object.pages.get(0);
  return frame !== NO_FRAME && isElf(space.frames.bytes(frame)) ? PAGE_SIZE : 0;
}

function isElf(page: Uint8Array): boolean {
  return page[0] === 0x7f && page[1] === 0x45 && page[2] === 0x4c && page[3] === 0x46;
}

/** PF_X 1, PF_W 2, PF_R 4: PROT_ bits the other way round. */
function loadFlags(area: Area): number {
  return ((area.prot & 1) << 2) | (area.prot & 2) | ((area.prot & 4) >> 2);
}

// ---- Headers -------------------------------------------------------------------------------------------------------------------

function writeElfHeader(view: DataView, headers: number, extended: boolean): void {
  [0x7f, 0x45, 0x4c, 0x46, 1, 1, 1].forEach((byte, at) => view.setUint8(at, byte));
  view.setUint16(16, ET_CORE, true);
  view.setUint16(18, EM_386, true);
  view.setUint32(20, 1, true);
  view.setUint32(28, EHDR_SIZE, true);
  view.setUint16(40, EHDR_SIZE, true);
  view.setUint16(42, PHDR_SIZE, true);
  view.setUint16(44, extended ? PN_XNUM : headers, true);
  if (!extended) return;
  const section = EHDR_SIZE + headers * PHDR_SIZE;
  view.setUint32(32, section, true);
  view.setUint16(46, SHDR_SIZE, true);
  view.setUint16(48, 1, true);
  view.setUint32(section + 28, headers, true);
}

interface ProgramHeader {
  readonly type: number;
  readonly offset: number;
  readonly address: number;
  readonly fileSize: number;
  readonly size: number;
  readonly flags: number;
  readonly align: number;
}

function writeProgramHeader(view: DataView, index: number, { type, offset, address, fileSize, size, flags, align }: ProgramHeader): void {
  const words = [type, offset, address, 0, fileSize, size, flags, align];
  words.forEach((word, n) => view.setUint32(EHDR_SIZE + index * PHDR_SIZE + n * 4, word, true));
}

// ---- Notes ---------------------------------------------------------------------------------------------------------------------

/** The dying thread's notes frame those of the process, then the other threads follow: debuggers take the first thread for the current one. */
function notesOf(task: Task, info: SignalInfo): Uint8Array[] {
  const { process, kernel } = task;
  const notes = [
    note('CORE', NT_PRSTATUS, status(task, info)),
    note('CORE', NT_PRPSINFO, processInfo(task)),
    note('CORE', NT_SIGINFO, encodeSiginfo(info)),
    note('CORE', NT_AUXV, process.image?.auxv ?? new Uint8Array(8)),
    note('CORE', NT_FILE, fileList(task.space)),
    ...registerNotes(task),
  ];
  for (const other of threadsOf(kernel, process)) {
    if (other !== task) notes.push(note('CORE', NT_PRSTATUS, status(other, info)), ...registerNotes(other));
  }
  return notes;
}

function note(name: string, type: number, content: Uint8Array): Uint8Array {
  const nameSize = name.length + 1;
  const contentAt = 12 + roundUp(nameSize, 4);
  const bytes = new Uint8Array(contentAt + roundUp(content.length, 4));
  const view = new DataView(bytes.buffer);
  view.setUint32(0, nameSize, true);
  view.setUint32(4, content.length, true);
  view.setUint32(8, type, true);
  writeText(bytes, 12, name, nameSize);
  bytes.set(content, contentAt);
  return bytes;
}

/** struct elf_prstatus of i386. */
function status(task: Task, info: SignalInfo): Uint8Array {
  const { process, registers: r, signals } = task;
  const bytes = new Uint8Array(144);
  const view = new DataView(bytes.buffer);
  const put = (at: number, words: readonly number[]) => words.forEach((word, n) => view.setUint32(at + n * 4, word, true));
  put(0, [info.signo, info.code, info.errno]);
  view.setUint16(12, info.signo, true);
  put(16, [signals.pending.set.low, signals.mask.low, task.tid, process.parent?.pid ?? 0, process.pgid, process.sid]);
  put(40, [...timeval(task.cpuTime_ns), 0, 0, ...timeval(process.childrenUser_ns), ...timeval(process.childrenSystem_ns)]);
  put(
    72,
    [EBX, ECX, EDX, ESI, EDI, EBP, EAX].map((register) => r.get(register)),
  );
  // orig_eax: not in a system call.
  put(100, [
    r.selector(DS),
    r.selector(ES),
    r.selector(FS),
    r.selector(GS),
    0xffff_ffff,
    r.eip,
    r.selector(CS),
    r.eflags,
    r.get(ESP),
    r.selector(SS),
    1,
  ]);
  return bytes;
}

function timeval(ns: bigint): [seconds: number, microseconds: number] {
  return [Number(ns / 1_000_000_000n), Number((ns / 1000n) % 1_000_000n)];
}

/** struct elf_prpsinfo of i386. */
function processInfo(task: Task): Uint8Array {
  const { process, credentials } = task;
  const bytes = new Uint8Array(124);
  const view = new DataView(bytes.buffer);
  bytes[1] = 'R'.charCodeAt(0);
  view.setInt8(3, task.nice);
  view.setUint16(8, credentials.uid, true);
  view.setUint16(10, credentials.gid, true);
  [process.pid, process.parent?.pid ?? 0, process.pgid, process.sid].forEach((id, n) => view.setUint32(12 + n * 4, id, true));
  writeText(bytes, 28, task.name, FNAME_SIZE);
  writeText(bytes, 28 + FNAME_SIZE, process.argv.join(' '), PSARGS_SIZE);
  return bytes;
}

/** NT_FILE: which file lies where, for `info proc mappings` and for finding libraries. */
function fileList(space: AddressSpace): Uint8Array {
  const files = [...space.areas()].filter(({ object, name }) => object !== undefined && object.name !== ANONYMOUS && name === '');
  const names = files.map(({ object }) => `${object?.name}\0`).join('');
  const words = [files.length, PAGE_SIZE, ...files.flatMap(({ base, top, offset }) => [base, top, offset])];
  const bytes = new Uint8Array(words.length * 4 + names.length);
  const view = new DataView(bytes.buffer);
  words.forEach((word, n) => view.setUint32(n * 4, word, true));
  writeText(bytes, words.length * 4, names, names.length + 1);
  return bytes;
}

function registerNotes({ registers }: Task): Uint8Array[] {
  const fpu = new Uint8Array(FPU_SIZE);
  registers.saveFpu(fpu);
  const fx = new Uint8Array(FX_SIZE);
  registers.saveFx(fx);
  const tls = new Uint8Array(TLS_ENTRIES * 16);
  const view = new DataView(tls.buffer);
  for (let n = 0; n < TLS_ENTRIES; n++) {
    const entry = registers.threadArea(TLS_FIRST + n);
    if (entry === undefined) continue;
    const { base, limit, seg32Bit, contents, readExecOnly, limitInPages, notPresent, useable } = entry;
    const bits = [seg32Bit, false, false, readExecOnly, limitInPages, notPresent, useable].reduce(
      (all, bit, at) => all | (Number(bit) << at),
      contents << 1,
    );
    [TLS_FIRST + n, base, limit, bits].forEach((word, at) => view.setUint32(n * 16 + at * 4, word, true));
  }
  return [note('CORE', NT_FPREGSET, fpu), note('LINUX', NT_PRXFPREG, fx), note('LINUX', NT_386_TLS, tls)];
}

// ---- Bytes ---------------------------------------------------------------------------------------------------------------------

/** At most `size - 1` characters, one a byte; what follows stays zero. */
function writeText(into: Uint8Array, at: number, text: string, size: number): void {
  for (let i = 0; i < text.length && i < size - 1; i++) into[at + i] = text.charCodeAt(i);
}

function concatenated(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((size, part) => size + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

function roundUp(n: number, to: number): number {
  return Math.ceil(n / to) * to;
}
