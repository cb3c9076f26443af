/**
 * Programs with libraries of every kind, built from the sources in libraries/: on the emulator they print and end as on the bare CPU, through
 * glibc's own loader and musl's. What is missing is told to the user.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { MINI_ROOT } from '../corpus/root.ts';
import { emulator, SEG386 } from '../drivers/emulator.ts';
import { compilerVersion } from '../drivers/fixtures.ts';
import { native } from '../drivers/native.ts';

const SOURCES = fileURLToPath(new URL('libraries', import.meta.url));
const FIXTURES = fileURLToPath(new URL('../../fixtures', import.meta.url));
const COMMON = ['-m32', '-O1', '-std=gnu11', '-Wall', '-Werror', `-I${FIXTURES}`];
const LIBRARY = [...COMMON, '-shared', '-fPIC'];
const MANY = 200;
/** Slower than the bare CPU, and the machine may be busy. */
const LIMIT_MS = 240_000;

let folder: string;

/** Compiles sources of `libraries/` into a file of the folder. */
function build(output: string, flags: readonly string[], ...sources: readonly string[]): void {
  execFileSync('gcc', [...flags, '-o', output, ...sources.map((name) => (name.endsWith('.c') ? join(SOURCES, name) : name))], {
    cwd: folder,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
}

interface Seen {
  readonly stdout: string;
  readonly stderr: string;
  readonly status: number | null;
}
type Env = Readonly<Record<string, string>>;

function run(command: string, args: readonly string[], env: Env = {}): Seen {
  const whole = { PATH: '/usr/bin:/bin', LC_ALL: 'C', ...env };
  const { stdout, stderr, status } = spawnSync(command, args, { cwd: folder, env: whole, encoding: 'latin1' });
  return { stdout, stderr, status };
}
const onTheBareCpu = ([program = '', ...args]: readonly string[], env?: Env) => run(program, args, env);

/** With the guest's environment as options: the host's loader must not see it. */
function onTheEmulator(command: readonly string[], env: Env = {}, options: readonly string[] = []): Seen {
  const variables = Object.entries(env).flatMap(([name, value]) => ['-E', `${name}=${value}`]);
  return run(process.execPath, [SEG386, ...variables, ...options, '--', ...command]);
}

/** Both print this and end well. Returns what they print. */
function same(command: readonly string[], env?: Env): string {
  const expected = onTheBareCpu(command, env);
  expect(expected).toMatchObject({ status: 0, stderr: '' });
  expect(onTheEmulator(command, env)).toEqual(expected);
  return expected.stdout;
}

const canCompare = (await compilerVersion()) !== undefined && emulator.unavailable() === undefined && native.unavailable() === undefined;

describe.skipIf(!canCompare)('libraries', { timeout: LIMIT_MS }, () => {
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'seg386-libraries-'));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  describe.each([
    ['a program at a fixed place', ['-no-pie', '-fno-pie']],
    ['a position independent program', ['-pie', '-fPIE']],
  ])('of %s', (name, kind) => {
    const program = (base: string) => `./${base}-${name.split(' ')[1]}`;
    const rpath = '-Wl,-rpath,$ORIGIN';

    test.each([
      ['is position independent', [], 'libcounter.so'],
      ['was given a place of its own', ['-Wl,-Ttext-segment=0x56000000'], 'libcounter-placed.so'],
      ['is bound at the start', ['-Wl,-z,now,-z,relro'], 'libcounter-now.so'],
      ['binds its own symbols to itself', ['-Wl,-Bsymbolic'], 'libcounter-symbolic.so'],
      ['has the old table of symbols', ['-Wl,--hash-style=sysv'], 'libcounter-sysv.so'],
    ])('one that %s', (_what, flags, file) => {
      build(file, [...LIBRARY, ...flags], 'counter.c');
      const output = program(file);
      build(output, [...COMMON, ...kind, rpath], 'uses-counter.c', file);
      expect(same([output])).toMatch(/^16 18 [79] two\n(82|20)\n.*found 1 times\n$/s);
      expect(same([output], { LD_BIND_NOW: '1' })).toContain('found 1 times');
    });

    test('one with relocations in its text', () => {
      build('libcounter-text.so', [...COMMON, '-shared', '-fno-pic', '-Wl,-z,notext'], 'counter.c');
      const output = program('text');
      build(output, [...COMMON, ...kind, rpath], 'uses-counter.c', 'libcounter-text.so');
      expect(same([output])).toContain('relocations in its text\n');
    });

    test('its functions are chosen by what the CPU can do, of which everybody says the same', () => {
      build('libchosen.so', LIBRARY, 'chosen.c');
      const output = program('chosen');
      build(output, [...COMMON, ...kind, rpath], 'uses-chosen.c', 'libchosen.so');
      expect(same([output])).toMatch(/^library: 2 2, program: 20\n.*platform i686\n$/s);
      expect(same([output], { LD_BIND_NOW: '1' })).toMatch(/^library: 2 2, program: 20\n/);
    });

    test('one that needs executable stacks makes them so', () => {
      build('libexecutable.so', [...LIBRARY, '-Wl,-z,execstack'], 'executable.c');
      const output = program('executable');
      build(output, [...COMMON, ...kind], 'opens-executable.c');
      expect(same([output])).toMatch(/^before: code on the stack faults\n/);
    });

    test('thread-local variables of libraries opened while threads run', () => {
      build('liblocal.so', LIBRARY, 'local.c');
      build('libinitial.so', [...LIBRARY, '-ftls-model=initial-exec'], 'local.c');
      const output = program('local');
      build(output, [...COMMON, ...kind], 'opens-local.c');
      expect(same([output])).toContain('./liblocal.so: 17 31, shown 7, mine 13\n');
    });
  });

  describe('are found', () => {
    const asks = './asks';
    const library = (path: string, answer: string, soname = 'libanswer.so') => {
      mkdirSync(join(folder, path, '..'), { recursive: true });
      build(path, [...LIBRARY, `-DANSWER="${answer}"`, `-Wl,-soname,${soname}`], 'answer.c');
    };
    const program = (...flags: readonly string[]) => build(asks, [...COMMON, ...flags], 'asks.c', 'link/libanswer.so');

    beforeAll(() => {
      library('link/libanswer.so', 'linked');
      library('near/libanswer.so', 'near');
      library('far/libanswer.so', 'far');
      library('preload.so', 'preloaded', 'preload.so');
    });

    test('in LD_LIBRARY_PATH', () => {
      program();
      const lines = ['begin far', 'the answer is far', 'by name it is far', 'unanswered == NULL: yes', 'end far', ''];
      expect(same([asks], { LD_LIBRARY_PATH: 'none:far:near' })).toBe(lines.join('\n'));
      // Nowhere: the loader says what is missing, and we what can be done about it.
      const { stdout, stderr, status } = onTheEmulator([asks], {}, ['--explain']);
      expect({ stdout, status }).toEqual({ stdout: '', status: 127 });
      expect(stderr).toMatch(/libanswer\.so: cannot open shared object file.*-E LD_LIBRARY_PATH=FOLDER/s);
    });

    test('beside the program, by $ORIGIN in RPATH, which comes before LD_LIBRARY_PATH, and in RUNPATH, which comes after', () => {
      program('-Wl,-rpath,$ORIGIN/near', '-Wl,--disable-new-dtags');
      expect(same([asks], { LD_LIBRARY_PATH: 'far' })).toContain('the answer is near\n');
      program('-Wl,-rpath,$ORIGIN/near', '-Wl,--enable-new-dtags');
      expect(same([asks], { LD_LIBRARY_PATH: 'far' })).toContain('the answer is far\n');
      expect(same([asks])).toContain('the answer is near\n');
    });

    test('in the folders of what the CPU has', () => {
      library('near/i686/sse2/libanswer.so', 'sse2');
      program('-Wl,-rpath,$ORIGIN/near');
      same([asks]);
      rmSync(join(folder, 'near/i686'), { recursive: true });
    });

    test('by LD_PRELOAD, before all others', () => {
      program('-Wl,-rpath,$ORIGIN/near');
      expect(same([asks], { LD_PRELOAD: './preload.so' })).toMatch(/^begin near\nbegin preloaded\nthe answer is preloaded\n/);
    });

    test('and listed by the loader', () => {
      program('-Wl,-rpath,$ORIGIN/near');
      const list = ['/lib/ld-linux.so.2', '--list', asks];
      const withoutPlaces = ({ stdout, ...rest }: Seen) => ({ ...rest, stdout: stdout.replaceAll(/0x[0-9a-f]+/g, '0x') });
      const expected = withoutPlaces(onTheBareCpu(list));
      expect(expected.stdout).toMatch(/linux-gate.*libanswer\.so => \S*near\/libanswer\.so \(0x\)\n.*libc\.so\.6/s);
      expect(withoutPlaces(onTheEmulator(list))).toEqual(expected);
      // The program is run through the loader as well, and the loader says what it does.
      expect(same(['/lib/ld-linux.so.2', '--library-path', 'far', asks])).toContain('the answer is far\n');
      program('-Wl,-rpath,$ORIGIN/near', '-no-pie', '-fno-pie');
      expect(same(['/lib/ld-linux.so.2', asks])).toContain('the answer is near\n');
      const verify = ['/lib/ld-linux.so.2', '--verify', asks];
      expect(onTheEmulator(verify)).toEqual(onTheBareCpu(verify));
    });
  });

  test(`${MANY} of them are opened and closed, and leave nothing behind`, () => {
    mkdirSync(join(folder, 'many'));
    build('many/lib0.so', LIBRARY, 'counter.c');
    for (let n = 1; n < MANY; n++) copyFileSync(join(folder, 'many/lib0.so'), join(folder, `many/lib${n}.so`));
    build('opens-many', COMMON, 'opens-many.c');
    expect(same(['./opens-many', String(MANY)])).not.toMatch(/start: no/);
  });
});

const MUSL = join(MINI_ROOT, 'usr/lib/i386-linux-musl');
const hasMusl = canCompare && existsSync(join(MUSL, 'libc.so'));

describe.skipIf(!hasMusl)("musl's loader", { timeout: LIMIT_MS }, () => {
  const headers = join(MINI_ROOT, 'usr/include/i386-linux-musl');
  const within = (name: string) => join(MUSL, name);
  const flags = ['-m32', '-O1', '-nostdinc', '-isystem', headers, '-nostdlib', '-fno-stack-protector'];
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'seg386-musl-'));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  const inRoot = (args: readonly string[], env: Env = {}) => {
    return onTheEmulator(args, env, ['-r', MINI_ROOT, '--mount', `${folder}:/mnt:ro`, '-w', '/mnt']);
  };
  test.each([
    ['at a fixed place', ['-no-pie', '-fno-pie'], 'crt1.o'],
    ['position independent', ['-pie', '-fPIE'], 'Scrt1.o'],
  ])('runs a program that is %s with libraries and threads', (_what, kind, start) => {
    build('liblocal.so', [...flags, '-shared', '-fPIC'], 'local.c');
    build('libtext.so', [...flags, '-shared', '-fno-pic', '-Wl,-z,notext'], 'counter.c');
    const link = [...flags, ...kind, '-Wl,-dynamic-linker,/lib/ld-musl-i386.so.1', '-Wl,-rpath,$ORIGIN'];
    build(
      'musl',
      link,
      within(start),
      within('crti.o'),
      'musl.c',
      'liblocal.so',
      'libtext.so',
      `-L${MUSL}`,
      '-lc',
      '-lgcc',
      within('crtn.o'),
    );
    const expected = run(within('libc.so'), ['./musl']);
    expect(expected).toMatchObject({ status: 0, stderr: '' });
    expect(inRoot(['./musl'])).toEqual(expected);
    expect(inRoot(['./musl'], { LD_BIND_NOW: '1' })).toEqual(expected);
    expect(inRoot(['/lib/ld-musl-i386.so.1', '--list', './musl']).stdout).toMatch(/liblocal\.so => \S*\/liblocal\.so \(0x[0-9a-f]+\)/);
  });
});

describe.skipIf(!hasMusl)('in a root', { timeout: LIMIT_MS }, () => {
  const inRoot = (...args: readonly string[]) =>
    spawnSync(process.execPath, [SEG386, '-r', MINI_ROOT, '--', ...args], { encoding: 'latin1' });

  test('ldd lists what a program needs', () => {
    const { stdout, stderr, status } = inRoot('/usr/bin/ldd', '/bin/bash');
    expect({ stderr, status }).toEqual({ stderr: '', status: 0 });
    const lines = stdout
      .trim()
      .split('\n')
      .map((line) => line.trim().replace(/0x[0-9a-f]+/, '0x'));
    expect(lines[0]).toBe('linux-gate.so.1 (0x)');
    expect(lines).toContain('libc.so.6 => /lib/i386-linux-gnu/libc.so.6 (0x)');
    expect(lines.at(-1)).toBe('/lib/ld-linux.so.2 (0x)');
    expect(inRoot('/usr/bin/ldd', '/bin/busybox').stderr).toContain('not a dynamic executable');
  });
});
