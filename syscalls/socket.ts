/** Sockets: making, naming, connecting and accepting them, and the old multiplexer in front of all. */
import { latin1 } from '../abi/latin1.ts';
import { CAP_NET_RAW } from '../abi/capability.ts';
import {
  EAFNOSUPPORT, EALREADY, ECONNREFUSED, EINPROGRESS, EINVAL, EISCONN, ENOTCONN, EOPNOTSUPP, EPERM, EPROTONOSUPPORT, ESOCKTNOSUPPORT, errno,
} from '../abi/errno.ts';
import { O_NONBLOCK, O_RDWR } from '../abi/fcntl.ts';
import * as s from '../abi/socket.ts';
import { S_IFSOCK } from '../abi/stat.ts';
import { AnonymousVnode } from '../fs/anonymous.ts';
import { FixedAttributes } from '../fs/attributes.ts';
import { Description } from '../fs/description.ts';
import { netlinkAddressOf } from '../fs/netlink.ts';
import { LocalSocket } from '../fs/socket.ts';
import { portOf } from '../fs/socket-names.ts';
import type { Multipath } from '../fs/socket-types.ts';
import type { Speaker } from '../fs/speaker.ts';
import { isWait } from '../fs/vnode.ts';
import { capable } from '../proc/credentials.ts';
import type { Task } from '../proc/task.ts';
import { define, multiplexer, type Words } from './define.ts';
import { choice, type Fd, fd, fdResult, flags, int, none, pointerIn, pointerOut } from './kinds.ts';
import { openAt, waiting } from './paths.ts';
import { bindSocket, readAddress, shown, socketAt, socketNamed, writeAddress } from './socket-address.ts';
import { connectRaw, isRaw, packetKind, rawKind, rawService, startRaw } from './socket-raw.ts';
import { connectNetlink, netlinkKind, netlinkService } from './socket-netlink.ts';
import { recvfrom, recvmmsg32, recvmmsg64, recvmsg, sendmmsg, sendmsg, sendto } from './socket-message.ts';
import { awaitOutside, connectOutside, listenOutside, outsideDatagrams } from './socket-outside.ts';
import { getsockopt, setsockopt } from './socket-option.ts';

const family = choice({ AF_UNSPEC: 0, AF_UNIX: 1, AF_INET: 2, AF_INET6: 10, AF_NETLINK: 16, AF_PACKET: 17 });
const type = flags({ SOCK_CLOEXEC: s.SOCK_CLOEXEC, SOCK_NONBLOCK: s.SOCK_NONBLOCK }, {
  mask: 0xf, values: { SOCK_STREAM: 1, SOCK_DGRAM: 2, SOCK_RAW: 3, SOCK_RDM: 4, SOCK_SEQPACKET: 5 },
});
const TYPE_FLAGS = s.SOCK_CLOEXEC | s.SOCK_NONBLOCK;
const PARTIAL = { partial: 'AF_UNIX, AF_INET and AF_INET6 over the machine\'s own loopback, raw and packet sockets that hear each other and echo, AF_NETLINK (ROUTE, SOCK_DIAG, GENERIC and between programs); EAFNOSUPPORT for others' };
const IPPROTO_MAX = 263;
const SOCK_PACKET = 10;
/** sockfs's device minor. */
const SOCKFS = 8;

interface Kind {
  readonly type: number;
  readonly protocol: number;
  readonly multipath?: Multipath;
}

/** Checks what is asked for in Linux's order, and says what it is. */
function kindOf(task: Task, domain: number, kind: number, protocol: number): Kind {
  const bare = kind & s.SOCK_TYPE_MASK;
  // An old way to ask for packets.
  if (domain === s.AF_INET && bare === SOCK_PACKET) return kindOf(task, s.AF_PACKET, kind, protocol);
  if ((kind & ~(s.SOCK_TYPE_MASK | TYPE_FLAGS)) !== 0) throw errno(EINVAL);
  if (domain < 0 || domain >= s.AF_MAX) throw errno(EAFNOSUPPORT);
  if (bare >= s.SOCK_MAX) throw errno(EINVAL);
  if (domain === s.AF_UNIX) {
    if (protocol !== 0 && protocol !== s.AF_UNIX) throw errno(EPROTONOSUPPORT);
    if (![s.SOCK_STREAM, s.SOCK_DGRAM, s.SOCK_RAW, s.SOCK_SEQPACKET].includes(bare)) throw errno(ESOCKTNOSUPPORT);
    return { type: bare === s.SOCK_RAW ? s.SOCK_DGRAM : bare, protocol: 0 };
  }
  if (domain === s.AF_NETLINK) return netlinkKind(task, bare, protocol);
  if (domain === s.AF_PACKET) {
    if (!capable(task.credentials, CAP_NET_RAW)) throw errno(EPERM);
    return packetKind(bare, protocol);
  }
  if (domain !== s.AF_INET && domain !== s.AF_INET6) {
    task.kernel.tracer.note?.(task, `address family ${domain} is not there; answered EAFNOSUPPORT`);
    throw errno(EAFNOSUPPORT);
  }
  if (protocol < 0 || protocol >= IPPROTO_MAX) throw errno(EINVAL);
  const raw = rawKind(task, domain, bare, protocol);
  if (raw !== undefined) return raw;
  if (bare !== s.SOCK_STREAM && bare !== s.SOCK_DGRAM) throw errno(ESOCKTNOSUPPORT);
  if (bare === s.SOCK_STREAM && protocol === s.IPPROTO_MPTCP) return { type: bare, protocol: s.IPPROTO_TCP, multipath: 'asked' };
  const natural = bare === s.SOCK_STREAM ? s.IPPROTO_TCP : s.IPPROTO_UDP;
  if (protocol !== 0 && protocol !== natural) throw errno(EPROTONOSUPPORT);
  return { type: bare, protocol: natural };
}

/** As the peer of what the task makes sees it. */
function credentialsOf(task: Task): Speaker {
  return { pid: task.process.pid, uid: task.credentials.euid, gid: task.credentials.egid, process: task.process };
}

/** What the system.sockprotoname of a socket says. */
function protocolName(domain: number, type: number): Uint8Array {
  const ofInet = type === s.SOCK_STREAM ? 'TCP' : type === s.SOCK_DGRAM ? 'UDP' : 'RAW';
  const ofUnix = type === s.SOCK_STREAM ? 'UNIX-STREAM' : 'UNIX';
  const name = domain === s.AF_UNIX ? ofUnix : domain === s.AF_NETLINK ? 'NETLINK' : domain === s.AF_INET6 ? `${ofInet}v6` : ofInet;
  return latin1(`${name}\0`);
}

function make(task: Task, domain: number, kind: Kind): LocalSocket {
  const { kernel, credentials } = task;
  const ino = kernel.files.nextInode();
  const owner = { uid: credentials.euid, gid: credentials.egid };
  const vnode = new AnonymousVnode({
    label: `socket:[${ino}]`, kind: 'socket', mode: S_IFSOCK | 0o777, device: SOCKFS, ino, now_ns: kernel.clock.realtime(), owner,
    attributes: new FixedAttributes(new Map([['system.sockprotoname', protocolName(domain, kind.type)]])),
  });
  const service = domain === s.AF_NETLINK ? netlinkService(task, kind.protocol) : rawService(task, domain, kind);
  const made = new LocalSocket({ vnode, names: kernel.files.sockets, family: domain, ...kind, credentials: credentialsOf(task), groups: credentials.groups, service, now_ns: () => kernel.clock.realtime() });
  startRaw(made);
  return made;
}

function enter(task: Task, socket: LocalSocket, how: number): number {
  const place = { vnode: socket.vnode, parent: undefined, name: socket.label ?? 'socket' };
  return task.files.add(new Description(socket, place, O_RDWR | (how & s.SOCK_NONBLOCK ? O_NONBLOCK : 0)), (how & s.SOCK_CLOEXEC) !== 0);
}

const socket = define({
  name: 'socket', args: [['domain', family], ['type', type], ['protocol', int]], result: fdResult, support: PARTIAL,
  handler: (task, domain, kind, protocol) => {
    const what = kindOf(task, domain, kind, protocol);
    task.files.free();
    const made = make(task, domain, what);
    made.multipath = what.multipath ?? 'no';
    return enter(task, made, kind);
  },
});
const socketpair = define({
  name: 'socketpair', args: [['domain', family], ['type', type], ['protocol', int], ['sv', pointerOut]], result: none, support: PARTIAL,
  handler: (task, domain, kind, protocol, to) => {
    if ((kind & ~(s.SOCK_TYPE_MASK | TYPE_FLAGS)) !== 0) throw errno(EINVAL);
    task.files.reserve(2);
    const first = task.files.free();
    // As on Linux the numbers are told before there are sockets.
    task.user.write(to, new Uint8Array(Uint32Array.of(first, task.files.free(first + 1)).buffer));
    const what = kindOf(task, domain, kind, protocol);
    if (domain !== s.AF_UNIX) throw errno(EOPNOTSUPP);
    const ends = [make(task, domain, what), make(task, domain, what)];
    ends[0].pair(ends[1]);
    for (const end of ends) enter(task, end, kind);
  },
});

const bind = define({
  name: 'bind', args: [['sockfd', fd], ['addr', pointerIn], ['addrlen', int]], result: none, support: 'full',
  handler: (task, file, at, length) => {
    const found = socketAt(task, file);
    bindSocket(task, found, readAddress(task, at, length));
  },
});

const connect = define({
  name: 'connect', args: [['sockfd', fd], ['addr', pointerIn], ['addrlen', int]], result: none, support: 'full',
  handler: (task, file, at, length) => {
    openAt(task, file);
    const address = readAddress(task, at, length);
    const found = socketAt(task, file);
    if (found.family === s.AF_NETLINK) return connectNetlink(task, found, address);
    if (isRaw(found)) return connectRaw(found, address);
    const isNobody = address.length >= 2 && address[0] === s.AF_UNSPEC && address[1] === 0;
    if (isNobody && (found.type === s.SOCK_DGRAM || (!found.isUnix && !found.isConnected && !found.listening))) return found.disconnect();
    if (found.type === s.SOCK_DGRAM) return connectPackets(task, found, address);
    connectStream(task, found, address, openAt(task, file).nonblocking);
  },
});

function connectPackets(task: Task, found: LocalSocket, address: Uint8Array): void {
  const peer = socketNamed(task, found, address);
  if (!found.isUnix) {
    found.bindFree(false);
    const isOutside = peer === undefined && outsideDatagrams(task, found) !== undefined;
    found.aim(address, isOutside);
  }
  found.peer = peer;
}

function connectStream(task: Task, found: LocalSocket, address: Uint8Array, nonblocking: boolean): void {
  // Of unix sockets who is called is looked for before the caller is.
  const called = found.isUnix ? socketNamed(task, found, address) : undefined;
  if (found.isUnix && called?.listening !== true) throw errno(ECONNREFUSED);
  if (found.listening) throw errno(found.isUnix ? EINVAL : EISCONN);
  if (found.reaching) awaitOutside(task, found, nonblocking);
  if (found.connecting) {
    found.connecting = false;
    const failed = found.takeError();
    if (failed !== 0) throw errno(failed);
    return;
  }
  if (found.isConnected) throw errno(EISCONN);
  const target = called ?? socketNamed(task, found, address);
  if (target === undefined && task.kernel.files.sockets.network !== undefined) {
    connectOutside(task, found, address, make(task, found.family, found), nonblocking);
  }
  if (target === undefined || !target.listening) {
    if (found.isUnix || !nonblocking) throw errno(ECONNREFUSED);
    found.connecting = true;
    found.error = ECONNREFUSED;
    found.changes.wakeAll();
    throw errno(EINPROGRESS);
  }
  const other = () => make(task, target.family, { type: target.type, protocol: target.protocol });
  const wait = found.connectTo(target, other, nonblocking, found.isUnix ? undefined : address.slice(0, found.family === s.AF_INET ? 16 : 28));
  if (wait !== undefined) {
    if (!nonblocking) throw waiting(task, wait);
    throw errno(EALREADY);
  }
  if (!nonblocking || found.isUnix) return;
  found.connecting = true;
  throw errno(EINPROGRESS);
}

const listen = define({
  name: 'listen', args: [['sockfd', fd], ['backlog', int]], result: none, support: 'full',
  handler: (task, file, backlog) => {
    const found = socketAt(task, file);
    found.listen(backlog, credentialsOf(task), task.credentials.groups);
    if (!found.isUnix) listenOutside(task, found, () => make(task, found.family, found));
  },
});

const accept4 = define({
  name: 'accept4', args: [['sockfd', fd], ['addr', pointerOut], ['addrlen', pointerOut], ['flags', type]], result: fdResult, support: 'full',
  handler: (task, file, at, sizeAt, how) => {
    openAt(task, file);
    if ((how & ~TYPE_FLAGS) !== 0) throw errno(EINVAL);
    task.files.free();
    const found = socketAt(task, file);
    const next = found.accept(openAt(task, file).nonblocking);
    if (isWait(next)) throw waiting(task, next);
    const number = enter(task, next, how);
    try {
      if (at !== 0) writeAddress(task, shown(next, next.isUnix ? next.peer?.local : next.remote), at, sizeAt);
    } catch (error) {
      task.files.close(number);
      throw error;
    }
    return number;
  },
});

const getsockname = define({
  name: 'getsockname', args: [['sockfd', fd], ['addr', pointerOut], ['addrlen', pointerOut]], result: none, support: 'full',
  handler: (task, file, at, sizeAt) => {
    const found = socketAt(task, file);
    writeAddress(task, shown(found, found.local), at, sizeAt);
  },
});
const getpeername = define({
  name: 'getpeername', args: [['sockfd', fd], ['addr', pointerOut], ['addrlen', pointerOut]], result: none, support: 'full',
  handler: (task, file, at, sizeAt) => {
    const found = socketAt(task, file);
    if (found.family === s.AF_NETLINK) return writeAddress(task, found.remote ?? netlinkAddressOf(0, 0), at, sizeAt);
    if (!found.isConnected || (found.remote !== undefined && portOf(found.remote) === 0 && !isRaw(found))) throw errno(ENOTCONN);
    writeAddress(task, shown(found, found.isUnix ? found.peer?.local : found.remote), at, sizeAt);
  },
});
const shutdown = define({
  name: 'shutdown', args: [['sockfd', fd], ['how', choice({ SHUT_RD: 0, SHUT_WR: 1, SHUT_RDWR: 2 })]], result: none, support: 'full',
  handler: (task, file: Fd, how) => socketAt(task, file).shutdown(how),
});

// ---- socketcall ----------------------------------------------------------------------------------------------------------------

/** Sub-call by number: the modern call and how many words it takes; the others are zero (accept is accept4 without flags). */
const SUBCALLS = [
  undefined, { call: socket, words: 3 }, { call: bind, words: 3 }, { call: connect, words: 3 }, { call: listen, words: 2 },
  { call: accept4, words: 3 }, { call: getsockname, words: 3 }, { call: getpeername, words: 3 }, { call: socketpair, words: 4 },
  { call: sendto, words: 4 }, { call: recvfrom, words: 4 }, { call: sendto, words: 6 }, { call: recvfrom, words: 6 },
  { call: shutdown, words: 2 }, { call: setsockopt, words: 5 }, { call: getsockopt, words: 5 }, { call: sendmsg, words: 3 },
  { call: recvmsg, words: 3 }, { call: accept4, words: 4 }, { call: recvmmsg32, words: 5 }, { call: sendmmsg, words: 4 },
] as const;

const SUBCALL_NAMES = {
  SYS_SOCKET: 1, SYS_BIND: 2, SYS_CONNECT: 3, SYS_LISTEN: 4, SYS_ACCEPT: 5, SYS_GETSOCKNAME: 6, SYS_GETPEERNAME: 7, SYS_SOCKETPAIR: 8,
  SYS_SEND: 9, SYS_RECV: 10, SYS_SENDTO: 11, SYS_RECVFROM: 12, SYS_SHUTDOWN: 13, SYS_SETSOCKOPT: 14, SYS_GETSOCKOPT: 15, SYS_SENDMSG: 16,
  SYS_RECVMSG: 17, SYS_ACCEPT4: 18, SYS_RECVMMSG: 19, SYS_SENDMMSG: 20,
};

const socketcall = multiplexer('socketcall', [['call', choice(SUBCALL_NAMES)], ['args', pointerIn]], (task, words: Words) => {
  const sub = SUBCALLS[words[0]];
  if (sub === undefined) throw errno(EINVAL);
  const from = words[1];
  const values = new Uint32Array(6);
  for (let i = 0; i < sub.words; i++) values[i] = task.user.readU32(from + 4 * i);
  words.set(values);
  return sub.call;
});

export const calls = [
  socket, socketpair, bind, connect, listen, accept4, getsockname, getpeername, sendto, recvfrom, shutdown, setsockopt, getsockopt, sendmsg,
  recvmsg, recvmmsg32, recvmmsg64, sendmmsg, socketcall,
];
