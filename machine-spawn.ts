/** Starting programs the way a host program asks for it: JavaScript strings, optional everything, its own streams, limits; and why that may fail. */
import { latin1 } from './abi/latin1.ts';
import { ENOENT, Errno, errnoName } from './abi/errno.ts';
import { RLIMIT_AS, RLIMIT_FSIZE, RLIMIT_NOFILE, RLIMIT_STACK } from './abi/resource.ts';
import type { Description } from './fs/description.ts';
import type { DirectoryPlace } from './fs/path.ts';
import { type Refusal, refusal } from './loader/refusal.ts';
import type { MachineFiles, ProgramOptions } from './machine-parts.ts';
import { type Input, inputStream, type Output, outputStream } from './machine-streams.ts';
import { defaultLimits, type Limit } from './proc/limits.ts';

/** Stands for the host program's own standard stream of that number. */
export const INHERIT: unique symbol = Symbol('inherit');
/** Output that is thrown away. */
export const DISCARD: unique symbol = Symbol('discard');

export interface SpawnOptions {
  /** The program's arguments, its name first. */
  readonly argv: readonly string[];
  /** What is run: a path in the guest's tree, or, without a slash, a name to be found in the PATH of `env`. Default: `argv[0]`. */
  readonly program?: string;
  /** Its whole environment, by name. Default: empty. */
  readonly env?: Readonly<Record<string, string>>;
  /** A directory in the guest's tree; default `/`. */
  readonly cwd?: string;
  /** What it reads; INHERIT for the host program's own stream. Default: nothing. */
  readonly stdin?: Input | typeof INHERIT;
  /** Takes what is written; INHERIT for the host program's own stream. Default: it is kept, see `GuestProcess.stdout` and `stderr`. */
  readonly stdout?: Output | typeof INHERIT | typeof DISCARD;
  readonly stderr?: Output | typeof INHERIT | typeof DISCARD;
  /** Who it runs as; default root, who in the guest may do what the host's user may. */
  readonly uid?: number;
  readonly gid?: number;
  /** Its supplementary groups; default `gid` alone. */
  readonly groups?: readonly number[];
  /** Permission bits that new files do not get; default 0o022. */
  readonly umask?: number;
  readonly limits?: SpawnLimits;
}

/** All are without limit by default, where not said otherwise. */
export interface SpawnLimits {
  /** Instructions that it and all processes it starts may execute together. Beyond them all are killed. */
  readonly instructions?: number;
  /** Milliseconds of the machine's clock until all of them are killed. */
  readonly time_ms?: number;
  /** Bytes of address space of each process (RLIMIT_AS). */
  readonly addressSpace?: number;
  /** Bytes of each stack (RLIMIT_STACK); default 8 MiB. */
  readonly stack?: number;
  /** Bytes of each file that it writes (RLIMIT_FSIZE). */
  readonly fileSize?: number;
  /** Descriptors of each process (RLIMIT_NOFILE); default 1024. */
  readonly openFiles?: number;
  /** Bytes that are kept of each output that nobody takes; default 16 MiB. Beyond them the guest gets EPIPE and SIGPIPE. */
  readonly output?: number;
}

/** A program that could not be started. */
export class ProgramError extends Error {
  override name = 'ProgramError';
  /** The errno that execve would have answered, as a number and by name. */
  readonly errno: number;
  readonly code: string;
  /** What a shell would exit with: 127 where something was not found, else 126. */
  readonly status: number;
  /** Set where Linux notices so late that the new program dies of a signal. */
  readonly signal: number | undefined;

  constructor(program: string, refusal: Refusal) {
    super(`${textOf(refusal.path ?? program)} ${textOf(refusal.reason)}`);
    this.errno = refusal.errno;
    this.code = errnoName(refusal.errno);
    this.status = refusal.errno === ENOENT ? 127 : 126;
    this.signal = refusal.signal;
  }
}

/** Where the standard outputs go, once it is known what DISCARD and nothing mean. */
export interface Outputs {
  readonly stdout: Output | typeof INHERIT;
  readonly stderr: Output | typeof INHERIT;
}

/** The options as the machine takes them. Throws ProgramError where the working directory is none, RangeError for limits that are no numbers. */
export function programOptions(files: MachineFiles, options: SpawnOptions, outputs: Outputs): ProgramOptions {
  const argv = options.argv.map(bytesOf);
  const program = bytesOf(options.program ?? options.argv[0] ?? '');
  const env = Object.entries(options.env ?? {}).map(([name, value]) => bytesOf(`${name}=${value}`));
  const cwd = workingDirectory(files, bytesOf(options.cwd ?? '/'));
  const { uid = 0, gid = 0, groups, umask } = options;
  return {
    program,
    argv,
    env,
    cwd,
    uid,
    gid,
    groups,
    umask,
    limits: resourceLimits(options.limits),
    streams: standardStreams(files, options, outputs),
  };
}

function workingDirectory({ tree }: MachineFiles, cwd: string): DirectoryPlace {
  try {
    return tree.resolve({ root: tree.root, cwd: tree.root }, `${cwd}/`) as DirectoryPlace;
  } catch (thrown) {
    if (!(thrown instanceof Errno)) throw thrown;
    throw new ProgramError(cwd, refusal(thrown.code, 'cannot be the working directory', cwd));
  }
}

function resourceLimits({ addressSpace, stack, fileSize, openFiles }: SpawnLimits = {}): Limit[] {
  const limits = defaultLimits();
  const given = [
    [RLIMIT_AS, addressSpace],
    [RLIMIT_STACK, stack],
    [RLIMIT_FSIZE, fileSize],
    [RLIMIT_NOFILE, openFiles],
  ] as const;
  for (const [which, most] of given) {
    if (most === undefined || most === Number.POSITIVE_INFINITY) continue;
    const value = BigInt(checkedLimit(most));
    limits[which] = { current: value, maximum: value };
  }
  return limits;
}

/** Throws RangeError for what is no natural number. */
export function checkedLimit(value: number): number {
  if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`a limit is a natural number, not ${value}`);
  return value;
}

function standardStreams(files: MachineFiles, { stdin = '' }: SpawnOptions, outputs: Outputs): (Description | undefined)[] {
  const inherited = (fd: number): Description | undefined => files.streams?.describe(fd);
  const output = (fd: number, to: Output | typeof INHERIT): Description | undefined =>
    to === INHERIT ? inherited(fd) : outputStream(to, files.nextInode());
  return [stdin === INHERIT ? inherited(0) : inputStream(stdin, files.nextInode()), output(1, outputs.stdout), output(2, outputs.stderr)];
}

/** Text as the guest has it: UTF-8, one character a byte. */
export function bytesOf(text: string): string {
  let bytes = '';
  for (const byte of new TextEncoder().encode(text)) bytes += String.fromCharCode(byte);
  return bytes;
}

/** The guest's text as JavaScript has it. Bytes that are no UTF-8 become U+FFFD. */
export function textOf(bytes: string): string {
  return new TextDecoder().decode(latin1(bytes));
}
