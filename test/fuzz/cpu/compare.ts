/** Compares what two executors made of a case, field by field, leaving out what the manual leaves undefined. */
import { hex } from './disassemble.ts';
import { undefinedAt } from './instruction.ts';
import { RUNNER_BASE, RUNNER_TOP } from './layout.ts';
import type { Ending, Result } from './protocol.ts';
import type { Case } from './sequence.ts';
import { FX_CONTROL, FX_DP, FX_IP, FX_MXCSR, FX_OPCODE, FX_ST, FX_STATUS, FX_TAG, FX_XMM } from './state.ts';

export interface Difference {
  /** Which part of the result: ending, eip, eflags, eax, cs, fcw, fsw, ftag, st0, xmm0, mxcsr, memory and so on. */
  readonly field: string;
  readonly native: string;
  readonly other: string;
}

const REGISTER_NAMES = ['eax', 'ecx', 'edx', 'ebx', 'esp', 'ebp', 'esi', 'edi'];
const SELECTOR_NAMES = ['es', 'cs', 'ss', 'ds', 'fs', 'gs'];
/** CF PF AF ZF SF TF DF OF IOPL NT VM AC ID; without RF, which the CPU sets in the frame of a fault, and IF, which the kernel owns. */
const FLAGS = 0x00267dd5 | 0x40000;

export function describeEnding(ending: Ending): string {
  switch (ending.kind) {
    case 'fault':
      return `fault ${ending.access} at ${hex(ending.addr)}`;
    case 'exception':
      return `exception ${ending.vector} error ${hex(ending.errorCode, 4)}`;
    case 'lost':
      return `lost (${ending.message.replaceAll('\n', ' ').slice(0, 600)})`;
    case 'syscall':
    case 'endless':
      return ending.kind;
  }
}

/** The 64-bit code segment of a 64-bit kernel, which a program can jump to and the engine does not have. */
const LONG_MODE_CODE = 0x33;

/** Whether the case proves nothing: it reaches the native runner's own memory, leaves 32-bit mode, or never ends. */
export function provesNothing(native: Result, other: Result): boolean {
  if (native.ending.kind === 'endless' || other.ending.kind === 'endless') return true;
  if (native.selectors[1] === LONG_MODE_CODE) return true;
  const strays = (ending: Ending) => ending.kind === 'fault' && ending.addr >= RUNNER_BASE && ending.addr < RUNNER_TOP;
  return strays(native.ending) || strays(other.ending);
}

export function compare(one: Case, native: Result, other: Result): Difference[] {
  const differences: Difference[] = [];
  const note = (field: string, a: string, b: string) => {
    if (a !== b) differences.push({ field, native: a, other: b });
  };
  note('ending', describeEnding(native.ending), describeEnding(other.ending));
  if (native.ending.kind === 'lost' || other.ending.kind === 'lost') return differences;
  const approximate = one.list[one.list.length - 1]?.approximate;
  note('eip', hex(native.eip), hex(other.eip));
  // An ending int3 leaves eip behind itself.
  const atEnd = native.ending.kind === 'exception' && native.ending.vector === 3 ? 1 : 0;
  const mask = FLAGS & ~undefinedAt(one.sequence, native.eip - one.target - atEnd);
  note('eflags', hex(native.eflags & mask), hex(other.eflags & mask));
  for (let i = 0; i < 8; i++) if (native.regs[i] !== other.regs[i]) note(REGISTER_NAMES[i], hex(native.regs[i]), hex(other.regs[i]));
  for (let i = 0; i < 6; i++) note(SELECTOR_NAMES[i], hex(native.selectors[i], 4), hex(other.selectors[i], 4));
  compareFx(native.fx, other.fx, approximate, note);
  compareMemory(native.changes, other.changes, note);
  return differences;
}

type Note = (field: string, native: string, other: string) => void;

function compareFx(native: Uint8Array, other: Uint8Array, approximate: 'x87' | 'reciprocal' | undefined, note: Note): void {
  if (Buffer.compare(native, other) === 0) return;
  const a = new DataView(native.buffer, native.byteOffset),
    b = new DataView(other.buffer, other.byteOffset);
  const word = (field: string, at: number) => note(field, hex(a.getUint32(at, true)), hex(b.getUint32(at, true)));
  const half = (field: string, at: number, mask = 0xffff) =>
    note(field, hex(a.getUint16(at, true) & mask, 4), hex(b.getUint16(at, true) & mask, 4));
  half('fcw', FX_CONTROL);
  // Of an approximation only the value counts: it may be rounded up or down, hence C1; and it may be exact by luck, hence PE.
  half('fsw', FX_STATUS, approximate === 'x87' ? 0xfddf : 0xffff);
  note('ftag', hex(native[FX_TAG], 2), hex(other[FX_TAG], 2));
  word('fip', FX_IP);
  // Today's processors note the opcode and the operand only when an unmasked exception is raised.
  if (a.getUint16(FX_STATUS, true) & 0x80) {
    half('fop', FX_OPCODE);
    word('fdp', FX_DP);
  }
  word('mxcsr', FX_MXCSR);
  for (let i = 0; i < 8; i++) {
    const at = FX_ST + 16 * i;
    if (approximate === 'x87' && i < 2 && closeExtended(a, b, at)) continue;
    note(`st${i}`, extended(a, at), extended(b, at));
  }
  for (let i = 0; i < 8; i++) {
    const at = FX_XMM + 16 * i;
    if (approximate === 'reciprocal' && closeReciprocals(a, b, at)) continue;
    note(`xmm${i}`, quad(a, at), quad(b, at));
  }
}

function extended(view: DataView, at: number): string {
  return `${hex(view.getUint16(at + 8, true), 4)}:${hex(view.getUint32(at + 4, true))}${hex(view.getUint32(at, true))}`;
}

function quad(view: DataView, at: number): string {
  return [12, 8, 4, 0].map((offset) => hex(view.getUint32(at + offset, true))).join('_');
}

/** Within one unit in the last place of the 64-bit significand. */
function closeExtended(a: DataView, b: DataView, at: number): boolean {
  const value = (view: DataView) =>
    (BigInt(view.getUint16(at + 8, true) & 0x7fff) << 63n) + (view.getBigUint64(at, true) & 0x7fffffffffffffffn);
  const distance = value(a) - value(b);
  return (a.getUint16(at + 8, true) ^ b.getUint16(at + 8, true)) < 0x8000 && distance <= 1n && distance >= -1n;
}

/** rcpps and rsqrtps: each within 1.5 * 2^-12 of the true value, so within twice that of each other. */
function closeReciprocals(a: DataView, b: DataView, at: number): boolean {
  for (let lane = 0; lane < 16; lane += 4) {
    if (a.getUint32(at + lane, true) === b.getUint32(at + lane, true)) continue;
    const x = a.getFloat32(at + lane, true),
      y = b.getFloat32(at + lane, true);
    if (!(Math.abs(x - y) <= Math.abs(x) * 3 * 2 ** -12)) return false;
  }
  return true;
}

function compareMemory(native: Uint32Array, other: Uint32Array, note: Note): void {
  const theirs = new Map<number, number>();
  for (let i = 0; i < other.length; i += 2) theirs.set(other[i], other[i + 1]);
  for (let i = 0; i < native.length; i += 2) {
    const value = theirs.get(native[i]);
    theirs.delete(native[i]);
    note(`memory ${hex(native[i])}`, hex(native[i + 1]), value === undefined ? 'unchanged' : hex(value));
  }
  for (const [addr, value] of theirs) note(`memory ${hex(addr)}`, 'unchanged', hex(value));
}
