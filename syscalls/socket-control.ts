/** Control messages: what programs send along with their bytes, and what they are told with those that come. Linux: net/core/scm.c, net/ipv4/ip_sockglue.c. */
import { CAP_NET_ADMIN, CAP_SETGID, CAP_SETUID, CAP_SYS_ADMIN } from '../abi/capability.ts';
import { EINVAL, ENOBUFS, EPERM, ESRCH, ETOOMANYREFS, Errno, errno } from '../abi/errno.ts';
import { LOOPBACK } from '../abi/interface.ts';
import { RLIMIT_NOFILE } from '../abi/resource.ts';
import * as s from '../abi/socket.ts';
import { encoded } from '../abi/struct.ts';
import { timespec32, timespec64, timeval32, timeval64 } from '../abi/time.ts';
import type { Description } from '../fs/description.ts';
import { hostOf } from '../fs/ports.ts';
import type { About, LocalSocket, Received } from '../fs/socket.ts';
import type { Speaker } from '../fs/speaker.ts';
import { capable } from '../proc/credentials.ts';
import { describeProcess } from '../proc/pidfd.ts';
import { Process } from '../proc/process.ts';
import type { Task } from '../proc/task.ts';
import { loadAt, storeAt } from './kinds.ts';

/** The most control data a message may have (net.core.optmem_max). */
const MOST_CONTROL = 131_072;

/** What goes along with a message. */
export interface Control {
  rights?: Description[];
  credentials?: Speaker;
  ttl?: number;
  tos?: number;
  /** UDP_SEGMENT: the bytes are several datagrams of this size. */
  segment?: number;
}

interface Item {
  readonly level: number;
  readonly type: number;
  /** Where its data is, and how much. */
  readonly at: number;
  readonly size: number;
}

/** The control messages of a sendmsg. */
export function controlOf(task: Task, socket: LocalSocket, at: number, length: number, isAddressed: boolean): Control {
  const control: Control = {};
  if (length > 0x7fff_ffff) throw errno(ENOBUFS);
  // As 32-bit programs are served (cmsghdr_from_user_compat_to_kern): what is there must be messages.
  if (at === 0 || length < s.controlHeader.size) throw errno(EINVAL);
  const isLocal = socket.isUnix || socket.family === s.AF_NETLINK;
  for (let from = 0; from + s.controlHeader.size <= length; ) {
    if (from > MOST_CONTROL) throw errno(ENOBUFS);
    const { size, level, type } = loadAt(task, at + from, s.controlHeader);
    if (size < s.controlHeader.size || size > length - from) throw errno(EINVAL);
    // What it asks for matters only where the datagram is to go somewhere.
    if (!isLocal && socket.isDatagrams && !isAddressed) socket.checkWrite(0);
    const item = { level, type, at: at + from + s.controlHeader.size, size: size - s.controlHeader.size };
    if (level === s.SOL_SOCKET) ofSocket(task, item, control, isLocal);
    else if (!isLocal && socket.isDatagrams) ofInternet(task, socket, item, control);
    from += (size + 3) & ~3;
  }
  return control;
}

function ofSocket(task: Task, { type, at, size }: Item, control: Control, isLocal: boolean): void {
  if (type === s.SCM_RIGHTS || type === s.SCM_CREDENTIALS) {
    // Sockets of the internet pass them over.
    if (!isLocal) return;
    if (type === s.SCM_RIGHTS) addRights(task, at, size, control);
    else if (size === s.ucred.size) control.credentials = checked(task, loadAt(task, at, s.ucred));
    else throw errno(EINVAL);
    return;
  }
  if (isLocal) throw errno(EINVAL);
  const needed = type === SO_MARK ? CAP_NET_ADMIN : type === s.SO_PRIORITY || type === SO_TIMESTAMPING ? undefined : EINVAL;
  if (needed === EINVAL || size !== 4) throw errno(EINVAL);
  if (needed !== undefined && !capable(task.credentials, needed)) throw errno(EPERM);
}

const SO_MARK = 36,
  SO_TIMESTAMPING = 37;

function addRights(task: Task, at: number, size: number, control: Control): void {
  if (size % 4 !== 0 || size / 4 > s.MOST_RIGHTS) throw errno(EINVAL);
  control.rights ??= [];
  for (let i = 0; i < size; i += 4) control.rights.push(task.files.get(task.user.readI32(at + i)));
}

function ofInternet(task: Task, socket: LocalSocket, { level, type, at, size }: Item, control: Control): void {
  if (level === s.IPPROTO_UDP && type === s.UDP_SEGMENT && size === 2) {
    const bytes = task.user.read(at, 2);
    control.segment = bytes[0] | (bytes[1] << 8);
    return;
  }
  if (level === s.IPPROTO_IP) {
    const value = (): number => (size === 1 ? task.user.read(at, 1)[0] : task.user.readI32(at));
    if (type === s.IP_PKTINFO && size === 12) return checkInterface(task.user.readI32(at));
    if (type === s.IP_TTL && size === 4) control.ttl = within(value(), 1);
    else if (type === s.IP_TOS && (size === 4 || size === 1)) control.tos = within(value(), 0);
    else throw errno(EINVAL);
    return;
  }
  if (level !== s.IPPROTO_IPV6 || socket.family !== s.AF_INET6) return;
  if (type === s.IPV6_PKTINFO && size === 20) return checkInterface(task.user.readI32(at + 16));
  if (type === s.IPV6_HOPLIMIT && size === 4) control.ttl = within(task.user.readI32(at), -1);
  else if (type === s.IPV6_TCLASS && size === 4) control.tos = within(task.user.readI32(at), -1);
  else throw errno(EINVAL);
}

function checkInterface(index: number): void {
  if (index !== 0 && index !== LOOPBACK.index) throw errno(EINVAL);
}

function within(value: number, least: number): number {
  if (value < least || value > 255) throw errno(EINVAL);
  return value;
}

/** Only the privileged may speak for others. */
function checked(task: Task, given: s.Ucred): Speaker {
  const { uid, euid, suid, gid, egid, sgid } = task.credentials;
  const may = (capability: number): boolean => capable(task.credentials, capability);
  const mayName =
    (given.pid === task.process.pid || may(CAP_SYS_ADMIN)) &&
    ([uid, euid, suid].includes(given.uid) || may(CAP_SETUID)) &&
    ([gid, egid, sgid].includes(given.gid) || may(CAP_SETGID));
  if (!mayName) throw errno(EPERM);
  const process = task.kernel.processes.get(given.pid);
  if (process === undefined) throw errno(ESRCH);
  return { ...given, process };
}

/** Throws ETOOMANYREFS where a user has more descriptors under way than it may have open. */
export function mayFly(task: Task, rights: readonly Description[] | undefined): void {
  if (rights === undefined || rights.length === 0) return;
  const { current } = task.process.limits[RLIMIT_NOFILE];
  const flying = task.kernel.files.sockets.flights.of(task.credentials.uid);
  if (BigInt(flying) > current && !capable(task.credentials, CAP_SYS_ADMIN)) throw errno(ETOOMANYREFS);
}

// ---- Receiving -----------------------------------------------------------------------------------------------------------------

/** Control messages into the guest's memory, as many as there is room for. */
export class ControlWriter {
  used = 0;
  /** Something did not fit. */
  cut = false;
  private readonly task: Task;
  private readonly at: number;
  private readonly size: number;

  constructor(task: Task, at: number, length: number) {
    this.task = task;
    this.at = at;
    this.size = length;
  }

  /** Words of data that another control message may still have. */
  get room(): number {
    return Math.max(0, Math.floor((this.size - this.used - s.controlHeader.size) / 4));
  }

  /** Linux put_cmsg: what does not fit is cut off. */
  put(level: number, type: number, data: Uint8Array): void {
    const left = this.size - this.used;
    if (left < s.controlHeader.size) {
      this.cut = true;
      return;
    }
    const size = Math.min(s.controlHeader.size + data.length, left);
    if (size < s.controlHeader.size + data.length) this.cut = true;
    storeAt(this.task, this.at + this.used, s.controlHeader, { size, level, type });
    this.task.user.write(this.at + this.used + s.controlHeader.size, data.subarray(0, size - s.controlHeader.size));
    this.used += Math.min((size + 3) & ~3, left);
  }

  words(level: number, type: number, words: readonly number[]): void {
    this.put(level, type, new Uint8Array(Uint32Array.from(words, (word) => word >>> 0).buffer));
  }
}

/** What the socket's options ask to be told of what has come. */
export function tell(socket: LocalSocket, received: Received, control: ControlWriter): void {
  const { about } = received;
  if (about !== undefined && (socket.isPackets || !socket.isUnix)) tellTime(socket, about, control);
  if (socket.isUnix || socket.family === s.AF_NETLINK) {
    tellSender(socket, received, control);
  } else if (about !== undefined && socket.isDatagrams) {
    if (socket.family === s.AF_INET) tellInternet(socket, about, control);
    else tellInternet6(socket, about, control);
  }
}

function tellSender(socket: LocalSocket, { credentials }: Received, control: ControlWriter): void {
  if (credentials === undefined || socket.option(s.SOL_SOCKET, s.SO_PASSCRED) === 0) return;
  control.words(s.SOL_SOCKET, s.SCM_CREDENTIALS, [credentials.pid, credentials.uid, credentials.gid]);
}

/** SO_PASSPIDFD: a descriptor of the sender's process, or nothing where that does not fit as a whole. Linux: scm_pidfd_recv. */
export function tellProcess(task: Task, { socket, credentials }: Received & { readonly socket: LocalSocket }, control: ControlWriter): void {
  if (!socket.isUnix || socket.option(s.SOL_SOCKET, s.SO_PASSPIDFD) === 0) return;
  if (control.room < 1) {
    control.cut = true;
    return;
  }
  if (!(credentials?.process instanceof Process)) return;
  try {
    control.words(s.SOL_SOCKET, s.SCM_PIDFD, [task.files.add(describeProcess(task, credentials.process, 0), true)]);
  } catch (error) {
    if (!(error instanceof Errno)) throw error;
  }
}

function tellTime(socket: LocalSocket, { time_ns }: About, control: ControlWriter): void {
  const has = (name: number): boolean => socket.option(s.SOL_SOCKET, name) !== 0;
  const tv_sec = Number(time_ns / 1_000_000_000n);
  const tv_nsec = Number(time_ns % 1_000_000_000n);
  const tv_usec = Math.floor(tv_nsec / 1000);
  const put = (type: number, data: Uint8Array): void => control.put(s.SOL_SOCKET, type, data);
  if (has(s.SO_TIMESTAMP)) put(s.SO_TIMESTAMP, encoded(timeval32, { tv_sec, tv_usec }));
  else if (has(s.SO_TIMESTAMPNS)) put(s.SO_TIMESTAMPNS, encoded(timespec32, { tv_sec, tv_nsec }));
  else if (has(s.SO_TIMESTAMP_NEW)) put(s.SO_TIMESTAMP_NEW, encoded(timeval64, { tv_sec, tv_usec }));
  else if (has(s.SO_TIMESTAMPNS_NEW)) put(s.SO_TIMESTAMPNS_NEW, encoded(timespec64, { tv_sec, tv_nsec }));
}

function tellInternet(socket: LocalSocket, { to, ttl, tos }: About, control: ControlWriter): void {
  const has = (name: number): boolean => socket.option(s.IPPROTO_IP, name) !== 0;
  const put = (type: number, data: Uint8Array): void => control.put(s.IPPROTO_IP, type, data);
  if (has(s.IP_PKTINFO) && to !== undefined) put(s.IP_PKTINFO, Uint8Array.of(LOOPBACK.index, 0, 0, 0, ...hostOf(to), ...hostOf(to)));
  if (has(s.IP_RECVTTL)) put(s.IP_TTL, Uint8Array.of(ttl, 0, 0, 0));
  if (has(s.IP_RECVTOS)) put(s.IP_TOS, Uint8Array.of(tos));
  if (has(s.IP_RECVORIGDSTADDR) && to !== undefined) put(s.IP_RECVORIGDSTADDR, to);
}

function tellInternet6(socket: LocalSocket, { to, ttl, tos }: About, control: ControlWriter): void {
  const has = (name: number): boolean => socket.option(s.IPPROTO_IPV6, name) !== 0;
  const put = (type: number, data: Uint8Array): void => control.put(s.IPPROTO_IPV6, type, data);
  if (has(s.IPV6_RECVPKTINFO) && to !== undefined) put(s.IPV6_PKTINFO, Uint8Array.of(...to.subarray(8, 24), LOOPBACK.index, 0, 0, 0));
  if (has(s.IPV6_RECVHOPLIMIT)) put(s.IPV6_HOPLIMIT, Uint8Array.of(ttl, 0, 0, 0));
  if (has(s.IPV6_RECVTCLASS)) put(s.IPV6_TCLASS, Uint8Array.of(tos, 0, 0, 0));
  if (has(s.IPV6_RECVORIGDSTADDR) && to !== undefined) put(s.IPV6_RECVORIGDSTADDR, to);
}

/** As many descriptors as there is room for get numbers. */
export function giveRights(task: Task, rights: readonly Description[], control: ControlWriter, isMarked: boolean): void {
  const fits = Math.min(rights.length, control.room);
  const numbers: number[] = [];
  try {
    for (const right of rights.slice(0, fits)) numbers.push(task.files.add(right, isMarked));
  } catch (error) {
    if (!(error instanceof Errno)) throw error;
  }
  if (numbers.length > 0) control.words(s.SOL_SOCKET, s.SCM_RIGHTS, numbers);
  if (numbers.length < rights.length) control.cut = true;
}
