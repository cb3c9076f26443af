/** NETLINK_SOCK_DIAG: the machine's sockets, as ss lists them. Linux: net/core/sock_diag.c, net/unix/diag.c, net/ipv4/inet_diag.c. */
import { EINVAL, ENOENT, errno } from '../abi/errno.ts';
import { AF_INET, AF_INET6, AF_MAX, AF_UNIX, IPPROTO_TCP, IPPROTO_UDP, SOCK_STREAM } from '../abi/socket.ts';
import { array, bytes, decoded, struct, u16, u32, u8 } from '../abi/struct.ts';
import { type Answer, type Attribute, type Request, type Responder, withAttributes, words } from './netlink.ts';
import { hostOf, portOf } from './ports.ts';
import type { LocalSocket } from './socket.ts';
import type { Address, SocketNames } from './socket-names.ts';

const SOCK_DIAG_BY_FAMILY = 20;
/** States of TCP, which all families use. */
const ESTABLISHED = 1,
  SYN_SENT = 2,
  CLOSE = 7,
  CLOSE_WAIT = 8,
  LISTEN = 10;

const unixRequest = struct<{ family: number; protocol: number; pad: number; states: number; ino: number; show: number; cookie: number[] }>({
  family: u8,
  protocol: u8,
  pad: u16,
  states: u32,
  ino: u32,
  show: u32,
  cookie: array(u32, 2),
});
const UNIX_NAME = 0,
  UNIX_PEER = 2,
  UNIX_QUEUE = 4,
  UNIX_SHUTDOWN = 6,
  UNIX_UID = 7;
const SHOW_NAME = 1,
  SHOW_PEER = 4,
  SHOW_QUEUE = 16,
  SHOW_UID = 64;

const inetRequest = struct<{ family: number; protocol: number; ext: number; pad: number; states: number; id: Uint8Array }>({
  family: u8,
  protocol: u8,
  ext: u8,
  pad: u8,
  states: u32,
  id: bytes(48),
});

export function diagResponder(names: SocketNames<LocalSocket>): Responder {
  return (request) => {
    if (request.type !== SOCK_DIAG_BY_FAMILY || request.body.length < 2) throw errno(EINVAL);
    const [family] = request.body;
    if (family === AF_UNIX) return unixSockets(names, request);
    if (family === AF_INET || family === AF_INET6) return inetSockets(names, request);
    throw errno(family >= AF_MAX ? EINVAL : ENOENT);
  };
}

function stateOf(socket: LocalSocket): number {
  if (socket.listening) return LISTEN;
  if (socket.connecting) return SYN_SENT;
  if (!socket.isConnected) return CLOSE;
  return socket.type === SOCK_STREAM && !socket.isUnix && socket.hasEnded ? CLOSE_WAIT : ESTABLISHED;
}

function inodeOf(socket: LocalSocket): number {
  return Number(socket.vnode.stat().ino);
}

function cookieOf(socket: LocalSocket): number[] {
  return [inodeOf(socket), 0];
}

/** SHUT_RD as 1, SHUT_WR as 2. */
function shutdownOf(socket: LocalSocket): Attribute[1] {
  return Uint8Array.of((socket.noReading ? 1 : 0) | (socket.noWriting ? 2 : 0));
}

function unixSockets(names: SocketNames<LocalSocket>, { body, isDump }: Request): readonly Answer[] {
  if (body.length < unixRequest.size) throw errno(EINVAL);
  const { states, ino, show } = decoded(unixRequest, body);
  const ofUnix = [...names.all].filter(({ isUnix }) => isUnix);
  if (isDump) return ofUnix.filter((socket) => ((states >>> stateOf(socket)) & 1) !== 0).map((socket) => unixAnswer(socket, show));
  const wanted = ofUnix.find((socket) => ino !== 0 && inodeOf(socket) === ino);
  if (wanted === undefined) throw errno(ino === 0 ? EINVAL : ENOENT);
  return [unixAnswer(wanted, show)];
}

function unixAnswer(socket: LocalSocket, show: number): Answer {
  const fixed = Uint8Array.of(AF_UNIX, socket.type, stateOf(socket), 0);
  const whole = new Uint8Array(16);
  whole.set(fixed);
  whole.set(words(inodeOf(socket), ...cookieOf(socket)), 4);
  const attributes: Attribute[] = [];
  const { local, peer } = socket;
  if (show & SHOW_NAME && local !== undefined && local.length > 2) attributes.push([UNIX_NAME, local.subarray(2)]);
  if (show & SHOW_PEER && peer !== undefined) attributes.push([UNIX_PEER, words(inodeOf(peer))]);
  if (show & SHOW_QUEUE)
    attributes.push([UNIX_QUEUE, socket.listening ? words(socket.waiting, socket.mostWaiting) : words(socket.queued, 0)]);
  if (show & SHOW_UID) attributes.push([UNIX_UID, words(socket.credentials.uid)]);
  attributes.push([UNIX_SHUTDOWN, shutdownOf(socket)]);
  return { type: SOCK_DIAG_BY_FAMILY, bytes: withAttributes(whole, attributes) };
}

function inetSockets(names: SocketNames<LocalSocket>, { body, isDump }: Request): readonly Answer[] {
  if (body.length < inetRequest.size) throw errno(EINVAL);
  const { family, protocol, states, id } = decoded(inetRequest, body);
  if (protocol !== IPPROTO_TCP && protocol !== IPPROTO_UDP) throw errno(ENOENT);
  const found = [...names.all].filter(
    (socket) => socket.family === family && socket.protocol === protocol && socket.service === undefined && socket.local !== undefined,
  );
  if (isDump) return found.filter((socket) => ((states >>> stateOf(socket)) & 1) !== 0).map(inetAnswer);
  const wanted = found.find((socket) => isMeant(socket, id));
  if (wanted === undefined) throw errno(ENOENT);
  return [inetAnswer(wanted)];
}

function isMeant({ local, remote }: LocalSocket, id: Uint8Array): boolean {
  const port = (at: number): number => (id[at] << 8) | id[at + 1];
  return local !== undefined && portOf(local) === port(0) && (remote === undefined ? 0 : portOf(remote)) === port(2);
}

/** struct inet_diag_msg: state, ends, queues, owner. */
function inetAnswer(socket: LocalSocket): Answer {
  const whole = new Uint8Array(72);
  whole.set([socket.family, stateOf(socket), 0, 0]);
  const put = (address: Address | undefined, portAt: number, hostAt: number): void => {
    if (address === undefined) return;
    whole.set(address.subarray(2, 4), portAt);
    whole.set(socket.family === AF_INET ? hostOf(address) : address.subarray(8, 24), hostAt);
  };
  put(socket.local, 4, 8);
  put(socket.remote, 6, 24);
  whole.set(words(0, ...cookieOf(socket)), 40);
  const receive = socket.listening ? socket.waiting : socket.queued;
  const send = socket.listening ? socket.mostWaiting : 0;
  whole.set(words(0, receive, send, socket.credentials.uid, inodeOf(socket)), 52);
  const INET_DIAG_SHUTDOWN = 8;
  return { type: SOCK_DIAG_BY_FAMILY, bytes: withAttributes(whole, [[INET_DIAG_SHUTDOWN, shutdownOf(socket)]]) };
}
