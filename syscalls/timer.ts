/** POSIX timers: timer_create and its family. What a timer does is in proc/posix-timers.ts. */
import { EAGAIN, EINVAL, EOPNOTSUPP, errno } from '../abi/errno.ts';
import { RLIMIT_SIGPENDING } from '../abi/resource.ts';
import * as abi from '../abi/signal.ts';
import type { Layout } from '../abi/struct.ts';
import * as time from '../abi/time.ts';
import { PosixTimer, type TimerPort } from '../proc/posix-timers.ts';
import type { Process } from '../proc/process.ts';
import { sendToProcess, sendToTask } from '../proc/send.ts';
import type { SignalInfo } from '../proc/siginfo.ts';
import { Task } from '../proc/task.ts';
import type { TimerSetting } from '../proc/timers.ts';
import { define } from './define.ts';
import { choice, flags, int, intResult, load, none, pointerOut, store, structIn, structOut } from './kinds.ts';
import { cpuClockOwner } from './time.ts';

const clock = choice(time.CLOCKS);
const timerFlags = flags({ TIMER_ABSTIME: time.TIMER_ABSTIME });

/** A clock as timers see it. Reading a CPU clock does not bring it up to date: the machine does that whenever CPU time is charged. */
type TimerClock = Pick<TimerPort, 'now' | 'offset'> & { readonly isCpu: boolean };

function timerClock(task: Task, id: number): TimerClock | undefined {
  const { clock: clocks } = task.kernel;
  switch (id) {
    case time.CLOCK_MONOTONIC:
    case time.CLOCK_BOOTTIME:
      return { isCpu: false, now: () => clocks.monotonic(), offset: () => 0n };
    case time.CLOCK_REALTIME:
    case time.CLOCK_TAI:
      return { isCpu: false, now: () => clocks.monotonic(), offset: () => clocks.monotonic() - clocks.realtime() };
    case time.CLOCK_PROCESS_CPUTIME_ID: return processClock(task.process);
    case time.CLOCK_THREAD_CPUTIME_ID: return threadClock(task);
    // These tick too coarsely to wait on.
    case time.CLOCK_MONOTONIC_RAW:
    case time.CLOCK_REALTIME_COARSE:
    case time.CLOCK_MONOTONIC_COARSE: throw errno(EOPNOTSUPP);
    default: return undefined;
  }
}

function processClock(process: Process): TimerClock {
  return { isCpu: true, now: () => process.userTime_ns + process.systemTime_ns, offset: () => 0n };
}

function threadClock(task: Task): TimerClock {
  return { isCpu: true, now: () => task.cpuTime_ns, offset: () => 0n };
}

/** Clocks that are looked at last. The alarm clocks need a clock chip that could wake the machine. */
function lateClock(task: Task, id: number): TimerClock {
  if (id === time.CLOCK_REALTIME_ALARM || id === time.CLOCK_BOOTTIME_ALARM) throw errno(EOPNOTSUPP);
  const owner = cpuClockOwner(task, id);
  return owner instanceof Task ? threadClock(owner) : processClock(owner);
}

/** Linux: good_sigevent. The thread that is told, where it is one thread; undefined tells the process. */
function eventTarget(task: Task, event: abi.SignalEvent): Task | undefined {
  switch (event.notify) {
    case abi.SIGEV_NONE: return undefined;
    case abi.SIGEV_SIGNAL | abi.SIGEV_THREAD_ID: {
      const thread = event.tid > 0 ? task.kernel.tasks.get(event.tid) : undefined;
      if (thread?.process !== task.process) throw errno(EINVAL);
      checkEventSignal(event.signo);
      return thread;
    }
    case abi.SIGEV_SIGNAL:
    case abi.SIGEV_THREAD:
      checkEventSignal(event.signo);
      return undefined;
    default: throw errno(EINVAL);
  }
}

function checkEventSignal(signo: number): void {
  if (signo < 1 || signo > abi.NSIG) throw errno(EINVAL);
}

function portOf(task: Task, clock: number, { isCpu, now, offset }: TimerClock, event: abi.SignalEvent, target: Task | undefined): TimerPort {
  const { kernel, process } = task;
  const changed = (timer: PosixTimer) => (isCpu ? process.posixTimers.watchCpu(timer) : kernel.scheduler.addTimer(timer));
  if (event.notify === abi.SIGEV_NONE) return { clock, now, offset, changed: () => {} };
  const send = (info: SignalInfo) => (target === undefined ? sendToProcess(kernel, process, info) : sendToTask(target, info)) === 'pending';
  return { clock, tid: target?.tid, now, offset, changed, send };
}

const timerCreate = define({
  name: 'timer_create', args: [['clockid', clock], ['sevp', structIn(abi.sigevent, 'struct sigevent')], ['timerid', pointerOut]],
  result: none, support: { partial: 'the alarm clocks answer EOPNOTSUPP: there is no clock chip' },
  handler: (task, clockId, sevp, timerId) => {
    const given = sevp === 0 ? undefined : load(task, sevp, abi.sigevent);
    if (clockId >= 0 && !Object.values(time.CLOCKS).includes(clockId)) throw errno(EINVAL);
    const known = timerClock(task, clockId);
    const { posixTimers, limits } = task.process;
    if (BigInt(posixTimers.size) >= limits[RLIMIT_SIGPENDING].current) throw errno(EAGAIN);
    const id = posixTimers.freeId();
    const event = given ?? { value: id, signo: abi.SIGALRM, notify: abi.SIGEV_SIGNAL, tid: 0 };
    const target = eventTarget(task, event);
    task.user.writeU32(timerId, id);
    const by = known ?? lateClock(task, clockId);
    posixTimers.add(new PosixTimer(id, event.signo, event.value, portOf(task, clockId, by, event, target)));
  },
});

function timerOf(task: Task, id: number): PosixTimer {
  const timer = task.process.posixTimers.get(id);
  if (timer === undefined) throw errno(EINVAL);
  task.kernel.account();
  return timer;
}

function toItimerspec({ left_ns, interval_ns }: TimerSetting): time.Itimerspec {
  return { it_interval: time.toTimespec(interval_ns), it_value: time.toTimespec(left_ns) };
}

function setTimer(name: string, layout: Layout<time.Itimerspec>) {
  return define({
    name,
    args: [['timerid', int], ['flags', timerFlags], ['new', structIn(layout, 'struct itimerspec')], ['old', structOut(layout, 'struct itimerspec')]],
    result: none, support: 'full',
    handler: (task, id, how, wanted, old) => {
      if (wanted === 0) throw errno(EINVAL);
      const { it_value, it_interval } = load(task, wanted, layout);
      if (!time.isValidTime(it_value) || !time.isValidTime(it_interval)) throw errno(EINVAL);
      const timer = timerOf(task, id);
      const before = timer.read();
      const value = time.toNanoseconds(it_value);
      const due = value === 0n ? undefined : value + ((how & time.TIMER_ABSTIME) !== 0 ? timer.port.offset() : timer.port.now());
      timer.set(due, time.toNanoseconds(it_interval));
      if (old !== 0) store(task, old, layout, toItimerspec(before));
    },
  });
}

function getTimer(name: string, layout: Layout<time.Itimerspec>) {
  return define({
    name, args: [['timerid', int], ['value', structOut(layout, 'struct itimerspec')]], result: none, support: 'full',
    handler: (task, id, value) => store(task, value, layout, toItimerspec(timerOf(task, id).read())),
  });
}

const timerGetoverrun = define({
  name: 'timer_getoverrun', args: [['timerid', int]], result: intResult, support: 'full',
  handler: (task, id) => timerOf(task, id).overrun,
});

const timerDelete = define({
  name: 'timer_delete', args: [['timerid', int]], result: none, support: 'full',
  handler: (task, id) => task.process.posixTimers.delete(timerOf(task, id)),
});

export const calls = [
  timerCreate, setTimer('timer_settime', time.itimerspec32), setTimer('timer_settime64', time.itimerspec64),
  getTimer('timer_gettime', time.itimerspec32), getTimer('timer_gettime64', time.itimerspec64), timerGetoverrun, timerDelete,
];
