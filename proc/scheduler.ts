/**
 * Who runs next: a round of ready tasks, those that have just woken, those that wait with what wakes them, and the deadlines of both waits
 * and timers. Knows neither engine nor host: the machine runs what `next` gives, and sleeps until `nextDeadline` or a wake when there is nothing.
 *
 * Every task has a share of instructions, larger or smaller by its nice value. Who has used it up gets a new one behind all others; who waits keeps what is
 * left, and comes before those that compute when it wakes. So tasks that wait much are quick to answer, and nobody gets more than its share while others are
 * ready. Tasks with a rank (real-time policies) come before all without and interrupt them at once, but leave them a twentieth of the time.
 */
import type { Waitable } from '../mm/outcome.ts';
import { Deadlines, type Expirable } from './deadlines.ts';
import { RankedQueue } from './ranked-queue.ts';

export type TaskState = 'ready' | 'waiting' | 'stopped' | 'dead';

/** What the scheduler needs of a task; it owns the fields that can be written. */
export interface Schedulable {
  state: TaskState;
  /** Instructions that are left of its share; none at first. */
  credit: number;
  /** Its share relative to the usual one. */
  readonly weight: number;
  /** Above 0, to 100: it runs before all of a lower rank. What changes it is told by `rerank`. */
  readonly rank: number;
  /** With a rank: goes on until it waits or yields, whatever its share. */
  readonly isUnshared: boolean;
}

/** Instructions in a share: about ten milliseconds. */
const SHARE = 1_000_000;
/** Instructions after which timers and the host get a look at least: about two milliseconds. */
const QUANTUM = 250_000;
/** Instructions a task has in a turn before one that has woken interrupts it, so that those who wake each other do not switch at every word. */
const LEAST_TURN = 100_000;
/** Usual shares that tasks with a rank may use in a row while others want to run, and how many times what those then use (Linux: 950 of each 1000 ms). */
const RANKED_SHARES = 19;

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
  /** Ready too, and first: woken with some of their share left. */
  private readonly woken: Set<T> = new Set();
  /** Ready too, and before all these: those with a rank. What they have used that the others were not given their part of. */
  private readonly ranked: RankedQueue<T> = new RankedQueue();
  private rankedUse = 0;
  private readonly waiting: Map<T, Wait<T>> = new Map();
  private readonly deadlines: Deadlines = new Deadlines();
  private readonly share: number;
  private readonly quantum: number;
  private readonly leastTurn: number;
  /** The task whose turn it is has made another since `left` was asked. */
  private forked = false;
  /** Instructions of this turn before which nobody interrupts who has made a task. */
  private undisturbed = 0;
  /** The task that is still in its turn while the host has a look, and what it has used of it. */
  private interrupted: { readonly task: T; readonly used: number } | undefined;

  /** `slice`: instructions in a share, where it is to be another than usual. */
  constructor(slice = SHARE) {
    this.share = slice;
    this.quantum = Math.min(QUANTUM, slice);
    this.leastTurn = Math.min(LEAST_TURN, this.quantum);
  }

  /** A task becomes ready, unless it has been killed before it could. */
  add(task: T): void {
    if (task.state === 'dead') return;
    task.state = 'ready';
    this.enqueue(task);
    this.onChange();
  }

  private enqueue(task: T): void {
    const isNew = task.credit <= 0;
    if (isNew) task.credit = this.shareOf(task);
    if (task.rank > 0) this.ranked.add(task);
    else (isNew ? this.ready : this.woken).add(task);
  }

  private shareOf(task: T): number {
    return Math.max(1, Math.round(this.share * task.weight));
  }

  /** Changes what a task's rank and weight come from. One that is ready with a lower rank comes before its equals, as sched(7) says. */
  rerank(task: T, change: () => void): void {
    const { rank } = task;
    change();
    task.credit = Math.min(task.credit, this.shareOf(task));
    if (task.rank === rank || !this.dequeue(task, rank)) return;
    if (task.rank > 0 && task.rank < rank) this.ranked.addFirst(task);
    else this.enqueue(task);
  }

  private dequeue(task: T, rank = task.rank): boolean {
    return rank > 0 ? this.ranked.delete(task, rank) : this.ready.delete(task) || this.woken.delete(task);
  }

  /**
   * A new task becomes ready, with half of what is left of its maker's share: who makes many gets no more than others. The maker's turn goes on for a
   * while, as programs are used to: on another CPU the child would have to come up first.
   */
  addChild(child: T, parent: T): void {
    if (parent.rank === 0) {
      child.credit = parent.credit >> 1;
      parent.credit -= child.credit;
    }
    this.forked = true;
    this.add(child);
  }

  /** The task whose turn it is. Undefined when nobody is ready. */
  next(): T | undefined {
    const ranked = this.firstRanked();
    const interrupted = this.interrupted?.task;
    if (interrupted?.state === 'ready' && interrupted.rank >= (ranked?.rank ?? 0)) return interrupted;
    if (ranked !== undefined) return ranked;
    for (const task of this.woken) return task;
    for (const task of this.ready) return task;
    return undefined;
  }

  /** The first of those with a rank, unless the others' time has come. */
  private firstRanked(): T | undefined {
    const isOthersTime = this.rankedUse >= RANKED_SHARES * SHARE && this.ready.size + this.woken.size > 0;
    return isOthersTime ? undefined : this.ranked.first;
  }

  /** The task's turn begins, or goes on where it was interrupted: what it has used of it. */
  begin(task: T): number {
    const used = this.interrupted?.task === task ? this.interrupted.used : 0;
    this.interrupted = undefined;
    return used;
  }

  /** The host is to have a look in the middle of a turn. `next` gives the same task, if it can still run then. */
  interrupt(task: T, used: number): void {
    this.interrupted = { task, used };
  }

  /** Instructions that `task` may go on for, having used some in its turn; none or less when the turn is over. */
  left(task: T, used: number): number {
    if (this.forked) {
      this.forked = false;
      this.undisturbed = Math.min(used + this.quantum, this.share);
    }
    const ranked = this.firstRanked();
    if (ranked !== undefined && ranked.rank > task.rank) return 0;
    const others = this.woken.size - (this.woken.has(task) ? 1 : 0);
    return Math.max(Math.min(task.credit, others > 0 ? this.leastTurn : this.quantum), this.undisturbed) - used;
  }

  /** Ends a turn, in which the task has used so much. */
  charge(task: T, used: number): void {
    this.forked = false;
    this.undisturbed = 0;
    if (task.rank > 0) return this.chargeRanked(task, used);
    this.rankedUse = Math.max(0, this.rankedUse - used * RANKED_SHARES);
    task.credit -= used;
    if (this.woken.delete(task)) (task.credit > 0 ? this.woken : this.ready).add(task);
    else if (task.credit <= 0 && this.ready.delete(task)) this.ready.add(task);
    if (task.credit <= 0) task.credit = this.shareOf(task);
  }

  private chargeRanked(task: T, used: number): void {
    this.rankedUse = Math.min(this.rankedUse + used, RANKED_SHARES * SHARE);
    if (!task.isUnshared) task.credit -= used;
    if (task.credit > 0) return;
    task.credit = this.shareOf(task);
    if (this.ranked.delete(task, task.rank)) this.ranked.add(task);
  }

  /** The task gives up its share: its turn is over, and all others come before it. */
  yield(task: T): void {
    task.credit = 0;
    this.forked = false;
    this.undisturbed = 0;
  }

  /** Nobody is ready, and nobody waits for anything: every task is dead or stopped. */
  get idle(): boolean {
    return this.ready.size + this.woken.size + this.ranked.size + this.waiting.size === 0;
  }

  /** Takes the task out of the round until `on` wakes it, the deadline passes, or somebody calls `wake`. */
  park(task: T, on: Waitable, deadline: bigint | undefined): void {
    this.dequeue(task);
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
    this.dequeue(task);
  }

  private forget(task: T, wait: Wait<T>): void {
    this.waiting.delete(task);
    wait.cancel();
    if (wait.parking !== undefined) wait.parking.due = undefined;
  }
}
