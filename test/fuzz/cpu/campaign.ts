/** Runs batches of cases through two executors, and sorts the outcomes: equal, explained, without proof, or a failure (shrunk and described). */
import { compare, describeEnding, type Difference, provesNothing } from './compare.ts';
import { explain } from './differences.ts';
import { disassemble, hex } from './disassemble.ts';
import type { Executor } from './native.ts';
import type { Case, Generator } from './sequence.ts';
import { shrink } from './shrink.ts';

export interface Failure {
  readonly one: Case;
  readonly differences: readonly Difference[];
  /** Fields that differ and the last instruction executed: failures alike have the same. */
  readonly signature: string;
}

export interface Tally {
  cases: number;
  equal: number;
  /** Strayed into the runner's own memory, or endless. */
  unproven: number;
  /** By name of the allowed difference. */
  readonly explained: Map<string, number>;
  /** How cases ended on the first executor. */
  readonly endings: Map<string, number>;
  readonly failures: Failure[];
}

export function newTally(): Tally {
  return { cases: 0, equal: 0, unproven: 0, explained: new Map(), endings: new Map(), failures: [] };
}

const count = (map: Map<string, number>, key: string) => map.set(key, (map.get(key) ?? 0) + 1);

/** Runs cases `first` to `first + size - 1`. Stops collecting details after `maxFailures`. */
export function runBatch(generator: Generator, first: number, size: number, native: Executor, other: Executor, tally: Tally): void {
  const cases: Case[] = [];
  for (let i = 0; i < size; i++) cases.push(generator.case(first + i));
  const expected = native.run(cases);
  const actual = other.run(cases);
  cases.forEach((one, i) => {
    tally.cases++;
    const ending = expected[i].ending;
    count(tally.endings, ending.kind === 'exception' ? `exception ${ending.vector}` : ending.kind);
    const differences = compare(one, expected[i], actual[i]);
    if (differences.length === 0) tally.equal++;
    else if (provesNothing(expected[i], actual[i])) tally.unproven++;
    else {
      const entries = explain(differences, one, expected[i], actual[i]);
      if (entries) for (const entry of entries) count(tally.explained, entry.name);
      else tally.failures.push({ one, differences, signature: signatureOf(one, differences, expected[i].eip) });
    }
  });
}

/** The instruction where the first executor ended (or the last one), and what differs; endings without their addresses. */
function signatureOf(one: Case, differences: readonly Difference[], eip: number): string {
  const fields = new Set<string>();
  for (const { field, native, other } of differences) {
    if (field === 'ending') fields.add(`(${native.split(' at ')[0]} / ${other.split(/ at |\. | \(/)[0]})`);
    else if (field.startsWith('memory')) fields.add('memory');
    else fields.add(/^(st|xmm)\d/.test(field) ? field.slice(0, -1) : /^e..$/.test(field) && field !== 'eip' ? 'reg' : field);
  }
  let index = one.sequence.offsets.findLastIndex((at) => at <= eip - one.target - 1);
  index = Math.min(Math.max(index, 0), one.list.length - 1);
  while (one.list[index]?.glued && index + 1 < one.list.length) index++;
  return `${one.list[index]?.name.replace(/0x-?[0-9a-f]+|-?\d+$/, 'n')}: ${[...fields].join(' ')}`;
}

/** Shrinks a failure; the result differs in at least one of the same fields. */
export function shrinkFailure(failure: Failure, native: Executor, other: Executor): Failure {
  const fields = new Set(failure.differences.map(({ field }) => field.split(' ')[0]));
  const differencesOf = (one: Case): readonly Difference[] => {
    const [a] = native.run([one]);
    const [b] = other.run([one]);
    const differences = compare(one, a, b);
    return provesNothing(a, b) || explain(differences, one, a, b) ? [] : differences;
  };
  const one = shrink(failure.one, (candidate) => differencesOf(candidate).some(({ field }) => fields.has(field.split(' ')[0])));
  return { ...failure, one, differences: differencesOf(one) };
}

/** All that is needed to see and repeat a failure. */
export function report(failure: Failure, native: Executor, other: Executor): string {
  const { one } = failure;
  const { regs, eflags, selectors, fx } = one.state;
  const [ending] = native.run([one]);
  return [
    `case --seed ${one.seed} --case ${one.index} (pattern ${one.state.pattern}): ${native.name} and ${other.name} differ`,
    `  regs ${[...regs].map((value) => hex(value)).join(' ')} eflags ${hex(eflags)} es..gs ${selectors.map((value) => hex(value, 4)).join(' ')}`,
    `  fx ${Buffer.from(fx.subarray(0, 32)).toString('hex')}`,
    `  st ${[0, 1, 2, 3, 4, 5, 6, 7]
      .map((i) =>
        Buffer.from(fx.subarray(32 + 16 * i, 42 + 16 * i))
          .reverse()
          .toString('hex'),
      )
      .join(' ')}`,
    `  xmm ${[0, 1, 2, 3, 4, 5, 6, 7]
      .map((i) =>
        Buffer.from(fx.subarray(160 + 16 * i, 176 + 16 * i))
          .reverse()
          .toString('hex'),
      )
      .join(' ')}`,
    disassemble(one),
    `  ${native.name} ended: ${describeEnding(ending.ending)} at ${hex(ending.eip)}`,
    ...failure.differences.map(({ field, native: a, other: b }) => `  ${field.padEnd(16)} ${native.name} ${a}  ${other.name} ${b}`),
  ].join('\n');
}
