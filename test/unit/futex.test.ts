/** Futexes, robust lists, the scheduler and its deadlines, with two tasks and no CPU. */
import { expect, test } from 'vitest';
import { EAGAIN, EDEADLK, EFAULT, EINTR, EINVAL, ENOSYS, ETIMEDOUT } from '../../abi/errno.ts';
import { SIGUSR1 } from '../../abi/signal.ts';
import { EAX } from '../../emu/engine.ts';
import { Deadlines } from '../../proc/deadlines.ts';
import { exitTask } from '../../proc/exit.ts';
import { sendToTask } from '../../proc/send.ts';
import { userInfo } from '../../proc/siginfo.ts';
import { setOf } from '../../proc/signal.ts';
import type { Task } from '../../proc/task.ts';
import { SCRATCH, TestMachine } from './proc-parts.ts';

const WAIT = 128,
  WAKE = 129,
  REQUEUE = 131,
  CMP_REQUEUE = 132,
  WAKE_OP = 133,
  WAIT_BITSET = 137,
  WAKE_BITSET = 138;
const WORD = SCRATCH,
  OTHER = SCRATCH + 64,
  TIME = SCRATCH + 128;

function threads(count: number): { machine: TestMachine; tasks: Task[] } {
  const machine = new TestMachine();
  const first = machine.task();
  return { machine, tasks: [first, ...Array.from({ length: count - 1 }, () => machine.task({ sibling: first }))] };
}

test('a wait returns at once where the word is another, and waits where it is the same', () => {
  const {
    machine,
    tasks: [a],
  } = threads(1);
  expect(machine.call(a, 'futex', WORD, WAIT, 1, 0)).toBe(-EAGAIN);
  expect(machine.call(a, 'futex', WORD, WAIT, 0, 0)).toBe(undefined);
  expect(a.state).toBe('waiting');
});

test('a wake wakes as many as asked, those first who came first, and none is lost before they run', () => {
  const {
    machine,
    tasks: [a, b, c, waker],
  } = threads(4);
  for (const task of [a, b, c]) machine.call(task, 'futex', WORD, WAIT, 0, 0);
  waker.user.writeU32(WORD, 1);
  expect(machine.call(waker, 'futex', WORD, WAKE, 2)).toBe(2);
  expect([a, b, c].map((task) => task.state)).toEqual(['ready', 'ready', 'waiting']);
  expect([machine.again(a), machine.again(b)]).toEqual([0, 0]);
  expect(machine.call(waker, 'futex', WORD, WAKE, 0x7fff_ffff)).toBe(1);
  expect(machine.call(waker, 'futex', WORD, WAKE, 1)).toBe(0);
});

test('a wake that nobody made leaves the wait going on', () => {
  const {
    machine,
    tasks: [a],
  } = threads(1);
  machine.call(a, 'futex', WORD, WAIT, 0, 0);
  machine.scheduler.wake(a);
  expect(machine.again(a)).toBe(undefined);
  expect(a.state).toBe('waiting');
});

test('timeouts: relative for WAIT, absolute for WAIT_BITSET; bad ones are EINVAL', () => {
  const {
    machine,
    tasks: [a],
  } = threads(1);
  const time = (seconds: number, ns: number) => [seconds, ns].forEach((word, i) => a.user.writeU32(TIME + 4 * i, word));
  time(2, 0);
  machine.call(a, 'futex', WORD, WAIT, 0, TIME);
  machine.pass(2_000_000_000n);
  expect(machine.again(a)).toBe(-ETIMEDOUT);
  time(4, 500_000_000);
  machine.call(a, 'futex', WORD, WAIT_BITSET, 0, TIME, 0, 1);
  expect(machine.scheduler.nextDeadline()).toBe(4_500_000_000n);
  machine.pass(1_500_000_000n);
  expect(machine.again(a)).toBe(-ETIMEDOUT);
  time(0, 1_000_000_000);
  expect(machine.call(a, 'futex', WORD, WAIT, 0, TIME)).toBe(-EINVAL);
  time(0, 0);
  expect(machine.call(a, 'futex', WORD, WAIT, 0, TIME)).toBe(-ETIMEDOUT);
});

test('bitsets choose who is woken; an empty one is EINVAL', () => {
  const {
    machine,
    tasks: [a, b, waker],
  } = threads(3);
  machine.call(a, 'futex', WORD, WAIT_BITSET, 0, 0, 0, 1);
  machine.call(b, 'futex', WORD, WAIT_BITSET, 0, 0, 0, 2);
  expect(machine.call(waker, 'futex', WORD, WAKE_BITSET, 9, 0, 0, 2)).toBe(1);
  expect([a.state, b.state]).toEqual(['waiting', 'ready']);
  expect(machine.call(waker, 'futex', WORD, WAKE_BITSET, 9, 0, 0, 0)).toBe(-EINVAL);
});

test('requeue wakes some and moves others, who are then woken at the other word', () => {
  const {
    machine,
    tasks: [a, b, c, waker],
  } = threads(4);
  for (const task of [a, b, c]) machine.call(task, 'futex', WORD, WAIT, 0, 0);
  expect(machine.call(waker, 'futex', WORD, CMP_REQUEUE, 1, 9, OTHER, 7)).toBe(-EAGAIN);
  expect(machine.call(waker, 'futex', WORD, CMP_REQUEUE, 1, 9, OTHER, 0)).toBe(3);
  expect([a, b, c].map((task) => task.state)).toEqual(['ready', 'waiting', 'waiting']);
  expect(machine.call(waker, 'futex', WORD, WAKE, 9)).toBe(0);
  expect(machine.call(waker, 'futex', OTHER, WAKE, 1)).toBe(1);
  expect(machine.call(waker, 'futex', OTHER, REQUEUE, 0, 1, WORD)).toBe(1);
  expect(machine.call(waker, 'futex', WORD, WAKE, 9)).toBe(1);
});

test('wake_op changes the second word and wakes there too where the old value compares', () => {
  const {
    machine,
    tasks: [a, b, waker],
  } = threads(3);
  machine.call(a, 'futex', WORD, WAIT, 0, 0);
  machine.call(b, 'futex', OTHER, WAIT, 0, 0);
  const add5IfZero = (1 << 28) | (0 << 24) | (5 << 12) | 0;
  expect(machine.call(waker, 'futex', WORD, WAKE_OP, 1, 1, OTHER, add5IfZero)).toBe(2);
  expect(waker.user.readU32(OTHER)).toBe(5);
});

test('a signal handler ends a wait: with EINTR where there is a timeout, else as SA_RESTART says', () => {
  const {
    machine,
    tasks: [a],
  } = threads(1);
  a.actions.set(SIGUSR1, { handler: 0x8049000, flags: 0x1000_0000, restorer: 0, mask: { low: 0, high: 0 } });
  a.user.writeU32(TIME, 9);
  machine.call(a, 'futex', WORD, WAIT, 0, TIME);
  sendToTask(a, userInfo(SIGUSR1, 0, 1, 0));
  a.kernel.interruptCall(a, true);
  expect(a.registers.get(EAX) | 0).toBe(-EINTR);
  a.signals.pending.remove(setOf(SIGUSR1));
  machine.call(a, 'futex', WORD, WAIT, 0, 0);
  a.kernel.interruptCall(a, true);
  expect(a.registers.get(EAX)).toBe(240);
  expect(a.kernel.futexes.waiter(a)).toBe(undefined);
});

test('misaligned words, unmapped shared ones and unknown operations are refused', () => {
  const {
    machine,
    tasks: [a],
  } = threads(1);
  expect(machine.call(a, 'futex', WORD + 2, WAIT, 0, 0)).toBe(-EINVAL);
  expect(machine.call(a, 'futex', 0x10, 1, 1)).toBe(-EFAULT);
  expect(machine.call(a, 'futex', WORD, 99, 0, 0)).toBe(-ENOSYS);
  expect(machine.call(a, 'futex', WORD, 2, 0, 0)).toBe(-ENOSYS);
});

test('a dying thread clears its tid word, wakes who joins it, and marks its robust futexes', () => {
  const {
    machine,
    tasks: [main, thread, waiter],
  } = threads(3);
  const head = SCRATCH + 0x200,
    node = SCRATCH + 0x300,
    lock = node + 8;
  machine.call(thread, 'set_tid_address', WORD);
  main.user.writeU32(WORD, thread.tid);
  [node, 8, 0].forEach((word, i) => main.user.writeU32(head + 4 * i, word));
  main.user.writeU32(node, head);
  main.user.writeU32(lock, (thread.tid | 0x8000_0000) >>> 0);
  expect(machine.call(thread, 'set_robust_list', head, 11)).toBe(-EINVAL);
  expect(machine.call(thread, 'set_robust_list', head, 12)).toBe(0);
  machine.call(main, 'futex', WORD, 0, thread.tid, 0);
  machine.call(waiter, 'futex', lock, 0, (thread.tid | 0x8000_0000) >>> 0, 0);
  exitTask(thread, 0);
  expect(main.user.readU32(WORD)).toBe(0);
  expect(main.user.readU32(lock)).toBe(0xc000_0000);
  expect([machine.again(main), machine.again(waiter)]).toEqual([0, 0]);
  expect(main.process.status).toBe(undefined);
});

test('a robust list that is a ring, or lies nowhere, does not hold up a death', () => {
  const {
    tasks: [main, one, two],
  } = threads(3);
  main.user.writeU32(SCRATCH + 0x300, SCRATCH + 0x300);
  main.user.writeU32(SCRATCH + 0x200, SCRATCH + 0x300);
  one.robustList = SCRATCH + 0x200;
  two.robustList = 0x10;
  exitTask(one, 0);
  exitTask(two, 0);
  expect([one.state, two.state, main.state]).toEqual(['dead', 'dead', 'ready']);
});

test('deadlines come in order, and those that were moved or dropped do not come at all', () => {
  const order: string[] = [];
  const make = (name: string, due: bigint | undefined) => ({ due, expire: () => void order.push(name) });
  const deadlines = new Deadlines();
  const [a, b, c, d] = [make('a', 30n), make('b', 10n), make('c', 20n), make('d', 5n)];
  for (const item of [a, b, c, d]) deadlines.add(item);
  d.due = undefined;
  c.due = 40n;
  deadlines.add(c);
  expect(deadlines.next()).toBe(10n);
  deadlines.expire(35n);
  expect(order).toEqual(['b', 'a']);
  expect(deadlines.next()).toBe(40n);
});

const LOCK_PI = 134,
  UNLOCK_PI = 135,
  LOCK_PI2 = 141,
  WAIT_REQUEUE_PI = 139,
  CMP_REQUEUE_PI = 140;
const WAITERS = 0x8000_0000,
  OWNER_DIED = 0x4000_0000;
const U32 = 2,
  NUMA = 4;

test('a lock goes to the waiter of the highest real-time priority, then to who waits longest', () => {
  const {
    machine,
    tasks: [a, b, c, d],
  } = threads(4);
  c.realtimePriority = 5;
  machine.call(a, 'futex', WORD, LOCK_PI);
  for (const task of [b, d, c]) expect(machine.call(task, 'futex', WORD, LOCK_PI)).toBe(undefined);
  for (const [owner, next] of [
    [a, c],
    [c, b],
    [b, d],
  ]) {
    expect(machine.call(owner, 'futex', WORD, UNLOCK_PI)).toBe(0);
    expect(machine.again(next)).toBe(0);
    expect(a.user.readU32(WORD)).toBe((WAITERS | next.tid) >>> 0);
  }
  expect(machine.call(d, 'futex', WORD, UNLOCK_PI)).toBe(0);
  expect(a.user.readU32(WORD)).toBe(0);
});

test('a chain of owners that ends where it began is a deadlock, and is told to who would close it', () => {
  const {
    machine,
    tasks: [a, b, c],
  } = threads(3);
  [a, b, c].forEach((task, i) => machine.call(task, 'futex', WORD + 4 * i, LOCK_PI));
  machine.call(a, 'futex', WORD + 4, LOCK_PI);
  machine.call(b, 'futex', WORD + 8, LOCK_PI2);
  expect(machine.call(c, 'futex', WORD, LOCK_PI)).toBe(-EDEADLK);
  expect(machine.call(c, 'futex', WORD + 8, UNLOCK_PI)).toBe(0);
  expect(machine.again(b)).toBe(0);
});

test('the locks of a dead thread go on to those who wait, through the deaths of those too', () => {
  const {
    machine,
    tasks: [a, b, c],
  } = threads(3);
  machine.call(a, 'futex', WORD, LOCK_PI);
  for (const task of [b, c]) machine.call(task, 'futex', WORD, LOCK_PI);
  exitTask(a, 0);
  exitTask(b, 0);
  expect(machine.again(c)).toBe(0);
  expect(c.user.readU32(WORD)).toBe((WAITERS | OWNER_DIED | c.tid) >>> 0);
  expect(c.kernel.futexes.locks.size).toBe(0);
});

test('a handler lets a wait for a lock go on, but not one that was moved there', () => {
  const {
    machine,
    tasks: [a, b],
  } = threads(2);
  machine.call(a, 'futex', WORD, LOCK_PI);
  machine.call(b, 'futex', WORD, LOCK_PI);
  b.kernel.interruptCall(b, false);
  expect(b.registers.get(EAX)).toBe(240);
  machine.scheduler.wake(b);
  machine.call(b, 'futex', OTHER, WAIT_REQUEUE_PI, 0, 0, WORD);
  expect(machine.call(a, 'futex', OTHER, CMP_REQUEUE_PI, 1, 0, WORD, 0)).toBe(1);
  b.kernel.interruptCall(b, true);
  expect(b.registers.get(EAX) | 0).toBe(-EAGAIN);
  expect(machine.call(a, 'futex', WORD, UNLOCK_PI)).toBe(0);
  expect(a.user.readU32(WORD)).toBe(0);
});

/** An array of struct futex_waitv at TIME + 64. */
function waitv(task: Task, ...words: readonly { value: number; addr: number; flags: number }[]): number {
  const at = TIME + 64;
  words.forEach(({ value, addr, flags }, i) => {
    [value, 0, addr, 0, flags, 0].forEach((word, n) => task.user.writeU32(at + i * 24 + n * 4, word));
  });
  return at;
}

test('a wait for several words ends with the index of one that was woken', () => {
  const {
    machine,
    tasks: [a, b],
  } = threads(2);
  const one = { value: 0, addr: WORD, flags: U32 },
    two = { value: 0, addr: OTHER, flags: U32 };
  expect(machine.call(a, 'futex_waitv', waitv(a, one, { ...two, value: 1 }), 2, 0, 0, 0)).toBe(-EAGAIN);
  expect(machine.call(a, 'futex_waitv', waitv(a, one, { ...two, flags: 1 }), 2, 0, 0, 0)).toBe(-EINVAL);
  expect(machine.call(a, 'futex_waitv', waitv(a, one, { ...two, addr: 0 }), 2, 0, 0, 0)).toBe(-EFAULT);
  expect(machine.call(a, 'futex_waitv', waitv(a, one, two), 129, 0, 0, 0)).toBe(-EINVAL);
  expect(machine.call(a, 'futex_waitv', waitv(a, one, two), 2, 0, 0, 0)).toBe(undefined);
  expect(machine.call(b, 'futex_wake', OTHER, 1, 1, U32)).toBe(1);
  expect(machine.call(b, 'futex_wake', WORD, 1, 0, U32)).toBe(0);
  expect(machine.again(a)).toBe(1);
  expect(machine.call(b, 'futex_wake', WORD, 1, 1, U32)).toBe(0);
});

test('futex_wait, futex_wake and futex_requeue answer as on the bare CPU', () => {
  const {
    machine,
    tasks: [a, b],
  } = threads(2);
  expect(machine.call(a, 'futex_wake', WORD, 0, 1, U32)).toBe(-EINVAL);
  expect(machine.call(a, 'futex_wake', WORD, 1, 1, 3)).toBe(-EINVAL);
  expect(machine.call(a, 'futex_wake', WORD, 1, 1, U32 | 16)).toBe(-EINVAL);
  expect(machine.call(a, 'futex_wake', WORD + 2, 1, 1, U32)).toBe(-EINVAL);
  expect(machine.call(a, 'futex_wake', 0, 1, 1, U32)).toBe(-EFAULT);
  expect(machine.call(a, 'futex_wake', 0, 1, 1, U32 | 128)).toBe(0);
  expect(machine.call(a, 'futex_wait', WORD, 1, 1, U32, 0, 0)).toBe(-EAGAIN);
  expect(machine.call(a, 'futex_wait', WORD, 0, 0, U32, 0, 0)).toBe(-EINVAL);
  expect(machine.call(a, 'futex_wait', WORD, 0, 1, U32, TIME, 2)).toBe(-EINVAL);
  expect(machine.call(a, 'futex_wait', WORD, 0, 1, U32, TIME, 1)).toBe(-ETIMEDOUT);
  a.user.writeU32(WORD + 4, 5);
  expect(machine.call(a, 'futex_wake', WORD, 1, 1, U32 | NUMA)).toBe(-EINVAL);
  a.user.writeU32(WORD + 4, 0xffff_ffff);
  expect(machine.call(a, 'futex_wake', WORD, 1, 1, U32 | NUMA)).toBe(0);
  expect(a.user.readU32(WORD + 4)).toBe(0);
  const pair = waitv(a, { value: 0, addr: WORD, flags: U32 }, { value: 0, addr: OTHER, flags: U32 });
  expect(machine.call(a, 'futex_requeue', pair, 1, 1, 1)).toBe(-EINVAL);
  expect(machine.call(a, 'futex_requeue', 0, 0, 1, 1)).toBe(-EINVAL);
  expect(machine.call(a, 'futex_requeue', pair, 0, -1, 1)).toBe(-EINVAL);
  machine.call(b, 'futex_wait', WORD, 0, 1, U32, 0, 0);
  expect(machine.call(a, 'futex_requeue', pair, 0, 0, 1)).toBe(1);
  expect(machine.call(a, 'futex_wake', OTHER, 1, 1, U32)).toBe(1);
  expect(machine.again(b)).toBe(0);
});

test('a word of private memory that was said to be private is another futex than one that was not', () => {
  const {
    machine,
    tasks: [a, b],
  } = threads(2);
  machine.call(a, 'futex', WORD, WAIT, 0, 0);
  expect(machine.call(b, 'futex', WORD, WAKE & 0x7f, 1)).toBe(0);
  expect(machine.call(b, 'futex', WORD, WAKE, 1)).toBe(1);
});
