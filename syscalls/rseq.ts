/** Registering a thread's area for restartable sequences. */
import { EBUSY, EFAULT, EINVAL, EPERM, errno } from '../abi/errno.ts';
import { USER_TOP } from '../mm/placement.ts';
import { clearSequence, eraseCpu, writeCpu } from '../proc/rseq.ts';
import type { RseqArea, Task } from '../proc/task.ts';
import { define } from './define.ts';
import { address, flags, hex, none, uint } from './kinds.ts';

const RSEQ_FLAG_UNREGISTER = 1;
/** The size of the structure's first version, and its alignment. */
const ORIGINAL_SIZE = 32, ALIGNMENT = 32;

const rseq = define({
  name: 'rseq', args: [['rseq', address], ['rseq_len', uint], ['flags', flags({ RSEQ_FLAG_UNREGISTER })], ['sig', hex]], result: none, support: 'full',
  handler: (task, addr, size, how, signature) => {
    if (how === RSEQ_FLAG_UNREGISTER) unregister(task, { addr, size, signature });
    else if (how === 0) register(task, { addr, size, signature });
    else throw errno(EINVAL);
  },
});

function unregister(task: Task, area: RseqArea): void {
  check(task.rseq, area);
  eraseCpu(task, area);
  task.rseq = undefined;
}

function check(kept: RseqArea | undefined, { addr, size, signature }: RseqArea): void {
  if (kept === undefined || kept.addr !== addr || kept.size !== size) throw errno(EINVAL);
  if (kept.signature !== signature) throw errno(EPERM);
}

function register(task: Task, area: RseqArea): void {
  if (task.rseq !== undefined) {
    check(task.rseq, area);
    throw errno(EBUSY);
  }
  const { addr, size } = area;
  if (addr % ALIGNMENT !== 0 || size < ORIGINAL_SIZE) throw errno(EINVAL);
  if (addr + size > USER_TOP) throw errno(EFAULT);
  clearSequence(task, addr);
  writeCpu(task, area);
  task.rseq = area;
}

export const calls = [rseq];
