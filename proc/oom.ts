/**
 * Out of memory: the machine's frames are used up and nothing can be taken back. As Linux does (mm/oom_kill.c), the process that holds most is killed, unless
 * it is spared (oom_score_adj), and at once: its memory is free when the allocation that failed is tried again.
 */
import { EACCES, EINVAL, errno } from '../abi/errno.ts';
import { PAGE_SIZE } from '../abi/page.ts';
import { SIGKILL } from '../abi/signal.ts';
import { residentPages } from '../mm/account.ts';
import type { FramePool } from '../mm/frame.ts';
import { exitProcess } from './exit.ts';
import type { Process } from './process.ts';
import { sendToProcess } from './send.ts';
import { hasSignal } from './signal.ts';
import { kernelInfo } from './siginfo.ts';
import { type Kernel, type Task, threadsOf } from './task.ts';

/** oom_score_adj of what must never be chosen, and of what is chosen first. */
const OOM_SCORE_ADJ_MIN = -1000,
  OOM_SCORE_ADJ_MAX = 1000;
/** The same of oom_adj, which older programs know. */
const OOM_DISABLE = -17,
  OOM_ADJUST_MAX = 15;

export interface OomPolicy {
  readonly kernel: Kernel;
  readonly frames: FramePool;
  /** The task whose instructions or call need the frame; undefined: the host does. */
  current(): Task | undefined;
  /** Told, in a line for people, who was killed. */
  warn?(text: string): void;
}

/** The last resort of a machine's frame pool. */
export function outOfMemory(policy: OomPolicy): () => number {
  let busy = false;
  return () => {
    // Dying processes may touch memory once more; that must not kill others.
    if (busy) return 0;
    busy = true;
    try {
      return makeRoom(policy);
    } finally {
      busy = false;
    }
  };
}

/** Kills until frames are free; returns how many. 0 where the task that asks must die itself, or nobody may be killed. */
function makeRoom({ kernel, frames, current, warn }: OomPolicy): number {
  const asking = current();
  if (asking === undefined || isDying(asking)) return 0;
  const before = frames.inUse;
  for (let victim = choose(kernel, frames); victim !== undefined; victim = choose(kernel, frames)) {
    const [task] = threadsOf(kernel, victim);
    warn?.(`out of memory: killed process ${victim.pid} (${task?.name}), which had ${pagesText(task)}; oom_score_adj ${victim.oomAdjust}`);
    if (killWithSharers(kernel, victim, asking)) return 0;
    if (frames.inUse < before) return before - frames.inUse;
  }
  warn?.(`out of memory: nobody may be killed but process ${asking.process.pid} (${asking.name}), which asked for more`);
  sendToProcess(kernel, asking.process, kernelInfo(SIGKILL));
  return 0;
}

function pagesText(task: Task | undefined): string {
  if (task === undefined) return 'no pages';
  const { anonymous, file, shmem } = residentPages(task.space);
  return `${anonymous + file + shmem} pages (${anonymous} of its own, ${file} of files, ${shmem} shared)`;
}

function isDying(task: Task): boolean {
  return [task.process.pending, task.signals.pending].some(({ set }) => hasSignal(set, SIGKILL));
}

/** Every process in the victim's memory dies with it. Returns whether that takes the asking task's: then it dies on its way back to the guest. */
function killWithSharers(kernel: Kernel, victim: Process, asking: Task): boolean {
  const spaces = new Set(threadsOf(kernel, victim).map(({ space }) => space));
  const sharers = [...kernel.processes.values()].filter((process) => threadsOf(kernel, process).some(({ space }) => spaces.has(space)));
  const isAskers = spaces.has(asking.space);
  for (const process of sharers) {
    if (isAskers) sendToProcess(kernel, process, kernelInfo(SIGKILL));
    else exitProcess(kernel, process, { kind: 'killed', signo: SIGKILL, core: false });
  }
  return isAskers;
}

/** Who has the highest badness, the last of equals. Linux select_bad_process. */
function choose(kernel: Kernel, frames: FramePool): Process | undefined {
  let chosen: Process | undefined;
  let most = Number.NEGATIVE_INFINITY;
  for (const process of kernel.processes.values()) {
    const points = badness(kernel, process, frames.limit);
    if (points === undefined || points < most) continue;
    most = points;
    chosen = process;
  }
  return chosen;
}

/** Pages a process has in memory, and a thousandth of all for each point of its adjustment; undefined where it must not be chosen. Linux oom_badness. */
function badness(kernel: Kernel, process: Process, totalPages: number): number | undefined {
  const [task] = threadsOf(kernel, process);
  if (task === undefined || process.oomAdjust === OOM_SCORE_ADJ_MIN || task.vforkParent !== undefined) return undefined;
  const { anonymous, file, shmem } = residentPages(task.space);
  return anonymous + file + shmem + process.oomAdjust * Math.floor(totalPages / OOM_SCORE_ADJ_MAX);
}

/** What /proc/PID/oom_score says: badness from 0 to 1333. */
export function oomScore(kernel: Kernel, process: Process): number {
  const totalPages = kernel.memory().total / PAGE_SIZE;
  const points = badness(kernel, process, totalPages);
  return points === undefined ? 0 : Math.max(0, Math.trunc(((1000 + Math.trunc((points * 1000) / totalPages)) * 2) / 3));
}

/** Writes /proc/PID/oom_score_adj. Throws EINVAL, and EACCES below what a privileged writer has set before. Linux __set_oom_adj. */
export function setOomScoreAdj(task: Task, value: number, isPrivileged: boolean): void {
  if (value < OOM_SCORE_ADJ_MIN || value > OOM_SCORE_ADJ_MAX) throw errno(EINVAL);
  if (value < task.process.oomAdjustLeast && !isPrivileged) throw errno(EACCES);
  for (const process of sharersOf(task)) {
    process.oomAdjust = value;
    if (isPrivileged) process.oomAdjustLeast = value;
  }
}

/** /proc/PID/oom_adj: the same on a smaller scale. */
export function oomAdj({ process }: Task): number {
  if (process.oomAdjust === OOM_SCORE_ADJ_MAX) return OOM_ADJUST_MAX;
  return Math.min(OOM_ADJUST_MAX, Math.trunc((process.oomAdjust * -OOM_DISABLE) / OOM_SCORE_ADJ_MAX));
}

export function setOomAdj(task: Task, value: number, isPrivileged: boolean): void {
  if (value < OOM_DISABLE || value > OOM_ADJUST_MAX) throw errno(EINVAL);
  const points = value === OOM_ADJUST_MAX ? OOM_SCORE_ADJ_MAX : Math.trunc((value * OOM_SCORE_ADJ_MAX) / -OOM_DISABLE);
  if (points < task.process.oomAdjust && !isPrivileged) throw errno(EACCES);
  for (const process of sharersOf(task)) process.oomAdjust = points;
}

/** The task's process, and those that run in its memory; while a vforked child does, each is for itself. */
function sharersOf({ kernel, process, space, vforkParent }: Task): Process[] {
  if (vforkParent !== undefined) return [process];
  const sharing = (other: Task): boolean => other.space === space && other.vforkParent === undefined && other.vforked === undefined;
  return [...kernel.processes.values()].filter((each) => each === process || threadsOf(kernel, each).some(sharing));
}
