/** prctl: what a process or thread says of itself, and what it may no longer do. */
import { CAP_SYS_RESOURCE } from '../abi/capability.ts';
import { EFAULT, EINVAL, ENODEV, ENXIO, EPERM, errno } from '../abi/errno.ts';
import { SECCOMP_MODE_FILTER, SECCOMP_MODE_STRICT } from '../abi/seccomp.ts';
import { capable } from '../proc/credentials.ts';
import type { Task } from '../proc/task.ts';
import { CAPABILITY_OPTIONS, capabilityControl } from './capability.ts';
import { define } from './define.ts';
import { choice, hex, intResult } from './kinds.ts';
import { setFilter, setStrict, setUserDispatch } from './seccomp.ts';

const PR = {
  ...CAPABILITY_OPTIONS,
  PR_SET_PDEATHSIG: 1, PR_GET_PDEATHSIG: 2, PR_GET_DUMPABLE: 3, PR_SET_DUMPABLE: 4, PR_GET_TIMING: 13, PR_SET_TIMING: 14, PR_SET_NAME: 15,
  PR_GET_NAME: 16, PR_GET_SECCOMP: 21, PR_SET_SECCOMP: 22, PR_GET_TSC: 25, PR_SET_TSC: 26, PR_SET_TIMERSLACK: 29, PR_GET_TIMERSLACK: 30,
  PR_TASK_PERF_EVENTS_DISABLE: 31, PR_TASK_PERF_EVENTS_ENABLE: 32, PR_MCE_KILL: 33, PR_MCE_KILL_GET: 34, PR_SET_MM: 35,
  PR_SET_CHILD_SUBREAPER: 36, PR_GET_CHILD_SUBREAPER: 37, PR_SET_NO_NEW_PRIVS: 38, PR_GET_NO_NEW_PRIVS: 39, PR_GET_TID_ADDRESS: 40,
  PR_SET_THP_DISABLE: 41, PR_GET_THP_DISABLE: 42, PR_GET_SPECULATION_CTRL: 52, PR_SET_SPECULATION_CTRL: 53, PR_SET_IO_FLUSHER: 57,
  PR_GET_IO_FLUSHER: 58, PR_SET_SYSCALL_USER_DISPATCH: 59, PR_SET_MDWE: 65, PR_GET_MDWE: 66, PR_SET_MEMORY_MERGE: 67, PR_GET_MEMORY_MERGE: 68,
};
/** What Linux knows and other machines have, or this one not: EINVAL without a note. */
const ELSEWHERE: ReadonlySet<number> = new Set([5, 6, 9, 10, 11, 12, 19, 20, 43, 44, 45, 46, 48, 49, 50, 51, 54, 55, 56, 60, 61, 62, 63, 64, 69, 70, 71, 72, 73, 74]);
/** Bytes of comm with its NUL. */
const NAME_SIZE = 16;
/** How many speculations there are to ask about; no i386 of ours is subject to any. */
const SPECULATIONS = 3;
const PR_TSC_ENABLE = 1;
const DEFAULT_SLACK_NS = 50_000;

const prctl = define({
  name: 'prctl', args: [['option', choice(PR)], ['arg2', hex], ['arg3', hex], ['arg4', hex], ['arg5', hex]], result: intResult,
  support: { partial: 'PR_TSC_SIGSEGV, PR_SET_MDWE and what only other machines have answer EINVAL, PR_SET_MM EPERM' },
  handler: (task, option, arg2, arg3, arg4, arg5) => {
    const rest = [arg3, arg4, arg5];
    return get(task, option, arg2, rest) ?? capabilityControl(task, option, arg2, rest) ?? set(task, option, arg2, rest) ?? unknown(task, option);
  },
});

function zero(...words: readonly number[]): void {
  if (words.some((word) => word !== 0)) throw errno(EINVAL);
}

/** The questions. Undefined: it is none. */
function get(task: Task, option: number, arg2: number, rest: readonly number[]): number | undefined {
  const { process } = task;
  switch (option) {
    case PR.PR_GET_PDEATHSIG: return put(task, arg2, task.parentDeathSignal);
    case PR.PR_GET_DUMPABLE: return process.dumpable;
    case PR.PR_GET_TIMING: return 0;
    case PR.PR_GET_SECCOMP: return task.seccomp?.mode ?? 0;
    case PR.PR_GET_NAME:
      task.user.write(arg2, nameBytes(task.name));
      return 0;
    case PR.PR_GET_TSC: return put(task, arg2, PR_TSC_ENABLE);
    case PR.PR_GET_TIMERSLACK: return task.timerSlack_ns;
    case PR.PR_GET_CHILD_SUBREAPER: return put(task, arg2, process.childSubreaper ? 1 : 0);
    case PR.PR_GET_TID_ADDRESS: return put(task, arg2, task.clearChildTid);
    case PR.PR_GET_SPECULATION_CTRL:
      zero(...rest);
      if (arg2 >= SPECULATIONS) throw errno(ENODEV);
      return 0;
    case PR.PR_GET_NO_NEW_PRIVS:
    case PR.PR_GET_THP_DISABLE:
    case PR.PR_MCE_KILL_GET:
    case PR.PR_GET_MDWE:
    case PR.PR_GET_MEMORY_MERGE:
      zero(arg2, ...rest);
      return kept(task, option);
    case PR.PR_GET_IO_FLUSHER:
      if (!capable(task.credentials, CAP_SYS_RESOURCE)) throw errno(EPERM);
      zero(arg2, ...rest);
      return kept(task, option);
    default: return undefined;
  }
}

function put(task: Task, to: number, value: number): number {
  task.user.writeU32(to, value);
  return 0;
}

function kept(task: Task, option: number): number {
  const { process } = task;
  switch (option) {
    case PR.PR_GET_NO_NEW_PRIVS: return task.noNewPrivileges ? 1 : 0;
    case PR.PR_MCE_KILL_GET: return task.machineCheckKill;
    case PR.PR_GET_THP_DISABLE: return process.hugePagesDisabled;
    case PR.PR_GET_MEMORY_MERGE: return process.mergesMemory ? 1 : 0;
    default: return 0;
  }
}

function nameBytes(name: string): Uint8Array {
  const bytes = new Uint8Array(NAME_SIZE);
  for (let i = 0; i < name.length && i < NAME_SIZE - 1; i++) bytes[i] = name.charCodeAt(i);
  return bytes;
}

/** The changes. Undefined: it is none. */
function set(task: Task, option: number, arg2: number, rest: readonly number[]): number | undefined {
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
      task.timerSlack_ns = arg2 === 0 ? DEFAULT_SLACK_NS : arg2;
      return 0;
    case PR.PR_SET_SECCOMP: return setSeccomp(task, arg2, rest[0]);
    case PR.PR_SET_TSC:
      if (arg2 !== PR_TSC_ENABLE) throw errno(EINVAL);
      return 0;
    // Nothing counts performance events here, so there is nothing to switch.
    case PR.PR_TASK_PERF_EVENTS_DISABLE:
    case PR.PR_TASK_PERF_EVENTS_ENABLE: return 0;
    case PR.PR_SET_TIMING:
      zero(arg2);
      return 0;
    case PR.PR_SET_CHILD_SUBREAPER:
      process.childSubreaper = arg2 !== 0;
      return 0;
    case PR.PR_SET_NO_NEW_PRIVS:
      if (arg2 !== 1) throw errno(EINVAL);
      zero(...rest);
      task.noNewPrivileges = true;
      return 0;
    case PR.PR_SET_SYSCALL_USER_DISPATCH:
      setUserDispatch(task, arg2, rest[0], rest.slice(1));
      return 0;
    default: return setOfMemory(task, option, arg2, rest);
  }
}

function setSeccomp(task: Task, mode: number, filter: number): number {
  if (mode === SECCOMP_MODE_FILTER) return setFilter(task, 0, filter);
  if (mode !== SECCOMP_MODE_STRICT) throw errno(EINVAL);
  setStrict(task);
  return 0;
}

/** What concerns memory and the machine below: kept for those who ask. */
function setOfMemory(task: Task, option: number, arg2: number, rest: readonly number[]): number | undefined {
  const { process, credentials } = task;
  switch (option) {
    case PR.PR_MCE_KILL:
      setMachineCheck(task, arg2, rest);
      return 0;
    case PR.PR_SET_MM:
      if (rest[2] !== 0) throw errno(EINVAL);
      throw errno(EPERM);
    case PR.PR_SET_THP_DISABLE:
      zero(...rest);
      process.hugePagesDisabled = arg2 === 0 ? 0 : 1;
      return 0;
    case PR.PR_SET_SPECULATION_CTRL:
      zero(...rest.slice(1));
      throw errno(arg2 >= SPECULATIONS ? ENODEV : ENXIO);
    case PR.PR_SET_IO_FLUSHER:
      if (!capable(credentials, CAP_SYS_RESOURCE)) throw errno(EPERM);
      zero(...rest);
      if (arg2 > 1) throw errno(EINVAL);
      return 0;
    case PR.PR_SET_MDWE:
      zero(arg2, ...rest);
      return 0;
    case PR.PR_SET_MEMORY_MERGE:
      zero(...rest);
      process.mergesMemory = arg2 !== 0;
      return 0;
    default: return undefined;
  }
}

const MCE_CLEAR = 0, MCE_SET = 1, MCE_DEFAULT = 2;

function setMachineCheck(task: Task, what: number, [how, ...rest]: readonly number[]): void {
  zero(...rest);
  if (what === MCE_CLEAR && how === 0) task.machineCheckKill = MCE_DEFAULT;
  else if (what === MCE_SET && how <= MCE_DEFAULT) task.machineCheckKill = how;
  else throw errno(EINVAL);
}

function readName(task: Task, from: number): string {
  const bytes = new Uint8Array(NAME_SIZE - 1);
  const got = task.user.copyIn(from, bytes);
  const end = bytes.indexOf(0);
  if (got < bytes.length && (end < 0 || end >= got)) throw errno(EFAULT);
  return String.fromCharCode(...bytes.subarray(0, end < 0 ? bytes.length : end));
}

function unknown(task: Task, option: number): never {
  if (!ELSEWHERE.has(option)) task.kernel.tracer.note?.(task, `prctl option ${option} is not known; answered EINVAL`);
  throw errno(EINVAL);
}

export const calls = [prctl];
