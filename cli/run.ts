/** Runs one program to its end: makes the machine, gives it our streams, passes signals on, sleeps when it sleeps. */
import type { Refusal } from '../loader/refusal.ts';
import type { Description } from '../fs/description.ts';
import type { DirectoryPlace } from '../fs/path.ts';
import * as host from '../fs/hostfs.ts';
import { TarError } from '../fs/tar.ts';
import { MountError } from '../fs/mounts.ts';
import type { Machine, Pause } from '../machine.ts';
import { createMachine, engineFile } from '../machine-host.ts';
import { type ExitStatus, Process } from '../proc/process.ts';
import { Errno } from '../abi/errno.ts';
import { inheritedDescriptors } from './descriptors.ts';
import { compiledEngine } from './engine-code.ts';
import { hostEnvironment, hostGroups, hostLimits, hostName, toText } from './host.ts';
import type { CliOptions } from './options.ts';
import { Reports } from './reports.ts';
import { SignalPasser } from './signals.ts';
import { OwnFailure, Sink } from './sink.ts';
import { hostTerminal } from './terminal.ts';
import type { Views } from './views.ts';

/** How long the guest runs before the host's event loop turns, once signals may come in through it. */
const YIELD_EVERY_MS = 10;
/** How often input is looked for while signals may come in as well: at first, and after a while. */
const LOOK_FIRST_MS = 1,
  LOOK_LAST_MS = 20;
const FOREVER_MS = 2 ** 31 - 1;
/** In a run that is to be repeated, the first process has always the same number. */
const DETERMINISTIC_PID = 1000;

/** How the guest ended, or why it did not begin. */
export type Result = { readonly kind: 'ended'; readonly status: ExitStatus } | { readonly kind: 'refused'; readonly refusal: Refusal };

/** Throws OwnFailure for what is the emulator's own failure. */
export async function runProgram(options: CliOptions): Promise<Result> {
  const inherited = inheritedDescriptors();
  const sink = new Sink(options.traceFile);
  const machine = makeMachine(options);
  const reports = new Reports(machine, options, sink);
  try {
    const started = machine.start(program(machine, options, inherited));
    if (!(started instanceof Process)) return { kind: 'refused', refusal: started };
    await drive(machine, started, reports.views);
    await machine.parts.files.sockets.network?.settle();
    reports.finish();
    return { kind: 'ended', status: started.status ?? { kind: 'exited', code: 0 } };
  } finally {
    machine.close();
    sink.close();
  }
}

function makeMachine(options: CliOptions): Machine {
  const { root, layout, memory, overcommit, maxProcesses, slice, aslr, deterministic, seed, overlay, mounts, net } = options;
  try {
    return createMachine({
      wasm: compiledEngine(engineFile()),
      root,
      layout,
      memory,
      overcommit: overcommit?.mode,
      overcommitRatio: overcommit?.ratio,
      maxProcesses,
      slice,
      aslr,
      deterministic,
      network: net,
      seed,
      hostname: deterministic ? undefined : hostName(),
      terminal: hostTerminal(),
      overlay,
      mounts,
      warn: (text) => process.stderr.write(`seg386: ${toText(text)}\n`),
    });
  } catch (error) {
    if (error instanceof TarError) throw new OwnFailure(`${toText(root ?? '')} cannot be the root: ${error.message}`);
    if (error instanceof MountError) throw new OwnFailure(toText(error.message));
    if (error instanceof Errno)
      throw new OwnFailure(
        root === undefined ? `cannot read the host's files: ${error.name}` : `${toText(root)} cannot be the root: ${error.name}`,
      );
    if (error instanceof RangeError) throw new OwnFailure(`the host has no memory for the engine: ${error.message}`);
    throw error;
  }
}

function program(machine: Machine, options: CliOptions, inherited: readonly number[]): Parameters<Machine['start']>[0] {
  const { uid, gid } = host.owner();
  return {
    program: options.program,
    argv: [options.argv0 ?? options.program, ...options.args],
    env: environment(options),
    cwd: workingDirectory(machine, options),
    uid,
    gid,
    groups: hostGroups(),
    umask: process.umask(),
    limits: options.deterministic ? undefined : hostLimits(),
    streams: streams(machine, inherited),
    pid: options.deterministic ? DETERMINISTIC_PID : process.pid,
  };
}

/** Our descriptors under their own numbers. */
function streams(machine: Machine, inherited: readonly number[]): (Description | undefined)[] {
  const all: (Description | undefined)[] = [];
  for (const fd of [0, 1, 2, ...inherited]) all[fd] = machine.parts.files.streams?.describe(fd);
  return all;
}

/** The host's environment with the changes of -E and -U. A variable that is set again keeps its place. */
function environment({ environment: changes }: CliOptions): string[] {
  const variables = new Map<string, string>();
  for (const text of hostEnvironment()) {
    const equals = text.indexOf('=', 1);
    variables.set(equals < 0 ? text : text.slice(0, equals), text);
  }
  for (const [name, value] of changes) {
    if (value === undefined) variables.delete(name);
    else variables.set(name, `${name}=${value}`);
  }
  return [...variables.values()];
}

/** -w, or the host's own working directory where it lies in the root, or `/`. */
function workingDirectory(machine: Machine, options: CliOptions): DirectoryPlace {
  const { tree } = machine.parts.files;
  const context = { root: tree.root, cwd: tree.root };
  const wanted = options.directory ?? ownDirectory(options.root);
  try {
    return tree.resolve(context, `${wanted}/`) as DirectoryPlace;
  } catch (error) {
    if (!(error instanceof Errno)) throw error;
    if (options.directory === undefined) return tree.root;
    throw new OwnFailure(`cannot start in ${toText(options.directory)}: ${error.name}`);
  }
}

function ownDirectory(root: string | undefined): string {
  try {
    const here = host.realpath('.');
    if (root === undefined) return here;
    const top = host.realpath(root);
    return here === top || here.startsWith(`${top}/`) ? here.slice(top.length) : '/';
  } catch (error) {
    if (error instanceof Errno) return '/';
    throw error;
  }
}

/** Runs the machine until the process is over. */
async function drive(machine: Machine, guest: Process, views: Views): Promise<void> {
  const passer = new SignalPasser(machine, guest, views.wantsSignal ? () => views.signalled() : undefined);
  let yielded_ms = performance.now();
  while (guest.status === undefined) {
    const pause = machine.run();
    views.sliced();
    passer.sync();
    if (guest.status !== undefined) return;
    if (guest.stopped) await stopWith(passer);
    else if (pause.kind === 'waiting') await idle(machine, pause, passer);
    else if ((!passer.active && !isNetworked(machine)) || performance.now() - yielded_ms < YIELD_EVERY_MS) continue;
    else await new Promise((resolve) => setImmediate(resolve));
    yielded_ms = performance.now();
  }
}

/** Whether events of the host's network may come: they need the host's event loop. */
function isNetworked(machine: Machine): boolean {
  return machine.parts.files.sockets.network !== undefined;
}

/** The guest is stopped: so are we, until somebody continues us, and with that the guest. */
async function stopWith(passer: SignalPasser): Promise<void> {
  process.kill(process.pid, 'SIGSTOP');
  await new Promise((resolve) => setImmediate(resolve));
  passer.pass(18);
}

async function idle(machine: Machine, pause: Extract<Pause, { kind: 'waiting' }>, passer: SignalPasser): Promise<void> {
  const { scheduler, clock } = machine.kernel;
  const { streams } = machine.parts.files;
  const { deadline_ns } = pause;
  const left_ms = (): number | undefined =>
    deadline_ns === undefined ? undefined : Math.max(0, Number(deadline_ns - clock.monotonic()) / 1e6);
  if (!passer.active && !isNetworked(machine)) {
    if (streams?.idle(left_ms())) return;
    if (deadline_ns !== undefined) return host.sleep(left_ms() ?? 0);
  }
  let changed = false;
  let wake = (): void => {};
  scheduler.onChange = () => {
    changed = true;
    wake();
  };
  for (let look_ms = LOOK_FIRST_MS; !changed; look_ms = Math.min(look_ms * 1.1, LOOK_LAST_MS)) {
    const wantsInput = streams?.idle(0) ?? false;
    if (changed) break;
    const left = left_ms() ?? FOREVER_MS;
    if (left === 0) break;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, Math.min(left, wantsInput ? look_ms : FOREVER_MS));
      wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    wake = () => {};
  }
  scheduler.onChange = () => {};
}
