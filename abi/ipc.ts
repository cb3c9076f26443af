/** System V shared memory on i386: commands, flags, limits and both generations of structures. Source: uapi/linux/ipc.h, shm.h, asm-generic/ipcbuf.h, shmbuf.h. */
import { type Struct, struct, u16, u32, x32 } from './struct.ts';

export const IPC_PRIVATE = 0, IPC_CREAT = 0o1000, IPC_EXCL = 0o2000, IPC_NOWAIT = 0o4000;
export const IPC_RMID = 0, IPC_SET = 1, IPC_STAT = 2, IPC_INFO = 3;
/** Asked for by programs through ipc(2) that know the wide structures. */
export const IPC_64 = 0x100;
export const SHM_RDONLY = 0o10000, SHM_RND = 0o20000, SHM_REMAP = 0o40000, SHM_EXEC = 0o100000;
export const SHM_HUGETLB = 0o4000, SHM_NORESERVE = 0o10000;
export const SHM_LOCK = 11, SHM_UNLOCK = 12, SHM_STAT = 13, SHM_INFO = 14, SHM_STAT_ANY = 15;
/** Mode bits of a segment: to be destroyed at its last detach; locked in memory. */
export const SHM_DEST = 0o1000, SHM_LOCKED = 0o2000;
export const SHMMNI = 4096, SHMALL = 0x7fffffff, SHMMAX = 0xffff_ffff;
/** Identifiers are a sequence number above an index of so many bits. */
export const INDEX_BITS = 15;

/** What any of the structures says; each leaves out what it has no room for. */
export interface SegmentStat {
  key: number; uid: number; gid: number; cuid: number; cgid: number; mode: number; seq: number;
  segsz: number; atime: number; dtime: number; ctime: number; cpid: number; lpid: number; nattch: number;
}
interface Wide extends SegmentStat {
  pad1: number; pad2: number; unused1: number; unused2: number; atimeHigh: number; dtimeHigh: number; ctimeHigh: number; unused4: number; unused5: number;
}
export const shmidDs64: Struct<Wide> = struct<Wide>({
  key: x32, uid: u32, gid: u32, cuid: u32, cgid: u32, mode: u16, pad1: u16, seq: u16, pad2: u16, unused1: u32, unused2: u32,
  segsz: u32, atime: u32, atimeHigh: u32, dtime: u32, dtimeHigh: u32, ctime: u32, ctimeHigh: u32, cpid: u32, lpid: u32, nattch: u32,
  unused4: u32, unused5: u32,
});
interface Narrow extends SegmentStat {
  unused: number; unused2: number; unused3: number;
}
export const shmidDs: Struct<Narrow> = struct<Narrow>({
  key: x32, uid: u16, gid: u16, cuid: u16, cgid: u16, mode: u16, seq: u16, segsz: u32, atime: u32, dtime: u32, ctime: u32,
  cpid: u16, lpid: u16, nattch: u16, unused: u16, unused2: u32, unused3: u32,
});
