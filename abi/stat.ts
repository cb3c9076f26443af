/** File kinds, permission bits, and every stat and statfs layout i386 Linux has. Source: uapi/asm/stat.h, uapi/linux/stat.h, uapi/asm-generic/statfs.h. */
import { array, i32, type Layout, o32, type Struct, s64, struct, u16, u32, u64 } from './struct.ts';

export const S_IFMT = 0o170000,
  S_IFSOCK = 0o140000,
  S_IFLNK = 0o120000,
  S_IFREG = 0o100000,
  S_IFBLK = 0o60000,
  S_IFDIR = 0o40000;
export const S_IFCHR = 0o20000,
  S_IFIFO = 0o10000,
  S_ISUID = 0o4000,
  S_ISGID = 0o2000,
  S_ISVTX = 0o1000,
  S_IXGRP = 0o010;

const PADDING: Layout<number> = { ...u32, show: () => '' };
const o16: Layout<number> = { ...u16, show: o32.show };

/** struct __old_kernel_stat, for calls 18, 28 and 84. */
export interface OldStat {
  st_dev: number;
  st_ino: number;
  st_mode: number;
  st_nlink: number;
  st_uid: number;
  st_gid: number;
  st_rdev: number;
  st_size: number;
  st_atime: number;
  st_mtime: number;
  st_ctime: number;
}
export const oldStat: Struct<OldStat> = struct<OldStat>({
  st_dev: u16,
  st_ino: u16,
  st_mode: o16,
  st_nlink: u16,
  st_uid: u16,
  st_gid: u16,
  st_rdev: u16,
  st_size: u32,
  st_atime: u32,
  st_mtime: u32,
  st_ctime: u32,
});

/** struct stat, for calls 106 to 108. */
export interface Stat32 {
  st_dev: number;
  st_ino: number;
  st_mode: number;
  st_nlink: number;
  st_uid: number;
  st_gid: number;
  st_rdev: number;
  st_size: number;
  st_blksize: number;
  st_blocks: number;
  st_atime: number;
  st_atime_nsec: number;
  st_mtime: number;
  st_mtime_nsec: number;
  st_ctime: number;
  st_ctime_nsec: number;
}
export const stat32: Struct<Stat32> = struct<Stat32>(
  {
    st_dev: u32,
    st_ino: u32,
    st_mode: o16,
    st_nlink: u16,
    st_uid: u16,
    st_gid: u16,
    st_rdev: u32,
    st_size: u32,
    st_blksize: u32,
    st_blocks: u32,
    st_atime: u32,
    st_atime_nsec: u32,
    st_mtime: u32,
    st_mtime_nsec: u32,
    st_ctime: u32,
    st_ctime_nsec: u32,
  },
  64,
);

/** struct stat64, for calls 195 to 197 and 300. */
export interface Stat64 {
  st_dev: bigint;
  pad0: number;
  __st_ino: number;
  st_mode: number;
  st_nlink: number;
  st_uid: number;
  st_gid: number;
  st_rdev: bigint;
  pad3: number;
  st_size: number;
  st_blksize: number;
  st_blocks: number;
  st_atime: number;
  st_atime_nsec: number;
  st_mtime: number;
  st_mtime_nsec: number;
  st_ctime: number;
  st_ctime_nsec: number;
  st_ino: bigint;
}
export const stat64: Struct<Stat64> = struct<Stat64>({
  st_dev: u64,
  pad0: PADDING,
  __st_ino: u32,
  st_mode: o32,
  st_nlink: u32,
  st_uid: u32,
  st_gid: u32,
  st_rdev: u64,
  pad3: PADDING,
  st_size: s64,
  st_blksize: u32,
  st_blocks: s64,
  st_atime: i32,
  st_atime_nsec: u32,
  st_mtime: i32,
  st_mtime_nsec: u32,
  st_ctime: i32,
  st_ctime_nsec: u32,
  st_ino: u64,
});

export interface StatxTime {
  tv_sec: number;
  tv_nsec: number;
  pad: number;
}
const statxTime = struct<StatxTime>({ tv_sec: s64, tv_nsec: u32, pad: PADDING });

export interface Statx {
  stx_mask: number;
  stx_blksize: number;
  stx_attributes: number;
  stx_nlink: number;
  stx_uid: number;
  stx_gid: number;
  stx_mode: number;
  pad0: number;
  stx_ino: bigint;
  stx_size: number;
  stx_blocks: number;
  stx_attributes_mask: number;
  stx_atime: StatxTime;
  stx_btime: StatxTime;
  stx_ctime: StatxTime;
  stx_mtime: StatxTime;
  stx_rdev_major: number;
  stx_rdev_minor: number;
  stx_dev_major: number;
  stx_dev_minor: number;
  stx_mnt_id: number;
}
export const statx: Struct<Statx> = struct<Statx>(
  {
    stx_mask: u32,
    stx_blksize: u32,
    stx_attributes: s64,
    stx_nlink: u32,
    stx_uid: u32,
    stx_gid: u32,
    stx_mode: o16,
    pad0: { ...u16, show: () => '' },
    stx_ino: u64,
    stx_size: s64,
    stx_blocks: s64,
    stx_attributes_mask: s64,
    stx_atime: statxTime,
    stx_btime: statxTime,
    stx_ctime: statxTime,
    stx_mtime: statxTime,
    stx_rdev_major: u32,
    stx_rdev_minor: u32,
    stx_dev_major: u32,
    stx_dev_minor: u32,
    stx_mnt_id: s64,
  },
  256,
);

export const STATX_BASIC_STATS = 0x7ff,
  STATX_BTIME = 0x800,
  STATX_MNT_ID = 0x1000,
  STATX_RESERVED = 0x80000000;

/** struct statfs and statfs64, decoded alike but for the width of the counts. */
export interface Statfs {
  f_type: number;
  f_bsize: number;
  f_blocks: number;
  f_bfree: number;
  f_bavail: number;
  f_files: number;
  f_ffree: number;
  f_fsid: number[];
  f_namelen: number;
  f_frsize: number;
  f_flags: number;
  f_spare: number[];
}
export const statfs32: Struct<Statfs> = struct<Statfs>({
  f_type: u32,
  f_bsize: u32,
  f_blocks: u32,
  f_bfree: u32,
  f_bavail: u32,
  f_files: u32,
  f_ffree: u32,
  f_fsid: array(i32, 2),
  f_namelen: u32,
  f_frsize: u32,
  f_flags: u32,
  f_spare: array(u32, 4),
});
export const statfs64: Struct<Statfs> = struct<Statfs>({
  f_type: u32,
  f_bsize: u32,
  f_blocks: s64,
  f_bfree: s64,
  f_bavail: s64,
  f_files: s64,
  f_ffree: s64,
  f_fsid: array(i32, 2),
  f_namelen: u32,
  f_frsize: u32,
  f_flags: u32,
  f_spare: array(u32, 4),
});

/** Linux's 64-bit encoding of a device number (new_encode_dev, huge where major or minor need it). */
export function makeDevice(major: number, minor: number): number {
  return ((minor & 0xff) | ((major & 0xfff) << 8) | ((minor & ~0xff) << 12)) >>> 0;
}
export function deviceMajor(device: number): number {
  return (device >>> 8) & 0xfff;
}
export function deviceMinor(device: number): number {
  return ((device & 0xff) | ((device >>> 12) & ~0xff)) >>> 0;
}
