/**
 * Options of sockets that are words: what each is at first, which values it takes, and who may set it. What sockets do with them is in fs/socket.ts and
 * socket-control.ts; those that nothing here acts on (queueing, routing, offloading) are kept and told again, as they would be over a loopback.
 */
import { CAP_NET_ADMIN, CAP_NET_RAW } from '../abi/capability.ts';
import { EACCES, EINVAL, ENODEV, ENOPROTOOPT, EOPNOTSUPP, EPERM, EADDRNOTAVAIL } from '../abi/errno.ts';
import { IPPROTO_IP, IPPROTO_IPV6, IPPROTO_TCP, IPPROTO_UDP, SOCK_STREAM, SOL_MPTCP, SOL_SOCKET } from '../abi/socket.ts';
import type { LocalSocket } from '../fs/socket.ts';

export interface Option {
  /** What getsockopt tells until it is set. */
  readonly initial: number;
  /** Any value but 0 counts as 1. */
  readonly isFlag?: boolean;
  /** Values that are taken; others are `error`. */
  readonly least?: number;
  readonly most?: number;
  /** A value between these that is not taken. */
  readonly except?: number;
  /** Default EINVAL. */
  readonly error?: number;
  /** Only some sockets have it; others answer `without` (default EOPNOTSUPP), to setting only where `without` says so for both. */
  readonly of?: (socket: LocalSocket) => boolean;
  readonly without?: number;
  /** `without` is for setting only. */
  readonly isTold?: boolean;
  /** Errno of getting it, or of setting it, whoever asks. */
  readonly get?: number;
  readonly set?: number;
  /** Needed to set it to anything but 0, and the errno without. */
  readonly needs?: readonly [capability: number, error: number];
  /** What a taken value is kept as. */
  readonly keep?: (value: number, socket: LocalSocket) => number;
  /** Bytes it is told in; default 4. */
  readonly size?: number;
}

const FLAG: Option = { initial: 0, isFlag: true };
const NUMBER: Option = { initial: 0 };
const ADMIN = [CAP_NET_ADMIN, EPERM] as const;
const isStream = (socket: LocalSocket): boolean => socket.type === SOCK_STREAM;
const isInet = (socket: LocalSocket): boolean => socket.family === 2 || socket.family === 10;
const isUnix = (socket: LocalSocket): boolean => socket.isUnix;
const isPacketInet = (socket: LocalSocket): boolean => isInet(socket) && !isStream(socket);
const refused = (get: number, set: number): Option => ({ initial: 0, get, set });
/** With these numbers. */
const all = (numbers: readonly number[], option: Option): Record<number, Option> => Object.fromEntries(numbers.map((n) => [n, option]));

const SOCKET: Readonly<Record<number, Option>> = {
  ...all([2, 5, 6, 9, 10, 11, 29, 35, 40, 41, 43, 44, 45, 63, 64, 75, 82], FLAG),
  1: { ...FLAG, needs: [CAP_NET_ADMIN, EACCES] },
  12: NUMBER,
  14: { initial: 0, keep: () => 0 },
  15: { ...FLAG, of: isInet },
  16: { ...FLAG, of: (socket) => !isInet(socket), without: EOPNOTSUPP },
  18: { initial: 1, keep: (value) => (value < 0 ? 0x7fff_ffff : value || 1) },
  19: { initial: 1, set: ENOPROTOOPT },
  34: { ...FLAG, of: (socket) => !isInet(socket), without: EOPNOTSUPP },
  36: { initial: 0, needs: ADMIN },
  37: { initial: 0, size: 8 },
  42: { initial: -1, of: (socket) => isInet(socket) || socket.isUnix, without: EOPNOTSUPP },
  46: { initial: 0, least: 0 },
  47: { initial: -1, size: 8 },
  48: { initial: 64, set: ENOPROTOOPT },
  49: { initial: -1 },
  53: { initial: 0, get: ENOPROTOOPT },
  56: { initial: 0, set: ENOPROTOOPT },
  60: { initial: 0, least: 0, most: 1, of: isInet },
  62: { initial: 0, least: 0 },
  65: { initial: 0, size: 8 },
  69: { ...FLAG, needs: ADMIN },
  70: { ...refused(ENOPROTOOPT, EPERM) },
  72: { initial: 0, least: 0, most: 3 },
  73: { initial: 0, set: EOPNOTSUPP },
  74: { initial: 1, least: -1, most: 1, of: (socket) => isInet(socket) && isStream(socket), without: EOPNOTSUPP },
  76: { ...FLAG, of: isUnix, without: EOPNOTSUPP },
  83: { initial: 1, isFlag: true, of: isUnix, without: EOPNOTSUPP },
};

const TCP: Readonly<Record<number, Option>> = {
  ...all([1, 3, 12, 16, 30, 34, 36], FLAG),
  2: { initial: 536, least: 88, most: 32_767 },
  4: { initial: 7200, least: 1, most: 32_767 },
  5: { initial: 75, least: 1, most: 32_767 },
  6: { initial: 9, least: 1, most: 127 },
  7: { initial: 6, least: 1, most: 127 },
  8: { initial: 60, keep: (value) => (value < 0 ? -1 : Math.min(value, 120)) },
  9: { initial: 0, keep: (value) => deferred(value) },
  10: { initial: 0, keep: (value) => (value === 0 ? 0 : Math.max(value, 1152)) },
  12: { initial: 1, keep: (value) => (value & 1) },
  14: refused(ENOPROTOOPT, EINVAL),
  17: { initial: 0, least: 0, most: 1, keep: () => 0 },
  18: { initial: 0, least: 0 },
  19: { initial: 0, needs: [CAP_NET_ADMIN, EPERM], set: EPERM },
  20: refused(EINVAL, EPERM),
  23: { initial: 0, least: 0 },
  25: NUMBER,
  27: { initial: 0, least: 0, most: 2 },
  37: { initial: 0, least: 0 },
};

/** Seconds as Linux counts them: retransmissions that take so long, and back. */
function deferred(seconds: number): number {
  if (seconds <= 0) return 0;
  let total = 1;
  for (let step = 1; total < seconds && total < 32_767; total += step) step = Math.min(step * 2, 120);
  return total;
}

const IP: Readonly<Record<number, Option>> = {
  ...all([6, 7, 8, 11, 12, 13, 15, 18, 20, 23, 24, 26, 34], FLAG),
  1: { initial: 0, keep: (value, socket) => (isStream(socket) ? value & 0xfc : value & 0xff) },
  2: { initial: 64, least: -1, most: 255, except: 0, keep: (value) => (value === -1 ? 64 : value) },
  3: { ...FLAG, of: (socket) => socket.type === 3, without: ENOPROTOOPT, isTold: true },
  10: { initial: 1, least: 0, most: 5 },
  14: { initial: 65_536, set: ENOPROTOOPT },
  16: refused(ENOPROTOOPT, EPERM),
  17: refused(ENOPROTOOPT, EPERM),
  19: { ...FLAG, needs: [CAP_NET_RAW, EPERM] },
  21: { initial: 0, least: 0, most: 255 },
  22: { ...FLAG, set: ENOPROTOOPT },
  25: { ...FLAG, of: isPacketInet, without: undefined, error: EINVAL },
  32: NUMBER,
  33: { initial: 1, least: -1, most: 255, of: isPacketInet, keep: (value) => (value === -1 ? 1 : value) },
  34: { initial: 1, isFlag: true },
  49: { initial: 1, least: 0, most: 1 },
  50: { initial: 0, set: EADDRNOTAVAIL },
  51: NUMBER,
};

const IPV6: Readonly<Record<number, Option>> = {
  ...all([2, 3, 4, 5, 8, 11, 25, 33, 49, 51, 53, 56, 58, 60, 62, 66, 74], FLAG),
  16: { initial: 64, least: -1, most: 255, keep: (value) => (value === -1 ? 64 : value) },
  17: { initial: 0, least: 0, most: 1, of: isPacketInet, without: undefined, error: ENODEV },
  18: { initial: 1, least: -1, most: 255, of: isPacketInet, without: undefined, keep: (value) => (value === -1 ? 1 : value) },
  19: { initial: 1, least: 0, most: 1 },
  22: { initial: 0, set: ENOPROTOOPT },
  23: { initial: 1, least: 0, most: 5 },
  24: { initial: 65_536, set: EINVAL },
  26: FLAG,
  29: { initial: 1, least: 0, most: 1 },
  67: { initial: 0, least: -1, most: 255, keep: (value, socket) => (value === -1 ? 0 : isStream(socket) ? value & 0xfc : value) },
  70: { initial: 1, isFlag: true },
  72: { initial: 0x500 },
  73: { initial: 0, least: 0, most: 255 },
  75: { ...FLAG, needs: [CAP_NET_RAW, EPERM] },
  76: { initial: 0, set: EADDRNOTAVAIL },
  77: FLAG,
  78: FLAG,
};

const UDP: Readonly<Record<number, Option>> = {
  ...all([1, 101, 102, 104], FLAG),
  100: { initial: 0, set: ENOPROTOOPT },
  103: { initial: 0, least: 0, most: 65_535 },
};

/** SOL_RAW: which kinds of ICMP messages are not heard. */
const RAW: Readonly<Record<number, Option>> = { 1: { initial: 0 } };

/** SOL_PACKET: what is kept of packet sockets' options: statistics and promiscuity over the loopback say nothing. */
const PACKET: Readonly<Record<number, Option>> = { ...all([8, 9, 15, 20], FLAG), 1: NUMBER, 2: NUMBER, 6: { initial: 0, size: 8 } };

const SOL_PACKET = 263,
  SOL_RAW = 255;

const LEVELS: Readonly<Record<number, Readonly<Record<number, Option>>>> = {
  [SOL_SOCKET]: SOCKET,
  [IPPROTO_IP]: IP,
  [IPPROTO_TCP]: TCP,
  [IPPROTO_UDP]: UDP,
  [IPPROTO_IPV6]: IPV6,
  [SOL_RAW]: RAW,
  [SOL_PACKET]: PACKET,
};


export function optionOf(level: number, name: number): Option | undefined {
  const table = LEVELS[level];
  return table !== undefined && Object.hasOwn(table, name) ? table[name] : undefined;
}

/** Asked for, and not refused by the other end. */
export function isMultipath({ multipath }: LocalSocket): boolean {
  return multipath === 'asked' || multipath === 'agreed';
}

/** Whether a socket has options of this level at all. */
export function hasLevel(socket: LocalSocket, level: number): boolean {
  switch (level) {
    case SOL_SOCKET:
      return true;
    case IPPROTO_IP:
      return isInet(socket) && !(socket.family === 10 && socket.type === 3);
    case IPPROTO_IPV6:
      return socket.family === 10;
    case IPPROTO_TCP:
      return isInet(socket) && isStream(socket);
    case IPPROTO_UDP:
      return isInet(socket) && socket.protocol === IPPROTO_UDP;
    case SOL_MPTCP:
      return isMultipath(socket);
    case SOL_RAW:
      return socket.family === 2 && socket.type === 3 && socket.protocol === 1;
    case SOL_PACKET:
      return socket.family === 17;
    default:
      return false;
  }
}
