/** Sockets: none so far. Each call checks what Linux checks first, and says honestly that no address family is there. */
import { EAFNOSUPPORT, EINVAL, ENOTSOCK, errno } from '../abi/errno.ts';
import type { Task } from '../proc/task.ts';
import { define, multiplexer, type Parameter, type Words } from './define.ts';
import { choice, count, type Fd, fd, fdResult, flags, hex, int, intResult, pointerIn, pointerOut, size } from './kinds.ts';

const NONE = { stub: 'no address family is there: EAFNOSUPPORT, and ENOTSOCK for other descriptors' } as const;

const family = choice({ AF_UNSPEC: 0, AF_UNIX: 1, AF_INET: 2, AF_INET6: 10, AF_NETLINK: 16, AF_PACKET: 17 });
const type = flags({ SOCK_CLOEXEC: 0o2000000, SOCK_NONBLOCK: 0o4000 }, {
  mask: 0xf, values: { SOCK_STREAM: 1, SOCK_DGRAM: 2, SOCK_RAW: 3, SOCK_RDM: 4, SOCK_SEQPACKET: 5 },
});
const AF_MAX = 46, SOCK_MAX = 11, TYPE_FLAGS = 0o2004000;

function refuse(task: Task, domain: number, kind: number): never {
  const bare = kind & 0xf;
  if ((kind & ~(0xf | TYPE_FLAGS)) !== 0) throw errno(EINVAL);
  if (domain < 0 || domain >= AF_MAX) throw errno(EAFNOSUPPORT);
  if (bare >= SOCK_MAX) throw errno(EINVAL);
  task.kernel.tracer.note?.(task, `sockets are not there yet; address family ${domain} answered EAFNOSUPPORT`);
  throw errno(EAFNOSUPPORT);
}

const socket = define({
  name: 'socket', args: [['domain', family], ['type', type], ['protocol', int]], result: fdResult, support: NONE,
  handler: (task, domain, kind) => refuse(task, domain, kind),
});
const socketpair = define({
  name: 'socketpair', args: [['domain', family], ['type', type], ['protocol', int], ['sv', pointerOut]], result: intResult, support: NONE,
  handler: (task, domain, kind) => refuse(task, domain, kind),
});

/** Everything else is asked of a descriptor, and no descriptor is a socket. */
function onSocket(name: string, rest: readonly Parameter[]) {
  const args: readonly Parameter[] = [['sockfd', fd], ...rest];
  return define({
    name, args, result: size, support: NONE,
    handler: (task, ...values) => {
      task.files.get(values[0] as Fd);
      throw errno(ENOTSOCK);
    },
  });
}

const bind = onSocket('bind', [['addr', pointerIn], ['addrlen', int]]);
const connect = onSocket('connect', [['addr', pointerIn], ['addrlen', int]]);
const listen = onSocket('listen', [['backlog', int]]);
const accept4 = onSocket('accept4', [['addr', pointerOut], ['addrlen', pointerOut], ['flags', type]]);
const getsockname = onSocket('getsockname', [['addr', pointerOut], ['addrlen', pointerOut]]);
const getpeername = onSocket('getpeername', [['addr', pointerOut], ['addrlen', pointerOut]]);
const sendto = onSocket('sendto', [['buf', pointerIn], ['len', count], ['flags', hex], ['dest_addr', pointerIn], ['addrlen', int]]);
const recvfrom = onSocket('recvfrom', [['buf', pointerOut], ['len', count], ['flags', hex], ['src_addr', pointerOut], ['addrlen', pointerOut]]);
const shutdown = onSocket('shutdown', [['how', int]]);
const setsockopt = onSocket('setsockopt', [['level', int], ['optname', int], ['optval', pointerIn], ['optlen', int]]);
const getsockopt = onSocket('getsockopt', [['level', int], ['optname', int], ['optval', pointerOut], ['optlen', pointerOut]]);
const sendmsg = onSocket('sendmsg', [['msg', pointerIn], ['flags', hex]]);
const recvmsg = onSocket('recvmsg', [['msg', pointerOut], ['flags', hex]]);
const recvmmsg = onSocket('recvmmsg', [['msgvec', pointerOut], ['vlen', count], ['flags', hex], ['timeout', pointerIn]]);
const recvmmsg64 = onSocket('recvmmsg_time64', [['msgvec', pointerOut], ['vlen', count], ['flags', hex], ['timeout', pointerIn]]);
const sendmmsg = onSocket('sendmmsg', [['msgvec', pointerIn], ['vlen', count], ['flags', hex]]);

// ---- socketcall ----------------------------------------------------------------------------------------------------------------

/** Sub-call by number: the modern call and how many words it takes; the others are zero (accept is accept4 without flags). */
const SUBCALLS = [
  undefined, { call: socket, words: 3 }, { call: bind, words: 3 }, { call: connect, words: 3 }, { call: listen, words: 2 },
  { call: accept4, words: 3 }, { call: getsockname, words: 3 }, { call: getpeername, words: 3 }, { call: socketpair, words: 4 },
  { call: sendto, words: 4 }, { call: recvfrom, words: 4 }, { call: sendto, words: 6 }, { call: recvfrom, words: 6 },
  { call: shutdown, words: 2 }, { call: setsockopt, words: 5 }, { call: getsockopt, words: 5 }, { call: sendmsg, words: 3 },
  { call: recvmsg, words: 3 }, { call: accept4, words: 4 }, { call: recvmmsg, words: 5 }, { call: sendmmsg, words: 4 },
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
  recvmsg, recvmmsg, recvmmsg64, sendmmsg, socketcall,
];
