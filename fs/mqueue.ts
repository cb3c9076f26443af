/** POSIX message queues: messages by priority, and one process that is told when a message comes to an empty queue. Linux: ipc/mqueue.c. */
import { EAGAIN, EEXIST, EINVAL, EMFILE, ENOENT, ENOSPC, errno } from '../abi/errno.ts';
import { POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM } from '../abi/poll.ts';
import type { AnonymousVnode } from './anonymous.ts';
import type { Io, OpenFile, Vnode, Wait } from './vnode.ts';
import { Waiters } from './wait.ts';

/** fs.mqueue.queues_max. */
const MOST_QUEUES = 256;
/** What a message costs beyond its bytes, as RLIMIT_MSGQUEUE counts. */
const MESSAGE_COST = 104;

export interface QueueSize {
  readonly maxmsg: number;
  readonly msgsize: number;
}

export interface Queued {
  readonly priority: number;
  readonly bytes: Uint8Array;
}

/** Who is told, and how: once. */
export interface Registration {
  readonly owner: object;
  /** The descriptors of the owner: it is forgotten when one of them that names the queue is closed. */
  readonly files: object;
  /** SIGEV_ way, signal and process, as reading the queue's file shows them. */
  readonly notify: number;
  readonly signo: number;
  readonly pid: number;
  fire(sender: { readonly pid: number; readonly uid: number }): void;
  /** It is taken back without a message having come. */
  removed(): void;
}

export class PosixQueue {
  readonly name: string;
  readonly size: QueueSize;
  readonly vnode: AnonymousVnode;
  registration: Registration | undefined;
  /** Highest priority first, and of one priority the oldest. */
  private readonly messages: Queued[] = [];
  private readonly arrived: Waiters = new Waiters();
  private readonly room: Waiters = new Waiters();
  readonly changes: Waiters = new Waiters();
  /** Openings; with none left and no name it is over. */
  users = 0;

  constructor(name: string, size: QueueSize, vnode: AnonymousVnode) {
    this.name = name;
    this.size = size;
    this.vnode = vnode;
  }

  get count(): number {
    return this.messages.length;
  }

  /** Bytes it counts against RLIMIT_MSGQUEUE. */
  get cost(): number {
    return this.size.maxmsg * (this.size.msgsize + MESSAGE_COST);
  }

  get bytes(): number {
    return this.messages.reduce((sum, { bytes }) => sum + bytes.length, 0);
  }

  /** Nobody is told any more. */
  forget(): void {
    const { registration } = this;
    this.registration = undefined;
    registration?.removed();
  }

  /** A wait where it is full. */
  send(message: Queued, nonblocking: boolean, sender: { readonly pid: number; readonly uid: number }): Wait | undefined {
    if (this.messages.length >= this.size.maxmsg) {
      if (nonblocking) throw errno(EAGAIN);
      return { kind: 'wait', on: this.room };
    }
    let at = this.messages.length;
    while (at > 0 && this.messages[at - 1].priority < message.priority) at--;
    this.messages.splice(at, 0, message);
    const isAwaited = this.arrived.size > 0;
    if (this.messages.length === 1 && !isAwaited && this.registration !== undefined) {
      const told = this.registration;
      this.registration = undefined;
      told.fire(sender);
    }
    this.arrived.wakeAll();
    this.changes.wakeAll(POLLIN | POLLRDNORM);
    return undefined;
  }

  receive(nonblocking: boolean): Queued | Wait {
    const first = this.messages.shift();
    if (first === undefined) {
      if (nonblocking) throw errno(EAGAIN);
      return { kind: 'wait', on: this.arrived };
    }
    this.room.wakeAll();
    this.changes.wakeAll(POLLOUT | POLLWRNORM);
    return first;
  }
}

/** One opening of a queue. Reading its bytes tells about it; its messages have calls of their own. */
export class QueueFile implements OpenFile {
  readonly vnode: Vnode;
  readonly seekable = true;
  readonly label: string;
  readonly queue: PosixQueue;
  private readonly onClose: () => void;

  constructor(queue: PosixQueue, onClose: () => void) {
    this.queue = queue;
    this.vnode = queue.vnode;
    this.label = `/${queue.name}`;
    this.onClose = onClose;
    queue.users++;
  }

  get changes(): Waiters {
    return this.queue.changes;
  }

  read(into: Uint8Array, position: number): Io {
    const { bytes, registration } = this.queue;
    const told = [registration?.notify ?? 0, registration?.signo ?? 0, registration?.pid ?? 0];
    const [notify, signo, pid] = [String(told[0]).padEnd(5), String(told[1]).padEnd(5), String(told[2]).padEnd(6)];
    const text = `QSIZE:${String(bytes).padEnd(10)} NOTIFY:${notify} SIGNO:${signo} NOTIFY_PID:${pid}\n`.slice(
      position,
      position + into.length,
    );
    for (let i = 0; i < text.length; i++) into[i] = text.charCodeAt(i);
    return text.length;
  }

  write(): number {
    throw errno(EINVAL);
  }

  poll(): number {
    const { count, size } = this.queue;
    return (count > 0 ? POLLIN | POLLRDNORM : 0) | (count < size.maxmsg ? POLLOUT | POLLWRNORM : 0);
  }

  close(): void {
    this.queue.users--;
    this.onClose();
  }
}

/** All queues of a machine, by name. */
export class PosixQueues {
  private readonly named: Map<string, PosixQueue> = new Map();
  private readonly all: Set<PosixQueue> = new Set();

  names(): Iterable<string> {
    return this.named.keys();
  }

  find(name: string): PosixQueue | undefined {
    return this.named.get(name);
  }

  /** Throws ENOSPC, or EMFILE where all queues would have more than `limit` bytes. */
  add(queue: PosixQueue, limit: bigint, mayExceed: boolean): void {
    if (this.named.has(queue.name)) throw errno(EEXIST);
    if (this.all.size >= MOST_QUEUES && !mayExceed) throw errno(ENOSPC);
    const held = [...this.all].reduce((sum, { cost }) => sum + cost, 0);
    if (BigInt(held + queue.cost) > limit) throw errno(EMFILE);
    this.named.set(queue.name, queue);
    this.all.add(queue);
  }

  open(queue: PosixQueue): QueueFile {
    return new QueueFile(queue, () => this.drop(queue));
  }

  /** Throws ENOENT. */
  unlink(name: string): void {
    const queue = this.named.get(name);
    if (queue === undefined) throw errno(ENOENT);
    this.named.delete(name);
    this.drop(queue);
  }

  private drop(queue: PosixQueue): void {
    if (queue.users === 0 && this.named.get(queue.name) !== queue) this.all.delete(queue);
  }
}
