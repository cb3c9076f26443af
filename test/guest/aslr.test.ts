/** Address space layout randomisation: everything that Linux moves is moved, a seed repeats it, and programs run as before. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { summary } from '../drivers/driver.ts';
import { emulator } from '../drivers/emulator.ts';
import { allFixtures, compilerVersion, type Fixture, runFixture } from '../drivers/fixtures.ts';

const canBuild = (await compilerVersion()) !== undefined;
const NAMES = [
  'process/a-position-independent-program-runs',
  'process/a-static-position-independent-program-runs',
  'process/a-dynamic-program-uses-its-libraries',
  'memory/brk-grows-and-shrinks-with-zeroes',
  'memory/the-stack-grows-when-it-is-used',
];
const fixtures = allFixtures().filter(({ name }) => NAMES.includes(name));
const KINDS: Readonly<Record<string, readonly string[]>> = {
  [NAMES[0]]: ['program', 'library', '[vdso]', '[stack]'],
  [NAMES[3]]: ['[heap]', '[vdso]', '[stack]'],
};

/** Where things lie at the end, by what they are. */
async function places(fixture: Fixture, ...options: string[]): Promise<Record<string, number>> {
  const { stderr } = await runFixture(fixture, emulator, { options: ['--maps', ...options] });
  const found: Record<string, number> = {};
  for (const line of String(stderr).split('\n')) {
    const [, base, top, name = ''] = /^([0-9a-f]+)-([0-9a-f]+) \S+ \S+ \S+ \S+ *(\S*)$/.exec(line) ?? [];
    const kind = name.startsWith('[') ? name : name.includes('libc.so') ? 'library' : name.startsWith('/') ? 'program' : undefined;
    if (kind !== undefined) found[kind] ??= Number.parseInt(kind === '[stack]' ? top : base, 16);
  }
  return found;
}

describe.skipIf(!canBuild || emulator.unavailable() !== undefined)('with --aslr', { concurrent: true }, () => {
  for (const layout of ['linux', 'linuxemu']) {
    for (const fixture of fixtures) {
      test(`${fixture.name.replaceAll('-', ' ')}, in the ${layout} layout`, async () => {
        const ending = await runFixture(fixture, emulator, { options: ['--aslr', `--layout=${layout}`] });
        expect(summary(ending)).toBe(readFileSync(fixture.expected, 'latin1'));
      });
    }

    for (const fixture of fixtures.filter(({ name }) => name in KINDS)) {
      test(`a seed repeats where all lies, and another moves it: ${fixture.name}, ${layout}`, async () => {
        const options = [`--layout=${layout}`, '--aslr'];
        const first = await places(fixture, ...options, '--seed=1');
        const other = await places(fixture, ...options, '--seed=2');
        const plain = await places(fixture, `--layout=${layout}`);
        expect(await places(fixture, ...options, '--seed=1')).toEqual(first);
        for (const kind of KINDS[fixture.name]) expect(new Set([first[kind], other[kind], plain[kind]]).size, kind).toBe(3);
        expect(plain['[stack]'] - first['[stack]']).toBeLessThan(8 << 20);
        expect(first.program - plain.program).toBeLessThan(1 << 20);
      });
    }
  }
});
