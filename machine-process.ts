/** A guest process as the host program has it: its end, its output, its memory as data. */
import { EFAULT, Errno } from './abi/errno.ts';
import { SIGNAL_NAMES } from './abi/signal.ts';
import { type MapsEntry, maps } from './debug/maps.ts';
import { picture } from './debug/picture.ts';
import { type SegmentEntry, segments } from './debug/segments.ts';
import { type SmapsEntry, smaps } from './debug/smaps.ts';
import { type UmemEntry, umem } from './debug/umem.ts';
import { textOf } from './machine-spawn.ts';
import type { Collector } from './machine-streams.ts';
import type { AddressSpace } from './mm/space.ts';
import { MustWait } from './mm/user.ts';
import type { JobLimit } from './proc/job.ts';
import type { ExitStatus, Process } from './proc/process.ts';
import { sendToProcess } from './proc/send.ts';
import { userInfo } from './proc/siginfo.ts';
import { type Kernel, type Task, threadsOf } from './proc/task.ts';

/** A signal by its number, 1 to 64, or its name, as `SIGTERM`. */
export type Signal = number | string;

/** What a process needs of the machine it runs in. */
export interface Surroundings {
  readonly kernel: Kernel;
  /** Runs the machine until this holds. */
  run(until: () => boolean): Promise<void>;
  handleOf(process: Process): GuestProcess;
}

/** Outputs that are kept. */
export interface Collected {
  readonly stdout?: Collector;
  readonly stderr?: Collector;
}

const SI_USER = 0;
const SHELL_SIGNAL = 128;
const ADDRESS_END = 2 ** 32;

export class GuestProcess {
  readonly #surroundings: Surroundings;
  readonly #process: Process;
  readonly #collected: Collected;

  /** Made by the machine only. */
  constructor(surroundings: Surroundings, process: Process, collected: Collected = {}) {
    this.#surroundings = surroundings;
    this.#process = process;
    this.#collected = collected;
  }

  get pid(): number {
    return this.#process.pid;
  }

  /** Undefined where the host program started it, or its parent is over. */
  get parent(): GuestProcess | undefined {
    const { parent } = this.#process;
    return parent && this.#surroundings.handleOf(parent);
  }

  /** What it runs: the path in the guest, and its arguments. */
  get program(): string {
    return textOf(this.#process.executable);
  }
  get argv(): string[] {
    return this.#process.argv.map(textOf);
  }

  /** How it ended; undefined while it runs. */
  get status(): ExitStatus | undefined {
    return this.#process.status;
  }

  /** What a shell shows as `$?`: the exit code, or 128 and the signal's number; undefined while it runs. */
  get exitCode(): number | undefined {
    const { status } = this.#process;
    return status && (status.kind === 'exited' ? status.code : SHELL_SIGNAL + status.signo);
  }

  /** The limit of `SpawnOptions.limits` for which it, or what started it, was killed. */
  get limit(): JobLimit | undefined {
    return this.#process.job?.exceeded;
  }

  /** Instructions executed so far by all its threads. */
  get instructions(): number {
    return this.#process.instructions;
  }

  /** What it and its children have written so far, where nothing else was said of the stream; else empty. */
  get stdout(): Uint8Array {
    return this.#collected.stdout?.bytes ?? new Uint8Array(0);
  }
  get stderr(): Uint8Array {
    return this.#collected.stderr?.bytes ?? new Uint8Array(0);
  }

  /** The same as text. Bytes that are no UTF-8 become U+FFFD. */
  get stdoutText(): string {
    return new TextDecoder().decode(this.stdout);
  }
  get stderrText(): string {
    return new TextDecoder().decode(this.stderr);
  }

  /** Whether more was written than `SpawnLimits.output` lets be kept. */
  get outputTruncated(): boolean {
    const { stdout, stderr } = this.#collected;
    return stdout?.truncated === true || stderr?.truncated === true;
  }

  /** Runs the machine until the process is over. Rejects where the machine is closed or fails, or a listener throws. */
  async wait(): Promise<ExitStatus> {
    await this.#surroundings.run(() => this.#process.status !== undefined);
    return this.#process.status as ExitStatus;
  }

  /** Sends a signal, as root would; it takes effect when the machine runs. Returns false where the process is over. Throws RangeError for what is no signal. */
  kill(signal: Signal = 'SIGTERM'): boolean {
    const signo = typeof signal === 'number' ? signal : SIGNAL_NAMES.indexOf(signal);
    if (!(Number.isInteger(signo) && signo >= 1 && signo <= 64)) throw new RangeError(`there is no signal ${signal}`);
    if (this.#process.status !== undefined) return false;
    sendToProcess(this.#surroundings.kernel, this.#process, userInfo(signo, SI_USER, 0, 0));
    return true;
  }

  // ---- Memory ------------------------------------------------------------------------------------------------------------------------

  /** The memory map as linuxemu's umem has it; like all views, empty once the process is over. */
  umem(): UmemEntry[] {
    return this.#view(umem);
  }

  /** The segments as Plan 9's /proc/N/segment lists them. */
  segments(): SegmentEntry[] {
    return this.#view(segments);
  }

  /** The mappings as Linux's /proc/PID/maps lists them. */
  maps(): MapsEntry[] {
    return this.#view(maps);
  }

  /** What of each mapping is in memory, as Linux's /proc/PID/smaps. */
  smaps(): SmapsEntry[] {
    return this.#view(smaps);
  }

  /** The address space drawn, as an SVG document; undefined once the process is over. */
  picture(title: string = `${this.#process.argv.map(textOf).join(' ')} (pid ${this.pid})`): string | undefined {
    const task = this.#task();
    return task && picture(task.space, title);
  }

  /** Guest memory as the process itself would read it; pages come in as they do for it. Throws RangeError where it could not. */
  readMemory(address: number, size: number): Uint8Array {
    return this.#access(address, size, ({ user }) => user.read(address, size));
  }

  /** Writes as the process itself would: private pages are copied first. Throws RangeError where it could not, and then may have written a part. */
  writeMemory(address: number, bytes: Uint8Array): void {
    this.#access(address, bytes.length, ({ user }) => user.write(address, bytes));
  }

  #access<T>(address: number, size: number, use: (task: Task) => T): T {
    const where = `0x${address.toString(16)}`;
    const task = this.#task();
    if (
      !Number.isInteger(address) ||
      address < 0 ||
      !Number.isInteger(size) ||
      size < 0 ||
      address + size > ADDRESS_END ||
      task === undefined
    )
      throw new RangeError(`${size} bytes at ${where} are no memory of process ${this.pid}`);
    try {
      return use(task);
    } catch (thrown) {
      const forbidden = thrown instanceof MustWait || (thrown instanceof Errno && thrown.code === EFAULT);
      if (!forbidden) throw thrown;
      throw new RangeError(`process ${this.pid} has no such access to ${size} bytes at ${where}`);
    }
  }

  #task(): Task | undefined {
    return threadsOf(this.#surroundings.kernel, this.#process)[0];
  }

  #view<T>(of: (space: AddressSpace) => T[]): T[] {
    const task = this.#task();
    return task === undefined ? [] : of(task.space);
  }
}
