/** What a signal says about itself: siginfo_t as plain data, made for each kind of sender. */
import { SI_KERNEL, SI_QUEUE, SIGINFO_SIZE } from '../abi/signal.ts';

export interface SignalInfo {
  readonly signo: number;
  readonly errno: number;
  /** SI_ code of the sender; signed. */
  readonly code: number;
  /** The words behind si_code (offset 12 of siginfo_t), by kind of sender; unsigned. */
  readonly fields: readonly number[];
  /** Called when the signal is taken out of its queue: what it says by then; undefined where it no longer counts. */
  readonly taken?: () => SignalInfo | undefined;
  /** Called when it is dropped unread. */
  readonly removed?: () => void;
}

/** kill, tgkill (`code` SI_TKILL) and raise: who sent it. */
export function userInfo(signo: number, code: number, pid: number, uid: number): SignalInfo {
  return { signo, errno: 0, code, fields: [pid, uid] };
}

/** sigqueue: who sent it, and a value. */
export function queuedInfo(signo: number, pid: number, uid: number, value: number): SignalInfo {
  return { signo, errno: 0, code: SI_QUEUE, fields: [pid, uid, value] };
}

/** A CPU exception: the address it is about. */
export function faultInfo(signo: number, code: number, addr: number): SignalInfo {
  return { signo, errno: 0, code, fields: [addr] };
}

/** From the kernel itself, with nothing more to say. */
export function kernelInfo(signo: number): SignalInfo {
  return { signo, errno: 0, code: SI_KERNEL, fields: [] };
}

/** SIGCHLD: which child, how it ended, and its CPU time in clock ticks. */
export function childInfo(code: number, signo: number, pid: number, uid: number, status: number, utime: number, stime: number): SignalInfo {
  return { signo, errno: 0, code, fields: [pid, uid, status, utime, stime] };
}

/** Linux's clock tick in nanoseconds: 100 a second. */
const TICK_NS = 10_000_000n;

/** CPU time as SIGCHLD tells it. */
export function clockTicks(time_ns: bigint): number {
  return Number(time_ns / TICK_NS);
}

/** The bytes of siginfo_t. */
export function encodeSiginfo(info: SignalInfo): Uint8Array {
  const words = new Uint32Array(SIGINFO_SIZE / 4);
  words[0] = info.signo;
  words[1] = info.errno;
  words[2] = info.code;
  words.set(info.fields, 3);
  return new Uint8Array(words.buffer);
}

/** siginfo_t as a program made it (rt_sigqueueinfo). `bytes` holds SIGINFO_SIZE bytes. */
export function decodeSiginfo(signo: number, bytes: Uint8Array): SignalInfo {
  const view = new DataView(bytes.buffer, bytes.byteOffset, SIGINFO_SIZE);
  const fields = Array.from({ length: SIGINFO_SIZE / 4 - 3 }, (_, i) => view.getUint32(12 + i * 4, true));
  return { signo, errno: view.getInt32(4, true), code: view.getInt32(8, true), fields };
}
