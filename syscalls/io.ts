/** Moving bytes: read, write and their vector and positioned forms, seeking. */
import { EINVAL, EOPNOTSUPP, EOVERFLOW, ESPIPE, errno } from '../abi/errno.ts';
import { s64 } from '../abi/struct.ts';
import type { Description } from '../fs/description.ts';
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
  none,
  off64,
  size,
  storeAt,
  structOut,
  structsIn,
  uint,
} from './kinds.ts';
import { openAt, whence } from './paths.ts';
import { iovec, MAX_OFF, read, single, vector, write } from './transfer.ts';

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
