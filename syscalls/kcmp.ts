/** What tasks share and may stop sharing: kcmp, unshare, setns. */
import { CAP_SYS_ADMIN, CAP_SYS_PTRACE } from '../abi/capability.ts';
import * as abi from '../abi/clone.ts';
import { EBADF, EINVAL, ENOENT, EPERM, ESRCH, errno } from '../abi/errno.ts';
import { struct, u32 } from '../abi/struct.ts';
import { EpollFile } from '../fs/epoll.ts';
import { hold } from '../fs/path.ts';
import { capable } from '../proc/credentials.ts';
import { PidFile } from '../proc/pidfd.ts';
import { type Task, threadsOf } from '../proc/task.ts';
import { define } from './define.ts';
import { choice, fd, flags, hex, intResult, loadAt, none, pid, uint } from './kinds.ts';

const KCMP = { KCMP_FILE: 0, KCMP_VM: 1, KCMP_FILES: 2, KCMP_FS: 3, KCMP_SIGHAND: 4, KCMP_IO: 5, KCMP_SYSVSEM: 6, KCMP_EPOLL_TFD: 7 };

const kcmp = define({
  name: 'kcmp', args: [['pid1', pid], ['pid2', pid], ['type', choice(KCMP)], ['idx1', uint], ['idx2', uint]], result: intResult,
  support: 'full',
  handler: (task, first, second, type, index1, index2) => {
    const [one, other] = [first, second].map((tid) => task.kernel.tasks.get(tid));
    if (one === undefined || other === undefined) throw errno(ESRCH);
    if (!mayLook(task, one) || !mayLook(task, other)) throw errno(EPERM);
    const slot = type === KCMP.KCMP_EPOLL_TFD ? loadAt(task, index2, epollSlot) : undefined;
    const a = part(one, type, index1);
    const b = slot === undefined ? part(other, type, index2) : watchedBy(other, slot);
    if (a === b) return 0;
    const { users } = task.kernel;
    return users.rank(a) < users.rank(b) ? 1 : 2;
  },
});

/** Linux: ptrace_may_access by real credentials. */
function mayLook(task: Task, { process, credentials: its }: Task): boolean {
  const { uid, gid } = task.credentials;
  if (process === task.process || capable(task.credentials, CAP_SYS_PTRACE)) return true;
  const isSame = [its.uid, its.euid, its.suid].every((id) => id === uid) && [its.gid, its.egid, its.sgid].every((id) => id === gid);
  return isSame && process.dumpable === 1;
}

/** Nothing but itself, of which there is one: no task has contexts of input and output, or semaphores to undo. */
const NOTHING = {};

function part(task: Task, type: number, index: number): object {
  switch (type) {
    case KCMP.KCMP_FILE: return task.files.get(index);
    case KCMP.KCMP_VM: return task.space;
    case KCMP.KCMP_FILES: return task.files;
    case KCMP.KCMP_FS: return task.fs;
    case KCMP.KCMP_SIGHAND: return task.actions;
    case KCMP.KCMP_IO:
    case KCMP.KCMP_SYSVSEM: return NOTHING;
    case KCMP.KCMP_EPOLL_TFD: return task.files.get(index);
    default: throw errno(EINVAL);
  }
}

/** struct kcmp_epoll_slot: an epoll descriptor, one that was put into it, and which of those that had this number. */
interface EpollSlot {
  efd: number;
  tfd: number;
  toff: number;
}
const epollSlot = struct<EpollSlot>({ efd: u32, tfd: u32, toff: u32 });

function watchedBy(other: Task, { efd, tfd, toff }: EpollSlot): object {
  const { file } = other.files.get(efd);
  if (!(file instanceof EpollFile)) throw errno(EINVAL);
  const found = file.watched(tfd, toff);
  if (found === undefined) throw errno(ENOENT);
  return found;
}

// ---- unshare and setns -----------------------------------------------------------------------------------------------------------

const UNSHARED = (abi.CLONE_THREAD | abi.CLONE_SIGHAND | abi.CLONE_VM | abi.CLONE_FS | abi.CLONE_FILES | abi.CLONE_SYSVSEM) >>> 0;
const NAMESPACES = (abi.CLONE_NAMESPACES | abi.CLONE_NEWTIME) >>> 0;

const unshare = define({
  name: 'unshare', args: [['flags', flags({ ...abi.CLONE_FLAGS, CLONE_NEWTIME: abi.CLONE_NEWTIME })]], result: none,
  support: { partial: 'namespaces answer EPERM' },
  handler: (task, asked) => {
    if ((asked & ~(UNSHARED | NAMESPACES)) !== 0) throw errno(EINVAL);
    const how = asked | ((asked & abi.CLONE_NEWUSER) !== 0 ? abi.CLONE_THREAD | abi.CLONE_FS : 0);
    const isAlone = threadsOf(task.kernel, task.process).length === 1 && !task.kernel.users.shared(task.space);
    if ((how & (abi.CLONE_THREAD | abi.CLONE_SIGHAND | abi.CLONE_VM)) !== 0 && !isAlone) throw errno(EINVAL);
    if ((how & NAMESPACES) !== 0) {
      task.kernel.tracer.note?.(task, 'unshare: a namespace of its own is not to be had; answered EPERM');
      throw errno(EPERM);
    }
    if ((how & abi.CLONE_FS) !== 0) ownPlace(task);
    if ((how & abi.CLONE_FILES) !== 0) ownFiles(task);
  },
});

function ownPlace(task: Task): void {
  const { users } = task.kernel;
  if (!users.shared(task.fs)) return;
  users.drop(task.fs);
  task.fs = { ...task.fs };
  hold(task.fs.root);
  hold(task.fs.cwd);
  users.add(task.fs);
}

function ownFiles(task: Task): void {
  const { users } = task.kernel;
  if (!users.shared(task.files)) return;
  users.drop(task.files);
  task.files = task.files.copy();
  users.add(task.files);
}

/** There is one namespace of each kind, which everybody is in. */
const setns = define({
  name: 'setns', args: [['fd', fd], ['nstype', hex]], result: none, support: { partial: 'a process, whose namespaces are everybody\'s; EINVAL for other files' },
  handler: (task, number, kinds) => {
    const description = task.files.get(number);
    if (description.isPathOnly) throw errno(EBADF);
    if (!(description.file instanceof PidFile)) throw errno(EINVAL);
    if (kinds === 0 || (kinds & ~NAMESPACES) !== 0) throw errno(EINVAL);
    if (description.file.process.status !== undefined) throw errno(ESRCH);
    if ((kinds & abi.CLONE_NEWUSER) !== 0) throw errno(EINVAL);
    if (!capable(task.credentials, CAP_SYS_ADMIN)) throw errno(EPERM);
  },
});

export const calls = [kcmp, unshare, setns];
