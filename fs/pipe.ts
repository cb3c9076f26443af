/** Pipes within the machine: sixteen pages with PIPE_BUF atomicity, packets, and what splice and tee do with whole pages. */
import { PIPEFS_MAGIC } from '../abi/magic.ts';
import { EAGAIN, EBUSY, EINVAL, EPERM, EPIPE, errno } from '../abi/errno.ts';
import { canRead, canWrite, O_DIRECT } from '../abi/fcntl.ts';
import { FIONREAD } from '../abi/ioctl.ts';
import { PAGE_SIZE } from '../abi/page.ts';
import { POLLERR, POLLHUP, POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM } from '../abi/poll.ts';
import { S_IFIFO } from '../abi/stat.ts';
import { type AnonymousOptions, AnonymousVnode } from './anonymous.ts';
import type { Io, IoctlArgument, OpenFile, Vnode } from './vnode.ts';
import { Waiters } from './wait.ts';

const DEFAULT_CAPACITY = 65536;
/** /proc/sys/fs/pipe-max-size. */
const LARGEST_CAPACITY = 1 << 20;
/** Minor number of the file system. */
const PIPE_MINOR = 13;

/** A page of a pipe: bytes [start, end) have been written and not yet read. */
interface Slot {
  readonly bytes: Uint8Array;
  start: number;
  end: number;
  /** What is written next may follow in this page: not so behind bytes that came by splice, or that another pipe has too. */
  mayGrow: boolean;
  /** Read whole or cut off (O_DIRECT). */
  isPacket: boolean;
}

/** How the bytes of a page came into a pipe. */
export type Arrival = 'stream' | 'packet' | 'spliced';

/**
 * The bytes and who is at their ends. As in Linux they lie in pages, and a pipe is full when it has no free page: a write begins in the last page only
 * where what it has beyond whole pages fits there (pipe_write).
 */
export class Pipe {
  private readonly slots: Slot[] = [];
  /** Pages to be used again: at most as many as the pipe may hold. */
  private readonly spares: Uint8Array[] = [];
  private pages = DEFAULT_CAPACITY / PAGE_SIZE;
  /** Bytes that can be read. */
  filled = 0;
  readers = 0;
  writers = 0;
  /** How many have ever been there: whoever opens a fifo waits for one more at the other end. */
  readersCame = 0;
  writersCame = 0;
  /** Wakes at every change of the above. */
  readonly changed: Waiters = new Waiters();

  get capacity(): number {
    return this.pages * PAGE_SIZE;
  }

  get full(): boolean {
    return this.slots.length >= this.pages;
  }

  /** Pages that can still be filled. */
  get room(): number {
    return this.pages - this.slots.length;
  }

  take(into: Uint8Array): number {
    const wasFull = this.full;
    let done = 0;
    while (done < into.length && this.slots.length > 0) {
      const slot = this.slots[0];
      const part = slot.bytes.subarray(slot.start, Math.min(slot.end, slot.start + into.length - done));
      into.set(part, done);
      done += part.length;
      this.filled -= slot.isPacket ? slot.end - slot.start : part.length;
      slot.start += part.length;
      if (slot.start < slot.end && !slot.isPacket) break;
      this.slots.shift();
      if (this.spares.length < this.pages && slot.bytes.length === PAGE_SIZE) this.spares.push(slot.bytes);
      if (slot.isPacket) break;
    }
    // As in Linux, writers hear of it where there was no room before (pipe_read).
    if (wasFull && !this.full) this.changed.wakeAll(POLLOUT | POLLWRNORM);
    return done;
  }

  /** Takes what fits and returns how much. Up to PIPE_BUF bytes go in whole or not at all. */
  put(from: Uint8Array, arrival: Arrival = 'stream'): number {
    let done = arrival === 'spliced' ? 0 : this.merge(from.subarray(0, from.length % PAGE_SIZE));
    while (done < from.length && !this.full) {
      const part = from.subarray(done, done + PAGE_SIZE);
      const bytes = this.spares.pop() ?? new Uint8Array(PAGE_SIZE);
      bytes.set(part);
      this.slots.push({ bytes, start: 0, end: part.length, mayGrow: arrival === 'stream', isPacket: arrival === 'packet' });
      done += part.length;
    }
    this.filled += done;
    if (done > 0) this.changed.wakeAll(POLLIN | POLLRDNORM);
    return done;
  }

  private merge(bytes: Uint8Array): number {
    const last = this.slots[this.slots.length - 1];
    if (last === undefined || !last.mayGrow || last.end + bytes.length > PAGE_SIZE) return 0;
    last.bytes.set(bytes, last.end);
    last.end += bytes.length;
    return bytes.length;
  }

  // ---- Between pipes and files -------------------------------------------------------------------------------------------------------------

  /** The next bytes, as they lie in one page. */
  get first(): Uint8Array {
    const slot = this.slots[0];
    return slot.bytes.subarray(slot.start, slot.end);
  }

  /** Drops bytes that `first` has shown. */
  skip(count: number): void {
    const wasFull = this.full;
    const slot = this.slots[0];
    slot.start += count;
    this.filled -= count;
    if (slot.start === slot.end) this.slots.shift();
    if (wasFull && !this.full) this.changed.wakeAll(POLLOUT | POLLWRNORM);
  }

  /** Hands pages over to another pipe, as many as it has room for and at most so many bytes (splice), or lets it have them too (tee). */
  pass(to: Pipe, most: number, keeps: boolean): number {
    let done = 0;
    for (let at = 0; done < most && !to.full && at < this.slots.length; ) {
      const slot = this.slots[at];
      const size = Math.min(slot.end - slot.start, most - done);
      const isWhole = !keeps && size === slot.end - slot.start;
      const mayGrow = isWhole && slot.mayGrow;
      to.slots.push({ ...slot, bytes: isWhole ? slot.bytes : slot.bytes.slice(), end: slot.start + size, mayGrow });
      if (isWhole) this.slots.shift();
      else if (keeps) at++;
      else slot.start += size;
      done += size;
    }
    if (!keeps) this.filled -= done;
    to.filled += done;
    if (done > 0) {
      to.changed.wakeAll(POLLIN | POLLRDNORM);
      if (!keeps) this.changed.wakeAll(POLLOUT | POLLWRNORM);
    }
    return done;
  }

  /** F_SETPIPE_SZ: a power of two of pages. */
  resize(wanted: number): number {
    let pages = 1;
    while (pages * PAGE_SIZE < wanted) pages *= 2;
    if (pages * PAGE_SIZE > LARGEST_CAPACITY) throw errno(wanted > 0x80000000 ? EINVAL : EPERM);
    if (pages < this.slots.length) throw errno(EBUSY);
    this.pages = pages;
    this.changed.wakeAll();
    return this.capacity;
  }
}

/** One end (or, of a fifo opened for both, two) of a pipe. */
export class PipeEnd implements OpenFile {
  readonly vnode: Vnode;
  readonly seekable = false;
  readonly canNotWait = true;
  readonly writeGrain = PAGE_SIZE;
  readonly label: string | undefined;
  readonly pipe: Pipe;
  private readonly reads: boolean;
  private readonly writes: boolean;
  private isPacketized = false;

  constructor(vnode: Vnode, pipe: Pipe, flags: number, label?: string) {
    this.vnode = vnode;
    this.pipe = pipe;
    this.label = label;
    this.reads = canRead(flags);
    this.writes = canWrite(flags);
    if (this.reads) {
      pipe.readers++;
      pipe.readersCame++;
    }
    if (this.writes) {
      pipe.writers++;
      pipe.writersCame++;
    }
    pipe.changed.wakeAll();
  }

  get changes(): Waiters {
    return this.pipe.changed;
  }

  /** Whether anybody can read is seen before there are bytes. */
  checkWrite(size: number): void {
    if (size > 0 && this.pipe.readers === 0) throw errno(EPIPE);
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
    const moved = pipe.put(from, this.isPacketized ? 'packet' : 'stream');
    if (moved > 0) return moved;
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
      if (!pipe.full) ready |= POLLOUT | POLLWRNORM;
      if (pipe.readers === 0) ready |= POLLERR;
    }
    return ready;
  }

  /** O_DIRECT: what is written is a packet. */
  statusFlags(flags: number): void {
    this.isPacketized = (flags & O_DIRECT) !== 0;
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
export class PipeVnode extends AnonymousVnode {
  private readonly pipe: Pipe = new Pipe();

  constructor(ino: bigint, now_ns: bigint, owner: AnonymousOptions['owner']) {
    super({ label: `pipe:[${ino}]`, kind: 'fifo', mode: S_IFIFO | 0o600, device: PIPE_MINOR, ino, now_ns, owner, magic: PIPEFS_MAGIC });
  }

  override open(flags: number): PipeEnd {
    return new PipeEnd(this, this.pipe, flags, this.label);
  }
}
