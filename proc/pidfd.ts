/** A descriptor that stands for a process: readable once that is over. */
import { EINVAL, errno } from '../abi/errno.ts';
import { POLLIN, POLLRDNORM } from '../abi/poll.ts';
import { anonymous } from '../fs/anonymous.ts';
import { Description } from '../fs/description.ts';
import type { OpenFile, Vnode } from '../fs/vnode.ts';
import type { Waiters } from '../fs/wait.ts';
import { O_EXCL, O_RDWR } from '../abi/fcntl.ts';
import type { Process } from './process.ts';
import type { Task } from './task.ts';

export class PidFile implements OpenFile {
  readonly vnode: Vnode;
  readonly seekable = false;
  readonly takesPositions = true;
  readonly noRead = true;
  readonly noWrite = true;
  readonly label: string = 'anon_inode:[pidfd]';
  readonly process: Process;
  /** Where it stands for one thread (PIDFD_THREAD). */
  readonly thread: Task | undefined;

  constructor(vnode: Vnode, process: Process, thread?: Task) {
    this.vnode = vnode;
    this.process = process;
    this.thread = thread;
  }

  get changes(): Waiters {
    return this.process.ended;
  }

  read(): number {
    throw errno(EINVAL);
  }

  write(): number {
    throw errno(EINVAL);
  }

  poll(): number {
    return this.process.status === undefined && this.thread?.state !== 'dead' ? 0 : POLLIN | POLLRDNORM;
  }

  /** -1 once it is over and has been waited for. */
  info(): string {
    const pid = this.process.status === undefined || this.process.parent !== undefined ? this.process.pid : -1;
    return `Pid:\t${pid}\nNSpid:\t${pid}\n`;
  }

  close(): void {}
}

/** `flags` may have O_NONBLOCK, which only waitid looks at. */
export function describeProcess(task: Task, process: Process, flags: number, thread?: Task): Description {
  const vnode = anonymous('[pidfd]', BigInt(process.pid), task.kernel.clock.realtime());
  const description = new Description(new PidFile(vnode, process, thread), vnode.place, O_RDWR | flags);
  // PIDFD_THREAD shows among the flags.
  if (thread !== undefined) description.flags |= O_EXCL;
  return description;
}
