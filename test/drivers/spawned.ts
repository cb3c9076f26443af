/**
 * Runs a host process to its end with its streams collected; what both drivers stand on. The streams are files: Node's own pipes are
 * sockets, which no shell gives a program and which some programs treat in a way of their own.
 */
import { spawn } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Ending, Program } from './driver.ts';

const DEFAULT_LIMIT_MS = 55_000;
/** A guest that prints for ever is killed at this size: it must not take the machine with it. */
const OUTPUT_LIMIT_BYTES = 64 << 20;
const WATCH_INTERVAL_MS = 100;

export function runToEnd(command: string, args: readonly string[], program: Program, argv0?: string): Promise<Ending> {
  const folder = mkdtempSync(join(tmpdir(), 'seg386-streams-'));
  const file = (name: string) => join(folder, name);
  writeFileSync(file('0'), program.stdin ?? '');
  const streams = [openSync(file('0'), 'r'), openSync(file('1'), 'w'), openSync(file('2'), 'w')];
  return new Promise((resolve, reject) => {
    const start = process.hrtime.bigint();
    const [first = command, ...rest] = [...(program.through ?? []), command, ...args];
    const child = spawn(first, rest, { cwd: program.cwd, env: { ...program.env }, stdio: streams, argv0 });
    const limit_ms = program.limit_ms ?? DEFAULT_LIMIT_MS;
    let timedOut = false;
    const watch = setInterval(() => {
      timedOut = Number(process.hrtime.bigint() - start) / 1e6 > limit_ms;
      if (timedOut || ['1', '2'].some((name) => statSync(file(name)).size > OUTPUT_LIMIT_BYTES)) child.kill('SIGKILL');
    }, WATCH_INTERVAL_MS);
    const tidyUp = () => {
      clearInterval(watch);
      for (const stream of streams) closeSync(stream);
      rmSync(folder, { recursive: true, force: true });
    };
    child.on('error', (error) => {
      tidyUp();
      reject(error);
    });
    child.on('exit', (status, signal) => {
      const duration_ms = Number(process.hrtime.bigint() - start) / 1e6;
      const [stdout, stderr] = [readFileSync(file('1')), readFileSync(file('2'))];
      tidyUp();
      resolve({ stdout, stderr, status, signal, timedOut, duration_ms });
    });
  });
}
