/** Turns, shares and wakes of the scheduler, without a machine. */
import { expect, test } from 'vitest';
import { NOBODY } from '../../fs/wait.ts';
import { Scheduler, type TaskState } from '../../proc/scheduler.ts';

/** Takes the next one's turn to its end: its whole share, or so many instructions of it. Its name. */
function turn(scheduler: Scheduler<Player>, used = 1_000_000): string | undefined {
  const task = scheduler.next();
  if (task !== undefined) scheduler.charge(task, used);
  return task?.name;
}

interface Player {
  state: TaskState;
  credit: number;
  weight: number;
  rank: number;
  isUnshared: boolean;
  readonly name: string;
}

const player = (name: string): Player => ({ name, state: 'ready', credit: 0, weight: 1, rank: 0, isUnshared: false });
const players = () => ['a', 'b', 'c'].map(player) as [Player, Player, Player];

test('ready tasks take turns; a stopped one is left out, and its wait is taken up again', () => {
  const scheduler = new Scheduler<Player>();
  const [a, b, c] = players();
  for (const task of [a, b, c]) scheduler.add(task);
  scheduler.park(b, NOBODY, 50n);
  expect([1, 2, 3].map(() => turn(scheduler))).toEqual(['a', 'c', 'a']);
  scheduler.stop(c);
  expect([1, 2].map(() => turn(scheduler))).toEqual(['a', 'a']);
  scheduler.expire(50n);
  scheduler.resume(c);
  expect(new Set([1, 2, 3].map(() => turn(scheduler)))).toEqual(new Set(['a', 'b', 'c']));
  for (const task of [a, b, c]) scheduler.remove(task);
  expect([scheduler.next(), scheduler.idle]).toEqual([undefined, true]);
});

test('a task that wakes interrupts one that computes, until its share is used up', () => {
  const scheduler = new Scheduler<Player>();
  const [a, b] = players();
  for (const task of [a, b]) scheduler.add(task);
  expect(turn(scheduler)).toBe('a');
  expect(turn(scheduler, 400_000)).toBe('b');
  scheduler.park(b, NOBODY, undefined);
  expect([scheduler.left(a, 0), scheduler.next()?.name]).toEqual([250_000, 'a']);
  scheduler.wake(b);
  expect([scheduler.left(a, 0), scheduler.left(a, 100_000)]).toEqual([100_000, 0]);
  scheduler.charge(a, 100_000);
  expect([turn(scheduler, 599_999), scheduler.left(b, 0), turn(scheduler, 1), turn(scheduler, 900_000), turn(scheduler)]).toEqual([
    'b',
    1,
    'b',
    'a',
    'b',
  ]);
});

test('who has made a task goes on for a while before it runs', () => {
  const scheduler = new Scheduler<Player>();
  const [a, b] = players();
  scheduler.add(a);
  expect(scheduler.left(a, 240_000)).toBe(10_000);
  scheduler.addChild(b, a);
  expect([scheduler.left(a, 240_000), scheduler.left(a, 489_999), scheduler.left(a, 490_000)]).toEqual([250_000, 1, 0]);
  scheduler.charge(a, 490_000);
  expect([turn(scheduler, 1), scheduler.left(a, 0)]).toEqual(['b', 10_000]);
  // However small its share is by now, but not for ever.
  a.credit = 2;
  scheduler.addChild(b, a);
  expect([scheduler.left(a, 0), a.credit]).toEqual([250_000, 1]);
  for (let used = 50_000; used < 2_000_000; used += 50_000) {
    scheduler.addChild(b, a);
    expect(scheduler.left(a, used)).toBeLessThanOrEqual(1_000_000 - used);
  }
});

test('a turn that the host interrupts goes on, unless the task cannot', () => {
  const scheduler = new Scheduler<Player>();
  const [a, b] = players();
  for (const task of [a, b]) scheduler.add(task);
  expect(scheduler.begin(a)).toBe(0);
  scheduler.interrupt(a, 1000);
  expect([scheduler.next()?.name, scheduler.begin(a), scheduler.begin(a)]).toEqual(['a', 1000, 0]);
  scheduler.interrupt(a, 1000);
  scheduler.stop(a);
  expect([scheduler.next()?.name, scheduler.begin(b)]).toEqual(['b', 0]);
});

test('who makes many tasks has no more than its share, and who yields lets all others pass', () => {
  const scheduler = new Scheduler<Player>();
  const [a, b, c] = players();
  for (const task of [a, b]) scheduler.add(task);
  scheduler.addChild(c, a);
  expect([a.credit, b.credit, c.credit]).toEqual([500_000, 1_000_000, 500_000]);
  scheduler.yield(a);
  expect(scheduler.left(a, 0)).toBe(0);
  scheduler.charge(a, 0);
  expect([turn(scheduler, 500_000), turn(scheduler), turn(scheduler), turn(scheduler)]).toEqual(['c', 'b', 'a', 'c']);
});

test('shares follow weights', () => {
  const scheduler = new Scheduler<Player>();
  const [a, b] = players();
  b.weight = 1.25 ** -5;
  const used = new Map<Player, number>();
  for (const task of [a, b]) scheduler.add(task);
  for (let i = 0; i < 4000; i++) {
    const task = scheduler.next() as Player;
    const turn = scheduler.left(task, 0);
    used.set(task, (used.get(task) ?? 0) + turn);
    scheduler.charge(task, turn);
  }
  expect((used.get(b) as number) / (used.get(a) as number)).toBeCloseTo(1.25 ** -5, 2);
  scheduler.rerank(a, () => (a.weight = 0.001));
  expect(scheduler.left(a, 0)).toBe(1000);
});

test('who has a rank runs before all of a lower one, and interrupts them', () => {
  const scheduler = new Scheduler<Player>();
  const [a, b, c] = players();
  [b.rank, c.rank] = [10, 20];
  for (const task of [a, b]) scheduler.add(task);
  scheduler.park(c, NOBODY, undefined);
  expect(turn(scheduler, 1)).toBe('b');
  scheduler.begin(b);
  scheduler.wake(c);
  expect([scheduler.left(b, 0), scheduler.next()?.name, scheduler.left(c, 0)]).toEqual([0, 'c', 250_000]);
  scheduler.interrupt(b, 100);
  expect(scheduler.next()?.name).toBe('c');
  scheduler.rerank(b, () => (b.rank = 30));
  expect([scheduler.left(c, 0), scheduler.next()?.name, scheduler.begin(b)]).toEqual([0, 'b', 100]);
  scheduler.rerank(b, () => (b.rank = 0));
  scheduler.rerank(c, () => (c.rank = 0));
  expect(new Set([1, 2, 3].map(() => turn(scheduler)))).toEqual(new Set(['a', 'b', 'c']));
});

test('of one rank those with shares take turns, the others go on until they wait or yield', () => {
  const scheduler = new Scheduler<Player>();
  const [a, b] = players();
  a.rank = b.rank = 5;
  for (const task of [a, b]) scheduler.add(task);
  expect([1, 2, 3].map(() => turn(scheduler))).toEqual(['a', 'b', 'a']);
  a.isUnshared = b.isUnshared = true;
  expect([1, 2, 3].map(() => turn(scheduler))).toEqual(['b', 'b', 'b']);
  scheduler.yield(b);
  expect(scheduler.left(b, 0)).toBe(0);
  expect([turn(scheduler, 0), turn(scheduler), turn(scheduler)]).toEqual(['b', 'a', 'a']);
});

test('those with a rank leave the others a twentieth of the time', () => {
  const scheduler = new Scheduler<Player>();
  const [a, b] = players();
  b.rank = 99;
  b.isUnshared = true;
  for (const task of [a, b]) scheduler.add(task);
  // Nineteen shares, in quarters, at first; then the twentieth part.
  const names = Array.from({ length: 2000 }, () => turn(scheduler, 250_000));
  expect(names.filter((name) => name === 'a').length).toBe(Math.ceil((2000 - 4 * 19) / 20));
  scheduler.remove(a);
  expect(new Set(Array.from({ length: 200 }, () => turn(scheduler)))).toEqual(new Set(['b']));
});
