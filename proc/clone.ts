/** Making tasks: children and threads, sharing with their maker what clone's flags say, holding copies of the rest. Linux: copy_process. */
import { CAP_SYS_ADMIN, CAP_SYS_RESOURCE } from '../abi/capability.ts';
import * as clone from '../abi/clone.ts';
import { EAGAIN, Errno, errno } from '../abi/errno.ts';
import { RLIM_INFINITY, RLIMIT_NPROC } from '../abi/resource.ts';
import { SIGCHLD } from '../abi/signal.ts';
import { EAX, type Descriptor, ESP } from '../emu/engine.ts';
import { hold } from '../fs/path.ts';
import type { AddressSpace } from '../mm/space.ts';
import { UserMemory } from '../mm/user.ts';
import { capable } from './credentials.ts';
import { copyLimits } from './limits.ts';
import { Process } from './process.ts';
import { NO_STACK } from './signal.ts';
import { Task, type WorkingPlace } from './task.ts';
import { setThreadArea } from './thread-area.ts';

/** Bytes of `int 0x80`. */
const INSTRUCTION = 2;

export interface CloneRequest {
  /** CLONE_ bits, checked. */
  readonly flags: number;
  /** CLONE_CLEAR_SIGHAND. */
  readonly clearActions?: boolean;
  /** What tells the parent of the child's end; 0 is nothing. */
  readonly exitSignal: number;
  /** The child's esp; 0: as the parent's. */
  readonly stack?: number;
  readonly parentTid?: number;
  /** Where the descriptor's number goes. */
  readonly pidfd?: number;
  readonly childTid?: number;
  /** CLONE_SETTLS, decoded. */
  readonly threadArea?: { readonly entry: number; readonly descriptor: Descriptor | undefined };
  /** clone3's set_tid. */
  readonly tid?: number;
}

/** Throws EAGAIN where no further task may be made: for the machine's sake (`--max-processes`), or RLIMIT_NPROC's. */
export function checkRoom({ kernel, process, credentials }: Task): void {
  if (Math.max(kernel.tasks.size, kernel.processes.size) >= kernel.maxTasks) throw errno(EAGAIN);
  const limit = process.limits[RLIMIT_NPROC].current;
  if (limit === RLIM_INFINITY || limit >= kernel.maxTasks || credentials.uid === 0) return;
  if (capable(credentials, CAP_SYS_RESOURCE) || capable(credentials, CAP_SYS_ADMIN)) return;
  let own = 0;
  for (const task of kernel.tasks.values()) if (task.credentials.uid === credentials.uid) own++;
  if (own >= limit) throw errno(EAGAIN);
}

/** The new task, ready to run behind the call that made it, which gives it 0. Requires: flags that go together, and room. */
export function cloneTask(maker: Task, request: CloneRequest): Task {
  const { kernel } = maker;
  const { flags } = request;
  const has = (flag: number): boolean => (flags & flag) !== 0;
  const tid = request.tid === undefined ? kernel.pids.next() : kernel.pids.take(request.tid);
  const space = has(clone.CLONE_VM) ? maker.space : forkSpace(maker);
  const process = has(clone.CLONE_THREAD) ? maker.process : childProcess(maker, tid, request);
  const registers = kernel.cpu.createRegisters();
  registers.copyFrom(maker.registers);
  const task = new Task({
    tid,
    process,
    kernel,
    registers,
    space,
    user: new UserMemory(space),
    files: has(clone.CLONE_FILES) ? maker.files : maker.files.copy(),
    fs: has(clone.CLONE_FS) ? maker.fs : copyPlace(maker.fs),
    actions: has(clone.CLONE_SIGHAND) ? maker.actions : maker.actions.copy(),
    credentials: maker.credentials,
  });
  if (request.clearActions) task.actions.resetHandlers();
  inherit(task, maker, flags);
  registers.set(EAX, 0);
  registers.eip = (registers.eip + INSTRUCTION) >>> 0;
  if (request.stack) registers.set(ESP, request.stack);
  const area = request.threadArea;
  if (area !== undefined) setThreadArea(registers, area.entry, area.descriptor);
  tellIds(maker, task, request);
  return task;
}

/** Throws ENOMEM. */
function forkSpace({ kernel, space }: Task): AddressSpace {
  const mmu = kernel.cpu.createMmu();
  try {
    return space.fork(mmu);
  } catch (error) {
    mmu.release();
    throw error;
  }
}

function childProcess(maker: Task, pid: number, { flags, exitSignal }: CloneRequest): Process {
  const { process: parent, kernel } = maker;
  const isSibling = (flags & clone.CLONE_PARENT) !== 0;
  const process = new Process(pid, isSibling ? parent.parent : parent, kernel.clock.monotonic(), copyLimits(parent.limits));
  process.parentTid = isSibling ? parent.parentTid : maker.tid;
  process.orphan = isSibling && parent.parent === undefined;
  process.exitSignal = isSibling ? parent.exitSignal : exitSignal;
  process.inherit(parent);
  kernel.processes.set(pid, process);
  return process;
}

function copyPlace(place: WorkingPlace): WorkingPlace {
  hold(place.root);
  hold(place.cwd);
  return { ...place };
}

function inherit(task: Task, maker: Task, flags: number): void {
  task.name = maker.name;
  inheritPriority(task, maker);
  task.timerSlack_ns = maker.timerSlack_ns;
  task.noNewPrivileges = maker.noNewPrivileges;
  task.memoryPolicy = maker.memoryPolicy;
  task.seccomp = maker.seccomp;
  task.machineCheckKill = maker.machineCheckKill;
  // Memory of one's own holds the area as well; where it is shared the area is the maker's.
  if ((flags & clone.CLONE_VM) === 0) task.rseq = maker.rseq;
  task.sigreturnStub = maker.sigreturnStub;
  task.rtSigreturnStub = maker.rtSigreturnStub;
  task.signals.mask = maker.signals.savedMask ?? maker.signals.mask;
  // A task that runs in the same memory needs a stack of its own for handlers; after vfork it has the parent's whole stack for itself.
  const sharesStack = (flags & (clone.CLONE_VM | clone.CLONE_VFORK)) === clone.CLONE_VM;
  task.signals.alternate = sharesStack ? NO_STACK : maker.signals.alternate;
}

/** Linux: sched_fork, copy_io. */
function inheritPriority(task: Task, maker: Task): void {
  const isReset = maker.resetOnFork;
  task.nice = isReset ? Math.max(0, maker.nice) : maker.nice;
  task.ioPriority = maker.ioPriority;
  if (isReset && (maker.realtimePriority > 0 || maker.reservation.deadline > 0n)) return;
  task.policy = maker.policy;
  task.realtimePriority = maker.realtimePriority;
  task.reservation = maker.reservation;
}

/** Addresses that cannot be written are no error: Linux ignores them here. */
function tellIds(maker: Task, task: Task, { flags, parentTid = 0, childTid = 0 }: CloneRequest): void {
  if ((flags & clone.CLONE_CHILD_CLEARTID) !== 0) task.clearChildTid = childTid;
  if ((flags & clone.CLONE_PARENT_SETTID) !== 0) tolerant(() => maker.user.writeU32(parentTid, task.tid));
  if ((flags & clone.CLONE_CHILD_SETTID) !== 0) tolerant(() => task.user.writeU32(childTid, task.tid));
}

function tolerant(action: () => void): void {
  try {
    action();
  } catch (thrown) {
    if (!(thrown instanceof Errno)) throw thrown;
  }
}

/** What fork asks for. */
export const FORK: CloneRequest = { flags: 0, exitSignal: SIGCHLD };
/** What vfork asks for. */
export const VFORK: CloneRequest = { flags: clone.CLONE_VM | clone.CLONE_VFORK, exitSignal: SIGCHLD };
