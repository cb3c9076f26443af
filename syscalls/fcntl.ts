/** fcntl: what it asks of descriptors, descriptions and files. */
import { EBADF, EINVAL, EPERM, ESRCH, errno } from '../abi/errno.ts';
import * as f from '../abi/fcntl.ts';
import { NSIG } from '../abi/signal.ts';
import { struct, u32 } from '../abi/struct.ts';
import type { Description } from '../fs/description.ts';
import { LocalSocket } from '../fs/socket.ts';
import { F_OWNER_PGRP, F_OWNER_PID, tellUrgent, unwatchAsync, watchAsync } from '../proc/signal-io.ts';
import type { Task } from '../proc/task.ts';
import { define } from './define.ts';
import { descriptorLimit } from './file.ts';
import { address, choice, type Fd, fd, intResult, loadAt, storeAt } from './kinds.ts';
import { notifyOf, setLease } from './lease.ts';
import { getLock, setLock } from './lock.ts';
import { requireOwner } from './paths.ts';

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

/** struct f_owner_ex. */
const ownerEx = struct<{ type: number; pid: number }>({ type: u32, pid: u32 });
/** Who named the owner. */
const ownerUids = struct<{ uid: number; euid: number }>({ uid: u32, euid: u32 });
const F_GETOWNER_UIDS = 17;

/** What F_SETFL may change. */
const SETTABLE = f.O_APPEND | f.O_NONBLOCK | f.O_DIRECT | f.O_NOATIME;
/** Commands that work on O_PATH descriptors too (open(2)). */
const PATH_COMMANDS = new Set([f.F_DUPFD, f.F_DUPFD_CLOEXEC, f.F_GETFD, f.F_SETFD, f.F_GETFL]);

function fcntl(task: Task, fd: Fd, command: number, argument: number): number {
  const description = task.files.get(fd);
  if (description.isPathOnly && !PATH_COMMANDS.has(command)) throw errno(EBADF);
  switch (command) {
    case f.F_DUPFD:
    case f.F_DUPFD_CLOEXEC:
      task.files.limit = descriptorLimit(task);
      return task.files.duplicate(fd, argument | 0, command === f.F_DUPFD_CLOEXEC);
    case f.F_GETFD:
      return task.files.closeOnExec(fd) ? f.FD_CLOEXEC : 0;
    case f.F_SETFD:
      task.files.setCloseOnExec(fd, (argument & f.FD_CLOEXEC) !== 0);
      return 0;
    case f.F_GETFL:
      return description.flags;
    case f.F_SETFL:
      checkFlags(task, description, argument);
      setAsync(task, fd, description, (argument & f.FASYNC) !== 0);
      description.setFlags((description.flags & ~SETTABLE) | (argument & SETTABLE));
      return 0;
    case f.F_GETLK:
      return getLock(task, description, argument, f.flock32, task.files);
    case f.F_SETLK:
      return setLock(task, description, argument, f.flock32, task.files, false);
    case f.F_SETLKW:
      return setLock(task, description, argument, f.flock32, task.files, true);
    case f.F_SETSIG:
      if (argument > NSIG) throw errno(EINVAL);
      description.signal = argument;
      return 0;
    case f.F_GETSIG:
      return description.signal;
    case f.F_GETLEASE:
      return task.kernel.files.leases.typeOf(description);
    case f.F_SETLEASE:
      return setLease(task, fd, description, argument);
    case f.F_NOTIFY:
      return notifyOf(task, fd, description, argument);
    case f.F_GET_SEALS:
      return description.vnode.kind === 'file' ? (description.vnode.seals ?? unknownCommand()) : unknownCommand();
    case f.F_ADD_SEALS:
      return addSeals(description, argument);
    case f.F_SETPIPE_SZ:
    case f.F_GETPIPE_SZ: {
      const { file } = description;
      if (file.capacity === undefined) throw errno(EBADF);
      return command === f.F_GETPIPE_SZ ? file.capacity() : file.capacity(argument);
    }
    default:
      return ownership(task, description, command, argument) ?? longLock(task, description, command, argument);
  }
}

/** Whom the descriptor's signals are for. Undefined: another command. */
function ownership(task: Task, description: Description, command: number, argument: number): number | undefined {
  const { owner } = description;
  const id = isThere(task, owner.id) ? owner.id : 0;
  switch (command) {
    case f.F_SETOWN: {
      setSignedOwner(task, description, argument | 0);
      return 0;
    }
    case f.F_GETOWN:
      return signedOwner(task, description);
    case f.F_SETOWN_EX: {
      const wanted = loadAt(task, argument, ownerEx);
      if (wanted.type > F_OWNER_PGRP) throw errno(EINVAL);
      setOwner(task, description, wanted.type, wanted.pid);
      return 0;
    }
    case f.F_GETOWN_EX:
      storeAt(task, argument, ownerEx, { type: owner.type, pid: id });
      return 0;
    case F_GETOWNER_UIDS:
      storeAt(task, argument, ownerUids, { uid: owner.by?.uid ?? 0, euid: owner.by?.euid ?? 0 });
      return 0;
    default:
      return undefined;
  }
}

function setOwner(task: Task, description: Description, type: number, id: number): void {
  if (id !== 0 && !isThere(task, id)) throw errno(ESRCH);
  const { uid, euid } = task.credentials;
  description.owner = { type, id, by: { uid, euid } };
  const { file } = description;
  if (file instanceof LocalSocket) file.onUrgent = () => tellUrgent(task.kernel, description);
}

/** F_SETOWN and its like of ioctl: a process, or with a minus a group. */
export function setSignedOwner(task: Task, description: Description, wanted: number): void {
  if (wanted === -0x8000_0000) throw errno(EINVAL);
  setOwner(task, description, wanted < 0 ? F_OWNER_PGRP : F_OWNER_PID, Math.abs(wanted));
}

/** The owner's number as F_GETOWN tells it. */
export function signedOwner(task: Task, { owner }: Description): number {
  const id = isThere(task, owner.id) ? owner.id : 0;
  return owner.type === F_OWNER_PGRP ? -id : id;
}

/** Pipes, sockets, terminals and the like tell of themselves; other files do not know O_ASYNC. */
export function hasAsync({ vnode, file }: Description): boolean {
  if (vnode.kind === 'fifo' || vnode.kind === 'socket') return true;
  return vnode.kind === 'character' && file.changes !== undefined && file.ioctl !== undefined;
}

/** Switches signals for a description's events on or off. */
export function setAsync(task: Task, fd: Fd, description: Description, on: boolean): void {
  const was = (description.flags & f.FASYNC) !== 0;
  if (was === on || !hasAsync(description)) return;
  description.setFlags(on ? description.flags | f.FASYNC : description.flags & ~f.FASYNC);
  if (on) watchAsync(task.kernel, description, fd);
  else unwatchAsync(description);
}

/** Whether a thread, process, group or session has this number. */
function isThere({ kernel }: Task, id: number): boolean {
  if (kernel.tasks.has(id) || kernel.processes.has(id)) return true;
  return [...kernel.processes.values()].some(({ pgid, sid }) => pgid === id || sid === id);
}

/** Linux: setfl. */
function checkFlags(task: Task, { vnode, place, flags: now }: Description, wanted: number): void {
  if (wanted & f.O_NOATIME && !(now & f.O_NOATIME)) requireOwner(task, vnode);
  // Files of memfd_create have no such transfers, though those of tmpfs do.
  const isDirect = vnode.kind === 'file' ? place.parent !== undefined : ['block', 'fifo'].includes(vnode.kind);
  if (wanted & f.O_DIRECT && !isDirect) throw errno(EINVAL);
}

/** Order of errors as Linux's memfd_add_seals. */
function addSeals({ vnode, flags: how }: Description, seals: number): number {
  if (!f.canWrite(how)) throw errno(EPERM);
  if (seals & ~f.F_ALL_SEALS || vnode.kind !== 'file' || vnode.seals === undefined || vnode.addSeals === undefined) throw errno(EINVAL);
  vnode.addSeals(seals);
  return 0;
}

/** Locks by 64-bit positions. The older call knows them too, as a 64-bit kernel has it for 32-bit programs (compat_sys_fcntl64). */
function longLock(task: Task, description: Description, command: number, argument: number): number {
  switch (command) {
    case f.F_GETLK64:
      return getLock(task, description, argument, f.flock64, task.files);
    case f.F_SETLK64:
      return setLock(task, description, argument, f.flock64, task.files, false);
    case f.F_SETLKW64:
      return setLock(task, description, argument, f.flock64, task.files, true);
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

function fcntlCall(name: string) {
  return define({
    name,
    args: [
      ['fd', fd],
      ['cmd', fcntlCommand],
      ['arg', address],
    ],
    result: intResult,
    support: 'full',
    onInterrupt: (task) => {
      task.kernel.files.locks.waitOver(task.files);
      return undefined;
    },
    handler: (task, file, command, argument) => fcntl(task, file, command, argument),
  });
}

export const calls = [fcntlCall('fcntl'), fcntlCall('fcntl64')];
