/** The instruction table: MMX, SSE to SSE4.2, AES and carry-less multiplication, as lists of opcodes. */
import { Family, type Feature, type FlagUse, type Row, type Spec } from './row.ts';
import { ARITHMETIC } from './state.ts';

type Form = Spec['form'];
const COMPARE: FlagUse = [0, ARITHMETIC, 0];

/** Parses lines of `name opcode...` as hexadecimal, and adds each with the common part of the spec. */
function list(family: Family, lines: string, common: Partial<Spec> & { form: Form }, feature: Feature = 'base'): void {
  for (const entry of lines.split(',')) {
    const [name, ...bytes] = entry.trim().split(/\s+/);
    family.add({ name, op: bytes.map((byte) => Number.parseInt(byte, 16)), anyReg: true, ...common }, feature);
  }
}

/** Operations that exist for MMX (no prefix, 8 bytes) and for SSE2 (66, 16 bytes). */
const PACKED_INTEGER = `punpcklbw 0f 60, punpcklwd 0f 61, punpckldq 0f 62, packsswb 0f 63, pcmpgtb 0f 64, pcmpgtw 0f 65, pcmpgtd 0f 66, packuswb 0f 67, punpckhbw 0f 68,
  punpckhwd 0f 69, punpckhdq 0f 6a, packssdw 0f 6b, pcmpeqb 0f 74, pcmpeqw 0f 75, pcmpeqd 0f 76, psrlw 0f d1, psrld 0f d2, psrlq 0f d3, paddq 0f d4, pmullw 0f d5, psubusb 0f d8,
  psubusw 0f d9, pminub 0f da, pand 0f db, paddusb 0f dc, paddusw 0f dd, pmaxub 0f de, pandn 0f df, pavgb 0f e0, psraw 0f e1, psrad 0f e2, pavgw 0f e3, pmulhuw 0f e4, pmulhw 0f e5,
  psubsb 0f e8, psubsw 0f e9, pminsw 0f ea, por 0f eb, paddsb 0f ec, paddsw 0f ed, pmaxsw 0f ee, pxor 0f ef, psllw 0f f1, pslld 0f f2, psllq 0f f3, pmuludq 0f f4, pmaddwd 0f f5,
  psadbw 0f f6, psubb 0f f8, psubw 0f f9, psubd 0f fa, psubq 0f fb, paddb 0f fc, paddw 0f fd, paddd 0f fe`;

const SSSE3_PACKED = `pshufb 0f 38 00, phaddw 0f 38 01, phaddd 0f 38 02, phaddsw 0f 38 03, pmaddubsw 0f 38 04, phsubw 0f 38 05, phsubd 0f 38 06, phsubsw 0f 38 07, psignb 0f 38 08,
  psignw 0f 38 09, psignd 0f 38 0a, pmulhrsw 0f 38 0b, pabsb 0f 38 1c, pabsw 0f 38 1d, pabsd 0f 38 1e`;

function shiftsByImmediate(family: Family, mandatory: number | undefined): void {
  const size = mandatory ? 16 : 8;
  for (const [name, op, ext] of [['psrlw', 0x71, 2], ['psraw', 0x71, 4], ['psllw', 0x71, 6], ['psrld', 0x72, 2], ['psrad', 0x72, 4], ['pslld', 0x72, 6], ['psrlq', 0x73, 2], ['psllq', 0x73, 6]] as const) {
    family.add({ name: `${name} imm`, op: [0x0f, op], form: 'r', ext, imm: 'b', anyReg: true, mandatory, size }, 'base', 0.5);
  }
}

function mmx(): Row[] {
  const family = new Family('mmx');
  list(family, PACKED_INTEGER, { form: 'rm', size: 8 });
  list(family, 'movd 0f 6e, movd-store 0f 7e', { form: 'rm', size: 4 });
  list(family, 'movq 0f 6f, movq-store 0f 7f', { form: 'rm', size: 8 });
  list(family, 'movntq 0f e7', { form: 'm', size: 8 });
  list(family, 'pshufw 0f 70', { form: 'rm', size: 8, imm: 'b' });
  list(family, 'pinsrw 0f c4', { form: 'rm', size: 2, imm: 'b' });
  list(family, 'pextrw 0f c5', { form: 'r', imm: 'b' });
  list(family, 'pmovmskb 0f d7, maskmovq 0f f7', { form: 'r' });
  list(family, 'emms 0f 77', { form: 'none' });
  shiftsByImmediate(family, undefined);
  list(family, SSSE3_PACKED, { form: 'rm', size: 8 }, 'ssse3');
  list(family, 'palignr 0f 3a 0f', { form: 'rm', size: 8, imm: 'b' }, 'ssse3');
  return family.rows;
}

function sse(): Row[] {
  const family = new Family('sse');
  const packed = { size: 16, align: 16 } as const;
  list(family, `movaps 0f 28, movaps-store 0f 29, unpcklps 0f 14, unpckhps 0f 15, andps 0f 54, andnps 0f 55, orps 0f 56, xorps 0f 57`, { form: 'rm', ...packed });
  list(family, `sqrtps 0f 51, addps 0f 58, mulps 0f 59, subps 0f 5c, minps 0f 5d, divps 0f 5e, maxps 0f 5f, addps 0f 58, mulps 0f 59, divps 0f 5e`, { form: 'rm', ...packed });
  list(family, 'movups 0f 10, movups-store 0f 11', { form: 'rm', size: 16 });
  list(family, 'movlps 0f 12, movhps 0f 16', { form: 'rm', size: 8 });
  list(family, 'movlps-store 0f 13, movhps-store 0f 17', { form: 'm', size: 8 });
  list(family, 'movntps 0f 2b', { form: 'm', ...packed });
  list(family, 'cmpps 0f c2', { form: 'rm', ...packed, immValues: [0, 1, 2, 3, 4, 5, 6, 7] });
  list(family, 'shufps 0f c6', { form: 'rm', ...packed, imm: 'b' });
  list(family, 'ucomiss 0f 2e, comiss 0f 2f', { form: 'rm', size: 4, flags: COMPARE });
  list(family, 'movmskps 0f 50', { form: 'r' });
  list(family, 'movss 0f 10, movss-store 0f 11, sqrtss 0f 51, addss 0f 58, mulss 0f 59, subss 0f 5c, minss 0f 5d, divss 0f 5e, maxss 0f 5f', { form: 'rm', size: 4, mandatory: 0xf3 });
  list(family, 'cmpss 0f c2', { form: 'rm', size: 4, mandatory: 0xf3, immValues: [0, 1, 2, 3, 4, 5, 6, 7] });
  list(family, 'rsqrtps 0f 52, rcpps 0f 53', { form: 'rm', ...packed, approximate: 'reciprocal' });
  list(family, 'rsqrtss 0f 52, rcpss 0f 53', { form: 'rm', size: 4, mandatory: 0xf3, approximate: 'reciprocal' });
  list(family, 'prefetch 0f 18', { form: 'm', ext: 1, size: 1 });
  list(family, 'sfence 0f ae f8, lfence 0f ae e8, mfence 0f ae f0', { form: 'none' });
  list(family, 'stmxcsr 0f ae', { form: 'm', ext: 3, size: 4 });
  family.make('ldmxcsr', (random) => {
    const at = 0x20005800, value = random.chance(0.05) ? random.word() : (random.chance(0.6) ? 0x1f80 : random.below(64) << 7) | (random.below(4) << 13) | (random.below(2) << 15) | (random.below(2) << 6);
    const word = (n: number) => [n & 0xff, (n >>> 8) & 0xff, (n >>> 16) & 0xff, n >>> 24];
    const use = { reads: 0, defines: 0, undefines: 0 };
    return [{ name: 'mov [m], mxcsr', bytes: [0xc7, 0x05, ...word(at), ...word(value)], ...use, glued: true }, { name: 'ldmxcsr', bytes: [0x0f, 0xae, 0x15, ...word(at)], ...use }];
  }, 'base', 3);
  return family.rows;
}

function sse2(): Row[] {
  const family = new Family('sse2');
  const packed = { size: 16, align: 16, mandatory: 0x66 } as const, scalar = { size: 8, mandatory: 0xf2 } as const;
  list(family, PACKED_INTEGER, { form: 'rm', ...packed });
  list(family, 'punpcklqdq 0f 6c, punpckhqdq 0f 6d, movdqa 0f 6f, movdqa-store 0f 7f, movapd 0f 28, movapd-store 0f 29, unpcklpd 0f 14, unpckhpd 0f 15, andpd 0f 54, andnpd 0f 55, orpd 0f 56, xorpd 0f 57', { form: 'rm', ...packed });
  list(family, 'sqrtpd 0f 51, addpd 0f 58, mulpd 0f 59, subpd 0f 5c, minpd 0f 5d, divpd 0f 5e, maxpd 0f 5f', { form: 'rm', ...packed });
  list(family, 'movupd 0f 10, movupd-store 0f 11', { form: 'rm', size: 16, mandatory: 0x66 });
  list(family, 'movdqu 0f 6f, movdqu-store 0f 7f', { form: 'rm', size: 16, mandatory: 0xf3 });
  list(family, 'movlpd 0f 12, movlpd-store 0f 13, movhpd 0f 16, movhpd-store 0f 17', { form: 'm', size: 8, mandatory: 0x66 });
  list(family, 'movntpd 0f 2b, movntdq 0f e7', { form: 'm', ...packed });
  list(family, 'movnti 0f c3', { form: 'm', size: 4 });
  list(family, 'movd 0f 6e, movd-store 0f 7e', { form: 'rm', size: 4, mandatory: 0x66 });
  list(family, 'movq-store 0f d6', { form: 'rm', size: 8, mandatory: 0x66 });
  list(family, 'movq 0f 7e', { form: 'rm', size: 8, mandatory: 0xf3 });
  list(family, 'movq2dq 0f d6', { form: 'r', mandatory: 0xf3 });
  list(family, 'movdq2q 0f d6', { form: 'r', mandatory: 0xf2 });
  list(family, 'cmppd 0f c2', { form: 'rm', ...packed, immValues: [0, 1, 2, 3, 4, 5, 6, 7] });
  list(family, 'cmpsd 0f c2', { form: 'rm', ...scalar, immValues: [0, 1, 2, 3, 4, 5, 6, 7] });
  list(family, 'shufpd 0f c6, pshufd 0f 70', { form: 'rm', ...packed, imm: 'b' });
  list(family, 'pshufhw 0f 70', { form: 'rm', size: 16, align: 16, mandatory: 0xf3, imm: 'b' });
  list(family, 'pshuflw 0f 70', { form: 'rm', size: 16, align: 16, mandatory: 0xf2, imm: 'b' });
  list(family, 'pinsrw 0f c4', { form: 'rm', size: 2, mandatory: 0x66, imm: 'b' });
  list(family, 'pextrw 0f c5', { form: 'r', mandatory: 0x66, imm: 'b' });
  list(family, 'pmovmskb 0f d7, movmskpd 0f 50, maskmovdqu 0f f7', { form: 'r', mandatory: 0x66 });
  list(family, 'ucomisd 0f 2e, comisd 0f 2f', { form: 'rm', size: 8, mandatory: 0x66, flags: COMPARE });
  list(family, 'movsd 0f 10, movsd-store 0f 11, sqrtsd 0f 51, addsd 0f 58, mulsd 0f 59, subsd 0f 5c, minsd 0f 5d, divsd 0f 5e, maxsd 0f 5f', { form: 'rm', ...scalar });
  list(family, 'pslldq 0f 73', { form: 'r', ext: 7, imm: 'b', mandatory: 0x66 });
  list(family, 'psrldq 0f 73', { form: 'r', ext: 3, imm: 'b', mandatory: 0x66 });
  list(family, 'clflush 0f ae', { form: 'm', ext: 7, size: 1 });
  shiftsByImmediate(family, 0x66);
  return family.rows;
}

function conversions(): Row[] {
  const family = new Family('convert');
  list(family, 'cvtpi2ps 0f 2a, cvttps2pi 0f 2c, cvtps2pi 0f 2d, cvtps2pd 0f 5a', { form: 'rm', size: 8 });
  list(family, 'cvtsi2ss 0f 2a, cvttss2si 0f 2c, cvtss2si 0f 2d, cvtss2sd 0f 5a', { form: 'rm', size: 4, mandatory: 0xf3 });
  list(family, 'cvtdq2ps 0f 5b', { form: 'rm', size: 16, align: 16 });
  list(family, 'cvtpi2pd 0f 2a', { form: 'rm', size: 8, mandatory: 0x66 });
  list(family, 'cvttpd2pi 0f 2c, cvtpd2pi 0f 2d, cvtpd2ps 0f 5a, cvtps2dq 0f 5b, cvttpd2dq 0f e6', { form: 'rm', size: 16, align: 16, mandatory: 0x66 });
  list(family, 'cvttps2dq 0f 5b', { form: 'rm', size: 16, align: 16, mandatory: 0xf3 });
  list(family, 'cvtdq2pd 0f e6', { form: 'rm', size: 8, mandatory: 0xf3 });
  list(family, 'cvtsi2sd 0f 2a', { form: 'rm', size: 4, mandatory: 0xf2 });
  list(family, 'cvttsd2si 0f 2c, cvtsd2si 0f 2d, cvtsd2ss 0f 5a', { form: 'rm', size: 8, mandatory: 0xf2 });
  list(family, 'cvtpd2dq 0f e6', { form: 'rm', size: 16, align: 16, mandatory: 0xf2 });
  return family.rows;
}

function later(): Row[] {
  const family = new Family('sse3-4');
  const packed = { size: 16, align: 16, mandatory: 0x66 } as const;
  list(family, 'haddpd 0f 7c, hsubpd 0f 7d, addsubpd 0f d0', { form: 'rm', ...packed }, 'sse3');
  list(family, 'haddps 0f 7c, hsubps 0f 7d, addsubps 0f d0', { form: 'rm', size: 16, align: 16, mandatory: 0xf2 }, 'sse3');
  list(family, 'movddup 0f 12', { form: 'rm', size: 8, mandatory: 0xf2 }, 'sse3');
  list(family, 'movsldup 0f 12, movshdup 0f 16', { form: 'rm', size: 16, align: 16, mandatory: 0xf3 }, 'sse3');
  list(family, 'lddqu 0f f0', { form: 'm', size: 16, mandatory: 0xf2 }, 'sse3');
  list(family, SSSE3_PACKED, { form: 'rm', ...packed }, 'ssse3');
  list(family, 'palignr 0f 3a 0f', { form: 'rm', ...packed, imm: 'b' }, 'ssse3');
  list(family, 'pblendvb 0f 38 10, blendvps 0f 38 14, blendvpd 0f 38 15, pmuldq 0f 38 28, pcmpeqq 0f 38 29, packusdw 0f 38 2b, pminsb 0f 38 38, pminsd 0f 38 39, pminuw 0f 38 3a, pminud 0f 38 3b, pmaxsb 0f 38 3c, pmaxsd 0f 38 3d, pmaxuw 0f 38 3e, pmaxud 0f 38 3f, pmulld 0f 38 40, phminposuw 0f 38 41', { form: 'rm', ...packed }, 'sse41');
  list(family, 'ptest 0f 38 17', { form: 'rm', ...packed, flags: COMPARE }, 'sse41');
  list(family, 'pmovsxbw 0f 38 20, pmovsxwd 0f 38 23, pmovsxdq 0f 38 25, pmovzxbw 0f 38 30, pmovzxwd 0f 38 33, pmovzxdq 0f 38 35', { form: 'rm', size: 8, mandatory: 0x66 }, 'sse41');
  list(family, 'pmovsxbd 0f 38 21, pmovsxwq 0f 38 24, pmovzxbd 0f 38 31, pmovzxwq 0f 38 34', { form: 'rm', size: 4, mandatory: 0x66 }, 'sse41');
  list(family, 'pmovsxbq 0f 38 22, pmovzxbq 0f 38 32', { form: 'rm', size: 2, mandatory: 0x66 }, 'sse41');
  list(family, 'movntdqa 0f 38 2a', { form: 'm', ...packed }, 'sse41');
  list(family, 'blendps 0f 3a 0c, blendpd 0f 3a 0d, pblendw 0f 3a 0e, dpps 0f 3a 40, dppd 0f 3a 41, mpsadbw 0f 3a 42', { form: 'rm', ...packed, imm: 'b' }, 'sse41');
  const rounding = [0, 1, 2, 3, 4, 8, 9, 10, 11, 12];
  list(family, 'roundps 0f 3a 08, roundpd 0f 3a 09', { form: 'rm', ...packed, immValues: rounding }, 'sse41');
  list(family, 'roundss 0f 3a 0a', { form: 'rm', size: 4, mandatory: 0x66, immValues: rounding }, 'sse41');
  list(family, 'roundsd 0f 3a 0b', { form: 'rm', size: 8, mandatory: 0x66, immValues: rounding }, 'sse41');
  list(family, 'pextrb 0f 3a 14, pinsrb 0f 3a 20', { form: 'rm', size: 1, mandatory: 0x66, imm: 'b' }, 'sse41');
  list(family, 'pextrw 0f 3a 15', { form: 'rm', size: 2, mandatory: 0x66, imm: 'b' }, 'sse41');
  list(family, 'pextrd 0f 3a 16, extractps 0f 3a 17, insertps 0f 3a 21, pinsrd 0f 3a 22', { form: 'rm', size: 4, mandatory: 0x66, imm: 'b' }, 'sse41');
  list(family, 'pcmpgtq 0f 38 37', { form: 'rm', ...packed }, 'sse42');
  list(family, 'pcmpestrm 0f 3a 60, pcmpestri 0f 3a 61, pcmpistrm 0f 3a 62, pcmpistri 0f 3a 63', { form: 'rm', size: 16, mandatory: 0x66, imm: 'b', flags: COMPARE }, 'sse42');
  list(family, 'aesimc 0f 38 db, aesenc 0f 38 dc, aesenclast 0f 38 dd, aesdec 0f 38 de, aesdeclast 0f 38 df', { form: 'rm', ...packed }, 'aes');
  list(family, 'aeskeygenassist 0f 3a df', { form: 'rm', ...packed, imm: 'b' }, 'aes');
  list(family, 'pclmulqdq 0f 3a 44', { form: 'rm', ...packed, imm: 'b' }, 'pclmul');
  return family.rows;
}

export const SSE_ROWS: readonly Row[] = [...mmx(), ...sse(), ...sse2(), ...conversions(), ...later()];
