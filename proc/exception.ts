/** CPU exceptions as the signals that Linux makes of them for an i386 program (arch/x86/kernel/traps.c). */
import {
  BUS_ADRALN,
  FPE_FLTDIV,
  FPE_FLTINV,
  FPE_FLTOVF,
  FPE_FLTRES,
  FPE_FLTUND,
  FPE_INTDIV,
  ILL_ILLOPN,
  SIGBUS,
  SIGFPE,
  SIGILL,
  SIGSEGV,
  SIGTRAP,
  TRAP_BRKPT,
  TRAP_TRACE,
} from '../abi/signal.ts';
import type { Access, Addr } from '../abi/page.ts';
import { faultInfo, kernelInfo, type SignalInfo } from './siginfo.ts';

/** Exception vectors, as the CPU numbers them. */
export const VECTOR = {
  DE: 0,
  DB: 1,
  NMI: 2,
  BP: 3,
  OF: 4,
  BR: 5,
  UD: 6,
  NM: 7,
  DF: 8,
  OVERRUN: 9,
  TS: 10,
  NP: 11,
  SS: 12,
  GP: 13,
  PF: 14,
  MF: 16,
  AC: 17,
  XM: 19,
} as const;

/** What the floating-point exceptions need to know. */
export interface FpuStatus {
  readonly control: number;
  readonly status: number;
  readonly mxcsr: number;
}

/**
 * The signal of an exception other than a page fault, at `eip`. Undefined where Linux just goes on (an x87 exception that is not there).
 * `stepping`: the trap flag is set, so #DB is a step and not int1. `fpu` is asked only for #MF and #XM.
 */
export function signalOfException(vector: number, eip: Addr, stepping: boolean, fpu: () => FpuStatus): SignalInfo | undefined {
  switch (vector) {
    case VECTOR.DE:
      return faultInfo(SIGFPE, FPE_INTDIV, eip);
    case VECTOR.DB:
      return faultInfo(SIGTRAP, stepping ? TRAP_TRACE : TRAP_BRKPT, eip);
    case VECTOR.BP:
      return kernelInfo(SIGTRAP);
    case VECTOR.UD:
      return faultInfo(SIGILL, ILL_ILLOPN, eip);
    case VECTOR.OVERRUN:
      return kernelInfo(SIGFPE);
    case VECTOR.NP:
    case VECTOR.SS:
      return kernelInfo(SIGBUS);
    case VECTOR.MF: {
      const { control, status } = fpu();
      return fpuSignal(status & ~control, eip);
    }
    case VECTOR.XM: {
      const { mxcsr } = fpu();
      return fpuSignal(~(mxcsr >> 7) & mxcsr, eip);
    }
    case VECTOR.AC:
      return faultInfo(SIGBUS, BUS_ADRALN, 0);
    default:
      return kernelInfo(SIGSEGV);
  }
}

/** Linux: fpu__exception_code. `raised` has the exception flags that are not masked. */
function fpuSignal(raised: number, eip: Addr): SignalInfo | undefined {
  if ((raised & 0x01) !== 0) return faultInfo(SIGFPE, FPE_FLTINV, eip);
  if ((raised & 0x04) !== 0) return faultInfo(SIGFPE, FPE_FLTDIV, eip);
  if ((raised & 0x08) !== 0) return faultInfo(SIGFPE, FPE_FLTOVF, eip);
  if ((raised & 0x12) !== 0) return faultInfo(SIGFPE, FPE_FLTUND, eip);
  if ((raised & 0x20) !== 0) return faultInfo(SIGFPE, FPE_FLTRES, eip);
  return undefined;
}

/** Whether eip still points at the instruction (which the CPU marks with RF in the saved flags), not behind it. */
export function isFault(vector: number): boolean {
  return vector !== VECTOR.DB && vector !== VECTOR.BP && vector !== VECTOR.OF;
}

/** The error code a page fault pushes: whether a page was there, and what was wanted of it. */
export function pageFaultError(access: Access, present: boolean): number {
  const USER = 4;
  return USER | (present ? 1 : 0) | (access === 'write' ? 2 : 0) | (access === 'fetch' ? 16 : 0);
}
