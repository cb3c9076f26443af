/** mount, umount, pivot_root and their relatives. There is one tree for all processes: what one mounts all see. Linux: fs/namespace.c. */
import { CAP_SYS_ADMIN } from '../abi/capability.ts';
import { EAGAIN, EBUSY, EINVAL, ENODEV, ENOTBLK, ENOTDIR, EPERM, errno } from '../abi/errno.ts';
import * as f from '../abi/fcntl.ts';
import * as m from '../abi/mount.ts';
import { isMountRoot, type MountTable, mountOf } from '../fs/mount-table.ts';
import { DirectoryPlace, hold, liesBelow, release } from '../fs/path.ts';
import type { Place } from '../fs/vnode.ts';
import { capable } from '../proc/credentials.ts';
import type { Task, WorkingPlace } from '../proc/task.ts';
import { define } from './define.ts';
import { address, flags, hex, int, none, path, pathOrNull, pointerIn } from './kinds.ts';
import { AT_FDCWD, onlyFlags, placeAt } from './paths.ts';

const mountFlagNames = flags({
  MS_RDONLY: m.MS_RDONLY, MS_NOSUID: m.MS_NOSUID, MS_NODEV: m.MS_NODEV, MS_NOEXEC: m.MS_NOEXEC, MS_SYNCHRONOUS: m.MS_SYNCHRONOUS,
  MS_REMOUNT: m.MS_REMOUNT, MS_MANDLOCK: m.MS_MANDLOCK, MS_DIRSYNC: m.MS_DIRSYNC, MS_NOSYMFOLLOW: m.MS_NOSYMFOLLOW, MS_NOATIME: m.MS_NOATIME,
  MS_NODIRATIME: m.MS_NODIRATIME, MS_BIND: m.MS_BIND, MS_MOVE: m.MS_MOVE, MS_REC: m.MS_REC, MS_SILENT: m.MS_SILENT,
  MS_UNBINDABLE: m.MS_UNBINDABLE, MS_PRIVATE: m.MS_PRIVATE, MS_SLAVE: m.MS_SLAVE, MS_SHARED: m.MS_SHARED, MS_RELATIME: m.MS_RELATIME,
  MS_STRICTATIME: m.MS_STRICTATIME, MS_LAZYTIME: m.MS_LAZYTIME,
});

/** Bits that stay with a mount. */
const LASTING =
  m.MS_RDONLY | m.MS_NOSUID | m.MS_NODEV | m.MS_NOEXEC | m.MS_NOATIME | m.MS_NODIRATIME | m.MS_RELATIME | m.MS_SYNCHRONOUS | m.MS_NOSYMFOLLOW;
const PROPAGATION = m.MS_SHARED | m.MS_PRIVATE | m.MS_SLAVE | m.MS_UNBINDABLE;
/** Linux copies one page of options. */
const DATA_MAX = 4096;

function table(task: Task): MountTable {
  if (!capable(task.credentials, CAP_SYS_ADMIN)) throw errno(EPERM);
  const { mounts } = task.kernel.files;
  if (mounts === undefined) throw errno(EPERM);
  return mounts;
}

/** The options as text up to a NUL, or the page's end, or where the guest's memory ends. */
function dataAt(task: Task, at: number): string {
  if (at === 0) return '';
  const bytes = new Uint8Array(DATA_MAX - 1);
  const got = task.user.copyIn(at, bytes);
  const end = bytes.subarray(0, got).indexOf(0);
  return String.fromCharCode(...bytes.subarray(0, end < 0 ? got : end));
}

const mount = define({
  name: 'mount',
  args: [['source', pathOrNull], ['target', path], ['filesystemtype', pathOrNull], ['mountflags', mountFlagNames], ['data', pointerIn]],
  result: none,
  support: { partial: 'tmpfs, ramfs, proc, sysfs, devpts, mqueue and binds; other types answer ENODEV; propagation types are accepted, there is one tree for all' },
  handler: (task, source, target, type, given, data) => {
    const how = (given & m.MS_MGC_MSK) >>> 0 === m.MS_MGC_VAL ? given & ~m.MS_MGC_MSK : given;
    const options = dataAt(task, data);
    const at = placeAt(task, AT_FDCWD, target);
    if (how & m.MS_NOUSER) throw errno(EINVAL);
    const mounts = table(task);
    const lasting = how & LASTING;
    if (how & m.MS_REMOUNT) return mounts.remount(at, lasting, options);
    if (how & m.MS_BIND) return mounts.bind(sourceOf(task, source), at, (how & m.MS_REC) !== 0);
    if (how & PROPAGATION) return checkPropagation(at, how);
    if (how & m.MS_MOVE) return mounts.move(sourceOf(task, source), at);
    if (type === null) throw errno(EINVAL);
    try {
      mounts.add(at, source ?? 'none', type, lasting, options);
    } catch (error) {
      if (error === errno(ENODEV)) task.kernel.tracer.note?.(task, `file system type ${type} is not there; answered ENODEV`);
      throw error;
    }
  },
});

function sourceOf(task: Task, source: string | null): Place {
  if (source === null || source === '') throw errno(EINVAL);
  return placeAt(task, AT_FDCWD, source);
}

/** One kind at a time, of a whole mount. */
function checkPropagation(at: Place, how: number): void {
  const kind = how & ~(m.MS_REC | m.MS_SILENT);
  if ((kind & ~PROPAGATION) !== 0 || (kind & (kind - 1)) !== 0 || !isMountRoot(at)) throw errno(EINVAL);
}

function unmount(task: Task, target: string, how: number): void {
  onlyFlags(how, m.MNT_FORCE | m.MNT_DETACH | m.MNT_EXPIRE | m.UMOUNT_NOFOLLOW);
  const at = placeAt(task, AT_FDCWD, target, { flags: how & m.UMOUNT_NOFOLLOW ? f.AT_SYMLINK_NOFOLLOW : 0 });
  const mounts = table(task);
  if (how & m.MNT_EXPIRE) {
    if (how & (m.MNT_FORCE | m.MNT_DETACH)) throw errno(EINVAL);
    if (!mounts.expire(at)) throw errno(EAGAIN);
    return;
  }
  if (at === task.fs.root) throw errno(isMountRoot(at) ? EBUSY : EINVAL);
  mounts.remove(at, (how & m.MNT_DETACH) !== 0);
}

const umount = define({
  name: 'umount', args: [['target', path]], result: none, support: 'full', handler: (task, target) => unmount(task, target, 0),
});
const umount2 = define({
  name: 'umount2',
  args: [['target', path], ['flags', flags({ MNT_FORCE: m.MNT_FORCE, MNT_DETACH: m.MNT_DETACH, MNT_EXPIRE: m.MNT_EXPIRE, UMOUNT_NOFOLLOW: m.UMOUNT_NOFOLLOW })]],
  result: none, support: 'full', handler: unmount,
});

const pivotRoot = define({
  name: 'pivot_root', args: [['new_root', path], ['put_old', path]], result: none,
  support: { partial: 'the old root must go to a directory of its own below the new one' },
  handler: (task, newName, oldName) => {
    if (!capable(task.credentials, CAP_SYS_ADMIN)) throw errno(EPERM);
    const next = placeAt(task, AT_FDCWD, newName);
    const putOld = placeAt(task, AT_FDCWD, oldName);
    if (!(next instanceof DirectoryPlace) || !(putOld instanceof DirectoryPlace)) throw errno(ENOTDIR);
    const { root } = task.fs;
    if (next === root || mountOf(putOld) === root || putOld === root) throw errno(EBUSY);
    if (!isMountRoot(next) || root.parent !== undefined || putOld === next || !liesBelow(putOld, next) || putOld.parent === undefined) throw errno(EINVAL);
    pivot(task, root, next, putOld);
  },
});

/** Everybody whose root or working directory was the old root has the new one. */
function pivot(task: Task, root: DirectoryPlace, next: DirectoryPlace, putOld: DirectoryPlace): void {
  const above = next.parent as DirectoryPlace;
  above.mounts.delete(next.name);
  release(above);
  next.parent = undefined;
  next.name = '';
  const at = putOld.parent as DirectoryPlace;
  root.parent = at;
  root.name = putOld.name;
  at.mounts.set(putOld.name, root);
  hold(at);
  const places = new Set<WorkingPlace>([...task.kernel.tasks.values()].map(({ fs }) => fs));
  for (const place of places) {
    for (const which of ['root', 'cwd'] as const) {
      if (place[which] !== root) continue;
      hold(next);
      release(root);
      place[which] = next;
    }
  }
}

// ---- Relatives -------------------------------------------------------------------------------------------------------------------

const Q_SYNC = 0x800001;
const quotactl = define({
  name: 'quotactl', args: [['cmd', hex], ['special', pathOrNull], ['id', int], ['addr', address]], result: none,
  support: { stub: 'no file system has quotas: ENODEV, ENOTBLK' },
  handler: (task, command, special) => {
    if (special === null) {
      if (command >>> 8 === Q_SYNC) return;
      throw errno(ENODEV);
    }
    const { vnode } = placeAt(task, AT_FDCWD, special);
    throw errno(vnode.kind === 'block' ? ENODEV : ENOTBLK);
  },
});

export const calls = [mount, umount, umount2, pivotRoot, quotactl];
