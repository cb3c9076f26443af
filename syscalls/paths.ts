/** From the paths and descriptors of a call's arguments to places, and the kinds of argument that file calls share. */
import { CAP_FOWNER, CAP_FSETID } from '../abi/capability.ts';
import { EAGAIN, EBADF, EINVAL, ENOENT, ENOTDIR, EPERM, EROFS, ETXTBSY, Errno, errno } from '../abi/errno.ts';
import * as f from '../abi/fcntl.ts';
import { S_ISGID, S_ISUID } from '../abi/stat.ts';
import type { Description } from '../fs/description.ts';
import { DirectoryPlace, type WalkContext, type Walked, type WalkOptions } from '../fs/path.ts';
import { hasRight, maySever, owns, type Rights, tamedMode } from '../fs/permission.ts';
import { isWait, type Place, type Vnode, type Wait } from '../fs/vnode.ts';
import type { Task } from '../proc/task.ts';
import { type Blocked, block } from '../proc/wait.ts';
import { choice, type Fd, flags } from './kinds.ts';

export const openFlags = flags(
  {
    O_CREAT: f.O_CREAT,
    O_EXCL: f.O_EXCL,
    O_NOCTTY: f.O_NOCTTY,
    O_TRUNC: f.O_TRUNC,
    O_APPEND: f.O_APPEND,
    O_NONBLOCK: f.O_NONBLOCK,
    O_SYNC: f.O_SYNC,
    O_DSYNC: f.O_DSYNC,
    FASYNC: f.FASYNC,
    O_DIRECT: f.O_DIRECT,
    O_LARGEFILE: f.O_LARGEFILE,
    O_TMPFILE: f.O_TMPFILE,
    O_DIRECTORY: f.O_DIRECTORY,
    O_NOFOLLOW: f.O_NOFOLLOW,
    O_NOATIME: f.O_NOATIME,
    O_CLOEXEC: f.O_CLOEXEC,
    O_PATH: f.O_PATH,
  },
  { mask: f.O_ACCMODE, values: { O_RDONLY: f.O_RDONLY, O_WRONLY: f.O_WRONLY, O_RDWR: f.O_RDWR } },
);
export const atFlags = flags({
  AT_SYMLINK_NOFOLLOW: f.AT_SYMLINK_NOFOLLOW,
  AT_SYMLINK_FOLLOW: f.AT_SYMLINK_FOLLOW,
  AT_NO_AUTOMOUNT: f.AT_NO_AUTOMOUNT,
  AT_EMPTY_PATH: f.AT_EMPTY_PATH,
});
export const accessMode = flags({ F_OK: f.F_OK, X_OK: f.X_OK, W_OK: f.W_OK, R_OK: f.R_OK });
export const whence = choice({
  SEEK_SET: f.SEEK_SET,
  SEEK_CUR: f.SEEK_CUR,
  SEEK_END: f.SEEK_END,
  SEEK_DATA: f.SEEK_DATA,
  SEEK_HOLE: f.SEEK_HOLE,
});

export const AT_FDCWD = f.AT_FDCWD as Fd;

/** Which flags of an *at call this call knows; others are EINVAL. */
export function onlyFlags(given: number, known: number): void {
  if ((given & ~known) !== 0) throw errno(EINVAL);
}

/** Where a relative path starts. An absolute one does not look at the descriptor at all. */
function start(task: Task, dirfd: Fd, path: string): Place | undefined {
  if (path.charCodeAt(0) === 0x2f) return undefined;
  if (dirfd === AT_FDCWD) return task.fs.cwd;
  const { place } = task.files.get(dirfd);
  if (path !== '' && !(place instanceof DirectoryPlace)) throw errno(ENOTDIR);
  return place;
}

export interface AtOptions {
  /** AT_ bits: AT_SYMLINK_NOFOLLOW and AT_EMPTY_PATH count. */
  readonly flags?: number;
  readonly resolve?: number;
  /** The last component is an entry to be made, removed or renamed. */
  readonly entry?: boolean;
}

function options(task: Task, dirfd: Fd, path: string, at: AtOptions): WalkOptions {
  const given = at.flags ?? 0;
  if (path === '' && (given & f.AT_EMPTY_PATH) === 0) throw errno(ENOENT);
  return {
    from: start(task, dirfd, path),
    follow: (given & f.AT_SYMLINK_NOFOLLOW) === 0,
    emptyPath: (given & f.AT_EMPTY_PATH) !== 0,
    resolve: at.resolve,
    entry: at.entry,
  };
}

/** Where the task's walks start, and who walks. */
function context({ fs, credentials }: Task): WalkContext {
  return { root: fs.root, cwd: fs.cwd, rights: credentials };
}

/** The existing file that a call names. */
export function placeAt(task: Task, dirfd: Fd, path: string, at: AtOptions = {}): Place {
  return task.fs.tree.resolve(context(task), path, options(task, dirfd, path, at));
}

/** As `placeAt`, where the last component need not exist. */
export function walkAt(task: Task, dirfd: Fd, path: string, at: AtOptions = {}): Walked {
  return task.fs.tree.walk(context(task), path, options(task, dirfd, path, at));
}

/** A file and where it hangs. */
export interface Target {
  readonly vnode: Vnode;
  readonly place: Place;
}

/** The file that a call acts on: by AT_EMPTY_PATH (and a null path, which some calls allow) the open one itself, also when its name has gone. */
export function targetAt(task: Task, dirfd: Fd, path: string, given: number): Target {
  if (path === '' && (given & f.AT_EMPTY_PATH) !== 0 && dirfd !== AT_FDCWD) return task.files.get(dirfd);
  const place = placeAt(task, dirfd, path, { flags: given });
  return { vnode: place.vnode, place };
}

export function vnodeAt(task: Task, dirfd: Fd, path: string, given: number): Vnode {
  return targetAt(task, dirfd, path, given).vnode;
}

/** The directory part for calls that make, remove or rename an entry: the last component is never followed. */
export function entryAt(task: Task, dirfd: Fd, path: string): Walked {
  return walkAt(task, dirfd, path, { entry: true });
}

/** An open file that is no mere O_PATH handle. */
export function openAt(task: Task, fd: Fd): Description {
  const description = task.files.get(fd);
  if (description.isPathOnly) throw errno(EBADF);
  return description;
}

/** Nobody may write to a program while it runs (ETXTBSY). */
export function refuseRunning(task: Task, { kind, key }: Vnode): void {
  if (kind !== 'file') return;
  for (const { image, status } of task.kernel.processes.values()) {
    if (status === undefined && image?.place.vnode.key === key) throw errno(ETXTBSY);
  }
}

/** Throws EACCES where the task may not do that with the file (R_OK, W_OK, X_OK), EROFS where nobody may. */
export function requireAccess(task: Task, vnode: Vnode, mask: number, rights: Rights = task.credentials): void {
  task.fs.tree.require(rights, vnode, mask);
  if (vnode.judges !== 'caller') vnode.access(mask);
}

/** Throws EPERM where the file is another's, and the task has no CAP_FOWNER. */
export function requireOwner(task: Task, vnode: Vnode): void {
  if (!owns(task.credentials, vnode.stat())) throw errno(EPERM);
}

/** What the directory of a walk can do. */
export function directoryOf({ parent }: Walked) {
  const { directory } = parent.vnode;
  if (directory === undefined) throw errno(ENOTDIR);
  return directory;
}

/** The directory that a new name goes into: the task must be allowed to change it. Linux: may_create. */
export function changeable(task: Task, walked: Walked) {
  task.fs.tree.require(task.credentials, walked.parent.vnode, f.W_OK | f.X_OK);
  return directoryOf(walked);
}

/** The directory that an existing name is taken from. Linux: may_delete. */
export function severable(task: Task, walked: Walked) {
  const directory = changeable(task, walked);
  const { parent, place } = walked;
  const { credentials } = task;
  if (place !== undefined && !hasRight(credentials, CAP_FOWNER) && !maySever(credentials, parent.vnode.stat(), place.vnode.stat()))
    throw errno(EPERM);
  return directory;
}

/** A file that is written loses its capabilities, and its set-user-ID bit unless the writer may set any. Linux: file_remove_privs. */
export function tame(task: Task, vnode: Vnode): void {
  dropCapabilities(vnode);
  const { credentials, fs } = task;
  if (vnode.kind !== 'file' || hasRight(credentials, CAP_FSETID) || (vnode.judges === 'host' && fs.tree.isHosts(credentials))) return;
  const stat = vnode.stat();
  const mode = tamedMode(credentials, stat);
  if (mode !== stat.mode) vnode.chmod(mode & 0o7777);
}

/** The capabilities a program would have been given go with its old content, or its old owner. Linux: cap_inode_killpriv. */
export function dropCapabilities({ attributes }: Vnode): void {
  if (attributes?.get('security.capability') !== undefined) attributes.remove('security.capability');
}

/** What a task makes is its own; its group is the directory's where that one is set-group-ID. Hosts that do not let us give files away keep their own view. */
export function own(task: Task, parent: Vnode, made: Vnode | undefined): void {
  const { fsuid, fsgid } = task.credentials;
  if (made === undefined || task.fs.tree.makesOwn(task.credentials)) return;
  const inherits = (parent.stat().mode & S_ISGID) !== 0;
  const { mode, uid, gid } = made.stat();
  if (uid === fsuid && (inherits || gid === fsgid)) return;
  try {
    made.chown(fsuid, inherits ? undefined : fsgid);
    if (mode & (S_ISUID | S_ISGID) && made.kind === 'file') made.chmod(mode & 0o7777);
  } catch (error) {
    if (!(error instanceof Errno)) throw error;
  }
}

/** The entry of a walk that must exist. */
export function existing(walked: Walked): Place {
  if (walked.place !== undefined) return walked.place;
  refuseReadOnly(walked.parent.vnode);
  throw errno(ENOENT);
}

/** EROFS comes before ENOENT: Linux asks for the right to write to the file system before it looks for the name. */
function refuseReadOnly(directory: Vnode): void {
  try {
    directory.access(f.W_OK);
  } catch (thrown) {
    if (thrown instanceof Errno && thrown.code === EROFS) throw thrown;
    if (!(thrown instanceof Errno)) throw thrown;
  }
}

/** A file's wait as the call's. */
export function waiting(task: Task, wait: Wait): Blocked {
  const { retry_ms, timeout_ns } = wait;
  if (timeout_ns !== undefined) {
    task.call.isTimed = true;
    const deadline = task.deadlineAfter(timeout_ns);
    if (task.expired) throw errno(wait.late ?? EAGAIN);
    return block(wait.on, deadline);
  }
  return block(wait.on, retry_ms === undefined ? undefined : task.kernel.clock.monotonic() + BigInt(retry_ms) * 1_000_000n);
}

/** The result of an operation, or the call waits. */
export function orWait<T>(task: Task, result: T | Wait): T {
  if (isWait(result)) throw waiting(task, result);
  return result;
}
