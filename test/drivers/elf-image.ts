/** Makes small ELF files for tests of the loader: a header, program headers, and whatever content a test wants. */
import type { ReadAt } from '../../loader/elf.ts';

export interface ImageSegment {
  readonly type: number;
  readonly offset?: number;
  readonly vaddr?: number;
  readonly filesz?: number;
  readonly memsz?: number;
  readonly flags?: number;
  readonly align?: number;
}

export interface ImageOptions {
  /** 2 ET_EXEC, 3 ET_DYN. */
  readonly type?: number;
  readonly machine?: number;
  readonly entry?: number;
  readonly phoff?: number;
  readonly segments?: readonly ImageSegment[];
  /** Bytes to place, by file offset. */
  readonly content?: readonly (readonly [offset: number, bytes: Uint8Array])[];
  /** The file is at least this long. */
  readonly size?: number;
}

export function elfImage(options: ImageOptions): Uint8Array<ArrayBuffer> {
  const {
    type = 2,
    machine = 3,
    entry = 0x8048100,
    phoff = 52,
    segments = [{ type: 1, vaddr: 0x8048000, filesz: 0x100, flags: 5 }],
    content = [],
  } = options;
  const ends = content.map(([offset, bytes]) => offset + bytes.length);
  const image = new Uint8Array(Math.max(phoff + segments.length * 32, options.size ?? 0, ...ends));
  const view = new DataView(image.buffer);
  image.set([0x7f, 0x45, 0x4c, 0x46, 1, 1, 1]);
  view.setUint16(16, type, true);
  view.setUint16(18, machine, true);
  view.setUint32(20, 1, true);
  view.setUint32(24, entry, true);
  view.setUint32(28, phoff, true);
  view.setUint16(40, 52, true);
  view.setUint16(42, 32, true);
  view.setUint16(44, segments.length, true);
  segments.forEach(({ type: kind, offset = 0, vaddr = 0, filesz = 0, memsz = filesz, flags = 4, align = 0x1000 }, index) => {
    [kind, offset, vaddr, vaddr, filesz, memsz, flags, align].forEach((word, at) =>
      view.setUint32(phoff + index * 32 + at * 4, word, true),
    );
  });
  for (const [offset, bytes] of content) image.set(bytes, offset);
  return image;
}

export function readerOf(bytes: Uint8Array): ReadAt {
  return (offset, into) => {
    const part = bytes.subarray(offset, offset + into.length);
    into.set(part);
    return part.length;
  };
}
