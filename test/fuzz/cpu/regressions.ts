/** Cases by hand: each guards a fault that random cases found in the engine and a patch mended (emu/unicorn/patches). */
import { assemble } from './instruction.ts';
import { CODE_BASE, DATA_BASE, LAST_BASE, READ_ONLY_BASE, STACK_BASE, STACK_SIZE } from './layout.ts';
import { type Feature, instruction } from './row.ts';
import type { Case } from './sequence.ts';
import { AF, ARITHMETIC, copyState, NT, PF, plainState, SF } from './state.ts';

interface Regression {
  /** What the CPU does. */
  readonly name: string;
  /** Machine code, in hexadecimal. */
  readonly code: string;
  readonly regs?: Partial<Record<'eax' | 'ecx' | 'edx' | 'ebx' | 'esp' | 'ebp' | 'esi' | 'edi', number>>;
  readonly eflags?: number;
  readonly selectors?: Partial<Record<'es' | 'ds' | 'fs' | 'gs', number>>;
  /** Bytes of xmm0 and xmm1. */
  readonly xmm?: readonly number[];
  /** Arithmetic flags that the manual leaves undefined at the end. */
  readonly undefinedFlags?: number;
  /** What the bare CPU must offer. */
  readonly needs?: Feature;
}

const HOLE = DATA_BASE + 0x3000;
const STACK_TOP = STACK_BASE + STACK_SIZE;
const REGISTERS = ['eax', 'ecx', 'edx', 'ebx', 'esp', 'ebp', 'esi', 'edi'] as const;
const SEGMENTS = ['es', 'cs', 'ss', 'ds', 'fs', 'gs'] as const;

export const REGRESSIONS: readonly Regression[] = [
  { name: 'a far return pops from the guest and from nowhere else', code: 'cb', regs: { esp: STACK_BASE + 0x100 } },
  { name: 'a far return to an unmapped stack is a page fault', code: 'cb', regs: { esp: 0x1000 } },
  { name: 'a far call to an unmapped stack is a page fault', code: '9a000000002300', regs: { esp: 0x1000 } },
  { name: 'iret to an unmapped stack is a page fault', code: 'cf', regs: { esp: 0x1000 } },
  { name: 'iret in user mode does not enter virtual 8086 mode', code: '68020002000e68f00f0010cf', regs: {} },
  { name: 'iret with NT is a general protection fault', code: 'cf', eflags: 0x202 | NT },
  { name: 'a far return reads 16 bits of the selector', code: 'cb', regs: { esp: STACK_TOP - 6 } },
  { name: 'idiv of -2^63 by -1 is a divide error', code: 'f7f9', regs: { eax: 0, edx: 0x80000000, ecx: 0xffffffff } },
  { name: 'idiv of -2^31 by -1 in 16 bits is a divide error', code: '66f7f9', regs: { eax: 0, edx: 0x8000, ecx: 0xffff } },
  { name: 'pcmpestrm takes a length of -2^31 as 16', code: '660f3a60c13f', regs: { eax: 0x80000000, edx: 0x80000000 }, needs: 'sse42' },
  { name: 'pcmpestri takes a length of -2^31 as 16', code: '660f3a61c10c', regs: { eax: 0x80000000, edx: 0x80000000 }, needs: 'sse42' },
  { name: 'cmpxchg8b keeps the flags of the operation before', code: '39d10fc70d00000020', regs: { ecx: 5, edx: 9 } },
  { name: 'bswap of 16 bits gives zero', code: '660fc8', regs: { eax: 0x12345678 } },
  { name: 'a locked neg sets the flags of its result', code: 'f0f71d00000020' },
  { name: 'loopne keeps the flags when ecx becomes zero', code: '30ddb901000000e000' },
  { name: 'a rotate through carry that faults leaves the flags', code: '39d1d21e', regs: { ecx: 3, edx: 4, esi: HOLE } },
  { name: 'setp to a read-only page leaves the flags', code: '39d10f9a05' + hexWord(READ_ONLY_BASE), regs: { ecx: 5, edx: 9 } },
  { name: 'pop with another reg field is no instruction', code: '8fc8' },
  { name: 'test with /1 is test', code: 'f7c900000100', regs: { ecx: 0x10000 } },
  { name: 'control register 5 is no instruction', code: '0f22e8' },
  { name: 'rdpmc is a general protection fault', code: '0f33' },
  { name: 'int1 is a trap behind itself', code: 'f1' },
  { name: 'lock on a register is no instruction', code: 'f001c8' },
  { name: 'lock on an instruction that only reads is no instruction', code: 'f03b0500000020' },
  { name: 'lock on an x87 instruction is no instruction', code: 'f0d9e8' },
  { name: 'a push of a segment register writes 16 bits', code: '06' },
  { name: 'pusha writes downwards until it faults', code: '60', regs: { esp: STACK_BASE + 0x1e } },
  { name: 'popa reads the slot of esp', code: '61', regs: { esp: STACK_TOP - 0x10 } },
  { name: 'enter needs a writable page where esp ends', code: 'c8009b00' },
  { name: 'enter with 16-bit operands sets bp only', code: '66c8240001', regs: { ebp: 0x12345678 } },
  { name: 'ret adds an unsigned count', code: 'c20080' },
  { name: 'lar shows the limit bits', code: 'b82b0000000f02c8' },
  {
    name: 'bound does not read the upper bound when the lower fails',
    code: 'c705fc2f002005000000' + '6203',
    regs: { eax: 1, ebx: HOLE - 4 },
  },
  { name: 'a read-modify-write of an unmapped page is a write fault', code: '0105' + hexWord(HOLE) },
  { name: 'inc of an unmapped page is a write fault', code: 'ff05' + hexWord(HOLE) },
  { name: 'cmp with an unmapped page is a read fault', code: '3905' + hexWord(HOLE) },
  { name: 'an access beyond the limit of a segment is a general protection fault', code: '658b05fd1f0000', selectors: { gs: 0x6b } },
  { name: 'an access at the limit of a segment is good', code: '658b05fc1f0000', selectors: { gs: 0x6b } },
  { name: 'a store to a read-only segment is a general protection fault', code: '658905' + hexWord(DATA_BASE), selectors: { gs: 0x73 } },
  { name: 'a load from a read-only segment is good', code: '658b05' + hexWord(DATA_BASE), selectors: { gs: 0x73 } },
  { name: 'a store through cs is a general protection fault', code: '2e8905' + hexWord(DATA_BASE) },
  { name: 'an access through a null selector is a general protection fault', code: '658b05' + hexWord(DATA_BASE) },
  { name: 'an expand-down segment starts above its limit', code: '658b05ff0f0000', selectors: { gs: 0x0f } },
  {
    name: 'rep movs through a limited segment stops at the limit',
    code: 'f365a5',
    regs: { ecx: 16, esi: 0x1fe0, edi: LAST_BASE },
    selectors: { gs: 0x6b },
  },
  { name: 'an instruction of 16 bytes is a general protection fault', code: '66'.repeat(15) + '90' },
  { name: 'phaddw with one register twice', code: '660f3801c0', xmm: [1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0, 7, 0, 8, 0], needs: 'ssse3' },
  { name: 'maskmovdqu with an empty mask still needs a writable page', code: '660ff7c1', regs: { edi: HOLE }, xmm: [] },
  { name: 'movaps needs alignment', code: '0f2805' + hexWord(DATA_BASE + 4) },
  { name: 'an MMX load that faults leaves the x87 stack', code: '0f6f05' + hexWord(HOLE) },
  { name: 'fxsave that faults leaves memory', code: '0fae05' + hexWord(HOLE - 0x100) },
  {
    name: 'blsi sets the carry of a source that is not zero',
    code: 'c4e270f3da',
    regs: { edx: 4 },
    undefinedFlags: AF | PF,
    needs: 'bmi1',
  },
  { name: 'bzhi at bit 31 keeps 31 bits', code: 'c4e260f5c1', regs: { ebx: 31, ecx: 0xffffffff }, undefinedFlags: AF | PF, needs: 'bmi2' },
  {
    name: 'bextr of 32 bits keeps all',
    code: 'c4e270f7c2',
    regs: { ecx: 0x2000, edx: 0xffffffff },
    undefinedFlags: SF | AF | PF,
    needs: 'bmi1',
  },
  { name: 'an invalid MMX shift does not enter MMX state', code: '0f71da00' },
  { name: 'f2 goes before 66 in front of an SSE opcode', code: '66f20fddc1' },
  { name: 'of two repeat prefixes the last counts', code: 'f2f30f58c1', xmm: [0, 0, 128, 63] },
  { name: 'cmpps looks at three bits of its immediate', code: '0fc2c10f' },
  { name: 'movbe has no register form', code: '0f38f0d6', needs: 'movbe' },
  { name: 'movmskps has no memory form', code: '0f5005' + hexWord(DATA_BASE) },
  { name: 'arpl that changes nothing does not write', code: '630d' + hexWord(READ_ONLY_BASE + 0x10) },
  { name: 'movups may be anywhere with alignment checks', code: '68020204009d0f100501000020' },
  { name: 'an unaligned load with alignment checks is a fault', code: '68020204009d8b0501000020' },
  { name: 'an unaligned x87 load with alignment checks is a fault', code: '68020204009ddd0504000020' },
  { name: 'a store across a page end that faults writes nothing', code: '8905' + hexWord(HOLE - 2), regs: { eax: 0x11223344 } },
  { name: 'movdqu across a page end that faults writes nothing', code: 'f30f7f05' + hexWord(HOLE - 5), xmm: [1, 2, 3, 4, 5, 6, 7, 8, 9] },
];

function hexWord(value: number): string {
  return [0, 8, 16, 24].map((shift) => ((value >>> shift) & 0xff).toString(16).padStart(2, '0')).join('');
}

/** The regression as a case of the harness; `index` names it. */
export function regressionCase(regression: Regression, index: number): Case {
  const state = copyState(plainState(0));
  REGISTERS.forEach((name, i) => (state.regs[i] = (regression.regs?.[name] ?? state.regs[i]) >>> 0));
  if (regression.eflags !== undefined) state.eflags = regression.eflags;
  SEGMENTS.forEach((name, i) => {
    if (name !== 'cs' && name !== 'ss' && regression.selectors?.[name] !== undefined) state.selectors[i] = regression.selectors[name];
  });
  if (regression.xmm) state.fx.set(regression.xmm, 160);
  const bytes = [...Buffer.from(regression.code, 'hex')];
  const list = [instruction(regression.name, bytes, [0, ARITHMETIC, regression.undefinedFlags ?? 0])];
  return { seed: 0, index, state, target: CODE_BASE + 0x800, list, sequence: assemble(list) };
}
