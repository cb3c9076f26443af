/** Waiting for several descriptors: poll, ppoll, select, pselect6. */
import { EBADF, EINTR, EINVAL, Errno, errno } from '../abi/errno.ts';
import { type PollFd, POLLERR, POLLHUP, POLLNVAL, pollfd, SELECT_EXCEPT, SELECT_READ, SELECT_WRITE } from '../abi/poll.ts';
import { RLIMIT_NOFILE } from '../abi/resource.ts';
import { sigset } from '../abi/signal.ts';
import { type Struct, struct, u32 } from '../abi/struct.ts';
import { isValidTime, SECOND_NS, type Timespec, timespec32, timespec64, timeval32, toNanoseconds, toTimespec } from '../abi/time.ts';
import type { Waitable } from '../mm/outcome.ts';
import { NOBODY } from '../fs/wait.ts';
import { suspendMask } from '../proc/signal.ts';
import type { Task } from '../proc/task.ts';
import { anyOf, Blocked, block } from '../proc/wait.ts';
import { define } from './define.ts';
import { address, count, int, intResult, loadAt, pointerIn, pointerOut, storeAt, structsInOut, uint } from './kinds.ts';

/** How often descriptors that cannot wake us (fifos of the host) are looked at. */
const LOOK_AGAIN_NS = 5_000_000n;

/** What holds for a descriptor now; POLLNVAL where it is not open. */
function readiness(task: Task, fd: number, changes: Set<Waitable>): number {
  if (!task.files.has(fd)) return POLLNVAL;
  const description = task.files.get(fd);
  if (description.isPathOnly) return POLLNVAL;
  const { file } = description;
  const ready = file.poll();
  if (file.changes !== undefined) changes.add(file.changes);
  else if (!file.seekable) changes.add(NOBODY);
  return ready;
}

/** Parks until something may have changed or the time is over; undefined timeout: for ever. */
function wait(task: Task, changes: Set<Waitable>, timeout_ns: bigint | undefined): Blocked {
  const deadline = timeout_ns === undefined ? undefined : task.deadlineAfter(timeout_ns);
  const again = changes.has(NOBODY) ? task.kernel.clock.monotonic() + LOOK_AGAIN_NS : undefined;
  const until = again === undefined || (deadline !== undefined && deadline < again) ? deadline : again;
  return block(anyOf([...changes]), until);
}

/** Whether the call has waited long enough. */
function timeOver(task: Task, timeout_ns: bigint | undefined): boolean {
  if (timeout_ns === undefined) return false;
  if (timeout_ns === 0n) return true;
  task.deadlineAfter(timeout_ns);
  return task.expired;
}

// ---- poll ------------------------------------------------------------------------------------------------------------------------------

function poll(task: Task, at: number, many: number, timeout_ns: bigint | undefined): number | Blocked {
  const limit = task.process.limits[RLIMIT_NOFILE].current;
  if (BigInt(many) > limit) throw errno(EINVAL);
  const fds: PollFd[] = [];
  for (let i = 0; i < many; i++) fds.push(loadAt(task, at + i * pollfd.size, pollfd));
  const changes = new Set<Waitable>();
  let ready = 0;
  for (const entry of fds) {
    const mask = (entry.events & 0xffff) | POLLERR | POLLHUP | POLLNVAL;
    entry.revents = entry.fd < 0 ? 0 : readiness(task, entry.fd, changes) & mask;
    if (entry.revents !== 0) ready++;
  }
  if (ready === 0 && !timeOver(task, timeout_ns)) return wait(task, changes, timeout_ns);
  fds.forEach((entry, i) => task.user.writeU16(at + i * pollfd.size + 6, entry.revents));
  return ready;
}

/** Cut short: nothing was ready, and that is told; EFAULT where it cannot be. */
function foundNothing(task: Task, at: number, many: number): number {
  for (let i = 0; i < many; i++) task.user.writeU16(at + i * pollfd.size + 6, 0);
  return -EINTR;
}

const pollfds = structsInOut(pollfd, 'nfds', 'struct pollfd');

const pollCall = define({
  name: 'poll',
  args: [
    ['fds', pollfds],
    ['nfds', uint],
    ['timeout', int],
  ],
  result: intResult,
  support: 'full',
  interrupted: 'fail',
  handler: (task, at, many, timeout) => poll(task, at, many, timeout < 0 ? undefined : BigInt(timeout) * 1_000_000n),
  onInterrupt: (task, at, many) => foundNothing(task, at, many),
});

/** A timeout by pointer: undefined for ever; EINVAL where it is no time. */
function timeoutOf(task: Task, at: number, layout: Struct<Timespec>): bigint | undefined {
  if (at === 0) return undefined;
  const time = loadAt(task, at, layout);
  if (!isValidTime(time)) throw errno(EINVAL);
  return toNanoseconds(time);
}

function useMask(task: Task, at: number, size: number): void {
  if (at === 0) return;
  if (size !== sigset.size) throw errno(EINVAL);
  suspendMask(task.signals, loadAt(task, at, sigset));
}

/** Linux writes the time that is left back to the guest, unless it cannot. */
function giveRest(task: Task, at: number, layout: Struct<Timespec>): void {
  if (at === 0) return;
  const { deadline } = task.call;
  const rest = deadline === undefined ? toNanoseconds(loadAt(task, at, layout)) : deadline - task.kernel.clock.monotonic();
  try {
    storeAt(task, at, layout, toTimespec(rest > 0n ? rest : 0n));
  } catch (error) {
    if (!(error instanceof Errno)) throw error;
  }
}

function ppoll(name: string, layout: Struct<Timespec>) {
  return define({
    name,
    args: [
      ['fds', pollfds],
      ['nfds', uint],
      ['tmo_p', pointerIn],
      ['sigmask', pointerIn],
      ['sigsetsize', count],
    ],
    result: intResult,
    support: 'full',
    interrupted: 'fail',
    handler: (task, at, many, time, mask, size) => {
      const timeout_ns = task.call.deadline === undefined ? timeoutOf(task, time, layout) : 1n;
      useMask(task, mask, size);
      const ready = poll(task, at, many, timeout_ns);
      if (ready instanceof Blocked) return ready;
      giveRest(task, time, layout);
      return ready;
    },
    onInterrupt: (task, at, many, time) => {
      giveRest(task, time, layout);
      return foundNothing(task, at, many);
    },
  });
}

// ---- select ----------------------------------------------------------------------------------------------------------------------------

interface Sets {
  readonly addresses: readonly [number, number, number];
  readonly masks: readonly [number, number, number];
}
const MASKS = [SELECT_READ, SELECT_WRITE, SELECT_EXCEPT] as const;

/** Sets are arrays of words, as many as `many` bits need. */
function readSet(task: Task, at: number, words: number): Uint32Array {
  const set = new Uint32Array(words);
  if (at !== 0) for (let i = 0; i < words; i++) set[i] = task.user.readU32(at + i * 4);
  return set;
}

function select(task: Task, many: number, addresses: Sets['addresses'], timeout_ns: bigint | undefined): number | Blocked {
  if (many < 0) throw errno(EINVAL);
  // Numbers that the table has no room for are not looked at.
  const bits = Math.min(many, task.files.capacity);
  const words = Math.ceil(bits / 32);
  const wanted = addresses.map((at) => readSet(task, at, words));
  const answer = wanted.map(() => new Uint32Array(words));
  const changes = new Set<Waitable>();
  let ready = 0;
  for (let fd = 0; fd < bits; fd++) {
    const word = fd >>> 5;
    const bit = 1 << (fd & 31);
    if (((wanted[0][word] | wanted[1][word] | wanted[2][word]) & bit) === 0) continue;
    const now = readiness(task, fd, changes);
    if (!task.files.has(fd)) throw errno(EBADF);
    // A descriptor that only names a file counts as ready.
    for (let set = 0; set < 3; set++) {
      if ((wanted[set][word] & bit) === 0 || (now & (MASKS[set] | POLLNVAL)) === 0) continue;
      answer[set][word] |= bit;
      ready++;
    }
  }
  if (ready === 0 && !timeOver(task, timeout_ns)) return wait(task, changes, timeout_ns);
  addresses.forEach((at, set) => {
    if (at !== 0) task.user.write(at, new Uint8Array(answer[set].buffer));
  });
  return ready;
}

const fdSet = pointerOut;
const selectArgs = [
  ['nfds', int],
  ['readfds', fdSet],
  ['writefds', fdSet],
  ['exceptfds', fdSet],
] as const;

const newselect = define({
  name: '_newselect',
  args: [...selectArgs, ['timeout', pointerOut]],
  result: intResult,
  support: 'full',
  interrupted: 'fail',
  handler: selectWithTimeval,
  onInterrupt: (task, _many, _read, _write, _except, time) => {
    giveTimeval(task, time);
    return -EINTR;
  },
});

function selectWithTimeval(task: Task, many: number, read: number, write: number, except: number, time: number): number | Blocked {
  const timeout_ns = task.call.deadline === undefined ? timevalOf(task, time) : 1n;
  const ready = select(task, many, [read, write, except], timeout_ns);
  if (ready instanceof Blocked) return ready;
  giveTimeval(task, time);
  return ready;
}

/** Microseconds beyond a second are allowed here (kern_select). */
function timevalOf(task: Task, at: number): bigint | undefined {
  if (at === 0) return undefined;
  const { tv_sec, tv_usec } = loadAt(task, at, timeval32);
  const seconds = tv_sec + Math.trunc(tv_usec / 1_000_000);
  const rest = tv_usec % 1_000_000;
  if (seconds < 0 || rest < 0) throw errno(EINVAL);
  return BigInt(seconds) * SECOND_NS + BigInt(rest) * 1000n;
}

function giveTimeval(task: Task, at: number): void {
  if (at === 0 || task.call.deadline === undefined) return;
  const rest = task.call.deadline - task.kernel.clock.monotonic();
  const us = rest > 0n ? rest / 1000n : 0n;
  try {
    storeAt(task, at, timeval32, { tv_sec: Number(us / 1_000_000n), tv_usec: Number(us % 1_000_000n) });
  } catch (error) {
    if (!(error instanceof Errno)) throw error;
  }
}

interface OldSelect {
  nfds: number;
  readfds: number;
  writefds: number;
  exceptfds: number;
  timeout: number;
}
const oldSelectArgs: Struct<OldSelect> = struct<OldSelect>({ nfds: u32, readfds: u32, writefds: u32, exceptfds: u32, timeout: u32 });

const oldSelect = define({
  name: 'select',
  args: [['arg', pointerIn]],
  result: intResult,
  support: 'full',
  interrupted: 'fail',
  handler: (task, at) => {
    const { nfds, readfds, writefds, exceptfds, timeout } = loadAt(task, at, oldSelectArgs);
    return selectWithTimeval(task, nfds | 0, readfds, writefds, exceptfds, timeout);
  },
  onInterrupt: (task, at) => {
    giveTimeval(task, loadAt(task, at, oldSelectArgs).timeout);
    return -EINTR;
  },
});

interface MaskArgument {
  mask: number;
  size: number;
}
/** pselect6 has no register left: a pointer to the mask's address and size. */
const maskArgument: Struct<MaskArgument> = struct<MaskArgument>({ mask: u32, size: u32 });

function pselect6(name: string, layout: Struct<Timespec>) {
  return define({
    name,
    args: [...selectArgs, ['timeout', pointerOut], ['sigmask', address]],
    result: intResult,
    support: 'full',
    interrupted: 'fail',
    handler: (task, many, read, write, except, time, sig) => {
      const { mask, size } = sig === 0 ? { mask: 0, size: 0 } : loadAt(task, sig, maskArgument);
      const timeout_ns = task.call.deadline === undefined ? timeoutOf(task, time, layout) : 1n;
      useMask(task, mask, size);
      const ready = select(task, many, [read, write, except], timeout_ns);
      if (ready instanceof Blocked) return ready;
      giveRest(task, time, layout);
      return ready;
    },
    onInterrupt: (task, _many, _read, _write, _except, time) => {
      giveRest(task, time, layout);
      return -EINTR;
    },
  });
}

export const calls = [
  pollCall,
  ppoll('ppoll', timespec32),
  ppoll('ppoll_time64', timespec64),
  oldSelect,
  newselect,
  pselect6('pselect6', timespec32),
  pselect6('pselect6_time64', timespec64),
];
