/** Netlink sockets as calls see them: which protocols there are, and who may bind, join and send where. Linux: net/netlink/af_netlink.c. */
import { CAP_NET_ADMIN } from '../abi/capability.ts';
import { ECONNREFUSED, EINVAL, ENOPROTOOPT, EPERM, EPROTONOSUPPORT, ESOCKTNOSUPPORT, errno } from '../abi/errno.ts';
import * as n from '../abi/netlink.ts';
import { AF_UNSPEC, NETLINK_ADDRESS, SOCK_DGRAM, SOCK_RAW } from '../abi/socket.ts';
import { decoded } from '../abi/struct.ts';
import { NetlinkPort, type Responder, respondGeneric } from '../fs/netlink.ts';
import { diagResponder } from '../fs/netlink-diag.ts';
import { respondRoute } from '../fs/netlink-route.ts';
import type { LocalSocket } from '../fs/socket.ts';
import { type Address, familyOf } from '../fs/socket-names.ts';
import { capable } from '../proc/credentials.ts';
import type { Task } from '../proc/task.ts';

/** What the kernel's end answers; a protocol without one is there, and nobody answers. */
const PROTOCOLS: ReadonlyMap<number, { readonly respond?: Responder; readonly anyoneHears?: boolean; readonly anyoneSends?: boolean }> = new Map([
  [n.NETLINK_ROUTE, { respond: respondRoute, anyoneHears: true }],
  [n.NETLINK_USERSOCK, { anyoneSends: true }],
  [n.NETLINK_SOCK_DIAG, {}],
  [n.NETLINK_CONNECTOR, {}],
  [n.NETLINK_KOBJECT_UEVENT, { anyoneHears: true }],
  [n.NETLINK_GENERIC, { respond: respondGeneric, anyoneHears: true }],
]);

/** Highest protocol number (MAX_LINKS). */
const MOST_PROTOCOLS = 32;

export function netlinkKind(task: Task, type: number, protocol: number): { readonly type: number; readonly protocol: number } {
  if (type !== SOCK_RAW && type !== SOCK_DGRAM) throw errno(ESOCKTNOSUPPORT);
  if (protocol < 0 || protocol >= MOST_PROTOCOLS || !PROTOCOLS.has(protocol)) {
    task.kernel.tracer.note?.(task, `netlink protocol ${protocol} is not there; answered EPROTONOSUPPORT`);
    throw errno(EPROTONOSUPPORT);
  }
  return { type, protocol };
}

export function netlinkService(task: Task, protocol: number): NetlinkPort {
  const { sockets } = task.kernel.files;
  return new NetlinkPort(protocol, sockets, protocol === n.NETLINK_SOCK_DIAG ? diagResponder(sockets) : PROTOCOLS.get(protocol)?.respond);
}

function portOf(socket: LocalSocket): NetlinkPort {
  return socket.service as NetlinkPort;
}

function isAdministrator(task: Task): boolean {
  return capable(task.credentials, CAP_NET_ADMIN);
}

/** The fields of a netlink address, checked as its calls check it. */
function fieldsOf(socket: LocalSocket, address: Address): n.NetlinkAddress {
  if (address.length < NETLINK_ADDRESS || familyOf(address) !== socket.family) throw errno(EINVAL);
  return decoded(n.netlinkAddress, address);
}

export function bindNetlink(task: Task, socket: LocalSocket, address: Address): void {
  const { port, groups } = fieldsOf(socket, address);
  if (groups !== 0 && !PROTOCOLS.get(socket.protocol)?.anyoneHears && !isAdministrator(task)) throw errno(EPERM);
  portOf(socket).bind(socket, port, groups, task.process.pid);
}

/** Without CAP_NET_ADMIN there is nobody to speak to but the kernel, except where users speak with each other. */
export function netlinkTarget(task: Task, socket: LocalSocket, address: Address): Address {
  const { port, groups } = fieldsOf(socket, address);
  if ((port !== 0 || groups !== 0) && !PROTOCOLS.get(socket.protocol)?.anyoneSends && !isAdministrator(task)) throw errno(EPERM);
  return address.slice(0, NETLINK_ADDRESS);
}

export function connectNetlink(task: Task, socket: LocalSocket, address: Address): void {
  if (address.length < 2) throw errno(EINVAL);
  if (familyOf(address) === AF_UNSPEC) return socket.disconnect();
  const to = netlinkTarget(task, socket, address);
  const own = portOf(socket);
  if (own.port === 0) own.bind(socket, 0, 0, task.process.pid);
  if (socket.protocol !== n.NETLINK_USERSOCK && decoded(n.netlinkAddress, to).port !== 0) checkThere(task, socket, to);
  socket.remote = to;
}

function checkThere(task: Task, socket: LocalSocket, to: Address): void {
  const { port } = decoded(n.netlinkAddress, to);
  if (task.kernel.files.sockets.find(`netlink:${socket.protocol}:${port}`) === undefined) throw errno(ECONNREFUSED);
}

const FLAGS: ReadonlySet<number> = new Set([3, 4, 5, 8, n.NETLINK_CAP_ACK, 11, n.NETLINK_GET_STRICT_CHK]);
/** Groups that one may join: Linux's RTNLGRP_MAX, and enough for the others. */
const MOST_GROUPS = 64;

export function setNetlinkOption(task: Task, socket: LocalSocket, name: number, value: number): void {
  if (name === n.NETLINK_ADD_MEMBERSHIP || name === n.NETLINK_DROP_MEMBERSHIP) {
    if (!PROTOCOLS.get(socket.protocol)?.anyoneHears && !isAdministrator(task)) throw errno(EPERM);
    if (value <= 0 || value > MOST_GROUPS) throw errno(EINVAL);
    const { groups } = portOf(socket);
    if (name === n.NETLINK_ADD_MEMBERSHIP) groups.add(value);
    else groups.delete(value);
    return;
  }
  if (!FLAGS.has(name)) throw errno(ENOPROTOOPT);
  socket.options.set(`${n.SOL_NETLINK}:${name}`, Uint8Array.of(value === 0 ? 0 : 1, 0, 0, 0));
}

export function netlinkOption(socket: LocalSocket, name: number): Uint8Array {
  if (name === n.NETLINK_LIST_MEMBERSHIPS) {
    const bits = new Uint8Array(MOST_GROUPS / 8);
    for (const group of portOf(socket).groups) bits[(group - 1) >> 3] |= 1 << ((group - 1) & 7);
    return bits;
  }
  if (!FLAGS.has(name)) throw errno(ENOPROTOOPT);
  return socket.options.get(`${n.SOL_NETLINK}:${name}`) ?? new Uint8Array(4);
}
