/**
 * POSIX timers (timer_create): each over a clock of its own, each with at most one signal under way. The periods that pass until that signal is
 * taken are its overrun; only then is a repeating timer set again. Linux: kernel/time/posix-timers.c.
 */
import { SI_TIMER } from '../abi/signal.ts';
import type { Expirable } from './deadlines.ts';
import type { SignalInfo } from './siginfo.ts';
import type { TimerSetting } from './timers.ts';

/** DELAYTIMER_MAX. */
const OVERRUN_MAX = 0x7fff_ffff;

/** What a timer runs by and whom it tells; its owner gives these. */
export interface TimerPort {
  /** The time that deadlines are kept in: monotonic, or CPU time; nanoseconds. */
  now(): bigint;
  /** What makes a time of the timer's own clock one of `now`. */
  offset(): bigint;
  /** `due` has changed: the clock's owner looks at it again. */
  changed(timer: PosixTimer): void;
  /** CLOCK_ number, and the thread that is told where it is one; for /proc/PID/timers. */
  readonly clock: number;
  readonly tid?: number;
  /** Queues the signal; false where it was dropped because it is ignored. Absent: nobody is told (SIGEV_NONE). */
  readonly send?: (info: SignalInfo) => boolean;
}

export class PosixTimer implements Expirable {
  readonly id: number;
  readonly signo: number;
  /** In `now`'s time. */
  due: bigint | undefined;
  interval_ns: bigint = 0n;
  /** What timer_getoverrun says: of the signal that was taken last. */
  overrun: number = 0;
  /** What the signal carries. */
  readonly value: number;
  readonly port: TimerPort;
  /** When it went off, while its signal has not been taken. */
  private expired: bigint | undefined;
  /** Its signal is in a queue; it is good only while `expired` is set too. */
  private queued: boolean = false;

  constructor(id: number, signo: number, value: number, port: TimerPort) {
    this.id = id;
    this.signo = signo;
    this.value = value;
    this.port = port;
  }

  read(): TimerSetting {
    const { interval_ns } = this;
    const at = this.due ?? this.expired;
    if (at === undefined || (this.due === undefined && interval_ns === 0n)) return { left_ns: 0n, interval_ns };
    const now = this.port.now();
    const forward = this.due === undefined || this.port.send === undefined;
    const next = forward && interval_ns !== 0n && at <= now ? after(at, interval_ns, now) : at;
    if (next > now) return { left_ns: next - now, interval_ns };
    return { left_ns: this.port.send === undefined ? 0n : 1n, interval_ns };
  }

  /** `due` is in `now`'s time; undefined disarms. A signal that has not been taken yet never will be. */
  set(due: bigint | undefined, interval_ns: bigint): void {
    this.interval_ns = due === undefined ? 0n : interval_ns;
    this.due = due;
    this.expired = undefined;
    this.overrun = 0;
    this.port.changed(this);
  }

  expire(): void {
    if (this.port.send === undefined || this.due === undefined) return;
    this.expired = this.due;
    this.due = undefined;
    this.queue();
  }

  /** For clocks that no queue of deadlines knows. Returns whether the timer went off. */
  expireIfDue(): boolean {
    if (this.due === undefined || this.due > this.port.now()) return false;
    this.expire();
    return true;
  }

  /** The signal's action is not "ignore" any more: a repeating timer that fell silent is heard again. */
  unignore(): void {
    if (this.expired !== undefined && !this.queued) this.queue();
  }

  private queue(): void {
    if (this.queued) return;
    const taken = () => this.taken();
    const removed = () => {
      this.queued = false;
      this.dropped();
    };
    this.queued = true;
    if (this.port.send?.({ signo: this.signo, errno: 0, code: SI_TIMER, fields: [this.id, 0, this.value], taken, removed })) return;
    removed();
  }

  /** Ignored: a repeating timer waits until it no longer is, one that fires once is over. */
  private dropped(): void {
    if (this.interval_ns === 0n) this.expired = undefined;
  }

  private taken(): SignalInfo | undefined {
    this.queued = false;
    const at = this.expired;
    if (at === undefined) return undefined;
    this.expired = undefined;
    this.overrun = 0;
    if (this.interval_ns !== 0n) {
      const due = after(at, this.interval_ns, this.port.now());
      const missed = (due - at) / this.interval_ns - 1n;
      this.overrun = missed > OVERRUN_MAX ? OVERRUN_MAX : Number(missed);
      this.due = due;
      this.port.changed(this);
    }
    return { signo: this.signo, errno: 0, code: SI_TIMER, fields: [this.id, this.overrun, this.value] };
  }
}

/** The first time after `now` in the row that starts at `at`, but `at + interval` at the earliest. */
function after(at: bigint, interval_ns: bigint, now: bigint): bigint {
  const periods = now > at ? (now - at) / interval_ns + 1n : 1n;
  return at + periods * interval_ns;
}

/** The timers of a process. */
export class PosixTimers {
  private readonly timers: Map<number, PosixTimer> = new Map();
  /** Those that run by CPU time. */
  private readonly cpu: Set<PosixTimer> = new Set();
  private next: number = 0;

  get size(): number {
    return this.timers.size;
  }

  /** As they were made. */
  all(): Iterable<PosixTimer> {
    return this.timers.values();
  }

  get(id: number): PosixTimer | undefined {
    return this.timers.get(id);
  }

  /** The number of the next timer; numbers are not used twice, as far as there are others. */
  freeId(): number {
    while (this.timers.has(this.next)) this.next = (this.next + 1) & 0x7fff_ffff;
    const id = this.next;
    this.next = (id + 1) & 0x7fff_ffff;
    return id;
  }

  add(timer: PosixTimer): void {
    this.timers.set(timer.id, timer);
  }

  delete(timer: PosixTimer): void {
    timer.set(undefined, 0n);
    this.cpu.delete(timer);
    this.timers.delete(timer.id);
  }

  /** execve, and the end of the process. */
  clear(): void {
    for (const timer of [...this.timers.values()]) this.delete(timer);
    this.next = 0;
  }

  /** `changed` of timers that run by CPU time. */
  watchCpu(timer: PosixTimer): void {
    if (timer.due === undefined) this.cpu.delete(timer);
    else this.cpu.add(timer);
  }

  /** CPU time has passed. */
  chargeCpu(): void {
    for (const timer of this.cpu) if (timer.expireIfDue()) this.cpu.delete(timer);
  }

  unignore(signo: number): void {
    for (const timer of this.timers.values()) if (timer.signo === signo) timer.unignore();
  }
}
