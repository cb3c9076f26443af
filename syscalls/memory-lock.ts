/** Locking memory: mlock, mlock2, munlock, mlockall, munlockall, and what RLIMIT_MEMLOCK says to them and to everything that makes locked memory. */
import { CAP_IPC_LOCK } from '../abi/capability.ts';
import { EAGAIN, EINVAL, ENOMEM, EPERM, errno } from '../abi/errno.ts';
import * as mman from '../abi/mman.ts';
import { PAGE_SIZE, pageDown, pageUp, type Range } from '../abi/page.ts';
import { RLIM_INFINITY, RLIMIT_MEMLOCK } from '../abi/resource.ts';
import { SIGKILL } from '../abi/signal.ts';
import { AREA_LOCKED, AREA_LOCKS } from '../mm/area.ts';
import { fault, populate } from '../mm/fault.ts';
import { USER_TOP } from '../mm/placement.ts';
import type { MapRequest } from '../mm/request.ts';
import { capable } from '../proc/credentials.ts';
import type { Task } from '../proc/task.ts';
import { block } from '../proc/wait.ts';
import { define } from './define.ts';
import { address, count, flags, none } from './kinds.ts';

const MCL_ALL = mman.MCL_CURRENT | mman.MCL_FUTURE | mman.MCL_ONFAULT;

/** Bytes the task may lock; Infinity for a privileged one. */
export function lockLimit(task: Task): number {
  const { current } = task.process.limits[RLIMIT_MEMLOCK];
  task.space.mayLockAll = capable(task.credentials, CAP_IPC_LOCK);
  return task.space.mayLockAll || current === RLIM_INFINITY ? Number.POSITIVE_INFINITY : Number(current);
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

/** Whether a mapping with these MAP_ bits will be locked, if it may. */
export function willLock(task: Task, how: number): boolean {
  return (how & mman.MAP_LOCKED) !== 0 || task.space.lockFuture !== 'no';
}

/** Throws EPERM and EAGAIN where a mapping with these MAP_ bits must be locked but may not. */
export function checkLock(task: Task, how: number, size: number): void {
  if ((how & mman.MAP_LOCKED) !== 0 && lockLimit(task) === 0) throw errno(EPERM);
  if (willLock(task, how) && !mayLock(task, pageUp(size))) throw errno(EAGAIN);
}

/** Maps with the locks that mappings get of themselves (mlockall) besides those the request asks for; what is locked is brought in. */
export function mapWithLocks(task: Task, request: MapRequest): number {
  const locked = willLock(task, request.flags);
  const check = () => {
    checkLock(task, request.flags, request.size);
    request.check?.();
  };
  const addr = task.space.map({ ...request, flags: request.flags | (locked ? mman.MAP_LOCKED : 0), check });
  if (locked && task.space.lockFuture !== 'on fault') populate(task.space, addr, Math.min(addr + pageUp(request.size), USER_TOP));
  return addr;
}

function lock(task: Task, addr: number, length: number, present: boolean): void {
  const limit = lockLimit(task);
  if (limit === 0) throw errno(EPERM);
  const range = { base: pageDown(addr), top: pageUp(addr + length) };
  if (limit !== Number.POSITIVE_INFINITY && lockedBytes(task, range) + range.top - range.base > limit) throw errno(ENOMEM);
  setLocks(task, range, present ? AREA_LOCKED : AREA_LOCKS);
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

/** Gives areas these of AREA_LOCKS up to the first hole (Linux apply_vma_lock_flags), which is ENOMEM. */
function setLocks(task: Task, range: Range, locks: number): void {
  const { table } = task.space;
  let at = range.base;
  while (at < range.top) {
    const area = task.space.find(at);
    if (area === undefined) break;
    const top = Math.min(area.top, range.top);
    if ((area.flags & AREA_LOCKS) !== locks) {
      const cuts = Number(at > area.base) + Number(top < area.top);
      if (task.space.areaCount + cuts > task.space.maxAreas) throw errno(ENOMEM);
      table.cutAt(at);
      table.cutAt(top);
      const exact = task.space.find(at);
      if (exact !== undefined) table.setFlags(exact, (exact.flags & ~AREA_LOCKS) | locks);
    }
    at = top;
  }
  table.merge({ base: range.base, top: at });
  if (at < range.top) throw errno(ENOMEM);
}

function setAllLocks(task: Task, locks: number): void {
  const { table } = task.space;
  for (const area of [...task.space.areas()]) table.setFlags(area, (area.flags & ~AREA_LOCKS) | locks);
  table.merge({ base: 0, top: USER_TOP });
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
  handler: (task, addr, length) => setLocks(task, { base: pageDown(addr), top: pageUp(addr + length) }, 0),
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
    setAllLocks(task, onFault ? AREA_LOCKS : AREA_LOCKED);
    // Linux ignores what cannot be brought in.
    if (!onFault) for (const area of [...task.space.areas()]) populate(task.space, area.base, area.top);
  },
});
const munlockall = define({
  name: 'munlockall', args: [], result: none, support: 'full',
  handler: (task) => {
    task.space.lockFuture = 'no';
    setAllLocks(task, 0);
  },
});

export const calls = [mlock, mlock2, munlock, mlockall, munlockall];
