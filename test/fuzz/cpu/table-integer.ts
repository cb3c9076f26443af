/** The instruction table: integer arithmetic, logic, shifts, multiplication, decimal, bits, moves and atomics. */
import { Family, type Feature, type FlagUse, instruction, type Row, encode, type Spec } from './row.ts';
import { interestingWord, type Random } from './random.ts';
import { anyRegister, memoryOperand, registerOperand } from './operand.ts';
import { AF, ARITHMETIC, CF, conditionReads, OF, PF, SF, ZF } from './state.ts';

const ALL: FlagUse = [0, ARITHMETIC, 0];
const LOGIC: FlagUse = [0, ARITHMETIC & ~AF, AF];
const BIT_TEST: FlagUse = [0, CF, OF | SF | AF | PF];

/** The byte form and the sized form of an opcode pair. */
function pair(family: Family, spec: Spec): void {
  family.add({ ...spec, name: `${spec.name} 8`, size: 1, anyReg: true, imm: spec.imm === 'z' ? 'b' : spec.imm });
  family.add({ ...spec, op: [...spec.op.slice(0, -1), spec.op[spec.op.length - 1] | 1], sized: true, size: 4 }, 'base', 2);
}

function arithmetic(): Row[] {
  const family = new Family('alu');
  const names = ['add', 'or', 'adc', 'sbb', 'and', 'sub', 'xor', 'cmp'];
  names.forEach((name, i) => {
    const flags: FlagUse = name === 'or' || name === 'and' || name === 'xor' ? LOGIC : name === 'adc' || name === 'sbb' ? [CF, ARITHMETIC, 0] : ALL;
    const lock = name !== 'cmp';
    pair(family, { name, op: [i * 8], form: 'rm', flags, lock });
    pair(family, { name, op: [i * 8 + 2], form: 'rm', flags });
    pair(family, { name: `${name} imm`, op: [0x80], form: 'rm', ext: i, imm: 'z', flags, lock });
    family.add({ name: `${name} imm8`, op: [0x83], form: 'rm', ext: i, imm: 'b', sized: true, flags, lock });
    family.add({ name: `${name} al, imm`, op: [i * 8 + 4], form: 'none', imm: 'b', flags }, 'base', 0.5);
    family.add({ name: `${name} eax, imm`, op: [i * 8 + 5], form: 'none', imm: 'z', sized: true, flags }, 'base', 0.5);
  });
  pair(family, { name: 'test', op: [0x84], form: 'rm', flags: LOGIC });
  for (const ext of [0, 1]) pair(family, { name: 'test imm', op: [0xf6], form: 'rm', ext, imm: 'z', flags: LOGIC });
  pair(family, { name: 'not', op: [0xf6], form: 'rm', ext: 2, lock: true });
  pair(family, { name: 'neg', op: [0xf6], form: 'rm', ext: 3, lock: true, flags: ALL });
  pair(family, { name: 'inc', op: [0xfe], form: 'rm', ext: 0, lock: true, flags: [CF, ARITHMETIC & ~CF, 0] });
  pair(family, { name: 'dec', op: [0xfe], form: 'rm', ext: 1, lock: true, flags: [CF, ARITHMETIC & ~CF, 0] });
  family.make('inc/dec r', (random) => [instruction('inc/dec r', [...(random.chance(0.2) ? [0x66] : []), 0x40 + random.below(16)], [CF, ARITHMETIC & ~CF, 0])], 'base', 2);
  family.add({ name: 'cbw/cwde', op: [0x98], form: 'none', sized: true });
  family.add({ name: 'cwd/cdq', op: [0x99], form: 'none', sized: true });
  return family.rows;
}

function shifts(): Row[] {
  const family = new Family('shift');
  const names = ['rol', 'ror', 'rcl', 'rcr', 'shl', 'shr', 'sal', 'sar'];
  names.forEach((name, ext) => {
    for (const byte of [true, false]) {
      for (const by of ['1', 'imm', 'cl'] as const) {
        family.make(`${name} by ${by}`, (random) => shift(random, name, ext, byte, by));
      }
    }
  });
  for (const [name, op] of [['shld', 0xa4], ['shrd', 0xac]] as const) {
    family.make(`${name} imm`, (random) => doubleShift(random, name, op, false), 'base', 3);
    family.make(`${name} cl`, (random) => doubleShift(random, name, op + 1, true), 'base', 3);
  }
  return family.rows;
}

/** Flags of a shift by `count` (undefined: by cl, not known) of an operand of `width` bits. */
function shiftFlags(name: string, count: number | undefined, width: number): FlagUse {
  const rotate = name[0] === 'r';
  const reads = name === 'rcl' || name === 'rcr' ? CF : 0;
  if (count !== undefined && (count & 31) === 0) return [reads, 0, 0];
  let undefines = count === 1 ? 0 : OF;
  if (rotate) return [reads, count === 1 ? OF | CF : count === undefined ? 0 : CF, undefines];
  undefines |= AF;
  if (name !== 'sar' && width < 32 && (count === undefined || (count & 31) >= width)) undefines |= CF;
  return [reads, count === undefined ? 0 : ARITHMETIC & ~undefines, undefines];
}

function shift(random: Random, name: string, ext: number, byte: boolean, by: '1' | 'imm' | 'cl'): ReturnType<Row['make']> {
  const op = (by === '1' ? 0xd0 : by === 'imm' ? 0xc0 : 0xd2) | (byte ? 0 : 1);
  const count = random.chance(0.7) ? random.below(36) : interestingWord(random) & 0xff;
  const narrow = !byte && random.chance(0.4);
  const spec: Spec = { name: `${name}${byte ? ' 8' : ''} by ${by}`, op: [op], form: 'rm', ext, size: byte ? 1 : narrow ? 2 : 4, anyReg: byte, immValues: by === 'imm' ? [count] : undefined,
    mandatory: narrow ? 0x66 : undefined, flags: shiftFlags(name, by === '1' ? 1 : by === 'imm' ? count : undefined, byte ? 8 : narrow ? 16 : 32) };
  const result = encode(spec, random);
  if (by === 'cl' && random.chance(0.5)) result.unshift({ ...instruction(`mov cl, ${count}`, [0xb1, count]), glued: true });
  return result;
}

function doubleShift(random: Random, name: string, op: number, byRegister: boolean): ReturnType<Row['make']> {
  const narrow = random.chance(0.3);
  // A 16-bit double shift by more than 16 has no defined result at all.
  const count = random.below(narrow ? 17 : 40);
  const unmoved = (count & 31) === 0;
  const undefines = AF | ((count & 31) === 1 ? 0 : OF);
  const flags: FlagUse = unmoved ? [0, 0, 0] : [0, ARITHMETIC & ~undefines, undefines];
  const spec: Spec = { name: `${name}${narrow ? ' (16)' : ''} by ${count}`, op: [0x0f, op], form: 'rm', size: narrow ? 2 : 4, mandatory: narrow ? 0x66 : undefined, flags,
    immValues: byRegister ? undefined : [count] };
  const result = encode(spec, random);
  // The operand's preparation may use ecx, so the count is loaded right before.
  if (byRegister) result.splice(result.length - 1, 0, { ...instruction(`mov cl, ${count}`, [0xb1, count]), glued: true });
  return result;
}

function multiplication(): Row[] {
  const family = new Family('muldiv');
  const product: FlagUse = [0, CF | OF, SF | ZF | AF | PF];
  pair(family, { name: 'mul', op: [0xf6], form: 'rm', ext: 4, flags: product });
  pair(family, { name: 'imul', op: [0xf6], form: 'rm', ext: 5, flags: product });
  family.add({ name: 'imul r, rm', op: [0x0f, 0xaf], form: 'rm', sized: true, flags: product }, 'base', 2);
  family.add({ name: 'imul r, rm, imm', op: [0x69], form: 'rm', sized: true, imm: 'z', flags: product }, 'base', 2);
  family.add({ name: 'imul r, rm, imm8', op: [0x6b], form: 'rm', sized: true, imm: 'b', flags: product }, 'base', 2);
  pair(family, { name: 'div', op: [0xf6], form: 'rm', ext: 6, flags: [0, 0, ARITHMETIC] });
  pair(family, { name: 'idiv', op: [0xf6], form: 'rm', ext: 7, flags: [0, 0, ARITHMETIC] });
  for (const [name, ext, byte] of [['div', 6, false], ['idiv', 7, false], ['div', 6, true], ['idiv', 7, true]] as const) {
    family.make(`${name} that fits`, (random) => fittingDivision(random, name, ext, byte), 'base', 2);
  }
  return family.rows;
}

/** A division whose high half is small or the sign, so that it rarely traps. */
function fittingDivision(random: Random, name: string, ext: number, byte: boolean): ReturnType<Row['make']> {
  const divide = encode({ name: `${name}${byte ? ' 8' : ''}`, op: [byte ? 0xf6 : 0xf7], form: 'rm', ext, sized: !byte, size: byte ? 1 : 4, flags: [0, 0, ARITHMETIC] }, random);
  const extend = name === 'div' ? (byte ? instruction('mov ah, 0', [0xb4, 0]) : instruction('mov edx, 0', [0xba, 0, 0, 0, 0])) : byte ? instruction('cbw', [0x66, 0x98]) : instruction('cdq', [0x99]);
  return [{ ...extend, glued: true }, ...divide];
}

function decimal(): Row[] {
  const family = new Family('bcd');
  family.add({ name: 'daa', op: [0x27], form: 'none', flags: [AF | CF, ARITHMETIC & ~OF, OF] });
  family.add({ name: 'das', op: [0x2f], form: 'none', flags: [AF | CF, ARITHMETIC & ~OF, OF] });
  family.add({ name: 'aaa', op: [0x37], form: 'none', flags: [AF, AF | CF, OF | SF | ZF | PF] });
  family.add({ name: 'aas', op: [0x3f], form: 'none', flags: [AF, AF | CF, OF | SF | ZF | PF] });
  family.add({ name: 'aam', op: [0xd4], form: 'none', imm: 'b', flags: [0, SF | ZF | PF, OF | AF | CF] });
  family.add({ name: 'aam', op: [0xd4], form: 'none', immValues: [10], flags: [0, SF | ZF | PF, OF | AF | CF] });
  family.add({ name: 'aad', op: [0xd5], form: 'none', imm: 'b', flags: [0, SF | ZF | PF, OF | AF | CF] });
  family.make('mov ax, imm; daa', (random) => {
    const adjust = random.pick([0x27, 0x2f, 0x37, 0x3f]);
    const flags: FlagUse = adjust < 0x30 ? [AF | CF, ARITHMETIC & ~OF, OF] : [AF, AF | CF, OF | SF | ZF | PF];
    return [{ ...instruction('mov ax, imm', [0x66, 0xb8, random.below(256), random.below(256)]), glued: true }, instruction('adjust', [adjust], flags)];
  }, 'base', 2);
  return family.rows;
}

function bits(): Row[] {
  const family = new Family('bits');
  for (const [name, op, ext] of [['bt', 0xa3, 4], ['bts', 0xab, 5], ['btr', 0xb3, 6], ['btc', 0xbb, 7]] as const) {
    const lock = name !== 'bt';
    family.add({ name: `${name} imm`, op: [0x0f, 0xba], form: 'rm', ext, imm: 'b', sized: true, lock, flags: BIT_TEST });
    family.add({ name: `${name} r`, op: [0x0f, op], form: 'r', sized: true, flags: BIT_TEST });
    family.make(`${name} m, r`, (random) => {
      const reg = random.below(3);
      const offset = random.chance(0.5) ? random.below(2048) - 1024 : random.below(65536) - 32768;
      const test = encode({ name: `${name} m, r`, op: [0x0f, op], form: 'a', ext: reg, sized: true, lock, flags: BIT_TEST }, random);
      test.unshift({ ...instruction(`mov r${reg}, ${offset}`, [0xb8 + reg, offset & 0xff, (offset >> 8) & 0xff, (offset >> 16) & 0xff, (offset >> 24) & 0xff]), glued: true });
      return test;
    }, 'base', 2);
  }
  family.add({ name: 'bsf', op: [0x0f, 0xbc], form: 'rm', sized: true, flags: [0, ZF, CF | OF | SF | AF | PF] });
  family.add({ name: 'bsr', op: [0x0f, 0xbd], form: 'rm', sized: true, flags: [0, ZF, CF | OF | SF | AF | PF] });
  family.add({ name: 'popcnt', op: [0x0f, 0xb8], mandatory: 0xf3, form: 'rm', sized: true, flags: ALL }, 'popcnt');
  family.add({ name: 'lzcnt', op: [0x0f, 0xbd], mandatory: 0xf3, form: 'rm', sized: true, flags: [0, CF | ZF, OF | SF | PF | AF] }, 'lzcnt');
  family.add({ name: 'tzcnt', op: [0x0f, 0xbc], mandatory: 0xf3, form: 'rm', sized: true, flags: [0, CF | ZF, OF | SF | PF | AF] }, 'tzcnt');
  family.make('bswap', (random) => [instruction('bswap', [0x0f, 0xc8 + random.below(8)])]);
  family.make('bswap (16)', (random) => [instruction('bswap (16)', [0x66, 0x0f, 0xc8 + random.below(8)])]);
  family.add({ name: 'crc32 8', op: [0x0f, 0x38, 0xf0], mandatory: 0xf2, form: 'rm', size: 1 }, 'sse42');
  family.add({ name: 'crc32', op: [0x0f, 0x38, 0xf1], mandatory: 0xf2, form: 'rm', sized: true }, 'sse42');
  family.add({ name: 'adcx', op: [0x0f, 0x38, 0xf6], mandatory: 0x66, form: 'rm', flags: [CF, CF, 0] }, 'adx');
  family.add({ name: 'adox', op: [0x0f, 0x38, 0xf6], mandatory: 0xf3, form: 'rm', flags: [OF, OF, 0] }, 'adx');
  return family.rows;
}

/** VEX-encoded integer instructions of BMI1 and BMI2. In 32-bit mode the prefix is c4 with its two upper bits set, else it is les. */
function bitManipulation(): Row[] {
  const family = new Family('bmi');
  const none: FlagUse = [0, 0, 0];
  const signs: FlagUse = [0, SF | ZF | OF | CF, AF | PF];
  const add = (name: string, feature: Feature, map: number, mandatory: number, op: number, flags: FlagUse, ext?: number) =>
    family.make(
      name,
      (random) => {
        const reg = ext ?? anyRegister(random);
        const operand = random.chance(0.4) ? memoryOperand(random, reg, 4, 1) : registerOperand(reg, anyRegister(random));
        const immediate = map === 3 ? [random.below(256)] : [];
        const prefix = [0xc4, 0xe0 | map, ((~anyRegister(random) & 15) << 3) | mandatory, op];
        // rorx has no second source, and demands that the field for it is empty.
        if (map === 3) prefix[2] = 0x78 | mandatory;
        const before = operand.before.map((one) => ({ ...instruction(one.name, one.bytes), glued: true }));
        return [...before, instruction(name, [...operand.prefixes, ...prefix, ...operand.bytes, ...immediate], flags)];
      },
      feature,
    );
  add('andn', 'bmi1', 2, 0, 0xf2, signs);
  add('bextr', 'bmi1', 2, 0, 0xf7, [0, ZF | OF | CF, AF | SF | PF]);
  add('blsr', 'bmi1', 2, 0, 0xf3, signs, 1);
  add('blsmsk', 'bmi1', 2, 0, 0xf3, signs, 2);
  add('blsi', 'bmi1', 2, 0, 0xf3, signs, 3);
  add('bzhi', 'bmi2', 2, 0, 0xf5, signs);
  add('pdep', 'bmi2', 2, 3, 0xf5, none);
  add('pext', 'bmi2', 2, 2, 0xf5, none);
  add('mulx', 'bmi2', 2, 3, 0xf6, none);
  add('sarx', 'bmi2', 2, 2, 0xf7, none);
  add('shlx', 'bmi2', 2, 1, 0xf7, none);
  add('shrx', 'bmi2', 2, 3, 0xf7, none);
  add('rorx', 'bmi2', 3, 3, 0xf0, none);
  return family.rows;
}

function moves(): Row[] {
  const family = new Family('move');
  pair(family, { name: 'mov', op: [0x88], form: 'rm' });
  pair(family, { name: 'mov', op: [0x8a], form: 'rm' });
  pair(family, { name: 'mov imm', op: [0xc6], form: 'rm', ext: 0, imm: 'z' });
  pair(family, { name: 'xchg', op: [0x86], form: 'rm', lock: true });
  family.make('mov r, imm', (random) => {
    const reg = anyRegister(random), value = interestingWord(random);
    return [instruction('mov r, imm', [0xb8 + reg, value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, value >>> 24])];
  }, 'base', 2);
  family.make('mov r8, imm', (random) => [instruction('mov r8, imm', [0xb0 + random.below(8), interestingWord(random) & 0xff])]);
  family.make('xchg eax', (random) => [instruction('xchg eax', [...(random.chance(0.3) ? [0x66] : []), 0x90 + random.below(8)])]);
  family.make('mov moffs', (random) => {
    const op = random.pick([0xa0, 0xa1, 0xa2, 0xa3]);
    const address = 0x20000000 + random.below(0x6010);
    const bytes = [op, address & 0xff, (address >>> 8) & 0xff, (address >>> 16) & 0xff, address >>> 24];
    if (random.chance(0.2)) return [instruction('mov moffs16', [0x67, 0x64, op, address & 0xff, (address >> 8) & 0x3f])];
    return [instruction('mov moffs', random.chance(0.3) ? [0x66, ...bytes] : bytes)];
  }, 'base', 2);
  for (const [name, op] of [['movzx', 0xb6], ['movsx', 0xbe]] as const) {
    family.add({ name: `${name} 8`, op: [0x0f, op], form: 'rm', sized: true, size: 2 });
    family.add({ name: `${name} 16`, op: [0x0f, op + 1], form: 'rm', sized: true, size: 4 });
  }
  family.add({ name: 'lea', op: [0x8d], form: 'm', sized: true }, 'base', 2);
  family.add({ name: 'lea r (bad)', op: [0x8d], form: 'r' }, 'base', 0.1);
  family.add({ name: 'xlat', op: [0xd7], form: 'none' });
  family.add({ name: 'movbe load', op: [0x0f, 0x38, 0xf0], form: 'm', sized: true }, 'movbe');
  family.add({ name: 'movbe store', op: [0x0f, 0x38, 0xf1], form: 'm', sized: true }, 'movbe');
  for (let condition = 0; condition < 16; condition++) {
    const reads = conditionReads(condition);
    family.add({ name: `cmov${condition}`, op: [0x0f, 0x40 + condition], form: 'rm', sized: true, flags: [reads, 0, 0] }, 'base', 0.5);
    family.add({ name: `set${condition}`, op: [0x0f, 0x90 + condition], form: 'rm', size: 1, anyReg: true, flags: [reads, 0, 0] }, 'base', 0.5);
  }
  return family.rows;
}

function atomics(): Row[] {
  const family = new Family('atomic');
  pair(family, { name: 'cmpxchg', op: [0x0f, 0xb0], form: 'rm', lock: true, flags: ALL });
  pair(family, { name: 'cmpxchg', op: [0x0f, 0xb0], form: 'rm', lock: true, flags: ALL });
  pair(family, { name: 'xadd', op: [0x0f, 0xc0], form: 'rm', lock: true, flags: ALL });
  const exchange: Spec = { name: 'cmpxchg8b', op: [0x0f, 0xc7], form: 'a', ext: 1, size: 8, lock: true, flags: [0, ZF, 0] };
  family.add(exchange, 'base', 2);
  family.add({ ...exchange, form: 'r' }, 'base', 0.2);
  family.make('cmpxchg8b that matches', (random) => {
    const made = encode(exchange, random);
    const last = made[made.length - 1];
    // Load edx:eax from the same place first; both loads share prefixes and ModRM but for the opcode and the displacement's low byte.
    const at = last.bytes.indexOf(0x0f);
    const prefixes = last.bytes.slice(0, at).filter((byte) => byte !== 0xf0);
    const low = last.bytes.slice(at + 3), high = [(low[0] + 4) & 0xff, ...low.slice(1)];
    return [{ ...instruction('mov eax', [...prefixes, 0x8b, 0x05, ...low]), glued: true }, { ...instruction('mov edx', [...prefixes, 0x8b, 0x15, ...high]), glued: true }, last];
  }, 'base', 2);
  return family.rows;
}

export const INTEGER_ROWS: readonly Row[] = [...arithmetic(), ...shifts(), ...multiplication(), ...decimal(), ...bits(),
  ...bitManipulation(), ...moves(), ...atomics()];
