/** What a CPU is to the rest of the program. Implemented by emu/unicorn.ts only. */
import type { Access, Addr } from '../abi/page.ts';
import type { Arena } from '../mm/arena.ts';
import type { Mmu } from '../mm/mmu.ts';

/** Index of a general register, in the CPU's own encoding order. */
export const EAX = 0,
  ECX = 1,
  EDX = 2,
  EBX = 3,
  ESP = 4,
  EBP = 5,
  ESI = 6,
  EDI = 7;
/** Index of a segment register, in the CPU's own encoding order. */
export const ES = 0,
  CS = 1,
  SS = 2,
  DS = 3,
  FS = 4,
  GS = 5;

/** A flat segment descriptor as modify_ldt and set_thread_area describe it (struct user_desc, decoded). */
export interface Descriptor {
  readonly base: Addr;
  /** In bytes or pages according to `limitInPages`; 20 bits. */
  readonly limit: number;
  readonly seg32Bit: boolean;
  /** 0 data, 1 stack (expand down), 2 code. */
  readonly contents: 0 | 1 | 2 | 3;
  readonly readExecOnly: boolean;
  readonly limitInPages: boolean;
  readonly notPresent: boolean;
  readonly useable: boolean;
}

/**
 * One task's registers. All 32-bit values are unsigned. Reading and writing is cheap whether or not the set is the one the engine ran last.
 * A new set is what Linux gives a program at execve: flat user segments (cs 0x23, ss ds es 0x2b, fs gs 0), eflags 0x202, FPU control 0x37f, mxcsr 0x1f80.
 */
export interface Registers {
  get(register: number): number;
  set(register: number, value: number): void;
  eip: Addr;
  /** The arithmetic and control flags as pushf would show them (lazy flags are computed). */
  eflags: number;
  /** A segment register's selector. */
  selector(segment: number): number;
  /**
   * Loads a segment register as a mov or a far return in user mode would, from this task's descriptors.
   * Returns false (and changes nothing) where the CPU would raise a fault.
   */
  loadSelector(segment: number, selector: number): boolean;
  /** Base address of a segment register's cached descriptor. */
  segmentBase(segment: number): Addr;
  /** Sets (or with undefined clears) a GDT thread-area entry, index 12, 13 or 14. */
  setThreadArea(index: number, descriptor: Descriptor | undefined): void;
  threadArea(index: number): Descriptor | undefined;
  /** Sets (or with undefined clears) an LDT entry, index 0 to 8191. */
  setLdtEntry(index: number, descriptor: Descriptor | undefined): void;
  ldtEntry(index: number): Descriptor | undefined;
  /** The 512-byte FXSAVE image (x87, MMX, SSE, mxcsr). */
  saveFx(into: Uint8Array): void;
  /** Restores an FXSAVE image; returns false where the CPU would raise #GP (reserved mxcsr bits). */
  restoreFx(from: Uint8Array): boolean;
  /** The 108-byte FSAVE image in 32-bit protected-mode format. */
  saveFpu(into: Uint8Array): void;
  restoreFpu(from: Uint8Array): void;
  /** Copies everything (fork, clone). */
  copyFrom(other: Registers): void;
  /** Back to the state at execve. */
  reset(): void;
  /** Frees the set; it is not used again. */
  release(): void;
}

/** Why `run` came back. Objects may be reused by the next run: read them at once. */
export type Trap =
  /** int 0x80; eip is still AT the two-byte instruction, so a call that must wait simply runs again; add 2 when it is over. */
  | { readonly kind: 'syscall' }
  /** The fault handler refused the access; eip is at the instruction and no register has changed. */
  | { readonly kind: 'fault'; readonly addr: Addr; readonly access: Access }
  /** An exception or software interrupt other than int 0x80. eip is at the instruction for faults, after it for traps (int3, into, single-step). errorCode as the CPU pushes it, 0 where none. */
  | { readonly kind: 'exception'; readonly vector: number; readonly errorCode: number }
  /** Exactly the given number of instructions ran. */
  | { readonly kind: 'budget' };

export interface EngineStatistics {
  /** Instructions executed since the engine was made. */
  readonly instructions: number;
  readonly blocksTranslated: number;
  readonly blocksInvalidated: number;
  readonly tlbMisses: number;
  readonly tlbFlushes: number;
}

export interface Engine {
  readonly arena: Arena;
  createMmu(): Mmu;
  createRegisters(): Registers;
  /** Called from inside the engine at a page that is missing or forbidden; true: it is filled, go on at once; false: stop with a fault trap. */
  onFault: (addr: Addr, access: Access) => boolean;
  /** The guest's time-stamp counter, called by rdtsc; in cycles. The default counts instructions, so runs are repeatable. */
  onTimestamp: (() => bigint) | undefined;
  /** Runs `registers` in `mmu`'s space for at most `instructions` (1 to 2^31-1) instructions. */
  run(registers: Registers, mmu: Mmu, instructions: number): Trap;
  /** Instructions executed by the last `run`. */
  readonly executed: number;
  /** Text that AT_PLATFORM names, and the two feature words of CPUID leaf 1 (edx is AT_HWCAP). */
  readonly cpu: { readonly platform: string; readonly hwcap: number; readonly ecx: number };
  readonly statistics: EngineStatistics;
}
