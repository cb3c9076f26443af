/** Futexes as locks with an owner: taking, giving back, handing over at a death. Linux: kernel/futex/pi.c. */
import { EDEADLK, EINVAL, Errno, EPERM, errno, ESRCH } from '../abi/errno.ts';
import { FUTEX_OWNER_DIED, FUTEX_TID_MASK, FUTEX_WAITERS } from '../abi/futex.ts';
import type { Addr } from '../abi/page.ts';
import { MustWait } from '../mm/user.ts';
import { CHAIN_MAX, type FutexKey, type FutexWaiter, type PiLock } from './futex.ts';
import type { Task } from './task.ts';

export interface Taking {
  /** Where `caller` sees the lock's word. */
  readonly addr: Addr;
  readonly key: FutexKey;
  /** Who is to have the lock: the caller itself, or somebody it moves there. */
  readonly taker: Task;
  /** Others will wait for it. */
  readonly contended?: boolean;
}

/** Takes the lock if it is free; else returns what the taker must wait for. Throws EDEADLK, EINVAL, ESRCH. Linux: futex_lock_pi_atomic. */
export function takeLock(caller: Task, { addr, key, taker, contended }: Taking): PiLock<Task> | undefined {
  const { user, kernel } = caller;
  const word = user.readU32(addr);
  const owner = word & FUTEX_TID_MASK;
  if (owner === taker.tid) throw errno(EDEADLK);
  const [first] = kernel.futexes.at(key);
  if (first !== undefined) return lockOf(first, word);
  if (owner === 0) {
    user.writeU32(addr, ((word & FUTEX_OWNER_DIED) | (contended ? FUTEX_WAITERS : 0) | taker.tid) >>> 0);
    return undefined;
  }
  user.writeU32(addr, (word | FUTEX_WAITERS) >>> 0);
  const holder = kernel.tasks.get(owner);
  if (holder === undefined) throw errno(ESRCH);
  return { owner: holder, key, waiters: 0 };
}

/** The lock that others wait for already. A word that says otherwise has been tampered with. Linux: attach_to_pi_state. */
function lockOf({ lock }: FutexWaiter<Task>, word: number): PiLock<Task> {
  const owner = word & FUTEX_TID_MASK;
  if (lock === undefined) throw errno(EINVAL);
  if (owner === 0 && (word & FUTEX_OWNER_DIED) !== 0) return lock;
  if (owner !== lock.owner.tid) throw errno(EINVAL);
  return lock;
}

/** Whether the lock's owner waits, over however many others, for the task. */
export function wouldDeadlock(task: Task, lock: PiLock<Task>): boolean {
  let { owner } = lock;
  for (let depth = 0; depth < CHAIN_MAX; depth++) {
    if (owner === task) return true;
    const waiter = task.kernel.futexes.waiter(owner);
    if (waiter === undefined || waiter.woken || waiter.lock === undefined) return false;
    owner = waiter.lock.owner;
  }
  return true;
}

/** Gives the lock back, to the next one if there is one. Throws EPERM where it is another's. Linux: futex_unlock_pi. */
export function unlock(task: Task, addr: Addr, keyOf: () => FutexKey): void {
  const { user, kernel } = task;
  if ((user.readU32(addr) & FUTEX_TID_MASK) !== task.tid) throw errno(EPERM);
  const [first] = kernel.futexes.at(keyOf());
  if (first === undefined) {
    user.writeU32(addr, 0);
    return;
  }
  const { lock } = first;
  if (lock?.owner !== task) throw errno(EINVAL);
  user.writeU32(addr, (FUTEX_WAITERS | first.task.tid) >>> 0);
  kernel.futexes.give(lock, first);
}

/** The task dies: whoever waits for its locks gets them, and is told. Linux: exit_pi_state_list. */
export function releaseLocks(task: Task): void {
  const { futexes } = task.kernel;
  if (futexes.locks.size === 0) return;
  for (const lock of [...futexes.locks]) {
    if (lock.owner !== task) continue;
    const next = futexes.at(lock.key).find((waiter) => waiter.lock === lock);
    if (next === undefined) continue;
    inherit(next);
    futexes.give(lock, next);
  }
}

/** The word as the new owner sees it; the dead one may not even have mapped it. */
function inherit({ task, lockAddr }: FutexWaiter<Task>): void {
  try {
    task.user.writeU32(lockAddr, (FUTEX_WAITERS | FUTEX_OWNER_DIED | task.tid) >>> 0);
  } catch (thrown) {
    if (!(thrown instanceof Errno || thrown instanceof MustWait)) throw thrown;
  }
}
