/** Sizes of files, what is on the disk, and advice. */
import { EBADF, EFBIG, EINVAL, EISDIR, ENODEV, EOPNOTSUPP, ESPIPE, errno } from '../abi/errno.ts';
import * as f from '../abi/fcntl.ts';
import { IN_MODIFY } from '../abi/inotify.ts';
import { PAGE_SIZE } from '../abi/page.ts';
import { RLIM_INFINITY, RLIMIT_FSIZE } from '../abi/resource.ts';
import { SIGXFSZ } from '../abi/signal.ts';
import { MAX_POSITION } from '../fs/description.ts';
import { ownInfo, sendToTask } from '../proc/send.ts';
import type { Task } from '../proc/task.ts';
import { define } from './define.ts';
import { count, type Fd, fd, flags, type In, int, latePath, none, off64, pathText, uint } from './kinds.ts';
import { breakLeases } from './lease.ts';
import { AT_FDCWD, openAt, placeAt, refuseRunning, requireAccess, tame } from './paths.ts';
import { MAX_OFF } from './transfer.ts';

function truncatePath(task: Task, name: In<string>, length: number): void {
  if (length < 0) throw errno(EINVAL);
  const place = placeAt(task, AT_FDCWD, pathText(task, name));
  const { vnode } = place;
  if (vnode.kind === 'directory') throw errno(EISDIR);
  if (vnode.kind !== 'file') throw errno(EINVAL);
  requireAccess(task, vnode, f.W_OK);
  refuseRunning(task, vnode);
  checkSize(task, length);
  tame(task, vnode);
  breakLeases(task, vnode, f.O_WRONLY);
  vnode.truncate(length);
  task.kernel.files.watches.happened({ vnode, place }, IN_MODIFY);
}

/** The 64-bit call too minds O_LARGEFILE, as a 64-bit kernel has it for 32-bit programs (ksys_ftruncate). */
function truncateOpen(task: Task, file: Fd, length: number): void {
  if (length < 0) throw errno(EINVAL);
  const description = openAt(task, file);
  const { file: opened, vnode } = description;
  const isPidfd = vnode.isFixed && opened.takesPositions === true;
  if (!isPidfd && (vnode.kind !== 'file' || !f.canWrite(description.flags))) throw errno(EINVAL);
  if ((description.flags & f.O_LARGEFILE) === 0 && length > MAX_OFF) throw errno(EINVAL);
  if (opened.truncate === undefined) throw errno(isPidfd ? EOPNOTSUPP : EINVAL);
  checkSize(task, length);
  tame(task, vnode);
  opened.truncate(length);
  task.kernel.files.watches.happened(description, IN_MODIFY);
}

function checkSize(task: Task, length: number): void {
  const limit = task.process.limits[RLIMIT_FSIZE].current;
  if (limit === RLIM_INFINITY || length <= Number(limit)) {
    if (length > MAX_POSITION) throw errno(EFBIG);
    return;
  }
  sendToTask(task, ownInfo(task, SIGXFSZ));
  throw errno(EFBIG);
}

const truncate = define({
  name: 'truncate',
  args: [
    ['path', latePath],
    ['length', int],
  ],
  result: none,
  support: 'full',
  handler: (task, name, length) => truncatePath(task, name, length),
});
const truncate64 = define({
  name: 'truncate64',
  args: [
    ['path', latePath],
    ['length', off64],
  ],
  result: none,
  support: 'full',
  handler: (task, name, length) => truncatePath(task, name, length),
});
const ftruncate = define({
  name: 'ftruncate',
  args: [
    ['fd', fd],
    ['length', int],
  ],
  result: none,
  support: 'full',
  handler: (task, file, length) => truncateOpen(task, file, length),
});
const ftruncate64 = define({
  name: 'ftruncate64',
  args: [
    ['fd', fd],
    ['length', off64],
  ],
  result: none,
  support: 'full',
  handler: (task, file, length) => truncateOpen(task, file, length),
});

const fallocateMode = flags({
  FALLOC_FL_KEEP_SIZE: f.FALLOC_FL_KEEP_SIZE,
  FALLOC_FL_PUNCH_HOLE: f.FALLOC_FL_PUNCH_HOLE,
  FALLOC_FL_COLLAPSE_RANGE: f.FALLOC_FL_COLLAPSE_RANGE,
  FALLOC_FL_ZERO_RANGE: f.FALLOC_FL_ZERO_RANGE,
  FALLOC_FL_INSERT_RANGE: f.FALLOC_FL_INSERT_RANGE,
});
const ANY_MODE = 0x7f;
/** Since 6.17; no file system here can. */
const FALLOC_FL_WRITE_ZEROES = 0x80;

/** Linux: vfs_fallocate. The modes exclude one another, and only some leave the size. */
function checkMode(how: number): void {
  const keeps = (how & f.FALLOC_FL_KEEP_SIZE) !== 0;
  switch (how & ~f.FALLOC_FL_KEEP_SIZE) {
    case 0:
    case f.FALLOC_FL_ZERO_RANGE:
    case f.FALLOC_FL_UNSHARE_RANGE:
      return;
    case f.FALLOC_FL_PUNCH_HOLE:
      if (keeps) return;
      break;
    case f.FALLOC_FL_COLLAPSE_RANGE:
    case f.FALLOC_FL_INSERT_RANGE:
    case FALLOC_FL_WRITE_ZEROES:
      if (!keeps) return;
  }
  throw errno(EOPNOTSUPP);
}

const fallocate = define({
  name: 'fallocate',
  args: [
    ['fd', fd],
    ['mode', fallocateMode],
    ['offset', off64],
    ['len', off64],
  ],
  result: none,
  support: {
    partial:
      'on host files blocks are not reserved: growing is a truncate, punching short ranges writes zeros; unshare answers EOPNOTSUPP',
  },
  handler: (task, file, how, offset, length) => {
    const description = openAt(task, file);
    if (offset < 0 || length <= 0) throw errno(EINVAL);
    checkMode(how);
    if (!f.canWrite(description.flags)) throw errno(EBADF);
    if (description.vnode.kind === 'fifo') throw errno(ESPIPE);
    if (description.vnode.kind === 'directory') throw errno(EISDIR);
    if (description.vnode.kind !== 'file') throw errno(description.file.takesPositions ? EOPNOTSUPP : ENODEV);
    if (offset + length >= 2 ** 63) throw errno(EFBIG);
    const { file: opened } = description;
    if (opened.allocate === undefined || how & ~(opened.allocates ?? ANY_MODE)) throw errno(EOPNOTSUPP);
    if (!(how & f.FALLOC_FL_PUNCH_HOLE)) checkSize(task, offset + length);
    opened.allocate(how, offset, length);
    task.kernel.files.watches.happened(description, IN_MODIFY);
  },
});

// ---- Synchronisation and advice --------------------------------------------------------------------------------------------------------

function syncCall(name: string, dataOnly: boolean) {
  return define({
    name,
    args: [['fd', fd]],
    result: none,
    support: 'full',
    handler: (task, file) => {
      const { file: opened } = openAt(task, file);
      if (opened.sync === undefined) throw errno(EINVAL);
      opened.sync(dataOnly);
    },
  });
}
const sync = define({
  name: 'sync',
  args: [],
  result: none,
  support: 'full',
  handler: (task) => {
    task.kernel.files.sync();
  },
});
const syncfs = define({
  name: 'syncfs',
  args: [['fd', fd]],
  result: none,
  support: 'full',
  handler: (task, file) => {
    openAt(task, file);
    const failed = task.kernel.files.sync();
    if (failed !== undefined) throw errno(failed);
  },
});
const syncFileRange = define({
  name: 'sync_file_range',
  args: [
    ['fd', fd],
    ['offset', off64],
    ['nbytes', off64],
    ['flags', uint],
  ],
  result: none,
  support: 'full',
  handler: (task, file, offset, length, how) => {
    const description = openAt(task, file);
    if (how & ~7 || offset < 0 || length < 0 || offset + length >= 2 ** 63) throw errno(EINVAL);
    const isPidfd = description.vnode.isFixed === true && description.file.takesPositions === true;
    if (!isPidfd && !['file', 'directory', 'block', 'symlink'].includes(description.vnode.kind)) throw errno(ESPIPE);
    if (how !== 0) description.file.writeBack?.(Math.floor(offset / PAGE_SIZE), length === 0 ? undefined : Math.ceil((offset + length) / PAGE_SIZE));
  },
});
const readahead = define({
  name: 'readahead',
  args: [
    ['fd', fd],
    ['offset', off64],
    ['count', count],
  ],
  result: none,
  support: 'full',
  handler: (task, file) => {
    const description = openAt(task, file);
    if (!f.canRead(description.flags)) throw errno(EBADF);
    if (description.vnode.kind !== 'file' && description.vnode.kind !== 'block') throw errno(EINVAL);
  },
});

/** Advice changes nothing here but must be valid. POSIX_FADV_NORMAL to POSIX_FADV_NOREUSE. */
function advise(task: Task, file: Fd, length: number, advice: number): void {
  const description = openAt(task, file);
  if (description.vnode.kind === 'fifo') throw errno(ESPIPE);
  if (length < 0 || advice < 0 || advice > 5) throw errno(EINVAL);
}
const fadvise64 = define({
  name: 'fadvise64',
  args: [
    ['fd', fd],
    ['offset', off64],
    ['len', count],
    ['advice', int],
  ],
  result: none,
  support: 'full',
  handler: (task, file, _offset, length, advice) => advise(task, file, length, advice),
});
const fadvise6464 = define({
  name: 'fadvise64_64',
  args: [
    ['fd', fd],
    ['offset', off64],
    ['len', off64],
    ['advice', int],
  ],
  result: none,
  support: 'full',
  handler: (task, file, _offset, length, advice) => advise(task, file, length, advice),
});

export const calls = [
  truncate,
  truncate64,
  ftruncate,
  ftruncate64,
  fallocate,
  syncCall('fsync', false),
  syncCall('fdatasync', true),
  sync,
  syncfs,
  syncFileRange,
  readahead,
  fadvise64,
  fadvise6464,
];
