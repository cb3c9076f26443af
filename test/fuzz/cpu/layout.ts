/** The stage on which every case plays: memory regions, descriptors and contents, the same for the bare CPU and the engine. */
import type { Descriptor } from '../../../emu/engine.ts';
import { interestingDouble, interestingExtended, interestingFloat, interestingWord, Random } from './random.ts';

export const READ = 1,
  WRITE = 2,
  EXEC = 4;

export interface Region {
  readonly base: number;
  readonly size: number;
  readonly prot: number;
  /** data is compared and restored; code holds only the case; patchable is code that the case may write, so it is compared too. */
  readonly kind: 'data' | 'code' | 'patchable';
}

export const CODE_BASE = 0x10000000,
  CODE_SIZE = 0x2000;
export const PATCHABLE_BASE = 0x11000000,
  PATCHABLE_SIZE = 0x2000;
/** Three writable pages, then a hole of a page, a read-only page, a writable page, and a hole again. */
export const DATA_BASE = 0x20000000,
  DATA_SIZE = 0x3000;
export const READ_ONLY_BASE = 0x20004000,
  LAST_BASE = 0x20005000;
export const STACK_BASE = 0x30000000,
  STACK_SIZE = 0x2000;

/** In ascending order of address, data regions first: the order of a pattern's bytes. */
export const REGIONS: readonly Region[] = [
  { base: DATA_BASE, size: DATA_SIZE, prot: READ | WRITE, kind: 'data' },
  { base: READ_ONLY_BASE, size: 0x1000, prot: READ, kind: 'data' },
  { base: LAST_BASE, size: 0x1000, prot: READ | WRITE, kind: 'data' },
  { base: STACK_BASE, size: STACK_SIZE, prot: READ | WRITE, kind: 'data' },
  { base: CODE_BASE, size: CODE_SIZE, prot: READ | EXEC, kind: 'code' },
  { base: PATCHABLE_BASE, size: PATCHABLE_SIZE, prot: READ | WRITE | EXEC, kind: 'patchable' },
];

/** What code pages hold outside the case: int3. */
export const FILL = 0xcc;
/** Addresses of the native runner's own image; a case that strays into it proves nothing. */
export const RUNNER_BASE = 0x60000000,
  RUNNER_TOP = 0x60500000;

export const USER_CODE = 0x23,
  USER_DATA = 0x2b;

const data = {
  limit: 0xfffff,
  limitInPages: true,
  seg32Bit: true,
  contents: 0,
  readExecOnly: false,
  notPresent: false,
  useable: true,
} as const;

/** GDT entries 12 to 14 (selectors 0x63, 0x6b, 0x73). */
export const THREAD_AREAS: readonly { readonly index: number; readonly descriptor: Descriptor }[] = [
  { index: 12, descriptor: { ...data, base: DATA_BASE } },
  { index: 13, descriptor: { ...data, base: DATA_BASE + 0x1000, limit: 0x1fff, limitInPages: false } },
  { index: 14, descriptor: { ...data, base: 0, readExecOnly: true } },
];

/** LDT entries from 0 on; selector of entry n is 8n + 7. */
export const LDT: readonly Descriptor[] = [
  { ...data, base: DATA_BASE, limit: 0xffff, limitInPages: false, seg32Bit: false },
  { ...data, base: DATA_BASE, limit: 0x0fff, limitInPages: false, contents: 1 },
  { ...data, base: 0, readExecOnly: true },
  { ...data, base: 0, contents: 2 },
  { ...data, base: 0, contents: 2, readExecOnly: true },
  { ...data, base: 0, notPresent: true },
  { ...data, base: STACK_BASE, limit: 0, limitInPages: false, contents: 1, seg32Bit: false },
  { ...data, base: STACK_BASE, limit: STACK_SIZE - 1, limitInPages: false },
  { ...data, base: STACK_BASE, limit: 0xffff, limitInPages: false, seg32Bit: false },
];

/** Selectors that a mov to a data segment register accepts, and where their segment starts. */
export const DATA_SELECTORS = [0x2b, 0x63, 0x6b, 0x07, 0x0f, 0x3f, 0x73, 0x17, 0x1f] as const;
/** Selectors for any segment load: good, null, of another privilege, of the wrong kind, not present, outside the tables. Never 0x33 or 0x7b, which differ by kernel. */
export const ANY_SELECTORS = [
  0, 1, 2, 3, 0x2b, 0x2a, 0x29, 0x28, 0x63, 0x62, 0x60, 0x6b, 0x73, 0x23, 0x20, 0x07, 0x06, 0x04, 0x0f, 0x17, 0x1f, 0x27, 0x2f, 0x2c, 0x37,
  0x3f, 0x47, 0x10, 0x1b, 0x8007, 0xfffc, 0xffff, 0xf8,
] as const;

export const PATTERN_COUNT = 4;
export const PATTERN_SIZE = REGIONS.reduce((sum, region) => sum + (region.kind === 'data' ? region.size : 0), 0);

/** Contents of all data regions: numbers of every format, pointers into the regions, and noise. */
export function makePattern(index: number): Uint8Array {
  const random = new Random(0x5e9386, index);
  const words = new Uint32Array(PATTERN_SIZE / 4);
  for (let at = 0; at < words.length; ) {
    switch (random.below(7)) {
      case 0:
        words[at++] = interestingFloat(random);
        break;
      case 1:
        if (at % 2 === 0) [words[at++], words[at++]] = interestingDouble(random);
        else words[at++] = interestingFloat(random);
        break;
      case 2:
        if (at % 4 === 0) [words[at++], words[at++], words[at++]] = interestingExtended(random);
        else words[at++] = interestingWord(random);
        break;
      case 3:
        words[at++] = pointer(random);
        break;
      case 4:
        words[at++] = decimalWord(random);
        break;
      default:
        words[at++] = interestingWord(random);
    }
  }
  return new Uint8Array(words.buffer, 0, PATTERN_SIZE);
}

function decimalWord(random: Random): number {
  let word = 0;
  for (let i = 0; i < 8; i++) word = word * 16 + random.below(10);
  return word;
}

/** An address in or at the edge of a data region. */
export function pointer(random: Random): number {
  const base = random.pick([
    DATA_BASE,
    DATA_BASE,
    DATA_BASE + 0x1000,
    DATA_BASE + 0x2000,
    READ_ONLY_BASE,
    LAST_BASE,
    STACK_BASE,
    STACK_BASE + 0x1000,
  ]);
  switch (random.below(4)) {
    case 0:
      return base + 0x1000 - 1 - random.below(20);
    case 1:
      return base + random.below(0x1000);
    default:
      return base + 16 * random.below(0x100);
  }
}
