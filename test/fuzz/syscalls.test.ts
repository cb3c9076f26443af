/** Calls with arguments made from their definitions answer on the emulator as on the bare CPU: result, errno and the memory they fill. */
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { emulator } from '../drivers/emulator.ts';
import { build, compilerVersion, type Fixture } from '../drivers/fixtures.ts';
import { native } from '../drivers/native.ts';
import { differences, makeCalls, recordBytes } from './syscalls/calls.ts';

const canBuild = (await compilerVersion()) !== undefined;
const cannot = !canBuild || emulator.unavailable() !== undefined || native.unavailable() !== undefined;
const SEEDS = [1, 2, 3, 4];
const CALLS = 1500;

const RUNNER: Fixture = {
  name: 'fuzz/runner',
  source: fileURLToPath(new URL('./syscalls/runner.c', import.meta.url)),
  expected: '',
  kind: 'static',
  flags: [],
  args: [],
  env: {},
  stdin: '',
};

describe.skipIf(cannot)('calls made from their definitions', () => {
  test.each(SEEDS)('answer as on the bare CPU, seed %i', async (seed) => {
    const path = await build(RUNNER);
    const calls = makeCalls(seed, CALLS);
    const program = { path, args: [String(seed)], env: {}, stdin: recordBytes(calls) };
    const [here, there] = await Promise.all([emulator.run(program), native.run(program)]);
    expect(there.status).toBe(0);
    expect(here.stderr.toString()).toBe('');
    expect(differences(calls, here.stdout.toString(), there.stdout.toString())).toEqual([]);
    expect(here.status).toBe(0);
  });
});
