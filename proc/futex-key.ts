/** Which futex an address means, and what robust futexes of a dying task become. */
import { EFAULT, EINVAL, Errno, errno } from '../abi/errno.ts';
import { FUTEX_OWNER_DIED, FUTEX_TID_MASK, FUTEX_WAITERS } from '../abi/futex.ts';
import { type Addr, PAGE_MASK, PAGE_SHIFT, PAGE_SIZE } from '../abi/page.ts';
import { objectPage } from '../mm/area.ts';
import { NO_FRAME } from '../mm/page-map.ts';
import type { FutexKey } from './futex.ts';
import type { Task } from './task.ts';

/** Linux's ROBUST_LIST_LIMIT: a list may be a ring. */
const ROBUST_LIST_LIMIT = 2048;
/** The low bit of a list pointer marks a priority-inheritance futex. */
const PI_BIT = 1;
/** A word of private memory that was not said to be private is another futex than the same word that was (Linux FUT_OFF_MMSHARED). */
const NOT_SAID_PRIVATE = 2;

/**
 * Private futexes are known by space and address; others by the object and byte where their page is a shared one, else by the space.
 * `access`: whether the word is going to be written. Throws EINVAL, EFAULT and MustWait. Linux: get_futex_key.
 */
export function futexKey(task: Task, addr: Addr, isPrivate: boolean, access: 'read' | 'write' = 'read'): FutexKey {
  if ((addr & 3) !== 0) throw errno(EINVAL);
  const { space, user } = task;
  if (isPrivate) return { owner: space, place: addr };
  const writable = user.probe(addr, 4, 'write') === 4;
  if (!writable && (access === 'write' || user.probe(addr, 4, 'read') < 4)) throw errno(EFAULT);
  const area = space.find(addr);
  if (area === undefined) throw errno(EFAULT);
  const isOwnPage = area.sharing === 'private' && (writable || space.copies.get(addr >>> PAGE_SHIFT) !== NO_FRAME);
  if (area.object !== undefined && !isOwnPage)
    return { owner: area.object, place: objectPage(area, addr) * PAGE_SIZE + (addr & PAGE_MASK) };
  // Anonymous memory that cannot be written never changes: Linux refuses to wait there.
  if (!writable) throw errno(EFAULT);
  return { owner: space, place: addr + NOT_SAID_PRIVATE };
}

/** Marks every futex on the task's robust list as owned by a dead thread, and wakes one waiter each. Linux: exit_robust_list. */
export function releaseRobustList(task: Task): void {
  const head = task.robustList;
  if (head === 0) return;
  const { user } = task;
  let entry = user.readU32(head);
  const offset = user.readI32(head + 4);
  const pending = user.readU32(head + 8);
  for (let left = ROBUST_LIST_LIMIT; node(entry) !== head && left > 0; left--) {
    const next = attempt(() => user.readU32(node(entry)));
    if (node(entry) !== node(pending)) handleDeath(task, entry, offset, false);
    if (next === undefined) return;
    entry = next;
  }
  if (node(pending) !== 0) handleDeath(task, pending, offset, true);
}

function node(entry: number): Addr {
  return (entry & ~PI_BIT) >>> 0;
}

/** Undefined: there is nothing to be read. */
function attempt(read: () => number): number | undefined {
  try {
    return read();
  } catch (thrown) {
    if (thrown instanceof Errno) return undefined;
    throw thrown;
  }
}

/** Throws where the word cannot be reached: Linux then leaves the rest of the list alone. */
function handleDeath(task: Task, entry: number, offset: number, isPending: boolean): void {
  const addr = (node(entry) + offset) >>> 0;
  if ((addr & 3) !== 0) throw errno(EINVAL);
  const isPi = (entry & PI_BIT) !== 0;
  const word = task.user.readU32(addr);
  const owner = word & FUTEX_TID_MASK;
  // A thread that died between unlocking and waking left the word without an owner.
  if (isPending && !isPi && owner === 0) return wakeOne(task, addr);
  if (owner !== task.tid) return;
  task.user.writeU32(addr, ((word & FUTEX_WAITERS) | FUTEX_OWNER_DIED) >>> 0);
  if (!isPi && (word & FUTEX_WAITERS) !== 0) wakeOne(task, addr);
}

function wakeOne(task: Task, addr: Addr): void {
  try {
    task.kernel.futexes.wake(futexKey(task, addr, false), 1, 0xffffffff);
  } catch (thrown) {
    // Somebody waits for it as for a lock.
    if (!(thrown instanceof Errno)) throw thrown;
  }
}
