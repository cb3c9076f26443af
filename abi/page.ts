/** Guest addresses and pages. An `Addr` is an unsigned 32-bit number; an exclusive top may be 0x1_0000_0000. */

export type Addr = number;

export const PAGE_SHIFT = 12;
export const PAGE_SIZE = 4096;
export const PAGE_MASK = 0xfff;
/** One past the last byte of the 32-bit address space. */
export const ADDRESS_TOP = 0x1_0000_0000;

/** A half-open run of addresses `[base, top)`, page-aligned where it describes a mapping. */
export interface Range {
  readonly base: Addr;
  readonly top: Addr;
}

/** What an instruction or a system call wants to do with a byte. */
export type Access = 'read' | 'write' | 'fetch';

/** Rounds down to a page boundary. Works up to ADDRESS_TOP, where bit operations would wrap. */
export function pageDown(addr: number): number {
  return addr - (addr % PAGE_SIZE);
}

/** Rounds up to a page boundary; may return ADDRESS_TOP. */
export function pageUp(addr: number): number {
  return pageDown(addr + PAGE_MASK);
}

/** The number of pages in a page-aligned range. */
export function pageCount(range: Range): number {
  return (range.top - range.base) / PAGE_SIZE;
}

export function overlaps(a: Range, b: Range): boolean {
  return a.base < b.top && b.base < a.top;
}

export function contains(range: Range, addr: Addr): boolean {
  return addr >= range.base && addr < range.top;
}
