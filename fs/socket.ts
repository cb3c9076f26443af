/** Sockets within the machine: unix ones, and TCP and UDP over its loopback. One class: what differs between them is a few errors and what a name is. */
import * as e from '../abi/errno.ts';
import { errno } from '../abi/errno.ts';
import { FIONREAD } from '../abi/ioctl.ts';
import { POLLERR, POLLHUP, POLLIN, POLLOUT, POLLRDHUP, POLLRDNORM, POLLWRNORM } from '../abi/poll.ts';
import { AF_INET, AF_INET6, AF_UNIX, SHUT_RD, SHUT_RDWR, SHUT_WR, SOCK_DGRAM, SOCK_RAW, SOCK_STREAM } from '../abi/socket.ts';
import type { Ucred } from '../abi/socket.ts';
import type { Description } from './description.ts';
import type { HostDatagrams } from './network.ts';
import { interfaceIoctl } from './interface-ioctl.ts';
import { type Address, inetAddress, portOf, reach, type SocketNames } from './socket-names.ts';
import type { Io, IoctlArgument, OpenFile, Vnode, Wait } from './vnode.ts';
import { Waiters } from './wait.ts';

/** net.core.rmem_default: bytes a receiver holds. */
export const BUFFER = 212_992;
/** What a packet counts beyond its bytes, so that empty ones are bounded too. */
const PACKET_COST = 64;
/** net.core.somaxconn. */
const MOST_BACKLOG = 4096;
const IN = POLLIN | POLLRDNORM,
  OUT = POLLOUT | POLLWRNORM;

interface Packet {
  bytes: Uint8Array;
  readonly from: Address | undefined;
  readonly credentials: Ucred;
  rights: readonly Description[];
}

export interface Outgoing {
  readonly bytes: Uint8Array;
  readonly nonblocking: boolean;
  readonly credentials: Ucred;
  /** Descriptions on their way; the packet holds them from now on. */
  readonly rights?: readonly Description[];
  /** Where to, for datagrams; default the connected peer. */
  readonly to?: LocalSocket;
  /** The same for sockets that speak to no other socket but to their service. */
  readonly address?: Address;
}

/** Takes what is sent, where that is not another socket: the kernel's end of netlink, the packets of raw sockets. */
export interface SocketService {
  /** How many bytes were taken. Throws the call's errno. */
  send(socket: LocalSocket, message: Outgoing): number;
}

export interface Received {
  readonly count: number;
  /** Of the whole datagram. */
  readonly whole: number;
  readonly from: Address | undefined;
  readonly credentials: Ucred | undefined;
  /** To be released by the caller; with `peek` still held by the packet. */
  readonly rights: readonly Description[];
}

const NOTHING: Received = { count: 0, whole: 0, from: undefined, credentials: undefined, rights: [] };
const NOBODY: Ucred = { pid: 0, uid: 0xffffffff, gid: 0xffffffff };

export interface SocketOptions {
  readonly vnode: Vnode;
  readonly names: SocketNames<LocalSocket>;
  readonly family: number;
  readonly type: number;
  readonly protocol: number;
  /** Who made it. */
  readonly credentials: Ucred;
  readonly service?: SocketService;
}

export class LocalSocket implements OpenFile {
  readonly vnode: Vnode;
  readonly seekable = false;
  readonly canNotWait = true;
  readonly isPackets: boolean;
  readonly hasRecords: boolean;
  readonly label: string | undefined;
  readonly changes: Waiters = new Waiters();
  readonly family: number;
  readonly type: number;
  readonly protocol: number;
  readonly service: SocketService | undefined;
  /** Options that are only kept, by `level:name`. */
  readonly options: Map<string, Uint8Array> = new Map();
  receiveTimeout_ns: bigint | undefined;
  sendTimeout_ns: bigint | undefined;
  local: Address | undefined;
  remote: Address | undefined;
  peer: LocalSocket | undefined;
  /** Whom SO_PEERCRED names. */
  peerCredentials: Ucred = NOBODY;
  readonly credentials: Ucred;
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
  private readonly names: SocketNames<LocalSocket>;
  private key: string | undefined;
  private readonly inbox: Packet[] = [];
  private held = 0;
  private readonly arrivals: LocalSocket[] = [];
  private backlog = 0;
  private noReading = false;
  private noWriting = false;
  /** The peer will not send any more. */
  private ended = false;
  private closed = false;
  /** Something was sent to a TCP peer that had gone. */
  private spoken = false;
  /** Wakes those who wait for room here. */
  private readonly room: Waiters = new Waiters();

  constructor(options: SocketOptions) {
    this.vnode = options.vnode;
    this.label = options.vnode.stat().ino === 0n ? undefined : `socket:[${options.vnode.stat().ino}]`;
    this.names = options.names;
    this.family = options.family;
    this.type = options.type;
    this.isPackets = this.hasRecords = options.type !== SOCK_STREAM;
    this.protocol = options.protocol;
    this.credentials = options.credentials;
    this.service = options.service;
    this.names.all.add(this);
  }

  get isUnix(): boolean {
    return this.family === AF_UNIX;
  }

  /** Each message has an address of its own, and there are no connections. */
  get isDatagrams(): boolean {
    return this.type === SOCK_DGRAM || this.type === SOCK_RAW;
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
    return this.held;
  }

  /** Connections that nobody has accepted yet. */
  get waiting(): number {
    return this.arrivals.length;
  }

  /** `tcp` or `udp`: whose ports these are. */
  get ports(): string {
    return this.type === SOCK_STREAM ? 'tcp' : 'udp';
  }

  // ---- Names ---------------------------------------------------------------------------------------------------------------------------

  bind(key: string, address: Address): void {
    if (this.key !== undefined) throw errno(e.EINVAL);
    this.names.take(key, this);
    this.key = key;
    this.local = address;
  }

  get isBound(): boolean {
    return this.key !== undefined;
  }

  /** Gives an internet socket a free port of its own. */
  bindFree(any: boolean): void {
    if (this.key !== undefined || this.isUnix) return;
    const port = this.names.freePort(this.ports);
    this.bind(`${this.ports}${this.family === AF_INET ? 4 : 6}:${port}`, inetAddress(this.family, port, any));
  }

  listen(backlog: number): void {
    if (this.isDatagrams) throw errno(e.EOPNOTSUPP);
    if (this.isUnix && this.key === undefined) throw errno(e.EINVAL);
    if (this.peer !== undefined) throw errno(e.EINVAL);
    this.bindFree(true);
    this.backlog = Math.min(backlog >>> 0, MOST_BACKLOG);
    this.listening = true;
    this.peerCredentials = this.credentials;
  }

  /** The socket that listens at (or, of datagrams, has) an internet port, as somebody of this family reaches it. */
  atPort(address: Address): LocalSocket | undefined {
    if (reach(this.family, address) === 'elsewhere') return undefined;
    const port = portOf(address);
    const own = this.names.find(`${this.ports}${this.family === AF_INET ? 4 : 6}:${port}`);
    if (own !== undefined || this.family === AF_INET6) return own;
    const dual = this.names.find(`${this.ports}6:${port}`);
    return dual?.local?.subarray(8, 24).every((byte) => byte === 0) && dual.options.get('41:26')?.[0] !== 1 ? dual : undefined;
  }

  /** Two ends of one connection. */
  pair(other: LocalSocket): void {
    this.peer = other;
    other.peer = this;
    this.peerCredentials = other.credentials;
    other.peerCredentials = this.credentials;
  }

  /** Connects to who listens; `make` gives the other end. Nothing changes where it waits. */
  connectTo(target: LocalSocket, make: () => LocalSocket, nonblocking: boolean): Wait | undefined {
    if (target.arrivals.length > target.backlog) {
      if (this.isUnix && nonblocking) throw errno(e.EAGAIN);
      return { kind: 'wait', on: target.room, timeout_ns: this.sendTimeout_ns };
    }
    this.bindFree(false);
    const end = make();
    this.pair(end);
    this.peerCredentials = target.peerCredentials;
    end.local = target.local;
    if (!this.isUnix) {
      const port = portOf(target.local as Address);
      end.local = inetAddress(target.family, port);
      this.remote = inetAddress(this.family, port);
      this.local = inetAddress(this.family, portOf(this.local as Address));
      end.remote = inetAddress(target.family, portOf(this.local));
    }
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
    this.room.wakeAll();
    return next;
  }

  // ---- Bytes ---------------------------------------------------------------------------------------------------------------------------

  takeError(): number {
    const { error } = this;
    this.error = 0;
    return error;
  }

  private failPending(): void {
    const error = this.takeError();
    if (error !== 0) throw errno(error);
  }

  send(message: Outgoing): Io {
    this.failPending();
    if (this.noWriting) throw errno(e.EPIPE);
    if (this.service !== undefined) return this.service.send(this, message);
    const target = message.to ?? this.destination();
    if (target === undefined && this.remote !== undefined && this.isDatagrams) {
      if (this.datagrams !== undefined) {
        this.datagrams.send(message.bytes, this.remote);
        return message.bytes.length;
      }
      // What nobody takes comes back as an error of the next call.
      this.error = e.ECONNREFUSED;
      this.changes.wakeAll();
      return message.bytes.length;
    }
    if (target === undefined)
      throw errno(this.isDatagrams ? (this.isUnix ? e.ENOTCONN : e.EDESTADDRREQ) : this.isUnix ? e.ENOTCONN : e.EPIPE);
    if (target.closed || target.noReading) return this.sendToGone(target, message.bytes.length);
    const { bytes } = message;
    const size = this.isPackets ? bytes.length + PACKET_COST : Math.min(bytes.length, BUFFER - target.held);
    if (this.isPackets && bytes.length > (this.isUnix ? BUFFER - PACKET_COST : 65_507)) throw errno(e.EMSGSIZE);
    if (!this.isPackets && bytes.length === 0) return 0;
    if (size <= 0 || (this.isPackets && target.held > 0 && target.held + size > BUFFER)) {
      if (message.nonblocking) throw errno(e.EAGAIN);
      return { kind: 'wait', on: target.room, timeout_ns: this.sendTimeout_ns };
    }
    const taken = bytes.slice(0, this.isPackets ? bytes.length : size);
    const from = this.isUnix || this.local === undefined ? this.local : inetAddress(target.family, portOf(this.local));
    if (!target.hears(from)) return taken.length;
    target.inbox.push({ bytes: taken, from, credentials: message.credentials, rights: message.rights ?? [] });
    target.held += size;
    target.changes.wakeAll(IN);
    return taken.length;
  }

  /** Where bytes without an address go. Whoever has a datagram's port by then gets it. */
  private destination(): LocalSocket | undefined {
    return this.isDatagrams && !this.isUnix && this.remote !== undefined ? this.atPort(this.remote) : this.peer;
  }

  /** A datagram from outside, or from a service; where there is no room for it, it is lost, and false. */
  deliver(bytes: Uint8Array, from: Address, credentials: Ucred = NOBODY): boolean {
    const size = bytes.length + PACKET_COST;
    if (!this.hears(from)) return true;
    if (this.held > 0 && this.held + size > BUFFER) return false;
    this.inbox.push({ bytes, from, credentials, rights: [] });
    this.held += size;
    this.changes.wakeAll(IN);
    return true;
  }

  /** A connected internet socket hears nobody but its peer. */
  private hears(from: Address | undefined): boolean {
    if (this.isUnix || this.service !== undefined || !this.isDatagrams || this.remote === undefined) return true;
    return from !== undefined && portOf(from) === portOf(this.remote);
  }

  private sendToGone(target: LocalSocket, size: number): number {
    if (this.isDatagrams) throw errno(e.ECONNREFUSED);
    if (this.isUnix || !target.closed || this.spoken) throw errno(e.EPIPE);
    this.spoken = true;
    return size;
  }

  receive(into: Uint8Array, nonblocking: boolean, peek: boolean): Received | Wait {
    if (this.inbox.length === 0) {
      this.failPending();
      if (!this.isDatagrams && !this.isConnected) throw errno(this.isUnix ? e.EINVAL : e.ENOTCONN);
      if (this.ended || this.noReading) return NOTHING;
      if (nonblocking) throw errno(e.EAGAIN);
      return { kind: 'wait', on: this.changes, timeout_ns: this.receiveTimeout_ns };
    }
    return this.isPackets ? this.takePacket(into, peek) : this.takeBytes(into, peek);
  }

  private takePacket(into: Uint8Array, peek: boolean): Received {
    const [packet] = this.inbox;
    const part = packet.bytes.subarray(0, into.length);
    into.set(part);
    if (!peek) {
      this.inbox.shift();
      this.made(packet.bytes.length + PACKET_COST);
    }
    const { from, credentials, rights } = packet;
    return { count: part.length, whole: packet.bytes.length, from, credentials, rights };
  }

  /** Bytes of several sends run together, up to one that carries rights, its own included. */
  private takeBytes(into: Uint8Array, peek: boolean): Received {
    const { credentials } = this.inbox[0];
    let rights: readonly Description[] = [];
    let done = 0;
    let at = 0;
    while (done < into.length && at < this.inbox.length) {
      const packet = this.inbox[at];
      if (packet.rights.length > 0) rights = packet.rights;
      const part = packet.bytes.subarray(0, into.length - done);
      const left = packet.bytes.length - part.length;
      into.set(part, done);
      done += part.length;
      if (!peek) {
        packet.rights = [];
        packet.bytes = packet.bytes.subarray(part.length);
      }
      if (left > 0) break;
      at++;
      if (rights.length > 0) break;
    }
    if (!peek) {
      this.inbox.splice(0, at);
      this.made(done);
    }
    return { count: done, whole: done, from: undefined, credentials, rights };
  }

  private made(room: number): void {
    this.held -= room;
    this.room.wakeAll();
    this.peer?.changes.wakeAll(OUT);
  }

  read(into: Uint8Array, _position: number, nonblocking: boolean): Io {
    const got = this.receive(into, nonblocking, false);
    if ('kind' in got) return got;
    for (const right of got.rights) right.release();
    return got.count;
  }

  write(from: Uint8Array, _position: number, nonblocking: boolean): Io {
    return this.send({ bytes: from, nonblocking, credentials: this.credentials });
  }

  // ---- States --------------------------------------------------------------------------------------------------------------------------

  poll(): number {
    if (this.listening) return this.arrivals.length > 0 ? IN : 0;
    if (this.reaching) return 0;
    let ready = this.error !== 0 ? POLLERR : 0;
    const over = this.ended || this.noReading;
    if (this.inbox.length > 0 || over || this.error !== 0) ready |= IN;
    if (this.isDatagrams) {
      if (this.peer === undefined || this.peer.held < BUFFER) ready |= OUT;
      return this.noReading && this.noWriting ? ready | POLLHUP | POLLRDHUP : ready;
    }
    if (over) ready |= POLLRDHUP;
    if (!this.isConnected) return ready | OUT | POLLHUP;
    const target = this.peer;
    if (target === undefined || target.closed || this.noWriting || target.held < BUFFER) ready |= OUT;
    if ((over && this.noWriting) || (this.isUnix && target?.closed)) ready |= POLLHUP;
    return ready;
  }

  ioctl(request: number, argument: IoctlArgument): number | undefined {
    if (request !== FIONREAD) return interfaceIoctl(this.family, request, argument);
    const [first] = this.inbox;
    const waiting = this.isDatagrams ? (first?.bytes.length ?? 0) : this.inbox.reduce((sum, { bytes }) => sum + bytes.length, 0);
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setInt32(0, waiting, true);
    argument.bytesOut(bytes);
    return 0;
  }

  shutdown(how: number): void {
    if (how !== SHUT_RD && how !== SHUT_WR && how !== SHUT_RDWR) throw errno(e.EINVAL);
    if (this.listening) {
      this.noReading = true;
      this.changes.wakeAll();
      return;
    }
    if (this.service !== undefined) throw errno(e.EOPNOTSUPP);
    if (!this.isConnected && !(this.isUnix && this.isDatagrams)) throw errno(e.ENOTCONN);
    if (how !== SHUT_WR) this.noReading = true;
    if (how !== SHUT_RD) this.noWriting = true;
    const { peer } = this;
    if (peer !== undefined && peer.peer === this && !this.isDatagrams) {
      if (how !== SHUT_RD) peer.ended = true;
      peer.changes.wakeAll();
      peer.room.wakeAll();
    }
    this.changes.wakeAll();
    this.room.wakeAll();
  }

  /** Datagrams: from now on everybody's, and to nobody in particular. */
  disconnect(): void {
    this.peer = undefined;
    this.remote = undefined;
  }

  close(): void {
    this.closed = true;
    this.names.all.delete(this);
    this.outer?.close();
    this.datagrams?.close();
    if (this.key !== undefined) this.names.release(this.key, this);
    for (const end of this.arrivals.splice(0)) end.reset();
    const { peer } = this;
    if (peer !== undefined && peer.peer === this) {
      if (this.inbox.length > 0 && !this.isDatagrams) peer.error = e.ECONNRESET;
      if (!this.isDatagrams) peer.ended = true;
      peer.changes.wakeAll();
    }
    for (const { rights } of this.inbox.splice(0)) for (const right of rights) right.release();
    this.room.wakeAll();
    this.changes.wakeAll();
  }

  /** Closed before anybody accepted it. */
  private reset(): void {
    if (this.peer !== undefined) this.peer.error = e.ECONNRESET;
    this.close();
  }
}
