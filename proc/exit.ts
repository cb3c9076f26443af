/** How tasks and processes end: what they let go, and who is told. */
import { Errno } from '../abi/errno.ts';
import { PAGE_SIZE } from '../abi/page.ts';
import { release } from '../fs/path.ts';
import { MustWait } from '../mm/user.ts';
import { leaveFamily, passChildren } from './family.ts';
import { futexKey, releaseRobustList } from './futex-key.ts';
import { releaseLocks } from './futex-pi.ts';
import type { ExitStatus, Process } from './process.ts';
import { retarget } from './send.ts';
import { type Kernel, type Task, threadsOf } from './task.ts';
import { addSwitches } from './switches.ts';

/** One thread ends (exit). The last one ends the process with this status. */
export function exitTask(task: Task, code: number): void {
  if (task.state === 'dead') return;
  if (threadsOf(task.kernel, task.process).length === 1) exitProcess(task.kernel, task.process, { kind: 'exited', code: code & 0xff });
  else {
    endTask(task);
    task.process.ended.wakeAll();
  }
}

/** The whole process ends (exit_group, a fatal signal). */
export function exitProcess(kernel: Kernel, process: Process, status: ExitStatus): void {
  if (process.status !== undefined) return;
  const tasks = threadsOf(kernel, process);
  kernel.tracer.exit?.(process, status);
  process.status = status;
  if (tasks[0] !== undefined) kernel.remains.set(process, tasks[0]);
  process.uid = tasks[0]?.credentials.uid ?? 0;
  for (const timer of [process.timers.real, process.timers.virtual, process.timers.profile]) timer.due = undefined;
  process.posixTimers.clear();
  for (const task of tasks) endTask(task);
  kernel.semaphores.exit(process, process.pid);
  if (process.pid === process.sid) kernel.files.sessionOver?.(process.sid);
  leaveFamily(kernel, process);
  process.ended.wakeAll();
}

/** execve: all threads but this one end, and it becomes the process's first. Linux: de_thread. */
export function becomeOnlyThread(task: Task): void {
  const { kernel, process } = task;
  for (const other of threadsOf(kernel, process)) if (other !== task) endTask(other);
  if (task.tid === process.pid) return;
  kernel.tasks.delete(task.tid);
  process.tids.delete(task.tid);
  for (const child of process.children) if (child.parentTid === task.tid) child.parentTid = process.pid;
  task.tid = process.pid;
  kernel.tasks.set(task.tid, task);
  process.tids.add(task.tid);
}

/** What a task leaves behind in memory that others may still use, before it leaves that memory. Linux: mm_release. */
export function leaveMemory(task: Task): void {
  task.kernel.futexes.finish(task);
  task.kernel.semaphores.finish(task);
  task.kernel.messages.finish(task);
  tolerant(() => releaseRobustList(task));
  releaseLocks(task);
  tolerant(() => clearChildTid(task));
  task.releaseVfork();
}

function endTask(task: Task): void {
  if (task.state === 'dead') return;
  const { kernel, process } = task;
  const { users } = kernel;
  leaveMemory(task);
  task.callOver();
  kernel.scheduler.remove(task);
  kernel.tasks.delete(task.tid);
  process.tids.delete(task.tid);
  if (process.status === undefined) {
    retarget(task);
    const [heir] = threadsOf(kernel, process);
    if (heir !== undefined) passChildren(task, heir);
  }
  addSwitches(process.endedSwitches, task.switches);
  users.drop(task.actions);
  if (users.drop(task.files)) task.files.closeAll();
  if (users.drop(task.fs)) {
    release(task.fs.root);
    release(task.fs.cwd);
  }
  process.peakResident = Math.max(process.peakResident, task.space.copies.size * (PAGE_SIZE / 1024));
  if (users.drop(task.space)) task.space.release();
  task.registers.release();
}

/** set_tid_address: tells a joining thread. Linux does so only while the memory has other users. */
function clearChildTid(task: Task): void {
  if (task.clearChildTid === 0 || !task.kernel.users.shared(task.space)) return;
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
