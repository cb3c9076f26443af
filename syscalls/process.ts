/** The life of a process: exit, execve, and what prctl and personality say about it. */
import { EFAULT, EINVAL, ENOSYS, EPERM, errno } from '../abi/errno.ts';
import { READ_IMPLIES_EXEC } from '../abi/mman.ts';
import { exitProcess, exitTask } from '../proc/exit.ts';
import type { Task } from '../proc/task.ts';
import { CAPABILITY_OPTIONS, capabilityControl } from './capability.ts';
import { define } from './define.ts';
import {
  address, addressResult, choice, hex, int, intResult, pid, registersSet,
} from './kinds.ts';

// ---- Ends ----------------------------------------------------------------------------------------------------------------------

const exit = define({
  name: 'exit', args: [['status', int]], result: registersSet, support: 'full', handler: (task, status) => exitTask(task, status),
});
const exitGroup = define({
  name: 'exit_group', args: [['status', int]], result: registersSet, support: 'full',
  handler: (task, status) => exitProcess(task.kernel, task.process, { kind: 'exited', code: status & 0xff }),
});

// ---- prctl and relatives -------------------------------------------------------------------------------------------------------

const PR = {
  ...CAPABILITY_OPTIONS,
  PR_SET_PDEATHSIG: 1, PR_GET_PDEATHSIG: 2, PR_GET_DUMPABLE: 3, PR_SET_DUMPABLE: 4, PR_GET_UNALIGN: 5, PR_SET_UNALIGN: 6, PR_GET_TIMING: 13, PR_SET_TIMING: 14, PR_SET_NAME: 15, PR_GET_NAME: 16, PR_GET_SECCOMP: 21, PR_SET_SECCOMP: 22,
  PR_GET_TSC: 25, PR_SET_TSC: 26, PR_SET_TIMERSLACK: 29, PR_GET_TIMERSLACK: 30, PR_TASK_PERF_EVENTS_DISABLE: 31, PR_TASK_PERF_EVENTS_ENABLE: 32, PR_SET_MM: 35, PR_SET_CHILD_SUBREAPER: 36, PR_GET_CHILD_SUBREAPER: 37, PR_SET_NO_NEW_PRIVS: 38,
  PR_GET_NO_NEW_PRIVS: 39, PR_GET_TID_ADDRESS: 40, PR_SET_THP_DISABLE: 41, PR_GET_THP_DISABLE: 42, PR_SET_VMA: 0x53564d41,
};
/** Bytes of comm with its NUL. */
const NAME_SIZE = 16;

const prctl = define({
  name: 'prctl', args: [['option', choice(PR)], ['arg2', hex], ['arg3', hex], ['arg4', hex], ['arg5', hex]], result: intResult,
  support: { partial: 'names, death signal, dumpable, timer slack, subreaper, no_new_privs and capabilities; the rest answers EINVAL' },
  handler: (task, option, arg2, arg3, arg4, arg5) => {
    const rest = [arg3, arg4, arg5];
    return get(task, option, arg2, rest) ?? capabilityControl(task, option, arg2, rest) ?? set(task, option, arg2, rest);
  },
});

function zero(rest: readonly number[]): void {
  if (rest.some((word) => word !== 0)) throw errno(EINVAL);
}

/** The questions. Undefined: it is none. */
function get(task: Task, option: number, arg2: number, rest: readonly number[]): number | undefined {
  const { process, user } = task;
  switch (option) {
    case PR.PR_GET_PDEATHSIG:
      user.writeU32(arg2, task.parentDeathSignal);
      return 0;
    case PR.PR_GET_DUMPABLE: return process.dumpable;
    case PR.PR_GET_TIMING:
    case PR.PR_GET_SECCOMP: return 0;
    case PR.PR_GET_THP_DISABLE:
      zero([arg2, ...rest]);
      return 0;
    case PR.PR_GET_NAME:
      user.write(arg2, nameBytes(task.name));
      return 0;
    case PR.PR_GET_TSC:
      user.writeU32(arg2, 1);
      return 0;
    case PR.PR_GET_TIMERSLACK: return task.timerSlack_ns;
    case PR.PR_GET_CHILD_SUBREAPER:
      user.writeU32(arg2, process.childSubreaper ? 1 : 0);
      return 0;
    case PR.PR_GET_NO_NEW_PRIVS:
      zero([arg2, ...rest]);
      return task.noNewPrivileges ? 1 : 0;
    default: return undefined;
  }
}

function nameBytes(name: string): Uint8Array {
  const bytes = new Uint8Array(NAME_SIZE);
  for (let i = 0; i < name.length && i < NAME_SIZE - 1; i++) bytes[i] = name.charCodeAt(i);
  return bytes;
}

function set(task: Task, option: number, arg2: number, rest: readonly number[]): number {
  const { process } = task;
  switch (option) {
    case PR.PR_SET_PDEATHSIG:
      if (arg2 > 64) throw errno(EINVAL);
      task.parentDeathSignal = arg2;
      return 0;
    case PR.PR_SET_DUMPABLE:
      if (arg2 > 1) throw errno(EINVAL);
      process.dumpable = arg2;
      return 0;
    case PR.PR_SET_NAME:
      task.name = readName(task, arg2);
      return 0;
    case PR.PR_SET_TIMERSLACK:
      task.timerSlack_ns = (arg2 | 0) <= 0 ? 50_000 : arg2;
      return 0;
    // Nothing counts performance events here, so there is nothing to switch.
    case PR.PR_TASK_PERF_EVENTS_DISABLE:
    case PR.PR_TASK_PERF_EVENTS_ENABLE: return 0;
    case PR.PR_SET_TIMING:
      if (arg2 !== 0) throw errno(EINVAL);
      return 0;
    case PR.PR_SET_CHILD_SUBREAPER:
      process.childSubreaper = arg2 !== 0;
      return 0;
    case PR.PR_SET_NO_NEW_PRIVS:
      if (arg2 !== 1) throw errno(EINVAL);
      zero(rest);
      task.noNewPrivileges = true;
      return 0;
    case PR.PR_SET_THP_DISABLE:
      zero(rest);
      return 0;
    case PR.PR_SET_MM: throw errno(EPERM);
    default:
      task.kernel.tracer.note?.(task, `prctl option ${option} is not known; answered EINVAL`);
      throw errno(EINVAL);
  }
}

function readName(task: Task, from: number): string {
  const bytes = new Uint8Array(NAME_SIZE - 1);
  const got = task.user.copyIn(from, bytes);
  const end = bytes.indexOf(0);
  if (got < bytes.length && (end < 0 || end >= got)) throw errno(EFAULT);
  return String.fromCharCode(...bytes.subarray(0, end < 0 ? bytes.length : end));
}

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
  exit, exitGroup, prctl, archPrctl, personality, ptrace,
];
