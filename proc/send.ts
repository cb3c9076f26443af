/** Sending signals: who gets one, and what it does to waits and stops. Delivery is in deliver.ts. */
import { POLLIN } from '../abi/poll.ts';
import { RLIMIT_SIGPENDING } from '../abi/resource.ts';
import {
  CLD_CONTINUED,
  SA_NOCLDSTOP,
  SI_KERNEL,
  SI_USER,
  SIG_DFL,
  SIG_IGN,
  SIGCHLD,
  SIGCONT,
  SIGKILL,
  SIGRTMIN,
  type SignalSet,
} from '../abi/signal.ts';
import type { Process } from './process.ts';
import { childInfo, clockTicks, type SignalInfo, userInfo } from './siginfo.ts';
import { difference, hasSignal, type PendingSignals, setOf, STOP_SIGNALS, withSignal } from './signal.ts';
import { type Kernel, type Task, threadsOf } from './task.ts';

/** A signal that a thread brings on itself by a call: SIGPIPE, SIGXFSZ. It looks as if it had sent it. */
export function ownInfo(task: Task, signo: number): SignalInfo {
  return userInfo(signo, SI_USER, task.process.pid, task.credentials.uid);
}

/** What became of a signal: it is pending (perhaps as one with others like it), of no effect, or lost because too many are queued (RLIMIT_SIGPENDING). */
export type Sent = 'pending' | 'dropped' | 'full';

/** Sends to one thread (tgkill, CPU exceptions). */
export function sendToTask(task: Task, info: SignalInfo): Sent {
  if (task.state === 'dead' || !prepare(task.kernel, task.process, info)) return 'dropped';
  if (dropped(task, info.signo)) return 'dropped';
  if (!enqueue(task.process, task.signals.pending, info)) return 'full';
  if (wants(task, info.signo)) interrupt(task);
  task.process.signalled.wakeAll(POLLIN);
  return 'pending';
}

/** Sends to a process: the first thread that does not block the signal takes it, as on Linux; the first of all is the process's first. */
export function sendToProcess(kernel: Kernel, process: Process, info: SignalInfo): Sent {
  if (process.status !== undefined || !prepare(kernel, process, info)) return 'dropped';
  const tasks = threadsOf(kernel, process);
  if (tasks.length === 0 || tasks.every((task) => dropped(task, info.signo))) return 'dropped';
  if (!enqueue(process, process.pending, info)) return 'full';
  if (info.signo === SIGKILL) tasks.forEach(interrupt);
  else choose(process, tasks, info.signo);
  process.signalled.wakeAll(POLLIN);
  return 'pending';
}

function choose(process: Process, tasks: readonly Task[], signo: number): void {
  const taker = tasks.find((task) => wants(task, signo));
  if (taker === undefined) {
    process.takers.delete(signo);
    return;
  }
  process.takers.set(signo, taker.tid);
  interrupt(taker);
}

/** Signals of the process that were this task's to take go to others, where it blocks them now or is dead. Linux: retarget_shared_pending. */
export function retarget(task: Task): void {
  const { kernel, process } = task;
  for (const [signo, tid] of process.takers)
    if (!hasSignal(process.pending.set, signo)) process.takers.delete(signo);
    else if (tid === task.tid && (task.state === 'dead' || !wants(task, signo))) choose(process, threadsOf(kernel, process), signo);
}

/** The process's signals that another thread is to take. */
export function takenByOthers(task: Task): SignalSet {
  const { kernel, process } = task;
  let others = setOf();
  for (const [signo, tid] of process.takers) {
    const taker = tid === task.tid ? undefined : kernel.tasks.get(tid);
    if (taker !== undefined && taker.state !== 'dead' && wants(taker, signo)) others = withSignal(others, signo);
  }
  return others;
}

/** Where too many are queued already, kill's signals still arrive, once and without a sender, and others do not. Linux: __send_signal_locked. */
function enqueue(process: Process, pending: PendingSignals, info: SignalInfo): boolean {
  const isKernels = info.code === SI_KERNEL || info.taken !== undefined;
  if (info.signo < SIGRTMIN || isKernels || BigInt(pending.queued) < process.limits[RLIMIT_SIGPENDING].current) {
    pending.add(info);
    return true;
  }
  if (info.code !== SI_USER) return false;
  if (!hasSignal(pending.set, info.signo)) pending.add(userInfo(info.signo, SI_USER, 0, 0));
  return true;
}

/**
 * A signal that the running instruction brought on itself: it cannot be put off. Where it is blocked or ignored the process dies of it.
 */
export function forceSignal(task: Task, info: SignalInfo): void {
  const { actions, signals } = task;
  const blocked = hasSignal(signals.mask, info.signo);
  if (blocked || actions.get(info.signo).handler === SIG_IGN) {
    actions.set(info.signo, { ...actions.get(info.signo), handler: SIG_DFL });
    signals.mask = difference(signals.mask, setOf(info.signo));
  }
  signals.pending.add(info);
}

/** Stop and continue signals cancel each other when sent, whatever their actions are. Returns false where nothing more is to be done. */
function prepare(kernel: Kernel, process: Process, info: SignalInfo): boolean {
  if (info.signo === 0) return false;
  if (hasSignal(STOP_SIGNALS, info.signo)) forgetPending(kernel, process, setOf(SIGCONT));
  if (info.signo === SIGCONT) {
    forgetPending(kernel, process, STOP_SIGNALS);
    continueProcess(kernel, process);
  }
  if (info.signo === SIGKILL) resume(kernel, process);
  return true;
}

function forgetPending(kernel: Kernel, process: Process, set: SignalSet): void {
  process.pending.remove(set);
  for (const task of threadsOf(kernel, process)) task.signals.pending.remove(set);
}

/** Ignored signals vanish when sent, unless they are blocked: the action may be another by the time they are not. */
function dropped(task: Task, signo: number): boolean {
  return !hasSignal(task.signals.mask, signo) && !hasSignal(task.signals.awaited, signo) && task.actions.ignores(signo);
}

function wants(task: Task, signo: number): boolean {
  return !hasSignal(task.signals.mask, signo) || hasSignal(task.signals.awaited, signo);
}

/** A waiting task looks at its signals; the call it waits in runs again if no handler cuts it short. */
function interrupt(task: Task): void {
  task.kernel.scheduler.wake(task);
}

function continueProcess(kernel: Kernel, process: Process): void {
  if (!process.stopped) return;
  resume(kernel, process);
  process.stopReport = 0;
  process.continueReport = true;
  tellParentOfStop(kernel, process, CLD_CONTINUED, SIGCONT);
}

function resume(kernel: Kernel, process: Process): void {
  process.stopped = false;
  for (const task of threadsOf(kernel, process)) kernel.scheduler.resume(task);
}

/** SIGCHLD for a stop or a continuation, unless the parent does not want to know. */
export function tellParentOfStop(kernel: Kernel, process: Process, code: number, status: number): void {
  const { parent } = process;
  if (parent === undefined) return;
  parent.childChanged.wakeAll();
  const [first] = threadsOf(kernel, parent);
  if (first === undefined || (first.actions.get(SIGCHLD).flags & SA_NOCLDSTOP) !== 0) return;
  const [child] = threadsOf(kernel, process);
  const { userTime_ns, systemTime_ns } = process;
  const uid = child?.credentials.uid ?? 0;
  sendToProcess(kernel, parent, childInfo(code, SIGCHLD, process.pid, uid, status, clockTicks(userTime_ns), clockTicks(systemTime_ns)));
}
