/** Parents and children: who hears of an end, who adopts orphans, which process groups are left alone, and what wait finds. */
import {
  CLD_CONTINUED,
  CLD_DUMPED,
  CLD_EXITED,
  CLD_KILLED,
  CLD_STOPPED,
  SA_NOCLDWAIT,
  SIG_IGN,
  SIGCHLD,
  SIGCONT,
  SIGHUP,
  SI_USER,
} from '../abi/signal.ts';
import type { ExitStatus, Process } from './process.ts';
import { sendToProcess } from './send.ts';
import { childInfo, clockTicks, kernelInfo, userInfo } from './siginfo.ts';
import { type Kernel, type Task, threadsOf } from './task.ts';
import { inheritUsage } from './usage.ts';

/** The process has just ended: its children get another parent, its own parent is told, and nobody is left stopped in a group without a guide. */
export function leaveFamily(kernel: Kernel, process: Process): void {
  const groups = new Set<number>();
  for (const child of [...process.children]) {
    adopt(kernel, process, child);
    groups.add(child.pgid);
  }
  groups.add(process.pgid);
  for (const group of groups) rescueStopped(kernel, process, group);
  tellParent(kernel, process);
}

/** One thread of several has ended: the children it made are another's now. */
export function passChildren(task: Task, to: Task): void {
  for (const child of task.process.children) {
    if (child.parentTid !== task.tid) continue;
    child.parentTid = to.tid;
    sendDeathSignal(task.kernel, child, task.process.pid, task.credentials.uid);
  }
}

/** Linux: find_new_reaper. Where no ancestor has asked for orphans they are the machine's own, which waits for everybody. */
function adopt(kernel: Kernel, dead: Process, child: Process): void {
  let reaper = dead.parent;
  while (reaper !== undefined && !(reaper.childSubreaper && reaper.status === undefined)) reaper = reaper.parent;
  dead.children.delete(child);
  child.parent = reaper;
  child.orphan = reaper === undefined;
  child.exitSignal = SIGCHLD;
  if (reaper !== undefined) {
    reaper.children.add(child);
    child.parentTid = threadsOf(kernel, reaper)[0]?.tid ?? reaper.pid;
  }
  if (child.status === undefined) sendDeathSignal(kernel, child, dead.pid, dead.uid);
  else if (reaper === undefined) forget(kernel, child);
  else tellParent(kernel, child);
}

/** prctl(PR_SET_PDEATHSIG). */
function sendDeathSignal(kernel: Kernel, child: Process, pid: number, uid: number): void {
  for (const task of threadsOf(kernel, child)) {
    if (task.parentDeathSignal !== 0) sendToProcess(kernel, child, userInfo(task.parentDeathSignal, SI_USER, pid, uid));
  }
}

/** Nobody is going to ask for it any more. */
export function forget(kernel: Kernel, process: Process): void {
  process.parent?.children.delete(process);
  kernel.processes.delete(process.pid);
  kernel.remains.delete(process);
}

/** A group is orphaned when no member's parent is in another group of the same session: nobody could continue it. */
export function isOrphaned(kernel: Kernel, group: number, leaving?: Process): boolean {
  for (const process of kernel.processes.values()) {
    if (process.pgid !== group || process === leaving || process.status !== undefined) continue;
    const { parent } = process;
    if (parent !== undefined && parent.status === undefined && parent.pgid !== group && parent.sid === process.sid) return false;
    // The first process's parent is a shell outside of the machine.
    if (parent === undefined && !process.orphan && process.sid === 0) return false;
  }
  return true;
}

/** A group that has become orphaned with stopped members is told and continued. Linux: kill_orphaned_pgrp. */
function rescueStopped(kernel: Kernel, leaving: Process, group: number): void {
  const members = [...kernel.processes.values()].filter((process) => process.pgid === group && process.status === undefined);
  if (!members.some((process) => process.stopped) || !isOrphaned(kernel, group, leaving)) return;
  for (const member of members) {
    sendToProcess(kernel, member, kernelInfo(SIGHUP));
    sendToProcess(kernel, member, kernelInfo(SIGCONT));
  }
}

function tellParent(kernel: Kernel, process: Process): void {
  const { parent } = process;
  const status = process.status as ExitStatus;
  if (parent === undefined) {
    if (process.orphan) forget(kernel, process);
    return;
  }
  const [head] = threadsOf(kernel, parent);
  const action = head?.actions.get(SIGCHLD);
  const ignored = action?.handler === SIG_IGN;
  const reaped = process.exitSignal === SIGCHLD && (ignored || ((action?.flags ?? 0) & SA_NOCLDWAIT) !== 0);
  if (process.exitSignal > 0 && process.exitSignal <= 64) {
    const { userTime_ns, systemTime_ns, pid, uid } = process;
    const info = childInfo(
      endCode(status),
      process.exitSignal,
      pid,
      uid,
      endValue(status),
      clockTicks(userTime_ns),
      clockTicks(systemTime_ns),
    );
    sendToProcess(kernel, parent, info);
  }
  if (reaped) forget(kernel, process);
  parent.childChanged.wakeAll();
}

function endCode(status: ExitStatus): number {
  return status.kind === 'exited' ? CLD_EXITED : status.core ? CLD_DUMPED : CLD_KILLED;
}
function endValue(status: ExitStatus): number {
  return status.kind === 'exited' ? status.code : status.signo;
}

// ---- Waiting -------------------------------------------------------------------------------------------------------------------

export const WNOHANG = 1,
  WUNTRACED = 2,
  WEXITED = 4,
  WCONTINUED = 8,
  WNOWAIT = 0x0100_0000;
export const WNOTHREAD = 0x2000_0000,
  WALL = 0x4000_0000,
  WCLONE = 0x8000_0000;

/** Whom a wait is for. */
export interface Awaited {
  readonly matches: (child: Process) => boolean;
  readonly options: number;
}

/** Something that happened to a child: CLD_ code and its value, and the status word that wait4 gives. */
export interface ChildEvent {
  readonly child: Process;
  readonly code: number;
  readonly value: number;
  readonly status: number;
}

/** The next event, which is then used up (but for WNOWAIT); 'later' where it has not happened yet, 'none' where no child could have one. */
export function takeEvent(task: Task, { matches, options }: Awaited): ChildEvent | 'later' | 'none' {
  let found = false;
  for (const child of task.process.children) {
    if (!matches(child) || !eligible(task, child, options)) continue;
    found = true;
    const event = eventOf(child, options);
    if (event === undefined) continue;
    if ((options & WNOWAIT) === 0) use(task, event);
    return event;
  }
  return found ? 'later' : 'none';
}

function eligible(task: Task, child: Process, options: number): boolean {
  if ((options & WNOTHREAD) !== 0 && child.parentTid !== task.tid) return false;
  return (options & WALL) !== 0 || (child.exitSignal !== SIGCHLD) === ((options & WCLONE) !== 0);
}

function eventOf(child: Process, options: number): ChildEvent | undefined {
  if (child.status !== undefined) {
    if ((options & WEXITED) === 0) return undefined;
    const { status } = child;
    const word = status.kind === 'exited' ? (status.code & 0xff) << 8 : status.signo | (status.core ? 0x80 : 0);
    return { child, code: endCode(status), value: endValue(status), status: word };
  }
  if (child.stopReport !== 0 && (options & WUNTRACED) !== 0) {
    return { child, code: CLD_STOPPED, value: child.stopReport, status: (child.stopReport << 8) | 0x7f };
  }
  if (child.continueReport && (options & WCONTINUED) !== 0) return { child, code: CLD_CONTINUED, value: SIGCONT, status: 0xffff };
  return undefined;
}

function use(task: Task, { child, code }: ChildEvent): void {
  if (code === CLD_STOPPED) child.stopReport = 0;
  else if (code === CLD_CONTINUED) child.continueReport = false;
  else {
    const { process, kernel } = task;
    inheritUsage(kernel, process, child);
    forget(kernel, child);
  }
}
