/** Generates cases: a start state and a few instructions, from a seed, an index and what the CPU model offers. */
import { assemble, type Instruction, type Sequence } from './instruction.ts';
import { CODE_BASE, CODE_SIZE, PATCHABLE_BASE, PATCHABLE_SIZE, PATTERN_COUNT } from './layout.ts';
import { Random } from './random.ts';
import { type Feature, instruction, type Row } from './row.ts';
import { ARITHMETIC, generateState, type State } from './state.ts';
import { INTEGER_ROWS } from './table-integer.ts';
import { SSE_ROWS } from './table-sse.ts';
import { SYSTEM_ROWS } from './table-system.ts';
import { X87_ROWS } from './table-x87.ts';

export interface Case {
  readonly seed: number;
  readonly index: number;
  readonly state: State;
  /** Where the code starts. */
  readonly target: number;
  readonly list: readonly Instruction[];
  readonly sequence: Sequence;
}

const ROWS: readonly Row[] = [...INTEGER_ROWS, ...SYSTEM_ROWS, ...X87_ROWS, ...SSE_ROWS];
export const FAMILIES: readonly string[] = [...new Set(ROWS.map((row) => row.family))];
/** Families that need more cases than others, because they hold more kinds of instructions. */
const WEIGHTS: Readonly<Record<string, number>> = {
  alu: 2,
  shift: 2,
  x87: 4,
  sse: 2,
  sse2: 3,
  'sse3-4': 2,
  string: 2,
  alignment: 0.3,
  patch: 0.3,
  privileged: 0.5,
};
/** Families that come alone or not at all. */
const ALONE: ReadonlySet<string> = new Set(['alignment', 'patch']);

interface Weighted<T> {
  readonly items: readonly T[];
  readonly sums: readonly number[];
}

function weigh<T>(items: readonly T[], weight: (item: T) => number): Weighted<T> {
  let sum = 0;
  return { items, sums: items.map((item) => (sum += weight(item))) };
}

function choose<T>(random: Random, from: Weighted<T>): T {
  const at = (random.word() / 0x1_0000_0000) * from.sums[from.sums.length - 1];
  return from.items[from.sums.findIndex((sum) => at < sum)];
}

export class Generator {
  private readonly families: Weighted<string>;
  private readonly rows = new Map<string, Weighted<Row>>();
  readonly seed: number;
  private readonly single: boolean;

  /** `only`: names of families to draw from; all of them when empty. `single`: one instruction a case. */
  constructor(seed: number, features: ReadonlySet<Feature>, only: readonly string[] = [], single = false) {
    this.seed = seed;
    this.single = single;
    const offered = ROWS.filter(
      (row) => (row.feature === 'base' || features.has(row.feature)) && (only.length === 0 || only.includes(row.family)),
    );
    const names = [...new Set(offered.map((row) => row.family))];
    if (names.length === 0) throw new Error(`no such family: ${only.join(', ')}; there are ${FAMILIES.join(', ')}`);
    this.families = weigh(names, (name) => WEIGHTS[name] ?? 1);
    for (const name of names) {
      const rows = offered.filter((row) => row.family === name);
      this.rows.set(
        name,
        weigh(rows, (row) => row.weight),
      );
    }
  }

  case(index: number): Case {
    const random = new Random(this.seed, index);
    const state = generateState(random, Math.floor(index / 1000) % PATTERN_COUNT);
    const families = this.chooseFamilies(random);
    const list = this.instructions(random, families);
    const sequence = assemble(list);
    return { seed: this.seed, index, state, target: place(random, families.includes('patch'), sequence.code.length), list, sequence };
  }

  private chooseFamilies(random: Random): string[] {
    const first = choose(random, this.families);
    if (ALONE.has(first)) return [first];
    const families = [first];
    while (!this.single && random.chance(0.4)) {
      const next = choose(random, this.families);
      if (!ALONE.has(next)) families.push(next);
    }
    return families;
  }

  private instructions(random: Random, families: readonly string[]): Instruction[] {
    const list: Instruction[] = [];
    const wanted = this.single ? 1 : 1 + random.below(random.chance(0.2) ? 20 : 6);
    let undefinedFlags = 0;
    for (let i = 0; i < wanted; i++) {
      const made = choose(random, this.rows.get(random.pick(families))!).make(random);
      for (const one of made) {
        if (one.reads & undefinedFlags) {
          // A comparison defines all flags again; glued to what needs it, unless a group is under way.
          list.push({ ...instruction('cmp ecx, edx', [0x39, 0xd1], [0, ARITHMETIC, 0]), glued: true });
          undefinedFlags = 0;
        }
        list.push(one);
        undefinedFlags = (undefinedFlags & ~one.defines) | one.undefines;
      }
      if (made[made.length - 1].approximate) break;
    }
    // Undefined flags may still arrive over a jump: then the tail goes, until nothing reads them.
    while (!assemble(list).valid && list.length > 0) list.pop();
    while (list.length > 0 && list[list.length - 1].glued) list.pop();
    return list;
  }
}

/** In the middle of a page, across a page boundary, or up to the last byte before unmapped space. */
function place(random: Random, patchable: boolean, size: number): number {
  const [base, extent] = patchable || random.chance(0.03) ? [PATCHABLE_BASE, PATCHABLE_SIZE] : [CODE_BASE, CODE_SIZE];
  switch (random.below(10)) {
    case 0:
      return base + extent - size;
    case 1:
      return base + 0x1000 - random.below(size + 1);
    default:
      return base + random.below(extent - size - 64);
  }
}
