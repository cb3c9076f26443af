/** Time and randomness as ports, so that a run can be repeated: the host's clock, or one that only executed instructions advance. */

/** All times are nanoseconds. */
export interface Clock {
  /** Since 1970. */
  realtime(): bigint;
  /** Since some fixed point; never goes back. Deadlines are in this time. */
  monotonic(): bigint;
  /** Called when every task waits and the next deadline is `to` (monotonic): a clock that does not run by itself jumps there. */
  readonly skip?: (to: bigint) => void;
}

/** A clock over the host's, given as functions: `realtime_ms` as Date.now, `monotonic_ms` as performance.now. */
export function hostClock(realtime_ms: () => number, monotonic_ms: () => number): Clock {
  // Sub-millisecond real time: the wall clock is read once and carried on by the monotonic one, unless someone sets the wall clock.
  let base = realtime_ms() - monotonic_ms();
  return {
    realtime: () => {
      const now = monotonic_ms();
      if (Math.abs(base + now - realtime_ms()) > 20) base = realtime_ms() - now;
      return nanoseconds(base + now);
    },
    monotonic: () => nanoseconds(monotonic_ms()),
  };
}

/** Milliseconds as nanoseconds, exact to the microsecond where a double is. */
function nanoseconds(ms: number): bigint {
  const whole = Math.floor(ms);
  return BigInt(whole) * 1_000_000n + BigInt(Math.floor((ms - whole) * 1e6));
}

/** When `--deterministic` begins: 2020-01-01 00:00:00 UTC. */
const DETERMINISTIC_START = 1_577_836_800_000_000_000n;

/** Time that advances by one nanosecond an executed instruction, and by leaps when all tasks sleep. */
export function instructionClock(instructions: () => number, start: bigint = DETERMINISTIC_START): Clock {
  let skipped = 1_000_000_000n;
  const monotonic = () => BigInt(instructions()) + skipped;
  return {
    realtime: () => start + monotonic(),
    monotonic,
    skip: (to) => {
      const now = monotonic();
      if (to > now) skipped += to - now;
    },
  };
}

/** Fills a buffer with random bytes. */
export type RandomSource = (into: Uint8Array) => void;

/** A seeded source (xorshift128): not for secrets, for runs that can be repeated. */
export function seededRandom(seed: number): RandomSource {
  let a = (seed ^ 0x9e3779b9) >>> 0 || 1;
  let b = Math.imul(seed + 1, 0x85ebca6b) >>> 0 || 2;
  let c = Math.imul(seed + 2, 0xc2b2ae35) >>> 0 || 3;
  let d = 0x2545f491;
  const next = () => {
    const t = a ^ (a << 11);
    a = b;
    b = c;
    c = d;
    d = (d ^ (d >>> 19) ^ t ^ (t >>> 8)) >>> 0;
    return d;
  };
  for (let i = 0; i < 16; i++) next();
  return (into) => {
    for (let i = 0; i < into.length; i += 4) {
      const word = next();
      for (let k = 0; k < 4 && i + k < into.length; k++) into[i + k] = word >>> (8 * k);
    }
  };
}
