/** Cases of random bytes: what they do differs by processor, but no guest may end the engine. */
import { assemble } from './instruction.ts';
import { CODE_BASE, pointer } from './layout.ts';
import type { Executor } from './native.ts';
import { wordBytes } from './operand.ts';
import { Random } from './random.ts';
import { instruction } from './row.ts';
import type { Case } from './sequence.ts';
import { generateState } from './state.ts';

/** A case of a few pseudo-instructions: prefixes, an opcode of any map, a ModRM byte that often names memory, and noise. */
export function noiseCase(seed: number, index: number): Case {
  const random = new Random(seed, index);
  const state = generateState(random, index % 4);
  const bytes: number[] = [];
  const pieces = 1 + random.below(8);
  for (let i = 0; i < pieces; i++) {
    while (random.chance(0.3)) bytes.push(random.pick([0x66, 0x67, 0xf0, 0xf2, 0xf3, 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65]));
    if (random.chance(0.5))
      bytes.push(...random.pick([[0x0f], [0x0f], [0x0f, 0x38], [0x0f, 0x3a], [0xc4, 0xe2, 0x78], [0xc5, 0xf8], [0x62, 0xf1]]));
    bytes.push(random.below(256));
    if (random.chance(0.4)) bytes.push((random.below(8) << 3) | 5, ...wordBytes(pointer(random)));
    else if (random.chance(0.8)) bytes.push(0xc0 | random.below(64));
    else bytes.push(random.below(256));
    if (random.chance(0.3)) bytes.push(random.below(256));
  }
  const list = [instruction('noise', bytes)];
  return { seed, index, state, target: CODE_BASE + random.below(0x1f00), list, sequence: assemble(list) };
}

/** Runs `count` cases of random bytes; calls `lost` for each that ended the engine, and returns their number. */
export function runNoise(executor: Executor, seed: number, count: number, lost: (one: Case, message: string) => void): number {
  let number = 0;
  for (let index = 0; index < count; index++) {
    const one = noiseCase(seed, index);
    const [{ ending }] = executor.run([one]);
    if (ending.kind !== 'lost') continue;
    number++;
    lost(one, ending.message);
  }
  return number;
}
