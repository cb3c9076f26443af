/** Files that stand for events: eventfd, timerfd and signalfd. */
import { CAP_WAKE_ALARM } from '../abi/capability.ts';
import { EINVAL, EPERM, errno } from '../abi/errno.ts';
import { O_CLOEXEC, O_NONBLOCK } from '../abi/fcntl.ts';
import { type SignalSet, sigset } from '../abi/signal.ts';
import type { Layout } from '../abi/struct.ts';
import * as time from '../abi/time.ts';
import { type Struct, struct } from '../abi/struct.ts';
import { EventFile } from '../fs/eventfd.ts';
import { TimerFile } from '../fs/timerfd.ts';
import { capable } from '../proc/credentials.ts';
import { SignalFile } from '../proc/signalfd.ts';
import type { Task } from '../proc/task.ts';
import { define } from './define.ts';
import { newFile } from './epoll.ts';
import { choice, count, type Fd, fd, fdResult, flags, type In, loadAt, none, storeAt, structIn, structOut, uint } from './kinds.ts';
import { openAt } from './paths.ts';

const EFD_SEMAPHORE = 1;

function event(task: Task, initial: number, how: number): number {
  if ((how & ~(EFD_SEMAPHORE | O_CLOEXEC | O_NONBLOCK)) !== 0) throw errno(EINVAL);
  return newFile(task, '[eventfd]', how & ~EFD_SEMAPHORE, (vnode) => new EventFile(vnode, initial, (how & EFD_SEMAPHORE) !== 0));
}

const eventfd = define({
  name: 'eventfd', args: [['initval', uint]], result: fdResult, support: 'full', handler: (task, initial) => event(task, initial, 0),
});
const eventfd2 = define({
  name: 'eventfd2', args: [['initval', uint], ['flags', flags({ EFD_SEMAPHORE, EFD_CLOEXEC: O_CLOEXEC, EFD_NONBLOCK: O_NONBLOCK })]],
  result: fdResult, support: 'full', handler: event,
});

// ---- timerfd -------------------------------------------------------------------------------------------------------------------

const TFD_TIMER_ABSTIME = 1, TFD_TIMER_CANCEL_ON_SET = 2;
const CLOCKS: readonly number[] = [
  time.CLOCK_REALTIME, time.CLOCK_MONOTONIC, time.CLOCK_BOOTTIME, time.CLOCK_REALTIME_ALARM, time.CLOCK_BOOTTIME_ALARM,
];

/** Clocks that could wake a sleeping machine. */
const ALARMS: readonly number[] = [time.CLOCK_REALTIME_ALARM, time.CLOCK_BOOTTIME_ALARM];

const timerfdCreate = define({
  name: 'timerfd_create', args: [['clockid', choice(time.CLOCKS)], ['flags', flags({ TFD_CLOEXEC: O_CLOEXEC, TFD_NONBLOCK: O_NONBLOCK })]],
  result: fdResult, support: 'full',
  handler: (task, clock, how) => {
    if ((how & ~(O_CLOEXEC | O_NONBLOCK)) !== 0 || !CLOCKS.includes(clock)) throw errno(EINVAL);
    if (ALARMS.includes(clock) && !capable(task.credentials, CAP_WAKE_ALARM)) throw errno(EPERM);
    return newFile(task, '[timerfd]', how, (vnode) => new TimerFile(vnode, clock));
  },
});

interface Setting {
  it_interval: time.Timespec;
  it_value: time.Timespec;
}

function settingOf(layout: Layout<time.Timespec>): Struct<Setting> {
  return struct<Setting>({ it_interval: layout, it_value: layout });
}

function timerOf(task: Task, file: Fd): TimerFile {
  const description = openAt(task, file);
  if (!(description.file instanceof TimerFile)) throw errno(EINVAL);
  return description.file;
}

function read(task: Task, timer: TimerFile): Setting {
  const left = timer.due === undefined ? 0n : timer.due - task.kernel.clock.monotonic();
  return { it_interval: time.toTimespec(timer.interval_ns), it_value: time.toTimespec(timer.due === undefined ? 0n : left > 0n ? left : 1n) };
}

/** A scheduler's entry that enters itself again for as long as the timer repeats. */
function enter(task: Task, timer: TimerFile): void {
  const { scheduler } = task.kernel;
  const entry = {
    get due() {
      return timer.due;
    },
    expire: (now: bigint) => {
      timer.expire(now);
      if (timer.due !== undefined) scheduler.addTimer(entry);
    },
  };
  scheduler.addTimer(entry);
}

function settime(name: string, base: Layout<time.Timespec>) {
  const layout = settingOf(base);
  return define({
    name,
    args: [
      ['fd', fd], ['flags', flags({ TFD_TIMER_ABSTIME, TFD_TIMER_CANCEL_ON_SET })],
      ['new_value', structIn(layout, 'struct itimerspec')], ['old_value', structOut(layout, 'struct itimerspec')],
    ],
    result: none, support: { partial: 'the clock is never set, so TFD_TIMER_CANCEL_ON_SET has nothing to cancel' },
    handler: (task, file, how, at, old) => {
      const { it_interval, it_value } = loadAt(task, at, layout);
      if ((how & ~(TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET)) !== 0) throw errno(EINVAL);
      if (!time.isValidTime(it_interval) || !time.isValidTime(it_value)) throw errno(EINVAL);
      const timer = timerOf(task, file);
      const before = read(task, timer);
      const value = time.toNanoseconds(it_value);
      const now = task.kernel.clock.monotonic();
      const isWall = timer.clock === time.CLOCK_REALTIME || timer.clock === time.CLOCK_REALTIME_ALARM;
      const base_ns = (how & TFD_TIMER_ABSTIME) === 0 ? 0n : isWall ? task.kernel.clock.realtime() : now;
      timer.set(value === 0n ? undefined : now + (value > base_ns ? value - base_ns : 0n), time.toNanoseconds(it_interval), how);
      if (timer.due !== undefined) enter(task, timer);
      if (old !== 0) storeAt(task, old, layout, before);
    },
  });
}

function gettime(name: string, base: Layout<time.Timespec>) {
  const layout = settingOf(base);
  return define({
    name, args: [['fd', fd], ['curr_value', structOut(layout, 'struct itimerspec')]], result: none, support: 'full',
    handler: (task, file, at) => storeAt(task, at, layout, read(task, timerOf(task, file))),
  });
}

// ---- signalfd ------------------------------------------------------------------------------------------------------------------

/** Order of errors as Linux's compat_sys_signalfd4 and do_signalfd4. */
function signals(task: Task, file: Fd, mask: In<SignalSet>, size: number, how: number): number {
  if (size !== sigset.size) throw errno(EINVAL);
  const wanted = loadAt(task, mask, sigset);
  if ((how & ~(O_CLOEXEC | O_NONBLOCK)) !== 0) throw errno(EINVAL);
  if (file === -1) return newFile(task, '[signalfd]', how, (vnode) => new SignalFile(vnode, task.kernel, wanted));
  const description = openAt(task, file);
  if (!(description.file instanceof SignalFile)) throw errno(EINVAL);
  description.file.setMask(wanted);
  return file;
}

const maskIn = structIn(sigset, 'sigset_t');
const signalfd = define({
  name: 'signalfd', args: [['ufd', fd], ['mask', maskIn], ['sizemask', count]], result: fdResult, support: 'full',
  handler: (task, file, mask, size) => signals(task, file, mask, size, 0),
});
const signalfd4 = define({
  name: 'signalfd4', args: [['ufd', fd], ['mask', maskIn], ['sizemask', count], ['flags', flags({ SFD_CLOEXEC: O_CLOEXEC, SFD_NONBLOCK: O_NONBLOCK })]],
  result: fdResult, support: 'full', handler: signals,
});

export const calls = [
  eventfd, eventfd2, timerfdCreate, settime('timerfd_settime', time.timespec32), settime('timerfd_settime64', time.timespec64),
  gettime('timerfd_gettime', time.timespec32), gettime('timerfd_gettime64', time.timespec64), signalfd, signalfd4,
];
