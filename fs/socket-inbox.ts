/** What has come to a socket and is not read yet: packets, or a stream of bytes with its urgent mark. */
import { EINVAL, errno } from '../abi/errno.ts';
import * as s from '../abi/socket.ts';
import type { Description } from './description.ts';
import type { Address } from './network.ts';
import { inFamily, located } from './ports.ts';
import { isSameSpeaker, type Speaker } from './speaker.ts';

/** What a packet counts beyond its bytes, so that empty ones are bounded too. */
export const PACKET_COST = 64;

/** What the headers of a datagram would have said, and when it came. */
export interface About {
  /** Nanoseconds since 1970. */
  readonly time_ns: bigint;
  /** Where it was sent to. */
  readonly to: Address | undefined;
  readonly ttl: number;
  readonly tos: number;
}

interface Sender {
  readonly family: number;
  option(level: number, name: number, initial?: number): number;
}

export function aboutOf(
  sender: Sender,
  said: { readonly ttl?: number; readonly tos?: number },
  to: Address | undefined,
  family: number,
  time_ns: bigint,
): About {
  const isShort = sender.family === s.AF_INET;
  return {
    time_ns,
    to: to === undefined ? undefined : inFamily(located(to), family),
    ttl: said.ttl ?? (isShort ? sender.option(s.IPPROTO_IP, s.IP_TTL, 64) : sender.option(s.IPPROTO_IPV6, s.IPV6_UNICAST_HOPS, 64)),
    tos: said.tos ?? (isShort ? sender.option(s.IPPROTO_IP, s.IP_TOS) : sender.option(s.IPPROTO_IPV6, s.IPV6_TCLASS)),
  };
}

export interface Packet {
  bytes: Uint8Array;
  readonly from: Address | undefined;
  readonly credentials: Speaker;
  rights: readonly Description[];
  /** Whose descriptors those are. */
  readonly user: number;
  readonly about: About | undefined;
}

/** What one receive takes out. */
export interface Taken {
  readonly count: number;
  /** Of the whole datagram. */
  readonly whole: number;
  /** The packet that it is, or that the bytes begin with. */
  readonly packet: Packet;
  readonly rights: readonly Description[];
  /** Whose they are. */
  readonly user: number;
}

/** Bytes that small pieces are put together to. */
const SMALL = 2048;

function joined(a: Uint8Array, b: Uint8Array): Uint8Array {
  const both = new Uint8Array(a.length + b.length);
  both.set(a);
  both.set(b, a.length);
  return both;
}

export class Inbox {
  /** Bytes it counts. */
  held = 0;
  /** Pieces that nobody will read any more: what they carry is to be let go of. */
  readonly passedOver: Packet[] = [];
  protected readonly packets: Packet[] = [];
  private readonly isPackets: boolean;
  /** Bytes of the stream that have been read, or passed over. */
  private passed = 0;
  /** Where in the stream the urgent byte is, and the byte while nobody has asked for it. */
  private urgent: { readonly at: number; byte: number | undefined } | undefined;

  constructor(isPackets: boolean) {
    this.isPackets = isPackets;
  }

  get isEmpty(): boolean {
    return this.packets.length === 0;
  }

  /** What closing now would lose. */
  get isUnread(): boolean {
    return this.packets.length > 0;
  }

  /** Packets that wait. */
  get count(): number {
    return this.packets.length;
  }

  get firstSize(): number {
    return this.packets[0]?.bytes.length ?? 0;
  }

  get bytes(): number {
    return this.packets.reduce((sum, { bytes }) => sum + bytes.length, 0);
  }

  push(packet: Packet): void {
    const last = this.packets.at(-1);
    if (last !== undefined && !this.isPackets && this.runsInto(last, packet)) last.bytes = joined(last.bytes, packet.bytes);
    else this.packets.push(packet);
    this.held += this.isPackets ? packet.bytes.length + PACKET_COST : packet.bytes.length;
  }

  /** Small pieces of one sender's stream are kept as one. */
  protected runsInto(last: Packet, { bytes, rights, credentials }: Packet): boolean {
    const isSmall = last.bytes.length > 0 && last.bytes.length + bytes.length <= SMALL;
    return (
      isSmall &&
      last.rights.length + rights.length === 0 &&
      last.credentials.process === credentials.process &&
      isSameSpeaker(last.credentials, credentials)
    );
  }

  /** Nobody will read it. */
  passOver(packet: Packet): void {
    if (packet.rights.length > 0) this.passedOver.push(packet);
  }

  /** Everything out. */
  drain(): Packet[] {
    this.held = 0;
    return this.packets.splice(0);
  }

  /** `isApart`: bytes of several senders do not run together. */
  take(into: Uint8Array, peek: boolean, isInline: boolean, isApart: boolean): Taken {
    return this.isPackets ? this.takePacket(into, peek) : this.takeBytes(into, peek, isInline, isApart);
  }

  private takePacket(into: Uint8Array, peek: boolean): Taken {
    const [packet] = this.packets;
    const part = packet.bytes.subarray(0, into.length);
    into.set(part);
    if (!peek) {
      this.packets.shift();
      this.held -= packet.bytes.length + PACKET_COST;
    }
    const { rights, user } = packet;
    return { count: part.length, whole: packet.bytes.length, packet, rights, user };
  }

  /** Bytes of several sends run together, up to one that carries rights, its own included. */
  protected takeBytes(into: Uint8Array, peek: boolean, _isInline: boolean, _isApart: boolean): Taken {
    const [first] = this.packets;
    let rights: readonly Description[] = [];
    let { user } = first;
    let done = 0;
    let at = 0;
    const room = into.subarray(0, this.untilMark(into.length));
    while (done < room.length && at < this.packets.length) {
      const packet = this.packets[at];
      if (packet.rights.length > 0) ({ rights, user } = packet);
      const part = packet.bytes.subarray(0, room.length - done);
      const left = packet.bytes.length - part.length;
      room.set(part, done);
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
      this.packets.splice(0, at);
      this.held -= done;
      this.pass(done);
    }
    return { count: done, whole: done, packet: first, rights, user };
  }

  /** Passes over what a read that begins here does not see; true where there is more room then. */
  settle(isInline: boolean): boolean {
    if (!this.isAtMark || isInline || this.isEmpty) return false;
    this.skipUrgent();
    return true;
  }

  /** Whether a read finds anything. */
  hasBytes(_peek: boolean, _isInline: boolean): boolean {
    return !this.isEmpty;
  }

  // ---- Urgent data: Linux tcp_check_urg, tcp_recv_urg ------------------------------------------------------------------------------------

  private pass(count: number): void {
    this.passed += count;
    if (this.urgent !== undefined && this.urgent.at < this.passed) this.urgent = undefined;
  }

  /** The last of the bytes that come next is urgent. One before it that nobody has read is passed over where it would be read next. */
  mark(bytes: Uint8Array, isInline: boolean): void {
    if (this.isAtMark && !isInline && this.held > 0) this.skipUrgent();
    this.urgent = { at: this.passed + this.held + bytes.length - 1, byte: bytes[bytes.length - 1] };
  }

  /** Whether the next byte is the urgent one. */
  get isAtMark(): boolean {
    return this.urgent !== undefined && this.urgent.at === this.passed;
  }

  /** There is urgent data that nobody has read. */
  get hasUrgent(): boolean {
    return this.urgent?.byte !== undefined;
  }

  /** Passes over the urgent byte, which is the next. */
  private skipUrgent(): void {
    const [first] = this.packets;
    if (first === undefined) return;
    first.bytes = first.bytes.subarray(1);
    if (first.bytes.length === 0) this.packets.shift();
    this.held--;
    this.pass(1);
  }

  /** Bytes before the urgent one; all where it has been passed over, or is one like others. */
  ahead(isInline: boolean): number {
    return this.urgent === undefined || isInline ? this.held : this.urgent.at - this.passed;
  }

  /** Reads stop before the urgent byte. */
  private untilMark(wanted: number): number {
    if (this.urgent === undefined || this.urgent.at <= this.passed) return wanted;
    return Math.min(wanted, this.urgent.at - this.passed);
  }

  /** Throws EINVAL where there is none. */
  takeUrgent(peek: boolean): number {
    if (this.urgent?.byte === undefined) throw errno(EINVAL);
    const { byte } = this.urgent;
    if (!peek) this.urgent.byte = undefined;
    return byte;
  }
}
