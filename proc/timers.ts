/** The three interval timers of a process (setitimer, alarm). The real one runs by the clock, the others by CPU time used. */
import { SIGALRM, SIGPROF, SIGVTALRM } from '../abi/signal.ts';
import type { Expirable } from './deadlines.ts';

/** What getitimer says: time left and interval, both in nanoseconds; 0n left means disarmed. */
export interface TimerSetting {
  readonly left_ns: bigint;
  readonly interval_ns: bigint;
}

/** One timer over a time that is passed in. */
export class IntervalTimer implements Expirable {
  readonly signo: number;
  due: bigint | undefined;
  interval_ns: bigint = 0n;
  /** Sends the signal, and enters the timer again where it repeats; given by whoever arms it. */
  private fire: () => void = () => {};

  constructor(signo: number) {
    this.signo = signo;
  }

  read(now: bigint): TimerSetting {
    if (this.due === undefined) return { left_ns: 0n, interval_ns: this.interval_ns };
    // A timer that is due and has not fired yet still says that a little is left, as Linux does.
    return { left_ns: this.due > now ? this.due - now : 1000n, interval_ns: this.interval_ns };
  }

  set(now: bigint, setting: TimerSetting, fire: () => void): void {
    this.interval_ns = setting.interval_ns;
    this.due = setting.left_ns === 0n ? undefined : now + setting.left_ns;
    this.fire = fire;
  }

  /** Moves on to the next period, or disarms; periods that were missed are one signal. */
  expire(now: bigint): void {
    if (this.due === undefined) return;
    if (this.interval_ns === 0n) this.due = undefined;
    else this.due += ((now - this.due) / this.interval_ns + 1n) * this.interval_ns;
    this.fire();
  }
}

export class IntervalTimers {
  readonly real: IntervalTimer = new IntervalTimer(SIGALRM);
  readonly virtual: IntervalTimer = new IntervalTimer(SIGVTALRM);
  readonly profile: IntervalTimer = new IntervalTimer(SIGPROF);

  /** CPU time has passed: fires the timers that run by it. */
  chargeCpu(user_ns: bigint, system_ns: bigint): void {
    const { virtual, profile } = this;
    if (virtual.due !== undefined && virtual.due <= user_ns) virtual.expire(user_ns);
    if (profile.due !== undefined && profile.due <= user_ns + system_ns) profile.expire(user_ns + system_ns);
  }
}
