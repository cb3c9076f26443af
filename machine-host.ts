/** Builds a machine on a host with files: its engine, memory, file tree, clock and randomness. The one place that knows all implementers. */
import { EIO, errno } from './abi/errno.ts';
import { O_RDONLY } from './abi/fcntl.ts';
import { PAGE_SIZE } from './abi/page.ts';
import { callerOf, procSource } from './debug/procfs.ts';
import { systemTree } from './debug/system-tree.ts';
import { createEngine } from './emu/unicorn.ts';
import { GuestFiles, hostOwner, type RootMaker, tarRoot } from './fs/guest.ts';
import * as host from './fs/hostfs.ts';
import { NodeNetwork } from './fs/hostnet.ts';
import type { Mount } from './fs/mounts.ts';
import { sysRoot } from './fs/sysfs.ts';
import type { TerminalPort } from './fs/tty.ts';
import { Machine } from './machine.ts';
import { PageCache } from './mm/cache.ts';
import type { OvercommitMode } from './mm/commitment.ts';
import { FramePool } from './mm/frame.ts';
import type { LayoutName } from './mm/placement.ts';
import { jobControl } from './proc/job-control.ts';
import { type Clock, GuestClock, hostClock, instructionClock, type RandomSource, seededRandom } from './proc/clock.ts';

export interface MachineOptions {
  /**
   * What becomes the guest's `/`: a host directory, outside of which nothing can be reached, a tar archive on the host (gzip's too), or a maker of another root
   * (`memoryRoot` is an empty one, `tarRoot(bytes)` an archive).
   * Default `/`: the host's own files with the user's own rights.
   */
  readonly root?: string | RootMaker;
  /** Where programs and mappings lie: linuxemu's segments (the default), or as on Linux. */
  readonly layout?: LayoutName;
  /** Stack, heap, mappings and programs lie elsewhere each time, as far apart as on Linux (randomize_va_space 2); with a seed, always there. Default: no. */
  readonly aslr?: boolean;
  /** Bytes of memory all guests together may use, 1 MiB to 4 GiB; default 2 GiB. When they are used up, the process that holds most of them is killed. */
  readonly memory?: number;
  /** What may be promised of it; default heuristic, as on Linux. With 'strict', `overcommitRatio` percent of it (default 50) and no more. */
  readonly overcommit?: OvercommitMode;
  readonly overcommitRatio?: number;
  /** Processes and threads there may be at once, 1 or more; default 4096. Beyond it fork answers EAGAIN. */
  readonly maxProcesses?: number;
  /** Instructions a thread runs before it is the others' turn, 1 or more; default a million, about ten milliseconds. */
  readonly slice?: number;
  /** Time that only instructions advance, and seeded randomness: the same run every time. */
  readonly deterministic?: boolean;
  /** Seed of the guest's randomness, 0 to 2^32 - 1; makes it repeatable on its own too. */
  readonly seed?: number;
  /** The engine: bytes of seg386.wasm or a module compiled from them, which several machines may share. Default: the file that belongs to this package. */
  readonly wasm?: BufferSource | WebAssembly.Module;
  /** Instead of the host's clock. */
  readonly clock?: Clock;
  /** Instead of the host's randomness. */
  readonly random?: RandomSource;
  /** What uname calls the machine; default `seg386`. */
  readonly hostname?: string;
  /** What inherited streams' terminal can do. */
  readonly terminal?: TerminalPort;
  /** Changes to the root's files stay in memory and end with the machine; `Machine.changes` lists them. */
  readonly overlay?: boolean;
  /** More of the host's files, or memory, shown in the guest's tree. */
  readonly mounts?: readonly Mount[];
  /** What sockets reach: the machine's own loopback (the default), or the host's network too. */
  readonly network?: 'loopback' | 'host';
  /** Told, in a line for people, of what is lost when the machine is closed (pages that the host's disk did not take), and who is killed when memory is used up. */
  readonly warn?: (text: string) => void;
}

const DEFAULT_MEMORY = 2 * 2 ** 30;
/** Identity of the machine as uname tells it: a release that current C libraries accept. */
const IDENTITY = { sysname: 'Linux', release: '6.1.0-seg386', version: '#1 SMP seg386', machine: 'i686', domainname: '(none)' };

/** The host's time, in milliseconds that only grow. */
export function elapsed_ms(): number {
  return performance.now();
}

/** A file is an archive. */
function rootOf(root: string | RootMaker): string | RootMaker {
  if (typeof root !== 'string' || root === '/') return root;
  const source = host.archive(root);
  return source === undefined ? root : tarRoot(source);
}

/** Throws Errno where the root is neither directory nor archive, TarError where the archive is damaged, WebAssembly.CompileError or RangeError where the engine cannot be made. */
export function createMachine(options: MachineOptions = {}): Machine {
  const engine = createEngine(options.wasm ?? readWhole(engineFile()));
  const frames = new FramePool({ arena: engine.arena, limit: Math.floor((options.memory ?? DEFAULT_MEMORY) / PAGE_SIZE) });
  frames.commitment.mode = options.overcommit ?? 'heuristic';
  frames.commitment.ratio = options.overcommitRatio ?? frames.commitment.ratio;
  const clock = new GuestClock(
    options.clock ??
      (options.deterministic ? instructionClock(() => engine.statistics.instructions) : hostClock(Date.now, () => performance.now())),
  );
  const random = options.random ?? (options.deterministic || options.seed !== undefined ? seededRandom(options.seed ?? 0) : hostRandom);
  const files = new GuestFiles({
    root: rootOf(options.root ?? '/'),
    cache: new PageCache<string>(frames),
    now_ns: () => clock.realtime(),
    monotonic_ns: () => clock.monotonic(),
    random,
    owner: hostOwner(),
    terminal: options.terminal,
    isRepeatable: options.deterministic,
    overlay: options.overlay,
    mounts: options.mounts,
    warn: options.warn,
    network: options.network === 'host' ? new NodeNetwork() : undefined,
  });
  const identity = { ...IDENTITY, nodename: options.hostname ?? 'seg386' };
  const machine = new Machine({
    engine,
    frames,
    files,
    clock,
    random,
    identity,
    layout: options.layout ?? 'linuxemu',
    maxProcesses: options.maxProcesses,
    slice: options.slice,
    aslr: options.aslr,
    warn: options.warn,
  });
  files.jobs = jobControl(machine.kernel, () => machine.current);
  files.mountProc(procSource(machine.kernel, { cpu: engine.cpu, current: () => machine.current }));
  files.mountSys(sysRoot({ now_ns: () => clock.realtime(), caller: () => callerOf(machine.current), entries: systemTree(machine.kernel) }));
  return machine;
}

/** Web Crypto would have to be loaded first, and gives 64 KiB a call at most. */
function hostRandom(into: Uint8Array): void {
  const fd = host.open('/dev/urandom', O_RDONLY);
  try {
    for (let done = 0; done < into.length; ) done += host.read(fd, into.subarray(done), null);
  } finally {
    host.close(fd);
  }
}

/** The engine beside the built library, beside the folder of the bundled program, and, from the sources, the built one. */
const ENGINE_FILES = ['./emu/seg386.wasm', '../emu/seg386.wasm', './dist/emu/seg386.wasm'];

/** Where the engine that belongs to this package is. */
export function engineFile(): string {
  const paths = ENGINE_FILES.map((file) => decodeURIComponent(new URL(file, import.meta.url).pathname));
  return paths.find((path) => host.lstat(path) !== undefined) ?? paths[0];
}

function readWhole(path: string): Uint8Array<ArrayBuffer> {
  const fd = host.open(path, O_RDONLY);
  try {
    const bytes = new Uint8Array(Number(host.fstat(fd).size));
    for (let done = 0; done < bytes.length; ) {
      const moved = host.read(fd, bytes.subarray(done), done);
      if (moved === 0) throw errno(EIO);
      done += moved;
    }
    return bytes;
  } finally {
    host.close(fd);
  }
}
