/** seccomp, and what prctl has of it: strict mode, filters, and calls that a program wants to see itself (syscall user dispatch). */
import { EACCES, EINVAL, ENOMEM, EOPNOTSUPP, ESRCH, errno } from '../abi/errno.ts';
import { CAP_SYS_ADMIN } from '../abi/capability.ts';
import * as abi from '../abi/seccomp.ts';
import { isValidProgram } from '../proc/bpf.ts';
import { capable } from '../proc/credentials.ts';
import { filterCost, isAncestor } from '../proc/seccomp.ts';
import { type SeccompFilter, type Task, threadsOf } from '../proc/task.ts';
import { define } from './define.ts';
import { choice, flags, intResult, loadAt, pointerIn } from './kinds.ts';

const OPERATIONS = {
  SECCOMP_SET_MODE_STRICT: abi.SECCOMP_SET_MODE_STRICT, SECCOMP_SET_MODE_FILTER: abi.SECCOMP_SET_MODE_FILTER,
  SECCOMP_GET_ACTION_AVAIL: abi.SECCOMP_GET_ACTION_AVAIL, SECCOMP_GET_NOTIF_SIZES: abi.SECCOMP_GET_NOTIF_SIZES,
};
const FLAGS = {
  SECCOMP_FILTER_FLAG_TSYNC: abi.SECCOMP_FILTER_FLAG_TSYNC, SECCOMP_FILTER_FLAG_LOG: abi.SECCOMP_FILTER_FLAG_LOG,
  SECCOMP_FILTER_FLAG_SPEC_ALLOW: abi.SECCOMP_FILTER_FLAG_SPEC_ALLOW, SECCOMP_FILTER_FLAG_NEW_LISTENER: abi.SECCOMP_FILTER_FLAG_NEW_LISTENER,
  SECCOMP_FILTER_FLAG_TSYNC_ESRCH: abi.SECCOMP_FILTER_FLAG_TSYNC_ESRCH,
  SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV: abi.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV,
};
const ALL_FLAGS = Object.values(FLAGS).reduce((set, bit) => set | bit, 0);
/** Without listeners nobody could be notified. */
const ACTIONS: ReadonlySet<number> = new Set([
  abi.SECCOMP_RET_KILL_PROCESS, abi.SECCOMP_RET_KILL_THREAD, abi.SECCOMP_RET_TRAP, abi.SECCOMP_RET_ERRNO, abi.SECCOMP_RET_TRACE,
  abi.SECCOMP_RET_LOG, abi.SECCOMP_RET_ALLOW,
]);
/** Sizes of struct seccomp_notif, seccomp_notif_resp and seccomp_data. */
const NOTIFICATION_SIZES = [80, 24, abi.SECCOMP_DATA_SIZE];

const seccomp = define({
  name: 'seccomp', args: [['op', choice(OPERATIONS)], ['flags', flags(FLAGS)], ['args', pointerIn]], result: intResult,
  support: { partial: 'SECCOMP_FILTER_FLAG_NEW_LISTENER answers EINVAL: nobody can be notified of calls' },
  handler: (task, operation, how, at) => {
    switch (operation) {
      case abi.SECCOMP_SET_MODE_STRICT:
        if (how !== 0 || at !== 0) throw errno(EINVAL);
        setStrict(task);
        return 0;
      case abi.SECCOMP_SET_MODE_FILTER: return setFilter(task, how, at);
      case abi.SECCOMP_GET_ACTION_AVAIL:
        if (how !== 0) throw errno(EINVAL);
        if (!ACTIONS.has(task.user.readU32(at))) throw errno(EOPNOTSUPP);
        return 0;
      case abi.SECCOMP_GET_NOTIF_SIZES:
        if (how !== 0) throw errno(EINVAL);
        task.user.write(at, new Uint8Array(new Uint16Array(NOTIFICATION_SIZES).buffer));
        return 0;
      default: throw errno(EINVAL);
    }
  },
});

/** A mode is for ever. */
export function setStrict(task: Task): void {
  if (task.seccomp !== undefined && task.seccomp.mode !== abi.SECCOMP_MODE_STRICT) throw errno(EINVAL);
  task.seccomp = { mode: abi.SECCOMP_MODE_STRICT, filter: undefined };
}

/** Linux: seccomp_set_mode_filter. Returns 0, or with TSYNC the thread that goes another way. */
export function setFilter(task: Task, how: number, at: number): number {
  const has = (flag: number): boolean => (how & flag) !== 0;
  const listens = has(abi.SECCOMP_FILTER_FLAG_NEW_LISTENER);
  if ((how & ~ALL_FLAGS) !== 0 || (has(abi.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV) && !listens)) throw errno(EINVAL);
  const program = readProgram(task, at);
  if (listens) {
    task.kernel.tracer.note?.(task, 'seccomp listeners are not there; answered EINVAL');
    throw errno(EINVAL);
  }
  if (task.seccomp?.mode === abi.SECCOMP_MODE_STRICT) throw errno(EINVAL);
  const previous = task.seccomp?.filter;
  if (program.length + filterCost(previous) > abi.MAX_INSNS_PER_PATH) throw errno(ENOMEM);
  const others = !has(abi.SECCOMP_FILTER_FLAG_TSYNC) ? [] : threadsOf(task.kernel, task.process).filter((other) => other !== task);
  const astray = others.find(({ seccomp: own }) => own !== undefined && (own.mode === abi.SECCOMP_MODE_STRICT || !isAncestor(own.filter, previous)));
  if (astray !== undefined && has(abi.SECCOMP_FILTER_FLAG_TSYNC_ESRCH)) throw errno(ESRCH);
  if (astray !== undefined) return astray.tid;
  const state = { mode: abi.SECCOMP_MODE_FILTER, filter: { program, previous } };
  for (const thread of [task, ...others]) {
    thread.seccomp = state;
    thread.noNewPrivileges ||= task.noNewPrivileges;
  }
  return 0;
}

/** Who could gain rights by a program with set-user-ID must not be able to fool it. Linux: seccomp_prepare_filter. */
function readProgram(task: Task, at: number): SeccompFilter['program'] {
  const { len, filter } = loadAt(task, at, abi.sockFprog);
  if (len === 0 || len > abi.BPF_MAXINSNS) throw errno(EINVAL);
  if (!task.noNewPrivileges && !capable(task.credentials, CAP_SYS_ADMIN)) throw errno(EACCES);
  const view = task.user.readStruct(filter, len * abi.sockFilter.size);
  const program = Array.from({ length: len }, (_, i) => abi.sockFilter.read(view, i * abi.sockFilter.size));
  if (!isValidProgram(program)) throw errno(EINVAL);
  return program;
}

const PR_SYS_DISPATCH_OFF = 0, PR_SYS_DISPATCH_ON = 1;

/** prctl(PR_SET_SYSCALL_USER_DISPATCH). */
export function setUserDispatch(task: Task, mode: number, base: number, [size, selector]: readonly number[]): void {
  switch (mode) {
    case PR_SYS_DISPATCH_OFF:
      if (base !== 0 || size !== 0 || selector !== 0) throw errno(EINVAL);
      task.userDispatch = undefined;
      return;
    case PR_SYS_DISPATCH_ON:
      if (base !== 0 && size === 0) throw errno(EINVAL);
      task.userDispatch = { base, size, selector };
      return;
    default: throw errno(EINVAL);
  }
}

export const calls = [seccomp];
