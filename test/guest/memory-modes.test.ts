/**
 * The memory fixtures end as recorded in every way that memory can be set up: the other layout, so few frames that pages of files, the program's own among
 * them, go and come back, and turns of a few instructions.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { summary } from '../drivers/driver.ts';
import { emulator } from '../drivers/emulator.ts';
import { allFixtures, compilerVersion, runFixture } from '../drivers/fixtures.ts';

const canRun = (await compilerVersion()) !== undefined && emulator.unavailable() === undefined;
const FIXTURES = allFixtures().filter((each) => each.name.startsWith('memory/'));
const MODES = [
  { name: 'in the linux layout', options: ['--layout=linux'] },
  {
    name: 'in short turns, while everything is traced',
    options: ['--slice=499', '--trace=calls,faults,signals,maps', '--trace-file=/dev/null'],
  },
];
/** 24 frames, of which a static program needs some 15 that are its own. */
const FEW = '96K';
/** These write more memory of their own than that, or have more in memory files than their share. */
const LARGER: Readonly<Record<string, string>> = {
  'a-file-is-the-same-by-mapping-and-by-reading': '1M',
  'a-handler-on-its-own-stack-survives-the-end-of-the-stack': '12M',
  'a-hole-punched-in-a-memory-file-is-zero-for-all': '1M',
  'a-program-is-not-written-while-it-runs-nor-run-while-it-is-written': '1M',
  'a-thousand-pages-of-alternating-rights': '12M',
  'after-fork-each-writes-its-own-pages': '192K',
  'copy-on-write-page-by-page': '1M',
  'flags-without-effect-keep-areas-apart': '192K',
  'malloc-survives-many-sizes': '12M',
  'memory-files-are-files': '1M',
  'mlock-counts-against-its-limit': '192K',
  'mprotect-splits-and-joins-again': '192K',
  'mincore-tells-what-is-present': '1M',
  'populating-brings-pages-in': '192K',
  'reading-into-half-mapped-memory-returns-what-fitted': '192K',
  'realloc-keeps-what-it-moves': '2M',
  'remap-file-pages-over-the-last-mapping-keeps-the-file': '1M',
  'reserving-gigabytes-costs-nothing': '1M',
  'running-off-the-stack-kills': '1M',
  'sealed-memory-refuses-what-its-seals-say': '1M',
  'the-stack-grows-when-it-is-used': '12M',
  'the-status-file-counts-what-is-mapped': '192K',
  'untouched-memory-reads-as-zero-and-is-written-apart': '192K',
  'the-stack-header-decides-what-is-executable': '1M',
  'transfers-stop-at-the-exact-byte': '1M',
  'truncating-and-punching-take-pages-from-mappings': '1M',
};

for (const { name, options } of MODES) {
  describe.skipIf(!canRun)(name, { concurrent: true }, () => {
    for (const fixture of FIXTURES) {
      test(fixture.name.replaceAll('-', ' '), async () => {
        expect(summary(await runFixture(fixture, emulator, { options }))).toBe(readFileSync(fixture.expected, 'latin1'));
      });
    }
  });
}

describe.skipIf(!canRun)('with few frames', { concurrent: true }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'seg386-few-'));
  /** Fixtures that evicted pages, and those of them whose pages came back. */
  let [ran, backs] = [0, 0];
  afterAll(() => {
    rmSync(folder, { recursive: true });
    if (ran > 100) expect(backs).toBeGreaterThan(ran * 0.8);
  });

  FIXTURES.forEach((fixture, i) => {
    const memory = LARGER[fixture.name.replace('memory/', '')] ?? FEW;
    test(fixture.name.replaceAll('-', ' '), async () => {
      const trace = join(folder, `${i}`);
      const options = [`--memory=${memory}`, '--overcommit=always', '--trace=faults', `--trace-file=${trace}`];
      expect(summary(await runFixture(fixture, emulator, { options }))).toBe(readFileSync(fixture.expected, 'latin1'));
      if (memory.endsWith('M')) return;
      const evicted = readFileSync(trace, 'latin1').match(/evict page .*$/gm) ?? [];
      expect(evicted.length).toBeGreaterThan(0);
      // What goes twice has come back between.
      if (evicted.length > new Set(evicted).size) backs++;
      ran++;
    });
  });
});
