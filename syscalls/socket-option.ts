/** getsockopt and setsockopt: what sockets act on, and what they only keep. */
import { EDOM, EINVAL, ENOPROTOOPT, EOPNOTSUPP, errno } from '../abi/errno.ts';
import { SOL_NETLINK } from '../abi/netlink.ts';
import * as s from '../abi/socket.ts';
import type { Layout } from '../abi/struct.ts';
import { isValidTime, type Timespec, timespec64, timeval32, toNanoseconds, toTimespec } from '../abi/time.ts';
import { BUFFER, type LocalSocket } from '../fs/socket.ts';
import type { Task } from '../proc/task.ts';
import { define } from './define.ts';
import { fd, int, loadAt, none, pointerIn, pointerOut } from './kinds.ts';
import { netlinkOption, setNetlinkOption } from './socket-netlink.ts';
import { socketAt } from './socket-address.ts';

/** Highest SOL_SOCKET option that is known; the rest are ENOPROTOOPT. */
const LAST_OPTION = 83;
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

function encoded<T>(layout: Layout<T>, value: T): Uint8Array {
  const bytes = new Uint8Array(layout.size);
  layout.write(new DataView(bytes.buffer), 0, value);
  return bytes;
}

function get(socket: LocalSocket, level: number, name: number): Uint8Array {
  const kept = socket.options.get(`${level}:${name}`);
  if (level === SOL_NETLINK && socket.family === s.AF_NETLINK) return netlinkOption(socket, name);
  if (level !== s.SOL_SOCKET) {
    if (socket.isUnix) throw errno(EOPNOTSUPP);
    if (socket.family === s.AF_NETLINK) throw errno(ENOPROTOOPT);
    if (![s.IPPROTO_IP, s.IPPROTO_TCP, s.IPPROTO_UDP, s.IPPROTO_IPV6].includes(level)) throw errno(ENOPROTOOPT);
    return kept ?? word(0);
  }
  switch (name) {
    case s.SO_TYPE: return word(socket.type);
    case s.SO_DOMAIN: return word(socket.family);
    case s.SO_PROTOCOL: return word(socket.protocol);
    case s.SO_ERROR: return word(socket.takeError());
    case s.SO_ACCEPTCONN: return word(socket.listening ? 1 : 0);
    case s.SO_SNDBUF:
    case s.SO_RCVBUF: return kept ?? word(BUFFER);
    case s.SO_LINGER: return kept ?? new Uint8Array(8);
    case s.SO_PEERCRED: return encoded(s.ucred, socket.peerCredentials);
    case s.SO_RCVTIMEO: return encoded(timevalOld, toTimespec(socket.receiveTimeout_ns ?? 0n));
    case s.SO_SNDTIMEO: return encoded(timevalOld, toTimespec(socket.sendTimeout_ns ?? 0n));
    case s.SO_RCVTIMEO_NEW: return encoded(timevalNew, toTimespec(socket.receiveTimeout_ns ?? 0n));
    case s.SO_SNDTIMEO_NEW: return encoded(timevalNew, toTimespec(socket.sendTimeout_ns ?? 0n));
    case 18: return kept ?? word(1);
    default:
      if (name <= 0 || name > LAST_OPTION) throw errno(ENOPROTOOPT);
      return kept ?? word(0);
  }
}

function timeout(task: Task, at: number, size: number, layout: Layout<Timespec>): bigint | undefined {
  if (size < layout.size) throw errno(EINVAL);
  const time = loadAt(task, at, layout);
  if (!isValidTime(time)) throw errno(EDOM);
  const ns = toNanoseconds(time);
  return ns === 0n ? undefined : ns;
}

function set(task: Task, socket: LocalSocket, level: number, name: number, at: number, size: number): void {
  if (level !== s.SOL_SOCKET) {
    if (socket.isUnix) throw errno(EOPNOTSUPP);
    if (level === SOL_NETLINK && socket.family === s.AF_NETLINK) {
      if (size < 4) throw errno(EINVAL);
      return setNetlinkOption(task, socket, name, task.user.readI32(at));
    }
    if (socket.family === s.AF_NETLINK) throw errno(ENOPROTOOPT);
    if (![s.IPPROTO_IP, s.IPPROTO_TCP, s.IPPROTO_UDP, s.IPPROTO_IPV6].includes(level)) throw errno(ENOPROTOOPT);
    socket.options.set(`${level}:${name}`, task.user.read(at, Math.min(size, 64)));
    return;
  }
  if (size < 4) throw errno(EINVAL);
  const value = task.user.readI32(at);
  switch (name) {
    case s.SO_TYPE:
    case s.SO_DOMAIN:
    case s.SO_PROTOCOL:
    case s.SO_ERROR:
    case s.SO_ACCEPTCONN:
    case s.SO_PEERCRED: throw errno(ENOPROTOOPT);
    case s.SO_SNDBUF:
    case s.SO_RCVBUF:
    case s.SO_SNDBUFFORCE:
    case s.SO_RCVBUFFORCE: {
      const least = name === s.SO_SNDBUF ? 4608 : 2304;
      socket.options.set(`${level}:${name}`, word(Math.max(least, Math.min(value >>> 0, BUFFER) * 2)));
      return;
    }
    case s.SO_LINGER:
      if (size < 8) throw errno(EINVAL);
      socket.options.set(`${level}:${name}`, task.user.read(at, 8));
      return;
    case s.SO_RCVTIMEO: socket.receiveTimeout_ns = timeout(task, at, size, timevalOld); return;
    case s.SO_SNDTIMEO: socket.sendTimeout_ns = timeout(task, at, size, timevalOld); return;
    case s.SO_RCVTIMEO_NEW: socket.receiveTimeout_ns = timeout(task, at, size, timevalNew); return;
    case s.SO_SNDTIMEO_NEW: socket.sendTimeout_ns = timeout(task, at, size, timevalNew); return;
    default:
      if (name <= 0 || name > LAST_OPTION) throw errno(ENOPROTOOPT);
      socket.options.set(`${level}:${name}`, word(name === 18 ? value || 1 : value !== 0 ? 1 : 0));
  }
}

const getsockopt = define({
  name: 'getsockopt', args: [['sockfd', fd], ['level', int], ['optname', int], ['optval', pointerOut], ['optlen', pointerOut]], result: none,
  support: { partial: 'TCP, UDP and IP options are kept and have no effect' },
  handler: (task, file, level, name, at, sizeAt) => {
    const socket = socketAt(task, file);
    const room = task.user.readI32(sizeAt);
    if (room < 0) throw errno(EINVAL);
    const value = get(socket, level, name).subarray(0, room);
    task.user.write(at, value);
    task.user.writeU32(sizeAt, value.length);
  },
});
const setsockopt = define({
  name: 'setsockopt', args: [['sockfd', fd], ['level', int], ['optname', int], ['optval', pointerIn], ['optlen', int]], result: none,
  support: { partial: 'TCP, UDP and IP options are kept and have no effect' },
  handler: (task, file, level, name, at, size) => {
    const socket = socketAt(task, file);
    if (size < 0) throw errno(EINVAL);
    set(task, socket, level, name, at, size);
  },
});

export { getsockopt, setsockopt };
