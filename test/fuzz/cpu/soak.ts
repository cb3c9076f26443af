/**
 * Long comparison of the engine with the bare CPU: `npm run soak:cpu -- [--seed N] [--count N] [--only FAMILY,...] [--first N | --case N] [--against engine|native] [--keep N]
 * [--single] [--raw] [--wasm FILE]`: --single makes one instruction a case, --raw does not shrink, --keep says how many kinds of failures are described.
 * With --noise instead: random bytes in the engine alone, which they must not end.
 * Ends with status 1 when something differs without explanation.
 */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { newTally, report, runBatch, shrinkFailure, type Tally } from './campaign.ts';
import { type Executor, hostFeatures, openNative } from './native.ts';
import { runNoise } from './noise.ts';
import type { Feature } from './row.ts';
import { FAMILIES, Generator } from './sequence.ts';

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '386' },
    count: { type: 'string', default: '1000000' },
    only: { type: 'string', default: '' },
    first: { type: 'string', default: '0' },
    case: { type: 'string' },
    against: { type: 'string', default: 'engine' },
    keep: { type: 'string', default: '12' },
    batch: { type: 'string', default: '5000' },
    single: { type: 'boolean', default: false },
    raw: { type: 'boolean', default: false },
    wasm: { type: 'string' },
    noise: { type: 'boolean', default: false },
  },
});

function need(executor: Executor | { readonly missing: string }): Executor {
  if ('run' in executor) return executor;
  console.error(executor.missing);
  process.exit(2);
}

async function openOther(): Promise<{ executor: Executor; features: ReadonlySet<Feature> }> {
  switch (values.against) {
    case 'native':
      return { executor: need(openNative()), features: hostFeatures() };
    default: {
      const setUp = fileURLToPath(new URL('../../../tools/setup/main.mjs', import.meta.url));
      if (!values.wasm && spawnSync(process.execPath, [setUp, 'start'], { stdio: 'inherit' }).status !== 0) process.exit(2);
      const { openEngine } = await import('./engine-executor.ts');
      return openEngine(values.wasm);
    }
  }
}

function summary(tally: Tally): string {
  const list = (map: Map<string, number>) =>
    [...map]
      .sort((a, b) => b[1] - a[1])
      .map(([name, number]) => `${name} ${number}`)
      .join(', ');
  return `${tally.cases} cases: ${tally.equal} equal, ${tally.failures.length} unexplained, ${tally.unproven} without proof; explained: ${list(tally.explained) || 'none'}\nendings: ${list(tally.endings)}`;
}

if (values.noise) {
  const { executor } = await openOther();
  const lost = runNoise(executor, Number(values.seed), Number(values.count), ({ index, sequence }, message) =>
    console.log(`case ${index}: ${Buffer.from(sequence.code).toString('hex')}: ${message}`),
  );
  console.log(`${values.count} cases of random bytes: ${lost} ended the engine`);
  process.exit(lost > 0 ? 1 : 0);
}
const native = need(openNative());
const { executor: other, features } = await openOther();
const seed = Number(values.seed),
  first = Number(values.case ?? values.first),
  count = values.case === undefined ? Number(values.count) : 1;
const host = hostFeatures();
const common = new Set([...features].filter((feature) => host.has(feature)));
const generator = new Generator(seed, common, values.only ? values.only.split(',') : [], values.single);
console.log(
  `${native.name} against ${other.name}, seed ${seed}, cases ${first} to ${first + count - 1}, families ${values.only || FAMILIES.join(' ')}`,
);
const tally = newTally();
const started = Date.now();
for (let done = 0; done < count; ) {
  const size = Math.min(Number(values.batch), count - done);
  runBatch(generator, first + done, size, native, other, tally);
  done += size;
  const seconds = (Date.now() - started) / 1000;
  if (process.stderr.isTTY || done % 50000 === 0 || done === count)
    process.stderr.write(
      `${process.stderr.isTTY ? '\r' : ''}${done} of ${count} cases, ${Math.round((done / seconds) * 60)} a minute, ${tally.failures.length} unexplained${process.stderr.isTTY ? '' : '\n'}`,
    );
  if (tally.failures.length > 20000) break;
}
if (process.stderr.isTTY) process.stderr.write('\n');

const groups = new Map<string, typeof tally.failures>();
for (const failure of tally.failures) groups.set(failure.signature, [...(groups.get(failure.signature) ?? []), failure]);
let shown = 0;
for (const [signature, failures] of [...groups].sort((a, b) => b[1].length - a[1].length)) {
  console.log(
    `${failures.length} x ${signature} (--case ${failures
      .slice(0, 3)
      .map(({ one }) => one.index)
      .join(', ')})`,
  );
  if (shown++ < Number(values.keep))
    console.log(report(values.raw ? failures[0] : shrinkFailure(failures[0], native, other), native, other));
}
if (values.case !== undefined && tally.failures.length === 0) {
  const one = generator.case(first);
  console.log(report({ one, differences: [], signature: '' }, native, other));
}
console.log(summary(tally));
process.exitCode = tally.failures.length > 0 ? 1 : 0;
