/** Ports of the loopback: which sockets have one, who may share it, and who gets what comes for it. Linux: inet_csk_bind_conflict, __inet_lookup_listener. */
import { EADDRINUSE, errno } from '../abi/errno.ts';
import { AF_INET, AF_INET6, INET6_ADDRESS, IPPROTO_IPV6, IPV6_V6ONLY, SO_REUSEADDR, SO_REUSEPORT, SOL_SOCKET } from '../abi/socket.ts';
import type { Address } from './network.ts';

/** net.ipv4.ip_local_port_range. */
const FIRST_PORT = 32768,
  LAST_PORT = 60999;

/** A socket that may have a port. */
export interface PortUser {
  readonly family: number;
  readonly local: Address | undefined;
  readonly remote: Address | undefined;
  readonly listening: boolean;
  readonly credentials: { readonly uid: number };
  option(level: number, name: number, initial?: number): number;
}

/** `tcp` and `udp`; raw sockets have none. */
export type PortKind = 'tcp' | 'udp';

export function portOf(address: Address): number {
  return (address[2] << 8) | address[3];
}

/** An address's host: of IPv4 four bytes, whichever family's form it has. */
export function hostOf(address: Address): Uint8Array {
  if (address[0] === AF_INET) return address.subarray(4, 8);
  const host = address.subarray(8, 24);
  return isMapped(host) ? host.subarray(12) : host;
}

function isMapped(host: Uint8Array): boolean {
  return host[10] === 0xff && host[11] === 0xff && host.subarray(0, 10).every((byte) => byte === 0);
}

export function isAny(address: Address): boolean {
  return hostOf(address).every((byte) => byte === 0);
}

function isSameHost(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

export function isSameEnd(a: Address, b: Address): boolean {
  return portOf(a) === portOf(b) && isSameHost(hostOf(a), hostOf(b));
}

/** The same end as sockets of `family` see it; IPv4 ends are mapped into IPv6. */
export function inFamily(address: Address, family: number): Address {
  if (address[0] === family) return address;
  const host = hostOf(address);
  const converted = new Uint8Array(family === AF_INET6 ? INET6_ADDRESS : 16);
  converted[0] = family;
  converted.set(address.subarray(2, 4), 2);
  if (family === AF_INET) converted.set(host.length === 4 ? host : [127, 0, 0, 1], 4);
  else if (host.length === 4 && host.some((byte) => byte !== 0)) {
    converted.set([0xff, 0xff], 18);
    converted.set(host, 20);
  }
  return converted;
}

/** The end itself where it says where, else the loopback. */
export function located(address: Address): Address {
  if (!isAny(address)) return address;
  const here = address.slice();
  if (here[0] === AF_INET) here.set([127, 0, 0, 1], 4);
  else if (isMapped(here.subarray(8, 24))) here.set([127, 0, 0, 1], 20);
  else here[23] = 1;
  return here;
}

/** A socket's own end as the end `to` sees it: the loopback where the socket does not say. */
export function sourceFor(local: Address, to: Address): Address {
  if (!isAny(local)) return local;
  const source = local.slice();
  const isShort = hostOf(located(to)).length === 4;
  if (source[0] === AF_INET) source.set([127, 0, 0, 1], 4);
  else if (isShort) source.set([0, 0, 0xff, 0xff, 127, 0, 0, 1], 16);
  else source[23] = 1;
  return source;
}

function isOnly6(user: PortUser): boolean {
  return user.option(IPPROTO_IPV6, IPV6_V6ONLY) !== 0;
}

/** Whether something may come that is for both. */
function overlap(a: PortUser, at: Address, b: PortUser): boolean {
  const other = b.local as Address;
  const [here, there] = [hostOf(at), hostOf(other)];
  if (a.family !== b.family) {
    const [six, sixAt] = a.family === AF_INET6 ? [a, at] : [b, other];
    if (isOnly6(six) || (hostOf(sixAt).length === 16 && !isAny(sixAt))) return false;
    return isAny(at) || isAny(other) || isSameHost(here, there);
  }
  return isAny(at) || isAny(other) || isSameHost(here, there);
}

/** Whether a socket may share its port with others, as far as they let it. */
function sharer(kind: PortKind, a: PortUser): (b: PortUser) => boolean {
  const [byPort, byAddress] = [a.option(SOL_SOCKET, SO_REUSEPORT) !== 0, a.option(SOL_SOCKET, SO_REUSEADDR) !== 0];
  return (b) => {
    if (byPort && a.credentials.uid === b.credentials.uid && b.option(SOL_SOCKET, SO_REUSEPORT) !== 0) return true;
    return byAddress && (kind === 'udp' || (!a.listening && !b.listening)) && b.option(SOL_SOCKET, SO_REUSEADDR) !== 0;
  };
}

export class Ports<S extends PortUser> {
  private readonly users: Map<string, S[]> = new Map();
  private nextPort = FIRST_PORT;
  /** Whose turn it is among those who share a port. */
  private turn = 0;

  /** Throws EADDRINUSE. */
  take(kind: PortKind, socket: S, at: Address): void {
    const key = `${kind}:${portOf(at)}`;
    const others = this.users.get(key);
    if (others === undefined) {
      this.users.set(key, [socket]);
      return;
    }
    const mayShare = sharer(kind, socket);
    if (others.some((other) => !mayShare(other) && overlap(socket, at, other))) throw errno(EADDRINUSE);
    others.push(socket);
  }

  release(kind: PortKind, socket: S): void {
    if (socket.local === undefined) return;
    const key = `${kind}:${portOf(socket.local)}`;
    const users = this.users.get(key) ?? [];
    const place = users.indexOf(socket);
    if (place >= 0) users.splice(place, 1);
    if (users.length === 0) this.users.delete(key);
  }

  /** Whether another socket listens where this one wants to. */
  isHeard(socket: S): boolean {
    const at = socket.local as Address;
    const others = this.users.get(`tcp:${portOf(at)}`) ?? [];
    const shares = socket.option(SOL_SOCKET, SO_REUSEPORT) !== 0;
    return others.some(
      (other) =>
        other !== socket && other.listening && !(shares && other.option(SOL_SOCKET, SO_REUSEPORT) !== 0) && overlap(socket, at, other),
    );
  }

  /** Everybody who has the port of an end. */
  at(kind: PortKind, end: Address): readonly S[] {
    return this.users.get(`${kind}:${portOf(end)}`) ?? [];
  }

  /** A port that nobody of this kind has. */
  free(kind: PortKind): number {
    for (let tried = FIRST_PORT; tried <= LAST_PORT; tried++) {
      const port = this.nextPort;
      this.nextPort = port === LAST_PORT ? FIRST_PORT : port + 1;
      if (!this.users.has(`${kind}:${port}`)) return port;
    }
    throw errno(EADDRINUSE);
  }

  /** Who gets what is sent to an end, from another. Of several that are bound alike one is chosen by the sender's port or in turn, else the last that came. */
  find(kind: PortKind, to: Address, from: Address | undefined): S | undefined {
    let best: S[] = [];
    let most = 0;
    const host = hostOf(located(to));
    for (const user of this.users.get(`${kind}:${portOf(to)}`) ?? []) {
      const score = kind === 'tcp' && !user.listening ? 0 : fit(user, host, from);
      if (score === 0 || score < most) continue;
      if (score > most) best = [];
      best.push(user);
      most = score;
    }
    const isGroup = best.every((user) => user.option(SOL_SOCKET, SO_REUSEPORT) !== 0);
    return best[isGroup ? (from === undefined ? this.turn++ : portOf(from)) % best.length : best.length - 1];
  }
}

/** How exactly a socket is meant; 0: not at all. */
function fit(user: PortUser, host: Uint8Array, from: Address | undefined): number {
  const { local, remote, family } = user;
  if (local === undefined) return 0;
  const own = hostOf(local);
  let score: number;
  if (!isAny(local)) score = isSameHost(own, host) ? 4 : 0;
  else if (family === AF_INET) score = host.length === 4 ? 3 : 0;
  else score = host.length === 16 ? 3 : isOnly6(user) ? 0 : 2;
  if (score === 0 || remote === undefined) return score;
  return from !== undefined && isSameEnd(from, remote) ? score + 4 : 0;
}
