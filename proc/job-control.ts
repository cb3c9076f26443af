/** Sessions and process groups as terminals see them. */
import { CAP_SYS_ADMIN } from '../abi/capability.ts';
import type { Caller, JobControl } from '../fs/tty.ts';
import { isOrphaned } from './family.ts';
import { capable } from './credentials.ts';
import { sendToProcess } from './send.ts';
import { kernelInfo } from './siginfo.ts';
import { SIG_IGN } from '../abi/signal.ts';
import { hasSignal } from './signal.ts';
import type { Kernel, Task } from './task.ts';

/** `current` is the task whose call is running. */
export function jobControl(kernel: Kernel, current: () => Task | undefined): JobControl {
  return {
    caller: () => {
      const task = current();
      return task && callerOf(task);
    },
    signalGroup: (group, signo) => {
      for (const process of [...kernel.processes.values()]) if (process.pgid === group) sendToProcess(kernel, process, kernelInfo(signo));
    },
    sessionOf: (group) => {
      for (const process of kernel.processes.values()) if (process.pgid === group) return process.sid;
      return undefined;
    },
    isOrphaned: (group) => isOrphaned(kernel, group),
  };
}

function callerOf(task: Task): Caller {
  const { process, credentials, signals, actions } = task;
  return {
    pid: process.pid,
    group: process.pgid,
    session: process.sid,
    uid: credentials.fsuid,
    privileged: capable(credentials, CAP_SYS_ADMIN),
    shuns: (signo) => hasSignal(signals.mask, signo) || actions.get(signo).handler === SIG_IGN,
  };
}
