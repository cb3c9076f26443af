/** Processes by descriptor: pidfd_open, pidfd_send_signal, pidfd_getfd. */
import { CAP_SYS_PTRACE } from '../abi/capability.ts';
import { EBADF, EINVAL, ENOENT, EPERM, ESRCH, errno } from '../abi/errno.ts';
import { O_EXCL, O_NONBLOCK } from '../abi/fcntl.ts';
import { SI_USER } from '../abi/signal.ts';
import { capable } from '../proc/credentials.ts';
import { describeProcess, PidFile } from '../proc/pidfd.ts';
import type { Process } from '../proc/process.ts';
import { userInfo } from '../proc/siginfo.ts';
import { type Task, threadsOf } from '../proc/task.ts';
import { define } from './define.ts';
import { fd, fdResult, flags, none, pid, pointerIn, signo, uint } from './kinds.ts';
import { checkSender, readInfo, sendAll, sendOne, sendThread } from './signal.ts';

/** The process behind a descriptor; EBADF where it stands for none. */
export function processBehind(task: Task, number: number): { readonly process: Process; readonly nonblocking: boolean } {
  const description = task.files.get(number);
  if (description.isPathOnly || !(description.file instanceof PidFile)) throw errno(EBADF);
  return { process: description.file.process, nonblocking: description.nonblocking };
}

/** PIDFD_THREAD is O_EXCL. */
const PIDFD_THREAD = O_EXCL;
/** What a signal is for, where not what the descriptor stands for. */
const SIGNAL_THREAD = 1, SIGNAL_PROCESS = 2, SIGNAL_GROUP = 4;

/** A descriptor of /proc/PID will do as well. Linux: pidfd_to_pid. */
function signalled(task: Task, number: number): { readonly process: Process; readonly thread?: Task } {
  const description = task.files.get(number);
  const { file } = description.isPathOnly ? { file: undefined } : description;
  if (file instanceof PidFile) return file;
  const pid = file?.vnode.process;
  if (pid === undefined) throw errno(EBADF);
  const process = task.kernel.processes.get(pid);
  if (process === undefined) throw errno(ESRCH);
  return { process };
}

const pidfdOpen = define({
  name: 'pidfd_open', args: [['pid', pid], ['flags', flags({ PIDFD_NONBLOCK: O_NONBLOCK, PIDFD_THREAD })]], result: fdResult, support: 'full',
  handler: (task, number, how) => {
    if ((how & ~(O_NONBLOCK | PIDFD_THREAD)) !== 0 || number <= 0) throw errno(EINVAL);
    const thread = task.kernel.tasks.get(number);
    const process = task.kernel.processes.get(number) ?? thread?.process;
    if (process === undefined) throw errno(ESRCH);
    const isThread = (how & PIDFD_THREAD) !== 0;
    // Since 6.16 it is ENOENT where a thread's number is no process's.
    if (!isThread && process.pid !== number) throw errno(ENOENT);
    task.files.free();
    return task.files.add(describeProcess(task, process, how, isThread ? thread : undefined), true);
  },
});

const pidfdSendSignal = define({
  name: 'pidfd_send_signal', args: [['pidfd', fd], ['sig', signo], ['info', pointerIn], ['flags', uint]], result: none, support: 'full',
  handler: (task, number, sig, from, how) => {
    if (![0, SIGNAL_THREAD, SIGNAL_PROCESS, SIGNAL_GROUP].includes(how)) throw errno(EINVAL);
    const { process, thread } = signalled(task, number);
    const info = from === 0 ? userInfo(sig, SI_USER, task.process.pid, task.credentials.uid) : readInfo(task, sig, from);
    if (from !== 0) {
      if (task.user.readI32(from) !== sig) throw errno(EINVAL);
      checkSender(info, process === task.process && how !== SIGNAL_GROUP);
    }
    const { processes } = task.kernel;
    if (how === SIGNAL_GROUP) return sendAll(task, [...processes.values()].filter(({ pgid }) => pgid === process.pid), info, sig, false);
    if (processes.get(process.pid) !== process) throw errno(ESRCH);
    if (how === SIGNAL_THREAD || (how === 0 && thread !== undefined)) return sendThread(task, thread ?? threadsOf(task.kernel, process)[0], info, sig);
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
