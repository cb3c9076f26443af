/** Signals as data: sets, queues of pending ones, actions, and what a task or process keeps about them. Delivery is in deliver.ts. */
import {
  NSIG,
  SIG_DFL,
  SIG_IGN,
  SIGBUS,
  SIGCHLD,
  SIGCONT,
  SIGFPE,
  SIGILL,
  SIGKILL,
  SIGRTMIN,
  SIGSEGV,
  SIGSTOP,
  SIGSYS,
  SIGTRAP,
  SIGTSTP,
  SIGTTIN,
  SIGTTOU,
  SIGURG,
  SIGWINCH,
  SIGQUIT,
  SIGABRT,
  SIGXCPU,
  SIGXFSZ,
  type SignalSet,
} from '../abi/signal.ts';
import type { SignalInfo } from './siginfo.ts';

export const EMPTY_SET: SignalSet = { low: 0, high: 0 };

/** The set of these signals. */
export function setOf(...signals: readonly number[]): SignalSet {
  return signals.reduce(withSignal, EMPTY_SET);
}
export function hasSignal(set: SignalSet, signo: number): boolean {
  return ((signo <= 32 ? set.low >>> (signo - 1) : set.high >>> (signo - 33)) & 1) === 1;
}
export function withSignal(set: SignalSet, signo: number): SignalSet {
  return signo <= 32
    ? { low: (set.low | (1 << (signo - 1))) >>> 0, high: set.high }
    : { low: set.low, high: (set.high | (1 << (signo - 33))) >>> 0 };
}
export function union(a: SignalSet, b: SignalSet): SignalSet {
  return { low: (a.low | b.low) >>> 0, high: (a.high | b.high) >>> 0 };
}
export function difference(a: SignalSet, b: SignalSet): SignalSet {
  return { low: (a.low & ~b.low) >>> 0, high: (a.high & ~b.high) >>> 0 };
}
export function intersection(a: SignalSet, b: SignalSet): SignalSet {
  return { low: (a.low & b.low) >>> 0, high: (a.high & b.high) >>> 0 };
}
export function isEmpty(set: SignalSet): boolean {
  return (set.low | set.high) === 0;
}

/** Never blocked, caught or ignored. */
export const UNBLOCKABLE: SignalSet = setOf(SIGKILL, SIGSTOP);
export const STOP_SIGNALS: SignalSet = setOf(SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU);
/** Taken before all others, as the instruction that raised them is where the task stands. Linux: SYNCHRONOUS_MASK. */
const SYNCHRONOUS: SignalSet = setOf(SIGSEGV, SIGBUS, SIGILL, SIGTRAP, SIGFPE, SIGSYS);

export type DefaultAction = 'terminate' | 'core' | 'ignore' | 'stop' | 'continue';
const CORE = setOf(SIGQUIT, SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGSEGV, SIGXCPU, SIGXFSZ, SIGSYS);
const IGNORED = setOf(SIGCHLD, SIGURG, SIGWINCH);

/** What happens to a signal whose action is SIG_DFL. */
export function defaultAction(signo: number): DefaultAction {
  if (hasSignal(IGNORED, signo)) return 'ignore';
  if (signo === SIGCONT) return 'continue';
  if (hasSignal(STOP_SIGNALS, signo)) return 'stop';
  return hasSignal(CORE, signo) ? 'core' : 'terminate';
}

export interface SignalAction {
  /** Address, SIG_DFL or SIG_IGN. */
  readonly handler: number;
  readonly flags: number;
  readonly restorer: number;
  readonly mask: SignalSet;
}

const DEFAULT_ACTION: SignalAction = { handler: SIG_DFL, flags: 0, restorer: 0, mask: EMPTY_SET };

/** The table of actions; threads share one. */
export class SignalActions {
  private readonly actions: SignalAction[];
  /** Counts changes, for those who follow them. */
  changes: number = 0;

  constructor(actions: SignalAction[] = new Array<SignalAction>(NSIG + 1).fill(DEFAULT_ACTION)) {
    this.actions = actions;
  }

  get(signo: number): SignalAction {
    return this.actions[signo];
  }
  set(signo: number, action: SignalAction): void {
    this.actions[signo] = action;
    this.changes++;
  }
  copy(): SignalActions {
    return new SignalActions(this.actions.slice());
  }
  /** execve: handlers go, ignored signals stay ignored. */
  resetHandlers(): void {
    this.changes++;
    this.actions.forEach((action, signo) => {
      if (action.handler !== SIG_IGN) this.actions[signo] = DEFAULT_ACTION;
    });
  }
  /** clone's CLONE_CLEAR_SIGHAND. */
  resetAll(): void {
    this.changes++;
    this.actions.fill(DEFAULT_ACTION);
  }
  /** Whether the signal would do nothing if it were delivered. */
  ignores(signo: number): boolean {
    const { handler } = this.actions[signo];
    if (handler !== SIG_DFL) return handler === SIG_IGN;
    const action = defaultAction(signo);
    return action === 'ignore' || action === 'continue';
  }
}

/** Signals that have been sent and not yet taken: standard ones once each, real-time ones and those of timers queued. */
export class PendingSignals {
  /** Which signals are pending. */
  set: SignalSet = EMPTY_SET;
  private readonly queues: Map<number, SignalInfo[]> = new Map();
  /** Real-time signals queued, against RLIMIT_SIGPENDING. */
  queued: number = 0;

  /** Returns false where a standard signal is pending already: the new one is lost. */
  add(info: SignalInfo): boolean {
    const queue = this.queues.get(info.signo);
    if (queue === undefined) this.queues.set(info.signo, [info]);
    else if (info.signo < SIGRTMIN && info.taken === undefined) return false;
    else queue.push(info);
    this.queued++;
    this.set = withSignal(this.set, info.signo);
    return true;
  }

  /** Back to the head of its queue: it could not be delivered yet. */
  putBack(info: SignalInfo): void {
    const queue = this.queues.get(info.signo);
    if (queue === undefined) this.queues.set(info.signo, [info]);
    else queue.unshift(info);
    this.queued++;
    this.set = withSignal(this.set, info.signo);
  }

  /** Takes the next signal that is in `wanted`: synchronous ones first, then by number. */
  take(wanted: SignalSet): SignalInfo | undefined {
    for (;;) {
      const info = this.takeFirst(wanted);
      if (info?.taken === undefined) return info;
      const settled = info.taken();
      if (settled !== undefined) return settled;
    }
  }

  private takeFirst(wanted: SignalSet): SignalInfo | undefined {
    const ready = intersection(this.set, wanted);
    if (isEmpty(ready)) return undefined;
    const first = intersection(ready, SYNCHRONOUS);
    const signo = lowest(isEmpty(first) ? ready : first);
    const queue = this.queues.get(signo);
    const info = queue?.shift();
    if (queue === undefined || queue.length === 0) this.forget(signo);
    if (info !== undefined) this.queued--;
    return info;
  }

  /** Drops every pending signal of `set`. */
  remove(set: SignalSet): void {
    for (const signo of [...this.queues.keys()]) {
      if (!hasSignal(set, signo)) continue;
      const dropped = this.queues.get(signo) ?? [];
      this.queued -= dropped.length;
      this.forget(signo);
      for (const info of dropped) info.removed?.();
    }
  }

  private forget(signo: number): void {
    this.queues.delete(signo);
    this.set = difference(this.set, setOf(signo));
  }
}

function lowest(set: SignalSet): number {
  return set.low !== 0 ? 32 - Math.clz32(set.low & -set.low) : 64 - Math.clz32(set.high & -set.high);
}

export interface AlternateStack {
  readonly sp: number;
  readonly size: number;
  readonly flags: number;
}

export const NO_STACK: AlternateStack = { sp: 0, size: 0, flags: 0 };

/** What one task keeps about signals. */
export class TaskSignals {
  /** Blocked signals. */
  mask: SignalSet = EMPTY_SET;
  /** The mask from before sigsuspend, ppoll or the like, to be restored by the handler's return, or when the call ends without one. */
  savedMask: SignalSet | undefined;
  /** Signals sent to this thread. */
  readonly pending: PendingSignals = new PendingSignals();
  alternate: AlternateStack = NO_STACK;
  /** The signals that a waiting sigtimedwait takes, although blocked. */
  awaited: SignalSet = EMPTY_SET;
}

/** Another mask for the time of one call (sigsuspend, ppoll, ...). Running the call again changes nothing. */
export function suspendMask(signals: TaskSignals, mask: SignalSet): void {
  signals.savedMask ??= signals.mask;
  signals.mask = difference(mask, UNBLOCKABLE);
}

/** The call is over and no handler has taken the saved mask with it. */
export function restoreMask(signals: TaskSignals): void {
  if (signals.savedMask === undefined) return;
  signals.mask = signals.savedMask;
  signals.savedMask = undefined;
}
