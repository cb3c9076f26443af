/** Signals that somebody sends to the emulator reach the guest as they would reach the program itself: its handlers run, what it ignores is ignored, all else ends it. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { MINI_ROOT } from '../corpus/root.ts';
import { emulator, SEG386 } from '../drivers/emulator.ts';

const hasBash = emulator.unavailable() === undefined && existsSync(join(MINI_ROOT, 'bin/bash'));

/** Sends the signal when the script has said that it is ready. */
async function ending(script: string, signal: NodeJS.Signals): Promise<{ status: number | null; signal: string | null; stdout: string }> {
  const child = spawn(process.execPath, [SEG386, '-r', MINI_ROOT, '--', '/bin/bash', '-c', script]);
  let stdout = '';
  let isSent = false;
  child.stdout.setEncoding('latin1').on('data', (piece: string) => {
    stdout += piece;
    if (isSent || !stdout.startsWith('ready\n')) return;
    isSent = true;
    child.kill(signal);
  });
  const [status, killedBy] = await once(child, 'close');
  return { status, signal: killedBy, stdout: stdout.slice('ready\n'.length) };
}

describe.skipIf(!hasBash)('signals from outside', { concurrent: true, timeout: 120_000 }, () => {
  test.each(['SIGHUP', 'SIGINT', 'SIGTERM', 'SIGUSR1', 'SIGUSR2', 'SIGALRM', 'SIGVTALRM'] as const)(
    '%s ends a program that waits',
    async (signal) => {
      expect(await ending('echo ready; read line', signal)).toEqual({ status: null, signal, stdout: '' });
    },
  );
  test('SIGTERM ends a program that computes', async () => {
    expect(await ending('echo ready; while :; do :; done', 'SIGTERM')).toEqual({ status: null, signal: 'SIGTERM', stdout: '' });
  });
  test.each(['SIGHUP', 'SIGINT', 'SIGTERM', 'SIGUSR1', 'SIGUSR2', 'SIGALRM', 'SIGTSTP', 'SIGCONT', 'SIGWINCH'] as const)(
    '%s runs a handler',
    async (signal) => {
      const script = `trap "echo caught; exit 3" ${signal}; echo ready; while :; do read -t 0.1 line; done`;
      expect(await ending(script, signal)).toEqual({ status: 3, signal: null, stdout: 'caught\n' });
    },
  );
  test.each(['SIGHUP', 'SIGTERM', 'SIGUSR1'] as const)('%s does nothing where it is ignored', async (signal) => {
    const script = `trap "" ${signal}; echo ready; read -t 1 line; echo went on`;
    expect(await ending(script, signal)).toEqual({ status: 0, signal: null, stdout: 'went on\n' });
  });
});
