/** Fifos of file systems in memory: every opening of one inode is an end of the same pipe. */
import { EINVAL, ENXIO, errno } from '../abi/errno.ts';
import { canRead, canWrite, O_ACCMODE, O_NONBLOCK } from '../abi/fcntl.ts';
import { PAGE_SIZE } from '../abi/page.ts';
import { POLLHUP } from '../abi/poll.ts';
import { Pipe, PipeEnd } from './pipe.ts';
import type { Io, IoctlArgument, OpenFile, Vnode, Wait } from './vnode.ts';
import type { Waiters } from './wait.ts';

export class Fifos {
  private readonly pipes: Map<string, Pipe> = new Map();

  /** Who opens it waits for the other end (`FifoEnd.arriving`), and counts as there meanwhile. */
  open(vnode: Vnode, flags: number): OpenFile {
    if ((flags & O_ACCMODE) === O_ACCMODE) throw errno(EINVAL);
    let pipe = this.pipes.get(vnode.key);
    if (flags & O_NONBLOCK && canWrite(flags) && !canRead(flags) && (pipe?.readers ?? 0) === 0) throw errno(ENXIO);
    if (pipe === undefined) this.pipes.set(vnode.key, (pipe = new Pipe()));
    return new FifoEnd(vnode, pipe, flags, () => this.closed(vnode.key));
  }

  private closed(key: string): void {
    const pipe = this.pipes.get(key);
    if (pipe?.readers === 0 && pipe.writers === 0) this.pipes.delete(key);
  }
}

export class FifoEnd implements OpenFile {
  readonly vnode: Vnode;
  readonly seekable = false;
  readonly canNotWait = true;
  readonly writeGrain = PAGE_SIZE;
  readonly pipe: Pipe;
  private readonly end: PipeEnd;
  private readonly onClose: () => void;
  /** How many writers (readers) had been there before this reader (writer) came to find none; undefined where it did find one, or would not wait. */
  private readonly alone: { readonly readersCame: number; readonly writersCame: number } | undefined;
  private readonly flags: number;

  constructor(vnode: Vnode, pipe: Pipe, flags: number, onClose: () => void) {
    this.vnode = vnode;
    this.pipe = pipe;
    this.end = new PipeEnd(vnode, pipe, flags);
    this.onClose = onClose;
    this.flags = flags;
    const isAlone = canRead(flags) ? pipe.writers === 0 : pipe.readers === 0;
    this.alone = isAlone ? { readersCame: pipe.readersCame, writersCame: pipe.writersCame } : undefined;
  }

  /** Nobody has come to the other end since it was opened. */
  private get isAlone(): boolean {
    if (this.alone === undefined) return false;
    return canRead(this.flags) ? this.pipe.writersCame === this.alone.writersCame : this.pipe.readersCame === this.alone.readersCame;
  }

  arriving(): Wait | undefined {
    return this.isAlone && !(this.flags & O_NONBLOCK) ? { kind: 'wait', on: this.pipe.changed } : undefined;
  }

  get changes(): Waiters {
    return this.pipe.changed;
  }

  read(into: Uint8Array, position: number, nonblocking: boolean): Io {
    return this.end.read(into, position, nonblocking);
  }

  write(from: Uint8Array, position: number, nonblocking: boolean): Io {
    return this.end.write(from, position, nonblocking);
  }

  poll(): number {
    const ready = this.end.poll();
    // Nobody has hung up who was never there.
    return this.isAlone && canRead(this.flags) ? ready & ~POLLHUP : ready;
  }

  statusFlags(flags: number): void {
    this.end.statusFlags(flags);
  }

  ioctl(request: number, argument: IoctlArgument): number | undefined {
    return this.end.ioctl(request, argument);
  }

  capacity(size?: number): number {
    return this.end.capacity(size);
  }

  close(): void {
    this.end.close();
    this.onClose();
  }
}
