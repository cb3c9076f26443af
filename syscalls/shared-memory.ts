/** System V shared memory: shmget, shmat, shmdt, shmctl, by themselves and through ipc(2). */
import { CAP_IPC_LOCK } from '../abi/capability.ts';
import { EINVAL, ENOMEM, EPERM, errno } from '../abi/errno.ts';
import * as ipc from '../abi/ipc.ts';
import * as mman from '../abi/mman.ts';
import { PAGE_SIZE, pageUp } from '../abi/page.ts';
import type { Struct } from '../abi/struct.ts';
import { capable } from '../proc/credentials.ts';
import { checkAccess, checkOwner } from '../proc/ipc-table.ts';
import type { Segment } from '../proc/shared-memory.ts';
import type { Task } from '../proc/task.ts';
import { define } from './define.ts';
import { lockLimit, mapWithLocks } from './memory-lock.ts';
import { address, addressResult, choice, count, flags, hex, int, intResult, loadAt, none, pointerOut, storeAt } from './kinds.ts';

const shmFlags = flags({ IPC_CREAT: ipc.IPC_CREAT, IPC_EXCL: ipc.IPC_EXCL, SHM_HUGETLB: ipc.SHM_HUGETLB, SHM_NORESERVE: ipc.SHM_NORESERVE });
const attachFlags = flags({ SHM_RDONLY: ipc.SHM_RDONLY, SHM_RND: ipc.SHM_RND, SHM_REMAP: ipc.SHM_REMAP, SHM_EXEC: ipc.SHM_EXEC });
const command = choice({
  IPC_RMID: ipc.IPC_RMID, IPC_SET: ipc.IPC_SET, IPC_STAT: ipc.IPC_STAT, IPC_INFO: ipc.IPC_INFO, SHM_LOCK: ipc.SHM_LOCK,
  SHM_UNLOCK: ipc.SHM_UNLOCK, SHM_STAT: ipc.SHM_STAT, SHM_INFO: ipc.SHM_INFO, SHM_STAT_ANY: ipc.SHM_STAT_ANY,
});

function seconds(task: Task): number {
  return Number(task.kernel.clock.realtime() / 1_000_000_000n);
}

export const shmget = define({
  name: 'shmget', args: [['key', hex], ['size', count], ['shmflg', shmFlags]], result: intResult,
  support: { partial: 'SHM_HUGETLB answers ENOMEM: there are no huge pages' },
  handler: (task, key, size, how) => {
    if ((how & ipc.SHM_HUGETLB) !== 0) throw errno(ENOMEM);
    const { credentials, process, space, kernel } = task;
    return kernel.shm.get({ key, size, flags: how, credentials, pid: process.pid, frames: space.frames, now: seconds(task) }).id;
  },
});

const shmat = define({
  name: 'shmat', args: [['shmid', int], ['shmaddr', address], ['shmflg', attachFlags]], result: addressResult, support: 'full',
  handler: attach,
});

function attach(task: Task, id: number, wanted: number, how: number): number {
  if (id < 0) throw errno(EINVAL);
  const addr = placeOf(wanted, how);
  const readOnly = (how & ipc.SHM_RDONLY) !== 0;
  const executable = (how & ipc.SHM_EXEC) !== 0;
  const segment = task.kernel.shm.table.find(id);
  checkAccess(segment, task.credentials, (readOnly ? 0o444 : 0o666) | (executable ? 0o111 : 0));
  const size = segment.object.size;
  if (addr !== 0 && (how & ipc.SHM_REMAP) === 0) {
    const above = task.space.segments.findAreaAbove(addr);
    if (above !== undefined && above.base < addr + size) throw errno(EINVAL);
  }
  const prot = mman.PROT_READ | (readOnly ? 0 : mman.PROT_WRITE) | (executable ? mman.PROT_EXEC : 0);
  const maxProt = readOnly ? mman.PROT_ALL & ~mman.PROT_WRITE : mman.PROT_ALL;
  const at = mapWithLocks(task, {
    addr, size, prot, flags: mman.MAP_SHARED | (addr !== 0 ? mman.MAP_FIXED : 0), object: segment.object, offset: 0, maxProt,
  });
  segment.atime = seconds(task);
  segment.lpid = task.process.pid;
  return at;
}

/** Where it is to be; 0: anywhere. */
function placeOf(wanted: number, how: number): number {
  if (wanted === 0) {
    if ((how & ipc.SHM_REMAP) !== 0) throw errno(EINVAL);
    return 0;
  }
  if (wanted % PAGE_SIZE === 0) return wanted;
  if ((how & ipc.SHM_RND) === 0) throw errno(EINVAL);
  const rounded = wanted - (wanted % PAGE_SIZE);
  if (rounded === 0 && (how & ipc.SHM_REMAP) !== 0) throw errno(EINVAL);
  return rounded;
}

export const shmdt = define({
  name: 'shmdt', args: [['shmaddr', address]], result: none, support: 'full',
  handler: (task, addr) => {
    if (addr % PAGE_SIZE !== 0) throw errno(EINVAL);
    const { space, kernel } = task;
    // As Linux does: what is left of the first attachment that began at this address, however it was cut since.
    let segment: Segment | undefined;
    for (const area of [...space.areas()].filter((each) => each.top > addr)) {
      if (area.object === undefined || area.base - addr !== area.offset * PAGE_SIZE) continue;
      const owner = kernel.shm.ofObject(area.object);
      if (owner === undefined || (segment !== undefined && owner !== segment)) continue;
      if (segment !== undefined && area.base >= addr + segment.object.size) break;
      segment = owner;
      segment.dtime = seconds(task);
      segment.lpid = task.process.pid;
      space.unmap(area.base, area.top - area.base);
    }
    if (segment === undefined) throw errno(EINVAL);
  },
});

// ---- shmctl --------------------------------------------------------------------------------------------------------------------

function statOf(segment: Segment): ipc.SegmentStat {
  const { key, uid, gid, cuid, cgid, mode, size, atime, dtime, ctime, cpid, lpid, object, id } = segment;
  return { key, uid, gid, cuid, cgid, mode, seq: id >> ipc.INDEX_BITS, segsz: size, atime, dtime, ctime, cpid, lpid, nattch: object.areas.size };
}

const NO_PADDING = { pad1: 0, pad2: 0, unused: 0, unused1: 0, unused2: 0, unused3: 0, unused4: 0, unused5: 0, atimeHigh: 0, dtimeHigh: 0, ctimeHigh: 0 };

function words(task: Task, at: number, values: readonly number[]): void {
  task.user.write(at, new Uint8Array(Uint32Array.from(values, (value) => value >>> 0).buffer));
}

/** Pages of a segment are never taken away here, locked or not; but locked ones are counted. */
function lockSegment(task: Task, segment: Segment, on: boolean): void {
  const { uid } = task.credentials;
  const limit = lockLimit(task);
  if (on && limit === 0) throw errno(EPERM);
  if (on && segment.lockedBy === undefined) {
    if (task.kernel.shm.lockedPages(uid) + pageUp(segment.size) / PAGE_SIZE > Math.floor(limit / PAGE_SIZE)) throw errno(ENOMEM);
  }
  segment.mode = on ? segment.mode | ipc.SHM_LOCKED : segment.mode & ~ipc.SHM_LOCKED;
  segment.lockedBy = on ? (segment.lockedBy ?? uid) : undefined;
}

function control(task: Task, id: number, what: number, at: number, wide: boolean): number {
  const { shm } = task.kernel;
  if (id < 0 || what < 0) throw errno(EINVAL);
  switch (what) {
    case ipc.IPC_INFO:
      words(task, at, [Math.min(ipc.SHMMAX, 0x7fff_ffff), 1, ipc.SHMMNI, ipc.SHMMNI, ipc.SHMALL, ...(wide ? [0, 0, 0, 0] : [])]);
      return shm.table.highestIndex;
    case ipc.SHM_INFO: {
      const { total, resident } = shm.pages();
      words(task, at, [shm.table.all().length, total, resident, 0, 0, 0]);
      return shm.table.highestIndex;
    }
    case ipc.IPC_STAT:
    case ipc.SHM_STAT:
    case ipc.SHM_STAT_ANY: {
      const segment = what === ipc.IPC_STAT ? shm.table.find(id) : shm.table.atIndex(id);
      if (what !== ipc.SHM_STAT_ANY) checkAccess(segment, task.credentials, 0o444);
      const stat = { ...statOf(segment), ...NO_PADDING };
      if (wide) storeAt(task, at, ipc.shmidDs64, stat);
      else storeAt(task, at, ipc.shmidDs, stat);
      return what === ipc.IPC_STAT ? 0 : segment.id;
    }
    case ipc.IPC_SET: {
      const layout: Struct<ipc.SegmentStat> = wide ? (ipc.shmidDs64 as Struct<ipc.SegmentStat>) : (ipc.shmidDs as Struct<ipc.SegmentStat>);
      const { uid, gid, mode } = loadAt(task, at, layout);
      const segment = shm.table.find(id);
      checkOwner(segment, task.credentials);
      segment.uid = uid;
      segment.gid = gid;
      segment.mode = (segment.mode & ~0o777) | (mode & 0o777);
      segment.ctime = seconds(task);
      return 0;
    }
    case ipc.IPC_RMID: {
      const segment = shm.table.find(id);
      checkOwner(segment, task.credentials);
      shm.remove(segment);
      return 0;
    }
    case ipc.SHM_LOCK:
    case ipc.SHM_UNLOCK: {
      const segment = shm.table.find(id);
      const { euid } = task.credentials;
      if (!capable(task.credentials, CAP_IPC_LOCK) && euid !== segment.uid && euid !== segment.cuid) throw errno(EPERM);
      lockSegment(task, segment, what === ipc.SHM_LOCK);
      return 0;
    }
    default: throw errno(EINVAL);
  }
}

const shmctl = define({
  name: 'shmctl', args: [['shmid', int], ['cmd', command], ['buf', pointerOut]], result: intResult, support: 'full',
  handler: (task, id, what, at) => control(task, id, what, at, true),
});

// ---- As ipc(2) has them -------------------------------------------------------------------------------------------------------


/** shmctl as ipc(2) has it: which structures are meant is a bit of the command. */
export const oldShmctl = define({
  name: 'shmctl', args: [['shmid', int], ['cmd', command], ['buf', pointerOut]], result: intResult, support: 'full',
  handler: (task, id, what, at) => control(task, id, what & ~ipc.IPC_64, at, (what & ipc.IPC_64) !== 0),
});

/** shmat that writes the address to where its third argument points. */
export const oldShmat = define({
  name: 'shmat', args: [['shmid', int], ['shmaddr', address], ['shmflg', attachFlags], ['raddr', pointerOut]], result: none, support: 'full',
  handler: (task, id, addr, how, result) => {
    // The kernel attaches first and writes then; a bad pointer leaves the segment attached.
    const at = attach(task, id, addr, how);
    task.user.writeU32(result, at);
  },
});

export const calls = [shmget, shmat, shmdt, shmctl];
