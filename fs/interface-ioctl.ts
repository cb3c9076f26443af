/** SIOC requests: what every socket tells of the machine's interfaces, of which there is one. Linux: net/core/dev_ioctl.c, net/ipv4/devinet.c. */
import { ENODEV, ENOENT, ENOPKG, EOPNOTSUPP, EPERM, EPFNOSUPPORT, EINVAL, errno } from '../abi/errno.ts';
import * as f from '../abi/interface.ts';
import { AF_INET, AF_INET6 } from '../abi/socket.ts';
import type { IoctlArgument } from './vnode.ts';

type Fields = (view: DataView) => void;

/** Where the second half of a struct ifreq begins. */
const VALUE = f.IFNAMSIZ;
const word =
  (value: number): Fields =>
  (view) =>
    view.setInt32(VALUE, value, true);
const address =
  (...parts: readonly number[]): Fields =>
  (view) => {
    view.setUint16(VALUE, AF_INET, true);
    parts.forEach((part, i) => view.setUint8(VALUE + 4 + i, part));
  };

/** What all sockets answer. */
const OF_LINK: Readonly<Record<number, Fields>> = {
  [f.SIOCGIFFLAGS]: (view) => view.setUint16(VALUE, f.LOOPBACK.flags, true),
  [f.SIOCGIFMETRIC]: word(0),
  [f.SIOCGIFMTU]: word(f.LOOPBACK.mtu),
  [f.SIOCGIFHWADDR]: (view) => view.setUint16(VALUE, f.ARPHRD_LOOPBACK, true),
  [f.SIOCGIFINDEX]: word(f.LOOPBACK.index),
  [f.SIOCGIFTXQLEN]: word(f.LOOPBACK.queue),
  [f.SIOCGIFMAP]: () => {},
};
/** What IPv4's sockets answer. */
const OF_INTERNET: Readonly<Record<number, Fields>> = {
  [f.SIOCGIFADDR]: address(127, 0, 0, 1),
  [f.SIOCGIFDSTADDR]: address(127, 0, 0, 1),
  [f.SIOCGIFBRDADDR]: address(0, 0, 0, 0),
  [f.SIOCGIFNETMASK]: address(255, 0, 0, 0),
};
/** Changes, by the families whose sockets know them: nobody may make them here. */
const CHANGES: ReadonlySet<number> = new Set([
  0x8914, 0x891e, 0x8922, 0x8923, 0x8924, 0x8931, 0x8932, 0x8937, 0x8943, 0x8947, 0x8948, 0x8949, 0x894c, 0x8971, 0x8990, 0x8991, 0x8992,
  0x8995,
]);
const INTERNET_CHANGES: ReadonlySet<number> = new Set([f.SIOCADDRT, f.SIOCDELRT, 0x8916, 0x8918, 0x891a, 0x891c, f.SIOCDARP, f.SIOCSARP]);
const INTERNET6_CHANGES: ReadonlySet<number> = new Set([f.SIOCADDRT, f.SIOCDELRT, 0x8916, 0x8936]);
const UNSUPPORTED: ReadonlySet<number> = new Set([0x8940, 0x8941, 0x894a, 0x8993, 0x8994]);
/** Modules that are not loaded: VLANs. */
const ABSENT: ReadonlySet<number> = new Set([0x8982, 0x8983]);

/** Undefined: not one of these (ENOTTY). */
export function interfaceIoctl(family: number, request: number, argument: IoctlArgument): number | undefined {
  const what = request >>> 0;
  if (family === AF_INET || family === AF_INET6) {
    if (what === f.SIOCGSTAMP || what === f.SIOCGSTAMPNS || what === f.SIOCGSTAMP_NEW || what === f.SIOCGSTAMPNS_NEW) throw errno(ENOENT);
    if ((family === AF_INET ? INTERNET_CHANGES : INTERNET6_CHANGES).has(what)) throw errno(EPERM);
  }
  if (what === f.SIOCGIFCONF) return list(argument);
  if (what === f.SIOCGIFNAME) return nameOf(argument);
  if (what === f.SIOCETHTOOL) return ethtool(argument);
  if (family === AF_INET && what === f.SIOCGARP) throw errno(EPFNOSUPPORT);
  if (family === AF_INET && (what === 0x8934 || what === 0x8935)) throw errno(EINVAL);
  if (CHANGES.has(what)) throw errno(EPERM);
  if (ABSENT.has(what)) throw errno(ENOPKG);
  if (UNSUPPORTED.has(what)) {
    requestFor(argument);
    throw errno(EOPNOTSUPP);
  }
  const fields = OF_LINK[what] ?? (family === AF_INET ? OF_INTERNET[what] : undefined);
  if (fields === undefined) return undefined;
  const bytes = requestFor(argument);
  bytes.fill(0, VALUE, VALUE + 16);
  fields(new DataView(bytes.buffer, bytes.byteOffset));
  argument.bytesOut(bytes);
  return 0;
}

/** A struct ifreq that names our interface; ENODEV where it names another. An alias (`lo:1`) names what is before the colon. */
function requestFor(argument: IoctlArgument): Uint8Array {
  const bytes = argument.bytesIn(f.IFREQ).slice();
  const name = String.fromCharCode(...bytes.subarray(0, f.IFNAMSIZ - 1)).replace(/[\0:].*$/s, '');
  if (name !== f.LOOPBACK.name) throw errno(ENODEV);
  return bytes;
}

function named(): Uint8Array {
  const bytes = new Uint8Array(f.IFREQ);
  for (let i = 0; i < f.LOOPBACK.name.length; i++) bytes[i] = f.LOOPBACK.name.charCodeAt(i);
  return bytes;
}

function nameOf(argument: IoctlArgument): number {
  const bytes = argument.bytesIn(f.IFREQ);
  if (new DataView(bytes.buffer, bytes.byteOffset).getInt32(VALUE, true) !== f.LOOPBACK.index) throw errno(ENODEV);
  const answer = bytes.slice();
  answer.set(named().subarray(0, f.IFNAMSIZ));
  argument.bytesOut(answer);
  return 0;
}

/** Interfaces that have an IPv4 address, as many as there is room for; without a place for them only how much room they take. */
function list(argument: IoctlArgument): number {
  const given = argument.bytesIn(f.interfaceList.size);
  const { size, at } = f.interfaceList.read(new DataView(given.buffer, given.byteOffset), 0);
  const fits = at === 0 || size >= f.IFREQ;
  if (at !== 0 && fits) {
    const bytes = named();
    address(127, 0, 0, 1)(new DataView(bytes.buffer));
    argument.bytesTo(at, bytes);
  }
  const answer = new Uint8Array(f.interfaceList.size);
  f.interfaceList.write(new DataView(answer.buffer), 0, { size: fits ? f.IFREQ : 0, at });
  argument.bytesOut(answer);
  return 0;
}

/** ETHTOOL_G... that the loopback answers: a link, and what its driver can do without. */
const ETHTOOL_ONE: ReadonlySet<number> = new Set([0x0a, 0x14, 0x16, 0x18, 0x1e, 0x23, 0x25, 0x2b]);
/** Getters that it does not answer; the others are changes. */
const ETHTOOL_GETTERS: ReadonlySet<number> = new Set([
  0x01, 0x03, 0x07, 0x0e, 0x10, 0x12, 0x1b, 0x1d, 0x21, 0x27, 0x29, 0x2d, 0x2e, 0x2f, 0x30, 0x37, 0x38, 0x3a, 0x3c, 0x41, 0x44, 0x46, 0x48,
  0x4a, 0x4c, 0x4e, 0x50,
]);

function ethtool(argument: IoctlArgument): number {
  const bytes = requestFor(argument);
  const at = new DataView(bytes.buffer, bytes.byteOffset).getUint32(VALUE, true);
  const given = argument.bytesAt(at, 4);
  const command = new DataView(given.buffer, given.byteOffset).getUint32(0, true);
  if (!ETHTOOL_ONE.has(command)) throw errno(ETHTOOL_GETTERS.has(command) ? EOPNOTSUPP : EPERM);
  argument.bytesTo(at + 4, Uint8Array.of(1, 0, 0, 0));
  return 0;
}

export function answerWord(argument: IoctlArgument, value: number): number {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setInt32(0, value, true);
  argument.bytesOut(bytes);
  return 0;
}
