/**
 * What has come to a unix stream and is not read yet. An urgent byte is a piece of its own; what is left of it when it was read apart is a piece of no bytes,
 * where reads stop as they did at the byte. Linux: queue_oob, manage_oob and unix_stream_recv_urg of net/unix/af_unix.c.
 */
import { EINVAL, errno } from '../abi/errno.ts';
import type { Description } from './description.ts';
import { Inbox, type Packet, type Taken } from './socket-inbox.ts';
import { isSameSpeaker } from './speaker.ts';

export class UnixInbox extends Inbox {
  private oob: Packet | undefined;
  private isNextUrgent = false;
  /** What is pushed now stays a piece of its own. */
  private isSingle = false;

  constructor() {
    super(false);
  }

  override mark(): void {
    this.isNextUrgent = true;
  }

  override push(packet: Packet): void {
    if (!this.isNextUrgent) return super.push(packet);
    this.isNextUrgent = false;
    const { bytes } = packet;
    const urgent = bytes.length === 1 ? packet : { ...packet, bytes: bytes.subarray(-1), rights: [] };
    if (urgent !== packet) super.push({ ...packet, bytes: bytes.subarray(0, -1) });
    this.isSingle = true;
    super.push(urgent);
    this.isSingle = false;
    this.oob = urgent;
  }

  protected override runsInto(last: Packet, packet: Packet): boolean {
    return last !== this.oob && !this.isSingle && super.runsInto(last, packet);
  }

  override drain(): Packet[] {
    this.oob = undefined;
    return super.drain();
  }

  override get hasUrgent(): boolean {
    return this.oob !== undefined;
  }

  /** What is left of an urgent byte at the front is nothing. */
  override get isUnread(): boolean {
    return this.packets.length > (this.packets[0]?.bytes.length === 0 ? 1 : 0);
  }

  override get isAtMark(): boolean {
    const [first, second] = this.packets;
    if (first === undefined) return false;
    return first === this.oob || (first.bytes.length === 0 && (this.oob === undefined || second === this.oob));
  }

  override ahead(): number {
    return this.held;
  }

  override settle(isInline: boolean): boolean {
    const before = this.packets.length;
    if (this.packets[0]?.bytes.length === 0) this.discard(0);
    if (this.packets[0] === this.oob && this.oob !== undefined && !isInline) this.discard(0);
    return this.packets.length < before;
  }

  override hasBytes(peek: boolean, isInline: boolean): boolean {
    return this.packets.some((packet) => packet.bytes.length > 0 && (packet !== this.oob || isInline || !peek));
  }

  protected override takeBytes(into: Uint8Array, peek: boolean, isInline: boolean, isApart: boolean): Taken {
    let first: Packet | undefined;
    let rights: readonly Description[] = [];
    let done = 0;
    for (let at = 0; (done < into.length || first === undefined) && at < this.packets.length; ) {
      const packet = this.packets[at];
      if (packet.bytes.length === 0) {
        if (done > 0 && this.oob === undefined) break;
        if (peek) at++;
        else this.discard(at);
        continue;
      }
      if (packet === this.oob) {
        if (done > 0) break;
        if (!isInline) {
          if (peek) at++;
          else this.discard(at);
          continue;
        }
        if (!peek) this.oob = undefined;
      }
      if (isApart && first !== undefined && !isSameSpeaker(first.credentials, packet.credentials)) break;
      first ??= packet;
      const part = packet.bytes.subarray(0, into.length - done);
      into.set(part, done);
      done += part.length;
      ({ rights } = packet);
      const isWhole = part.length === packet.bytes.length;
      if (!peek) {
        packet.rights = [];
        packet.bytes = packet.bytes.subarray(part.length);
        this.held -= part.length;
        if (isWhole) this.packets.splice(at, 1);
      } else at++;
      if (!isWhole || rights.length > 0) break;
    }
    // Callers have seen that there is something (hasBytes).
    const packet = first as Packet;
    return { count: done, whole: done, packet, rights, user: packet.user };
  }

  override takeUrgent(peek: boolean): number {
    const { oob } = this;
    if (oob === undefined) throw errno(EINVAL);
    const [byte] = oob.bytes;
    if (peek) return byte;
    this.oob = undefined;
    this.held--;
    oob.bytes = oob.bytes.subarray(1);
    const before = this.packets.indexOf(oob) - 1;
    if (this.packets[before]?.bytes.length === 0) this.discard(before);
    return byte;
  }

  /** Nobody will read a piece. */
  private discard(at: number): void {
    const [packet] = this.packets.splice(at, 1);
    if (packet === this.oob) this.oob = undefined;
    this.held -= packet.bytes.length;
    this.passOver(packet);
  }
}
