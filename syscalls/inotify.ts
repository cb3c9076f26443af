/** inotify: watching files and directories for the machine's own changes; and fanotify, which is refused. */
import { EINVAL, EMFILE, ENOTDIR, EPERM, errno } from '../abi/errno.ts';
import { AT_SYMLINK_NOFOLLOW, O_CLOEXEC, O_NONBLOCK, R_OK } from '../abi/fcntl.ts';
import * as i from '../abi/inotify.ts';
import { InotifyFile } from '../fs/inotify.ts';
import { MOST_INSTANCES } from '../fs/watches.ts';
import type { Task } from '../proc/task.ts';
import { define } from './define.ts';
import { newFile } from './epoll.ts';
import { dirfd, type Fd, fd, fdResult, flags, hex, int, intResult, latePath, none, pathOrNull, pathText, uint } from './kinds.ts';
import { AT_FDCWD, openAt, placeAt, requireAccess } from './paths.ts';

const BITS: Readonly<Record<string, number>> = Object.fromEntries(Object.entries(i).filter(([name]) => name.startsWith('IN_') && name !== 'IN_ALL_EVENTS'));
const KNOWN = Object.values(BITS).reduce((all, bit) => all | bit, 0);
const watchMask = flags(BITS);
const SUPPORT = { partial: "tells of the machine's own changes; what the host does to its files meanwhile is not seen" };

function create(task: Task, how: number): number {
  if ((how & ~(O_CLOEXEC | O_NONBLOCK)) !== 0) throw errno(EINVAL);
  const { watches } = task.kernel.files;
  if (watches.instances >= MOST_INSTANCES) throw errno(EMFILE);
  const made = newFile(task, 'inotify', how, (vnode) => new InotifyFile(vnode, watches));
  watches.instances++;
  // inotify's descriptors can only be read.
  openAt(task, made as Fd).flags &= ~2;
  return made;
}

const init = define({ name: 'inotify_init', args: [], result: fdResult, support: SUPPORT, handler: (task) => create(task, 0) });
const init1 = define({
  name: 'inotify_init1', args: [['flags', flags({ IN_CLOEXEC: O_CLOEXEC, IN_NONBLOCK: O_NONBLOCK })]], result: fdResult, support: SUPPORT,
  handler: create,
});

function instance(task: Task, file: Fd): InotifyFile {
  const description = openAt(task, file);
  if (!(description.file instanceof InotifyFile)) throw errno(EINVAL);
  return description.file;
}

const addWatch = define({
  name: 'inotify_add_watch', args: [['fd', fd], ['pathname', latePath], ['mask', watchMask]], result: intResult, support: 'full',
  handler: (task, file, name, mask) => {
    if ((mask & KNOWN) === 0 || (mask & ~KNOWN) !== 0) throw errno(EINVAL);
    openAt(task, file);
    if ((mask & i.IN_MASK_ADD) !== 0 && (mask & i.IN_MASK_CREATE) !== 0) throw errno(EINVAL);
    const watcher = instance(task, file);
    const { vnode } = placeAt(task, AT_FDCWD, pathText(task, name), { flags: (mask & i.IN_DONT_FOLLOW) !== 0 ? AT_SYMLINK_NOFOLLOW : 0 });
    if ((mask & i.IN_ONLYDIR) !== 0 && vnode.kind !== 'directory') throw errno(ENOTDIR);
    if (vnode.kind !== 'symlink') requireAccess(task, vnode, R_OK);
    return watcher.add(vnode, mask);
  },
});
const removeWatch = define({
  name: 'inotify_rm_watch', args: [['fd', fd], ['wd', int]], result: none, support: 'full',
  handler: (task, file, wd) => instance(task, file).removeNumber(wd),
});

// ---- fanotify ------------------------------------------------------------------------------------------------------------------

const fanotifyInit = define({
  name: 'fanotify_init', args: [['flags', uint], ['event_f_flags', uint]], result: fdResult,
  support: { stub: 'EPERM, as to somebody without CAP_SYS_ADMIN' },
  handler: (task) => {
    task.kernel.tracer.note?.(task, 'fanotify is not there; answered EPERM, as to an unprivileged caller');
    throw errno(EPERM);
  },
});

const fanotifyMark = define({
  name: 'fanotify_mark',
  args: [['fd', fd], ['flags', uint], ['mask_low', hex], ['mask_high', hex], ['dirfd', dirfd], ['pathname', pathOrNull]], result: none,
  support: { stub: 'EBADF or EINVAL: no descriptor is one of fanotify' },
  handler: (task, file) => {
    openAt(task, file);
    throw errno(EINVAL);
  },
});

export const calls = [init, init1, addWatch, removeWatch, fanotifyInit, fanotifyMark];
