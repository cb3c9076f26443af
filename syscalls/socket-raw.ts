/** Raw and packet sockets as calls see them: who may have them, what they are bound to and where they send. Linux: net/ipv4/raw.c, net/packet/af_packet.c. */
import { CAP_NET_RAW } from '../abi/capability.ts';
import { EACCES, EINVAL, ENODEV, ENXIO, EOPNOTSUPP, EPERM, EPROTONOSUPPORT, ESOCKTNOSUPPORT, errno } from '../abi/errno.ts';
import { LOOPBACK } from '../abi/interface.ts';
import * as s from '../abi/socket.ts';
import { endOf, IPPROTO_ICMP, IPPROTO_ICMPV6 } from '../fs/raw-packets.ts';
import { linkAddress, PacketService, RawService } from '../fs/raw-socket.ts';
import type { LocalSocket, SocketService } from '../fs/socket.ts';
import { type Address, checkInet, familyOf, mustBeLocal, mustBeReachable } from '../fs/socket-names.ts';
import { capable } from '../proc/credentials.ts';
import type { Task } from '../proc/task.ts';

interface Kind {
  readonly type: number;
  readonly protocol: number;
}

/** A raw socket of the internet. Undefined: it is none. */
export function rawKind(task: Task, domain: number, type: number, protocol: number): Kind | undefined {
  const isPing = type === s.SOCK_DGRAM && protocol === (domain === s.AF_INET ? IPPROTO_ICMP : IPPROTO_ICMPV6);
  // net.ipv4.ping_group_range names nobody.
  if (isPing) throw errno(EACCES);
  if (type !== s.SOCK_RAW) return undefined;
  if (protocol === 0) throw errno(EPROTONOSUPPORT);
  if (!capable(task.credentials, CAP_NET_RAW)) throw errno(EPERM);
  return { type, protocol };
}

/** The protocol is in the network's order. */
export function packetKind(type: number, protocol: number): Kind {
  if (type !== s.SOCK_RAW && type !== s.SOCK_DGRAM) throw errno(ESOCKTNOSUPPORT);
  return { type, protocol: ((protocol & 0xff) << 8) | ((protocol >> 8) & 0xff) };
}

/** What serves sockets that speak in packets; undefined for all others. */
export function rawService(task: Task, domain: number, { type, protocol }: Kind): SocketService | undefined {
  const names = task.kernel.files.sockets;
  if (domain === s.AF_PACKET) return new PacketService(names, protocol);
  return type === s.SOCK_RAW && (domain === s.AF_INET || domain === s.AF_INET6) ? new RawService(names) : undefined;
}

export function isRaw(socket: LocalSocket): boolean {
  return socket.service instanceof RawService || socket.service instanceof PacketService;
}

/** A raw socket's port is its protocol. */
export function startRaw(socket: LocalSocket): void {
  if (socket.service instanceof RawService) socket.local = endOf(socket.family, new Uint8Array(socket.family === s.AF_INET ? 4 : 16), socket.protocol);
}

export function bindRaw(socket: LocalSocket, address: Address): void {
  if (socket.family === s.AF_PACKET) {
    checkLink(address);
    const packets = socket.service as PacketService;
    packets.protocol = (address[2] << 8) | address[3] || packets.protocol;
    socket.local = linkAddress(packets.protocol, 0, indexOf(address));
    return;
  }
  checkInet(socket.family, address);
  mustBeLocal(socket.family, address);
  const local = address.slice(0, socket.family === s.AF_INET ? s.INET_ADDRESS : s.INET6_ADDRESS);
  local.set([socket.protocol >> 8, socket.protocol & 0xff], 2);
  socket.local = local;
}

function checkLink(address: Address): void {
  if (address.length < 20 || familyOf(address) !== s.AF_PACKET) throw errno(EINVAL);
  const index = indexOf(address);
  if (index !== LOOPBACK.index && index !== 0) throw errno(ENODEV);
}

function indexOf(link: Address): number {
  return new DataView(link.buffer, link.byteOffset).getInt32(4, true);
}

export function connectRaw(socket: LocalSocket, address: Address): void {
  if (socket.family === s.AF_PACKET) throw errno(EOPNOTSUPP);
  if (address.length >= 2 && familyOf(address) === s.AF_UNSPEC) return socket.disconnect();
  socket.aim(internetTarget(socket, address), false);
}

/** Where a message goes, checked: packets that do not say leave by the interface that their socket is bound to. */
export function rawTarget(socket: LocalSocket, address: Address | undefined): Address | undefined {
  if (socket.family === s.AF_PACKET) {
    if (address !== undefined && address.length < 18) throw errno(EINVAL);
    const link = address ?? socket.local;
    if (link === undefined || indexOf(link) !== LOOPBACK.index) throw errno(ENXIO);
    return address?.slice();
  }
  return address === undefined ? undefined : internetTarget(socket, address);
}

function internetTarget(socket: LocalSocket, address: Address): Address {
  checkInet(socket.family, address);
  mustBeReachable(socket.family, address);
  return address.slice(0, socket.family === s.AF_INET ? s.INET_ADDRESS : s.INET6_ADDRESS);
}
