// Runs other programs for set-up: output is kept back and shown only when they fail, and an interrupt ends them too.
import { spawn, spawnSync } from 'node:child_process';
import { SetupError } from './say.mjs';

const TAIL_LINES = 40;
const LINE_LIMIT = 400;
const running = new Set();

/** Ends the programs under way with the same signal when set-up is interrupted, then set-up itself. */
export function passSignalsOn() {
  const handlers = ['SIGINT', 'SIGTERM', 'SIGHUP'].map((name) => {
    const handler = () => {
      for (const child of running) child.kill(name);
      restore();
      process.kill(process.pid, name);
    };
    process.on(name, handler);
    return [name, handler];
  });
  const restore = () => {
    for (const [name, handler] of handlers) process.off(name, handler);
  };
  return restore;
}

/** Resolves when the program has succeeded; throws a SetupError with the end of its output when not. */
export function run(command, args, { cwd, env, live = false } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd, env: { ...process.env, ...env }, stdio: ['ignore', live ? 2 : 'pipe', live ? 2 : 'pipe'] });
    running.add(child);
    const pieces = [];
    child.stdout?.on('data', (piece) => pieces.push(piece));
    child.stderr?.on('data', (piece) => pieces.push(piece));
    child.on('error', (error) => {
      running.delete(child);
      reject(new SetupError(`${command} cannot be started: ${error.message}`));
    });
    child.on('close', (status, signal) => {
      running.delete(child);
      const output = Buffer.concat(pieces).toString();
      if (status === 0) return resolve(output);
      const tail = output
        .trimEnd()
        .split('\n')
        .slice(-TAIL_LINES)
        .map((line) => line.slice(0, LINE_LIMIT))
        .join('\n');
      reject(
        new SetupError(
          `${command} ${args.join(' ')} ended with ${signal ?? `status ${status}`}${tail ? `; its last words:\n${tail}` : ''}`,
        ),
      );
    });
  });
}

/** The output of a program that answers at once, or undefined when it is missing or fails. */
export function ask(command, args, options = {}) {
  const result = spawnSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'], ...options });
  return result.status === 0 ? result.stdout : undefined;
}
