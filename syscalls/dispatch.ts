/**
 * From `int 0x80` to the result: reads the argument words, runs the definition, writes eax and moves eip past the instruction. Until the
 * call is over eip stays at the instruction and eax keeps the number, so a call that waits simply runs again.
 */
import { EINTR, ENOSYS, Errno } from '../abi/errno.ts';
import { EAX, EBP, EBX, ECX, EDI, EDX, ESI } from '../emu/engine.ts';
import { DONE, type Outcome } from '../mm/outcome.ts';
import { MustWait } from '../mm/user.ts';
import { examineCall, type Verdict } from '../proc/seccomp.ts';
import { restoreMask } from '../proc/signal.ts';
import type { Task } from '../proc/task.ts';
import { Blocked } from '../proc/wait.ts';
import type { Definition, Words } from './define.ts';
import { ERESTARTSYS } from './kinds.ts';
import { SYSCALLS } from './table.ts';

/** Bytes of `int 0x80`. */
const INSTRUCTION = 2;

/** Sees calls come and go. `words` must be copied if kept. */
export interface CallTracer {
  /** `call` is undefined for a number nobody answers. Not called again when a waiting call resumes. */
  enter(task: Task, number: number, call: Definition | undefined, words: Words): void;
  /** `result` is the word for eax; undefined where the call does not return in the ordinary way. */
  leave(task: Task, number: number, call: Definition | undefined, words: Words, result: number | undefined): void;
}

export interface DispatcherOptions {
  readonly table?: readonly (Definition | undefined)[];
  readonly tracer?: CallTracer;
}

export class Dispatcher {
  /** How often each number was called. */
  readonly counts: Uint32Array;
  /** Calls that nobody answers: how often, by number. */
  readonly unknown: Map<number, number> = new Map();
  tracer: CallTracer | undefined;
  /** The call that is being answered. */
  running: Definition | undefined;
  private readonly table: readonly (Definition | undefined)[];
  private readonly words: Words = new Uint32Array(8);
  /** Which calls read (1) and write (2), by number: /proc/PID/io counts them. */
  private readonly moves: Uint8Array;

  constructor(options: DispatcherOptions = {}) {
    this.table = options.table ?? SYSCALLS;
    this.counts = new Uint32Array(this.table.length);
    this.tracer = options.tracer;
    this.moves = Uint8Array.from(this.table, (call) => (READS.has(call?.name ?? '') ? 1 : WRITES.has(call?.name ?? '') ? 2 : 0));
  }

  /** Requires: the engine stopped at `int 0x80`. Ensures: on `done` the task may go on; on `wait` nothing has changed. */
  dispatch(task: Task): Outcome {
    const { words } = this;
    const number = this.readWords(task);
    let call = this.table[number];
    if (!task.call.resumed) this.count(number, call);
    let result: number | undefined | Blocked;
    const verdict = this.examine(task, number);
    try {
      if (call?.unwrap !== undefined && verdict === 'run') call = call.unwrap(task, words);
      this.running = call;
      if (this.tracer !== undefined && !task.call.resumed) this.tracer.enter(task, number, call, words);
      if (verdict === 'run') result = call === undefined ? 0x1_0000_0000 - ENOSYS : call.invoke(task, words);
      else if (verdict !== 'skip') result = verdict >>> 0;
    } catch (thrown) {
      if (thrown instanceof Errno) {
        result = 0x1_0000_0000 - thrown.code;
      } else if (thrown instanceof Blocked || thrown instanceof MustWait) {
        task.call.resumed = true;
        return thrown.outcome;
      } else {
        throw thrown;
      }
    } finally {
      this.running = undefined;
    }
    if (result instanceof Blocked) {
      task.call.resumed = true;
      return result.outcome;
    }
    this.tracer?.leave(task, number, call, words, result);
    task.callOver();
    restoreMask(task.signals);
    if (this.moves[number] !== 0) charge(task, this.moves[number], result ?? 0);
    if (result !== undefined) finish(task, result);
    return DONE;
  }

  /**
   * A signal handler is about to run while the task waits in a call: decides what the call returns. `restartable` is SA_RESTART of the
   * handler. Leaves eip at the instruction where the call is to run again after the handler.
   */
  interrupt(task: Task, restartable: boolean): void {
    const number = this.readWords(task);
    let call = this.table[number];
    let result = 0x1_0000_0000 - EINTR;
    try {
      if (call?.unwrap !== undefined) call = call.unwrap(task, this.words);
      const own = call?.onInterrupt?.(task, this.words);
      if (task.call.progress > 0) result = task.call.progress;
      else if (typeof own === 'number') result = own >>> 0;
      else if (own === 'restart' || (restartable && call?.interrupted === 'restart' && !task.call.isTimed)) {
        this.tracer?.leave(task, number, call, this.words, 0x1_0000_0000 - ERESTARTSYS);
        task.callOver();
        return;
      }
    } catch (thrown) {
      if (thrown instanceof Errno) result = 0x1_0000_0000 - thrown.code;
      else if (!(thrown instanceof MustWait)) throw thrown;
    }
    this.tracer?.leave(task, number, call, this.words, result);
    task.callOver();
    finish(task, result);
  }

  /** The task is stopped while it waits in a call, without a handler: most go on when it is continued, some are over. */
  stop(task: Task): void {
    const call = this.table[this.readWords(task)];
    if (call === undefined) return;
    const waiting = call.unwrap === undefined ? call : this.unwrapped(call, task);
    if (waiting?.interrupted !== 'always' && !task.call.isTimed) return;
    this.interrupt(task, false);
    restoreMask(task.signals);
  }

  /** Undefined where its arguments cannot be read (any more). */
  private unwrapped(call: Definition, task: Task): Definition | undefined {
    try {
      return call.unwrap?.(task, this.words);
    } catch (thrown) {
      if (thrown instanceof Errno || thrown instanceof MustWait) return undefined;
      throw thrown;
    }
  }

  /** What the task's own filters say; once for a call, however often it waits. */
  private examine(task: Task, number: number): Verdict {
    if ((task.seccomp === undefined && task.userDispatch === undefined) || task.call.resumed) return 'run';
    return examineCall(task, number, this.words);
  }

  private readWords(task: Task): number {
    const { registers } = task;
    const { words } = this;
    words[0] = registers.get(EBX);
    words[1] = registers.get(ECX);
    words[2] = registers.get(EDX);
    words[3] = registers.get(ESI);
    words[4] = registers.get(EDI);
    words[5] = registers.get(EBP);
    return registers.get(EAX);
  }

  private count(number: number, call: Definition | undefined): void {
    if (number < this.counts.length) this.counts[number]++;
    if (call === undefined) this.unknown.set(number, (this.unknown.get(number) ?? 0) + 1);
  }
}

const READS: ReadonlySet<string> = new Set(['read', 'readv', 'pread64', 'preadv', 'preadv2']);
const WRITES: ReadonlySet<string> = new Set(['write', 'writev', 'pwrite64', 'pwritev', 'pwritev2']);

function charge({ process: { io } }: Task, kind: number, result: number): void {
  const bytes = result < 0x8000_0000 ? result : 0;
  if (kind === 1) {
    io.reads++;
    io.readBytes += bytes;
  } else {
    io.writes++;
    io.writtenBytes += bytes;
  }
}

function finish(task: Task, result: number): void {
  task.registers.set(EAX, result >>> 0);
  task.registers.eip = (task.registers.eip + INSTRUCTION) >>> 0;
}
