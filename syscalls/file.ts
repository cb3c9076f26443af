/** Opening, closing and duplicating: open in all forms, creat, close, dup, fcntl, memfd_create. */
import { E2BIG, EACCES, EAGAIN, EEXIST, EINVAL, EISDIR, ELOOP, ENOENT, ENOMEM, ENOTDIR, ENXIO, EOPNOTSUPP, EOVERFLOW, errno } from '../abi/errno.ts';
import * as f from '../abi/fcntl.ts';
import { IN_MODIFY } from '../abi/inotify.ts';
import { MS_NODEV } from '../abi/mount.ts';
import { RLIMIT_NOFILE } from '../abi/resource.ts';
import { type Struct, struct, u64 } from '../abi/struct.ts';
import { Description } from '../fs/description.ts';
import { mountFlags } from '../fs/mount-table.ts';
import { checkResolve } from '../fs/path.ts';
import type { OpenFile, Place, Vnode } from '../fs/vnode.ts';
import type { Task } from '../proc/task.ts';
import { define } from './define.ts';
import {
  count,
  dirfd,
  type Fd,
  fd,
  fdResult,
  flags,
  type In,
  intResult,
  latePath,
  loadAt,
  mode,
  none,
  pathText,
  string,
  structIn,
  uint,
} from './kinds.ts';
import { breakLeases } from './lease.ts';
import { AT_FDCWD, changeable, openFlags, orWait, own, refuseRunning, requireOwner, waiting, walkAt } from './paths.ts';

/** Everything that open knows; open and openat ignore other bits, openat2 refuses them. */
const KNOWN_FLAGS =
  f.O_ACCMODE |
  f.O_CREAT |
  f.O_EXCL |
  f.O_NOCTTY |
  f.O_TRUNC |
  f.O_APPEND |
  f.O_NONBLOCK |
  f.O_SYNC |
  f.O_DSYNC |
  f.FASYNC |
  f.O_DIRECT |
  f.O_LARGEFILE |
  f.O_DIRECTORY |
  f.O_NOFOLLOW |
  f.O_NOATIME |
  f.O_CLOEXEC |
  f.O_PATH |
  f.O_TMPFILE_BIT;
const PATH_FLAGS = f.O_DIRECTORY | f.O_NOFOLLOW | f.O_PATH | f.O_CLOEXEC;
/** Largest file that may be opened without O_LARGEFILE. */
const MAX_NON_LFS = 0x7fffffff;

// ---- open ------------------------------------------------------------------------------------------------------------------------------

/** Opens and gives the lowest free descriptor. */
function open(task: Task, dir: Fd, path: In<string>, given: number, permissions: number, resolve = 0): number {
  const how = given & f.O_PATH ? given & PATH_FLAGS : given & KNOWN_FLAGS;
  checkOpenFlags(how);
  const name = pathText(task, path);
  task.files.limit = descriptorLimit(task);
  const fd = task.files.free();
  const description = task.call.opening ?? describe(task, dir, name, how, permissions, resolve);
  const wait = description.isPathOnly ? undefined : description.file.arriving?.();
  task.call.opening = wait && description;
  if (wait !== undefined) throw waiting(task, wait);
  if (how & f.O_DIRECT && !['file', 'block'].includes(description.vnode.kind)) {
    description.release();
    throw errno(EINVAL);
  }
  task.files.add(description, (how & f.O_CLOEXEC) !== 0, fd);
  return fd;
}

/** Opens a file that was found without a path. */
export function openHandle(task: Task, place: Place, given: number): number {
  const how = given & f.O_PATH ? given & PATH_FLAGS : given & KNOWN_FLAGS & ~(f.O_CREAT | f.O_EXCL);
  task.files.limit = descriptorLimit(task);
  const fd = task.files.free();
  task.files.add(openPlace(task, place, how), (how & f.O_CLOEXEC) !== 0, fd);
  return fd;
}

export function descriptorLimit(task: Task): number {
  const { current } = task.process.limits[RLIMIT_NOFILE];
  return current > 0x100000n ? 0x100000 : Number(current);
}

function checkOpenFlags(how: number): void {
  if (how & f.O_TMPFILE_BIT) {
    const isOdd = (how & f.O_ACCMODE) === f.O_ACCMODE;
    if ((how & (f.O_TMPFILE | f.O_CREAT)) !== f.O_TMPFILE || (!f.canWrite(how) && !isOdd)) throw errno(EINVAL);
  } else if ((how & (f.O_CREAT | f.O_DIRECTORY)) === (f.O_CREAT | f.O_DIRECTORY)) throw errno(EINVAL);
}

function describe(task: Task, dir: Fd, name: string, how: number, permissions: number, resolve: number): Description {
  const nofollow = (how & f.O_NOFOLLOW) !== 0 || (how & (f.O_CREAT | f.O_EXCL)) === (f.O_CREAT | f.O_EXCL);
  const walked = walkAt(task, dir, name, { flags: nofollow ? f.AT_SYMLINK_NOFOLLOW : 0, resolve });
  const { place } = walked;
  if (how & f.O_TMPFILE_BIT) return unnamed(task, place, how, permissions);
  if (how & f.O_CREAT) {
    if (walked.slash) throw errno(EISDIR);
    if (place === undefined) {
      const made = changeable(task, walked).create(walked.name, permissions & 0o7777 & ~task.fs.umask, how);
      own(task, walked.parent.vnode, made.vnode);
      return watched(task, new Description(made.file, { vnode: made.vnode, parent: walked.parent, name: walked.name }, how), how, true);
    }
    if (how & f.O_EXCL) throw errno(EEXIST);
  }
  if (place === undefined) throw errno(ENOENT);
  return openPlace(task, place, how);
}

function openPlace(task: Task, place: Place, how: number): Description {
  const { vnode } = place;
  if (how & f.O_PATH) {
    if (how & f.O_DIRECTORY && vnode.kind !== 'directory') throw errno(ENOTDIR);
    return new Description(undefined, place, how);
  }
  if (vnode.kind === 'symlink') throw errno(how & f.O_DIRECTORY ? ENOTDIR : ELOOP);
  if (how & f.O_DIRECTORY && vnode.kind !== 'directory') throw errno(ENOTDIR);
  const isOdd = (how & f.O_ACCMODE) === f.O_ACCMODE;
  if (vnode.kind === 'directory' && (isOdd || f.canWrite(how) || how & (f.O_CREAT | f.O_TRUNC))) throw errno(EISDIR);
  if ((vnode.kind === 'character' || vnode.kind === 'block') && mountFlags(place) & MS_NODEV) throw errno(EACCES);
  checkRights(task, vnode, how);
  breakLeases(task, vnode, how);
  if (vnode.kind === 'socket') throw errno(ENXIO);
  if (f.canWrite(how) || how & f.O_TRUNC) refuseRunning(task, vnode);
  const small = vnode.kind === 'file' && !(how & f.O_LARGEFILE);
  if (small && vnode.stat().size > MAX_NON_LFS) throw errno(EOVERFLOW);
  return watched(task, new Description(orWait<OpenFile>(task, vnode.open(how)), place, how), how);
}

/** Tells those who watch. */
function watched(task: Task, description: Description, how: number, created = false): Description {
  const { watches } = task.kernel.files;
  watches.opened(description, created);
  if ((how & f.O_TRUNC) !== 0 && !created) watches.happened(description, IN_MODIFY);
  return description;
}

/** Linux: may_open. */
function checkRights(task: Task, vnode: Vnode, how: number): void {
  const isOdd = (how & f.O_ACCMODE) === f.O_ACCMODE;
  const reads = isOdd || f.canRead(how);
  const writes = isOdd || f.canWrite(how) || (how & f.O_TRUNC) !== 0;
  task.fs.tree.require(task.credentials, vnode, (reads ? f.R_OK : 0) | (writes ? f.W_OK : 0));
  if (how & f.O_NOATIME) requireOwner(task, vnode);
}

function unnamed(task: Task, place: Place | undefined, how: number, permissions: number): Description {
  if (place === undefined) throw errno(ENOENT);
  const { directory } = place.vnode;
  if (directory === undefined) throw errno(ENOTDIR);
  if (directory.createUnnamed === undefined) throw errno(EOPNOTSUPP);
  task.fs.tree.require(task.credentials, place.vnode, f.W_OK | f.X_OK);
  const file = directory.createUnnamed(permissions & 0o7777 & ~task.fs.umask, how);
  own(task, place.vnode, file.vnode);
  return new Description(file, { vnode: file.vnode, parent: place, name: `#${file.vnode.stat().ino} (deleted)` }, how);
}

const openCall = define({
  name: 'open',
  args: [
    ['pathname', latePath],
    ['flags', openFlags],
    ['mode', mode],
  ],
  result: fdResult,
  support: 'full',
  handler: (task, name, how, permissions) => open(task, AT_FDCWD, name, how, permissions),
});
const creat = define({
  name: 'creat',
  args: [
    ['pathname', latePath],
    ['mode', mode],
  ],
  result: fdResult,
  support: 'full',
  // A 64-bit kernel knows no other creat than for large files.
  handler: (task, name, permissions) => open(task, AT_FDCWD, name, f.O_CREAT | f.O_WRONLY | f.O_TRUNC | f.O_LARGEFILE, permissions),
});
const openat = define({
  name: 'openat',
  args: [
    ['dirfd', dirfd],
    ['pathname', latePath],
    ['flags', openFlags],
    ['mode', mode],
  ],
  result: fdResult,
  support: 'full',
  handler: (task, dir, name, how, permissions) => open(task, dir, name, how, permissions),
});

interface OpenHow {
  flags: bigint;
  mode: bigint;
  resolve: bigint;
}
const openHow: Struct<OpenHow> = struct<OpenHow>({ flags: u64, mode: u64, resolve: u64 });

const openat2 = define({
  name: 'openat2',
  args: [
    ['dirfd', dirfd],
    ['pathname', latePath],
    ['how', structIn(openHow, 'struct open_how')],
    ['size', count],
  ],
  result: fdResult,
  support: 'full',
  handler: (task, dir, name, at, size) => {
    if (size < openHow.size) throw errno(EINVAL);
    if (size > 4096) throw errno(E2BIG);
    if (
      task.user
        .read(at, size)
        .subarray(openHow.size)
        .some((byte) => byte !== 0)
    )
      throw errno(E2BIG);
    const how = loadAt(task, at, openHow);
    const given = Number(how.flags);
    if ((how.flags & ~BigInt(KNOWN_FLAGS)) !== 0n || how.resolve > 0x3fn || how.mode > 0o7777n) throw errno(EINVAL);
    if (how.mode !== 0n && !(given & (f.O_CREAT | f.O_TMPFILE_BIT))) throw errno(EINVAL);
    if (given & f.O_PATH && given & ~PATH_FLAGS) throw errno(EINVAL);
    checkResolve(Number(how.resolve));
    if (Number(how.resolve) & f.RESOLVE_CACHED) throw errno(EAGAIN);
    // A 64-bit kernel has files of all sizes here for 32-bit programs too.
    const large = given & f.O_PATH ? 0 : f.O_LARGEFILE;
    return open(task, dir, name, given | large, Number(how.mode), Number(how.resolve));
  },
});

// ---- close and dup ---------------------------------------------------------------------------------------------------------------------

const close = define({ name: 'close', args: [['fd', fd]], result: none, support: 'full', handler: (task, file) => task.files.close(file) });

const closeRange = define({
  name: 'close_range',
  args: [
    ['first', uint],
    ['last', uint],
    ['flags', flags({ CLOSE_RANGE_UNSHARE: f.CLOSE_RANGE_UNSHARE, CLOSE_RANGE_CLOEXEC: f.CLOSE_RANGE_CLOEXEC })],
  ],
  result: none,
  support: 'full',
  handler: (task, first, last, how) => {
    if (how & ~(f.CLOSE_RANGE_UNSHARE | f.CLOSE_RANGE_CLOEXEC) || first > last) throw errno(EINVAL);
    if (how & f.CLOSE_RANGE_UNSHARE) unshareFiles(task);
    for (const number of task.files.open(first, last)) {
      if (how & f.CLOSE_RANGE_CLOEXEC) task.files.setCloseOnExec(number, true);
      else task.files.close(number);
    }
  },
});

/** A table of its own, where other tasks share it. */
function unshareFiles(task: Task): void {
  const { users } = task.kernel;
  if (!users.shared(task.files)) return;
  users.drop(task.files);
  task.files = task.files.copy();
  users.add(task.files);
}

const dup = define({
  name: 'dup',
  args: [['oldfd', fd]],
  result: fdResult,
  support: 'full',
  handler: (task, old) => {
    const description = task.files.get(old);
    task.files.limit = descriptorLimit(task);
    return task.files.add(description, false);
  },
});

function dupTo(task: Task, old: number, to: number, closeOnExec: boolean): number {
  task.files.limit = descriptorLimit(task);
  return task.files.duplicateTo(old, to, closeOnExec);
}

const dup2 = define({
  name: 'dup2',
  args: [
    ['oldfd', fd],
    ['newfd', fd],
  ],
  result: fdResult,
  support: 'full',
  handler: (task, old, to) => dupTo(task, old, to, false),
});
const dup3 = define({
  name: 'dup3',
  args: [
    ['oldfd', fd],
    ['newfd', fd],
    ['flags', openFlags],
  ],
  result: fdResult,
  support: 'full',
  handler: (task, old, to, how) => {
    if (how & ~f.O_CLOEXEC || old === to) throw errno(EINVAL);
    return dupTo(task, old, to, (how & f.O_CLOEXEC) !== 0);
  },
});

// ---- Places of the process -------------------------------------------------------------------------------------------------------------

const umask = define({
  name: 'umask',
  args: [['mask', mode]],
  result: intResult,
  support: 'full',
  handler: (task, mask) => {
    const before = task.fs.umask;
    task.fs.umask = mask & 0o777;
    return before;
  },
});

const MFD_CLOEXEC = 1,
  MFD_ALLOW_SEALING = 2,
  MFD_HUGETLB = 4,
  MFD_NOEXEC_SEAL = 8,
  MFD_EXEC = 16;
/** NAME_MAX less the prefix `memfd:`. */
const MEMFD_NAME_MAX = 249;

const memfdCreate = define({
  name: 'memfd_create',
  args: [
    ['name', string],
    ['flags', flags({ MFD_CLOEXEC, MFD_ALLOW_SEALING, MFD_HUGETLB, MFD_NOEXEC_SEAL, MFD_EXEC })],
  ],
  result: fdResult,
  support: { partial: 'MFD_HUGETLB answers ENOMEM: there are no huge pages' },
  handler: (task, name: In<string>, how) => {
    if (how & ~(MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_HUGETLB | MFD_NOEXEC_SEAL | MFD_EXEC)) throw errno(EINVAL);
    if ((how & (MFD_NOEXEC_SEAL | MFD_EXEC)) === (MFD_NOEXEC_SEAL | MFD_EXEC)) throw errno(EINVAL);
    const text = task.user.cstring(name, MEMFD_NAME_MAX + 1, EINVAL);
    task.files.limit = descriptorLimit(task);
    task.files.free();
    if (how & MFD_HUGETLB) throw errno(ENOMEM);
    const noExec = (how & MFD_NOEXEC_SEAL) !== 0;
    const seals = noExec ? f.F_SEAL_EXEC : (how & MFD_ALLOW_SEALING) !== 0 ? 0 : f.F_SEAL_SEAL;
    const made = task.kernel.files.memoryFile(text, noExec ? 0o666 : 0o777, seals);
    made.vnode.chown(task.credentials.fsuid, task.credentials.fsgid);
    return task.files.add(made, (how & MFD_CLOEXEC) !== 0);
  },
});

export const calls = [
  openCall,
  creat,
  openat,
  openat2,
  close,
  closeRange,
  dup,
  dup2,
  dup3,
  umask,
  memfdCreate,
];
