/** mount(2) and umount2(2) flags. Source: include/uapi/linux/mount.h, linux/fs.h. */
import { ENOSPC } from './errno.ts';

export const MS_RDONLY = 1,
  MS_NOSUID = 2,
  MS_NODEV = 4,
  MS_NOEXEC = 8,
  MS_SYNCHRONOUS = 16,
  MS_REMOUNT = 32,
  MS_MANDLOCK = 64,
  MS_DIRSYNC = 128,
  MS_NOSYMFOLLOW = 256,
  MS_NOATIME = 1024,
  MS_NODIRATIME = 2048,
  MS_BIND = 4096,
  MS_MOVE = 8192,
  MS_REC = 16384,
  MS_SILENT = 32768,
  MS_UNBINDABLE = 1 << 17,
  MS_PRIVATE = 1 << 18,
  MS_SLAVE = 1 << 19,
  MS_SHARED = 1 << 20,
  MS_RELATIME = 1 << 21,
  MS_STRICTATIME = 1 << 24,
  MS_LAZYTIME = 1 << 25,
  MS_NOUSER = 0x8000_0000;
/** Old programs set the upper half to this. */
export const MS_MGC_VAL = 0xc0ed_0000,
  MS_MGC_MSK = 0xffff_0000;
export const MNT_FORCE = 1,
  MNT_DETACH = 2,
  MNT_EXPIRE = 4,
  UMOUNT_NOFOLLOW = 8;
/** What Linux answers beyond fs.mount-max. */
export const TOO_MANY_MOUNTS: number = ENOSPC;
