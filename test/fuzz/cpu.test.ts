/** The proof of the CPU in small: 2,000 random sequences and the regressions, on the bare CPU and in the engine. `npm run soak:cpu` is the large one. */
import { describe, expect, test } from 'vitest';
import { compare } from './cpu/compare.ts';
import { newTally, report, runBatch, shrinkFailure, type Tally } from './cpu/campaign.ts';
import { openEngine } from './cpu/engine-executor.ts';
import { assemble, undefinedAt, without } from './cpu/instruction.ts';
import { hostFeatures, openNative } from './cpu/native.ts';
import { runNoise } from './cpu/noise.ts';
import { REGRESSIONS, regressionCase } from './cpu/regressions.ts';
import { instruction } from './cpu/row.ts';
import { Generator } from './cpu/sequence.ts';
import { CF, ZF } from './cpu/state.ts';

const SEQUENCES = 2000;
const SEED = 386;

const native = openNative();
const missing = 'missing' in native ? native.missing : '';
let opened: ReturnType<typeof openEngine> | undefined;
const engine = () => (opened ??= openEngine());
const host = hostFeatures();
/** What both CPUs offer. */
const features = () => new Set([...engine().features].filter((feature) => host.has(feature)));

/** What differs without explanation, shrunk and in words; empty where nothing does. */
function failuresOf(tally: Tally): string {
  if ('missing' in native) return '';
  const { executor } = engine();
  return tally.failures
    .slice(0, 3)
    .map((failure) => report(shrinkFailure(failure, native, executor), native, executor))
    .join('\n\n');
}

describe.skipIf(missing !== '')(`the engine and the bare CPU${missing && ` (skipped: ${missing})`}`, () => {
  test(`agree on ${SEQUENCES} random instruction sequences`, () => {
    if ('missing' in native) return;
    const { executor } = engine();
    const tally = newTally();
    runBatch(new Generator(SEED, features()), 0, SEQUENCES, native, executor, tally);
    expect(failuresOf(tally)).toBe('');
    expect(tally.cases).toBe(SEQUENCES);
    expect(tally.equal).toBeGreaterThan(SEQUENCES * 0.95);
  }, 120_000);

  test('agree on every family, an instruction a case', () => {
    if ('missing' in native) return;
    const { executor } = engine();
    const tally = newTally();
    runBatch(new Generator(SEED + 1, features(), [], true), 0, SEQUENCES, native, executor, tally);
    expect(failuresOf(tally)).toBe('');
  }, 120_000);

  const comparable = REGRESSIONS.filter(({ needs }) => !needs || host.has(needs));
  test.each(comparable.map((regression, i) => [regression.name, regressionCase(regression, i)] as const))('%s', (_name, one) => {
    if ('missing' in native) return;
    const { executor } = engine();
    expect(compare(one, native.run([one])[0], executor.run([one])[0])).toEqual([]);
  });

  test('give the same results when asked twice', () => {
    if ('missing' in native) return;
    const { executor } = engine();
    const generator = new Generator(SEED + 2, features());
    const some = Array.from({ length: 300 }, (_, i) => generator.case(i));
    expect(native.run(some)).toEqual(native.run(some));
    expect(executor.run(some)).toEqual(executor.run(some));
  });
});

test('random bytes do not end the engine', () => {
  const lost: string[] = [];
  runNoise(engine().executor, SEED, 5000, ({ index }, message) => lost.push(`${index}: ${message}`));
  expect(lost).toEqual([]);
}, 120_000);

test('a seed and an index name the same case every time', () => {
  const features = new Set(['sse3'] as const);
  expect(new Generator(1, features).case(77)).toEqual(new Generator(1, features).case(77));
  expect(new Generator(1, features).case(77)).not.toEqual(new Generator(2, features).case(77));
});

test('undefined flags are followed along jumps, and nothing may read them', () => {
  const undefine = instruction('shl al, 2', [0xc0, 0xe0, 2], [0, ZF, CF]);
  const define = instruction('cmp', [0x39, 0xd1], [0, CF | ZF, 0]);
  const read = instruction('setc', [0x0f, 0x92, 0xc0], [CF, 0, 0]);
  const jump = { ...instruction('jmp', [0xeb, 0]), jump: { skip: 1, size: 1 as const } };
  expect(assemble([undefine, read]).valid).toBe(false);
  expect(assemble([undefine, define, read]).valid).toBe(true);
  expect(assemble([undefine, jump, define, read]).valid).toBe(false);
  expect(undefinedAt(assemble([undefine, define]), 3)).toBe(CF);
  expect(undefinedAt(assemble([undefine, define]), 5)).toBe(0);
});

test('dropping an instruction shortens the jumps across it', () => {
  const nop = instruction('nop', [0x90]);
  const jump = { ...instruction('jmp', [0xeb, 0]), jump: { skip: 2, size: 1 as const } };
  expect([...assemble([jump, nop, nop, nop]).code]).toEqual([0xeb, 2, 0x90, 0x90, 0x90]);
  expect([...assemble(without([jump, nop, nop, nop], 1)).code]).toEqual([0xeb, 1, 0x90, 0x90]);
  expect([...assemble(without([jump, nop, nop, nop], 3)).code]).toEqual([0xeb, 2, 0x90, 0x90]);
});
