/** Standard streams of a guest that are the host program's own values: bytes to read, a function that takes what is written. */
import { EBADF, EINVAL, EPIPE, errno } from './abi/errno.ts';
import { O_RDONLY, O_WRONLY } from './abi/fcntl.ts';
import { POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM } from './abi/poll.ts';
import { makeDevice, S_IFIFO } from './abi/stat.ts';
import { Description } from './fs/description.ts';
import type { FileSystemStat, OpenFile, Stat, Vnode } from './fs/vnode.ts';

/** What the guest reads: bytes or text (as UTF-8), then the end. */
export type Input = Uint8Array | string;
/** Takes what the guest writes; the array is the taker's. May throw nothing. Return false when nobody listens any more: the guest gets EPIPE and SIGPIPE. */
export type Output = (bytes: Uint8Array) => boolean | void;

const PIPEFS_MAGIC = 0x50495045;
let streams = 0n;

/** A description to be given as standard input. To the guest it is a pipe. */
export function inputStream(input: Input): Description {
  const bytes = typeof input === 'string' ? new TextEncoder().encode(input) : input;
  return describe(O_RDONLY, (vnode) => new SourceFile(vnode, bytes));
}

/** A description to be given as standard output or error. To the guest it is a pipe. */
export function outputStream(output: Output): Description {
  return describe(O_WRONLY, (vnode) => new SinkFile(vnode, output));
}

function describe(flags: number, open: (vnode: Vnode) => OpenFile): Description {
  const ino = ++streams;
  const vnode = new PipeEnd(ino, open);
  return new Description(open(vnode), { vnode, parent: undefined, name: `pipe:[${ino}]` }, flags);
}

class PipeEnd implements Vnode {
  readonly kind = 'fifo';
  readonly key: string;
  private readonly ino: bigint;
  private readonly reopen: (vnode: Vnode) => OpenFile;

  constructor(ino: bigint, reopen: (vnode: Vnode) => OpenFile) {
    this.ino = ino;
    this.key = `stream:${ino}`;
    this.reopen = reopen;
  }
  open(): OpenFile {
    return this.reopen(this);
  }
  stat(): Stat {
    const zero = {
      dev: makeDevice(0, 14),
      rdev: 0,
      ino: this.ino,
      mode: S_IFIFO | 0o600,
      nlink: 1,
      uid: 0,
      gid: 0,
      size: 0,
      blksize: 4096,
      blocks: 0,
    };
    return { ...zero, atime_ns: 0n, mtime_ns: 0n, ctime_ns: 0n, btime_ns: undefined };
  }
  statfs(): FileSystemStat {
    return { type: PIPEFS_MAGIC, bsize: 4096, blocks: 0, bfree: 0, bavail: 0, files: 0, ffree: 0, namelen: 255, flags: 0 };
  }
  readlink(): string {
    throw errno(EINVAL);
  }
  truncate(): void {
    throw errno(EINVAL);
  }
  chmod(): void {}
  chown(): void {}
  utimes(): void {}
  access(): void {}
}

class SourceFile implements OpenFile {
  readonly vnode: Vnode;
  readonly seekable = false;
  private rest: Uint8Array;

  constructor(vnode: Vnode, bytes: Uint8Array) {
    this.vnode = vnode;
    this.rest = bytes;
  }
  read(into: Uint8Array): number {
    const part = this.rest.subarray(0, into.length);
    into.set(part);
    this.rest = this.rest.subarray(part.length);
    return part.length;
  }
  write(): number {
    throw errno(EBADF);
  }
  poll(): number {
    return POLLIN | POLLRDNORM;
  }
  close(): void {}
}

class SinkFile implements OpenFile {
  readonly vnode: Vnode;
  readonly seekable = false;
  private readonly output: Output;

  constructor(vnode: Vnode, output: Output) {
    this.vnode = vnode;
    this.output = output;
  }
  read(): number {
    throw errno(EBADF);
  }
  write(from: Uint8Array): number {
    if (this.output(from.slice()) === false) throw errno(EPIPE);
    return from.length;
  }
  poll(): number {
    return POLLOUT | POLLWRNORM;
  }
  close(): void {}
}
