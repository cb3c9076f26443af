/** What processes and threads have used, as getrusage and wait4 tell it. What nobody counts (memory integrals, transfers of disks) is 0. */
import type { Rusage } from '../abi/resource.ts';
import { toTimespec } from '../abi/time.ts';
import type { Process } from './process.ts';
import { addSwitches, type Switches } from './switches.ts';
import { type Kernel, type Task, threadsOf } from './task.ts';

interface Usage {
  readonly user_ns: bigint;
  readonly system_ns: bigint;
  readonly minorFaults: number;
  readonly majorFaults: number;
  readonly switches: Switches;
  /** The largest resident size, in KiB. */
  readonly peak: number;
}

/** The process alone, with its threads, those that have ended too. */
export function ownUsage(kernel: Kernel, process: Process): Usage {
  const switches = { ...process.endedSwitches };
  for (const task of threadsOf(kernel, process)) addSwitches(switches, task.switches);
  const { userTime_ns: user_ns, systemTime_ns: system_ns, minorFaults, majorFaults, peakResident: peak } = process;
  return { user_ns, system_ns, minorFaults, majorFaults, switches, peak };
}

/** The children that were waited for, and theirs. */
export function childrenUsage(process: Process): Usage {
  return {
    user_ns: process.childrenUser_ns,
    system_ns: process.childrenSystem_ns,
    minorFaults: process.childrenFaults,
    majorFaults: process.childrenMajorFaults,
    switches: process.childrenSwitches,
    peak: process.childrenPeak,
  };
}

export function threadUsage(task: Task): Usage {
  const { cpuTime_ns: user_ns, minorFaults, switches, process } = task;
  return { user_ns, system_ns: 0n, minorFaults, majorFaults: 0, switches, peak: process.peakResident };
}

/** A child with the children that it has waited for. */
export function wholeUsage(kernel: Kernel, child: Process): Usage {
  const own = ownUsage(kernel, child);
  const theirs = childrenUsage(child);
  const switches = { ...own.switches };
  addSwitches(switches, theirs.switches);
  return {
    user_ns: own.user_ns + theirs.user_ns,
    system_ns: own.system_ns + theirs.system_ns,
    minorFaults: own.minorFaults + theirs.minorFaults,
    majorFaults: own.majorFaults + theirs.majorFaults,
    switches,
    peak: Math.max(own.peak, theirs.peak),
  };
}

/** The child has been waited for: what it used is the waiter's children's. */
export function inheritUsage(kernel: Kernel, process: Process, child: Process): void {
  const { user_ns, system_ns, minorFaults, majorFaults, switches, peak } = wholeUsage(kernel, child);
  process.childrenUser_ns += user_ns;
  process.childrenSystem_ns += system_ns;
  process.childrenFaults += minorFaults;
  process.childrenMajorFaults += majorFaults;
  addSwitches(process.childrenSwitches, switches);
  process.childrenPeak = Math.max(process.childrenPeak, peak);
}

export function rusageOf({ user_ns, system_ns, minorFaults, majorFaults, switches, peak }: Usage): Rusage {
  const [user, system] = [toTimespec(user_ns), toTimespec(system_ns)];
  return {
    utime_sec: user.tv_sec,
    utime_usec: Math.floor(user.tv_nsec / 1000),
    stime_sec: system.tv_sec,
    stime_usec: Math.floor(system.tv_nsec / 1000),
    maxrss: peak,
    ixrss: 0,
    idrss: 0,
    isrss: 0,
    minflt: minorFaults,
    majflt: majorFaults,
    nswap: 0,
    inblock: 0,
    oublock: 0,
    msgsnd: 0,
    msgrcv: 0,
    nsignals: 0,
    nvcsw: switches.voluntary,
    nivcsw: switches.involuntary,
  };
}
