/** Socket addresses between guest memory, names in the file system, and the sockets they mean. */
import { CAP_NET_BIND_SERVICE } from '../abi/capability.ts';
import { EACCES, EADDRINUSE, ECONNREFUSED, EINVAL, ENOTSOCK, EPERM, EPROTOTYPE, Errno, errno } from '../abi/errno.ts';
import { IN_CREATE } from '../abi/inotify.ts';
import { W_OK } from '../abi/fcntl.ts';
import { ADDRESS_MAX, AF_INET, AF_INET6, AF_NETLINK, AF_PACKET, AF_UNIX, NETLINK_ADDRESS, SOCK_DGRAM, UNIX_ADDRESS } from '../abi/socket.ts';
import { makeDevice, S_IFSOCK } from '../abi/stat.ts';
import { AnonymousVnode } from '../fs/anonymous.ts';
import { hold, newName } from '../fs/path.ts';
import { LocalSocket } from '../fs/socket.ts';
import { goesToGroup } from './socket-multicast.ts';
import { type Address, checkInet, familyOf, mustBeLocal, mustBeReachable, portOf } from '../fs/socket-names.ts';
import { capable } from '../proc/credentials.ts';
import type { Task } from '../proc/task.ts';
import type { Fd } from './kinds.ts';
import { bindRaw, isRaw } from './socket-raw.ts';
import { bindNetlink } from './socket-netlink.ts';
import { outsideDatagrams } from './socket-outside.ts';
import { AT_FDCWD, changeable, entryAt, openAt, own, placeAt, requireAccess } from './paths.ts';

export function socketAt(task: Task, fd: Fd): LocalSocket {
  const { file } = openAt(task, fd);
  if (!(file instanceof LocalSocket)) throw errno(ENOTSOCK);
  return file;
}

export function readAddress(task: Task, at: number, size: number): Address {
  if (size < 0 || size > ADDRESS_MAX) throw errno(EINVAL);
  return size === 0 ? new Uint8Array(0) : task.user.read(at, size);
}

/** move_addr_to_user: as much as there is room for, and how much there would have been. */
export function writeAddress(task: Task, address: Address, at: number, sizeAt: number): void {
  const room = task.user.readI32(sizeAt);
  if (room < 0) throw errno(EINVAL);
  task.user.write(at, address.subarray(0, Math.min(room, address.length)));
  task.user.writeU32(sizeAt, address.length);
}

const EMPTY_ADDRESS: Readonly<Record<number, number>> = { [AF_UNIX]: 2, [AF_INET]: 16, [AF_INET6]: 28, [AF_NETLINK]: NETLINK_ADDRESS, [AF_PACKET]: 18 };

/** What getsockname and getpeername say of an end without a name. */
export function shown(socket: LocalSocket, address: Address | undefined): Address {
  if (address !== undefined) return address;
  const none = new Uint8Array(EMPTY_ADDRESS[socket.family] ?? 2);
  none[0] = socket.family;
  return none;
}

function latin1(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes);
}

/** The path of a unix address, or the key of an abstract one. */
function unixName(address: Address): { readonly path: string } | { readonly key: string } {
  if (familyOf(address) !== AF_UNIX || address.length > UNIX_ADDRESS || address.length <= 2) throw errno(EINVAL);
  if (address[2] === 0) return { key: `unix:${latin1(address.subarray(2))}` };
  const end = address.indexOf(0, 2);
  return { path: latin1(address.subarray(2, end < 0 ? address.length : end)) };
}

/** AF_UNSPEC and no address in particular are as good as AF_INET. Linux: __inet_bind. */
function inFamily({ family }: LocalSocket, given: Address): Address {
  const isAny = given.length >= 16 && given.subarray(4, 8).every((byte) => byte === 0);
  return family === AF_INET && isAny && familyOf(given) === 0 ? Uint8Array.from([AF_INET, 0, ...given.subarray(2)]) : given;
}

export function bindSocket(task: Task, socket: LocalSocket, given: Address): void {
  if (socket.family === AF_NETLINK) return bindNetlink(task, socket, given);
  if (isRaw(socket)) return bindRaw(socket, given);
  if (socket.isUnix) return bindUnix(task, socket, given);
  const address = inFamily(socket, given);
  checkInet(socket.family, address);
  if (task.kernel.files.sockets.network === undefined) mustBeLocal(socket.family, address);
  const port = portOf(address);
  if (port > 0 && port < 1024 && !capable(task.credentials, CAP_NET_BIND_SERVICE)) throw errno(EACCES);
  if (socket.isBound) throw errno(EINVAL);
  const chosen = address.slice(0, socket.family === AF_INET ? 16 : 28);
  const number = port === 0 ? task.kernel.files.sockets.ports.free(socket.ports) : port;
  chosen[2] = number >> 8;
  chosen[3] = number & 0xff;
  socket.bindPort(chosen);
  if (socket.type === SOCK_DGRAM && port !== 0) outsideDatagrams(task, socket, chosen);
}

function bindUnix(task: Task, socket: LocalSocket, address: Address): void {
  if (address.length === 2 && familyOf(address) === AF_UNIX) {
    if (!socket.isBound) autobind(task, socket);
    return;
  }
  const name = unixName(address);
  if (socket.isBound) throw errno(EINVAL);
  if ('key' in name) return socket.bind(name.key, address);
  let walked: ReturnType<typeof entryAt>;
  let entry: string;
  try {
    walked = entryAt(task, AT_FDCWD, name.path);
    entry = newName(walked, false);
  } catch (error) {
    throw error instanceof Errno && error.name === 'EEXIST' ? errno(EADDRINUSE) : error;
  }
  const mode = S_IFSOCK | (0o777 & ~task.fs.umask);
  try {
    changeable(task, walked).mknod(entry, mode, 0);
    own(task, walked.parent.vnode, walked.parent.vnode.directory?.lookup(entry));
  } catch (error) {
    if (!(error instanceof Errno) || error.code !== EPERM) throw error;
    // The host does not make sockets for us: the name is seen by the guest only.
    requireAccess(task, walked.parent.vnode, W_OK);
    walked.parent.fallbacks.set(entry, shadow(task, mode));
    hold(walked.parent);
  }
  task.kernel.files.watches.named(walked.parent.vnode, IN_CREATE, entry);
  const made = placeAt(task, AT_FDCWD, name.path);
  const full = new Uint8Array(name.path.length + 3);
  full.set(address.subarray(0, name.path.length + 2));
  socket.bind(`path:${made.vnode.key}`, full);
}

function shadow(task: Task, mode: number): AnonymousVnode {
  const { euid, egid } = task.credentials;
  const ino = task.kernel.files.nextInode();
  return new AnonymousVnode({
    label: 'socket', kind: 'socket', mode, device: makeDevice(0, 15), ino, now_ns: task.kernel.clock.realtime(), owner: { uid: euid, gid: egid },
  });
}

export function autobind(task: Task, socket: LocalSocket): void {
  const name = task.kernel.files.sockets.freeName();
  const address = new Uint8Array(8);
  address[0] = AF_UNIX;
  for (let i = 0; i < name.length; i++) address[3 + i] = name.charCodeAt(i);
  socket.bind(`unix:\0${name}`, address);
}

/** The socket that an address names; ECONNREFUSED where nobody is there. For internet datagrams undefined: they are lost. */
export function socketNamed(task: Task, socket: LocalSocket, address: Address): LocalSocket | undefined {
  if (!socket.isUnix) {
    checkInet(socket.family, address);
    if (task.kernel.files.sockets.network === undefined && !goesToGroup(socket, address)) mustBeReachable(socket.family, address);
    return socket.atPort(address);
  }
  if (address.length <= 2) throw errno(EINVAL);
  const name = unixName(address);
  const { sockets } = task.kernel.files;
  let found: LocalSocket | undefined;
  if ('key' in name) found = sockets.find(name.key);
  else {
    const { vnode } = placeAt(task, AT_FDCWD, name.path);
    requireAccess(task, vnode, W_OK);
    found = vnode.kind === 'socket' ? sockets.find(`path:${vnode.key}`) : undefined;
  }
  if (found === undefined) throw errno(ECONNREFUSED);
  if (found.type !== socket.type) throw errno(EPROTOTYPE);
  return found;
}
