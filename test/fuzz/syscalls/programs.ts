/** Random programs of system calls: arguments come from the definitions' samplers, resources of earlier calls are used by later ones. */
import { AT_FDCWD } from '../../../abi/fcntl.ts';
import { type Definition, type SampleSource, sampleArguments } from '../../../syscalls/define.ts';
import { SYSCALLS } from '../../../syscalls/table.ts';
import { addressFor, type Below, IMAGE_SIZE, makeImage, nameFor } from './image.ts';
import { isHarmless, isUsed, resourceCalls } from './policy.ts';

export const LITERAL = 0,
  SLOT = 1,
  SELF = 2;

export interface Argument {
  readonly tag: number;
  readonly word: number;
}
export interface RandomCall {
  readonly number: number;
  readonly definition: Definition;
  readonly args: readonly Argument[];
}
export interface RandomProgram {
  readonly seed: number;
  readonly index: number;
  readonly image: Uint8Array;
  readonly calls: readonly RandomCall[];
}

const USED = SYSCALLS.flatMap((definition, number) => (definition !== undefined && isUsed(definition) ? [{ number, definition }] : []));
/** Calls a program draws on, and how many it makes. */
const REPERTOIRE = 7,
  CALLS_MIN = 6,
  CALLS_MORE = 20;

/** Numbers that stand for resources until the words are known. */
const SLOT_WORD = 0xf1d0_0000,
  SELF_WORD = 0xf1d1_0000;

export class Generator {
  private readonly seed: number;

  constructor(seed: number) {
    this.seed = seed;
  }

  program(index: number): RandomProgram {
    const below = randomOf(Math.imul(this.seed, 0x9e3779b1) ^ Math.imul(index + 1, 0x85ebca6b));
    const image = makeImage(below);
    const used = USED;
    const makers = used.filter(({ definition }) => resourceCalls.has(definition.name));
    const repertoire = Array.from({ length: REPERTOIRE }, () => used[below(used.length)]);
    for (let i = 0; i < 2; i++) repertoire.push(makers[below(makers.length)]);
    const calls: RandomCall[] = [];
    const wanted = CALLS_MIN + below(CALLS_MORE);
    while (calls.length < wanted) {
      const { number, definition } = below(8) === 0 ? used[below(used.length)] : repertoire[below(repertoire.length)];
      const args = makeArguments(definition, calls, below);
      if (isHarmless(definition, args)) calls.push({ number, definition, args });
    }
    return { seed: this.seed, index, image, calls };
  }
}

/** xorshift, so that neighbouring programs have nothing in common. */
function randomOf(seed: number): Below {
  let state = seed >>> 0 || 1;
  return (n) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return Math.floor((state / 2 ** 32) * n);
  };
}

function makeArguments(definition: Definition, before: readonly RandomCall[], below: Below): Argument[] {
  const words = new Uint32Array(8);
  const makers = before.flatMap((call, i) => (resourceCalls.has(call.definition.name) ? [i] : []));
  let name = '';
  const slot = (): number => SLOT_WORD + makers[below(makers.length)];
  const source: SampleSource = {
    below,
    fd: () => (makers.length > 0 && below(3) === 0 ? slot() : below(12) === 0 ? below(70) : 3 + below(16)),
    path: () => nameFor(below),
    buffer: () => addressFor(name, below),
  };
  definition.args.forEach(([argument, kind], i) => {
    name = `${kind.label} ${argument} ${definition.name.includes('64') ? '64' : ''}`;
    sampleArguments({ ...definition, args: [definition.args[i]], slots: [definition.slots[i]] }, source, words);
    const at = definition.slots[i];
    if (kind.label === 'size_t' && below(3) > 0) words[at] = below(100);
    if (kind.label === 'dirfd' && below(3) > 0) words[at] = AT_FDCWD >>> 0;
    // Whoever else lives in the jail is none of the programs' business.
    if (kind.label === 'pid_t' || argument === 'who') words[at] = [0, SELF_WORD, SELF_WORD, 0x7fff_fff0][below(4)];
    // Numbers of IPC objects and timers.
    if (/^(?:int|unsigned int|timer_t|key_t)$/.test(kind.label) && /id$/.test(argument) && makers.length > 0 && below(3) > 0)
      words[at] = slot();
  });
  return Array.from(words.subarray(0, 6), (word) => {
    if (word === SELF_WORD) return { tag: SELF, word: 0 };
    const k = word - SLOT_WORD;
    return k >= 0 && k < before.length ? { tag: SLOT, word: k } : { tag: LITERAL, word };
  });
}

const RESULTS: Readonly<Record<string, number>> = { pid_t: 1, 'void *': 2 };

/** As the runner reads them. */
export function encode(programs: readonly RandomProgram[], niceness: number): Uint8Array {
  const parts = programs.map(({ index, image, calls }) => {
    const bytes = new Uint8Array(8 + IMAGE_SIZE + calls.length * 56);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, index, true);
    view.setUint32(4, calls.length, true);
    bytes.set(image, 8);
    calls.forEach(({ number, definition, args }, i) => {
      const at = 8 + IMAGE_SIZE + i * 56;
      view.setUint32(at, number, true);
      view.setUint32(at + 4, RESULTS[definition.result.label] ?? 0, true);
      args.forEach(({ tag, word }, k) => {
        view.setUint32(at + 8 + 4 * k, tag, true);
        view.setUint32(at + 32 + 4 * k, word, true);
      });
    });
    return bytes;
  });
  const whole = new Uint8Array(4 + parts.reduce((size, part) => size + part.length, 0));
  new DataView(whole.buffer).setInt32(0, niceness, true);
  let at = 4;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

export function describe({ definition, args }: RandomCall): string {
  const shown = args.slice(
    0,
    definition.args.reduce((count, [, kind]) => count + kind.registers, 0),
  );
  const text = shown.map(({ tag, word }) => (tag === SELF ? 'self' : tag === SLOT ? `result ${word}` : `0x${word.toString(16)}`));
  return `${definition.name}(${text.join(', ')})`;
}
