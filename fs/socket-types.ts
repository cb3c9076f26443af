/** What goes into sockets and comes out of them. `S` is the class of sockets. */
import type { Description } from './description.ts';
import type { Address } from './network.ts';
import type { About } from './socket-inbox.ts';
import type { PortUser } from './ports.ts';
import type { Speaker } from './speaker.ts';
import type { SocketNames } from './socket-names.ts';
import type { Vnode } from './vnode.ts';

/** An error that came back for a datagram (IP_RECVERR). */
export interface Failure {
  readonly error: number;
  readonly bytes: Uint8Array;
  readonly to: Address;
}

export interface OutgoingTo<S> {
  readonly bytes: Uint8Array;
  readonly nonblocking: boolean;
  readonly credentials: Speaker;
  /** The program itself has said who it is. */
  readonly isNamed?: boolean;
  /** Descriptions on their way; the packet holds them from now on. */
  readonly rights?: readonly Description[];
  /** Where to, for datagrams; default the connected peer. */
  readonly to?: S;
  /** The end that was named, of datagrams of the internet and of what goes to a service. */
  readonly address?: Address;
  /** The last byte is urgent (MSG_OOB). */
  readonly isUrgent?: boolean;
  readonly ttl?: number;
  readonly tos?: number;
}

/** Takes what is sent, where that is not another socket: the kernel's end of netlink, the packets of raw sockets. */
export interface ServiceOf<S> {
  /** How many bytes were taken. Throws the call's errno. */
  send(socket: S, message: OutgoingTo<S>): number;
  /** Takes leave of a socket that is closed. */
  close?(socket: S): void;
}

export interface Received {
  readonly count: number;
  /** Of the whole datagram. */
  readonly whole: number;
  readonly from: Address | undefined;
  readonly credentials: Speaker | undefined;
  /** To be released by the caller; with `peek` still held by the packet. */
  readonly rights: readonly Description[];
  readonly about?: About;
}

/** Multipath TCP, which is one path here: asked for, agreed on by both ends, or not wanted by the other one, so that it is TCP as any. */
export type Multipath = 'no' | 'asked' | 'agreed' | 'refused';

export interface OptionsOf<S extends PortUser> {
  readonly vnode: Vnode;
  readonly names: SocketNames<S>;
  readonly family: number;
  readonly type: number;
  readonly protocol: number;
  /** Who made it, and whose supplementary groups those are. */
  readonly credentials: Speaker;
  readonly groups?: readonly number[];
  readonly service?: ServiceOf<S>;
  /** Nanoseconds since 1970. */
  readonly now_ns: () => bigint;
}
