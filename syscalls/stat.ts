/** What files are: the stat family in all widths, statx, statfs, access. */
import { EACCES, EINVAL, EOVERFLOW, errno } from '../abi/errno.ts';
import * as f from '../abi/fcntl.ts';
import * as s from '../abi/stat.ts';
import type { Struct } from '../abi/struct.ts';
import { SECOND_NS } from '../abi/time.ts';
import type { Stat } from '../fs/vnode.ts';
import { MS_NOATIME, MS_NODEV, MS_NODIRATIME, MS_NOEXEC, MS_NOSUID, MS_RDONLY, MS_SYNCHRONOUS } from '../abi/mount.ts';
import { mountFlags } from '../fs/mount-table.ts';
import { mountIdOf } from '../fs/path.ts';
import type { Place } from '../fs/vnode.ts';
import { type Credentials, realCredentials } from '../proc/credentials.ts';
import type { Task } from '../proc/task.ts';
import { define } from './define.ts';
import { count, dirfd, type Fd, fd, flags, type In, latePath, none, path, pathText, pointerOut, store, structOut, uint } from './kinds.ts';
import { AT_FDCWD, accessMode, atFlags, onlyFlags, placeAt, requireAccess, type Target, targetAt, vnodeAt } from './paths.ts';

// ---- stat in all widths ----------------------------------------------------------------------------------------------------------------

function seconds(ns: bigint): number {
  return Number(ns / SECOND_NS - (ns % SECOND_NS < 0n ? 1n : 0n));
}

function nanoseconds(ns: bigint): number {
  return Number(((ns % SECOND_NS) + SECOND_NS) % SECOND_NS);
}

/** The oldest struct: 16-bit inode, ids clipped; EOVERFLOW for files it cannot describe (cp_old_stat). */
function oldStat(stat: Stat): s.OldStat {
  if (stat.ino > 0xffffn || stat.nlink > 0xffff || stat.size > 0x7fffffff) throw errno(EOVERFLOW);
  return {
    st_dev: oldDevice(stat.dev),
    st_ino: Number(stat.ino),
    st_mode: stat.mode,
    st_nlink: stat.nlink,
    st_uid: id16Of(stat.uid),
    st_gid: id16Of(stat.gid),
    st_rdev: oldDevice(stat.rdev),
    st_size: stat.size,
    st_atime: seconds(stat.atime_ns),
    st_mtime: seconds(stat.mtime_ns),
    st_ctime: seconds(stat.ctime_ns),
  };
}

function oldDevice(device: number): number {
  return ((s.deviceMajor(device) & 0xff) << 8) | (s.deviceMinor(device) & 0xff);
}

/** Ids that do not fit show as the overflow id (high2lowuid). */
function id16Of(id: number): number {
  return id > 0xffff ? 65534 : id;
}

function stat32(stat: Stat): s.Stat32 {
  if (stat.ino > 0xffff_ffffn || stat.size > 0x7fffffff || stat.nlink > 0xffff) throw errno(EOVERFLOW);
  return {
    st_dev: stat.dev,
    st_ino: Number(stat.ino),
    st_mode: stat.mode,
    st_nlink: stat.nlink,
    st_uid: id16Of(stat.uid),
    st_gid: id16Of(stat.gid),
    st_rdev: stat.rdev,
    st_size: stat.size,
    st_blksize: stat.blksize,
    st_blocks: stat.blocks,
    st_atime: seconds(stat.atime_ns),
    st_atime_nsec: nanoseconds(stat.atime_ns),
    st_mtime: seconds(stat.mtime_ns),
    st_mtime_nsec: nanoseconds(stat.mtime_ns),
    st_ctime: seconds(stat.ctime_ns),
    st_ctime_nsec: nanoseconds(stat.ctime_ns),
  };
}

function stat64(stat: Stat): s.Stat64 {
  return {
    st_dev: BigInt(stat.dev),
    pad0: 0,
    __st_ino: Number(BigInt.asUintN(32, stat.ino)),
    st_mode: stat.mode,
    st_nlink: stat.nlink,
    st_uid: stat.uid,
    st_gid: stat.gid,
    st_rdev: BigInt(stat.rdev),
    pad3: 0,
    st_size: stat.size,
    st_blksize: stat.blksize,
    st_blocks: stat.blocks,
    st_atime: seconds(stat.atime_ns) | 0,
    st_atime_nsec: nanoseconds(stat.atime_ns),
    st_mtime: seconds(stat.mtime_ns) | 0,
    st_mtime_nsec: nanoseconds(stat.mtime_ns),
    st_ctime: seconds(stat.ctime_ns) | 0,
    st_ctime_nsec: nanoseconds(stat.ctime_ns),
    st_ino: stat.ino,
  };
}

/** The three calls of one width: by path, by path without following, by descriptor. */
function statCalls<T>(names: readonly [string, string, string], layout: Struct<T>, convert: (stat: Stat) => T) {
  const out = structOut(layout, 'struct stat');
  const [byPath, byLink, byFd] = names;
  return [
    define({
      name: byPath,
      args: [
        ['pathname', path],
        ['statbuf', out],
      ],
      result: none,
      support: 'full',
      handler: (task, name, to) => store(task, to, layout, convert(placeAt(task, AT_FDCWD, name).vnode.stat())),
    }),
    define({
      name: byLink,
      args: [
        ['pathname', path],
        ['statbuf', out],
      ],
      result: none,
      support: 'full',
      handler: (task, name, to) =>
        store(task, to, layout, convert(placeAt(task, AT_FDCWD, name, { flags: f.AT_SYMLINK_NOFOLLOW }).vnode.stat())),
    }),
    define({
      name: byFd,
      args: [
        ['fd', fd],
        ['statbuf', out],
      ],
      result: none,
      support: 'full',
      handler: (task, file, to) => store(task, to, layout, convert(task.files.get(file).vnode.stat())),
    }),
  ];
}

/** With AT_EMPTY_PATH a null pointer is an empty path. Linux: getname_maybe_null. */
function nameOrEmpty(task: Task, name: In<string>, how: number): string {
  return name === 0 && (how & f.AT_EMPTY_PATH) !== 0 ? '' : pathText(task, name);
}

function isEmpty(task: Task, name: In<string>): boolean {
  return name === 0 || (task.user.probe(name, 1, 'read') === 1 && task.user.read(name, 1)[0] === 0);
}

const fstatat64 = define({
  name: 'fstatat64',
  args: [
    ['dirfd', dirfd],
    ['pathname', latePath],
    ['statbuf', structOut(s.stat64, 'struct stat64')],
    ['flags', atFlags],
  ],
  result: none,
  support: 'full',
  handler: (task, dir, name, to, how) => {
    // Of a descriptor itself no other flag is looked at.
    if ((how & f.AT_EMPTY_PATH) !== 0 && dir >= 0 && isEmpty(task, name)) return store(task, to, s.stat64, stat64(task.files.get(dir).vnode.stat()));
    onlyFlags(how, f.AT_SYMLINK_NOFOLLOW | f.AT_NO_AUTOMOUNT | f.AT_EMPTY_PATH | f.AT_STATX_SYNC_TYPE);
    store(task, to, s.stat64, stat64(vnodeAt(task, dir, nameOrEmpty(task, name, how), how).stat()));
  },
});

const statxMask = flags({
  STATX_TYPE: 1,
  STATX_MODE: 2,
  STATX_NLINK: 4,
  STATX_UID: 8,
  STATX_GID: 0x10,
  STATX_ATIME: 0x20,
  STATX_MTIME: 0x40,
  STATX_CTIME: 0x80,
  STATX_INO: 0x100,
  STATX_SIZE: 0x200,
  STATX_BLOCKS: 0x400,
  STATX_BTIME: s.STATX_BTIME,
  STATX_MNT_ID: s.STATX_MNT_ID,
});

const statx = define({
  name: 'statx',
  args: [
    ['dirfd', dirfd],
    ['pathname', latePath],
    ['flags', atFlags],
    ['mask', statxMask],
    ['statxbuf', structOut(s.statx, 'struct statx')],
  ],
  result: none,
  support: 'full',
  handler: (task, dir, name, how, mask, to) => {
    if (mask & s.STATX_RESERVED || (how & f.AT_STATX_SYNC_TYPE) === f.AT_STATX_SYNC_TYPE) throw errno(EINVAL);
    const isItself = (how & f.AT_EMPTY_PATH) !== 0 && dir >= 0 && isEmpty(task, name);
    if (!isItself) onlyFlags(how, f.AT_SYMLINK_NOFOLLOW | f.AT_NO_AUTOMOUNT | f.AT_EMPTY_PATH | f.AT_STATX_SYNC_TYPE);
    const { vnode, place } = targetAt(task, dir, nameOrEmpty(task, name, how), how);
    store(task, to, s.statx, statxOf(vnode.stat(), mask, place));
  },
});

/** Filled with all there is, whatever the mask asks for, as Linux's file systems do; the time of birth only where there is one. */
function statxOf(stat: Stat, mask: number, place: Place): s.Statx {
  const time = (ns: bigint) => ({ tv_sec: seconds(ns), tv_nsec: nanoseconds(ns), pad: 0 });
  const birth = stat.btime_ns !== undefined && (mask & s.STATX_BTIME) !== 0;
  return {
    stx_mask: s.STATX_BASIC_STATS | (birth ? s.STATX_BTIME : 0) | s.STATX_MNT_ID,
    stx_blksize: stat.blksize,
    stx_attributes: 0,
    stx_nlink: stat.nlink,
    stx_uid: stat.uid,
    stx_gid: stat.gid,
    stx_mode: stat.mode,
    pad0: 0,
    stx_ino: stat.ino,
    stx_size: stat.size,
    stx_blocks: stat.blocks,
    stx_attributes_mask: 0,
    stx_atime: time(stat.atime_ns),
    stx_btime: time(birth ? (stat.btime_ns ?? 0n) : 0n),
    stx_ctime: time(stat.ctime_ns),
    stx_mtime: time(stat.mtime_ns),
    stx_rdev_major: s.deviceMajor(stat.rdev),
    stx_rdev_minor: s.deviceMinor(stat.rdev),
    stx_dev_major: s.deviceMajor(stat.dev),
    stx_dev_minor: s.deviceMinor(stat.dev),
    stx_mnt_id: mountIdOf(place),
  };
}

// ---- statfs ----------------------------------------------------------------------------------------------------------------------------

/** ST_ bits of the mount that a place lies in. */
function mountBits(place: Place): number {
  const flags = mountFlags(place);
  const isRelative = mountIdOf(place) !== 0 && (flags & MS_NOATIME) === 0;
  return (isRelative ? ST_RELATIME : 0) | (flags & (MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_SYNCHRONOUS | MS_NOATIME | MS_NODIRATIME));
}

const ST_RELATIME = 0x1000;

function statfsOf({ vnode, place }: Target, wide: boolean): s.Statfs {
  const stat = vnode.statfs();
  const { bsize, blocks, bfree, bavail, files, ffree } = stat;
  if (!wide && [bsize, blocks, bfree, bavail, files, ffree].some((n) => n > 0xffffffff)) throw errno(EOVERFLOW);
  return {
    f_type: stat.type >>> 0,
    f_bsize: bsize,
    f_blocks: blocks,
    f_bfree: bfree,
    f_bavail: bavail,
    f_files: files,
    f_ffree: ffree,
    f_fsid: [0, 0],
    f_namelen: stat.namelen,
    f_frsize: bsize,
    f_flags: stat.flags | mountBits(place),
    f_spare: [0, 0, 0, 0],
  };
}

const statfsPath = define({
  name: 'statfs',
  args: [
    ['path', path],
    ['buf', structOut(s.statfs32, 'struct statfs')],
  ],
  result: none,
  support: 'full',
  handler: (task, name, to) => store(task, to, s.statfs32, statfsOf(targetAt(task, AT_FDCWD, name, 0), false)),
});
const statfsFd = define({
  name: 'fstatfs',
  args: [
    ['fd', fd],
    ['buf', structOut(s.statfs32, 'struct statfs')],
  ],
  result: none,
  support: 'full',
  handler: (task, file, to) => store(task, to, s.statfs32, statfsOf(task.files.get(file), false)),
});

/** The struct of 32-bit programs has no padding at its end. */
function checkStatfsSize(size: number): void {
  if (size !== s.statfs64.size) throw errno(EINVAL);
}
const statfs64Path = define({
  name: 'statfs64',
  args: [
    ['path', latePath],
    ['size', count],
    ['buf', structOut(s.statfs64, 'struct statfs64')],
  ],
  result: none,
  support: 'full',
  handler: (task, name, bytes, to) => {
    checkStatfsSize(bytes);
    store(task, to, s.statfs64, statfsOf(targetAt(task, AT_FDCWD, pathText(task, name), 0), true));
  },
});
const statfs64Fd = define({
  name: 'fstatfs64',
  args: [
    ['fd', fd],
    ['size', count],
    ['buf', structOut(s.statfs64, 'struct statfs64')],
  ],
  result: none,
  support: 'full',
  handler: (task, file, bytes, to) => {
    checkStatfsSize(bytes);
    store(task, to, s.statfs64, statfsOf(task.files.get(file), true));
  },
});

const ustat = define({
  name: 'ustat',
  args: [
    ['dev', uint],
    ['ubuf', pointerOut],
  ],
  result: none,
  support: { stub: 'EINVAL: no device is known by its number' },
  handler: () => {
    throw errno(EINVAL);
  },
});

// ---- access ----------------------------------------------------------------------------------------------------------------------------

function access(task: Task, dir: Fd, path: In<string>, wanted: number, how: number): void {
  if (wanted & ~7) throw errno(EINVAL);
  onlyFlags(how, f.AT_EACCESS | f.AT_SYMLINK_NOFOLLOW | f.AT_EMPTY_PATH);
  const name = pathText(task, path);
  const rights = how & f.AT_EACCESS ? task.credentials : realCredentials(task.credentials);
  const { vnode, place } = asSomebody(task, rights, () => targetAt(task, dir, name, how));
  const isProgram = vnode.kind === 'file' && (wanted & f.X_OK) !== 0;
  if (isProgram && (mountFlags(place) & MS_NOEXEC) !== 0) throw errno(EACCES);
  if (wanted !== f.F_OK) requireAccess(task, vnode, wanted, rights);
}

/** The walk too is made with the rights that are asked about. */
function asSomebody<T>(task: Task, credentials: Credentials, call: () => T): T {
  const own = task.credentials;
  task.credentials = credentials;
  try {
    return call();
  } finally {
    task.credentials = own;
  }
}

const accessCall = define({
  name: 'access',
  args: [
    ['pathname', latePath],
    ['mode', accessMode],
  ],
  result: none,
  support: 'full',
  handler: (task, name, wanted) => access(task, AT_FDCWD, name, wanted, 0),
});
const faccessat = define({
  name: 'faccessat',
  args: [
    ['dirfd', dirfd],
    ['pathname', latePath],
    ['mode', accessMode],
  ],
  result: none,
  support: 'full',
  handler: (task, dir, name, wanted) => access(task, dir, name, wanted, 0),
});
const faccessat2 = define({
  name: 'faccessat2',
  args: [
    ['dirfd', dirfd],
    ['pathname', latePath],
    ['mode', accessMode],
    ['flags', atFlags],
  ],
  result: none,
  support: 'full',
  handler: (task, dir, name, wanted, how) => access(task, dir, name, wanted, how),
});

export const calls = [
  ...statCalls(['oldstat', 'oldlstat', 'oldfstat'], s.oldStat, oldStat),
  ...statCalls(['stat', 'lstat', 'fstat'], s.stat32, stat32),
  ...statCalls(['stat64', 'lstat64', 'fstat64'], s.stat64, stat64),
  fstatat64,
  statx,
  statfsPath,
  statfsFd,
  statfs64Path,
  statfs64Fd,
  ustat,
  accessCall,
  faccessat,
  faccessat2,
];
