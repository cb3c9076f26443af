/**
 * Futexes: waiters by key. A key is an address within one space (private) or a byte of a memory object (shared). A waiter that is woken
 * is marked and its call, run again, finds the mark: so no wake is lost between waking and running. What priority inheritance adds is in
 * futex-pi.ts; here is only the state that its waiters share.
 */
import { EINVAL, errno } from '../abi/errno.ts';

/** Identity of a futex word: the space or object it lies in, and the place there. */
export interface FutexKey {
  readonly owner: object;
  readonly place: number;
}

export function sameKey(a: FutexKey, b: FutexKey): boolean {
  return a.owner === b.owner && a.place === b.place;
}

/** A lock with priority inheritance: it is known as long as somebody waits for it. Linux: struct futex_pi_state. */
export interface PiLock<T> {
  owner: T;
  readonly key: FutexKey;
  /** How many wait for it. */
  waiters: number;
}

export interface FutexWait<T> {
  readonly key: FutexKey;
  readonly bitset: number;
  /** Real-time priority; 0 for all others. The highest is woken first. */
  readonly priority?: number;
  /** FUTEX_WAIT_REQUEUE_PI: the only futex it may be moved to. */
  readonly requeueTo?: FutexKey;
  /** The lock it waits for. */
  readonly lock?: PiLock<T>;
  /** Address of the lock's word in the waiter's memory. */
  readonly lockAddr?: number;
}

export class FutexWaiter<T> {
  readonly task: T;
  readonly bitset: number;
  readonly priority: number;
  readonly requeueTo: FutexKey | undefined;
  readonly lockAddr: number;
  /** Where it waits now; requeue changes it. */
  key: FutexKey;
  /** The lock it waits for, or has been given when it is woken. */
  lock: PiLock<T> | undefined;
  woken: boolean = false;

  constructor(task: T, wait: FutexWait<T>) {
    this.task = task;
    this.bitset = wait.bitset;
    this.priority = wait.priority ?? 0;
    this.requeueTo = wait.requeueTo;
    this.lockAddr = wait.lockAddr ?? 0;
    this.key = wait.key;
    this.lock = wait.lock;
  }

  /** A wake does not go together with a lock. */
  get isPlain(): boolean {
    return this.lock === undefined && this.requeueTo === undefined;
  }
}

/** How many owners and places there may be is bounded by the number of tasks and FUTEX_WAITV_MAX: a queue exists only while somebody waits. */
export class FutexTable<T> {
  /** The locks that somebody waits for. */
  readonly locks: Set<PiLock<T>> = new Set();
  private readonly queues: Map<object, Map<number, FutexWaiter<T>[]>> = new Map();
  private readonly waiters: Map<T, readonly FutexWaiter<T>[]> = new Map();
  private readonly wakeTask: (task: T) => void;

  /** `wakeTask` puts a waiting task back among those that run. */
  constructor(wakeTask: (task: T) => void) {
    this.wakeTask = wakeTask;
  }

  /** The task's wait that has begun and not been finished. */
  waiter(task: T): FutexWaiter<T> | undefined {
    return this.waiters.get(task)?.[0];
  }

  /** The same of a wait for several. */
  waitersOf(task: T): readonly FutexWaiter<T>[] {
    return this.waiters.get(task) ?? [];
  }

  /** Begins a wait. Requires: the task has none. */
  enqueue(task: T, ...waits: readonly FutexWait<T>[]): void {
    const waiters = waits.map((wait) => new FutexWaiter(task, wait));
    this.waiters.set(task, waiters);
    for (const waiter of waiters) this.insert(waiter);
  }

  /** Ends a wait: woken, timed out, interrupted or dead. */
  finish(task: T): void {
    const waiters = this.waiters.get(task);
    if (waiters === undefined) return;
    this.waiters.delete(task);
    for (const waiter of waiters) if (!waiter.woken) this.dequeue(waiter);
  }

  /** Who waits at a key, in the order in which they are woken. */
  at(key: FutexKey): readonly FutexWaiter<T>[] {
    return [...(this.queues.get(key.owner)?.get(key.place) ?? [])];
  }

  /** Wakes at most `count` waiters whose bitset meets `bitset`, highest priority first, then longest waiting; returns how many. */
  wake(key: FutexKey, count: number, bitset: number): number {
    let woken = 0;
    for (const waiter of this.at(key)) {
      if (woken >= count) break;
      if (!waiter.isPlain) throw errno(EINVAL);
      if ((waiter.bitset & bitset) === 0) continue;
      this.release(waiter);
      woken++;
    }
    return woken;
  }

  /** Wakes `wake` waiters and moves up to `move` others to `to`; returns how many that were. */
  requeue(from: FutexKey, to: FutexKey, wake: number, move: number): number {
    let done = 0;
    for (const waiter of this.at(from)) {
      if (done - wake >= move) break;
      if (!waiter.isPlain) throw errno(EINVAL);
      if (++done <= wake) this.release(waiter);
      else this.move(waiter, to);
    }
    return done;
  }

  /** The wait is over; the waiter's call finds that out. */
  release(waiter: FutexWaiter<T>): void {
    this.dequeue(waiter);
    waiter.woken = true;
    this.wakeTask(waiter.task);
  }

  /** From now on it waits there, and for that lock if one is given. */
  move(waiter: FutexWaiter<T>, to: FutexKey, lock?: PiLock<T>): void {
    this.dequeue(waiter);
    waiter.key = to;
    waiter.lock = lock;
    this.insert(waiter);
  }

  private insert(waiter: FutexWaiter<T>): void {
    const { key, lock } = waiter;
    let places = this.queues.get(key.owner);
    if (places === undefined) this.queues.set(key.owner, (places = new Map()));
    let queue = places.get(key.place);
    if (queue === undefined) places.set(key.place, (queue = []));
    const behind = waiter.priority === 0 ? -1 : queue.findIndex((other) => other.priority < waiter.priority);
    queue.splice(behind < 0 ? queue.length : behind, 0, waiter);
    if (lock === undefined) return;
    lock.waiters++;
    this.locks.add(lock);
  }

  private dequeue(waiter: FutexWaiter<T>): void {
    const { key, lock } = waiter;
    const places = this.queues.get(key.owner);
    const queue = places?.get(key.place);
    if (places === undefined || queue === undefined) return;
    queue.splice(queue.indexOf(waiter), 1);
    if (queue.length === 0) places.delete(key.place);
    if (places.size === 0) this.queues.delete(key.owner);
    if (lock !== undefined && --lock.waiters === 0) this.locks.delete(lock);
  }
}
