/** getsockopt and setsockopt: what sockets act on, and what they only keep. */
import { CAP_NET_ADMIN } from '../abi/capability.ts';
import { EDOM, EINVAL, ENODATA, ENODEV, ENOENT, ENOPROTOOPT, ENOTCONN, EOPNOTSUPP, EPERM, errno } from '../abi/errno.ts';
import { LOOPBACK } from '../abi/interface.ts';
import { SOL_NETLINK } from '../abi/netlink.ts';
import * as s from '../abi/socket.ts';
import { encoded, type Layout, u64 } from '../abi/struct.ts';
import { isValidTime, type Timespec, timespec64, timeval32, toNanoseconds, toTimespec } from '../abi/time.ts';
import type { LocalSocket } from '../fs/socket.ts';
import { BUFFER } from '../fs/socket-state.ts';
import { capable } from '../proc/credentials.ts';
import { describeProcess } from '../proc/pidfd.ts';
import { Process } from '../proc/process.ts';
import type { Task } from '../proc/task.ts';
import { define } from './define.ts';
import { fd, int, loadAt, none, pointerIn, pointerOut } from './kinds.ts';
import { setFilterOption, tellFilter } from './socket-filter.ts';
import { setGroupOption } from './socket-multicast.ts';
import { netlinkOption, setNetlinkOption } from './socket-netlink.ts';
import { hasLevel, isMultipath, optionOf } from './socket-option-table.ts';
import { shown, socketAt } from './socket-address.ts';

/** A timeval whose seconds are 64 bits wide reads as a timespec: only the unit of the second half differs. */
const timevalNew: Layout<Timespec> = {
  ...timespec64, read: (v, at) => ({ ...timespec64.read(v, at), tv_nsec: timespec64.read(v, at).tv_nsec * 1000 }),
  write: (v, at, value) => timespec64.write(v, at, { tv_sec: value.tv_sec, tv_nsec: Math.floor(value.tv_nsec / 1000) }),
};
const timevalOld: Layout<Timespec> = {
  ...timespec64, size: 8,
  read: (v, at) => ({ tv_sec: timeval32.read(v, at).tv_sec, tv_nsec: timeval32.read(v, at).tv_usec * 1000 }),
  write: (v, at, value) => timeval32.write(v, at, { tv_sec: value.tv_sec, tv_usec: Math.floor(value.tv_nsec / 1000) }),
};

function word(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setInt32(0, value, true);
  return bytes;
}

/** struct tcp_info, as far as a loopback has anything to say: state, windows of a lossless link, sizes. */
const TCP_INFO = 248;
/** What tcp_info and /proc/net/tcp call the states. */
function tcpState(socket: LocalSocket): number {
  if (socket.listening) return 10;
  if (socket.connecting) return 2;
  if (!socket.isConnected) return 7;
  return socket.hasEnded ? 8 : 1;
}

function tcpInfo(socket: LocalSocket): Uint8Array {
  const bytes = new Uint8Array(TCP_INFO);
  const view = new DataView(bytes.buffer);
  const state = tcpState(socket);
  bytes[0] = state;
  const isUp = state === 1 || state === 8;
  // Timestamps, selective acknowledgements and window scales of 7 were agreed on.
  if (isUp) bytes.set([7, 0x77], 5);
  view.setUint32(8, isUp ? 201_000 : 1_000_000, true);
  view.setUint32(12, isUp ? 40_000 : 0, true);
  view.setUint32(16, isUp ? 32_768 : 536, true);
  view.setUint32(20, isUp ? 536 : 88, true);
  view.setUint32(24, socket.waiting, true);
  view.setUint32(28, socket.listening ? socket.mostWaiting : 0, true);
  view.setUint32(60, isUp ? LOOPBACK.mtu : 0, true);
  view.setUint32(68, isUp ? 30 : 0, true);
  view.setUint32(72, isUp ? 15 : 250_000, true);
  view.setUint32(76, 0x7fff_ffff, true);
  view.setUint32(80, 10, true);
  view.setUint32(84, isUp ? 32_768 : 536, true);
  view.setUint32(88, 3, true);
  return bytes;
}

/** There is one path, which needs no other address. */
function multipathInfo(socket: LocalSocket): s.MptcpInfo {
  const isUp = socket.multipath === 'agreed';
  const [sent, received] = [BigInt(socket.sentBytes), BigInt(socket.receivedBytes)];
  return {
    subflows: 0, addrSignalled: 0, addrAccepted: 0, subflowsMax: socket.listening ? 0 : 2, addrSignalMax: 0, addrAcceptedMax: 0,
    flags: isUp ? s.MPTCP_INFO_FLAG_REMOTE_KEY_RECEIVED : 0, token: isUp ? Number(socket.vnode.stat().ino & 0xffff_ffffn) : 0,
    writeSeq: sent, sndUna: sent, rcvNxt: received, localAddrUsed: 0, localAddrMax: 0, csumEnabled: 0, retransmits: 0,
    bytesRetrans: 0n, bytesSent: sent, bytesReceived: received, bytesAcked: sent, subflowsTotal: isUp ? 1 : 0,
    lastDataSent: 0, lastDataRecv: 0, lastAckRecv: 0,
  };
}

/** Options that are no words. Undefined: not one of these. */
function special(task: Task, socket: LocalSocket, level: number, name: number): Uint8Array | undefined {
  const kept = socket.options.get(`${level}:${name}`);
  if (level === s.SOL_SOCKET) return ofSocket(task, socket, name, kept);
  if (level === s.IPPROTO_TCP) {
    switch (name) {
      case s.TCP_INFO: return tcpInfo(socket);
      case s.TCP_IS_MPTCP: return word(isMultipath(socket) ? 1 : 0);
      case s.TCP_CONGESTION: return kept ?? text('cubic', 16);
      case s.TCP_TIMESTAMP: return word(Number((task.kernel.clock.monotonic() / 1_000_000n) & 0x7fff_ffffn));
      case s.TCP_MAXSEG: return socket.isConnected ? word(Math.min(32_741, socket.option(level, name, 32_741))) : undefined;
      case 26:
      case 28:
      case 31:
      case 33: return new Uint8Array(name === 26 ? 20 : 0);
      default: return undefined;
    }
  }
  if (level === s.SOL_MPTCP) {
    if (name !== s.MPTCP_INFO) throw errno(EOPNOTSUPP);
    return encoded(s.mptcpInfo, multipathInfo(socket));
  }
  const isMtu = (level === s.IPPROTO_IP && name === 14) || (level === s.IPPROTO_IPV6 && name === 24);
  if (isMtu && !socket.isConnected) throw errno(ENOTCONN);
  if (level === s.IPPROTO_IP && name === 4) return kept ?? new Uint8Array(0);
  const isFilter = (level === s.IPPROTO_IP && name === s.IP_MSFILTER) || name === s.MCAST_MSFILTER;
  if (isFilter && (level === s.IPPROTO_IP || level === s.IPPROTO_IPV6)) throw errno(EINVAL);
  if (level === s.IPPROTO_IP && name === 9) return new Uint8Array(0);
  return undefined;
}

function ofSocket(task: Task, socket: LocalSocket, name: number, kept: Uint8Array | undefined): Uint8Array | undefined {
  const buffer = (isSending: boolean) => word(socket.family !== s.AF_UNIX && socket.type === s.SOCK_STREAM ? (isSending ? 16_384 : 131_072) : BUFFER);
  switch (name) {
    case s.SO_TYPE: return word(socket.type);
    case s.SO_DOMAIN: return word(socket.family);
    case s.SO_PROTOCOL: return word(socket.multipath === 'no' ? socket.protocol : s.IPPROTO_MPTCP);
    case s.SO_ERROR: return word(socket.takeError());
    case s.SO_ACCEPTCONN: return word(socket.listening ? 1 : 0);
    case s.SO_SNDBUF: return kept ?? buffer(true);
    case s.SO_RCVBUF: return kept ?? buffer(false);
    case s.SO_LINGER: return kept ?? new Uint8Array(8);
    case s.SO_PEERCRED: return encoded(s.ucred, socket.peerCredentials);
    case s.SO_PEERGROUPS: return peerGroups(socket);
    case s.SO_RCVTIMEO: return encoded(timevalOld, toTimespec(socket.receiveTimeout_ns ?? 0n));
    case s.SO_SNDTIMEO: return encoded(timevalOld, toTimespec(socket.sendTimeout_ns ?? 0n));
    case s.SO_RCVTIMEO_NEW: return encoded(timevalNew, toTimespec(socket.receiveTimeout_ns ?? 0n));
    case s.SO_SNDTIMEO_NEW: return encoded(timevalNew, toTimespec(socket.sendTimeout_ns ?? 0n));
    case s.SO_BINDTODEVICE: return kept ?? new Uint8Array(0);
    case s.SO_COOKIE: return encoded(u64, socket.vnode.stat().ino);
    case s.SO_PEERNAME: return peerName(socket);
    case s.SO_MEMINFO: return meminfo(socket);
    default: return undefined;
  }
}

function peerName(socket: LocalSocket): Uint8Array {
  if (!socket.isConnected) throw errno(ENOTCONN);
  return shown(socket, socket.isUnix ? socket.peer?.local : socket.remote);
}

function peerGroups(socket: LocalSocket): Uint8Array {
  const { peerGroups: groups } = socket;
  if (groups === undefined) throw errno(ENODATA);
  return new Uint8Array(Uint32Array.from(groups).buffer);
}

/** SK_MEMINFO_: bytes that lie here, and how many may. */
function meminfo(socket: LocalSocket): Uint8Array {
  return new Uint8Array(Uint32Array.of(socket.queued, BUFFER, 0, BUFFER, 0, 0, 0, 0, 0).buffer);
}

function text(value: string, size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  for (let i = 0; i < value.length; i++) bytes[i] = value.charCodeAt(i);
  return bytes;
}

/** Throws where the socket has no options of this level. */
function checkLevel(socket: LocalSocket, level: number, isGet: boolean): void {
  if (hasLevel(socket, level)) return;
  if (socket.isUnix) throw errno(EOPNOTSUPP);
  throw errno(isGet && socket.family === s.AF_INET ? EOPNOTSUPP : ENOPROTOOPT);
}

function get(task: Task, socket: LocalSocket, level: number, name: number): Uint8Array {
  if (level === SOL_NETLINK && socket.family === s.AF_NETLINK) return netlinkOption(socket, name);
  checkLevel(socket, level, true);
  const found = special(task, socket, level, name);
  if (found !== undefined) return found;
  const option = optionOf(level, name);
  if (option === undefined) throw errno(ENOPROTOOPT);
  if (option.get !== undefined) throw errno(option.get);
  if (option.without !== undefined && !option.isTold && option.of?.(socket) === false) throw errno(option.without);
  const value = socket.option(level, name, option.initial);
  const bytes = new Uint8Array(option.size ?? 4);
  // A pacing rate of 64 bits: none.
  if (option.size === 8 && value === -1) return bytes.fill(0xff);
  bytes.set(word(value));
  return bytes;
}

function timeout(task: Task, at: number, size: number, layout: Layout<Timespec>): bigint | undefined {
  if (size < layout.size) throw errno(EINVAL);
  const time = loadAt(task, at, layout);
  if (!isValidTime(time)) throw errno(EDOM);
  const ns = toNanoseconds(time);
  return ns === 0n ? undefined : ns;
}

function set(task: Task, socket: LocalSocket, level: number, name: number, at: number, size: number): void {
  if (level === SOL_NETLINK && socket.family === s.AF_NETLINK) {
    if (size < 4) throw errno(EINVAL);
    return setNetlinkOption(task, socket, name, task.user.readI32(at));
  }
  checkLevel(socket, level, false);
  if (setSpecial(task, socket, level, name, at, size)) return;
  const option = optionOf(level, name);
  if (option === undefined) throw errno(ENOPROTOOPT);
  // A byte is enough for some of IPv4's.
  const isByte = level === s.IPPROTO_IP && size > 0 && size < 4;
  if (size < 4 && !isByte) throw errno(EINVAL);
  const value = isByte ? task.user.read(at, 1)[0] : task.user.readI32(at);
  if (option.set !== undefined) throw errno(option.set);
  if (option.of?.(socket) === false) throw errno(option.without ?? (level === s.SOL_SOCKET ? EOPNOTSUPP : level === s.IPPROTO_IP ? EINVAL : ENOPROTOOPT));
  if (option.needs !== undefined && value !== 0 && !capable(task.credentials, option.needs[0])) throw errno(option.needs[1]);
  const isPriority = level === s.SOL_SOCKET && name === s.SO_PRIORITY;
  if (isPriority && (value < 0 || value > 6) && !capable(task.credentials, CAP_NET_ADMIN)) throw errno(EPERM);
  if (level === s.IPPROTO_IPV6 && name === s.IPV6_V6ONLY && socket.isBound) throw errno(EINVAL);
  const isAllowed = (option.least === undefined || value >= option.least) && (option.most === undefined || value <= option.most);
  if (!isAllowed || value === option.except) throw errno(option.error ?? EINVAL);
  const kept = option.isFlag ? (value === 0 ? 0 : 1) : (option.keep?.(value, socket) ?? value);
  socket.options.set(`${level}:${name}`, word(kept));
}

/** What can be chosen from: there is nothing to control on a loopback. */
const CONGESTION = ['cubic', 'reno'];

/** Options that are no plain words. False: not one of these. */
function setSpecial(task: Task, socket: LocalSocket, level: number, name: number, at: number, size: number): boolean {
  const key = `${level}:${name}`;
  if (level === s.IPPROTO_TCP && name === s.TCP_CONGESTION) {
    if (size < 1) throw errno(EINVAL);
    const wanted = nameAt(task, at, Math.min(size, 15));
    if (!CONGESTION.includes(wanted)) throw errno(ENOENT);
    socket.options.set(key, text(wanted, 16));
    return true;
  }
  if (level === s.IPPROTO_TCP && name === s.TCP_ULP) throw errno(ENOENT);
  if (level === s.IPPROTO_IP && name === 4) {
    if (size > 40) throw errno(EINVAL);
    socket.options.set(key, task.user.read(at, size).slice());
    return true;
  }
  const isInternet = (level === s.IPPROTO_IP || level === s.IPPROTO_IPV6) && socket.family !== s.AF_NETLINK;
  if (isInternet && setGroupOption(task, socket, level, name, at, size)) return true;
  return level === s.SOL_SOCKET && setOfSocket(task, socket, name, at, size);
}

function nameAt(task: Task, at: number, size: number): string {
  return String.fromCharCode(...task.user.read(at, size)).replace(/\0.*$/s, '');
}

function setOfSocket(task: Task, socket: LocalSocket, name: number, at: number, size: number): boolean {
  const key = `${s.SOL_SOCKET}:${name}`;
  if (name === s.SO_BINDTODEVICE) {
    const wanted = nameAt(task, at, Math.min(Math.max(size, 0), 15));
    if (wanted !== '' && wanted !== LOOPBACK.name) throw errno(ENODEV);
    socket.options.set(key, wanted === '' ? new Uint8Array(0) : text(wanted, wanted.length + 1));
    return true;
  }
  if (size < 4) throw errno(EINVAL);
  const value = task.user.readI32(at);
  if (setFilterOption(task, socket, name, at, size, value)) return true;
  switch (name) {
    case s.SO_TYPE:
    case s.SO_DOMAIN:
    case s.SO_PROTOCOL:
    case s.SO_ERROR:
    case s.SO_ACCEPTCONN:
    case s.SO_PEERCRED: throw errno(ENOPROTOOPT);
    case s.SO_SNDBUFFORCE:
    case s.SO_RCVBUFFORCE:
      if (!capable(task.credentials, CAP_NET_ADMIN)) throw errno(EPERM);
      setBuffer(socket, name === s.SO_SNDBUFFORCE ? s.SO_SNDBUF : s.SO_RCVBUF, value, 0x3fff_ffff);
      return true;
    case s.SO_SNDBUF:
    case s.SO_RCVBUF:
      setBuffer(socket, name, value, BUFFER);
      return true;
    case s.SO_LINGER:
      if (size < 8) throw errno(EINVAL);
      socket.options.set(key, task.user.read(at, 8).slice());
      return true;
    case s.SO_RCVTIMEO: socket.receiveTimeout_ns = timeout(task, at, size, timevalOld); return true;
    case s.SO_SNDTIMEO: socket.sendTimeout_ns = timeout(task, at, size, timevalOld); return true;
    case s.SO_RCVTIMEO_NEW: socket.receiveTimeout_ns = timeout(task, at, size, timevalNew); return true;
    case s.SO_SNDTIMEO_NEW: socket.sendTimeout_ns = timeout(task, at, size, timevalNew); return true;
    default: return false;
  }
}

function setBuffer(socket: LocalSocket, name: number, value: number, most: number): void {
  const least = name === s.SO_SNDBUF ? 4608 : 2304;
  socket.options.set(`${s.SOL_SOCKET}:${name}`, word(Math.max(least, Math.min(value >>> 0, most) * 2)));
}

const KEPT = { partial: 'options about queueing, routing and offloading are kept and have no effect, nor have filters of streams' };

/** SO_PEERPIDFD: a descriptor of the peer's process. */
function peerProcess(task: Task, socket: LocalSocket, at: number, sizeAt: number): void {
  const room = task.user.readI32(sizeAt);
  if (room < 0) throw errno(EINVAL);
  const { process } = socket.peerCredentials;
  if (!(process instanceof Process)) throw errno(ENODATA);
  const number = task.files.add(describeProcess(task, process, 0), true);
  try {
    task.user.write(at, word(number).subarray(0, room));
    task.user.writeU32(sizeAt, Math.min(room, 4));
  } catch (error) {
    task.files.close(number);
    throw error;
  }
}

const getsockopt = define({
  name: 'getsockopt', args: [['sockfd', fd], ['level', int], ['optname', int], ['optval', pointerOut], ['optlen', pointerOut]], result: none,
  support: KEPT,
  handler: (task, file, level, name, at, sizeAt) => {
    const socket = socketAt(task, file);
    if (level === s.SOL_SOCKET && name === s.SO_PEERPIDFD) return peerProcess(task, socket, at, sizeAt);
    if (level === s.SOL_SOCKET && name === s.SO_ATTACH_FILTER) return tellFilter(task, socket, at, sizeAt);
    if (level !== SOL_NETLINK || socket.family !== s.AF_NETLINK) checkLevel(socket, level, true);
    const room = task.user.readI32(sizeAt);
    if (room < 0) throw errno(EINVAL);
    const value = get(task, socket, level, name).subarray(0, room);
    task.user.write(at, value);
    task.user.writeU32(sizeAt, value.length);
  },
});
const setsockopt = define({
  name: 'setsockopt', args: [['sockfd', fd], ['level', int], ['optname', int], ['optval', pointerIn], ['optlen', int]], result: none,
  support: KEPT,
  handler: (task, file, level, name, at, size) => {
    const socket = socketAt(task, file);
    if (size < 0) throw errno(EINVAL);
    set(task, socket, level, name, at, size);
  },
});

export { getsockopt, setsockopt };
