/**
 * Calls with arguments made from their definitions answer on the emulator as on the bare CPU: result, errno and the memory they fill. Single calls, and
 * programs of them in a jail that only root can make: where it cannot be made these are skipped, and say so.
 */
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { emulator } from '../drivers/emulator.ts';
import { build, compilerVersion, plainProgram } from '../drivers/fixtures.ts';
import { native } from '../drivers/native.ts';
import { SYSCALLS } from '../../syscalls/table.ts';
import { differences, makeCalls, recordBytes } from './syscalls/calls.ts';
import { compare, report, unavailable } from './syscalls/campaign.ts';
import { coverage, isUsed, LEFT_OUT } from './syscalls/policy.ts';
import { Generator } from './syscalls/programs.ts';

const canBuild = (await compilerVersion()) !== undefined;
const cannot = !canBuild || emulator.unavailable() !== undefined || native.unavailable() !== undefined;
const SEEDS = [1, 2, 3, 4];
const CALLS = 1500;

const RUNNER = plainProgram('fuzz/runner', fileURLToPath(new URL('./syscalls/runner.c', import.meta.url)));

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

const noJail = canBuild && emulator.unavailable() === undefined ? await unavailable() : 'no compiler or no emulator';
if (noJail !== undefined) console.warn(`programs of calls are not compared: ${noJail}`);
const BATCH = 60;

describe.skipIf(noJail !== undefined)('programs of calls', () => {
  test.each([0, 1, 2, 3])('answer as on the bare CPU, part %i', { timeout: 300_000 }, async (part) => {
    const generator = new Generator(20);
    const { failures } = await compare(Array.from({ length: BATCH }, (_, i) => generator.program(part * BATCH + i)));
    expect(failures.map(report)).toEqual([]);
  });
});

test('programs leave out no call without a reason, and none that there is not', () => {
  const all = SYSCALLS.filter((each) => each !== undefined);
  const names = new Set(all.map(({ name }) => name));
  const left = LEFT_OUT.flatMap(({ calls }) => calls);
  expect(left.filter((name) => !names.has(name))).toEqual([]);
  expect(new Set(left).size).toBe(left.length);
  const generator = new Generator(1);
  const made = new Set<string>();
  for (let index = 0; index < 1500; index++) for (const { definition } of generator.program(index).calls) made.add(definition.name);
  const used = all.filter(isUsed).map(({ name }) => name);
  expect(used.filter((name) => !made.has(name))).toEqual([]);
  expect(coverage(all)).toContain(`programs are made of ${used.length} of ${all.length} calls`);
});
