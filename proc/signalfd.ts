/** signalfd: pending signals of whoever reads it, as records of 128 bytes. Which task that is shows only when it reads or polls. Linux: fs/signalfd.c. */
import { EAGAIN, EINVAL, errno } from '../abi/errno.ts';
import { POLLIN } from '../abi/poll.ts';
import { SI_KERNEL, SI_SIGIO, SI_TIMER, SI_USER, SIGBUS, SIGCHLD, SIGFPE, SIGILL, SIGIO, SIGSEGV, SIGSYS, SIGTRAP } from '../abi/signal.ts';
import { type SignalSet, SIGNALFD_INFO_SIZE, signalfdInfo } from '../abi/signal.ts';
import type { Io, OpenFile, Vnode } from '../fs/vnode.ts';
import { NOBODY, type Waiters } from '../fs/wait.ts';
import type { Waitable } from '../mm/outcome.ts';
import type { SignalInfo } from './siginfo.ts';
import { difference, intersection, isEmpty, union, UNBLOCKABLE } from './signal.ts';
import type { Kernel, Task } from './task.ts';

export class SignalFile implements OpenFile {
  readonly vnode: Vnode;
  readonly seekable = false;
  readonly stays = true;
  readonly noWrite = true;
  readonly hasRecords = true;
  readonly canNotWait = true;
  readonly label: string = 'anon_inode:[signalfd]';
  private readonly kernel: Kernel;
  private wanted: SignalSet;

  constructor(vnode: Vnode, kernel: Kernel, mask: SignalSet) {
    this.vnode = vnode;
    this.kernel = kernel;
    this.wanted = difference(mask, UNBLOCKABLE);
  }

  /** Other signals from now on; who waits looks again. */
  setMask(mask: SignalSet): void {
    this.wanted = difference(mask, UNBLOCKABLE);
    this.kernel.current()?.process.signalled.wakeAll(POLLIN);
  }

  /** As Linux has it: those who wait hear of the signals of the process they were in when they began to. */
  get changes(): Waitable {
    const signalled: Waiters | undefined = this.kernel.current()?.process.signalled;
    return signalled ?? NOBODY;
  }

  checkRead(size: number): void {
    if (size < SIGNALFD_INFO_SIZE) throw errno(EINVAL);
  }

  read(into: Uint8Array, _position: number, nonblocking: boolean): Io {
    const task = this.kernel.current();
    if (task === undefined) throw errno(EINVAL);
    let done = 0;
    while (done + SIGNALFD_INFO_SIZE <= into.length) {
      const info = task.signals.pending.take(this.wanted) ?? task.process.pending.take(this.wanted);
      if (info === undefined) break;
      into.set(record(info), done);
      done += SIGNALFD_INFO_SIZE;
    }
    if (done > 0) return done;
    if (nonblocking) throw errno(EAGAIN);
    return { kind: 'wait', on: task.process.signalled };
  }

  write(): number {
    throw errno(EINVAL);
  }

  poll(): number {
    const task: Task | undefined = this.kernel.current();
    if (task === undefined) return 0;
    const pending = union(task.signals.pending.set, task.process.pending.set);
    return isEmpty(intersection(pending, this.wanted)) ? 0 : POLLIN;
  }

  info(): string {
    const { low, high } = this.wanted;
    return `sigmask:\t${high.toString(16).padStart(8, '0')}${low.toString(16).padStart(8, '0')}\n`;
  }

  close(): void {}
}

const FAULTS: readonly number[] = [SIGILL, SIGFPE, SIGSEGV, SIGBUS, SIGTRAP];

/** Which members of siginfo_t the sender filled decides what is told. Linux: siginfo_layout, signalfd_copyinfo. */
function record(info: SignalInfo): Uint8Array {
  const { signo, code, fields } = info;
  const bytes = new Uint8Array(SIGNALFD_INFO_SIZE);
  const view = new DataView(bytes.buffer);
  const put = (member: keyof typeof signalfdInfo.offsets, value = 0): void => view.setUint32(signalfdInfo.offsets[member], value, true);
  put('signo', signo);
  put('errno', info.errno);
  put('code', code);
  const fromKernel = code > SI_USER && code < SI_KERNEL;
  if (fromKernel && FAULTS.includes(signo)) put('addr', fields[0]);
  else if ((fromKernel && signo === SIGIO) || code === SI_SIGIO) {
    put('band', fields[0]);
    put('fd', fields[1]);
  } else if (fromKernel && signo === SIGSYS) {
    put('callAddr', fields[0]);
    put('syscall', fields[1]);
    put('arch', fields[2]);
  } else if (code === SI_TIMER) {
    put('tid', fields[0]);
    put('overrun', fields[1]);
    put('int', fields[2]);
    put('ptr', fields[2]);
  } else {
    put('pid', fields[0]);
    put('uid', fields[1]);
    if (fromKernel && signo === SIGCHLD) {
      put('status', fields[2]);
      put('utime', fields[3]);
      put('stime', fields[4]);
    } else if (code < SI_USER) {
      put('int', fields[2]);
      put('ptr', fields[2]);
    }
  }
  return bytes;
}
