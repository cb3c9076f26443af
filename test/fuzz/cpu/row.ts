/** Rows of the instruction table: how an instruction is encoded with random operands, and what it does to flags. */
import type { Instruction } from './instruction.ts';
import { absoluteOperand, anyRegister, memoryOperand, type Operand, registerOperand, wordBytes } from './operand.ts';
import { interestingWord, type Random } from './random.ts';

/** CPU features that not every model has; base covers what a Pentium III with SSE2 offers. */
export type Feature =
  | 'base'
  | 'sse3'
  | 'ssse3'
  | 'sse41'
  | 'sse42'
  | 'popcnt'
  | 'lzcnt'
  | 'tzcnt'
  | 'movbe'
  | 'aes'
  | 'pclmul'
  | 'sha'
  | 'bmi1'
  | 'bmi2'
  | 'adx';

export interface Row {
  readonly name: string;
  readonly family: string;
  readonly feature: Feature;
  /** How often it is chosen within its family, 1 being usual. */
  readonly weight: number;
  readonly make: (random: Random) => Instruction[];
}

/** What an instruction reads, defines and leaves undefined among the arithmetic flags. */
export type FlagUse = readonly [reads: number, defines: number, undefines: number];
export const NO_FLAGS: FlagUse = [0, 0, 0];

export interface Spec {
  readonly name: string;
  /** Opcode bytes without prefixes. */
  readonly op: readonly number[];
  /** rm: ModRM with register or memory; r: register only; m: memory only; a: memory at an absolute address only; none: no ModRM. */
  readonly form: 'rm' | 'r' | 'm' | 'a' | 'none';
  /** Fixed reg field of ModRM. */
  readonly ext?: number;
  /** Fixed rm field, with form r. */
  readonly rm?: number;
  /** Bytes of the memory operand with 32-bit operand size, and how it is aligned mostly. */
  readonly size?: number;
  readonly align?: number;
  /** 66, f2 or f3 as part of the opcode. */
  readonly mandatory?: number;
  /** Takes an operand size prefix. */
  readonly sized?: boolean;
  /** Takes a lock prefix with a memory operand. */
  readonly lock?: boolean;
  /** b: a byte; z: a word of operand size; w: two bytes. */
  readonly imm?: 'b' | 'z' | 'w';
  /** The byte values that an immediate takes. */
  readonly immValues?: readonly number[];
  readonly flags?: FlagUse;
  readonly approximate?: Instruction['approximate'];
  /** The reg field names a byte register or anything else where all eight are equally good. */
  readonly anyReg?: boolean;
}

export function instruction(name: string, bytes: readonly number[], flags: FlagUse = NO_FLAGS): Instruction {
  return { name, bytes, reads: flags[0], defines: flags[1], undefines: flags[2] };
}

/** Encodes `spec` with random operands; what prepares the operands comes first. */
export function encode(spec: Spec, random: Random): Instruction[] {
  const prefixes: number[] = spec.mandatory === undefined ? [] : [spec.mandatory];
  const narrow = spec.sized === true && random.chance(0.25);
  if (narrow) prefixes.push(0x66);
  const bytes = [...spec.op];
  const result: Instruction[] = [];
  let memory = false;
  if (spec.form !== 'none') {
    const reg = spec.ext ?? (spec.anyReg ? random.below(8) : anyRegister(random));
    const operand = chooseOperand(spec, random, reg, narrow ? (spec.size ?? 4) / 2 : (spec.size ?? 4));
    memory = operand.bytes[0] < 0xc0;
    prefixes.push(...operand.prefixes);
    bytes.push(...operand.bytes);
    for (const { name, bytes: prepare } of operand.before) result.push({ ...instruction(name, prepare), glued: true });
  }
  if (spec.lock && memory && random.chance(0.15)) prefixes.push(0xf0);
  else if (random.chance(0.002)) prefixes.push(0xf0);
  bytes.push(...immediate(spec, random, narrow));
  if (prefixes.length > 1 && random.chance(0.5)) prefixes.reverse();
  const name = `${spec.name}${narrow ? ' (16)' : ''}`;
  result.push({ ...instruction(name, [...prefixes, ...bytes], spec.flags), approximate: spec.approximate });
  return result;
}

function chooseOperand(spec: Spec, random: Random, reg: number, size: number): Operand {
  const align = random.chance(0.97) ? (spec.align ?? 1) : 1;
  if (spec.form === 'a') return absoluteOperand(random, reg, size, align);
  if (spec.form === 'm' || (spec.form === 'rm' && random.chance(0.45))) return memoryOperand(random, reg, size, align);
  return registerOperand(reg, spec.rm ?? (spec.anyReg ? random.below(8) : anyRegister(random)));
}

function immediate(spec: Spec, random: Random, narrow: boolean): number[] {
  if (spec.immValues) return [random.pick(spec.immValues)];
  if (spec.imm === 'b') return [interestingWord(random) & 0xff];
  if (spec.imm === 'w') return wordBytes(interestingWord(random)).slice(0, 2);
  if (spec.imm === 'z') return wordBytes(interestingWord(random)).slice(0, narrow ? 2 : 4);
  return [];
}

/** A family's row builders: `add` takes a spec, `make` a function for what no spec describes. */
export class Family {
  readonly rows: Row[] = [];
  readonly name: string;

  constructor(name: string) {
    this.name = name;
  }

  add(spec: Spec, feature: Feature = 'base', weight = 1): void {
    this.rows.push({ name: spec.name, family: this.name, feature, weight, make: (random) => encode(spec, random) });
  }

  make(name: string, make: (random: Random) => Instruction[], feature: Feature = 'base', weight = 1): void {
    this.rows.push({ name, family: this.name, feature, weight, make });
  }
}
