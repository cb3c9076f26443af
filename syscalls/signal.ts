/** Signal calls: actions, masks, sending, waiting, alternate stacks, and the return from a handler. */
import { CAP_KILL } from '../abi/capability.ts';
import { EAGAIN, EINTR, EINVAL, ENOMEM, EPERM, Errno, errno, ESRCH } from '../abi/errno.ts';
import * as abi from '../abi/signal.ts';
import type { Layout } from '../abi/struct.ts';
import { isValidTime, type Timespec, timespec32, timespec64, toNanoseconds } from '../abi/time.ts';
import { ESP } from '../emu/engine.ts';
import { NOBODY } from '../fs/wait.ts';
import { capable } from '../proc/credentials.ts';
import { pendingSignals } from '../proc/deliver.ts';
import { INIT_PID } from '../proc/pids.ts';
import type { Process } from '../proc/process.ts';
import { forceSignal, sendToProcess, sendToTask } from '../proc/send.ts';
import { alternateStackFlags, onAlternateStack, popOldFrame, popRtFrame } from '../proc/sigframe.ts';
import { decodeSiginfo, encodeSiginfo, kernelInfo, type SignalInfo, userInfo } from '../proc/siginfo.ts';
import {
  type AlternateStack, difference, type SignalAction, setOf, suspendMask, UNBLOCKABLE, union,
} from '../proc/signal.ts';
import { type Task, threadsOf } from '../proc/task.ts';
import { block } from '../proc/wait.ts';
import { define } from './define.ts';
import {
  address, choice, count, type In, intResult, load, none, pid, pointerIn, pointerOut, registersSet, signo, store, structIn, structOut, uint,
} from './kinds.ts';

const { sigset } = abi;
const setIn = structIn(sigset, 'sigset_t');
const setOut = structOut(sigset, 'sigset_t');
const SIGSET_SIZE = 8;

function checkSize(size: number): void {
  if (size !== SIGSET_SIZE) throw errno(EINVAL);
}

// ---- Actions -------------------------------------------------------------------------------------------------------------------

/** The flags Linux keeps; others are cleared, so that a program can see what is supported. */
const KNOWN_FLAGS = abi.SA_NOCLDSTOP | abi.SA_NOCLDWAIT | abi.SA_SIGINFO | abi.SA_EXPOSE_TAGBITS | abi.SA_RESTORER | abi.SA_ONSTACK
  | abi.SA_RESTART | abi.SA_NODEFER | abi.SA_RESETHAND;

function checkSignal(number: number): void {
  if (number < 1 || number > abi.NSIG) throw errno(EINVAL);
}

function setAction(task: Task, number: number, action: SignalAction): void {
  if (number === abi.SIGKILL || number === abi.SIGSTOP) throw errno(EINVAL);
  task.actions.set(number, { ...action, flags: (action.flags & KNOWN_FLAGS) >>> 0, mask: difference(action.mask, UNBLOCKABLE) });
  // POSIX: a pending signal whose action becomes "ignore" is gone, blocked or not.
  if (!task.actions.ignores(number)) {
    task.process.posixTimers.unignore(number);
    return;
  }
  task.process.pending.remove(setOf(number));
  for (const thread of threadsOf(task.kernel, task.process)) thread.signals.pending.remove(setOf(number));
}

const rtSigaction = define({
  name: 'rt_sigaction',
  args: [['signum', signo], ['act', structIn(abi.sigaction, 'struct sigaction')], ['oldact', structOut(abi.sigaction, 'struct sigaction')], ['size', count]],
  result: none, support: 'full',
  handler: (task, number, act, oldact, size) => {
    checkSize(size);
    const wanted = act === 0 ? undefined : load(task, act, abi.sigaction);
    checkSignal(number);
    const old = task.actions.get(number);
    if (wanted !== undefined) {
      const { handler, flags, restorer, maskLow, maskHigh } = wanted;
      setAction(task, number, { handler, flags, restorer, mask: { low: maskLow, high: maskHigh } });
    }
    if (oldact !== 0) {
      const { handler, flags, restorer, mask } = old;
      store(task, oldact, abi.sigaction, { handler, flags, restorer, maskLow: mask.low, maskHigh: mask.high });
    }
  },
});

const sigaction = define({
  name: 'sigaction',
  args: [['signum', signo], ['act', structIn(abi.oldSigaction, 'struct old_sigaction')], ['oldact', structOut(abi.oldSigaction, 'struct old_sigaction')]],
  result: none, support: 'full',
  handler: (task, number, act, oldact) => {
    const wanted = act === 0 ? undefined : load(task, act, abi.oldSigaction);
    checkSignal(number);
    const old = task.actions.get(number);
    if (wanted !== undefined) {
      const { handler, flags, restorer, mask } = wanted;
      setAction(task, number, { handler, flags, restorer, mask: { low: mask, high: 0 } });
    }
    if (oldact !== 0) store(task, oldact, abi.oldSigaction, { ...old, mask: old.mask.low });
  },
});

const signal = define({
  name: 'signal', args: [['signum', signo], ['handler', address]], result: intResult, support: 'full',
  handler: (task, number, handler) => {
    checkSignal(number);
    const old = task.actions.get(number).handler;
    setAction(task, number, { handler, flags: abi.SA_RESETHAND | abi.SA_NODEFER, restorer: 0, mask: { low: 0, high: 0 } });
    return old;
  },
});

// ---- Masks ---------------------------------------------------------------------------------------------------------------------

const how = choice({ SIG_BLOCK: abi.SIG_BLOCK, SIG_UNBLOCK: abi.SIG_UNBLOCK, SIG_SETMASK: abi.SIG_SETMASK });

function changeMask(task: Task, operation: number, set: abi.SignalSet): void {
  const { signals } = task;
  const wanted = difference(set, UNBLOCKABLE);
  switch (operation) {
    case abi.SIG_BLOCK:
      signals.mask = union(signals.mask, wanted);
      return;
    case abi.SIG_UNBLOCK:
      signals.mask = difference(signals.mask, wanted);
      return;
    case abi.SIG_SETMASK:
      signals.mask = wanted;
      return;
    default: throw errno(EINVAL);
  }
}

const rtSigprocmask = define({
  name: 'rt_sigprocmask', args: [['how', how], ['set', setIn], ['oldset', setOut], ['size', count]], result: none, support: 'full',
  handler: (task, operation, set, oldset, size) => {
    checkSize(size);
    const old = task.signals.mask;
    if (set !== 0) changeMask(task, operation, load(task, set, sigset));
    if (oldset !== 0) store(task, oldset, sigset, old);
  },
});

const sigprocmask = define({
  name: 'sigprocmask', args: [['how', how], ['set', pointerIn], ['oldset', pointerOut]], result: none, support: 'full',
  handler: (task, operation, set, oldset) => {
    const old = task.signals.mask;
    if (set !== 0) {
      const low = task.user.readU32(set);
      // Only the first 32 signals are meant: a new mask keeps the others.
      changeMask(task, operation, operation === abi.SIG_SETMASK ? { low, high: old.high } : { low, high: 0 });
    }
    if (oldset !== 0) task.user.writeU32(oldset, old.low);
  },
});

const sgetmask = define({ name: 'sgetmask', args: [], result: intResult, support: 'full', handler: (task) => task.signals.mask.low });
const ssetmask = define({
  name: 'ssetmask', args: [['newmask', uint]], result: intResult, support: 'full',
  handler: (task, low) => {
    const old = task.signals.mask.low;
    // The number is signed, and a 64-bit kernel's words hold all signals.
    task.signals.mask = difference({ low, high: low >= 0x8000_0000 ? 0xffff_ffff : 0 }, UNBLOCKABLE);
    return old;
  },
});

const rtSigpending = define({
  name: 'rt_sigpending', args: [['set', pointerOut], ['size', count]], result: none, support: 'full',
  handler: (task, set, size) => {
    if (size > SIGSET_SIZE) throw errno(EINVAL);
    const { low, high } = pendingSignals(task);
    const bytes = new Uint8Array(new Uint32Array([low, high]).buffer);
    task.user.write(set, bytes.subarray(0, size));
  },
});
const sigpending = define({
  name: 'sigpending', args: [['set', pointerOut]], result: none, support: 'full',
  handler: (task, set) => task.user.writeU32(set, pendingSignals(task).low),
});

const rtSigsuspend = define({
  name: 'rt_sigsuspend', args: [['mask', setIn], ['size', count]], result: none, support: 'full', interrupted: 'fail',
  handler: (task, mask, size) => {
    checkSize(size);
    suspendMask(task.signals, load(task, mask, sigset));
    throw block(NOBODY);
  },
});
const sigsuspend = define({
  name: 'sigsuspend', args: [['unused1', uint], ['unused2', uint], ['mask', uint]], result: none, support: 'full', interrupted: 'fail',
  handler: (task, _unused1, _unused2, low) => {
    suspendMask(task.signals, { low, high: 0 });
    throw block(NOBODY);
  },
});
const pause = define({
  name: 'pause', args: [], result: none, support: 'full', interrupted: 'fail',
  handler: () => {
    throw block(NOBODY);
  },
});

// ---- Sending -------------------------------------------------------------------------------------------------------------------

/** Linux: kill_ok_by_cred. */
function mayKill(task: Task, target: Process, number: number): boolean {
  const [other] = threadsOf(task.kernel, target);
  const { credentials } = task;
  if (other === undefined || capable(credentials, CAP_KILL)) return true;
  const ids = [other.credentials.suid, other.credentials.uid];
  if (ids.includes(credentials.euid) || ids.includes(credentials.uid)) return true;
  return number === abi.SIGCONT && target.sid === task.process.sid;
}

/** Linux looks for the target first: a bad number is EINVAL only where there is somebody to send it to. */
function checkNumber(number: number): void {
  if (number < 0 || number > abi.NSIG) throw errno(EINVAL);
}

export function sendOne(task: Task, target: Process, info: SignalInfo, number: number): void {
  checkNumber(number);
  if (!mayKill(task, target, number)) throw errno(EPERM);
  if (number !== 0 && sendToProcess(task.kernel, target, info) === 'full') throw errno(EAGAIN);
}

/**
 * The machine is there as process 1, adopts orphans, and hears nothing, as Linux's first process hears nothing that it has no handler for. Returns
 * whether it was meant.
 */
function toMachine({ credentials }: Task, target: number, number: number): boolean {
  if (target !== INIT_PID) return false;
  checkNumber(number);
  if (!capable(credentials, CAP_KILL) && credentials.euid !== 0 && credentials.uid !== 0) throw errno(EPERM);
  return true;
}

/** The process that a number means: any of its threads' will do. */
function processOf({ kernel }: Task, number: number): Process | undefined {
  return kernel.processes.get(number) ?? kernel.tasks.get(number)?.process;
}

const kill = define({
  name: 'kill', args: [['pid', pid], ['sig', signo]], result: none, support: 'full',
  handler: (task, target, number) => {
    const info = userInfo(number, abi.SI_USER, task.process.pid, task.credentials.uid);
    if (toMachine(task, target, number)) return;
    if (target > 0) {
      const process = processOf(task, target);
      if (process === undefined) throw errno(ESRCH);
      sendOne(task, process, info, number);
      return;
    }
    if (target === -0x8000_0000) throw errno(ESRCH);
    const group = target === 0 ? task.process.pgid : -target;
    const all = [...task.kernel.processes.values()];
    const targets = target === -1 ? all.filter((process) => process.pid > 1 && process !== task.process) : all.filter((process) => process.pgid === group);
    sendAll(task, targets, info, number, target === -1);
  },
});

/** Success where any of them could be sent to; for everybody, where there is anybody else. */
export function sendAll(task: Task, targets: readonly Process[], info: SignalInfo, number: number, isEverybody: boolean): void {
  if (targets.length === 0) throw errno(ESRCH);
  checkNumber(number);
  const allowed = targets.filter((process) => mayKill(task, process, number));
  if (allowed.length === 0 && !isEverybody) throw errno(EPERM);
  for (const process of allowed) sendOne(task, process, info, number);
}

/** The thread that tgkill and its like mean. */
function threadOf(task: Task, tgid: number, tid: number): Task {
  const other = task.kernel.tasks.get(tid);
  if (other === undefined || (tgid > 0 && other.process.pid !== tgid)) throw errno(ESRCH);
  return other;
}

function sendToThread(task: Task, tgid: number, tid: number, number: number): void {
  if ((tgid === 0 || tgid === tid) && toMachine(task, tid, number)) return;
  sendThread(task, threadOf(task, tgid, tid), userInfo(number, abi.SI_TKILL, task.process.pid, task.credentials.uid), number);
}

export function sendThread(task: Task, other: Task | undefined, info: SignalInfo, number: number): void {
  if (other === undefined || other.state === 'dead') throw errno(ESRCH);
  checkNumber(number);
  if (!mayKill(task, other.process, number)) throw errno(EPERM);
  if (info.signo !== 0 && sendToTask(other, info) === 'full') throw errno(EAGAIN);
}

const tkill = define({
  name: 'tkill', args: [['tid', pid], ['sig', signo]], result: none, support: 'full',
  handler: (task, tid, number) => {
    if (tid <= 0) throw errno(EINVAL);
    sendToThread(task, 0, tid, number);
  },
});
const tgkill = define({
  name: 'tgkill', args: [['tgid', pid], ['tid', pid], ['sig', signo]], result: none, support: 'full',
  handler: (task, tgid, tid, number) => {
    if (tgid <= 0 || tid <= 0) throw errno(EINVAL);
    sendToThread(task, tgid, tid, number);
  },
});

export function readInfo(task: Task, number: number, info: In<Uint8Array>): SignalInfo {
  return decodeSiginfo(number, task.user.read(info, abi.SIGINFO_SIZE));
}

/** Only the kernel may claim to be the kernel (or kill, or tgkill), except towards oneself. */
export function checkSender(info: SignalInfo, toSelf: boolean): void {
  if ((info.code >= abi.SI_USER || info.code === abi.SI_TKILL) && !toSelf) throw errno(EPERM);
}

const rtSigqueueinfo = define({
  name: 'rt_sigqueueinfo', args: [['pid', pid], ['sig', signo], ['info', pointerIn]], result: none, support: 'full',
  handler: (task, target, number, info) => {
    const decoded = readInfo(task, number, info);
    checkSender(decoded, target === task.tid);
    if (toMachine(task, target, number)) return;
    const process = processOf(task, target);
    if (process === undefined) throw errno(ESRCH);
    sendOne(task, process, decoded, number);
  },
});
const rtTgsigqueueinfo = define({
  name: 'rt_tgsigqueueinfo', args: [['tgid', pid], ['tid', pid], ['sig', signo], ['info', pointerIn]], result: none, support: 'full',
  handler: (task, tgid, tid, number, info) => {
    const decoded = readInfo(task, number, info);
    if (tgid <= 0 || tid <= 0) throw errno(EINVAL);
    checkSender(decoded, tid === task.tid);
    sendThread(task, threadOf(task, tgid, tid), decoded, number);
  },
});

// ---- Waiting for signals -------------------------------------------------------------------------------------------------------

function sigtimedwait(name: string, layout: Layout<Timespec>) {
  return define({
    name, args: [['set', setIn], ['info', pointerOut], ['timeout', structIn(layout, 'struct timespec')], ['size', count]],
    result: intResult, support: 'full', interrupted: 'always',
    handler: (task, set, info, timeout, size) => {
      checkSize(size);
      const wanted = difference(load(task, set, sigset), UNBLOCKABLE);
      const limit = timeout === 0 ? undefined : load(task, timeout, layout);
      if (limit !== undefined && !isValidTime(limit)) throw errno(EINVAL);
      // Brings the page in before anything is taken: the call may have to run again for it.
      if (info !== 0) task.user.probe(info, abi.SIGINFO_SIZE, 'write');
      const found = task.signals.pending.take(wanted) ?? task.process.pending.take(wanted);
      if (found !== undefined) {
        if (info !== 0) task.user.write(info, encodeSiginfo(found));
        return found.signo;
      }
      const deadline = limit === undefined ? undefined : task.deadlineAfter(toNanoseconds(limit));
      if (task.expired) throw errno(EAGAIN);
      task.signals.awaited = wanted;
      throw block(NOBODY, deadline);
    },
  });
}

// ---- Alternate stack -----------------------------------------------------------------------------------------------------------

const stackIn = structIn(abi.stack, 'stack_t');

/** Linux: do_sigaltstack. */
function setAlternateStack(task: Task, wanted: AlternateStack): void {
  const { signals } = task;
  if (onAlternateStack(signals.alternate, task.registers.get(ESP))) throw errno(EPERM);
  const mode = (wanted.flags & ~abi.SS_AUTODISARM) >>> 0;
  if (mode !== abi.SS_DISABLE && mode !== abi.SS_ONSTACK && mode !== 0) throw errno(EINVAL);
  const { sp, size, flags } = signals.alternate;
  if (wanted.sp === sp && wanted.size === size && wanted.flags === flags) return;
  if (mode === abi.SS_DISABLE) {
    signals.alternate = { sp: 0, size: 0, flags: wanted.flags };
    return;
  }
  if (wanted.size < abi.MINSIGSTKSZ) throw errno(ENOMEM);
  signals.alternate = { sp: wanted.sp, size: wanted.size, flags: wanted.flags };
}

const sigaltstack = define({
  name: 'sigaltstack', args: [['ss', stackIn], ['old_ss', structOut(abi.stack, 'stack_t')]], result: none, support: 'full',
  handler: (task, ss, oldSs) => {
    const wanted = ss === 0 ? undefined : load(task, ss, abi.stack);
    const { alternate } = task.signals;
    const flags = (alternateStackFlags(alternate, task.registers.get(ESP)) | (alternate.flags & abi.SS_AUTODISARM)) >>> 0;
    const old = { sp: alternate.sp, flags, size: alternate.size };
    if (wanted !== undefined) setAlternateStack(task, { ...wanted, flags: wanted.flags >>> 0 });
    if (oldSs !== 0) store(task, oldSs, abi.stack, old);
  },
});

// ---- Returning from a handler --------------------------------------------------------------------------------------------------

/** A frame that cannot be read or holds what no program could have had: SIGSEGV, as Linux has it. */
function restore(task: Task, pop: () => void): void {
  try {
    pop();
  } catch (thrown) {
    if (!(thrown instanceof Errno)) throw thrown;
    forceSignal(task, kernelInfo(abi.SIGSEGV));
  }
}

const sigreturn = define({
  name: 'sigreturn', args: [], result: registersSet, support: 'full',
  handler: (task) => restore(task, () => popOldFrame(task)),
});

const rtSigreturn = define({
  name: 'rt_sigreturn', args: [], result: registersSet, support: 'full',
  handler: (task) => restore(task, () => {
    const stack = popRtFrame(task);
    try {
      setAlternateStack(task, stack);
    } catch (thrown) {
      // Linux ignores what sigaltstack says here.
      if (!(thrown instanceof Errno)) throw thrown;
    }
  }),
});

/** Nothing ever needs it: a waiting call simply runs again. A program that calls it by itself is told what Linux tells it. */
const restartSyscall = define({
  name: 'restart_syscall', args: [], result: none, support: 'full',
  handler: () => {
    throw errno(EINTR);
  },
});

export const calls = [
  rtSigaction, sigaction, signal, rtSigprocmask, sigprocmask, sgetmask, ssetmask, rtSigpending, sigpending, rtSigsuspend, sigsuspend, pause,
  kill, tkill, tgkill, rtSigqueueinfo, rtTgsigqueueinfo, sigtimedwait('rt_sigtimedwait', timespec32),
  sigtimedwait('rt_sigtimedwait_time64', timespec64), sigaltstack, sigreturn, rtSigreturn, restartSyscall,
];
