/** System V semaphores: semget, semop and its timed forms, semctl. */
import { E2BIG, EAGAIN, EINVAL, ERANGE, errno } from '../abi/errno.ts';
import * as ipc from '../abi/ipc.ts';
import type { Layout, Struct } from '../abi/struct.ts';
import { isValidTime, type Timespec, timespec32, timespec64, toNanoseconds } from '../abi/time.ts';
import { NOBODY } from '../fs/wait.ts';
import { checkAccess, checkOwner } from '../proc/ipc-table.ts';
import type { SemaphoreSet } from '../proc/semaphores.ts';
import type { Task } from '../proc/task.ts';
import { block } from '../proc/wait.ts';
import { define } from './define.ts';
import { choice, flags, hex, int, intResult, loadAt, none, pointerIn, pointerOut, storeAt, uint } from './kinds.ts';

const getFlags = flags({ IPC_CREAT: ipc.IPC_CREAT, IPC_EXCL: ipc.IPC_EXCL });
const command = choice({
  IPC_RMID: ipc.IPC_RMID, IPC_SET: ipc.IPC_SET, IPC_STAT: ipc.IPC_STAT, IPC_INFO: ipc.IPC_INFO, GETPID: ipc.GETPID, GETVAL: ipc.GETVAL,
  GETALL: ipc.GETALL, GETNCNT: ipc.GETNCNT, GETZCNT: ipc.GETZCNT, SETVAL: ipc.SETVAL, SETALL: ipc.SETALL, SEM_STAT: ipc.SEM_STAT,
  SEM_INFO: ipc.SEM_INFO, SEM_STAT_ANY: ipc.SEM_STAT_ANY,
});

export function seconds(task: Task): number {
  return Number(task.kernel.clock.realtime() / 1_000_000_000n);
}

export const semget = define({
  name: 'semget', args: [['key', hex], ['nsems', int], ['semflg', getFlags]], result: intResult,
  support: { partial: 'at most 4,096,000 semaphores in all' },
  handler: (task, key, count, how) =>
    task.kernel.semaphores.get({ key, flags: how, credentials: task.credentials, now: seconds(task) }, count).id,
});

/** Order of errors as Linux's do_semtimedop. A waiting call that runs again only fetches what became of it. */
function operate(task: Task, id: number, at: number, count: number, timeout_ns: bigint | 'invalid' | undefined): void {
  const { semaphores } = task.kernel;
  let outcome = semaphores.outcome(task);
  if (outcome === undefined) {
    if (count > ipc.SEMOPM) throw errno(E2BIG);
    if (count < 1) throw errno(EINVAL);
    const operations = Array.from({ length: count }, (_, i) => loadAt(task, at + i * ipc.sembuf.size, ipc.sembuf));
    if (id < 0 || timeout_ns === 'invalid') throw errno(EINVAL);
    if (semaphores.operate(task, task.process, task.process.pid, task.credentials, id, operations)) return;
    outcome = 'waiting';
  }
  const deadline = typeof timeout_ns === 'bigint' ? task.deadlineAfter(timeout_ns) : undefined;
  if (outcome === 'waiting' && !task.expired) throw block(NOBODY, deadline);
  semaphores.finish(task);
  if (outcome !== 0) throw errno(outcome === 'waiting' ? EAGAIN : outcome);
}

/** A handler has come between: what has been done by then is done. */
function interrupted(task: Task): number | undefined {
  const outcome = task.kernel.semaphores.outcome(task);
  task.kernel.semaphores.finish(task);
  if (typeof outcome !== 'number') return undefined;
  return outcome === 0 ? 0 : -outcome;
}

export const semop = define({
  name: 'semop', args: [['semid', int], ['sops', pointerIn], ['nsops', uint]], result: none, support: 'full', interrupted: 'always',
  handler: (task, id, at, count) => operate(task, id, at, count, undefined),
  onInterrupt: interrupted,
});

function semtimedop(name: string, layout: Layout<Timespec>) {
  return define({
    name, args: [['semid', int], ['sops', pointerIn], ['nsops', uint], ['timeout', pointerIn]], result: none, support: 'full',
    interrupted: 'always',
    handler: (task, id, at, count, timeout) => {
      const time = timeout === 0 ? undefined : loadAt(task, timeout, layout);
      operate(task, id, at, count, time === undefined ? undefined : isValidTime(time) ? toNanoseconds(time) : 'invalid');
    },
    onInterrupt: interrupted,
  });
}
export const semtimedop32 = semtimedop('semtimedop', timespec32);
const semtimedop64 = semtimedop('semtimedop_time64', timespec64);

// ---- semctl --------------------------------------------------------------------------------------------------------------------

const NO_PADDING = {
  pad1: 0, pad2: 0, unused1: 0, unused2: 0, unused3: 0, unused4: 0, otimeHigh: 0, ctimeHigh: 0, base: 0, pending: 0, pendingLast: 0, undo: 0,
};

function statOf({ key, uid, gid, cuid, cgid, mode, id, otime, ctime, values }: SemaphoreSet<Task>): ipc.SemaphoreStat {
  return { key, uid, gid, cuid, cgid, mode, seq: id >> ipc.INDEX_BITS, otime, ctime, nsems: values.length };
}

function info(task: Task, what: number, at: number): number {
  const { semaphores } = task.kernel;
  const used = what === ipc.SEM_INFO;
  const { SEMMNS, SEMMNI, SEMMSL, SEMOPM, SEMVMX } = ipc;
  const sizes = used ? [semaphores.table.size, SEMVMX, semaphores.count] : [ipc.SEMUSZ, SEMVMX, ipc.SEMAEM];
  const words = Int32Array.of(SEMMNS, SEMMNI, SEMMNS, SEMMNS, SEMMSL, SEMOPM, SEMOPM, ...sizes);
  task.user.write(at, new Uint8Array(words.buffer));
  return semaphores.table.highestIndex;
}

/** Linux: semctl_main and semctl_setval. */
function ofOne(task: Task, set: SemaphoreSet<Task>, num: number, what: number, at: number): number {
  const { semaphores } = task.kernel;
  const sets = what === ipc.SETVAL || what === ipc.SETALL;
  if (what === ipc.SETVAL && (num < 0 || num >= set.values.length)) throw errno(EINVAL);
  checkAccess(set, task.credentials, sets ? 0o222 : 0o444);
  if (what === ipc.GETALL) {
    task.user.write(at, new Uint8Array(Uint16Array.from(set.values).buffer));
    return 0;
  }
  if (what === ipc.SETALL) {
    const bytes = task.user.read(at, set.values.length * 2);
    const values = new Uint16Array(bytes.slice().buffer);
    if (values.some((value) => value > ipc.SEMVMX)) throw errno(ERANGE);
    semaphores.assign(set, 0, values, task.process.pid);
    return 0;
  }
  if (num < 0 || num >= set.values.length) throw errno(EINVAL);
  switch (what) {
    case ipc.GETVAL: return set.values[num];
    case ipc.GETPID: return set.pids[num];
    case ipc.GETNCNT: return semaphores.waitingFor(set, num, false);
    case ipc.GETZCNT: return semaphores.waitingFor(set, num, true);
    default:
      semaphores.assign(set, num, [at | 0], task.process.pid);
      return 0;
  }
}

function control(task: Task, id: number, num: number, what: number, at: number, wide: boolean): number {
  const { semaphores } = task.kernel;
  if (id < 0) throw errno(EINVAL);
  switch (what) {
    case ipc.IPC_INFO:
    case ipc.SEM_INFO: return info(task, what, at);
    case ipc.IPC_STAT:
    case ipc.SEM_STAT:
    case ipc.SEM_STAT_ANY: {
      const set = what === ipc.IPC_STAT ? semaphores.table.find(id) : semaphores.table.atIndex(id);
      if (what !== ipc.SEM_STAT_ANY) checkAccess(set, task.credentials, 0o444);
      const stat = { ...statOf(set), ...NO_PADDING };
      if (wide) storeAt(task, at, ipc.semidDs64, stat);
      else storeAt(task, at, ipc.semidDs, stat);
      return what === ipc.IPC_STAT ? 0 : set.id;
    }
    case ipc.SETVAL:
      if ((at | 0) < 0 || at > ipc.SEMVMX) throw errno(ERANGE);
      return ofOne(task, semaphores.table.find(id), num, what, at);
    case ipc.GETALL:
    case ipc.GETVAL:
    case ipc.GETPID:
    case ipc.GETNCNT:
    case ipc.GETZCNT:
    case ipc.SETALL: return ofOne(task, semaphores.table.find(id), num, what, at);
    case ipc.IPC_SET: {
      const layout = (wide ? ipc.semidDs64 : ipc.semidDs) as Struct<ipc.SemaphoreStat>;
      const { uid, gid, mode } = loadAt(task, at, layout);
      const set = semaphores.table.find(id);
      checkOwner(set, task.credentials);
      Object.assign(set, { uid, gid, mode: (set.mode & ~0o777) | (mode & 0o777), ctime: seconds(task) });
      return 0;
    }
    case ipc.IPC_RMID: {
      const set = semaphores.table.find(id);
      checkOwner(set, task.credentials);
      semaphores.remove(set);
      return 0;
    }
    default: throw errno(EINVAL);
  }
}

const semctl = define({
  name: 'semctl', args: [['semid', int], ['semnum', int], ['cmd', command], ['arg', pointerOut]], result: intResult, support: 'full',
  handler: (task, id, num, what, at) => control(task, id, num, what & ~ipc.IPC_64, at, true),
});
/** As ipc(2) has it: which structures are meant is a bit of the command. */
export const oldSemctl = define({
  name: 'semctl', args: [['semid', int], ['semnum', int], ['cmd', command], ['arg', pointerOut]], result: intResult, support: 'full',
  handler: (task, id, num, what, at) => control(task, id, num, what & ~ipc.IPC_64, at, (what & ipc.IPC_64) !== 0),
});

export const calls = [semget, semctl, semtimedop64];
