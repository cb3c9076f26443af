/** Raw and packet sockets: what they send goes over the loopback to those who listen, and the kernel answers echo requests. Linux: net/ipv4/raw.c, net/packet. */
import { EDESTADDRREQ, EINVAL, EMSGSIZE, errno } from '../abi/errno.ts';
import { ARPHRD_LOOPBACK, LOOPBACK } from '../abi/interface.ts';
import { AF_INET, AF_PACKET, IP_TOS, IP_TTL, IPPROTO_IP, SOCK_RAW } from '../abi/socket.ts';
import { hostOf, isAny, located } from './ports.ts';
import { completed, datagramIn, echoed, endOf, IPPROTO_ICMP, packet6, type RawPacket, withHeader } from './raw-packets.ts';
import type { LocalSocket, Outgoing, SocketService } from './socket.ts';
import type { Address, SocketNames } from './socket-names.ts';

const IPPROTO_RAW = 255,
  SOL_RAW = 255,
  ICMP_FILTER = 1,
  IP_HDRINCL = 3;
const MOST = 65_535;

export class RawService implements SocketService {
  private readonly names: SocketNames<LocalSocket>;
  private ids = 0;

  constructor(names: SocketNames<LocalSocket>) {
    this.names = names;
  }

  send(socket: LocalSocket, { bytes, address, ttl, tos }: Outgoing): number {
    const named = address ?? socket.remote;
    if (named === undefined) throw errno(EDESTADDRREQ);
    if (bytes.length > MOST) throw errno(EMSGSIZE);
    const to = hostOf(located(named));
    const isShort = socket.family === AF_INET;
    const from =
      socket.local === undefined || isAny(socket.local)
        ? hostOf(located(isShort ? endOf(AF_INET, new Uint8Array(4)) : named))
        : hostOf(socket.local);
    if (!isShort) {
      this.loop(packet6(socket.protocol, named.subarray(8, 24).slice(), named.subarray(8, 24).slice(), bytes));
      return bytes.length;
    }
    const hasHeader = socket.protocol === IPPROTO_RAW || socket.option(IPPROTO_IP, IP_HDRINCL) !== 0;
    const header = {
      protocol: socket.protocol,
      from,
      to,
      ttl: ttl ?? socket.option(IPPROTO_IP, IP_TTL, 64),
      tos: tos ?? socket.option(IPPROTO_IP, IP_TOS),
      id: ++this.ids & 0xffff,
    };
    const packet = hasHeader ? completed(bytes) : withHeader(header, bytes);
    if (packet === undefined) throw errno(EINVAL);
    this.loop(packet);
    return bytes.length;
  }

  /** A packet has come over the loopback. */
  loop(packet: RawPacket): void {
    this.tap(packet);
    const reply = echoed(packet);
    if (reply !== undefined) this.tap(reply);
    const datagram = datagramIn(packet);
    if (datagram === undefined) return;
    this.names.ports.find('udp', datagram.to, datagram.from)?.deliver(datagram.bytes, datagram.from);
  }

  /** Whoever listens to such packets gets one. */
  private tap(packet: RawPacket): void {
    for (const socket of this.names.all) {
      if (socket.service instanceof RawService && hears(socket, packet))
        socket.deliver(packet.bytes.slice(), endOf(packet.family, packet.from));
      else if (socket.service instanceof PacketService && packet.family === AF_INET) socket.service.arrive(socket, frameOf(packet));
    }
  }
}

function hears(socket: LocalSocket, packet: RawPacket): boolean {
  if (socket.family !== packet.family || socket.protocol !== packet.protocol) return false;
  if (socket.local !== undefined && !isAny(socket.local) && !isSame(hostOf(socket.local), packet.to)) return false;
  if (socket.remote !== undefined && !isSame(hostOf(socket.remote), packet.from)) return false;
  const kind = packet.bytes[packet.offset];
  const filter = packet.protocol === IPPROTO_ICMP ? socket.option(SOL_RAW, ICMP_FILTER) : 0;
  return kind >= 32 || ((filter >>> kind) & 1) === 0;
}

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

// ---- Packet sockets --------------------------------------------------------------------------------------------------------------------

/** Bytes of an Ethernet header: the loopback has one, with no addresses. */
const ETHERNET = 14;
const ETH_P_ALL = 3,
  ETH_P_IP = 0x0800;
const PACKET_HOST = 0,
  PACKET_OUTGOING = 4;

interface Frame {
  readonly protocol: number;
  readonly bytes: Uint8Array;
}

function frameOf(packet: RawPacket): Frame {
  const bytes = new Uint8Array(ETHERNET + packet.bytes.length);
  bytes[12] = ETH_P_IP >> 8;
  bytes.set(packet.bytes, ETHERNET);
  return { protocol: ETH_P_IP, bytes };
}

/** struct sockaddr_ll of the loopback. */
export function linkAddress(protocol: number, kind: number, index: number = LOOPBACK.index): Address {
  const address = new Uint8Array(20);
  const view = new DataView(address.buffer);
  view.setUint16(0, AF_PACKET, true);
  view.setUint16(2, protocol);
  view.setInt32(4, index, true);
  view.setUint16(8, ARPHRD_LOOPBACK, true);
  address[10] = kind;
  address[11] = 6;
  return address;
}

export class PacketService implements SocketService {
  /** Which frames it hears; ETH_P_ALL: all. */
  protocol: number;
  private readonly names: SocketNames<LocalSocket>;
  private readonly raw: RawService;

  constructor(names: SocketNames<LocalSocket>, protocol: number) {
    this.protocol = protocol;
    this.names = names;
    this.raw = new RawService(names);
  }

  send(socket: LocalSocket, { bytes, address }: Outgoing): number {
    const isWhole = socket.type === SOCK_RAW;
    if (isWhole && bytes.length < ETHERNET) throw errno(EINVAL);
    if (bytes.length > MOST + ETHERNET) throw errno(EMSGSIZE);
    const protocol = isWhole ? (bytes[12] << 8) | bytes[13] : address === undefined ? this.protocol : (address[2] << 8) | address[3];
    const frame = new Uint8Array(isWhole ? bytes.length : ETHERNET + bytes.length);
    frame.set([protocol >> 8, protocol & 0xff], 12);
    frame.set(bytes, isWhole ? 0 : ETHERNET);
    for (const other of this.names.all) {
      if (!(other.service instanceof PacketService)) continue;
      if (other !== socket && other.service.protocol === ETH_P_ALL)
        other.service.arrive(other, { protocol, bytes: frame }, PACKET_OUTGOING);
      other.service.arrive(other, { protocol, bytes: frame });
    }
    const packet = protocol === ETH_P_IP ? completed(frame.subarray(ETHERNET)) : undefined;
    if (packet !== undefined) this.deliver(packet);
    return bytes.length;
  }

  /** The internet's sockets get what is in the frame; packet sockets have had it. */
  private deliver(packet: RawPacket): void {
    const datagram = datagramIn(packet);
    if (datagram !== undefined) this.names.ports.find('udp', datagram.to, datagram.from)?.deliver(datagram.bytes, datagram.from);
    const reply = echoed(packet);
    if (reply !== undefined) this.raw.loop(reply);
  }

  arrive(socket: LocalSocket, { protocol, bytes }: Frame, kind = PACKET_HOST): void {
    if (this.protocol !== ETH_P_ALL && this.protocol !== protocol) return;
    socket.deliver(socket.type === SOCK_RAW ? bytes.slice() : bytes.slice(ETHERNET), linkAddress(protocol, kind));
  }
}
