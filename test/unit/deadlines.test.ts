/** The queue of deadlines gives the earliest first, and does not grow with what is set again and again. */
import { expect, test } from 'vitest';
import { Deadlines, type Expirable } from '../../proc/deadlines.ts';

class Alarm implements Expirable {
  due: bigint | undefined;
  expired = 0;
  constructor(due: bigint) {
    this.due = due;
  }
  expire(): void {
    this.expired++;
    this.due = undefined;
  }
}

test('what is due expires in order, what was put off or called off does not', () => {
  const deadlines = new Deadlines();
  const [early, late, off] = [new Alarm(10n), new Alarm(30n), new Alarm(20n)];
  for (const alarm of [late, off, early]) deadlines.add(alarm);
  off.due = undefined;
  expect(deadlines.next()).toBe(10n);
  deadlines.expire(25n);
  expect([early.expired, late.expired, off.expired]).toEqual([1, 0, 0]);
  expect(deadlines.next()).toBe(30n);
});

test('a timer set again a hundred thousand times leaves no more than a few thousand entries', () => {
  const deadlines = new Deadlines();
  const others = Array.from({ length: 1500 }, (_, n) => new Alarm(BigInt(2_000_000 + n)));
  for (const alarm of others) deadlines.add(alarm);
  const moved = new Alarm(0n);
  const same = new Alarm(1_000_000n);
  for (let n = 0; n < 100_000; n++) {
    moved.due = BigInt(500_000 + (n % 1000));
    deadlines.add(moved);
    deadlines.add(same);
  }
  expect(deadlines.size).toBeLessThan(6000);
  deadlines.expire(1_999_999n);
  expect([moved.expired, same.expired]).toEqual([1, 1]);
  deadlines.expire(3_000_000n);
  expect(others.every(({ expired }) => expired === 1)).toBe(true);
});
