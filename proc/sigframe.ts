/**
 * Signal frames, byte for byte as a 64-bit Linux kernel lays them out for i386 programs (arch/x86/kernel/signal_32.c, fpu/signal.c) on a
 * CPU whose extended state is x87 and SSE: building one for a handler, and taking one back in sigreturn.
 */
import { assert } from '../abi/assert.ts';
import { EFAULT, errno } from '../abi/errno.ts';
import { SA_ONSTACK, SA_RESTORER, SA_SIGINFO, SIGINFO_SIZE, type SignalSet, SS_AUTODISARM, SS_DISABLE, SS_ONSTACK } from '../abi/signal.ts';
import { CS, DS, EAX, EBP, EBX, ECX, EDI, EDX, ES, ESI, ESP, FS, GS, type Registers, SS } from '../emu/engine.ts';
import { encodeSiginfo, type SignalInfo } from './siginfo.ts';
import { type AlternateStack, difference, NO_STACK, type SignalAction, UNBLOCKABLE } from './signal.ts';
import type { Task } from './task.ts';

export const USER_CS = 0x23,
  USER_DS = 0x2b;

/** struct sigcontext_32: member offsets. */
const SC = {
  gs: 0,
  fs: 4,
  es: 8,
  ds: 12,
  di: 16,
  si: 20,
  bp: 24,
  sp: 28,
  bx: 32,
  dx: 36,
  cx: 40,
  ax: 44,
  trapno: 48,
  err: 52,
  ip: 56,
  cs: 60,
  flags: 64,
  spAtSignal: 68,
  ss: 72,
  fpstate: 76,
  oldmask: 80,
  cr2: 84,
};
const SC_SIZE = 88;
/** struct sigframe_ia32: pretcode, sig, sc, an unused fpstate, extramask, retcode. */
const OLD = { sig: 4, sc: 8, extramask: 720, retcode: 724, size: 732 };
/** struct rt_sigframe_ia32: pretcode, sig, pinfo, puc, info, uc { flags, link, stack, sc, sigmask }, retcode. */
const RT = { sig: 4, pinfo: 8, puc: 12, info: 16, uc: 144, stack: 152, sc: 164, sigmask: 252, retcode: 260, size: 268 };

/** The fsave image with status and magic words, then the fxsave image, the xsave header, and the second magic word. */
const FSAVE_SIZE = 112,
  FX_SIZE = 512,
  XSTATE_SIZE = 576,
  MAGIC1 = 0x46505853,
  MAGIC2 = 0x46505845,
  MAGIC2_SIZE = 4;
const FEATURE_X87 = 1,
  FEATURE_SSE = 2,
  XFEATURES = FEATURE_X87 | FEATURE_SSE;
/** Where each lies in the fxsave image: control words and st registers, MXCSR and xmm registers. */
const X87_PARTS = [
    [0, 24],
    [32, 160],
  ] as const,
  SSE_PARTS = [
    [24, 32],
    [160, 288],
  ] as const;
/** Offset of the software-reserved words in the fxsave image. */
const SW_RESERVED = 464;
const UC_FP_XSTATE = 1;
const FRAME_ALIGNMENT = 16;

const FLAG_TF = 0x100,
  FLAG_DF = 0x400,
  FLAG_RF = 0x10000;
/** The flags that sigreturn takes from the frame: AC, OF, DF, TF, SF, ZF, AF, PF, CF and RF. */
const RESTORED_FLAGS = 0x50dd5;

/** `popl %eax; movl $119, %eax; int $0x80` and `movl $173, %eax; int $0x80`. */
const OLD_RETCODE = [0x58, 0xb8, 119, 0, 0, 0, 0xcd, 0x80],
  RT_RETCODE = [0xb8, 173, 0, 0, 0, 0xcd, 0x80, 0];

// ---- The alternate stack -------------------------------------------------------------------------------------------------------

function within(stack: AlternateStack, sp: number): boolean {
  return sp > stack.sp && sp - stack.sp <= stack.size;
}

/** Whether a stack pointer lies on the alternate stack. Linux: on_sig_stack. */
export function onAlternateStack(stack: AlternateStack, sp: number): boolean {
  return (stack.flags & SS_AUTODISARM) === 0 && within(stack, sp);
}

/** What sigaltstack reports: SS_DISABLE, SS_ONSTACK or 0. Linux: sas_ss_flags. */
export function alternateStackFlags(stack: AlternateStack, sp: number): number {
  if (stack.size === 0) return SS_DISABLE;
  return onAlternateStack(stack, sp) ? SS_ONSTACK : 0;
}

// ---- Building a frame ----------------------------------------------------------------------------------------------------------

/**
 * Puts a frame for `action` on the task's stack and sets the registers for the handler. `mask` is what the handler's return restores.
 * `faulting`: the signal comes from the instruction at eip, which the CPU marks with RF. Throws EFAULT where the stack cannot take the frame.
 */
export function pushFrame(task: Task, info: SignalInfo, action: SignalAction, mask: SignalSet, faulting: boolean): void {
  const { registers } = task;
  const real = (action.flags & SA_SIGINFO) !== 0;
  const layout = real ? RT : OLD;
  const place = placeFrame(task, action, layout.size);
  const frame = new Uint8Array(place.end - place.frame);
  const view = new DataView(frame.buffer);
  writeFpState(registers, frame.subarray(place.fpstate - place.frame));
  writeContext(task, new DataView(frame.buffer, layout.sc, SC_SIZE), place.fpstate, mask, faulting);
  view.setUint32(layout.sig, info.signo, true);
  frame.set(real ? RT_RETCODE : OLD_RETCODE, layout.retcode);
  view.setUint32(0, returnAddress(task, action, place.frame + layout.retcode, real), true);
  if (real) {
    view.setUint32(RT.pinfo, place.frame + RT.info, true);
    view.setUint32(RT.puc, place.frame + RT.uc, true);
    frame.set(encodeSiginfo(info), RT.info);
    view.setUint32(RT.uc, UC_FP_XSTATE, true);
    writeStack(view, RT.stack, task.signals.alternate);
    view.setUint32(RT.sigmask, mask.low, true);
    view.setUint32(RT.sigmask + 4, mask.high, true);
  } else {
    view.setUint32(OLD.extramask, mask.high, true);
  }
  task.user.write(place.frame, frame);
  if ((task.signals.alternate.flags & SS_AUTODISARM) !== 0) task.signals.alternate = NO_STACK;
  registers.set(ESP, place.frame);
  registers.set(EAX, info.signo);
  registers.set(EDX, real ? place.frame + RT.info : 0);
  registers.set(ECX, real ? place.frame + RT.uc : 0);
  enterHandler(registers, action.handler);
}

interface FramePlace {
  readonly frame: number;
  readonly fpstate: number;
  /** One past the last byte. */
  readonly end: number;
}

/** Linux: get_sigframe and fpu__alloc_mathframe. */
function placeFrame(task: Task, action: SignalAction, size: number): FramePlace {
  const stack = task.signals.alternate;
  let sp = task.registers.get(ESP);
  const nested = onAlternateStack(stack, sp);
  let entering = false;
  if ((action.flags & SA_ONSTACK) !== 0) {
    if (alternateStackFlags(stack, sp) === 0) {
      sp = (stack.sp + stack.size) >>> 0;
      entering = true;
    }
  } else if (!nested && task.registers.selector(SS) !== USER_DS && (action.flags & SA_RESTORER) === 0 && action.restorer !== 0) {
    sp = action.restorer;
    entering = true;
  }
  const fx = roundDown(sp - XSTATE_SIZE - MAGIC2_SIZE, 64);
  const fpstate = fx - FSAVE_SIZE;
  const frame = roundDown(fpstate - size + 4, FRAME_ALIGNMENT) - 4;
  if (frame < 0 || ((nested || entering) && !within(stack, frame))) throw errno(EFAULT);
  return { frame, fpstate, end: fx + XSTATE_SIZE + MAGIC2_SIZE };
}

function roundDown(n: number, to: number): number {
  return Math.floor(n / to) * to;
}

function returnAddress(task: Task, action: SignalAction, retcode: number, real: boolean): number {
  if ((action.flags & SA_RESTORER) !== 0) return action.restorer;
  const stub = real ? task.rtSigreturnStub : task.sigreturnStub;
  return stub !== 0 ? stub : retcode;
}

function writeContext(task: Task, sc: DataView, fpstate: number, mask: SignalSet, faulting: boolean): void {
  const r = task.registers;
  const put = (at: number, value: number) => sc.setUint32(at, value, true);
  put(SC.gs, r.selector(GS));
  put(SC.fs, r.selector(FS));
  put(SC.es, r.selector(ES));
  put(SC.ds, r.selector(DS));
  put(SC.di, r.get(EDI));
  put(SC.si, r.get(ESI));
  put(SC.bp, r.get(EBP));
  put(SC.sp, r.get(ESP));
  put(SC.bx, r.get(EBX));
  put(SC.dx, r.get(EDX));
  put(SC.cx, r.get(ECX));
  put(SC.ax, r.get(EAX));
  put(SC.trapno, task.trapNumber);
  put(SC.err, task.errorCode);
  put(SC.ip, r.eip);
  put(SC.cs, r.selector(CS));
  put(SC.flags, faulting ? r.eflags | FLAG_RF : r.eflags);
  put(SC.spAtSignal, r.get(ESP));
  put(SC.ss, r.selector(SS));
  put(SC.fpstate, fpstate);
  put(SC.oldmask, mask.low);
  put(SC.cr2, task.faultAddress);
}

function writeStack(view: DataView, at: number, stack: AlternateStack): void {
  view.setUint32(at, stack.sp, true);
  view.setUint32(at + 4, stack.flags, true);
  view.setUint32(at + 8, stack.size, true);
}

/** What a handler finds: flat segments, no direction or trap flag, a fresh FPU; fs and gs stay. */
function enterHandler(registers: Registers, handler: number): void {
  for (const segment of [DS, ES]) registers.loadSelector(segment, USER_DS);
  registers.loadSelector(CS, USER_CS);
  registers.loadSelector(SS, USER_DS);
  registers.eip = handler;
  registers.eflags &= ~(FLAG_DF | FLAG_RF | FLAG_TF);
  const restored = registers.restoreFx(INITIAL_FX);
  assert(restored, 'the initial FPU state is valid');
}

const INITIAL_FX = initialFx();

function initialFx(): Uint8Array {
  const fx = new Uint8Array(FX_SIZE);
  const view = new DataView(fx.buffer);
  view.setUint16(0, 0x37f, true);
  view.setUint32(24, 0x1f80, true);
  view.setUint32(28, 0xffff, true);
  return fx;
}

// ---- FPU state -----------------------------------------------------------------------------------------------------------------

/** `into` begins at fpstate and has room for everything behind it. */
function writeFpState(registers: Registers, into: Uint8Array): void {
  const fx = into.subarray(FSAVE_SIZE, FSAVE_SIZE + FX_SIZE);
  registers.saveFx(fx);
  const view = new DataView(into.buffer, into.byteOffset, into.byteLength);
  fsaveFromFx(view, registers);
  view.setUint32(FSAVE_SIZE + SW_RESERVED, MAGIC1, true);
  view.setUint32(FSAVE_SIZE + SW_RESERVED + 4, FSAVE_SIZE + XSTATE_SIZE + MAGIC2_SIZE, true);
  view.setUint32(FSAVE_SIZE + SW_RESERVED + 8, XFEATURES, true);
  view.setUint32(FSAVE_SIZE + SW_RESERVED + 16, XSTATE_SIZE, true);
  view.setUint32(FSAVE_SIZE + FX_SIZE, XFEATURES, true);
  view.setUint32(FSAVE_SIZE + XSTATE_SIZE, MAGIC2, true);
}

/** Linux: convert_from_fxsr, plus the status and magic words behind the registers. */
function fsaveFromFx(view: DataView, registers: Registers): void {
  const fx = FSAVE_SIZE;
  const status = view.getUint16(fx + 2, true);
  view.setUint32(0, 0xffff0000 | view.getUint16(fx, true), true);
  view.setUint32(4, 0xffff0000 | status, true);
  view.setUint32(8, 0xffff0000 | fullTags(view, fx), true);
  view.setUint32(12, view.getUint32(fx + 8, true), true);
  view.setUint32(16, registers.selector(CS), true);
  view.setUint32(20, view.getUint32(fx + 16, true), true);
  view.setUint32(24, 0xffff0000 | registers.selector(DS), true);
  for (let i = 0; i < 8; i++) {
    for (let b = 0; b < 10; b++) view.setUint8(28 + i * 10 + b, view.getUint8(fx + 32 + i * 16 + b));
  }
  view.setUint16(108, status, true);
  view.setUint16(110, 0, true);
}

const TAG_VALID = 0,
  TAG_ZERO = 1,
  TAG_SPECIAL = 2,
  TAG_EMPTY = 3;

/** The full tag word that belongs to an fxsave image's abridged one. Linux: twd_fxsr_to_i387. */
function fullTags(view: DataView, fx: number): number {
  const top = (view.getUint16(fx + 2, true) >> 11) & 7;
  const present = view.getUint8(fx + 4);
  let tags = 0;
  for (let i = 0; i < 8; i++) {
    const tag = ((present >> i) & 1) === 0 ? TAG_EMPTY : tagOf(view, fx + 32 + ((i - top) & 7) * 16);
    tags |= tag << (2 * i);
  }
  return tags;
}

function tagOf(view: DataView, at: number): number {
  const exponent = view.getUint16(at + 8, true) & 0x7fff;
  if (exponent === 0x7fff) return TAG_SPECIAL;
  const high = view.getUint32(at + 4, true);
  if (exponent === 0) return (high | view.getUint32(at, true)) === 0 ? TAG_ZERO : TAG_SPECIAL;
  return high >>> 31 === 1 ? TAG_VALID : TAG_SPECIAL;
}

/** The x87 part of the fsave image overrides the fxsave image's. Linux: convert_to_fxsr. */
function fxFromFsave(view: DataView): void {
  const fx = FSAVE_SIZE;
  view.setUint16(fx, view.getUint16(0, true), true);
  view.setUint16(fx + 2, view.getUint16(4, true), true);
  let present = 0;
  for (let i = 0; i < 8; i++) if (((view.getUint16(8, true) >> (2 * i)) & 3) !== TAG_EMPTY) present |= 1 << i;
  view.setUint16(fx + 4, present, true);
  view.setUint16(fx + 6, view.getUint16(18, true), true);
  view.setUint32(fx + 8, view.getUint32(12, true), true);
  view.setUint32(fx + 12, 0, true);
  view.setUint32(fx + 16, view.getUint32(20, true), true);
  view.setUint32(fx + 20, 0, true);
  for (let i = 0; i < 8; i++) {
    for (let b = 0; b < 10; b++) view.setUint8(fx + 32 + i * 16 + b, view.getUint8(28 + i * 10 + b));
  }
}

// ---- Taking a frame back -------------------------------------------------------------------------------------------------------

/** sigreturn: the handler has popped pretcode, and the return code the signal number. Throws EFAULT where the frame is no frame. */
export function popOldFrame(task: Task): void {
  const at = (task.registers.get(ESP) - 8) >>> 0;
  const frame = task.user.readStruct(at, OLD.retcode);
  task.signals.mask = difference(
    { low: frame.getUint32(OLD.sc + SC.oldmask, true), high: frame.getUint32(OLD.extramask, true) },
    UNBLOCKABLE,
  );
  restoreContext(task, new DataView(frame.buffer, OLD.sc, SC_SIZE));
}

/** rt_sigreturn. Returns the stack_t of the frame, which the caller sets as sigaltstack would. */
export function popRtFrame(task: Task): AlternateStack {
  const at = (task.registers.get(ESP) - 4) >>> 0;
  const frame = task.user.readStruct(at, RT.retcode);
  task.signals.mask = difference({ low: frame.getUint32(RT.sigmask, true), high: frame.getUint32(RT.sigmask + 4, true) }, UNBLOCKABLE);
  restoreContext(task, new DataView(frame.buffer, RT.sc, SC_SIZE));
  return {
    sp: frame.getUint32(RT.stack, true),
    flags: frame.getUint32(RT.stack + 4, true),
    size: frame.getUint32(RT.stack + 8, true),
  };
}

function restoreContext(task: Task, sc: DataView): void {
  const r = task.registers;
  const get = (at: number) => sc.getUint32(at, true);
  restoreFpState(task, get(SC.fpstate));
  r.set(EDI, get(SC.di));
  r.set(ESI, get(SC.si));
  r.set(EBP, get(SC.bp));
  r.set(ESP, get(SC.sp));
  r.set(EBX, get(SC.bx));
  r.set(EDX, get(SC.dx));
  r.set(ECX, get(SC.cx));
  r.set(EAX, get(SC.ax));
  r.eip = get(SC.ip);
  r.eflags = (r.eflags & ~RESTORED_FLAGS) | (get(SC.flags) & RESTORED_FLAGS);
  for (const [segment, at] of [
    [GS, SC.gs],
    [FS, SC.fs],
    [DS, SC.ds],
    [ES, SC.es],
  ] as const) {
    const selector = sc.getUint16(at, true);
    // Null selectors stay as they are; the kernel puts 0 where the value cannot be loaded.
    if (!r.loadSelector(segment, selector > 3 ? selector | 3 : selector)) r.loadSelector(segment, 0);
  }
  if (!r.loadSelector(CS, sc.getUint16(SC.cs, true) | 3) || !r.loadSelector(SS, sc.getUint16(SC.ss, true) | 3)) throw errno(EFAULT);
}

function restoreFpState(task: Task, at: number): void {
  if (at === 0) {
    task.registers.restoreFx(INITIAL_FX);
    return;
  }
  const state = task.user.read(at, FSAVE_SIZE + FX_SIZE);
  const view = new DataView(state.buffer);
  const present = presentFeatures(task, at, view);
  if ((present & FEATURE_X87) !== 0) fxFromFsave(view);
  const fx = state.subarray(FSAVE_SIZE);
  if ((present & FEATURE_X87) === 0) for (const [base, top] of X87_PARTS) fx.set(INITIAL_FX.subarray(base, top), base);
  if ((present & FEATURE_SSE) === 0) for (const [base, top] of SSE_PARTS) fx.set(INITIAL_FX.subarray(base, top), base);
  if (!task.registers.restoreFx(fx)) throw errno(EFAULT);
}

/**
 * Which state the frame holds: where both magic words and the sizes between them are right its xsave header says so, else it is x87 and SSE. Linux:
 * check_xstate_in_sigframe, validate_user_xstate_header. Throws EFAULT.
 */
function presentFeatures(task: Task, at: number, state: DataView): number {
  const sw = FSAVE_SIZE + SW_RESERVED;
  const [magic, extended, size] = [0, 4, 16].map((offset) => state.getUint32(sw + offset, true));
  if (magic !== MAGIC1 || size !== XSTATE_SIZE || size > extended) return XFEATURES;
  const rest = task.user.readStruct(at + FSAVE_SIZE + FX_SIZE, XSTATE_SIZE - FX_SIZE + MAGIC2_SIZE);
  if (rest.getUint32(XSTATE_SIZE - FX_SIZE, true) !== MAGIC2) return XFEATURES;
  const present = rest.getUint32(0, true);
  let unknown = present & ~XFEATURES;
  for (let i = 4; i < XSTATE_SIZE - FX_SIZE; i += 4) unknown |= rest.getUint32(i, true);
  if (unknown !== 0) throw errno(EFAULT);
  return present;
}

assert(RT.stack + 12 === RT.sc && RT.info + SIGINFO_SIZE === RT.uc && RT.sc + SC_SIZE === RT.sigmask, 'the frame layout fits together');
