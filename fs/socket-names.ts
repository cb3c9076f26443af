/** Who is bound where: unix names and loopback ports of one machine, and what a socket address means. Addresses are the bytes of a struct sockaddr. */
import { EADDRINUSE, EADDRNOTAVAIL, EAFNOSUPPORT, EINVAL, ENETUNREACH, errno } from '../abi/errno.ts';
import { Flights } from './flights.ts';
import { Joined } from './multicast.ts';
import type { Address, HostNetwork } from './network.ts';
import { portOf, Ports, type PortUser } from './ports.ts';
import { AF_INET, AF_INET6, AF_UNSPEC, INET6_ADDRESS, INET_ADDRESS } from '../abi/socket.ts';

export { portOf };
export type { Address };

export class SocketNames<S extends PortUser> {
  /** Who has which port of the loopback. */
  readonly ports: Ports<S> = new Ports();
  /** What is beyond the loopback; undefined: nothing. */
  network: HostNetwork | undefined;
  /** Descriptors in messages that nobody has received yet. */
  readonly flights: Flights = new Flights();
  /** Groups of the internet that anybody has joined. */
  readonly joined: Joined = new Joined();
  /** Instructions of all filters. */
  filtering = 0;
  /** Every open socket. */
  readonly all: Set<S> = new Set();
  private readonly bound: Map<string, S> = new Map();
  private nextName = 0;

  find(key: string): S | undefined {
    return this.bound.get(key);
  }

  take(key: string, socket: S): void {
    if (this.bound.has(key)) throw errno(EADDRINUSE);
    this.bound.set(key, socket);
  }

  release(key: string, socket: S): void {
    if (this.bound.get(key) === socket) this.bound.delete(key);
  }

  /** An abstract unix name of five hexadecimal digits (autobind). */
  freeName(): string {
    for (;;) {
      const name = (this.nextName++ & 0xfffff).toString(16).padStart(5, '0');
      if (!this.bound.has(`unix:\0${name}`)) return name;
    }
  }
}

export function familyOf(address: Address): number {
  return address.length < 2 ? AF_UNSPEC : address[0] | (address[1] << 8);
}

/** Throws EINVAL or EAFNOSUPPORT where the bytes are no address of this family. */
export function checkInet(family: number, address: Address): void {
  if (address.length < (family === AF_INET ? INET_ADDRESS : 24)) throw errno(EINVAL);
  if (familyOf(address) !== family) throw errno(EAFNOSUPPORT);
}

type Reach = 'any' | 'loopback' | 'elsewhere';

/** Where an internet address leads in a machine that has nothing but its loopback. */
export function reach(family: number, address: Address): Reach {
  if (family === AF_INET) {
    if (address[4] === 127) return 'loopback';
    return address.subarray(4, 8).every((byte) => byte === 0) ? 'any' : 'elsewhere';
  }
  const host = address.subarray(8, 24);
  if (host.subarray(0, 10).every((byte) => byte === 0) && host[10] === 0xff && host[11] === 0xff)
    return host[12] === 127 ? 'loopback' : 'elsewhere';
  if (host.subarray(0, 15).some((byte) => byte !== 0)) return 'elsewhere';
  return host[15] === 0 ? 'any' : host[15] === 1 ? 'loopback' : 'elsewhere';
}

/** The broadcast address and those of groups are everybody's. */
export function mustBeLocal(family: number, address: Address): void {
  const isShared = family === AF_INET && (address[4] >> 4 === 14 || address.subarray(4, 8).every((byte) => byte === 255));
  if (!isShared && reach(family, address) === 'elsewhere') throw errno(EADDRNOTAVAIL);
}

export function mustBeReachable(family: number, address: Address): void {
  if (reach(family, address) === 'elsewhere') throw errno(ENETUNREACH);
}

/** An internet address of this family: the loopback's, or with `any` none in particular. */
export function inetAddress(family: number, port: number, any = false): Address {
  const address = new Uint8Array(family === AF_INET6 ? INET6_ADDRESS : INET_ADDRESS);
  address[0] = family;
  address[2] = port >> 8;
  address[3] = port & 0xff;
  if (any) return address;
  if (family === AF_INET) address.set([127, 0, 0, 1], 4);
  else address[23] = 1;
  return address;
}
