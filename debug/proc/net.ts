/** /proc/net: the machine's own sockets, which are those that somebody has open, and its one interface, the loopback. */
import { AF_INET, AF_INET6, AF_PACKET, AF_UNIX, SOCK_DGRAM, SOCK_RAW, SOCK_STREAM } from '../../abi/socket.ts';
import { NetlinkPort } from '../../fs/netlink.ts';
import type { LocalSocket } from '../../fs/socket.ts';
import { type Address, portOf } from '../../fs/socket-names.ts';
import type { Kernel } from '../../proc/task.ts';
import { NET_TABLES } from './net-tables.ts';

/** Every open socket, those on their way in messages and those that nobody has accepted yet included. */
function sockets(kernel: Kernel): LocalSocket[] {
  return [...kernel.files.sockets.all].sort((a, b) => Number(a.vnode.stat().ino - b.vnode.stat().ino));
}

/** Nobody knows the number of a connection that is not accepted. */
function inodeOf({ vnode, awaits }: LocalSocket): bigint {
  return awaits === undefined ? vnode.stat().ino : 0n;
}

export const NET_FILES: Readonly<Record<string, (kernel: Kernel) => string>> = {
  arp: () => 'IP address       HW type     Flags       HW address            Mask     Device\n',
  dev: () => DEVICES,
  if_inet6: () => '00000000000000000000000000000001 01 80 10 80       lo\n',
  ...Object.fromEntries(Object.entries(NET_TABLES).map(([name, text]) => [name, () => text])),
  icmp: () => `${`${HEAD_4} ref pointer drops`.padEnd(UDP_WIDTH)}\n`,
  icmp6: () => `${HEAD_6} ref pointer drops\n`,
  netlink: (kernel) => netlinkText(kernel),
  packet: (kernel) => packetText(kernel),
  raw: (kernel) => rawText(kernel, AF_INET, `${HEAD_4} ref pointer drops\n`),
  raw6: (kernel) => rawText(kernel, AF_INET6, `${HEAD_6} ref pointer drops\n`),
  route: () => `${'Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT'.padEnd(127)}\n`,
  sockstat: (kernel) => sockstatText(kernel),
  sockstat6: (kernel) => sockstat6Text(kernel),
  tcp: (kernel) => tcpText(kernel, AF_INET),
  tcp6: (kernel) => tcpText(kernel, AF_INET6),
  udp: (kernel) => udpText(kernel, AF_INET),
  udp6: (kernel) => udpText(kernel, AF_INET6),
  udplite: () => `${` ${HEAD_4} ref pointer drops`.padEnd(UDP_WIDTH)}\n`,
  udplite6: () => `${HEAD_6} ref pointer drops\n`,
  unix: (kernel) => unixText(kernel),
};

/** The loopback counts nothing: what goes over it never becomes packets. */
const DEVICES = [
  'Inter-|   Receive                                                |  Transmit',
  ' face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed',
  '    lo:       0       0    0    0    0     0          0         0        0       0    0    0    0     0       0          0',
  '',
].join('\n');

// ---- Internet --------------------------------------------------------------------------------------------------------------------------

/** Widths to which Linux fills the lines of tcp and udp (TMPSZ); those of IPv6 are not filled. */
const TCP_WIDTH = 149,
  UDP_WIDTH = 127;

const HEAD_4 = '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode';
const HEAD_6 = `  sl  local_address                         remote_address                        ${HEAD_4.slice(HEAD_4.indexOf('st tx_queue'))}`;

/** TCP_ESTABLISHED, TCP_SYN_SENT, TCP_CLOSE, TCP_CLOSE_WAIT, TCP_LISTEN. */
const ESTABLISHED = 1,
  SYN_SENT = 2,
  CLOSE = 7,
  CLOSE_WAIT = 8,
  LISTEN = 10;

function stateOf(socket: LocalSocket): number {
  if (socket.listening) return LISTEN;
  if (socket.connecting) return SYN_SENT;
  if (!socket.isConnected) return CLOSE;
  return socket.type === SOCK_STREAM && socket.hasEnded ? CLOSE_WAIT : ESTABLISHED;
}

function inetSockets(kernel: Kernel, family: number, type: number): LocalSocket[] {
  return sockets(kernel).filter((socket) => socket.family === family && socket.type === type && socket.local !== undefined);
}

function tcpText(kernel: Kernel, family: number): string {
  const rows = inetSockets(kernel, family, SOCK_STREAM).map((socket, n) => {
    const isListening = socket.listening;
    const tail = isListening ? '1 0000000000000000 100 0 0 10 0' : '1 0000000000000000 20 4 30 10 -1';
    const line = `${String(n).padStart(4)}: ${inetLine(socket)} ${tail}`;
    return `${family === AF_INET ? line.padEnd(TCP_WIDTH) : line}\n`;
  });
  const head = family === AF_INET ? HEAD_4.padEnd(TCP_WIDTH) : HEAD_6;
  return `${head}\n${rows.join('')}`;
}

function udpText(kernel: Kernel, family: number): string {
  const rows = inetSockets(kernel, family, SOCK_DGRAM).map((socket, n) => {
    const line = `${String(n).padStart(5)}: ${inetLine(socket)} 2 0000000000000000 0`;
    return `${family === AF_INET ? line.padEnd(UDP_WIDTH) : line}\n`;
  });
  const head = family === AF_INET ? ` ${HEAD_4} ref pointer drops`.padEnd(UDP_WIDTH) : `${HEAD_6} ref pointer drops`;
  return `${head}\n${rows.join('')}`;
}

/** Addresses, state, queues, timer, owner and inode. */
function inetLine(socket: LocalSocket): string {
  const { local, remote, queued, credentials, family } = socket;
  const receive = hex(socket.listening ? socket.waiting : queued, 8);
  const ends = `${endText(family, local)} ${endText(family, remote)} ${hex(stateOf(socket), 2)}`;
  return `${ends} 00000000:${receive} 00:00000000 00000000 ${String(credentials.uid).padStart(5)} ${'0'.padStart(8)} ${inodeOf(socket)}`;
}

/** Words of the address as a little-endian machine prints them, and the port. */
function endText(family: number, address: Address | undefined): string {
  const [from, size] = family === AF_INET ? [4, 4] : [8, 16];
  if (address === undefined) return `${'0'.repeat(size * 2)}:0000`;
  const view = new DataView(address.buffer, address.byteOffset + from, size);
  let text = '';
  for (let at = 0; at < size; at += 4) text += hex(view.getUint32(at, true), 8);
  return `${text}:${hex(portOf(address), 4)}`;
}

function rawText(kernel: Kernel, family: number, head: string): string {
  const rows = inetSockets(kernel, family, SOCK_RAW).map(
    (socket, n) => `${String(n).padStart(4)}: ${inetLine(socket)} 2 0000000000000000 0\n`,
  );
  return head + rows.join('');
}

function sockstat6Text(kernel: Kernel): string {
  const count = (type: number): number => sockets(kernel).filter((socket) => socket.family === AF_INET6 && socket.type === type).length;
  return `TCP6: inuse ${count(SOCK_STREAM)}\nUDP6: inuse ${count(SOCK_DGRAM)}\nUDPLITE6: inuse 0\nRAW6: inuse ${count(SOCK_RAW)}\nFRAG6: inuse 0 memory 0\n`;
}

/** Addresses in the kernel are nobody's business. */
const POINTER = '0'.repeat(16);

function packetText(kernel: Kernel): string {
  const rows = sockets(kernel).filter(({ family }) => family === AF_PACKET);
  const cell = (value: number | bigint, width: number): string => String(value).padEnd(width);
  const lines = rows.map((socket) => {
    const { type, protocol, queued, credentials } = socket;
    const head = `${POINTER} ${cell(3, 6)} ${cell(type, 4)} ${hex(protocol, 4).toLowerCase()}   ${cell(0, 5)} 1`;
    return `${head} ${cell(queued, 6)} ${cell(credentials.uid, 6)} ${cell(inodeOf(socket), 6)}\n`;
  });
  return `sk               RefCnt Type Proto  Iface R Rmem   User   Inode\n${lines.join('')}`;
}

function netlinkText(kernel: Kernel): string {
  const cell = (value: number | bigint, width: number): string => String(value).padEnd(width);
  const lines = sockets(kernel).flatMap((socket) => {
    const { service, protocol, queued } = socket;
    if (!(service instanceof NetlinkPort)) return [];
    const who = `${cell(protocol, 3)} ${cell(service.port, 10)} ${hex(service.groupBits, 8).toLowerCase()}`;
    return `${POINTER} ${who} ${cell(queued, 8)} ${cell(0, 8)} ${cell(0, 5)} ${cell(2, 8)} ${cell(0, 8)} ${cell(inodeOf(socket), 8)}\n`;
  });
  return `sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode\n${lines.join('')}`;
}

function sockstatText(kernel: Kernel): string {
  const all = sockets(kernel);
  const tcp = all.filter(({ family, type }) => family === AF_INET && type === SOCK_STREAM).length;
  const udp = all.filter(({ family, type }) => family === AF_INET && type === SOCK_DGRAM).length;
  return (
    `sockets: used ${all.length}\nTCP: inuse ${tcp} orphan 0 tw 0 alloc ${tcp} mem 0\nUDP: inuse ${udp} mem 0\n` +
    `UDPLITE: inuse 0\nRAW: inuse ${all.filter(({ family, type }) => family === AF_INET && type === SOCK_RAW).length}\nFRAG: inuse 0 memory 0\n`
  );
}

// ---- Unix ------------------------------------------------------------------------------------------------------------------------------

const ACCEPTS = 0x10000;

function unixText(kernel: Kernel): string {
  const rows = sockets(kernel)
    .filter(({ family }) => family === AF_UNIX)
    .map((socket) => {
      const name = nameOf(socket.local);
      const state = socket.isConnected && !socket.listening ? 3 : socket.connecting ? 2 : 1;
      const references = socket.isConnected ? 3 : 2;
      const flags = socket.listening ? ACCEPTS : 0;
      const numbers = `${hex(references, 8)} ${hex(0, 8)} ${hex(flags, 8)} ${hex(socket.type, 4)} ${hex(state, 2)}`;
      return `${'0'.repeat(16)}: ${numbers} ${String(inodeOf(socket)).padStart(5)}${name === '' ? '' : ` ${name}`}\n`;
    });
  return `Num       RefCount Protocol Flags    Type St Inode Path\n${rows.join('')}`;
}

/** Abstract names begin with an at sign. */
function nameOf(address: Address | undefined): string {
  if (address === undefined || address.length <= 2) return '';
  const bytes = address.subarray(2);
  const isAbstract = bytes[0] === 0;
  const end = isAbstract ? bytes.length : bytes.indexOf(0) < 0 ? bytes.length : bytes.indexOf(0);
  return String.fromCharCode(...bytes.subarray(0, end)).replaceAll('\0', '@');
}

function hex(value: number, digits: number): string {
  return value.toString(16).toUpperCase().padStart(digits, '0');
}
