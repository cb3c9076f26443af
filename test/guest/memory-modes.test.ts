/** The memory fixtures end as recorded in every way that memory can be set up: the other layout, so few frames that file pages must come and go, and turns of a few instructions. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { summary } from '../drivers/driver.ts';
import { emulator } from '../drivers/emulator.ts';
import { allFixtures, compilerVersion, runFixture } from '../drivers/fixtures.ts';

const canBuild = (await compilerVersion()) !== undefined;
const MODES = [
  { name: 'in the linux layout', options: ['--layout=linux'] },
  { name: 'with few frames', options: ['--memory=1M', '--overcommit=always'] },
  {
    name: 'in short turns, while everything is traced',
    options: ['--slice=499', '--trace=calls,faults,signals,maps', '--trace-file=/dev/null'],
  },
];
/** These write more memory of their own than that. */
const LARGE = [
  'memory/malloc-survives-many-sizes',
  'memory/the-stack-grows-when-it-is-used',
  'memory/realloc-keeps-what-it-moves',
  'memory/a-thousand-pages-of-alternating-rights',
  'memory/a-handler-on-its-own-stack-survives-the-end-of-the-stack',
];

for (const { name, options } of MODES) {
  describe.skipIf(!canBuild || emulator.unavailable() !== undefined)(name, { concurrent: true }, () => {
    for (const fixture of allFixtures().filter((each) => each.name.startsWith('memory/'))) {
      const fits = LARGE.includes(fixture.name) ? options.map((each) => each.replace('1M', '12M')) : options;
      test(fixture.name.replaceAll('-', ' '), async () => {
        expect(summary(await runFixture(fixture, emulator, { options: fits }))).toBe(readFileSync(fixture.expected, 'latin1'));
      });
    }
  });
}
