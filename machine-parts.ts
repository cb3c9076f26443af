/** What machines and programs are given: plain descriptions, apart from the machine so that those who make them need not know it. */
import type { Engine } from './emu/engine.ts';
import type { Description } from './fs/description.ts';
import type { FileServices } from './fs/guest.ts';
import type { Change } from './fs/overlay.ts';
import type { DirectoryPlace, Tree } from './fs/path.ts';
import type { FramePool } from './mm/frame.ts';
import type { LayoutName } from './mm/placement.ts';
import type { GuestClock, RandomSource } from './proc/clock.ts';
import type { Job } from './proc/job.ts';
import type { Limit } from './proc/limits.ts';
import type { Identity } from './proc/task.ts';

/** What a machine needs of its files; fs/guest.ts is one, over a host's directory. */
export interface MachineFiles extends FileServices {
  /** All mounted file systems; its root is the first process's root. */
  readonly tree: Tree;
  /** The host program's own standard streams, for guests that inherit them. */
  readonly streams?: {
    describe(fd: number): Description | undefined;
    /** The terminal among them, whose foreground the first process is. */
    readonly terminal?: { foreground: number; session: number };
    /** Sleeps until input that a guest waits for is there, or for so long; false at once where none waits for any. */
    idle(timeout_ms: number | undefined): boolean;
  };
  /** What was changed and stays in memory (overlays). */
  changes?(): Change[];
  /** Writes everything back. */
  close(): void;
}

/** What a machine is made of. Only who makes one knows the implementers. */
export interface MachineParts {
  readonly engine: Engine;
  readonly frames: FramePool;
  readonly files: MachineFiles;
  readonly clock: GuestClock;
  readonly random: RandomSource;
  readonly identity: Identity;
  readonly layout: LayoutName;
  /** Processes and threads there may be at once; default 4096. */
  readonly maxProcesses?: number;
  /** Instructions a task runs before others come; default a million. */
  readonly slice?: number;
  /** Address space layout randomisation. */
  readonly aslr?: boolean;
  /** Told, in a line for people, of what the machine had to do on its own: kill for want of memory. */
  readonly warn?: (text: string) => void;
}

/** A program to start. */
export interface ProgramOptions {
  /** A path in the guest's tree, or, without a slash, a name to be found in its PATH. */
  readonly program: string;
  /** argv from argv[0] on. One character a byte, as in all strings of the guest. */
  readonly argv: readonly string[];
  /** `NAME=VALUE` strings. */
  readonly env: readonly string[];
  readonly cwd: DirectoryPlace;
  readonly uid: number;
  readonly gid: number;
  readonly groups?: readonly number[];
  readonly umask?: number;
  /** Resource limits by RLIMIT_ number; default a Debian login's. */
  readonly limits?: readonly Limit[];
  /** Descriptors 0, 1, 2 and so on; undefined is closed. */
  readonly streams: readonly (Description | undefined)[];
  /** Default: the next free number. */
  readonly pid?: number;
  /** Limits of all that it and its children do. */
  readonly job?: Job;
}
