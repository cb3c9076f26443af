/** Pseudo-terminals: /dev/ptmx makes a master, /dev/pts/N is its slave, with a line discipline between the two. Source: drivers/tty/pty.c. */
import { DEVPTS_SUPER_MAGIC } from '../abi/magic.ts';
import { EAGAIN, EINVAL, EIO, ENOSPC, errno } from '../abi/errno.ts';
import { canRead, canWrite, O_NOCTTY } from '../abi/fcntl.ts';
import * as io from '../abi/ioctl.ts';
import { POLLERR, POLLHUP, POLLIN, POLLOUT, POLLPRI, POLLRDNORM, POLLWRNORM } from '../abi/poll.ts';
import { makeDevice, S_IFCHR } from '../abi/stat.ts';
import { LineDiscipline } from './line-discipline.ts';
import { MemFileSystem, type MemVnode } from './memfs.ts';
import { type JobControl, Terminal } from './tty.ts';
import type { Io, IoctlArgument, OpenFile, Vnode, Wait } from './vnode.ts';
import { Waiters } from './wait.ts';

/** Terminals at most; Linux's kernel.pty.max. */
const MANY = 4096;
/** Bytes on their way to the master before writers wait, and typed bytes that the discipline has no room for. */
const OUTPUT_MAX = 65536,
  TYPED_MAX = 65536;
const FIRST_PTS = 136;
const NO_SIZE: io.WindowSize = { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
const TENTH_NS = 100_000_000;

export interface PtyOptions {
  readonly jobs: () => JobControl;
  /** Monotonic nanoseconds. */
  readonly monotonic_ns: () => bigint;
  readonly now_ns: () => bigint;
}

/** All ptys of a machine, and the directory that shows their slaves. */
export class PtyTable {
  readonly options: PtyOptions;
  private readonly ptys: Map<number, Pty> = new Map();
  private readonly system: MemFileSystem;
  /** Numbers of the host's terminals, which are shown as well. */
  readonly reserved: Set<number> = new Set();

  constructor(options: PtyOptions) {
    this.options = options;
    this.system = new MemFileSystem({
      device: 25,
      now_ns: options.now_ns,
      magic: DEVPTS_SUPER_MAGIC,
      openSpecial: (vnode, rdev, flags) => this.openNode(vnode, rdev, flags),
    });
    this.system.root.mknod('ptmx', S_IFCHR | 0o666, makeDevice(5, 2));
  }

  /** What /dev/pts is. */
  get root(): MemVnode {
    return this.system.root;
  }

  private openNode(vnode: Vnode, rdev: number, flags: number): OpenFile | undefined {
    return rdev === makeDevice(5, 2) ? this.openMaster(vnode) : this.openSlave(vnode, rdev, flags);
  }

  openMaster(vnode: Vnode): OpenFile {
    let number = 0;
    while (this.ptys.has(number) || this.reserved.has(number)) number++;
    if (number >= MANY) throw errno(ENOSPC);
    const pty = new Pty(this, number);
    this.ptys.set(number, pty);
    this.system.root.mknod(String(number), S_IFCHR | 0o620, makeDevice(FIRST_PTS + (number >> 8), number & 0xff));
    const caller = this.options.jobs().caller();
    if (caller !== undefined) this.system.root.entry(String(number))?.chown(caller.uid, TTY_GROUP);
    return new PtyMaster(pty, vnode);
  }

  /** Undefined where there is no such terminal any more. */
  openSlave(vnode: Vnode, rdev: number, flags: number): OpenFile | undefined {
    const pty = [...this.ptys.values()].find(({ rdev: own }) => own === rdev);
    if (pty === undefined) return undefined;
    if (pty.locked || pty.master === undefined) throw errno(EIO);
    const caller = this.options.jobs().caller();
    const mayTake = (flags & O_NOCTTY) === 0 && caller !== undefined && caller.pid === caller.session;
    if (mayTake && this.terminalOf(caller.session) === undefined && pty.terminal.session === 0) pty.terminal.takeBy(caller);
    return new PtySlave(pty, vnode, flags);
  }

  /** The pty that is a session's controlling terminal. */
  terminalOf(session: number): Pty | undefined {
    return session === 0 ? undefined : [...this.ptys.values()].find(({ terminal }) => terminal.session === session);
  }

  /** /dev/tty, for sessions whose terminal is a pty. */
  openControlling(vnode: Vnode, session: number, flags: number): OpenFile | undefined {
    const pty = this.terminalOf(session);
    return pty && new PtySlave(pty, vnode, flags);
  }

  /** A session's leader has ended. */
  sessionOver(session: number): void {
    this.terminalOf(session)?.terminal.hangUp();
  }

  forget(pty: Pty): void {
    this.ptys.delete(pty.number);
    this.system.root.unlink(String(pty.number));
  }
}

/** The group that terminals belong to on Debian. */
const TTY_GROUP = 5;

class Pty {
  readonly number: number;
  readonly table: PtyTable;
  readonly terminal: Terminal;
  readonly discipline: LineDiscipline;
  readonly changed: Waiters = new Waiters();
  master: PtyMaster | undefined;
  slaves = 0;
  /** The last slave has gone: the master reads EIO until there is another. */
  slaveClosed = false;
  locked = true;
  /** Control bits for the master in packet mode, where it asked for them. */
  packets = false;
  control = 0;
  readonly output: number[] = [];
  /** Typed bytes the discipline has no room for yet. */
  private typed: number[] = [];
  private size = NO_SIZE;

  constructor(table: PtyTable, number: number) {
    this.table = table;
    this.number = number;
    this.terminal = new Terminal(
      {
        attributes: () => this.discipline.attributes,
        setAttributes: (attributes, when) => this.setAttributes(attributes, when === 'flush'),
        windowSize: () => this.size,
        setWindowSize: (size) => void (this.size = size),
        flush: (queue) => this.flush(queue),
        flow: (action) => this.flow(action),
        type: (byte) => this.type(Uint8Array.of(byte)),
      },
      table.options.jobs,
      0,
    );
    this.discipline = new LineDiscipline({
      output: (bytes) => this.give(bytes),
      signal: (signo) => this.terminal.signal(signo),
      discard: () => this.dropOutput(),
      flow: (stopped) => this.tell(stopped ? io.TIOCPKT_STOP : io.TIOCPKT_START, stopped ? io.TIOCPKT_START : io.TIOCPKT_STOP),
    });
  }

  get rdev(): number {
    return makeDevice(FIRST_PTS + (this.number >> 8), this.number & 0xff);
  }

  give(bytes: readonly number[]): void {
    for (const c of bytes) this.output.push(c);
    this.changed.wakeAll();
  }

  tell(set: number, clear: number): void {
    if (this.packets) this.control = (this.control & ~clear) | set;
    this.changed.wakeAll();
  }

  private setAttributes(attributes: io.Termios, flushes: boolean): void {
    if (flushes) this.flush(0);
    const flows = (t: io.Termios): boolean => (t.c_iflag & io.IXON) !== 0 && t.c_cc[io.VSTART] === 0x11 && t.c_cc[io.VSTOP] === 0x13;
    const before = flows(this.discipline.attributes);
    this.discipline.setAttributes(attributes);
    const after = flows(attributes);
    if (before !== after) this.tell(after ? io.TIOCPKT_DOSTOP : io.TIOCPKT_NOSTOP, after ? io.TIOCPKT_NOSTOP : io.TIOCPKT_DOSTOP);
    this.changed.wakeAll();
  }

  /** TCFLSH: 0 what was typed, 1 what was written, 2 both. */
  flush(queue: number): void {
    if (queue !== 1) {
      this.discipline.flushInput();
      this.typed = [];
      this.tell(io.TIOCPKT_FLUSHREAD, 0);
    }
    if (queue !== 0) this.dropOutput();
  }

  private dropOutput(): void {
    this.output.length = 0;
    this.tell(io.TIOCPKT_FLUSHWRITE, 0);
  }

  private flow(action: number): void {
    const { c_cc } = this.discipline.attributes;
    if (action <= 1) this.discipline.setStopped(action === 0);
    else this.give([c_cc[action === 2 ? io.VSTOP : io.VSTART]].filter((c) => c !== 0));
  }

  get room(): number {
    return TYPED_MAX - this.typed.length;
  }

  /** Bytes from the keyboard. */
  type(bytes: Uint8Array): void {
    for (const c of bytes) this.typed.push(c);
    this.digest();
  }

  /** Gives the discipline what it has room for. */
  digest(): void {
    if (this.typed.length > 0) this.typed.splice(0, this.discipline.receive(Uint8Array.from(this.typed)));
    this.changed.wakeAll();
  }
}

class PtyMaster implements OpenFile {
  readonly vnode: Vnode;
  readonly seekable = false;
  private readonly pty: Pty;

  constructor(pty: Pty, vnode: Vnode) {
    this.pty = pty;
    this.vnode = vnode;
    pty.master = this;
  }

  get changes(): Waiters {
    return this.pty.changed;
  }

  get label(): string {
    return '/dev/ptmx';
  }

  read(into: Uint8Array, _position: number, nonblocking: boolean): Io {
    const { pty } = this;
    if (into.length === 0) return 0;
    if (pty.packets && pty.control !== 0) {
      into[0] = pty.control;
      pty.control = 0;
      return 1;
    }
    if (pty.output.length > 0) {
      const head = pty.packets ? 1 : 0;
      if (head === 1) into[0] = 0;
      const part = pty.output.splice(0, into.length - head);
      into.set(part, head);
      pty.changed.wakeAll();
      return part.length + head;
    }
    if (pty.slaveClosed) throw errno(EIO);
    if (nonblocking) throw errno(EAGAIN);
    return { kind: 'wait', on: pty.changed };
  }

  write(from: Uint8Array, _position: number, nonblocking: boolean): Io {
    const { pty } = this;
    if (from.length === 0) return 0;
    // Also while nobody has the slave open: who opens it next reads it.
    const part = from.subarray(0, pty.room);
    if (part.length > 0) {
      pty.type(part);
      return part.length;
    }
    if (nonblocking) throw errno(EAGAIN);
    return { kind: 'wait', on: pty.changed };
  }

  poll(): number {
    const { pty } = this;
    let ready = pty.room > 0 ? POLLOUT | POLLWRNORM : 0;
    if (pty.output.length > 0) ready |= POLLIN | POLLRDNORM;
    if (pty.packets && pty.control !== 0) ready |= POLLPRI | POLLIN | POLLRDNORM;
    if (pty.slaveClosed) ready |= POLLHUP;
    return ready;
  }

  ioctl(request: number, argument: IoctlArgument): number | Wait | undefined {
    const { pty } = this;
    switch (request >>> 0) {
      case io.TIOCGPTN:
        return giveWord(argument, pty.number);
      case io.TIOCSPTLCK:
        pty.locked = word(argument) !== 0;
        return 0;
      case io.TIOCGPTLCK:
        return giveWord(argument, pty.locked ? 1 : 0);
      case io.TIOCPKT:
        pty.packets = word(argument) !== 0;
        pty.control = 0;
        return 0;
      case io.TIOCGPKT:
        return giveWord(argument, pty.packets ? 1 : 0);
      case io.TIOCSIG:
        if (argument.value < 1 || argument.value > 64) throw errno(EINVAL);
        pty.terminal.signal(argument.value);
        return 0;
      case io.FIONREAD:
        return giveWord(argument, pty.output.length);
      // The master sees whose terminal it is without being any session's itself.
      case io.TIOCGPGRP:
        return giveWord(argument, pty.terminal.foreground);
      case io.TIOCGSID:
        return giveWord(argument, pty.terminal.session);
      default:
        return pty.terminal.ioctl(request, argument);
    }
  }

  close(): void {
    const { pty } = this;
    pty.master = undefined;
    pty.terminal.hangUp();
    pty.table.forget(pty);
    pty.changed.wakeAll();
  }
}

class PtySlave implements OpenFile {
  readonly vnode: Vnode;
  readonly seekable = false;
  private readonly pty: Pty;
  private readonly flags: number;
  /** When the running read's VTIME began. */
  private began_ns: bigint | undefined;

  constructor(pty: Pty, vnode: Vnode, flags: number) {
    this.pty = pty;
    this.vnode = vnode;
    this.flags = flags;
    pty.slaves++;
    pty.slaveClosed = false;
    pty.changed.wakeAll();
  }

  get changes(): Waiters {
    return this.pty.changed;
  }

  get label(): string {
    return `/dev/pts/${this.pty.number}`;
  }

  read(into: Uint8Array, _position: number, nonblocking: boolean): Io {
    const { pty } = this;
    const { discipline } = pty;
    if (into.length === 0 || pty.master === undefined) return 0;
    const background = pty.terminal.mayRead();
    if (background !== undefined) return background;
    const { c_cc } = discipline.attributes;
    const least = discipline.canonical ? 1 : Math.min(c_cc[io.VMIN], into.length);
    if (discipline.has(nonblocking || c_cc[io.VTIME] > 0 ? 1 : least)) {
      if (discipline.canonical || nonblocking || c_cc[io.VTIME] === 0 || discipline.has(least) || this.timeOver()) {
        this.began_ns = undefined;
        const moved = discipline.read(into);
        pty.digest();
        return moved;
      }
      return this.timed();
    }
    if (!discipline.canonical && c_cc[io.VMIN] === 0) {
      if (c_cc[io.VTIME] === 0 || this.timeOver()) {
        this.began_ns = undefined;
        return 0;
      }
      if (!nonblocking) return this.timed();
    }
    if (nonblocking) throw errno(EAGAIN);
    return { kind: 'wait', on: pty.changed };
  }

  private get time_ns(): number {
    return this.pty.discipline.attributes.c_cc[io.VTIME] * TENTH_NS;
  }

  private timeOver(): boolean {
    return this.began_ns !== undefined && Number(this.pty.table.options.monotonic_ns() - this.began_ns) >= this.time_ns;
  }

  /** Waits, but no longer than VTIME from the first time on. */
  private timed(): Wait {
    const now_ns = this.pty.table.options.monotonic_ns();
    this.began_ns ??= now_ns;
    const left_ms = Math.ceil((this.time_ns - Number(now_ns - this.began_ns)) / 1e6);
    return { kind: 'wait', on: this.pty.changed, retry_ms: Math.max(1, left_ms) };
  }

  write(from: Uint8Array, _position: number, nonblocking: boolean): Io {
    const { pty } = this;
    if (pty.master === undefined) throw errno(EIO);
    const background = pty.terminal.mayWrite();
    if (background !== undefined) return background;
    if (from.length === 0) return 0;
    const room = pty.discipline.stopped ? 0 : OUTPUT_MAX - pty.output.length;
    if (room > 0) {
      // Processing may double a byte; what is over stays within twice the limit.
      const part = from.subarray(0, room);
      pty.give(pty.discipline.processed(part));
      return part.length;
    }
    if (nonblocking) throw errno(EAGAIN);
    return { kind: 'wait', on: pty.changed };
  }

  poll(): number {
    const { pty } = this;
    if (pty.master === undefined) return POLLIN | POLLOUT | POLLERR | POLLHUP | POLLRDNORM | POLLWRNORM;
    const { c_cc } = pty.discipline.attributes;
    const least = c_cc[io.VTIME] === 0 ? c_cc[io.VMIN] : 1;
    let ready = canRead(this.flags) && pty.discipline.has(least) ? POLLIN | POLLRDNORM : 0;
    if (canWrite(this.flags) && !pty.discipline.stopped && pty.output.length < OUTPUT_MAX) ready |= POLLOUT | POLLWRNORM;
    return ready;
  }

  ioctl(request: number, argument: IoctlArgument): number | Wait | undefined {
    const { pty } = this;
    if (pty.master === undefined) throw errno(EIO);
    if (request >>> 0 === io.FIONREAD) return giveWord(argument, pty.discipline.available);
    if (request >>> 0 === io.TIOCVHANGUP) {
      pty.terminal.hangUp();
      return 0;
    }
    return pty.terminal.ioctl(request, argument);
  }

  close(): void {
    const { pty } = this;
    pty.slaves--;
    if (pty.slaves === 0) pty.slaveClosed = true;
    pty.changed.wakeAll();
  }
}

function giveWord(argument: IoctlArgument, value: number): number {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setInt32(0, value, true);
  argument.bytesOut(bytes);
  return 0;
}

function word(argument: IoctlArgument): number {
  const bytes = argument.bytesIn(4);
  return new DataView(bytes.buffer, bytes.byteOffset, 4).getInt32(0, true);
}
