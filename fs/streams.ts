/**
 * Standard input, output and error: host descriptors that we were given. Regular files keep the position that they share with our parent;
 * terminals, pipes and the like are read without blocking, and the machine sleeps in `HostStreams.idle` when all its tasks wait for them.
 */
import { PIPEFS_MAGIC } from '../abi/magic.ts';
import { EAGAIN, EBADF, Errno, errno, ESPIPE } from '../abi/errno.ts';
import { canRead, canWrite, O_ACCMODE, O_APPEND, O_CLOEXEC, O_LARGEFILE, O_NONBLOCK, O_RDONLY, O_WRONLY } from '../abi/fcntl.ts';
import { FIONREAD } from '../abi/ioctl.ts';
import { POLLHUP, POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM } from '../abi/poll.ts';
import { Description } from './description.ts';
import { FixedVnode, uncounted } from './fixed-vnode.ts';
import type { HostFileSystem } from './host-tree.ts';
import * as host from './hostfs.ts';
import { type JobControl, Terminal, type TerminalPort } from './tty.ts';
import type { FileKind, FileSystemStat, Io, IoctlArgument, OpenFile, Place, Stat, Vnode, Wait } from './vnode.ts';
import { Waiters } from './wait.ts';

/** Bytes taken ahead of the guest from a terminal: at most a line. From a pipe one byte is enough to know. */
const LINE = 4096;
/** How often a descriptor that cannot be waited for is looked at. */
const LOOK_EVERY_MS = 4;

/** A host stream that is no regular file. All descriptors of one pipe or terminal share it, so that nothing read ahead is lost between them. */
class Channel {
  readonly readable: Waiters = new Waiters();
  readonly isTerminal: boolean;
  private readonly fd: number;
  /** The same pipe or terminal opened again: without blocking, and with. Undefined where the host does not let us. */
  private quick: number | undefined;
  private patient: number | undefined;
  /** For a socket, which cannot be opened again: what makes it wait again for others who share it. */
  private readonly block: (() => void) | undefined;
  private ahead: Uint8Array = new Uint8Array(0);
  private ended = false;

  constructor(fd: number) {
    this.fd = fd;
    this.isTerminal = host.isTerminal(fd);
    this.quick = reopen(fd, O_RDONLY | O_NONBLOCK);
    this.patient = reopen(fd, O_RDONLY);
    if (this.quick === undefined && host.fstat(fd).isSocket()) this.block = host.unblock(fd);
  }

  /** Whether a read answers at once. */
  private get isQuick(): boolean {
    return this.quick !== undefined || this.block !== undefined;
  }

  /** Bytes that are there now; 0 at the end; undefined: none yet. */
  read(into: Uint8Array): number | undefined {
    if (this.ahead.length > 0) {
      const part = this.ahead.subarray(0, into.length);
      into.set(part);
      this.ahead = this.ahead.slice(part.length);
      if (this.isTerminal || part.length === into.length) return part.length;
      return part.length + (this.readNow(into.subarray(part.length)) ?? 0);
    }
    if (this.ended) {
      this.ended = false;
      return 0;
    }
    return this.readNow(into);
  }

  private readNow(into: Uint8Array): number | undefined {
    try {
      return host.read(this.quick ?? this.fd, into, null);
    } catch (error) {
      if (error instanceof Errno && error.code === EAGAIN) return undefined;
      throw error;
    }
  }

  /** Whether a read would not wait. Takes a byte (of a terminal: a line) ahead where nothing is there yet. */
  look(): 'data' | 'end' | undefined {
    if (this.ahead.length > 0) return 'data';
    if (this.ended) return 'end';
    if (!this.isQuick && !this.isTerminal) return 'data';
    const bytes = new Uint8Array(this.isTerminal ? LINE : 1);
    const moved = this.readNow(bytes);
    return moved === undefined ? undefined : this.took(bytes, moved);
  }

  private took(bytes: Uint8Array, moved: number): 'data' | 'end' {
    if (moved === 0) {
      this.ended = true;
      return 'end';
    }
    this.ahead = bytes.subarray(0, moved);
    return 'data';
  }

  /** Sleeps in the host until there is something to read. */
  waitForData(): void {
    if (this.patient === undefined) {
      while (this.look() === undefined) host.sleep(LOOK_EVERY_MS);
      return;
    }
    const bytes = new Uint8Array(this.isTerminal ? LINE : 1);
    this.took(bytes, host.read(this.patient, bytes, null));
  }

  /** Bytes waiting, for FIONREAD: as far as can be known by reading ahead. */
  available(): number {
    const more = new Uint8Array(65536);
    const moved = this.ended || !this.isQuick ? 0 : (this.readNow(more) ?? 0);
    if (moved > 0) {
      const all = new Uint8Array(this.ahead.length + moved);
      all.set(this.ahead);
      all.set(more.subarray(0, moved), this.ahead.length);
      this.ahead = all;
    }
    return this.ahead.length;
  }

  close(): void {
    if (this.quick !== undefined) host.close(this.quick);
    if (this.patient !== undefined) host.close(this.patient);
    this.quick = this.patient = undefined;
    this.block?.();
  }
}

/** Another description of a pipe or terminal; sockets and the like cannot be opened again. */
function reopen(fd: number, flags: number): number | undefined {
  try {
    return host.open(`/proc/self/fd/${fd}`, flags | O_CLOEXEC);
  } catch (error) {
    if (error instanceof Errno) return undefined;
    throw error;
  }
}

export interface HostStreamsOptions {
  /** What the standard streams' terminal can do beyond reading and writing; undefined: there is none. */
  readonly terminal?: TerminalPort;
  /** For standard streams that are regular files. */
  readonly files: HostFileSystem;
  readonly jobs?: () => JobControl;
  /** Runs are to repeat: the streams have these times, in nanoseconds since 1970, and numbers that are not the host's. */
  readonly fixed_ns?: bigint;
}

/** The device of streams that are not to be known by the host's. */
const STREAM_DEVICE = 0x0f;

export class HostStreams {
  private readonly options: HostStreamsOptions;
  private readonly channels: Map<string, Channel> = new Map();
  private readonly described: Map<string, Description> = new Map();
  private readonly waiting: Set<Channel> = new Set();
  private console: Terminal | undefined;

  constructor(options: HostStreamsOptions) {
    this.options = options;
  }

  /**
   * The description of one of our own descriptors; undefined where it is closed. Descriptors of one file with equal flags are taken for duplicates,
   * as those of `> file 2>&1` are: the host does not tell.
   */
  describe(fd: number): Description | undefined {
    let stat: host.HostStat;
    try {
      stat = host.fstat(fd);
    } catch (error) {
      if (error instanceof Errno && error.code === EBADF) return undefined;
      throw error;
    }
    const info = host.descriptorInfo(fd);
    const flags = O_LARGEFILE | (info === undefined ? (fd === 0 ? O_RDONLY : O_WRONLY) : info.flags & (O_ACCMODE | O_APPEND));
    const same = `${stat.dev}:${stat.ino}:${flags}`;
    const known = this.described.get(same);
    if (known !== undefined) return known;
    const description = this.make(fd, stat, flags, info?.position ?? 0);
    this.described.set(same, description);
    return description;
  }

  private make(fd: number, stat: host.HostStat, flags: number, position: number): Description {
    const label = host.descriptorName(fd);
    const regular = this.options.files.adoptStream(fd, stat, flags, (shown) => this.shown(shown, fd));
    if (regular !== undefined) {
      const file = new InheritedFile(regular, fd, position, label, (flags & O_APPEND) !== 0);
      const description = new Description(file, placeOf(file.vnode, label), flags);
      description.position = position;
      return description;
    }
    const vnode = new StreamVnode(this, fd, stat, label);
    return new Description(vnode.open(flags), placeOf(vnode, label), flags);
  }

  /** What the guest is to see of a stream. */
  shown(stat: Stat, fd: number): Stat {
    const { fixed_ns } = this.options;
    if (fixed_ns === undefined) return stat;
    return { ...stat, dev: STREAM_DEVICE, ino: BigInt(fd + 1), atime_ns: fixed_ns, mtime_ns: fixed_ns, ctime_ns: fixed_ns };
  }

  channel(fd: number, key: string): Channel {
    let channel = this.channels.get(key);
    if (channel === undefined) this.channels.set(key, (channel = new Channel(fd)));
    return channel;
  }

  /** The terminal behind the standard streams, made at its first use. */
  get terminal(): Terminal | undefined {
    if (this.console === undefined && this.options.terminal !== undefined)
      this.console = new Terminal(this.options.terminal, this.options.jobs);
    return this.console;
  }

  /** /dev/tty: the first of the standard streams that is a terminal; with a number, the one that has it. */
  openTerminal(flags: number, rdev?: number): OpenFile | undefined {
    for (const fd of [0, 2, 1]) {
      if (!host.isTerminal(fd)) continue;
      const stat = host.fstat(fd);
      if (rdev !== undefined && Number(stat.rdev) !== rdev) continue;
      return new StreamVnode(this, fd, stat, host.descriptorName(fd)).open(flags);
    }
    return undefined;
  }

  /** Our terminals of /dev/pts, by number: the guest's /dev/pts shows them under their names. */
  terminalNodes(): ReadonlyMap<number, Vnode> {
    const nodes = new Map<number, Vnode>();
    for (const fd of [0, 1, 2]) {
      if (!host.isTerminal(fd)) continue;
      const name = host.descriptorName(fd);
      const number = /^\/dev\/pts\/(\d+)$/.exec(name)?.[1];
      if (number !== undefined) nodes.set(Number(number), new StreamVnode(this, fd, host.fstat(fd), name));
    }
    return nodes;
  }

  /** Notes that a task waits for the channel's input. */
  awaited(channel: Channel): void {
    this.waiting.add(channel);
  }

  /**
   * Sleeps until some awaited input is there or the time is over, and wakes who waited for it. For the machine, when no task is ready.
   * Returns false at once where no input is awaited.
   */
  idle(timeout_ms: number | undefined): boolean {
    const awaited = [...this.waiting];
    if (awaited.length === 0) return false;
    if (awaited.length === 1 && timeout_ms === undefined) {
      awaited[0].waitForData();
      this.wake(awaited[0]);
      return true;
    }
    const end = timeout_ms === undefined ? Infinity : host.now_ms() + timeout_ms;
    for (;;) {
      const ready = awaited.filter((channel) => channel.look() !== undefined);
      for (const channel of ready) this.wake(channel);
      const left = end - host.now_ms();
      if (ready.length > 0 || left <= 0) return true;
      host.sleep(Math.min(LOOK_EVERY_MS, left));
    }
  }

  private wake(channel: Channel): void {
    this.waiting.delete(channel);
    channel.readable.wakeAll();
  }

  close(): void {
    for (const channel of this.channels.values()) channel.close();
    this.channels.clear();
  }
}

function placeOf(vnode: Vnode, label: string): Place {
  return { vnode, parent: undefined, name: label };
}

/** A host pipe, terminal, socket or device that we were given. */
/** The nodes behind our standard streams (a terminal, /dev/null) belong to the host, whatever rights we have there. */
class StreamVnode extends FixedVnode {
  readonly kind: FileKind;
  readonly key: string;
  readonly label: string;
  readonly fd: number;
  private readonly streams: HostStreams;

  constructor(streams: HostStreams, fd: number, stat: host.HostStat, label: string) {
    super();
    this.streams = streams;
    this.fd = fd;
    this.label = label;
    this.key = `${stat.dev}:${stat.ino}`;
    this.kind = stat.isCharacterDevice() ? 'character' : stat.isSocket() ? 'socket' : stat.isBlockDevice() ? 'block' : 'fifo';
  }

  open(flags: number): OpenFile {
    const channel = canRead(flags) ? this.streams.channel(this.fd, this.key) : undefined;
    return new StreamFile(this, this.streams, channel, flags);
  }

  stat(): Stat {
    const s = host.fstat(this.fd);
    const stat = {
      dev: Number(s.dev),
      rdev: Number(s.rdev),
      ino: s.ino,
      mode: Number(s.mode),
      nlink: Number(s.nlink),
      uid: Number(s.uid),
      gid: Number(s.gid),
      size: Number(s.size),
      blksize: Number(s.blksize),
      blocks: Number(s.blocks),
      atime_ns: s.atimeNs,
      mtime_ns: s.mtimeNs,
      ctime_ns: s.ctimeNs,
      btime_ns: undefined,
    };
    return this.streams.shown(stat, this.fd);
  }

  statfs(): FileSystemStat {
    return uncounted(PIPEFS_MAGIC);
  }
}

class StreamFile implements OpenFile {
  readonly vnode: StreamVnode;
  readonly seekable = false;
  readonly changes: Waiters | undefined;
  private readonly streams: HostStreams;
  private readonly channel: Channel | undefined;
  private readonly writes: boolean;
  private readonly isTerminal: boolean;

  constructor(vnode: StreamVnode, streams: HostStreams, channel: Channel | undefined, flags: number) {
    this.vnode = vnode;
    this.streams = streams;
    this.channel = channel;
    this.writes = canWrite(flags);
    this.isTerminal = host.isTerminal(vnode.fd);
    this.changes = channel?.readable;
  }

  get label(): string {
    return this.vnode.label;
  }

  read(into: Uint8Array, _position: number, nonblocking: boolean): Io {
    const { channel } = this;
    if (channel === undefined) throw errno(EBADF);
    if (into.length === 0) return 0;
    const background = this.isTerminal ? this.streams.terminal?.mayRead() : undefined;
    if (background !== undefined) return background;
    const moved = channel.read(into);
    if (moved !== undefined) return moved;
    if (nonblocking) throw errno(EAGAIN);
    this.streams.awaited(channel);
    return { kind: 'wait', on: channel.readable };
  }

  /** A full host pipe holds the whole machine up: nobody could tell us when it has room again. */
  write(from: Uint8Array, _position: number, nonblocking: boolean): Io {
    for (;;) {
      try {
        return host.write(this.vnode.fd, from, null);
      } catch (error) {
        if (!(error instanceof Errno) || error.code !== EAGAIN || nonblocking) throw error;
        host.sleep(1);
      }
    }
  }

  poll(): number {
    let ready = this.writes ? POLLOUT | POLLWRNORM : 0;
    if (this.channel === undefined) return ready;
    const seen = this.channel.look();
    if (seen === 'data' || (seen === 'end' && this.isTerminal)) ready |= POLLIN | POLLRDNORM;
    if (seen === 'end' && !this.isTerminal) ready |= POLLHUP;
    if (seen === undefined) this.streams.awaited(this.channel);
    return ready;
  }

  ioctl(request: number, argument: IoctlArgument): number | Wait | undefined {
    if (request === FIONREAD && this.channel !== undefined) {
      const bytes = new Uint8Array(4);
      new DataView(bytes.buffer).setInt32(0, this.channel.available(), true);
      argument.bytesOut(bytes);
      return 0;
    }
    return this.isTerminal ? this.streams.terminal?.ioctl(request, argument) : undefined;
  }

  close(): void {}
}

/**
 * A regular file that our parent opened for us. Its position is the parent's too: writes at it move it, and what was read is skipped at the end,
 * so that `(seg386 a; b) < file` goes on where the guest stopped.
 */
export class InheritedFile implements OpenFile {
  readonly vnode: Vnode;
  readonly seekable = true;
  readonly label: string;
  private readonly inner: OpenFile;
  private readonly fd: number;
  private readonly append_: boolean;
  private hostPosition: number;

  constructor(inner: OpenFile, fd: number, position: number, label: string, appends: boolean) {
    this.inner = inner;
    this.vnode = inner.vnode;
    this.fd = fd;
    this.hostPosition = position;
    this.label = label;
    this.append_ = appends;
  }

  read(into: Uint8Array, position: number, nonblocking: boolean): Io {
    return this.inner.read(into, position, nonblocking);
  }

  write(from: Uint8Array, position: number, nonblocking: boolean): Io {
    if (position !== this.hostPosition && !this.append_) return this.inner.write(from, position, nonblocking);
    const moved = host.write(this.fd, from, null);
    this.hostPosition += moved;
    this.inner.noteWritten?.(from.subarray(0, moved), this.append_ ? this.size() - moved : position);
    return moved;
  }

  append(from: Uint8Array): Io {
    return this.write(from, this.hostPosition, false);
  }

  size(): number {
    return this.inner.size?.() ?? 0;
  }

  poll(): number {
    return this.inner.poll();
  }

  truncate(size: number): void {
    this.inner.truncate?.(size);
  }

  allocate(mode: number, offset: number, size: number): void {
    this.inner.allocate?.(mode, offset, size);
  }

  sync(dataOnly: boolean): void {
    this.inner.sync?.(dataOnly);
  }

  memoryObject(name: string) {
    if (this.inner.memoryObject === undefined) throw errno(ESPIPE);
    return this.inner.memoryObject(name);
  }

  close(position = 0): void {
    const skipped = new Uint8Array(65536);
    try {
      while (this.hostPosition < position) {
        const moved = host.read(this.fd, skipped.subarray(0, position - this.hostPosition), null);
        if (moved === 0) break;
        this.hostPosition += moved;
      }
    } catch (error) {
      // Not readable: a file that is only written needs no skipping.
      if (!(error instanceof Errno)) throw error;
    }
    this.inner.close(position);
  }
}
