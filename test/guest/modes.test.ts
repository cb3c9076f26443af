/**
 * Fixtures end as recorded however threads and processes take turns, and a deterministic run is the same twice: every call, fault and signal, every
 * instruction; of the command line's runs the trace, byte for byte. A tenth of the fixtures; `npm run test:modes`, which sets SEG386_MODES=all, takes all.
 */
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { Machine, memoryRoot } from '../../index.ts';
import { summary } from '../drivers/driver.ts';
import { emulator } from '../drivers/emulator.ts';
import { allFixtures, build, compilerVersion, type Fixture, runFixture } from '../drivers/fixtures.ts';

const cannot = (await compilerVersion()) === undefined || emulator.unavailable() !== undefined;
const LIMIT_MS = 600_000;
const CHOSEN = 10;

/** Which fixtures are run does not depend on which others there are. */
function isChosen({ name }: Fixture): boolean {
  if (process.env['SEG386_MODES'] === 'all') return true;
  return [...name].reduce((sum, c) => (sum * 31 + c.charCodeAt(0)) % 9973, 0) % CHOSEN === 0;
}
const fixtures = allFixtures().filter(isChosen);

describe.skipIf(cannot)('with turns of a thousand instructions', { concurrent: true }, () => {
  for (const fixture of fixtures) {
    test(fixture.name.replaceAll('-', ' '), { timeout: LIMIT_MS }, async () => {
      expect(summary(await runFixture(fixture, emulator, { options: ['--slice=1000'] }))).toBe(readFileSync(fixture.expected, 'latin1'));
    });
  }
});

function isStatic({ kind }: Fixture): boolean {
  return !kind.startsWith('dynamic');
}

/** Everything that happens in one run, in a world of memory. */
async function everything(fixture: Fixture): Promise<{ readonly trace: string; readonly output: string; readonly instructions: number }> {
  const machine = new Machine({ root: memoryRoot, deterministic: true, seed: 386 });
  try {
    const { files } = machine;
    files.writeFile('/program', readFileSync(await build(fixture)), { mode: 0o755 });
    for (const folder of ['/tmp', '/work']) files.mkdir(folder);
    const trace: string[] = [];
    machine.on('syscall', ({ tid, text }) => trace.push(`${tid} ${text}`));
    machine.on('fault', ({ tid, address, access, eip, outcome }) => trace.push(`${tid} ${access} ${address} at ${eip} ${outcome}`));
    machine.on('signal', ({ tid, name, action }) => trace.push(`${tid} ${name} ${action}`));
    machine.on('exit', ({ process, status }) => trace.push(`${process.pid} ${JSON.stringify(status)} ${process.instructions}`));
    const argv = ['/program', ...fixture.args];
    const guest = await machine.run({
      argv,
      env: { PATH: '/', ...fixture.env },
      cwd: '/work',
      stdin: fixture.stdin,
      limits: { instructions: 2e9 },
    });
    return { trace: trace.join('\n'), output: `${guest.stdoutText}${guest.stderrText}`, instructions: machine.usage.instructions };
  } finally {
    machine.close();
  }
}

describe.skipIf(cannot)('deterministic runs are the same twice', () => {
  for (const fixture of fixtures.filter(isStatic)) {
    test(fixture.name.replaceAll('-', ' '), { timeout: LIMIT_MS }, async () => {
      const first = await everything(fixture);
      const second = await everything(fixture);
      expect(second.instructions).toBe(first.instructions);
      expect(second).toEqual(first);
    });
  }
});

const noTar = cannot || spawnSync('tar', ['--version']).status !== 0;
describe.skipIf(noTar)('the command line traces deterministic runs alike', () => {
  for (const fixture of fixtures.filter(isStatic).filter((_, i) => i % CHOSEN === 0)) {
    test(fixture.name.replaceAll('-', ' '), { timeout: LIMIT_MS }, async () => {
      const folder = mkdtempSync(join(tmpdir(), 'seg386-trace-'));
      try {
        for (const name of ['root', 'root/tmp', 'root/work']) mkdirSync(join(folder, name));
        copyFileSync(await build(fixture), join(folder, 'root/program'));
        expect(spawnSync('tar', ['cf', join(folder, 'root.tar'), '-C', join(folder, 'root'), '.']).status).toBe(0);
        const traced = async (number: number): Promise<string> => {
          const file = join(folder, `trace-${number}`);
          const options = [
            '--deterministic',
            '--trace=calls,faults,signals,maps',
            `--trace-file=${file}`,
            '--chdir=/work',
            `--root=${join(folder, 'root.tar')}`,
          ];
          const { args, stdin, env } = fixture;
          const ending = await emulator.run({ path: '/program', args, stdin, env, cwd: folder, options });
          return `${summary(ending)}\n${readFileSync(file, 'latin1')}`;
        };
        const first = await traced(1);
        expect(first.split('\n').length).toBeGreaterThan(5);
        expect(await traced(2)).toBe(first);
      } finally {
        rmSync(folder, { recursive: true, force: true });
      }
    });
  }
});
