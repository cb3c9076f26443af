/** Pipes within the machine: 64 KiB rings with PIPE_BUF atomicity, and the fifos that share them by inode. */
import { EAGAIN, EBUSY, EINVAL, EPIPE, errno } from '../abi/errno.ts';
import { canRead, canWrite } from '../abi/fcntl.ts';
import { FIONREAD } from '../abi/ioctl.ts';
import { POLLERR, POLLHUP, POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM } from '../abi/poll.ts';
import { makeDevice, S_IFIFO } from '../abi/stat.ts';
import type { FileSystemStat, Io, IoctlArgument, OpenFile, Place, Stat, Vnode } from './vnode.ts';
import { Waiters } from './wait.ts';

/** Writes up to this size are never torn (POSIX, pipe(7)). */
export const PIPE_BUF = 4096;
const DEFAULT_CAPACITY = 65536;
/** /proc/sys/fs/pipe-max-size. */
const LARGEST_CAPACITY = 1 << 20;
const PIPEFS_MAGIC = 0x50495045;
const PIPE_DEVICE = makeDevice(0, 13);

/** The ring and who is at its ends. */
export class Pipe {
  private ring: Uint8Array = new Uint8Array(0);
  private start = 0;
  /** Bytes in the ring. */
  filled = 0;
  capacity = DEFAULT_CAPACITY;
  readers = 0;
  writers = 0;
  /** Wakes at every change of the above. */
  readonly changed: Waiters = new Waiters();

  get room(): number {
    return this.capacity - this.filled;
  }

  take(into: Uint8Array): number {
    const count = Math.min(into.length, this.filled);
    const first = Math.min(count, this.ring.length - this.start);
    into.set(this.ring.subarray(this.start, this.start + first));
    into.set(this.ring.subarray(0, count - first), first);
    this.start = (this.start + count) % Math.max(1, this.ring.length);
    this.filled -= count;
    if (this.filled === 0) this.start = 0;
    this.changed.wakeAll();
    return count;
  }

  /** Requires: `from` fits in `room`. */
  put(from: Uint8Array): void {
    if (this.filled + from.length > this.ring.length) this.reshape(Math.max(4096, this.ring.length * 2, this.filled + from.length));
    const at = (this.start + this.filled) % this.ring.length;
    const first = Math.min(from.length, this.ring.length - at);
    this.ring.set(from.subarray(0, first), at);
    this.ring.set(from.subarray(first), 0);
    this.filled += from.length;
    this.changed.wakeAll();
  }

  private reshape(size: number): void {
    const ring = new Uint8Array(Math.min(size, Math.max(this.capacity, this.filled)));
    const first = Math.min(this.filled, this.ring.length - this.start);
    ring.set(this.ring.subarray(this.start, this.start + first));
    ring.set(this.ring.subarray(0, this.filled - first), first);
    this.ring = ring;
    this.start = 0;
  }

  /** F_SETPIPE_SZ: a power of two of at least a page. */
  resize(wanted: number): number {
    if (wanted > LARGEST_CAPACITY * 2048) throw errno(EINVAL);
    let size = 4096;
    while (size < wanted) size *= 2;
    if (size < this.filled) throw errno(EBUSY);
    this.capacity = Math.min(size, LARGEST_CAPACITY);
    this.reshape(Math.min(this.ring.length, this.capacity));
    this.changed.wakeAll();
    return this.capacity;
  }
}

/** One end (or, of a fifo opened for both, two) of a pipe. */
export class PipeEnd implements OpenFile {
  readonly vnode: Vnode;
  readonly seekable = false;
  readonly label: string | undefined;
  private readonly pipe: Pipe;
  private readonly reads: boolean;
  private readonly writes: boolean;

  constructor(vnode: Vnode, pipe: Pipe, flags: number, label?: string) {
    this.vnode = vnode;
    this.pipe = pipe;
    this.label = label;
    this.reads = canRead(flags);
    this.writes = canWrite(flags);
    if (this.reads) pipe.readers++;
    if (this.writes) pipe.writers++;
    pipe.changed.wakeAll();
  }

  get changes(): Waiters {
    return this.pipe.changed;
  }

  read(into: Uint8Array, _position: number, nonblocking: boolean): Io {
    const { pipe } = this;
    if (into.length === 0) return 0;
    if (pipe.filled > 0) return pipe.take(into);
    if (pipe.writers === 0) return 0;
    if (nonblocking) throw errno(EAGAIN);
    return { kind: 'wait', on: pipe.changed };
  }

  /** Moves what fits; up to PIPE_BUF all or nothing. EPIPE (and the caller's SIGPIPE) where nobody can read any more. */
  write(from: Uint8Array, _position: number, nonblocking: boolean): Io {
    const { pipe } = this;
    if (from.length === 0) return 0;
    if (pipe.readers === 0) throw errno(EPIPE);
    const fits = from.length <= PIPE_BUF && from.length > pipe.room ? 0 : Math.min(from.length, pipe.room);
    if (fits > 0) {
      pipe.put(from.subarray(0, fits));
      return fits;
    }
    if (nonblocking) throw errno(EAGAIN);
    return { kind: 'wait', on: pipe.changed };
  }

  poll(): number {
    const { pipe } = this;
    let ready = 0;
    if (this.reads) {
      if (pipe.filled > 0) ready |= POLLIN | POLLRDNORM;
      if (pipe.writers === 0) ready |= POLLHUP;
    }
    if (this.writes) {
      if (pipe.room >= PIPE_BUF) ready |= POLLOUT | POLLWRNORM;
      if (pipe.readers === 0) ready |= POLLERR;
    }
    return ready;
  }

  ioctl(request: number, argument: IoctlArgument): number | undefined {
    if (request !== FIONREAD) return undefined;
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setInt32(0, this.pipe.filled, true);
    argument.bytesOut(bytes);
    return 0;
  }

  capacity(size?: number): number {
    return size === undefined ? this.pipe.capacity : this.pipe.resize(size);
  }

  close(): void {
    if (this.reads) this.pipe.readers--;
    if (this.writes) this.pipe.writers--;
    this.pipe.changed.wakeAll();
  }
}

/** The nameless file behind pipe(2). Opening it again (through /proc/self/fd/N) gives another end of the same pipe. */
export class PipeVnode implements Vnode {
  readonly kind = 'fifo';
  readonly key: string;
  readonly label: string;
  private readonly pipe: Pipe = new Pipe();
  private readonly ino: bigint;
  private readonly made_ns: bigint;
  private readonly owner: { readonly uid: number; readonly gid: number };
  private mode = 0o600;

  constructor(ino: bigint, made_ns: bigint, owner: { readonly uid: number; readonly gid: number }) {
    this.ino = ino;
    this.made_ns = made_ns;
    this.owner = owner;
    this.key = `${PIPE_DEVICE}:${ino}`;
    this.label = `pipe:[${ino}]`;
  }

  /** A place to hang a description on. */
  get place(): Place {
    return { vnode: this, parent: undefined, name: this.label };
  }

  open(flags: number): PipeEnd {
    return new PipeEnd(this, this.pipe, flags, this.label);
  }

  stat(): Stat {
    const { ino, made_ns } = this;
    return {
      dev: PIPE_DEVICE, rdev: 0, ino, mode: S_IFIFO | this.mode, nlink: 1, uid: this.owner.uid, gid: this.owner.gid, size: 0, blksize: 4096, blocks: 0,
      atime_ns: made_ns, mtime_ns: made_ns, ctime_ns: made_ns, btime_ns: undefined,
    };
  }

  statfs(): FileSystemStat {
    return { type: PIPEFS_MAGIC, bsize: 4096, blocks: 0, bfree: 0, bavail: 0, files: 0, ffree: 0, namelen: 255, flags: 0x20 };
  }

  readlink(): string {
    throw errno(EINVAL);
  }

  truncate(): void {
    throw errno(EINVAL);
  }

  chmod(mode: number): void {
    this.mode = mode & 0o7777;
  }

  chown(): void {}

  utimes(): void {}

  access(): void {}
}
