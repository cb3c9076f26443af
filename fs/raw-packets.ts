/** Packets of the internet as raw sockets make and see them: headers, checksums, and echo. Source: RFC 791, 768, 792, 4443. */
import { AF_INET, AF_INET6, INET6_ADDRESS, INET_ADDRESS, IPPROTO_UDP } from '../abi/socket.ts';
import type { Address } from './network.ts';
import { hostOf } from './ports.ts';

export const IPPROTO_ICMP = 1,
  IPPROTO_ICMPV6 = 58;
const HEADER = 20,
  HEADER_6 = 40,
  UDP_HEADER = 8;
const ECHO_REPLY = 0,
  ECHO = 8,
  ECHO_6 = 128,
  ECHO_REPLY_6 = 129;

/** One packet; IPv6's headers are never seen, so only IPv4's has one. */
export interface RawPacket {
  readonly family: number;
  readonly protocol: number;
  readonly from: Uint8Array;
  readonly to: Uint8Array;
  /** With the header, of IPv4. */
  readonly bytes: Uint8Array;
  /** Where what it carries begins. */
  readonly offset: number;
}

/** The internet checksum of some bytes, and what was added up before. */
export function checksum(bytes: Uint8Array, before = 0): number {
  let sum = before;
  for (let i = 0; i < bytes.length; i += 2) sum += (bytes[i] << 8) | (bytes[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 0x1_0000);
  return ~sum & 0xffff;
}

/** A UDP datagram with its headers, of IPv4 or IPv6 by the length of the hosts' addresses; without the checksum, as on a loopback. */
export function udpPacket(from: Uint8Array, fromPort: number, to: Uint8Array, toPort: number, content: Uint8Array): Uint8Array {
  const size = UDP_HEADER + content.length;
  const datagram = new Uint8Array(size);
  datagram.set([fromPort >> 8, fromPort & 0xff, toPort >> 8, toPort & 0xff, size >> 8, size & 0xff]);
  datagram.set(content, UDP_HEADER);
  if (to.length === 4) return withHeader({ protocol: IPPROTO_UDP, from, to, ttl: 64, tos: 0, id: 0 }, datagram).bytes;
  const bytes = new Uint8Array(HEADER_6 + size);
  bytes.set([0x60, 0, 0, 0, size >> 8, size & 0xff, IPPROTO_UDP, 64]);
  bytes.set(from, 8);
  bytes.set(to, 24);
  bytes.set(datagram, HEADER_6);
  return bytes;
}

interface Header {
  readonly protocol: number;
  readonly from: Uint8Array;
  readonly to: Uint8Array;
  readonly ttl: number;
  readonly tos: number;
  readonly id: number;
}

export function withHeader({ protocol, from, to, ttl, tos, id }: Header, content: Uint8Array): RawPacket {
  const bytes = new Uint8Array(HEADER + content.length);
  const size = bytes.length;
  bytes.set([0x45, tos, size >> 8, size & 0xff, (id >> 8) & 0xff, id & 0xff, 0x40, 0, ttl, protocol]);
  bytes.set(from, 12);
  bytes.set(to, 16);
  bytes.set(content, HEADER);
  return completed(bytes) as RawPacket;
}

/** A packet whose header a program made: length, source and checksum are filled in. Undefined where it is too short to be one. */
export function completed(given: Uint8Array): RawPacket | undefined {
  if (given.length < HEADER) return undefined;
  const bytes = given.slice();
  const offset = (bytes[0] & 0xf) * 4;
  if (offset < HEADER || offset > bytes.length) return undefined;
  bytes[2] = bytes.length >> 8;
  bytes[3] = bytes.length & 0xff;
  if (bytes.subarray(12, 16).every((byte) => byte === 0)) bytes.set([127, 0, 0, 1], 12);
  bytes.fill(0, 10, 12);
  const sum = checksum(bytes.subarray(0, offset));
  bytes[10] = sum >> 8;
  bytes[11] = sum & 0xff;
  return { family: AF_INET, protocol: bytes[9], from: bytes.slice(12, 16), to: bytes.slice(16, 20), bytes, offset };
}

/** What an IPv6 socket sends; of ICMPv6 with its checksum, which covers the addresses. */
export function packet6(protocol: number, from: Uint8Array, to: Uint8Array, content: Uint8Array): RawPacket {
  const bytes = content.slice();
  if (protocol === IPPROTO_ICMPV6 && bytes.length >= 4) {
    const pseudo = Uint8Array.of(...from, ...to, 0, 0, bytes.length >> 8, bytes.length & 0xff, 0, 0, 0, protocol);
    bytes.fill(0, 2, 4);
    const sum = checksum(bytes, ~checksum(pseudo) & 0xffff);
    bytes[2] = sum >> 8;
    bytes[3] = sum & 0xff;
  }
  return { family: AF_INET6, protocol, from, to, bytes, offset: 0 };
}

/** What the kernel answers to an echo request; undefined for all else. */
export function echoed(packet: RawPacket): RawPacket | undefined {
  const content = packet.bytes.slice(packet.offset);
  if (content.length < UDP_HEADER) return undefined;
  if (packet.family === AF_INET6) {
    if (packet.protocol !== IPPROTO_ICMPV6 || content[0] !== ECHO_6) return undefined;
    content[0] = ECHO_REPLY_6;
    return packet6(IPPROTO_ICMPV6, packet.to, packet.from, content);
  }
  if (packet.protocol !== IPPROTO_ICMP || content[0] !== ECHO || checksum(content) !== 0) return undefined;
  content[0] = ECHO_REPLY;
  content.fill(0, 2, 4);
  const sum = checksum(content);
  content[2] = sum >> 8;
  content[3] = sum & 0xff;
  return withHeader({ protocol: IPPROTO_ICMP, from: packet.to, to: packet.from, ttl: 64, tos: packet.bytes[1], id: 0 }, content);
}

/** A datagram in a packet: its ends and bytes. Undefined where it is none. */
export function datagramIn(packet: RawPacket): { readonly from: Address; readonly to: Address; readonly bytes: Uint8Array } | undefined {
  const content = packet.bytes.subarray(packet.offset);
  if (packet.protocol !== IPPROTO_UDP || packet.family !== AF_INET || content.length < UDP_HEADER) return undefined;
  const size = (content[4] << 8) | content[5];
  if (size < UDP_HEADER || size > content.length) return undefined;
  const end = (host: Uint8Array, at: number): Address => endOf(AF_INET, host, (content[at] << 8) | content[at + 1]);
  return { from: end(packet.from, 0), to: end(packet.to, 2), bytes: content.slice(UDP_HEADER, size) };
}

/** The packet that a datagram would be. */
export function packetOf(from: Address, to: Address, ttl: number, content: Uint8Array): RawPacket {
  const bytes = new Uint8Array(UDP_HEADER + content.length);
  const size = bytes.length;
  bytes.set([from[2], from[3], to[2], to[3], size >> 8, size & 0xff]);
  bytes.set(content, UDP_HEADER);
  return withHeader({ protocol: IPPROTO_UDP, from: hostOf(from), to: hostOf(to), ttl, tos: 0, id: 0 }, bytes);
}

export function endOf(family: number, host: Uint8Array, port = 0): Address {
  const address = new Uint8Array(family === AF_INET ? INET_ADDRESS : INET6_ADDRESS);
  address[0] = family;
  address[2] = port >> 8;
  address[3] = port & 0xff;
  address.set(host, family === AF_INET ? 4 : 8);
  return address;
}
