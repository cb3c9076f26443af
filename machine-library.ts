/** The machine as the library's users have it: programs, files, events and limits in their own terms, over the machine of machine.ts. */
import { Errno, errnoName } from './abi/errno.ts';
import { PAGE_SIZE } from './abi/page.ts';
import type { Change } from './fs/overlay.ts';
import type { Machine as Core, Pause } from './machine.ts';
import { Driver } from './machine-driver.ts';
import { Events, type EventsOf } from './machine-events.ts';
import { FileAccess, FileError } from './machine-files.ts';
import { createMachine, elapsed_ms, type MachineOptions as CoreOptions } from './machine-host.ts';
import { type Collected, GuestProcess, type Surroundings } from './machine-process.ts';
import { bytesOf, checkedLimit, DISCARD, ProgramError, type Outputs, programOptions, type SpawnOptions, textOf } from './machine-spawn.ts';
import { Collector } from './machine-streams.ts';
import { exitProcess } from './proc/exit.ts';
import { forget } from './proc/family.ts';
import { Job } from './proc/job.ts';
import { Process } from './proc/process.ts';

/** What a machine is made with; all of it is optional. */
export type MachineOptions = Omit<CoreOptions, 'terminal'>;

/** What a machine uses. Sizes are in bytes. */
export interface Usage {
  readonly memory: number;
  readonly memoryPeak: number;
  readonly memoryLimit: number;
  /** Executed since the machine was made. */
  readonly instructions: number;
  /** Page faults that were not settled within the page tables. */
  readonly faults: number;
  /** Processes that are not over, and those that are but have not been waited for by their parents. */
  readonly processes: number;
}

/** The machine cannot do this: it is closed, or in the middle of a slice (listeners must not run it). */
export class MachineError extends Error {
  override name = 'MachineError';
  readonly code: 'closed' | 'busy';

  constructor(code: 'closed' | 'busy') {
    super(code === 'closed' ? 'the machine is closed' : 'the machine is running: a listener cannot run it');
    this.code = code;
  }
}

export type MachineEvents = EventsOf<GuestProcess>;

const MEMORY_MIN = 2 ** 20,
  MEMORY_MAX = 4 * 2 ** 30;
const OUTPUT_KEPT = 16 << 20;
const NS_PER_MS = 1e6;
const SIGKILL = 9;

export class Machine {
  /** The guest's files. */
  readonly files: FileAccess;
  readonly #core: Core;
  readonly #driver: Driver;
  readonly #events: Events<GuestProcess>;
  readonly #handles: WeakMap<Process, GuestProcess> = new WeakMap();
  readonly #surroundings: Surroundings;
  /** Processes that the host program started and whose parent it is. */
  readonly #spawned: Set<Process> = new Set();
  #busy = false;
  /** Why nothing runs any more: the machine is closed, or it has failed. */
  #ended: { readonly reason: unknown } | undefined;
  /** What a listener or an output has thrown. */
  #thrown: { readonly reason: unknown } | undefined;

  /**
   * Throws FileError where the root is no directory, MountError, RangeError for options out of range and where the host has no memory for the engine,
   * WebAssembly.CompileError where `wasm` is none.
   */
  constructor(options: MachineOptions = {}) {
    checkRanges(options);
    this.#core = makeCore(options);
    const { kernel, parts } = this.#core;
    this.files = new FileAccess(parts.files.tree);
    this.#driver = new Driver(this.#core, () => this.step(), elapsed_ms);
    this.#surroundings = { kernel, run: (until) => this.#runUntil(until), handleOf: (process) => this.#handleOf(process) };
    const failed = (reason: unknown): void => void (this.#thrown ??= { reason });
    this.#events = new Events<GuestProcess>(
      (process) => this.#handleOf(process),
      (tracer) => this.#core.observe(tracer),
      failed,
    );
  }

  /**
   * Starts a program, which runs whenever the machine does: while something is waited for (`wait`, `run`) or in `step`.
   * Throws ProgramError where it cannot be run, RangeError for limits that are no natural numbers.
   */
  spawn(options: SpawnOptions): GuestProcess {
    this.#checkOpen();
    const limit = checkedLimit(options.limits?.output ?? OUTPUT_KEPT);
    const collected: { -readonly [K in keyof Collected]: Collected[K] } = {};
    const output = (name: 'stdout' | 'stderr'): Outputs['stdout'] => {
      const to = options[name];
      if (to === DISCARD) return () => undefined;
      if (typeof to === 'function') return this.#guarded(to);
      if (to !== undefined) return to;
      collected[name] = new Collector(limit);
      return collected[name].take;
    };
    const outputs: Outputs = { stdout: output('stdout'), stderr: output('stderr') };
    const started = this.#core.start({ ...programOptions(this.#core.parts.files, options, outputs), job: this.#job(options) });
    if (!(started instanceof Process)) throw new ProgramError(bytesOf(options.program ?? options.argv[0] ?? ''), started);
    const { job } = started;
    if (job?.due !== undefined) this.#core.kernel.scheduler.addTimer(job);
    this.#spawned.add(started);
    const handle = new GuestProcess(this.#surroundings, started, collected);
    this.#handles.set(started, handle);
    return handle;
  }

  /** Starts a program and runs the machine until it is over. Errors as `spawn` and `GuestProcess.wait`. */
  async run(options: SpawnOptions): Promise<GuestProcess> {
    const process = this.spawn(options);
    await process.wait();
    return process;
  }

  /**
   * Runs one ready thread for a slice, of about ten milliseconds, for host programs with a loop of their own; says what is to be done next. Throws
   * MachineError, and what a listener threw; an AssertionFailed is a bug of ours, after which the machine can only be closed.
   */
  step(): Pause {
    this.#checkOpen();
    if (this.#busy) throw new MachineError('busy');
    this.#busy = true;
    try {
      return this.#core.run();
    } catch (reason) {
      this.#ended = { reason };
      throw reason;
    } finally {
      this.#busy = false;
      this.#reap();
      this.#rethrow();
    }
  }

  /** Processes that are not over, by pid. */
  processes(): GuestProcess[] {
    const all = [...this.#core.kernel.processes.values()].filter(({ status }) => status === undefined);
    return all.sort((a, b) => a.pid - b.pid).map((process) => this.#handleOf(process));
  }

  /** The process of that number, unless it is over. */
  process(pid: number): GuestProcess | undefined {
    const process = this.#core.kernel.processes.get(pid);
    return process === undefined || process.status !== undefined ? undefined : this.#handleOf(process);
  }

  /**
   * Calls the listener at every such event, in the middle of the machine's work: it may look at everything and change files and memory, but not run
   * the machine. What it throws ends the slice's `step` or rejects what is waited for. Returns a function that ends the listening.
   */
  on<K extends keyof MachineEvents>(event: K, listener: (event: MachineEvents[K]) => void): () => void {
    return this.#events.on(event, listener);
  }

  /** What guests changed of files whose changes stay in memory (`overlay`), in the order of their paths. */
  changes(): Change[] {
    return this.#core.changes().map((change) => ({ ...change, path: textOf(change.path) }));
  }

  get usage(): Usage {
    const { frames } = this.#core.parts;
    return {
      memory: frames.inUse * PAGE_SIZE,
      memoryPeak: frames.peak * PAGE_SIZE,
      memoryLimit: frames.limit * PAGE_SIZE,
      instructions: this.#core.kernel.instructions(),
      faults: this.#core.faults,
      processes: this.#core.kernel.processes.size,
    };
  }

  get closed(): boolean {
    return this.#ended !== undefined;
  }

  /** Ends all processes, writes changed pages of files back and gives everything back. What is waited for is rejected. Closing again does nothing. */
  close(): void {
    if (this.#busy) throw new MachineError('busy');
    if (this.#ended?.reason instanceof MachineError) return;
    this.#ended = { reason: new MachineError('closed') };
    this.#core.close();
    this.#driver.stop(this.#ended.reason);
  }

  // ---- Inside --------------------------------------------------------------------------------------------------------------------------

  #job({ limits = {} }: SpawnOptions): Job | undefined {
    const { instructions, time_ms } = limits;
    if (instructions === undefined && time_ms === undefined) return undefined;
    const { clock } = this.#core.kernel;
    if (instructions !== undefined && instructions !== Number.POSITIVE_INFINITY) checkedLimit(instructions);
    if (time_ms !== undefined && !(time_ms >= 0)) throw new RangeError(`a limit of time is a number of milliseconds, not ${time_ms}`);
    const finite = time_ms !== undefined && time_ms !== Number.POSITIVE_INFINITY;
    const deadline_ns = finite ? clock.monotonic() + BigInt(Math.ceil(time_ms * NS_PER_MS)) : undefined;
    return new Job({ instructions, deadline_ns }, (job) => this.#endJob(job));
  }

  #endJob(job: Job): void {
    const { kernel } = this.#core;
    for (const process of [...kernel.processes.values()]) {
      if (process.job === job) exitProcess(kernel, process, { kind: 'killed', signo: SIGKILL, core: false });
    }
  }

  /** Processes of ours that are over need no number any more. */
  #reap(): void {
    for (const process of this.#spawned) {
      if (process.status === undefined) continue;
      this.#spawned.delete(process);
      forget(this.#core.kernel, process);
      const { job } = process;
      if (job !== undefined && ![...this.#core.kernel.processes.values()].some((each) => each.job === job)) job.due = undefined;
    }
  }

  async #runUntil(until: () => boolean): Promise<void> {
    if (until()) return;
    this.#checkOpen();
    if (this.#busy) throw new MachineError('busy');
    await this.#driver.run(until);
  }

  #handleOf(process: Process): GuestProcess {
    let handle = this.#handles.get(process);
    if (handle === undefined) this.#handles.set(process, (handle = new GuestProcess(this.#surroundings, process)));
    return handle;
  }

  #guarded(output: (bytes: Uint8Array) => boolean | void): (bytes: Uint8Array) => boolean | void {
    return (bytes) => {
      try {
        return output(bytes);
      } catch (reason) {
        this.#thrown ??= { reason };
        return false;
      }
    };
  }

  #checkOpen(): void {
    if (this.#ended !== undefined) throw this.#ended.reason;
  }

  #rethrow(): void {
    const thrown = this.#thrown;
    this.#thrown = undefined;
    if (thrown !== undefined) throw thrown.reason;
  }
}

function checkRanges({ memory, maxProcesses, slice, seed }: MachineOptions): void {
  if (memory !== undefined && !(memory >= MEMORY_MIN && memory <= MEMORY_MAX))
    throw new RangeError(`memory is 1 MiB to 4 GiB, not ${memory}`);
  if (maxProcesses !== undefined && !(Number.isInteger(maxProcesses) && maxProcesses >= 1))
    throw new RangeError(`maxProcesses is a number from 1 on, not ${maxProcesses}`);
  if (slice !== undefined && !(Number.isInteger(slice) && slice >= 1)) throw new RangeError(`slice is a number from 1 on, not ${slice}`);
  if (seed !== undefined && !(Number.isInteger(seed) && seed >= 0 && seed <= 0xffff_ffff))
    throw new RangeError(`a seed is a number from 0 to 2^32 - 1, not ${seed}`);
}

function makeCore(options: MachineOptions): Core {
  const { root, mounts, warn } = options;
  const paths = {
    root: typeof root === 'string' ? bytesOf(root) : root,
    mounts: mounts?.map(({ source, target, mode }) => ({ source: bytesOf(source), target: bytesOf(target), mode })),
    warn: warn && ((text: string) => warn(textOf(text))),
  };
  try {
    return createMachine({ ...options, ...paths });
  } catch (thrown) {
    if (thrown instanceof Errno)
      throw new FileError('make the root of', typeof root === 'string' ? root : errnoName(thrown.code), thrown.code);
    throw thrown;
  }
}
