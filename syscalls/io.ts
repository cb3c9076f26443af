/** Moving bytes: read, write and their vector and positioned forms, seeking, copying between files, sizes, synchronisation and advice. */
import { EBADF, EFAULT, EFBIG, EINVAL, EISDIR, ENODEV, EOPNOTSUPP, EOVERFLOW, EPIPE, ESPIPE, Errno, errno, EXDEV } from '../abi/errno.ts';
import * as f from '../abi/fcntl.ts';
import { RLIM_INFINITY, RLIMIT_FSIZE } from '../abi/resource.ts';
import { SIGPIPE, SIGXFSZ } from '../abi/signal.ts';
import { i32, s64, type Struct, struct, u32 } from '../abi/struct.ts';
import { type Description, MAX_POSITION } from '../fs/description.ts';
import { type Io, isWait } from '../fs/vnode.ts';
import { sendToTask } from '../proc/send.ts';
import { kernelInfo } from '../proc/siginfo.ts';
import type { Task } from '../proc/task.ts';
import { define } from './define.ts';
import {
  bytesIn, bytesOut, count, type Fd, fd, flags, int, intResult, loadAt, none, off64, path, size, storeAt, structOut, structsIn, uint,
} from './kinds.ts';
import { AT_FDCWD, openAt, placeAt, waiting, whence } from './paths.ts';

/** Bytes one call moves at most (MAX_RW_COUNT). */
const MOST = 0x7ffff000;
/** Bytes that go through our buffer at a time. */
const CHUNK = 1 << 18;
/** Linux's UIO_MAXIOV. */
const MAX_VECTORS = 1024;
/** A 32-bit off_t ends here. */
const MAX_OFF = 0x7fffffff;

const buffer = new Uint8Array(CHUNK);

/** One buffer for all: nothing is held in it across a call. */
function scratch(count: number): Uint8Array {
  return buffer.subarray(0, Math.min(count, buffer.length));
}

// ---- Where the bytes are in guest memory -----------------------------------------------------------------------------------------------

interface Iovec {
  base: number;
  size: number;
}
const iovec: Struct<Iovec> = struct<Iovec>({ base: u32, size: u32 });

/** A run of bytes in guest memory that may lie in pieces. */
interface Span {
  readonly pieces: readonly Iovec[];
  readonly size: number;
}

function single(base: number, size: number): Span {
  return { pieces: [{ base, size }], size: Math.min(size, MOST) };
}

function vector(task: Task, at: number, count: number): Span {
  if (count > MAX_VECTORS || (count | 0) < 0) throw errno(EINVAL);
  const pieces: Iovec[] = [];
  let total = 0;
  for (let i = 0; i < count; i++) {
    const piece = loadAt(task, at + i * iovec.size, iovec);
    if ((piece.size | 0) < 0) throw errno(EINVAL);
    pieces.push(piece);
    total += piece.size;
  }
  return { pieces, size: Math.min(total, MOST) };
}

/** Calls `move` for the parts of guest memory that hold bytes [from, from + count) of the span, until one moves less than it should. Returns how many moved. */
function walk(span: Span, from: number, count: number, move: (addr: number, done: number, part: number) => number): number {
  let skip = from;
  let done = 0;
  for (const piece of span.pieces) {
    if (skip >= piece.size) {
      skip -= piece.size;
      continue;
    }
    const part = Math.min(piece.size - skip, count - done);
    if (part > 0) {
      const moved = move((piece.base + skip) >>> 0, done, part);
      done += moved;
      if (moved < part) return done;
    }
    if (done === count) break;
    skip = 0;
  }
  return done;
}

function copyOut(task: Task, span: Span, from: number, bytes: Uint8Array): number {
  return walk(span, from, bytes.length, (addr, done, part) => task.user.copyOut(addr, bytes.subarray(done, done + part)));
}

function copyIn(task: Task, span: Span, from: number, into: Uint8Array): number {
  return walk(span, from, into.length, (addr, done, part) => task.user.copyIn(addr, into.subarray(done, done + part)));
}

function writable(task: Task, span: Span, count: number): number {
  return walk(span, 0, count, (addr, _done, part) => task.user.probe(addr, part, 'write'));
}

// ---- Reading ---------------------------------------------------------------------------------------------------------------------------

/** `position` undefined: at the description's own, which moves. */
function read(task: Task, description: Description, span: Span, position?: number): number {
  if (position !== undefined || description.file.seekable) return readFile(task, description, span, position);
  return readStream(task, description, span);
}

/** What is not delivered is not consumed: the position moves by what reached the guest. */
function readFile(task: Task, description: Description, span: Span, position: number | undefined): number {
  let at = position ?? description.position;
  let done = 0;
  do {
    const bytes = scratch(span.size - done);
    const moved = description.readAt(bytes, at);
    if (isWait(moved)) {
      if (done === 0) throw waiting(task, moved);
      break;
    }
    const copied = moved === 0 ? 0 : copyOut(task, span, done, bytes.subarray(0, moved));
    if (copied === 0 && moved > 0 && done === 0) throw errno(EFAULT);
    done += copied;
    at += copied;
    if (position === undefined) description.position = at;
    if (copied < bytes.length) break;
  } while (done < span.size);
  return done;
}

/** Bytes of a pipe or terminal are gone once they are read, so the guest's memory is looked at first. */
function readStream(task: Task, description: Description, span: Span): number {
  const wanted = Math.min(span.size, CHUNK);
  const room = writable(task, span, wanted);
  if (room === 0 && wanted > 0) throw errno(EFAULT);
  const bytes = scratch(room);
  const moved = description.read(bytes);
  if (isWait(moved)) throw waiting(task, moved);
  copyOut(task, span, 0, bytes.subarray(0, moved));
  return moved;
}

// ---- Writing ---------------------------------------------------------------------------------------------------------------------------

/** A call that waited in the middle goes on behind what it has written (`task.call.progress`). */
function write(task: Task, description: Description, span: Span, position?: number): number {
  let done = task.call.progress;
  if (span.size === 0) return moveZero(task, position === undefined ? description.write(scratch(0)) : description.writeAt(scratch(0), position));
  while (done < span.size) {
    const bytes = scratch(span.size - done);
    const got = copyIn(task, span, done, bytes);
    if (got === 0) {
      if (done > 0) break;
      if (!f.canWrite(description.flags)) throw errno(EBADF);
      throw errno(EFAULT);
    }
    const moved = writeSome(task, description, bytes.subarray(0, got), position === undefined ? undefined : position + done, done);
    if (moved === undefined) break;
    if (isWait(moved)) {
      task.call.progress = done;
      throw waiting(task, moved);
    }
    done += moved;
    if (moved === 0) break;
  }
  return done;
}

function moveZero(task: Task, moved: Io): number {
  if (isWait(moved)) throw waiting(task, moved);
  return moved;
}

/** Undefined: it failed, but something was written before, which is what the call tells. */
function writeSome(task: Task, description: Description, bytes: Uint8Array, position: number | undefined, before: number): Io | undefined {
  try {
    const allowed = withinLimits(task, description, bytes, position);
    return position === undefined ? description.write(allowed) : description.writeAt(allowed, position);
  } catch (error) {
    if (!(error instanceof Errno)) throw error;
    if (error.code === EPIPE) sendToTask(task, kernelInfo(SIGPIPE));
    if (before === 0) throw error;
    return undefined;
  }
}

/** RLIMIT_FSIZE, and the 2 GB that files without O_LARGEFILE end at. */
function withinLimits(task: Task, description: Description, bytes: Uint8Array, position: number | undefined): Uint8Array {
  if (!description.file.seekable || description.vnode.kind !== 'file') return bytes;
  const limit = task.process.limits[RLIMIT_FSIZE].current;
  const small = (description.flags & f.O_LARGEFILE) === 0;
  if (limit === RLIM_INFINITY && !small) return bytes;
  const at = description.flags & f.O_APPEND ? description.seekEnd() : (position ?? description.position);
  if (limit !== RLIM_INFINITY && at + bytes.length > Number(limit)) {
    if (at >= Number(limit)) {
      sendToTask(task, kernelInfo(SIGXFSZ));
      throw errno(EFBIG);
    }
    bytes = bytes.subarray(0, Number(limit) - at);
  }
  if (!small || at + bytes.length <= MAX_OFF) return bytes;
  if (at >= MAX_OFF) throw errno(EFBIG);
  return bytes.subarray(0, MAX_OFF - at);
}

// ---- The calls -------------------------------------------------------------------------------------------------------------------------

const iovecs = structsIn(iovec, 'iovcnt', 'struct iovec');
const rwFlags = flags({ RWF_HIPRI: 1, RWF_DSYNC: 2, RWF_SYNC: 4, RWF_NOWAIT: 8, RWF_APPEND: 16 });

const readCall = define({
  name: 'read', args: [['fd', fd], ['buf', bytesOut('count')], ['count', count]], result: size, support: 'full',
  handler: (task, file, to, wanted) => read(task, openAt(task, file), single(to, wanted)),
});
const writeCall = define({
  name: 'write', args: [['fd', fd], ['buf', bytesIn('count')], ['count', count]], result: size, support: 'full',
  handler: (task, file, from, wanted) => write(task, openAt(task, file), single(from, wanted)),
});
const pread = define({
  name: 'pread64', args: [['fd', fd], ['buf', bytesOut('count')], ['count', count], ['offset', off64]], result: size, support: 'full',
  handler: (task, file, to, wanted, at) => read(task, positioned(task, file, at), single(to, wanted), at),
});
const pwrite = define({
  name: 'pwrite64', args: [['fd', fd], ['buf', bytesIn('count')], ['count', count], ['offset', off64]], result: size, support: 'full',
  handler: (task, file, from, wanted, at) => write(task, positioned(task, file, at), single(from, wanted), at),
});

/** Order of errors as Linux's ksys_pread64: the position, the descriptor, then whether it can seek. */
function positioned(task: Task, file: Fd, at: number): Description {
  if (at < 0) throw errno(EINVAL);
  const description = openAt(task, file);
  if (!description.file.seekable) throw errno(ESPIPE);
  return description;
}

const readv = define({
  name: 'readv', args: [['fd', fd], ['iov', iovecs], ['iovcnt', uint]], result: size, support: 'full',
  handler: (task, file, at, pieces) => read(task, openAt(task, file), vector(task, at, pieces)),
});
const writev = define({
  name: 'writev', args: [['fd', fd], ['iov', iovecs], ['iovcnt', uint]], result: size, support: 'full',
  handler: (task, file, at, pieces) => write(task, openAt(task, file), vector(task, at, pieces)),
});
const preadv = define({
  name: 'preadv', args: [['fd', fd], ['iov', iovecs], ['iovcnt', uint], ['pos', off64]], result: size, support: 'full',
  handler: (task, file, at, pieces, position) => read(task, positioned(task, file, position), vector(task, at, pieces), position),
});
const pwritev = define({
  name: 'pwritev', args: [['fd', fd], ['iov', iovecs], ['iovcnt', uint], ['pos', off64]], result: size, support: 'full',
  handler: (task, file, at, pieces, position) => write(task, positioned(task, file, position), vector(task, at, pieces), position),
});

/** What the flags ask of reads and writes is always so (they are synchronous), but for appending against the descriptor's flags. */
function checkRwFlags(how: number): void {
  if (how & ~0xf) throw errno(EOPNOTSUPP);
}

const preadv2 = define({
  name: 'preadv2', args: [['fd', fd], ['iov', iovecs], ['iovcnt', uint], ['pos', off64], ['flags', rwFlags]], result: size,
  support: { partial: 'RWF_APPEND answers EOPNOTSUPP' },
  handler: (task, file, at, pieces, position, how) => {
    checkRwFlags(how);
    if (position === -1) return read(task, openAt(task, file), vector(task, at, pieces));
    return read(task, positioned(task, file, position), vector(task, at, pieces), position);
  },
});
const pwritev2 = define({
  name: 'pwritev2', args: [['fd', fd], ['iov', iovecs], ['iovcnt', uint], ['pos', off64], ['flags', rwFlags]], result: size,
  support: { partial: 'RWF_APPEND answers EOPNOTSUPP' },
  handler: (task, file, at, pieces, position, how) => {
    checkRwFlags(how);
    if (position === -1) return write(task, openAt(task, file), vector(task, at, pieces));
    return write(task, positioned(task, file, position), vector(task, at, pieces), position);
  },
});

const lseek = define({
  name: 'lseek', args: [['fd', fd], ['offset', int], ['whence', whence]], result: intResult, support: 'full',
  handler: (task, file, offset, from) => {
    const position = openAt(task, file).seek(offset, from);
    if (position > MAX_OFF) throw errno(EOVERFLOW);
    return position;
  },
});
const llseek = define({
  name: '_llseek', args: [['fd', fd], ['offset_high', uint], ['offset_low', uint], ['result', structOut(s64, 'loff_t')], ['whence', whence]], result: none,
  support: 'full',
  handler: (task, file, high, low, at, from) => storeAt(task, at, s64, openAt(task, file).seek((high | 0) * 0x1_0000_0000 + low, from)),
});

// ---- Between files ---------------------------------------------------------------------------------------------------------------------

interface Copy {
  readonly from: Description;
  readonly to: Description;
  /** Positions, where not the descriptions' own; moved on by what was copied. */
  fromPosition: number | undefined;
  toPosition: number | undefined;
  readonly size: number;
}

/** Copies without the guest's memory. Bytes that the target did not take stay unread. */
function copy(task: Task, copy: Copy): number {
  let done = 0;
  while (done < copy.size) {
    const bytes = scratch(Math.min(copy.size - done, 65536));
    const at = copy.fromPosition ?? copy.from.position;
    const got = copy.from.readAt(bytes, at);
    if (isWait(got)) throw waiting(task, got);
    if (got === 0) break;
    const moved = writeSome(task, copy.to, bytes.subarray(0, got), copy.toPosition, done);
    if (moved === undefined) break;
    if (isWait(moved)) {
      // What went is told by a short count; only a copy that has moved nothing waits.
      if (done > 0) break;
      throw waiting(task, moved);
    }
    done += moved;
    if (copy.fromPosition === undefined) copy.from.position += moved;
    else copy.fromPosition += moved;
    if (copy.toPosition !== undefined) copy.toPosition += moved;
    if (moved < got) break;
  }
  return done;
}

function sendfile(name: string, offsets: typeof s64, largest: number) {
  return define({
    name, args: [['out_fd', fd], ['in_fd', fd], ['offset', structOut(offsets, 'off_t')], ['count', count]], result: size, support: 'full',
    handler: (task, out, source, at, wanted) => {
      const from = openAt(task, source);
      const to = openAt(task, out);
      if (!f.canRead(from.flags) || !f.canWrite(to.flags)) throw errno(EBADF);
      if ((wanted | 0) < 0 || to.flags & f.O_APPEND) throw errno(EINVAL);
      if (!from.file.seekable) throw errno(at === 0 ? EINVAL : ESPIPE);
      const position = at === 0 ? undefined : loadAt(task, at, offsets);
      if (position !== undefined && position < 0) throw errno(EINVAL);
      const job: Copy = { from, to, fromPosition: position, toPosition: undefined, size: Math.min(wanted, MOST) };
      const done = copy(task, job);
      if (job.fromPosition !== undefined) {
        if (job.fromPosition > largest) throw errno(EOVERFLOW);
        storeAt(task, at, offsets, job.fromPosition);
      }
      return done;
    },
  });
}

const copyFileRange = define({
  name: 'copy_file_range',
  args: [['fd_in', fd], ['off_in', structOut(s64, 'loff_t')], ['fd_out', fd], ['off_out', structOut(s64, 'loff_t')], ['len', count], ['flags', uint]],
  result: size, support: 'full',
  handler: (task, source, offIn, out, offOut, wanted, how) => {
    if (how !== 0) throw errno(EINVAL);
    const from = openAt(task, source);
    const to = openAt(task, out);
    if (from.vnode.kind === 'directory' || to.vnode.kind === 'directory') throw errno(EISDIR);
    if (from.vnode.kind !== 'file' || to.vnode.kind !== 'file') throw errno(EINVAL);
    if (!f.canRead(from.flags) || !f.canWrite(to.flags) || to.flags & f.O_APPEND) throw errno(EBADF);
    // Files that are made when they are read (procfs) have no length to copy by (generic_copy_file_checks).
    if (from.file.memoryObject === undefined || to.file.memoryObject === undefined) throw errno(EXDEV);
    const job: Copy = {
      from, to, fromPosition: offIn === 0 ? undefined : loadAt(task, offIn, s64), toPosition: offOut === 0 ? undefined : loadAt(task, offOut, s64),
      size: Math.min(wanted, MOST),
    };
    const [start, target] = [job.fromPosition ?? from.position, job.toPosition ?? to.position];
    if (start < 0 || target < 0) throw errno(EINVAL);
    if (from.vnode.key === to.vnode.key && start < target + job.size && target < start + job.size && job.size > 0) throw errno(EINVAL);
    const done = copy(task, job);
    if (job.fromPosition !== undefined) storeAt(task, offIn, s64, job.fromPosition);
    if (job.toPosition !== undefined) storeAt(task, offOut, s64, job.toPosition);
    return done;
  },
});

// ---- Sizes -----------------------------------------------------------------------------------------------------------------------------

function truncatePath(task: Task, name: string, length: number): void {
  if (length < 0) throw errno(EINVAL);
  const { vnode } = placeAt(task, AT_FDCWD, name);
  if (vnode.kind === 'directory') throw errno(EISDIR);
  if (vnode.kind !== 'file') throw errno(EINVAL);
  vnode.access(f.W_OK);
  checkSize(task, length);
  vnode.truncate(length);
}

function truncateOpen(task: Task, file: Fd, length: number, large: boolean): void {
  if (length < 0) throw errno(EINVAL);
  const description = openAt(task, file);
  const { file: opened, vnode } = description;
  if (vnode.kind !== 'file' || !f.canWrite(description.flags) || opened.truncate === undefined) throw errno(EINVAL);
  if (!large && (description.flags & f.O_LARGEFILE) === 0 && length > MAX_OFF) throw errno(EINVAL);
  checkSize(task, length);
  opened.truncate(length);
}

function checkSize(task: Task, length: number): void {
  const limit = task.process.limits[RLIMIT_FSIZE].current;
  if (length > MAX_POSITION) throw errno(EFBIG);
  if (limit === RLIM_INFINITY || length <= Number(limit)) return;
  sendToTask(task, kernelInfo(SIGXFSZ));
  throw errno(EFBIG);
}

const truncate = define({
  name: 'truncate', args: [['path', path], ['length', int]], result: none, support: 'full', handler: (task, name, length) => truncatePath(task, name, length),
});
const truncate64 = define({
  name: 'truncate64', args: [['path', path], ['length', off64]], result: none, support: 'full', handler: (task, name, length) => truncatePath(task, name, length),
});
const ftruncate = define({
  name: 'ftruncate', args: [['fd', fd], ['length', int]], result: none, support: 'full', handler: (task, file, length) => truncateOpen(task, file, length, false),
});
const ftruncate64 = define({
  name: 'ftruncate64', args: [['fd', fd], ['length', off64]], result: none, support: 'full', handler: (task, file, length) => truncateOpen(task, file, length, true),
});

const fallocateMode = flags({
  FALLOC_FL_KEEP_SIZE: f.FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE: f.FALLOC_FL_PUNCH_HOLE, FALLOC_FL_COLLAPSE_RANGE: f.FALLOC_FL_COLLAPSE_RANGE,
  FALLOC_FL_ZERO_RANGE: f.FALLOC_FL_ZERO_RANGE,
});
const fallocate = define({
  name: 'fallocate', args: [['fd', fd], ['mode', fallocateMode], ['offset', off64], ['len', off64]], result: none,
  support: { partial: 'on host files blocks are not reserved: growing is a truncate, punching writes zeros; collapse, insert and unshare answer EOPNOTSUPP' },
  handler: (task, file, how, offset, length) => {
    if (offset < 0 || length <= 0) throw errno(EINVAL);
    const description = openAt(task, file);
    if (how & ~0x7f) throw errno(EOPNOTSUPP);
    if (!f.canWrite(description.flags)) throw errno(EBADF);
    if (description.vnode.kind === 'fifo') throw errno(ESPIPE);
    if (description.vnode.kind === 'directory') throw errno(EISDIR);
    if (description.vnode.kind !== 'file') throw errno(ENODEV);
    if (offset + length > MAX_POSITION) throw errno(EFBIG);
    checkSize(task, offset + length);
    if (description.file.allocate === undefined) throw errno(EOPNOTSUPP);
    description.file.allocate(how, offset, length);
  },
});

// ---- Synchronisation and advice --------------------------------------------------------------------------------------------------------

function syncCall(name: string, dataOnly: boolean) {
  return define({
    name, args: [['fd', fd]], result: none, support: 'full',
    handler: (task, file) => {
      const { file: opened } = openAt(task, file);
      if (opened.sync === undefined) throw errno(EINVAL);
      opened.sync(dataOnly);
    },
  });
}
const sync = define({ name: 'sync', args: [], result: none, support: 'full', handler: (task) => task.kernel.files.sync() });
const syncfs = define({
  name: 'syncfs', args: [['fd', fd]], result: none, support: 'full',
  handler: (task, file) => {
    openAt(task, file);
    task.kernel.files.sync();
  },
});
const syncFileRange = define({
  name: 'sync_file_range', args: [['fd', fd], ['offset', off64], ['nbytes', off64], ['flags', uint]], result: none, support: 'full',
  handler: (task, file, offset, length, how) => {
    const description = openAt(task, file);
    if (how & ~7 || offset < 0 || length < 0) throw errno(EINVAL);
    if (description.vnode.kind === 'fifo' || description.vnode.kind === 'character') throw errno(ESPIPE);
    description.file.sync?.(true);
  },
});
const readahead = define({
  name: 'readahead', args: [['fd', fd], ['offset', off64], ['count', count]], result: none, support: 'full',
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
  name: 'fadvise64', args: [['fd', fd], ['offset', off64], ['len', count], ['advice', int]], result: none, support: 'full',
  handler: (task, file, _offset, length, advice) => advise(task, file, length, advice),
});
const fadvise6464 = define({
  name: 'fadvise64_64', args: [['fd', fd], ['offset', off64], ['len', off64], ['advice', int]], result: none, support: 'full',
  handler: (task, file, _offset, length, advice) => advise(task, file, length, advice),
});

export const calls = [
  readCall, writeCall, pread, pwrite, readv, writev, preadv, pwritev, preadv2, pwritev2, lseek, llseek, sendfile('sendfile', i32, MAX_OFF),
  sendfile('sendfile64', s64, MAX_POSITION), copyFileRange, truncate, truncate64, ftruncate, ftruncate64, fallocate, syncCall('fsync', false),
  syncCall('fdatasync', true), sync, syncfs, syncFileRange, readahead, fadvise64, fadvise6464,
];
