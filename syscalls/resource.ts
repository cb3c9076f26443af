/** Limits, usage, priorities and scheduling. */
import { CAP_SYS_NICE, CAP_SYS_RESOURCE } from '../abi/capability.ts';
import { EACCES, EINVAL, EPERM, ESRCH, errno } from '../abi/errno.ts';
import { PAGE_SIZE } from '../abi/page.ts';
import * as abi from '../abi/resource.ts';
import { struct, u32, u64, i32 } from '../abi/struct.ts';
import { timespec32, timespec64, toTimespec } from '../abi/time.ts';
import { capable } from '../proc/credentials.ts';
import { type Limit, limitNumber } from '../proc/limits.ts';
import type { Task } from '../proc/task.ts';
import { define } from './define.ts';
import {
  choice, count, int, intResult, load, none, pid, pointerIn, pointerOut, store, storeAt, structIn, structOut, uint,
} from './kinds.ts';

// ---- Limits --------------------------------------------------------------------------------------------------------------------

const resource = choice(abi.RESOURCES);

function limitOf(task: Task, which: number): Limit {
  const limit = task.process.limits[which];
  if (which < 0 || limit === undefined) throw errno(EINVAL);
  return limit;
}

/** RLIMIT_NOFILE may not pass Linux's sysctl nr_open. */
const NR_OPEN = 1_048_576n;

function setLimit(task: Task, which: number, current: bigint, maximum: bigint): void {
  const limit = limitOf(task, which);
  if (current > maximum) throw errno(EINVAL);
  if (which === abi.RLIMIT_NOFILE && maximum > NR_OPEN) throw errno(EPERM);
  if (maximum > limit.maximum && !capable(task.credentials, CAP_SYS_RESOURCE)) throw errno(EPERM);
  limit.current = current;
  limit.maximum = maximum;
  if (which === abi.RLIMIT_NOFILE) task.files.limit = limitNumber(current);
}

function narrow(value: bigint, infinity: number): number {
  return value >= BigInt(infinity) ? infinity : Number(value);
}

function wide(value: number): bigint {
  return value === abi.RLIM32_INFINITY ? abi.RLIM_INFINITY : BigInt(value);
}

function getLimit(name: string, infinity: number) {
  return define({
    name, args: [['resource', resource], ['rlim', structOut(abi.rlimit32, 'struct rlimit')]], result: none, support: 'full',
    handler: (task, which, rlim) => {
      const { current, maximum } = limitOf(task, which);
      store(task, rlim, abi.rlimit32, { rlim_cur: narrow(current, infinity), rlim_max: narrow(maximum, infinity) });
    },
  });
}

const setrlimit = define({
  name: 'setrlimit', args: [['resource', resource], ['rlim', structIn(abi.rlimit32, 'struct rlimit')]], result: none, support: 'full',
  handler: (task, which, rlim) => {
    const { rlim_cur, rlim_max } = load(task, rlim, abi.rlimit32);
    setLimit(task, which, wide(rlim_cur), wide(rlim_max));
  },
});

const prlimit64 = define({
  name: 'prlimit64',
  args: [['pid', pid], ['resource', resource], ['new_limit', structIn(abi.rlimit64, 'struct rlimit64')], ['old_limit', structOut(abi.rlimit64, 'struct rlimit64')]],
  result: none, support: 'full',
  handler: (task, who, which, newLimit, oldLimit) => {
    const wanted = newLimit === 0 ? undefined : load(task, newLimit, abi.rlimit64);
    const target = who === 0 ? task : task.kernel.tasks.get(who);
    if (target === undefined) throw errno(ESRCH);
    const { current, maximum } = limitOf(target, which);
    if (wanted !== undefined) setLimit(target, which, wanted.rlim_cur, wanted.rlim_max);
    if (oldLimit !== 0) store(task, oldLimit, abi.rlimit64, { rlim_cur: current, rlim_max: maximum });
  },
});

// ---- Usage ---------------------------------------------------------------------------------------------------------------------

const getrusage = define({
  name: 'getrusage',
  args: [['who', choice({ RUSAGE_SELF: abi.RUSAGE_SELF, RUSAGE_CHILDREN: abi.RUSAGE_CHILDREN, RUSAGE_THREAD: abi.RUSAGE_THREAD })], ['usage', structOut(abi.rusage, 'struct rusage')]],
  result: none, support: { partial: 'times, faults and the most memory used; the other members are 0' },
  handler: (task, who, usage) => store(task, usage, abi.rusage, usageOf(task, who)),
});

function usageOf(task: Task, who: number): abi.Rusage {
  task.kernel.account();
  const { process } = task;
  const zero: abi.Rusage = abi.rusage.read(new DataView(new ArrayBuffer(abi.rusage.size)), 0);
  switch (who) {
    case abi.RUSAGE_SELF:
      return { ...zero, ...timesOf(process.userTime_ns, process.systemTime_ns), minflt: process.minorFaults, majflt: process.majorFaults, maxrss: peakResident(task) };
    case abi.RUSAGE_CHILDREN: return { ...zero, ...timesOf(process.childrenUser_ns, process.childrenSystem_ns) };
    case abi.RUSAGE_THREAD: return { ...zero, ...timesOf(task.cpuTime_ns, 0n) };
    default: throw errno(EINVAL);
  }
}

/** The most memory seen in use when somebody asked, in KiB: Linux notes it at every page. */
function peakResident(task: Task): number {
  const { space, process } = task;
  let pages = Math.max(space.copies.size, space.peakResident);
  for (const { object, offset, base, top } of space.areas()) {
    object?.pages.forEach(offset, offset + (top - base) / PAGE_SIZE, () => {
      pages++;
    });
  }
  process.peakResident = Math.max(process.peakResident, pages * (PAGE_SIZE / 1024));
  return process.peakResident;
}

function timesOf(user_ns: bigint, system_ns: bigint) {
  const [user, system] = [toTimespec(user_ns), toTimespec(system_ns)];
  return {
    utime_sec: user.tv_sec, utime_usec: Math.floor(user.tv_nsec / 1000), stime_sec: system.tv_sec, stime_usec: Math.floor(system.tv_nsec / 1000),
  };
}

// ---- Priorities ----------------------------------------------------------------------------------------------------------------

const PRIO_PROCESS = 0, PRIO_USER = 2;
const which = choice({ PRIO_PROCESS, PRIO_PGRP: 1, PRIO_USER });
const MIN_NICE = -20, MAX_NICE = 19;

/** The tasks a `which` and `who` mean. */
function tasksOf(task: Task, kind: number, who: number): Task[] {
  if (kind < PRIO_PROCESS || kind > PRIO_USER) throw errno(EINVAL);
  const all = [...task.kernel.tasks.values()];
  const wanted = [who === 0 ? task.tid : who, who === 0 ? task.process.pgid : who, who === 0 ? task.credentials.uid : who][kind];
  const found = all.filter((other) => [other.tid, other.process.pgid, other.credentials.uid][kind] === wanted);
  if (found.length === 0) throw errno(ESRCH);
  return found;
}

function setNice(task: Task, nice: number): void {
  const wanted = Math.max(MIN_NICE, Math.min(MAX_NICE, nice));
  if (wanted < task.nice && !capable(task.credentials, CAP_SYS_NICE)) throw errno(EACCES);
  task.nice = wanted;
}

const getpriority = define({
  name: 'getpriority', args: [['which', which], ['who', int]], result: intResult, support: 'full',
  handler: (task, kind, who) => 20 - Math.min(...tasksOf(task, kind, who).map((other) => other.nice)),
});
const setpriority = define({
  name: 'setpriority', args: [['which', which], ['who', int], ['prio', int]], result: none,
  support: { partial: 'the value is kept, and does not change who runs' },
  handler: (task, kind, who, nice) => {
    for (const other of tasksOf(task, kind, who)) setNice(other, nice);
  },
});
const nice = define({
  name: 'nice', args: [['inc', int]], result: none, support: { partial: 'the value is kept, and does not change who runs' },
  handler: (task, increment) => {
    const wanted = task.nice + Math.max(-40, Math.min(40, increment));
    if (increment < 0 && !capable(task.credentials, CAP_SYS_NICE)) throw errno(EPERM);
    setNice(task, wanted);
  },
});

// ---- Scheduling ----------------------------------------------------------------------------------------------------------------

const SCHED_OTHER = 0, SCHED_FIFO = 1, SCHED_RR = 2, SCHED_BATCH = 3, SCHED_IDLE = 5, SCHED_DEADLINE = 6, SCHED_EXT = 7;
const SCHED_RESET_ON_FORK = 0x4000_0000;
const policy = choice({ SCHED_OTHER, SCHED_FIFO, SCHED_RR, SCHED_BATCH, SCHED_IDLE, SCHED_DEADLINE, SCHED_EXT });
const schedParam = struct<{ priority: number }>({ priority: i32 });

function taskOf(task: Task, tid: number): Task {
  if (tid < 0) throw errno(EINVAL);
  return taskNumbered(task, tid);
}

/** The calls of affinity look for any number, so a negative one is nobody's. */
function taskNumbered(task: Task, tid: number): Task {
  const other = tid === 0 ? task : task.kernel.tasks.get(tid);
  if (other === undefined) throw errno(ESRCH);
  return other;
}

function priorityRange(kind: number): readonly [number, number] {
  switch (kind) {
    case SCHED_FIFO:
    case SCHED_RR: return [1, 99];
    case SCHED_OTHER:
    case SCHED_BATCH:
    case SCHED_IDLE:
    case SCHED_DEADLINE:
    case SCHED_EXT: return [0, 0];
    default: throw errno(EINVAL);
  }
}

function setPolicy(task: Task, tid: number, kind: number, priority: number): void {
  const other = taskOf(task, tid);
  const bare = kind & ~SCHED_RESET_ON_FORK;
  const [low, high] = priorityRange(bare);
  if (priority < low || priority > high || bare === SCHED_DEADLINE || bare === SCHED_EXT) throw errno(EINVAL);
  if (high > 0 && !capable(task.credentials, CAP_SYS_NICE)) throw errno(EPERM);
  other.policy = bare;
  other.realtimePriority = priority;
}

const scheduling = [
  define({ name: 'sched_yield', args: [], result: none, support: 'full', handler: (task) => task.kernel.scheduler.yield(task) }),
  define({
    name: 'sched_getscheduler', args: [['pid', pid]], result: intResult, support: 'full', handler: (task, tid) => taskOf(task, tid).policy,
  }),
  define({
    name: 'sched_setscheduler', args: [['pid', pid], ['policy', policy], ['param', structIn(schedParam, 'struct sched_param')]], result: none,
    support: { partial: 'the policy is kept, and does not change who runs' },
    handler: (task, tid, kind, param) => {
      if (kind < 0 || tid < 0 || param === 0) throw errno(EINVAL);
      setPolicy(task, tid, kind, load(task, param, schedParam).priority);
    },
  }),
  define({
    name: 'sched_getparam', args: [['pid', pid], ['param', structOut(schedParam, 'struct sched_param')]], result: none, support: 'full',
    handler: (task, tid, param) => {
      if (param === 0) throw errno(EINVAL);
      store(task, param, schedParam, { priority: taskOf(task, tid).realtimePriority });
    },
  }),
  define({
    name: 'sched_setparam', args: [['pid', pid], ['param', structIn(schedParam, 'struct sched_param')]], result: none,
    support: { partial: 'the priority is kept, and does not change who runs' },
    handler: (task, tid, param) => {
      if (tid < 0 || param === 0) throw errno(EINVAL);
      const { priority } = load(task, param, schedParam);
      setPolicy(task, tid, taskOf(task, tid).policy, priority);
    },
  }),
  define({
    name: 'sched_get_priority_max', args: [['policy', policy]], result: intResult, support: 'full', handler: (_task, kind) => priorityRange(kind)[1],
  }),
  define({
    name: 'sched_get_priority_min', args: [['policy', policy]], result: intResult, support: 'full', handler: (_task, kind) => priorityRange(kind)[0],
  }),
];

/** What Linux says of an ordinary task's slice on one CPU, and of a round-robin one's. */
const SLICE_NS = 4_000_000, RR_SLICE_NS = 100_000_000;

function rrInterval(name: string, layout: typeof timespec32) {
  return define({
    name, args: [['pid', pid], ['tp', structOut(layout, 'struct timespec')]], result: none, support: 'full',
    handler: (task, tid, tp) => {
      const kind = taskOf(task, tid).policy;
      store(task, tp, layout, { tv_sec: 0, tv_nsec: kind === SCHED_RR ? RR_SLICE_NS : kind === SCHED_FIFO ? 0 : SLICE_NS });
    },
  });
}

/** One CPU: number 0. The kernel's mask has one 64-bit word. */
const MASK_SIZE = 8;

const affinity = [
  define({
    name: 'sched_getaffinity', args: [['pid', pid], ['cpusetsize', count], ['mask', pointerOut]], result: intResult, support: 'full',
    handler: (task, tid, size, mask) => {
      if (size < 4 || size % 4 !== 0) throw errno(EINVAL);
      taskNumbered(task, tid);
      const bytes = new Uint8Array(Math.min(size, MASK_SIZE));
      bytes[0] = 1;
      task.user.write(mask, bytes);
      return bytes.length;
    },
  }),
  define({
    name: 'sched_setaffinity', args: [['pid', pid], ['cpusetsize', count], ['mask', pointerIn]], result: none, support: 'full',
    handler: (task, tid, size, mask) => {
      const bytes = task.user.read(mask, Math.min(size, MASK_SIZE));
      taskNumbered(task, tid);
      if (((bytes[0] ?? 0) & 1) === 0) throw errno(EINVAL);
    },
  }),
];

interface SchedAttr {
  size: number; policy: number; flags: bigint; nice: number; priority: number; runtime: bigint; deadline: bigint; period: bigint;
}
const schedAttr = struct<SchedAttr>({ size: u32, policy: u32, flags: u64, nice: i32, priority: u32, runtime: u64, deadline: u64, period: u64 });

const schedGetattr = define({
  name: 'sched_getattr', args: [['pid', pid], ['attr', pointerOut], ['size', count], ['flags', uint]], result: none, support: 'full',
  handler: (task, tid, attr, size, how) => {
    if (attr === 0 || tid < 0 || size < schedAttr.size || size > 4096 || how !== 0) throw errno(EINVAL);
    const other = taskOf(task, tid);
    storeAt(task, attr, schedAttr, {
      size: schedAttr.size, policy: other.policy, flags: 0n, nice: other.nice, priority: other.realtimePriority, runtime: 0n, deadline: 0n, period: 0n,
    });
  },
});

export const calls = [
  getLimit('ugetrlimit', abi.RLIM32_INFINITY), getLimit('getrlimit', abi.RLIM_OLD_INFINITY), setrlimit, prlimit64, getrusage, getpriority,
  setpriority, nice, ...scheduling, rrInterval('sched_rr_get_interval', timespec32), rrInterval('sched_rr_get_interval_time64', timespec64),
  ...affinity, schedGetattr,
];
