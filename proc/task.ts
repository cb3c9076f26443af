/**
 * A task: one thread of execution, as the scheduler sees it. What it may share with others (memory, files, working place, signal actions)
 * hangs on it by reference, exactly as clone's flags decide. Also what the machine gives to all tasks, its Kernel.
 */
import { SCHED_DEADLINE, SCHED_FIFO, SCHED_IDLE } from '../abi/sched.ts';
import type { SockFilter } from '../abi/seccomp.ts';
import type { Engine, Registers } from '../emu/engine.ts';
import type { Description } from '../fs/description.ts';
import type { FdTable } from '../fs/fdtable.ts';
import type { FileServices } from '../fs/guest.ts';
import { Waiters } from '../fs/wait.ts';
import type { DirectoryPlace, Tree } from '../fs/path.ts';
import type { Place } from '../fs/vnode.ts';
import type { Commitment } from '../mm/commitment.ts';
import type { AddressSpace } from '../mm/space.ts';
import type { UserMemory } from '../mm/user.ts';
import type { AioContexts } from './aio.ts';
import type { GuestClock, RandomSource } from './clock.ts';
import type { Credentials } from './credentials.ts';
import type { FutexTable } from './futex.ts';
import type { Messages } from './messages.ts';
import type { Pids } from './pids.ts';
import type { ExitStatus, Process } from './process.ts';
import type { Scheduler, TaskState } from './scheduler.ts';
import type { Semaphores } from './semaphores.ts';
import type { SharedMemory } from './shared-memory.ts';
import type { SignalInfo } from './siginfo.ts';
import { EMPTY_SET, type SignalActions, TaskSignals } from './signal.ts';
import type { Switches } from './switches.ts';
import type { Users } from './users.ts';

/** Where paths start. Shared under CLONE_FS. */
export interface WorkingPlace {
  /** All mounted file systems. */
  readonly tree: Tree;
  root: DirectoryPlace;
  cwd: DirectoryPlace;
  umask: number;
}

/** What survives while a call waits and runs again; empty when it is over. */
export interface CallState {
  /** Monotonic nanoseconds, set by the first run (`deadlineAfter`). */
  deadline: bigint | undefined;
  /** What the call has done for good before it had to wait (bytes moved); a handler that cuts it short returns this. */
  progress: number;
  /** The call has been traced and counted, and has waited at least once. */
  resumed: boolean;
  /** A handler ends it with EINTR whatever SA_RESTART says. */
  isTimed: boolean;
  /** A file that the call is opening: it is open while the call waits for somebody to come. */
  opening: Description | undefined;
}

/** What a thread has registered for restartable sequences. */
export interface RseqArea {
  readonly addr: number;
  readonly size: number;
  /** Stands before every abort handler. */
  readonly signature: number;
}

/** A program that looks at calls, over those installed before it. */
export interface SeccompFilter {
  readonly program: readonly SockFilter[];
  readonly previous: SeccompFilter | undefined;
}

export interface SeccompState {
  /** SECCOMP_MODE_. */
  readonly mode: number;
  /** The newest; undefined in strict mode. */
  readonly filter: SeccompFilter | undefined;
}

/** prctl(PR_SET_SYSCALL_USER_DISPATCH): calls from outside of the range are the program's own business. */
export interface UserDispatch {
  readonly base: number;
  readonly size: number;
  /** Address of the byte that lets calls through; 0 none. */
  readonly selector: number;
}

export interface Reservation {
  readonly runtime: bigint;
  readonly deadline: bigint;
  readonly period: bigint;
}
export const NO_RESERVATION: Reservation = { runtime: 0n, deadline: 0n, period: 0n };

/** Everything a new task needs. */
export interface TaskParts {
  readonly tid: number;
  readonly process: Process;
  readonly kernel: Kernel;
  readonly registers: Registers;
  readonly space: AddressSpace;
  readonly user: UserMemory;
  readonly files: FdTable;
  readonly fs: WorkingPlace;
  readonly actions: SignalActions;
  readonly credentials: Credentials;
}

export class Task {
  /** execve in a thread that is not the first takes over the first one's. */
  tid: number;
  readonly process: Process;
  readonly kernel: Kernel;
  readonly registers: Registers;
  /** Shared under CLONE_VM. */
  space: AddressSpace;
  /** Guest memory through the fault walk of `space`. */
  user: UserMemory;
  /** Shared under CLONE_FILES. */
  files: FdTable;
  fs: WorkingPlace;
  /** Shared under CLONE_SIGHAND. */
  actions: SignalActions;
  readonly signals: TaskSignals = new TaskSignals();
  credentials: Credentials;
  /** comm: at most 15 bytes. */
  name: string = '';
  state: TaskState = 'ready';
  credit = 0;
  readonly call: CallState = { deadline: undefined, progress: 0, resumed: false, isTimed: false, opening: undefined };
  /** The last CPU exception, for signal frames: vector, error code, and the address of the last page fault (cr2). */
  trapNumber: number = 0;
  errorCode: number = 0;
  faultAddress: number = 0;
  /** The next signal is brought on by the instruction at eip itself. */
  faulting: boolean = false;
  /** set_tid_address: cleared and woken at exit; 0 none. */
  clearChildTid: number = 0;
  /** set_robust_list head; 0 none. */
  robustList: number = 0;
  /** The area registered for restartable sequences. */
  rseq: RseqArea | undefined;
  /** Addresses of the signal-return stubs in the vdso; 0 where there is none (then the kernel's code on the stack is used). */
  sigreturnStub: number = 0;
  rtSigreturnStub: number = 0;
  /** The child of the vfork that this task waits in. */
  vforked: { readonly child: Task; readonly tid: number } | undefined;
  /** The task that waits until this one has its own program or is over, and what wakes that one. */
  vforkParent: Task | undefined;
  readonly vforkDone: Waiters = new Waiters();
  /** prctl(PR_SET_PDEATHSIG), timer slack and no_new_privs. */
  parentDeathSignal: number = 0;
  timerSlack_ns: number = 50_000;
  noNewPrivileges: boolean = false;
  /** set_mempolicy, as syscalls/numa.ts encodes it; 0 is the default. */
  memoryPolicy: number = 0;
  /** prctl(PR_MCE_KILL): kept for those who ask, as are hugePagesDisabled and mergesMemory of the process. */
  machineCheckKill: number = 2;
  /** Undefined: every call is made. */
  seccomp: SeccompState | undefined;
  userDispatch: UserDispatch | undefined;
  nice: number = 0;
  /** SCHED_ policy and its priority. All of this is changed by Scheduler.rerank once the task has been added. */
  policy: number = 0;
  realtimePriority: number = 0;
  /** SCHED_DEADLINE's times, in nanoseconds; a slice asked for is the runtime of others. */
  reservation: Reservation = NO_RESERVATION;
  /** SCHED_RESET_ON_FORK: children begin as ordinary tasks. */
  resetOnFork: boolean = false;
  /** The rank of the most urgent task that waits for a lock with priority inheritance of this one's. */
  private inheritedRank: number = 0;
  /** For the scheduler. A step of a nice value is a quarter more or less, SCHED_IDLE's weight 3 of 1024 (Linux sched_prio_to_weight). */
  get weight(): number {
    return this.policy === SCHED_IDLE ? 3 / 1024 : 1.25 ** -this.nice;
  }
  get rank(): number {
    return Math.max(this.ownRank, this.inheritedRank);
  }
  get ownRank(): number {
    return this.policy === SCHED_DEADLINE ? 100 : this.realtimePriority;
  }
  get isUnshared(): boolean {
    return this.policy === SCHED_FIFO || this.policy === SCHED_DEADLINE;
  }
  /** ioprio_set: class and level; 0 is none. */
  ioPriority: number = 0;
  /** How often it stopped running because it had to wait, and because its time was up while others wanted to run. */
  readonly switches: Switches = { voluntary: 0, involuntary: 0 };
  /** Page faults of its own; the process counts those of all. */
  minorFaults = 0;
  /** CPU time used by this thread, in nanoseconds. */
  cpuTime_ns: bigint = 0n;

  constructor(parts: TaskParts) {
    this.tid = parts.tid;
    this.process = parts.process;
    this.kernel = parts.kernel;
    this.registers = parts.registers;
    this.space = parts.space;
    this.user = parts.user;
    this.files = parts.files;
    this.fs = parts.fs;
    this.actions = parts.actions;
    this.credentials = parts.credentials;
    parts.process.tids.add(parts.tid);
    parts.kernel.tasks.set(parts.tid, this);
    const { users } = parts.kernel;
    for (const thing of [parts.space, parts.files, parts.fs, parts.actions]) users.add(thing);
  }

  /** From now on it runs as one of that rank, if that is more than its own: the rank it has then, or undefined where that is nothing new. */
  inherit(rank: number): number | undefined {
    if (this.inheritedRank === rank) return undefined;
    this.kernel.scheduler.rerank(this, () => (this.inheritedRank = rank));
    return this.rank;
  }

  /** This task has its own memory now, or none any more: a parent in vfork goes on. */
  releaseVfork(): void {
    const parent = this.vforkParent;
    this.vforkParent = undefined;
    parent?.vforkDone.wakeAll();
  }

  /** The deadline of the running call: `duration_ns` from its first run on; the same value each time the call runs again. */
  deadlineAfter(duration_ns: bigint): bigint {
    return (this.call.deadline ??= this.kernel.clock.monotonic() + duration_ns);
  }

  /** Whether the running call's deadline has passed. */
  get expired(): boolean {
    const deadline = this.call.deadline;
    return deadline !== undefined && this.kernel.clock.monotonic() >= deadline;
  }

  /** Forgets the finished call. */
  callOver(): void {
    this.call.deadline = undefined;
    this.call.progress = 0;
    this.call.resumed = false;
    this.call.isTimed = false;
    this.call.opening?.release();
    this.call.opening = undefined;
    this.signals.awaited = EMPTY_SET;
  }
}

/** What uname says. */
export interface Identity {
  readonly sysname: string;
  nodename: string;
  readonly release: string;
  readonly version: string;
  /** As the native kernel tells an i386 program under the i386 personality. */
  readonly machine: string;
  domainname: string;
}

/** Sees what happens to tasks; every method is optional, and none costs anything when absent. */
export interface Tracer {
  /** A signal reached the task: a handler's address, or what the default action does. */
  signal?(task: Task, info: SignalInfo, action: 'handler' | 'ignored' | 'terminated' | 'stopped' | 'continued', handler: number): void;
  /** A fatal signal is about to end the process. */
  fatal?(task: Task, info: SignalInfo): void;
  /** The process is over; its memory and files are still there. */
  exit?(process: Process, status: ExitStatus): void;
  /** Something the guest asked for that is answered, but not fully done. */
  note?(task: Task, text: string): void;
}

/** What execve and execveat ask for. */
export interface ExecCall {
  /** As the program (AT_EXECFN) and interpreters of scripts are told. */
  readonly path: string;
  readonly argv: readonly string[];
  readonly env: readonly string[];
  /** The file, where a descriptor says more than the path. */
  readonly place?: Place;
  /** Named by a descriptor alone: the task is called as the file is. */
  readonly isNameless?: boolean;
  /** The path leads over a descriptor that the call closes: no interpreter of a script would find it. */
  readonly isClosing?: boolean;
}

export interface KernelSettings {
  /** randomize_va_space: 0 nothing, 1 all but the heap, 2 the heap too. Programs run from now on follow it. */
  randomizeLayout: number;
}

export interface Kernel {
  readonly clock: GuestClock;
  readonly aio: AioContexts;
  readonly random: RandomSource;
  readonly identity: Identity;
  readonly scheduler: Scheduler<Task>;
  readonly files: FileServices;
  readonly futexes: FutexTable<Task>;
  /** System V shared memory. */
  readonly shm: SharedMemory;
  /** System V semaphores and message queues. */
  readonly semaphores: Semaphores<Task>;
  readonly messages: Messages<Task>;
  /** How many tasks share each space, table of descriptors and so on. */
  readonly users: Users;
  readonly pids: Pids;
  /** No more tasks than that; processes that nobody has waited for count. */
  readonly maxTasks: number;
  /** Where new tasks get their registers and page tables. */
  readonly cpu: Pick<Engine, 'createMmu' | 'createRegisters'>;
  readonly processes: Map<number, Process>;
  /** The first thread of processes that have ended, as it was then: /proc still shows it until somebody has waited for them. */
  readonly remains: Map<Process, Task>;
  /** All threads by tid. */
  readonly tasks: Map<number, Task>;
  tracer: Tracer;
  /** The task whose instructions or call are running. */
  current(): Task | undefined;
  /** A handler is about to run while the task waits in a call: settles what the call returns (Dispatcher.interrupt). */
  interruptCall(task: Task, restartable: boolean): void;
  /** The task is about to be stopped while it waits in a call: some end (Dispatcher.stop). */
  stopCall(task: Task): void;
  /** Guest instructions executed so far by the whole machine. */
  instructions(): number;
  /** Brings the CPU times of the running task and its process up to date. */
  account(): void;
  /** Memory of the machine in bytes, for sysinfo. */
  memory(): { readonly total: number; readonly free: number };
  /** What is promised of it. */
  readonly commitment: Commitment;
  /** What root may change at any time (/proc/sys). */
  readonly settings: KernelSettings;
  /** Replaces the calling task's program. Throws errno before the point of no return, and sets all registers when it succeeds. */
  readonly exec?: (task: Task, call: ExecCall) => void;
}

/** The live threads of a process, its first one first. */
export function threadsOf(kernel: Kernel, process: Process): Task[] {
  const tasks: Task[] = [];
  for (const tid of process.tids) {
    const task = kernel.tasks.get(tid);
    if (task !== undefined && task.state !== 'dead') tasks.push(task);
  }
  return tasks;
}
