/** Names: directories read, made and removed, links, renaming, and where a process stands in the tree. */
import { latin1 } from '../abi/latin1.ts';
import { CAP_FOWNER, CAP_MKNOD, CAP_SYS_CHROOT } from '../abi/capability.ts';
import { EINVAL, ENAMETOOLONG, ENOENT, ENOTDIR, EPERM, ERANGE, errno, } from '../abi/errno.ts';
import { type DirectoryRecord, putDirent32, putDirent64 } from '../abi/dirent.ts';
import * as f from '../abi/fcntl.ts';
import { IN_ACCESS, IN_CREATE } from '../abi/inotify.ts';
import { S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFMT, S_IFREG, S_IFSOCK } from '../abi/stat.ts';
import type { Description } from '../fs/description.ts';
import { DirectoryPlace, hold, newName, pathOf, release, type Walked } from '../fs/path.ts';
import { mayLink } from '../fs/permission.ts';
import type { DirectoryEntry, Place } from '../fs/vnode.ts';
import { capable } from '../proc/credentials.ts';
import type { Task } from '../proc/task.ts';
import { define } from './define.ts';
import { bytesOut, count, dirfd, type Fd, fd, type In, latePath, mode, none, path, pathText, size, uint } from './kinds.ts';
import { AT_FDCWD, atFlags, changeable, entryAt, onlyFlags, openAt, own, placeAt, requireAccess, targetAt } from './paths.ts';

// ---- Reading ---------------------------------------------------------------------------------------------------------------------------

type Put = (view: DataView, at: number, end: number, record: DirectoryRecord) => number;
/** Bytes given at most by one call: the guest asks again. */
const MOST_BYTES = 1 << 18;

/** Positions of entries that are only shown in a directory lie above all others, so that a later call goes on among them. */
const SHOWN_HERE = 0x4000_0000;

/** Entries of the directory itself, then what is mounted there or stands in for what it lacks. */
function* listing(description: Description): Generator<DirectoryEntry> {
  const { place } = description;
  for (const entry of description.entries()) {
    yield entry.name === '..' ? { ...entry, ino: (place.parent ?? place).vnode.stat().ino } : entry;
  }
  if (!(place instanceof DirectoryPlace)) return;
  const { directory } = place.vnode;
  const shown = [...[...place.mounts].map(([name, mounted]) => [name, mounted.vnode] as const), ...place.fallbacks];
  for (let i = Math.max(0, description.position - SHOWN_HERE); i < shown.length; i++) {
    const [name, vnode] = shown[i];
    if (directory?.lookup(name) !== undefined) continue;
    const stat = vnode.stat();
    yield { name, ino: stat.ino, type: (stat.mode & S_IFMT) >> 12, next: SHOWN_HERE + i + 1 };
  }
}

function getdents(task: Task, file: Fd, at: number, bytes: number, put: Put): number {
  const description = openAt(task, file);
  if (description.file.entries === undefined) throw errno(ENOTDIR);
  if (description.place instanceof DirectoryPlace && !task.fs.tree.exists(description.place)) throw errno(ENOENT);
  // The count is signed.
  const view = new DataView(new ArrayBuffer(Math.max(0, Math.min(bytes | 0, MOST_BYTES))));
  let used = 0;
  let position = description.position;
  let more = false;
  for (const entry of listing(description)) {
    const record = { ino: entry.ino, cookie: entry.next, type: entry.type, name: entry.name };
    const taken = put(view, used, view.byteLength, record);
    if (taken === 0) {
      more = true;
      break;
    }
    used += taken;
    position = entry.next;
  }
  if (used === 0 && more) throw errno(EINVAL);
  task.user.write(at, new Uint8Array(view.buffer, 0, used));
  description.position = position;
  task.kernel.files.watches.happened(description, IN_ACCESS);
  return used;
}

function getdentsCall(name: string, put: Put) {
  return define({
    name,
    args: [
      ['fd', fd],
      ['dirp', bytesOut('count')],
      ['count', count],
    ],
    result: size,
    support: 'full',
    handler: (task, file, to, bytes) => getdents(task, file, to, bytes, put),
  });
}

// ---- Where a process stands ------------------------------------------------------------------------------------------------------------

function enterable(task: Task, place: Place): DirectoryPlace {
  if (!(place instanceof DirectoryPlace) || place.vnode.kind !== 'directory') throw errno(ENOTDIR);
  requireAccess(task, place.vnode, f.X_OK);
  return place;
}

function changeCwd(task: Task, place: Place): void {
  const to = enterable(task, place);
  hold(to);
  release(task.fs.cwd);
  task.fs.cwd = to;
}

const chdir = define({
  name: 'chdir',
  args: [['path', path]],
  result: none,
  support: 'full',
  handler: (task, name) => changeCwd(task, placeAt(task, AT_FDCWD, name)),
});
const fchdir = define({
  name: 'fchdir',
  args: [['fd', fd]],
  result: none,
  support: 'full',
  handler: (task, file) => changeCwd(task, task.files.get(file).place),
});
const chroot = define({
  name: 'chroot',
  args: [['path', path]],
  result: none,
  support: 'full',
  handler: (task, name) => {
    const to = enterable(task, placeAt(task, AT_FDCWD, name));
    if (!capable(task.credentials, CAP_SYS_CHROOT)) throw errno(EPERM);
    hold(to);
    release(task.fs.root);
    task.fs.root = to;
  },
});

const getcwd = define({
  name: 'getcwd',
  args: [
    ['buf', bytesOut('size')],
    ['size', count],
  ],
  result: size,
  support: 'full',
  handler: (task, to, bytes) => {
    const { tree, cwd, root } = task.fs;
    if (!tree.exists(cwd)) throw errno(ENOENT);
    const text = pathOf(cwd, root) ?? `(unreachable)${pathOf(cwd, tree.root)}`;
    if (text.length >= f.PATH_MAX) throw errno(ENAMETOOLONG);
    if (text.length + 1 > bytes) throw errno(ERANGE);
    task.user.write(to, latin1(`${text}\0`));
    return text.length + 1;
  },
});

// ---- Making ----------------------------------------------------------------------------------------------------------------------------

/** Whoever made an entry owns what it names. */
function ownEntry(task: Task, { parent }: Walked, name: string): void {
  if (!task.fs.tree.makesOwn(task.credentials)) own(task, parent.vnode, parent.vnode.directory?.lookup(name));
}

function mkdirAt(task: Task, dir: Fd, name: string, permissions: number): void {
  const walked = entryAt(task, dir, name);
  const entry = newName(walked, true);
  const directory = changeable(task, walked);
  directory.mkdir(entry, permissions & 0o1777 & ~task.fs.umask);
  ownEntry(task, walked, entry);
  task.kernel.files.watches.named(walked.parent.vnode, IN_CREATE, entry, 'directory');
}

function mknodAt(task: Task, dir: Fd, name: In<string>, permissions: number, device: number): void {
  const kind = permissions & S_IFMT || S_IFREG;
  if (kind === S_IFDIR) throw errno(EPERM);
  if (![S_IFREG, S_IFIFO, S_IFCHR, S_IFBLK, S_IFSOCK].includes(kind)) throw errno(EINVAL);
  const walked = entryAt(task, dir, pathText(task, name));
  const entry = newName(walked, false);
  const directory = changeable(task, walked);
  const isDevice = kind === S_IFCHR || kind === S_IFBLK;
  if (isDevice && !(kind === S_IFCHR && device === 0) && !capable(task.credentials, CAP_MKNOD)) throw errno(EPERM);
  directory.mknod(entry, kind | (permissions & 0o7777 & ~task.fs.umask), device);
  ownEntry(task, walked, entry);
  task.kernel.files.watches.named(walked.parent.vnode, IN_CREATE, entry);
}

function symlinkAt(task: Task, target: string, dir: Fd, name: In<string>): void {
  if (target === '') throw errno(ENOENT);
  const walked = entryAt(task, dir, pathText(task, name));
  const entry = newName(walked, false);
  changeable(task, walked).symlink(entry, target);
  ownEntry(task, walked, entry);
  task.kernel.files.watches.named(walked.parent.vnode, IN_CREATE, entry);
}

function linkAt(task: Task, fromDir: Fd, from: In<string>, toDir: Fd, to: In<string>, how: number): void {
  onlyFlags(how, f.AT_SYMLINK_FOLLOW | f.AT_EMPTY_PATH);
  const flags = (how & f.AT_SYMLINK_FOLLOW ? 0 : f.AT_SYMLINK_NOFOLLOW) | (how & f.AT_EMPTY_PATH);
  const source = targetAt(task, fromDir, pathText(task, from), flags);
  const walked = entryAt(task, toDir, pathText(task, to));
  const entry = newName(walked, false);
  const rights = task.credentials;
  if (!capable(rights, CAP_FOWNER) && !mayLink(rights, source.vnode.stat())) throw errno(EPERM);
  const directory = changeable(task, walked);
  if (source.vnode.kind === 'directory') throw errno(EPERM);
  directory.link(entry, source.vnode);
  task.kernel.files.watches.linked(walked.parent.vnode, entry, source.vnode);
}

const mkdir = define({
  name: 'mkdir',
  args: [
    ['pathname', path],
    ['mode', mode],
  ],
  result: none,
  support: 'full',
  handler: (task, name, permissions) => mkdirAt(task, AT_FDCWD, name, permissions),
});
const mkdirat = define({
  name: 'mkdirat',
  args: [
    ['dirfd', dirfd],
    ['pathname', path],
    ['mode', mode],
  ],
  result: none,
  support: 'full',
  handler: mkdirAt,
});

const MKNOD = { partial: "device nodes and sockets on host files answer EPERM: they would be the host's own" };
const mknod = define({
  name: 'mknod',
  args: [
    ['pathname', latePath],
    ['mode', mode],
    ['dev', uint],
  ],
  result: none,
  support: MKNOD,
  handler: (task, name, permissions, device) => mknodAt(task, AT_FDCWD, name, permissions, device),
});
const mknodat = define({
  name: 'mknodat',
  args: [
    ['dirfd', dirfd],
    ['pathname', latePath],
    ['mode', mode],
    ['dev', uint],
  ],
  result: none,
  support: MKNOD,
  handler: mknodAt,
});
const symlink = define({
  name: 'symlink',
  args: [
    ['target', path],
    ['linkpath', latePath],
  ],
  result: none,
  support: 'full',
  handler: (task, target, name) => symlinkAt(task, target, AT_FDCWD, name),
});
const symlinkat = define({
  name: 'symlinkat',
  args: [
    ['target', path],
    ['newdirfd', dirfd],
    ['linkpath', latePath],
  ],
  result: none,
  support: 'full',
  handler: symlinkAt,
});
const link = define({
  name: 'link',
  args: [
    ['oldpath', latePath],
    ['newpath', latePath],
  ],
  result: none,
  support: 'full',
  handler: (task, from, to) => linkAt(task, AT_FDCWD, from, AT_FDCWD, to, 0),
});
const linkat = define({
  name: 'linkat',
  args: [
    ['olddirfd', dirfd],
    ['oldpath', latePath],
    ['newdirfd', dirfd],
    ['newpath', latePath],
    ['flags', atFlags],
  ],
  result: none,
  support: 'full',
  handler: linkAt,
});

function readlinkAt(task: Task, dir: Fd, path: In<string>, at: number, bytes: number): number {
  if ((bytes | 0) <= 0) throw errno(EINVAL);
  const name = pathText(task, path);
  // An empty path names the link that an O_PATH descriptor holds (readlinkat(2)).
  const { vnode } = placeAt(task, dir, name, { flags: f.AT_SYMLINK_NOFOLLOW | f.AT_EMPTY_PATH });
  if (name === '' && dir === AT_FDCWD) throw errno(ENOENT);
  if (vnode.kind !== 'symlink') throw errno(name === '' ? ENOENT : EINVAL);
  const text = latin1(vnode.readlink()).subarray(0, bytes);
  task.user.write(at, text);
  return text.length;
}

const readlink = define({
  name: 'readlink',
  args: [
    ['pathname', latePath],
    ['buf', bytesOut('bufsiz')],
    ['bufsiz', count],
  ],
  result: size,
  support: 'full',
  handler: (task, name, to, bytes) => readlinkAt(task, AT_FDCWD, name, to, bytes),
});
const readlinkat = define({
  name: 'readlinkat',
  args: [
    ['dirfd', dirfd],
    ['pathname', latePath],
    ['buf', bytesOut('bufsiz')],
    ['bufsiz', count],
  ],
  result: size,
  support: 'full',
  handler: readlinkAt,
});

export const calls = [
  getdentsCall('getdents', putDirent32),
  getdentsCall('getdents64', putDirent64),
  chdir,
  fchdir,
  chroot,
  getcwd,
  mkdir,
  mkdirat,
  mknod,
  mknodat,
  symlink,
  symlinkat,
  link,
  linkat,
  readlink,
  readlinkat,
];
