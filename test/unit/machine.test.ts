/** Machines as a host program uses them. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Machine, type MachineOptions, ProgramError, type SpawnOptions } from '../../index.ts';
import { BUFFER_AT, call, DATA_AT, exit, EXIT_WITH_RESULT, LOOP, store, tinyFile, writeResult } from '../drivers/tiny.ts';

const READ = 3,
  WRITE = 4,
  KILL = 37,
  GETPID = 20,
  NANOSLEEP = 162,
  GETRANDOM = 355,
  TIME = 13,
  MMAP2 = 192;
let root = '';

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'seg386-machine-'));
  const file = (name: string, code: readonly number[], data?: string): string => tinyFile(join(root, name), code, data);
  file('exit42', exit(42));
  file('hello', [...call(WRITE, 1, DATA_AT, 6), ...exit(0)], 'hello\n');
  file('echo', [...call(READ, 0, BUFFER_AT, 100), ...writeResult(1, BUFFER_AT), ...exit(0)]);
  file('crash', store(0x1234, 1));
  file('loop', LOOP);
  file('nap', [...call(NANOSLEEP, DATA_AT, 0), ...exit(7)], '\0\0\0\0\x80\x96\x98\0');
  file('random', [...call(GETRANDOM, BUFFER_AT, 16, 0), ...writeResult(1, BUFFER_AT), ...call(TIME, 0), ...EXIT_WITH_RESULT]);
  // Maps 64 MiB that need not be there (MAP_NORESERVE) and writes to page after page.
  file('greedy', [...call(MMAP2, 0, 64 << 20, 3, 0x4022, -1), 0xc6, 0x00, 1, 0x05, 0, 0x10, 0, 0, 0xeb, 0xf6]);
  file('selfkill', [...call(GETPID), 0x89, 0xc3, 0xb9, 15, 0, 0, 0, 0xb8, KILL, 0, 0, 0, 0xcd, 0x80, ...LOOP]);
  writeFileSync(join(root, 'text'), 'no program\n', { mode: 0o755 });
});
afterAll(() => rmSync(root, { recursive: true }));

/** A program without arguments. */
type Brief = Partial<SpawnOptions> & { readonly program: string };

async function run(options: Brief, machineOptions: MachineOptions = {}) {
  const machine = new Machine({ root, ...machineOptions });
  try {
    let stdout = '';
    const take = (bytes: Uint8Array): void => void (stdout += String.fromCharCode(...bytes));
    const { status } = await machine.run({ argv: [options.program], stdout: take, ...options });
    return { status, stdout };
  } finally {
    machine.close();
  }
}

test('a program runs to its exit status', async () => {
  expect(await run({ program: '/exit42' })).toEqual({ status: { kind: 'exited', code: 42 }, stdout: '' });
});

test('what it writes and reads are values of the host program', async () => {
  expect(await run({ program: '/hello' })).toMatchObject({ stdout: 'hello\n' });
  expect(await run({ program: '/echo', stdin: 'grüße' })).toMatchObject({
    stdout: String.fromCharCode(...new TextEncoder().encode('grüße')),
  });
  expect(await run({ program: '/echo' })).toMatchObject({ stdout: '' });
});

test('a reader that stops listening gives the guest EPIPE and SIGPIPE', async () => {
  expect(await run({ program: '/hello', stdout: () => false })).toMatchObject({ status: { kind: 'killed', signo: 13 } });
});

test('faults and signals kill as on Linux', async () => {
  expect((await run({ program: '/crash' })).status).toMatchObject({ kind: 'killed', signo: 11 });
  expect((await run({ program: '/selfkill' })).status).toMatchObject({ kind: 'killed', signo: 15 });
});

test('a program that cannot be run says why, and what a shell would exit with', async () => {
  const failure = async (program: string): Promise<unknown> => run({ program }).catch((error: unknown) => error);
  expect(await failure('/nothing')).toBeInstanceOf(ProgramError);
  expect(await failure('/nothing')).toMatchObject({ status: 127, code: 'ENOENT', message: '/nothing was not found' });
  expect(await failure('/text')).toMatchObject({ status: 126, code: 'ENOEXEC' });
  expect(await failure('/')).toMatchObject({ status: 126, code: 'EACCES' });
});

test('a name without a slash is searched in the PATH of the guest', async () => {
  expect(await run({ program: 'exit42', env: { PATH: '/nowhere:/' } })).toMatchObject({ status: { code: 42 } });
  await expect(run({ program: 'exit42', env: { PATH: '/nowhere' } })).rejects.toMatchObject({ status: 127 });
});

test('a sleeping guest takes its time, but no time where time is made up', async () => {
  const started = performance.now();
  expect(await run({ program: '/nap' })).toMatchObject({ status: { code: 7 } });
  expect(performance.now() - started).toBeGreaterThan(9);
});

test('a deterministic run is the same every time, and another seed another one', async () => {
  const once = await run({ program: '/random' }, { deterministic: true, seed: 5 });
  expect(once.stdout.length).toBe(16);
  expect(await run({ program: '/random' }, { deterministic: true, seed: 5 })).toEqual(once);
  expect((await run({ program: '/random' }, { deterministic: true, seed: 6 })).stdout).not.toBe(once.stdout);
});

test('a guest that touches more than the machine has is killed, and nothing else is', async () => {
  const machine = new Machine({ root, memory: 4 << 20 });
  expect((await machine.run({ argv: ['/greedy'] })).status).toMatchObject({ kind: 'killed', signo: 9 });
  expect((await machine.run({ argv: ['/exit42'] })).status).toEqual({ kind: 'exited', code: 42 });
  machine.close();
});

test('several machines and several guests run side by side', async () => {
  const machines = [new Machine({ root }), new Machine({ root })];
  const waits = machines.flatMap((machine) => ['/exit42', '/nap'].map((program) => machine.run({ argv: [program] })));
  expect((await Promise.all(waits)).map(({ exitCode }) => exitCode)).toEqual([42, 7, 42, 7]);
  for (const machine of machines) machine.close();
});

test('every frame comes back when a guest ends', async () => {
  const machine = new Machine({ root });
  await machine.run({ argv: ['/hello'] });
  const before = machine.usage.memory;
  for (let i = 0; i < 10; i++) await machine.run({ argv: ['/hello'] });
  expect(machine.usage.memory).toBe(before);
  machine.close();
});

test('a running process shows its memory as data', () => {
  const machine = new Machine({ root });
  const process = machine.spawn({ argv: ['/loop'] });
  machine.step();
  expect(process.umem()[0]).toMatchObject({ base: 0x8048000, path: '/loop', refs: 1 });
  expect(process.segments().map((segment) => segment.class)).toContain('Stack');
  expect(process.maps().at(-1)).toMatchObject({ top: 0xffffe000, name: '[stack]', rights: 'rw-p' });
  machine.close();
});

test('a machine is stopped from outside by running it a slice at a time', () => {
  const machine = new Machine({ root });
  const process = machine.spawn({ argv: ['/loop'] });
  for (let i = 0; i < 3; i++) expect(machine.step()).toEqual({ kind: 'slice' });
  expect(process.instructions).toBeGreaterThan(500_000);
  machine.close();
});
