/** What filters of sockets see of a packet that comes: its bytes with the headers of the loopback before them, and facts about it. Linux: struct sk_buff. */
import { ARPHRD_LOOPBACK, LOOPBACK } from '../abi/interface.ts';
import type { SockFilter } from '../abi/seccomp.ts';
import * as s from '../abi/socket.ts';
import type { Address } from './network.ts';
import { hostOf, located, portOf } from './ports.ts';
import { udpPacket } from './raw-packets.ts';

export interface Seen {
  readonly bytes: Uint8Array;
  /** Where in them what the filter calls the packet begins, and the headers of network and link, where there are any. */
  readonly data: number;
  readonly network: number | undefined;
  readonly link: number | undefined;
  /** What the link calls the network's protocol (ETH_P_); 0: nothing. */
  readonly protocol: number;
  /** PACKET_HOST, PACKET_OUTGOING. */
  readonly kind: number;
  /** By which interface it came. */
  readonly at: { readonly index: number; readonly hardware: number } | undefined;
  /** Where what headers of transport carry begins. */
  readonly payload: number;
}

export interface Filter {
  readonly program: readonly SockFilter[];
  /** How many bytes of the packet are kept; 0: it is dropped. */
  keeps(seen: Seen): number;
  /** Its socket is done with it. */
  release(): void;
}

interface Filtered {
  readonly filter: Filter | undefined;
  readonly family: number;
  readonly type: number;
  readonly local: Address | undefined;
}

const ETHERNET = 14,
  UDP_HEADER = 8;
const ETH_P_IP = 0x0800,
  ETH_P_IPV6 = 0x86dd;
const AT = { index: LOOPBACK.index, hardware: ARPHRD_LOOPBACK };

/** What a socket takes of a packet from an end; undefined: nothing. Streams are not filtered. */
export function filtered(socket: Filtered, bytes: Uint8Array, from: Address | undefined, to?: Address): Uint8Array | undefined {
  const { filter, family, type } = socket;
  if (filter === undefined || type === s.SOCK_STREAM) return bytes;
  const isUdp = type === s.SOCK_DGRAM && (family === s.AF_INET || family === s.AF_INET6);
  const seen = isUdp ? datagram(bytes, from, to ?? socket.local) : packet(socket, bytes, from);
  const kept = filter.keeps(seen);
  if (kept === 0) return undefined;
  // A datagram's header stays.
  return bytes.subarray(0, isUdp ? Math.max(0, kept - UDP_HEADER) : kept);
}

function packet({ family, type }: Filtered, bytes: Uint8Array, from: Address | undefined): Seen {
  const plain = { bytes, data: 0, network: undefined, link: undefined, protocol: 0, kind: 0, at: undefined, payload: 0 };
  switch (family) {
    case s.AF_PACKET: {
      const isWhole = type === s.SOCK_RAW;
      const [protocol, kind] = from === undefined ? [0, 0] : [(from[2] << 8) | from[3], from[10]];
      return { ...plain, network: isWhole ? ETHERNET : 0, link: isWhole ? 0 : undefined, protocol, kind, at: AT };
    }
    case s.AF_INET:
      return { ...plain, network: 0, protocol: ETH_P_IP, at: AT };
    case s.AF_INET6:
      return { ...plain, protocol: ETH_P_IPV6, at: AT };
    default:
      return plain;
  }
}

function datagram(content: Uint8Array, from: Address | undefined, to: Address | undefined): Seen {
  const source = from === undefined ? to : from;
  const [here, there] = [located(source as Address), located(to as Address)];
  const inner = udpPacket(hostOf(here), portOf(here), hostOf(there), portOf(there), content);
  const bytes = new Uint8Array(ETHERNET + inner.length);
  const protocol = inner[0] >> 4 === 4 ? ETH_P_IP : ETH_P_IPV6;
  bytes.set([protocol >> 8, protocol & 0xff], ETHERNET - 2);
  bytes.set(inner, ETHERNET);
  const data = bytes.length - content.length - UDP_HEADER;
  return { bytes, data, network: ETHERNET, link: 0, protocol, kind: 0, at: AT, payload: UDP_HEADER };
}
