/** Runs a host process to its end with its streams collected; what both drivers stand on. */
import { spawn } from 'node:child_process';
import type { Ending, Program } from './driver.ts';

const DEFAULT_LIMIT_MS = 30_000;
/** More output than this ends the process: a guest that prints for ever must not take the test with it. */
const OUTPUT_LIMIT_BYTES = 64 << 20;

export function runToEnd(command: string, args: readonly string[], program: Program): Promise<Ending> {
  return new Promise((resolve, reject) => {
    const start = process.hrtime.bigint();
    const child = spawn(command, args, { cwd: program.cwd, env: { ...program.env }, stdio: ['pipe', 'pipe', 'pipe'] });
    const stdout: Buffer[] = [];
    const stderr: Buffer[] = [];
    let timedOut = false;
    let room_bytes = OUTPUT_LIMIT_BYTES;
    const collect = (into: Buffer[]) => (piece: Buffer) => {
      into.push(piece);
      room_bytes -= piece.length;
      if (room_bytes < 0) child.kill('SIGKILL');
    };
    const timer = setTimeout(() => {
      timedOut = true;
      child.kill('SIGKILL');
    }, program.limit_ms ?? DEFAULT_LIMIT_MS);
    child.stdout.on('data', collect(stdout));
    child.stderr.on('data', collect(stderr));
    // A program may end without reading its input.
    child.stdin.on('error', () => {});
    child.stdin.end(program.stdin ?? '');
    child.on('error', (error) => {
      clearTimeout(timer);
      reject(error);
    });
    child.on('close', (status, signal) => {
      clearTimeout(timer);
      const duration_ms = Number(process.hrtime.bigint() - start) / 1e6;
      resolve({ stdout: Buffer.concat(stdout), stderr: Buffer.concat(stderr), status, signal, timedOut, duration_ms });
    });
  });
}
