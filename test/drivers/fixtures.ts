/**
 * Fixtures: small guest programs under fixtures/<area>/, each with its expected ending beside it, recorded on the bare CPU by
 * `npm run record`. This file finds them, reads what their first comment asks for, and builds them (build/fixtures, by content).
 */
import { execFile, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Driver, Ending, Program } from './driver.ts';

const FIXTURES = fileURLToPath(new URL('../../fixtures', import.meta.url));
const BUILT = fileURLToPath(new URL('../../build/fixtures', import.meta.url));
const COMMON_FLAGS = ['-m32', '-O1', '-g0', '-std=gnu11', '-Wall', '-Werror', `-I${FIXTURES}`];
const KINDS: Readonly<Record<string, readonly string[]>> = {
  static: ['-static', '-fno-pie', '-no-pie'],
  'static-pie': ['-static-pie', '-fPIE'],
  dynamic: ['-fno-pie', '-no-pie'],
  'dynamic-pie': ['-fPIE', '-pie'],
  bare: ['-nostdlib', '-static', '-fno-pie', '-no-pie', '-Wl,--build-id=none'],
};

/** What some fixtures are about is to be had only under certain conditions. */
const NEEDS = {
  root: () => process.getuid?.() === 0,
  'real-time': () => process.getuid?.() === 0 && works('chrt', '--fifo', '1', 'true'),
  mounts: () => process.getuid?.() === 0 && works('unshare', '--mount', 'true'),
  multipath: () => works('grep', '-q', '1', '/proc/sys/net/mptcp/enabled'),
  /** Temporary files lie on a disk, not in memory or in layers of directories. */
  disk: () => ![TMPFS, OVERLAYFS].includes(statfsSync(tmpdir()).type),
};

/** Directives are lines of the first comment: `build: dynamic -lm`, `args: ["a", "b"]`, `env: {"A": "b"}`, `stdin: "text\n"`, `needs: root` (see NEEDS). */
export interface Fixture {
  /** As in `memory/brk-grows-and-shrinks-with-zeroes`. */
  readonly name: string;
  readonly source: string;
  /** The recorded ending (see `summary`). */
  readonly expected: string;
  readonly kind: string;
  readonly flags: readonly string[];
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly stdin: string;
  /** Where that is not given it is left out. */
  readonly needs?: keyof typeof NEEDS;
}

/** A static program beside the tests that is built as fixtures are, but is none. */
export function plainProgram(name: string, source: string, args: readonly string[] = []): Fixture {
  return { name, source, expected: '', kind: 'static', flags: [], args, env: {}, stdin: '' };
}

/** Of statfs. */
const TMPFS = 0x01021994;
const OVERLAYFS = 0x794c7630;

/** Why a fixture cannot run here, or undefined. */
export function unfit(fixture: Fixture): string | undefined {
  return fixture.needs === undefined || NEEDS[fixture.needs]() ? undefined : `needs ${fixture.needs}`;
}

function works(command: string, ...args: readonly string[]): boolean {
  return spawnSync(command, args).status === 0;
}

export function allFixtures(): Fixture[] {
  const areas = readdirSync(FIXTURES, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  return areas.flatMap(({ name: area }) =>
    readdirSync(join(FIXTURES, area))
      .filter((file) => ['.c', '.s'].includes(extname(file)))
      .sort()
      .map((file) => readFixture(area, file)),
  );
}

function readFixture(area: string, file: string): Fixture {
  const source = join(FIXTURES, area, file);
  const text = readFileSync(source, 'utf8');
  const comment = /^\s*\/\*[\s\S]*?\*\//.exec(text)?.[0] ?? '';
  const directive = (name: string) => new RegExp(`^[\\s*]*${name}: (.*?)(?: \\*/)?$`, 'm').exec(comment)?.[1];
  const [kind = 'static', ...flags] = (directive('build') ?? 'static').split(' ');
  if (!(kind in KINDS)) throw new Error(`${source}: no such kind of build: ${kind}`);
  const stem = basename(file, extname(file));
  return {
    name: `${area}/${stem}`,
    source,
    expected: join(FIXTURES, area, `${stem}.expected`),
    kind,
    flags,
    args: JSON.parse(directive('args') ?? '[]'),
    env: JSON.parse(directive('env') ?? '{}'),
    stdin: JSON.parse(directive('stdin') ?? '""'),
    needs: Object.keys(NEEDS).find((need) => need === directive('needs')) as keyof typeof NEEDS | undefined,
  };
}

let compiler: Promise<string | undefined> | undefined;

/** What gcc calls itself, or undefined where it cannot build i386 programs. */
export function compilerVersion(): Promise<string | undefined> {
  compiler ??= (async () => {
    if (!existsSync('/usr/lib32/libc.a') && !existsSync('/usr/lib/i386-linux-gnu/libc.a')) return undefined;
    return promisify(execFile)('gcc', ['--version']).then(
      ({ stdout }) => stdout.split('\n')[0],
      () => undefined,
    );
  })();
  return compiler;
}

/** The headers of a folder, which what is built there may share. */
function headersIn(folder: string): Buffer[] {
  const names = readdirSync(folder).filter((file) => extname(file) === '.h');
  return names.map((name) => readFileSync(join(folder, name)));
}

/** Builds begun: several may run at once, of one program too. */
let builds = 0;

/** The built program's path. Requires: compilerVersion() is not undefined. */
export async function build(fixture: Fixture): Promise<string> {
  const flags = [...COMMON_FLAGS, ...(KINDS[fixture.kind] ?? [])];
  const hash = createHash('sha256');
  for (const part of [
    readFileSync(fixture.source),
    ...headersIn(FIXTURES),
    ...headersIn(dirname(fixture.source)),
    flags.join(' '),
    fixture.flags.join(' '),
    await compilerVersion(),
  ]) {
    hash.update(String(part)).update('\0');
  }
  const folder = join(BUILT, hash.digest('hex').slice(0, 16));
  const program = join(folder, basename(fixture.name));
  if (!existsSync(program)) {
    mkdirSync(folder, { recursive: true });
    const unfinished = `${program}.${process.pid}.${++builds}.tmp`;
    await promisify(execFile)('gcc', [...flags, fixture.source, '-o', unfinished, ...fixture.flags], { cwd: dirname(fixture.source) });
    renameSync(unfinished, program);
  }
  return program;
}

/** Runs a fixture in an empty working directory of its own. */
export async function runFixture(fixture: Fixture, driver: Driver, extra: Partial<Program> = {}): Promise<Ending> {
  const cwd = mkdtempSync(join(tmpdir(), 'seg386-fixture-'));
  try {
    const path = await build(fixture);
    return await driver.run({
      path,
      args: fixture.args,
      env: { PATH: '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC', ...fixture.env },
      stdin: fixture.stdin,
      cwd,
      ...extra,
    });
  } finally {
    rmSync(cwd, { recursive: true, force: true });
  }
}
