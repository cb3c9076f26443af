/** What options and queues of a socket mean for those who ask: readiness, and the answers to its ioctls. */
import { EAGAIN, ECONNREFUSED, EDESTADDRREQ, EINVAL, EMSGSIZE, ENOTCONN, EPIPE, errno } from '../abi/errno.ts';
import { SIOCATMARK } from '../abi/interface.ts';
import { FIONREAD, TIOCOUTQ } from '../abi/ioctl.ts';
import { POLLERR, POLLHUP, POLLIN, POLLOUT, POLLPRI, POLLRDHUP, POLLRDNORM, POLLWRBAND, POLLWRNORM } from '../abi/poll.ts';
import * as s from '../abi/socket.ts';
import { answerWord, interfaceIoctl } from './interface-ioctl.ts';
import type { Address, HostDatagrams } from './network.ts';
import { inFamily, isSameEnd, located, sourceFor } from './ports.ts';
import { type Inbox, PACKET_COST } from './socket-inbox.ts';
import { type Speaker, UNKNOWN } from './speaker.ts';
import type { Failure, Multipath } from './socket-types.ts';
import type { IoctlArgument } from './vnode.ts';
import type { Waiters } from './wait.ts';

/** net.core.rmem_default: bytes a receiver holds. */
export const BUFFER = 212_992;
const IN = POLLIN | POLLRDNORM,
  OUT = POLLOUT | POLLWRNORM;

/** A socket with its options. */
interface Optioned {
  readonly family: number;
  readonly isUnix: boolean;
  /** By `level:name`. */
  readonly options: Map<string, Uint8Array>;
  option(level: number, name: number, initial?: number): number;
}

/** A socket as far as polling looks. */
interface Polled extends Optioned {
  readonly inbox: Inbox;
  readonly listening: boolean;
  readonly waiting: number;
  readonly reaching: boolean;
  readonly error: number;
  readonly failures: readonly unknown[];
  readonly hasEnded: boolean;
  readonly noReading: boolean;
  readonly noWriting: boolean;
  readonly isDatagrams: boolean;
  readonly isPackets: boolean;
  readonly isConnected: boolean;
  readonly peer: Peer | undefined;
}

/** The other end of it. */
interface Peer {
  readonly closed: boolean;
  readonly queued: number;
  readonly inbox: Inbox;
  readonly peer: unknown;
  /** Senders that found no room, and wait for it. */
  readonly refused: Set<unknown>;
}

/** Made once each: they are asked for with every packet. */
const KEYS: Map<number, string> = new Map();

/** What an option is kept under. */
export function optionKey(level: number, name: number): string {
  const number = level * 1024 + name;
  let key = KEYS.get(number);
  if (key === undefined) {
    key = `${level}:${name}`;
    if (KEYS.size < 1024) KEYS.set(number, key);
  }
  return key;
}

/** Urgent bytes stay among the others. */
export function isInline(socket: Optioned): boolean {
  return socket.option(s.SOL_SOCKET, s.SO_OOBINLINE) !== 0;
}

/** SO_LINGER with no time to linger: closing breaks the connection off. */
export function isAbrupt(socket: Optioned): boolean {
  const linger = socket.isUnix ? undefined : socket.options.get(`${s.SOL_SOCKET}:${s.SO_LINGER}`);
  return linger !== undefined && linger[0] !== 0 && linger.subarray(4).every((byte) => byte === 0);
}

/** Bytes of a stream that a reader waits for (SO_RCVLOWAT). */
export function lowWater(socket: Optioned): number {
  return socket.options.size === 0 ? 1 : Math.min(socket.option(s.SOL_SOCKET, s.SO_RCVLOWAT, 1), BUFFER);
}

/** Errors that come back for datagrams are kept with what they are about. */
export function isToldOfErrors(socket: Optioned): boolean {
  return socket.family === s.AF_INET
    ? socket.option(s.IPPROTO_IP, s.IP_RECVERR) !== 0
    : socket.option(s.IPPROTO_IPV6, s.IPV6_RECVERR) !== 0;
}

/** What a connection takes over from the socket that listened. */
export function inherit<S extends Optioned & { receiveTimeout_ns: bigint | undefined; sendTimeout_ns: bigint | undefined }>(
  end: S,
  listener: S,
): void {
  for (const [key, value] of listener.options) end.options.set(key, value);
  end.receiveTimeout_ns = listener.receiveTimeout_ns;
  end.sendTimeout_ns = listener.sendTimeout_ns;
}

/** Both ends of an internet connection get their names. */
export function meet<S extends { local: Address | undefined; remote: Address | undefined }>(
  caller: S,
  end: S,
  to: Address,
  family: number,
): void {
  caller.remote = located(to).slice();
  caller.local = sourceFor(caller.local as Address, caller.remote);
  end.local = inFamily(caller.remote, family);
  end.remote = inFamily(caller.local, family);
}

/** A connection has several paths where both who connects and who listens have asked for that; else it is TCP as any. */
export function agreeOnPaths<S extends { multipath: Multipath }>(caller: S, end: S, listener: S): void {
  const isAgreed = caller.multipath !== 'no' && listener.multipath !== 'no';
  end.multipath = isAgreed ? 'agreed' : 'no';
  if (caller.multipath !== 'no') caller.multipath = isAgreed ? 'agreed' : 'refused';
}

/** Pieces of a stream that do not run together, as urgent bytes and those of several senders. */
const MOST_PIECES = 4096;
/** net.unix.max_dgram_qlen. */
const MOST_DATAGRAMS = 10;

/** Messages of those whom it has not connected to are kept in small number. Linux: unix_recvq_full. */
function isQueueFull(target: { readonly peer: unknown; readonly inbox: Inbox }, sender: unknown): boolean {
  return target.peer !== sender && target.inbox.count > MOST_DATAGRAMS;
}

interface Target {
  readonly isPackets: boolean;
  readonly isUnix: boolean;
  readonly isDatagrams: boolean;
  readonly peer: unknown;
  readonly inbox: Inbox;
}

/** Whether `size` more may be put there by this sender; of a stream, any. */
export function hasRoom(target: Target, sender: unknown, size: number): boolean {
  if (!target.isPackets) return size > 0 && target.inbox.count < MOST_PIECES;
  if (target.isUnix && target.isDatagrams && isQueueFull(target, sender)) return false;
  return target.inbox.held === 0 || target.inbox.held + size <= BUFFER;
}

function hasData(socket: Polled): boolean {
  const { inbox } = socket;
  if (socket.isPackets || socket.isUnix) return !inbox.isEmpty;
  const out = inbox.isAtMark && inbox.hasUrgent && !isInline(socket) ? 1 : 0;
  return inbox.held > 0 && inbox.held - out >= lowWater(socket);
}

/** Those who read there want to know who has written. */
export function isToldOfSenders(socket: Optioned): boolean {
  return socket.options.size > 0 && (socket.option(s.SOL_SOCKET, s.SO_PASSCRED) !== 0 || socket.option(s.SOL_SOCKET, s.SO_PASSPIDFD) !== 0);
}

/** Who is said to have sent a message. Linux: maybe_add_creds. */
export function speakerFor(
  target: Optioned,
  sender: Optioned,
  message: { readonly credentials: Speaker; readonly isNamed?: boolean },
): Speaker {
  const isKept = !target.isUnix || message.isNamed === true || isToldOfSenders(target) || isToldOfSenders(sender);
  return isKept ? message.credentials : UNKNOWN;
}

/** There is something that a read would take. */
export function holdsBytes(socket: Optioned & { readonly inbox: Inbox }): boolean {
  return socket.inbox.hasBytes(false, isInline(socket));
}

/** Errors that are kept until somebody asks. */
const MOST_FAILURES = 64;

interface Failing extends Optioned {
  readonly isDatagrams: boolean;
  readonly remote: Address | undefined;
  readonly datagrams: HostDatagrams | undefined;
  readonly failures: Failure[];
  readonly changes: Waiters;
  error: number;
}

/** Nobody has the port: what is sent there comes back as an error of the next call. */
export function sendNowhere(socket: Failing, { bytes, address }: { readonly bytes: Uint8Array; readonly address?: Address }): number {
  const { remote } = socket;
  const to = address ?? remote;
  if (!socket.isDatagrams || to === undefined)
    throw errno(socket.isDatagrams ? (socket.isUnix ? ENOTCONN : EDESTADDRREQ) : socket.isUnix ? ENOTCONN : EPIPE);
  if (socket.datagrams !== undefined && remote !== undefined) {
    socket.datagrams.send(bytes, remote);
    return bytes.length;
  }
  const isTold = isToldOfErrors(socket);
  if (isTold && socket.failures.length < MOST_FAILURES) socket.failures.push({ error: ECONNREFUSED, bytes: bytes.slice(), to });
  if (!isTold && (remote === undefined || address !== undefined)) return bytes.length;
  socket.error = ECONNREFUSED;
  socket.changes.wakeAll();
  return bytes.length;
}

/** A unix stream without another end, which Linux sees before anything else. */
export function isUnpaired({
  isUnix,
  isDatagrams,
  peer,
}: {
  readonly isUnix: boolean;
  readonly isDatagrams: boolean;
  readonly peer: unknown;
}): boolean {
  return isUnix && !isDatagrams && peer === undefined;
}

/** Throws what a send without an address answers before it has the bytes. Of unix datagrams Linux sees afterwards that they have nowhere to go. */
export function checkSend(socket: Polled & { readonly service: unknown; readonly remote: Address | undefined }, size: number): void {
  const { isUnix, isDatagrams, noWriting } = socket;
  if (socket.service !== undefined || socket.error !== 0) return;
  if (socket.isPackets && size > (isUnix ? BUFFER - PACKET_COST : 0xffff)) throw errno(EMSGSIZE);
  const isLate = isUnix && isDatagrams;
  if (isUnpaired(socket)) throw errno(ENOTCONN);
  if (isUnix && !socket.isPackets && socket.peer?.closed) throw errno(EPIPE);
  if (isLate || (!noWriting && (socket.remote !== undefined || socket.peer !== undefined))) return;
  throw errno(noWriting ? EPIPE : isUnix ? ENOTCONN : isDatagrams ? EDESTADDRREQ : EPIPE);
}

/** Throws the error that waits to be told. */
export function failPending(socket: { takeError(): number }): void {
  const error = socket.takeError();
  if (error !== 0) throw errno(error);
}

interface Hearing {
  readonly isUnix: boolean;
  readonly isDatagrams: boolean;
  readonly service: unknown;
  readonly remote: Address | undefined;
}

/** A connected internet socket hears nobody but its peer. */
export function hears({ isUnix, isDatagrams, service, remote }: Hearing, from: Address | undefined): boolean {
  if (isUnix || service !== undefined || !isDatagrams || remote === undefined) return true;
  return from !== undefined && isSameEnd(from, remote);
}

interface Sending {
  readonly isDatagrams: boolean;
  readonly isUnix: boolean;
  spoken: boolean;
}

/** The other end is there no more: TCP learns of it by what comes back from the first bytes. */
export function sendToGone(socket: Sending, target: { readonly closed: boolean }, size: number): number {
  if (socket.isDatagrams) throw errno(ECONNREFUSED);
  if (socket.isUnix || !target.closed || socket.spoken) throw errno(EPIPE);
  socket.spoken = true;
  return size;
}

interface Owning {
  readonly memberships: { leaveAll(): void } | undefined;
  readonly filter: { release(): void } | undefined;
  readonly outer: { close(): void } | undefined;
  readonly datagrams: { close(): void } | undefined;
}

/** What goes with a socket that is closed. */
export function giveUp({ memberships, filter, outer, datagrams }: Owning): void {
  memberships?.leaveAll();
  filter?.release();
  outer?.close();
  datagrams?.close();
}

/** The oldest error that came back. Throws EAGAIN where there is none. */
export function takeFailure(socket: Failing): Failure {
  const failure = socket.failures.shift();
  if (failure === undefined) throw errno(EAGAIN);
  if (socket.failures.length === 0) socket.error = 0;
  return failure;
}

/** The POLL bits that hold now. */
export function readiness(socket: Polled): number {
  if (socket.listening) return socket.waiting > 0 ? IN : 0;
  if (socket.reaching) return 0;
  let ready = socket.error !== 0 || socket.failures.length > 0 ? POLLERR : 0;
  const over = socket.hasEnded || socket.noReading;
  if (over || socket.error !== 0 || hasData(socket)) ready |= IN;
  if (socket.inbox.hasUrgent) ready |= POLLPRI;
  const target = socket.peer;
  const out = socket.isUnix || socket.isDatagrams ? OUT | POLLWRBAND : OUT;
  if (socket.isDatagrams) {
    const isFull = target !== undefined && (target.queued >= BUFFER || (socket.isUnix && isQueueFull(target, socket)));
    if (isFull) target.refused.add(socket);
    else ready |= out;
    return socket.noReading && socket.noWriting ? ready | POLLHUP | POLLRDHUP : ready;
  }
  if (over) ready |= POLLRDHUP;
  if (!socket.isConnected) return ready | out | POLLHUP;
  const isFull = target !== undefined && (target.queued >= BUFFER || target.inbox.count >= MOST_PIECES);
  if (!isFull || target.closed || socket.noWriting) ready |= out;
  if ((over && socket.noWriting) || (socket.isUnix && target?.closed)) ready |= POLLHUP;
  return ready;
}

/** What has not arrived. It has in TCP when it is in the other end's buffer; with a unix stream when it was taken, and pieces without bytes count too. */
function unacknowledged({ isUnix, isPackets, listening, peer }: Polled): number {
  if (!isUnix && listening) throw errno(EINVAL);
  return !isUnix || isPackets || peer === undefined || peer.inbox.isEmpty ? 0 : Math.max(peer.queued, 1);
}

/** Undefined: no such request. */
export function socketIoctl(socket: Polled & { readonly service: unknown }, request: number, argument: IoctlArgument): number | undefined {
  const { inbox, isPackets } = socket;
  if (request === SIOCATMARK && !isPackets) return answerWord(argument, inbox.isAtMark ? 1 : 0);
  if (request === TIOCOUTQ && socket.service === undefined) return answerWord(argument, unacknowledged(socket));
  if (request !== FIONREAD) return interfaceIoctl(socket.family, request, argument);
  if (socket.listening) throw errno(EINVAL);
  return answerWord(argument, socket.isDatagrams ? inbox.firstSize : isPackets ? inbox.bytes : inbox.ahead(isInline(socket)));
}
