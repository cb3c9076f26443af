/** Signal numbers, action flags, si_codes and the wire layouts around them, for i386 Linux. Source: uapi asm/signal.h, siginfo.h. */
import { i32, type Struct, struct, u32, x32 } from './struct.ts';

export const SIGHUP = 1, SIGINT = 2, SIGQUIT = 3, SIGILL = 4, SIGTRAP = 5, SIGABRT = 6, SIGBUS = 7, SIGFPE = 8, SIGKILL = 9;
export const SIGUSR1 = 10, SIGSEGV = 11, SIGUSR2 = 12, SIGPIPE = 13, SIGALRM = 14, SIGTERM = 15, SIGSTKFLT = 16, SIGCHLD = 17;
export const SIGCONT = 18, SIGSTOP = 19, SIGTSTP = 20, SIGTTIN = 21, SIGTTOU = 22, SIGURG = 23, SIGXCPU = 24, SIGXFSZ = 25;
export const SIGVTALRM = 26, SIGPROF = 27, SIGWINCH = 28, SIGIO = 29, SIGPWR = 30, SIGSYS = 31;
/** The kernel's first real-time signal (libraries take the first two or three for themselves). */
export const SIGRTMIN = 32;
/** Signals are 1 to NSIG. */
export const NSIG = 64;

/** Index is the number; 0 is unused. */
export const SIGNAL_NAMES: readonly string[] = [
  '0', 'SIGHUP', 'SIGINT', 'SIGQUIT', 'SIGILL', 'SIGTRAP', 'SIGABRT', 'SIGBUS', 'SIGFPE', 'SIGKILL', 'SIGUSR1', 'SIGSEGV', 'SIGUSR2',
  'SIGPIPE', 'SIGALRM', 'SIGTERM', 'SIGSTKFLT', 'SIGCHLD', 'SIGCONT', 'SIGSTOP', 'SIGTSTP', 'SIGTTIN', 'SIGTTOU', 'SIGURG', 'SIGXCPU',
  'SIGXFSZ', 'SIGVTALRM', 'SIGPROF', 'SIGWINCH', 'SIGIO', 'SIGPWR', 'SIGSYS',
  ...Array.from({ length: NSIG - 31 }, (_, i) => (i === 0 ? 'SIGRTMIN' : `SIGRT_${i}`)),
];

/** `SIGSEGV` for 11; the number itself where there is no such signal. */
export function signalName(signo: number): string {
  return SIGNAL_NAMES[signo] ?? String(signo);
}

export const SIG_DFL = 0, SIG_IGN = 1;
export const SIG_BLOCK = 0, SIG_UNBLOCK = 1, SIG_SETMASK = 2;

export const SA_NOCLDSTOP = 0x1, SA_NOCLDWAIT = 0x2, SA_SIGINFO = 0x4, SA_UNSUPPORTED = 0x400, SA_EXPOSE_TAGBITS = 0x800;
export const SA_RESTORER = 0x04000000, SA_ONSTACK = 0x08000000, SA_RESTART = 0x10000000, SA_NODEFER = 0x40000000, SA_RESETHAND = 0x80000000;

export const SS_ONSTACK = 1, SS_DISABLE = 2, SS_AUTODISARM = 0x80000000;
/** The smallest alternate stack that sigaltstack takes. */
export const MINSIGSTKSZ = 2048;

/** si_code: who sent it (0 and below: user; above: the kernel). */
export const SIGEV_SIGNAL = 0, SIGEV_NONE = 1, SIGEV_THREAD = 2, SIGEV_THREAD_ID = 4;
export const SI_USER = 0, SI_KERNEL = 0x80, SI_QUEUE = -1, SI_TIMER = -2, SI_MESGQ = -3, SI_ASYNCIO = -4, SI_SIGIO = -5, SI_TKILL = -6;
export const ILL_ILLOPN = 2, ILL_PRVOPC = 5;
export const FPE_INTDIV = 1, FPE_INTOVF = 2, FPE_FLTDIV = 3, FPE_FLTOVF = 4, FPE_FLTUND = 5, FPE_FLTRES = 6, FPE_FLTINV = 7;
export const SEGV_MAPERR = 1, SEGV_ACCERR = 2;
export const BUS_ADRALN = 1, BUS_ADRERR = 2;
export const TRAP_BRKPT = 1, TRAP_TRACE = 2;
export const SYS_SECCOMP = 1, SYS_USER_DISPATCH = 2;
export const CLD_EXITED = 1, CLD_KILLED = 2, CLD_DUMPED = 3, CLD_TRAPPED = 4, CLD_STOPPED = 5, CLD_CONTINUED = 6;
export const POLL_IN = 1;

/** A signal set as two words: bit n-1 is signal n. */
export interface SignalSet {
  readonly low: number;
  readonly high: number;
}

function bits(word: number): number {
  let count = 0;
  for (let rest = word >>> 0; rest !== 0; rest = (rest & (rest - 1)) >>> 0) count++;
  return count;
}

/** `[USR1 CHLD]`, as strace shows a set; `~[...]` where most are in it. */
function showSet({ low, high }: SignalSet): string {
  const inverted = bits(low) + bits(high) > NSIG / 2;
  const names: string[] = [];
  for (let signo = 1; signo <= NSIG; signo++) {
    const bit = ((signo <= 32 ? low >>> (signo - 1) : high >>> (signo - 33)) & 1) === 1;
    if (bit !== inverted) names.push(signalName(signo).replace(/^SIG/, ''));
  }
  return `${inverted ? '~' : ''}[${names.join(' ')}]`;
}

const ACTION_FLAGS: Readonly<Record<string, number>> = {
  SA_NOCLDSTOP,
  SA_NOCLDWAIT,
  SA_SIGINFO,
  SA_RESTORER,
  SA_ONSTACK,
  SA_RESTART,
  SA_NODEFER,
  SA_RESETHAND,
};

function showAction(action: { handler: number; flags: number; restorer: number }, mask: SignalSet): string {
  const { handler, flags, restorer } = action;
  const names = Object.keys(ACTION_FLAGS).filter((name) => (flags & ACTION_FLAGS[name]) !== 0);
  const rest = Object.values(ACTION_FLAGS).reduce((left, bit) => left & ~bit, flags) >>> 0;
  if (rest !== 0 || names.length === 0) names.push(x32.show(rest));
  const shown = handler === SIG_DFL ? 'SIG_DFL' : handler === SIG_IGN ? 'SIG_IGN' : x32.show(handler);
  const tail = (flags & SA_RESTORER) !== 0 ? `, sa_restorer=${x32.show(restorer)}` : '';
  return `{sa_handler=${shown}, sa_mask=${showSet(mask)}, sa_flags=${names.join('|')}${tail}}`;
}

/** sigset_t as rt_ calls pass it. */
export const sigset: Struct<SignalSet> = { ...struct<SignalSet>({ low: x32, high: x32 }), show: showSet };

/** struct sigaction of rt_sigaction. */
export interface RtAction {
  handler: number;
  flags: number;
  restorer: number;
  maskLow: number;
  maskHigh: number;
}
export const sigaction: Struct<RtAction> = {
  ...struct<RtAction>({ handler: x32, flags: x32, restorer: x32, maskLow: x32, maskHigh: x32 }),
  show: (action) => showAction(action, { low: action.maskLow, high: action.maskHigh }),
};

/** struct old_sigaction of sigaction. */
export interface OldAction {
  handler: number;
  mask: number;
  flags: number;
  restorer: number;
}
export const oldSigaction: Struct<OldAction> = {
  ...struct<OldAction>({ handler: x32, mask: x32, flags: x32, restorer: x32 }),
  show: (action) => showAction(action, { low: action.mask, high: 0 }),
};

/** stack_t. */
export const stack = struct<{ sp: number; flags: number; size: number }>({ sp: x32, flags: i32, size: u32 });

/** sizeof(siginfo_t). */
export const SIGINFO_SIZE = 128;

/** struct sigevent; `tid` is where SIGEV_THREAD_ID has it. */
export interface SignalEvent {
  value: number;
  signo: number;
  notify: number;
  tid: number;
}
export const sigevent: Struct<SignalEvent> = struct<SignalEvent>({ value: u32, signo: i32, notify: i32, tid: i32 }, 64);

/** struct signalfd_siginfo; 64-bit members by their low words, as nothing here is wider. */
export const SIGNALFD_INFO_SIZE = 128;
export const signalfdInfo = struct({
  signo: u32, errno: i32, code: i32, pid: u32, uid: u32, fd: i32, tid: u32, band: u32, overrun: u32, trapno: u32, status: i32, int: i32,
  ptr: u32, ptrHigh: u32, utime: u32, utimeHigh: u32, stime: u32, stimeHigh: u32, addr: u32, addrHigh: u32, addrLsb: u32, syscall: i32,
  callAddr: u32, callAddrHigh: u32, arch: u32,
}, SIGNALFD_INFO_SIZE);
