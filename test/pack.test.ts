/**
 * The package as its users get it: packed, installed into an empty folder, run with no compiler in reach, imported with full types.
 * Dependencies come from npm's cache or the registry that npm is set up with.
 */
import { execFile, execFileSync, spawnSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { emulator } from './drivers/emulator.ts';
import { build, compilerVersion, plainProgram } from './drivers/fixtures.ts';
import { PROBE, PROBE_STATUS } from './drivers/probe.ts';

const PROJECT = fileURLToPath(new URL('..', import.meta.url));
const WASM_LIMIT_BYTES = 1.5 * 2 ** 20;
const PACKAGE_LIMIT_BYTES = 2 * 2 ** 20;

const USER_PROGRAM = `
import { Machine, ProgramError, type ExitStatus, type MachineOptions } from 'seg386';
const options: MachineOptions = { memory: 64 * 2 ** 20, deterministic: true };
const machine: Machine = new Machine(options);
// @ts-expect-error: memory is a number of bytes
const wrong: MachineOptions = { memory: '64M' };
const ended: (status: ExitStatus) => string = (status) => status.kind;
const refused = (error: unknown): string => (error instanceof ProgramError ? error.code : 'other');
console.log(typeof machine, typeof wrong, typeof ended, typeof refused);
machine.close();
`;

const canBuild = (await compilerVersion()) !== undefined;
const EXAMPLES = join(PROJECT, 'docs/examples');
/** What the examples are given besides the guest, words.c, which lies in the app as /words. */
const TEXT = 'to be or not to be';
const COUNTED = '2 to\n2 be\n1 or\n1 not\n';

describe.skipIf(emulator.unavailable() !== undefined)('the package', () => {
  const folder = mkdtempSync(join(tmpdir(), 'seg386-pack-'));
  const app = join(folder, 'app');
  const npm = (args: readonly string[], cwd: string) => promisify(execFile)('npm', [...args, '--loglevel=error'], { cwd });
  let size_bytes = 0;

  beforeAll(async () => {
    await npm(['pack', '--pack-destination', folder], PROJECT);
    const file = readdirSync(folder).find((name) => name.endsWith('.tgz')) ?? '';
    size_bytes = statSync(join(folder, file)).size;
    mkdirSync(app);
    writeFileSync(join(app, 'package.json'), '{ "name": "app", "version": "1.0.0", "type": "module", "private": true }\n');
    await npm(['install', join(folder, file), '--prefer-offline', '--no-audit', '--no-fund'], app);
    writeFileSync(join(app, 'probe'), PROBE);
    chmodSync(join(app, 'probe'), 0o755);
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  /** Runs a command of the app with node, npx and a shell on its PATH, and nothing else. */
  const bare = (command: string, args: readonly string[]) => {
    const bin = join(folder, 'bin');
    mkdirSync(bin, { recursive: true });
    const shell = execFileSync('sh', ['-c', 'command -v sh'], { encoding: 'utf8' }).trim();
    const npx = execFileSync('sh', ['-c', 'command -v npx'], { encoding: 'utf8' }).trim();
    for (const [name, target] of [
      ['node', process.execPath],
      ['sh', shell],
      ['npx', npx],
    ] as const) {
      try {
        symlinkSync(target, join(bin, name));
      } catch {
        // From the test before.
      }
    }
    return spawnSync(command, args, { cwd: app, encoding: 'utf8', env: { PATH: bin, HOME: folder, npm_config_update_notifier: 'false' } });
  };

  /** Complaints of the compiler; none where it has made the JavaScript file. */
  const compile = (file: string, options: readonly string[]): string => {
    const tsc = join(PROJECT, 'node_modules/typescript/bin/tsc');
    const common = ['--strict', '--module', 'nodenext', '--target', 'es2022', '--lib', 'es2023,dom'];
    return spawnSync(process.execPath, [tsc, ...common, ...options, file], { cwd: app, encoding: 'utf8' }).stdout;
  };

  test('is small and holds the engine', () => {
    expect(size_bytes).toBeLessThan(PACKAGE_LIMIT_BYTES);
    const wasm = statSync(join(app, 'node_modules/seg386/dist/emu/seg386.wasm'));
    expect(wasm.size).toBeGreaterThan(100_000);
    expect(wasm.size).toBeLessThan(WASM_LIMIT_BYTES);
  });

  test('runs a program by npx on a machine without compilers', () => {
    const { status, signal, stderr } = bare('npx', ['--no-install', 'seg386', './probe']);
    expect({ status, signal, stderr }).toEqual({ status: PROBE_STATUS, signal: null, stderr: '' });
  });

  test('says its version', () => {
    const { status, signal, stdout, stderr } = bare('npx', ['--no-install', 'seg386', '--version']);
    expect({ status, signal, stdout, stderr }).toEqual({
      status: 0,
      signal: null,
      stdout: expect.stringMatching(/^\d+\.\d+\.\d+\n$/),
      stderr: '',
    });
  });

  test('is imported by its name, with full types and nothing but its own declarations', () => {
    writeFileSync(join(app, 'use.ts'), USER_PROGRAM);
    expect(compile('use.ts', ['--types', '', '--skipLibCheck', 'false'])).toBe('');
    const { stdout, stderr } = bare('node', ['use.js']);
    expect(stderr).toBe('');
    expect(stdout).toBe('object object function function\n');
  });

  describe.skipIf(!canBuild)('runs the examples', () => {
    beforeAll(async () => {
      const source = join(EXAMPLES, 'words.c');
      copyFileSync(await build(plainProgram('examples/words', source)), join(app, 'words'));
    });
    const example = (name: string, args: readonly string[], input = ''): string => {
      copyFileSync(join(EXAMPLES, `${name}.ts`), join(app, `${name}.ts`));
      expect(compile(`${name}.ts`, ['--skipLibCheck', '--types', 'node', '--typeRoots', join(PROJECT, 'node_modules/@types')])).toBe('');
      const { stdout, stderr } = spawnSync(process.execPath, [`${name}.js`, ...args], { cwd: app, encoding: 'utf8', input });
      expect(stderr).toBe('');
      return stdout;
    };

    test('of a program whose output is collected', () => {
      expect(example('run-a-program', [app, '/words'], TEXT)).toBe(
        '/words ended with 0 after thousands of instructions\n' +
          `standard output: ${JSON.stringify(COUNTED)}\nstandard error: "4 different words\\n"\n`,
      );
      expect(example('run-a-program', [app, '/none'])).toBe('cannot run it: /none was not found (ENOENT)\n');
    });

    test('of memory that is watched', () => {
      const told = example('watch-memory', ['memory.svg', app, '/words', '/use.ts']);
      expect(told).toMatch(/^write [0-9a-f]{8} resolved \[heap\]$/m);
      expect(told).toMatch(/^Stack   [0-9a-f]{8}-[0-9a-f]{8}$/m);
      expect(told).toMatch(/^[1-9]\d* pages in memory, [1-9]\d* faults$/m);
      expect(readFileSync(join(app, 'memory.svg'), 'utf8')).toMatch(/^<svg[\s\S]*<\/svg>\s*$/);
    });

    test('of a job in a sandbox', () => {
      expect(example('sandboxed-job', [join(app, 'words'), TEXT])).toBe(COUNTED);
      expect(example('sandboxed-job', [join(app, 'words'), Array.from({ length: 1001 }, (_, i) => `w${i}`).join(' ')])).toMatch(
        /^failed with 3: /,
      );
    });
  });
});
