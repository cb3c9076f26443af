/** File locks: byte ranges through fcntl, whole files through flock. */
import { EAGAIN, EBADF, EINVAL, EOVERFLOW, errno } from '../abi/errno.ts';
import * as f from '../abi/fcntl.ts';
import type { Struct } from '../abi/struct.ts';
import { AnonymousVnode } from '../fs/anonymous.ts';
import type { Description } from '../fs/description.ts';
import { LOCK_END, type LockRange } from '../fs/locks.ts';
import type { Vnode } from '../fs/vnode.ts';
import type { Task } from '../proc/task.ts';
import { block } from '../proc/wait.ts';
import { define } from './define.ts';
import { fd, flags, loadAt, none, storeAt } from './kinds.ts';
import { openAt } from './paths.ts';

/** Largest position that the old struct can tell (COMPAT_OFF_T_MAX). */
const OFFSET_MAX_32 = 0x7fff_ffffn;
const PIDFD = 'anon_inode:[pidfd]';

/** Locks are on inodes, and all nameless files but pidfds share one. */
function lockKey(vnode: Vnode): string {
  return vnode instanceof AnonymousVnode && vnode.isFixed && vnode.label !== PIDFD ? 'anon_inode' : vnode.key;
}

/** A struct flock's range in bytes from the file's start. */
function rangeOf(description: Description, lock: f.FileLock): LockRange {
  const base = BigInt(
    lock.l_whence === f.SEEK_SET
      ? 0
      : lock.l_whence === f.SEEK_CUR
        ? description.position
        : lock.l_whence === f.SEEK_END
          ? sizeOf(description)
          : -1,
  );
  if (base < 0n) throw errno(EINVAL);
  const start = base + lock.l_start;
  const end = start + lock.l_len;
  if (start >= LOCK_END) throw errno(EOVERFLOW);
  if (start < 0n) throw errno(EINVAL);
  if (lock.l_len === 0n) return { start, end: LOCK_END };
  if (end > LOCK_END) throw errno(EOVERFLOW);
  if (end < 0n) throw errno(EINVAL);
  return lock.l_len > 0n ? { start, end } : { start: end, end: start };
}

function sizeOf(description: Description): number {
  return description.vnode.stat().size;
}

export function getLock(task: Task, description: Description, at: number, layout: Struct<f.FileLock>, owner: object): number {
  const lock = loadAt(task, at, layout);
  const isOwn = owner === description;
  if (!isOwn && lock.l_type !== f.F_RDLCK && lock.l_type !== f.F_WRLCK) throw errno(EINVAL);
  const range = rangeOf(description, lock);
  if (isOwn && (lock.l_type < f.F_RDLCK || lock.l_type > f.F_UNLCK || lock.l_pid !== 0)) throw errno(EINVAL);
  const other = task.kernel.files.locks.conflict(lockKey(description.vnode), owner, lock.l_type, range);
  // Nothing else of the struct changes.
  if (other === undefined) {
    task.user.writeU16(at, f.F_UNLCK);
    return 0;
  }
  const { start, end } = other.range;
  const length = end === LOCK_END ? 0n : end - start;
  const most = layout === f.flock32 ? OFFSET_MAX_32 : LOCK_END;
  if (start > most) throw errno(EOVERFLOW);
  storeAt(task, at, layout, {
    l_type: other.type,
    l_whence: f.SEEK_SET,
    l_start: start,
    l_len: length > most ? most : length,
    l_pid: other.pid,
  });
  return 0;
}

export function setLock(
  task: Task,
  description: Description,
  at: number,
  layout: Struct<f.FileLock>,
  owner: object,
  waits: boolean,
): number {
  const lock = loadAt(task, at, layout);
  const range = rangeOf(description, lock);
  if (lock.l_type < f.F_RDLCK || lock.l_type > f.F_UNLCK) throw errno(EINVAL);
  if (lock.l_type === f.F_RDLCK && !f.canRead(description.flags)) throw errno(EBADF);
  if (lock.l_type === f.F_WRLCK && !f.canWrite(description.flags)) throw errno(EBADF);
  if (owner === description && lock.l_pid !== 0) throw errno(EINVAL);
  const { locks } = task.kernel.files;
  const key = lockKey(description.vnode);
  locks.waitOver(owner);
  // Closing any descriptor of a file gives back all of the process's locks on it (fcntl(2)).
  const { files } = task;
  if (owner === files) {
    files.onClosing('locks', ({ vnode }) => {
      locks.releaseAll(lockKey(vnode), files);
      locks.waitOver(files);
    });
  }
  if (locks.set(key, owner, lock.l_type, range, owner === description ? -1 : task.process.pid)) {
    if (owner === description) description.onClose('locks', () => locks.releaseAll(key, description));
    return 0;
  }
  if (!waits) throw errno(EAGAIN);
  const holder = locks.conflict(key, owner, lock.l_type, range)?.owner;
  if (owner !== description && holder !== undefined) locks.waitFor(owner, holder);
  throw block(locks.released);
}

const LOCK_MAND = 32;

const flock = define({
  name: 'flock',
  args: [
    ['fd', fd],
    ['operation', flags({ LOCK_SH: f.LOCK_SH, LOCK_EX: f.LOCK_EX, LOCK_NB: f.LOCK_NB, LOCK_UN: f.LOCK_UN })],
  ],
  result: none,
  support: 'full',
  handler: (task, file, operation) => {
    // An old kind of lock that does nothing.
    if (operation & LOCK_MAND) return;
    const kind = operation & ~f.LOCK_NB;
    if (kind !== f.LOCK_SH && kind !== f.LOCK_EX && kind !== f.LOCK_UN) throw errno(EINVAL);
    const description = openAt(task, file);
    if (kind !== f.LOCK_UN && !f.canRead(description.flags) && !f.canWrite(description.flags)) throw errno(EBADF);
    const { locks } = task.kernel.files;
    const key = lockKey(description.vnode);
    const wanted = kind === f.LOCK_UN ? 'none' : kind === f.LOCK_EX ? 'exclusive' : 'shared';
    if (!locks.lockWhole(key, description, wanted, task.process.pid)) {
      if (operation & f.LOCK_NB) throw errno(EAGAIN);
      throw block(locks.released);
    }
    if (kind !== f.LOCK_UN) description.onClose('locks', () => locks.releaseAll(key, description));
  },
});

export const calls = [flock];
