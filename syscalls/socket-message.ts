/** Sending to and receiving from sockets: the plain forms, messages with names and control data, and many messages at once. */
import { EBADF, EFAULT, EINVAL, EISCONN, EMSGSIZE, ENODATA, ENOTCONN, EOPNOTSUPP, EPIPE, Errno, errno } from '../abi/errno.ts';
import * as s from '../abi/socket.ts';
import { SIGPIPE } from '../abi/signal.ts';
import type { Layout } from '../abi/struct.ts';
import { isValidTime, type Timespec, timespec32, timespec64, toNanoseconds, toTimespec } from '../abi/time.ts';
import type { LocalSocket, Outgoing, Received } from '../fs/socket.ts';
import { hearers } from '../fs/multicast.ts';
import { hostOf, inFamily, portOf } from '../fs/ports.ts';
import { checkInet } from '../fs/socket-names.ts';
import { holdsBytes, takeFailure } from '../fs/socket-state.ts';
import { type Io, isWait } from '../fs/vnode.ts';
import { ownInfo, sendToTask } from '../proc/send.ts';
import type { Task } from '../proc/task.ts';
import { Blocked } from '../proc/wait.ts';
import { define } from './define.ts';
import { bytesIn, bytesOut, count, type Fd, fd, flags, int, intResult, loadAt, pointerIn, pointerOut, size, storeAt, uint } from './kinds.ts';
import { openAt, waiting } from './paths.ts';
import { autobind, readAddress, shown, socketAt, socketNamed, writeAddress } from './socket-address.ts';
import { type Control, ControlWriter, controlOf, giveRights, mayFly, tell, tellProcess } from './socket-control.ts';
import { isRaw, rawTarget } from './socket-raw.ts';
import { goesToGroup, groupSource } from './socket-multicast.ts';
import { netlinkTarget } from './socket-netlink.ts';
import { outsideDatagrams } from './socket-outside.ts';
import { copyIn, copyOut, scratch, single, type Span, speakerOf, vector, writable } from './transfer.ts';

const MSG_FASTOPEN = 0x2000_0000;
const messageFlags = flags({
  MSG_OOB: s.MSG_OOB, MSG_PEEK: s.MSG_PEEK, MSG_TRUNC: s.MSG_TRUNC, MSG_DONTWAIT: s.MSG_DONTWAIT, MSG_EOR: s.MSG_EOR, MSG_ERRQUEUE: s.MSG_ERRQUEUE, MSG_MORE: s.MSG_MORE, MSG_WAITALL: s.MSG_WAITALL,
  MSG_NOSIGNAL: s.MSG_NOSIGNAL, MSG_WAITFORONE: s.MSG_WAITFORONE, MSG_CMSG_CLOEXEC: s.MSG_CMSG_CLOEXEC,
});
/** Messages one call moves at most (UIO_MAXIOV). */
const MOST_MESSAGES = 1024;

// ---- Sending -------------------------------------------------------------------------------------------------------------------

interface Sending extends Control {
  readonly span: Span;
  readonly flags: number;
  readonly to: Uint8Array | undefined;
}

/** Somebody outside the machine. */
interface Outside {
  put(bytes: Uint8Array): void;
}

/** To an internet datagram AF_UNSPEC is as good as its own family. Linux: udp_sendmsg. */
function withFamily({ family }: LocalSocket, to: Uint8Array): Uint8Array {
  return family === s.AF_INET && to.length >= 2 && to[0] === s.AF_UNSPEC && to[1] === 0 ? Uint8Array.from([s.AF_INET, ...to.subarray(1)]) : to;
}

/** To port 0 there is no sending, though there is connecting. */
function mustHavePort({ family }: LocalSocket, address: Uint8Array): void {
  checkInet(family, address);
  if (portOf(address) === 0) throw errno(EINVAL);
}

/** A datagram's bytes are read before its taker is looked for (Linux unix_dgram_sendmsg). */
function found(task: Task, socket: LocalSocket, { span, to }: Sending): ReturnType<typeof target> {
  try {
    return target(task, socket, to);
  } catch (error) {
    const isLookup = error instanceof Errno && socket.isUnix && socket.isDatagrams && error.code !== EINVAL;
    const bytes = scratch(isLookup ? span.size : 0);
    if (copyIn(task, span, 0, bytes) < bytes.length) throw errno(EFAULT);
    throw error;
  }
}

/** Everybody who hears a group. */
function toGroup(task: Task, socket: LocalSocket, to: Uint8Array): Outside | undefined {
  if (!goesToGroup(socket, to)) return undefined;
  socket.bindFree(true);
  const { ports, joined } = task.kernel.files.sockets;
  const from = groupSource(socket);
  return {
    put: (bytes) => {
      if (bytes.length > MOST_DATAGRAM) throw errno(EMSGSIZE);
      // All of them keep the same copy, which nobody changes.
      const copy = bytes.slice();
      for (const each of hearers(ports.at('udp', to), to, hostOf(from), joined)) each.deliver(copy, inFamily(from, each.family));
    },
  };
}

function target(task: Task, socket: LocalSocket, to: Uint8Array | undefined): LocalSocket | Outside | undefined | 'nobody' {
  if (to === undefined && socket.remote !== undefined && socket.isDatagrams) return toGroup(task, socket, socket.remote);
  const needsLength = !socket.isUnix && socket.isDatagrams && socket.service === undefined;
  if (to?.length === 0 && needsLength) throw errno(EINVAL);
  if (to === undefined || to.length === 0 || socket.service !== undefined) return undefined;
  if (!socket.isDatagrams) {
    if (!socket.isUnix) return undefined;
    throw errno(socket.isConnected ? EISCONN : EOPNOTSUPP);
  }
  if (!socket.isUnix) socket.bindFree(true);
  else if (!socket.isBound && socket.options.get('1:16')?.[0] === 1) autobind(task, socket);
  const address = withFamily(socket, to);
  if (!socket.isUnix) mustHavePort(socket, address);
  const group = socket.isUnix ? undefined : toGroup(task, socket, address);
  if (group !== undefined) return group;
  const found = socketNamed(task, socket, address);
  if (found !== undefined) return found;
  const outside = outsideDatagrams(task, socket);
  return outside === undefined ? 'nobody' : { put: (bytes) => outside.send(bytes, address) };
}

/** Where the message says that it goes, for sockets that care. */
function addressed(task: Task, socket: LocalSocket, to: Uint8Array | undefined): Uint8Array | undefined {
  if (isRaw(socket)) return rawTarget(socket, to?.length === 0 ? undefined : to);
  if (to === undefined || to.length === 0) return undefined;
  if (socket.family === s.AF_NETLINK) return netlinkTarget(task, socket, to);
  return socket.isUnix || !socket.isDatagrams ? undefined : to.slice(0, socket.family === s.AF_INET ? s.INET_ADDRESS : s.INET6_ADDRESS);
}

/** UDP: what is corked waits for the rest; what is to be segmented goes in pieces. */
function sendPieces(socket: LocalSocket, message: Outgoing, segment: number | undefined, how: number): Io {
  if (socket.isUnix || socket.protocol !== s.IPPROTO_UDP) return socket.send(message);
  const { corked } = socket;
  const isCorked = (how & s.MSG_MORE) !== 0 || socket.option(s.IPPROTO_UDP, s.UDP_CORK) !== 0;
  let { bytes } = message;
  if (isCorked || corked !== undefined) {
    const whole = new Uint8Array((corked?.length ?? 0) + bytes.length);
    if (whole.length > MOST_DATAGRAM) throw errno(EMSGSIZE);
    whole.set(corked ?? []);
    whole.set(bytes, corked?.length ?? 0);
    socket.corked = isCorked ? whole : undefined;
    if (isCorked) return bytes.length;
    socket.send({ ...message, bytes: whole });
    return bytes.length;
  }
  const size = segment ?? socket.option(s.IPPROTO_UDP, s.UDP_SEGMENT);
  if (size <= 0 || size >= bytes.length) return socket.send(message);
  if (bytes.length > size * MOST_SEGMENTS) throw errno(EINVAL);
  for (; bytes.length > 0; bytes = bytes.subarray(size)) socket.send({ ...message, bytes: bytes.subarray(0, size) });
  return message.bytes.length;
}

/** The largest datagram, and how many one message may be cut into (UDP_MAX_SEGMENTS). */
const MOST_DATAGRAM = 65_507,
  MOST_SEGMENTS = 128;

/** Of what is no stream few take notice of MSG_OOB: IPv6's datagrams and packets pass over it. */
function mayBeUrgent(socket: LocalSocket, to: Uint8Array | undefined, size: number): void {
  if (socket.type === s.SOCK_SEQPACKET && !socket.isConnected) throw errno(ENOTCONN);
  if (!socket.isPackets && (!socket.isUnix || size > 0)) return;
  const isIgnored = socket.family === s.AF_PACKET || (socket.family === s.AF_INET6 && !isRaw(socket) && (to === undefined || hostOf(to).length === 16));
  if (socket.isUnix || (socket.isDatagrams && !isIgnored)) throw errno(EOPNOTSUPP);
}

function send(task: Task, file: Fd, sending: Sending): number {
  const { span, flags: how } = sending;
  const socket = socketAt(task, file);
  const isUrgent = (how & s.MSG_OOB) !== 0;
  if (socket.family === s.AF_NETLINK && span.size === 0 && !isUrgent) throw errno(ENODATA);
  if (isUrgent) mayBeUrgent(socket, sending.to ?? socket.remote, span.size);
  // An opening that carries bytes goes somewhere.
  const isOpening = (how & MSG_FASTOPEN) !== 0 && socket.protocol === s.IPPROTO_TCP && !socket.isConnected;
  if (isOpening && (sending.to === undefined || sending.to.length === 0)) throw errno(EINVAL);
  mayFly(task, sending.rights);
  const nonblocking = openAt(task, file).nonblocking || (how & s.MSG_DONTWAIT) !== 0;
  const to = found(task, socket, sending);
  const address = addressed(task, socket, sending.to);
  const credentials = sending.credentials ?? speakerOf(task);
  if (socket.isPackets && span.size > scratch(Number.POSITIVE_INFINITY).length) throw errno(EMSGSIZE);
  let done = task.call.progress;
  try {
    if (to === undefined && done === 0) socket.checkWrite(span.size);
    do {
      const bytes = scratch(span.size - done);
      const got = copyIn(task, span, done, bytes);
      // A piece of a unix stream goes whole or not at all (Linux unix_stream_sendmsg).
      if (got < bytes.length && (got === 0 || socket.isPackets || socket.isUnix)) {
        if (done > 0) break;
        throw errno(EFAULT);
      }
      if (to !== undefined && to !== 'nobody' && 'put' in to) {
        to.put(bytes.subarray(0, got));
        return got;
      }
      const rights = done === 0 ? sending.rights : undefined;
      const { ttl, tos } = sending;
      const there = to === 'nobody' ? undefined : to;
      const outgoing = { nonblocking, credentials, isNamed: sending.credentials !== undefined, rights, to: there, address, ttl, tos, isUrgent: isUrgent && done + got === span.size };
      const moved = sendPieces(socket, { ...outgoing, bytes: bytes.subarray(0, got) }, sending.segment, how);
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
    if (error.code === EPIPE && !socket.isDatagrams && (how & s.MSG_NOSIGNAL) === 0) sendToTask(task, ownInfo(task, SIGPIPE));
    throw error;
  }
  return done;
}

function sendMessage(task: Task, file: Fd, at: number, how: number): number {
  socketAt(task, file);
  const header = loadAt(task, at, s.messageHeader);
  const to = header.name === 0 || header.nameSize === 0 ? undefined : readAddress(task, header.name, Math.min(header.nameSize, s.ADDRESS_MAX));
  if (header.iovCount > 1024) throw errno(EMSGSIZE);
  const span = vector(task, header.iov, header.iovCount);
  const control = header.controlSize === 0 ? {} : controlOf(task, socketAt(task, file), header.control, header.controlSize, to !== undefined);
  return send(task, file, { span, flags: how, to, ...control });
}

// ---- Receiving -----------------------------------------------------------------------------------------------------------------

interface Receipt extends Received {
  /** What the call returns. */
  readonly result: number;
  readonly socket: LocalSocket;
  readonly isUrgent?: boolean;
}

const PACKET_FLAGS = s.MSG_PEEK | s.MSG_DONTWAIT | s.MSG_TRUNC | s.MSG_ERRQUEUE;

/** Which flags whoever receives packets minds: those of the internet (UDP) pass over MSG_OOB. */
function checkFlags(socket: LocalSocket, how: number): void {
  if (socket.family === s.AF_PACKET && (how & ~PACKET_FLAGS) !== 0) throw errno(EINVAL);
  if (socket.type === s.SOCK_SEQPACKET && !socket.isConnected) throw errno(ENOTCONN);
  if ((how & s.MSG_OOB) !== 0 && socket.isPackets && (socket.isUnix || socket.service !== undefined)) throw errno(EOPNOTSUPP);
}

function receive(task: Task, file: Fd, span: Span, how: number): Receipt {
  const socket = socketAt(task, file);
  checkFlags(socket, how);
  if ((how & s.MSG_OOB) !== 0 && !socket.isPackets) return receiveUrgent(task, socket, span, how);
  const nonblocking = openAt(task, file).nonblocking || (how & s.MSG_DONTWAIT) !== 0;
  const peek = (how & s.MSG_PEEK) !== 0;
  const wanted = Math.min(span.size, scratch(Number.POSITIVE_INFINITY).length);
  const before = task.call.progress;
  const room = writable(task, span, wanted);
  if (room === 0 && wanted > 0 && !socket.isPackets && holdsBytes(socket)) throw errno(EFAULT);
  const bytes = scratch((room === 0 || socket.isPackets ? wanted : room) - before);
  const got = socket.receive(bytes, nonblocking, peek);
  if (isWait(got)) throw waiting(task, got);
  if (copyOut(task, span, before, bytes.subarray(0, got.count)) < got.count) throw errno(EFAULT);
  const done = before + got.count;
  if ((how & s.MSG_WAITALL) !== 0 && !peek && !socket.isPackets && !nonblocking && got.count > 0 && done < wanted && got.rights.length === 0) {
    task.call.progress = done;
    return receive(task, file, span, how);
  }
  const whole = (how & s.MSG_TRUNC) !== 0 && socket.isPackets ? got.whole : done;
  return { ...got, socket, result: whole };
}

/** Linux tcp_recv_urg: one byte. Unix streams (unix_stream_recv_urg) tell of it even where there is no room. */
function receiveUrgent(task: Task, socket: LocalSocket, span: Span, how: number): Receipt {
  if (socket.listening && !socket.isUnix) throw errno(ENOTCONN);
  if (!socket.isConnected) throw errno(EINVAL);
  const byte = socket.takeUrgent((how & s.MSG_PEEK) !== 0);
  const count = Math.min(span.size, 1);
  copyOut(task, span, 0, Uint8Array.of(byte).subarray(0, count));
  const told = socket.isUnix ? 1 : count;
  return { socket, result: told, count: told, whole: 1, from: undefined, credentials: undefined, rights: [], isUrgent: true };
}

function drop(task: Task, receipt: Receipt, how: number): void {
  if ((how & s.MSG_PEEK) === 0) task.kernel.files.sockets.flights.drop(receipt.rights);
}

function sourceOf({ socket, from }: Receipt): Uint8Array | undefined {
  if (!socket.isDatagrams) return undefined;
  return from ?? (socket.isUnix ? new Uint8Array(0) : shown(socket, undefined));
}

function receiveMessage(task: Task, file: Fd, at: number, how: number): number {
  socketAt(task, file);
  const header = loadAt(task, at, s.messageHeader);
  if (header.name !== 0 && header.nameSize < 0) throw errno(EINVAL);
  if (header.iovCount > 1024) throw errno(EMSGSIZE);
  const span = vector(task, header.iov, header.iovCount);
  const asked = socketAt(task, file);
  checkFlags(asked, how);
  if ((how & s.MSG_ERRQUEUE) !== 0 && !asked.isUnix) return receiveFailure(task, asked, span, at, header);
  const receipt = receive(task, file, span, how);
  const { socket } = receipt;
  let flagsOut = how & s.MSG_CMSG_CLOEXEC;
  if (receipt.isUrgent) flagsOut |= receipt.count === 0 ? s.MSG_OOB | s.MSG_TRUNC : s.MSG_OOB;
  else if (socket.isPackets && receipt.whole > receipt.count) flagsOut |= s.MSG_TRUNC;
  const control = new ControlWriter(task, header.control, header.control === 0 ? 0 : header.controlSize);
  tell(socket, receipt, control);
  if (socket.protocol === s.IPPROTO_TCP && socket.option(s.IPPROTO_TCP, s.TCP_INQ) !== 0) control.words(s.IPPROTO_TCP, s.TCP_INQ, [socket.queued]);
  if (receipt.rights.length > 0) giveRights(task, receipt.rights, control, (how & s.MSG_CMSG_CLOEXEC) !== 0);
  tellProcess(task, receipt, control);
  drop(task, receipt, how);
  const source = sourceOf(receipt);
  if (header.name !== 0) {
    if (source !== undefined) task.user.write(header.name, source.subarray(0, Math.min(source.length, header.nameSize)));
    task.user.writeU32(at + 4, source?.length ?? 0);
  }
  task.user.writeU32(at + s.messageHeader.offsets.controlSize, control.used);
  task.user.writeU32(at + s.messageHeader.offsets.flags, flagsOut | (control.cut ? s.MSG_CTRUNC : 0));
  return receipt.result;
}

/** MSG_ERRQUEUE: the datagram that failed, where it went, and why. Linux: ip_recv_error. */
function receiveFailure(task: Task, socket: LocalSocket, span: Span, at: number, header: s.MessageHeader): number {
  const failure = takeFailure(socket);
  const { bytes, to, error } = failure;
  const count = Math.min(span.size, bytes.length);
  copyOut(task, span, 0, bytes.subarray(0, count));
  const control = new ControlWriter(task, header.control, header.control === 0 ? 0 : header.controlSize);
  const isShort = socket.family === s.AF_INET;
  // ee_errno; ee_origin, ee_type and ee_code of "port unreachable"; then who says so.
  const offender = to.slice();
  offender.fill(0, 2, 4);
  const told = new Uint8Array(16 + offender.length);
  told.set([error, 0, 0, 0, isShort ? 2 : 3, isShort ? 3 : 1, isShort ? 3 : 4]);
  told.set(offender, 16);
  control.put(isShort ? s.IPPROTO_IP : s.IPPROTO_IPV6, isShort ? s.IP_RECVERR : s.IPV6_RECVERR, told);
  if (header.name !== 0) {
    task.user.write(header.name, to.subarray(0, Math.min(to.length, header.nameSize)));
    task.user.writeU32(at + 4, to.length);
  }
  task.user.writeU32(at + s.messageHeader.offsets.controlSize, control.used);
  const cut = (control.cut ? s.MSG_CTRUNC : 0) | (count < bytes.length ? s.MSG_TRUNC : 0);
  task.user.writeU32(at + s.messageHeader.offsets.flags, s.MSG_ERRQUEUE | cut);
  return count;
}

// ---- The calls -----------------------------------------------------------------------------------------------------------------

function receiveFailedBytes(task: Task, socket: LocalSocket, span: Span): number {
  const { bytes } = takeFailure(socket);
  const count = Math.min(span.size, bytes.length);
  copyOut(task, span, 0, bytes.subarray(0, count));
  return count;

}

/** Whether the descriptor is a socket is seen first. */
function addressOf(task: Task, file: Fd, at: number, length: number): Uint8Array | undefined {
  socketAt(task, file);
  return at === 0 ? undefined : readAddress(task, at, length);
}

export const sendto = define({
  name: 'sendto',
  args: [['sockfd', fd], ['buf', bytesIn('len')], ['len', count], ['flags', messageFlags], ['dest_addr', pointerIn], ['addrlen', int]],
  result: size, support: 'full',
  handler: (task, file, at, length, how, name, nameSize) =>
    send(task, file, { span: single(at, length), flags: how, to: addressOf(task, file, name, nameSize) }),
});
export const recvfrom = define({
  name: 'recvfrom',
  args: [['sockfd', fd], ['buf', bytesOut('len')], ['len', count], ['flags', messageFlags], ['src_addr', pointerOut], ['addrlen', pointerOut]],
  result: size, support: 'full',
  handler: (task, file, at, length, how, name, sizeAt) => {
    const asked = socketAt(task, file);
    checkFlags(asked, how);
    if ((how & s.MSG_ERRQUEUE) !== 0 && !asked.isUnix) return receiveFailedBytes(task, asked, single(at, length));
    const receipt = receive(task, file, single(at, length), how);
    drop(task, receipt, how);
    const source = sourceOf(receipt);
    if (name !== 0 && source !== undefined) writeAddress(task, source, name, sizeAt);
    else if (name !== 0) task.user.writeU32(sizeAt, 0);
    return receipt.result;
  },
});
export const sendmsg = define({
  name: 'sendmsg', args: [['sockfd', fd], ['msg', pointerIn], ['flags', messageFlags]], result: size,
  support: 'full',
  handler: sendMessage,
});
export const recvmsg = define({
  name: 'recvmsg', args: [['sockfd', fd], ['msg', pointerOut], ['flags', messageFlags]], result: size,
  support: 'full', handler: receiveMessage,
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
  support: 'full',
  handler: (task, file, at, length, how) => {
    socketAt(task, file);
    return many(task, at, length, (message) => sendMessage(task, file, message, how));
  },
});

function recvmmsg(name: string, layout: Layout<Timespec>) {
  return define({
    name, args: [['sockfd', fd], ['msgvec', pointerOut], ['vlen', uint], ['flags', messageFlags], ['timeout', pointerOut]], result: intResult,
    support: 'full',
    handler: (task, file, at, length, how, timeout) => {
      const limit = timeout === 0 ? undefined : loadAt(task, timeout, layout);
      if (limit !== undefined && !isValidTime(limit)) throw errno(EINVAL);
      if (task.files.get(file).isPathOnly) throw errno(EBADF);
      socketAt(task, file);
      // As Linux does it: the time is looked at only when a message has come.
      if (limit !== undefined) task.deadlineAfter(toNanoseconds(limit));
      const oneIsEnough = (how & s.MSG_WAITFORONE) !== 0;
      const rest = how & ~s.MSG_WAITFORONE;
      const done = many(
        task, at, length,
        (message, index) => receiveMessage(task, file, message, oneIsEnough && index > 0 ? rest | s.MSG_DONTWAIT : rest),
        () => task.expired,
      );
      if (done > 0 && task.call.deadline !== undefined) {
        const left = task.call.deadline - task.kernel.clock.monotonic();
        storeAt(task, timeout, layout, toTimespec(left > 0n ? left : 0n));
      }
      return done;
    },
  });
}
export const recvmmsg32 = recvmmsg('recvmmsg', timespec32);
export const recvmmsg64 = recvmmsg('recvmmsg_time64', timespec64);
