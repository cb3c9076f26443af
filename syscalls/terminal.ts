/** ioctl: what every descriptor knows, and what files answer for themselves (terminals, pipes, random devices). */
import { ENOTTY, EOPNOTSUPP, errno } from '../abi/errno.ts';
import { O_NONBLOCK } from '../abi/fcntl.ts';
import { FIOGETOWN, FIOSETOWN, SIOCGPGRP, SIOCSPGRP } from '../abi/interface.ts';
import * as io from '../abi/ioctl.ts';
import { i32, s64 } from '../abi/struct.ts';
import type { Description } from '../fs/description.ts';
import type { IoctlArgument } from '../fs/vnode.ts';
import type { Task } from '../proc/task.ts';
import { define } from './define.ts';
import { hasAsync, setAsync, setSignedOwner, signedOwner } from './fcntl.ts';
import { address, choice, fd, intResult, loadAt, storeAt } from './kinds.ts';
import { openAt, orWait } from './paths.ts';

const request = choice({
  TCGETS: io.TCGETS,
  TCSETS: io.TCSETS,
  TCSETSW: io.TCSETSW,
  TCSETSF: io.TCSETSF,
  TCGETA: io.TCGETA,
  TCSETA: io.TCSETA,
  TCSETAW: io.TCSETAW,
  TCSETAF: io.TCSETAF,
  TCSBRK: io.TCSBRK,
  TCXONC: io.TCXONC,
  TCFLSH: io.TCFLSH,
  TIOCEXCL: io.TIOCEXCL,
  TIOCNXCL: io.TIOCNXCL,
  TIOCSCTTY: io.TIOCSCTTY,
  TIOCGPGRP: io.TIOCGPGRP,
  TIOCSPGRP: io.TIOCSPGRP,
  TIOCOUTQ: io.TIOCOUTQ,
  TIOCSTI: io.TIOCSTI,
  TIOCGWINSZ: io.TIOCGWINSZ,
  TIOCSWINSZ: io.TIOCSWINSZ,
  FIONREAD: io.FIONREAD,
  FIONBIO: io.FIONBIO,
  TIOCNOTTY: io.TIOCNOTTY,
  TCSBRKP: io.TCSBRKP,
  TIOCGSID: io.TIOCGSID,
  TCGETS2: io.TCGETS2,
  TCSETS2: io.TCSETS2,
  TCSETSW2: io.TCSETSW2,
  TCSETSF2: io.TCSETSF2,
  TIOCGPTN: io.TIOCGPTN,
  TIOCSPTLCK: io.TIOCSPTLCK,
  FIONCLEX: io.FIONCLEX,
  FIOCLEX: io.FIOCLEX,
  FIOASYNC: io.FIOASYNC,
  FIOQSIZE: io.FIOQSIZE,
  FIGETBSZ: io.FIGETBSZ,
  FIBMAP: io.FIBMAP,
  FICLONE: io.FICLONE,
});

class GuestArgument implements IoctlArgument {
  readonly value: number;
  private readonly task: Task;

  constructor(task: Task, value: number) {
    this.task = task;
    this.value = value;
  }

  bytesIn(count: number): Uint8Array {
    return this.task.user.read(this.value, count);
  }

  bytesOut(bytes: Uint8Array): void {
    this.task.user.write(this.value, bytes);
  }

  bytesAt(at: number, count: number): Uint8Array {
    return this.task.user.read(at, count);
  }

  bytesTo(at: number, bytes: Uint8Array): void {
    this.task.user.write(at, bytes);
  }
}

const ioctl = define({
  name: 'ioctl',
  args: [
    ['fd', fd],
    ['request', request],
    ['argp', address],
  ],
  result: intResult,
  support: {
    partial: 'terminals, pipes, FIONREAD, FIONBIO, FIOASYNC, FIOCLEX, FIOQSIZE, FIGETBSZ, RNDGETENTCNT, SIOCGIF and its like; all others answer ENOTTY',
  },
  handler: (task, file, what, at) => {
    const description = openAt(task, file);
    switch (what >>> 0) {
      case io.FIOCLEX:
      case io.FIONCLEX:
        task.files.setCloseOnExec(file, what === io.FIOCLEX);
        return 0;
      case io.FIONBIO:
        return setFlag(task, description, at, O_NONBLOCK);
      case io.FIOASYNC:
        if (!hasAsync(description)) throw errno(ENOTTY);
        setAsync(task, file, description, loadAt(task, at, i32) !== 0);
        return 0;
      case FIOSETOWN:
      case SIOCSPGRP:
        if (description.vnode.kind !== 'socket') throw errno(ENOTTY);
        setSignedOwner(task, description, loadAt(task, at, i32));
        return 0;
      case FIOGETOWN:
      case SIOCGPGRP:
        if (description.vnode.kind !== 'socket') throw errno(ENOTTY);
        storeAt(task, at, i32, signedOwner(task, description));
        return 0;
      case io.FIOQSIZE:
        if (!['file', 'directory', 'symlink'].includes(description.vnode.kind)) throw errno(ENOTTY);
        return ofFile(task, description, what, at);
      default:
        return ofFile(task, description, what, at);
    }
  },
});

function setFlag(task: Task, description: Description, at: number, flag: number): number {
  const on = loadAt(task, at, i32) !== 0;
  description.flags = on ? description.flags | flag : description.flags & ~flag;
  return 0;
}

function ofFile(task: Task, description: Description, what: number, at: number): number {
  const own = description.file.ioctl?.(what, new GuestArgument(task, at));
  if (own !== undefined) return orWait(task, own);
  const { kind } = description.vnode;
  if (kind === 'file' || kind === 'directory') return ofPlainFile(task, description, what, at);
  throw errno(ENOTTY);
}

/** What do_vfs_ioctl and file_ioctl answer for files of a disk. */
function ofPlainFile(task: Task, description: Description, what: number, at: number): number {
  const stat = description.vnode.stat();
  switch (what >>> 0) {
    case io.FIONREAD: {
      if (description.vnode.kind !== 'file') throw errno(ENOTTY);
      storeAt(task, at, i32, (stat.size - description.position) | 0);
      return 0;
    }
    case io.FIOQSIZE:
      storeAt(task, at, s64, stat.blocks * 512);
      return 0;
    case io.FIGETBSZ:
      storeAt(task, at, i32, stat.blksize);
      return 0;
    case io.FICLONE:
      throw errno(EOPNOTSUPP);
    default:
      throw errno(ENOTTY);
  }
}

export const calls = [ioctl];
