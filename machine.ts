/**
 * A machine: processes over one engine, one pool of frames and one tree of files, and the loop that runs them. Everything that is not determined
 * by its state comes in through ports (clock, randomness, files, streams); there is nothing global, so several machines may live side by side.
 */
import { CAP_SYS_RAWIO } from './abi/capability.ts';
import type { Access, Addr } from './abi/page.ts';
import { RLIMIT_NOFILE } from './abi/resource.ts';
import { FdTable } from './fs/fdtable.ts';
import type { Change } from './fs/overlay.ts';
import { hold } from './fs/path.ts';
import { execute } from './machine-exec.ts';
import { fault } from './mm/fault.ts';
import { MemoryObject } from './mm/object.ts';
import { DONE, type Outcome } from './mm/outcome.ts';
import { MAX_MAP_COUNT } from './mm/request.ts';
import { AddressSpace } from './mm/space.ts';
import { UserMemory } from './mm/user.ts';
import { PAGE_SIZE } from './abi/page.ts';
import type { Refusal } from './loader/refusal.ts';
import { vdso } from './loader/vdso.ts';
import type { MachineParts, ProgramOptions } from './machine-parts.ts';
import { AioContexts } from './proc/aio.ts';
import { capable, type Credentials, credentialsOf } from './proc/credentials.ts';
import { checkCpuLimit } from './proc/cpu-limit.ts';
import { FutexTable } from './proc/futex.ts';
import { limitNumber } from './proc/limits.ts';
import { Messages } from './proc/messages.ts';
import { outOfMemory } from './proc/oom.ts';
import { Pids } from './proc/pids.ts';
import { Process } from './proc/process.ts';
import { leaveSequence } from './proc/rseq.ts';
import { Scheduler } from './proc/scheduler.ts';
import { Semaphores } from './proc/semaphores.ts';
import { SharedMemory } from './proc/shared-memory.ts';
import { SignalActions } from './proc/signal.ts';
import { type Kernel, Task, type Tracer } from './proc/task.ts';
import { excepted, faulted, settle } from './proc/trap.ts';
import { Users } from './proc/users.ts';
import { type CallTracer, Dispatcher } from './syscalls/dispatch.ts';

/** What a system call or fault counts against a task's share beyond its instructions, so that one that does little else ends its turn too. */
const TRAP_COST = 200;
/** How many processes and threads there may be where nobody has said. */
const MAX_TASKS = 4096;
/** Calls after which the host must look again at which signals the guest catches: signal, sigaction, rt_sigaction. */
const SIGACTION_CALLS = [48, 67, 174] as const;

/** Why `run` came back. */
export type Pause =
  /** A slice is over; there is more to run. */
  | { readonly kind: 'slice' }
  /** No task is ready. Something happens at `deadline_ns` (monotonic) at the latest, if there is one. */
  | { readonly kind: 'waiting'; readonly deadline_ns: bigint | undefined }
  /** Every process is over. */
  | { readonly kind: 'over' };

/** Linux's nr_open: however high the limit, no descriptor number is higher. */
const DESCRIPTORS_MAX = 1_048_576;
const SLICE_OVER: Pause = { kind: 'slice' };
const ALL_OVER: Pause = { kind: 'over' };

/** Sees what a machine does. Every method is optional. */
export interface MachineTracer extends Tracer {
  readonly calls?: CallTracer;
  /** A page fault that was not resolved within the page tables. */
  fault?(task: Task, addr: Addr, access: Access, outcome: Outcome): void;
  /** A program is in place, or could not be put there (then the task dies). */
  exec?(task: Task, path: string, refused: Refusal | undefined): void;
  /** `Machine.pauseAt` instructions have run. */
  paused?(): void;
}

export class Machine {
  readonly parts: MachineParts;
  readonly kernel: Kernel;
  readonly dispatcher: Dispatcher;
  /** The vdso's page, which every program maps. */
  readonly vdso: MemoryObject;
  /** The task whose instructions or call are running. */
  current: Task | undefined;
  /** Guest page faults that reached the fault walk. */
  faults = 0;
  /** The tracer's `paused` is called when so many instructions have run in all, whoever runs; nothing else changes by it. */
  pauseAt = Number.POSITIVE_INFINITY;
  private instructionsBefore = 0;
  /** A page fault of the guest is being resolved. */
  private faulting = false;
  /** Monotonic time up to which the current task's CPU time has been counted. */
  private accounted_ns = 0n;
  private refused: Outcome = DONE;
  private sigactions = 0;
  private tracer: MachineTracer = {};
  /** Whose slice the last one was. */
  private last: Task | undefined;

  constructor(parts: MachineParts) {
    this.parts = parts;
    const { engine, frames, clock } = parts;
    const pager = {
      name: '[vdso]',
      pageIn: (_index: number, into: Uint8Array) => void into.set(vdso().bytes),
      pageOut: () => undefined,
      release: () => {},
    };
    this.vdso = new MemoryObject({ frames, pager, size: PAGE_SIZE });
    this.dispatcher = new Dispatcher();
    const limit_bytes = (): number => Math.min(frames.limit, 2 ** 20) * PAGE_SIZE;
    const scheduler = new Scheduler<Task>(parts.slice);
    const seconds = (): number => Number(clock.realtime() / 1_000_000_000n);
    this.kernel = {
      clock,
      random: parts.random,
      identity: parts.identity,
      scheduler,
      files: parts.files,
      futexes: new FutexTable<Task>(
        (task) => scheduler.wake(task),
        (task, rank) => task.inherit(rank),
      ),
      shm: new SharedMemory(),
      aio: new AioContexts(),
      semaphores: new Semaphores<Task>((task) => scheduler.wake(task), seconds),
      messages: new Messages<Task>((task) => scheduler.wake(task), seconds),
      users: new Users(),
      pids: new Pids((pid) => this.numberUsed(pid)),
      maxTasks: parts.maxProcesses ?? MAX_TASKS,
      cpu: engine,
      processes: new Map(),
      remains: new Map(),
      tasks: new Map(),
      tracer: this.tracer,
      current: () => this.current,
      interruptCall: (task, restartable) => this.dispatcher.interrupt(task, restartable),
      stopCall: (task) => this.dispatcher.stop(task),
      instructions: () => this.instructionsBefore,
      account: () => this.account(),
      commitment: frames.commitment,
      settings: { randomizeLayout: parts.aslr === true ? 2 : 0 },
      memory: () => ({ total: limit_bytes(), free: limit_bytes() - frames.inUse * PAGE_SIZE }),
      exec: (task, call) => execute(this, task, call),
    };
    const { kernel } = this;
    frames.lastResort = outOfMemory({ kernel, frames, current: () => this.current, warn: parts.warn });
    engine.onFault = (addr, access) => this.fault(addr, access);
  }

  /** Replaces what looks on; an empty one costs nothing. */
  observe(tracer: MachineTracer): void {
    this.tracer = tracer;
    this.kernel.tracer = tracer;
    this.dispatcher.tracer = tracer.calls;
  }

  get observer(): MachineTracer {
    return this.tracer;
  }

  /** Makes a process that is ready to run the program, or says why not. Linux's own refusals behind the point of no return leave a process that has died. */
  start(options: ProgramOptions): Process | Refusal {
    const task = this.createTask(options);
    const { process } = task;
    const refused = this.load(task, options);
    if (refused === undefined) {
      const terminal = this.parts.files.streams?.terminal;
      if (terminal !== undefined) terminal.foreground = terminal.session = process.pid;
      this.kernel.scheduler.add(task);
      return process;
    }
    this.discard(task);
    return refused;
  }

  private load(task: Task, { program, argv, env }: ProgramOptions): Refusal | undefined {
    try {
      return execute(this, task, { path: program, argv, env, search: true });
    } catch (error) {
      this.discard(task);
      throw error;
    }
  }

  private createTask(options: ProgramOptions): Task {
    const {
      engine,
      frames,
      files: { tree },
      layout,
      clock,
    } = this.parts;
    const { pids } = this.kernel;
    const pid = options.pid === undefined ? pids.next() : pids.take(options.pid);
    const process = new Process(pid, undefined, clock.monotonic());
    this.kernel.processes.set(pid, process);
    process.job = options.job;
    const credentials: Credentials = credentialsOf(options.uid, options.gid, options.groups ?? [options.gid]);
    const space = new AddressSpace({ mmu: engine.createMmu(), frames, layout, limits: process.memoryLimits, maxAreas: MAX_MAP_COUNT });
    space.mayMapLow = capable(credentials, CAP_SYS_RAWIO);
    options.limits?.forEach((limit, which) => (process.limits[which] = { ...limit }));
    // What is open already may have any number, as after an execve.
    const files = new FdTable(Number.POSITIVE_INFINITY);
    options.streams.forEach((description, fd) => {
      if (description !== undefined) files.add(description, false, fd);
    });
    files.limit = Math.min(limitNumber(process.limits[RLIMIT_NOFILE].current), DESCRIPTORS_MAX);
    hold(tree.root);
    hold(options.cwd);
    return new Task({
      tid: pid,
      process,
      kernel: this.kernel,
      registers: engine.createRegisters(),
      space,
      user: new UserMemory(space),
      files,
      fs: { tree, root: tree.root, cwd: options.cwd, umask: options.umask ?? 0o022 },
      actions: new SignalActions(),
      credentials,
    });
  }

  /** A number is nobody else's while a process, a thread, a group or a session has it. */
  private numberUsed(pid: number): boolean {
    const { processes, tasks } = this.kernel;
    if (processes.has(pid) || tasks.has(pid)) return true;
    for (const process of processes.values()) if (process.pgid === pid || process.sid === pid) return true;
    return false;
  }

  /** Takes back a task that never ran. */
  private discard(task: Task): void {
    this.kernel.processes.delete(task.process.pid);
    this.kernel.remains.delete(task.process);
    if (!this.kernel.tasks.delete(task.tid)) return;
    const { users } = this.kernel;
    if (users.drop(task.files)) task.files.closeAll();
    if (users.drop(task.space)) task.space.release();
    task.registers.release();
  }

  /** Runs a task for a turn. The host then does its own work and calls again. */
  run(): Pause {
    const { scheduler, clock } = this.kernel;
    if (scheduler.nextDeadline() !== undefined) scheduler.expire(clock.monotonic());
    const task = scheduler.next();
    if (task !== undefined) {
      this.slice(task);
      return SLICE_OVER;
    }
    if (this.kernel.tasks.size === 0) return ALL_OVER;
    const deadline_ns = scheduler.nextDeadline();
    if (deadline_ns === undefined || clock.skip === undefined) return { kind: 'waiting', deadline_ns };
    clock.skip(deadline_ns);
    return SLICE_OVER;
  }

  /** One task's turn: until it is not ready any more, has had its share, or others or the host are to have a look. */
  private slice(task: Task): void {
    this.current = task;
    // Limits are the process's, and a space may have several (vfork).
    task.space.limits = task.process.memoryLimits;
    this.accounted_ns = this.kernel.clock.monotonic();
    const { scheduler } = this.kernel;
    let used = scheduler.begin(task);
    let interrupted = false;
    if (this.last !== task) {
      const { set } = task.signals.pending;
      const outcome = task.rseq === undefined ? DONE : leaveSequence(task);
      if (outcome.kind === 'done') this.last = task;
      // What is pending otherwise is delivered behind the call that was waited in, which may have come to its end.
      if (outcome.kind === 'wait' || set !== task.signals.pending.set) settle(task, outcome);
    }
    while (task.state === 'ready' && !interrupted) {
      const left = scheduler.left(task, used);
      if (left <= 0) break;
      const { faults } = this;
      const share = Math.min(left, this.pauseAt - this.instructionsBefore);
      const executed = this.step(task, share);
      const paused = this.instructionsBefore >= this.pauseAt;
      used += executed + ((paused ? 0 : 1) + this.faults - faults) * TRAP_COST;
      if (paused) this.tracer.paused?.();
      interrupted = this.sigactionsSeen();
    }
    if (interrupted && task.state === 'ready') scheduler.interrupt(task, used);
    else scheduler.charge(task, used);
    this.account();
    if (task.state === 'waiting') task.switches.voluntary++;
    else if (task.state === 'ready' && scheduler.next() !== task) task.switches.involuntary++;
    this.current = undefined;
  }

  /** Time since the last account is the current task's. What the machine does on its behalf counts as its own work. */
  private account(): void {
    const task = this.current;
    if (task === undefined) return;
    const now_ns = this.kernel.clock.monotonic();
    const spent_ns = now_ns - this.accounted_ns;
    this.accounted_ns = now_ns;
    task.cpuTime_ns += spent_ns;
    task.process.userTime_ns += spent_ns;
    task.process.timers.chargeCpu(task.process.userTime_ns, task.process.systemTime_ns);
    task.process.posixTimers.chargeCpu();
    checkCpuLimit(this.kernel, task.process);
  }

  /** From where the task stands to its next trap, and what follows from that. Returns the number of instructions executed. */
  step(task: Task, budget: number): number {
    const { engine } = this.parts;
    const { job } = task.process;
    const trap = engine.run(task.registers, task.space.mmu, job === undefined ? budget : Math.min(budget, job.left));
    const executed = engine.executed;
    this.instructionsBefore += executed;
    task.process.instructions += executed;
    switch (trap.kind) {
      case 'syscall':
        settle(task, this.dispatcher.dispatch(task));
        break;
      case 'fault': {
        const outcome = this.refused;
        settle(task, faulted(task, trap.addr, trap.access, outcome));
        break;
      }
      case 'exception':
        excepted(task, trap.vector, trap.errorCode);
        settle(task, DONE);
        break;
      case 'budget':
        settle(task, DONE);
    }
    job?.charge(executed);
    return executed;
  }

  /** Called from inside the engine at a page that is missing or forbidden. */
  private fault(addr: Addr, access: Access): boolean {
    const task = this.current as Task;
    this.faults++;
    this.faulting = true;
    const outcome = fault(task.space, addr, access);
    this.faulting = false;
    this.tracer.fault?.(task, addr, access, outcome);
    if (outcome.kind === 'done') {
      task.minorFaults++;
      task.process.minorFaults++;
      return true;
    }
    this.refused = outcome;
    return false;
  }

  /** What the machine is at: a call by its name, a page fault, else `signal` (what comes before the guest goes on) or `machine` (nobody's turn). */
  get activity(): string {
    return this.dispatcher.running?.name ?? (this.faulting ? 'fault' : this.current === undefined ? 'machine' : 'signal');
  }

  /** Whether the guest has changed a signal's action since the last time. */
  private sigactionsSeen(): boolean {
    const { counts } = this.dispatcher;
    const seen = counts[SIGACTION_CALLS[0]] + counts[SIGACTION_CALLS[1]] + counts[SIGACTION_CALLS[2]];
    if (seen === this.sigactions) return false;
    this.sigactions = seen;
    return true;
  }

  /** What the guest changed of files whose changes stay in memory. */
  changes(): Change[] {
    return this.parts.files.changes?.() ?? [];
  }

  /** Gives back what is left, whatever state it is in. The machine is not used again. */
  close(): void {
    for (const task of [...this.kernel.tasks.values()]) this.discard(task);
    this.vdso.drop();
    this.parts.files.close();
  }
}
