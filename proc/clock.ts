/** Time and randomness as ports, so that a run can be repeated: the host's clock, or one that only executed instructions advance. */
import { MAX_ERROR_US, STA_UNSYNC, TICK_US } from '../abi/timex.ts';

/** All times are nanoseconds. */
export interface Clock {
  /** Since 1970. */
  realtime(): bigint;
  /** Since some fixed point; never goes back. Deadlines are in this time. */
  monotonic(): bigint;
  /** Called when every task waits and the next deadline is `to` (monotonic): a clock that does not run by itself jumps there. */
  readonly skip?: (to: bigint) => void;
}

/**
 * The clock of a machine: one passed in, whose real time the guest may set, for itself alone. A slew (adjtime) takes its time, as on Linux: half a
 * millisecond a second.
 */
export class GuestClock implements Clock {
  readonly skip: Clock['skip'];
  /** What else the guest has said of its clock: kept, and told again. */
  readonly accuracy: ClockAccuracy = {
    frequency: 0,
    maxError_us: MAX_ERROR_US,
    error_us: MAX_ERROR_US,
    status: STA_UNSYNC,
    constant: 2,
    tick_us: TICK_US,
    tai_s: 0,
  };
  private readonly inner: Clock;
  private offset_ns: bigint = 0n;
  private slew_ns: bigint = 0n;
  private slewStart_ns: bigint = 0n;

  constructor(inner: Clock) {
    this.inner = inner;
    this.skip = inner.skip && ((to) => inner.skip?.(to));
  }

  realtime(): bigint {
    return this.inner.realtime() + this.offset_ns + (this.slew_ns === 0n ? 0n : this.slewn());
  }
  monotonic(): bigint {
    return this.inner.monotonic();
  }

  /** Sets the real time; a slew is over. */
  set(now_ns: bigint): void {
    this.slew_ns = 0n;
    this.offset_ns = now_ns - this.inner.realtime();
  }

  /** What is left of the last slew. */
  get slewLeft_ns(): bigint {
    return this.slew_ns - this.slewn();
  }

  /** Begins a slew by so much, in place of one that is on its way. */
  slew(by_ns: bigint): void {
    this.offset_ns += this.slewn();
    this.slew_ns = by_ns;
    this.slewStart_ns = this.monotonic();
  }

  private slewn(): bigint {
    const most_ns = (this.monotonic() - this.slewStart_ns) / 2000n;
    if (this.slew_ns < 0n) return this.slew_ns < -most_ns ? -most_ns : this.slew_ns;
    return this.slew_ns > most_ns ? most_ns : this.slew_ns;
  }
}

/** As struct timex has it. */
export interface ClockAccuracy {
  /** Parts per million, shifted left by 16. */
  frequency: number;
  maxError_us: number;
  error_us: number;
  status: number;
  constant: number;
  tick_us: number;
  tai_s: number;
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
