/** An interactive shell feels right in a real terminal: prompt, completion, Ctrl-C, Ctrl-Z and fg, window size, vi, python's prompt; and the emulator is a job of the host's shell like any other. Python holds the terminal's other end. */
import { execFile, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { MINI_ROOT } from '../corpus/root.ts';
import { emulator, SEG386 } from '../drivers/emulator.ts';

const SCRIPT = join(import.meta.dirname, 'session.py');
const canRun =
  emulator.unavailable() === undefined &&
  existsSync(join(MINI_ROOT, 'bin/bash')) &&
  spawnSync('python3', ['-c', 'import pty']).status === 0;

test.skipIf(!canRun)('bash, its jobs, vi and python are used through a terminal', { timeout: 180_000 }, async () => {
  // What was printed up to a failure tells where it was.
  const { stdout } = await promisify(execFile)('python3', [SCRIPT, SEG386, MINI_ROOT], { timeout: 170_000 }).catch(
    (failure: { stdout: string }) => failure,
  );
  const inside = [
    'prompt',
    'completion',
    'interrupt',
    'stop and foreground',
    'window size',
    'vi',
    'python',
    'end of input, status 0',
    'status 7',
  ];
  const outside = ["a job of the host's shell", 'an editor is stopped and goes on', 'the terminal after a crash'];
  expect(stdout.trim().split('\n')).toEqual([...inside, ...outside]);
});
