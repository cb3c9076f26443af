/**
 * Who runs next: a round of ready tasks, those that wait with what wakes them, and the deadlines of both waits and timers. Knows neither
 * engine nor host: the machine runs what `next` gives, and sleeps until `nextDeadline` or a wake when there is nothing.
 */
import type { Waitable } from '../mm/outcome.ts';
import { Deadlines, type Expirable } from './deadlines.ts';

export type TaskState = 'ready' | 'waiting' | 'stopped' | 'dead';

/** What the scheduler needs of a task; it owns this field. */
export interface Schedulable {
  state: TaskState;
}

/** A waiting task's place among the deadlines. */
class Parking<T extends Schedulable> implements Expirable {
  due: bigint | undefined;
  private readonly scheduler: Scheduler<T>;
  private readonly task: T;
  constructor(scheduler: Scheduler<T>, task: T, due: bigint) {
    this.scheduler = scheduler;
    this.task = task;
    this.due = due;
  }
  expire(): void {
    this.scheduler.wake(this.task);
  }
}

interface Wait<T extends Schedulable> {
  readonly cancel: () => void;
  readonly parking: Parking<T> | undefined;
}

export class Scheduler<T extends Schedulable> {
  /** Called whenever a task becomes ready or a deadline may have moved: a machine that sleeps looks again. */
  onChange: () => void = () => {};
  private readonly ready: Set<T> = new Set();
  private readonly waiting: Map<T, Wait<T>> = new Map();
  private readonly deadlines: Deadlines = new Deadlines();

  /** A new task joins the round. */
  add(task: T): void {
    task.state = 'ready';
    this.ready.add(task);
    this.onChange();
  }

  /** The task whose turn it is; it goes to the end of the round. Undefined when nobody is ready. */
  next(): T | undefined {
    for (const task of this.ready) {
      if (this.ready.size > 1) {
        this.ready.delete(task);
        this.ready.add(task);
      }
      return task;
    }
    return undefined;
  }

  /** Puts a ready task behind all others. */
  yield(task: T): void {
    if (!this.ready.delete(task)) return;
    this.ready.add(task);
  }

  /** Another task is ready as well. */
  get contended(): boolean {
    return this.ready.size > 1;
  }

  /** Nobody is ready, and nobody waits for anything: every task is dead or stopped. */
  get idle(): boolean {
    return this.ready.size === 0 && this.waiting.size === 0;
  }

  /** Takes the task out of the round until `on` wakes it, the deadline passes, or somebody calls `wake`. */
  park(task: T, on: Waitable, deadline: bigint | undefined): void {
    this.ready.delete(task);
    task.state = 'waiting';
    const parking = deadline === undefined ? undefined : new Parking(this, task, deadline);
    this.waiting.set(task, { cancel: on.subscribe(() => this.wake(task)), parking });
    if (parking !== undefined) this.deadlines.add(parking);
  }

  /** Ends a wait, whatever it was for. The call runs again. No effect on tasks that do not wait. */
  wake(task: T): void {
    const wait = this.waiting.get(task);
    if (wait === undefined) return;
    this.forget(task, wait);
    this.add(task);
  }

  /** Job control: out of the round until `resume`. A wait is broken off; the call runs again afterwards, its deadline kept. */
  stop(task: T): void {
    this.leave(task);
    task.state = 'stopped';
  }
  resume(task: T): void {
    if (task.state === 'stopped') this.add(task);
  }

  /** The task is dead. */
  remove(task: T): void {
    this.leave(task);
    task.state = 'dead';
  }

  /** Enters a timer; see Expirable. */
  addTimer(timer: Expirable): void {
    this.deadlines.add(timer);
    this.onChange();
  }

  /** Wakes tasks and fires timers that are due. */
  expire(now: bigint): void {
    const next = this.deadlines.next();
    if (next !== undefined && next <= now) this.deadlines.expire(now);
  }

  nextDeadline(): bigint | undefined {
    return this.deadlines.next();
  }

  private leave(task: T): void {
    const wait = this.waiting.get(task);
    if (wait !== undefined) this.forget(task, wait);
    this.ready.delete(task);
  }

  private forget(task: T, wait: Wait<T>): void {
    this.waiting.delete(task);
    wait.cancel();
    if (wait.parking !== undefined) wait.parking.due = undefined;
  }
}
