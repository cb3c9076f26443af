/** One interface to everything that can run an i386 program: the emulator, and the bare CPU. Tests are written against it. */

/** A program to run and what it is given. */
export interface Program {
  /** The file, as the host sees it when there is no root, else as the guest sees it. */
  readonly path: string;
  /** Arguments after argv[0]. */
  readonly args?: readonly string[];
  /** argv[0]; the path where absent. */
  readonly argv0?: string;
  /** The whole environment; nothing is inherited. */
  readonly env?: Readonly<Record<string, string>>;
  readonly stdin?: string | Uint8Array;
  /** Host folder that is the working directory. */
  readonly cwd?: string;
  /** Host folder that is the guest's `/`; the host's own root where absent. */
  readonly root?: string;
  /** A command of the host that runs it, as in `taskset -c 0`; the program itself where absent. */
  readonly through?: readonly string[];
  /** Past this the program is killed and `timedOut` is set. */
  readonly limit_ms?: number;
  /** Options of seg386 itself; no meaning on the bare CPU. */
  readonly options?: readonly string[];
}

/** How it ended. Exactly one of status and signal is set. */
export interface Ending {
  readonly stdout: Buffer;
  readonly stderr: Buffer;
  readonly status: number | null;
  /** Name of the signal that ended it, as in `SIGSEGV`. */
  readonly signal: string | null;
  readonly timedOut: boolean;
  readonly duration_ms: number;
}

export interface Driver {
  readonly name: 'emulator' | 'native';
  /** Why this driver cannot run anything on this machine; undefined when it can. */
  unavailable(): string | undefined;
  run(program: Program): Promise<Ending>;
}

/** The part of an ending that two drivers must agree on, as text that a person can read in a failed test. */
export function summary(ending: Ending): string {
  const how = ending.timedOut ? 'timed out' : ending.signal !== null ? `signal ${ending.signal}` : `exit ${ending.status}`;
  const section = (name: string, bytes: Buffer) => (bytes.length > 0 ? `--- ${name}\n${bytes.toString('latin1')}` : '');
  return `${how}\n${section('stdout', ending.stdout)}${section('stderr', ending.stderr)}`;
}
