/**
 * Restartable sequences: a thread's registered area, and going to a sequence's abort handler when it was preempted or gets a signal.
 * Linux: kernel/rseq.c.
 */
import { EINVAL, Errno, errno } from '../abi/errno.ts';
import { SIGSEGV } from '../abi/signal.ts';
import { DONE, type Outcome } from '../mm/outcome.ts';
import { USER_TOP } from '../mm/placement.ts';
import { MustWait } from '../mm/user.ts';
import { forceSignal } from './send.ts';
import { kernelInfo } from './siginfo.ts';
import type { RseqArea, Task } from './task.ts';

/** struct rseq: cpu_id_start, cpu_id, rseq_cs (64 bits), flags, node_id, mm_cid. */
const CPU_ID_START = 0,
  CPU_ID = 4,
  SEQUENCE = 8,
  NODE_ID = 20,
  MM_CID = 24;
/** struct rseq_cs: version, flags, then 64-bit start_ip, post_commit_offset and abort_ip. */
const VERSION = 0,
  FLAGS = 4,
  START = 8,
  LENGTH = 16,
  ABORT = 24;
const UNINITIALIZED = 0xffffffff;

/** There is one CPU, number 0, on node 0, and so the memory's first concurrency id. */
export function writeCpu(task: Task, { addr }: RseqArea): void {
  for (const at of [CPU_ID_START, CPU_ID, NODE_ID, MM_CID]) if (task.user.readU32(addr + at) !== 0) task.user.writeU32(addr + at, 0);
}

/** The area is not kept any more. */
export function eraseCpu(task: Task, { addr }: RseqArea): void {
  for (const at of [CPU_ID_START, NODE_ID, MM_CID]) task.user.writeU32(addr + at, 0);
  task.user.writeU32(addr + CPU_ID, UNINITIALIZED);
}

/** No sequence is running, as far as the area says. */
export function clearSequence(task: Task, addr: number): void {
  task.user.writeU32(addr + SEQUENCE, 0);
  task.user.writeU32(addr + SEQUENCE + 4, 0);
}

/** Others may have run, or a handler is about to: a sequence that has not been committed starts anew. A `wait` means that a page must be fetched first. */
export function leaveSequence(task: Task): Outcome {
  const { rseq } = task;
  if (rseq === undefined) return DONE;
  try {
    const abort = abortAddress(task, rseq);
    if (abort !== undefined) task.registers.eip = abort;
    writeCpu(task, rseq);
  } catch (thrown) {
    if (thrown instanceof MustWait) return thrown.outcome;
    if (!(thrown instanceof Errno)) throw thrown;
    forceSignal(task, kernelInfo(SIGSEGV));
  }
  return DONE;
}

/** Where the task must go on, if it stands within its sequence, which is thereby over. Throws EINVAL or EFAULT for what is no sequence. */
function abortAddress(task: Task, { addr, signature }: RseqArea): number | undefined {
  const { user } = task;
  const sequence = readLong(task, addr + SEQUENCE);
  if (sequence === 0) return undefined;
  if (sequence >= USER_TOP) throw errno(EINVAL);
  const start = readLong(task, sequence + START);
  const size = readLong(task, sequence + LENGTH);
  const abort = readLong(task, sequence + ABORT);
  if (start >= USER_TOP || start + size >= USER_TOP || abort >= USER_TOP || user.readU32(sequence + VERSION) > 0) throw errno(EINVAL);
  if (abort >= start && abort < start + size) throw errno(EINVAL);
  if (user.readU32((abort - 4) >>> 0) !== signature) throw errno(EINVAL);
  const { eip } = task.registers;
  const inside = eip >= start && eip < start + size;
  if (inside && user.readU32(sequence + FLAGS) !== 0) throw errno(EINVAL);
  clearSequence(task, addr);
  return inside ? abort : undefined;
}

/** A 64-bit number; beyond 2^53 it need not be exact, as it is refused anyway. */
function readLong(task: Task, at: number): number {
  return task.user.readU32(at) + task.user.readU32(at + 4) * 2 ** 32;
}
