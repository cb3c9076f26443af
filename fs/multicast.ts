/**
 * Groups of the internet on the loopback: which sockets have joined which, and who gets what is sent to one. Of IPv6 there are members, but Linux knows no
 * way to groups by a loopback. Linux: net/ipv4/igmp.c, __udp4_lib_mcast_deliver.
 */
import { EADDRINUSE, EADDRNOTAVAIL, EINVAL, ENOBUFS, errno } from '../abi/errno.ts';
import { AF_INET, AF_INET6, IPPROTO_IP } from '../abi/socket.ts';
import type { Address } from './network.ts';
import { hostOf, isAny, portOf } from './ports.ts';

/** IP_MULTICAST_ALL: what others have joined is heard as well. */
export const IP_MULTICAST_ALL = 49;
/** net.ipv4.igmp_max_memberships, igmp_max_msf. */
const MOST_GROUPS = 20,
  MOST_SOURCES = 10;
/** 224.0.0.1: everybody is a member. */
const ALL_HOSTS = '224,0,0,1';

/** Hears what these sources send, or what all others do. */
export type Mode = 'include' | 'exclude';

interface Membership {
  readonly group: string;
  mode: Mode;
  /** Undefined: never said. */
  sources: Set<string> | undefined;
}

export function isGroup(address: Address): boolean {
  const host = hostOf(address);
  return host.length === 4 ? host[0] >> 4 === 14 : host[0] === 0xff;
}

/** What one socket has joined. */
export class Memberships {
  private readonly all: Map<string, Membership> = new Map();
  private readonly joined: Joined;

  constructor(joined: Joined) {
    this.joined = joined;
  }

  join(host: Uint8Array, mode: Mode): void {
    const group = String(host);
    if (this.all.has(group)) throw errno(EADDRINUSE);
    if (this.all.size >= MOST_GROUPS) throw errno(ENOBUFS);
    this.all.set(group, { group, mode, sources: undefined });
    this.joined.count(group, 1);
  }

  leave(host: Uint8Array): void {
    if (!this.all.delete(String(host))) throw errno(EADDRNOTAVAIL);
    this.joined.count(String(host), -1);
  }

  leaveAll(): void {
    for (const group of this.all.keys()) this.joined.count(group, -1);
    this.all.clear();
  }

  has(host: Uint8Array): boolean {
    return this.all.has(String(host));
  }

  /** One source more or less. Linux: ip_mc_source. */
  source(host: Uint8Array, from: Uint8Array, mode: Mode, adds: boolean): void {
    const found = this.all.get(String(host));
    if (found === undefined || (found.sources !== undefined && found.mode !== mode)) throw errno(EINVAL);
    const source = String(from);
    found.mode = mode;
    if (adds) {
      found.sources ??= new Set();
      if (found.sources.size >= MOST_SOURCES) throw errno(ENOBUFS);
      if (found.sources.has(source)) throw errno(EADDRNOTAVAIL);
      found.sources.add(source);
      return;
    }
    if (found.sources?.has(source) !== true) throw errno(EADDRNOTAVAIL);
    // Who includes nobody any more has left.
    if (mode === 'include' && found.sources.size === 1) this.leave(host);
    else found.sources.delete(source);
  }

  /** Whether it hears what comes to a group; undefined: it is no member. */
  hears(group: string, source: string): boolean | undefined {
    const found = this.all.get(group);
    if (found === undefined) return undefined;
    return (found.mode === 'include') === (found.sources?.has(source) === true);
  }
}

/** How many have joined each group, in the machine. */
export class Joined {
  private readonly groups: Map<string, number> = new Map();

  count(group: string, by: number): void {
    const now = (this.groups.get(group) ?? 0) + by;
    if (now > 0) this.groups.set(group, now);
    else this.groups.delete(group);
  }

  has(group: string): boolean {
    return group === ALL_HOSTS || this.groups.has(group);
  }
}

interface Listener {
  readonly family: number;
  readonly local: Address | undefined;
  readonly memberships: Memberships | undefined;
  option(level: number, name: number, initial?: number): number;
}

/** Those of who has a port that hear what is sent to a group, from a host. */
export function hearers<S extends Listener>(users: readonly S[], to: Address, from: Uint8Array, joined: Joined): S[] {
  const group = String(hostOf(to));
  if (!joined.has(group)) return [];
  return users.filter((user) => {
    const { family, local, memberships } = user;
    if ((family !== AF_INET && family !== AF_INET6) || local === undefined || portOf(local) !== portOf(to)) return false;
    if (!isAny(local) && String(hostOf(local)) !== group) return false;
    return memberships?.hears(group, String(from)) ?? user.option(IPPROTO_IP, IP_MULTICAST_ALL, 1) !== 0;
  });
}
