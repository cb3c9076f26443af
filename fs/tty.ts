/** A terminal as the guest's ioctls see it. What the host's terminal can really do comes through a port; process groups are the machine's own. */
import { EINVAL, EPERM, errno } from '../abi/errno.ts';
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
  TIOCEXCL,
  TIOCGPGRP,
  TIOCGSID,
  TIOCGWINSZ,
  TIOCNOTTY,
  TIOCNXCL,
  TIOCOUTQ,
  TIOCSCTTY,
  TIOCSPGRP,
  TIOCSWINSZ,
  termios,
  type WindowSize,
  winsize,
} from '../abi/ioctl.ts';
import type { Struct } from '../abi/struct.ts';
import type { IoctlArgument } from './vnode.ts';

/** The host's terminal, as far as somebody gave us access to it. */
export interface TerminalPort {
  /** Undefined where the host does not tell; a default is assumed then. */
  attributes(): Termios | undefined;
  /** `flush` drops input that was not read. */
  setAttributes(attributes: Termios, when: 'now' | 'drain' | 'flush'): void;
  windowSize(): WindowSize;
  setWindowSize?(size: WindowSize): void;
}

const SPEED_38400 = 38400;

export class Terminal {
  /** The process group that may read, and the session whose terminal this is: set by whoever makes the machine's first process. */
  foreground = 1;
  session = 1;
  private readonly port: TerminalPort;
  /** As last read or set: only the guest changes it while it runs. */
  private known: Termios | undefined;

  constructor(port: TerminalPort) {
    this.port = port;
  }

  private get attributes(): Termios {
    return (this.known ??= this.port.attributes() ?? defaultTermios());
  }

  /** Undefined: no request of a terminal. */
  ioctl(request: number, argument: IoctlArgument): number | undefined {
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
      case TIOCGWINSZ:
        return give(argument, winsize, this.port.windowSize());
      case TIOCSWINSZ: {
        this.port.setWindowSize?.(winsize.read(view(argument.bytesIn(winsize.size)), 0));
        return 0;
      }
      case TIOCGPGRP:
        return giveWord(argument, this.foreground);
      case TIOCSPGRP:
        return this.setForeground(word(argument));
      case TIOCGSID:
        return giveWord(argument, this.session);
      case TIOCOUTQ:
        return giveWord(argument, 0);
      case TCSBRK:
      case TCSBRKP:
      case TIOCEXCL:
      case TIOCNXCL:
      case TIOCSCTTY:
      case TIOCNOTTY:
        return 0;
      case TCXONC:
      case TCFLSH:
        if (argument.value > 3) throw errno(EINVAL);
        return 0;
      default:
        return undefined;
    }
  }

  private set(argument: IoctlArgument, when: 'now' | 'drain' | 'flush', size: number): number {
    this.known = termios.read(view(argument.bytesIn(size)), 0);
    this.port.setAttributes(this.known, when);
    return 0;
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
    this.known = {
      c_iflag: flag(0, before.c_iflag),
      c_oflag: flag(1, before.c_oflag),
      c_cflag: flag(2, before.c_cflag),
      c_lflag: flag(3, before.c_lflag),
      c_line: bytes[8],
      c_cc,
    };
    this.port.setAttributes(this.known, when);
    return 0;
  }

  private setForeground(group: number): number {
    if ((group | 0) < 0) throw errno(EINVAL);
    if (group === 0) throw errno(EPERM);
    this.foreground = group;
    return 0;
  }
}

function view(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}

function give<T>(argument: IoctlArgument, layout: Struct<T>, value: T): number {
  const bytes = new Uint8Array(layout.size);
  layout.write(view(bytes), 0, value);
  argument.bytesOut(bytes);
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
