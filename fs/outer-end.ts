/**
 * An end inside the machine that stands for somebody outside (`--net host`): a socket like any other. What arrives there goes out, and what comes in is
 * sent from there.
 */
import { EAGAIN, ECONNRESET, Errno } from '../abi/errno.ts';
import { SHUT_WR } from '../abi/socket.ts';
import type { Address, HostConnection, StreamEvents } from './network.ts';
import type { LocalSocket } from './socket.ts';

const CHUNK = 65_536;

export class OuterEnd implements StreamEvents {
  private readonly end: LocalSocket;
  private readonly onConnected: (local: Address) => void;
  private readonly onClosed: (error: number) => void;
  private connection: HostConnection | undefined;
  private waiting: Uint8Array[] = [];
  private hasEnded = false;
  private mayWrite = true;
  private isOver = false;

  /** `onClosed` is told only of connections that break off. */
  constructor(end: LocalSocket, onConnected: (local: Address) => void, onClosed: (error: number) => void) {
    this.end = end;
    this.onConnected = onConnected;
    this.onClosed = onClosed;
  }

  /** From now on bytes go both ways. */
  join(connection: HostConnection): void {
    this.connection = connection;
    this.pump();
  }

  connected(local: Address): void {
    this.onConnected(local);
    this.pump();
  }

  bytes(bytes: Uint8Array): void {
    this.waiting.push(bytes);
    this.inward();
  }

  room(): void {
    this.mayWrite = true;
    this.outward();
  }

  ended(): void {
    this.hasEnded = true;
    this.inward();
  }

  closed(error: number): void {
    if (this.isOver) return;
    this.isOver = true;
    if (error !== 0) this.onClosed(error);
    else this.ended();
  }

  private pump(): void {
    if (this.end.peer === undefined) return;
    this.end.changes.subscribe(() => this.pump());
    this.inward();
    this.outward();
  }

  private inward(): void {
    const { end, connection } = this;
    try {
      while (this.waiting.length > 0) {
        const [first] = this.waiting;
        const moved = end.send({ bytes: first, nonblocking: true, credentials: end.credentials });
        if (typeof moved !== 'number') break;
        if (moved < first.length) this.waiting[0] = first.subarray(moved);
        else this.waiting.shift();
      }
      if (this.hasEnded && this.waiting.length === 0 && end.peer !== undefined) {
        this.hasEnded = false;
        if (this.isOver) end.close();
        else end.shutdown(SHUT_WR);
      }
    } catch (error) {
      if (!(error instanceof Errno)) throw error;
      // Who should have read it has gone.
      if (error.code !== EAGAIN) connection?.close();
    }
    connection?.flow(this.waiting.length === 0);
  }

  private outward(): void {
    const { end, connection } = this;
    if (connection === undefined) return;
    try {
      while (this.mayWrite) {
        const into = new Uint8Array(CHUNK);
        const got = end.receive(into, true, false);
        if ('kind' in got) return;
        for (const right of got.rights) right.release();
        if (got.count === 0) {
          this.mayWrite = false;
          connection.end();
          return;
        }
        this.mayWrite = connection.write(into.subarray(0, got.count));
      }
    } catch (error) {
      if (!(error instanceof Errno)) throw error;
      if (error.code === ECONNRESET) connection.close();
    }
  }
}
