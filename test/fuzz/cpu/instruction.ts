/** One generated instruction with what the comparison must know of it, and the analysis of which flags are undefined where. */
import { ARITHMETIC } from './state.ts';

export interface Instruction {
  /** Mnemonic with operands as far as the table knows them; for messages. */
  readonly name: string;
  readonly bytes: readonly number[];
  /** Arithmetic flags that it reads, that it certainly defines, and that it leaves undefined. */
  readonly reads: number;
  readonly defines: number;
  readonly undefines: number;
  /** A forward jump: how many following instructions it may skip, and the size of the displacement that ends `bytes` (1 or 4; 2 with 16-bit operands). */
  readonly jump?: { skip: number; readonly size: 1 | 4 };
  /** Results are approximations: compared with a tolerance, and nothing may follow that uses them. */
  readonly approximate?: 'x87' | 'reciprocal';
  /** Belongs to the instruction after it (an operand's preparation) and is dropped with it. */
  readonly glued?: boolean;
}

export interface Sequence {
  readonly code: Uint8Array;
  /** Offset of each instruction in `code`, and one past the last. */
  readonly offsets: readonly number[];
  /** Undefined arithmetic flags before each instruction, and at the end. */
  readonly undefined: readonly number[];
  /** No instruction reads an undefined flag, and nothing follows an approximate result. */
  readonly valid: boolean;
}

/** Lays instructions out one after another, resolves their jumps and follows the undefined flags along all paths. */
export function assemble(list: readonly Instruction[]): Sequence {
  const offsets = [0];
  for (const instruction of list) offsets.push(offsets[offsets.length - 1] + instruction.bytes.length);
  const code = new Uint8Array(offsets[list.length]);
  const undefinedFlags = new Array<number>(list.length + 1).fill(0);
  let valid = true;
  for (let i = 0; i < list.length; i++) {
    const instruction = list[i];
    code.set(instruction.bytes, offsets[i]);
    const before = undefinedFlags[i];
    if (before & instruction.reads) valid = false;
    if (instruction.approximate && i + 1 < list.length) valid = false;
    const after = (before & ~instruction.defines) | instruction.undefines;
    undefinedFlags[i + 1] |= after;
    if (!instruction.jump) continue;
    let target = Math.min(i + 1 + instruction.jump.skip, list.length);
    // Not between a preparation and what it prepares.
    while (target < list.length && target > i + 1 && list[target - 1].glued) target++;
    undefinedFlags[target] |= after;
    const displacement = offsets[target] - offsets[i + 1];
    const at = offsets[i + 1] - instruction.jump.size;
    if (instruction.jump.size === 1) {
      if (displacement > 127) valid = false;
      code[at] = displacement;
    } else for (let j = 0; j < 4; j++) code[at + j] = displacement >>> (8 * j);
  }
  return { code, offsets, undefined: undefinedFlags, valid };
}

/** The flags that may differ where execution stopped, `offset` bytes into the code; all of them inside an instruction that the case jumped into. */
export function undefinedAt(sequence: Sequence, offset: number): number {
  const index = sequence.offsets.indexOf(offset);
  return index < 0 ? ARITHMETIC : sequence.undefined[index];
}

/** The list without instruction `index` (and what is glued to it); jumps across it are shortened. */
export function without(list: readonly Instruction[], index: number): Instruction[] {
  let first = index;
  while (first > 0 && list[first - 1].glued) first--;
  const result: Instruction[] = [];
  for (let i = 0; i < list.length; i++) {
    if (i >= first && i <= index) continue;
    const instruction = list[i];
    if (!instruction.jump || i > index) {
      result.push(instruction);
      continue;
    }
    const target = i + 1 + instruction.jump.skip;
    const dropped = target > index ? index - first + 1 : target > first ? target - first : 0;
    result.push({ ...instruction, jump: { ...instruction.jump, skip: instruction.jump.skip - dropped } });
  }
  return result;
}
