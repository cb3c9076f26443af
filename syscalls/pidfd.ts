/** Processes by descriptor: pidfd_open, pidfd_send_signal, pidfd_getfd. */
import { CAP_SYS_PTRACE } from '../abi/capability.ts';
import { EBADF, EINVAL, EPERM, ESRCH, errno } from '../abi/errno.ts';
import { O_NONBLOCK } from '../abi/fcntl.ts';
import { SI_USER } from '../abi/signal.ts';
import { capable } from '../proc/credentials.ts';
import { describeProcess, PidFile } from '../proc/pidfd.ts';
import type { Process } from '../proc/process.ts';
import { userInfo } from '../proc/siginfo.ts';
import { type Task, threadsOf } from '../proc/task.ts';
import { define } from './define.ts';
import { fd, fdResult, flags, none, pid, pointerIn, signo, uint } from './kinds.ts';
import { checkSender, readInfo, sendOne } from './signal.ts';

/** The process behind a descriptor; EBADF where it stands for none. */
export function processBehind(task: Task, number: number): { readonly process: Process; readonly nonblocking: boolean } {
  const description = task.files.get(number);
  if (description.isPathOnly || !(description.file instanceof PidFile)) throw errno(EBADF);
  return { process: description.file.process, nonblocking: description.nonblocking };
}

/** A descriptor of /proc/PID will do as well. Linux: pidfd_to_pid. */
function signalled(task: Task, number: number): Process {
  const description = task.files.get(number);
  const pid = description.isPathOnly ? undefined : description.file.vnode?.process;
  if (pid === undefined) return processBehind(task, number).process;
  const process = task.kernel.processes.get(pid);
  if (process === undefined) throw errno(ESRCH);
  return process;
}

const pidfdOpen = define({
  name: 'pidfd_open', args: [['pid', pid], ['flags', flags({ PIDFD_NONBLOCK: O_NONBLOCK })]], result: fdResult, support: 'full',
  handler: (task, number, how) => {
    if ((how & ~O_NONBLOCK) !== 0 || number <= 0) throw errno(EINVAL);
    const process = task.kernel.processes.get(number);
    if (process === undefined) throw errno(task.kernel.tasks.has(number) ? EINVAL : ESRCH);
    task.files.free();
    return task.files.add(describeProcess(task, process, how), true);
  },
});

const pidfdSendSignal = define({
  name: 'pidfd_send_signal', args: [['pidfd', fd], ['sig', signo], ['info', pointerIn], ['flags', uint]], result: none, support: 'full',
  handler: (task, number, sig, from, how) => {
    if (how !== 0) throw errno(EINVAL);
    const process = signalled(task, number);
    const info = from === 0 ? userInfo(sig, SI_USER, task.process.pid, task.credentials.uid) : readInfo(task, sig, from);
    if (from !== 0) {
      if (task.user.readI32(from) !== sig) throw errno(EINVAL);
      checkSender(info, process === task.process);
    }
    if (task.kernel.processes.get(process.pid) !== process) throw errno(ESRCH);
    sendOne(task, process, info, sig);
  },
});

const pidfdGetfd = define({
  name: 'pidfd_getfd', args: [['pidfd', fd], ['targetfd', fd], ['flags', uint]], result: fdResult, support: 'full',
  handler: (task, number, target, how) => {
    if (how !== 0) throw errno(EINVAL);
    const { process } = processBehind(task, number);
    const [other] = threadsOf(task.kernel, process);
    if (other === undefined) throw errno(ESRCH);
    const { uid, gid } = task.credentials;
    const theirs = other.credentials;
    const same = [theirs.uid, theirs.euid, theirs.suid].every((id) => id === uid) && [theirs.gid, theirs.egid, theirs.sgid].every((id) => id === gid);
    if (!same && !capable(task.credentials, CAP_SYS_PTRACE)) throw errno(EPERM);
    const description = other.files.get(target);
    return task.files.add(description, true);
  },
});

export const calls = [pidfdOpen, pidfdSendSignal, pidfdGetfd];
