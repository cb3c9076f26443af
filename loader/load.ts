/**
 * A program into an address space: its segments and its interpreter's, the vdso, the first stack. Linux's load_elf_binary behind the point of no
 * return, so what goes wrong here kills the task. The two layouts differ only in where a program that can lie anywhere is put.
 */
import {
  AT_BASE,
  AT_CLKTCK,
  AT_EGID,
  AT_ENTRY,
  AT_EUID,
  AT_EXECFN,
  AT_FLAGS,
  AT_GID,
  AT_HWCAP,
  AT_HWCAP2,
  AT_PAGESZ,
  AT_PHDR,
  AT_PHENT,
  AT_PHNUM,
  AT_PLATFORM,
  AT_RANDOM,
  AT_SECURE,
  AT_SYSINFO,
  AT_SYSINFO_EHDR,
  AT_UID,
} from '../abi/auxv.ts';
import { EEXIST, EFAULT, EINVAL, ENOMEM, EPERM, Errno, errno } from '../abi/errno.ts';
import { MAP_ANONYMOUS, MAP_FIXED, MAP_FIXED_NOREPLACE, MAP_PRIVATE, MAP_STACK, PROT_EXEC, PROT_READ, PROT_WRITE } from '../abi/mman.ts';
import { type Addr, PAGE_SIZE, pageDown, pageUp } from '../abi/page.ts';
import type { MemoryObject } from '../mm/object.ts';
import { arrange, type LayoutName, USER_TOP } from '../mm/placement.ts';
import { NO_SHIFTS, type Shifts } from '../mm/randomize.ts';
import { type AddressSpace, DEFAULT_PROGRAM_BASE } from '../mm/space.ts';
import { UserMemory } from '../mm/user.ts';
import { type ElfFile, type LoadHeader, PHDR_SIZE } from './elf.ts';
import type { ImageFile, Program } from './program.ts';
import { fatal, type Refusal } from './refusal.ts';
import { buildStack, stringsSize } from './stack.ts';
import { vdso } from './vdso.ts';

/**
 * Where programs that can lie anywhere go in Linux's layout: what Linux does without randomisation (ELF_ET_DYN_BASE). In linuxemu's they go where
 * programs have always been linked to, so that PRIVATE, above DATA, is as large as it can be.
 */
const DYN_BASE: Addr = 0x5655_5000;
/** A loader that is run as a program leaves the places of programs, in linuxemu's layout, to the one that it is going to map. */
const LOADER_BASE: Addr = 0x1000_0000;
/** Clock ticks a second that times() and /proc count in. */
const CLOCK_TICKS = 100;

export interface LoadContext {
  /** Emptied first. */
  readonly space: AddressSpace;
  /** One page with the vdso's bytes, shared by all programs. */
  readonly vdso: MemoryObject;
  /** The program has more rights than who runs it (AT_SECURE). */
  readonly secure?: boolean;
  readonly ids: { readonly uid: number; readonly euid: number; readonly gid: number; readonly egid: number };
  /** AT_PLATFORM and AT_HWCAP, as the CPU has them. */
  readonly cpu: { readonly platform: string; readonly hwcap: number };
  /** The 16 bytes AT_RANDOM points to. */
  readonly random: Uint8Array;
  /** The task's personality already makes readable memory executable. */
  readonly readImpliesExec: boolean;
  /** How far things are moved from their usual places; default: not at all. */
  readonly shifts?: Shifts;
  /** Mappings are placed from the bottom up (ADDR_COMPAT_LAYOUT). */
  readonly bottomUp?: boolean;
}

/** What the new program's task and process must know. */
export interface Loaded {
  readonly kind: 'loaded';
  /** First instruction, of the interpreter if there is one. */
  readonly entry: Addr;
  readonly stackPointer: Addr;
  readonly vdso: Addr;
  readonly sigreturn: Addr;
  readonly rtSigreturn: Addr;
  /** Whether READ_IMPLIES_EXEC belongs into the personality. */
  readonly readImpliesExec: boolean;
  /** For /proc/PID/stat, cmdline, environ and auxv. */
  readonly startCode: Addr;
  readonly endCode: Addr;
  readonly startData: Addr;
  readonly endData: Addr;
  readonly argStart: Addr;
  readonly envStart: Addr;
  readonly envEnd: Addr;
  readonly auxv: Uint8Array;
}

/** Replaces what is in the space by the program. Throws nothing but MustWait, after which the call may be made again. */
export function loadProgram(program: Program, context: LoadContext): Loaded | Refusal {
  try {
    return new Load(program, context).run();
  } catch (error) {
    if (!(error instanceof Errno)) throw error;
    return fatal(error.code, mappingFailure(error), program.image.path);
  }
}

function mappingFailure(error: Errno): string {
  switch (error.code) {
    case EEXIST:
      return 'cannot be mapped: its segments overlap the stack';
    case EPERM:
      return 'cannot be mapped: it wants the lowest addresses, which only root may map';
    case ENOMEM:
      return 'cannot be mapped: there is no room for it';
    case EINVAL:
      return 'cannot be mapped: a segment is not aligned in its file as in memory, or lies outside of user memory';
    default:
      return `cannot be mapped: ${error.name}`;
  }
}

/** Where an image's addresses ended up. */
interface Placed {
  /** What is added to addresses in the file; as an unsigned word. */
  readonly bias: number;
  readonly phdr: Addr;
  /** End of the highest segment, unaligned. */
  readonly end: Addr;
}

class Load {
  private readonly program: Program;
  private readonly context: LoadContext;
  private readonly space: AddressSpace;
  private readonly user: UserMemory;

  constructor(program: Program, context: LoadContext) {
    this.program = program;
    this.context = context;
    this.space = context.space;
    this.user = new UserMemory(context.space);
  }

  run(): Loaded | Refusal {
    const { image, interpreter } = this.program;
    const { space } = this;
    const { loads } = image.elf;
    const anywhere = image.elf.type === 'dyn';
    const { shifts = NO_SHIFTS, bottomUp } = this.context;
    const { isLoader } = image.elf;
    const lowest =
      isLoader || loads.length === 0 ? undefined : word(lowestPage(loads) + (anywhere ? fixedBias(space.layout, image.elf, shifts) : 0));
    space.clear(lowest, arrange(space.limits.stack, shifts, bottomUp));
    space.readImpliesExec = this.context.readImpliesExec || image.elf.stack === 'default';
    space.mapStack(PROT_READ | PROT_WRITE | (image.elf.stack === 'executable' ? PROT_EXEC : 0), stringsSize(this.program));

    const own = this.mapProgram(image);
    if (own === undefined)
      return fatal(EINVAL, 'has a segment that ends beyond user memory, or is larger in the file than in memory', image.path);
    const topDown = space.layout === 'linux' && anywhere && interpreter === undefined;
    const { startData, endData } = codeAndData(loads, own.bias);
    // A heap that is moved keeps a page's distance from the program's end.
    const start = topDown ? DYN_BASE : pageUp(own.end) + (shifts.heap === undefined ? 0 : PAGE_SIZE);
    space.startBrk(start + (shifts.heap ?? 0), endData - startData);

    let entry = word(image.elf.entry + own.bias);
    let base = 0;
    if (interpreter !== undefined) {
      const placed = this.mapInterpreter(interpreter, own.bias !== 0);
      if (typeof placed === 'string') return fatal(EINVAL, `needs the interpreter ${interpreter.path}, which ${placed}`, image.path);
      base = placed;
      entry = word(interpreter.elf.entry + placed);
    }
    if (entry >= USER_TOP) return fatal(EINVAL, 'starts at an address beyond user memory', image.path);
    return this.finish(own, base, entry);
  }

  /** The vdso, the stack's content, and the sum of it all. */
  private finish(own: Placed, base: Addr, entry: Addr): Loaded {
    const { program, context, space } = this;
    const { elf } = program.image;
    const { bytes, vsyscall, sigreturn, rtSigreturn } = vdso();
    const stackSide = space.layout === 'linuxemu' ? MAP_STACK : 0;
    const prot = PROT_READ | PROT_EXEC;
    const at = space.map({ addr: 0, size: bytes.length, prot, flags: MAP_PRIVATE | stackSide, object: context.vdso, name: '[vdso]' });
    const { ids, cpu } = context;
    const auxv = [
      [AT_SYSINFO, at + vsyscall],
      [AT_SYSINFO_EHDR, at],
      [AT_HWCAP, cpu.hwcap],
      [AT_PAGESZ, PAGE_SIZE],
      [AT_CLKTCK, CLOCK_TICKS],
      [AT_PHDR, own.phdr],
      [AT_PHENT, PHDR_SIZE],
      [AT_PHNUM, elf.phnum],
      [AT_BASE, base],
      [AT_FLAGS, 0],
      [AT_ENTRY, word(elf.entry + own.bias)],
      [AT_UID, ids.uid],
      [AT_EUID, ids.euid],
      [AT_GID, ids.gid],
      [AT_EGID, ids.egid],
      [AT_SECURE, context.secure ? 1 : 0],
      [AT_RANDOM, 0],
      [AT_HWCAP2, 0],
      [AT_EXECFN, 0],
      [AT_PLATFORM, 0],
    ] as const;
    const { argv, env, execfn } = program;
    const stack = buildStack(space.stackTop, {
      argv,
      env,
      execfn,
      auxv,
      random: context.random,
      platform: cpu.platform,
      shift: context.shifts?.stackPointer,
    });
    this.user.write(stack.base, stack.bytes);
    return {
      kind: 'loaded',
      entry,
      stackPointer: stack.base,
      vdso: at,
      sigreturn: at + sigreturn,
      rtSigreturn: at + rtSigreturn,
      readImpliesExec: space.readImpliesExec,
      ...codeAndData(elf.loads, own.bias),
      argStart: stack.argStart,
      envStart: stack.envStart,
      envEnd: stack.envEnd,
      auxv: stack.auxv,
    };
  }

  /** The program's own segments; undefined where one is impossible. */
  private mapProgram({ elf, object }: ImageFile): Placed | undefined {
    let bias = 0;
    let phdr = 0;
    let end = 0;
    for (const [index, load] of elf.loads.entries()) {
      if (index > 0) this.mapSegment(object, load, word(load.vaddr + bias), MAP_FIXED);
      else if (elf.type === 'exec') this.mapSegment(object, load, load.vaddr, MAP_FIXED_NOREPLACE);
      else bias = this.mapAnywhere(object, elf);
      if (load.offset <= elf.phoff && elf.phoff < load.offset + load.filesz) phdr = elf.phoff - load.offset + load.vaddr;
      if (!isPossible(load, load.vaddr)) return undefined;
      end = Math.max(end, load.vaddr + load.memsz);
    }
    return { bias, phdr: word(phdr + bias), end: word(end + bias) };
  }

  /** Maps the first segment of a program that can lie anywhere, and returns the bias of all. */
  private mapAnywhere(object: MemoryObject, elf: ElfFile): number {
    const { loads } = elf;
    const [first] = loads;
    const size = spanOf(loads);
    if (size <= 0) throw errno(EINVAL);
    if (this.program.interpreter !== undefined || this.space.layout === 'linuxemu') {
      const bias = fixedBias(this.space.layout, elf, this.space.arrangement.shifts);
      return word(this.mapSegment(object, first, word(first.vaddr + bias), MAP_FIXED_NOREPLACE, size) - pageDown(first.vaddr));
    }
    const alignment = largestAlignment(loads);
    const base = alignment > PAGE_SIZE ? this.alignedRoom(size, alignment) : 0;
    const at = this.mapSegment(object, first, base + (first.vaddr % PAGE_SIZE), base === 0 ? 0 : MAP_FIXED_NOREPLACE, size);
    return word(at - pageDown(first.vaddr));
  }

  /** An address with free room for `size` bytes that is a multiple of `alignment`. */
  private alignedRoom(size: number, alignment: number): Addr {
    const room = pageUp(size) + alignment;
    const found = this.space.map({ addr: 0, size: room, prot: 0, flags: MAP_PRIVATE | MAP_ANONYMOUS });
    this.space.unmap(found, room);
    return Math.ceil(found / alignment) * alignment;
  }

  /** The interpreter's segments. Returns its bias, or what is wrong with it. */
  private mapInterpreter({ elf, object }: ImageFile, programMoved: boolean): number | string {
    if (elf.type === 'other') return 'is neither a program nor a shared library';
    if (elf.loads.length === 0) return 'has nothing to load';
    let size = spanOf(elf.loads);
    if (size <= 0) throw errno(EINVAL);
    // An interpreter that wishes for an address gets it if it is free, beside a program that is where it was linked.
    let bias = elf.type === 'dyn' && programMoved ? word(-elf.loads[0].vaddr) : 0;
    for (const [index, load] of elf.loads.entries()) {
      const fixed = elf.type === 'exec' || index > 0;
      const at = this.mapSegment(object, load, word(load.vaddr + bias), fixed ? MAP_FIXED : 0, size);
      size = 0;
      if (!fixed) bias = word(at - pageDown(load.vaddr));
      if (!isPossible(load, word(load.vaddr + bias)))
        return 'has a segment that ends beyond user memory, or is larger in the file than in memory';
    }
    return bias;
  }

  /**
   * Linux's elf_load: the file's part, zeros behind it to the page's end, and fresh pages for the rest. `addr` is the unaligned address; `total`, if not 0, is the span
   * of the whole image, whose room is found along with the first segment. Returns the page-aligned address. Throws EINVAL, ENOMEM, EEXIST, EPERM, EFAULT.
   */
  private mapSegment(object: MemoryObject, load: LoadHeader, addr: Addr, flags: number, total = 0): Addr {
    const { vaddr, filesz, memsz, prot } = load;
    const within = vaddr % PAGE_SIZE;
    let at = pageDown(addr);
    if (filesz > 0) {
      at = this.mapFile(object, load, at, flags, total);
      // Linux ignores that it cannot clear the end of a read-only segment's last page.
      const cleared = memsz > filesz ? pageUp(within + filesz) - within - filesz : 0;
      if (cleared > 0 && (prot & PROT_WRITE) !== 0 && this.user.zero(at + within + filesz, cleared) < cleared) throw errno(EFAULT);
    } else if (at >= USER_TOP) throw errno(EINVAL);
    if (memsz > filesz) this.mapZeros(filesz > 0 ? pageUp(at + within + filesz) : at, pageUp(at + within + memsz), prot);
    return at;
  }

  private mapFile(object: MemoryObject, load: LoadHeader, at: Addr, flags: number, total: number): Addr {
    const within = load.vaddr % PAGE_SIZE;
    const size = pageUp(within + load.filesz);
    const from = load.offset - within;
    if (from < 0 || from % PAGE_SIZE !== 0) throw errno(EINVAL);
    const span = Math.max(pageUp(total), size);
    const request = { prot: load.prot, flags: MAP_PRIVATE | flags, object, offset: from / PAGE_SIZE };
    const mapped = this.space.map({ addr: at, size: span, ...request });
    if (span > size) this.space.unmap(mapped + size, span - size);
    return mapped;
  }

  /** Linux's vm_brk_flags: always readable and writable, executable where the segment is. */
  private mapZeros(base: Addr, top: Addr, segmentProt: number): void {
    if (top <= base) return;
    if (top > USER_TOP) throw errno(ENOMEM);
    const prot = PROT_READ | PROT_WRITE | (segmentProt & PROT_EXEC);
    this.space.map({ addr: base, size: top - base, prot, flags: MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED });
  }
}

/** A 32-bit address, from a sum that may have wrapped. */
function word(value: number): Addr {
  return ((value % 2 ** 32) + 2 ** 32) % 2 ** 32;
}

/** Requires: there is one. */
function lowestPage(loads: readonly LoadHeader[]): Addr {
  return Math.min(...loads.map(({ vaddr }) => pageDown(vaddr)));
}

/** The bias of a program that can lie anywhere and goes to its layout's base, aligned downwards: its first segment decides. */
function fixedBias(layout: LayoutName, { loads, isLoader }: ElfFile, { program }: Shifts): number {
  const alignment = largestAlignment(loads);
  const own = isLoader ? LOADER_BASE : DEFAULT_PROGRAM_BASE;
  const start = (layout === 'linux' || alignment > own ? DYN_BASE : own) + program;
  const base = start - (start % alignment);
  return word(pageDown(word(base - loads[0].vaddr)));
}

/** Bytes from the lowest segment's page to the highest end; 0 without segments. */
function spanOf(loads: readonly LoadHeader[]): number {
  return loads.length === 0 ? 0 : Math.max(...loads.map(({ vaddr, memsz }) => vaddr + memsz)) - lowestPage(loads);
}

/** The largest power of two among the segments' alignments, at least a page. */
function largestAlignment(loads: readonly LoadHeader[]): number {
  return loads.reduce((largest, { align }) => (align > largest && Number.isInteger(Math.log2(align)) ? align : largest), PAGE_SIZE);
}

/** Linux's check of each segment after it is mapped. `addr` is where it lies. */
function isPossible({ filesz, memsz }: LoadHeader, addr: Addr): boolean {
  return addr < USER_TOP && filesz <= memsz && memsz <= USER_TOP && USER_TOP - memsz >= addr;
}

function codeAndData(loads: readonly LoadHeader[], bias: number): Pick<Loaded, 'startCode' | 'endCode' | 'startData' | 'endData'> {
  const code = loads.filter(({ prot }) => (prot & PROT_EXEC) !== 0);
  const end = ({ vaddr, filesz }: LoadHeader): number => vaddr + filesz;
  return {
    startCode: word(Math.min(...code.map(({ vaddr }) => vaddr), 2 ** 32 - 1 - bias) + bias),
    endCode: word(Math.max(...code.map(end), 0) + bias),
    startData: word(Math.max(...loads.map(({ vaddr }) => vaddr), 0) + bias),
    endData: word(Math.max(...loads.map(end), 0) + bias),
  };
}
