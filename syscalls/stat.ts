/** What files are: the stat family in all widths, statx, statfs, access, and changes of mode, owner and times; extended attributes. */
import { EFAULT, EINVAL, ENODATA, EOPNOTSUPP, EOVERFLOW, EPERM, ERANGE, errno } from '../abi/errno.ts';
import * as f from '../abi/fcntl.ts';
import * as s from '../abi/stat.ts';
import { i32, type Struct, struct } from '../abi/struct.ts';
import { type Timespec, type Timeval, timespec32, timespec64, timeval32, SECOND_NS } from '../abi/time.ts';
import type { FileSystemStat, NewTimes, Stat, Vnode } from '../fs/vnode.ts';
import type { Task } from '../proc/task.ts';
import { define } from './define.ts';
import {
  bytesIn, bytesOut, count, dirfd, type Fd, fd, flags, id16, id32, int, type In, loadAt, mode, none, path, pathOrNull, pointerIn, pointerOut,
  size, store, string, structOut, uint,
} from './kinds.ts';
import { AT_FDCWD, accessMode, atFlags, onlyFlags, openAt, placeAt, type Target, targetAt, vnodeAt } from './paths.ts';

// ---- stat in all widths ----------------------------------------------------------------------------------------------------------------

function seconds(ns: bigint): number {
  return Number(ns / SECOND_NS - (ns % SECOND_NS < 0n ? 1n : 0n));
}

function nanoseconds(ns: bigint): number {
  return Number(((ns % SECOND_NS) + SECOND_NS) % SECOND_NS);
}

/** The oldest struct: 16-bit inode, ids clipped; EOVERFLOW for files it cannot describe (cp_old_stat). */
function oldStat(stat: Stat): s.OldStat {
  if (stat.nlink > 0xffff || stat.size > 0x7fffffff) throw errno(EOVERFLOW);
  return {
    st_dev: oldDevice(stat.dev), st_ino: Number(stat.ino & 0xffffn), st_mode: stat.mode, st_nlink: stat.nlink, st_uid: id16Of(stat.uid), st_gid: id16Of(stat.gid),
    st_rdev: oldDevice(stat.rdev), st_size: stat.size, st_atime: seconds(stat.atime_ns), st_mtime: seconds(stat.mtime_ns), st_ctime: seconds(stat.ctime_ns),
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
    st_dev: stat.dev, st_ino: Number(stat.ino), st_mode: stat.mode, st_nlink: stat.nlink, st_uid: id16Of(stat.uid), st_gid: id16Of(stat.gid), st_rdev: stat.rdev,
    st_size: stat.size, st_blksize: stat.blksize, st_blocks: stat.blocks, st_atime: seconds(stat.atime_ns), st_atime_nsec: nanoseconds(stat.atime_ns),
    st_mtime: seconds(stat.mtime_ns), st_mtime_nsec: nanoseconds(stat.mtime_ns), st_ctime: seconds(stat.ctime_ns), st_ctime_nsec: nanoseconds(stat.ctime_ns),
  };
}

function stat64(stat: Stat): s.Stat64 {
  return {
    st_dev: BigInt(stat.dev), pad0: 0, __st_ino: Number(BigInt.asUintN(32, stat.ino)), st_mode: stat.mode, st_nlink: stat.nlink, st_uid: stat.uid,
    st_gid: stat.gid, st_rdev: BigInt(stat.rdev), pad3: 0, st_size: stat.size, st_blksize: stat.blksize, st_blocks: stat.blocks,
    st_atime: seconds(stat.atime_ns) | 0, st_atime_nsec: nanoseconds(stat.atime_ns), st_mtime: seconds(stat.mtime_ns) | 0, st_mtime_nsec: nanoseconds(stat.mtime_ns),
    st_ctime: seconds(stat.ctime_ns) | 0, st_ctime_nsec: nanoseconds(stat.ctime_ns), st_ino: stat.ino,
  };
}

/** The three calls of one width: by path, by path without following, by descriptor. */
function statCalls<T>(names: readonly [string, string, string], layout: Struct<T>, convert: (stat: Stat) => T) {
  const out = structOut(layout, 'struct stat');
  const [byPath, byLink, byFd] = names;
  return [
    define({
      name: byPath, args: [['pathname', path], ['statbuf', out]], result: none, support: 'full',
      handler: (task, name, to) => store(task, to, layout, convert(placeAt(task, AT_FDCWD, name).vnode.stat())),
    }),
    define({
      name: byLink, args: [['pathname', path], ['statbuf', out]], result: none, support: 'full',
      handler: (task, name, to) => store(task, to, layout, convert(placeAt(task, AT_FDCWD, name, { flags: f.AT_SYMLINK_NOFOLLOW }).vnode.stat())),
    }),
    define({
      name: byFd, args: [['fd', fd], ['statbuf', out]], result: none, support: 'full',
      handler: (task, file, to) => store(task, to, layout, convert(task.files.get(file).vnode.stat())),
    }),
  ];
}

const fstatat64 = define({
  name: 'fstatat64', args: [['dirfd', dirfd], ['pathname', path], ['statbuf', structOut(s.stat64, 'struct stat64')], ['flags', atFlags]], result: none,
  support: 'full',
  handler: (task, dir, name, to, how) => {
    onlyFlags(how, f.AT_SYMLINK_NOFOLLOW | f.AT_NO_AUTOMOUNT | f.AT_EMPTY_PATH);
    store(task, to, s.stat64, stat64(vnodeAt(task, dir, name, how).stat()));
  },
});

const statxMask = flags({
  STATX_TYPE: 1, STATX_MODE: 2, STATX_NLINK: 4, STATX_UID: 8, STATX_GID: 0x10, STATX_ATIME: 0x20, STATX_MTIME: 0x40, STATX_CTIME: 0x80, STATX_INO: 0x100,
  STATX_SIZE: 0x200, STATX_BLOCKS: 0x400, STATX_BTIME: s.STATX_BTIME, STATX_MNT_ID: s.STATX_MNT_ID,
});

const statx = define({
  name: 'statx',
  args: [['dirfd', dirfd], ['pathname', pathOrNull], ['flags', atFlags], ['mask', statxMask], ['statxbuf', structOut(s.statx, 'struct statx')]],
  result: none, support: 'full',
  handler: (task, dir, name, how, mask, to) => {
    if (mask & s.STATX_RESERVED || (how & f.AT_STATX_SYNC_TYPE) === f.AT_STATX_SYNC_TYPE) throw errno(EINVAL);
    onlyFlags(how, f.AT_SYMLINK_NOFOLLOW | f.AT_NO_AUTOMOUNT | f.AT_EMPTY_PATH | f.AT_STATX_SYNC_TYPE);
    if (name === null && !(how & f.AT_EMPTY_PATH)) throw errno(EFAULT);
    store(task, to, s.statx, statxOf(vnodeAt(task, dir, name ?? '', how).stat(), mask));
  },
});

/** Filled with all there is, whatever the mask asks for, as Linux's file systems do; the time of birth only where there is one. */
function statxOf(stat: Stat, mask: number): s.Statx {
  const time = (ns: bigint) => ({ tv_sec: seconds(ns), tv_nsec: nanoseconds(ns), pad: 0 });
  const birth = stat.btime_ns !== undefined && (mask & s.STATX_BTIME) !== 0;
  return {
    stx_mask: s.STATX_BASIC_STATS | (birth ? s.STATX_BTIME : 0) | s.STATX_MNT_ID, stx_blksize: stat.blksize, stx_attributes: 0, stx_nlink: stat.nlink,
    stx_uid: stat.uid, stx_gid: stat.gid, stx_mode: stat.mode, pad0: 0, stx_ino: stat.ino, stx_size: stat.size, stx_blocks: stat.blocks, stx_attributes_mask: 0,
    stx_atime: time(stat.atime_ns), stx_btime: time(birth ? (stat.btime_ns ?? 0n) : 0n), stx_ctime: time(stat.ctime_ns), stx_mtime: time(stat.mtime_ns),
    stx_rdev_major: s.deviceMajor(stat.rdev), stx_rdev_minor: s.deviceMinor(stat.rdev), stx_dev_major: s.deviceMajor(stat.dev),
    stx_dev_minor: s.deviceMinor(stat.dev), stx_mnt_id: 1,
  };
}

// ---- statfs ----------------------------------------------------------------------------------------------------------------------------

function statfsOf(stat: FileSystemStat, wide: boolean): s.Statfs {
  const { bsize, blocks, bfree, bavail, files, ffree } = stat;
  if (!wide && [bsize, blocks, bfree, bavail, files, ffree].some((n) => n > 0xffffffff)) throw errno(EOVERFLOW);
  return {
    f_type: stat.type >>> 0, f_bsize: bsize, f_blocks: blocks, f_bfree: bfree, f_bavail: bavail, f_files: files, f_ffree: ffree, f_fsid: [0, 0],
    f_namelen: stat.namelen, f_frsize: bsize, f_flags: stat.flags, f_spare: [0, 0, 0, 0],
  };
}

const statfsPath = define({
  name: 'statfs', args: [['path', path], ['buf', structOut(s.statfs32, 'struct statfs')]], result: none, support: 'full',
  handler: (task, name, to) => store(task, to, s.statfs32, statfsOf(placeAt(task, AT_FDCWD, name).vnode.statfs(), false)),
});
const statfsFd = define({
  name: 'fstatfs', args: [['fd', fd], ['buf', structOut(s.statfs32, 'struct statfs')]], result: none, support: 'full',
  handler: (task, file, to) => store(task, to, s.statfs32, statfsOf(task.files.get(file).vnode.statfs(), false)),
});

/** Programs may pass the size with or without the padding of other machines (compat_sys_statfs64 takes 84 and 88). */
function checkStatfsSize(size: number): void {
  if (size !== s.statfs64.size && size !== 88) throw errno(EINVAL);
}
const statfs64Path = define({
  name: 'statfs64', args: [['path', path], ['size', count], ['buf', structOut(s.statfs64, 'struct statfs64')]], result: none, support: 'full',
  handler: (task, name, bytes, to) => {
    checkStatfsSize(bytes);
    store(task, to, s.statfs64, statfsOf(placeAt(task, AT_FDCWD, name).vnode.statfs(), true));
  },
});
const statfs64Fd = define({
  name: 'fstatfs64', args: [['fd', fd], ['size', count], ['buf', structOut(s.statfs64, 'struct statfs64')]], result: none, support: 'full',
  handler: (task, file, bytes, to) => {
    checkStatfsSize(bytes);
    store(task, to, s.statfs64, statfsOf(task.files.get(file).vnode.statfs(), true));
  },
});

const ustat = define({
  name: 'ustat', args: [['dev', uint], ['ubuf', pointerOut]], result: none, support: { stub: 'EINVAL: no device is known by its number' },
  handler: () => {
    throw errno(EINVAL);
  },
});

// ---- access ----------------------------------------------------------------------------------------------------------------------------

function access(task: Task, dir: Fd, name: string, wanted: number, how: number): void {
  if (wanted & ~7) throw errno(EINVAL);
  onlyFlags(how, f.AT_EACCESS | f.AT_SYMLINK_NOFOLLOW | f.AT_EMPTY_PATH);
  const vnode = vnodeAt(task, dir, name, how);
  if (wanted !== f.F_OK) vnode.access(wanted);
}

const accessCall = define({
  name: 'access', args: [['pathname', path], ['mode', accessMode]], result: none, support: 'full',
  handler: (task, name, wanted) => access(task, AT_FDCWD, name, wanted, 0),
});
const faccessat = define({
  name: 'faccessat', args: [['dirfd', dirfd], ['pathname', path], ['mode', accessMode]], result: none, support: 'full',
  handler: (task, dir, name, wanted) => access(task, dir, name, wanted, 0),
});
const faccessat2 = define({
  name: 'faccessat2', args: [['dirfd', dirfd], ['pathname', path], ['mode', accessMode], ['flags', atFlags]], result: none, support: 'full',
  handler: (task, dir, name, wanted, how) => access(task, dir, name, wanted, how),
});

// ---- chmod and chown -------------------------------------------------------------------------------------------------------------------

function changeMode(task: Task, { vnode, place }: Target, permissions: number): void {
  vnode.chmod(permissions & 0o7777);
  task.fs.tree.rightsChanged(place);
}

function chmodat(task: Task, dir: Fd, name: string, permissions: number, how: number): void {
  onlyFlags(how, f.AT_SYMLINK_NOFOLLOW | f.AT_EMPTY_PATH);
  changeMode(task, targetAt(task, dir, name, how), permissions);
}

const chmod = define({
  name: 'chmod', args: [['pathname', path], ['mode', mode]], result: none, support: 'full',
  handler: (task, name, permissions) => chmodat(task, AT_FDCWD, name, permissions, 0),
});
const fchmod = define({
  name: 'fchmod', args: [['fd', fd], ['mode', mode]], result: none, support: 'full',
  handler: (task, file, permissions) => changeMode(task, openAt(task, file), permissions),
});
const fchmodat = define({
  name: 'fchmodat', args: [['dirfd', dirfd], ['pathname', path], ['mode', mode]], result: none, support: 'full',
  handler: (task, dir, name, permissions) => chmodat(task, dir, name, permissions, 0),
});
const fchmodat2 = define({
  name: 'fchmodat2', args: [['dirfd', dirfd], ['pathname', path], ['mode', mode], ['flags', atFlags]], result: none, support: 'full',
  handler: chmodat,
});

function chown(task: Task, { vnode, place }: Target, uid: number, gid: number): void {
  vnode.chown(uid === -1 || uid === 0xffffffff ? undefined : uid, gid === -1 || gid === 0xffffffff ? undefined : gid);
  task.fs.tree.rightsChanged(place);
}

function chownCalls(id: typeof id16 | typeof id32, suffix: string) {
  const by = (name: string, follow: boolean) => define({
    name, args: [['pathname', path], ['owner', id], ['group', id]], result: none, support: 'full',
    handler: (task, file, uid, gid) => chown(task, targetAt(task, AT_FDCWD, file, follow ? 0 : f.AT_SYMLINK_NOFOLLOW), uid, gid),
  });
  const byFd = define({
    name: `fchown${suffix}`, args: [['fd', fd], ['owner', id], ['group', id]], result: none, support: 'full',
    handler: (task, file, uid, gid) => chown(task, openAt(task, file), uid, gid),
  });
  return [by(`chown${suffix}`, true), by(`lchown${suffix}`, false), byFd];
}

const fchownat = define({
  name: 'fchownat', args: [['dirfd', dirfd], ['pathname', path], ['owner', id32], ['group', id32], ['flags', atFlags]], result: none, support: 'full',
  handler: (task, dir, name, uid, gid, how) => {
    onlyFlags(how, f.AT_SYMLINK_NOFOLLOW | f.AT_EMPTY_PATH);
    chown(task, targetAt(task, dir, name, how), uid, gid);
  },
});

// ---- Times -----------------------------------------------------------------------------------------------------------------------------

interface Utimbuf {
  actime: number;
  modtime: number;
}
const utimbuf: Struct<Utimbuf> = struct<Utimbuf>({ actime: i32, modtime: i32 });

/** Both now: what a null pointer asks for. Needs only the right to write, unlike given times (utimensat(2)). */
function setNow(task: Task, vnode: Vnode): void {
  const now = task.kernel.clock.realtime();
  setTimes(task, vnode, { atime_ns: now, mtime_ns: now }, true);
}

function setTimes(task: Task, vnode: Vnode, times: NewTimes, now: boolean): void {
  const { fsuid } = task.credentials;
  if (fsuid !== 0 && fsuid !== vnode.stat().uid) {
    if (!now) throw errno(EPERM);
    if (vnode.kind !== 'symlink') vnode.access(f.W_OK);
  }
  vnode.utimes(times);
}

const utime = define({
  name: 'utime', args: [['filename', path], ['times', pointerIn]], result: none, support: 'full',
  handler: (task, name, at) => {
    const { vnode } = placeAt(task, AT_FDCWD, name);
    if (at === 0) return setNow(task, vnode);
    const { actime, modtime } = loadAt(task, at, utimbuf);
    setTimes(task, vnode, { atime_ns: BigInt(actime) * SECOND_NS, mtime_ns: BigInt(modtime) * SECOND_NS }, false);
  },
});

function setFromTimevals(task: Task, vnode: Vnode, at: number): void {
  if (at === 0) return setNow(task, vnode);
  const atime = loadAt(task, at, timeval32);
  const mtime = loadAt(task, at + timeval32.size, timeval32);
  const ns = ({ tv_sec, tv_usec }: Timeval) => {
    if (tv_usec < 0 || tv_usec > 999_999) throw errno(EINVAL);
    return BigInt(tv_sec) * SECOND_NS + BigInt(tv_usec) * 1000n;
  };
  setTimes(task, vnode, { atime_ns: ns(atime), mtime_ns: ns(mtime) }, false);
}

const utimes = define({
  name: 'utimes', args: [['filename', path], ['times', pointerIn]], result: none, support: 'full',
  handler: (task, name, at) => setFromTimevals(task, placeAt(task, AT_FDCWD, name).vnode, at),
});
const futimesat = define({
  name: 'futimesat', args: [['dirfd', dirfd], ['pathname', pathOrNull], ['times', pointerIn]], result: none, support: 'full',
  handler: (task, dir, name, at) => setFromTimevals(task, name === null ? openAt(task, dir).vnode : placeAt(task, dir, name).vnode, at),
});

function utimensat(name: string, layout: Struct<Timespec>) {
  return define({
    name, args: [['dirfd', dirfd], ['pathname', pathOrNull], ['times', pointerIn], ['flags', atFlags]], result: none, support: 'full',
    handler: (task, dir, file, at, how) => {
      const given = at === 0 ? undefined : [loadAt(task, at, layout), loadAt(task, at + layout.size, layout)];
      // Nothing is to be done, and nothing is looked at (do_utimes).
      if (given !== undefined && given.every((time) => time.tv_nsec === f.UTIME_OMIT)) return;
      onlyFlags(how, f.AT_SYMLINK_NOFOLLOW | f.AT_EMPTY_PATH);
      const vnode = file === null ? nullPath(task, dir, how) : vnodeAt(task, dir, file, how);
      if (given === undefined) return setNow(task, vnode);
      const [atime_ns, mtime_ns] = given.map((time) => newTime(task, time));
      setTimes(task, vnode, { atime_ns, mtime_ns }, given.every((time) => time.tv_nsec === f.UTIME_NOW));
    },
  });
}

function nullPath(task: Task, dir: Fd, how: number): Vnode {
  if (how !== 0 && how !== f.AT_EMPTY_PATH) throw errno(EINVAL);
  if (dir === AT_FDCWD) throw errno(EFAULT);
  return openAt(task, dir).vnode;
}

function newTime(task: Task, time: Timespec): bigint | undefined {
  if (time.tv_nsec === f.UTIME_OMIT) return undefined;
  if (time.tv_nsec === f.UTIME_NOW) return task.kernel.clock.realtime();
  if (time.tv_nsec < 0 || time.tv_nsec > 999_999_999) throw errno(EINVAL);
  return BigInt(time.tv_sec) * SECOND_NS + BigInt(time.tv_nsec);
}

// ---- Extended attributes ---------------------------------------------------------------------------------------------------------------

/** Node reaches no extended attributes: files have none, and none can be set. */
const XATTR = { partial: 'no file has any: reading answers ENODATA, setting EOPNOTSUPP' };
const XATTR_NAME_MAX = 255;

/** How each family finds its file. */
const XATTR_FORMS = [
  ['', path, (task: Task, name: string) => placeAt(task, AT_FDCWD, name).vnode],
  ['l', path, (task: Task, name: string) => placeAt(task, AT_FDCWD, name, { flags: f.AT_SYMLINK_NOFOLLOW }).vnode],
] as const;

function attributeName(task: Task, name: In<string>): string {
  const text = task.user.cstring(name, XATTR_NAME_MAX + 1, ERANGE);
  if (text === '') throw errno(ERANGE);
  if (!/^(user|trusted|security|system)\./.test(text)) throw errno(EOPNOTSUPP);
  return text;
}

/** user. attributes belong to files and directories only (xattr_permission). */
function readAttribute(task: Task, vnode: Vnode, at: In<string>): number {
  const name = attributeName(task, at);
  if (name.startsWith('trusted.') && task.credentials.euid !== 0) throw errno(ENODATA);
  if (name.startsWith('user.') && vnode.kind !== 'file' && vnode.kind !== 'directory') throw errno(ENODATA);
  if (name.startsWith('system.') && !/^system\.posix_acl_(access|default)$/.test(name)) throw errno(EOPNOTSUPP);
  throw errno(ENODATA);
}

function writeAttribute(task: Task, vnode: Vnode, at: In<string>): void {
  const name = attributeName(task, at);
  if (name.startsWith('user.') && vnode.kind !== 'file' && vnode.kind !== 'directory') throw errno(EPERM);
  throw errno(EOPNOTSUPP);
}

function xattrCalls() {
  const byPath = XATTR_FORMS.flatMap(([prefix, kind, find]) => [
    define({
      name: `${prefix}getxattr`, args: [['path', kind], ['name', string], ['value', bytesOut('size')], ['size', count]], result: size, support: XATTR,
      handler: (task, file, name) => readAttribute(task, find(task, file), name),
    }),
    define({
      name: `${prefix}setxattr`, args: [['path', kind], ['name', string], ['value', bytesIn('size')], ['size', count], ['flags', int]], result: none, support: XATTR,
      handler: (task, file, name) => writeAttribute(task, find(task, file), name),
    }),
    define({
      name: `${prefix}listxattr`, args: [['path', kind], ['list', bytesOut('size')], ['size', count]], result: size, support: XATTR,
      handler: (task, file) => none0(find(task, file)),
    }),
    define({
      name: `${prefix}removexattr`, args: [['path', kind], ['name', string]], result: none, support: XATTR,
      handler: (task, file, name) => void readAttribute(task, find(task, file), name),
    }),
  ]);
  return [...byPath, ...xattrByFd()];
}

function xattrByFd() {
  const find = (task: Task, file: Fd) => openAt(task, file).vnode;
  return [
    define({
      name: 'fgetxattr', args: [['fd', fd], ['name', string], ['value', bytesOut('size')], ['size', count]], result: size, support: XATTR,
      handler: (task, file, name) => readAttribute(task, find(task, file), name),
    }),
    define({
      name: 'fsetxattr', args: [['fd', fd], ['name', string], ['value', bytesIn('size')], ['size', count], ['flags', int]], result: none, support: XATTR,
      handler: (task, file, name) => writeAttribute(task, find(task, file), name),
    }),
    define({
      name: 'flistxattr', args: [['fd', fd], ['list', bytesOut('size')], ['size', count]], result: size, support: XATTR,
      handler: (task, file) => none0(find(task, file)),
    }),
    define({
      name: 'fremovexattr', args: [['fd', fd], ['name', string]], result: none, support: XATTR,
      handler: (task, file, name) => void readAttribute(task, find(task, file), name),
    }),
  ];
}

/** An empty list. */
function none0(_vnode: Vnode): number {
  return 0;
}

export const calls = [
  ...statCalls(['oldstat', 'oldlstat', 'oldfstat'], s.oldStat, oldStat), ...statCalls(['stat', 'lstat', 'fstat'], s.stat32, stat32),
  ...statCalls(['stat64', 'lstat64', 'fstat64'], s.stat64, stat64), fstatat64, statx, statfsPath, statfsFd, statfs64Path, statfs64Fd, ustat,
  accessCall, faccessat, faccessat2, chmod, fchmod, fchmodat, fchmodat2, ...chownCalls(id16, ''), ...chownCalls(id32, '32'), fchownat,
  utime, utimes, futimesat, utimensat('utimensat', timespec32), utimensat('utimensat_time64', timespec64), ...xattrCalls(),
];
