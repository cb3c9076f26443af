/** The registers a case starts from, and their generator. */
import { DATA_SELECTORS, pointer, STACK_BASE, STACK_SIZE, USER_CODE, USER_DATA } from './layout.ts';
import { interestingDouble, interestingExtended, interestingFloat, interestingWord, type Random } from './random.ts';

export const FX_SIZE = 288;
/** Offsets in an FXSAVE image. */
export const FX_CONTROL = 0,
  FX_STATUS = 2,
  FX_TAG = 4,
  FX_OPCODE = 6,
  FX_IP = 8,
  FX_DP = 16,
  FX_MXCSR = 24,
  FX_ST = 32,
  FX_XMM = 160;

export const CF = 1,
  PF = 4,
  AF = 0x10,
  ZF = 0x40,
  SF = 0x80,
  TF = 0x100,
  DF = 0x400,
  OF = 0x800,
  NT = 0x4000,
  AC = 0x40000,
  ID = 0x200000;
export const ARITHMETIC = CF | PF | AF | ZF | SF | OF;

/** The flags that condition code `condition` (the low four bits of jcc, setcc, cmovcc) looks at. */
export function conditionReads(condition: number): number {
  return [OF, CF, ZF, CF | ZF, SF, PF, SF | OF, ZF | SF | OF][condition >> 1];
}

export interface State {
  /** In encoding order: eax, ecx, edx, ebx, esp, ebp, esi, edi. */
  readonly regs: Uint32Array;
  eflags: number;
  /** In encoding order: es, cs, ss, ds, fs, gs. */
  readonly selectors: number[];
  /** The first 288 bytes of an FXSAVE image. */
  readonly fx: Uint8Array;
  /** Which pattern fills the data regions. */
  readonly pattern: number;
}

export function copyState(state: State): State {
  return { regs: state.regs.slice(), eflags: state.eflags, selectors: [...state.selectors], fx: state.fx.slice(), pattern: state.pattern };
}

/** The state after execve, with the stack pointer in the middle of the stack region: what shrinking steers towards. */
export function plainState(pattern: number): State {
  const fx = new Uint8Array(FX_SIZE);
  const view = new DataView(fx.buffer);
  view.setUint16(FX_CONTROL, 0x37f, true);
  view.setUint32(FX_MXCSR, 0x1f80, true);
  const regs = new Uint32Array(8);
  regs[4] = STACK_BASE + 0x1000;
  return { regs, eflags: 0x202, selectors: [USER_DATA, USER_CODE, USER_DATA, USER_DATA, 0, 0], fx, pattern };
}

export function generateState(random: Random, pattern: number): State {
  const state = plainState(pattern);
  for (let i = 0; i < 8; i++) state.regs[i] = interestingWord(random);
  for (const pointerRegister of [3, 5, 6, 7]) if (random.chance(0.9)) state.regs[pointerRegister] = pointer(random);
  state.regs[4] = generateStackPointer(random);
  state.eflags =
    0x202 | (random.word() & ARITHMETIC) | (random.chance(0.2) ? DF : 0) | (random.chance(0.02) ? NT : 0) | (random.chance(0.05) ? ID : 0);
  // Mostly a thread area without a limit, as programs use it.
  for (const segment of [4, 5])
    state.selectors[segment] = random.chance(0.93) ? 0x63 : random.chance(0.3) ? 0 : random.pick(DATA_SELECTORS);
  for (const segment of [0, 3]) if (random.chance(0.01)) state.selectors[segment] = random.pick(DATA_SELECTORS);
  generateFpu(random, state.fx);
  generateSse(random, state.fx);
  return state;
}

function generateStackPointer(random: Random): number {
  switch (random.below(12)) {
    case 0:
      return STACK_BASE + random.below(32);
    case 1:
      return STACK_BASE + STACK_SIZE - random.below(32);
    case 2:
      return STACK_BASE + 0x1000 - 4 + random.below(9);
    case 3:
      return pointer(random);
    default:
      return STACK_BASE + 0x400 + 4 * random.below(0x500);
  }
}

function generateFpu(random: Random, fx: Uint8Array): void {
  const view = new DataView(fx.buffer, fx.byteOffset);
  const masks = random.chance(0.7) ? 0x3f : random.below(64);
  const control = 0x40 | masks | (random.pick([0, 2, 3, 3, 3]) << 8) | (random.chance(0.4) ? random.below(4) << 10 : 0);
  const flags = random.chance(0.2) ? random.below(128) & (random.chance(0.9) ? masks | 0x40 : 0x7f) : 0;
  const pending = (flags & 0x3f & ~masks) !== 0;
  const status = flags | (pending ? 0x8080 : 0) | (random.below(8) << 11) | (random.word() & 0x4700);
  view.setUint16(FX_CONTROL, control, true);
  view.setUint16(FX_STATUS, status, true);
  fx[FX_TAG] = random.pick([0, 0xff, 0xff, 0x0f, 0xf0, random.below(256), random.below(256)]);
  for (let i = 0; i < 8; i++) {
    const [low, high, exponent] = interestingExtended(random);
    view.setUint32(FX_ST + 16 * i, low, true);
    view.setUint32(FX_ST + 16 * i + 4, high, true);
    view.setUint16(FX_ST + 16 * i + 8, exponent, true);
  }
}

function generateSse(random: Random, fx: Uint8Array): void {
  const view = new DataView(fx.buffer, fx.byteOffset);
  let mxcsr = 0x1f80;
  if (random.chance(0.4))
    mxcsr =
      (random.chance(0.6) ? 0x1f80 : random.below(64) << 7) |
      (random.below(4) << 13) |
      (random.chance(0.3) ? 0x8000 : 0) |
      (random.chance(0.3) ? 0x40 : 0);
  if (random.chance(0.2)) mxcsr |= random.below(64);
  view.setUint32(FX_MXCSR, mxcsr, true);
  for (let at = FX_XMM; at < FX_SIZE; at += 8) {
    const kind = random.below(4);
    const [low, high] =
      kind === 0
        ? interestingDouble(random)
        : kind === 1
          ? [interestingWord(random), interestingWord(random)]
          : [interestingFloat(random), interestingFloat(random)];
    view.setUint32(at, low, true);
    view.setUint32(at + 4, high, true);
  }
}
