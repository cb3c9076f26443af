/** Names that go or move: unlink, rmdir, and rename in all its forms. */
import { EBUSY, EEXIST, EINVAL, EISDIR, ENAMETOOLONG, ENOTDIR, ENOTEMPTY, Errno, errno, EXDEV } from '../abi/errno.ts';
import * as f from '../abi/fcntl.ts';
import { liesBelow, release, type Walked } from '../fs/path.ts';
import type { Place } from '../fs/vnode.ts';
import type { Task } from '../proc/task.ts';
import { define } from './define.ts';
import { dirfd, type Fd, flags, type In, latePath, none, path, pathText } from './kinds.ts';
import { AT_FDCWD, directoryOf, entryAt, existing, onlyFlags, own, severable } from './paths.ts';

function isMountPoint(walked: Walked): boolean {
  return walked.parent.mounts.has(walked.name);
}

function unlinkAt(task: Task, dir: Fd, name: string): void {
  const walked = entryAt(task, dir, name);
  if (walked.name === '' || walked.name === '.' || walked.name === '..') throw errno(EISDIR);
  const place = existing(walked);
  const isDirectory = place.vnode.kind === 'directory';
  if (walked.slash) throw errno(isDirectory ? EISDIR : ENOTDIR);
  const directory = severable(task, walked);
  if (isDirectory) throw errno(EISDIR);
  if (isMountPoint(walked)) throw errno(EBUSY);
  const { watches } = task.kernel.files;
  const wasLast = watches.isLastName(place.vnode);
  if (!forgetSocket(walked)) directory.unlink(walked.name);
  watches.removed(walked.parent.vnode, walked.name, place.vnode, wasLast);
}

/** The name of a socket that only the guest sees: the host has no file for it (bind). */
function forgetSocket({ parent, name }: Walked): boolean {
  if (parent.fallbacks.get(name)?.kind !== 'socket') return false;
  parent.fallbacks.delete(name);
  release(parent);
  return true;
}

function rmdirAt(task: Task, dir: Fd, name: string): void {
  const walked = entryAt(task, dir, name);
  if (walked.name === '') throw errno(EBUSY);
  if (walked.name === '.') throw errno(EINVAL);
  if (walked.name === '..') throw errno(ENOTEMPTY);
  const place = existing(walked);
  const directory = severable(task, walked);
  if (place.vnode.kind !== 'directory') throw errno(ENOTDIR);
  if (isMountPoint(walked) || place === task.fs.root) throw errno(EBUSY);
  directory.rmdir(walked.name);
  task.fs.tree.removed(walked.parent, walked.name);
  task.kernel.files.watches.removed(walked.parent.vnode, walked.name, place.vnode, true);
}

const unlink = define({
  name: 'unlink',
  args: [['pathname', path]],
  result: none,
  support: 'full',
  handler: (task, name) => unlinkAt(task, AT_FDCWD, name),
});
const unlinkat = define({
  name: 'unlinkat',
  args: [
    ['dirfd', dirfd],
    ['pathname', latePath],
    ['flags', flags({ AT_REMOVEDIR: f.AT_REMOVEDIR })],
  ],
  result: none,
  support: 'full',
  handler: (task, dir, name, how) => {
    onlyFlags(how, f.AT_REMOVEDIR);
    if (how & f.AT_REMOVEDIR) rmdirAt(task, dir, pathText(task, name));
    else unlinkAt(task, dir, pathText(task, name));
  },
});
const rmdir = define({
  name: 'rmdir',
  args: [['pathname', path]],
  result: none,
  support: 'full',
  handler: (task, name) => rmdirAt(task, AT_FDCWD, name),
});

function isPlain(walked: Walked): boolean {
  return walked.name !== '' && walked.name !== '.' && walked.name !== '..';
}

/** The end of a path, or the error that its last name is too long: names are looked up when both directories are known. */
function endOf(task: Task, dir: Fd, path: string): Walked | Errno {
  try {
    return entryAt(task, dir, path);
  } catch (error) {
    const isLong = path.length - path.lastIndexOf('/') - 1 > f.NAME_MAX;
    if (error instanceof Errno && error.code === ENAMETOOLONG && isLong) return error;
    throw error;
  }
}

function ends(task: Task, fromDir: Fd, from: In<string>, toDir: Fd, to: In<string>, how: number): [Walked, Walked] {
  const source = endOf(task, fromDir, pathText(task, from));
  const target = endOf(task, toDir, pathText(task, to));
  if (!(source instanceof Errno) && !isPlain(source)) throw errno(EBUSY);
  if (!(target instanceof Errno) && !isPlain(target)) throw errno(how & f.RENAME_NOREPLACE ? EEXIST : EBUSY);
  if (source instanceof Errno) throw source;
  if (target instanceof Errno) {
    existing(source);
    throw target;
  }
  return [source, target];
}

function renameAt(task: Task, fromDir: Fd, from: In<string>, toDir: Fd, to: In<string>, how: number): void {
  if (how & ~(f.RENAME_NOREPLACE | f.RENAME_EXCHANGE | f.RENAME_WHITEOUT)) throw errno(EINVAL);
  const exchange = (how & f.RENAME_EXCHANGE) !== 0;
  if (exchange && how & (f.RENAME_NOREPLACE | f.RENAME_WHITEOUT)) throw errno(EINVAL);
  const [source, target] = ends(task, fromDir, from, toDir, to, how);
  const moved = existing(source);
  if (how & f.RENAME_NOREPLACE && target.place !== undefined) throw errno(EEXIST);
  if (exchange) existing(target);
  checkPlaces(moved, source, target, exchange);
  checkRights(task, moved, source, target);
  if (!exchange) checkKinds(moved, target);
  if (isMountPoint(source) || isMountPoint(target)) throw errno(EBUSY);
  const into = directoryOf(target);
  if (into.constructor !== directoryOf(source).constructor) throw errno(EXDEV);
  const { watches } = task.kernel.files;
  const over = target.place?.vnode;
  const overWasLast = over !== undefined && watches.isLastName(over);
  directoryOf(source).rename(source.name, into, target.name, how);
  task.fs.tree.renamed(source.parent, source.name, target.parent, target.name, exchange);
  if (how & f.RENAME_WHITEOUT) own(task, source.parent.vnode, source.parent.vnode.directory?.lookup(source.name));
  if (over?.key === moved.vnode.key) return;
  watches.renamed(moved.vnode, source, target, exchange ? undefined : over, overWasLast);
  if (exchange && over !== undefined) watches.renamed(over, target, source, undefined, false);
}

/** Never a directory below itself. */
function checkPlaces(moved: Place, source: Walked, target: Walked, exchange: boolean): void {
  const isDirectory = moved.vnode.kind === 'directory';
  if (!isDirectory && (source.slash || (!exchange && target.slash))) throw errno(ENOTDIR);
  if (isDirectory && liesBelow(target.parent, moved)) throw errno(EINVAL);
  const { place } = target;
  if (place === undefined) return;
  if (place.vnode.kind === 'directory' && liesBelow(source.parent, place)) throw errno(exchange ? EINVAL : ENOTEMPTY);
}

/** Both directories change, and a directory that gets another parent does itself. Linux: vfs_rename. */
function checkRights(task: Task, moved: Place, source: Walked, target: Walked): void {
  if (target.place !== undefined && target.place.vnode.key === moved.vnode.key) return;
  severable(task, source);
  severable(task, target);
  if (source.parent === target.parent) return;
  if (moved.vnode.kind === 'directory') task.fs.tree.require(task.credentials, moved.vnode, f.W_OK);
}

function checkKinds(moved: Place, { place }: Walked): void {
  const isDirectory = moved.vnode.kind === 'directory';
  if (place === undefined) return;
  if (isDirectory && place.vnode.kind !== 'directory') throw errno(ENOTDIR);
  if (!isDirectory && place.vnode.kind === 'directory') throw errno(EISDIR);
}

const renameFlags = flags({ RENAME_NOREPLACE: f.RENAME_NOREPLACE, RENAME_EXCHANGE: f.RENAME_EXCHANGE, RENAME_WHITEOUT: f.RENAME_WHITEOUT });
const rename = define({
  name: 'rename',
  args: [
    ['oldpath', latePath],
    ['newpath', latePath],
  ],
  result: none,
  support: 'full',
  handler: (task, from, to) => renameAt(task, AT_FDCWD, from, AT_FDCWD, to, 0),
});
const renameat = define({
  name: 'renameat',
  args: [
    ['olddirfd', dirfd],
    ['oldpath', latePath],
    ['newdirfd', dirfd],
    ['newpath', latePath],
  ],
  result: none,
  support: 'full',
  handler: (task, fromDir, from, toDir, to) => renameAt(task, fromDir, from, toDir, to, 0),
});
const renameat2 = define({
  name: 'renameat2',
  args: [
    ['olddirfd', dirfd],
    ['oldpath', latePath],
    ['newdirfd', dirfd],
    ['newpath', latePath],
    ['flags', renameFlags],
  ],
  result: none,
  support: { partial: 'on host files an exchange is three renames, and RENAME_WHITEOUT makes what it leaves behind afterwards' },
  handler: renameAt,
});

export const calls = [unlink, unlinkat, rmdir, rename, renameat, renameat2];
