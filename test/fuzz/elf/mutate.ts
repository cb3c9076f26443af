/** ELF images with hostile headers, made from a seed: sound ones of several kinds, with fields set to values at which loaders change their mind. */
import { elfImage, type ImageSegment } from '../../drivers/elf-image.ts';

export type Pick = (below: number) => number;

/** A small generator (mulberry32): the same numbers for the same seed everywhere. */
export function picker(seed: number): Pick {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * below);
  };
}

export interface Case {
  readonly seed: number;
  /** Whether the image is the program, or the interpreter of INTERPRETED. */
  readonly role: 'p' | 'i';
  readonly image: Uint8Array;
}

const LOAD = 1,
  INTERP = 3,
  PHDR = 6,
  TLS = 7,
  STACK = 0x6474e551;
const R = 4,
  W = 2,
  X = 1;
/** Where the code lies in every image: `exit(42)`, followed by traps. */
export const CODE_OFFSET = 0x300;
export const EXIT_42 = Uint8Array.of(0xb8, 1, 0, 0, 0, 0xbb, 42, 0, 0, 0, 0xcd, 0x80);
export const TRAP = 0xcc;
const FILE_SIZE = 0x3000;

/** The files hold traps wherever they hold nothing else, so that starting at a wrong place shows. */
function image(type: number, base: number, segments: readonly ImageSegment[], name?: string): Uint8Array<ArrayBuffer> {
  const filler = new Uint8Array(FILE_SIZE - 0x200).fill(TRAP);
  const interpreter = name === undefined ? [] : [[0x240, new TextEncoder().encode(`${name}\0`)] as const];
  return elfImage({ type, entry: base + CODE_OFFSET, segments, content: [[0x200, filler], [CODE_OFFSET, EXIT_42], ...interpreter] });
}

function segmentsAt(base: number): ImageSegment[] {
  return [
    { type: LOAD, offset: 0, vaddr: base, filesz: 0x1000, flags: R | X },
    { type: LOAD, offset: 0x1000, vaddr: base + 0x2000, filesz: 0x800, memsz: 0x2800, flags: R | W },
    { type: STACK, flags: R | W },
  ];
}

const BASE = 0x08048000;

/** A program that needs the interpreter `interp` in its own folder. */
export const INTERPRETED = image(3, 0, [{ type: INTERP, offset: 0x240, filesz: 7 }, ...segmentsAt(0)], 'interp');

const SOUND: readonly (() => Uint8Array<ArrayBuffer>)[] = [
  () => image(2, BASE, segmentsAt(BASE)),
  () => image(3, 0, segmentsAt(0)),
  () => image(2, BASE, segmentsAt(BASE).slice(0, 2)),
  () => image(2, BASE, [{ type: INTERP, offset: 0x240, filesz: 7 }, ...segmentsAt(BASE)], 'nobody'),
  () =>
    image(2, BASE, [
      { type: PHDR, offset: 52, vaddr: BASE + 52, filesz: 160, flags: R },
      ...segmentsAt(BASE),
      { type: TLS, offset: 0x1000, vaddr: BASE + 0x2000, filesz: 4, memsz: 16, flags: R },
    ]),
];

const WORDS = [
  0,
  1,
  2,
  3,
  7,
  0x1f,
  0x34,
  0xfff,
  0x1000,
  0x1001,
  0x2000,
  0x7fff,
  0x10000,
  BASE,
  BASE + 0x1000,
  BASE + 0x300,
  0x10000000,
  0x56555000,
  0x7fffffff,
  0x80000000,
  0xbfffffff,
  0xc0000000,
  0xf7ff0000,
  0xfffdd000,
  0xffffd000,
  0xffffe000,
  0xfffff000,
  0xffffffff,
  STACK,
  0x6474e553,
];
const HALVES = [0, 1, 2, 3, 4, 6, 8, 31, 32, 33, 40, 62, 128, 2047, 2048, 2049, 0x7fff, 0xffff];

export function makeCase(seed: number): Case {
  const pick = picker(seed);
  const role = pick(4) === 0 ? 'i' : 'p';
  let bytes = SOUND[pick(SOUND.length)]();
  for (let left = pick(8) === 0 ? 0 : 1 + pick(4); left > 0; left--) bytes = mutate(bytes, pick);
  return { seed, role, image: bytes };
}

function mutate(bytes: Uint8Array<ArrayBuffer>, pick: Pick): Uint8Array<ArrayBuffer> {
  const view = new DataView(bytes.buffer);
  const headers = Math.min(bytes.length, 52 + 32 * 5);
  if (headers < 4) return bytes;
  switch (pick(7)) {
    case 0:
      bytes[pick(headers)] ^= 1 << pick(8);
      return bytes;
    case 1:
      bytes[pick(headers)] = pick(256);
      return bytes;
    case 2: {
      // A field of the file header: words from 20 on, halves from 40 on.
      const at = pick(2) === 0 ? 16 + 2 * pick(18) : 24 + 4 * pick(4);
      if (at + 4 > bytes.length) return bytes;
      if (at >= 24 && at < 40) view.setUint32(at & ~3, WORDS[pick(WORDS.length)], true);
      else view.setUint16(at, HALVES[pick(HALVES.length)], true);
      return bytes;
    }
    case 3:
    case 4: {
      // A field of a program header.
      const at = 52 + 32 * pick(4) + 4 * pick(8);
      if (at + 4 <= bytes.length) view.setUint32(at, WORDS[pick(WORDS.length)], true);
      return bytes;
    }
    case 5: {
      // A field of a program header, changed by a little.
      const at = 52 + 32 * pick(4) + 4 * pick(8);
      const step = [1, -1, 0x10, 0x1000, -0x1000][pick(5)];
      if (at + 4 <= bytes.length) view.setUint32(at, view.getUint32(at, true) + step, true);
      return bytes;
    }
    default:
      return pick(4) === 0 ? bytes.slice(0, pick(bytes.length)) : bytes;
  }
}
