/** epoll. */
import { EBADF, EFAULT, EINVAL, EPERM, errno } from '../abi/errno.ts';
import { O_CLOEXEC, O_RDWR } from '../abi/fcntl.ts';
import { sigset } from '../abi/signal.ts';
import { type Struct, struct, u32, x32 } from '../abi/struct.ts';
import { isValidTime, timespec64, toNanoseconds } from '../abi/time.ts';
import { anonymous } from '../fs/anonymous.ts';
import { Description } from '../fs/description.ts';
import { EpollFile, type EpollEvent } from '../fs/epoll.ts';
import { suspendMask } from '../proc/signal.ts';
import type { Task } from '../proc/task.ts';
import { type Blocked, block } from '../proc/wait.ts';
import { define } from './define.ts';
import { choice, count, type Fd, fd, fdResult, flags, int, intResult, loadAt, none, pointerIn, pointerOut, storeAt, structIn } from './kinds.ts';
import { openAt } from './paths.ts';

/** Packed alike on all x86: no padding. */
const epollEvent: Struct<{ events: number; low: number; high: number }> = struct({ events: x32, low: u32, high: u32 });
const ADD = 1, DEL = 2, MOD = 3;
/** EP_MAX_EVENTS. */
const MOST_EVENTS = Math.floor(0x7fffffff / epollEvent.size);
const eventIn = structIn(epollEvent, 'struct epoll_event');

/** A new nameless file's description under a new number. */
export function newFile(task: Task, label: string, how: number, make: (vnode: ReturnType<typeof anonymous>) => ConstructorParameters<typeof Description>[0]): number {
  task.files.free();
  const vnode = anonymous(label, task.kernel.files.nextInode(), task.kernel.clock.realtime());
  return task.files.add(new Description(make(vnode), vnode.place, O_RDWR | (how & ~O_CLOEXEC)), (how & O_CLOEXEC) !== 0);
}

function create(task: Task, how: number): number {
  if ((how & ~O_CLOEXEC) !== 0) throw errno(EINVAL);
  return newFile(task, '[eventpoll]', how, (vnode) => new EpollFile(vnode));
}

const epollCreate = define({
  name: 'epoll_create', args: [['size', int]], result: fdResult, support: 'full',
  handler: (task, size) => {
    if (size <= 0) throw errno(EINVAL);
    return create(task, 0);
  },
});
const epollCreate1 = define({
  name: 'epoll_create1', args: [['flags', flags({ EPOLL_CLOEXEC: O_CLOEXEC })]], result: fdResult, support: 'full', handler: create,
});

const epollCtl = define({
  name: 'epoll_ctl', args: [['epfd', fd], ['op', choice({ EPOLL_CTL_ADD: ADD, EPOLL_CTL_DEL: DEL, EPOLL_CTL_MOD: MOD })], ['fd', fd], ['event', eventIn]],
  result: none, support: 'full',
  handler: (task, epfd, op, target, at) => {
    const event: EpollEvent | undefined = op === DEL ? undefined : loadAt(task, at, epollEvent);
    const watcher = openAt(task, epfd);
    const watched = openAt(task, target);
    if (watched.file.changes !== undefined && watcher.file === watched.file) throw errno(EINVAL);
    if (!(watcher.file instanceof EpollFile)) {
      if (watched.file.changes === undefined) throw errno(EPERM);
      throw errno(EINVAL);
    }
    if (watched.file.changes === undefined) throw errno(EPERM);
    if (event === undefined) watcher.file.remove(target, watched);
    else if (op === ADD) watcher.file.add(target, watched, event);
    else if (op === MOD) watcher.file.modify(target, watched, event);
    else throw errno(EINVAL);
  },
});

function wait(task: Task, epfd: Fd, at: number, most: number, timeout_ns: bigint | undefined): number | Blocked {
  const description = task.files.get(epfd);
  if (description.isPathOnly) throw errno(EBADF);
  if (most <= 0 || most > MOST_EVENTS) throw errno(EINVAL);
  const { file } = description;
  if (!(file instanceof EpollFile)) throw errno(EINVAL);
  const limit = Math.min(most, 4096);
  if (file.poll() !== 0) {
    if (task.user.probe(at, epollEvent.size, 'write') < epollEvent.size) throw errno(EFAULT);
    const fits = Math.floor(task.user.probe(at, epollEvent.size * limit, 'write') / epollEvent.size);
    const found = file.take(fits);
    found.forEach((event, i) => storeAt(task, at + i * epollEvent.size, epollEvent, event));
    if (found.length > 0) return found.length;
  }
  if (timeout_ns === 0n) return 0;
  const deadline = timeout_ns === undefined ? undefined : task.deadlineAfter(timeout_ns);
  if (task.expired) return 0;
  return block(file.changes, deadline);
}

function milliseconds(timeout: number): bigint | undefined {
  return timeout < 0 ? undefined : BigInt(timeout) * 1_000_000n;
}

function useMask(task: Task, at: number, size: number): void {
  if (at === 0) return;
  if (size !== sigset.size) throw errno(EINVAL);
  suspendMask(task.signals, loadAt(task, at, sigset));
}

const waitArgs = [['epfd', fd], ['events', pointerOut], ['maxevents', int]] as const;

const epollWait = define({
  name: 'epoll_wait', args: [...waitArgs, ['timeout', int]], result: intResult, support: 'full', interrupted: 'always',
  handler: (task, epfd, at, most, timeout) => wait(task, epfd, at, most, milliseconds(timeout)),
});
const epollPwait = define({
  name: 'epoll_pwait', args: [...waitArgs, ['timeout', int], ['sigmask', pointerIn], ['sigsetsize', count]],
  result: intResult, support: 'full', interrupted: 'always',
  handler: (task, epfd, at, most, timeout, mask, size) => {
    useMask(task, mask, size);
    return wait(task, epfd, at, most, milliseconds(timeout));
  },
});
const epollPwait2 = define({
  name: 'epoll_pwait2', args: [...waitArgs, ['timeout', structIn(timespec64, 'struct timespec')], ['sigmask', pointerIn], ['sigsetsize', count]],
  result: intResult, support: 'full', interrupted: 'always',
  handler: (task, epfd, at, most, timeout, mask, size) => {
    let timeout_ns: bigint | undefined;
    if (timeout !== 0) {
      const time = loadAt(task, timeout, timespec64);
      if (!isValidTime(time)) throw errno(EINVAL);
      timeout_ns = toNanoseconds(time);
    }
    useMask(task, mask, size);
    return wait(task, epfd, at, most, timeout_ns);
  },
});

export const calls = [epollCreate, epollCreate1, epollCtl, epollWait, epollPwait, epollPwait2];
