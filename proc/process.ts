/** A process (Linux: a thread group): what all its threads have in common, and its place among other processes. */
import { SIGCHLD } from '../abi/signal.ts';
import type { Place } from '../fs/vnode.ts';
import { Waiters } from '../fs/wait.ts';
import type { MemoryLimits } from '../mm/request.ts';
import type { Job } from './job.ts';
import { defaultLimits, type Limit, ProcessMemoryLimits } from './limits.ts';
import { PosixTimers } from './posix-timers.ts';
import { PendingSignals } from './signal.ts';
import type { Switches } from './switches.ts';
import { IntervalTimers } from './timers.ts';

/** How a process ended. */
export type ExitStatus =
  | { readonly kind: 'exited'; readonly code: number }
  | { readonly kind: 'killed'; readonly signo: number; readonly core: boolean };

/** The status word that wait4 gives. */
export function waitStatus(status: ExitStatus): number {
  return status.kind === 'exited' ? (status.code & 0xff) << 8 : status.signo | (status.core ? 0x80 : 0);
}

/** What /proc tells of the program a process runs. */
export interface ProgramImage {
  /** The file that was mapped, behind any `#!` line. */
  readonly place: Place;
  readonly startCode: number;
  readonly endCode: number;
  readonly startData: number;
  readonly endData: number;
  readonly startStack: number;
  /** Where the argument and environment strings lie: `[argStart, envStart)` and `[envStart, envEnd)`. */
  readonly argStart: number;
  readonly envStart: number;
  readonly envEnd: number;
  /** The auxiliary vector's bytes. */
  readonly auxv: Uint8Array;
}

export class Process {
  readonly pid: number;
  /** Undefined: the parent is outside the machine. */
  parent: Process | undefined;
  /** The thread that made it, or has been given it. */
  parentTid: number = 0;
  /** Its parent has ended, and no other process has taken it in: the machine itself is its parent. */
  orphan: boolean = false;
  readonly children: Set<Process> = new Set();
  /** Its live threads. */
  readonly tids: Set<number> = new Set();
  /** Process group and session leaders' pids. The first process leads its group, as a shell's job does; its session lies outside of the machine: 0. */
  pgid: number;
  sid: number;
  /** Signals sent to the process as a whole. */
  readonly pending: PendingSignals = new PendingSignals();
  /** Which thread is to take a signal sent to the process: thread ids by signal number. */
  readonly takers: Map<number, number> = new Map();
  /** Wakes when a signal has come for it or one of its threads (signalfd). */
  readonly signalled: Waiters = new Waiters();
  readonly limits: Limit[];
  /** Those of memory; its space obeys them while one of its tasks runs. */
  readonly memoryLimits: MemoryLimits;
  /** What the host started it as a part of; undefined where it set no limits. */
  job: Job | undefined;
  readonly timers: IntervalTimers = new IntervalTimers();
  readonly posixTimers: PosixTimers = new PosixTimers();
  /** The program's path as /proc/self/exe names it, and its arguments and environment as execve got them. */
  executable: string = '';
  image: ProgramImage | undefined;
  argv: readonly string[] = [];
  envp: readonly string[] = [];
  /** The signal that tells the parent of the end. */
  exitSignal: number = SIGCHLD;
  /** Set once the process is over. */
  status: ExitStatus | undefined;
  /** Job control: every task is stopped. */
  stopped: boolean = false;
  /** What wait may still report: the signal that stopped it (0: nothing), and that it was continued. */
  stopReport: number = 0;
  continueReport: boolean = false;
  /** Its last task's user. */
  uid: number = 0;
  /** Wakes at every change that wait4 may report. */
  readonly childChanged: Waiters = new Waiters();
  /** Wakes when the process is over. */
  readonly ended: Waiters = new Waiters();
  /** prctl state that threads share. */
  dumpable: number = 1;
  childSubreaper: boolean = false;
  personality: number = 0;
  hugePagesDisabled: number = 0;
  mergesMemory: boolean = false;
  /** How ready the machine is to end it when memory is short: -1000 never, 1000 first (oom_score_adj), and the least it may be lowered to. */
  oomAdjust: number = 0;
  oomAdjustLeast: number = 0;
  /** Which kinds of memory a core holds (/proc/PID/coredump_filter). */
  coreFilter: number = 0x33;
  /** What read and write and their like have moved, and how often they were called (/proc/PID/io). */
  readonly io = { readBytes: 0, writtenBytes: 0, reads: 0, writes: 0 };
  /** /proc/PID/loginuid, until somebody sets it: nobody has logged in. */
  loginUid: number = 0xffff_ffff;
  /** membarrier registrations (MEMBARRIER_CMD_REGISTER_ bits). */
  barriers: number = 0;
  /** Monotonic nanoseconds at the start. */
  readonly started_ns: bigint;
  /** Guest instructions executed on behalf of all tasks: CPU time in `--deterministic`, and what --stats shows. */
  instructions: number = 0;
  /** CPU time used, in nanoseconds, as the machine measures it. */
  userTime_ns: bigint = 0n;
  systemTime_ns: bigint = 0n;
  /** The same of children that were waited for, theirs included. */
  childrenUser_ns: bigint = 0n;
  childrenSystem_ns: bigint = 0n;
  childrenFaults: number = 0;
  childrenMajorFaults: number = 0;
  childrenPeak: number = 0;
  readonly childrenSwitches: Switches = { voluntary: 0, involuntary: 0 };
  /** Of threads that have ended. */
  readonly endedSwitches: Switches = { voluntary: 0, involuntary: 0 };
  /** Page faults without and with I/O. */
  minorFaults: number = 0;
  majorFaults: number = 0;
  /** Largest resident size noted, in KiB. */
  peakResident: number = 0;

  /** It runs a program of its own, not its maker's any more. */
  hasExecuted: boolean = false;

  constructor(pid: number, parent: Process | undefined, started_ns: bigint, limits: Limit[] = defaultLimits()) {
    this.pid = pid;
    this.limits = limits;
    this.memoryLimits = new ProcessMemoryLimits(limits);
    this.parent = parent;
    this.pgid = parent?.pgid ?? pid;
    this.sid = parent?.sid ?? 0;
    this.started_ns = started_ns;
    parent?.children.add(this);
  }

  /** What a child has from its maker, beside what the constructor took from its parent. */
  inherit(from: Process): void {
    this.pgid = from.pgid;
    this.sid = from.sid;
    this.job = from.job;
    this.executable = from.executable;
    this.image = from.image;
    this.argv = from.argv;
    this.envp = from.envp;
    this.dumpable = from.dumpable;
    this.personality = from.personality;
    this.hugePagesDisabled = from.hugePagesDisabled;
    this.mergesMemory = from.mergesMemory;
    this.loginUid = from.loginUid;
    this.oomAdjust = from.oomAdjust;
    this.oomAdjustLeast = from.oomAdjustLeast;
    this.coreFilter = from.coreFilter;
    this.barriers = from.barriers;
  }
}
