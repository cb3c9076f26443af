/** The byte formats between the harness and native-runner.c, and the result of a case in common terms. */
import type { Access } from '../../../abi/page.ts';
import type { Descriptor } from '../../../emu/engine.ts';
import { LDT, makePattern, PATTERN_COUNT, PATTERN_SIZE, REGIONS, THREAD_AREAS } from './layout.ts';
import type { Case } from './sequence.ts';
import { FX_SIZE } from './state.ts';

/** How a case ended, in the words of emu/engine.ts. `end` and int3 are the same thing: the fill after the code is int3. */
export type Ending =
  | { readonly kind: 'syscall' }
  | { readonly kind: 'fault'; readonly addr: number; readonly access: Access }
  | { readonly kind: 'exception'; readonly vector: number; readonly errorCode: number }
  /** Ran until its time or budget was over. */
  | { readonly kind: 'endless' }
  /** The native runner died, or the engine threw. */
  | { readonly kind: 'lost'; readonly message: string };

export interface Result {
  readonly ending: Ending;
  readonly eip: number;
  readonly eflags: number;
  readonly regs: Uint32Array;
  readonly selectors: readonly number[];
  readonly fx: Uint8Array;
  /** Address and new value of each changed word, in ascending order; at most 512. */
  readonly changes: Uint32Array;
}

export const INPUT_SIZE = 72 + FX_SIZE,
  OUTPUT_SIZE = 84 + FX_SIZE,
  MAX_CHANGES = 512;
const KINDS = { data: 0, code: 1, patchable: 2 } as const;

function describe(index: number, d: Descriptor): number[] {
  const flags =
    Number(d.seg32Bit) |
    (d.contents << 1) |
    (Number(d.readExecOnly) << 3) |
    (Number(d.limitInPages) << 4) |
    (Number(d.notPresent) << 5) |
    (Number(d.useable) << 6);
  return [index, d.base, d.limit, flags];
}

/** What the runner reads before the first case. */
export function encodeHeader(): Uint8Array {
  const words: number[] = [REGIONS.length];
  for (const region of REGIONS) words.push(region.base, region.size, region.prot, KINDS[region.kind]);
  words.push(PATTERN_COUNT);
  const descriptors: number[] = [THREAD_AREAS.length];
  for (const { index, descriptor } of THREAD_AREAS) descriptors.push(...describe(index, descriptor));
  descriptors.push(LDT.length);
  LDT.forEach((descriptor, index) => descriptors.push(...describe(index, descriptor)));
  const header = new Uint8Array(words.length * 4 + PATTERN_COUNT * PATTERN_SIZE + descriptors.length * 4);
  header.set(new Uint8Array(Uint32Array.from(words).buffer), 0);
  for (let i = 0; i < PATTERN_COUNT; i++) header.set(makePattern(i), words.length * 4 + i * PATTERN_SIZE);
  header.set(new Uint8Array(Uint32Array.from(descriptors).buffer), header.length - descriptors.length * 4);
  return header;
}

export function encodeCases(cases: readonly Case[]): Uint8Array {
  let size = 0;
  for (const { sequence } of cases) size += INPUT_SIZE + sequence.code.length;
  const bytes = new Uint8Array(size);
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const { state, target, sequence } of cases) {
    [state.pattern, target, sequence.code.length, ...state.regs, state.eflags, ...state.selectors].forEach((word, i) =>
      view.setUint32(at + 4 * i, word, true),
    );
    bytes.set(state.fx, at + 72);
    bytes.set(sequence.code, at + INPUT_SIZE);
    at += INPUT_SIZE + sequence.code.length;
  }
  return bytes;
}

const SIGALRM = 14,
  SIGSYS = 31;

function endingOf(signal: number, vector: number, error: number, address: number): Ending {
  if (signal === SIGSYS) return { kind: 'syscall' };
  if (signal === SIGALRM) return { kind: 'endless' };
  if (vector === 14) return { kind: 'fault', addr: address, access: error & 16 ? 'fetch' : error & 2 ? 'write' : 'read' };
  return { kind: 'exception', vector, errorCode: error };
}

/** Decodes as many whole results as `bytes` holds. */
export function decodeResults(bytes: Uint8Array): Result[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const results: Result[] = [];
  for (let at = 0; at + OUTPUT_SIZE <= bytes.length; ) {
    const word = (i: number) => view.getUint32(at + 4 * i, true);
    const ending = endingOf(word(0), word(1), word(2), word(3));
    const regs = new Uint32Array(8);
    for (let i = 0; i < 8; i++) regs[i] = word(6 + i);
    const changeWords = 2 * Math.min(view.getUint32(at + 80 + FX_SIZE, true), MAX_CHANGES);
    if (at + OUTPUT_SIZE + 4 * changeWords > bytes.length) break;
    const changes = new Uint32Array(changeWords);
    for (let i = 0; i < changeWords; i++) changes[i] = view.getUint32(at + OUTPUT_SIZE + 4 * i, true);
    const eip = ending.kind === 'syscall' ? word(4) - 2 : word(4);
    results.push({
      ending,
      eip,
      eflags: word(5),
      regs,
      selectors: [14, 15, 16, 17, 18, 19].map(word),
      fx: bytes.slice(at + 80, at + 80 + FX_SIZE),
      changes,
    });
    at += OUTPUT_SIZE + 4 * changeWords;
  }
  return results;
}
