/** Locking memory: mlock, mlock2, munlock, mlockall, munlockall, and what RLIMIT_MEMLOCK says to them and to everything that makes locked memory. */
import { CAP_IPC_LOCK } from '../abi/capability.ts';
import { EAGAIN, EINVAL, ENOMEM, EPERM, errno } from '../abi/errno.ts';
import * as mman from '../abi/mman.ts';
import { PAGE_SIZE, pageDown, pageUp, type Range } from '../abi/page.ts';
import { RLIM_INFINITY, RLIMIT_MEMLOCK } from '../abi/resource.ts';
import { SIGKILL } from '../abi/signal.ts';
import { AREA_LOCKED, type Area } from '../mm/area.ts';
import { fault, populate } from '../mm/fault.ts';
import { USER_TOP } from '../mm/placement.ts';
import { capable } from '../proc/credentials.ts';
import type { Task } from '../proc/task.ts';
import { block } from '../proc/wait.ts';
import { define } from './define.ts';
import { address, count, flags, none } from './kinds.ts';

const MCL_ALL = mman.MCL_CURRENT | mman.MCL_FUTURE | mman.MCL_ONFAULT;

/** Bytes the task may lock; Infinity for a privileged one. */
function lockLimit(task: Task): number {
  const { current } = task.process.limits[RLIMIT_MEMLOCK];
  return capable(task.credentials, CAP_IPC_LOCK) || current === RLIM_INFINITY ? Number.POSITIVE_INFINITY : Number(current);
}

/** Bytes of locked areas outside of `except`. */
function lockedBytes(task: Task, except?: Range): number {
  let bytes = 0;
  for (const area of task.space.areas()) {
    if ((area.flags & AREA_LOCKED) === 0) continue;
    bytes += area.top - area.base;
    if (except !== undefined) bytes -= Math.max(0, Math.min(area.top, except.top) - Math.max(area.base, except.base));
  }
  return bytes;
}

/** Whether `bytes` more may be locked (Linux mlock_future_ok). */
export function mayLock(task: Task, bytes: number): boolean {
  const limit = lockLimit(task);
  return limit === Number.POSITIVE_INFINITY || lockedBytes(task) + bytes <= limit;
}

/** Whether a mapping with these MAP_ bits will be locked. Throws EPERM and EAGAIN where it must be but may not. */
export function willLock(task: Task, how: number, size: number): boolean {
  if ((how & mman.MAP_LOCKED) !== 0 && lockLimit(task) === 0) throw errno(EPERM);
  if ((how & mman.MAP_LOCKED) === 0 && task.space.lockFuture === 'no') return false;
  if (!mayLock(task, pageUp(size))) throw errno(EAGAIN);
  return true;
}

function lock(task: Task, addr: number, length: number, present: boolean): void {
  const limit = lockLimit(task);
  if (limit === 0) throw errno(EPERM);
  const range = { base: pageDown(addr), top: pageUp(addr + length) };
  if (limit !== Number.POSITIVE_INFINITY && lockedBytes(task, range) + range.top - range.base > limit) throw errno(ENOMEM);
  setLocked(task, range, true);
  if (present) bringIn(task, range);
}

/** Makes every page of a locked range present. What cannot be had is ENOMEM, except that the machine's own lack of memory is EAGAIN. */
function bringIn(task: Task, range: Range): void {
  for (let at = range.base; at < range.top; ) {
    const area = task.space.find(at);
    if (area === undefined) throw errno(ENOMEM);
    const top = Math.min(area.top, range.top, USER_TOP);
    const outcome = area.prot === 0 ? fault(task.space, at, 'read') : populate(task.space, at, top);
    if (outcome.kind === 'wait') throw block(outcome.on);
    if (outcome.kind === 'signal') throw errno(outcome.signo === SIGKILL ? EAGAIN : ENOMEM);
    at = top;
  }
}

/** Locks or unlocks areas up to the first hole (Linux apply_vma_lock_flags), which is ENOMEM. */
function setLocked(task: Task, range: Range, on: boolean): void {
  const { table } = task.space;
  let at = range.base;
  while (at < range.top) {
    const area = task.space.find(at);
    if (area === undefined) break;
    const top = Math.min(area.top, range.top);
    if (((area.flags & AREA_LOCKED) !== 0) !== on) {
      const cuts = Number(at > area.base) + Number(top < area.top);
      if (task.space.areaCount + cuts > task.space.maxAreas) throw errno(ENOMEM);
      table.cutAt(at);
      table.cutAt(top);
      const exact = task.space.find(at);
      if (exact !== undefined) mark(exact, on);
    }
    at = top;
  }
  table.merge({ base: range.base, top: at });
  if (at < range.top) throw errno(ENOMEM);
}

function mark(area: Area, on: boolean): void {
  area.flags = on ? area.flags | AREA_LOCKED : area.flags & ~AREA_LOCKED;
}

function setAllLocked(task: Task, on: boolean): void {
  const areas = [...task.space.areas()];
  for (const area of areas) mark(area, on);
  task.space.table.merge({ base: 0, top: USER_TOP });
}

const mlock = define({
  name: 'mlock', args: [['addr', address], ['len', count]], result: none, support: 'full',
  handler: (task, addr, length) => lock(task, addr, length, true),
});
const mlock2 = define({
  name: 'mlock2', args: [['addr', address], ['len', count], ['flags', flags({ MLOCK_ONFAULT: mman.MLOCK_ONFAULT })]], result: none, support: 'full',
  handler: (task, addr, length, how) => {
    if ((how & ~mman.MLOCK_ONFAULT) !== 0) throw errno(EINVAL);
    lock(task, addr, length, (how & mman.MLOCK_ONFAULT) === 0);
  },
});
const munlock = define({
  name: 'munlock', args: [['addr', address], ['len', count]], result: none, support: 'full',
  handler: (task, addr, length) => setLocked(task, { base: pageDown(addr), top: pageUp(addr + length) }, false),
});

const mlockall = define({
  name: 'mlockall', args: [['flags', flags({ MCL_CURRENT: mman.MCL_CURRENT, MCL_FUTURE: mman.MCL_FUTURE, MCL_ONFAULT: mman.MCL_ONFAULT })]],
  result: none, support: 'full',
  handler: (task, how) => {
    if ((how & ~MCL_ALL) !== 0 || how === 0 || how === mman.MCL_ONFAULT) throw errno(EINVAL);
    const limit = lockLimit(task);
    if (limit === 0) throw errno(EPERM);
    const current = (how & mman.MCL_CURRENT) !== 0;
    const onFault = (how & mman.MCL_ONFAULT) !== 0;
    if (current && task.space.table.pages * PAGE_SIZE > limit) throw errno(ENOMEM);
    task.space.lockFuture = (how & mman.MCL_FUTURE) === 0 ? 'no' : onFault ? 'on fault' : 'present';
    if (!current) return;
    setAllLocked(task, true);
    // Linux ignores what cannot be brought in.
    if (!onFault) for (const area of [...task.space.areas()]) populate(task.space, area.base, area.top);
  },
});
const munlockall = define({
  name: 'munlockall', args: [], result: none, support: 'full',
  handler: (task) => {
    task.space.lockFuture = 'no';
    setAllLocked(task, false);
  },
});

export const calls = [mlock, mlock2, munlock, mlockall, munlockall];
