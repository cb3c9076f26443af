/** Moving bytes: read, write and their vector and positioned forms, seeking, copying between files. */
import { EBADF, EINVAL, EISDIR, EOPNOTSUPP, EOVERFLOW, ESPIPE, errno, EXDEV } from '../abi/errno.ts';
import * as f from '../abi/fcntl.ts';
import { i32, s64 } from '../abi/struct.ts';
import { type Description, MAX_POSITION } from '../fs/description.ts';
import { isWait } from '../fs/vnode.ts';
import type { Task } from '../proc/task.ts';
import { define } from './define.ts';
import {
  bytesIn,
  bytesOut,
  count,
  type Fd,
  fd,
  flags,
  int,
  intResult,
  loadAt,
  none,
  off64,
  size,
  storeAt,
  structOut,
  structsIn,
  uint,
} from './kinds.ts';
import { openAt, waiting, whence } from './paths.ts';
import { iovec, MAX_OFF, MOST, read, scratch, single, vector, write, writeSome } from './transfer.ts';

const iovecs = structsIn(iovec, 'iovcnt', 'struct iovec');
const rwFlags = flags({ RWF_HIPRI: 1, RWF_DSYNC: 2, RWF_SYNC: 4, RWF_NOWAIT: 8, RWF_APPEND: 16 });

const readCall = define({
  name: 'read',
  args: [
    ['fd', fd],
    ['buf', bytesOut('count')],
    ['count', count],
  ],
  result: size,
  support: 'full',
  handler: (task, file, to, wanted) => read(task, openAt(task, file), single(to, wanted)),
});
const writeCall = define({
  name: 'write',
  args: [
    ['fd', fd],
    ['buf', bytesIn('count')],
    ['count', count],
  ],
  result: size,
  support: 'full',
  handler: (task, file, from, wanted) => write(task, openAt(task, file), single(from, wanted)),
});
const pread = define({
  name: 'pread64',
  args: [
    ['fd', fd],
    ['buf', bytesOut('count')],
    ['count', count],
    ['offset', off64],
  ],
  result: size,
  support: 'full',
  handler: (task, file, to, wanted, at) => read(task, positioned(task, file, at), single(to, wanted), at),
});
const pwrite = define({
  name: 'pwrite64',
  args: [
    ['fd', fd],
    ['buf', bytesIn('count')],
    ['count', count],
    ['offset', off64],
  ],
  result: size,
  support: 'full',
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
  name: 'readv',
  args: [
    ['fd', fd],
    ['iov', iovecs],
    ['iovcnt', uint],
  ],
  result: size,
  support: 'full',
  handler: (task, file, at, pieces) => read(task, openAt(task, file), vector(task, at, pieces)),
});
const writev = define({
  name: 'writev',
  args: [
    ['fd', fd],
    ['iov', iovecs],
    ['iovcnt', uint],
  ],
  result: size,
  support: 'full',
  handler: (task, file, at, pieces) => write(task, openAt(task, file), vector(task, at, pieces)),
});
const preadv = define({
  name: 'preadv',
  args: [
    ['fd', fd],
    ['iov', iovecs],
    ['iovcnt', uint],
    ['pos', off64],
  ],
  result: size,
  support: 'full',
  handler: (task, file, at, pieces, position) => read(task, positioned(task, file, position), vector(task, at, pieces), position),
});
const pwritev = define({
  name: 'pwritev',
  args: [
    ['fd', fd],
    ['iov', iovecs],
    ['iovcnt', uint],
    ['pos', off64],
  ],
  result: size,
  support: 'full',
  handler: (task, file, at, pieces, position) => write(task, positioned(task, file, position), vector(task, at, pieces), position),
});

/** What the flags ask of reads and writes is always so (they are synchronous), but for appending against the descriptor's flags. */
function checkRwFlags(how: number): void {
  if (how & ~0xf) throw errno(EOPNOTSUPP);
}

const preadv2 = define({
  name: 'preadv2',
  args: [
    ['fd', fd],
    ['iov', iovecs],
    ['iovcnt', uint],
    ['pos', off64],
    ['flags', rwFlags],
  ],
  result: size,
  support: { partial: 'RWF_APPEND answers EOPNOTSUPP' },
  handler: (task, file, at, pieces, position, how) => {
    checkRwFlags(how);
    if (position === -1) return read(task, openAt(task, file), vector(task, at, pieces));
    return read(task, positioned(task, file, position), vector(task, at, pieces), position);
  },
});
const pwritev2 = define({
  name: 'pwritev2',
  args: [
    ['fd', fd],
    ['iov', iovecs],
    ['iovcnt', uint],
    ['pos', off64],
    ['flags', rwFlags],
  ],
  result: size,
  support: { partial: 'RWF_APPEND answers EOPNOTSUPP' },
  handler: (task, file, at, pieces, position, how) => {
    checkRwFlags(how);
    if (position === -1) return write(task, openAt(task, file), vector(task, at, pieces));
    return write(task, positioned(task, file, position), vector(task, at, pieces), position);
  },
});

const lseek = define({
  name: 'lseek',
  args: [
    ['fd', fd],
    ['offset', int],
    ['whence', whence],
  ],
  result: intResult,
  support: 'full',
  handler: (task, file, offset, from) => {
    const position = openAt(task, file).seek(offset, from);
    if (position > MAX_OFF) throw errno(EOVERFLOW);
    return position;
  },
});
const llseek = define({
  name: '_llseek',
  args: [
    ['fd', fd],
    ['offset_high', uint],
    ['offset_low', uint],
    ['result', structOut(s64, 'loff_t')],
    ['whence', whence],
  ],
  result: none,
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
    name,
    args: [
      ['out_fd', fd],
      ['in_fd', fd],
      ['offset', structOut(offsets, 'off_t')],
      ['count', count],
    ],
    result: size,
    support: 'full',
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
  args: [
    ['fd_in', fd],
    ['off_in', structOut(s64, 'loff_t')],
    ['fd_out', fd],
    ['off_out', structOut(s64, 'loff_t')],
    ['len', count],
    ['flags', uint],
  ],
  result: size,
  support: 'full',
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
      from,
      to,
      fromPosition: offIn === 0 ? undefined : loadAt(task, offIn, s64),
      toPosition: offOut === 0 ? undefined : loadAt(task, offOut, s64),
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

export const calls = [
  readCall,
  writeCall,
  pread,
  pwrite,
  readv,
  writev,
  preadv,
  pwritev,
  preadv2,
  pwritev2,
  lseek,
  llseek,
  sendfile('sendfile', i32, MAX_OFF),
  sendfile('sendfile64', s64, MAX_POSITION),
  copyFileRange,
];
