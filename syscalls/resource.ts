/** Limits and usage. */
import { CAP_SYS_RESOURCE } from '../abi/capability.ts';
import { EINVAL, EPERM, ESRCH, errno } from '../abi/errno.ts';
import { PAGE_SIZE } from '../abi/page.ts';
import * as abi from '../abi/resource.ts';
import { capable } from '../proc/credentials.ts';
import { type Limit, limitNumber } from '../proc/limits.ts';
import type { Task } from '../proc/task.ts';
import { childrenUsage, ownUsage, rusageOf, threadUsage } from '../proc/usage.ts';
import { define } from './define.ts';
import { choice, load, none, pid, store, structIn, structOut } from './kinds.ts';

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
  result: none, support: { partial: 'times, faults, switches and the most memory used; what disks and swapping cost is 0' },
  handler: (task, who, usage) => store(task, usage, abi.rusage, usageOf(task, who)),
});

function usageOf(task: Task, who: number): abi.Rusage {
  const { kernel, process } = task;
  kernel.account();
  notePeak(task);
  switch (who) {
    case abi.RUSAGE_SELF: return rusageOf(ownUsage(kernel, process));
    case abi.RUSAGE_CHILDREN: return rusageOf(childrenUsage(process));
    case abi.RUSAGE_THREAD: return rusageOf(threadUsage(task));
    default: throw errno(EINVAL);
  }
}

/** The most memory seen in use when somebody asked, in KiB: Linux notes it at every page. */
function notePeak(task: Task): void {
  const { space, process } = task;
  let pages = Math.max(space.copies.size, space.peakResident);
  for (const { object, offset, base, top } of space.areas()) {
    object?.pages.forEach(offset, offset + (top - base) / PAGE_SIZE, () => {
      pages++;
    });
  }
  process.peakResident = Math.max(process.peakResident, pages * (PAGE_SIZE / 1024));
}

export const calls = [getLimit('ugetrlimit', abi.RLIM32_INFINITY), getLimit('getrlimit', abi.RLIM_OLD_INFINITY), setrlimit, prlimit64, getrusage];
