/** Encodes ModRM operands: registers, and memory operands of every addressing mode that mostly reach the data regions. */
import { DATA_BASE, DATA_SIZE, LAST_BASE, READ_ONLY_BASE, STACK_BASE, STACK_SIZE } from './layout.ts';
import type { Random } from './random.ts';

const EBX = 3,
  ESP = 4,
  EBP = 5,
  ESI = 6,
  EDI = 7;

export interface Operand {
  /** Segment override and address size prefixes. */
  readonly prefixes: readonly number[];
  /** ModRM (with `reg` in its place), SIB and displacement. */
  readonly bytes: readonly number[];
  /** Instructions to run before, which leave flags alone. */
  readonly before: readonly { readonly name: string; readonly bytes: readonly number[] }[];
  /** The address where it is known before the run. */
  readonly absolute?: number;
}

export function wordBytes(value: number): number[] {
  return [value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, value >>> 24];
}

/** A register number: mostly eax, ecx, edx, so that the others stay pointers. */
export function anyRegister(random: Random): number {
  return random.chance(0.75) ? random.below(3) : random.below(8);
}

export function registerOperand(reg: number, rm: number): Operand {
  return { prefixes: [], bytes: [0xc0 | (reg << 3) | rm], before: [] };
}

/** An address for `size` bytes: inside a region, across a page, at an edge, read-only, or nowhere. */
export function pickAddress(random: Random, size: number, align: number): number {
  const down = (address: number) => (random.chance(0.95) ? address - (address % align) : address);
  const kind = random.below(100);
  if (kind < 70) return down(DATA_BASE + random.below(DATA_SIZE - size));
  if (kind < 80) return down(LAST_BASE + random.below(0x1000 - size));
  if (kind < 86) return down(STACK_BASE + random.below(STACK_SIZE - size));
  if (kind < 92) return down(random.pick([DATA_BASE + 0x1000, DATA_BASE + 0x2000, STACK_BASE + 0x1000]) - random.below(size + 1));
  if (kind < 95) return down(READ_ONLY_BASE + random.below(0x1000 - size));
  if (kind < 97)
    return down(
      random.pick([DATA_BASE + DATA_SIZE, READ_ONLY_BASE, READ_ONLY_BASE + 0x1000, LAST_BASE + 0x1000, STACK_BASE]) -
        random.below(size + 1),
    );
  if (kind < 98) return random.below(0x1000);
  return DATA_BASE + DATA_SIZE + random.below(0x1000);
}

/** A memory operand of `size` bytes, mostly aligned to `align`. */
export function memoryOperand(random: Random, reg: number, size: number, align: number): Operand {
  const kind = random.below(20);
  if (kind < 8) return absoluteOperand(random, reg, size, align);
  if (kind < 15) return basedOperand(random, reg, size, align);
  if (kind < 18) return indexedOperand(random, reg, size, align);
  return shortOperand(random, reg, size, align);
}

export function absoluteOperand(random: Random, reg: number, size: number, align: number): Operand {
  const address = pickAddress(random, size, align);
  const prefixes = random.chance(0.1) ? [random.pick([0x26, 0x2e, 0x36, 0x3e])] : [];
  if (random.chance(0.12)) {
    // fs or gs, whose base is usually a data region's start: the offset alone.
    const offset = address % 0x4000;
    return { prefixes: [random.pick([0x64, 0x65])], bytes: [(reg << 3) | 5, ...wordBytes(offset)], before: [] };
  }
  return { prefixes, bytes: [(reg << 3) | 5, ...wordBytes(address)], before: [], absolute: prefixes.length ? undefined : address };
}

function load(register: number, value: number): { name: string; bytes: number[] } {
  return { name: `mov r${register}, 0x${value.toString(16)}`, bytes: [0xb8 + register, ...wordBytes(value >>> 0)] };
}

/** [register + displacement]: with the register set just before, or trusted to hold a pointer still. */
function basedOperand(random: Random, reg: number, size: number, align: number): Operand {
  const base = random.pick([EBX, EBP, ESI, EDI, EBX, ESI, ESP]);
  const fresh = base !== ESP && (random.chance(0.5) || align > 4);
  const mode = random.below(3);
  const displacement =
    align > 4 && mode === 1
      ? (random.below(16) - 8) * 16
      : mode === 1
        ? random.below(256) - 128
        : mode === 2
          ? (random.below(0x400) - 0x200) * (align > 4 ? align : 1)
          : 0;
  const before = fresh ? [load(base, pickAddress(random, size, align) - (base === EBP || mode ? displacement : 0))] : [];
  const sib = base === ESP ? [0x24] : [];
  const bytes = [(reg << 3) | (base === ESP ? 4 : base)];
  if (mode === 0 && base !== EBP) return { prefixes: [], bytes: [...bytes, ...sib], before };
  if (mode <= 1) {
    bytes[0] |= 0x40;
    return { prefixes: [], bytes: [...bytes, ...sib, displacement & 0xff], before };
  }
  bytes[0] |= 0x80;
  return { prefixes: segmentOverride(random), bytes: [...bytes, ...sib, ...wordBytes(displacement >>> 0)], before };
}

function segmentOverride(random: Random): number[] {
  return random.chance(0.05) ? [random.pick([0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65])] : [];
}

/** [base + index * scale + displacement], with the index made small and the base made to fit. */
function indexedOperand(random: Random, reg: number, size: number, align: number): Operand {
  const index = random.pick([0, 1, 2]);
  const scale = random.below(4);
  const count = random.below(64) * (align > 8 ? 16 : 1);
  const address = pickAddress(random, size, align);
  const base = random.pick([EBX, ESI, EDI, EBP]);
  const before = [load(index, count)];
  if (random.chance(0.3)) {
    return {
      prefixes: [],
      bytes: [(reg << 3) | 4, (scale << 6) | (index << 3) | 5, ...wordBytes((address - (count << scale)) >>> 0)],
      before,
    };
  }
  before.push(load(base, address - (count << scale) - 0x10));
  return { prefixes: segmentOverride(random), bytes: [0x44 | (reg << 3), (scale << 6) | (index << 3) | base, 0x10], before };
}

/** 16-bit addressing through fs or gs, which usually start at a data region; offsets wrap at 64 KB. */
function shortOperand(random: Random, reg: number, size: number, align: number): Operand {
  const offset = pickAddress(random, size, align) % 0x4000;
  const prefixes = [random.pick([0x64, 0x64, 0x65]), 0x67];
  if (random.chance(0.4)) return { prefixes, bytes: [(reg << 3) | 6, offset & 0xff, offset >> 8], before: [] };
  const rm = random.pick([0, 1, 2, 3, 4, 5, 7]);
  const base = [EBX, EBX, EBP, EBP, ESI, EDI, EBP, EBX][rm];
  const index = [ESI, EDI, ESI, EDI, -1, -1, -1, -1][rm];
  const count = index < 0 ? 0 : random.below(0x10000);
  const mode = random.below(3);
  const displacement = mode === 0 ? 0 : mode === 1 ? random.below(256) - 128 : random.below(0x10000);
  const before = [load(base, (random.below(0x10000) << 16) | ((offset - count - displacement) & 0xffff))];
  if (index >= 0) before.push(load(index, (random.below(0x10000) << 16) | count));
  const bytes = [(mode << 6) | (reg << 3) | rm];
  if (mode === 1) bytes.push(displacement & 0xff);
  if (mode === 2) bytes.push(displacement & 0xff, (displacement >> 8) & 0xff);
  return { prefixes, bytes, before };
}
