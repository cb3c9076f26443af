/** timerfd: a file that counts how often its timer has expired. When it is due is the business of who arms it. */
import { EAGAIN, EINVAL, errno } from '../abi/errno.ts';
import { POLLIN, POLLRDNORM } from '../abi/poll.ts';
import type { Io, OpenFile, Vnode } from './vnode.ts';
import { Waiters } from './wait.ts';

export class TimerFile implements OpenFile {
  readonly vnode: Vnode;
  readonly seekable = false;
  readonly stays = true;
  readonly noWrite = true;
  readonly hasRecords = true;
  readonly canNotWait = true;
  readonly label: string = 'anon_inode:[timerfd]';
  readonly changes: Waiters = new Waiters();
  /** CLOCK_ number. */
  readonly clock: number;
  /** Monotonic nanoseconds; undefined: disarmed. */
  due: bigint | undefined;
  interval_ns = 0n;
  /** What it was set with last: TFD_TIMER_ bits. */
  private settings = 0;
  private expirations = 0n;

  constructor(vnode: Vnode, clock: number) {
    this.vnode = vnode;
    this.clock = clock;
  }

  /** Arms (or with undefined disarms) it; expirations not read yet are forgotten. */
  set(due: bigint | undefined, interval_ns: bigint, settings = 0): void {
    this.settings = settings;
    this.due = due;
    this.interval_ns = interval_ns;
    this.expirations = 0n;
  }

  /** Called by the scheduler when it is due; it must be entered again where it repeats. */
  expire(now: bigint): void {
    if (this.due === undefined || this.due > now) return;
    if (this.interval_ns === 0n) {
      this.due = undefined;
      this.expirations++;
    } else {
      const periods = (now - this.due) / this.interval_ns + 1n;
      this.expirations += periods;
      this.due += periods * this.interval_ns;
    }
    this.changes.wakeAll(POLLIN | POLLRDNORM);
  }

  checkRead(size: number): void {
    if (size < 8) throw errno(EINVAL);
  }

  read(into: Uint8Array, _position: number, nonblocking: boolean): Io {
    if (this.expirations === 0n) {
      if (nonblocking) throw errno(EAGAIN);
      return { kind: 'wait', on: this.changes };
    }
    new DataView(into.buffer, into.byteOffset).setBigUint64(0, this.expirations, true);
    this.expirations = 0n;
    return 8;
  }

  write(): number {
    throw errno(EINVAL);
  }

  poll(): number {
    return this.expirations > 0n ? POLLIN : 0;
  }

  info(now_ns: bigint): string {
    const left = this.due !== undefined && this.due > now_ns ? this.due - now_ns : 0n;
    const pair = (time_ns: bigint): string => `(${time_ns / 1_000_000_000n}, ${time_ns % 1_000_000_000n})`;
    return [
      `clockid: ${this.clock}`,
      `ticks: ${this.expirations}`,
      `settime flags: 0${this.settings.toString(8)}`,
      `it_value: ${pair(left)}`,
      `it_interval: ${pair(this.interval_ns)}`,
      '',
    ].join('\n');
  }

  close(): void {
    this.due = undefined;
  }
}
