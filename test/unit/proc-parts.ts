/** Tasks without a CPU: registers that are plain numbers, a small space, a clock that a test moves, and calls made as a program would make them. */
import { PROT_READ, PROT_WRITE, MAP_ANONYMOUS, MAP_FIXED, MAP_PRIVATE } from '../../abi/mman.ts';
import { CS, type Descriptor, DS, EAX, EBP, EBX, ECX, EDI, EDX, ES, ESI, ESP, FS, GS, type Registers, SS } from '../../emu/engine.ts';
import { FdTable } from '../../fs/fdtable.ts';
import { MemFileSystem } from '../../fs/memfs.ts';
import { Tree } from '../../fs/path.ts';
import { MemoryObject } from '../../mm/object.ts';
import type { Outcome } from '../../mm/outcome.ts';
import { ZeroPager } from '../../mm/pager.ts';
import { UserMemory } from '../../mm/user.ts';
import { AioContexts } from '../../proc/aio.ts';
import { type Clock, GuestClock, seededRandom } from '../../proc/clock.ts';
import { credentialsOf } from '../../proc/credentials.ts';
import { FutexTable } from '../../proc/futex.ts';
import { Messages } from '../../proc/messages.ts';
import { Process } from '../../proc/process.ts';
import { Scheduler } from '../../proc/scheduler.ts';
import { Semaphores } from '../../proc/semaphores.ts';
import { SignalActions } from '../../proc/signal.ts';
import { type Kernel, Task, type Tracer } from '../../proc/task.ts';
import { settle } from '../../proc/trap.ts';
import { Users } from '../../proc/users.ts';
import { Dispatcher, type DispatcherOptions } from '../../syscalls/dispatch.ts';
import { SYSCALL_NAMES } from '../../syscalls/table.ts';
import { makeSpace } from './mm-parts.ts';

export const SCRATCH = 0x1000_0000,
  SCRATCH_SIZE = 0x10_0000;
/** Where `int 0x80` stands. */
export const CODE = 0x0804_8000;
export const STACK = SCRATCH + SCRATCH_SIZE - 0x1000;

export class PlainRegisters implements Registers {
  eip = CODE;
  eflags = 0x202;
  readonly fx = new Uint8Array(512);
  private readonly general = new Uint32Array(8);
  private readonly selectors = [0x2b, 0x23, 0x2b, 0x2b, 0, 0];
  private readonly areas = new Map<number, Descriptor>();
  private readonly ldt = new Map<number, Descriptor>();
  released = false;

  constructor() {
    new DataView(this.fx.buffer).setUint16(0, 0x37f, true);
    new DataView(this.fx.buffer).setUint32(24, 0x1f80, true);
  }
  get(register: number): number {
    return this.general[register];
  }
  set(register: number, value: number): void {
    this.general[register] = value;
  }
  selector(segment: number): number {
    return this.selectors[segment];
  }
  loadSelector(segment: number, selector: number): boolean {
    if (!this.loadable(segment, selector)) return false;
    this.selectors[segment] = selector;
    return true;
  }
  private loadable(segment: number, selector: number): boolean {
    if (segment === CS) return selector === 0x23;
    if (selector <= 3) return segment !== SS;
    if (selector === 0x2b) return true;
    return (selector & 4) !== 0 ? this.ldt.has(selector >> 3) : this.areas.has(selector >> 3);
  }
  segmentBase(segment: number): number {
    const selector = this.selectors[segment];
    return ((selector & 4) !== 0 ? this.ldt : this.areas).get(selector >> 3)?.base ?? 0;
  }
  setThreadArea(index: number, descriptor: Descriptor | undefined): void {
    if (descriptor === undefined) this.areas.delete(index);
    else this.areas.set(index, descriptor);
  }
  threadArea(index: number): Descriptor | undefined {
    return this.areas.get(index);
  }
  setLdtEntry(index: number, descriptor: Descriptor | undefined): void {
    if (descriptor === undefined) this.ldt.delete(index);
    else this.ldt.set(index, descriptor);
  }
  ldtEntry(index: number): Descriptor | undefined {
    return this.ldt.get(index);
  }
  saveFx(into: Uint8Array): void {
    into.set(this.fx);
  }
  restoreFx(from: Uint8Array): boolean {
    if ((new DataView(from.buffer, from.byteOffset).getUint32(24, true) & ~0xffff) !== 0) return false;
    this.fx.set(from.subarray(0, 512));
    return true;
  }
  saveFpu(): void {}
  restoreFpu(): void {}
  copyFrom(): void {}
  reset(): void {}
  release(): void {
    this.released = true;
  }
  /** Everything a signal frame must bring back. */
  snapshot(): object {
    const general = [EAX, EBX, ECX, EDX, ESI, EDI, EBP, ESP].map((register) => this.get(register));
    const selectors = [CS, DS, ES, FS, GS, SS].map((segment) => this.selector(segment));
    return { general, selectors, eip: this.eip, eflags: this.eflags, fx: [...this.fx.subarray(0, 416)] };
  }
}

/** Time stands still unless a test moves it. */
export class TestClock implements Clock {
  now = 1_000_000_000n;
  realtime(): bigint {
    return 1_600_000_000_000_000_000n + this.now;
  }
  monotonic(): bigint {
    return this.now;
  }
}

export class TestMachine {
  readonly clock = new TestClock();
  readonly scheduler = new Scheduler<Task>();
  readonly dispatcher: Dispatcher;
  readonly kernel: Kernel;
  readonly tree: Tree;

  constructor(options: DispatcherOptions & { tracer?: DispatcherOptions['tracer']; events?: Tracer } = {}) {
    this.dispatcher = new Dispatcher(options);
    const { scheduler } = this;
    const clock = new GuestClock(this.clock);
    const base = {
      clock,
      aio: new AioContexts(),
      scheduler,
      random: seededRandom(1),
      futexes: new FutexTable<Task>(
        (task) => scheduler.wake(task),
        (task, rank) => task.inherit(rank),
      ),
      identity: { sysname: 'Linux', nodename: 'test', release: '6.1.0', version: '#1', machine: 'i686', domainname: '(none)' },
      semaphores: new Semaphores<Task>(
        (task) => scheduler.wake(task),
        () => 0,
      ),
      messages: new Messages<Task>(
        (task) => scheduler.wake(task),
        () => 0,
      ),
      users: new Users(),
      processes: new Map(),
      remains: new Map(),
      tasks: new Map(),
      tracer: options.events ?? {},
      current: () => undefined,
      instructions: () => 0,
      account: () => {},
      interruptCall: (task: Task, restartable: boolean) => this.dispatcher.interrupt(task, restartable),
      stopCall: (task: Task) => this.dispatcher.stop(task),
      memory: () => ({ total: 1 << 30, free: 1 << 29 }),
    };
    // Calls on files have tests of their own, over real file services.
    this.kernel = base as unknown as Kernel;
    const frames = makeSpace().frames;
    const pages = (name: string) => new MemoryObject({ frames, pager: new ZeroPager(name), size: 0 });
    this.tree = new Tree(new MemFileSystem({ device: 1, now_ns: () => 0n, pages, uid: 0, gid: 0 } as never).root);
  }

  /** A process of one task, or another thread of `sibling`'s process. */
  task(options: { pid?: number; uid?: number; sibling?: Task; parent?: Process } = {}): Task {
    const { kernel, tree } = this;
    const pid = options.pid ?? 100 + kernel.tasks.size;
    const process = options.sibling?.process ?? new Process(pid, options.parent, 0n);
    kernel.processes.set(process.pid, process);
    const space = options.sibling?.space ?? makeSpace();
    if (options.sibling === undefined) {
      const flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
      space.map({ addr: SCRATCH, size: SCRATCH_SIZE, prot: PROT_READ | PROT_WRITE, flags });
    }
    const registers = new PlainRegisters();
    registers.set(ESP, STACK);
    const task = new Task({
      tid: pid,
      process,
      kernel,
      registers,
      space,
      user: new UserMemory(space),
      files: options.sibling?.files ?? new FdTable(),
      fs: { tree, root: tree.root, cwd: tree.root, umask: 0o22 },
      actions: options.sibling?.actions ?? new SignalActions(),
      credentials: credentialsOf(options.uid ?? 1000, 1000, [1000]),
    });
    space.limits = process.memoryLimits;
    kernel.scheduler.add(task);
    return task;
  }

  /** Makes the task stand at `int 0x80` with this call, and runs it once. Nothing is settled. */
  dispatch(task: Task, name: string, ...words: readonly number[]): Outcome {
    const { registers } = task;
    registers.eip = CODE;
    registers.set(EAX, numberOf(name));
    [EBX, ECX, EDX, ESI, EDI, EBP].forEach((register, i) => registers.set(register, words[i] ?? 0));
    return this.dispatcher.dispatch(task);
  }

  /** As a machine does it: the call, then signals and waits. Returns the result as a signed number; undefined where the task waits or is gone. */
  call(task: Task, name: string, ...words: readonly number[]): number | undefined {
    settle(task, this.dispatch(task, name, ...words));
    return this.result(task);
  }

  /** Runs a waiting task's call again if it has been woken. */
  again(task: Task): number | undefined {
    if (task.state === 'ready') settle(task, this.dispatcher.dispatch(task));
    return this.result(task);
  }

  /** Moves time on and wakes who waits for that. */
  pass(ns: bigint): void {
    this.clock.now += ns;
    this.scheduler.expire(this.clock.now);
  }

  private result(task: Task): number | undefined {
    return task.state === 'ready' && task.registers.eip !== CODE ? task.registers.get(EAX) | 0 : undefined;
  }
}

export function numberOf(name: string): number {
  const number = SYSCALL_NAMES.indexOf(name);
  if (number < 0) throw new Error(`no call ${name}`);
  return number;
}
