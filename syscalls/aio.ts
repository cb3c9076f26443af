/** io_setup, io_submit, io_getevents and their like. Source: fs/aio.c. */
import * as abi from '../abi/aio.ts';
import { EAGAIN, EBADF, EINPROGRESS, EINTR, EINVAL, Errno, errno } from '../abi/errno.ts';
import { canRead, canWrite } from '../abi/fcntl.ts';
import { MAP_ANONYMOUS, MAP_PRIVATE, PROT_READ, PROT_WRITE } from '../abi/mman.ts';
import { pageUp } from '../abi/page.ts';
import { POLLERR, POLLHUP } from '../abi/poll.ts';
import { sigset } from '../abi/signal.ts';
import { type Struct, struct, u32 } from '../abi/struct.ts';
import { type Timespec, timespec32, timespec64, toNanoseconds } from '../abi/time.ts';
import { EventFile } from '../fs/eventfd.ts';
import type { Description } from '../fs/description.ts';
import { AioContext } from '../proc/aio.ts';
import { suspendMask } from '../proc/signal.ts';
import type { Task } from '../proc/task.ts';
import { Blocked, block } from '../proc/wait.ts';
import { define } from './define.ts';
import { address, type Fd, int, intResult, loadAt, none, pointerIn, pointerOut, storeAt, uint } from './kinds.ts';
import { openAt } from './paths.ts';
import { read, single, type Span, vector, write } from './transfer.ts';

/** struct aio_ring's own fields. */
const RING_HEADER_SIZE = 32;
const MOST_EVENTS = 0x1000_0000 / abi.ioEvent.size;

const ioSetup = define({
  name: 'io_setup', args: [['nr_events', uint], ['ctxp', pointerOut]], result: none,
  support: { partial: 'the ring in memory has no magic, so libaio takes its events with io_getevents' },
  handler: (task, many, at) => {
    const { space, kernel, user } = task;
    if (user.readU32(at) !== 0 || many === 0 || many > MOST_EVENTS) throw errno(EINVAL);
    if (!kernel.aio.hasRoom(space, many)) throw errno(EAGAIN);
    user.probe(at, 4, 'write');
    const size = pageUp(RING_HEADER_SIZE + many * abi.ioEvent.size);
    const ring = space.map({ addr: 0, size, prot: PROT_READ | PROT_WRITE, flags: MAP_PRIVATE | MAP_ANONYMOUS });
    kernel.aio.add(space, ring, new AioContext(many, size));
    user.writeU32(at, ring);
  },
});

const ioDestroy = define({
  name: 'io_destroy', args: [['ctx_id', address]], result: none, support: 'full',
  handler: (task, id) => {
    const { size } = contextOf(task, id);
    task.kernel.aio.remove(task.space, id);
    task.space.unmap(id, size);
  },
});

function contextOf(task: Task, id: number): AioContext {
  const context = task.kernel.aio.of(task.space, id);
  if (context === undefined) throw errno(EINVAL);
  return context;
}

// ---- Submission ----------------------------------------------------------------------------------------------------------------

const ioSubmit = define({
  name: 'io_submit', args: [['ctx_id', address], ['nr', int], ['iocbpp', pointerIn]], result: intResult,
  support: { partial: 'everything but IOCB_CMD_POLL is done at once; what would wait makes the call wait' },
  handler: (task, id, many, at) => {
    if (many < 0) throw errno(EINVAL);
    const context = contextOf(task, id);
    for (let i = 0; i < Math.min(many, context.capacity); i++) {
      try {
        const waits = submit(task, context, task.user.readU32(at + 4 * i));
        if (waits !== undefined) return i > 0 ? i : waits;
      } catch (thrown) {
        if (!(thrown instanceof Errno) || i === 0) throw thrown;
        return i;
      }
    }
    return Math.min(many, context.capacity);
  },
});

/** Throws what Linux refuses before anything has begun; everything later is the event's result. */
function submit(task: Task, context: AioContext, at: number): Blocked | undefined {
  const request = loadAt(task, at, abi.iocb);
  if (request.reserved2 !== 0n || request.buf >> 32n !== 0n || request.nbytes >> 31n !== 0n) throw errno(EINVAL);
  if (context.full) throw errno(EAGAIN);
  const description = openAt(task, request.fildes as Fd);
  const told = (request.flags & abi.IOCB_FLAG_RESFD) === 0 ? undefined : openAt(task, request.resfd as Fd).file;
  if (told !== undefined && !(told instanceof EventFile)) throw errno(EINVAL);
  task.user.writeU32(at + abi.iocb.offsets.key, 0);
  const complete = (result: number) => {
    context.complete({ data: request.data, obj: BigInt(at), res: BigInt(result), res2: 0n });
    told?.add(1n);
  };
  if (request.opcode === abi.IOCB_CMD_POLL) {
    if (request.buf >> 16n !== 0n || request.offset !== 0n || request.nbytes !== 0n || request.rw_flags !== 0) throw errno(EINVAL);
    awaitReady(context, at, description, Number(request.buf) | POLLERR | POLLHUP, complete);
    return undefined;
  }
  const run = operation(task, description, request);
  try {
    const result = run();
    // A write that would wait in its middle ends there, short.
    if (result instanceof Blocked && task.call.progress === 0) return result;
    complete(result instanceof Blocked ? task.call.progress : result);
  } catch (thrown) {
    if (!(thrown instanceof Errno)) throw thrown;
    complete(-thrown.code);
  }
  task.call.progress = 0;
  return undefined;
}

function operation(task: Task, description: Description, request: abi.Iocb): () => number | Blocked {
  const { file } = description;
  const position = file.seekable ? Number(request.offset) : undefined;
  switch (request.opcode) {
    case abi.IOCB_CMD_PREAD:
    case abi.IOCB_CMD_PREADV: {
      if (!canRead(description.flags)) throw errno(EBADF);
      const span = spanOf(task, request, abi.IOCB_CMD_PREADV);
      checkTransfer(description, request);
      return () => read(task, description, span, position);
    }
    case abi.IOCB_CMD_PWRITE:
    case abi.IOCB_CMD_PWRITEV: {
      if (!canWrite(description.flags)) throw errno(EBADF);
      const span = spanOf(task, request, abi.IOCB_CMD_PWRITEV);
      checkTransfer(description, request);
      return () => write(task, description, span, position);
    }
    case abi.IOCB_CMD_FSYNC:
    case abi.IOCB_CMD_FDSYNC:
      if (request.buf !== 0n || request.offset !== 0n || request.nbytes !== 0n || request.rw_flags !== 0) throw errno(EINVAL);
      if (file.sync === undefined) throw errno(EINVAL);
      return () => {
        file.sync?.(request.opcode === abi.IOCB_CMD_FDSYNC);
        return 0;
      };
    default: throw errno(EINVAL);
  }
}

function spanOf(task: Task, { opcode, buf, nbytes }: abi.Iocb, vectors: number): Span {
  return opcode === vectors ? vector(task, Number(buf), Number(nbytes)) : single(Number(buf), Number(nbytes));
}

function checkTransfer({ vnode }: Description, { offset, rw_flags }: abi.Iocb): void {
  if (offset < 0n || vnode.kind === 'directory' || rw_flags !== 0) throw errno(EINVAL);
}

/** Completes when one of `mask` holds: now, with what was asked for, or later, with all that holds then. */
function awaitReady(context: AioContext, at: number, { file }: Description, mask: number, complete: (ready: number) => void): void {
  const now = file.poll() & mask;
  if (now !== 0 || file.changes === undefined) {
    complete(now);
    return;
  }
  const { changes } = file;
  const look = (): void => {
    const ready = file.poll();
    if ((ready & mask) === 0) {
      poll.end = changes.subscribe(look);
      return;
    }
    context.polls.delete(poll);
    complete(ready);
  };
  const poll = { iocb: at, end: changes.subscribe(look) };
  context.polls.add(poll);
}

const ioCancel = define({
  name: 'io_cancel', args: [['ctx_id', address], ['iocb', pointerIn], ['result', pointerOut]], result: none, support: 'full',
  handler: (task, id, at) => {
    const { key, data } = loadAt(task, at, abi.iocb);
    if (key !== 0) throw errno(EINVAL);
    const context = contextOf(task, id);
    const poll = [...context.polls].find(({ iocb }) => iocb === at);
    if (poll === undefined) throw errno(EINVAL);
    poll.end();
    context.polls.delete(poll);
    context.complete({ data, obj: BigInt(at), res: 0n, res2: 0n });
    throw errno(EINPROGRESS);
  },
});

// ---- Events --------------------------------------------------------------------------------------------------------------------

function getEvents(task: Task, id: number, least: number, most: number, at: number, timeout_ns: bigint | undefined): number | Blocked {
  const context = contextOf(task, id);
  if (least > most || least < 0) throw errno(EINVAL);
  const { events } = context;
  if (events.length < least && timeout_ns !== 0n) {
    const deadline = timeout_ns === undefined ? undefined : task.deadlineAfter(timeout_ns);
    if (!task.expired) return block(context.changes, deadline);
  }
  const taken = Math.min(events.length, most);
  for (let i = 0; i < taken; i++) storeAt(task, at + i * abi.ioEvent.size, abi.ioEvent, events[i]);
  events.splice(0, taken);
  return taken;
}

/** Whether it is a time at all is not looked at: one before now is over. */
function timeoutOf(task: Task, at: number, layout: Struct<Timespec>): bigint | undefined {
  if (at === 0) return undefined;
  const timeout_ns = toNanoseconds(loadAt(task, at, layout));
  return timeout_ns > 0n ? timeout_ns : 0n;
}

const eventArgs = [['ctx_id', address], ['min_nr', int], ['nr', int], ['events', pointerOut], ['timeout', pointerIn]] as const;
const onInterrupt = () => -EINTR;

const ioGetevents = define({
  name: 'io_getevents', args: eventArgs, result: intResult, support: 'full', interrupted: 'always', onInterrupt,
  handler: (task, id, least, most, at, timeout) => getEvents(task, id, least, most, at, timeoutOf(task, timeout, timespec32)),
});

/** struct __aio_sigset: a mask for while the call waits. */
const aioSigset = struct<{ mask: number; size: number }>({ mask: u32, size: u32 });

function ioPgetevents(name: string, layout: Struct<Timespec>) {
  return define({
    name, args: [...eventArgs, ['sig', pointerIn]], result: intResult, support: 'full', interrupted: 'fail', onInterrupt,
    handler: (task, id, least, most, at, timeout, sig) => {
      const timeout_ns = timeoutOf(task, timeout, layout);
      if (sig !== 0) {
        const { mask, size } = loadAt(task, sig, aioSigset);
        if (mask !== 0 && size !== sigset.size) throw errno(EINVAL);
        if (mask !== 0) suspendMask(task.signals, loadAt(task, mask, sigset));
      }
      return getEvents(task, id, least, most, at, timeout_ns);
    },
  });
}

export const calls = [
  ioSetup, ioDestroy, ioSubmit, ioCancel, ioGetevents, ioPgetevents('io_pgetevents', timespec32), ioPgetevents('io_pgetevents_time64', timespec64),
];
