/** /proc/net: the machine's own sockets, which are those that somebody has open, and its one interface, the loopback. */
import { AF_INET, AF_INET6, AF_UNIX, SOCK_DGRAM, SOCK_STREAM } from '../../abi/socket.ts';
import { LocalSocket } from '../../fs/socket.ts';
import { type Address, portOf } from '../../fs/socket-names.ts';
import type { Kernel } from '../../proc/task.ts';

/** Every open socket once. */
function sockets(kernel: Kernel): LocalSocket[] {
  const found = new Set<LocalSocket>();
  for (const { files } of kernel.tasks.values()) {
    for (const fd of files.open()) {
      const description = files.get(fd);
      if (!description.isPathOnly && description.file instanceof LocalSocket) found.add(description.file);
    }
  }
  return [...found].sort((a, b) => Number(a.vnode.stat().ino - b.vnode.stat().ino));
}

export const NET_FILES: Readonly<Record<string, (kernel: Kernel) => string>> = {
  arp: () => 'IP address       HW type     Flags       HW address            Mask     Device\n',
  dev: () => DEVICES,
  if_inet6: () => '00000000000000000000000000000001 01 80 10 80       lo\n',
  packet: () => 'sk               RefCnt Type Proto  Iface R Rmem   User   Inode\n',
  raw: () => `${HEAD_4} ref pointer drops\n`,
  raw6: () => `${HEAD_6} ref pointer drops\n`,
  route: () => `${'Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT'.padEnd(127)}\n`,
  sockstat: (kernel) => sockstatText(kernel),
  tcp: (kernel) => tcpText(kernel, AF_INET),
  tcp6: (kernel) => tcpText(kernel, AF_INET6),
  udp: (kernel) => udpText(kernel, AF_INET),
  udp6: (kernel) => udpText(kernel, AF_INET6),
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
  const { local, remote, queued, credentials, vnode, family } = socket;
  const receive = hex(socket.listening ? socket.waiting : queued, 8);
  const ends = `${endText(family, local)} ${endText(family, remote)} ${hex(stateOf(socket), 2)}`;
  return `${ends} 00000000:${receive} 00:00000000 00000000 ${String(credentials.uid).padStart(5)} ${'0'.padStart(8)} ${vnode.stat().ino}`;
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

function sockstatText(kernel: Kernel): string {
  const all = sockets(kernel);
  const tcp = all.filter(({ family, type }) => family === AF_INET && type === SOCK_STREAM).length;
  const udp = all.filter(({ family, type }) => family === AF_INET && type === SOCK_DGRAM).length;
  return (
    `sockets: used ${all.length}\nTCP: inuse ${tcp} orphan 0 tw 0 alloc ${tcp} mem 0\nUDP: inuse ${udp} mem 0\n` +
    'UDPLITE: inuse 0\nRAW: inuse 0\nFRAG: inuse 0 memory 0\n'
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
      return `${'0'.repeat(16)}: ${numbers} ${String(socket.vnode.stat().ino).padStart(5)}${name === '' ? '' : ` ${name}`}\n`;
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
