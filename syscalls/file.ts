/** Opening, closing and duplicating: open in all forms, creat, close, dup, fcntl, memfd_create. */
import { E2BIG, EAGAIN, EBADF, EEXIST, EINVAL, EISDIR, ELOOP, ENOENT, ENOMEM, ENOTDIR, ENXIO, EOPNOTSUPP, EOVERFLOW, EPERM, errno } from '../abi/errno.ts';
import * as f from '../abi/fcntl.ts';
import { RLIMIT_NOFILE } from '../abi/resource.ts';
import { type Struct, struct, u32, u64 } from '../abi/struct.ts';
import { Description } from '../fs/description.ts';
import { checkResolve } from '../fs/path.ts';
import type { OpenFile, Place } from '../fs/vnode.ts';
import type { Task } from '../proc/task.ts';
import { define } from './define.ts';
import {
  address,
  choice,
  count,
  dirfd,
  type Fd,
  fd,
  fdResult,
  flags,
  type In,
  intResult,
  loadAt,
  mode,
  none,
  path,
  storeAt,
  string,
  structIn,
  uint,
} from './kinds.ts';
import { AT_FDCWD, directoryOf, openFlags, orWait, refuseRunning, walkAt } from './paths.ts';
import { getLock, setLock } from './lock.ts';

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
function open(task: Task, dir: Fd, name: string, given: number, permissions: number, resolve = 0): number {
  const how = given & f.O_PATH ? given & PATH_FLAGS : given & KNOWN_FLAGS;
  checkOpenFlags(how);
  task.files.limit = limitOf(task);
  const fd = task.files.free();
  const description = describe(task, dir, name, how, permissions, resolve);
  task.files.add(description, (how & f.O_CLOEXEC) !== 0, fd);
  return fd;
}

function limitOf(task: Task): number {
  const { current } = task.process.limits[RLIMIT_NOFILE];
  return current > 0x100000n ? 0x100000 : Number(current);
}

function checkOpenFlags(how: number): void {
  if (how & f.O_TMPFILE_BIT) {
    if ((how & f.O_TMPFILE) !== f.O_TMPFILE || !f.canWrite(how)) throw errno(EINVAL);
  } else if ((how & (f.O_CREAT | f.O_DIRECTORY)) === (f.O_CREAT | f.O_DIRECTORY)) throw errno(EINVAL);
}

function describe(task: Task, dir: Fd, name: string, how: number, permissions: number, resolve: number): Description {
  const nofollow = (how & f.O_NOFOLLOW) !== 0 || (how & (f.O_CREAT | f.O_EXCL)) === (f.O_CREAT | f.O_EXCL);
  const walked = walkAt(task, dir, name, { flags: nofollow ? f.AT_SYMLINK_NOFOLLOW : 0, resolve });
  const { place } = walked;
  if (how & f.O_TMPFILE_BIT) return unnamed(task, place, how, permissions);
  if (how & f.O_CREAT) {
    if (place === undefined) {
      if (walked.slash) throw errno(EISDIR);
      const made = directoryOf(walked).create(walked.name, permissions & 0o7777 & ~task.fs.umask, how);
      return new Description(made.file, { vnode: made.vnode, parent: walked.parent, name: walked.name }, how);
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
  if (vnode.kind === 'directory' && (f.canWrite(how) || how & (f.O_CREAT | f.O_TRUNC))) throw errno(EISDIR);
  if (vnode.kind === 'socket') throw errno(ENXIO);
  if (f.canWrite(how) || how & f.O_TRUNC) refuseRunning(task, vnode);
  const small = vnode.kind === 'file' && !(how & f.O_LARGEFILE);
  if (small && vnode.stat().size > MAX_NON_LFS) throw errno(EOVERFLOW);
  return new Description(orWait<OpenFile>(task, vnode.open(how)), place, how);
}

function unnamed(task: Task, place: Place | undefined, how: number, permissions: number): Description {
  if (place === undefined) throw errno(ENOENT);
  const { directory } = place.vnode;
  if (directory === undefined) throw errno(ENOTDIR);
  if (directory.createUnnamed === undefined) throw errno(EOPNOTSUPP);
  const file = directory.createUnnamed(permissions & 0o7777 & ~task.fs.umask, how);
  return new Description(file, { vnode: file.vnode, parent: place, name: `#${file.vnode.stat().ino} (deleted)` }, how);
}

const openCall = define({
  name: 'open',
  args: [
    ['pathname', path],
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
    ['pathname', path],
    ['mode', mode],
  ],
  result: fdResult,
  support: 'full',
  handler: (task, name, permissions) => open(task, AT_FDCWD, name, f.O_CREAT | f.O_WRONLY | f.O_TRUNC, permissions),
});
const openat = define({
  name: 'openat',
  args: [
    ['dirfd', dirfd],
    ['pathname', path],
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
    ['pathname', path],
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
    return open(task, dir, name, given, Number(how.mode), Number(how.resolve));
  },
});

// ---- close and dup ---------------------------------------------------------------------------------------------------------------------

/** Closing any descriptor of a file gives back all of the process's locks on it (fcntl(2)). */
function closeOne(task: Task, fd: number): void {
  const { vnode } = task.files.get(fd);
  task.files.close(fd);
  task.kernel.files.locks.releaseAll(vnode.key, task.process);
}

const close = define({ name: 'close', args: [['fd', fd]], result: none, support: 'full', handler: closeOne });

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
      else closeOne(task, number);
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
    task.files.limit = limitOf(task);
    return task.files.add(description, false);
  },
});

function dupTo(task: Task, old: number, to: number, closeOnExec: boolean): number {
  task.files.limit = limitOf(task);
  const replaced = old !== to && task.files.has(to) ? task.files.get(to).vnode : undefined;
  const result = task.files.duplicateTo(old, to, closeOnExec);
  if (replaced !== undefined) task.kernel.files.locks.releaseAll(replaced.key, task.process);
  return result;
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

// ---- fcntl -----------------------------------------------------------------------------------------------------------------------------

const fcntlCommand = choice({
  F_DUPFD: f.F_DUPFD,
  F_GETFD: f.F_GETFD,
  F_SETFD: f.F_SETFD,
  F_GETFL: f.F_GETFL,
  F_SETFL: f.F_SETFL,
  F_GETLK: f.F_GETLK,
  F_SETLK: f.F_SETLK,
  F_SETLKW: f.F_SETLKW,
  F_SETOWN: f.F_SETOWN,
  F_GETOWN: f.F_GETOWN,
  F_SETSIG: f.F_SETSIG,
  F_GETSIG: f.F_GETSIG,
  F_GETLK64: f.F_GETLK64,
  F_SETLK64: f.F_SETLK64,
  F_SETLKW64: f.F_SETLKW64,
  F_OFD_GETLK: f.F_OFD_GETLK,
  F_OFD_SETLK: f.F_OFD_SETLK,
  F_OFD_SETLKW: f.F_OFD_SETLKW,
  F_SETLEASE: f.F_SETLEASE,
  F_GETLEASE: f.F_GETLEASE,
  F_DUPFD_CLOEXEC: f.F_DUPFD_CLOEXEC,
  F_SETPIPE_SZ: f.F_SETPIPE_SZ,
  F_GETPIPE_SZ: f.F_GETPIPE_SZ,
  F_ADD_SEALS: f.F_ADD_SEALS,
  F_GET_SEALS: f.F_GET_SEALS,
});

/** struct f_owner_ex: nobody is told of input, so nobody owns a descriptor. */
const ownerEx = struct<{ type: number; pid: number }>({ type: u32, pid: u32 });
const F_OWNER_TID = 0;

/** What F_SETFL may change. */
const SETTABLE = f.O_APPEND | f.O_NONBLOCK | f.FASYNC | f.O_DIRECT | f.O_NOATIME;
/** Commands that work on O_PATH descriptors too (open(2)). */
const PATH_COMMANDS = new Set([f.F_DUPFD, f.F_DUPFD_CLOEXEC, f.F_GETFD, f.F_SETFD, f.F_GETFL]);

function fcntl(task: Task, fd: Fd, command: number, argument: number, wide: boolean): number {
  const description = task.files.get(fd);
  if (description.isPathOnly && !PATH_COMMANDS.has(command)) throw errno(EBADF);
  switch (command) {
    case f.F_DUPFD:
    case f.F_DUPFD_CLOEXEC:
      task.files.limit = limitOf(task);
      return task.files.duplicate(fd, argument | 0, command === f.F_DUPFD_CLOEXEC);
    case f.F_GETFD:
      return task.files.closeOnExec(fd) ? f.FD_CLOEXEC : 0;
    case f.F_SETFD:
      task.files.setCloseOnExec(fd, (argument & f.FD_CLOEXEC) !== 0);
      return 0;
    case f.F_GETFL:
      return description.flags;
    case f.F_SETFL:
      description.setFlags((description.flags & ~SETTABLE) | (argument & SETTABLE));
      return 0;
    case f.F_GETLK:
      return getLock(task, description, argument, f.flock32, task.process);
    case f.F_SETLK:
      return setLock(task, description, argument, f.flock32, task.process, false);
    case f.F_SETLKW:
      return setLock(task, description, argument, f.flock32, task.process, true);
    case f.F_SETOWN:
    case f.F_SETSIG:
      return 0;
    case f.F_SETOWN_EX:
      return loadAt(task, argument, ownerEx).type > 2 ? unknownCommand() : 0;
    case f.F_GETOWN_EX:
      storeAt(task, argument, ownerEx, { type: F_OWNER_TID, pid: 0 });
      return 0;
    case f.F_GETOWN:
    case f.F_GETSIG:
      return 0;
    case f.F_GETLEASE:
      return f.F_UNLCK;
    case f.F_SETLEASE:
      if (argument === f.F_UNLCK || description.vnode.kind !== 'file') throw errno(argument === f.F_UNLCK ? EAGAIN : EINVAL);
      throw errno(EAGAIN);
    case f.F_GET_SEALS:
      return description.vnode.seals ?? unknownCommand();
    case f.F_ADD_SEALS:
      return addSeals(description, argument);
    case f.F_SETPIPE_SZ:
    case f.F_GETPIPE_SZ: {
      const { file } = description;
      if (file.capacity === undefined) throw errno(EBADF);
      return command === f.F_GETPIPE_SZ ? file.capacity() : file.capacity(argument);
    }
    default:
      return wide ? fcntlWide(task, description, command, argument) : unknownCommand();
  }
}

/** Order of errors as Linux's memfd_add_seals. */
function addSeals({ vnode, flags: how }: Description, seals: number): number {
  if (!f.canWrite(how)) throw errno(EPERM);
  if (seals & ~f.F_ALL_SEALS || vnode.seals === undefined || vnode.addSeals === undefined) throw errno(EINVAL);
  vnode.addSeals(seals);
  return 0;
}

/** Commands that only fcntl64 has. */
function fcntlWide(task: Task, description: Description, command: number, argument: number): number {
  switch (command) {
    case f.F_GETLK64:
      return getLock(task, description, argument, f.flock64, task.process);
    case f.F_SETLK64:
      return setLock(task, description, argument, f.flock64, task.process, false);
    case f.F_SETLKW64:
      return setLock(task, description, argument, f.flock64, task.process, true);
    case f.F_OFD_GETLK:
      return getLock(task, description, argument, f.flock64, description);
    case f.F_OFD_SETLK:
      return setLock(task, description, argument, f.flock64, description, false);
    case f.F_OFD_SETLKW:
      return setLock(task, description, argument, f.flock64, description, true);
    default:
      return unknownCommand();
  }
}

function unknownCommand(): never {
  throw errno(EINVAL);
}

function fcntlCall(name: string, wide: boolean) {
  return define({
    name,
    args: [
      ['fd', fd],
      ['cmd', fcntlCommand],
      ['arg', address],
    ],
    result: intResult,
    support: { partial: 'signal-driven I/O (F_SETOWN, F_SETSIG), leases and F_NOTIFY do nothing or answer EAGAIN or EINVAL' },
    handler: (task, file, command, argument) => fcntl(task, file, command, argument, wide),
  });
}

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
    task.files.limit = limitOf(task);
    task.files.free();
    if (how & MFD_HUGETLB) throw errno(ENOMEM);
    const noExec = (how & MFD_NOEXEC_SEAL) !== 0;
    const seals = noExec ? f.F_SEAL_EXEC : (how & MFD_ALLOW_SEALING) !== 0 ? 0 : f.F_SEAL_SEAL;
    return task.files.add(task.kernel.files.memoryFile(text, noExec ? 0o666 : 0o777, seals), (how & MFD_CLOEXEC) !== 0);
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
  fcntlCall('fcntl', false),
  fcntlCall('fcntl64', true),
  umask,
  memfdCreate,
];
