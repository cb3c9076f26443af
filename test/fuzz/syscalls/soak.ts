/**
 * Long comparison of system calls with the bare CPU: `npm run soak:syscalls -- [--seed N] [--calls N] [--first N | --program N] [--keep N] [--samples N]`, as root.
 * Ends with status 1 when something differs without explanation; --keep says how many differences are shrunk and shown, --samples how many of each kind are listed.
 */
import { parseArgs } from 'node:util';
import { SYSCALLS } from '../../../syscalls/table.ts';
import { compare, type Difference, report, shrink, unavailable } from './campaign.ts';
import { coverage } from './policy.ts';
import { describe, Generator } from './programs.ts';

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '386' },
    calls: { type: 'string', default: '200000' },
    first: { type: 'string', default: '0' },
    program: { type: 'string' },
    keep: { type: 'string', default: '20' },
    samples: { type: 'string', default: '3' },
  },
});
const BATCH = 60;
const definitions = SYSCALLS.filter((each) => each !== undefined);
const cannot = await unavailable();
if (cannot !== undefined) {
  console.error(`cannot compare: ${cannot}`);
  process.exit(2);
}
function brief({ program, call, native, here }: Difference): string {
  return `${program.index}: ${call === undefined ? 'the end' : describe(call)}: ${native} / ${here}`;
}

const generator = new Generator(Number(values.seed));
console.log(coverage(definitions));
const wanted = values.program === undefined ? Number(values.calls) : 1;
const failures: Difference[] = [];
const made = new Set<string>();
const known = new Map<string, number>();
let done = 0;
for (let first = Number(values.program ?? values.first); done < wanted; first += BATCH) {
  const count = values.program === undefined ? BATCH : 1;
  const programs = Array.from({ length: count }, (_, i) => generator.program(first + i));
  for (const { calls } of programs) for (const { definition } of calls) made.add(definition.name);
  const verdict = await compare(programs);
  done += verdict.calls;
  failures.push(...verdict.failures);
  for (const failure of verdict.failures) console.log(`  ${brief(failure)}`);
  for (const [reason, times] of verdict.known) known.set(reason, (known.get(reason) ?? 0) + times);
  console.log(`${done} calls, ${failures.length} programs differ, programs up to ${first + count}`);
}
console.log(`${made.size} different calls were made`);
for (const [reason, times] of known) console.log(`${times} known: ${reason}`);
const byKind = new Map<string, Difference[]>();
for (const failure of failures) {
  const key = `${failure.call?.definition.name ?? 'the end'}: ${failure.native.split(' ')[0]} / ${failure.here.split(' ')[0]}`;
  byKind.set(key, [...(byKind.get(key) ?? []), failure]);
}
for (const [key, all] of byKind) {
  console.log(`${all.length} ${key}`);
  for (const { program, call, native, here } of all.slice(0, Number(values.samples)))
    console.log(`    ${brief({ program, call, native, here })}`);
}
let lasting = 0;
for (const [first] of [...byKind.values()].slice(0, Number(values.keep))) {
  const small = await shrink(first);
  if (small !== undefined) lasting++;
  console.log(small === undefined ? `program ${first.program.index} does not differ again` : report(small));
}
process.exit(lasting === 0 && byKind.size <= Number(values.keep) ? 0 : 1);
