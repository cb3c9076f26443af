/** Fifos of file systems in memory: every opening of one inode is an end of the same pipe. */
import { ENXIO, errno } from '../abi/errno.ts';
import { canRead, canWrite, O_NONBLOCK } from '../abi/fcntl.ts';
import { Pipe, PipeEnd } from './pipe.ts';
import type { Io, IoctlArgument, OpenFile, Vnode, Wait } from './vnode.ts';
import type { Waiters } from './wait.ts';

export class Fifos {
  private readonly pipes: Map<string, Pipe> = new Map();

  /** A writer waits for a reader here; a reader waits for its first writer when it reads. */
  open(vnode: Vnode, flags: number): OpenFile | Wait {
    let pipe = this.pipes.get(vnode.key);
    if (pipe === undefined) this.pipes.set(vnode.key, (pipe = new Pipe()));
    if (canWrite(flags) && !canRead(flags) && pipe.readers === 0) {
      if (flags & O_NONBLOCK) throw errno(ENXIO);
      return { kind: 'wait', on: pipe.changed };
    }
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
  readonly pipe: Pipe;
  private readonly end: PipeEnd;
  private readonly onClose: () => void;
  /** A writer has been there: from now on nothing to read means the end. */
  private met: boolean;

  constructor(vnode: Vnode, pipe: Pipe, flags: number, onClose: () => void) {
    this.vnode = vnode;
    this.pipe = pipe;
    this.end = new PipeEnd(vnode, pipe, flags);
    this.onClose = onClose;
    this.met = pipe.writers > 0;
  }

  get changes(): Waiters {
    return this.pipe.changed;
  }

  read(into: Uint8Array, position: number, nonblocking: boolean): Io {
    this.met ||= this.pipe.writers > 0 || this.pipe.filled > 0;
    if (!this.met && into.length > 0 && !nonblocking) return { kind: 'wait', on: this.pipe.changed };
    return this.end.read(into, position, nonblocking);
  }

  write(from: Uint8Array, position: number, nonblocking: boolean): Io {
    return this.end.write(from, position, nonblocking);
  }

  poll(): number {
    return this.end.poll();
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
