/**
 * Fifos of the host that were there before. Their other end may be another process of the host, so nobody can wake us: a wait looks again after a
 * moment. Those that guests make are pipes of the machine (fs/fifo.ts), under the name on the host.
 */
import { EAGAIN, ENXIO, Errno, errno } from '../abi/errno.ts';
import { canRead, canWrite, O_ACCMODE, O_CLOEXEC, O_NOFOLLOW, O_NONBLOCK, O_WRONLY } from '../abi/fcntl.ts';
import { POLLHUP, POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM } from '../abi/poll.ts';
import * as host from './hostfs.ts';
import type { Io, OpenFile, Vnode, Wait } from './vnode.ts';
import { NOBODY } from './wait.ts';

/** `isOwn`: guests of this machine made it. */
export type FifoOpener = (vnode: Vnode, path: string, flags: number, isOwn: boolean) => OpenFile | Wait;

/** Fifos that guests have made: both their ends are in the machine, and nobody outside is waited for. */
export class OwnFifos {
  private readonly made: Set<string> = new Set();

  add(path: string): void {
    const key = keyOf(path);
    if (key !== undefined) this.made.add(key);
  }

  has(path: string): boolean {
    const key = this.made.size === 0 ? undefined : keyOf(path);
    return key !== undefined && this.made.has(key);
  }
}

/** A fifo, and not another one that has its inode number later. */
function keyOf(path: string): string | undefined {
  const stat = host.lstat(path);
  return stat && `${stat.dev}:${stat.ino}:${stat.birthtimeNs}`;
}

const LOOK_AGAIN: Wait = { kind: 'wait', on: NOBODY, retry_ms: 2 };

/** Opens without ever blocking in the host. A writer without `O_NONBLOCK` waits here for a reader; a reader waits at its first read instead. */
export function openHostFifo(vnode: Vnode, path: string, flags: number): OpenFile | Wait {
  try {
    const fd = host.open(path, (flags & O_ACCMODE) | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
    return new HostFifo(vnode, fd, flags);
  } catch (error) {
    const waits = error instanceof Errno && error.code === ENXIO && (flags & O_ACCMODE) === O_WRONLY && !(flags & O_NONBLOCK);
    if (waits) return LOOK_AGAIN;
    throw error;
  }
}

class HostFifo implements OpenFile {
  readonly vnode: Vnode;
  readonly seekable = false;
  private readonly fd: number;
  private readonly flags: number;
  /** A writer has been there: from now on nothing to read means the end. */
  private met = false;
  private ahead: Uint8Array = new Uint8Array(0);

  constructor(vnode: Vnode, fd: number, flags: number) {
    this.vnode = vnode;
    this.fd = fd;
    this.flags = flags;
  }

  read(into: Uint8Array, _position: number, nonblocking: boolean): Io {
    if (into.length === 0) return 0;
    if (this.ahead.length > 0) {
      const part = this.ahead.subarray(0, into.length);
      into.set(part);
      this.ahead = this.ahead.slice(part.length);
      const more = part.length < into.length ? this.readNow(into.subarray(part.length)) : 0;
      return part.length + (more === 'none' ? 0 : more);
    }
    const moved = this.readNow(into);
    if (moved === 'none') {
      if (nonblocking) throw errno(EAGAIN);
      return LOOK_AGAIN;
    }
    if (moved === 0 && !this.met && !nonblocking) return LOOK_AGAIN;
    return moved;
  }

  private readNow(into: Uint8Array): number | 'none' {
    try {
      const moved = host.read(this.fd, into, null);
      this.met ||= moved > 0;
      return moved;
    } catch (error) {
      if (!(error instanceof Errno) || error.code !== EAGAIN) throw error;
      this.met = true;
      return 'none';
    }
  }

  write(from: Uint8Array, _position: number, nonblocking: boolean): Io {
    try {
      return host.write(this.fd, from, null);
    } catch (error) {
      if (error instanceof Errno && error.code === EAGAIN && !nonblocking) return LOOK_AGAIN;
      throw error;
    }
  }

  poll(): number {
    let ready = canWrite(this.flags) ? POLLOUT | POLLWRNORM : 0;
    if (!canRead(this.flags)) return ready;
    if (this.ahead.length === 0) {
      const bytes = new Uint8Array(1);
      const moved = this.readNow(bytes);
      if (typeof moved === 'number') this.ahead = bytes.subarray(0, moved);
      if (moved === 0 && this.met) ready |= POLLHUP;
    }
    if (this.ahead.length > 0) ready |= POLLIN | POLLRDNORM;
    return ready;
  }

  close(): void {
    host.close(this.fd);
  }
}
