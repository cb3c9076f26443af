/** Moving bytes: read, write and their vector and positioned forms, seeking. */
import { EINVAL, EOPNOTSUPP, ESPIPE, errno } from '../abi/errno.ts';
import { O_APPEND } from '../abi/fcntl.ts';
import { s64 } from '../abi/struct.ts';
import type { Description } from '../fs/description.ts';
import type { OpenFile } from '../fs/vnode.ts';
import type { Task } from '../proc/task.ts';
import type { Blocked } from '../proc/wait.ts';
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
  none,
  off64,
  size,
  storeAt,
  structOut,
  structsIn,
  uint,
} from './kinds.ts';
import { openAt, whence } from './paths.ts';
import { iovec, read, single, vector, write } from './transfer.ts';

const iovecs = structsIn(iovec, 'iovcnt', 'struct iovec');
const RWF_NOWAIT = 8,
  RWF_APPEND = 0x10,
  RWF_NOAPPEND = 0x20,
  RWF_NOSIGNAL = 0x100;
const rwFlags = flags({ RWF_HIPRI: 1, RWF_DSYNC: 2, RWF_SYNC: 4, RWF_NOWAIT, RWF_APPEND, RWF_NOAPPEND, RWF_NOSIGNAL });
const RW_FLAGS = { partial: 'RWF_NOWAIT on regular files, RWF_ATOMIC and RWF_DONTCACHE answer EOPNOTSUPP, as on file systems without them' };

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
  handler: (task, file, to, wanted, at) => {
    const description = positioned(task, file, at);
    description.requireRead();
    within(at, wanted);
    return read(task, description, single(to, wanted), at);
  },
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
  handler: (task, file, from, wanted, at) => {
    const description = positioned(task, file, at);
    description.requireWrite();
    within(at, wanted);
    return write(task, description, single(from, wanted), at);
  },
});

/** Order of errors as Linux's ksys_pread64: the position, the descriptor, then whether it can seek. */
function positioned(task: Task, file: Fd, at: number): Description {
  if (at < 0) throw errno(EINVAL);
  const description = openAt(task, file);
  const { seekable, takesPositions } = description.file;
  if (!seekable && !takesPositions) throw errno(ESPIPE);
  return description;
}

/** Whatever is there, no transfer goes beyond the last position there is. Linux: rw_verify_area. */
function within(at: number, count: number): void {
  if (at + count >= 2 ** 63) throw errno(EINVAL);
}

/** What the flags ask of reads and writes is mostly so (they are synchronous). Linux: kiocb_set_rw_flags, do_loop_readv_writev. */
function checkRwFlags({ canNotWait, vnode }: OpenFile, how: number, isSimple: boolean): void {
  if (how & ~(isSimple ? 1 : 0x13f)) throw errno(EOPNOTSUPP);
  if (how & RWF_APPEND && how & RWF_NOAPPEND) throw errno(EINVAL);
  if (how & RWF_NOWAIT && !canNotWait && vnode.kind !== 'socket') throw errno(EOPNOTSUPP);
}

function readVector(task: Task, description: Description, at: number, pieces: number, position?: number, how = 0): number | Blocked {
  const file = description.requireRead();
  const span = vector(task, at, pieces);
  if (span.size === 0) return 0;
  checkRwFlags(file, how, file.entries !== undefined);
  return read(task, description, span, position, how & RWF_NOWAIT ? true : undefined);
}

function writeVector(task: Task, description: Description, at: number, pieces: number, position?: number, how = 0): number | Blocked {
  const file = description.requireWrite();
  const span = vector(task, at, pieces);
  if (span.size === 0) return 0;
  checkRwFlags(file, how, file.writesPieces === true);
  const appends = (how & RWF_NOAPPEND) === 0 && ((description.flags | (how & RWF_APPEND ? O_APPEND : 0)) & O_APPEND) !== 0;
  const nonblocking = description.nonblocking || (how & RWF_NOWAIT) !== 0;
  return write(task, description, span, position, how === 0 ? undefined : { appends, nonblocking, quiet: (how & RWF_NOSIGNAL) !== 0 });
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
  handler: (task, file, at, pieces) => readVector(task, openAt(task, file), at, pieces),
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
  handler: (task, file, at, pieces) => writeVector(task, openAt(task, file), at, pieces),
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
  handler: (task, file, at, pieces, position) => readVector(task, positioned(task, file, position), at, pieces, position),
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
  handler: (task, file, at, pieces, position) => writeVector(task, positioned(task, file, position), at, pieces, position),
});


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
  support: RW_FLAGS,
  handler: (task, file, at, pieces, position, how) => {
    if (position === -1) return readVector(task, openAt(task, file), at, pieces, undefined, how);
    return readVector(task, positioned(task, file, position), at, pieces, position, how);
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
  support: RW_FLAGS,
  handler: (task, file, at, pieces, position, how) => {
    if (position === -1) return writeVector(task, openAt(task, file), at, pieces, undefined, how);
    return writeVector(task, positioned(task, file, position), at, pieces, position, how);
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
    // As a 64-bit kernel has it for 32-bit programs: the position moves, and its low word is told.
    return openAt(task, file).seek(offset, from) % 0x1_0000_0000;
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
];
