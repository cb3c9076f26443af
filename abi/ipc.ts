/** System V IPC on i386: commands, flags, limits and both generations of structures. Source: uapi/linux/ipc.h, shm.h, asm-generic/ipcbuf.h, shmbuf.h. */
import { i16, type Struct, struct, u16, u32, x32 } from './struct.ts';

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

// ---- Semaphores and message queues: uapi/linux/sem.h, msg.h, asm-generic/sembuf.h, msgbuf.h ------------------------------------

export const SEM_UNDO = 0x1000;
export const GETPID = 11, GETVAL = 12, GETALL = 13, GETNCNT = 14, GETZCNT = 15, SETVAL = 16, SETALL = 17;
export const SEM_STAT = 18, SEM_INFO = 19, SEM_STAT_ANY = 20;
export const SEMMNI = 32000, SEMMSL = 32000, SEMMNS = SEMMNI * SEMMSL, SEMOPM = 500, SEMVMX = 32767, SEMAEM = SEMVMX, SEMUSZ = 20;
export const MSG_NOERROR = 0o10000, MSG_EXCEPT = 0o20000, MSG_COPY = 0o40000;
export const MSG_STAT = 11, MSG_INFO = 12, MSG_STAT_ANY = 13;
export const MSGMNI = 32000, MSGMAX = 8192, MSGMNB = 16384, MSGSSZ = 16, MSGSEG = 0xffff, MSGPOOL = (MSGMNI * MSGMNB) / 1024;

export interface Operation {
  num: number; op: number; flags: number;
}
export const sembuf: Struct<Operation> = struct<Operation>({ num: u16, op: i16, flags: i16 });

/** What all of them begin with, in the wide structures and in those of old. */
export interface Permissions {
  key: number; uid: number; gid: number; cuid: number; cgid: number; mode: number; seq: number;
}
interface WidePermissions extends Permissions {
  pad1: number; pad2: number; unused1: number; unused2: number;
}
const wide = { key: x32, uid: u32, gid: u32, cuid: u32, cgid: u32, mode: u16, pad1: u16, seq: u16, pad2: u16, unused1: u32, unused2: u32 };
const narrow = { key: x32, uid: u16, gid: u16, cuid: u16, cgid: u16, mode: u16, seq: u16 };

export interface SemaphoreStat extends Permissions {
  otime: number; ctime: number; nsems: number;
}
interface WideSemaphores extends SemaphoreStat, WidePermissions {
  otimeHigh: number; ctimeHigh: number; unused3: number; unused4: number;
}
export const semidDs64: Struct<WideSemaphores> = struct<WideSemaphores>({
  ...wide, otime: u32, otimeHigh: u32, ctime: u32, ctimeHigh: u32, nsems: u32, unused3: u32, unused4: u32,
});
interface NarrowSemaphores extends SemaphoreStat {
  base: number; pending: number; pendingLast: number; undo: number;
}
export const semidDs: Struct<NarrowSemaphores> = struct<NarrowSemaphores>({
  ...narrow, otime: u32, ctime: u32, base: u32, pending: u32, pendingLast: u32, undo: u32, nsems: u16,
});

export interface QueueStat extends Permissions {
  stime: number; rtime: number; ctime: number; cbytes: number; qnum: number; qbytes: number; lspid: number; lrpid: number;
}
interface WideQueue extends QueueStat, WidePermissions {
  stimeHigh: number; rtimeHigh: number; ctimeHigh: number; unused4: number; unused5: number;
}
export const msqidDs64: Struct<WideQueue> = struct<WideQueue>({
  ...wide, stime: u32, stimeHigh: u32, rtime: u32, rtimeHigh: u32, ctime: u32, ctimeHigh: u32, cbytes: u32, qnum: u32, qbytes: u32,
  lspid: u32, lrpid: u32, unused4: u32, unused5: u32,
});
interface NarrowQueue extends QueueStat {
  first: number; last: number; longCbytes: number; longQbytes: number;
}
export const msqidDs: Struct<NarrowQueue> = struct<NarrowQueue>({
  ...narrow, first: u32, last: u32, stime: u32, rtime: u32, ctime: u32, longCbytes: u32, longQbytes: u32, cbytes: u16, qnum: u16, qbytes: u16,
  lspid: u16, lrpid: u16,
});
