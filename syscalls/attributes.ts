/** Changes of mode, owner and times. */
import { EINVAL, EOPNOTSUPP, EPERM, errno } from '../abi/errno.ts';
import * as f from '../abi/fcntl.ts';
import { IN_ACCESS, IN_ATTRIB, IN_MODIFY } from '../abi/inotify.ts';
import { i32, type Struct, struct } from '../abi/struct.ts';
import { type Timespec, type Timeval, timespec32, timespec64, timeval32, SECOND_NS } from '../abi/time.ts';
import { chmodMode, mayChown, owns, tamedMode } from '../fs/permission.ts';
import type { NewTimes } from '../fs/vnode.ts';
import type { Task } from '../proc/task.ts';
import { define } from './define.ts';
import { dirfd, type Fd, fd, id16, id32, type In, latePath, loadAt, mode, none, path, pathText, pointerIn } from './kinds.ts';
import { AT_FDCWD, atFlags, dropCapabilities, onlyFlags, openAt, requireAccess, type Target, targetAt } from './paths.ts';

// ---- chmod and chown -------------------------------------------------------------------------------------------------------------------

function changeMode(task: Task, { vnode, place }: Target, permissions: number): void {
  if (vnode.isFixed || vnode.kind === 'symlink') throw errno(EOPNOTSUPP);
  const stat = vnode.stat();
  if ( !owns(task.credentials, stat)) throw errno(EPERM);
  vnode.chmod(chmodMode(task.credentials, stat, permissions & 0o7777));
  task.fs.tree.rightsChanged(place);
  task.kernel.files.watches.happened({ vnode, place }, IN_ATTRIB);
}

function chmodat(task: Task, dir: Fd, name: string, permissions: number, how: number): void {
  changeMode(task, targetAt(task, dir, name, how), permissions);
}

const chmod = define({
  name: 'chmod',
  args: [
    ['pathname', path],
    ['mode', mode],
  ],
  result: none,
  support: 'full',
  handler: (task, name, permissions) => chmodat(task, AT_FDCWD, name, permissions, 0),
});
const fchmod = define({
  name: 'fchmod',
  args: [
    ['fd', fd],
    ['mode', mode],
  ],
  result: none,
  support: 'full',
  handler: (task, file, permissions) => changeMode(task, openAt(task, file), permissions),
});
const fchmodat = define({
  name: 'fchmodat',
  args: [
    ['dirfd', dirfd],
    ['pathname', path],
    ['mode', mode],
  ],
  result: none,
  support: 'full',
  handler: (task, dir, name, permissions) => chmodat(task, dir, name, permissions, 0),
});
const fchmodat2 = define({
  name: 'fchmodat2',
  args: [
    ['dirfd', dirfd],
    ['pathname', latePath],
    ['mode', mode],
    ['flags', atFlags],
  ],
  result: none,
  support: 'full',
  handler: (task, dir, name, permissions, how) => {
    onlyFlags(how, f.AT_SYMLINK_NOFOLLOW | f.AT_EMPTY_PATH);
    chmodat(task, dir, pathText(task, name), permissions, how);
  },
});

function chown(task: Task, { vnode, place }: Target, uid: number, gid: number): void {
  if (vnode.isFixed) throw errno(EOPNOTSUPP);
  const newUid = uid === -1 || uid === 0xffffffff ? undefined : uid;
  const newGid = gid === -1 || gid === 0xffffffff ? undefined : gid;
  const stat = vnode.stat();
  if (!mayChown(task.credentials, stat, newUid, newGid)) throw errno(EPERM);
  const mode = tamedMode(task.credentials, stat);
  vnode.chown(newUid, newGid);
  if (vnode.kind !== 'directory') dropCapabilities(vnode);
  if (mode !== stat.mode && vnode.stat().mode !== mode) vnode.chmod(mode & 0o7777);
  task.fs.tree.rightsChanged(place);
  task.kernel.files.watches.happened({ vnode, place }, IN_ATTRIB);
}

function chownCalls(id: typeof id16 | typeof id32, suffix: string) {
  const by = (name: string, follow: boolean) =>
    define({
      name,
      args: [
        ['pathname', path],
        ['owner', id],
        ['group', id],
      ],
      result: none,
      support: 'full',
      handler: (task, file, uid, gid) => chown(task, targetAt(task, AT_FDCWD, file, follow ? 0 : f.AT_SYMLINK_NOFOLLOW), uid, gid),
    });
  const byFd = define({
    name: `fchown${suffix}`,
    args: [
      ['fd', fd],
      ['owner', id],
      ['group', id],
    ],
    result: none,
    support: 'full',
    handler: (task, file, uid, gid) => chown(task, openAt(task, file), uid, gid),
  });
  return [by(`chown${suffix}`, true), by(`lchown${suffix}`, false), byFd];
}

const fchownat = define({
  name: 'fchownat',
  args: [
    ['dirfd', dirfd],
    ['pathname', latePath],
    ['owner', id32],
    ['group', id32],
    ['flags', atFlags],
  ],
  result: none,
  support: 'full',
  handler: (task, dir, name, uid, gid, how) => {
    onlyFlags(how, f.AT_SYMLINK_NOFOLLOW | f.AT_EMPTY_PATH);
    chown(task, targetAt(task, dir, pathText(task, name), how), uid, gid);
  },
});

// ---- Times -----------------------------------------------------------------------------------------------------------------------------

interface Utimbuf {
  actime: number;
  modtime: number;
}
const utimbuf: Struct<Utimbuf> = struct<Utimbuf>({ actime: i32, modtime: i32 });

/** The times that a call gives; undefined: both now. */
type GivenTimes = readonly [Timespec, Timespec] | undefined;

function setTimes(task: Task, { vnode, place }: Target, times: NewTimes, now: boolean): void {
  if (vnode.isFixed && !now) throw errno(EOPNOTSUPP);
  if (!owns(task.credentials, vnode.stat())) {
    if (!now) throw errno(EPERM);
    requireAccess(task, vnode, f.W_OK);
  }
  if (vnode.isFixed) throw errno(EOPNOTSUPP);
  vnode.utimes(times);
  const { atime_ns, mtime_ns } = times;
  const event = atime_ns !== undefined && mtime_ns !== undefined ? IN_ATTRIB : mtime_ns !== undefined ? IN_MODIFY : IN_ACCESS;
  task.kernel.files.watches.happened({ vnode, place }, event);
}

/** Linux: vfs_utimes. Both now needs only the right to write, unlike given times (utimensat(2)). */
function changeTimes(task: Task, target: Target, given: GivenTimes): void {
  const now = task.kernel.clock.realtime();
  if (given === undefined) return setTimes(task, target, { atime_ns: now, mtime_ns: now }, true);
  const [atime_ns, mtime_ns] = given.map((time) => newTime(task, time));
  const isNow = given.every((time) => time.tv_nsec === f.UTIME_NOW);
  setTimes(task, target, { atime_ns, mtime_ns }, isNow);
}

/** Linux: do_utimes. A null pointer names the file of the descriptor itself. */
function utimesAt(task: Task, dir: Fd, name: In<string>, given: GivenTimes, how = 0): void {
  const known = f.AT_SYMLINK_NOFOLLOW | f.AT_EMPTY_PATH;
  if (name === 0 && dir !== AT_FDCWD) {
    onlyFlags(how, 0);
    return changeTimes(task, openAt(task, dir), given);
  }
  onlyFlags(how, known);
  changeTimes(task, targetAt(task, dir, pathText(task, name), how), given);
}

const utime = define({
  name: 'utime',
  args: [
    ['filename', latePath],
    ['times', pointerIn],
  ],
  result: none,
  support: 'full',
  handler: (task, name, at) => {
    if (at === 0) return utimesAt(task, AT_FDCWD, name, undefined);
    const { actime, modtime } = loadAt(task, at, utimbuf);
    utimesAt(task, AT_FDCWD, name, [
      { tv_sec: actime, tv_nsec: 0 },
      { tv_sec: modtime, tv_nsec: 0 },
    ]);
  },
});

/** Linux: do_compat_futimesat. */
function fromTimevals(task: Task, at: number): GivenTimes {
  if (at === 0) return undefined;
  const exact = ({ tv_sec, tv_usec }: Timeval): Timespec => {
    if (tv_usec < 0 || tv_usec > 999_999) throw errno(EINVAL);
    return { tv_sec, tv_nsec: tv_usec * 1000 };
  };
  const [atime, mtime] = [loadAt(task, at, timeval32), loadAt(task, at + timeval32.size, timeval32)];
  return [exact(atime), exact(mtime)];
}

const utimes = define({
  name: 'utimes',
  args: [
    ['filename', latePath],
    ['times', pointerIn],
  ],
  result: none,
  support: 'full',
  handler: (task, name, at) => utimesAt(task, AT_FDCWD, name, fromTimevals(task, at)),
});
const futimesat = define({
  name: 'futimesat',
  args: [
    ['dirfd', dirfd],
    ['pathname', latePath],
    ['times', pointerIn],
  ],
  result: none,
  support: 'full',
  handler: (task, dir, name, at) => utimesAt(task, dir, name, fromTimevals(task, at)),
});

function utimensat(name: string, layout: Struct<Timespec>) {
  return define({
    name,
    args: [
      ['dirfd', dirfd],
      ['pathname', latePath],
      ['times', pointerIn],
      ['flags', atFlags],
    ],
    result: none,
    support: 'full',
    handler: (task, dir, file, at, how) => {
      const given: GivenTimes = at === 0 ? undefined : [loadAt(task, at, layout), loadAt(task, at + layout.size, layout)];
      // Nothing is to be done, and nothing is looked at.
      if (given?.every((time) => time.tv_nsec === f.UTIME_OMIT)) return;
      utimesAt(task, dir, file, given, how);
    },
  });
}

function newTime(task: Task, time: Timespec): bigint | undefined {
  if (time.tv_nsec === f.UTIME_OMIT) return undefined;
  if (time.tv_nsec === f.UTIME_NOW) return task.kernel.clock.realtime();
  if (time.tv_nsec < 0 || time.tv_nsec > 999_999_999) throw errno(EINVAL);
  return BigInt(time.tv_sec) * SECOND_NS + BigInt(time.tv_nsec);
}

export const calls = [
  chmod,
  fchmod,
  fchmodat,
  fchmodat2,
  ...chownCalls(id16, ''),
  ...chownCalls(id32, '32'),
  fchownat,
  utime,
  utimes,
  futimesat,
  utimensat('utimensat', timespec32),
  utimensat('utimensat_time64', timespec64),
];
