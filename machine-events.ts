/** What happens in a machine, told to whoever asked: typed events made from what the tracer ports see. Nothing is watched that nobody asked for. */
import { errnoName } from './abi/errno.ts';
import type { Access } from './abi/page.ts';
import { signalName } from './abi/signal.ts';
import { explainFault } from './debug/explain.ts';
import { callText } from './debug/strace.ts';
import type { MachineTracer } from './machine.ts';
import { textOf } from './machine-spawn.ts';
import type { ExitStatus, Process } from './proc/process.ts';
import type { Task } from './proc/task.ts';
import { syscallName } from './syscalls/table.ts';

/** A system call is over. */
export interface SyscallEvent<P> {
  readonly process: P;
  /** The calling thread. */
  readonly tid: number;
  /** The call's number and name. Calls through socketcall and ipc have the name of the call that they stand for. */
  readonly number: number;
  readonly name: string;
  /** The six argument words, unsigned. */
  readonly args: readonly number[];
  /** What it returned, unsigned; undefined where it failed or does not return (exit, execve that succeeded). */
  readonly result: number | undefined;
  /** The errno's name where it failed. */
  readonly error: string | undefined;
  /** Whether this machine knows the call; else it answered ENOSYS. */
  readonly supported: boolean;
  /** The call as strace prints it. To be read in the listener, for it looks into the guest's memory as that is then. */
  readonly text: string;
}

/** An access met a page that is not there yet, or not allowed. */
export interface FaultEvent<P> {
  readonly process: P;
  readonly tid: number;
  readonly address: number;
  readonly access: Access;
  /** Address of the instruction. */
  readonly eip: number;
  /** The page is there now, must be waited for, or the access is an error. */
  readonly outcome: 'resolved' | 'waiting' | 'refused';
  /** The signal's name, where it is refused. */
  readonly signal: string | undefined;
  /** Why, in a sentence with the nearest mapping; undefined where it is not refused. To be read in the listener. */
  readonly reason: string | undefined;
}

/** A signal takes effect. */
export interface SignalEvent<P> {
  readonly process: P;
  readonly tid: number;
  readonly number: number;
  readonly name: string;
  readonly action: 'handler' | 'ignored' | 'terminated' | 'stopped' | 'continued';
}

/** A program is in place. */
export interface ExecEvent<P> {
  readonly process: P;
  readonly path: string;
}

/** A process is over; its memory can still be looked at in the listener. */
export interface ExitEvent<P> {
  readonly process: P;
  readonly status: ExitStatus;
}

/** Something was answered, but not fully done. */
export interface NoteEvent<P> {
  readonly process: P;
  readonly text: string;
}

/** The events by name. */
export interface EventsOf<P> {
  syscall: SyscallEvent<P>;
  fault: FaultEvent<P>;
  signal: SignalEvent<P>;
  exec: ExecEvent<P>;
  exit: ExitEvent<P>;
  note: NoteEvent<P>;
}

type Listeners<P> = { [K in keyof EventsOf<P>]: Set<(event: EventsOf<P>[K]) => void> };

export class Events<P> {
  private readonly listeners: Listeners<P> = {
    syscall: new Set(),
    fault: new Set(),
    signal: new Set(),
    exec: new Set(),
    exit: new Set(),
    note: new Set(),
  };
  private readonly handleOf: (process: Process) => P;
  private readonly observe: (tracer: MachineTracer) => void;
  private readonly failed: (error: unknown) => void;

  /** `failed` is told what a listener throws. */
  constructor(handleOf: (process: Process) => P, observe: (tracer: MachineTracer) => void, failed: (error: unknown) => void) {
    this.handleOf = handleOf;
    this.observe = observe;
    this.failed = failed;
  }

  /** Returns what ends the listening. */
  on<K extends keyof EventsOf<P>>(name: K, listener: (event: EventsOf<P>[K]) => void): () => void {
    const all = this.listeners[name];
    // Its own function, so that listening twice is ended twice.
    const own = (event: EventsOf<P>[K]): void => listener(event);
    all.add(own);
    this.observe(this.tracer());
    return () => {
      if (all.delete(own)) this.observe(this.tracer());
    };
  }

  private emit<K extends keyof EventsOf<P>>(name: K, event: EventsOf<P>[K]): void {
    for (const listener of this.listeners[name]) {
      try {
        listener(event);
      } catch (error) {
        this.failed(error);
      }
    }
  }

  /** Watches what somebody listens to, and nothing else. */
  private tracer(): MachineTracer {
    const { syscall, fault, signal, exec, exit, note } = this.listeners;
    const process = (task: Task): P => this.handleOf(task.process);
    return {
      calls: syscall.size === 0 ? undefined : { enter: () => {}, leave: (...call) => this.syscall(...call) },
      fault: fault.size === 0 ? undefined : (...seen) => this.fault(...seen),
      signal:
        signal.size === 0
          ? undefined
          : (task, { signo }, action) =>
              this.emit('signal', { process: process(task), tid: task.tid, number: signo, name: signalName(signo), action }),
      exec:
        exec.size === 0
          ? undefined
          : (task, path, refused) => {
              if (refused === undefined) this.emit('exec', { process: process(task), path: textOf(path) });
            },
      exit: exit.size === 0 ? undefined : (ended, status) => this.emit('exit', { process: this.handleOf(ended), status }),
      note: note.size === 0 ? undefined : (task, text) => this.emit('note', { process: process(task), text: textOf(text) }),
    };
  }

  private syscall(...[task, number, call, words, result]: Parameters<NonNullable<MachineTracer['calls']>['leave']>): void {
    const failed = result !== undefined && result >= 0xffff_f001;
    const args = Array.from(words.subarray(0, 6));
    this.emit('syscall', {
      process: this.handleOf(task.process),
      tid: task.tid,
      number,
      name: call?.name ?? syscallName(number),
      args,
      result: failed ? undefined : result,
      error: failed ? errnoName(0x1_0000_0000 - result) : undefined,
      supported: call !== undefined,
      get text() {
        return textOf(callText(task, number, call, words, result));
      },
    });
  }

  private fault(...[task, address, access, outcome]: Parameters<NonNullable<MachineTracer['fault']>>): void {
    const { eip } = task.registers;
    const refused = outcome.kind === 'signal' ? outcome : undefined;
    this.emit('fault', {
      process: this.handleOf(task.process),
      tid: task.tid,
      address,
      access,
      eip,
      outcome: outcome.kind === 'done' ? 'resolved' : outcome.kind === 'wait' ? 'waiting' : 'refused',
      signal: refused && signalName(refused.signo),
      get reason() {
        return refused && textOf(explainFault(task.space, refused, access, eip));
      },
    });
  }
}
