/** Ending as the guest ended, so that who started us cannot tell the difference: its exit status, or death by the same signal. */
import { readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { runTool } from '../fs/hostfs.ts';
import type { ExitStatus } from '../proc/process.ts';
import { restoreTerminal } from './terminal.ts';

/** What a shell reports where a signal could not kill us. */
const SIGNAL_STATUS = 128;
/** Signals that leave a core dump: one of node would help nobody. */
const CORE_SIGNALS: ReadonlySet<number> = new Set([3, 4, 5, 6, 7, 8, 11, 24, 25, 31]);
/** Time for a signal to reach us, twice: the first SIGSEGV only removes the engine's own handler. */
const PATIENCE_MS = 200;

export function endAs(status: ExitStatus): never {
  if (status.kind === 'exited') process.exit(status.code);
  restoreTerminal();
  if (CORE_SIGNALS.has(status.signo)) preventCore();
  restoreDefault(status.signo);
  const sleeper = new Int32Array(new SharedArrayBuffer(4));
  for (let attempt = 0; attempt < 2; attempt++) {
    process.kill(process.pid, status.signo);
    Atomics.wait(sleeper, 0, 0, PATIENCE_MS);
  }
  process.exit(SIGNAL_STATUS + status.signo);
}

/** node ignores SIGPIPE and catches some others; taking a listener off again restores what the kernel does by itself. */
function restoreDefault(signo: number): void {
  const name = Object.entries(constants.signals).find(([, number]) => number === signo)?.[0] as NodeJS.Signals | undefined;
  if (name === undefined || name === 'SIGKILL' || name === 'SIGSTOP') return;
  process.removeAllListeners(name);
  const listener = (): void => {};
  process.on(name, listener);
  process.removeListener(name, listener);
}

/** Where the shell allows core dumps. node cannot set limits; util-linux's prlimit can. */
function preventCore(): void {
  try {
    const soft = /^Max core file size\s+(\S+)/m.exec(readFileSync('/proc/self/limits', 'latin1'))?.[1];
    if (soft !== undefined && soft !== '0') runTool('prlimit', [`--pid=${process.pid}`, '--core=0:']);
  } catch {
    // No /proc: nothing is known, and nothing is lost but a file.
  }
}
