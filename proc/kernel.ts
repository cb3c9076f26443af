/** What a machine gives to all its tasks: ports to the outside (time, randomness, exec) and the tables they share. */
import type { Clock, RandomSource } from './clock.ts';
import type { FutexTable } from './futex.ts';
import type { Process } from './process.ts';
import type { Scheduler } from './scheduler.ts';
import type { SignalInfo } from './siginfo.ts';
import type { Task } from './task.ts';

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
  /** Something the guest asked for that is answered, but not fully done. */
  note?(task: Task, text: string): void;
}

export interface Kernel {
  readonly clock: Clock;
  readonly random: RandomSource;
  readonly identity: Identity;
  readonly scheduler: Scheduler;
  readonly futexes: FutexTable;
  readonly processes: Map<number, Process>;
  /** All threads by tid. */
  readonly tasks: Map<number, Task>;
  tracer: Tracer;
  /** A handler is about to run while the task waits in a call: settles what the call returns (Dispatcher.interrupt). */
  interruptCall(task: Task, restartable: boolean): void;
  /** Guest instructions executed so far by the whole machine. */
  instructions(): number;
  /** Memory of the machine in bytes, for sysinfo. */
  memory(): { readonly total: number; readonly free: number };
  /** Replaces the calling task's program. Throws errno before the point of no return, and sets all registers when it succeeds. */
  readonly exec?: (task: Task, path: string, argv: readonly string[], envp: readonly string[]) => void;
}
