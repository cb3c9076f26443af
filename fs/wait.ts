/** Waiters on pipes, terminals and the like. */
import type { Waitable } from '../mm/outcome.ts';

/** Those who wait for one thing, in the order they came. */
export class Waiters implements Waitable {
  private waiting: Set<() => void> = new Set();

  subscribe(wake: () => void): () => void {
    const entry = () => wake();
    this.waiting.add(entry);
    return () => this.waiting.delete(entry);
  }

  wakeAll(): void {
    const woken = this.waiting;
    if (woken.size === 0) return;
    this.waiting = new Set();
    for (const wake of woken) wake();
  }
}

/** Nobody wakes it: a deadline or a retry ends the wait. */
export const NOBODY: Waitable = { subscribe: () => () => {} };
