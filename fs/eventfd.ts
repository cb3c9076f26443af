/** eventfd: a 64-bit counter that write adds to and read takes, whole or one at a time. */
import { EAGAIN, EINVAL, errno } from '../abi/errno.ts';
import { POLLERR, POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM } from '../abi/poll.ts';
import type { Io, OpenFile, Vnode } from './vnode.ts';
import { Waiters } from './wait.ts';

const MOST = 0xffff_ffff_ffff_fffen;

export class EventFile implements OpenFile {
  readonly vnode: Vnode;
  readonly seekable = false;
  readonly stays = true;
  readonly hasRecords = true;
  readonly writesPieces = true;
  readonly canNotWait = true;
  readonly label: string = 'anon_inode:[eventfd]';
  readonly changes: Waiters = new Waiters();
  private readonly semaphore: boolean;
  private count: bigint;

  constructor(vnode: Vnode, count: number, semaphore: boolean) {
    this.vnode = vnode;
    this.count = BigInt(count);
    this.semaphore = semaphore;
  }

  checkRead(size: number): void {
    if (size < 8) throw errno(EINVAL);
  }

  checkWrite(size: number): void {
    if (size !== 8) throw errno(EINVAL);
  }

  read(into: Uint8Array, _position: number, nonblocking: boolean): Io {
    if (this.count === 0n) {
      if (nonblocking) throw errno(EAGAIN);
      return { kind: 'wait', on: this.changes };
    }
    const taken = this.semaphore ? 1n : this.count;
    this.count -= taken;
    new DataView(into.buffer, into.byteOffset).setBigUint64(0, taken, true);
    this.changes.wakeAll(POLLOUT | POLLWRNORM);
    return 8;
  }

  write(from: Uint8Array, _position: number, nonblocking: boolean): Io {
    const added = new DataView(from.buffer, from.byteOffset).getBigUint64(0, true);
    if (added > MOST) throw errno(EINVAL);
    if (this.count + added > MOST) {
      if (nonblocking) throw errno(EAGAIN);
      return { kind: 'wait', on: this.changes };
    }
    this.count += added;
    this.changes.wakeAll(POLLIN | POLLRDNORM);
    return 8;
  }

  /** What the kernel itself adds: never waits, and stops at the most there may be. Linux: eventfd_signal. */
  add(count: bigint): void {
    this.count = this.count + count > MOST ? MOST : this.count + count;
    this.changes.wakeAll(POLLIN | POLLRDNORM);
  }

  poll(): number {
    let ready = 0;
    if (this.count > 0n) ready |= POLLIN;
    if (this.count > MOST) ready |= POLLERR;
    if (this.count < MOST) ready |= POLLOUT;
    return ready;
  }

  info(): string {
    return `eventfd-count: ${this.count.toString(16).padStart(16)}\neventfd-id: ${this.vnode.stat().ino}\neventfd-semaphore: ${this.semaphore ? 1 : 0}\n`;
  }

  close(): void {}
}
