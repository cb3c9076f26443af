/**
 * System V semaphores: sets of counters, operations on several at once that happen together or wait, and what they undo at a process's end. Who changes
 * a set completes the operations that wait and have become possible, in their order, as Linux does (ipc/sem.c): the waiters only fetch the outcome.
 */
import { EAGAIN, EFBIG, EIDRM, EINVAL, ENOSPC, ERANGE, Errno, errno } from '../abi/errno.ts';
import { IPC_NOWAIT, type Operation, SEM_UNDO, SEMAEM, SEMMNI, SEMMSL, SEMVMX } from '../abi/ipc.ts';
import type { Credentials } from './credentials.ts';
import { checkAccess, type IpcObject, type IpcRequest, IpcTable } from './ipc-table.ts';

/** Semaphores of all sets together: fewer than Linux lets there be. */
const MOST_SEMAPHORES = 4_096_000;

export interface SemaphoreSet<T> extends IpcObject {
  readonly values: Int32Array;
  /** The process that last changed each; 0 none. */
  readonly pids: Int32Array;
  /** Seconds since 1970; 0: never. */
  otime: number;
  readonly waiting: Pending<T>[];
}

/** What a task asks of a set. */
interface Asked<T> {
  readonly task: T;
  readonly pid: number;
  readonly operations: readonly Operation[];
  /** What is to be undone in the end, by semaphore; where any operation has SEM_UNDO. */
  readonly undo: Int32Array | undefined;
}

interface Pending<T> extends Asked<T> {
  /** The operation that it waits for. */
  blocking: Operation;
  /** It is over: 0, or an errno. */
  outcome: number | undefined;
}

export class Semaphores<T extends object> {
  readonly table: IpcTable<SemaphoreSet<T>> = new IpcTable(SEMMNI);
  private readonly pending: Map<T, Pending<T>> = new Map();
  /** By process, what its sets are to get back. */
  private readonly undos: Map<object, Map<SemaphoreSet<T>, Int32Array>> = new Map();
  private readonly wake: (task: T) => void;
  private readonly now: () => number;

  /** `now` in seconds since 1970. */
  constructor(wake: (task: T) => void, now: () => number) {
    this.wake = wake;
    this.now = now;
  }

  /** Semaphores there are. */
  get count(): number {
    return this.table.all().reduce((sum, { values }) => sum + values.length, 0);
  }

  /** semget. */
  get(request: IpcRequest, count: number): SemaphoreSet<T> {
    if (count < 0 || count > SEMMSL) throw errno(EINVAL);
    return this.table.get(
      request,
      (found) => {
        if (count > found.values.length) throw errno(EINVAL);
      },
      (basis) => ({ ...basis, values: new Int32Array(count), pids: new Int32Array(count), otime: 0, waiting: [] }),
      () => {
        if (count === 0) throw errno(EINVAL);
        if (this.count + count > MOST_SEMAPHORES) throw errno(ENOSPC);
      },
    );
  }

  /** semop: true when done. False: it waits, and `outcome` will tell. */
  operate(task: T, process: object, pid: number, credentials: Credentials, id: number, operations: readonly Operation[]): boolean {
    const undoes = operations.some(({ flags }) => (flags & SEM_UNDO) !== 0);
    const set = this.table.find(id);
    if (operations.some(({ num }) => num >= set.values.length)) throw errno(EFBIG);
    const alters = operations.some(({ op }) => op !== 0);
    checkAccess(set, credentials, alters ? 0o222 : 0o444);
    const asked: Asked<T> = { task, pid, operations, undo: undoes ? this.undoOf(process, set) : undefined };
    const blocking = perform(set, asked);
    if (blocking === undefined) {
      set.otime = this.now();
      if (alters) this.complete(set);
      return true;
    }
    if ((blocking.flags & IPC_NOWAIT) !== 0) throw errno(EAGAIN);
    const pending: Pending<T> = { ...asked, blocking, outcome: undefined };
    set.waiting.push(pending);
    this.pending.set(task, pending);
    return false;
  }

  /** Whether the task waits in an operation, and how that ended: undefined not at all, 'waiting' still, else 0 or an errno. */
  outcome(task: T): number | 'waiting' | undefined {
    const pending = this.pending.get(task);
    return pending === undefined ? undefined : (pending.outcome ?? 'waiting');
  }

  /** The task's wait is over, however it ended. */
  finish(task: T): void {
    const pending = this.pending.get(task);
    if (pending === undefined) return;
    this.pending.delete(task);
    for (const { waiting } of this.table.all()) {
      const at = waiting.indexOf(pending);
      if (at >= 0) waiting.splice(at, 1);
    }
  }

  /** A process is over: what it has is given back. Linux: exit_sem. */
  exit(process: object, pid: number): void {
    const undos = this.undos.get(process);
    this.undos.delete(process);
    for (const [set, undo] of undos ?? []) {
      let changed = false;
      undo.forEach((back, num) => {
        if (back === 0) return;
        set.values[num] = Math.max(0, Math.min(SEMVMX, set.values[num] + back));
        set.pids[num] = pid;
        changed = true;
      });
      if (!changed) continue;
      set.otime = this.now();
      this.complete(set);
    }
  }

  /** SETVAL and SETALL: what was to be undone is forgotten. `values` from semaphore `from` on. */
  assign(set: SemaphoreSet<T>, from: number, values: ArrayLike<number>, pid: number): void {
    for (let i = 0; i < values.length; i++) {
      set.values[from + i] = values[i];
      set.pids[from + i] = pid;
      for (const undos of this.undos.values()) undos.get(set)?.fill(0, from + i, from + i + 1);
    }
    set.ctime = this.now();
    this.complete(set);
  }

  /** GETNCNT and GETZCNT: how many wait for it to grow, or to be zero. */
  waitingFor(set: SemaphoreSet<T>, num: number, zero: boolean): number {
    return set.waiting.filter(({ blocking }) => blocking.num === num && (zero ? blocking.op === 0 : blocking.op < 0)).length;
  }

  /** IPC_RMID. */
  remove(set: SemaphoreSet<T>): void {
    this.table.delete(set);
    for (const undos of this.undos.values()) undos.delete(set);
    for (const pending of set.waiting.splice(0)) this.settle(pending, EIDRM);
  }

  private undoOf(process: object, set: SemaphoreSet<T>): Int32Array {
    let undos = this.undos.get(process);
    if (undos === undefined) this.undos.set(process, (undos = new Map()));
    let undo = undos.get(set);
    if (undo === undefined) undos.set(set, (undo = new Int32Array(set.values.length)));
    return undo;
  }

  /** Does what has become possible, in the order in which it was asked for, until nothing more is. */
  private complete(set: SemaphoreSet<T>): void {
    for (let at = 0; at < set.waiting.length; ) {
      const pending = set.waiting[at];
      const outcome = this.attempt(set, pending);
      if (outcome === undefined) {
        at++;
        continue;
      }
      set.waiting.splice(at, 1);
      this.settle(pending, outcome);
      // What it did may let others go that were looked at before.
      if (outcome === 0 && pending.operations.some(({ op }) => op !== 0)) at = 0;
    }
  }

  private attempt(set: SemaphoreSet<T>, pending: Pending<T>): number | undefined {
    try {
      const blocking = perform(set, pending);
      if (blocking === undefined) {
        set.otime = this.now();
        return 0;
      }
      pending.blocking = blocking;
      return (blocking.flags & IPC_NOWAIT) !== 0 ? EAGAIN : undefined;
    } catch (error) {
      if (error instanceof Errno) return error.code;
      throw error;
    }
  }

  private settle(pending: Pending<T>, outcome: number): void {
    pending.outcome = outcome;
    this.wake(pending.task);
  }
}

/** All operations, or none: then the one that has to wait. Throws ERANGE where a counter would leave its range. Linux: perform_atomic_semop. */
function perform<T>(set: SemaphoreSet<T>, { operations, undo, pid }: Asked<T>): Operation | undefined {
  const { values } = set;
  let done = 0;
  const back = (): void => {
    while (done > 0) {
      const { num, op, flags } = operations[--done];
      values[num] -= op;
      if (undo !== undefined && (flags & SEM_UNDO) !== 0) undo[num] += op;
    }
  };
  for (const operation of operations) {
    const { num, op, flags } = operation;
    const result = values[num] + op;
    if ((op === 0 && values[num] !== 0) || result < 0) {
      back();
      return operation;
    }
    const undoes = undo !== undefined && (flags & SEM_UNDO) !== 0;
    if (result > SEMVMX || (undoes && (undo[num] - op > SEMAEM || undo[num] - op < -SEMAEM - 1))) {
      back();
      throw errno(ERANGE);
    }
    if (undoes) undo[num] -= op;
    values[num] = result;
    done++;
  }
  for (const { num } of operations) set.pids[num] = pid;
  return undefined;
}
