/** The instruction table: strings, flags, stack, control transfers, segments, privileged and undefined instructions. */
import { ANY_SELECTORS, CODE_BASE, DATA_BASE, LAST_BASE, PATCHABLE_BASE, pointer, STACK_BASE, STACK_SIZE, USER_CODE } from './layout.ts';
import type { Instruction } from './instruction.ts';
import { anyRegister, pickAddress, wordBytes } from './operand.ts';
import { interestingWord, type Random } from './random.ts';
import { Family, type FlagUse, instruction, type Row } from './row.ts';
import { AC, AF, ARITHMETIC, CF, conditionReads, DF, NT, OF, PF, SF, TF, ZF } from './state.ts';

function move(register: number, value: number): Instruction {
  return { ...instruction(`mov r${register}, 0x${(value >>> 0).toString(16)}`, [0xb8 + register, ...wordBytes(value >>> 0)]), glued: true };
}

function strings(): Row[] {
  const family = new Family('string');
  const ops: readonly (readonly [string, number, boolean])[] = [['movs', 0xa4, false], ['cmps', 0xa6, true], ['stos', 0xaa, false], ['lods', 0xac, false], ['scas', 0xae, true]];
  for (const [name, op, compares] of ops) {
    for (const repeat of [0, 0xf3, 0xf2]) {
      family.make(`${repeat ? (repeat === 0xf3 ? 'rep ' : 'repne ') : ''}${name}`, (random) => stringOperation(random, name, op, repeat, compares));
    }
  }
  return family.rows;
}

function stringOperation(random: Random, name: string, op: number, repeat: number, compares: boolean): Instruction[] {
  const result: Instruction[] = [];
  const size = random.pick([1, 4, 4]);
  const prefixes: number[] = repeat ? [repeat] : [];
  if (size === 4 && random.chance(0.3)) prefixes.push(0x66);
  if (random.chance(0.15)) prefixes.push(random.pick([0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65]));
  const short = random.chance(0.08);
  if (short) prefixes.push(0x67);
  if (random.chance(0.5)) prefixes.reverse();
  if (random.chance(0.85)) result.push(move(6, pickAddress(random, 4, random.pick([1, 4]))));
  if (random.chance(0.85)) result.push(move(7, pickAddress(random, 4, random.pick([1, 4]))));
  if (repeat) result.push(move(1, random.chance(0.8) ? random.below(70) : random.chance(0.5) ? random.below(0x1400) : interestingWord(random)));
  if (random.chance(0.15)) result.push({ ...instruction('std/cld', [random.pick([0xfc, 0xfd])]), glued: true });
  const flags: FlagUse = [0, compares && !repeat ? ARITHMETIC : 0, 0];
  result.push(instruction(`${repeat ? 'rep ' : ''}${name}${size === 1 ? 'b' : prefixes.includes(0x66) ? 'w' : 'd'}${short ? ' (addr16)' : ''}`, [...prefixes, size === 1 ? op : op + 1], flags));
  return result;
}

function flagInstructions(): Row[] {
  const family = new Family('flags');
  family.add({ name: 'clc', op: [0xf8], form: 'none', flags: [0, CF, 0] });
  family.add({ name: 'stc', op: [0xf9], form: 'none', flags: [0, CF, 0] });
  family.add({ name: 'cmc', op: [0xf5], form: 'none', flags: [CF, CF, 0] });
  family.add({ name: 'cld', op: [0xfc], form: 'none' });
  family.add({ name: 'std', op: [0xfd], form: 'none' }, 'base', 0.5);
  family.add({ name: 'lahf', op: [0x9f], form: 'none', flags: [SF | ZF | AF | PF | CF, 0, 0] });
  family.add({ name: 'sahf', op: [0x9e], form: 'none', flags: [0, SF | ZF | AF | PF | CF, 0] });
  family.add({ name: 'salc', op: [0xd6], form: 'none', flags: [CF, 0, 0] });
  family.add({ name: 'pushf', op: [0x9c], form: 'none', sized: true, flags: [ARITHMETIC, 0, 0] });
  family.make('push imm; popf', (random) => {
    const value = (random.word() & ARITHMETIC) | (random.chance(0.2) ? DF : 0) | (random.chance(0.1) ? NT : 0) | (random.chance(0.3) ? random.word() & 0x3f7000 & ~AC : 0) | 2;
    return [{ ...instruction('push flags', [0x68, ...wordBytes(value >>> 0)]), glued: true }, instruction('popf', [0x9d], [0, ARITHMETIC, 0])];
  }, 'base', 2);
  family.make('popfw', (random) => [{ ...instruction('push flags', [0x66, 0x68, random.below(256), random.below(256) & 0x7e]), glued: true }, instruction('popfw', [0x66, 0x9d], [0, ARITHMETIC, 0])]);
  family.make('single step', (random) => {
    const value = TF | (random.word() & ARITHMETIC);
    return [{ ...instruction('push flags', [0x68, ...wordBytes(value)]), glued: true }, instruction('popf with TF', [0x9d], [0, ARITHMETIC, 0])];
  }, 'base', 0.2);
  return family.rows;
}

/** Alignment checking is a family of its own: it changes what every later instruction does. */
function alignment(): Row[] {
  const family = new Family('alignment');
  family.make('popf with AC', (random) => [{ ...instruction('push flags', [0x68, ...wordBytes(AC | (random.word() & ARITHMETIC))]), glued: true }, instruction('popf with AC', [0x9d], [0, ARITHMETIC, 0])]);
  family.add({ name: 'mov', op: [0x8b], form: 'm', sized: true, size: 4 });
  family.add({ name: 'mov store', op: [0x89], form: 'm', sized: true, size: 4 });
  family.add({ name: 'add store', op: [0x01], form: 'm', size: 4, flags: [0, ARITHMETIC, 0] });
  family.add({ name: 'mov 8', op: [0x8a], form: 'm', size: 1 });
  for (const [name, op, ext, size] of [['fld m32', 0xd9, 0, 4], ['fstp m32', 0xd9, 3, 4], ['fld m64', 0xdd, 0, 8], ['fstp m64', 0xdd, 3, 8], ['fld m80', 0xdb, 5, 10], ['fstp m80', 0xdb, 7, 10],
    ['fild m16', 0xdf, 0, 2], ['fist m16', 0xdf, 2, 2], ['fild m64', 0xdf, 5, 8], ['fistp m64', 0xdf, 7, 8], ['fbstp', 0xdf, 6, 10], ['fnstcw', 0xd9, 7, 2]] as const) {
    family.add({ name, op: [op], form: 'm', ext, size }, 'base', 0.15);
  }
  family.add({ name: 'cmpxchg8b', op: [0x0f, 0xc7], form: 'm', ext: 1, size: 8, flags: [0, ZF, 0] }, 'base', 0.3);
  family.add({ name: 'push m', op: [0xff], form: 'm', ext: 6, size: 4 }, 'base', 0.3);
  family.add({ name: 'movq mm', op: [0x0f, 0x6f], form: 'm', size: 8 }, 'base', 0.3);
  family.add({ name: 'movq store', op: [0x0f, 0xd6], mandatory: 0x66, form: 'm', size: 8 }, 'base', 0.3);
  family.add({ name: 'movsd', op: [0x0f, 0x10], mandatory: 0xf2, form: 'm', size: 8 }, 'base', 0.3);
  family.add({ name: 'addss', op: [0x0f, 0x58], mandatory: 0xf3, form: 'm', size: 4 }, 'base', 0.3);
  family.add({ name: 'movdqu store', op: [0x0f, 0x7f], mandatory: 0xf3, form: 'm', size: 16 }, 'base', 0.3);
  family.add({ name: 'movaps', op: [0x0f, 0x28], form: 'm', size: 16, align: 16 }, 'base', 0.3);
  family.add({ name: 'movups', op: [0x0f, 0x10], form: 'm', size: 16 }, 'base', 0.5);
  return family.rows;
}

function stack(): Row[] {
  const family = new Family('stack');
  const narrow = (random: Random) => (random.chance(0.2) ? [0x66] : []);
  family.make('push r', (random) => [instruction('push r', [...narrow(random), 0x50 + random.below(8)])], 'base', 2);
  family.make('pop r', (random) => [instruction('pop r', [...narrow(random), 0x58 + (random.chance(0.9) ? anyRegister(random) : 4)])], 'base', 2);
  family.add({ name: 'push imm', op: [0x68], form: 'none', imm: 'z', sized: true });
  family.add({ name: 'push imm8', op: [0x6a], form: 'none', imm: 'b', sized: true });
  family.add({ name: 'push rm', op: [0xff], form: 'rm', ext: 6, sized: true }, 'base', 2);
  family.add({ name: 'pop rm', op: [0x8f], form: 'rm', ext: 0, sized: true }, 'base', 2);
  family.make('pop [esp+disp]', (random) => [instruction('pop [esp+disp]', [...narrow(random), 0x8f, 0x44, 0x24, 4 * (random.below(16) - 8) & 0xff])]);
  family.make('push [esp+disp]', (random) => [instruction('push [esp+disp]', [...narrow(random), 0xff, 0x74, 0x24, 4 * (random.below(16) - 8) & 0xff])]);
  family.add({ name: 'pusha', op: [0x60], form: 'none', sized: true });
  family.add({ name: 'popa', op: [0x61], form: 'none', sized: true });
  family.make('enter', (random) => [instruction('enter', [...narrow(random), 0xc8, random.below(64), random.chance(0.1) ? random.below(256) : 0, random.pick([0, 0, 1, 2, 3, 8, 31, 32, 255])])], 'base', 2);
  family.add({ name: 'leave', op: [0xc9], form: 'none', sized: true });
  family.make('mov esp, stack', (random) => [instruction('mov esp, stack', [0xbc, ...wordBytes(STACK_BASE + random.below(STACK_SIZE))])], 'base', 0.5);
  family.make('push/pop segment', (random) => [instruction('push segment', [...narrow(random), ...random.pick([[0x06], [0x0e], [0x16], [0x1e], [0x0f, 0xa0], [0x0f, 0xa8]])])]);
  family.make('push imm; pop segment', (random) => [
    { ...instruction('push selector', [0x68, ...wordBytes(random.pick(ANY_SELECTORS))]), glued: true },
    instruction('pop segment', [...(random.chance(0.1) ? [0x66] : []), ...random.pick([[0x07], [0x1f], [0x0f, 0xa1], [0x0f, 0xa9], [0x0f, 0xa1], [0x0f, 0xa9]])]),
  ], 'base', 2);
  return family.rows;
}

function control(): Row[] {
  const family = new Family('control');
  const skip = (random: Random) => 1 + random.below(3);
  for (let condition = 0; condition < 16; condition++) {
    const flags: FlagUse = [conditionReads(condition), 0, 0];
    family.make(`j${condition}`, (random) => [{ ...instruction(`j${condition}`, [0x70 + condition, 0], flags), jump: { skip: skip(random), size: 1 } }], 'base', 0.3);
    family.make(`j${condition} near`, (random) => [{ ...instruction(`j${condition} near`, [0x0f, 0x80 + condition, 0, 0, 0, 0], flags), jump: { skip: skip(random), size: 4 } }], 'base', 0.2);
  }
  family.make('jmp', (random) => [{ ...instruction('jmp', [0xeb, 0]), jump: { skip: skip(random), size: 1 } }]);
  family.make('jmp near', (random) => [{ ...instruction('jmp near', [0xe9, 0, 0, 0, 0]), jump: { skip: skip(random), size: 4 } }]);
  family.make('call', (random) => [{ ...instruction('call', [0xe8, 0, 0, 0, 0]), jump: { skip: skip(random), size: 4 } }], 'base', 2);
  for (const [name, op] of [['loopne', 0xe0], ['loope', 0xe1], ['loop', 0xe2], ['jecxz', 0xe3]] as const) {
    family.make(name, (random) => {
      const bytes = [...(random.chance(0.2) ? [0x67] : []), op, 0];
      const setup = random.chance(0.5) ? [move(1, random.pick([0, 1, 2, 0x10000, 0x10001]))] : [];
      return [...setup, { ...instruction(name, bytes, [op < 0xe2 ? ZF : 0, 0, 0]), jump: { skip: skip(random), size: 1 } }];
    });
  }
  // Returns to the following instruction: the address comes from a call over nothing.
  family.make('call; ret', (random) => {
    const pops = random.chance(0.3);
    return [
      { ...instruction('call +0', [0xe8, 0, 0, 0, 0]), glued: true },
      { ...instruction('add [esp], n', [0x83, 0x04, 0x24, pops ? 7 : 5], [0, ARITHMETIC, 0]), glued: true },
      pops ? instruction('ret n', [0xc2, random.below(8) * 4, 0]) : instruction('ret', [0xc3]),
    ];
  }, 'base', 2);
  family.make('push cs; call; retf', () => [
    { ...instruction('push cs', [0x0e]), glued: true },
    { ...instruction('call +0', [0xe8, 0, 0, 0, 0]), glued: true },
    { ...instruction('add [esp], 5', [0x83, 0x04, 0x24, 5], [0, ARITHMETIC, 0]), glued: true },
    instruction('retf', [0xcb]), instruction('nop', [0x90]),
  ]);
  family.make('retf to any selector', (random) => [
    { ...instruction('push selector', [0x68, ...wordBytes(random.pick(ANY_SELECTORS.filter((s) => s !== USER_CODE && s !== 0x1f && s !== 0x27)))]), glued: true },
    { ...instruction('push address', [0x68, ...wordBytes(CODE_BASE + 0x1000)]), glued: true },
    instruction('retf', random.chance(0.3) ? [0xca, 4 * random.below(4), 0] : [0xcb]),
  ], 'base', 0.5);
  family.make('iret', (random) => [
    { ...instruction('push flags', [0x68, ...wordBytes((random.word() & (ARITHMETIC | DF)) | 2)]), glued: true },
    { ...instruction('push cs', [0x0e]), glued: true },
    { ...instruction('call +0', [0xe8, 0, 0, 0, 0]), glued: true },
    { ...instruction('add [esp], 5', [0x83, 0x04, 0x24, 5], [0, ARITHMETIC, 0]), glued: true },
    instruction('iret', [0xcf], [0, ARITHMETIC, 0]), instruction('nop', [0x90]),
  ]);
  family.make('jmp far to any selector', (random) => [instruction('jmp/call far', [random.pick([0xea, 0x9a]), ...wordBytes(CODE_BASE + 0x1ff8), ...wordBytes(random.pick(ANY_SELECTORS)).slice(0, 2)])], 'base', 0.5);
  family.make('jmp/call far [m]', (random) => {
    const at = LAST_BASE + 0x400, store = (offset: number, value: number) => ({ ...instruction('mov [m], imm', [0xc7, 0x05, ...wordBytes(at + offset), ...wordBytes(value)]), glued: true });
    return [store(0, CODE_BASE + 0x1ff8), store(4, random.pick(ANY_SELECTORS)), instruction('jmp/call far [m]', [0xff, random.pick([0x1d, 0x2d]), ...wordBytes(at)])];
  }, 'base', 0.3);
  family.make('jmp/call rm', (random) => [move(2, random.pick([CODE_BASE + 0x1ffe, PATCHABLE_BASE, DATA_BASE, 0, interestingWord(random)])), instruction('jmp/call edx', [0xff, random.pick([0xe2, 0xd2])])], 'base', 0.4);
  family.make('ret n to nowhere', (random) => [instruction('ret n', [0xc2, ...wordBytes(interestingWord(random)).slice(0, 2)])], 'base', 0.2);
  family.add({ name: 'into', op: [0xce], form: 'none', flags: [OF, 0, 0] });
  family.add({ name: 'bound', op: [0x62], form: 'm', size: 8, sized: true });
  family.make('bound that holds', (random) => [move(0, random.below(100)), move(3, LAST_BASE), ...boundsAt(LAST_BASE, random), instruction('bound eax, [ebx]', [0x62, 0x03])]);
  family.make('int3', () => [instruction('int3', [0xcc])], 'base', 0.2);
  family.make('int n', (random) => [instruction('int n', [0xcd, random.pick([0, 1, 3, 4, 5, 13, 14, 0x80, 0x81, 0xff])])], 'base', 0.4);
  family.make('int1', () => [instruction('int1', [0xf1])], 'base', 0.2);
  family.make('nop forms', (random) => [instruction('nop', random.pick([[0x90], [0xf3, 0x90], [0x66, 0x90], [0x0f, 0x1f, 0x00], [0x0f, 0x1f, 0x44, 0x00, 0x00], [0x0f, 0x18, 0x00], [0x0f, 0x0d, 0x00]]))]);
  return family.rows;
}

function boundsAt(address: number, random: Random): Instruction[] {
  const store = (at: number, value: number) => ({ ...instruction('mov [m], imm', [0xc7, 0x05, ...wordBytes(at), ...wordBytes(value >>> 0)]), glued: true });
  return [store(address, random.below(50) - 25), store(address + 4, random.below(100))];
}

function segments(): Row[] {
  const family = new Family('segment');
  family.make('mov sreg, r', (random) => {
    const segment = random.pick([0, 3, 4, 5, 4, 5, 2, 1, 6, 7]);
    return [move(0, random.pick(ANY_SELECTORS) | (random.chance(0.1) ? 0xabcd0000 : 0)), instruction('mov sreg, eax', [0x8e, 0xc0 | (segment << 3)])];
  }, 'base', 4);
  family.make('load ds again', () => [move(0, 0x2b), { ...instruction('mov ds, eax', [0x8e, 0xd8]), glued: true }, instruction('mov es, eax', [0x8e, 0xc0])], 'base', 2);
  family.add({ name: 'mov rm, sreg', op: [0x8c], form: 'rm', sized: true, size: 2, anyReg: true }, 'base', 2);
  for (const [name, op] of [['les', [0xc4]], ['lds', [0xc5]], ['lss', [0x0f, 0xb2]], ['lfs', [0x0f, 0xb4]], ['lgs', [0x0f, 0xb5]]] as const) {
    family.make(name, (random) => {
      const at = LAST_BASE + 0x800;
      const offset = name === 'lss' ? STACK_BASE + 0x1000 : pointer(random);
      return [
        { ...instruction('mov [m], offset', [0xc7, 0x05, ...wordBytes(at), ...wordBytes(offset)]), glued: true },
        { ...instruction('mov [m], selector', [0xc7, 0x05, ...wordBytes(at + 4), ...wordBytes(random.pick(ANY_SELECTORS))]), glued: true },
        instruction(name, [...op, ((name === 'lss' ? 4 : random.pick([3, 6, 7])) << 3) | 5, ...wordBytes(at)]),
      ];
    });
  }
  for (const [name, op, ext] of [['lar', [0x0f, 0x02], -1], ['lsl', [0x0f, 0x03], -1], ['verr', [0x0f, 0x00], 4], ['verw', [0x0f, 0x00], 5]] as const) {
    family.make(name, (random) => [move(0, random.pick(ANY_SELECTORS.filter((s) => s > 0x1b || s < 4))), instruction(name, [...op, 0xc0 | ((ext < 0 ? random.below(3) : ext) << 3)], [0, ZF, 0])]);
  }
  family.make('arpl', (random) => [move(0, random.word()), instruction('arpl', [0x63, 0xc8], [0, ZF, 0])]);
  family.make('through the segment', (random) => [
    { ...instruction('mov r, seg:[m]', [random.pick([0x26, 0x36, 0x3e, 0x64, 0x65]), random.pick([0x8b, 0x89, 0x8a, 0x88, 0x01]), 0x05, ...wordBytes(random.pick([0, 0xffc, 0xffd, 0xfff, 0x1000, 0x1ffc, 0x1ffd, 0x2000, 0x4000, 0xfffc, 0xfffd, 0xffff, 0x10000, DATA_BASE, STACK_BASE + 0x1000, 0xfffffffc]))], [0, 0, 0]) },
  ], 'base', 5);
  return family.rows;
}

function privileged(): Row[] {
  const family = new Family('privileged');
  const forms: readonly (readonly [string, readonly number[]])[] = [
    ['hlt', [0xf4]], ['cli', [0xfa]], ['sti', [0xfb]], ['in al', [0xe4, 0x80]], ['in al, dx', [0xec]], ['out al', [0xe6, 0x80]], ['out dx, eax', [0xef]], ['insb', [0x6c]],
    ['rep outsd', [0xf3, 0x6f]], ['clts', [0x0f, 0x06]], ['invd', [0x0f, 0x08]], ['wbinvd', [0x0f, 0x09]], ['mov cr0, eax', [0x0f, 0x22, 0xc0]], ['mov eax, cr3', [0x0f, 0x20, 0xd8]],
    ['mov eax, dr0', [0x0f, 0x21, 0xc0]], ['mov dr7, eax', [0x0f, 0x23, 0xf8]], ['lgdt', [0x0f, 0x01, 0x15, 0, 0, 0, 0x20]], ['lidt', [0x0f, 0x01, 0x1d, 0, 0, 0, 0x20]],
    ['lldt', [0x0f, 0x00, 0xd0]], ['ltr', [0x0f, 0x00, 0xd8]], ['lmsw', [0x0f, 0x01, 0xf0]], ['invlpg', [0x0f, 0x01, 0x3d, 0, 0, 0, 0x20]], ['rdmsr', [0x0f, 0x32]],
    ['wrmsr', [0x0f, 0x30]], ['ud2', [0x0f, 0x0b]], ['ud1', [0x0f, 0xb9, 0xc0]], ['sysret', [0x0f, 0x07]], ['syscall', [0x0f, 0x05]], ['c7 /1', [0xc7, 0xc8, 0, 0, 0, 0]], ['fe /2', [0xfe, 0xd0]],
    ['ff /7', [0xff, 0xf8]], ['8f /1', [0x8f, 0xc8]], ['0f a6', [0x0f, 0xa6, 0xc0]], ['0f 04', [0x0f, 0x04]], ['0f 24', [0x0f, 0x24, 0xc0]], ['sysexit', [0x0f, 0x35]],
    ['les eax, eax', [0x26, 0x0f, 0xb2, 0xc0]], ['mov cs', [0x8e, 0xc8]], ['ud0', [0x0f, 0xff, 0xc0]], ['rdpmc', [0x0f, 0x33]], ['mov cr5', [0x0f, 0x22, 0xe8]], ['d9 d1', [0xd9, 0xd1]],
    ['monitor', [0x0f, 0x01, 0xc8]], ['rsm', [0x0f, 0xaa]], ['16 bytes', [0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x90]],
    ['15 bytes', [0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x90]],
  ];
  for (const [name, bytes] of forms) family.make(name, () => [instruction(name, bytes)]);
  return family.rows;
}

/** Code that writes into itself; chosen only for cases whose code lies in the patchable region. The offset is filled in by the sequence generator's base. */
function selfModifying(): Row[] {
  const family = new Family('patch');
  family.make('patch the next immediate', (random) => {
    // call +0; pop ebx; mov byte [ebx + n], imm; mov al, imm (patched)
    const value = random.below(256);
    return [
      { ...instruction('call +0', [0xe8, 0, 0, 0, 0]), glued: true }, { ...instruction('pop ebx', [0x5b]), glued: true },
      { ...instruction('mov byte [ebx+6], imm', [0xc6, 0x43, 6, value]), glued: true }, instruction('mov al, patched', [0xb0, 0]),
    ];
  });
  family.make('patch an opcode', (random) => [
    { ...instruction('call +0', [0xe8, 0, 0, 0, 0]), glued: true }, { ...instruction('pop ebx', [0x5b]), glued: true },
    { ...instruction('mov byte [ebx+5], op', [0xc6, 0x43, 5, random.pick([0x40, 0x41, 0x42, 0x48, 0x90, 0x91, 0x92])]), glued: true },
    instruction('patched', [0x90]),
  ]);
  family.make('loop that patches itself', (random) => [
    { ...instruction('mov ecx, n', [0xb9, 2 + random.below(4), 0, 0, 0]), glued: true }, { ...instruction('call +0', [0xe8, 0, 0, 0, 0]), glued: true }, { ...instruction('pop ebx', [0x5b]), glued: true },
    // L: inc byte [ebx + 5]; mov al, imm; add dl, al; loop L
    { ...instruction('inc byte [ebx+5]', [0xfe, 0x43, 5], [0, 0, 0]), glued: true }, { ...instruction('mov al, patched', [0xb0, 0x10]), glued: true },
    { ...instruction('add dl, al', [0x00, 0xc2], [0, ARITHMETIC, 0]), glued: true }, instruction('loop', [0xe2, 0xf7]),
  ]);
  return family.rows;
}

export const SYSTEM_ROWS: readonly Row[] = [...strings(), ...flagInstructions(), ...alignment(), ...stack(), ...control(), ...segments(), ...privileged(), ...selfModifying()];
