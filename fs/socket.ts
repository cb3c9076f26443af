/** Sockets within the machine: unix ones, and TCP and UDP over its loopback. One class: what differs between them is a few errors and what a name is. */
import * as e from '../abi/errno.ts';
import { errno } from '../abi/errno.ts';
import { POLLIN, POLLOUT, POLLPRI, POLLRDNORM, POLLWRNORM } from '../abi/poll.ts';
import * as s from '../abi/socket.ts';
import type { HostDatagrams } from './network.ts';
import { type About, aboutOf, Inbox, type Packet, PACKET_COST } from './socket-inbox.ts';
import { inFamily, located, type PortKind, sourceFor } from './ports.ts';
import { type Filter, filtered } from './socket-filter.ts';
import type { Memberships } from './multicast.ts';
import * as state from './socket-state.ts';
import type { Failure, Multipath, OptionsOf, OutgoingTo, Received, ServiceOf } from './socket-types.ts';
import type { Speaker } from './speaker.ts';
import { UnixInbox } from './unix-inbox.ts';
import { type Address, inetAddress, reach, type SocketNames } from './socket-names.ts';
import type { Io, IoctlArgument, OpenFile, Vnode, Wait } from './vnode.ts';
import { Waiters } from './wait.ts';

/** Bytes of a unix stream that go as one: a page and 32 KB. */
const UNIX_PIECE = 36_544;
/** net.core.somaxconn. */
const MOST_BACKLOG = 4096;
/** SO_PASSCRED among the options. */
const PASSCRED = `${s.SOL_SOCKET}:${s.SO_PASSCRED}`;
const NOTHING: Received = { count: 0, whole: 0, from: undefined, credentials: undefined, rights: [] };
const NOBODY: Speaker = { pid: 0, uid: 0xffffffff, gid: 0xffffffff };
const IN = POLLIN | POLLRDNORM,
  OUT = POLLOUT | POLLWRNORM;

export type Outgoing = OutgoingTo<LocalSocket>;
export type SocketService = ServiceOf<LocalSocket>;
export type SocketOptions = OptionsOf<LocalSocket>;
export type { About, Failure, Received };

export class LocalSocket implements OpenFile {
  readonly vnode: Vnode;
  readonly seekable = false;
  readonly isPackets: boolean;
  readonly checkWrite: (size: number) => void = (size) => state.checkSend(this, size);
  readonly hasRecords: boolean;
  readonly writeGrain: number | undefined;
  readonly label: string | undefined;
  readonly changes: Waiters = new Waiters();
  readonly family: number;
  readonly type: number;
  readonly protocol: number;
  readonly service: SocketService | undefined;
  /** Made with IPPROTO_MPTCP; what came of it when it was connected. */
  multipath: Multipath = 'no';
  /** Bytes of a stream so far. */
  sentBytes = 0;
  receivedBytes = 0;
  /** Groups it has joined. */
  memberships: Memberships | undefined;
  /** What of packets it takes (SO_ATTACH_FILTER). */
  filter: Filter | undefined;
  /** Options that are only kept, by `level:name`. */
  readonly options: Map<string, Uint8Array> = new Map();
  receiveTimeout_ns: bigint | undefined;
  sendTimeout_ns: bigint | undefined;
  local: Address | undefined;
  remote: Address | undefined;
  peer: LocalSocket | undefined;
  /** Whom SO_PEERCRED names. */
  peerCredentials: Speaker = NOBODY;
  /** Supplementary groups of its peer (SO_PEERGROUPS); undefined: it has none. */
  peerGroups: readonly number[] | undefined;
  readonly credentials: Speaker;
  /** Who writes to it now. */
  writer: Speaker | undefined;
  readonly groups: readonly number[] | undefined;
  listening = false;
  /** Connected in the background; the next connect says so. */
  connecting = false;
  /** On its way to somebody outside the machine. */
  reaching = false;
  /** Listening outside too, once that is so; the errno where it cannot be. */
  serving: 'starting' | 'on' | number | undefined;
  /** What of the host's network goes with it, and the part that datagrams go out by. */
  outer: { close(): void } | undefined;
  datagrams: HostDatagrams | undefined;
  /** SO_ERROR. */
  error = 0;
  /** Errors that came back, oldest first. */
  readonly failures: Failure[] = [];
  /** Datagrams that are sent as one once the cork is out. */
  corked: Uint8Array | undefined;
  private readonly now_ns: () => bigint;
  private readonly names: SocketNames<LocalSocket>;
  private key: string | undefined;
  private hasPort = false;
  readonly inbox: Inbox;
  /** Told when urgent data comes. */
  onUrgent: (() => void) | undefined;
  readonly refused: Set<LocalSocket> = new Set();
  /** The listener in whose queue it waits. */
  awaits: LocalSocket | undefined;
  private readonly arrivals: LocalSocket[] = [];
  private backlog = 0;
  noReading = false;
  noWriting = false;
  /** The peer will not send any more. */
  private ended = false;
  closed = false;
  /** Something was sent to a TCP peer that had gone. */
  spoken = false;
  /** Wakes those who wait for room here. */
  private readonly room: Waiters = new Waiters();

  constructor(options: SocketOptions) {
    this.vnode = options.vnode;
    this.label = options.vnode.stat().ino === 0n ? undefined : `socket:[${options.vnode.stat().ino}]`;
    const isUnixStream = options.family === s.AF_UNIX && options.type === s.SOCK_STREAM;
    this.inbox = isUnixStream ? new UnixInbox() : new Inbox(options.type !== s.SOCK_STREAM);
    this.names = options.names;
    this.now_ns = options.now_ns;
    this.family = options.family;
    this.type = options.type;
    this.isPackets = this.hasRecords = options.type !== s.SOCK_STREAM;
    this.writeGrain = this.isPackets ? Number.MAX_SAFE_INTEGER : options.family === s.AF_UNIX ? UNIX_PIECE : undefined;
    this.protocol = options.protocol;
    this.credentials = options.credentials;
    this.groups = options.groups;
    this.service = options.service;
    this.names.all.add(this);
  }

  get isUnix(): boolean {
    return this.family === s.AF_UNIX;
  }

  /** Each message has an address of its own, and there are no connections. */
  get isDatagrams(): boolean {
    return this.type === s.SOCK_DGRAM || this.type === s.SOCK_RAW;
  }

  get isConnected(): boolean {
    return this.peer !== undefined || this.remote !== undefined;
  }

  /** The peer sends nothing any more. */
  get hasEnded(): boolean {
    return this.ended;
  }

  /** Bytes that lie here unread. */
  get queued(): number {
    return this.inbox.held;
  }

  /** Connections that nobody has accepted yet. */
  get waiting(): number {
    return this.arrivals.length;
  }

  /** How many may. */
  get mostWaiting(): number {
    return this.backlog;
  }

  /** An option that is a word; `initial` where nobody has set it. */
  option(level: number, name: number, initial = 0): number {
    const bytes = this.options.size === 0 ? undefined : this.options.get(state.optionKey(level, name));
    return bytes === undefined ? initial : bytes[0] | (bytes[1] << 8) | (bytes[2] << 16) | (bytes[3] << 24);
  }

  /** Whose ports these are. */
  get ports(): PortKind {
    return this.type === s.SOCK_STREAM ? 'tcp' : 'udp';
  }

  // ---- Names ---------------------------------------------------------------------------------------------------------------------------

  bind(key: string, address: Address): void {
    if (this.key !== undefined) throw errno(e.EINVAL);
    this.names.take(key, this);
    this.key = key;
    this.local = address;
  }

  get isBound(): boolean {
    return this.key !== undefined || this.hasPort;
  }

  /** Takes an address of the internet with its port. */
  bindPort(address: Address): void {
    if (this.isBound) throw errno(e.EINVAL);
    this.names.ports.take(this.ports, this, address);
    this.hasPort = true;
    this.local = address;
  }

  /** Gives an internet socket a free port of its own. */
  bindFree(any: boolean): void {
    if (this.isBound || this.isUnix) return;
    this.bindPort(inetAddress(this.family, this.names.ports.free(this.ports), any));
  }

  listen(backlog: number, by: Speaker, groups?: readonly number[]): void {
    if (this.isDatagrams) throw errno(e.EOPNOTSUPP);
    if (this.isUnix && this.key === undefined) throw errno(e.EINVAL);
    if (this.peer !== undefined) throw errno(e.EINVAL);
    this.bindFree(true);
    if (!this.isUnix && !this.listening && this.names.ports.isHeard(this)) throw errno(e.EADDRINUSE);
    this.backlog = Math.min(backlog >>> 0, MOST_BACKLOG);
    this.listening = true;
    if (!this.isUnix) return;
    this.peerCredentials = by;
    this.peerGroups = groups;
  }

  /** The socket that listens at (or, of datagrams, has) an internet port, as this one reaches it. */
  atPort(address: Address): LocalSocket | undefined {
    if (reach(this.family, address) === 'elsewhere') return undefined;
    return this.names.ports.find(this.ports, address, this.local === undefined ? undefined : sourceFor(this.local as Address, address));
  }

  /** connect(2) of datagrams: from now on to this end and from it only. Ends outside the machine are kept as they are. */
  aim(to: Address, isOutside: boolean): void {
    this.remote = isOutside ? to.slice() : located(to).slice(0, this.family === s.AF_INET ? 16 : 28);
    if (this.local !== undefined && !isOutside) this.local = sourceFor(this.local as Address, this.remote);
  }

  /** Two ends of one connection. */
  pair(other: LocalSocket): void {
    this.peer = other;
    other.peer = this;
    if (!this.isUnix) return;
    this.peerCredentials = other.credentials;
    other.peerCredentials = this.credentials;
    this.peerGroups = other.groups;
    other.peerGroups = this.groups;
  }

  /** Connects to who listens at `to`; `make` gives the other end, the caller's as this one is. Nothing changes where it waits. */
  connectTo(target: LocalSocket, make: () => LocalSocket, nonblocking: boolean, to?: Address): Wait | undefined {
    if (target.arrivals.length > target.backlog) {
      if (this.isUnix && nonblocking) throw errno(e.EAGAIN);
      return { kind: 'wait', on: target.room, timeout_ns: this.sendTimeout_ns };
    }
    this.bindFree(false);
    const end = make();
    this.pair(end);
    end.local = target.local;
    if (this.isUnix) {
      this.peerCredentials = target.peerCredentials;
      this.peerGroups = target.peerGroups;
      end.peerCredentials = end.credentials;
      end.peerGroups = end.groups;
    } else {
      state.inherit(end, target);
      state.agreeOnPaths(this, end, target);
      state.meet(this, end, to ?? inFamily(target.local as Address, this.family), target.family);
    }
    end.awaits = target;
    target.arrivals.push(end);
    target.changes.wakeAll(IN);
    this.changes.wakeAll(OUT);
    return undefined;
  }

  accept(nonblocking: boolean): LocalSocket | Wait {
    if (this.isDatagrams) throw errno(e.EOPNOTSUPP);
    if (!this.listening) throw errno(e.EINVAL);
    const next = this.arrivals.shift();
    if (next === undefined) {
      if (this.noReading) throw errno(e.EINVAL);
      if (nonblocking) throw errno(e.EAGAIN);
      return { kind: 'wait', on: this.changes, timeout_ns: this.receiveTimeout_ns };
    }
    next.awaits = undefined;
    this.room.wakeAll();
    const passes = this.options.get(PASSCRED);
    if (this.isUnix && passes !== undefined) next.options.set(PASSCRED, passes);
    return next;
  }

  // ---- Bytes ---------------------------------------------------------------------------------------------------------------------------

  takeError(): number {
    const { error } = this;
    this.error = 0;
    return error;
  }

  send(message: Outgoing): Io {
    if (this.family !== s.AF_NETLINK) state.failPending(this);
    if (this.noWriting && !state.isUnpaired(this)) throw errno(e.EPIPE);
    if (this.service !== undefined) return this.service.send(this, message);
    const target = message.to ?? (message.address === undefined ? this.destination() : undefined);
    if (target === undefined) return state.sendNowhere(this, message);
    if (target.closed || target.noReading) return state.sendToGone(this, target, message.bytes.length);
    const { bytes } = message;
    if (this.isPackets && bytes.length > (this.isUnix ? state.BUFFER - PACKET_COST : 65_507)) throw errno(e.EMSGSIZE);
    if (!this.isPackets && bytes.length === 0) return 0;
    const size = this.isPackets ? bytes.length + PACKET_COST : Math.min(bytes.length, state.BUFFER - target.queued);
    if (!state.hasRoom(target, this, size)) {
      // Nobody waits for who does not read datagrams: they are lost.
      if (this.isDatagrams && !this.isUnix) return bytes.length;
      target.refused.add(this);
      if (message.nonblocking) throw errno(e.EAGAIN);
      return { kind: 'wait', on: target.room, timeout_ns: this.sendTimeout_ns };
    }
    return this.handOver(target, message, size);
  }

  handOver(target: LocalSocket, message: Outgoing, size: number): number {
    const { bytes, rights = [] } = message;
    const credentials = state.speakerFor(target, this, message);
    const taken = bytes.slice(0, this.isPackets ? bytes.length : size);
    const to = this.isUnix ? undefined : (message.address ?? this.remote);
    const isPlain = this.isUnix || !this.isDatagrams || this.local === undefined || to === undefined;
    const from = isPlain ? this.local : inFamily(sourceFor(this.local as Address, to), target.family);
    if (!state.hears(target, from)) return taken.length;
    this.sentBytes += taken.length;
    target.receivedBytes += taken.length;
    const isUrgent = message.isUrgent === true && taken.length === bytes.length;
    if (isUrgent) target.inbox.mark(taken, state.isInline(target));
    const about = target.isDatagrams && target.options.size > 0 ? aboutOf(this, message, to, target.family, this.now_ns()) : undefined;
    const user = this.credentials.uid;
    this.names.flights.depart(rights, target, user);
    const kept = filtered(target, taken, from, to);
    if (kept === undefined) target.inbox.passOver({ bytes: taken, from, credentials, rights, user, about });
    if (kept === undefined) return taken.length;
    target.inbox.push({ bytes: kept, from, credentials, rights, user, about });
    target.changes.wakeAll(isUrgent ? IN | POLLPRI : IN);
    if (isUrgent) target.onUrgent?.();
    return taken.length;
  }

  /** recv with MSG_OOB. Throws EINVAL where there is none. */
  takeUrgent(peek: boolean): number {
    if (state.isInline(this)) throw errno(e.EINVAL);
    const byte = this.inbox.takeUrgent(peek);
    if (!peek) this.made();
    return byte;
  }

  /** Where bytes without an address go. Whoever has a datagram's port by then gets it. */
  private destination(): LocalSocket | undefined {
    return this.isDatagrams && !this.isUnix && this.remote !== undefined ? this.atPort(this.remote) : this.peer;
  }

  /** A datagram from outside, or from a service; where there is no room for it, it is lost, and false. */
  deliver(given: Uint8Array, from: Address, credentials: Speaker = NOBODY): boolean {
    const bytes = filtered(this, given, from);
    if (bytes === undefined) return true;
    const size = bytes.length + PACKET_COST;
    if (!state.hears(this, from)) return true;
    if (this.inbox.held > 0 && this.inbox.held + size > state.BUFFER) return false;
    const about = { time_ns: this.now_ns(), to: this.local, ttl: 64, tos: 0 };
    this.inbox.push({ bytes, from, credentials, rights: [], user: credentials.uid, about });
    this.changes.wakeAll(IN);
    return true;
  }

  receive(into: Uint8Array, nonblocking: boolean, peek: boolean): Received | Wait {
    const { inbox } = this;
    // The urgent byte is not part of what is read, unless it was asked for.
    const isInline = state.isInline(this);
    if (!peek && inbox.settle(isInline)) this.made();
    const isEmpty = !inbox.hasBytes(peek, isInline);
    if (isEmpty) {
      state.failPending(this);
      if (!this.isDatagrams && !this.isConnected) throw errno(this.isUnix && !this.isPackets ? e.EINVAL : e.ENOTCONN);
      if ((this.ended || this.noReading) && !(this.isDatagrams && nonblocking)) return NOTHING;
    }
    const least = this.isPackets ? 1 : Math.min(state.lowWater(this), into.length);
    const isLess = isEmpty || (inbox.held < least && !this.ended && !this.noReading && !nonblocking && !peek);
    if (isLess) {
      if (nonblocking) throw errno(e.EAGAIN);
      return { kind: 'wait', on: this.changes, timeout_ns: this.receiveTimeout_ns };
    }
    const { count, whole, packet, rights, user } = inbox.take(into, peek, isInline, state.isToldOfSenders(this));
    if (!peek) {
      this.names.flights.arrive(rights, this, user);
      this.made();
    }
    const { from, credentials, about } = packet;
    return { count, whole, from: this.isPackets ? from : undefined, credentials, rights, about };
  }

  /** There is more room than before. */
  private made(): void {
    this.letGo(this.inbox.passedOver.splice(0));
    this.room.wakeAll();
    this.peer?.changes.wakeAll(OUT);
    if (this.refused.size === 0) return;
    const waiting = [...this.refused];
    this.refused.clear();
    for (const sender of waiting) sender.changes.wakeAll(OUT);
  }

  read(into: Uint8Array, _position: number, nonblocking: boolean): Io {
    const got = this.receive(into, nonblocking, false);
    if ('kind' in got) return got;
    this.names.flights.drop(got.rights);
    return got.count;
  }

  write(from: Uint8Array, _position: number, nonblocking: boolean): Io {
    return this.send({ bytes: from, nonblocking, credentials: this.writer ?? this.credentials });
  }

  // ---- States --------------------------------------------------------------------------------------------------------------------------

  poll(): number {
    return state.readiness(this);
  }

  ioctl(request: number, argument: IoctlArgument): number | undefined {
    return state.socketIoctl(this, request, argument);
  }

  shutdown(how: number): void {
    if (how !== s.SHUT_RD && how !== s.SHUT_WR && how !== s.SHUT_RDWR) throw errno(e.EINVAL);
    if (this.listening) {
      this.noReading = true;
      this.changes.wakeAll();
      return;
    }
    if (this.service !== undefined) throw errno(e.EOPNOTSUPP);
    if (!this.isConnected && !this.isUnix) throw errno(e.ENOTCONN);
    if (how !== s.SHUT_WR) this.noReading = true;
    if (how !== s.SHUT_RD) this.noWriting = true;
    const { peer } = this;
    if (peer !== undefined && peer.peer === this && !this.isDatagrams) {
      if (how !== s.SHUT_RD) peer.ended = true;
      if (this.isUnix && how !== s.SHUT_WR) peer.noWriting = true;
      peer.changes.wakeAll();
      peer.room.wakeAll();
    }
    this.changes.wakeAll();
    this.room.wakeAll();
  }

  disconnect(): void {
    this.peer = undefined;
    this.remote = undefined;
  }

  close(): void {
    this.closed = true;
    this.names.all.delete(this);
    state.giveUp(this);
    if (this.key !== undefined) this.names.release(this.key, this);
    if (this.hasPort) this.names.ports.release(this.ports, this);
    for (const end of this.arrivals.splice(0)) end.reset();
    const { peer } = this;
    if (peer !== undefined && peer.peer === this) {
      if (!this.isDatagrams && (this.inbox.isUnread || state.isAbrupt(this))) peer.error = e.ECONNRESET;
      if (!this.isDatagrams) peer.ended = true;
      peer.changes.wakeAll();
    }
    this.purge();
    if (this.isUnix) this.names.flights.closed();
    this.room.wakeAll();
    this.changes.wakeAll();
  }

  /** Lets go of what has come. */
  purge(): void {
    this.letGo([...this.inbox.drain(), ...this.inbox.passedOver.splice(0)]);
  }

  private letGo(packets: readonly Packet[]): void {
    for (const { rights, user } of packets) {
      this.names.flights.arrive(rights, this, user);
      this.names.flights.drop(rights);
    }
  }

  /** Closed before anybody accepted it. */
  private reset(): void {
    if (this.peer !== undefined) this.peer.error = e.ECONNRESET;
    this.close();
  }
}
