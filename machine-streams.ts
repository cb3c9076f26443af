/** Standard streams of a guest that are the host program's own values: bytes or a stream to read, a function or stream that takes what is written. */
import { EAGAIN, EBADF, EIO, EPIPE, errno } from './abi/errno.ts';
import { O_RDONLY, O_WRONLY } from './abi/fcntl.ts';
import { POLLERR, POLLHUP, POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM } from './abi/poll.ts';
import { PIPEFS_MAGIC } from './abi/magic.ts';
import { S_IFIFO } from './abi/stat.ts';
import { AnonymousVnode } from './fs/anonymous.ts';
import { Description } from './fs/description.ts';
import type { Io, OpenFile, Vnode } from './fs/vnode.ts';
import { Waiters } from './fs/wait.ts';

/** A piece of input: bytes, or text that becomes UTF-8. */
export type Chunk = Uint8Array | string;
/** What the guest reads, and then the end: all of it at once, or as it comes. */
export type Input = Chunk | InputPipe | AsyncIterable<Chunk> | ReadableStream<Chunk>;
/**
 * Takes what the guest writes; the array is the taker's. A function may throw nothing, and returns false when nobody listens any more: the guest then
 * gets EPIPE and SIGPIPE, as it does when a stream is closed or fails. While a stream has enough the guest waits.
 */
export type Output = ((bytes: Uint8Array) => boolean | void) | WritableStream<Uint8Array>;

/** Bytes of a stream that wait to be read, before the stream is asked for no more. */
const ENOUGH = 1 << 16;
/** Minor number of the file system that the streams seem to be of. */
const STREAM_MINOR = 14;

/** Input that the host program writes as it goes. Give it as a program's `stdin`; a pipe is for one program. */
export class InputPipe {
  private chunks: Uint8Array[] = [];
  private size = 0;
  private state: 'open' | 'ended' | 'failed' = 'open';
  private abandoned = false;
  private emptied: (() => void)[] = [];
  /** For the machine: wakes when there is more to read. */
  readonly readable: Waiters = new Waiters();

  /** Bytes that the guest has not read yet. */
  get buffered(): number {
    return this.size;
  }

  /** Whether nobody can read any more: every process has closed it or is over. */
  get closed(): boolean {
    return this.abandoned;
  }

  /** Adds to what the guest reads; there is no limit but `buffered`, which it returns. Throws TypeError after `end`. */
  write(chunk: Chunk): number {
    if (this.state !== 'open') throw new TypeError('the input has ended');
    const bytes = typeof chunk === 'string' ? new TextEncoder().encode(chunk) : chunk.slice();
    if (bytes.length === 0 || this.abandoned) return this.size;
    this.chunks.push(bytes);
    this.size += bytes.length;
    this.readable.wakeAll(POLLIN | POLLRDNORM);
    return this.size;
  }

  /** What has been written, and this, is all. Ending again does nothing. */
  end(chunk: Chunk = ''): void {
    if (this.state !== 'open') return;
    this.write(chunk);
    this.state = 'ended';
    this.readable.wakeAll();
  }

  /** The source has failed: the guest reads what there is, and then EIO. */
  fail(): void {
    this.end();
    this.state = 'failed';
  }

  /** Resolves when everything written has been read, or nobody can read any more. */
  drained(): Promise<void> {
    if (this.size === 0 || this.abandoned) return Promise.resolve();
    return new Promise((resolve) => this.emptied.push(resolve));
  }

  /** For the machine: moves bytes; 0 at the end, undefined where there are none yet. */
  take(into: Uint8Array): number | undefined {
    const [first] = this.chunks;
    if (first === undefined) {
      if (this.state === 'failed') throw errno(EIO);
      return this.state === 'ended' ? 0 : undefined;
    }
    const part = first.subarray(0, into.length);
    into.set(part);
    if (part.length === first.length) this.chunks.shift();
    else this.chunks[0] = first.subarray(part.length);
    this.size -= part.length;
    if (this.size === 0) this.settle();
    return part.length;
  }

  /** For the machine: whether `take` has an answer. */
  get ready(): boolean {
    return this.size > 0 || this.state !== 'open';
  }

  /** For the machine: nobody reads any more. */
  abandon(): void {
    this.abandoned = true;
    this.chunks = [];
    this.size = 0;
    this.settle();
  }

  private settle(): void {
    for (const resolve of this.emptied.splice(0)) resolve();
  }
}

/** Keeps what a guest writes, up to a limit; beyond it the guest gets EPIPE and SIGPIPE. */
export class Collector {
  private chunks: Uint8Array[] = [];
  private size = 0;
  private readonly limit: number;
  /** There would have been more. */
  truncated = false;

  constructor(limit: number) {
    this.limit = limit;
  }

  readonly take = (bytes: Uint8Array): boolean => {
    const part = bytes.subarray(0, this.limit - this.size);
    this.chunks.push(part);
    this.size += part.length;
    if (part.length < bytes.length) this.truncated = true;
    return !this.truncated;
  };

  /** Everything so far. */
  get bytes(): Uint8Array {
    const whole = new Uint8Array(this.size);
    let at = 0;
    for (const chunk of this.chunks) {
      whole.set(chunk, at);
      at += chunk.length;
    }
    this.chunks = [whole];
    return whole.slice();
  }
}

/** A description to be given as standard input. To the guest it is a pipe; `ino` is its number. */
export function inputStream(input: Input, ino: bigint): Description {
  const pipe = pipeOf(input);
  const uses = { count: 0 };
  return describe(ino, O_RDONLY, (vnode) => new SourceFile(vnode, pipe, uses));
}

/** A description to be given as standard output or error. To the guest it is a pipe. */
export function outputStream(output: Output, ino: bigint): Description {
  const sink: Sink = typeof output === 'function' ? new FunctionSink(output) : new StreamSink(output);
  const uses = { count: 0 };
  return describe(ino, O_WRONLY, (vnode) => new SinkFile(vnode, sink, uses));
}

function pipeOf(input: Input): InputPipe {
  if (input instanceof InputPipe) return input;
  const pipe = new InputPipe();
  if (typeof input === 'string' || input instanceof Uint8Array) pipe.end(input);
  else void pump(input, pipe);
  return pipe;
}

/** Moves a stream's pieces into the pipe, no faster than they are read. */
async function pump(from: AsyncIterable<Chunk> | ReadableStream<Chunk>, to: InputPipe): Promise<void> {
  try {
    for await (const chunk of pieces(from)) {
      if (to.closed) return;
      if (to.write(chunk) > ENOUGH) await to.drained();
    }
    to.end();
  } catch {
    to.fail();
  }
}

/** Not every host's ReadableStream can be iterated. */
async function* pieces(from: AsyncIterable<Chunk> | ReadableStream<Chunk>): AsyncGenerator<Chunk> {
  if (!('getReader' in from)) {
    yield* from;
    return;
  }
  const reader = from.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    yield value;
  }
}

function describe(ino: bigint, flags: number, open: (vnode: Vnode) => OpenFile): Description {
  const vnode = new StreamEnd(ino, open);
  return new Description(open(vnode), vnode.place, flags);
}

/** To the guest a pipe; opened again by name it is the same stream. */
class StreamEnd extends AnonymousVnode {
  private readonly reopen: (vnode: Vnode) => OpenFile;

  constructor(ino: bigint, reopen: (vnode: Vnode) => OpenFile) {
    const owner = { uid: 0, gid: 0 };
    super({
      label: `pipe:[${ino}]`,
      kind: 'fifo',
      mode: S_IFIFO | 0o600,
      device: STREAM_MINOR,
      ino,
      now_ns: 0n,
      owner,
      magic: PIPEFS_MAGIC,
    });
    this.reopen = reopen;
  }

  override open(): OpenFile {
    return this.reopen(this);
  }
}

/** Open files of one stream: the last one's end is the stream's. */
interface Uses {
  count: number;
}

class SourceFile implements OpenFile {
  readonly vnode: Vnode;
  readonly seekable = false;
  readonly changes: Waiters;
  private readonly pipe: InputPipe;
  private readonly uses: Uses;

  constructor(vnode: Vnode, pipe: InputPipe, uses: Uses) {
    this.vnode = vnode;
    this.pipe = pipe;
    this.changes = pipe.readable;
    this.uses = uses;
    uses.count++;
  }
  read(into: Uint8Array, _position: number, nonblocking: boolean): Io {
    if (into.length === 0) return 0;
    const moved = this.pipe.take(into);
    if (moved !== undefined) return moved;
    if (nonblocking) throw errno(EAGAIN);
    return { kind: 'wait', on: this.pipe.readable };
  }
  write(): number {
    throw errno(EBADF);
  }
  poll(): number {
    if (!this.pipe.ready) return 0;
    return this.pipe.buffered > 0 ? POLLIN | POLLRDNORM : POLLHUP;
  }
  close(): void {
    if (--this.uses.count === 0) this.pipe.abandon();
  }
}

/** Where output goes. */
interface Sink {
  /** Takes the bytes, or says why not. */
  write(bytes: Uint8Array): 'taken' | 'full' | 'closed';
  readonly state: 'open' | 'full' | 'closed';
  readonly changes: Waiters | undefined;
  end(): void;
}

class FunctionSink implements Sink {
  state: 'open' | 'closed' = 'open';
  readonly changes = undefined;
  private readonly output: (bytes: Uint8Array) => boolean | void;

  constructor(output: (bytes: Uint8Array) => boolean | void) {
    this.output = output;
  }
  write(bytes: Uint8Array): 'taken' | 'closed' {
    if (this.output(bytes) !== false) return 'taken';
    this.state = 'closed';
    return 'closed';
  }
  end(): void {}
}

class StreamSink implements Sink {
  state: 'open' | 'full' | 'closed' = 'open';
  readonly changes: Waiters = new Waiters();
  private readonly writer: WritableStreamDefaultWriter<Uint8Array>;

  constructor(stream: WritableStream<Uint8Array>) {
    this.writer = stream.getWriter();
    this.writer.closed.then(
      () => this.become('closed'),
      () => this.become('closed'),
    );
  }
  write(bytes: Uint8Array): 'taken' | 'full' | 'closed' {
    if (this.state !== 'open') return this.state;
    this.writer.write(bytes).catch(() => this.become('closed'));
    if ((this.writer.desiredSize ?? 0) <= 0) {
      this.state = 'full';
      this.writer.ready.then(
        () => this.become('open'),
        () => this.become('closed'),
      );
    }
    return 'taken';
  }
  private become(state: 'open' | 'closed'): void {
    if (this.state !== 'closed') this.state = state;
    this.changes.wakeAll();
  }
  end(): void {
    // A stream that has failed tells its owner by itself.
    this.writer.close().catch(() => {});
  }
}

class SinkFile implements OpenFile {
  readonly vnode: Vnode;
  readonly seekable = false;
  readonly changes: Waiters | undefined;
  private readonly sink: Sink;
  private readonly uses: Uses;

  constructor(vnode: Vnode, sink: Sink, uses: Uses) {
    this.vnode = vnode;
    this.sink = sink;
    this.changes = sink.changes;
    this.uses = uses;
    uses.count++;
  }
  read(): number {
    throw errno(EBADF);
  }
  write(from: Uint8Array, _position: number, nonblocking: boolean): Io {
    switch (this.sink.write(from.slice())) {
      case 'taken':
        return from.length;
      case 'closed':
        throw errno(EPIPE);
      case 'full':
        if (nonblocking || this.changes === undefined) throw errno(EAGAIN);
        return { kind: 'wait', on: this.changes };
    }
  }
  poll(): number {
    const { state } = this.sink;
    if (state === 'full') return 0;
    return state === 'open' ? POLLOUT | POLLWRNORM : POLLOUT | POLLWRNORM | POLLERR;
  }
  close(): void {
    if (--this.uses.count === 0) this.sink.end();
  }
}
