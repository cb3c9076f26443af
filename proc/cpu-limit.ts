/** RLIMIT_CPU: SIGXCPU each second beyond the soft limit, SIGKILL at the hard one. Linux: check_process_timers. */
import { RLIM_INFINITY, RLIMIT_CPU } from '../abi/resource.ts';
import { SIGKILL, SIGXCPU } from '../abi/signal.ts';
import { SECOND_NS } from '../abi/time.ts';
import type { Process } from './process.ts';
import { sendToProcess } from './send.ts';
import { kernelInfo } from './siginfo.ts';
import type { Kernel } from './task.ts';

export function checkCpuLimit(kernel: Kernel, process: Process): void {
  const limit = process.limits[RLIMIT_CPU];
  const { current, maximum } = limit;
  if (current === RLIM_INFINITY && maximum === RLIM_INFINITY) return;
  const used_ns = process.userTime_ns + process.systemTime_ns;
  if (maximum !== RLIM_INFINITY && used_ns >= maximum * SECOND_NS) {
    sendToProcess(kernel, process, kernelInfo(SIGKILL));
    return;
  }
  // No time at all is a second, as setrlimit has it.
  const soft = current === 0n ? 1n : current;
  if (current === RLIM_INFINITY || used_ns < soft * SECOND_NS) return;
  limit.current = soft + 1n;
  sendToProcess(kernel, process, kernelInfo(SIGXCPU));
}
