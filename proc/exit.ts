/** How tasks and processes end: what they let go, and who is told. */
import { Errno } from '../abi/errno.ts';
import { CLD_DUMPED, CLD_EXITED, CLD_KILLED, SA_NOCLDWAIT, SIG_IGN, SIGCHLD } from '../abi/signal.ts';
import { MustWait } from '../mm/user.ts';
import { futexKey, releaseRobustList } from './futex-key.ts';
import type { ExitStatus, Process } from './process.ts';
import { sendToProcess } from './send.ts';
import { childInfo } from './siginfo.ts';
import { type Kernel, type Task, threadsOf } from './task.ts';

/** Linux's clock tick in nanoseconds: 100 a second. */
const TICK_NS = 10_000_000n;

/** One thread ends (exit). The last one ends the process with this status. */
export function exitTask(task: Task, code: number): void {
  if (task.state === 'dead') return;
  if (threadsOf(task.kernel, task.process).length === 1) exitProcess(task.kernel, task.process, { kind: 'exited', code: code & 0xff });
  else endTask(task);
}

/** The whole process ends (exit_group, a fatal signal). */
export function exitProcess(kernel: Kernel, process: Process, status: ExitStatus): void {
  if (process.status !== undefined) return;
  const tasks = threadsOf(kernel, process);
  kernel.tracer.exit?.(process, status);
  process.status = status;
  for (const timer of [process.timers.real, process.timers.virtual, process.timers.profile]) timer.due = undefined;
  process.posixTimers.clear();
  for (const task of tasks) endTask(task);
  for (const child of process.children) child.parent = undefined;
  process.children.clear();
  tellParent(kernel, process, status, tasks[0]?.credentials.uid ?? 0);
}

function endTask(task: Task): void {
  if (task.state === 'dead') return;
  const { kernel, process } = task;
  kernel.futexes.finish(task);
  tolerant(() => releaseRobustList(task));
  tolerant(() => clearChildTid(task));
  kernel.scheduler.remove(task);
  kernel.tasks.delete(task.tid);
  process.tids.delete(task.tid);
  if (!shared(task, (other) => other.files === task.files)) task.files.closeAll();
  if (!shared(task, (other) => other.space === task.space)) task.space.release();
  task.registers.release();
}

function shared(task: Task, same: (other: Task) => boolean): boolean {
  for (const other of task.kernel.tasks.values()) if (other !== task && other.state !== 'dead' && same(other)) return true;
  return false;
}

/** set_tid_address: tells a joining thread. Linux does so only while the memory has other users. */
function clearChildTid(task: Task): void {
  if (task.clearChildTid === 0 || !shared(task, (other) => other.space === task.space)) return;
  task.user.writeU32(task.clearChildTid, 0);
  task.kernel.futexes.wake(futexKey(task, task.clearChildTid, false), 1, 0xffffffff);
}

/** What a dying task still does in guest memory must not stop its end, whatever that memory is like. */
function tolerant(action: () => void): void {
  try {
    action();
  } catch (thrown) {
    if (!(thrown instanceof Errno || thrown instanceof MustWait)) throw thrown;
  }
}

function tellParent(kernel: Kernel, process: Process, status: ExitStatus, uid: number): void {
  const { parent } = process;
  if (parent === undefined) return;
  const [head] = threadsOf(kernel, parent);
  const action = head?.actions.get(SIGCHLD);
  if (action?.handler === SIG_IGN || ((action?.flags ?? 0) & SA_NOCLDWAIT) !== 0) {
    parent.children.delete(process);
    kernel.processes.delete(process.pid);
  }
  const code = status.kind === 'exited' ? CLD_EXITED : status.core ? CLD_DUMPED : CLD_KILLED;
  const value = status.kind === 'exited' ? status.code : status.signo;
  const ticks = (time_ns: bigint) => Number(time_ns / TICK_NS);
  if (process.exitSignal !== 0) {
    const { userTime_ns, systemTime_ns } = process;
    sendToProcess(kernel, parent, childInfo(code, process.exitSignal, process.pid, uid, value, ticks(userTime_ns), ticks(systemTime_ns)));
  }
  parent.childChanged.wakeAll();
}
