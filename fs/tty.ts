/** A terminal as the guest's ioctls see it: the host's or a pty, whose own ways come through a port; sessions and process groups are the machine's own. */
import { EINVAL, EIO, ENOTTY, EPERM, ESRCH, errno } from '../abi/errno.ts';
import {
  defaultTermios,
  TCFLSH,
  TCGETA,
  TCGETS,
  TCGETS2,
  TCSBRK,
  TCSBRKP,
  TCSETA,
  TCSETAF,
  TCSETAW,
  TCSETS,
  TCSETS2,
  TCSETSF,
  TCSETSF2,
  TCSETSW,
  TCSETSW2,
  TCXONC,
  type Termios,
  TOSTOP,
  TIOCEXCL,
  TIOCGETD,
  TIOCGEXCL,
  TIOCGLCKTRMIOS,
  TIOCGPGRP,
  TIOCGSID,
  TIOCGWINSZ,
  TIOCNOTTY,
  TIOCNXCL,
  TIOCOUTQ,
  TIOCSCTTY,
  TIOCSETD,
  TIOCSLCKTRMIOS,
  TIOCSPGRP,
  TIOCSTI,
  TIOCSWINSZ,
  termios,
  type WindowSize,
  winsize,
} from '../abi/ioctl.ts';
import { SIGCONT, SIGHUP, SIGTTIN, SIGTTOU, SIGWINCH } from '../abi/signal.ts';
import { encoded, type Struct } from '../abi/struct.ts';
import type { IoctlArgument, Wait } from './vnode.ts';
import { NOBODY } from './wait.ts';

/** The process whose call is running, as far as terminals ask. */
export interface Caller {
  readonly pid: number;
  readonly group: number;
  readonly session: number;
  readonly uid: number;
  readonly privileged: boolean;
  /** Blocks or ignores the signal. */
  shuns(signo: number): boolean;
}

/** Sessions and process groups: what terminals need of processes. */
export interface JobControl {
  /** Undefined: the host itself. */
  caller(): Caller | undefined;
  signalGroup(group: number, signo: number): void;
  /** The session of a process group; undefined where there is no such group. */
  sessionOf(group: number): number | undefined;
  /** Nobody could continue its members. */
  isOrphaned(group: number): boolean;
}

/** Where nobody has sessions: one program alone. */
export const NO_JOBS: JobControl = {
  caller: () => undefined,
  signalGroup: () => {},
  sessionOf: (group) => group,
  isOrphaned: () => false,
};

/** The signal that was just sent stops (or kills) the caller before it waits; continued, its call runs again. */
const STOPPED_HERE: Wait = { kind: 'wait', on: NOBODY };

/** A terminal itself, behind its ioctls. */
export interface TerminalPort {
  /** Undefined where the host does not tell; a default is assumed then. */
  attributes(): Termios | undefined;
  /** `flush` drops input that was not read. */
  setAttributes(attributes: Termios, when: 'now' | 'drain' | 'flush'): void;
  windowSize(): WindowSize;
  setWindowSize?(size: WindowSize): void;
  /** TCFLSH and TCXONC, by their argument. */
  flush?(queue: number): void;
  flow?(action: number): void;
  /** A byte as if it were typed (TIOCSTI). */
  type?(byte: number): void;
  /** All that was written has been taken; else what to wait for. */
  drain?(): Wait | undefined;
}

const SPEED_38400 = 38400;

export class Terminal {
  /** The process group that may read, and the session whose terminal this is: set by whoever makes the machine's first process. 0: none. */
  foreground: number;
  session: number;
  exclusive = false;
  /** The terminal that the first process has from outside of the machine; its session began there and has number 0. */
  private readonly isConsole: boolean;
  private readonly port: TerminalPort;
  private readonly jobs: () => JobControl;
  /** TIOCSLCKTRMIOS: bits and characters that may not be changed. */
  private locked: Termios = { c_iflag: 0, c_oflag: 0, c_cflag: 0, c_lflag: 0, c_line: 0, c_cc: new Array(19).fill(0) };
  /** As last read or set: only the guest changes it while it runs. */
  private known: Termios | undefined;

  constructor(port: TerminalPort, jobs: () => JobControl = () => NO_JOBS, session = 1) {
    this.port = port;
    this.jobs = jobs;
    this.foreground = this.session = session;
    this.isConsole = session !== 0;
  }

  /** Whether it is the caller's controlling terminal. */
  private isOf(caller: Caller | undefined): boolean {
    if (caller === undefined) return true;
    return this.session !== 0 && (caller.session === this.session || (this.isConsole && caller.session === 0));
  }

  /** Linux: tty_check_change. A background process may not change the terminal, and is stopped where it tries. */
  private checkChange(signo: number): Wait | undefined {
    const caller = this.jobs().caller();
    if (caller === undefined || !this.isOf(caller) || caller.group === this.foreground || this.foreground === 0) return undefined;
    if (caller.shuns(signo)) {
      if (signo === SIGTTIN) throw errno(EIO);
      return undefined;
    }
    if (this.jobs().isOrphaned(caller.group)) throw errno(EIO);
    this.jobs().signalGroup(caller.group, signo);
    return STOPPED_HERE;
  }

  /** Before a read: a background process has to wait until it is in the foreground. */
  mayRead(): Wait | undefined {
    return this.checkChange(SIGTTIN);
  }

  /** Before a write, where TOSTOP asks for it. */
  mayWrite(): Wait | undefined {
    return this.attributes.c_lflag & TOSTOP ? this.checkChange(SIGTTOU) : undefined;
  }

  /** A signal of the keyboard, or of a change of size. */
  signal(signo: number): void {
    if (this.foreground !== 0) this.jobs().signalGroup(this.foreground, signo);
  }

  /** The line is gone, or the session's leader: who was in the foreground is told. */
  hangUp(): void {
    const { foreground, session } = this;
    this.foreground = this.session = 0;
    if (session !== 0 && foreground !== session) this.jobs().signalGroup(session, SIGHUP);
    if (foreground === 0) return;
    this.jobs().signalGroup(foreground, SIGHUP);
    this.jobs().signalGroup(foreground, SIGCONT);
  }

  /** A session's leader opens it, or asks by TIOCSCTTY: it becomes the session's own terminal. Returns false where it is another's. */
  takeBy(caller: Caller): boolean {
    if (this.session !== 0) return this.session === caller.session;
    this.session = caller.session;
    this.foreground = caller.group;
    return true;
  }

  private get attributes(): Termios {
    return (this.known ??= this.port.attributes() ?? defaultTermios());
  }

  /** Undefined: no request of a terminal. */
  ioctl(request: number, argument: IoctlArgument): number | Wait | undefined {
    if (CHANGES.has(request >>> 0)) {
      const wait = this.checkChange(SIGTTOU) ?? (DRAINS.has(request >>> 0) ? this.port.drain?.() : undefined);
      if (wait !== undefined) return wait;
    }
    switch (request >>> 0) {
      case TCGETS:
        return give(argument, termios, this.attributes);
      case TCSETS:
        return this.set(argument, 'now', 36);
      case TCSETSW:
        return this.set(argument, 'drain', 36);
      case TCSETSF:
        return this.set(argument, 'flush', 36);
      case TCGETS2:
        return this.giveWithSpeeds(argument);
      case TCSETS2:
        return this.set(argument, 'now', 44);
      case TCSETSW2:
        return this.set(argument, 'drain', 44);
      case TCSETSF2:
        return this.set(argument, 'flush', 44);
      case TCGETA:
        return this.giveOld(argument);
      case TCSETA:
        return this.setOld(argument, 'now');
      case TCSETAW:
        return this.setOld(argument, 'drain');
      case TCSETAF:
        return this.setOld(argument, 'flush');
      case TIOCGLCKTRMIOS:
        return give(argument, termios, this.locked);
      case TIOCSLCKTRMIOS:
        if (this.jobs().caller()?.privileged === false) throw errno(EPERM);
        this.locked = termios.read(view(argument.bytesIn(termios.size)), 0);
        return 0;
      case TIOCGWINSZ:
        return give(argument, winsize, this.port.windowSize());
      case TIOCSWINSZ: {
        this.resize(winsize.read(view(argument.bytesIn(winsize.size)), 0));
        return 0;
      }
      case TIOCGPGRP:
        this.checkOwn();
        return giveWord(argument, this.foreground);
      case TIOCSPGRP:
        return this.setForeground(word(argument));
      case TIOCGSID:
        this.checkOwn();
        return giveWord(argument, this.session);
      case TIOCOUTQ:
        return giveWord(argument, 0);
      case TCSBRK:
      case TCSBRKP:
        return 0;
      case TIOCEXCL:
      case TIOCNXCL:
        this.exclusive = request >>> 0 === TIOCEXCL;
        return 0;
      case TIOCGEXCL:
        return giveWord(argument, this.exclusive ? 1 : 0);
      case TIOCSCTTY:
        return this.become(argument.value);
      case TIOCNOTTY:
        return this.giveUp();
      case TIOCSTI:
        return this.typed(argument.bytesIn(1)[0]);
      case TIOCGETD:
        return giveWord(argument, 0);
      case TIOCSETD:
        if (word(argument) !== 0) throw errno(EINVAL);
        return 0;
      case TCXONC:
        if (argument.value > 3) throw errno(EINVAL);
        this.port.flow?.(argument.value);
        return 0;
      case TCFLSH:
        if (argument.value > 2) throw errno(EINVAL);
        this.port.flush?.(argument.value);
        return 0;
      default:
        return undefined;
    }
  }

  /** A new size, which the foreground is told of. */
  resize(size: WindowSize): void {
    const { ws_row, ws_col, ws_xpixel, ws_ypixel } = this.port.windowSize();
    if (ws_row === size.ws_row && ws_col === size.ws_col && ws_xpixel === size.ws_xpixel && ws_ypixel === size.ws_ypixel) return;
    this.port.setWindowSize?.(size);
    this.signal(SIGWINCH);
  }

  private checkOwn(): void {
    if (!this.isOf(this.jobs().caller())) throw errno(ENOTTY);
  }

  private become(steal: number): number {
    const caller = this.jobs().caller();
    if (caller === undefined || (this.session !== 0 && this.isOf(caller))) return 0;
    if (caller.pid !== caller.session) throw errno(EPERM);
    if (this.session !== 0) {
      if (steal !== 1 || !caller.privileged) throw errno(EPERM);
      this.session = this.foreground = 0;
    }
    this.takeBy(caller);
    return 0;
  }

  private giveUp(): number {
    const caller = this.jobs().caller();
    this.checkOwn();
    if (caller !== undefined && caller.pid === caller.session) this.hangUp();
    return 0;
  }

  private typed(byte: number): number {
    const caller = this.jobs().caller();
    if (caller !== undefined && !this.isOf(caller) && !caller.privileged) throw errno(EPERM);
    if (this.port.type === undefined) throw errno(EIO);
    this.port.type(byte);
    return 0;
  }

  private set(argument: IoctlArgument, when: 'now' | 'drain' | 'flush', size: number): number {
    this.known = this.unlocked(termios.read(view(argument.bytesIn(size)), 0));
    this.port.setAttributes(this.known, when);
    return 0;
  }

  /** What is locked stays as it is. */
  private unlocked(wanted: Termios): Termios {
    const { attributes: before, locked } = this;
    const flag = (name: 'c_iflag' | 'c_oflag' | 'c_cflag' | 'c_lflag') =>
      ((wanted[name] & ~locked[name]) | (before[name] & locked[name])) >>> 0;
    return {
      c_iflag: flag('c_iflag'),
      c_oflag: flag('c_oflag'),
      c_cflag: flag('c_cflag'),
      c_lflag: flag('c_lflag'),
      c_line: locked.c_line === 0 ? wanted.c_line : before.c_line,
      c_cc: wanted.c_cc.map((character, i) => (locked.c_cc[i] === 0 ? character : before.c_cc[i])),
    };
  }

  private giveWithSpeeds(argument: IoctlArgument): number {
    const bytes = new Uint8Array(44);
    termios.write(view(bytes), 0, this.attributes);
    view(bytes).setUint32(36, SPEED_38400, true);
    view(bytes).setUint32(40, SPEED_38400, true);
    argument.bytesOut(bytes);
    return 0;
  }

  /** struct termio: 16-bit flags and eight control characters. */
  private giveOld(argument: IoctlArgument): number {
    const { c_iflag, c_oflag, c_cflag, c_lflag, c_line, c_cc } = this.attributes;
    const bytes = new Uint8Array(18);
    [c_iflag, c_oflag, c_cflag, c_lflag].forEach((flag, i) => view(bytes).setUint16(i * 2, flag & 0xffff, true));
    bytes[8] = c_line;
    bytes.set(c_cc.slice(0, 8), 9);
    argument.bytesOut(bytes);
    return 0;
  }

  private setOld(argument: IoctlArgument, when: 'now' | 'drain' | 'flush'): number {
    const bytes = argument.bytesIn(18);
    const flag = (i: number, before: number) => ((before & ~0xffff) | view(bytes).getUint16(i * 2, true)) >>> 0;
    const before = this.attributes;
    const c_cc = before.c_cc.slice();
    for (let i = 0; i < 8; i++) c_cc[i] = bytes[9 + i];
    this.known = this.unlocked({
      c_iflag: flag(0, before.c_iflag),
      c_oflag: flag(1, before.c_oflag),
      c_cflag: flag(2, before.c_cflag),
      c_lflag: flag(3, before.c_lflag),
      c_line: bytes[8],
      c_cc,
    });
    this.port.setAttributes(this.known, when);
    return 0;
  }

  private setForeground(group: number): number {
    this.checkOwn();
    if ((group | 0) < 0) throw errno(EINVAL);
    const session = this.jobs().sessionOf(group);
    if (session === undefined) throw errno(ESRCH);
    const caller = this.jobs().caller();
    if (caller !== undefined && session !== caller.session) throw errno(EPERM);
    this.foreground = group;
    return 0;
  }
}

/** Requests that a background process may not make, and those that first wait for output. */
const DRAINS: ReadonlySet<number> = new Set([TCSETSW, TCSETSF, TCSETSW2, TCSETSF2, TCSETAW, TCSETAF, TCSBRK, TCSBRKP]);
const CHANGES: ReadonlySet<number> = new Set([...DRAINS, TCSETS, TCSETS2, TCSETA, TCXONC, TCFLSH, TIOCSPGRP]);

function view(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}

function give<T>(argument: IoctlArgument, layout: Struct<T>, value: T): number {
  argument.bytesOut(encoded(layout, value));
  return 0;
}

function giveWord(argument: IoctlArgument, value: number): number {
  const bytes = new Uint8Array(4);
  view(bytes).setInt32(0, value, true);
  argument.bytesOut(bytes);
  return 0;
}

function word(argument: IoctlArgument): number {
  return view(argument.bytesIn(4)).getInt32(0, true);
}
