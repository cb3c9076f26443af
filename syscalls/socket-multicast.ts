/** Options about groups of the internet: joining, leaving, sources, by which interface to send. There is one interface. Linux: net/ipv4/ip_sockglue.c, igmp.c. */
import { EADDRNOTAVAIL, EINVAL, ENODEV, EPROTO, errno } from '../abi/errno.ts';
import { LOOPBACK } from '../abi/interface.ts';
import * as s from '../abi/socket.ts';
import { isGroup, type Mode, Memberships } from '../fs/multicast.ts';
import { isAny } from '../fs/ports.ts';
import type { LocalSocket } from '../fs/socket.ts';
import { type Address, familyOf, inetAddress } from '../fs/socket-names.ts';
import type { Task } from '../proc/task.ts';

/** struct group_req and group_source_req: an interface, and one or two struct sockaddr_storage. */
const STORAGE = 128,
  GROUP_REQ = 4 + STORAGE,
  GROUP_SOURCE_REQ = GROUP_REQ + STORAGE,
  GROUP_FILTER = GROUP_REQ + 12;
/** Which of the options about sources mean what. */
const SOURCES: ReadonlyMap<number, readonly [mode: Mode, adds: boolean]> = new Map([
  [s.IP_UNBLOCK_SOURCE, ['exclude', false]], [s.IP_BLOCK_SOURCE, ['exclude', true]],
  [s.IP_ADD_SOURCE_MEMBERSHIP, ['include', true]], [s.IP_DROP_SOURCE_MEMBERSHIP, ['include', false]],
  [s.MCAST_UNBLOCK_SOURCE, ['exclude', false]], [s.MCAST_BLOCK_SOURCE, ['exclude', true]],
  [s.MCAST_JOIN_SOURCE_GROUP, ['include', true]], [s.MCAST_LEAVE_SOURCE_GROUP, ['include', false]],
]);

function of(task: Task, socket: LocalSocket): Memberships {
  socket.memberships ??= new Memberships(task.kernel.files.sockets.joined);
  return socket.memberships;
}

function wordAt(bytes: Uint8Array, at: number): number {
  return new DataView(bytes.buffer, bytes.byteOffset).getInt32(at, true);
}

/** The interface that an address or a number means; 0: whichever leads there, and none does. */
function interfaceOf(host: Uint8Array, index: number): number {
  if (index !== 0) return index === LOOPBACK.index ? index : 0;
  return host[0] === 127 ? LOOPBACK.index : 0;
}

/** False: not an option about groups. */
export function setGroupOption(task: Task, socket: LocalSocket, level: number, name: number, at: number, size: number): boolean {
  const bytes = (most: number): Uint8Array => task.user.read(at, Math.min(size, most)).slice();
  if (level === s.IPPROTO_IPV6) return setGroupOption6(task, socket, name, size, bytes);
  switch (name) {
    case s.IP_MULTICAST_IF:
      if (socket.type === s.SOCK_STREAM || size < 4) throw errno(EINVAL);
      sendBy(socket, bytes(12));
      return true;
    case s.IP_ADD_MEMBERSHIP:
    case s.IP_DROP_MEMBERSHIP: {
      if (socket.type === s.SOCK_STREAM) throw errno(EPROTO);
      if (size < 8) throw errno(EINVAL);
      const given = bytes(12);
      join(task, socket, name === s.IP_ADD_MEMBERSHIP, given.subarray(0, 4), given.subarray(4, 8), given.length < 12 ? 0 : wordAt(given, 8));
      return true;
    }
    case s.IP_MSFILTER:
    case s.MCAST_MSFILTER:
      throw errno(name === s.IP_MSFILTER || size < GROUP_FILTER ? EINVAL : EADDRNOTAVAIL);
  }
  const change = SOURCES.get(name);
  if (name === s.MCAST_JOIN_GROUP || name === s.MCAST_LEAVE_GROUP) {
    const [index, group] = request(bytes(GROUP_REQ), GROUP_REQ);
    if (familyOf(group) !== s.AF_INET) throw errno(EINVAL);
    join(task, socket, name === s.MCAST_JOIN_GROUP, group.subarray(4, 8), new Uint8Array(4), index);
    return true;
  }
  if (change === undefined) return false;
  if (name < s.IP_MSFILTER) {
    if (size !== 12) throw errno(EINVAL);
    const given = bytes(12);
    setSource(task, socket, given.subarray(0, 4), given.subarray(8, 12), interfaceOf(given.subarray(4, 8), 0), change);
    return true;
  }
  const [index, group, source] = request(bytes(GROUP_SOURCE_REQ), GROUP_SOURCE_REQ);
  if (familyOf(group) !== s.AF_INET || familyOf(source) !== s.AF_INET) throw errno(EINVAL);
  setSource(task, socket, group.subarray(4, 8), source.subarray(4, 8), interfaceOf(new Uint8Array(4), index), change);
  return true;
}

function request(bytes: Uint8Array, size: number): [index: number, group: Uint8Array, source: Uint8Array] {
  if (bytes.length < size) throw errno(EINVAL);
  return [wordAt(bytes, 0), bytes.subarray(4, GROUP_REQ), bytes.subarray(GROUP_REQ)];
}

function isGroupHost(host: Uint8Array): boolean {
  return host.length === 4 ? host[0] >> 4 === 14 : host[0] === 0xff;
}

function join(task: Task, socket: LocalSocket, joins: boolean, group: Uint8Array, by: Uint8Array, index: number): void {
  const where = interfaceOf(by, index);
  if (joins) {
    if (!isGroupHost(group)) throw errno(EINVAL);
    if (where === 0) throw errno(ENODEV);
    return of(task, socket).join(group, 'exclude');
  }
  // No host at all is this one, which the loopback leads to.
  const isNowhere = index === 0 && by.every((byte) => byte === 0) && group.some((byte) => byte !== 0);
  if (isNowhere) throw errno(ENODEV);
  if (where === 0) throw errno(EADDRNOTAVAIL);
  of(task, socket).leave(group);
}

function setSource(task: Task, socket: LocalSocket, group: Uint8Array, source: Uint8Array, where: number, [mode, adds]: readonly [Mode, boolean]): void {
  if (!isGroupHost(group)) throw errno(EINVAL);
  if (where === 0) throw errno(ENODEV);
  const memberships = of(task, socket);
  if (mode === 'include' && adds && !memberships.has(group)) memberships.join(group, mode);
  memberships.source(group, source, mode, adds);
}

function setGroupOption6(task: Task, socket: LocalSocket, name: number, size: number, bytes: (most: number) => Uint8Array): boolean {
  if (name === s.IPV6_JOIN_GROUP || name === s.IPV6_LEAVE_GROUP) {
    if (size < 20) throw errno(EINVAL);
    if (socket.type === s.SOCK_STREAM) throw errno(EPROTO);
    const given = bytes(20);
    const group = given.subarray(0, 16);
    if (!isGroupHost(group)) throw errno(EINVAL);
    const isHere = wordAt(given, 16) === LOOPBACK.index;
    if (!isHere) throw errno(name === s.IPV6_JOIN_GROUP ? ENODEV : EADDRNOTAVAIL);
    if (name === s.IPV6_JOIN_GROUP) of(task, socket).join(group, 'exclude');
    else of(task, socket).leave(group);
    return true;
  }
  if (name >= s.MCAST_JOIN_GROUP && name <= s.MCAST_MSFILTER)
    throw errno(name === s.MCAST_MSFILTER || size < (name === s.MCAST_JOIN_GROUP || name === s.MCAST_LEAVE_GROUP ? GROUP_REQ : GROUP_SOURCE_REQ) ? EINVAL : EADDRNOTAVAIL);
  return false;
}

/** The key of the interface that IP_MULTICAST_IF named; the address is kept under the option's own. */
const SENDS_BY = `${s.IPPROTO_IP}:by`;

/** struct in_addr, ip_mreq or ip_mreqn, by how much there is. */
function sendBy(socket: LocalSocket, given: Uint8Array): void {
  const address = given.length >= 8 ? given.slice(4, 8) : given.slice(0, 4);
  const index = given.length >= 12 ? wordAt(given, 8) : 0;
  const isNone = index === 0 && address.every((byte) => byte === 0);
  const where = isNone ? 0 : interfaceOf(address, index);
  if (where === 0 && !isNone) throw errno(EADDRNOTAVAIL);
  socket.options.set(`${s.IPPROTO_IP}:${s.IP_MULTICAST_IF}`, address);
  if (isNone) socket.options.delete(SENDS_BY);
  else socket.options.set(SENDS_BY, Uint8Array.of(where));
}

/** Whether what a socket sends to a group goes out by the loopback: there is no other way for it. */
export function goesToGroup(socket: LocalSocket, to: Address): boolean {
  if (socket.family !== s.AF_INET || !isGroup(to) || socket.isUnix || socket.type === s.SOCK_STREAM) return false;
  const device = socket.options.get(`${s.SOL_SOCKET}:${s.SO_BINDTODEVICE}`);
  const isBound = socket.local !== undefined && !isAny(socket.local);
  return socket.options.has(SENDS_BY) || (device !== undefined && device.length > 0) || isBound;
}

/** Whom those who hear it see as the sender. */
export function groupSource(socket: LocalSocket): Address {
  const local = socket.local as Address;
  if (!isAny(local)) return local;
  const source = inetAddress(s.AF_INET, 0, true);
  source.set(local.subarray(2, 4), 2);
  source.set(socket.options.get(`${s.IPPROTO_IP}:${s.IP_MULTICAST_IF}`)?.subarray(0, 4) ?? [], 4);
  return source;
}
