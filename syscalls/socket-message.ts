/** Sending to and receiving from sockets: the plain forms, messages with names and control data, and many messages at once. */
import { CAP_SETGID, CAP_SETUID, CAP_SYS_ADMIN } from '../abi/capability.ts';
import { EAGAIN, EBADF, EFAULT, EINVAL, EISCONN, EMSGSIZE, ENOBUFS, EOPNOTSUPP, EPERM, EPIPE, Errno, errno } from '../abi/errno.ts';
import * as s from '../abi/socket.ts';
import { SIGPIPE } from '../abi/signal.ts';
import type { Layout } from '../abi/struct.ts';
import { isValidTime, type Timespec, timespec32, timespec64, toNanoseconds } from '../abi/time.ts';
import type { Description } from '../fs/description.ts';
import type { LocalSocket, Received } from '../fs/socket.ts';
import { isWait } from '../fs/vnode.ts';
import { capable } from '../proc/credentials.ts';
import { sendToTask } from '../proc/send.ts';
import { kernelInfo } from '../proc/siginfo.ts';
import type { Task } from '../proc/task.ts';
import { Blocked } from '../proc/wait.ts';
import { define } from './define.ts';
import { bytesIn, bytesOut, count, type Fd, fd, flags, int, intResult, loadAt, pointerIn, pointerOut, size, storeAt, uint } from './kinds.ts';
import { openAt, waiting } from './paths.ts';
import { autobind, readAddress, shown, socketAt, socketNamed, writeAddress } from './socket-address.ts';
import { netlinkTarget } from './socket-netlink.ts';
import { outsideDatagrams } from './socket-outside.ts';
import { copyIn, copyOut, scratch, single, type Span, vector, writable } from './transfer.ts';

const messageFlags = flags({
  MSG_OOB: s.MSG_OOB, MSG_PEEK: s.MSG_PEEK, MSG_TRUNC: s.MSG_TRUNC, MSG_DONTWAIT: s.MSG_DONTWAIT, MSG_EOR: s.MSG_EOR, MSG_WAITALL: s.MSG_WAITALL,
  MSG_NOSIGNAL: s.MSG_NOSIGNAL, MSG_WAITFORONE: s.MSG_WAITFORONE, MSG_CMSG_CLOEXEC: s.MSG_CMSG_CLOEXEC,
});
/** Messages one call moves at most (UIO_MAXIOV). */
const MOST_MESSAGES = 1024;
/** The most control data a message may have (net.core.optmem_max). */
const MOST_CONTROL = 131_072;

function credentialsOf(task: Task): s.Ucred {
  return { pid: task.process.pid, uid: task.credentials.uid, gid: task.credentials.gid };
}

// ---- Sending -------------------------------------------------------------------------------------------------------------------

interface Sending {
  readonly span: Span;
  readonly flags: number;
  readonly to: Uint8Array | undefined;
  readonly rights?: readonly Description[];
  readonly credentials?: s.Ucred;
}

/** Somebody outside the machine. */
interface Outside {
  put(bytes: Uint8Array): void;
}

function target(task: Task, socket: LocalSocket, to: Uint8Array | undefined): LocalSocket | Outside | undefined | 'nobody' {
  if (to === undefined || to.length === 0 || socket.service !== undefined) return undefined;
  if (!socket.isDatagrams) {
    if (!socket.isUnix) return undefined;
    throw errno(socket.isConnected ? EISCONN : EOPNOTSUPP);
  }
  if (!socket.isUnix) socket.bindFree(true);
  else if (!socket.isBound && socket.options.get('1:16')?.[0] === 1) autobind(task, socket);
  const found = socketNamed(task, socket, to);
  if (found !== undefined) return found;
  const outside = outsideDatagrams(task, socket);
  return outside === undefined ? 'nobody' : { put: (bytes) => outside.send(bytes, to) };
}

function send(task: Task, file: Fd, sending: Sending): number {
  const { span, flags: how } = sending;
  const socket = socketAt(task, file);
  if ((how & s.MSG_OOB) !== 0) throw errno(EOPNOTSUPP);
  const nonblocking = openAt(task, file).nonblocking || (how & s.MSG_DONTWAIT) !== 0;
  const to = target(task, socket, sending.to);
  const address = socket.family === s.AF_NETLINK && sending.to !== undefined ? netlinkTarget(task, socket, sending.to) : undefined;
  const credentials = sending.credentials ?? credentialsOf(task);
  if (socket.isPackets && span.size > scratch(Number.POSITIVE_INFINITY).length) throw errno(EMSGSIZE);
  let done = task.call.progress;
  try {
    do {
      const bytes = scratch(span.size - done);
      const got = copyIn(task, span, done, bytes);
      // A piece of a unix stream goes whole or not at all (Linux unix_stream_sendmsg).
      if (got < bytes.length && (got === 0 || socket.isPackets || socket.isUnix)) {
        if (done > 0) break;
        throw errno(EFAULT);
      }
      if (to === 'nobody') return got;
      if (to !== undefined && 'put' in to) {
        to.put(bytes.subarray(0, got));
        return got;
      }
      const rights = done === 0 ? sending.rights : undefined;
      const moved = socket.send({ bytes: bytes.subarray(0, got), nonblocking, credentials, rights, to, address });
      if (isWait(moved)) {
        task.call.progress = done;
        throw waiting(task, moved);
      }
      if (done === 0) for (const right of rights ?? []) right.acquire();
      done += moved;
      if (moved === 0) break;
    } while (done < span.size);
  } catch (error) {
    if (!(error instanceof Errno)) throw error;
    if (done > 0) return done;
    if (error.code === EPIPE && !socket.isDatagrams && (how & s.MSG_NOSIGNAL) === 0) sendToTask(task, kernelInfo(SIGPIPE));
    throw error;
  }
  return done;
}

interface Control {
  rights?: Description[];
  credentials?: s.Ucred;
}

/** The control messages of a sendmsg. Linux: __scm_send. */
function controlOf(task: Task, at: number, length: number): Control {
  const control: Control = {};
  if (length > MOST_CONTROL) throw errno(ENOBUFS);
  for (let from = 0; from + s.controlHeader.size <= length; ) {
    const header = loadAt(task, at + from, s.controlHeader);
    if (header.size < s.controlHeader.size || header.size > length - from) throw errno(EINVAL);
    const data = at + from + s.controlHeader.size;
    const bytes = header.size - s.controlHeader.size;
    if (header.level === s.SOL_SOCKET && header.type === s.SCM_RIGHTS) {
      if (bytes % 4 !== 0 || bytes / 4 > s.MOST_RIGHTS) throw errno(EINVAL);
      control.rights ??= [];
      for (let i = 0; i < bytes; i += 4) control.rights.push(task.files.get(task.user.readI32(data + i)));
    } else if (header.level === s.SOL_SOCKET && header.type === s.SCM_CREDENTIALS) {
      if (bytes !== s.ucred.size) throw errno(EINVAL);
      control.credentials = checked(task, loadAt(task, data, s.ucred));
    } else if (header.level === s.SOL_SOCKET) throw errno(EINVAL);
    from += (header.size + 3) & ~3;
  }
  return control;
}

/** Only the privileged may speak for others. */
function checked(task: Task, given: s.Ucred): s.Ucred {
  const { uid, euid, suid, gid, egid, sgid } = task.credentials;
  const may = (capability: number): boolean => capable(task.credentials, capability);
  const mayName =
    (given.pid === task.process.pid || may(CAP_SYS_ADMIN)) &&
    ([uid, euid, suid].includes(given.uid) || may(CAP_SETUID)) &&
    ([gid, egid, sgid].includes(given.gid) || may(CAP_SETGID));
  if (!mayName) throw errno(EPERM);
  return given;
}

function sendMessage(task: Task, file: Fd, at: number, how: number): number {
  const header = loadAt(task, at, s.messageHeader);
  if (header.iovCount > 1024) throw errno(EMSGSIZE);
  const to = header.name === 0 ? undefined : readAddress(task, header.name, Math.min(header.nameSize, s.ADDRESS_MAX));
  const span = vector(task, header.iov, header.iovCount);
  const control = header.control === 0 || header.controlSize === 0 ? {} : controlOf(task, header.control, header.controlSize);
  return send(task, file, { span, flags: how, to, ...control });
}

// ---- Receiving -----------------------------------------------------------------------------------------------------------------

interface Receipt extends Received {
  /** What the call returns. */
  readonly result: number;
  readonly socket: LocalSocket;
}

function receive(task: Task, file: Fd, span: Span, how: number): Receipt {
  const socket = socketAt(task, file);
  if ((how & s.MSG_OOB) !== 0) throw errno(socket.isUnix ? EOPNOTSUPP : EINVAL);
  if ((how & s.MSG_ERRQUEUE) !== 0) throw errno(EAGAIN);
  const nonblocking = openAt(task, file).nonblocking || (how & s.MSG_DONTWAIT) !== 0;
  const peek = (how & s.MSG_PEEK) !== 0;
  const wanted = Math.min(span.size, scratch(Number.POSITIVE_INFINITY).length);
  const before = task.call.progress;
  const room = writable(task, span, wanted);
  if (room < wanted && (room === 0 || socket.isPackets)) throw errno(EFAULT);
  const bytes = scratch(room - before);
  const got = socket.receive(bytes, nonblocking, peek);
  if (isWait(got)) throw waiting(task, got);
  copyOut(task, span, before, bytes.subarray(0, got.count));
  const done = before + got.count;
  if ((how & s.MSG_WAITALL) !== 0 && !peek && !socket.isPackets && !nonblocking && got.count > 0 && done < wanted && got.rights.length === 0) {
    task.call.progress = done;
    return receive(task, file, span, how);
  }
  const whole = (how & s.MSG_TRUNC) !== 0 && socket.isPackets ? got.whole : done;
  return { ...got, socket, result: whole };
}

function drop(receipt: Receipt, how: number): void {
  if ((how & s.MSG_PEEK) === 0) for (const right of receipt.rights) right.release();
}

function sourceOf({ socket, from }: Receipt): Uint8Array | undefined {
  if (!socket.isDatagrams) return undefined;
  return from ?? (socket.isUnix ? new Uint8Array(0) : shown(socket, undefined));
}

function receiveMessage(task: Task, file: Fd, at: number, how: number): number {
  const header = loadAt(task, at, s.messageHeader);
  if (header.iovCount > 1024) throw errno(EMSGSIZE);
  if (header.name !== 0 && header.nameSize < 0) throw errno(EINVAL);
  const receipt = receive(task, file, vector(task, header.iov, header.iovCount), how);
  let flagsOut = how & s.MSG_CMSG_CLOEXEC;
  if (receipt.socket.isPackets && receipt.whole > receipt.count) flagsOut |= s.MSG_TRUNC;
  if (receipt.socket.type === s.SOCK_SEQPACKET && receipt.count > 0) flagsOut |= s.MSG_EOR;
  const control = new ControlWriter(task, header.control, header.control === 0 ? 0 : header.controlSize);
  if (receipt.credentials !== undefined && receipt.socket.options.get('1:16')?.[0] === 1) {
    const { pid, uid, gid } = receipt.credentials;
    control.put(s.SCM_CREDENTIALS, [pid, uid, gid]);
  }
  if (receipt.rights.length > 0) giveRights(task, receipt.rights, control, how);
  drop(receipt, how);
  const source = sourceOf(receipt);
  if (header.name !== 0) {
    if (source !== undefined) task.user.write(header.name, source.subarray(0, Math.min(source.length, header.nameSize)));
    task.user.writeU32(at + 4, source?.length ?? 0);
  }
  task.user.writeU32(at + s.messageHeader.offsets.controlSize, control.used);
  task.user.writeU32(at + s.messageHeader.offsets.flags, flagsOut | (control.cut ? s.MSG_CTRUNC : 0));
  return receipt.result;
}

/** As many descriptors as there is room for get numbers. */
function giveRights(task: Task, rights: readonly Description[], control: ControlWriter, how: number): void {
  const fits = Math.min(rights.length, control.room);
  const numbers: number[] = [];
  try {
    for (const right of rights.slice(0, fits)) numbers.push(task.files.add(right, (how & s.MSG_CMSG_CLOEXEC) !== 0));
  } catch (error) {
    if (!(error instanceof Errno)) throw error;
  }
  if (numbers.length > 0) control.put(s.SCM_RIGHTS, numbers);
  if (numbers.length < rights.length) control.cut = true;
}

class ControlWriter {
  used = 0;
  /** Something did not fit. */
  cut = false;
  private readonly task: Task;
  private readonly at: number;
  private readonly size: number;

  constructor(task: Task, at: number, length: number) {
    this.task = task;
    this.at = at;
    this.size = length;
  }

  /** Words of data that another control message may still have. */
  get room(): number {
    return Math.max(0, Math.floor((this.size - this.used - s.controlHeader.size) / 4));
  }

  put(type: number, words: readonly number[]): void {
    if (this.room < words.length) {
      this.cut = true;
      return;
    }
    const length = s.controlHeader.size + words.length * 4;
    storeAt(this.task, this.at + this.used, s.controlHeader, { size: length, level: s.SOL_SOCKET, type });
    this.task.user.write(this.at + this.used + s.controlHeader.size, new Uint8Array(Uint32Array.from(words, (word) => word >>> 0).buffer));
    this.used += length;
  }
}

// ---- The calls -----------------------------------------------------------------------------------------------------------------

export const sendto = define({
  name: 'sendto',
  args: [['sockfd', fd], ['buf', bytesIn('len')], ['len', count], ['flags', messageFlags], ['dest_addr', pointerIn], ['addrlen', int]],
  result: size, support: { partial: 'MSG_OOB answers EOPNOTSUPP' },
  handler: (task, file, at, length, how, name, nameSize) =>
    send(task, file, { span: single(at, length), flags: how, to: name === 0 ? undefined : readAddress(task, name, nameSize) }),
});
export const recvfrom = define({
  name: 'recvfrom',
  args: [['sockfd', fd], ['buf', bytesOut('len')], ['len', count], ['flags', messageFlags], ['src_addr', pointerOut], ['addrlen', pointerOut]],
  result: size, support: { partial: 'MSG_OOB answers EINVAL' },
  handler: (task, file, at, length, how, name, sizeAt) => {
    const receipt = receive(task, file, single(at, length), how);
    drop(receipt, how);
    const source = sourceOf(receipt);
    if (name !== 0 && source !== undefined) writeAddress(task, source, name, sizeAt);
    else if (name !== 0) task.user.writeU32(sizeAt, 0);
    return receipt.result;
  },
});
export const sendmsg = define({
  name: 'sendmsg', args: [['sockfd', fd], ['msg', pointerIn], ['flags', messageFlags]], result: size,
  support: { partial: 'MSG_OOB answers EOPNOTSUPP; control messages but SCM_RIGHTS and SCM_CREDENTIALS EINVAL' },
  handler: sendMessage,
});
export const recvmsg = define({
  name: 'recvmsg', args: [['sockfd', fd], ['msg', pointerOut], ['flags', messageFlags]], result: size,
  support: { partial: 'MSG_OOB answers EINVAL' }, handler: receiveMessage,
});

/** sizeof(struct mmsghdr). */
const MMSGHDR = s.messageHeader.size + 4;

/** Runs `move` for each message; what stops it is told only where it stops the first. */
function many(task: Task, at: number, length: number, move: (message: number, index: number) => number, stop = () => false): number {
  let done = task.call.progress;
  try {
    while (done < Math.min(length, MOST_MESSAGES)) {
      const message = at + done * MMSGHDR;
      task.call.progress = 0;
      task.user.writeU32(message + s.messageHeader.size, move(message, done));
      done++;
      if (stop()) break;
    }
  } catch (error) {
    if (error instanceof Blocked) {
      task.call.progress = done;
      throw error;
    }
    if (!(error instanceof Errno) || done === 0) throw error;
  }
  return done;
}

export const sendmmsg = define({
  name: 'sendmmsg', args: [['sockfd', fd], ['msgvec', pointerIn], ['vlen', uint], ['flags', messageFlags]], result: intResult,
  support: { partial: 'as sendmsg' },
  handler: (task, file, at, length, how) => {
    socketAt(task, file);
    return many(task, at, length, (message) => sendMessage(task, file, message, how));
  },
});

function recvmmsg(name: string, layout: Layout<Timespec>) {
  return define({
    name, args: [['sockfd', fd], ['msgvec', pointerOut], ['vlen', uint], ['flags', messageFlags], ['timeout', pointerOut]], result: intResult,
    support: { partial: 'as recvmsg' },
    handler: (task, file, at, length, how, timeout) => {
      const limit = timeout === 0 ? undefined : loadAt(task, timeout, layout);
      if (limit !== undefined && !isValidTime(limit)) throw errno(EINVAL);
      if (task.files.get(file).isPathOnly) throw errno(EBADF);
      socketAt(task, file);
      // As Linux does it: the time is looked at only when a message has come.
      if (limit !== undefined) task.deadlineAfter(toNanoseconds(limit));
      const oneIsEnough = (how & s.MSG_WAITFORONE) !== 0;
      const rest = how & ~s.MSG_WAITFORONE;
      return many(
        task, at, length,
        (message, index) => receiveMessage(task, file, message, oneIsEnough && index > 0 ? rest | s.MSG_DONTWAIT : rest),
        () => task.expired,
      );
    },
  });
}
export const recvmmsg32 = recvmmsg('recvmmsg', timespec32);
export const recvmmsg64 = recvmmsg('recvmmsg_time64', timespec64);
