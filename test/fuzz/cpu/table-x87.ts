/** The instruction table: x87. Environment and state images are followed by stores over the fields that differ between processors. */
import type { Instruction } from './instruction.ts';
import { absoluteOperand, pickAddress, wordBytes } from './operand.ts';
import type { Random } from './random.ts';
import { encode, Family, instruction, type Row } from './row.ts';
import { AF, CF, OF, PF, SF, ZF } from './state.ts';

const COMPARE_FLAGS = [0, ZF | PF | CF, OF | SF | AF] as const;

function arithmetic(family: Family): void {
  const names = ['fadd', 'fmul', 'fcom', 'fcomp', 'fsub', 'fsubr', 'fdiv', 'fdivr'];
  names.forEach((name, ext) => {
    family.add({ name: `${name} m32`, op: [0xd8], form: 'm', ext, size: 4 }, 'base', 0.5);
    family.add({ name: `${name} m64`, op: [0xdc], form: 'm', ext, size: 8 }, 'base', 0.5);
    family.add({ name: `fi${name.slice(1)} m32`, op: [0xda], form: 'm', ext, size: 4 }, 'base', 0.4);
    family.add({ name: `fi${name.slice(1)} m16`, op: [0xde], form: 'm', ext, size: 2 }, 'base', 0.4);
    family.add({ name: `${name} st, st(i)`, op: [0xd8], form: 'r', ext, anyReg: true });
    family.add({ name: `${name} st(i), st`, op: [0xdc], form: 'r', ext, anyReg: true }, 'base', ext === 2 || ext === 3 ? 0.1 : 1);
    if (ext !== 3) family.add({ name: `${name}p st(i), st`, op: [0xde], form: 'r', ext, anyReg: true }, 'base', ext === 2 ? 0.1 : 0.7);
  });
  family.add({ name: 'fcompp', op: [0xde, 0xd9], form: 'none' });
  family.add({ name: 'fsqrt', op: [0xd9, 0xfa], form: 'none' }, 'base', 2);
}

function transfers(family: Family): void {
  family.add({ name: 'fld m32', op: [0xd9], form: 'm', ext: 0, size: 4 }, 'base', 2);
  family.add({ name: 'fst m32', op: [0xd9], form: 'm', ext: 2, size: 4 });
  family.add({ name: 'fstp m32', op: [0xd9], form: 'm', ext: 3, size: 4 }, 'base', 2);
  family.add({ name: 'fld m64', op: [0xdd], form: 'm', ext: 0, size: 8 }, 'base', 2);
  family.add({ name: 'fst m64', op: [0xdd], form: 'm', ext: 2, size: 8 });
  family.add({ name: 'fstp m64', op: [0xdd], form: 'm', ext: 3, size: 8 }, 'base', 2);
  family.add({ name: 'fld m80', op: [0xdb], form: 'm', ext: 5, size: 10, align: 16 }, 'base', 2);
  family.add({ name: 'fstp m80', op: [0xdb], form: 'm', ext: 7, size: 10, align: 16 });
  for (const [format, op, size] of [['m32', 0xdb, 4], ['m16', 0xdf, 2]] as const) {
    family.add({ name: `fild ${format}`, op: [op], form: 'm', ext: 0, size });
    family.add({ name: `fisttp ${format}`, op: [op], form: 'm', ext: 1, size }, 'sse3');
    family.add({ name: `fist ${format}`, op: [op], form: 'm', ext: 2, size });
    family.add({ name: `fistp ${format}`, op: [op], form: 'm', ext: 3, size });
  }
  family.add({ name: 'fild m64', op: [0xdf], form: 'm', ext: 5, size: 8 });
  family.add({ name: 'fistp m64', op: [0xdf], form: 'm', ext: 7, size: 8 }, 'base', 2);
  family.add({ name: 'fisttp m64', op: [0xdd], form: 'm', ext: 1, size: 8 }, 'sse3');
  family.make('fbld', (random) => decimalLoad(random), 'base', 2);
  family.add({ name: 'fbstp', op: [0xdf], form: 'm', ext: 6, size: 10 }, 'base', 2);
  family.add({ name: 'fld st(i)', op: [0xd9], form: 'r', ext: 0, anyReg: true }, 'base', 2);
  family.add({ name: 'fxch', op: [0xd9], form: 'r', ext: 1, anyReg: true }, 'base', 2);
  family.add({ name: 'fst st(i)', op: [0xdd], form: 'r', ext: 2, anyReg: true });
  family.add({ name: 'fstp st(i)', op: [0xdd], form: 'r', ext: 3, anyReg: true });
  for (let constant = 0; constant < 7; constant++) family.add({ name: `constant ${constant}`, op: [0xd9, 0xe8 + constant], form: 'none' }, 'base', 0.5);
  for (const [condition, reads] of [CF, ZF, CF | ZF, PF].entries()) {
    family.add({ name: `fcmov${condition}`, op: [0xda], form: 'r', ext: condition, anyReg: true, flags: [reads, 0, 0] }, 'base', 0.5);
    family.add({ name: `fcmovn${condition}`, op: [0xdb], form: 'r', ext: condition, anyReg: true, flags: [reads, 0, 0] }, 'base', 0.5);
  }
}

/** fbld of ten bytes stored just before: decimal digits only, since others have no defined value. */
function decimalLoad(random: Random): Instruction[] {
  const at = pickAddress(random, 12, 4);
  const digits = () => (random.below(10) << 4) | random.below(10);
  const store = (offset: number, bytes: number[]) => ({ ...instruction('mov [m], digits', [0xc7, 0x05, ...wordBytes(at + offset), ...bytes]), glued: true });
  const high = [random.chance(0.2) ? 0 : digits(), random.pick([0, 0x80]), 0, 0];
  return [store(0, [digits(), digits(), digits(), digits()]), store(4, [digits(), digits(), digits(), digits()]), store(8, high), instruction('fbld', [0xdf, 0x25, ...wordBytes(at)])];
}

function comparisonsAndControl(family: Family): void {
  family.add({ name: 'fucom', op: [0xdd], form: 'r', ext: 4, anyReg: true });
  family.add({ name: 'fucomp', op: [0xdd], form: 'r', ext: 5, anyReg: true });
  family.add({ name: 'fucompp', op: [0xda, 0xe9], form: 'none' });
  family.add({ name: 'fcomi', op: [0xdb], form: 'r', ext: 6, anyReg: true, flags: COMPARE_FLAGS });
  family.add({ name: 'fucomi', op: [0xdb], form: 'r', ext: 5, anyReg: true, flags: COMPARE_FLAGS });
  family.add({ name: 'fcomip', op: [0xdf], form: 'r', ext: 6, anyReg: true, flags: COMPARE_FLAGS });
  family.add({ name: 'fucomip', op: [0xdf], form: 'r', ext: 5, anyReg: true, flags: COMPARE_FLAGS });
  for (const [name, op] of [['fnop', 0xd0], ['fchs', 0xe0], ['fabs', 0xe1], ['ftst', 0xe4], ['fxam', 0xe5], ['fdecstp', 0xf6], ['fincstp', 0xf7], ['frndint', 0xfc], ['fscale', 0xfd],
    ['fxtract', 0xf4], ['fprem', 0xf8], ['fprem1', 0xf5]] as const) {
    family.add({ name, op: [0xd9, op], form: 'none' }, 'base', op >= 0xf4 && op !== 0xf6 && op !== 0xf7 ? 2 : 1);
  }
  family.add({ name: 'ffree', op: [0xdd], form: 'r', ext: 0, anyReg: true });
  family.add({ name: 'ffreep', op: [0xdf], form: 'r', ext: 0, anyReg: true }, 'base', 0.3);
  family.add({ name: 'fnclex', op: [0xdb, 0xe2], form: 'none' });
  family.add({ name: 'fninit', op: [0xdb, 0xe3], form: 'none' }, 'base', 0.5);
  family.add({ name: 'feni/fdisi/fsetpm', op: [0xdb], form: 'r', ext: 4, rm: 0 }, 'base', 0.1);
  family.add({ name: 'fwait', op: [0x9b], form: 'none' });
  family.add({ name: 'fnstsw ax', op: [0xdf, 0xe0], form: 'none' });
  family.add({ name: 'fnstsw m', op: [0xdd], form: 'm', ext: 7, size: 2 });
  family.add({ name: 'fnstcw m', op: [0xd9], form: 'm', ext: 7, size: 2 });
  family.make('fldcw', (random) => {
    const at = pickAddress(random, 4, 4), control = 0x40 | (random.chance(0.5) ? 0x3f : random.below(64)) | (random.pick([0, 2, 3, 3]) << 8) | (random.below(4) << 10);
    return [{ ...instruction('mov [m], control', [0xc7, 0x05, ...wordBytes(at), ...wordBytes(control)]), glued: true }, instruction('fldcw', [0xd9, 0x2d, ...wordBytes(at)])];
  }, 'base', 3);
}

/** Stores an image at an absolute address and then zeroes the fields (offset, bytes) that depend on the processor's age. */
function storeImage(name: string, opcode: readonly number[], ext: number, size: number, align: number, scrub: readonly (readonly [number, 2 | 4])[]): (random: Random) => Instruction[] {
  return (random) => {
    let operand = absoluteOperand(random, ext, size, align);
    while (operand.absolute === undefined) operand = absoluteOperand(random, ext, size, align);
    const zero = scrub.map(([offset, bytes]) => instruction('scrub', [...(bytes === 2 ? [0x66] : []), 0xc7, 0x05, ...wordBytes(operand.absolute! + offset), 0, 0, ...(bytes === 4 ? [0, 0] : [])]));
    // The image belongs to its scrubbing, so that shrinking drops both or none: the last scrub stands for all.
    return [instruction(name, [...opcode, ...operand.bytes]), ...zero].map((one, i) => (i < zero.length ? { ...one, glued: true } : one));
  };
}

function images(family: Family): void {
  const wide = [[16, 4], [20, 4], [24, 4]] as const, narrow = [[8, 2], [10, 4]] as const;
  family.make('fnstenv', storeImage('fnstenv', [0xd9], 6, 28, 4, wide));
  family.make('fnstenv (16)', storeImage('fnstenv (16)', [0x66, 0xd9], 6, 14, 2, narrow), 'base', 0.4);
  family.make('fnsave', storeImage('fnsave', [0xdd], 6, 108, 4, wide));
  family.make('fnsave (16)', storeImage('fnsave (16)', [0x66, 0xdd], 6, 94, 2, narrow), 'base', 0.4);
  family.make('fxsave', storeImage('fxsave', [0x0f, 0xae], 0, 512, 16, [[6, 2], [12, 4], [16, 4], [20, 4], [28, 4]]));
  family.make('fnstenv; fldenv', (random) => reload(random, [0xd9], 6, 4, 28, 4, false));
  family.make('fnsave; frstor', (random) => reload(random, [0xdd], 6, 4, 108, 4, false));
  family.make('fxsave; fxrstor', (random) => reload(random, [0x0f, 0xae], 0, 1, 512, 16, false));
  family.make('fnstenv; change; fldenv', (random) => reload(random, [0xd9], 6, 4, 28, 4, true));
  family.make('fnsave; change; frstor', (random) => reload(random, [0xdd], 6, 4, 108, 4, true));
  family.add({ name: 'frstor anything', op: [0xdd], form: 'a', ext: 4, size: 108 }, 'base', 0.3);
  family.add({ name: 'fldenv anything', op: [0xd9], form: 'a', ext: 4, size: 28 }, 'base', 0.3);
}

/** Stores an image and loads it again, perhaps with another status or tag word. */
function reload(random: Random, opcode: readonly number[], store: number, load: number, size: number, align: number, change: boolean): Instruction[] {
  const at = pickAddress(random, size, align);
  const result = [{ ...instruction('store image', [...opcode, (store << 3) | 5, ...wordBytes(at)]), glued: true }];
  if (change) result.push({ ...instruction('change image', [0xc7, 0x05, ...wordBytes(at + random.pick([4, 8])), ...wordBytes(random.word() & (random.chance(0.8) ? 0x7f7f : 0xffff))]), glued: true });
  result.push({ ...instruction('load image', [...opcode, (load << 3) | 5, ...wordBytes(at)]), glued: true });
  // What was stored holds processor-dependent fields.
  const fields = size === 512 ? [4, 12, 16, 20, 28] : [16, 20, 24];
  fields.forEach((field, i) => result.push({ ...instruction('scrub', [0xc7, 0x05, ...wordBytes(at + field), 0, 0, 0, 0]), glued: i + 1 < fields.length }));
  return result;
}

function x87(): Row[] {
  const family = new Family('x87');
  arithmetic(family);
  transfers(family);
  comparisonsAndControl(family);
  images(family);
  return family.rows;
}

/** Each is the last instruction of its case: only its own result is compared with a tolerance. */
function transcendental(): Row[] {
  const family = new Family('transcendental');
  for (const [name, op] of [['f2xm1', 0xf0], ['fyl2x', 0xf1], ['fptan', 0xf2], ['fpatan', 0xf3], ['fyl2xp1', 0xf9], ['fsincos', 0xfb], ['fsin', 0xfe], ['fcos', 0xff]] as const) {
    family.add({ name, op: [0xd9, op], form: 'none', approximate: 'x87' });
    family.make(`fld; ${name}`, (random) => {
      const load = encode({ name: 'fld', op: [0xd9], form: 'a', ext: 0, size: 4 }, random).map((one) => ({ ...one, glued: true }));
      return [...load, { ...instruction(name, [0xd9, op]), approximate: 'x87' as const }];
    });
  }
  return family.rows;
}

export const X87_ROWS: readonly Row[] = [...x87(), ...transcendental()];
