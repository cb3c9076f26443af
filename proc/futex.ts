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

/** How long a chain of owners that wait for each other may be (Linux max_lock_depth). */
export const CHAIN_MAX = 1024;

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
  /** The waiter's rank for the scheduler. The highest is woken first. */
  readonly rank?: number;
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
  readonly requeueTo: FutexKey | undefined;
  readonly lockAddr: number;
  /** What it inherits while it waits comes to it. */
  rank: number;
  /** Where it waits now; requeue changes it. */
  key: FutexKey;
  /** The lock it waits for, or has been given when it is woken. */
  lock: PiLock<T> | undefined;
  woken: boolean = false;

  constructor(task: T, wait: FutexWait<T>) {
    this.task = task;
    this.bitset = wait.bitset;
    this.requeueTo = wait.requeueTo;
    this.lockAddr = wait.lockAddr ?? 0;
    this.rank = wait.rank ?? 0;
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
  private readonly inherit: (task: T, rank: number) => number | undefined;

  /**
   * `wakeTask` puts a waiting task back among those that run. `inherit` lets a task run as one of that rank, if that is more than its own, and answers the
   * rank it has then; undefined where that is nothing new.
   */
  constructor(wakeTask: (task: T) => void, inherit: (task: T, rank: number) => number | undefined) {
    this.wakeTask = wakeTask;
    this.inherit = inherit;
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
    return [...(this.queue(key) ?? [])];
  }

  /** Wakes at most `count` waiters whose bitset meets `bitset`, highest rank first, then longest waiting; returns how many. */
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

  /** The lock is its next owner's, which waited for it first. */
  give(lock: PiLock<T>, to: FutexWaiter<T>): void {
    const before = lock.owner;
    lock.owner = to.task;
    this.release(to);
    if (to.rank > 0) this.adjust(before);
  }

  /** Who owns locks is as urgent as whoever waits for them, over chains of locks. Linux: rt_mutex_adjust_prio_chain. */
  private adjust(from: T): void {
    for (let owner = from, depth = 0; depth < CHAIN_MAX; depth++) {
      let highest = 0;
      for (const lock of this.locks) if (lock.owner === owner) highest = Math.max(highest, this.queue(lock.key)?.[0].rank ?? 0);
      const rank = this.inherit(owner, highest);
      const waiter = this.waiter(owner);
      if (rank === undefined || waiter?.lock === undefined || waiter.woken) return;
      this.leave(waiter);
      waiter.rank = rank;
      this.join(waiter);
      owner = waiter.lock.owner;
    }
  }

  /** From now on it waits there, and for that lock if one is given. */
  move(waiter: FutexWaiter<T>, to: FutexKey, lock?: PiLock<T>): void {
    this.dequeue(waiter);
    waiter.key = to;
    waiter.lock = lock;
    this.insert(waiter);
  }

  private insert(waiter: FutexWaiter<T>): void {
    this.join(waiter);
    const { lock } = waiter;
    if (lock === undefined) return;
    lock.waiters++;
    this.locks.add(lock);
    if (waiter.rank > 0) this.adjust(lock.owner);
  }

  private dequeue(waiter: FutexWaiter<T>): void {
    const { lock } = waiter;
    if (!this.leave(waiter) || lock === undefined) return;
    if (--lock.waiters === 0) this.locks.delete(lock);
    if (waiter.rank > 0) this.adjust(lock.owner);
  }

  private queue({ owner, place }: FutexKey): FutexWaiter<T>[] | undefined {
    return this.queues.get(owner)?.get(place);
  }

  /** Takes its place in the queue, behind all of its rank. */
  private join(waiter: FutexWaiter<T>): void {
    const { key } = waiter;
    let places = this.queues.get(key.owner);
    if (places === undefined) this.queues.set(key.owner, (places = new Map()));
    let queue = places.get(key.place);
    if (queue === undefined) places.set(key.place, (queue = []));
    const behind = waiter.rank === 0 ? -1 : queue.findIndex((other) => other.rank < waiter.rank);
    queue.splice(behind < 0 ? queue.length : behind, 0, waiter);
  }

  /** Whether it was in a queue. */
  private leave(waiter: FutexWaiter<T>): boolean {
    const { key } = waiter;
    const places = this.queues.get(key.owner);
    const queue = places?.get(key.place);
    if (places === undefined || queue === undefined) return false;
    queue.splice(queue.indexOf(waiter), 1);
    if (queue.length === 0) places.delete(key.place);
    if (places.size === 0) this.queues.delete(key.owner);
    return true;
  }
}
