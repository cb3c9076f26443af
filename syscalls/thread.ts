/** What threads are made of: TLS descriptors, the LDT, tid address, robust lists, futexes, and the CPU they run on. */
import { EAGAIN, EFAULT, EINTR, EINVAL, ENOSYS, EPERM, ESRCH, ETIMEDOUT, errno } from '../abi/errno.ts';
import { isValidTime, type Timespec, timespec32, timespec64, toNanoseconds } from '../abi/time.ts';
import type { Layout } from '../abi/struct.ts';
import type { Descriptor } from '../emu/engine.ts';
import { NOBODY } from '../fs/wait.ts';
import { futexKey } from '../proc/futex-key.ts';
import type { FutexKey } from '../proc/futex.ts';
import type { Task } from '../proc/task.ts';
import {
  checkEntry, decodeDescriptor, encodeDescriptor, freeArea, isEmpty, reloadSelector, setThreadArea, threadAreaOf, type UserDesc, userDesc,
} from '../proc/thread-area.ts';
import { block } from '../proc/wait.ts';
import { define, type Kind } from './define.ts';
import { calls as rseq } from './rseq.ts';
import {
  address, choice, count, flagsText, int, intResult, loadAt, none, pid, pidResult, pointerIn, pointerOut, pointerText, sampleWord, storeAt, structInOut,
  uint,
} from './kinds.ts';

// ---- Thread areas and the LDT --------------------------------------------------------------------------------------------------

const LDT_ENTRIES = 8192, LDT_ENTRY_SIZE = 8;

/** What get_thread_area says of an entry never set. */
const NO_DESCRIPTOR: UserDesc = { entry_number: 0, base_addr: 0, limit: 0, flags: 0x28 };

const setThreadAreaCall = define({
  name: 'set_thread_area', args: [['u_info', structInOut(userDesc, 'struct user_desc')]], result: none, support: 'full',
  handler: (task, info) => {
    const wanted = loadAt(task, info, userDesc);
    const descriptor = threadAreaOf(wanted);
    let entry = wanted.entry_number;
    if (entry === 0xffffffff) {
      entry = freeArea(task.registers);
      task.user.writeU32(info, entry);
    }
    setThreadArea(task.registers, entry, descriptor);
  },
});

const getThreadArea = define({
  name: 'get_thread_area', args: [['u_info', structInOut(userDesc, 'struct user_desc')]], result: none, support: 'full',
  handler: (task, info) => {
    const entry = task.user.readU32(info);
    checkEntry(entry);
    const descriptor = task.registers.threadArea(entry);
    storeAt(task, info, userDesc, descriptor === undefined ? { ...NO_DESCRIPTOR, entry_number: entry } : encodeDescriptor(entry, descriptor));
  },
});

const modifyLdt = define({
  name: 'modify_ldt', args: [['func', int], ['ptr', pointerIn], ['bytecount', count]], result: intResult, support: 'full',
  handler: (task, func, ptr, bytes) => {
    switch (func) {
      case 0: return readLdt(task, ptr, bytes);
      case 1:
        writeLdt(task, ptr, bytes, true);
        return 0;
      case 2: {
        const size = Math.min(bytes, 128);
        if (task.user.zero(ptr, size) < size) throw errno(EFAULT);
        return size;
      }
      case 0x11:
        writeLdt(task, ptr, bytes, false);
        return 0;
      default: throw errno(ENOSYS);
    }
  },
});

function readLdt(task: Task, to: number, bytes: number): number {
  const used = ldtEntriesUsed(task);
  if (used === 0) return 0;
  const size = Math.min(bytes, LDT_ENTRIES * LDT_ENTRY_SIZE);
  const image = new Uint8Array(size);
  const view = new DataView(image.buffer);
  for (let i = 0; i < used && (i + 1) * LDT_ENTRY_SIZE <= size; i++) {
    const descriptor = task.registers.ldtEntry(i);
    if (descriptor !== undefined) writeRaw(view, i * LDT_ENTRY_SIZE, descriptor);
  }
  task.user.write(to, image);
  return size;
}

function ldtEntriesUsed(task: Task): number {
  for (let i = LDT_ENTRIES; i > 0; i--) if (task.registers.ldtEntry(i - 1) !== undefined) return i;
  return 0;
}

/** The descriptor as the CPU reads it. Linux: fill_ldt. */
function writeRaw(view: DataView, at: number, d: Descriptor): void {
  const type = (d.readExecOnly ? 0 : 2) | (d.contents << 2) | 1;
  view.setUint16(at, d.limit & 0xffff, true);
  view.setUint16(at + 2, d.base & 0xffff, true);
  view.setUint8(at + 4, (d.base >>> 16) & 0xff);
  view.setUint8(at + 5, type | 0x70 | (d.notPresent ? 0 : 0x80));
  view.setUint8(at + 6, ((d.limit >>> 16) & 0xf) | (d.useable ? 0x10 : 0) | (d.seg32Bit ? 0x40 : 0) | (d.limitInPages ? 0x80 : 0));
  view.setUint8(at + 7, d.base >>> 24);
}

function sharers(task: Task): Task[] {
  return task.kernel.users.shared(task.space) ? [...task.kernel.tasks.values()].filter((other) => other.space === task.space) : [task];
}

function writeLdt(task: Task, from: number, bytes: number, oldMode: boolean): void {
  if (bytes !== userDesc.size) throw errno(EINVAL);
  const wanted = loadAt(task, from, userDesc);
  const descriptor = decodeDescriptor(wanted);
  if (wanted.entry_number >= LDT_ENTRIES) throw errno(EINVAL);
  if (descriptor.contents === 3 && (oldMode || !descriptor.notPresent)) throw errno(EINVAL);
  const clear = (oldMode && wanted.base_addr === 0 && wanted.limit === 0) || isEmpty(wanted);
  const entry = clear ? undefined : oldMode ? { ...descriptor, useable: false } : descriptor;
  // The table is the address space's: all who run in it see the change.
  for (const other of sharers(task)) {
    other.registers.setLdtEntry(wanted.entry_number, entry);
    reloadSelector(other.registers, wanted.entry_number * 8 + 4);
  }
}

// ---- Identity of a thread ------------------------------------------------------------------------------------------------------

const setTidAddress = define({
  name: 'set_tid_address', args: [['tidptr', address]], result: pidResult, support: 'full',
  handler: (task, tidptr) => {
    task.clearChildTid = tidptr;
    return task.tid;
  },
});

/** sizeof(struct robust_list_head). */
const ROBUST_LIST_HEAD_SIZE = 12;

const setRobustList = define({
  name: 'set_robust_list', args: [['head', address], ['len', count]], result: none, support: 'full',
  handler: (task, head, size) => {
    if (size !== ROBUST_LIST_HEAD_SIZE) throw errno(EINVAL);
    task.robustList = head;
  },
});

const getRobustList = define({
  name: 'get_robust_list', args: [['pid', pid], ['head_ptr', pointerOut], ['len_ptr', pointerOut]], result: none, support: 'full',
  handler: (task, tid, headPtr, sizePtr) => {
    const other = tid === 0 ? task : task.kernel.tasks.get(tid);
    if (other === undefined) throw errno(ESRCH);
    task.user.writeU32(sizePtr, ROBUST_LIST_HEAD_SIZE);
    task.user.writeU32(headPtr, other.robustList);
  },
});

const getcpu = define({
  name: 'getcpu', args: [['cpu', pointerOut], ['node', pointerOut], ['tcache', pointerIn]], result: none, support: 'full',
  handler: (task, cpu, node) => {
    if (cpu !== 0) task.user.writeU32(cpu, 0);
    if (node !== 0) task.user.writeU32(node, 0);
  },
});

const MEMBARRIER = {
  MEMBARRIER_CMD_QUERY: 0, MEMBARRIER_CMD_GLOBAL: 1, MEMBARRIER_CMD_GLOBAL_EXPEDITED: 2, MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED: 4,
  MEMBARRIER_CMD_PRIVATE_EXPEDITED: 8, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED: 16, MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE: 32,
  MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE: 64, MEMBARRIER_CMD_GET_REGISTRATIONS: 512,
};
const SUPPORTED_BARRIERS = Object.values(MEMBARRIER).reduce((set, bit) => set | bit, 0);
/** A private barrier's registration is the next bit. */
const PRIVATE_BARRIERS = MEMBARRIER.MEMBARRIER_CMD_PRIVATE_EXPEDITED | MEMBARRIER.MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE;
const REGISTRATIONS = 4 | 16 | 64;

/** One task runs at a time, and every store is seen at once by all: the barriers themselves have nothing to do. */
const membarrier = define({
  name: 'membarrier', args: [['cmd', choice(MEMBARRIER)], ['flags', uint], ['cpu_id', int]], result: intResult, support: 'full',
  handler: (task, cmd, flags) => {
    if (flags !== 0) throw errno(EINVAL);
    const { process } = task;
    if (cmd === 0) return SUPPORTED_BARRIERS;
    if (cmd === MEMBARRIER.MEMBARRIER_CMD_GET_REGISTRATIONS) return process.barriers;
    if (!Object.values(MEMBARRIER).includes(cmd)) throw errno(EINVAL);
    if ((cmd & PRIVATE_BARRIERS) !== 0 && (process.barriers & (cmd << 1)) === 0) throw errno(EPERM);
    process.barriers |= cmd & REGISTRATIONS;
    return 0;
  },
});

// ---- Futexes -------------------------------------------------------------------------------------------------------------------

const FUTEX = {
  FUTEX_WAIT: 0, FUTEX_WAKE: 1, FUTEX_FD: 2, FUTEX_REQUEUE: 3, FUTEX_CMP_REQUEUE: 4, FUTEX_WAKE_OP: 5, FUTEX_LOCK_PI: 6, FUTEX_UNLOCK_PI: 7,
  FUTEX_TRYLOCK_PI: 8, FUTEX_WAIT_BITSET: 9, FUTEX_WAKE_BITSET: 10, FUTEX_WAIT_REQUEUE_PI: 11, FUTEX_CMP_REQUEUE_PI: 12, FUTEX_LOCK_PI2: 13,
};
const FUTEX_PRIVATE_FLAG = 128, FUTEX_CLOCK_REALTIME = 256;
const MATCH_ANY = 0xffffffff;

const futexOp: Kind<number> = {
  label: 'futex op', registers: 1, direction: 'in', decode: (_task, words, slot) => words[slot],
  show: (_view, low) => flagsText(low, { FUTEX_PRIVATE_FLAG, FUTEX_CLOCK_REALTIME }, { mask: 0x7f, values: FUTEX }),
  sample: (source) => (source.below(14) | (source.below(2) * FUTEX_PRIVATE_FLAG)) >>> 0,
};

/** A timeout for those operations that wait, else a number. */
function timeoutKind(layout: Layout<Timespec>): Kind<number> {
  return {
    label: 'struct timespec * or number', registers: 1, direction: 'in', decode: (_task, words, slot) => words[slot],
    show: (view, low) => {
      const op = view.argument('op') & 0x7f;
      if (!waits(op)) return String(low);
      if (low === 0) return 'NULL';
      try {
        return layout.show(loadAt(view.task, low, layout));
      } catch {
        return pointerText(low);
      }
    },
    sample: (source) => (source.below(2) === 0 ? 0 : sampleWord(source)),
  };
}

function waits(op: number): boolean {
  return op === FUTEX.FUTEX_WAIT || op === FUTEX.FUTEX_WAIT_BITSET || op === FUTEX.FUTEX_LOCK_PI || op === FUTEX.FUTEX_WAIT_REQUEUE_PI || op === FUTEX.FUTEX_LOCK_PI2;
}

interface FutexCall {
  readonly addr: number;
  readonly op: number;
  readonly value: number;
  readonly isPrivate: boolean;
  /** Address of a timespec, or the second number. */
  readonly timeout: number;
  readonly addr2: number;
  readonly value3: number;
}

function futex(name: string, layout: Layout<Timespec>) {
  return define({
    name,
    args: [['uaddr', address], ['op', futexOp], ['val', int], ['timeout', timeoutKind(layout)], ['uaddr2', address], ['val3', uint]],
    result: intResult,
    support: { partial: 'the priority-inheritance operations answer ENOSYS' },
    onInterrupt: (task, _addr, op, _value, timeout) => {
      const woken = task.kernel.futexes.waiter(task)?.woken ?? false;
      task.kernel.futexes.finish(task);
      if (woken) return 0;
      return waits(op & 0x7f) && timeout !== 0 ? -EINTR : undefined;
    },
    handler: (task, addr, op, value, timeout, addr2, value3) => {
      const isPrivate = (op & FUTEX_PRIVATE_FLAG) !== 0;
      const call = { addr, op: op & ~(FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME), value, isPrivate, timeout, addr2, value3 };
      return runFutex(task, call, layout, (op & FUTEX_CLOCK_REALTIME) !== 0);
    },
  });
}

function runFutex(task: Task, call: FutexCall, layout: Layout<Timespec>, realtime: boolean): number {
  const { futexes } = task.kernel;
  const key = () => futexKey(task, call.addr, call.isPrivate);
  const key2 = () => futexKey(task, call.addr2, call.isPrivate);
  if (realtime && call.op !== FUTEX.FUTEX_WAIT_BITSET) throw errno(ENOSYS);
  switch (call.op) {
    case FUTEX.FUTEX_WAIT: return waitOn(task, call, key(), MATCH_ANY, deadlineOf(task, call, layout, 'relative'));
    case FUTEX.FUTEX_WAIT_BITSET: {
      if (call.value3 === 0) throw errno(EINVAL);
      return waitOn(task, call, key(), call.value3, deadlineOf(task, call, layout, realtime ? 'realtime' : 'monotonic'));
    }
    case FUTEX.FUTEX_WAKE: return futexes.wake(key(), Math.max(call.value, 1), MATCH_ANY);
    case FUTEX.FUTEX_WAKE_BITSET: {
      if (call.value3 === 0) throw errno(EINVAL);
      return futexes.wake(key(), Math.max(call.value, 1), call.value3);
    }
    case FUTEX.FUTEX_REQUEUE:
    case FUTEX.FUTEX_CMP_REQUEUE: {
      const move = call.timeout | 0;
      if (call.value < 0 || move < 0) throw errno(EINVAL);
      const [from, to] = [key(), key2()];
      if (call.op === FUTEX.FUTEX_CMP_REQUEUE && task.user.readU32(call.addr) !== call.value3) throw errno(EAGAIN);
      const { woken, moved } = futexes.requeue(from, to, call.value, move);
      return woken + moved;
    }
    case FUTEX.FUTEX_WAKE_OP: return wakeOp(task, call, key(), key2());
    default: throw errno(ENOSYS);
  }
}

/** The monotonic time at which a wait ends, or undefined for none. */
function deadlineOf(task: Task, call: FutexCall, layout: Layout<Timespec>, how: 'relative' | 'monotonic' | 'realtime'): bigint | undefined {
  if (call.timeout === 0) return undefined;
  const time = loadAt(task, call.timeout, layout);
  if (!isValidTime(time)) throw errno(EINVAL);
  const ns = toNanoseconds(time);
  const { clock } = task.kernel;
  if (how === 'relative') return task.deadlineAfter(ns);
  return task.deadlineAfter(ns - (how === 'realtime' ? clock.realtime() : clock.monotonic()));
}

/** The first run checks the word and enqueues; later runs find out why they were woken. */
function waitOn(task: Task, call: FutexCall, key: FutexKey, bitset: number, deadline: bigint | undefined): number {
  const { futexes } = task.kernel;
  const waiter = futexes.waiter(task);
  if (waiter === undefined) {
    if (task.user.readU32(call.addr) !== call.value >>> 0) throw errno(EAGAIN);
    futexes.enqueue(task, key, bitset);
  } else if (waiter.woken) {
    futexes.finish(task);
    return 0;
  }
  if (task.expired) {
    futexes.finish(task);
    throw errno(ETIMEDOUT);
  }
  throw block(NOBODY, deadline);
}

/** FUTEX_WAKE_OP: changes the second word, wakes the first, and the second too if its old value compares as asked. */
function wakeOp(task: Task, call: FutexCall, key: FutexKey, key2: FutexKey): number {
  const { futexes } = task.kernel;
  const code = call.value3;
  const signExtend = (n: number) => (n << 20) >> 20;
  const isShift = ((code >>> 28) & 8) !== 0;
  const operand = signExtend((code >>> 12) & 0xfff);
  const argument = isShift ? 1 << (operand & 31) : operand;
  if (((code >>> 28) & 7) > 4) throw errno(ENOSYS);
  const old = task.user.readU32(call.addr2) | 0;
  task.user.writeU32(call.addr2, changed((code >>> 28) & 7, old, argument));
  const second = compares((code >>> 24) & 0xf, old, signExtend(code & 0xfff));
  const woken = futexes.wake(key, Math.max(call.value, 1), MATCH_ANY);
  return second ? woken + futexes.wake(key2, Math.max(call.timeout | 0, 1), MATCH_ANY) : woken;
}

function changed(op: number, old: number, argument: number): number {
  switch (op) {
    case 0: return argument;
    case 1: return old + argument;
    case 2: return old | argument;
    case 3: return old & ~argument;
    case 4: return old ^ argument;
    default: throw errno(ENOSYS);
  }
}

function compares(comparison: number, old: number, argument: number): boolean {
  switch (comparison) {
    case 0: return old === argument;
    case 1: return old !== argument;
    case 2: return old < argument;
    case 3: return old <= argument;
    case 4: return old > argument;
    case 5: return old >= argument;
    default: throw errno(ENOSYS);
  }
}

export const calls = [
  setThreadAreaCall, getThreadArea, modifyLdt, setTidAddress, setRobustList, getRobustList, getcpu, membarrier,
  ...rseq, futex('futex', timespec32), futex('futex_time64', timespec64),
];
