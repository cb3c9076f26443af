/**
 * Fixtures end as recorded however threads and processes take turns, and a deterministic run is the same twice: every call, fault and signal, every
 * instruction. A long test: `npm run test:modes`, which sets SEG386_MODES=all.
 */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { Machine, memoryRoot } from '../../index.ts';
import { summary } from '../drivers/driver.ts';
import { emulator } from '../drivers/emulator.ts';
import { allFixtures, build, compilerVersion, type Fixture, runFixture } from '../drivers/fixtures.ts';

const cannot = (await compilerVersion()) === undefined || emulator.unavailable() !== undefined;
describe.skipIf(cannot)('with turns of a thousand instructions', { concurrent: true }, () => {
  for (const fixture of allFixtures()) {
    test(fixture.name.replaceAll('-', ' '), async () => {
      expect(summary(await runFixture(fixture, emulator, { options: ['--slice=1000'] }))).toBe(readFileSync(fixture.expected, 'latin1'));
    });
  }
});

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
  for (const fixture of allFixtures().filter(({ kind }) => !kind.startsWith('dynamic'))) {
    test(fixture.name.replaceAll('-', ' '), async () => {
      const first = await everything(fixture);
      const second = await everything(fixture);
      expect(second.instructions).toBe(first.instructions);
      expect(second).toEqual(first);
    });
  }
});
