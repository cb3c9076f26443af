/** System V message queues: messages with types, handed to who waits for them or kept until somebody asks. Linux: ipc/msg.c. */
import { E2BIG, EIDRM, EINVAL, ENOMEM, errno } from '../abi/errno.ts';
import { MSG_COPY, MSG_EXCEPT, MSG_NOERROR, MSGMNB, MSGMNI } from '../abi/ipc.ts';
import { type IpcObject, type IpcRequest, IpcTable } from './ipc-table.ts';

/** Of all queues together: far fewer than Linux lets there be. */
const MOST_MESSAGES = 262_144,
  MOST_BYTES = 64 << 20;

export interface Message {
  readonly type: number;
  readonly bytes: Uint8Array;
}

export interface MessageQueue<T> extends IpcObject {
  readonly messages: Message[];
  /** Bytes of all messages, and how many there may be. */
  bytes: number;
  mostBytes: number;
  /** Seconds since 1970; 0: never. */
  stime: number;
  rtime: number;
  lspid: number;
  lrpid: number;
  readonly receivers: Receiver<T>[];
  readonly senders: Set<T>;
}

/** Which message is wanted, and how much of it fits. */
export interface Wanted {
  readonly type: number;
  readonly flags: number;
  readonly room: number;
}

interface Receiver<T> {
  readonly task: T;
  readonly pid: number;
  readonly wanted: Wanted;
  /** What it gets: a message, or an errno. */
  outcome: Message | number | undefined;
}

export class Messages<T extends object> {
  readonly table: IpcTable<MessageQueue<T>> = new IpcTable(MSGMNI);
  private readonly receivers: Map<T, Receiver<T>> = new Map();
  /** Senders that wait, and whether their queue has gone. */
  private readonly senders: Map<T, MessageQueue<T> | 'removed'> = new Map();
  /** What all queues hold. */
  readonly held: { messages: number; bytes: number } = { messages: 0, bytes: 0 };
  private readonly wake: (task: T) => void;
  private readonly now: () => number;

  /** `now` in seconds since 1970. */
  constructor(wake: (task: T) => void, now: () => number) {
    this.wake = wake;
    this.now = now;
  }

  /** msgget. */
  get(request: IpcRequest): MessageQueue<T> {
    const times = { stime: 0, rtime: 0, lspid: 0, lrpid: 0 };
    return this.table.get(
      request,
      () => {},
      (basis) => ({ ...basis, messages: [], bytes: 0, mostBytes: MSGMNB, ...times, receivers: [], senders: new Set() }),
      () => {},
    );
  }

  fits(queue: MessageQueue<T>, size: number): boolean {
    return queue.bytes + size <= queue.mostBytes && queue.messages.length + 1 <= queue.mostBytes;
  }

  /** To the first that waits for such a one, or into the queue. Throws ENOMEM. */
  send(queue: MessageQueue<T>, message: Message, pid: number): void {
    if (this.held.messages >= MOST_MESSAGES || this.held.bytes + message.bytes.length > MOST_BYTES) throw errno(ENOMEM);
    queue.lspid = pid;
    queue.stime = this.now();
    for (const receiver of [...queue.receivers]) {
      if (!matches(receiver.wanted, message, 0)) continue;
      queue.receivers.splice(queue.receivers.indexOf(receiver), 1);
      const isTooBig = message.bytes.length > receiver.wanted.room && (receiver.wanted.flags & MSG_NOERROR) === 0;
      receiver.outcome = isTooBig ? E2BIG : message;
      this.wake(receiver.task);
      if (isTooBig) continue;
      queue.lrpid = receiver.pid;
      queue.rtime = this.now();
      return;
    }
    queue.messages.push(message);
    this.count(queue, 1, message.bytes.length);
  }

  /** The message that is wanted, taken out unless it is only copied; undefined where there is none. Throws E2BIG. */
  take(queue: MessageQueue<T>, wanted: Wanted, pid: number): Message | undefined {
    const at = find(queue.messages, wanted);
    if (at < 0) return undefined;
    const message = queue.messages[at];
    if (message.bytes.length > wanted.room && (wanted.flags & MSG_NOERROR) === 0) throw errno(E2BIG);
    if ((wanted.flags & MSG_COPY) !== 0) return message;
    queue.messages.splice(at, 1);
    this.count(queue, -1, -message.bytes.length);
    queue.rtime = this.now();
    queue.lrpid = pid;
    this.wakeSenders(queue);
    return message;
  }

  /** The task waits for a message; `received` will tell. */
  awaitMessage(queue: MessageQueue<T>, task: T, pid: number, wanted: Wanted): void {
    const receiver: Receiver<T> = { task, pid, wanted, outcome: undefined };
    queue.receivers.push(receiver);
    this.receivers.set(task, receiver);
  }

  /** What a waiting task has got: undefined it does not wait, 'waiting' nothing yet, else a message or an errno. */
  received(task: T): Message | number | 'waiting' | undefined {
    const receiver = this.receivers.get(task);
    return receiver === undefined ? undefined : (receiver.outcome ?? 'waiting');
  }

  /** The task waits for room. */
  awaitRoom(queue: MessageQueue<T>, task: T): void {
    queue.senders.add(task);
    this.senders.set(task, queue);
  }

  /** The queue that the task waited for room in; throws EIDRM where that has gone. */
  resumed(task: T): void {
    const queue = this.senders.get(task);
    this.senders.delete(task);
    if (queue === 'removed') throw errno(EIDRM);
    queue?.senders.delete(task);
  }

  /** The task's wait is over, however it ended. A message that it was given and has not taken is lost, as on Linux. */
  finish(task: T): void {
    const receiver = this.receivers.get(task);
    this.receivers.delete(task);
    if (receiver !== undefined) {
      for (const { receivers } of this.table.all()) {
        const at = receivers.indexOf(receiver);
        if (at >= 0) receivers.splice(at, 1);
      }
    }
    const queue = this.senders.get(task);
    this.senders.delete(task);
    if (queue !== undefined && queue !== 'removed') queue.senders.delete(task);
  }

  /** IPC_SET: other rights or another size let others go on. */
  changed(queue: MessageQueue<T>): void {
    queue.ctime = this.now();
    this.wakeSenders(queue);
  }

  /** IPC_RMID. */
  remove(queue: MessageQueue<T>): void {
    this.table.delete(queue);
    this.count(queue, -queue.messages.length, -queue.bytes);
    for (const receiver of queue.receivers.splice(0)) {
      receiver.outcome = EIDRM;
      this.wake(receiver.task);
    }
    for (const task of queue.senders) {
      this.senders.set(task, 'removed');
      this.wake(task);
    }
    queue.senders.clear();
  }

  private count(queue: MessageQueue<T>, messages: number, bytes: number): void {
    queue.bytes += bytes;
    this.held.messages += messages;
    this.held.bytes += bytes;
  }

  private wakeSenders(queue: MessageQueue<T>): void {
    for (const task of queue.senders) this.wake(task);
  }
}

/** Throws EINVAL for flags that do not go together. Linux: the head of do_msgrcv. */
export function checkWanted(flags: number, nowait: boolean): void {
  if ((flags & MSG_COPY) !== 0 && ((flags & MSG_EXCEPT) !== 0 || !nowait)) throw errno(EINVAL);
}

/** Linux: convert_mode, testmsg. `index` counts messages, for MSG_COPY. */
function matches({ type, flags }: Wanted, message: Message, index: number): boolean {
  if ((flags & MSG_COPY) !== 0) return index === type;
  if (type === 0) return true;
  if (type < 0) return message.type <= -type;
  return (flags & MSG_EXCEPT) !== 0 ? message.type !== type : message.type === type;
}

/** With a negative type the lowest one goes first. */
function find(messages: readonly Message[], wanted: Wanted): number {
  const lowestFirst = wanted.type < 0 && (wanted.flags & MSG_COPY) === 0;
  let found = -1;
  for (let at = 0; at < messages.length; at++) {
    if (!matches(wanted, messages[at], at)) continue;
    if (!lowestFirst) return at;
    if (found < 0 || messages[at].type < messages[found].type) found = at;
  }
  return found;
}
