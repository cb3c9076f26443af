/** The proof of memory in small: random programs of memory calls answer in the emulator as on the bare CPU. `npm run soak:mm` is the large one. */
import { describe, expect, test } from 'vitest';
import { emulator } from '../drivers/emulator.ts';
import { compilerVersion } from '../drivers/fixtures.ts';
import { native } from '../drivers/native.ts';
import { compare, report, shrink } from './mm/campaign.ts';
import { Generator } from './mm/programs.ts';

const cannot = (await compilerVersion()) === undefined || emulator.unavailable() !== undefined || native.unavailable() !== undefined;
const SEED = 386;
const PROGRAMS = 300;

describe.skipIf(cannot)('random programs of memory calls', () => {
  test(`answer as on the bare CPU, ${PROGRAMS} programs`, async () => {
    const generator = new Generator(SEED, true);
    const { failures, operations } = await compare(Array.from({ length: PROGRAMS }, (_, i) => generator.program(i)));
    const reports: string[] = [];
    for (const failure of failures.slice(0, 2)) reports.push(report(await shrink(failure)));
    expect(reports).toEqual([]);
    expect(operations).toBeGreaterThan(PROGRAMS * 10);
  }, 180_000);
});
