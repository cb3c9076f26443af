/**
 * Netlink sockets: ports, groups, and the frames in which requests go to the kernel and answers come back. What the protocols know is in
 * netlink-route.ts and netlink-diag.ts.
 */
import { latin1 } from '../abi/latin1.ts';
import { EADDRINUSE, ECONNREFUSED, EINVAL, ENOBUFS, ENOENT, EOPNOTSUPP, EPERM, Errno, errno } from '../abi/errno.ts';
import * as n from '../abi/netlink.ts';
import { AF_NETLINK } from '../abi/socket.ts';
import { decoded, encoded, struct, u8 } from '../abi/struct.ts';
import type { LocalSocket, Outgoing, SocketService } from './socket.ts';
import type { Address, SocketNames } from './socket-names.ts';

/** One attribute: its type, and its bytes. */
export type Attribute = readonly [type: number, bytes: Uint8Array];

/** What one request is answered with. */
export interface Answer {
  readonly type: number;
  readonly bytes: Uint8Array;
}

export interface Request {
  readonly type: number;
  readonly flags: number;
  /** What follows the header. */
  readonly body: Uint8Array;
  readonly isDump: boolean;
}

/** What the kernel's end of a protocol answers; throws the errno that the error message says. Undefined: nothing but what NLM_F_ACK asks for. */
export type Responder = (request: Request) => readonly Answer[] | undefined;

/** Largest message that one datagram of answers is filled to. */
const DATAGRAM = 8192;

export function words(...values: readonly number[]): Uint8Array {
  return new Uint8Array(Uint32Array.from(values, (value) => value >>> 0).buffer);
}

export function cString(text: string): Uint8Array {
  return latin1(`${text}\0`);
}

const align = (size: number): number => (size + 3) & ~3;

/** A fixed part and the attributes behind it. */
export function withAttributes(fixed: Uint8Array, attributes: readonly Attribute[]): Uint8Array {
  const size = attributes.reduce((sum, [, bytes]) => sum + align(4 + bytes.length), align(fixed.length));
  const whole = new Uint8Array(size);
  const view = new DataView(whole.buffer);
  whole.set(fixed);
  let at = align(fixed.length);
  for (const [type, bytes] of attributes) {
    view.setUint16(at, 4 + bytes.length, true);
    view.setUint16(at + 2, type, true);
    whole.set(bytes, at + 4);
    at += align(4 + bytes.length);
  }
  return whole;
}

/** The attributes behind a fixed part of `fixed` bytes; what is malformed ends them. */
export function attributesOf(body: Uint8Array, fixed: number): Map<number, Uint8Array> {
  const found = new Map<number, Uint8Array>();
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  for (let at = align(fixed); at + 4 <= body.length; ) {
    const size = view.getUint16(at, true);
    if (size < 4 || at + size > body.length) break;
    found.set(view.getUint16(at + 2, true) & 0x3fff, body.subarray(at + 4, at + size));
    at += align(size);
  }
  return found;
}

export function netlinkAddressOf(port: number, groups: number): Address {
  return encoded(n.netlinkAddress, { family: AF_NETLINK, padding: 0, port: port >>> 0, groups: groups >>> 0 });
}

/** The bytes of one message. */
function framed(type: number, flags: number, sequence: number, port: number, body: Uint8Array): Uint8Array {
  const size = n.netlinkHeader.size + body.length;
  const whole = new Uint8Array(align(size));
  n.netlinkHeader.write(new DataView(whole.buffer), 0, { size, type, flags, sequence, port });
  whole.set(body, n.netlinkHeader.size);
  return whole;
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** The state of one netlink socket beyond what all sockets have. */
export class NetlinkPort implements SocketService {
  /** 0: none yet. */
  port = 0;
  /** Groups that it listens to, by number. */
  readonly groups: Set<number> = new Set();
  private readonly protocol: number;
  private readonly names: SocketNames<LocalSocket>;
  private readonly respond: Responder | undefined;

  constructor(protocol: number, names: SocketNames<LocalSocket>, respond: Responder | undefined) {
    this.protocol = protocol;
    this.names = names;
    this.respond = respond;
  }

  /** The first 32 groups, as sockaddr_nl says them. */
  get groupBits(): number {
    let bits = 0;
    for (const group of this.groups) if (group >= 1 && group <= 32) bits |= 1 << (group - 1);
    return bits >>> 0;
  }

  get address(): Address {
    return netlinkAddressOf(this.port, this.groupBits);
  }

  /** bind(2): throws EINVAL where it has another port already, EADDRINUSE where somebody else has this one. */
  bind(socket: LocalSocket, port: number, groups: number, pid: number): void {
    if (this.port !== 0 && port !== this.port) throw errno(EINVAL);
    if (this.port === 0) this.takePort(socket, port, pid);
    for (let bit = 0; bit < 32; bit++) {
      if ((groups >>> bit) & 1) this.groups.add(bit + 1);
      else this.groups.delete(bit + 1);
    }
    socket.local = this.address;
  }

  private key(port: number): string {
    return `netlink:${this.protocol}:${port >>> 0}`;
  }

  /** Port 0: the process's number, or where somebody has that some negative one. */
  private takePort(socket: LocalSocket, wanted: number, pid: number): void {
    let port = wanted === 0 ? pid : wanted;
    if (this.names.find(this.key(port)) !== undefined) {
      if (wanted !== 0) throw errno(EADDRINUSE);
      for (port = -4097; this.names.find(this.key(port)) !== undefined; port--);
    }
    this.port = port >>> 0;
    socket.bind(this.key(port), this.address);
  }

  // ---- Sending -------------------------------------------------------------------------------------------------------------------------

  send(socket: LocalSocket, { bytes, credentials, address }: Outgoing): number {
    if (this.port === 0) this.bind(socket, 0, 0, credentials.pid);
    const to = address ?? socket.remote;
    const { port, groups } = to === undefined ? { port: 0, groups: 0 } : decoded(n.netlinkAddress, to);
    if (groups !== 0) this.broadcast(socket, bytes, credentials, groups);
    if (port !== 0) this.unicast(socket, bytes, credentials, port);
    else if (this.respond === undefined) throw errno(ECONNREFUSED);
    else this.answer(socket, bytes, this.respond);
    return bytes.length;
  }

  private unicast(from: LocalSocket, bytes: Uint8Array, credentials: Outgoing['credentials'], port: number): void {
    const target = this.names.find(this.key(port));
    if (target === undefined) throw errno(ECONNREFUSED);
    target.deliver(bytes.slice(), this.address, credentials);
    from.changes.wakeAll();
  }

  private broadcast(from: LocalSocket, bytes: Uint8Array, credentials: Outgoing['credentials'], groups: number): void {
    for (const target of this.names.all) {
      const { service } = target;
      if (target === from || !(service instanceof NetlinkPort) || service.protocol !== this.protocol) continue;
      if ((service.groupBits & groups) !== 0) target.deliver(bytes.slice(), netlinkAddressOf(this.port, groups), credentials);
    }
  }

  // ---- The kernel's end ----------------------------------------------------------------------------------------------------------------

  /** Linux: netlink_rcv_skb. */
  private answer(socket: LocalSocket, bytes: Uint8Array, respond: Responder): void {
    for (let at = 0; at + n.netlinkHeader.size <= bytes.length; ) {
      const header = decoded(n.netlinkHeader, bytes.subarray(at));
      if (header.size < n.netlinkHeader.size || header.size > bytes.length - at) return;
      this.answerOne(socket, header, bytes.subarray(at, at + header.size), respond);
      at += align(header.size);
    }
  }

  private answerOne(socket: LocalSocket, header: n.NetlinkHeader, message: Uint8Array, respond: Responder): void {
    const body = message.subarray(n.netlinkHeader.size);
    let error = 0;
    if ((header.flags & n.NLM_F_REQUEST) !== 0 && header.type >= n.NLMSG_MIN_TYPE) {
      const isDump = (header.flags & n.NLM_F_DUMP) !== 0;
      try {
        const answers = respond({ type: header.type, flags: header.flags, body, isDump });
        if (answers !== undefined && isDump) return this.dump(socket, header, answers);
        for (const { type, bytes } of answers ?? []) this.deliver(socket, framed(type, 0, header.sequence, this.port, bytes));
      } catch (thrown) {
        if (!(thrown instanceof Errno)) throw thrown;
        error = thrown.code;
      }
    }
    if (error !== 0 || (header.flags & n.NLM_F_ACK) !== 0) this.acknowledge(socket, header, message, error);
  }

  /** Linux: netlink_ack. The request comes back whole where it failed. */
  private acknowledge(socket: LocalSocket, header: n.NetlinkHeader, message: Uint8Array, error: number): void {
    const isCapped = error === 0 || socket.options.get(`${n.SOL_NETLINK}:${n.NETLINK_CAP_ACK}`)?.[0] === 1;
    const echoed = isCapped ? message.subarray(0, n.netlinkHeader.size) : message;
    const body = joined([words(-error), echoed]);
    this.deliver(socket, framed(n.NLMSG_ERROR, isCapped ? n.NLM_F_CAPPED : 0, header.sequence, this.port, body));
  }

  private dump(socket: LocalSocket, { sequence }: n.NetlinkHeader, answers: readonly Answer[]): void {
    let filled: Uint8Array[] = [];
    let size = 0;
    for (const { type, bytes } of answers) {
      const frame = framed(type, n.NLM_F_MULTI, sequence, this.port, bytes);
      if (size > 0 && size + frame.length > DATAGRAM) {
        this.deliver(socket, joined(filled));
        [filled, size] = [[], 0];
      }
      filled.push(frame);
      size += frame.length;
    }
    if (size > 0) this.deliver(socket, joined(filled));
    this.deliver(socket, framed(n.NLMSG_DONE, n.NLM_F_MULTI, sequence, this.port, words(0)));
  }

  private deliver(socket: LocalSocket, bytes: Uint8Array): void {
    if (socket.deliver(bytes, netlinkAddressOf(0, 0), KERNEL)) return;
    socket.error = ENOBUFS;
    socket.changes.wakeAll();
  }
}

const KERNEL = { pid: 0, uid: 0, gid: 0 };

/** struct genlmsghdr. */
const genericHeader = struct<{ command: number; version: number }>({ command: u8, version: u8 }, 4);
const CTRL_ID = 16,
  CTRL_CMD_NEWFAMILY = 1,
  CTRL_CMD_GETFAMILY = 3;
const CTRL_ATTR_FAMILY_ID = 1,
  CTRL_ATTR_FAMILY_NAME = 2,
  CTRL_ATTR_VERSION = 3,
  CTRL_ATTR_HDRSIZE = 4,
  CTRL_ATTR_MAXATTR = 5;

/** Generic netlink: there is no family but the one that tells of families. */
export const respondGeneric: Responder = ({ type, body, isDump }) => {
  if (type !== CTRL_ID) throw errno(ENOENT);
  const { command } = decoded(genericHeader, body);
  if (command !== CTRL_CMD_GETFAMILY) throw errno(command > 10 ? EOPNOTSUPP : EPERM);
  const asked = attributesOf(body, genericHeader.size);
  const name = asked.get(CTRL_ATTR_FAMILY_NAME);
  const id = asked.get(CTRL_ATTR_FAMILY_ID);
  if (!isDump && name === undefined && id === undefined) throw errno(EINVAL);
  const isAsked = name !== undefined ? String.fromCharCode(...name).replace(/\0.*$/s, '') === 'nlctrl' : id?.[0] === CTRL_ID && id[1] === 0;
  if (!isDump && !isAsked) throw errno(ENOENT);
  const half = (value: number): Uint8Array => Uint8Array.of(value & 0xff, value >> 8);
  const bytes = withAttributes(encoded(genericHeader, { command: CTRL_CMD_NEWFAMILY, version: 2 }), [
    [CTRL_ATTR_FAMILY_NAME, cString('nlctrl')],
    [CTRL_ATTR_FAMILY_ID, half(CTRL_ID)],
    [CTRL_ATTR_VERSION, words(2)],
    [CTRL_ATTR_HDRSIZE, words(0)],
    [CTRL_ATTR_MAXATTR, words(10)],
  ]);
  return [{ type: CTRL_ID, bytes }];
};
