/** System V message queues: msgget, msgsnd, msgrcv, msgctl. */
import { CAP_SYS_RESOURCE } from '../abi/capability.ts';
import { EAGAIN, EINVAL, ENOMSG, EPERM, errno } from '../abi/errno.ts';
import * as ipc from '../abi/ipc.ts';
import type { Struct } from '../abi/struct.ts';
import { NOBODY } from '../fs/wait.ts';
import { capable } from '../proc/credentials.ts';
import { checkAccess, checkOwner } from '../proc/ipc-table.ts';
import { checkWanted, type Message, type MessageQueue } from '../proc/messages.ts';
import type { Task } from '../proc/task.ts';
import { block } from '../proc/wait.ts';
import { define } from './define.ts';
import { choice, count, flags, hex, int, intResult, loadAt, none, pointerIn, pointerOut, size, storeAt } from './kinds.ts';
import { seconds } from './semaphore.ts';

const getFlags = flags({ IPC_CREAT: ipc.IPC_CREAT, IPC_EXCL: ipc.IPC_EXCL });
const sendFlags = flags({ IPC_NOWAIT: ipc.IPC_NOWAIT });
const receiveFlags = flags({ IPC_NOWAIT: ipc.IPC_NOWAIT, MSG_NOERROR: ipc.MSG_NOERROR, MSG_EXCEPT: ipc.MSG_EXCEPT, MSG_COPY: ipc.MSG_COPY });
const command = choice({
  IPC_RMID: ipc.IPC_RMID, IPC_SET: ipc.IPC_SET, IPC_STAT: ipc.IPC_STAT, IPC_INFO: ipc.IPC_INFO, MSG_STAT: ipc.MSG_STAT,
  MSG_INFO: ipc.MSG_INFO, MSG_STAT_ANY: ipc.MSG_STAT_ANY,
});

export const msgget = define({
  name: 'msgget', args: [['key', hex], ['msgflg', getFlags]], result: intResult, support: 'full',
  handler: (task, key, how) => task.kernel.messages.get({ key, flags: how, credentials: task.credentials, now: seconds(task) }).id,
});

/** Order of errors as Linux's compat_ksys_msgsnd and do_msgsnd. */
export const msgsnd = define({
  name: 'msgsnd', args: [['msqid', int], ['msgp', pointerIn], ['msgsz', count], ['msgflg', sendFlags]], result: none, interrupted: 'fail',
  support: { partial: 'all queues together hold at most 262,144 messages and 64 MiB: ENOMEM beyond' },
  handler: (task, id, at, length, how) => {
    const { messages } = task.kernel;
    const type = task.user.readI32(at);
    if (length > ipc.MSGMAX || id < 0 || type < 1) throw errno(EINVAL);
    const bytes = task.user.read(at + 4, length).slice();
    messages.resumed(task);
    const queue = messages.table.find(id);
    checkAccess(queue, task.credentials, 0o222);
    if (messages.fits(queue, length)) return messages.send(queue, { type, bytes }, task.process.pid);
    if ((how & ipc.IPC_NOWAIT) !== 0) throw errno(EAGAIN);
    messages.awaitRoom(queue, task);
    throw block(NOBODY);
  },
  onInterrupt: (task) => {
    task.kernel.messages.finish(task);
    return undefined;
  },
});

/** Order of errors as Linux's do_msgrcv. */
function receive(task: Task, id: number, at: number, room: number, type: number, how: number): number {
  const { messages } = task.kernel;
  let got: Message | number | 'waiting' | undefined = messages.received(task);
  const most = Math.min(room, ipc.MSGMAX) + 4;
  if (got === undefined) {
    if (id < 0 || (room | 0) < 0) throw errno(EINVAL);
    checkWanted(how, (how & ipc.IPC_NOWAIT) !== 0);
    // Linux makes the copy from what lies where it is to go.
    if ((how & ipc.MSG_COPY) !== 0) task.user.read(at, Math.min(room, ipc.MSGMAX));
    const queue = messages.table.find(id);
    checkAccess(queue, task.credentials, 0o444);
    const wanted = { type: type === -0x8000_0000 ? -0x7fff_ffff : type, flags: how, room };
    // Brings the pages in before anything is taken: the call may have to run again for them.
    task.user.probe(at, most, 'write');
    got = messages.take(queue, wanted, task.process.pid);
    if (got === undefined) {
      if ((how & ipc.IPC_NOWAIT) !== 0) throw errno(ENOMSG);
      messages.awaitMessage(queue, task, task.process.pid, wanted);
      throw block(NOBODY);
    }
  }
  if (got === 'waiting') throw block(NOBODY);
  task.user.probe(at, most, 'write');
  messages.finish(task);
  if (typeof got === 'number') throw errno(got);
  const part = got.bytes.subarray(0, room);
  task.user.writeU32(at, got.type);
  task.user.write(at + 4, part);
  return part.length;
}

/** A handler has come between: a message that has been given by then is received. */
function interrupted(task: Task, id: number, at: number, room: number, type: number, how: number): number | undefined {
  const got = task.kernel.messages.received(task);
  if (got !== undefined && got !== 'waiting') return receive(task, id, at, room, type, how);
  task.kernel.messages.finish(task);
  return undefined;
}

export const msgrcv = define({
  name: 'msgrcv', args: [['msqid', int], ['msgp', pointerOut], ['msgsz', count], ['msgtyp', int], ['msgflg', receiveFlags]], result: size,
  support: 'full', interrupted: 'fail', handler: receive, onInterrupt: interrupted,
});

// ---- msgctl --------------------------------------------------------------------------------------------------------------------

const NO_PADDING = {
  pad1: 0, pad2: 0, unused1: 0, unused2: 0, unused4: 0, unused5: 0, stimeHigh: 0, rtimeHigh: 0, ctimeHigh: 0, first: 0, last: 0,
};

function statOf(queue: MessageQueue<Task>): ipc.QueueStat {
  const { key, uid, gid, cuid, cgid, mode, id, stime, rtime, ctime, bytes, messages, mostBytes, lspid, lrpid } = queue;
  const perm = { key, uid, gid, cuid, cgid, mode, seq: id >> ipc.INDEX_BITS };
  return { ...perm, stime, rtime, ctime, cbytes: bytes, qnum: messages.length, qbytes: mostBytes, lspid, lrpid };
}

function info(task: Task, what: number, at: number): number {
  const { table, held } = task.kernel.messages;
  const used = what === ipc.MSG_INFO;
  const { MSGPOOL, MSGMNB, MSGMAX, MSGMNI, MSGSSZ } = ipc;
  const [pool, map, headers] = used ? [table.size, held.messages, held.bytes] : [MSGPOOL, MSGMNB, MSGMNB];
  const words = Int32Array.of(pool, map, MSGMAX, MSGMNB, MSGMNI, MSGSSZ, headers, ipc.MSGSEG);
  task.user.write(at, new Uint8Array(words.buffer));
  return table.highestIndex;
}

/** What IPC_SET takes from either structure. The old one has two places for the size. */
function settings(task: Task, at: number, wide: boolean): ipc.QueueStat {
  if (wide) return loadAt(task, at, ipc.msqidDs64 as Struct<ipc.QueueStat>);
  const old = loadAt(task, at, ipc.msqidDs);
  return { ...old, qbytes: old.qbytes === 0 ? old.longQbytes : old.qbytes };
}

function control(task: Task, id: number, what: number, at: number, wide: boolean): number {
  const { messages } = task.kernel;
  if (id < 0 || what < 0) throw errno(EINVAL);
  switch (what) {
    case ipc.IPC_INFO:
    case ipc.MSG_INFO: return info(task, what, at);
    case ipc.IPC_STAT:
    case ipc.MSG_STAT:
    case ipc.MSG_STAT_ANY: {
      const queue = what === ipc.IPC_STAT ? messages.table.find(id) : messages.table.atIndex(id);
      if (what !== ipc.MSG_STAT_ANY) checkAccess(queue, task.credentials, 0o444);
      const stat = statOf(queue);
      const both = { ...stat, ...NO_PADDING, longCbytes: 0, longQbytes: 0 };
      if (wide) storeAt(task, at, ipc.msqidDs64, both);
      else storeAt(task, at, ipc.msqidDs, both);
      return what === ipc.IPC_STAT ? 0 : queue.id;
    }
    case ipc.IPC_SET: {
      const { uid, gid, mode, qbytes } = settings(task, at, wide);
      const queue = messages.table.find(id);
      checkOwner(queue, task.credentials);
      if (qbytes > ipc.MSGMNB && !capable(task.credentials, CAP_SYS_RESOURCE)) throw errno(EPERM);
      Object.assign(queue, { uid, gid, mode: (queue.mode & ~0o777) | (mode & 0o777), mostBytes: qbytes });
      messages.changed(queue);
      return 0;
    }
    case ipc.IPC_RMID: {
      const queue = messages.table.find(id);
      checkOwner(queue, task.credentials);
      messages.remove(queue);
      return 0;
    }
    default: throw errno(EINVAL);
  }
}

const msgctl = define({
  name: 'msgctl', args: [['msqid', int], ['cmd', command], ['buf', pointerOut]], result: intResult, support: 'full',
  handler: (task, id, what, at) => control(task, id, what & ~ipc.IPC_64, at, true),
});
/** As ipc(2) has it: which structures are meant is a bit of the command. */
export const oldMsgctl = define({
  name: 'msgctl', args: [['msqid', int], ['cmd', command], ['buf', pointerOut]], result: intResult, support: 'full',
  handler: (task, id, what, at) => control(task, id, what & ~ipc.IPC_64, at, (what & ipc.IPC_64) !== 0),
});

export const calls = [msgget, msgsnd, msgrcv, msgctl];
