/** Every fixture ends on the emulator as it was recorded on the bare CPU, plainly and while everything is traced; and still so on this CPU. */
import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, test } from 'vitest';
import { emulator } from '../drivers/emulator.ts';
import { summary } from '../drivers/driver.ts';
import type { Driver } from '../drivers/driver.ts';
import { allFixtures, compilerVersion, runFixture, unfit } from '../drivers/fixtures.ts';
import { native } from '../drivers/native.ts';

const canBuild = (await compilerVersion()) !== undefined;
const MODES: readonly { name: string; driver: Driver; options: readonly string[] }[] = [
  { name: 'on the emulator', driver: emulator, options: [] },
  { name: 'on the emulator, traced', driver: emulator, options: ['--trace=calls,faults,signals,maps', '--trace-file=/dev/null'] },
  { name: 'on the bare CPU', driver: native, options: [] },
];

for (const { name, driver, options } of MODES) {
  describe.skipIf(!canBuild || driver.unavailable() !== undefined)(name, { concurrent: true }, () => {
    beforeAll(() => expect(driver.unavailable()).toBeUndefined());
    for (const fixture of allFixtures()) {
      test.skipIf(unfit(fixture) !== undefined)(fixture.name.replaceAll('-', ' '), async () => {
        const ending = await runFixture(fixture, driver, { options });
        expect(summary(ending)).toBe(readFileSync(fixture.expected, 'latin1'));
      });
    }
  });
}
