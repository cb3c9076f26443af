/** Seeded random numbers for the CPU fuzzer: the same (seed, stream) always gives the same numbers, so that a case is named by two numbers. */

export class Random {
  private a: number;
  private b: number;
  private c: number;
  private counter = 1;

  /** `stream` tells apart the cases of one seed. */
  constructor(seed: number, stream: number) {
    this.a = seed | 0;
    this.b = stream | 0;
    this.c = Math.trunc(stream / 0x1_0000_0000) ^ 0x9e3779b9;
    for (let i = 0; i < 12; i++) this.word();
  }

  /** A uniform unsigned 32-bit number (the sfc32 generator). */
  word(): number {
    const sum = (((this.a + this.b) | 0) + this.counter) | 0;
    this.counter = (this.counter + 1) | 0;
    this.a = this.b ^ (this.b >>> 9);
    this.b = (this.c + (this.c << 3)) | 0;
    this.c = (((this.c << 21) | (this.c >>> 11)) + sum) | 0;
    return sum >>> 0;
  }

  /** A uniform number from 0 to `bound` - 1. Requires: 1 <= bound <= 2^32. */
  below(bound: number): number {
    return Math.floor((this.word() / 0x1_0000_0000) * bound);
  }

  chance(probability: number): boolean {
    return this.word() < probability * 0x1_0000_0000;
  }

  pick<T>(from: readonly T[]): T {
    return from[this.below(from.length)];
  }
}

const CORNERS = [
  0, 1, 2, 3, 7, 8, 9, 0xa, 0xf, 0x10, 0x1f, 0x20, 0x21, 0x3f, 0x40, 0x7e, 0x7f, 0x80, 0x81, 0x99, 0x9a, 0xfe, 0xff, 0x100, 0x7fff, 0x8000,
  0x8001, 0xfffe, 0xffff, 0x10000, 0x7fffff, 0x800000, 0x7f7fffff, 0x7f800000, 0x3fffffff, 0x40000000, 0x7ffffffe, 0x7fffffff, 0x80000000,
  0x80000001, 0xc0000000, 0xffff8000, 0xffffff7f, 0xffffff80, 0xfffffffe, 0xffffffff, 0x55555555, 0xaaaaaaaa, 0x99999999, 0x12345678,
];

/** A word that is likely to meet an edge of some instruction. */
export function interestingWord(random: Random): number {
  switch (random.below(5)) {
    case 0:
    case 1:
      return random.pick(CORNERS);
    case 2:
      return random.below(64);
    case 3:
      return (1 << random.below(32)) >>> 0;
    default:
      return random.word();
  }
}

const FLOAT_CORNERS = [
  0, 0x80000000, 1, 0x80000001, 0x007fffff, 0x00800000, 0x80800000, 0x3f800000, 0xbf800000, 0x3f800001, 0x3f7fffff, 0x40000000, 0x3f000000,
  0x7f7fffff, 0xff7fffff, 0x7f800000, 0xff800000, 0x7fc00000, 0xffc00000, 0x7f800001, 0xffa00000, 0x7fc12345, 0x4b000000, 0x4b7fffff,
  0x4effffff, 0x4f000000, 0xcf000000, 0xcf000001, 0x4f800000, 0x5effffff, 0x5f000000, 0xdf000000, 0x33800000, 0x00400000,
];

/** The bits of a single that is often a NaN, an infinity, a denormal, or near the edge of an integer format. */
export function interestingFloat(random: Random): number {
  switch (random.below(4)) {
    case 0:
    case 1:
      return random.pick(FLOAT_CORNERS);
    case 2:
      return (((random.below(2) << 31) | ((110 + random.below(50)) << 23)) >>> 0) + random.below(1 << 23);
    default:
      return random.word();
  }
}

const DOUBLE_HIGH_CORNERS = [
  0, 0x80000000, 0x000fffff, 0x00100000, 0x80100000, 0x3ff00000, 0xbff00000, 0x3fefffff, 0x40000000, 0x3fe00000, 0x7fefffff, 0xffefffff,
  0x7ff00000, 0xfff00000, 0x7ff80000, 0xfff80000, 0x7ff40000, 0xfff00001, 0x43300000, 0x41dfffff, 0xc1e00000, 0x41e00000, 0x43e00000,
  0xc3e00000, 0x36a00000, 0x47efffff, 0x380fffff, 0x00080000,
];

/** The two words (low, high) of a double, in the same spirit. */
export function interestingDouble(random: Random): readonly [number, number] {
  const low = random.chance(0.5) ? random.pick([0, 0, 0, 1, 0xffffffff, 0xffc00000, 0xe0000000, 0x80000000, 0x10000000]) : random.word();
  switch (random.below(4)) {
    case 0:
    case 1:
      return [low, random.pick(DOUBLE_HIGH_CORNERS)];
    case 2:
      return [low, (((random.below(2) << 31) | ((1000 + random.below(60)) << 20)) >>> 0) + random.below(1 << 20)];
    default:
      return [random.word(), random.word()];
  }
}

/** An 80-bit extended value: significand low and high word, sign and exponent. Includes the encodings that no operation produces. */
export function interestingExtended(random: Random): readonly [number, number, number] {
  const sign = random.below(2) << 15;
  const low = random.chance(0.5) ? random.pick([0, 0, 0, 1, 0xffffffff, 0x800, 0x400, 0xfffff800, 0x80000000]) : random.word();
  const high = random.chance(0.4)
    ? random.pick([0x80000000, 0x80000000, 0xc0000000, 0xffffffff, 0x80000001, 0xffffff00, 0x80000100])
    : (random.word() | 0x80000000) >>> 0;
  switch (random.below(16)) {
    case 0:
      return [0, 0, sign];
    case 1:
      return [0, 0x80000000, sign | 0x7fff];
    case 2:
      return [low, (random.word() | 0xc0000000) >>> 0, sign | 0x7fff];
    case 3:
      return [low, ((random.word() & 0x3fffffff) | 0x80000000) >>> 0, sign | 0x7fff];
    case 4:
      return [low, random.word() & 0x7fffffff, sign];
    case 5:
      return random.chance(0.5) ? [low, high, sign] : [low, random.word() & 0x7fffffff, sign | (1 + random.below(0x7fff))];
    case 6:
      return [0, 0x80000000, sign | 0x3fff];
    case 7:
      return [0, ((random.below(0x10000) << 16) | 0x80000000) >>> 0, sign | (0x3fff + random.below(17))];
    case 8:
      return [
        low,
        high,
        sign | random.pick([1, 2, 0x3fbe, 0x3ffe, 0x7ffe, 0x7ffd, 0x3f80, 0x407e, 0x407f, 0x3c00, 0x3c01, 0x43fe, 0x43ff, 0x401e, 0x403e]),
      ];
    case 9:
      return [low, high, sign | random.below(0x7fff)];
    case 10:
      return [low, high, sign | (0x3fff + random.below(80))];
    default:
      return [low, high, sign | (0x3fff - 8 + random.below(24))];
  }
}
