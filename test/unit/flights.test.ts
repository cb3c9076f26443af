/** Sockets under way in messages: what is lost is found whatever the chain's length, and looking for it does not cost much more than what is under way. */
import { describe, expect, test } from 'vitest';
import type { Description } from '../../fs/description.ts';
import { Flights, type Holder } from '../../fs/flights.ts';

class Socket implements Holder {
  readonly awaits = undefined;
  purged = false;
  readonly description = { file: this, uses: 0, isPathOnly: false, release: () => undefined } as unknown as Description;

  purge(): void {
    this.purged = true;
  }
}

/** Each of the chain is in the queue of the one before; references outside of queues come on top. */
function chain(flights: Flights, length: number, outside: readonly number[] = []): Socket[] {
  const sockets = Array.from({ length }, () => new Socket());
  sockets.forEach((each, i) => {
    flights.depart([each.description], sockets[(i + length - 1) % length], 0);
    (each.description as { uses: number }).uses = 1 + (outside.includes(i) ? 1 : 0);
  });
  return sockets;
}

/** As many closes as it takes until a look is due. */
function look(flights: Flights, count: number): void {
  for (let i = 0; i <= count / 64; i++) flights.closed();
}

describe('sockets under way in messages', () => {
  test('are lost when nobody outside refers to any of a ring', () => {
    const flights = new Flights();
    const ring = chain(flights, 5);
    flights.closed();
    expect(ring.every(({ purged }) => purged)).toBe(true);
  });

  test('are kept while one of a ring is referred to, however long it is', () => {
    const flights = new Flights();
    const ring = chain(flights, 20_000, [7]);
    look(flights, ring.length);
    expect(ring.some(({ purged }) => purged)).toBe(false);
  });

  test('are found in a long ring beside one that is kept', () => {
    const flights = new Flights();
    const [kept, lost] = [chain(flights, 10_000, [9_999]), chain(flights, 10_000)];
    look(flights, 20_000);
    expect(kept.some(({ purged }) => purged)).toBe(false);
    expect(lost.every(({ purged }) => purged)).toBe(true);
  });
});
