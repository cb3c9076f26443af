/** The end of a process, its personality, and who may look into it. */
import { EINVAL, ENOSYS, errno } from '../abi/errno.ts';
import { READ_IMPLIES_EXEC } from '../abi/mman.ts';
import { exitProcess, exitTask } from '../proc/exit.ts';
import { define } from './define.ts';
import { address, addressResult, hex, int, intResult, pid, registersSet } from './kinds.ts';

// ---- Ends ----------------------------------------------------------------------------------------------------------------------

const exit = define({
  name: 'exit', args: [['status', int]], result: registersSet, support: 'full', handler: (task, status) => exitTask(task, status),
});
const exitGroup = define({
  name: 'exit_group', args: [['status', int]], result: registersSet, support: 'full',
  handler: (task, status) => exitProcess(task.kernel, task.process, { kind: 'exited', code: status & 0xff }),
});

// ---- What a process is like ------------------------------------------------------------------------------------------------------

/** Without thread structures of its own an i386 program has nothing here but the question whether CPUID may be used. */
const ARCH_GET_CPUID = 0x1011;
const archPrctl = define({
  name: 'arch_prctl', args: [['option', hex], ['arg2', hex]], result: intResult, support: { partial: 'ARCH_GET_CPUID only: EINVAL else' },
  handler: (_task, option) => {
    if (option === ARCH_GET_CPUID) return 1;
    throw errno(EINVAL);
  },
});

const personality = define({
  name: 'personality', args: [['persona', hex]], result: addressResult, support: 'full',
  handler: (task, persona) => {
    const old = task.process.personality;
    if (persona !== 0xffffffff) {
      task.process.personality = persona;
      task.space.readImpliesExec = (persona & READ_IMPLIES_EXEC) !== 0;
    }
    return old;
  },
});

const ptrace = define({
  name: 'ptrace', args: [['request', int], ['pid', pid], ['addr', address], ['data', address]], result: intResult,
  support: { stub: 'ENOSYS: no task can be traced by another' },
  handler: (task) => {
    task.kernel.tracer.note?.(task, 'ptrace is not there yet; answered ENOSYS');
    throw errno(ENOSYS);
  },
});

export const calls = [
  exit, exitGroup, archPrctl, personality, ptrace,
];
