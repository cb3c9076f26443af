/** Waiters on pipes, terminals and the like. */
import type { Waitable } from '../mm/outcome.ts';

/** Those who wait for one thing, in the order they came. */
export class Waiters implements Waitable {
  /** Made for the first: most things are never waited for. */
  private waiting: Set<(events?: number) => void> | undefined;

  /** How many wait. */
  get size(): number {
    return this.waiting?.size ?? 0;
  }

  subscribe(wake: (events?: number) => void): () => void {
    const entry = (events?: number) => wake(events);
    this.waiting ??= new Set();
    this.waiting.add(entry);
    return () => this.waiting?.delete(entry);
  }

  /** `events` are the abi POLL bits that may have come to hold: an edge for those who wait for edges. Undefined: any may have. */
  wakeAll(events?: number): void {
    const woken = this.waiting;
    if (woken === undefined || woken.size === 0) return;
    this.waiting = undefined;
    for (const wake of woken) wake(events);
  }
}

/** Nobody wakes it: a deadline or a retry ends the wait. */
export const NOBODY: Waitable = { subscribe: () => () => {} };
