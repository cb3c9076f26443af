/**
 * Long comparison of memory calls with the bare CPU: `npm run soak:mm -- [--seed N] [--operations N] [--first N | --program N] [--keep N] [--no-forks]`.
 * Ends with status 1 when something differs without explanation; --keep says how many differences are shrunk and shown.
 */
import { parseArgs } from 'node:util';
import { compare, type Difference, report, shrink } from './campaign.ts';
import { Generator } from './programs.ts';

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '386' },
    operations: { type: 'string', default: '1000000' },
    first: { type: 'string', default: '0' },
    program: { type: 'string' },
    keep: { type: 'string', default: '8' },
    'no-forks': { type: 'boolean', default: false },
  },
});
const BATCH = 300;
const generator = new Generator(Number(values.seed), !values['no-forks']);
const wanted = values.program === undefined ? Number(values.operations) : 1;
const failures: Difference[] = [];
const explained = new Map<string, number>();
let done = 0;
for (let first = Number(values.program ?? values.first); done < wanted; first += BATCH) {
  const count = values.program === undefined ? BATCH : 1;
  const verdict = await compare(Array.from({ length: count }, (_, i) => generator.program(first + i)));
  done += verdict.operations;
  failures.push(...verdict.failures);
  for (const { program, operation, native, other } of verdict.failures)
    console.log(`program ${program.index}: ${operation.name} ${native} / ${other}`);
  for (const [name, times] of verdict.explained) explained.set(name, (explained.get(name) ?? 0) + times);
  console.log(`${done} operations, ${failures.length} programs differ, programs up to ${first + count}`);
}
for (const [name, times] of explained) console.log(`${times} explained: ${name}`);
const byName = new Map<string, Difference>();
const times = new Map<string, number>();
for (const failure of failures) {
  const key = `${failure.operation.name}: ${failure.native.split(' ')[0]} / ${failure.other.split(' ')[0]}`;
  times.set(key, (times.get(key) ?? 0) + 1);
  if (!byName.has(key)) byName.set(key, failure);
}
for (const [key, count] of times) console.log(`${count} ${key}, as in program ${byName.get(key)?.program.index}`);
for (const failure of [...byName.values()].slice(0, Number(values.keep))) console.log(report(await shrink(failure)));
process.exit(failures.length === 0 ? 0 : 1);
