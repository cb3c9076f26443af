/** poll's event bits and the sets of select. Source: uapi/asm-generic/poll.h. */
import { i16, i32, type Struct, struct } from './struct.ts';

export const POLLIN = 1,
  POLLPRI = 2,
  POLLOUT = 4,
  POLLERR = 8,
  POLLHUP = 0x10,
  POLLNVAL = 0x20;
export const POLLRDNORM = 0x40,
  POLLRDBAND = 0x80,
  POLLWRNORM = 0x100,
  POLLWRBAND = 0x200,
  POLLRDHUP = 0x2000;

/** What select counts as readable, writable and exceptional (kernel: fs/select.c POLLIN_SET and so on). */
export const SELECT_READ = POLLRDNORM | POLLRDBAND | POLLIN | POLLHUP | POLLERR;
export const SELECT_WRITE = POLLWRBAND | POLLWRNORM | POLLOUT | POLLERR;
export const SELECT_EXCEPT = POLLPRI;

export interface PollFd {
  fd: number;
  events: number;
  revents: number;
}
export const pollfd: Struct<PollFd> = struct<PollFd>({ fd: i32, events: i16, revents: i16 });
