/** Priorities, scheduling policies, affinity, and priorities of input and output, which are kept and told again. */
import { CAP_SYS_ADMIN, CAP_SYS_NICE } from '../abi/capability.ts';
import { E2BIG, EACCES, EINVAL, EOPNOTSUPP, EPERM, ESRCH, errno } from '../abi/errno.ts';
import { RLIM_INFINITY, RLIMIT_NICE, RLIMIT_RTPRIO } from '../abi/resource.ts';
import * as abi from '../abi/sched.ts';
import { decoded } from '../abi/struct.ts';
import { timespec32, timespec64 } from '../abi/time.ts';
import { capable } from '../proc/credentials.ts';
import { NO_RESERVATION, type Reservation, type Task } from '../proc/task.ts';
import { define } from './define.ts';
import { choice, count, int, intResult, load, none, pid, pointerIn, pointerOut, store, structIn, structOut, uint } from './kinds.ts';

const DEADLINES = { partial: 'SCHED_DEADLINE runs before all others, and its times are only kept' } as const;

// ---- Nice values ---------------------------------------------------------------------------------------------------------------

const which = choice({ PRIO_PROCESS: abi.PRIO_PROCESS, PRIO_PGRP: abi.PRIO_PGRP, PRIO_USER: abi.PRIO_USER });

/** The tasks a `which` and `who` mean. */
function tasksOf(task: Task, kind: number, who: number): Task[] {
  if (kind < abi.PRIO_PROCESS || kind > abi.PRIO_USER) throw errno(EINVAL);
  const all = [...task.kernel.tasks.values()];
  const wanted = [who === 0 ? task.tid : who, who === 0 ? task.process.pgid : who, who === 0 ? task.credentials.uid : who][kind];
  const found = all.filter((other) => [other.tid, other.process.pgid, other.credentials.uid][kind] === wanted);
  if (found.length === 0) throw errno(ESRCH);
  return found;
}

/** Linux: can_nice. */
function mayBeNice({ process, credentials }: Task, nice: number): boolean {
  const { current } = process.limits[RLIMIT_NICE];
  return current === RLIM_INFINITY || BigInt(20 - nice) <= current || capable(credentials, CAP_SYS_NICE);
}

/** Linux: set_one_prio_perm, check_same_owner. */
function isOwner({ credentials }: Task, other: Task): boolean {
  const { euid } = credentials;
  return euid === other.credentials.uid || euid === other.credentials.euid;
}

const getpriority = define({
  name: 'getpriority', args: [['which', which], ['who', int]], result: intResult, support: 'full',
  handler: (task, kind, who) => 20 - Math.min(...tasksOf(task, kind, who).map((other) => other.nice)),
});

/** All that may be changed are; the answer is the last refusal's. */
const setpriority = define({
  name: 'setpriority', args: [['which', which], ['who', int], ['prio', int]], result: none, support: 'full',
  handler: (task, kind, who, wanted) => {
    const nice = Math.max(abi.MIN_NICE, Math.min(abi.MAX_NICE, wanted));
    let refused = 0;
    for (const other of tasksOf(task, kind, who)) {
      if (!isOwner(task, other) && !capable(task.credentials, CAP_SYS_NICE)) refused = EPERM;
      else if (nice < other.nice && !mayBeNice(task, nice)) refused = EACCES;
      else task.kernel.scheduler.rerank(other, () => (other.nice = nice));
    }
    if (refused !== 0) throw errno(refused);
  },
});

const nice = define({
  name: 'nice', args: [['inc', int]], result: none, support: 'full',
  handler: (task, increment) => {
    const wanted = task.nice + Math.max(-40, Math.min(40, increment));
    const bounded = Math.max(abi.MIN_NICE, Math.min(abi.MAX_NICE, wanted));
    if (increment < 0 && !mayBeNice(task, bounded)) throw errno(EPERM);
    task.kernel.scheduler.rerank(task, () => (task.nice = bounded));
  },
});

// ---- Policies ------------------------------------------------------------------------------------------------------------------

const policy = choice(abi.SCHED_POLICIES);

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
    case abi.SCHED_FIFO:
    case abi.SCHED_RR: return [1, 99];
    case abi.SCHED_OTHER:
    case abi.SCHED_BATCH:
    case abi.SCHED_IDLE:
    case abi.SCHED_DEADLINE:
    case abi.SCHED_EXT: return [0, 0];
    default: throw errno(EINVAL);
  }
}

interface Scheduling extends Reservation {
  readonly policy: number;
  readonly priority: number;
  readonly nice: number;
  readonly resetOnFork: boolean;
}

/** Linux: __sched_setscheduler. */
function schedule(task: Task, other: Task, wanted: Scheduling): void {
  const [low, high] = priorityRange(wanted.policy);
  // There is no scheduler of the program's own to run such tasks.
  if (wanted.policy === abi.SCHED_EXT || wanted.priority < low || wanted.priority > high) throw errno(EINVAL);
  const isDeadline = wanted.policy === abi.SCHED_DEADLINE;
  if (isDeadline) checkReservation(wanted);
  if (!mayRun(task, other, wanted) && !capable(task.credentials, CAP_SYS_NICE)) throw errno(EPERM);
  other.resetOnFork = wanted.resetOnFork;
  const { runtime, deadline, period } = wanted;
  other.reservation = isDeadline ? { runtime, deadline, period: period === 0n ? deadline : period } : NO_RESERVATION;
  task.kernel.scheduler.rerank(other, () => {
    other.policy = wanted.policy;
    other.realtimePriority = wanted.priority;
    if (!isDeadline && high === 0) other.nice = wanted.nice;
  });
}

/** The shortest runtime and the bounds of a period, in nanoseconds. Linux: __checkparam_dl. */
const RUNTIME_MIN = 1024n, PERIOD_MIN = 100_000n, PERIOD_MAX = 4_194_304_000n;

function checkReservation({ runtime, deadline, period: asked }: Reservation): void {
  const period = asked === 0n ? deadline : asked;
  const fits = deadline !== 0n && runtime >= RUNTIME_MIN && period >= deadline && deadline >= runtime;
  if (!fits || period < PERIOD_MIN || period > PERIOD_MAX) throw errno(EINVAL);
}

/** Without CAP_SYS_NICE. Linux: user_check_sched_setscheduler. */
function mayRun(task: Task, other: Task, { policy: kind, priority, nice: wanted, resetOnFork }: Scheduling): boolean {
  if (!isOwner(task, other) || (other.resetOnFork && !resetOnFork) || kind === abi.SCHED_DEADLINE) return false;
  if (kind === abi.SCHED_FIFO || kind === abi.SCHED_RR) {
    const limit = other.process.limits[RLIMIT_RTPRIO].current;
    if (kind !== other.policy && limit === 0n) return false;
    return priority <= other.realtimePriority || BigInt(priority) <= limit || limit === RLIM_INFINITY;
  }
  if (other.policy === abi.SCHED_IDLE && kind !== abi.SCHED_IDLE && !mayBeNice(task, other.nice)) return false;
  return wanted >= other.nice || mayBeNice(task, wanted);
}

function setPolicy(task: Task, tid: number, kind: number, priority: number): void {
  const other = taskOf(task, tid);
  const resetOnFork = (kind & abi.SCHED_RESET_ON_FORK) !== 0;
  schedule(task, other, { ...NO_RESERVATION, policy: kind & ~abi.SCHED_RESET_ON_FORK, priority, nice: other.nice, resetOnFork });
}

const paramIn = structIn(abi.schedParam, 'struct sched_param');

const policies = [
  define({ name: 'sched_yield', args: [], result: none, support: 'full', handler: (task) => task.kernel.scheduler.yield(task) }),
  define({
    name: 'sched_getscheduler', args: [['pid', pid]], result: intResult, support: 'full',
    handler: (task, tid) => {
      const other = taskOf(task, tid);
      return other.policy | (other.resetOnFork ? abi.SCHED_RESET_ON_FORK : 0);
    },
  }),
  define({
    name: 'sched_setscheduler', args: [['pid', pid], ['policy', policy], ['param', paramIn]], result: none, support: DEADLINES,
    handler: (task, tid, kind, param) => {
      if (kind < 0 || tid < 0 || param === 0) throw errno(EINVAL);
      setPolicy(task, tid, kind, load(task, param, abi.schedParam).priority);
    },
  }),
  define({
    name: 'sched_getparam', args: [['pid', pid], ['param', structOut(abi.schedParam, 'struct sched_param')]], result: none, support: 'full',
    handler: (task, tid, param) => {
      if (param === 0) throw errno(EINVAL);
      store(task, param, abi.schedParam, { priority: taskOf(task, tid).realtimePriority });
    },
  }),
  define({
    name: 'sched_setparam', args: [['pid', pid], ['param', paramIn]], result: none, support: 'full',
    handler: (task, tid, param) => {
      if (tid < 0 || param === 0) throw errno(EINVAL);
      const { priority } = load(task, param, abi.schedParam);
      const other = taskOf(task, tid);
      schedule(task, other, { ...other.reservation, policy: other.policy, priority, nice: other.nice, resetOnFork: other.resetOnFork });
    },
  }),
  define({
    name: 'sched_get_priority_max', args: [['policy', policy]], result: intResult, support: 'full', handler: (_task, kind) => priorityRange(kind)[1],
  }),
  define({
    name: 'sched_get_priority_min', args: [['policy', policy]], result: intResult, support: 'full', handler: (_task, kind) => priorityRange(kind)[0],
  }),
];

/** A round-robin task's slice. Others have none that would be as long as a tick of the kernel's clock. */
const RR_SLICE_NS = 100_000_000;

function rrInterval(name: string, layout: typeof timespec32) {
  return define({
    name, args: [['pid', pid], ['tp', structOut(layout, 'struct timespec')]], result: none, support: 'full',
    handler: (task, tid, tp) => store(task, tp, layout, { tv_sec: 0, tv_nsec: taskOf(task, tid).policy === abi.SCHED_RR ? RR_SLICE_NS : 0 }),
  });
}

// ---- Attributes ----------------------------------------------------------------------------------------------------------------

/** What a task runs at a time on one CPU (Linux sched_base_slice). */
const BASE_SLICE_NS = 700_000n;
const ATTRIBUTES_MAX = 4096;

/** Linux: sched_copy_attr. A size that is no good is answered with the right one. */
function readAttributes(task: Task, at: number): abi.SchedAttr {
  const size = task.user.readU32(at) || abi.SCHED_ATTR_SIZE_VER0;
  const isWrong = size < abi.SCHED_ATTR_SIZE_VER0 || size > ATTRIBUTES_MAX;
  const bytes = isWrong ? undefined : task.user.read(at, size);
  if (bytes === undefined || bytes.subarray(abi.schedAttr.size).some((byte) => byte !== 0)) {
    task.user.writeU32(at, abi.schedAttr.size);
    throw errno(E2BIG);
  }
  const attributes = decoded(abi.schedAttr, bytes);
  if ((attributes.flags & BigInt(abi.SCHED_FLAG_UTIL_CLAMP)) !== 0n && size < abi.schedAttr.size) throw errno(EINVAL);
  return { ...attributes, nice: Math.max(abi.MIN_NICE, Math.min(abi.MAX_NICE, attributes.nice)) };
}

const schedSetattr = define({
  name: 'sched_setattr', args: [['pid', pid], ['attr', pointerIn], ['flags', uint]], result: none, support: DEADLINES,
  handler: (task, tid, at, how) => {
    if (at === 0 || tid < 0 || how !== 0) throw errno(EINVAL);
    const wanted = readAttributes(task, at);
    if ((wanted.policy | 0) < 0) throw errno(EINVAL);
    const other = taskOf(task, tid);
    const has = (flag: number): boolean => (wanted.flags & BigInt(flag)) !== 0n;
    if ((wanted.flags & ~BigInt(abi.SCHED_FLAG_ALL)) !== 0n) throw errno(EINVAL);
    const keeps = has(abi.SCHED_FLAG_KEEP_PARAMS);
    const { runtime, deadline, period } = keeps ? other.reservation : wanted;
    const resetOnFork = has(abi.SCHED_FLAG_KEEP_POLICY) ? other.resetOnFork : has(abi.SCHED_FLAG_RESET_ON_FORK);
    const kind = has(abi.SCHED_FLAG_KEEP_POLICY) ? other.policy : wanted.policy;
    priorityRange(kind);
    if (has(abi.SCHED_FLAG_UTIL_CLAMP)) throw errno(EOPNOTSUPP);
    const level = keeps ? { priority: other.realtimePriority, nice: other.nice } : { priority: wanted.priority, nice: wanted.nice };
    schedule(task, other, { policy: kind, ...level, resetOnFork, runtime, deadline, period });
  },
});

const schedGetattr = define({
  name: 'sched_getattr', args: [['pid', pid], ['attr', pointerOut], ['size', count], ['flags', uint]], result: none, support: 'full',
  handler: (task, tid, attr, size, how) => {
    if (attr === 0 || tid < 0 || size < abi.SCHED_ATTR_SIZE_VER0 || size > ATTRIBUTES_MAX || how !== 0) throw errno(EINVAL);
    const other = taskOf(task, tid);
    const { runtime, deadline, period } = other.reservation;
    const isFair = priorityRange(other.policy)[1] === 0 && other.policy !== abi.SCHED_DEADLINE;
    const bytes = new Uint8Array(abi.schedAttr.size);
    abi.schedAttr.write(new DataView(bytes.buffer), 0, {
      size: Math.min(size, bytes.length), policy: other.policy, flags: other.resetOnFork ? 1n : 0n, nice: isFair ? other.nice : 0,
      priority: other.realtimePriority, runtime: isFair ? BASE_SLICE_NS : runtime, deadline, period, utilMin: 0, utilMax: 0,
    });
    // What a later kernel would tell is zero.
    const all = new Uint8Array(size);
    all.set(bytes.subarray(0, size));
    task.user.write(attr, all);
  },
});

// ---- Affinity ------------------------------------------------------------------------------------------------------------------

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
      const other = taskNumbered(task, tid);
      if (!isOwner(task, other) && !capable(task.credentials, CAP_SYS_NICE)) throw errno(EPERM);
      if (((bytes[0] ?? 0) & 1) === 0) throw errno(EINVAL);
    },
  }),
];

// ---- Input and output ----------------------------------------------------------------------------------------------------------

const ioWhich = choice({ IOPRIO_WHO_PROCESS: abi.IOPRIO_WHO_PROCESS, IOPRIO_WHO_PGRP: abi.IOPRIO_WHO_PGRP, IOPRIO_WHO_USER: abi.IOPRIO_WHO_USER });

/** What a task's priority is where nobody has set it: its nice value's. Linux: __get_task_ioprio. */
function effectivePriority({ ioPriority, policy: kind, nice: value }: Task): number {
  if (ioPriority >>> abi.IOPRIO_CLASS_SHIFT !== abi.IOPRIO_CLASS_NONE) return ioPriority;
  const isRealtime = kind === abi.SCHED_FIFO || kind === abi.SCHED_RR;
  const io = kind === abi.SCHED_IDLE ? abi.IOPRIO_CLASS_IDLE : isRealtime ? abi.IOPRIO_CLASS_RT : abi.IOPRIO_CLASS_BE;
  return (io << abi.IOPRIO_CLASS_SHIFT) | Math.floor((value + 20) / 5);
}

function ioTasks(task: Task, kind: number, who: number): Task[] {
  if (kind < abi.IOPRIO_WHO_PROCESS || kind > abi.IOPRIO_WHO_USER) throw errno(EINVAL);
  return tasksOf(task, kind - 1, who);
}

const ioprioGet = define({
  name: 'ioprio_get', args: [['which', ioWhich], ['who', int]], result: intResult, support: 'full',
  handler: (task, kind, who) => {
    const tasks = ioTasks(task, kind, who);
    return kind === abi.IOPRIO_WHO_PROCESS ? tasks[0].ioPriority : Math.min(...tasks.map(effectivePriority));
  },
});

/** Linux: ioprio_check_cap. */
function checkIoPriority(task: Task, wanted: number): void {
  switch ((wanted >>> abi.IOPRIO_CLASS_SHIFT) & 7) {
    case abi.IOPRIO_CLASS_RT:
      if (!capable(task.credentials, CAP_SYS_ADMIN) && !capable(task.credentials, CAP_SYS_NICE)) throw errno(EPERM);
      return;
    case abi.IOPRIO_CLASS_BE:
    case abi.IOPRIO_CLASS_IDLE: return;
    case abi.IOPRIO_CLASS_NONE:
      if ((wanted & 7) === 0) return;
  }
  throw errno(EINVAL);
}

const ioprioSet = define({
  name: 'ioprio_set', args: [['which', ioWhich], ['who', int], ['ioprio', int]], result: none, support: { partial: 'the value is kept, and changes nothing' },
  handler: (task, kind, who, wanted) => {
    checkIoPriority(task, wanted);
    for (const other of ioTasks(task, kind, who)) {
      const { uid, euid } = task.credentials;
      const isOurs = other.credentials.uid === euid || other.credentials.uid === uid;
      if (!isOurs && !capable(task.credentials, CAP_SYS_NICE)) throw errno(EPERM);
      other.ioPriority = wanted & 0xffff;
    }
  },
});

export const calls = [
  getpriority, setpriority, nice, ...policies, rrInterval('sched_rr_get_interval', timespec32), rrInterval('sched_rr_get_interval_time64', timespec64),
  ...affinity, schedSetattr, schedGetattr, ioprioGet, ioprioSet,
];
