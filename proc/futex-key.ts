/** Which futex an address means, and what robust futexes of a dying task become. */
import { EFAULT, EINVAL, errno } from '../abi/errno.ts';
import { PROT_WRITE } from '../abi/mman.ts';
import { type Addr, PAGE_SIZE } from '../abi/page.ts';
import type { FutexKey } from './futex.ts';
import type { Task } from './task.ts';

const FUTEX_WAITERS = 0x80000000,
  FUTEX_OWNER_DIED = 0x40000000,
  FUTEX_TID_MASK = 0x3fffffff;
/** Linux's ROBUST_LIST_LIMIT: a list may be a ring. */
const ROBUST_LIST_LIMIT = 2048;
/** The low bit of a list pointer marks a priority-inheritance futex. */
const PI_BIT = 1;

/** Private futexes are known by space and address; others by the object and byte where their mapping is shared, else as private ones. */
export function futexKey(task: Task, addr: Addr, isPrivate: boolean): FutexKey {
  if ((addr & 3) !== 0) throw errno(EINVAL);
  if (isPrivate) return { owner: task.space, place: addr };
  const area = task.space.find(addr);
  if (area === undefined) throw errno(EFAULT);
  if (area.sharing === 'shared' && area.object !== undefined) {
    return { owner: area.object, place: area.offset * PAGE_SIZE + (addr - area.base) };
  }
  // Anonymous memory that cannot be written never changes: Linux refuses to wait there.
  if (area.object === undefined && (area.prot & PROT_WRITE) === 0) throw errno(EFAULT);
  return { owner: task.space, place: addr };
}

/** Marks every futex on the task's robust list as owned by a dead thread, and wakes one waiter each. Linux: exit_robust_list. */
export function releaseRobustList(task: Task): void {
  const head = task.robustList;
  if (head === 0) return;
  const { user } = task;
  let entry = user.readU32(head);
  const offset = user.readI32(head + 4);
  const pending = user.readU32(head + 8);
  for (let left = ROBUST_LIST_LIMIT; (entry & ~PI_BIT) >>> 0 !== head && left > 0; left--) {
    const next = user.readU32((entry & ~PI_BIT) >>> 0);
    if (entry !== pending) handleDeath(task, entry, offset, false);
    entry = next;
  }
  if (pending !== 0) handleDeath(task, pending, offset, true);
}

function handleDeath(task: Task, entry: number, offset: number, isPending: boolean): void {
  const addr = (((entry & ~PI_BIT) >>> 0) + offset) >>> 0;
  const word = task.user.readU32(addr);
  const wake = () => task.kernel.futexes.wake(futexKey(task, addr, false), 1, 0xffffffff);
  // A thread that died between unlocking and waking left the word at 0.
  if (isPending && (entry & PI_BIT) === 0 && word === 0) wake();
  if ((word & FUTEX_TID_MASK) !== task.tid) return;
  task.user.writeU32(addr, ((word & FUTEX_WAITERS) | FUTEX_OWNER_DIED) >>> 0);
  if ((entry & PI_BIT) === 0 && (word & FUTEX_WAITERS) !== 0) wake();
}
