/** How bytes move between guest memory and open files: what is not delivered is not consumed, and what was moved before an error is told. */
import { EFAULT, EFBIG, EINVAL, EPIPE, Errno, errno } from '../abi/errno.ts';
import * as f from '../abi/fcntl.ts';
import { IN_ACCESS, IN_MODIFY } from '../abi/inotify.ts';
import { POLLIN } from '../abi/poll.ts';
import { RLIM_INFINITY, RLIMIT_FSIZE } from '../abi/resource.ts';
import { SIGPIPE, SIGXFSZ } from '../abi/signal.ts';
import { type Struct, struct, u32 } from '../abi/struct.ts';
import type { Description, WriteOptions } from '../fs/description.ts';
import { LocalSocket } from '../fs/socket.ts';
import { holdsBytes } from '../fs/socket-state.ts';
import type { Speaker } from '../fs/speaker.ts';
import { type Io, isWait, type OpenFile } from '../fs/vnode.ts';
import { ownInfo, sendToTask } from '../proc/send.ts';
import type { Task } from '../proc/task.ts';
import type { Blocked } from '../proc/wait.ts';
import { loadAt } from './kinds.ts';
import { tame, waiting } from './paths.ts';

/** Bytes one call moves at most (MAX_RW_COUNT). */
export const MOST = 0x7ffff000;
/** Bytes that go through our buffer at a time. */
const CHUNK = 1 << 18;
/** Linux's UIO_MAXIOV. */
const MAX_VECTORS = 1024;
/** A 32-bit off_t ends here. */
export const MAX_OFF = 0x7fffffff;

const buffer = new Uint8Array(CHUNK);

/** One buffer for all: nothing is held in it across a call. */
export function scratch(count: number): Uint8Array {
  return buffer.subarray(0, Math.min(count, buffer.length));
}

// ---- Where the bytes are in guest memory -----------------------------------------------------------------------------------------------

export interface Iovec {
  base: number;
  size: number;
}
export const iovec: Struct<Iovec> = struct<Iovec>({ base: u32, size: u32 });

/** A run of bytes in guest memory that may lie in pieces. */
export interface Span {
  readonly pieces: readonly Iovec[];
  readonly size: number;
}

export function single(base: number, size: number): Span {
  return { pieces: [{ base, size }], size: Math.min(size, MOST) };
}

export function vector(task: Task, at: number, count: number): Span {
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

export function copyOut(task: Task, span: Span, from: number, bytes: Uint8Array): number {
  return walk(span, from, bytes.length, (addr, done, part) => task.user.copyOut(addr, bytes.subarray(done, done + part)));
}

export function copyIn(task: Task, span: Span, from: number, into: Uint8Array): number {
  return walk(span, from, into.length, (addr, done, part) => task.user.copyIn(addr, into.subarray(done, done + part)));
}

export function writable(task: Task, span: Span, count: number): number {
  return walk(span, 0, count, (addr, _done, part) => task.user.probe(addr, part, 'write'));
}

// ---- Reading ---------------------------------------------------------------------------------------------------------------------------

/** `position` undefined: at the description's own, which moves. `nonblocking` where not as the descriptor's flags say. */
export function read(task: Task, description: Description, span: Span, position?: number, nonblocking?: boolean): number | Blocked {
  const file = description.requireRead();
  file.checkRead?.(span.size);
  if (position === undefined && !file.seekable) return readStream(task, description, span, nonblocking);
  const done = readFile(task, description, span, position);
  if (typeof done === 'number' && done > 0) task.kernel.files.watches.happened(description, IN_ACCESS);
  return done;
}

/** What is not delivered is not consumed: the position moves by what reached the guest. */
function readFile(task: Task, description: Description, span: Span, position: number | undefined): number | Blocked {
  let at = position ?? description.position;
  let done = 0;
  do {
    const bytes = scratch(span.size - done);
    const moved = description.readAt(bytes, at);
    if (isWait(moved)) {
      if (done === 0) return waiting(task, moved);
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

/** Bytes of a pipe or terminal are gone once they are read, so the guest's memory is looked at first: it decides only where there is something to read. */
function readStream(task: Task, description: Description, span: Span, nonblocking?: boolean): number | Blocked {
  const { file } = description;
  const wanted = Math.min(span.size, CHUNK);
  if (wanted === 0 && file.vnode.kind === 'socket') return 0;
  const room = writable(task, span, wanted);
  const hasBytes = file instanceof LocalSocket ? holdsBytes(file) : (file.poll() & POLLIN) !== 0;
  if (room === 0 && wanted > 0 && !file.hasRecords && hasBytes) throw errno(EFAULT);
  const bytes = scratch(room === 0 || file.hasRecords ? wanted : room);
  const moved = description.read(bytes, nonblocking);
  if (isWait(moved)) return waiting(task, moved);
  if (copyOut(task, span, 0, bytes.subarray(0, moved)) < moved) throw errno(EFAULT);
  return moved;
}

// ---- Writing ---------------------------------------------------------------------------------------------------------------------------

/** A call that waited in the middle goes on behind what it has written (`task.call.progress`). */
export function write(task: Task, description: Description, span: Span, position?: number, how?: WriteOptions): number | Blocked {
  const file: OpenFile = description.requireWrite();
  if (description.file instanceof LocalSocket) description.file.writer = speakerOf(task);
  if (file.writesPieces) return writePieces(task, description, span);
  let done = task.call.progress;
  if (done === 0) checkWrite(task, file, span.size, how?.quiet);
  if (span.size === 0)
    return moveZero(task, position === undefined ? description.write(scratch(0), how) : description.writeAt(scratch(0), position, how));
  while (done < span.size) {
    const bytes = scratch(span.size - done);
    const got = file.discards === true ? bytes.length : wholeParts(file, copyIn(task, span, done, bytes), bytes.length);
    if (got === 0) {
      if (done > 0) break;
      withinLimits(task, description, bytes, position, 0, how?.appends);
      throw errno(EFAULT);
    }
    const moved = writeSome(task, description, bytes.subarray(0, got), position === undefined ? undefined : position + done, done, how);
    if (moved === undefined) break;
    if (isWait(moved)) {
      task.call.progress = done;
      return waiting(task, moved);
    }
    done += moved;
    if (moved === 0) break;
  }
  if (done > 0 && file.seekable) task.kernel.files.watches.happened(description, IN_MODIFY);
  return done;
}

/** As those see it who are told of senders. */
export function speakerOf(task: Task): Speaker {
  return { pid: task.process.pid, uid: task.credentials.uid, gid: task.credentials.gid, process: task.process };
}

/** How much of a write that the program's memory cut short is made. */
function wholeParts({ writeGrain = 1 }: OpenFile, got: number, wanted: number): number {
  return got === wanted ? got : got - (got % writeGrain);
}

/** Nobody to write to is told of by a signal as well. */
function checkWrite(task: Task, file: OpenFile, size: number, quiet = false): void {
  try {
    file.checkWrite?.(size);
  } catch (error) {
    if (error instanceof Errno && error.code === EPIPE && !quiet) sendToTask(task, ownInfo(task, SIGPIPE));
    throw error;
  }
}

/** Each piece goes whole or not at all. */
function writePieces(task: Task, description: Description, { pieces }: Span): number | Blocked {
  const { file } = description;
  let done = 0;
  for (const piece of pieces) {
    if (done > 0 && piece.size === 0) continue;
    done += piece.size;
    if (done <= task.call.progress && piece.size > 0) continue;
    try {
      file.checkWrite?.(piece.size);
      const bytes = scratch(piece.size);
      if (task.user.copyIn(piece.base, bytes) < piece.size) throw errno(EFAULT);
      const moved = description.write(bytes);
      if (isWait(moved)) return waiting(task, moved);
    } catch (error) {
      if (!(error instanceof Errno) || task.call.progress === 0) throw error;
      break;
    }
    task.call.progress = done;
  }
  return task.call.progress;
}

function moveZero(task: Task, moved: Io): number | Blocked {
  return isWait(moved) ? waiting(task, moved) : moved;
}

/** Undefined: it failed, but something was written before, which is what the call tells. */
export function writeSome(
  task: Task,
  description: Description,
  bytes: Uint8Array,
  position: number | undefined,
  before: number,
  how?: WriteOptions,
): Io | undefined {
  try {
    tame(task, description.vnode);
    const allowed = withinLimits(task, description, bytes, position, before, how?.appends);
    return position === undefined ? description.write(allowed, how) : description.writeAt(allowed, position, how);
  } catch (error) {
    if (!(error instanceof Errno)) throw error;
    if (error.code === EPIPE && how?.quiet !== true) sendToTask(task, ownInfo(task, SIGPIPE));
    if (before === 0) throw error;
    return undefined;
  }
}

/** Whether anything may be written at a position, even nothing (Linux generic_write_check_limits). */
export function checkTarget(task: Task, { flags }: Description, at: number): void {
  const limit = task.process.limits[RLIMIT_FSIZE].current;
  if (limit !== RLIM_INFINITY && at >= Number(limit)) {
    sendToTask(task, ownInfo(task, SIGXFSZ));
    throw errno(EFBIG);
  }
  if ((flags & f.O_LARGEFILE) === 0 && at >= MAX_OFF) throw errno(EFBIG);
}

/** RLIMIT_FSIZE, and the 2 GB that files without O_LARGEFILE end at. A call that has written something ends there without a signal. */
function withinLimits(task: Task, description: Description, bytes: Uint8Array, position: number | undefined, before: number, appends = (description.flags & f.O_APPEND) !== 0): Uint8Array {
  if (!description.file.seekable || description.vnode.kind !== 'file') return bytes;
  const limit = task.process.limits[RLIMIT_FSIZE].current;
  const small = (description.flags & f.O_LARGEFILE) === 0;
  if (limit === RLIM_INFINITY && !small) return bytes;
  const at = appends ? description.seekEnd() : (position ?? description.position);
  if (limit !== RLIM_INFINITY && at + bytes.length > Number(limit)) {
    if (at >= Number(limit)) {
      if (before === 0) sendToTask(task, ownInfo(task, SIGXFSZ));
      throw errno(EFBIG);
    }
    bytes = bytes.subarray(0, Number(limit) - at);
  }
  if (!small || at + bytes.length <= MAX_OFF) return bytes;
  if (at >= MAX_OFF) throw errno(EFBIG);
  return bytes.subarray(0, MAX_OFF - at);
}
