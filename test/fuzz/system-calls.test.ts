/** Random programs of system calls answer in a machine as in a jail on the bare CPU. `npm run soak:syscalls` is the long comparison. */
import { describe, expect, test } from 'vitest';
import { compilerVersion } from '../drivers/fixtures.ts';
import { compare, report, shrink, unavailable } from './syscalls/campaign.ts';
import { Generator } from './syscalls/programs.ts';

const cannot = (await compilerVersion()) === undefined || (await unavailable()) !== undefined;
const SEED = 386;
const PROGRAMS = 120;

describe.skipIf(cannot)('random programs of system calls', () => {
  test(`answer as on the bare CPU, ${PROGRAMS} programs`, async () => {
    const generator = new Generator(SEED, { proven: true });
    const { failures, calls } = await compare(Array.from({ length: PROGRAMS }, (_, i) => generator.program(i)));
    const reports: string[] = [];
    // What does not differ again was a matter of time on a busy machine.
    for (const failure of failures.slice(0, 5)) {
      const small = await shrink(failure);
      if (small !== undefined) reports.push(report(small));
    }
    expect(reports).toEqual([]);
    expect(calls).toBeGreaterThan(PROGRAMS * 5);
  }, 300_000);
});
