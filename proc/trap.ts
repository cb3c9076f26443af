/** From what the engine or a call came back with to what the task does next: signals for faults and exceptions, waits, deliveries. */
import { PROT_READ } from '../abi/mman.ts';
import type { Access, Addr } from '../abi/page.ts';
import { SEGV_ACCERR, SIGKILL } from '../abi/signal.ts';
import { DONE, type Outcome } from '../mm/outcome.ts';
import { assert } from '../abi/assert.ts';
import { deliver, hasDeliverable } from './deliver.ts';
import { isFault, pageFaultError, signalOfException, VECTOR } from './exception.ts';
import { forceSignal, retarget } from './send.ts';
import { faultInfo, kernelInfo, type SignalInfo } from './siginfo.ts';
import type { Task } from './task.ts';

const FLAG_TF = 0x100;

/**
 * After every trap and every call, before the task runs again: makes `outcome` true. Afterwards the task is ready, or parked, stopped or
 * dead. Cheap when there is nothing to do.
 */
export function settle(task: Task, outcome: Outcome): void {
  // Only a trap can have made the task block what it was to take.
  if (task.process.takers.size > 0) retarget(task);
  if (outcome.kind === 'done' && !hasDeliverable(task)) return;
  assert(outcome.kind !== 'signal', 'faulted turns signal outcomes into pending signals');
  const delivered = hasDeliverable(task) ? deliver(task) : undefined;
  if (task.state !== 'ready') return;
  const wait = delivered?.outcome.kind === 'wait' ? delivered.outcome : delivered?.handled ? undefined : outcome;
  if (wait?.kind === 'wait') task.kernel.scheduler.park(task, wait.on, wait.deadline);
}

/** The engine's fault trap: `outcome` is what the fault walk said. Returns the outcome for `settle`. */
export function faulted(task: Task, addr: Addr, access: Access, outcome: Outcome): Outcome {
  if (outcome.kind !== 'signal') return outcome;
  const present = task.space.mmu.translate(addr, PROT_READ) >= 0;
  task.trapNumber = VECTOR.PF;
  task.errorCode = pageFaultError(access, outcome.code === SEGV_ACCERR && present);
  task.faultAddress = addr;
  raise(task, outcome.signo === SIGKILL ? kernelInfo(SIGKILL) : faultInfo(outcome.signo, outcome.code, outcome.addr), true);
  return DONE;
}

/** The engine's exception trap. Returns false where Linux just goes on. */
export function excepted(task: Task, vector: number, errorCode: number): boolean {
  const info = signalOfException(vector, task.registers.eip, (task.registers.eflags & FLAG_TF) !== 0, () => fpuStatus(task));
  if (info === undefined) return false;
  task.trapNumber = vector;
  task.errorCode = errorCode;
  raise(task, info, isFault(vector));
  return true;
}

function raise(task: Task, info: SignalInfo, faulting: boolean): void {
  task.faulting = faulting;
  forceSignal(task, info);
}

function fpuStatus(task: Task) {
  const image = new Uint8Array(512);
  task.registers.saveFx(image);
  const view = new DataView(image.buffer);
  return { control: view.getUint16(0, true), status: view.getUint16(2, true), mxcsr: view.getUint32(24, true) };
}
