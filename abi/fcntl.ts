/** Opening, descriptor flags, locks and the *at flags of i386 Linux. Source: uapi/asm-generic/fcntl.h, uapi/linux/fcntl.h, uapi/linux/fs.h. */
import { i16, i32, i64, type Layout, type Struct, struct } from './struct.ts';

export const O_ACCMODE = 0o3,
  O_RDONLY = 0,
  O_WRONLY = 1,
  O_RDWR = 2;
export const O_CREAT = 0o100,
  O_EXCL = 0o200,
  O_NOCTTY = 0o400,
  O_TRUNC = 0o1000,
  O_APPEND = 0o2000,
  O_NONBLOCK = 0o4000;
export const O_DSYNC = 0o10000,
  FASYNC = 0o20000,
  O_DIRECT = 0o40000,
  O_LARGEFILE = 0o100000,
  O_DIRECTORY = 0o200000;
export const O_NOFOLLOW = 0o400000,
  O_NOATIME = 0o1000000,
  O_CLOEXEC = 0o2000000,
  O_SYNC = 0o4010000,
  O_PATH = 0o10000000;
/** O_TMPFILE without the O_DIRECTORY bit that always comes with it. */
export const O_TMPFILE_BIT = 0o20000000;
export const O_TMPFILE = 0o20200000;

export const F_DUPFD = 0,
  F_GETFD = 1,
  F_SETFD = 2,
  F_GETFL = 3,
  F_SETFL = 4,
  F_GETLK = 5,
  F_SETLK = 6,
  F_SETLKW = 7;
export const F_SETOWN = 8,
  F_GETOWN = 9,
  F_SETSIG = 10,
  F_GETSIG = 11,
  F_GETLK64 = 12,
  F_SETLK64 = 13,
  F_SETLKW64 = 14;
export const F_SETOWN_EX = 15,
  F_GETOWN_EX = 16,
  F_OFD_GETLK = 36,
  F_OFD_SETLK = 37,
  F_OFD_SETLKW = 38;
export const F_SETLEASE = 1024,
  F_GETLEASE = 1025,
  F_NOTIFY = 1026,
  F_DUPFD_CLOEXEC = 1030,
  F_SETPIPE_SZ = 1031,
  F_GETPIPE_SZ = 1032;
export const F_ADD_SEALS = 1033,
  F_GET_SEALS = 1034;
export const F_SEAL_SEAL = 1,
  F_SEAL_SHRINK = 2,
  F_SEAL_GROW = 4,
  F_SEAL_WRITE = 8,
  F_SEAL_FUTURE_WRITE = 16,
  F_SEAL_EXEC = 32;
/** Every seal there is. */
export const F_ALL_SEALS = 63;
export const FD_CLOEXEC = 1;

export const F_RDLCK = 0,
  F_WRLCK = 1,
  F_UNLCK = 2;
export const LOCK_SH = 1,
  LOCK_EX = 2,
  LOCK_NB = 4,
  LOCK_UN = 8;

export const AT_FDCWD = -100;
export const AT_SYMLINK_NOFOLLOW = 0x100,
  AT_REMOVEDIR = 0x200,
  AT_EACCESS = 0x200,
  AT_SYMLINK_FOLLOW = 0x400,
  AT_NO_AUTOMOUNT = 0x800;
export const AT_EMPTY_PATH = 0x1000,
  AT_EXECVE_CHECK = 0x1_0000,
  AT_STATX_FORCE_SYNC = 0x2000,
  AT_STATX_DONT_SYNC = 0x4000,
  AT_STATX_SYNC_TYPE = 0x6000;

export const RENAME_NOREPLACE = 1,
  RENAME_EXCHANGE = 2,
  RENAME_WHITEOUT = 4;
export const F_OK = 0,
  X_OK = 1,
  W_OK = 2,
  R_OK = 4;
export const SEEK_SET = 0,
  SEEK_CUR = 1,
  SEEK_END = 2,
  SEEK_DATA = 3,
  SEEK_HOLE = 4;
export const UTIME_NOW = 0x3fffffff,
  UTIME_OMIT = 0x3ffffffe;
export const FALLOC_FL_KEEP_SIZE = 1,
  FALLOC_FL_PUNCH_HOLE = 2,
  FALLOC_FL_COLLAPSE_RANGE = 8,
  FALLOC_FL_ZERO_RANGE = 16,
  FALLOC_FL_INSERT_RANGE = 32,
  FALLOC_FL_UNSHARE_RANGE = 64;
export const CLOSE_RANGE_UNSHARE = 2,
  CLOSE_RANGE_CLOEXEC = 4;

/** openat2's resolve bits. */
export const RESOLVE_NO_XDEV = 1,
  RESOLVE_NO_MAGICLINKS = 2,
  RESOLVE_NO_SYMLINKS = 4,
  RESOLVE_BENEATH = 8,
  RESOLVE_IN_ROOT = 16,
  RESOLVE_CACHED = 32;

/** Bytes of a path with its NUL, and of one component without. */
export const PATH_MAX = 4096,
  NAME_MAX = 255;
/** Symbolic links one walk may pass. */
export const MAX_SYMLINKS = 40;

/** struct flock and flock64, decoded alike. */
export interface FileLock {
  l_type: number;
  l_whence: number;
  l_start: bigint;
  l_len: bigint;
  l_pid: number;
}
const exact32: Layout<bigint> = {
  size: 4, align: 4, read: (v, at) => BigInt(v.getInt32(at, true)), write: (v, at, n) => v.setInt32(at, Number(n), true), show: String,
};
export const flock32: Struct<FileLock> = struct<FileLock>({ l_type: i16, l_whence: i16, l_start: exact32, l_len: exact32, l_pid: i32 });
export const flock64: Struct<FileLock> = struct<FileLock>({ l_type: i16, l_whence: i16, l_start: i64, l_len: i64, l_pid: i32 });

/** Which access a description with these open flags grants. */
export function canRead(flags: number): boolean {
  const access = flags & O_ACCMODE;
  return (access === O_RDONLY || access === O_RDWR) && (flags & O_PATH) === 0;
}
export function canWrite(flags: number): boolean {
  const access = flags & O_ACCMODE;
  return (access === O_WRONLY || access === O_RDWR) && (flags & O_PATH) === 0;
}
