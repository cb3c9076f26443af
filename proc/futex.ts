/**
 * Futexes: waiters by key. A key is an address within one space (private) or a byte of a memory object (shared). A waiter that is woken
 * is marked and its call, run again, finds the mark: so no wake is lost between waking and running.
 */
/** Identity of a futex word: the space or object it lies in, and the place there. */
export interface FutexKey {
  readonly owner: object;
  readonly place: number;
}

export interface FutexWaiter<T> {
  readonly task: T;
  readonly bitset: number;
  /** Where it waits now; requeue changes it. */
  key: FutexKey;
  woken: boolean;
}

/** How many owners and places there may be is bounded by the number of tasks: a queue exists only while somebody waits. */
export class FutexTable<T> {
  private readonly queues: Map<object, Map<number, Set<FutexWaiter<T>>>> = new Map();
  private readonly waiters: Map<T, FutexWaiter<T>> = new Map();
  private readonly wakeTask: (task: T) => void;

  /** `wakeTask` puts a waiting task back among those that run. */
  constructor(wakeTask: (task: T) => void) {
    this.wakeTask = wakeTask;
  }

  /** The task's wait that has begun and not been finished. */
  waiter(task: T): FutexWaiter<T> | undefined {
    return this.waiters.get(task);
  }

  /** Begins a wait. Requires: the task has none. */
  enqueue(task: T, key: FutexKey, bitset: number): FutexWaiter<T> {
    const waiter: FutexWaiter<T> = { task, key, bitset, woken: false };
    this.waiters.set(task, waiter);
    this.queue(key).add(waiter);
    return waiter;
  }

  /** Ends a wait: woken, timed out, interrupted or dead. */
  finish(task: T): void {
    const waiter = this.waiters.get(task);
    if (waiter === undefined) return;
    this.waiters.delete(task);
    if (!waiter.woken) this.dequeue(waiter);
  }

  /** Wakes at most `count` waiters whose bitset meets `bitset`, longest waiting first; returns how many. */
  wake(key: FutexKey, count: number, bitset: number): number {
    let woken = 0;
    for (const waiter of this.at(key)) {
      if (woken >= count) break;
      if ((waiter.bitset & bitset) === 0) continue;
      this.release(waiter);
      woken++;
    }
    return woken;
  }

  /** Wakes `wake` waiters and moves up to `move` others to `to`; returns both numbers. */
  requeue(from: FutexKey, to: FutexKey, wake: number, move: number): { readonly woken: number; readonly moved: number } {
    const woken = this.wake(from, wake, 0xffffffff);
    let moved = 0;
    if (from.owner === to.owner && from.place === to.place) return { woken, moved: Math.min(move, this.at(from).length) };
    for (const waiter of this.at(from)) {
      if (moved >= move) break;
      this.dequeue(waiter);
      waiter.key = to;
      this.queue(to).add(waiter);
      moved++;
    }
    return { woken, moved };
  }

  private release(waiter: FutexWaiter<T>): void {
    this.dequeue(waiter);
    waiter.woken = true;
    this.wakeTask(waiter.task);
  }

  private at(key: FutexKey): FutexWaiter<T>[] {
    return [...(this.queues.get(key.owner)?.get(key.place) ?? [])];
  }

  private queue(key: FutexKey): Set<FutexWaiter<T>> {
    let places = this.queues.get(key.owner);
    if (places === undefined) this.queues.set(key.owner, (places = new Map()));
    let queue = places.get(key.place);
    if (queue === undefined) places.set(key.place, (queue = new Set()));
    return queue;
  }

  private dequeue(waiter: FutexWaiter<T>): void {
    const places = this.queues.get(waiter.key.owner);
    const queue = places?.get(waiter.key.place);
    if (places === undefined || queue === undefined) return;
    queue.delete(waiter);
    if (queue.size > 0) return;
    places.delete(waiter.key.place);
    if (places.size === 0) this.queues.delete(waiter.key.owner);
  }
}
