/** Segment descriptors between the two words of the CPU's tables and the fields of struct user_desc (Linux arch/x86/include/asm/desc.h, fill_ldt). */
import type { Descriptor } from './engine.ts';

/** The descriptor's low and high word, a present user-level data or code segment. */
export function encodeDescriptor(d: Descriptor): { readonly low: number; readonly high: number } {
  const type = ((d.readExecOnly ? 0 : 2) | (d.contents << 2) | 1) >>> 0;
  const low = ((d.base & 0xffff) * 0x10000 + (d.limit & 0xffff)) >>> 0;
  const high =
    ((d.base >>> 16) & 0xff) |
    (type << 8) |
    0x7000 | // a code or data segment of user level
    (d.notPresent ? 0 : 0x8000) |
    (d.limit & 0xf0000) |
    (d.useable ? 0x10_0000 : 0) |
    (d.seg32Bit ? 0x40_0000 : 0) |
    (d.limitInPages ? 0x80_0000 : 0) |
    (d.base & 0xff00_0000);
  return { low, high: high >>> 0 };
}

/** The fields of a table's entry; undefined where it is empty. */
export function decodeDescriptor(low: number, high: number): Descriptor | undefined {
  if (low === 0 && high === 0) return undefined;
  return {
    base: ((low >>> 16) | ((high & 0xff) << 16) | (high & 0xff00_0000)) >>> 0,
    limit: (low & 0xffff) | (high & 0xf0000),
    seg32Bit: (high & 0x40_0000) !== 0,
    contents: ((high >>> 10) & 3) as 0 | 1 | 2 | 3,
    readExecOnly: (high & 0x200) === 0,
    limitInPages: (high & 0x80_0000) !== 0,
    notPresent: (high & 0x8000) === 0,
    useable: (high & 0x10_0000) !== 0,
  };
}
