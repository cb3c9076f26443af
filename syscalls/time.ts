/** Reading clocks, sleeping, and interval timers. */
import { CAP_SYS_TIME } from '../abi/capability.ts';
import { EINTR, EINVAL, EOPNOTSUPP, EPERM, errno } from '../abi/errno.ts';
import type { Layout } from '../abi/struct.ts';
import * as time from '../abi/time.ts';
import { NOBODY } from '../fs/wait.ts';
import { capable } from '../proc/credentials.ts';
import type { Process } from '../proc/process.ts';
import { sendToProcess } from '../proc/send.ts';
import { kernelInfo } from '../proc/siginfo.ts';
import { Task } from '../proc/task.ts';
import type { IntervalTimer, TimerSetting } from '../proc/timers.ts';
import { type Blocked, block } from '../proc/wait.ts';
import { define } from './define.ts';
import { choice, flags, type In, intResult, load, none, type Out, pointerIn, store, structIn, structOut, uint } from './kinds.ts';

const { timespec32, timespec64 } = time;
const clock = choice(time.CLOCKS);
const timerFlags = flags({ TIMER_ABSTIME: time.TIMER_ABSTIME });
const whichTimer = choice({ ITIMER_REAL: time.ITIMER_REAL, ITIMER_VIRTUAL: time.ITIMER_VIRTUAL, ITIMER_PROF: time.ITIMER_PROF });

/** What the coarse clocks advance by: Debian's kernel ticks 250 times a second. */
const COARSE_NS = 4_000_000n;
const MICROSECOND_NS = 1000n;

// ---- Clocks --------------------------------------------------------------------------------------------------------------------

/** The time of a clock; EINVAL where there is no such clock (alarm clocks need a real-time clock device). Negative ids are CPU clocks of processes and threads. */
function clockTime(task: Task, id: number): bigint {
  const { kernel } = task;
  switch (id) {
    case time.CLOCK_REALTIME: return kernel.clock.realtime();
    case time.CLOCK_TAI: return kernel.clock.realtime() + BigInt(kernel.clock.accuracy.tai_s) * time.SECOND_NS;
    case time.CLOCK_MONOTONIC:
    case time.CLOCK_MONOTONIC_RAW:
    case time.CLOCK_BOOTTIME: return kernel.clock.monotonic();
    case time.CLOCK_REALTIME_COARSE: return coarse(kernel.clock.realtime());
    case time.CLOCK_MONOTONIC_COARSE: return coarse(kernel.clock.monotonic());
    case time.CLOCK_PROCESS_CPUTIME_ID: return processTime(task);
    case time.CLOCK_THREAD_CPUTIME_ID: return threadTime(task);
    default: return cpuClockTime(task, id);
  }
}

function coarse(ns: bigint): bigint {
  return ns - (ns % COARSE_NS);
}

function processTime(task: Task): bigint {
  task.kernel.account();
  return task.process.userTime_ns + task.process.systemTime_ns;
}

function threadTime(task: Task): bigint {
  task.kernel.account();
  return task.cpuTime_ns;
}

function cpuClockTime(task: Task, id: number): bigint {
  const owner = cpuClockOwner(task, id);
  task.kernel.account();
  return owner instanceof Task ? owner.cpuTime_ns : owner.userTime_ns + owner.systemTime_ns;
}

/**
 * Whose CPU time a negative clock id means: a process, or a thread of the caller's. EINVAL where it means none.
 * Linux: the complement of the pid (or tid) from bit 3 on, bit 2 for a thread, the kind of time in the two low bits.
 */
export function cpuClockOwner(task: Task, id: number): Task | Process {
  if (id >= 0 || (id & 3) === 3) throw errno(EINVAL);
  const pid = ~(id >> 3);
  const owner =
    (id & 4) !== 0
      ? pid === 0 ? task : task.kernel.tasks.get(pid)
      : pid === 0 ? task.process : task.kernel.processes.get(pid);
  if (owner === undefined || (owner instanceof Task && owner.process !== task.process)) throw errno(EINVAL);
  return owner;
}

function getTime(name: string, layout: Layout<time.Timespec>) {
  return define({
    name, args: [['clockid', clock], ['tp', structOut(layout, 'struct timespec')]], result: none, support: 'full',
    handler: (task, id, tp) => store(task, tp, layout, time.toTimespec(clockTime(task, id))),
  });
}

function getResolution(name: string, layout: Layout<time.Timespec>) {
  return define({
    name, args: [['clockid', clock], ['res', structOut(layout, 'struct timespec')]], result: none, support: 'full',
    handler: (task, id, res) => {
      clockTime(task, id);
      const isCoarse = id === time.CLOCK_REALTIME_COARSE || id === time.CLOCK_MONOTONIC_COARSE;
      if (res !== 0) store(task, res, layout, { tv_sec: 0, tv_nsec: isCoarse ? Number(COARSE_NS) : 1 });
    },
  });
}

/** Seconds that a clock may be set to: Linux's 64-bit nanoseconds, less thirty years of running. */
const LATEST_S = 8_277_292_036;
const TIMERS_STAY = { partial: 'the machine\'s own time is set; timers and waits for an absolute time that were set before keep to the old one' };

/** The machine's real time, for who may. Linux: do_settimeofday64. */
function setRealtime(task: Task, ns: bigint): void {
  if (!capable(task.credentials, CAP_SYS_TIME)) throw errno(EPERM);
  if (ns < task.kernel.clock.monotonic()) throw errno(EINVAL);
  task.kernel.clock.set(ns);
}

function setTime(name: string, layout: Layout<time.Timespec>) {
  return define({
    name, args: [['clockid', clock], ['tp', structIn(layout, 'struct timespec')]], result: none, support: TIMERS_STAY,
    handler: (task, id, tp) => {
      if (id !== time.CLOCK_REALTIME && id >= 0) throw errno(EINVAL);
      const wanted = load(task, tp, layout);
      if (id < 0) {
        clockTime(task, id);
        throw errno(EPERM);
      }
      if (!time.isValidTime(wanted) || wanted.tv_sec > LATEST_S) throw errno(EINVAL);
      setRealtime(task, time.toNanoseconds(wanted));
    },
  });
}

const gettimeofday = define({
  name: 'gettimeofday', args: [['tv', structOut(time.timeval32, 'struct timeval')], ['tz', structOut(time.timezone, 'struct timezone')]],
  result: none, support: 'full',
  handler: (task, tv, tz) => {
    if (tv !== 0) store(task, tv, time.timeval32, time.toTimeval(task.kernel.clock.realtime()));
    if (tz !== 0) store(task, tz, time.timezone, { tz_minuteswest: 0, tz_dsttime: 0 });
  },
});

const FARTHEST_ZONE_MIN = 15 * 60;

const settimeofday = define({
  name: 'settimeofday', args: [['tv', structIn(time.timeval32, 'struct timeval')], ['tz', structIn(time.timezone, 'struct timezone')]],
  result: none, support: { partial: 'a time zone is checked, and kept nowhere' },
  handler: (task, tv, tz) => {
    const wanted = tv === 0 ? undefined : load(task, tv, time.timeval32);
    if (wanted !== undefined && (wanted.tv_sec < 0 || wanted.tv_usec < 0 || wanted.tv_usec > 1_000_000)) throw errno(EINVAL);
    const zone = tz === 0 ? undefined : load(task, tz, time.timezone);
    if (wanted?.tv_usec === 1_000_000) throw errno(EINVAL);
    if (!capable(task.credentials, CAP_SYS_TIME)) throw errno(EPERM);
    if (zone !== undefined && Math.abs(zone.tz_minuteswest) > FARTHEST_ZONE_MIN) throw errno(EINVAL);
    if (wanted !== undefined) setRealtime(task, BigInt(wanted.tv_sec) * time.SECOND_NS + BigInt(wanted.tv_usec) * MICROSECOND_NS);
  },
});

const stime = define({
  name: 'stime', args: [['tptr', pointerIn]], result: none, support: TIMERS_STAY,
  handler: (task, tptr) => {
    const seconds = task.user.readI32(tptr);
    if (seconds < 0) throw errno(EINVAL);
    setRealtime(task, BigInt(seconds) * time.SECOND_NS);
  },
});

const timeCall = define({
  name: 'time', args: [['tloc', pointerIn]], result: intResult, support: 'full',
  handler: (task, tloc) => {
    const seconds = Number(task.kernel.clock.realtime() / time.SECOND_NS);
    if (tloc !== 0) task.user.writeU32(tloc, seconds);
    return seconds;
  },
});

const times = define({
  name: 'times', args: [['buf', structOut(time.tms, 'struct tms')]], result: intResult, support: 'full',
  handler: (task, buf) => {
    task.kernel.account();
    const { userTime_ns, systemTime_ns, childrenUser_ns, childrenSystem_ns } = task.process;
    if (buf !== 0) {
      store(task, buf, time.tms, {
        tms_utime: ticks(userTime_ns), tms_stime: ticks(systemTime_ns), tms_cutime: ticks(childrenUser_ns), tms_cstime: ticks(childrenSystem_ns),
      });
    }
    return ticks(task.kernel.clock.monotonic());
  },
});

function ticks(ns: bigint): number {
  return Number(BigInt.asUintN(32, (ns * BigInt(time.CLK_TCK)) / time.SECOND_NS));
}

// ---- Sleeping ------------------------------------------------------------------------------------------------------------------

/** Sleeps for `duration_ns` in all, however often the call runs again. */
function sleepFor(task: Task, duration_ns: bigint): void | Blocked {
  const deadline = task.deadlineAfter(duration_ns);
  return task.expired ? undefined : block(NOBODY, deadline);
}

/** What is left of a sleep that a signal handler cut short. */
function writeRemaining(task: Task, remaining: In<time.Timespec> | Out<time.Timespec>, layout: Layout<time.Timespec>): number {
  const deadline = task.call.deadline;
  if (remaining !== 0 && deadline !== undefined) {
    const left = deadline - task.kernel.clock.monotonic();
    store(task, remaining as Out<time.Timespec>, layout, time.toTimespec(left > 0n ? left : 0n));
  }
  return -EINTR;
}

const nanosleep = define({
  name: 'nanosleep',
  args: [['duration', structIn(timespec32, 'struct timespec')], ['rem', structOut(timespec32, 'struct timespec')]],
  result: none, support: 'full', interrupted: 'fail',
  onInterrupt: (task, _duration, rem) => writeRemaining(task, rem, timespec32),
  handler: (task, duration) => {
    const wanted = load(task, duration, timespec32);
    if (!time.isValidTime(wanted)) throw errno(EINVAL);
    return sleepFor(task, time.toNanoseconds(wanted));
  },
});

function clockSleep(name: string, layout: Layout<time.Timespec>) {
  return define({
    name,
    args: [['clockid', clock], ['flags', timerFlags], ['t', structIn(layout, 'struct timespec')], ['rem', structOut(layout, 'struct timespec')]],
    result: none, support: 'full', interrupted: 'fail',
    onInterrupt: (task, _id, how, _t, rem) => ((how & time.TIMER_ABSTIME) !== 0 ? undefined : writeRemaining(task, rem, layout)),
    handler: (task, id, how, t) => {
      if (!canSleepOn(id)) throw errno(EOPNOTSUPP);
      const isAlarm = id === time.CLOCK_REALTIME_ALARM || id === time.CLOCK_BOOTTIME_ALARM;
      if (id >= 0 && !isAlarm) clockTime(task, id);
      const wanted = load(task, t, layout);
      if (!time.isValidTime(wanted)) throw errno(EINVAL);
      const now = isAlarm ? 0n : clockTime(task, id);
      if (isAlarm) throw errno(EOPNOTSUPP);
      const ns = time.toNanoseconds(wanted);
      // A CPU clock stands still while its only thread sleeps: like Linux, this wakes by a signal only.
      if (isCpuClock(id) && ns > ((how & time.TIMER_ABSTIME) !== 0 ? now : 0n)) return block(NOBODY);
      return sleepFor(task, (how & time.TIMER_ABSTIME) !== 0 ? ns - now : ns);
    },
  });
}

function isCpuClock(id: number): boolean {
  return id < 0 || id === time.CLOCK_PROCESS_CPUTIME_ID;
}

function canSleepOn(id: number): boolean {
  switch (id) {
    case time.CLOCK_MONOTONIC_RAW:
    case time.CLOCK_REALTIME_COARSE:
    case time.CLOCK_MONOTONIC_COARSE:
    case time.CLOCK_THREAD_CPUTIME_ID: return false;
    default: return true;
  }
}

// ---- Interval timers -----------------------------------------------------------------------------------------------------------

/** The timer, and the time it runs by. */
function timerOf(task: Task, which: number): { readonly timer: IntervalTimer; readonly now: bigint } {
  const { timers } = task.process;
  switch (which) {
    case time.ITIMER_REAL: return { timer: timers.real, now: task.kernel.clock.monotonic() };
    case time.ITIMER_VIRTUAL: return { timer: timers.virtual, now: (processTime(task), task.process.userTime_ns) };
    case time.ITIMER_PROF: return { timer: timers.profile, now: processTime(task) };
    default: throw errno(EINVAL);
  }
}

function arm(task: Task, which: number, setting: TimerSetting): void {
  const { timer, now } = timerOf(task, which);
  const { kernel, process } = task;
  const isReal = which === time.ITIMER_REAL;
  timer.set(now, setting, () => {
    sendToProcess(kernel, process, kernelInfo(timer.signo));
    if (isReal) kernel.scheduler.addTimer(timer);
  });
  if (isReal) kernel.scheduler.addTimer(timer);
}

function timevalToNs(value: time.Timeval): bigint {
  if (value.tv_sec < 0 || value.tv_usec < 0 || value.tv_usec >= 1_000_000) throw errno(EINVAL);
  return BigInt(value.tv_sec) * time.SECOND_NS + BigInt(value.tv_usec) * MICROSECOND_NS;
}

function readTimer(task: Task, which: number): time.Itimerval {
  const { timer, now } = timerOf(task, which);
  const { left_ns, interval_ns } = timer.read(now);
  return { it_interval: time.toTimeval(interval_ns), it_value: time.toTimeval(left_ns) };
}

const itimer = structOut(time.itimerval32, 'struct itimerval');

const getitimer = define({
  name: 'getitimer', args: [['which', whichTimer], ['value', itimer]], result: none, support: 'full',
  handler: (task, which, value) => store(task, value, time.itimerval32, readTimer(task, which)),
});

const setitimer = define({
  name: 'setitimer', args: [['which', whichTimer], ['value', structIn(time.itimerval32, 'struct itimerval')], ['old', itimer]],
  result: none, support: 'full',
  handler: (task, which, value, old) => {
    const zero = { tv_sec: 0, tv_usec: 0 };
    const wanted = value === 0 ? { it_interval: zero, it_value: zero } : load(task, value, time.itimerval32);
    const setting = { left_ns: timevalToNs(wanted.it_value), interval_ns: timevalToNs(wanted.it_interval) };
    const before = readTimer(task, which);
    arm(task, which, setting);
    if (old !== 0) store(task, old, time.itimerval32, before);
  },
});

const alarm = define({
  name: 'alarm', args: [['seconds', uint]], result: intResult, support: 'full',
  handler: (task, seconds) => {
    const { timer, now } = timerOf(task, time.ITIMER_REAL);
    const { left_ns } = timer.read(now);
    arm(task, time.ITIMER_REAL, { left_ns: BigInt(seconds) * time.SECOND_NS, interval_ns: 0n });
    // Rounded to the nearest second, but never down to none.
    return left_ns === 0n ? 0 : Math.max(1, Math.round(Number(left_ns) / 1e9));
  },
});

export const calls = [
  getTime('clock_gettime', timespec32), getTime('clock_gettime64', timespec64),
  getResolution('clock_getres', timespec32), getResolution('clock_getres_time64', timespec64),
  setTime('clock_settime', timespec32), setTime('clock_settime64', timespec64),
  gettimeofday, settimeofday, stime, timeCall, times, nanosleep,
  clockSleep('clock_nanosleep', timespec32), clockSleep('clock_nanosleep_time64', timespec64),
  getitimer, setitimer, alarm,
];
