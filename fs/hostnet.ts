/** The host's network through Node: what `--net host` gives the guest beyond its loopback. Events come between slices, never during one. */
import dgram from 'node:dgram';
import net from 'node:net';
import * as e from '../abi/errno.ts';
import { AF_INET, AF_INET6 } from '../abi/socket.ts';
import type { DatagramEvents, HostConnection, HostDatagrams, HostNetwork, ServerEvents, StreamEvents } from './network.ts';
import { type Address, familyOf, inetAddress, portOf } from './socket-names.ts';

/** Node's own words for errors; what it does not name is EIO. */
function codeOf(error: Error): number {
  const { code } = error as NodeJS.ErrnoException;
  const known: unknown = code === undefined ? undefined : (e as unknown as Record<string, unknown>)[code];
  return typeof known === 'number' ? known : e.EIO;
}

function hostOf(address: Address): string {
  if (familyOf(address) === AF_INET) return address.subarray(4, 8).join('.');
  const groups: string[] = [];
  for (let at = 8; at < 24; at += 2) groups.push(((address[at] << 8) | address[at + 1]).toString(16));
  return groups.join(':');
}

/** An address as Node says it, for a socket of this family. */
export function addressOf(family: number, host: string, port: number): Address {
  const address = inetAddress(family, port, true);
  const plain = host.replace(/%.*$/, '');
  const quad = /(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(plain);
  const bytes = quad?.slice(1).map(Number);
  if (family === AF_INET) {
    if (bytes !== undefined) address.set(bytes, 4);
    return address;
  }
  if (bytes !== undefined) {
    address.set([0xff, 0xff, ...bytes], 18);
    return address;
  }
  const [head, tail] = plain.split('::').map((part) => part.split(':').filter((group) => group !== ''));
  head.forEach((group, i) => address.set([Number.parseInt(group, 16) >> 8, Number.parseInt(group, 16) & 0xff], 8 + 2 * i));
  const last = tail ?? [];
  last.forEach((group, i) => address.set([Number.parseInt(group, 16) >> 8, Number.parseInt(group, 16) & 0xff], 24 - 2 * (last.length - i)));
  return address;
}

/** How often and how long the end of the machine waits for what is still to be sent. */
const LOOK_MS = 10,
  LOOKS = 200;

export class NodeNetwork implements HostNetwork {
  /** Connections that may still have something to send. */
  private readonly live: Set<net.Socket> = new Set();

  connect(to: Address, events: StreamEvents): HostConnection {
    const socket = net.connect({ host: hostOf(to), port: portOf(to), allowHalfOpen: true });
    socket.setNoDelay(true);
    socket.on('connect', () => events.connected(addressOf(familyOf(to), socket.localAddress ?? '', socket.localPort ?? 0)));
    this.watch(socket, events);
    return handleOf(socket);
  }

  listen(at: Address, events: ServerEvents): { close(): void } {
    const family = familyOf(at);
    const server = net.createServer({ allowHalfOpen: true, pauseOnConnect: true }, (socket) => {
      socket.setNoDelay(true);
      const seen = events.arrived(handleOf(socket), addressOf(family, socket.remoteAddress ?? '', socket.remotePort ?? 0));
      if (seen === undefined) return void socket.destroy();
      this.watch(socket, seen);
      socket.resume();
    });
    server.on('error', (error) => events.failed(codeOf(error)));
    server.on('listening', () => events.listening());
    server.listen({ host: hostOf(at), port: portOf(at), exclusive: true });
    return { close: () => void server.close() };
  }

  datagrams(family: number, at: Address | undefined, events: DatagramEvents): HostDatagrams {
    const socket = dgram.createSocket(family === AF_INET6 ? 'udp6' : 'udp4');
    let isClosed = false;
    socket.on('message', (bytes, from) => events.received(new Uint8Array(bytes), addressOf(family, from.address, from.port)));
    socket.on('error', (error) => events.failed(codeOf(error)));
    if (at === undefined) socket.bind(0);
    else socket.bind(portOf(at), hostOf(at));
    return {
      send: (bytes, to) =>
        socket.send(bytes.slice(), portOf(to), hostOf(to), (error) => error && !isClosed && events.failed(codeOf(error))),
      close: () => {
        if (isClosed) return;
        isClosed = true;
        // What was sent last goes out in the next turn.
        setImmediate(() => socket.close());
      },
    };
  }

  async settle(): Promise<void> {
    for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve));
    for (let look = 0; look < LOOKS && [...this.live].some((socket) => socket.writableLength > 0); look++) {
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
  }

  private watch(socket: net.Socket, events: StreamEvents): void {
    let failed = 0;
    this.live.add(socket);
    socket.on('data', (bytes: Buffer) => events.bytes(new Uint8Array(bytes)));
    socket.on('drain', () => events.room());
    socket.on('end', () => events.ended());
    socket.on('error', (error) => (failed = codeOf(error)));
    socket.on('close', () => {
      this.live.delete(socket);
      events.closed(failed);
    });
  }
}

function handleOf(socket: net.Socket): HostConnection {
  return {
    write: (bytes) => socket.write(bytes.slice()),
    end: () => void socket.end(),
    close: () => void socket.destroy(),
    flow: (on) => void (on ? socket.resume() : socket.pause()),
  };
}
