/** How both walks (a fault, a system call) end: done, must wait, or a signal for the task. */
import type { Addr } from '../abi/page.ts';

/** Something a task can wait on. Wakers call `wake()`; waiters register a callback that is run at most once. */
export interface Waitable {
  /** Registers `wake`, which may be told what has happened (abi POLL bits; none: anything); returns a function that takes the registration back. */
  subscribe(wake: (events?: number) => void): () => void;
}

export type Outcome =
  | { readonly kind: 'done' }
  | { readonly kind: 'wait'; readonly on: Waitable; readonly deadline?: bigint }
  | { readonly kind: 'signal'; readonly signo: number; readonly code: number; readonly addr: Addr; readonly reason: string };

/** The one `done`: nothing is allocated on the common path. */
export const DONE: Outcome = { kind: 'done' };
