/** The one way a system call says that it must wait. (Queues to wait on: fs/wait.ts.) */
import type { Outcome, Waitable } from '../mm/outcome.ts';

/**
 * What a handler that cannot finish yet and has changed nothing returns. From deeper down it may be thrown, which `dispatch` catches; what waits often returns it,
 * since a throw costs more than all the rest of such a call.
 */
export class Blocked {
  readonly outcome: Outcome & { readonly kind: 'wait' };
  constructor(outcome: Outcome & { readonly kind: 'wait' }) {
    this.outcome = outcome;
  }
}

/** `return block(waiters)`; or, to run again at a deadline (monotonic nanoseconds) even if nobody wakes it, `return block(waiters, task.deadlineAfter(timeout_ns))`. */
export function block(on: Waitable, deadline?: bigint): Blocked {
  return new Blocked({ kind: 'wait', on, deadline });
}

/** Wakes when any of several does. */
export function anyOf(all: readonly Waitable[]): Waitable {
  return {
    subscribe: (wake) => {
      const cancels: (() => void)[] = [];
      let woken = false;
      const once = (events?: number) => {
        if (woken) return;
        woken = true;
        for (const cancel of cancels) cancel();
        wake(events);
      };
      for (const on of all) cancels.push(on.subscribe(once));
      return () => {
        woken = true;
        for (const cancel of cancels) cancel();
      };
    },
  };
}
