/**
 * `npm run record [-- part of a name ...]`: builds fixtures and records their `.expected` on the bare CPU. Each is run three times and
 * must end alike, so that no expectation holds an address, a pid or a time.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { summary } from '../test/drivers/driver.ts';
import { allFixtures, compilerVersion, runFixture } from '../test/drivers/fixtures.ts';
import { native } from '../test/drivers/native.ts';

const RUNS = 3;
const wanted = process.argv.slice(2);

const reason = native.unavailable() ?? ((await compilerVersion()) ? undefined : 'gcc cannot build i386 programs (gcc-multilib is missing)');
if (reason) {
  console.error(`record: ${reason}`);
  process.exit(1);
}
let failed = 0;
for (const fixture of allFixtures()) {
  if (wanted.length > 0 && !wanted.some((part) => fixture.name.includes(part))) continue;
  try {
    const endings = [];
    for (let n = 0; n < RUNS; n++) endings.push(summary(await runFixture(fixture, native)));
    const [first = ''] = endings;
    if (endings.some((ending) => ending !== first)) throw new Error(`two runs differ:\n${endings.join('\n')}`);
    if (first.startsWith('timed out')) throw new Error('timed out');
    const before = existsSync(fixture.expected) ? readFileSync(fixture.expected, 'latin1') : undefined;
    if (before !== first) writeFileSync(fixture.expected, first, 'latin1');
    console.log(`${before === undefined ? 'new' : before === first ? 'same' : 'CHANGED'} ${fixture.name}`);
  } catch (error) {
    failed++;
    console.error(`FAILED ${fixture.name}: ${error instanceof Error ? error.message : error}`);
  }
}
process.exit(failed === 0 ? 0 : 1);
