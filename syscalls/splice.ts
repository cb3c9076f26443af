/** Bytes from one file to another without the program's memory: splice, tee, vmsplice, sendfile, copy_file_range. Linux: fs/splice.c, fs/read_write.c. */
import { EAGAIN, EBADF, EFAULT, EFBIG, EINVAL, EISDIR, EOVERFLOW, EPIPE, ESPIPE, Errno, errno, EXDEV } from '../abi/errno.ts';
import * as f from '../abi/fcntl.ts';
import { IN_ACCESS, IN_MODIFY } from '../abi/inotify.ts';
import { PAGE_SIZE } from '../abi/page.ts';
import { SIGPIPE } from '../abi/signal.ts';
import { deviceMajor, deviceMinor } from '../abi/stat.ts';
import { i32, type Layout, s64 } from '../abi/struct.ts';
import { AnonymousVnode } from '../fs/anonymous.ts';
import { type Description, MAX_POSITION } from '../fs/description.ts';
import { FifoEnd } from '../fs/fifo.ts';
import { type Pipe, PipeEnd } from '../fs/pipe.ts';
import { isWait, type Vnode, type Wait } from '../fs/vnode.ts';
import { ownInfo, sendToTask } from '../proc/send.ts';
import type { Task } from '../proc/task.ts';
import { define } from './define.ts';
import { count, type Fd, fd, flags, loadAt, size, storeAt, structOut, structsIn, uint } from './kinds.ts';
import { openAt, waiting } from './paths.ts';
import { checkTarget, copyIn, copyOut, iovec, MAX_OFF, MOST, scratch, type Span, vector, writable, writeSome } from './transfer.ts';

const MOVE = 1, NONBLOCK = 2, MORE = 4, GIFT = 8;
const spliceFlags = flags({ SPLICE_F_MOVE: MOVE, SPLICE_F_NONBLOCK: NONBLOCK, SPLICE_F_MORE: MORE, SPLICE_F_GIFT: GIFT });
const ALL = MOVE | NONBLOCK | MORE | GIFT;
const offset = structOut(s64, 'loff_t');

/** The pipe behind a descriptor. Pipes of the host are files like any other here: their pages are out of reach. */
function pipeOf({ file }: Description): Pipe | undefined {
  return file instanceof PipeEnd || file instanceof FifoEnd ? file.pipe : undefined;
}

/** Waits, or with `nonblocking` fails. */
function orAgain(task: Task, on: Wait['on'], nonblocking: boolean): never {
  if (nonblocking) throw errno(EAGAIN);
  throw waiting(task, { kind: 'wait', on });
}

function broken(task: Task): never {
  sendToTask(task, ownInfo(task, SIGPIPE));
  throw errno(EPIPE);
}

/** Linux: opipe_prep, wait_for_space. */
function waitForRoom(task: Task, pipe: Pipe, nonblocking: boolean): void {
  if (pipe.readers === 0) broken(task);
  if (pipe.full) orAgain(task, pipe.changed, nonblocking);
}

/** Linux: ipipe_prep. False at the end: nobody can write any more. */
function waitForBytes(task: Task, pipe: Pipe, nonblocking: boolean): boolean {
  if (pipe.filled > 0) return true;
  if (pipe.writers === 0) return false;
  orAgain(task, pipe.changed, nonblocking);
}

/** Both ends are pipes: pages go over, or with `keeps` are shown to both. */
function between(task: Task, from: Pipe, to: Pipe, most: number, nonblocking: boolean, keeps: boolean): number {
  if (!waitForBytes(task, from, nonblocking)) {
    if (to.readers === 0) broken(task);
    return 0;
  }
  waitForRoom(task, to, nonblocking);
  return from.pass(to, most, keeps);
}

/** Out of a pipe: all that is there up to `most`. A target that takes only a part for now is waited for. Linux: iter_file_splice_write, splice_to_socket. */
function drain(task: Task, pipe: Pipe, to: Description, position: number | undefined, most: number, nonblocking: boolean): number {
  let done = task.call.progress;
  if (done === 0 && !waitForBytes(task, pipe, nonblocking)) return 0;
  while (done < most && pipe.filled > 0) {
    const bytes = pipe.first.subarray(0, most - done);
    const moved = writeSome(task, to, bytes, position === undefined ? undefined : position + done, done);
    if (moved === undefined || moved === 0) break;
    if (isWait(moved)) {
      if (nonblocking) {
        if (done === 0) throw errno(EAGAIN);
        break;
      }
      task.call.progress = done;
      throw waiting(task, moved);
    }
    pipe.skip(moved);
    done += moved;
  }
  if (done > 0) task.kernel.files.watches.happened(to, IN_MODIFY);
  return done;
}

/** Directories, what only counts or tells of events, and /dev/null. Linux: files without splice_read. */
function hasNoBytes({ file, vnode }: Description): boolean {
  return file.entries !== undefined || (vnode instanceof AnonymousVnode && vnode.kind !== 'socket') || isNull(vnode);
}

function isNull(vnode: Vnode): boolean {
  if (vnode.kind !== 'character') return false;
  const { rdev } = vnode.stat();
  return deviceMajor(rdev) === 1 && deviceMinor(rdev) === 3;
}

/** Into a pipe: what the file gives at once, in pages as they lie in the file, as far as there is room. Linux: splice_file_to_pipe. */
function fill(task: Task, from: Description, position: number, pipe: Pipe, most: number, nonblocking: boolean): number {
  waitForRoom(task, pipe, nonblocking);
  if (most === 0) return 0;
  const { file } = from;
  if (hasNoBytes(from) || pipeOf(from) !== undefined) throw errno(EINVAL);
  const lead = file.seekable ? position % PAGE_SIZE : 0;
  const bytes = scratch(Math.min(most, pipe.room * PAGE_SIZE - lead));
  const got = file.read(bytes, position, from.nonblocking || (nonblocking && from.vnode.kind === 'socket'));
  if (isWait(got)) throw waiting(task, got);
  for (let done = 0; done < got; ) {
    const end = Math.min(got, done === 0 ? PAGE_SIZE - lead : done + PAGE_SIZE);
    pipe.put(bytes.subarray(done, end), 'spliced');
    done = end;
  }
  if (got > 0) task.kernel.files.watches.happened(from, IN_ACCESS);
  return got;
}

const splice = define({
  name: 'splice',
  args: [['fd_in', fd], ['off_in', offset], ['fd_out', fd], ['off_out', offset], ['len', count], ['flags', spliceFlags]],
  result: size, support: { partial: 'pipes of the host (standard streams) count as plain files: one end must be a pipe of the machine' },
  handler: (task, source, offIn, target, offOut, wanted, how) => {
    if (wanted === 0) return 0;
    if ((how & ~ALL) !== 0) throw errno(EINVAL);
    const [from, to] = [openAt(task, source), openAt(task, target)];
    const [input, output] = [pipeOf(from), pipeOf(to)];
    if ((input !== undefined && offIn !== 0) || (output !== undefined && offOut !== 0)) throw errno(ESPIPE);
    const outAt = offOut === 0 ? undefined : loadAt(task, offOut, s64);
    const inAt = offIn === 0 ? undefined : loadAt(task, offIn, s64);
    if (!f.canRead(from.flags) || !f.canWrite(to.flags)) throw errno(EBADF);
    const ask = (how & NONBLOCK) !== 0;
    const most = Math.min(wanted, MOST);
    if (input !== undefined && output !== undefined) {
      if (input === output) throw errno(EINVAL);
      return between(task, input, output, most, ask || from.nonblocking || to.nonblocking, false);
    }
    if (input !== undefined) {
      checkPlace(to, outAt);
      if ((to.flags & f.O_APPEND) !== 0) throw errno(EINVAL);
      if (to.vnode instanceof AnonymousVnode && to.vnode.kind !== 'socket') throw errno(EINVAL);
      const done = drain(task, input, to, outAt, most, ask || from.nonblocking);
      if (outAt !== undefined) storeAt(task, offOut, s64, outAt + done);
      return done;
    }
    if (output === undefined) throw errno(EINVAL);
    checkPlace(from, inAt);
    const done = fill(task, from, inAt ?? from.position, output, most, ask || to.nonblocking);
    if (inAt !== undefined) storeAt(task, offIn, s64, inAt + done);
    else if (from.file.seekable) from.position += done;
    return done;
  },
});

/** A position given for what has none, or out of range. */
function checkPlace(description: Description, at: number | undefined): void {
  if (at !== undefined && (!description.file.seekable || at < 0)) throw errno(EINVAL);
}

const tee = define({
  name: 'tee', args: [['fd_in', fd], ['fd_out', fd], ['len', count], ['flags', spliceFlags]], result: size,
  support: { partial: 'between pipes of the machine; pipes of the host answer EINVAL' },
  handler: (task, source, target, wanted, how) => {
    if ((how & ~ALL) !== 0) throw errno(EINVAL);
    if (wanted === 0) return 0;
    const [from, to] = [openAt(task, source), openAt(task, target)];
    const [input, output] = [pipeOf(from), pipeOf(to)];
    if (!f.canRead(from.flags) || !f.canWrite(to.flags)) throw errno(EBADF);
    if (input === undefined || output === undefined || input === output) throw errno(EINVAL);
    return between(task, input, output, Math.min(wanted, MOST), (how & NONBLOCK) !== 0 || from.nonblocking || to.nonblocking, true);
  },
});

/** The program's pages go into the pipe, one slot for each page or part of it. */
function give(task: Task, pipe: Pipe, span: Span, nonblocking: boolean): number {
  waitForRoom(task, pipe, nonblocking);
  let done = 0;
  for (const { base, size: length } of span.pieces) {
    for (let at = 0; at < length && !pipe.full; ) {
      const bytes = scratch(Math.min(length - at, PAGE_SIZE - ((base + at) % PAGE_SIZE), span.size - done));
      const got = copyIn(task, span, done, bytes);
      if (got === 0) {
        if (done === 0) throw errno(EFAULT);
        return done;
      }
      pipe.put(bytes.subarray(0, got), 'spliced');
      done += got;
      at += got;
    }
  }
  return done;
}

function receive(task: Task, pipe: Pipe, span: Span, nonblocking: boolean): number {
  if (!waitForBytes(task, pipe, nonblocking)) return 0;
  const room = writable(task, span, Math.min(span.size, pipe.filled));
  if (room === 0) throw errno(EFAULT);
  let done = 0;
  while (done < room && pipe.filled > 0) {
    const part = pipe.first.subarray(0, room - done);
    copyOut(task, span, done, part);
    done += part.length;
    pipe.skip(part.length);
  }
  return done;
}

const vmsplice = define({
  name: 'vmsplice', args: [['fd', fd], ['iov', structsIn(iovec, 'nr_segs', 'struct iovec')], ['nr_segs', uint], ['flags', spliceFlags]], result: size,
  support: { partial: 'pages are copied at once: what the program writes to them afterwards is not seen by the reader' },
  handler: (task, file, at, pieces, how) => {
    if ((how & ~ALL) !== 0) throw errno(EINVAL);
    const description = openAt(task, file);
    const span = vector(task, at, pieces);
    if (span.size === 0) return 0;
    const pipe = pipeOf(description);
    if (pipe === undefined) throw errno(EBADF);
    const nonblocking = (how & NONBLOCK) !== 0;
    return f.canWrite(description.flags) ? give(task, pipe, span, nonblocking) : receive(task, pipe, span, nonblocking);
  },
});

// ---- Between files -------------------------------------------------------------------------------------------------------------

interface Copy {
  readonly from: Description;
  readonly to: Description;
  /** Positions at the start, where not the descriptions' own. */
  readonly fromPosition: number | undefined;
  readonly toPosition: number | undefined;
  readonly size: number;
}

/** Copies without the guest's memory, and returns how much. A target that takes only a part for now is waited for; what it did not take stays unread. */
function copy(task: Task, { from, to, fromPosition, toPosition, size: wanted }: Copy): number {
  let done = task.call.progress;
  while (done < wanted) {
    const bytes = scratch(Math.min(wanted - done, 65536));
    const got = from.readAt(bytes, fromPosition === undefined ? from.position : fromPosition + done);
    if (isWait(got)) throw waiting(task, got);
    if (got === 0) break;
    const moved = writeSome(task, to, bytes.subarray(0, got), toPosition === undefined ? undefined : toPosition + done, done);
    if (moved === undefined) break;
    if (isWait(moved)) {
      task.call.progress = done;
      throw waiting(task, moved);
    }
    done += moved;
    if (fromPosition === undefined) from.position += moved;
    if (moved === 0) break;
  }
  const { watches } = task.kernel.files;
  if (done > 0) {
    watches.happened(from, IN_ACCESS);
    watches.happened(to, IN_MODIFY);
  }
  return done;
}

/** Order of errors as Linux's do_sendfile. `largest` is where positions end that are told. */
function sendBetween(task: Task, out: Fd, source: Fd, start: number | undefined, wanted: number, largest: number): number {
  const from = openAt(task, source);
  if (!f.canRead(from.flags)) throw errno(EBADF);
  if (start !== undefined && !from.file.seekable && !from.file.takesPositions) throw errno(ESPIPE);
  if (start !== undefined && start < 0) throw errno(EINVAL);
  const to = openAt(task, out);
  if (!f.canWrite(to.flags)) throw errno(EBADF);
  const position = start ?? from.position;
  if (position >= largest && largest === MAX_OFF && start !== undefined && wanted > 0) throw errno(EOVERFLOW);
  const most = Math.min(wanted, MOST, start === undefined || largest !== MAX_OFF ? MOST : largest - position);
  const pipe = pipeOf(to);
  if (pipe !== undefined) {
    const done = fill(task, from, position, pipe, most, to.nonblocking);
    if (start === undefined && from.file.seekable) from.position += done;
    return done;
  }
  if (!from.file.seekable && !from.file.stays) throw errno(EINVAL);
  if (most === 0) return 0;
  if (hasNoBytes(from)) throw errno(EINVAL);
  if (to.vnode instanceof AnonymousVnode && to.vnode.kind !== 'socket') {
    // What cannot be written to is seen when there is something to write.
    if (from.readAt(scratch(1), position) === 0) return 0;
    throw errno(EINVAL);
  }
  if ((to.flags & f.O_APPEND) !== 0) throw errno(EINVAL);
  return copy(task, { from, to, fromPosition: start, toPosition: undefined, size: most });
}

/** `largest` is where positions end that are told through `offset`. */
function sendfile(name: string, offsets: Layout<number>, largest: number) {
  return define({
    name, args: [['out_fd', fd], ['in_fd', fd], ['offset', structOut(offsets, 'off_t')], ['count', count]], result: size,
    support: 'full',
    handler: (task, out, source, at, wanted) => {
      const start = at === 0 ? undefined : loadAt(task, at, offsets);
      try {
        const done = sendBetween(task, out, source, start, wanted, largest);
        if (start !== undefined && done > 0) storeAt(task, at, offsets, start + done);
        if (start !== undefined && task.user.probe(at, offsets.size, 'write') < offsets.size) throw errno(EFAULT);
        return done;
      } catch (error) {
        // The position is told also where nothing was sent: who cannot be told hears of that.
        if (error instanceof Errno && start !== undefined && task.user.probe(at, offsets.size, 'write') < offsets.size) throw errno(EFAULT);
        throw error;
      }
    },
    onInterrupt: (task, _out, _source, at) => {
      const { progress } = task.call;
      if (at !== 0 && progress > 0) storeAt(task, at, offsets, loadAt(task, at, offsets) + progress);
      return undefined;
    },
  });
}

/** Order of errors as Linux's copy_file_range, vfs_copy_file_range and generic_copy_file_checks. */
const copyFileRange = define({
  name: 'copy_file_range',
  args: [['fd_in', fd], ['off_in', offset], ['fd_out', fd], ['off_out', offset], ['len', count], ['flags', uint]],
  result: size, support: 'full',
  handler: (task, source, offIn, out, offOut, wanted, how) => {
    const from = openAt(task, source);
    const to = openAt(task, out);
    const fromPosition = offIn === 0 ? undefined : loadAt(task, offIn, s64);
    const toPosition = offOut === 0 ? undefined : loadAt(task, offOut, s64);
    if (how !== 0) throw errno(EINVAL);
    if (from.vnode.kind === 'directory' || to.vnode.kind === 'directory') throw errno(EISDIR);
    if (from.vnode.kind !== 'file' || to.vnode.kind !== 'file') throw errno(EINVAL);
    if (!f.canRead(from.flags) || !f.canWrite(to.flags) || to.flags & f.O_APPEND) throw errno(EBADF);
    // Files that are made when they are read (procfs) have no length to copy by.
    if (from.file.memoryObject === undefined || to.file.memoryObject === undefined) throw errno(EXDEV);
    const [stat, other] = [from.vnode.stat(), to.vnode.stat()];
    if (stat.dev !== other.dev) throw errno(EXDEV);
    const [start, target] = [fromPosition ?? from.position, toPosition ?? to.position];
    // The sums are unsigned there: what is below zero overflows where it comes out above.
    if ([start, target].some((at) => at < 0 && at + wanted >= 0)) throw errno(EOVERFLOW);
    const length = Math.min(wanted, Math.max(0, (from.file.size?.() ?? stat.size) - start));
    if (target >= 0) checkTarget(task, to, target);
    if (target >= MAX_POSITION) throw errno(EFBIG);
    if (from.vnode.key === to.vnode.key && target + length > start && target < start + length) throw errno(EINVAL);
    if (start < 0 || target < 0) throw errno(EINVAL);
    const done = copy(task, { from, to, fromPosition, toPosition, size: Math.min(length, MOST) });
    if (fromPosition !== undefined && done > 0) storeAt(task, offIn, s64, fromPosition + done);
    if (toPosition !== undefined && done > 0) storeAt(task, offOut, s64, toPosition + done);
    return done;
  },
});

export const calls = [splice, tee, vmsplice, sendfile('sendfile', i32, MAX_OFF), sendfile('sendfile64', s64, MAX_POSITION), copyFileRange];
