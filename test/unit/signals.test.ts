/** Signals as tasks see them: sets, queues, frames, masks, waits and stops, without a CPU. */
import { expect, test } from 'vitest';
import { EAGAIN, EINTR, EINVAL, ENOMEM, EPERM } from '../../abi/errno.ts';
import * as abi from '../../abi/signal.ts';
import { CS, EAX, EBX, ECX, EDX, ESP } from '../../emu/engine.ts';
import { deliver, hasDeliverable } from '../../proc/deliver.ts';
import { signalOfException, VECTOR } from '../../proc/exception.ts';
import { forceSignal, sendToProcess, sendToTask } from '../../proc/send.ts';
import { faultInfo, queuedInfo, userInfo } from '../../proc/siginfo.ts';
import { PendingSignals, setOf, type SignalAction } from '../../proc/signal.ts';
import type { Task } from '../../proc/task.ts';
import { CODE, type PlainRegisters, SCRATCH, STACK, TestMachine } from './proc-parts.ts';

const HANDLER = 0x0804_9000,
  RESTORER = 0x0804_a000;
const EVERYTHING = { low: 0xffff_ffff, high: 0xffff_ffff };

function catching(task: Task, signo: number, action: Partial<SignalAction> = {}): void {
  task.actions.set(signo, { handler: HANDLER, flags: 0, restorer: 0, mask: { low: 0, high: 0 }, ...action });
}

const sent = (signo: number) => userInfo(signo, abi.SI_USER, 1, 0);

test('standard signals are pending once, real-time ones queue in order, synchronous ones come first', () => {
  const pending = new PendingSignals();
  expect(pending.add(sent(abi.SIGUSR1))).toBe(true);
  expect(pending.add(sent(abi.SIGUSR1))).toBe(false);
  pending.add(queuedInfo(40, 1, 0, 1));
  pending.add(queuedInfo(40, 1, 0, 2));
  pending.add(sent(abi.SIGHUP));
  pending.add(faultInfo(abi.SIGSEGV, 1, 0));
  const order = [1, 2, 3, 4, 5].map(() => pending.take(EVERYTHING));
  expect(order.map((info) => info?.signo)).toEqual([abi.SIGSEGV, abi.SIGHUP, abi.SIGUSR1, 40, 40]);
  expect(order.slice(3).map((info) => info?.fields[2])).toEqual([1, 2]);
  expect(pending.set).toEqual({ low: 0, high: 0 });
});

test('only wanted signals are taken, the highest number included', () => {
  const pending = new PendingSignals();
  for (const signo of [32, 33, 64]) pending.add(sent(signo));
  expect(pending.take(setOf(64))?.signo).toBe(64);
  expect(pending.take(setOf(1, 2))).toBe(undefined);
  expect(pending.take(EVERYTHING)?.signo).toBe(32);
});

test.each([
  ['old', 0],
  ['rt', abi.SA_SIGINFO],
])('an %s frame brings back every register, the FPU and the mask', (_name, flags) => {
  const machine = new TestMachine();
  const task = machine.task();
  const registers = task.registers as PlainRegisters;
  registers.fx.forEach((_, i) => {
    if (i >= 32 && i < 416) registers.fx[i] = i * 7;
  });
  // The x87 registers have 80 bits; what fills their places up to 128 is not kept.
  for (let i = 0; i < 8; i++) registers.fx.fill(0, 32 + i * 16 + 10, 48 + i * 16);
  registers.fx[4] = 0xff;
  for (let i = 0; i < 8; i++) if (i !== 4) registers.set(i, 0x1111_1111 * i);
  registers.eflags = 0xa46;
  task.signals.mask = { low: 0x8000, high: 0x80 };
  const before = registers.snapshot();
  catching(task, abi.SIGUSR1, { flags: flags | abi.SA_RESTORER, restorer: RESTORER, mask: { low: 2, high: 0 } });
  sendToTask(task, sent(abi.SIGUSR1));
  expect(deliver(task).handled).toBe(true);
  expect(registers.eip).toBe(HANDLER);
  expect([registers.get(EAX), registers.eflags & 0x500]).toEqual([abi.SIGUSR1, 0]);
  expect((registers.get(ESP) + 4) % 16).toBe(0);
  expect(task.user.readU32(registers.get(ESP))).toBe(RESTORER);
  expect(task.signals.mask).toEqual({ low: 0x8000 | 2 | (1 << 9), high: 0x80 });
  // The handler returns: the return address is popped, and by the old stub the signal number too.
  registers.set(ESP, registers.get(ESP) + (flags === 0 ? 8 : 4));
  machine.dispatch(task, flags === 0 ? 'sigreturn' : 'rt_sigreturn');
  expect(registers.snapshot()).toEqual(before);
  expect(task.signals.mask).toEqual({ low: 0x8000, high: 0x80 });
});

test('a frame lies where the native kernel puts it: FPU state at a multiple of 64, its magic words around it', () => {
  const machine = new TestMachine();
  const task = machine.task();
  catching(task, abi.SIGUSR1, { flags: abi.SA_SIGINFO });
  sendToTask(task, sent(abi.SIGUSR1));
  deliver(task);
  const at = task.registers.get(ESP);
  const word = (offset: number) => task.user.readU32(at + offset);
  expect([word(4), word(8), word(12), word(16), word(24)]).toEqual([abi.SIGUSR1, at + 16, at + 144, abi.SIGUSR1, abi.SI_USER]);
  expect([task.registers.get(EDX), task.registers.get(ECX)]).toEqual([at + 16, at + 144]);
  const fpstate = word(164 + 76);
  expect((fpstate + 112) % 64).toBe(0);
  expect(word(0), 'without restorer or vdso the return code in the frame is used').toBe(at + 260);
  expect(word(260)).toBe(0x0000_adb8);
  const fx = fpstate - at + 112;
  expect([word(fx + 464), word(fx + 468), word(fx + 472), word(fx + 480), word(fx + 576)]).toEqual([0x46505853, 692, 3, 576, 0x46505845]);
  expect(word(fpstate - at)).toBe(0xffff_037f);
});

test('a fault marks the frame with RF, vector, error code and address', () => {
  const machine = new TestMachine();
  const task = machine.task();
  catching(task, abi.SIGSEGV, { flags: abi.SA_SIGINFO });
  Object.assign(task, { trapNumber: 14, errorCode: 6, faultAddress: 0x1234, faulting: true });
  forceSignal(task, faultInfo(abi.SIGSEGV, abi.SEGV_MAPERR, 0x1234));
  deliver(task);
  const at = task.registers.get(ESP) + 164;
  expect([48, 52, 84].map((offset) => task.user.readU32(at + offset))).toEqual([14, 6, 0x1234]);
  expect(task.user.readU32(at + 64) & 0x10000).toBe(0x10000);
});

test('a handler on the alternate stack is put at its top; nested ones go on below; without SA_ONSTACK it is not used', () => {
  const machine = new TestMachine();
  const task = machine.task();
  [SCRATCH + 0x4000, 0, 0x4000].forEach((word, i) => task.user.writeU32(SCRATCH + 4 * i, word));
  expect(machine.call(task, 'sigaltstack', SCRATCH, 0)).toBe(0);
  catching(task, abi.SIGUSR1, { flags: abi.SA_ONSTACK });
  catching(task, abi.SIGUSR2);
  sendToTask(task, sent(abi.SIGUSR1));
  deliver(task);
  const first = task.registers.get(ESP);
  expect(first).toBeGreaterThan(SCRATCH + 0x4000);
  expect(first).toBeLessThan(SCRATCH + 0x8000);
  expect(machine.call(task, 'sigaltstack', SCRATCH, 0)).toBe(-EPERM);
  machine.call(task, 'sigaltstack', 0, SCRATCH + 0x100);
  expect(task.user.readU32(SCRATCH + 0x104)).toBe(abi.SS_ONSTACK);
  sendToTask(task, sent(abi.SIGUSR2));
  deliver(task);
  expect(task.registers.get(ESP)).toBeLessThan(first);
  task.registers.set(ESP, STACK);
  task.signals.mask = { low: 0, high: 0 };
  sendToTask(task, sent(abi.SIGUSR2));
  deliver(task);
  expect(task.registers.get(ESP)).toBeGreaterThan(SCRATCH + 0x8000);
});

test('sigaltstack refuses what is too small or says nonsense, and SS_DISABLE takes it away', () => {
  const machine = new TestMachine();
  const task = machine.task();
  const set = (sp: number, flags: number, bytes: number) => {
    [sp, flags, bytes].forEach((word, i) => task.user.writeU32(SCRATCH + 4 * i, word));
    return machine.call(task, 'sigaltstack', SCRATCH, 0);
  };
  expect(set(SCRATCH, 0, 2047)).toBe(-ENOMEM);
  expect(set(SCRATCH, 7, 8192)).toBe(-EINVAL);
  expect(set(SCRATCH, 0, 8192)).toBe(0);
  expect(set(0, abi.SS_DISABLE, 0)).toBe(0);
  machine.call(task, 'sigaltstack', 0, SCRATCH);
  expect([0, 4, 8].map((i) => task.user.readU32(SCRATCH + i))).toEqual([0, abi.SS_DISABLE, 0]);
});

test('a stack that cannot take the frame is SIGSEGV, and death where that is what failed', () => {
  const machine = new TestMachine();
  const task = machine.task();
  task.registers.set(ESP, 0x2000);
  catching(task, abi.SIGUSR1);
  sendToTask(task, sent(abi.SIGUSR1));
  deliver(task);
  expect(task.process.status).toEqual({ kind: 'killed', signo: abi.SIGSEGV, core: false });
});

test('several pending signals stack their handlers, the last one taken running first', () => {
  const machine = new TestMachine();
  const task = machine.task();
  catching(task, abi.SIGUSR1);
  catching(task, abi.SIGUSR2, { handler: HANDLER + 16 });
  sendToTask(task, sent(abi.SIGUSR2));
  sendToTask(task, sent(abi.SIGUSR1));
  deliver(task);
  expect(task.registers.eip).toBe(HANDLER + 16);
  task.registers.set(ESP, task.registers.get(ESP) + 8);
  machine.dispatch(task, 'sigreturn');
  expect(task.registers.eip).toBe(HANDLER);
  task.registers.set(ESP, task.registers.get(ESP) + 8);
  machine.dispatch(task, 'sigreturn');
  expect(task.registers.eip).toBe(CODE);
});

test('SA_RESETHAND and SA_NODEFER do what they say', () => {
  const machine = new TestMachine();
  const task = machine.task();
  catching(task, abi.SIGUSR1, { flags: abi.SA_RESETHAND | abi.SA_NODEFER });
  sendToTask(task, sent(abi.SIGUSR1));
  deliver(task);
  expect(task.actions.get(abi.SIGUSR1).handler).toBe(abi.SIG_DFL);
  expect(task.signals.mask).toEqual({ low: 0, high: 0 });
});

test('ignored signals vanish when sent, but not while they are blocked', () => {
  const machine = new TestMachine();
  const task = machine.task();
  sendToTask(task, sent(abi.SIGCHLD));
  expect(task.signals.pending.set.low).toBe(0);
  task.signals.mask = setOf(abi.SIGCHLD);
  sendToTask(task, sent(abi.SIGCHLD));
  expect(machine.call(task, 'rt_sigpending', SCRATCH, 8)).toBe(0);
  expect(task.user.readU32(SCRATCH)).toBe(1 << (abi.SIGCHLD - 1));
});

test('a fault whose signal is blocked or ignored kills', () => {
  for (const prepare of [
    (task: Task) => (task.signals.mask = setOf(abi.SIGFPE)),
    (task: Task) => catching(task, abi.SIGFPE, { handler: abi.SIG_IGN }),
  ]) {
    const task = new TestMachine().task();
    catching(task, abi.SIGFPE);
    prepare(task);
    forceSignal(task, faultInfo(abi.SIGFPE, abi.FPE_INTDIV, CODE));
    deliver(task);
    expect(task.process.status).toEqual({ kind: 'killed', signo: abi.SIGFPE, core: false });
  }
});

test('kill of oneself is delivered before the call returns', () => {
  const machine = new TestMachine();
  const task = machine.task({ pid: 9 });
  catching(task, abi.SIGUSR1);
  machine.call(task, 'kill', 9, abi.SIGUSR1);
  expect(task.registers.eip).toBe(HANDLER);
  const frame = task.registers.get(ESP);
  expect([task.user.readU32(frame + 8 + 44), task.user.readU32(frame + 8 + 56)]).toEqual([0, CODE + 2]);
});

test('sigsuspend waits with its mask, returns EINTR after a handler, and the handler returns to the old mask', () => {
  const machine = new TestMachine();
  const task = machine.task();
  catching(task, abi.SIGUSR1);
  task.signals.mask = setOf(abi.SIGUSR1);
  task.user.writeU32(SCRATCH, 1 << (abi.SIGUSR2 - 1));
  task.user.writeU32(SCRATCH + 4, 0);
  machine.call(task, 'rt_sigsuspend', SCRATCH, 8);
  expect([task.state, task.signals.mask]).toEqual(['waiting', setOf(abi.SIGUSR2)]);
  sendToTask(task, sent(abi.SIGUSR1));
  expect(task.state).toBe('ready');
  deliver(task);
  expect(task.registers.eip).toBe(HANDLER);
  const frame = task.registers.get(ESP);
  expect(task.user.readU32(frame + 8 + 44) | 0).toBe(-EINTR);
  task.registers.set(ESP, frame + 8);
  machine.dispatch(task, 'sigreturn');
  expect(task.signals.mask).toEqual(setOf(abi.SIGUSR1));
});

test('sigsuspend with a signal already pending is over at once', () => {
  const machine = new TestMachine();
  const task = machine.task();
  catching(task, abi.SIGUSR1);
  task.signals.mask = setOf(abi.SIGUSR1);
  sendToTask(task, sent(abi.SIGUSR1));
  machine.call(task, 'rt_sigsuspend', SCRATCH, 8);
  expect([task.state, task.registers.eip]).toEqual(['ready', HANDLER]);
});

test('sigtimedwait takes a blocked signal with its value, times out with EAGAIN, and is cut short by other handlers', () => {
  const machine = new TestMachine();
  const task = machine.task();
  const set = setOf(40);
  task.signals.mask = set;
  task.user.writeU32(SCRATCH, set.low);
  task.user.writeU32(SCRATCH + 4, set.high);
  task.user.writeU32(SCRATCH + 8, 1);
  task.user.writeU32(SCRATCH + 12, 0);
  machine.call(task, 'rt_sigtimedwait', SCRATCH, SCRATCH + 64, SCRATCH + 8, 8);
  expect(task.state).toBe('waiting');
  sendToProcess(machine.kernel, task.process, queuedInfo(40, 3, 4, 0xabc));
  expect(machine.again(task)).toBe(40);
  expect(task.user.readU32(SCRATCH + 64 + 20)).toBe(0xabc);
  machine.call(task, 'rt_sigtimedwait', SCRATCH, 0, SCRATCH + 8, 8);
  machine.pass(1_000_000_000n);
  expect(machine.again(task)).toBe(-EAGAIN);
  catching(task, abi.SIGUSR1);
  machine.call(task, 'rt_sigtimedwait', SCRATCH, 0, 0, 8);
  sendToTask(task, sent(abi.SIGUSR1));
  deliver(task);
  expect(task.user.readU32(task.registers.get(ESP) + 8 + 44) | 0).toBe(-EINTR);
});

test('the default action of a stop signal stops, SIGCONT goes on and forgets pending stops, SIGKILL ends even a stopped process', () => {
  const machine = new TestMachine();
  const task = machine.task();
  sendToProcess(machine.kernel, task.process, sent(abi.SIGTSTP));
  deliver(task);
  expect([task.state, task.process.stopped]).toEqual(['stopped', true]);
  sendToProcess(machine.kernel, task.process, sent(abi.SIGCONT));
  expect([task.state, task.process.stopped, hasDeliverable(task)]).toEqual(['ready', false, false]);
  sendToProcess(machine.kernel, task.process, sent(abi.SIGSTOP));
  deliver(task);
  sendToProcess(machine.kernel, task.process, sent(abi.SIGKILL));
  expect(task.state).toBe('ready');
  deliver(task);
  expect(task.process.status).toEqual({ kind: 'killed', signo: abi.SIGKILL, core: false });
});

test('exceptions become the signals of traps.c', () => {
  const fpu = { control: 0x37f & ~4, status: 0x3804, mxcsr: (0x1f80 & ~(1 << 7)) | 1 };
  const of = (vector: number) => {
    const info = signalOfException(vector, 0x1000, true, () => fpu);
    return [info?.signo, info?.code, info?.fields[0]];
  };
  expect(of(VECTOR.DE)).toEqual([abi.SIGFPE, abi.FPE_INTDIV, 0x1000]);
  expect(of(VECTOR.DB)).toEqual([abi.SIGTRAP, abi.TRAP_TRACE, 0x1000]);
  expect(signalOfException(VECTOR.DB, 0, false, () => fpu)?.code).toBe(abi.TRAP_BRKPT);
  expect(of(VECTOR.BP)).toEqual([abi.SIGTRAP, abi.SI_KERNEL, undefined]);
  expect(of(VECTOR.OF)).toEqual([abi.SIGSEGV, abi.SI_KERNEL, undefined]);
  expect(of(VECTOR.UD)).toEqual([abi.SIGILL, abi.ILL_ILLOPN, 0x1000]);
  expect(of(VECTOR.SS)).toEqual([abi.SIGBUS, abi.SI_KERNEL, undefined]);
  expect(of(VECTOR.GP)).toEqual([abi.SIGSEGV, abi.SI_KERNEL, undefined]);
  expect(of(VECTOR.MF)).toEqual([abi.SIGFPE, abi.FPE_FLTDIV, 0x1000]);
  expect(of(VECTOR.AC)).toEqual([abi.SIGBUS, abi.BUS_ADRALN, 0]);
  expect(of(VECTOR.XM)).toEqual([abi.SIGFPE, abi.FPE_FLTINV, 0x1000]);
});

test('a frame that holds what no program could have had is SIGSEGV', () => {
  const machine = new TestMachine();
  const task = machine.task();
  catching(task, abi.SIGUSR1);
  sendToTask(task, sent(abi.SIGUSR1));
  deliver(task);
  const frame = task.registers.get(ESP);
  task.user.writeU32(frame + 8 + 60, 0x33);
  task.registers.set(ESP, frame + 8);
  machine.call(task, 'sigreturn');
  expect(task.process.status).toEqual({ kind: 'killed', signo: abi.SIGSEGV, core: false });
  expect(task.registers.selector(CS)).toBe(0x23);
});

test('setting an action to ignore drops what is pending, and KILL and STOP have no action', () => {
  const machine = new TestMachine();
  const task = machine.task();
  task.signals.mask = setOf(abi.SIGUSR1);
  sendToTask(task, sent(abi.SIGUSR1));
  machine.call(task, 'signal', abi.SIGUSR1, abi.SIG_IGN);
  expect(task.signals.pending.set.low).toBe(0);
  expect(machine.call(task, 'signal', abi.SIGKILL, abi.SIG_IGN)).toBe(-EINVAL);
  expect(machine.call(task, 'signal', 65, abi.SIG_IGN)).toBe(-EINVAL);
  expect(task.registers.get(EBX)).toBe(65);
});

test('alarm and setitimer send their signal when due, again where they repeat', () => {
  const machine = new TestMachine();
  const task = machine.task();
  task.signals.mask = setOf(abi.SIGALRM);
  expect(machine.call(task, 'alarm', 3)).toBe(0);
  machine.pass(1_000_000_000n);
  expect(machine.call(task, 'alarm', 1)).toBe(2);
  machine.pass(1_000_000_000n);
  expect(task.process.pending.take(EVERYTHING)?.signo).toBe(abi.SIGALRM);
  [0, 500_000, 0, 250_000].forEach((word, i) => task.user.writeU32(SCRATCH + 4 * i, word));
  machine.call(task, 'setitimer', 0, SCRATCH, 0);
  for (const ns of [250_000_000n, 500_000_000n]) {
    machine.pass(ns);
    expect(task.process.pending.take(EVERYTHING)?.signo).toBe(abi.SIGALRM);
  }
  machine.pass(100_000_000n);
  machine.call(task, 'getitimer', 0, SCRATCH);
  expect([0, 4, 8, 12].map((i) => task.user.readU32(SCRATCH + i))).toEqual([0, 500_000, 0, 400_000]);
});
