/** futex, its form with 64-bit times, and the calls that each do one of its jobs (futex_wait, futex_wake, futex_requeue, futex_waitv). */
import { EAGAIN, EDEADLK, EFAULT, EINTR, EINVAL, ENOSYS, ETIMEDOUT, errno } from '../abi/errno.ts';
import * as abi from '../abi/futex.ts';
import type { Layout } from '../abi/struct.ts';
import { CLOCK_MONOTONIC, CLOCK_REALTIME, CLOCKS, isValidTime, type Timespec, timespec32, timespec64, toNanoseconds } from '../abi/time.ts';
import { NOBODY } from '../fs/wait.ts';
import { futexKey } from '../proc/futex-key.ts';
import { takeLock, unlock, wouldDeadlock } from '../proc/futex-pi.ts';
import { type FutexKey, type FutexWait, type FutexWaiter, sameKey } from '../proc/futex.ts';
import type { Task } from '../proc/task.ts';
import { type Blocked, block } from '../proc/wait.ts';
import { define, type Kind } from './define.ts';
import { address, choice, flags, flagsText, hex, type In, int, intResult, loadAt, pointerText, sampleWord, structIn, structsIn, uint } from './kinds.ts';

const MATCH_ANY = 0xffffffff;

const futexOp: Kind<number> = {
  label: 'futex op', registers: 1, direction: 'in', decode: (_task, words, slot) => words[slot],
  show: (_view, low) => flagsText(low, FLAGS, { mask: 0x7f, values: abi.FUTEX_OPERATIONS }),
  sample: (source) => (source.below(14) | (source.below(2) * abi.FUTEX_PRIVATE_FLAG)) >>> 0,
};
const FLAGS = { FUTEX_PRIVATE_FLAG: abi.FUTEX_PRIVATE_FLAG, FUTEX_CLOCK_REALTIME: abi.FUTEX_CLOCK_REALTIME };

/** A timeout for those operations that wait, else a number. */
function timeoutKind(layout: Layout<Timespec>): Kind<number> {
  return {
    label: 'struct timespec * or number', registers: 1, direction: 'in', decode: (_task, words, slot) => words[slot],
    show: (view, low) => {
      if (!waits(view.argument('op') & 0x7f)) return String(low);
      if (low === 0) return 'NULL';
      try {
        return layout.show(loadAt(view.task, low, layout));
      } catch {
        return pointerText(low);
      }
    },
    sample: (source) => (source.below(2) === 0 ? 0 : sampleWord(source)),
  };
}

function waits(op: number): boolean {
  switch (op) {
    case abi.FUTEX_WAIT:
    case abi.FUTEX_WAIT_BITSET:
    case abi.FUTEX_LOCK_PI:
    case abi.FUTEX_LOCK_PI2:
    case abi.FUTEX_WAIT_REQUEUE_PI: return true;
    default: return false;
  }
}

interface FutexCall {
  readonly addr: number;
  readonly op: number;
  readonly value: number;
  readonly isPrivate: boolean;
  /** Times are of the clock that can be set. */
  readonly realtime: boolean;
  /** Address of a timespec, or the second number. */
  readonly timeout: number;
  readonly addr2: number;
  readonly value3: number;
}

function futex(name: string, layout: Layout<Timespec>) {
  return define({
    name,
    args: [['uaddr', address], ['op', futexOp], ['val', int], ['timeout', timeoutKind(layout)], ['uaddr2', address], ['val3', uint]],
    result: intResult, support: 'full',
    onInterrupt: (task, _addr, op, _value, timeout) => {
      const waiter = task.kernel.futexes.waiter(task);
      task.kernel.futexes.finish(task);
      return waiter?.woken ? 0 : interrupted(op & 0x7f, waiter, timeout !== 0);
    },
    handler: (task, addr, op, value, timeout, addr2, value3) => {
      const isPrivate = (op & abi.FUTEX_PRIVATE_FLAG) !== 0;
      const realtime = (op & abi.FUTEX_CLOCK_REALTIME) !== 0;
      const bare = op & ~(abi.FUTEX_PRIVATE_FLAG | abi.FUTEX_CLOCK_REALTIME);
      const call = { addr, op: bare, value, isPrivate, realtime, timeout, addr2, value3 };
      return runFutex(task, call, waits(bare) ? deadlineOf(task, call, layout) : undefined);
    },
  });
}

/** Who waits for a lock goes on waiting after any handler, until it has been moved from another futex: that would not let it wait again. */
function interrupted(op: number, waiter: FutexWaiter<Task> | undefined, timed: boolean): number | 'restart' | undefined {
  switch (op) {
    case abi.FUTEX_LOCK_PI:
    case abi.FUTEX_LOCK_PI2: return 'restart';
    case abi.FUTEX_WAIT_REQUEUE_PI: return waiter?.lock === undefined ? 'restart' : -EAGAIN;
    default: return timed ? -EINTR : undefined;
  }
}

/** The monotonic time at which a wait ends, or undefined for none. */
function deadlineOf(task: Task, { op, timeout, realtime }: FutexCall, layout: Layout<Timespec>): bigint | undefined {
  if (timeout === 0) return undefined;
  // Read once: the memory may be another's by the time the call runs again.
  if (task.call.deadline !== undefined) return task.call.deadline;
  const ns = validTime(loadAt(task, timeout, layout));
  if (op === abi.FUTEX_WAIT) return task.deadlineAfter(ns);
  return absolute(task, ns, realtime || op === abi.FUTEX_LOCK_PI);
}

function validTime(time: Timespec): bigint {
  if (!isValidTime(time)) throw errno(EINVAL);
  return toNanoseconds(time);
}

function absolute(task: Task, ns: bigint, realtime: boolean): bigint {
  const { clock } = task.kernel;
  return task.deadlineAfter(ns - (realtime ? clock.realtime() : clock.monotonic()));
}

function runFutex(task: Task, call: FutexCall, deadline: bigint | undefined): number | Blocked {
  const { op, value, value3 } = call;
  const { futexes } = task.kernel;
  const key = () => futexKey(task, call.addr, call.isPrivate);
  if (call.realtime && op !== abi.FUTEX_WAIT_BITSET && op !== abi.FUTEX_WAIT_REQUEUE_PI && op !== abi.FUTEX_LOCK_PI2) throw errno(ENOSYS);
  switch (op) {
    case abi.FUTEX_WAIT: return waitOn(task, { ...call, bitset: MATCH_ANY }, deadline);
    case abi.FUTEX_WAIT_BITSET: return waitOn(task, { ...call, bitset: value3 }, deadline);
    case abi.FUTEX_WAKE: return futexes.wake(key(), Math.max(value, 1), MATCH_ANY);
    case abi.FUTEX_WAKE_BITSET:
      if (value3 === 0) throw errno(EINVAL);
      return futexes.wake(key(), Math.max(value, 1), value3);
    case abi.FUTEX_REQUEUE: return requeue(task, call, undefined);
    case abi.FUTEX_CMP_REQUEUE: return requeue(task, call, value3);
    case abi.FUTEX_WAKE_OP: return wakeOp(task, call);
    case abi.FUTEX_LOCK_PI:
    case abi.FUTEX_LOCK_PI2: return lock(task, call, deadline);
    case abi.FUTEX_TRYLOCK_PI: return tryLock(task, call);
    case abi.FUTEX_UNLOCK_PI:
      unlock(task, call.addr, () => futexKey(task, call.addr, call.isPrivate, 'write'));
      return 0;
    case abi.FUTEX_WAIT_REQUEUE_PI: return waitForLock(task, call, deadline);
    case abi.FUTEX_CMP_REQUEUE_PI: return requeueToLock(task, call);
    default: throw errno(ENOSYS);
  }
}

// ---- Waiting, waking, moving ---------------------------------------------------------------------------------------------------

type Waiting = Pick<FutexCall, 'addr' | 'value' | 'isPrivate'> & { readonly bitset: number };

/** The first run checks the word and enqueues; later runs find out why they were woken. */
function waitOn(task: Task, { addr, value, isPrivate, bitset }: Waiting, deadline: bigint | undefined): number | Blocked {
  return wait(task, deadline, () => {
    if (bitset === 0) throw errno(EINVAL);
    const key = futexKey(task, addr, isPrivate);
    if (task.user.readU32(addr) !== value >>> 0) throw errno(EAGAIN);
    return { key, bitset, rank: task.ownRank };
  });
}

/** `begin` says at the first run where to wait, or gives the result. */
function wait(task: Task, deadline: bigint | undefined, begin: () => FutexWait<Task> | number): number | Blocked {
  const { futexes } = task.kernel;
  const waiter = futexes.waiter(task);
  if (waiter === undefined) {
    const begun = begin();
    if (typeof begun === 'number') return begun;
    futexes.enqueue(task, begun);
  } else if (waiter.woken) {
    futexes.finish(task);
    return 0;
  }
  if (task.expired) {
    futexes.finish(task);
    throw errno(ETIMEDOUT);
  }
  return block(NOBODY, deadline);
}

function requeue(task: Task, call: FutexCall, expected: number | undefined): number {
  const move = call.timeout | 0;
  if (call.value < 0 || move < 0) throw errno(EINVAL);
  const from = futexKey(task, call.addr, call.isPrivate);
  const to = futexKey(task, call.addr2, call.isPrivate);
  if (expected !== undefined && task.user.readU32(call.addr) !== expected) throw errno(EAGAIN);
  return task.kernel.futexes.requeue(from, to, call.value, move);
}

/** FUTEX_WAKE_OP: changes the second word, wakes the first, and the second too if its old value compares as asked. */
function wakeOp(task: Task, call: FutexCall): number {
  const { futexes } = task.kernel;
  const key = futexKey(task, call.addr, call.isPrivate);
  const key2 = futexKey(task, call.addr2, call.isPrivate, 'write');
  const code = call.value3;
  const signExtend = (n: number) => (n << 20) >> 20;
  const isShift = ((code >>> 28) & 8) !== 0;
  const operand = signExtend((code >>> 12) & 0xfff);
  const argument = isShift ? 1 << (operand & 31) : operand;
  if (((code >>> 28) & 7) > 4) throw errno(ENOSYS);
  const old = task.user.readU32(call.addr2) | 0;
  task.user.writeU32(call.addr2, changed((code >>> 28) & 7, old, argument));
  const second = compares((code >>> 24) & 0xf, old, signExtend(code & 0xfff));
  const woken = futexes.wake(key, Math.max(call.value, 1), MATCH_ANY);
  return second ? woken + futexes.wake(key2, Math.max(call.timeout | 0, 1), MATCH_ANY) : woken;
}

function changed(op: number, old: number, argument: number): number {
  switch (op) {
    case 0: return argument;
    case 1: return old + argument;
    case 2: return old | argument;
    case 3: return old & ~argument;
    case 4: return old ^ argument;
    default: throw errno(ENOSYS);
  }
}

function compares(comparison: number, old: number, argument: number): boolean {
  switch (comparison) {
    case 0: return old === argument;
    case 1: return old !== argument;
    case 2: return old < argument;
    case 3: return old <= argument;
    case 4: return old > argument;
    case 5: return old >= argument;
    default: throw errno(ENOSYS);
  }
}

// ---- Locks ---------------------------------------------------------------------------------------------------------------------

function lock(task: Task, { addr, isPrivate }: FutexCall, deadline: bigint | undefined): number | Blocked {
  return wait(task, deadline, () => {
    const key = futexKey(task, addr, isPrivate, 'write');
    const held = takeLock(task, { addr, key, taker: task });
    if (held === undefined) return 0;
    if (wouldDeadlock(task, held)) throw errno(EDEADLK);
    return { key, bitset: MATCH_ANY, rank: task.rank, lock: held, lockAddr: addr };
  });
}

function tryLock(task: Task, { addr, isPrivate }: FutexCall): number {
  const key = futexKey(task, addr, isPrivate, 'write');
  if (takeLock(task, { addr, key, taker: task }) !== undefined) throw errno(EAGAIN);
  return 0;
}

/** FUTEX_WAIT_REQUEUE_PI: waits at the first word to be moved to the lock at the second, and comes back as the lock's owner. */
function waitForLock(task: Task, { addr, addr2, value, isPrivate }: FutexCall, deadline: bigint | undefined): number | Blocked {
  return wait(task, deadline, () => {
    if (addr === addr2) throw errno(EINVAL);
    const requeueTo = futexKey(task, addr2, isPrivate, 'write');
    const key = futexKey(task, addr, isPrivate);
    if (task.user.readU32(addr) !== value >>> 0) throw errno(EAGAIN);
    if (sameKey(key, requeueTo)) throw errno(EINVAL);
    return { key, bitset: MATCH_ANY, rank: task.rank, requeueTo, lockAddr: addr2 };
  });
}

/** FUTEX_CMP_REQUEUE_PI: the first waiter gets the lock, or waits for it as others do. Linux: futex_requeue with requeue_pi. */
function requeueToLock(task: Task, call: FutexCall): number {
  const { futexes } = task.kernel;
  const move = call.timeout | 0;
  if (call.value < 0 || move < 0 || call.addr === call.addr2 || call.value !== 1) throw errno(EINVAL);
  const from = futexKey(task, call.addr, call.isPrivate);
  const to = futexKey(task, call.addr2, call.isPrivate, 'write');
  if (sameKey(from, to)) throw errno(EINVAL);
  if (task.user.readU32(call.addr) !== call.value3) throw errno(EAGAIN);
  const [first] = futexes.at(from);
  if (first === undefined) return 0;
  checkMove(first, to);
  const held = takeLock(task, { addr: call.addr2, key: to, taker: first.task, contended: move > 0 });
  let done = 0;
  if (held === undefined) {
    futexes.release(first);
    done = 1;
  }
  const lock = held ?? { owner: first.task, key: to, waiters: 0 };
  for (const waiter of futexes.at(from)) {
    if (done - 1 >= move) break;
    checkMove(waiter, to);
    if (wouldDeadlock(waiter.task, lock)) throw errno(EDEADLK);
    futexes.move(waiter, to, lock);
    done++;
  }
  return done;
}

function checkMove(waiter: FutexWaiter<Task>, to: FutexKey): void {
  if (waiter.requeueTo === undefined || waiter.lock !== undefined || !sameKey(waiter.requeueTo, to)) throw errno(EINVAL);
}

// ---- One job a call --------------------------------------------------------------------------------------------------------------

const futex2Flags = flags({ FUTEX2_NUMA: abi.FUTEX2_NUMA, FUTEX2_MPOL: abi.FUTEX2_MPOL, FUTEX2_PRIVATE: abi.FUTEX2_PRIVATE }, {
  mask: abi.FUTEX2_SIZE_MASK,
  values: { FUTEX2_SIZE_U8: abi.FUTEX2_SIZE_U8, FUTEX2_SIZE_U16: abi.FUTEX2_SIZE_U16, FUTEX2_SIZE_U32: abi.FUTEX2_SIZE_U32, FUTEX2_SIZE_U64: abi.FUTEX2_SIZE_U64 },
});
const clockId = choice(CLOCKS);
const timeout = structIn(timespec64, 'struct timespec');
const VALID_FLAGS = abi.FUTEX2_SIZE_MASK | abi.FUTEX2_NUMA | abi.FUTEX2_MPOL | abi.FUTEX2_PRIVATE;

function checkFlags(how: number): void {
  if ((how & ~VALID_FLAGS) !== 0 || (how & abi.FUTEX2_SIZE_MASK) !== abi.FUTEX2_SIZE_U32) throw errno(EINVAL);
}

/** With FUTEX2_NUMA the word is followed by its node's number; there is one node. Linux: get_futex_key. */
function futex2Key(task: Task, addr: number, how: number): FutexKey {
  const isPrivate = (how & abi.FUTEX2_PRIVATE) !== 0;
  if ((how & abi.FUTEX2_NUMA) === 0) return futexKey(task, addr, isPrivate);
  if (addr % 8 !== 0) throw errno(EINVAL);
  const node = task.user.readU32(addr + 4);
  if (node !== 0 && node !== abi.FUTEX_NO_NODE) throw errno(EINVAL);
  const key = futexKey(task, addr, isPrivate);
  if (node === abi.FUTEX_NO_NODE) task.user.writeU32(addr + 4, 0);
  return key;
}

function futex2Deadline(task: Task, at: In<Timespec>, clock: number): bigint | undefined {
  if (at === 0) return undefined;
  if (task.call.deadline !== undefined) return task.call.deadline;
  if (clock !== CLOCK_REALTIME && clock !== CLOCK_MONOTONIC) throw errno(EINVAL);
  return absolute(task, validTime(loadAt(task, at, timespec64)), clock === CLOCK_REALTIME);
}

const futexWake = define({
  name: 'futex_wake', args: [['uaddr', address], ['mask', hex], ['nr', int], ['flags', futex2Flags]], result: intResult, support: 'full',
  handler: (task, addr, mask, count, how) => {
    checkFlags(how);
    if (mask === 0) throw errno(EINVAL);
    const key = futex2Key(task, addr, how);
    return count === 0 ? 0 : task.kernel.futexes.wake(key, Math.max(count, 1), mask);
  },
});

/** A wait that a handler has cut short begins anew or fails: nothing of it stays. */
function forgetWait(task: Task): number | undefined {
  const { futexes } = task.kernel;
  const woken = futexes.waitersOf(task).findLastIndex((waiter) => waiter.woken);
  futexes.finish(task);
  return woken < 0 ? undefined : woken;
}

const futexWait = define({
  name: 'futex_wait', args: [['uaddr', address], ['val', hex], ['mask', hex], ['flags', futex2Flags], ['timeout', timeout], ['clockid', clockId]],
  result: intResult, support: 'full', onInterrupt: forgetWait,
  handler: (task, addr, value, mask, how, at, clock) => {
    checkFlags(how);
    const deadline = futex2Deadline(task, at, clock);
    return wait(task, deadline, () => {
      if (mask === 0) throw errno(EINVAL);
      const key = futex2Key(task, addr, how);
      if (task.user.readU32(addr) !== value) throw errno(EAGAIN);
      return { key, bitset: mask, rank: task.ownRank };
    });
  },
});

interface Word {
  readonly addr: number;
  readonly value: number;
  readonly how: number;
}

/** Linux: futex_parse_waitv. */
function readWords(task: Task, at: number, count: number): Word[] {
  return Array.from({ length: count }, (_, i) => {
    const { val, uaddr, flags: how, reserved } = loadAt(task, at + i * abi.futexWaitv.size, abi.futexWaitv);
    if (reserved !== 0) throw errno(EINVAL);
    checkFlags(how);
    if (val > 0xffffffffn) throw errno(EINVAL);
    return { addr: Number(uaddr), value: Number(val), how };
  });
}

function wordKey(task: Task, { addr, how }: Word): FutexKey {
  if (addr > 0xffff_ffff) throw errno(addr % 4 === 0 ? EFAULT : EINVAL);
  return futex2Key(task, addr, how);
}

const waitvIn = structsIn(abi.futexWaitv, 'nr_futexes', 'struct futex_waitv');

const futexWaitv = define({
  name: 'futex_waitv', args: [['waiters', waitvIn], ['nr_futexes', uint], ['flags', uint], ['timeout', timeout], ['clockid', clockId]],
  result: intResult, support: 'full', onInterrupt: forgetWait,
  handler: (task, at, count, how, time, clock) => {
    const { futexes } = task.kernel;
    if (how !== 0 || count === 0 || count > abi.FUTEX_WAITV_MAX || at === 0) throw errno(EINVAL);
    const deadline = futex2Deadline(task, time, clock);
    if (futexes.waiter(task) === undefined) {
      const words = readWords(task, at, count);
      const waits = words.map((word) => ({ key: wordKey(task, word), bitset: MATCH_ANY, rank: task.ownRank }));
      for (const { addr, value } of words) if (task.user.readU32(addr) !== value) throw errno(EAGAIN);
      futexes.enqueue(task, ...waits);
    }
    if (futexes.waitersOf(task).some((waiter) => waiter.woken)) return forgetWait(task) as number;
    if (task.expired) {
      futexes.finish(task);
      throw errno(ETIMEDOUT);
    }
    return block(NOBODY, deadline);
  },
});

const futexRequeue = define({
  name: 'futex_requeue', args: [['waiters', structIn(abi.futexWaitv, 'struct futex_waitv')], ['flags', uint], ['nr_wake', int], ['nr_requeue', int]],
  result: intResult, support: 'full',
  handler: (task, at, how, wake, move) => {
    if (how !== 0 || at === 0) throw errno(EINVAL);
    const [from, to] = readWords(task, at, 2);
    if (wake < 0 || move < 0) throw errno(EINVAL);
    const [key, key2] = [wordKey(task, from), wordKey(task, to)];
    if (task.user.readU32(from.addr) !== from.value) throw errno(EAGAIN);
    return task.kernel.futexes.requeue(key, key2, wake, move);
  },
});

export const calls = [futex('futex', timespec32), futex('futex_time64', timespec64), futexWake, futexWait, futexRequeue, futexWaitv];
