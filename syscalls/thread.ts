/** What threads are made of: TLS descriptors, the LDT, tid address, robust lists, and the CPU they run on. */
import { EFAULT, EINVAL, ENOSYS, EPERM, ESRCH, errno } from '../abi/errno.ts';
import type { Descriptor } from '../emu/engine.ts';
import type { Task } from '../proc/task.ts';
import {
  checkEntry, decodeDescriptor, encodeDescriptor, freeArea, isEmpty, reloadSelector, setThreadArea, threadAreaOf, type UserDesc, userDesc,
} from '../proc/thread-area.ts';
import { define } from './define.ts';
import { calls as rseq } from './rseq.ts';
import { address, choice, count, int, intResult, loadAt, none, pid, pidResult, pointerIn, pointerOut, storeAt, structInOut, uint } from './kinds.ts';

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
  MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE: 64, MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ: 128,
  MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ: 256, MEMBARRIER_CMD_GET_REGISTRATIONS: 512,
};
const SUPPORTED_BARRIERS = Object.values(MEMBARRIER).reduce((set, bit) => set | bit, 0);
/** A private barrier's registration is the next bit. */
const PRIVATE_BARRIERS = 8 | 32 | 128;
const REGISTRATIONS = 4 | 16 | 64 | 256;
const MEMBARRIER_CMD_FLAG_CPU = 1;

/** One task runs at a time, and every store is seen at once by all: the barriers themselves have nothing to do. */
const membarrier = define({
  name: 'membarrier', args: [['cmd', choice(MEMBARRIER)], ['flags', uint], ['cpu_id', int]], result: intResult, support: 'full',
  handler: (task, cmd, flags) => {
    const known = cmd === MEMBARRIER.MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ ? MEMBARRIER_CMD_FLAG_CPU : 0;
    if ((flags & ~known) !== 0 || !Object.values(MEMBARRIER).includes(cmd)) throw errno(EINVAL);
    const { process } = task;
    if (cmd === 0) return SUPPORTED_BARRIERS;
    if (cmd === MEMBARRIER.MEMBARRIER_CMD_GET_REGISTRATIONS) return process.barriers;
    if ((cmd & PRIVATE_BARRIERS) !== 0 && (process.barriers & (cmd << 1)) === 0) throw errno(EPERM);
    process.barriers |= cmd & REGISTRATIONS;
    return 0;
  },
});

export const calls = [setThreadAreaCall, getThreadArea, modifyLdt, setTidAddress, setRobustList, getRobustList, getcpu, membarrier, ...rseq];
