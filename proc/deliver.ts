/** Delivering signals: taking pending ones, the frame of a handler, or what happens by default. */
import { Errno } from '../abi/errno.ts';
import { RLIMIT_CORE } from '../abi/resource.ts';
import { CLD_STOPPED, SA_NODEFER, SA_RESETHAND, SA_RESTART, SIG_DFL, SIG_IGN, SIGSEGV, SIGSTOP, type SignalSet } from '../abi/signal.ts';
import { DONE, type Outcome } from '../mm/outcome.ts';
import { MustWait } from '../mm/user.ts';
import { exitProcess } from './exit.ts';
import { isOrphaned } from './family.ts';
import type { Process } from './process.ts';
import { leaveSequence } from './rseq.ts';
import { forceSignal, takenByOthers, tellParentOfStop } from './send.ts';
import { pushFrame } from './sigframe.ts';
import { kernelInfo, type SignalInfo } from './siginfo.ts';
import {
  defaultAction,
  difference,
  hasSignal,
  intersection,
  isEmpty,
  type SignalAction,
  UNBLOCKABLE,
  union,
  withSignal,
} from './signal.ts';
import { type Kernel, type Task, threadsOf } from './task.ts';

/** A limit below a page leaves no core file (Linux min_coredump). */
const SMALLEST_CORE = 4096n;

/** Whether `deliver` has anything to do: cheap enough to ask after every trap. */
export function hasDeliverable(task: Task): boolean {
  const { mask, awaited, pending } = task.signals;
  const own = pending.set;
  const shared = task.process.pending.set;
  if (((own.low & ~(mask.low | awaited.low)) | (own.high & ~(mask.high | awaited.high))) !== 0) return true;
  if (((shared.low & ~(mask.low | awaited.low)) | (shared.high & ~(mask.high | awaited.high))) === 0) return false;
  return !isEmpty(difference(difference(shared, union(mask, awaited)), takenByOthers(task)));
}

/**
 * Takes the task's pending signals one after the other, until none is left that is not blocked, or the task is stopped or dead. Returns
 * whether a handler's frame has been set up: then a wait is over. A `wait` means that a frame's page must be fetched first.
 */
export function deliver(task: Task): { readonly handled: boolean; readonly outcome: Outcome } {
  let handled = false;
  while (task.state === 'ready') {
    const info = takeSignal(task);
    if (info === undefined) break;
    const action = task.actions.get(info.signo);
    if (action.handler === SIG_IGN) {
      task.kernel.tracer.signal?.(task, info, 'ignored', 0);
    } else if (action.handler === SIG_DFL) {
      runDefault(task, info);
    } else {
      const outcome = runHandler(task, info, action);
      if (outcome.kind === 'wait') return { handled, outcome };
      handled = true;
    }
  }
  return { handled, outcome: DONE };
}

/** This thread's own signals first, then the process's; those that a waiting sigtimedwait takes are left to it. */
function takeSignal(task: Task): SignalInfo | undefined {
  const { mask, awaited, pending } = task.signals;
  const wanted = difference({ low: 0xffffffff, high: 0xffffffff }, union(mask, awaited));
  const { process } = task;
  const own = pending.take(wanted);
  if (own !== undefined) return own;
  const info = process.pending.take(difference(wanted, takenByOthers(task)));
  if (info !== undefined && !hasSignal(process.pending.set, info.signo)) process.takers.delete(info.signo);
  return info;
}

function runDefault(task: Task, info: SignalInfo): void {
  const { process, kernel } = task;
  const action = defaultAction(info.signo);
  switch (action) {
    case 'ignore':
      kernel.tracer.signal?.(task, info, 'ignored', 0);
      return;
    case 'continue':
      kernel.tracer.signal?.(task, info, 'continued', 0);
      return;
    case 'stop':
      // Nobody could continue it: job control's signals do nothing there.
      if (info.signo !== SIGSTOP && isOrphaned(kernel, process.pgid)) return;
      kernel.tracer.signal?.(task, info, 'stopped', 0);
      stopProcess(kernel, process, info.signo);
      return;
    case 'core':
    case 'terminate':
      kernel.tracer.signal?.(task, info, 'terminated', 0);
      kernel.tracer.fatal?.(task, info);
      exitProcess(kernel, process, {
        kind: 'killed',
        signo: info.signo,
        core: action === 'core' && process.dumpable === 1 && process.limits[RLIMIT_CORE].current >= SMALLEST_CORE,
      });
      return;
  }
}

function runHandler(task: Task, info: SignalInfo, action: SignalAction): Outcome {
  const { signals, kernel } = task;
  if (task.call.resumed) kernel.interruptCall(task, (action.flags & SA_RESTART) !== 0);
  const left = leaveSequence(task);
  if (left.kind === 'wait') {
    signals.pending.putBack(info);
    return left;
  }
  try {
    pushFrame(task, info, action, signals.savedMask ?? signals.mask, task.faulting);
  } catch (thrown) {
    if (thrown instanceof MustWait) {
      signals.pending.putBack(info);
      return thrown.outcome;
    }
    if (!(thrown instanceof Errno)) throw thrown;
    // The handler's stack is no good: Linux sends SIGSEGV, which kills if this was SIGSEGV itself.
    if (info.signo === SIGSEGV) task.actions.set(SIGSEGV, { ...action, handler: SIG_DFL });
    forceSignal(task, kernelInfo(SIGSEGV));
    return DONE;
  }
  kernel.tracer.signal?.(task, info, 'handler', action.handler);
  task.faulting = false;
  signals.savedMask = undefined;
  const blocked = union(signals.mask, action.mask);
  signals.mask = difference((action.flags & SA_NODEFER) !== 0 ? blocked : withSignal(blocked, info.signo), UNBLOCKABLE);
  if ((action.flags & SA_RESETHAND) !== 0) task.actions.set(info.signo, { ...action, handler: SIG_DFL });
  return DONE;
}

function stopProcess(kernel: Kernel, process: Process, signo: number): void {
  process.stopped = true;
  process.stopReport = signo;
  process.continueReport = false;
  for (const task of threadsOf(kernel, process)) {
    if (task.call.resumed) kernel.stopCall(task);
    kernel.scheduler.stop(task);
  }
  tellParentOfStop(kernel, process, CLD_STOPPED, signo);
}

/** What sigpending reports. */
export function pendingSignals(task: Task): SignalSet {
  return intersection(union(task.signals.pending.set, task.process.pending.set), task.signals.mask);
}
