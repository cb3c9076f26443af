/** Starting programs the way a host program asks for it: JavaScript strings, optional everything, its own streams; and why that may fail. */
import { ENOENT, errnoName } from './abi/errno.ts';
import type { Description } from './fs/description.ts';
import type { DirectoryPlace } from './fs/path.ts';
import type { Refusal } from './loader/refusal.ts';
import type { MachineFiles, ProgramOptions } from './machine-parts.ts';
import { type Input, inputStream, type Output, outputStream } from './machine-streams.ts';

/** Stands for the host program's own standard stream of that number. */
export const INHERIT: unique symbol = Symbol('inherit');

export interface SpawnOptions {
  /** A path in the guest's tree, or, without a slash, a name to be found in its PATH. */
  readonly program: string;
  /** Its arguments, without its name. */
  readonly args?: readonly string[];
  /** The name it is given; default `program`. */
  readonly argv0?: string;
  /** Its whole environment, by name. Default: empty. */
  readonly env?: Readonly<Record<string, string>>;
  /** A directory in the guest's tree; default `/`. */
  readonly cwd?: string;
  /** What it reads; INHERIT for the host program's own stream. Default: nothing. */
  readonly stdin?: Input | typeof INHERIT;
  /** Takes what is written; INHERIT for the host program's own stream. Default: it is thrown away. */
  readonly stdout?: Output | typeof INHERIT;
  readonly stderr?: Output | typeof INHERIT;
  /** Who it runs as; default root, who in the guest may do what the host's user may. */
  readonly uid?: number;
  readonly gid?: number;
  readonly umask?: number;
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
    super(`${refusal.path ?? program} ${refusal.reason}`);
    this.errno = refusal.errno;
    this.code = errnoName(refusal.errno);
    this.status = refusal.errno === ENOENT ? 127 : 126;
    this.signal = refusal.signal;
  }
}

/** The options as the machine takes them. Throws Errno where the working directory is none. */
export function programOptions(files: MachineFiles, options: SpawnOptions): ProgramOptions {
  const { tree } = files;
  const cwd = tree.resolve({ root: tree.root, cwd: tree.root }, `${bytesOf(options.cwd ?? '/')}/`) as DirectoryPlace;
  const argv = [options.argv0 ?? options.program, ...(options.args ?? [])].map(bytesOf);
  const env = Object.entries(options.env ?? {}).map(([name, value]) => bytesOf(`${name}=${value}`));
  const { uid = 0, gid = 0, umask } = options;
  return { program: bytesOf(options.program), argv, env, cwd, uid, gid, umask, streams: standardStreams(files, options) };
}

function standardStreams(files: MachineFiles, { stdin = '', stdout, stderr }: SpawnOptions): (Description | undefined)[] {
  const inherited = (fd: number): Description | undefined => files.streams?.describe(fd);
  const output = (fd: number, to: Output | typeof INHERIT | undefined): Description | undefined =>
    to === INHERIT ? inherited(fd) : outputStream(to ?? (() => undefined));
  return [stdin === INHERIT ? inherited(0) : inputStream(stdin), output(1, stdout), output(2, stderr)];
}

/** Text as the guest has it: UTF-8, one character a byte. */
export function bytesOf(text: string): string {
  let bytes = '';
  for (const byte of new TextEncoder().encode(text)) bytes += String.fromCharCode(byte);
  return bytes;
}
