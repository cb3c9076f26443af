/** fork, vfork, clone and clone3: which flags go together, and waiting for a vforked child. */
import { CAP_SYS_ADMIN } from '../abi/capability.ts';
import * as abi from '../abi/clone.ts';
import { E2BIG, EBADF, EEXIST, EFAULT, EINVAL, EPERM, errno } from '../abi/errno.ts';
import { PAGE_SIZE } from '../abi/page.ts';
import { SIG_DFL } from '../abi/signal.ts';
import { type CloneRequest, checkRoom, cloneTask, FORK, VFORK } from '../proc/clone.ts';
import { capable } from '../proc/credentials.ts';
import { describeProcess } from '../proc/pidfd.ts';
import { defaultAction, hasSignal, setOf, suspendMask, union, UNBLOCKABLE } from '../proc/signal.ts';
import type { Task } from '../proc/task.ts';
import { threadAreaOf, checkEntry, userDesc } from '../proc/thread-area.ts';
import { type Blocked, block } from '../proc/wait.ts';
import { define } from './define.ts';
import { address, count, flagsText, hex, loadAt, pidResult, pointerIn, pointerOut } from './kinds.ts';

const NOT_THERE = { partial: 'namespaces of its own answer EPERM; CLONE_INTO_CGROUP EBADF; PTRACE, SYSVSEM and IO have nothing to share' } as const;
/** Linux's deepest nesting of pid namespaces, and the largest clone_args it reads. */
const SET_TID_MAX = 32;

/** The parts that do not depend on whom the call belongs to. Linux: the head of copy_process. */
function checkFlags(task: Task, flags: number): void {
  const has = (bits: number): boolean => (flags & bits) !== 0;
  const { CLONE_NEWNS, CLONE_NEWUSER, CLONE_FS, CLONE_THREAD, CLONE_SIGHAND, CLONE_VM, CLONE_NEWPID, CLONE_PIDFD } = abi;
  if (has(CLONE_FS) && has(CLONE_NEWNS | CLONE_NEWUSER)) throw errno(EINVAL);
  if (has(CLONE_THREAD) && !has(CLONE_SIGHAND)) throw errno(EINVAL);
  if (has(CLONE_SIGHAND) && !has(CLONE_VM)) throw errno(EINVAL);
  if (has(CLONE_THREAD) && has(CLONE_NEWUSER | CLONE_NEWPID)) throw errno(EINVAL);
  if (has(CLONE_PIDFD) && has(CLONE_THREAD | abi.CLONE_DETACHED)) throw errno(EINVAL);
  if (has(abi.CLONE_NAMESPACES)) refuse(task, 'a namespace of its own', EPERM);
}

function refuse(task: Task, what: string, code: number): never {
  task.kernel.tracer.note?.(task, `clone: ${what} is not to be had`);
  throw errno(code);
}

/** Makes the task, or, where the caller waits for a vforked one, goes on waiting. Returns the new number. */
function run(task: Task, request: () => CloneRequest): number | Blocked {
  const waiting = task.vforked;
  if (waiting !== undefined) return waitForVforked(task, waiting);
  const wanted = request();
  checkFlags(task, wanted.flags);
  checkRoom(task);
  // Pages that have yet to be fetched are fetched before anything has changed.
  if ((wanted.flags & abi.CLONE_PARENT_SETTID) !== 0) task.user.probe(wanted.parentTid ?? 0, 4, 'write');
  if ((wanted.flags & abi.CLONE_CHILD_SETTID) !== 0) task.user.probe(wanted.childTid ?? 0, 4, 'write');
  const pidfd = wanted.pidfd ?? 0;
  const wantsPidfd = (wanted.flags & abi.CLONE_PIDFD) !== 0;
  if (wantsPidfd && task.user.probe(pidfd, 4, 'write') < 4) throw errno(EFAULT);
  if (wantsPidfd) task.files.free();
  const child = cloneTask(task, wanted);
  if (wantsPidfd) task.user.writeU32(pidfd, task.files.add(describeProcess(task, child.process, 0), true));
  task.kernel.scheduler.addChild(child, task);
  if ((wanted.flags & abi.CLONE_VFORK) === 0) return child.tid;
  task.vforked = { child, tid: child.tid };
  child.vforkParent = task;
  return waitForVforked(task, task.vforked);
}

/** Only what kills gets through to the parent meanwhile: its stack is the child's. */
function waitForVforked(task: Task, waiting: { readonly child: Task; readonly tid: number }): number | Blocked {
  if (waiting.child.vforkParent !== task) {
    task.vforked = undefined;
    return waiting.tid;
  }
  if (task.signals.savedMask === undefined) suspendMask(task.signals, union(task.signals.mask, notFatal(task)));
  return block(task.vforkDone);
}

function notFatal(task: Task) {
  const all = Array.from({ length: 64 }, (_, i) => i + 1);
  return setOf(...all.filter((signo) => {
    if (hasSignal(UNBLOCKABLE, signo)) return false;
    const action = defaultAction(signo);
    return task.actions.get(signo).handler !== SIG_DFL || (action !== 'terminate' && action !== 'core');
  }));
}

const fork = define({ name: 'fork', args: [], result: pidResult, support: 'full', handler: (task) => run(task, () => FORK) });
const vfork = define({ name: 'vfork', args: [], result: pidResult, support: 'full', handler: (task) => run(task, () => VFORK) });

const cloneFlags = { ...hex, label: 'clone flags', show: (_view: unknown, low: number) => flagsText(low, abi.CLONE_FLAGS, { mask: abi.CSIGNAL, values: { SIGCHLD: 17 } }) };

function threadArea(task: Task, flags: number, tls: number): CloneRequest['threadArea'] {
  if ((flags & abi.CLONE_SETTLS) === 0) return undefined;
  const wanted = loadAt(task, tls, userDesc);
  checkEntry(wanted.entry_number);
  return { entry: wanted.entry_number, descriptor: threadAreaOf(wanted) };
}

const clone = define({
  name: 'clone', args: [['flags', cloneFlags], ['stack', address], ['parent_tid', pointerOut], ['tls', pointerIn], ['child_tid', pointerOut]],
  result: pidResult, support: NOT_THERE,
  handler: (task, how, stack, parentTid, tls, childTid) => run(task, () => {
    const flags = (how & ~abi.CSIGNAL) >>> 0;
    checkFlags(task, flags);
    const area = threadArea(task, flags, tls);
    const both = abi.CLONE_PIDFD | abi.CLONE_PARENT_SETTID;
    if ((flags & both) === both) throw errno(EINVAL);
    return { flags, pidfd: parentTid, exitSignal: (flags & abi.CLONE_THREAD) !== 0 ? 0 : how & abi.CSIGNAL, stack, parentTid, childTid, threadArea: area };
  }),
});

/** Linux: copy_clone_args_from_user and clone3_args_valid. */
function readArgs(task: Task, from: number, size: number): CloneRequest {
  if (size > PAGE_SIZE) throw errno(E2BIG);
  if (size < abi.CLONE_ARGS_FIRST) throw errno(EINVAL);
  const bytes = new Uint8Array(Math.max(size, abi.CLONE_ARGS_CGROUP));
  bytes.set(task.user.read(from, size));
  if (bytes.subarray(abi.CLONE_ARGS_CGROUP).some((byte) => byte !== 0)) throw errno(E2BIG);
  const args = abi.cloneArgs.read(new DataView(bytes.buffer), 0);
  const low = Number(args.flags & 0xffff_ffffn), high = Number(args.flags >> 32n);
  if (args.set_tid_size > SET_TID_MAX || (args.set_tid === 0n) !== (args.set_tid_size === 0n)) throw errno(EINVAL);
  if (args.exit_signal > 64n) throw errno(EINVAL);
  const intoCgroup = (high & abi.HIGH_INTO_CGROUP) !== 0;
  if (intoCgroup && (args.cgroup > 0x7fff_ffffn || size < abi.CLONE_ARGS_CGROUP)) throw errno(EINVAL);
  if ((high & ~(abi.HIGH_CLEAR_SIGHAND | abi.HIGH_INTO_CGROUP)) !== 0) throw errno(EINVAL);
  if ((low & (abi.CLONE_DETACHED | (abi.CSIGNAL & ~abi.CLONE_NEWTIME))) !== 0) throw errno(EINVAL);
  const clearActions = (high & abi.HIGH_CLEAR_SIGHAND) !== 0;
  if (clearActions && (low & abi.CLONE_SIGHAND) !== 0) throw errno(EINVAL);
  if ((low & (abi.CLONE_THREAD | abi.CLONE_PARENT)) !== 0 && args.exit_signal !== 0n) throw errno(EINVAL);
  if ((args.stack === 0n) !== (args.stack_size === 0n)) throw errno(EINVAL);
  const word = (value: bigint): number => Number(value & 0xffff_ffffn);
  checkFlags(task, low);
  if ((low & abi.CLONE_NEWTIME) !== 0) refuse(task, 'a time of its own', EPERM);
  if (intoCgroup) throw errno(EBADF);
  return {
    flags: low, pidfd: word(args.pidfd), clearActions, exitSignal: Number(args.exit_signal), stack: word(args.stack + args.stack_size), parentTid: word(args.parent_tid),
    childTid: word(args.child_tid), threadArea: threadArea(task, low, word(args.tls)), tid: chosenTid(task, args),
  };
}

/** One number for the one pid namespace there is. */
function chosenTid(task: Task, { set_tid, set_tid_size }: abi.CloneArgs): number | undefined {
  if (set_tid_size === 0n) return undefined;
  if (set_tid_size > 1n) throw errno(EINVAL);
  const tid = task.user.readI32(Number(set_tid & 0xffff_ffffn));
  if (tid < 1 || tid >= 4_194_304) throw errno(EINVAL);
  if (!capable(task.credentials, CAP_SYS_ADMIN)) throw errno(EPERM);
  if (tid === 1 || task.kernel.tasks.has(tid) || task.kernel.processes.has(tid)) throw errno(EEXIST);
  return tid;
}

const clone3 = define({
  name: 'clone3', args: [['cl_args', pointerIn], ['size', count]], result: pidResult, support: NOT_THERE,
  handler: (task, from, size) => run(task, () => readArgs(task, from, size)),
});

export const calls = [fork, vfork, clone, clone3];
