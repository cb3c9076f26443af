/**
 * `npm run shake [-- part of a name ...] [--runs N] [--under part of a perturbation] [--on emulator]`: runs fixtures again and again
 * under what brings races and dependence on the machine to light, and compares each run with what was recorded. Says which differ.
 */
import { execFile, execFileSync, spawn } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs, promisify } from 'node:util';
import { type Driver, summary } from '../test/drivers/driver.ts';
import { emulator } from '../test/drivers/emulator.ts';
import { allFixtures, build, compilerVersion, type Fixture, runFixture, unfit } from '../test/drivers/fixtures.ts';
import { native } from '../test/drivers/native.ts';

interface Perturbation {
  readonly name: string;
  /** The command that runs the program. */
  readonly through: readonly string[];
  /** Each is a process that burns time while the programs run, itself run through this. */
  readonly burners?: readonly (readonly string[])[];
  /** Of how many runs that were asked for one is made; 1 where absent. Where the programs stand in each other's way fewer show as much. */
  readonly every?: number;
  /** Fixtures that see the perturbation itself. */
  readonly without?: readonly string[];
  /** Another folder for working directories. */
  readonly folder?: string;
}

const BUILT = fileURLToPath(new URL('../build/shake', import.meta.url));
const DELAYS = join(BUILT, 'delays');
/** As many at once as vitest runs: two workers, each with two tests. */
const AT_ONCE = 4;
const MOST_SHOWN = 2;
const MOST_LINES = 40;
/** Ends with its parent at the latest. */
const BURNER = 'for (const parent = process.ppid; process.ppid === parent;) for (let i = 0; i < 1e6; i++);';

const ONE_CPU = ['taskset', '-c', '0'];
const everywhere = (count: number, through: readonly string[]) => Array.from({ length: count }, () => through);
/** Runs the program from a parent that has changed itself first. A shell would change the environment as well. */
const after = (statements: string) => ['python3', '-c', `import os, resource, signal, sys\n${[statements, ...EXECUTE].join('\n')}`];
/** Python ignores SIGPIPE, which is none of the perturbations: Node gives its children every signal as it is by default. */
const EXECUTE = ['signal.signal(signal.SIGPIPE, signal.SIG_DFL)', 'os.execvp(sys.argv[1], sys.argv[1:])'];
const limits = (table: Readonly<Record<string, number | 'hard'>>) =>
  after(
    Object.entries(table)
      .map(([name, value]) => `r = resource.RLIMIT_${name}; hard = resource.getrlimit(r)[1]; resource.setrlimit(r, (${value}, hard))`)
      .join('\n'),
  );

const PERTURBATIONS: readonly Perturbation[] = [
  { name: 'four at once', through: [] },
  // A thread that is held in a system call counts as stopped: a signal to its process goes to another thread, and less urgent ones run.
  {
    name: 'delayed system calls',
    through: [DELAYS],
    every: 2,
    without: ['the-first-thread-takes', 'nice-values-divide', 'real-time-tasks'],
  },
  { name: 'one processor', through: ONE_CPU },
  { name: 'busy processors', through: [], burners: everywhere(2 * availableParallelism(), []), every: 2 },
  { name: 'one busy processor', through: ONE_CPU, burners: everywhere(2, ONE_CPU), every: 5 },
  { name: 'behind everybody else', through: ['nice', '-n', '19'], burners: everywhere(1, ONE_CPU), every: 5, without: ['nice-values'] },
  { name: 'many descriptors', through: after("for n in [*range(3, 41), 63, 64, 255]: os.dup2(os.open('/dev/null', 0), n)"), every: 5 },
  { name: 'another umask', through: after('os.umask(0o077)'), every: 10 },
  { name: 'an open umask', through: after('os.umask(0)'), every: 10 },
  { name: 'low limits', through: limits({ STACK: 2 << 20, NOFILE: 256, CORE: 0, MEMLOCK: 64 << 10, SIGPENDING: 512 }), every: 5 },
  { name: 'high limits', through: limits({ STACK: 'hard', NOFILE: 'hard', MEMLOCK: 'hard' }), every: 5 },
  { name: 'another session', through: ['setsid', '--wait'], every: 5 },
  { name: 'a file system in memory', through: [], folder: '/dev/shm', every: 5 },
];

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { runs: { type: 'string', default: '50' }, under: { type: 'string', default: '' }, on: { type: 'string', default: 'native' } },
});
const driver: Driver = values.on === 'emulator' ? emulator : native;
const reason = driver.unavailable() ?? ((await compilerVersion()) ? undefined : 'gcc cannot build i386 programs (gcc-multilib is missing)');
if (reason) {
  console.error(`shake: ${reason}`);
  process.exit(1);
}

const fixtures = allFixtures().filter(({ name }) => positionals.length === 0 || positionals.some((part) => name.includes(part)));
await prepare();
let failed = 0;
for (const perturbation of PERTURBATIONS) {
  if (perturbation.name.includes(values.under)) failed += await shake(perturbation);
}
process.exit(failed === 0 ? 0 : 1);

async function prepare(): Promise<void> {
  mkdirSync(BUILT, { recursive: true });
  execFileSync('gcc', ['-O1', fileURLToPath(new URL('shake-delays.c', import.meta.url)), '-o', DELAYS]);
  await inParallel(fixtures, async (fixture) => void (await build(fixture)));
}

/** How many fixtures differed at least once. */
async function shake({ name, through, burners = [], every = 1, folder, without = [] }: Perturbation): Promise<number> {
  const runs = Math.ceil(Number(values.runs) / every);
  const start = process.hrtime.bigint();
  const children = burners.map(([command, ...args]) => {
    const whole = [...(command ? [command, ...args] : []), process.execPath, '-e', BURNER];
    return spawn(whole[0] as string, whole.slice(1), { stdio: 'ignore' });
  });
  const differing: Difference[] = [];
  const usual = process.env.TMPDIR;
  process.env.TMPDIR = folder ?? tmpdir();
  const shaken = fixtures.filter((fixture) => unfit(fixture) === undefined && !without.some((part) => fixture.name.includes(part)));
  try {
    await inParallel(shaken, async (fixture) => {
      const difference = await differences(fixture, through, runs);
      if (difference.count > 0) differing.push(difference);
    });
  } finally {
    for (const child of children) child.kill('SIGKILL');
    if (usual === undefined) delete process.env.TMPDIR;
    else process.env.TMPDIR = usual;
  }
  const seconds = Number((process.hrtime.bigint() - start) / 1_000_000_000n);
  console.log(`${name}: ${shaken.length - differing.length} of ${shaken.length} fixtures alike in ${runs} runs (${seconds} s)`);
  for (const difference of differing) await show(difference, runs);
  return differing.length;
}

interface Difference {
  readonly fixture: Fixture;
  count: number;
  /** Some of what was seen instead. */
  readonly seen: Set<string>;
}

async function differences(fixture: Fixture, through: readonly string[], runs: number): Promise<Difference> {
  const expected = readFileSync(fixture.expected, 'latin1');
  const found: Difference = { fixture, count: 0, seen: new Set() };
  for (let n = 0; n < runs; n++) {
    const ending = summary(await runFixture(fixture, driver, { through }));
    if (ending === expected) continue;
    found.count++;
    if (found.seen.size < MOST_SHOWN) found.seen.add(ending);
  }
  return found;
}

async function show({ fixture, count, seen }: Difference, runs: number): Promise<void> {
  console.log(`  ${fixture.name} differed in ${count} of ${runs} runs`);
  for (const ending of seen) {
    const file = join(BUILT, 'seen');
    writeFileSync(file, ending, 'latin1');
    const { stdout } = await promisify(execFile)('diff', ['-U1', fixture.expected, file]).catch((error) => error as { stdout: string });
    console.log(
      stdout
        .split('\n')
        .slice(2, 2 + MOST_LINES)
        .join('\n')
        .replaceAll(/^/gm, '    ')
        .trimEnd(),
    );
  }
}

async function inParallel<Item>(items: readonly Item[], work: (item: Item) => Promise<void>): Promise<void> {
  const left = [...items];
  const worker = async () => {
    for (let item = left.shift(); item !== undefined; item = left.shift()) await work(item);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}
