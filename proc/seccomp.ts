/** seccomp: what a task's mode and filters say of a call, and what follows from it. Also syscall user dispatch, which looks at calls before. Linux: kernel/seccomp.c. */
import { ENOSYS, Errno } from '../abi/errno.ts';
import * as abi from '../abi/seccomp.ts';
import { SIG_DFL, SIGKILL, SIGSYS, SYS_SECCOMP, SYS_USER_DISPATCH } from '../abi/signal.ts';
import { MustWait } from '../mm/user.ts';
import { runProgram } from './bpf.ts';
import { exitProcess, exitTask } from './exit.ts';
import { forceSignal } from './send.ts';
import type { SignalInfo } from './siginfo.ts';
import type { SeccompFilter, SeccompState, Task } from './task.ts';
import { threadsOf } from './task.ts';

/** Linux's penalty for each filter beside its instructions, and MAX_ERRNO. */
const FILTER_COST = 4,
  MAX_ERRNO = 4095;
/** What strict mode leaves: read, write, exit, sigreturn. */
const STRICT_CALLS: ReadonlySet<number> = new Set([3, 4, 1, 119]);
/** Bytes of `int 0x80`. */
const INSTRUCTION = 2;

/** What becomes of a call: it runs, has this result, or is not made (registers and signals are as they should be). */
export type Verdict = 'run' | 'skip' | number;

/** How much of what Linux allows the filters of a task use up. */
export function filterCost(filter: SeccompFilter | undefined): number {
  let cost = 0;
  for (let at = filter; at !== undefined; at = at.previous) cost += at.program.length + FILTER_COST;
  return cost;
}

export function filterCount(filter: SeccompFilter | undefined): number {
  let count = 0;
  for (let at = filter; at !== undefined; at = at.previous) count++;
  return count;
}

export function isAncestor(older: SeccompFilter | undefined, of: SeccompFilter | undefined): boolean {
  for (let at = of; ; at = at.previous) {
    if (at === older) return true;
    if (at === undefined) return false;
  }
}

/** The call `number` with its arguments, before anything of it is done. */
export function examineCall(task: Task, number: number, words: Uint32Array): Verdict {
  if (task.userDispatch !== undefined) {
    const skipped = dispatched(task, number);
    if (skipped) return 'skip';
  }
  const { seccomp } = task;
  if (seccomp === undefined) return 'run';
  return seccomp.mode === abi.SECCOMP_MODE_STRICT ? strict(task, number) : filtered(task, seccomp, number, words);
}

function strict(task: Task, number: number): Verdict {
  if (STRICT_CALLS.has(number)) return 'run';
  dieAlone(task, SIGKILL);
  return 'skip';
}

/** Linux: __seccomp_filter. */
function filtered(task: Task, { filter }: SeccompState, number: number, words: Uint32Array): Verdict {
  const value = runFilters(task, filter, number, words);
  const data = value & abi.SECCOMP_RET_DATA;
  switch ((value & abi.SECCOMP_RET_ACTION_FULL) >>> 0) {
    case abi.SECCOMP_RET_ALLOW:
    case abi.SECCOMP_RET_LOG:
      return 'run';
    case abi.SECCOMP_RET_ERRNO:
      return -Math.min(data, MAX_ERRNO);
    // Nobody traces, and nobody listens.
    case abi.SECCOMP_RET_TRACE:
    case abi.SECCOMP_RET_USER_NOTIF:
      return -ENOSYS;
    case abi.SECCOMP_RET_TRAP:
      return trap(task, number, data, SYS_SECCOMP);
    case abi.SECCOMP_RET_KILL_THREAD:
      if (threadsOf(task.kernel, task.process).length > 1) {
        dieAlone(task, SIGSYS);
        return 'skip';
      }
  }
  task.actions.set(SIGSYS, { ...task.actions.get(SIGSYS), handler: SIG_DFL });
  return trap(task, number, data, SYS_SECCOMP);
}

/** The strictest answer, the newest filter's where several are alike. */
function runFilters(task: Task, newest: SeccompFilter | undefined, number: number, words: Uint32Array): number {
  const record = new Uint32Array(abi.SECCOMP_DATA_SIZE / 4);
  record[0] = number;
  record[1] = abi.AUDIT_ARCH_I386;
  record[2] = task.registers.eip + INSTRUCTION;
  for (let i = 0; i < 6; i++) record[4 + 2 * i] = words[i];
  let strictest: number = abi.SECCOMP_RET_ALLOW;
  for (let filter = newest; filter !== undefined; filter = filter.previous) {
    const value = runProgram(filter.program, record);
    if ((value & abi.SECCOMP_RET_ACTION_FULL) < (strictest & abi.SECCOMP_RET_ACTION_FULL)) strictest = value;
  }
  return strictest;
}

/** SIGSYS, which cannot be put off: the handler finds eax as it was and eip behind the call. */
function trap(task: Task, number: number, data: number, code: number): Verdict {
  task.registers.eip = (task.registers.eip + INSTRUCTION) >>> 0;
  const info: SignalInfo = { signo: SIGSYS, errno: data, code, fields: [task.registers.eip, number, abi.AUDIT_ARCH_I386] };
  forceSignal(task, info);
  return 'skip';
}

/** Linux: do_exit with a signal, which is the end of one thread, and of the process with its last. */
function dieAlone(task: Task, signo: number): void {
  if (threadsOf(task.kernel, task.process).length > 1) exitTask(task, 0);
  else exitProcess(task.kernel, task.process, { kind: 'killed', signo, core: false });
}

// ---- Syscall user dispatch -------------------------------------------------------------------------------------------------------

const ALLOW = 0,
  BLOCK = 1;

/** Whether the program wants to see this call itself. Linux: syscall_user_dispatch. */
function dispatched(task: Task, number: number): boolean {
  const dispatch = task.userDispatch;
  const at = task.registers.eip + INSTRUCTION;
  if (dispatch === undefined || (at >= dispatch.base && at < dispatch.base + dispatch.size)) return false;
  if (at - INSTRUCTION === stubCall(task.sigreturnStub, 6) || at - INSTRUCTION === stubCall(task.rtSigreturnStub, 5)) return false;
  const state = dispatch.selector === 0 ? BLOCK : selected(task, dispatch.selector);
  if (state === ALLOW) return false;
  if (state !== BLOCK) task.actions.set(SIGSYS, { ...task.actions.get(SIGSYS), handler: SIG_DFL });
  trap(task, number, 0, SYS_USER_DISPATCH);
  return true;
}

/** Where a signal-return stub makes its call. */
function stubCall(stub: number, offset: number): number {
  return stub === 0 ? -1 : stub + offset;
}

/** The selector byte; one that cannot be read is one that is wrong. */
function selected(task: Task, selector: number): number {
  try {
    return task.user.readU8(selector);
  } catch (thrown) {
    if (!(thrown instanceof Errno || thrown instanceof MustWait)) throw thrown;
    return -1;
  }
}
