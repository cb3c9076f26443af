/**
 * Which pages of a space were written since somebody asked to be told (`echo 4 > /proc/PID/clear_refs`): mappings are write-protected then, and every
 * write fault after it is noted. Until somebody asks, a space has none of this.
 */
import { type Access, type Addr, PAGE_SIZE, type Range } from '../abi/page.ts';
import type { Mmu } from './mmu.ts';

/** Faults make neighbours reachable within windows of so many bytes; those are kept from being written unnoticed. */
const WINDOW = 16 * PAGE_SIZE;
/** Beyond so many new mappings everything counts as written. */
const RANGES_MAX = 10_000;

export class SoftDirty {
  private readonly pages: Set<number>;
  /** What was mapped since: all of it counts. */
  private ranges: Range[];

  /** `from`: a forked space's parent's. */
  constructor(from?: SoftDirty) {
    this.pages = new Set(from?.pages);
    this.ranges = [...(from?.ranges ?? [])];
  }

  /** A fault has been resolved. What a write did not bring in must fault again before it is written. */
  touched(mmu: Mmu, addr: Addr, access: Access): void {
    if (access === 'write') this.pages.add(Math.floor(addr / PAGE_SIZE));
    else mmu.writeProtect({ base: addr - (addr % WINDOW), top: addr - (addr % WINDOW) + WINDOW });
  }

  /** A new mapping. */
  mapped({ base, top }: Range): void {
    if (this.ranges.length >= RANGES_MAX) this.ranges = [{ base: 0, top: Number.POSITIVE_INFINITY }];
    else this.ranges.push({ base, top });
  }

  /** Whether the page at `at`, which is mapped, was written. */
  has(at: Addr): boolean {
    return this.pages.has(Math.floor(at / PAGE_SIZE)) || this.ranges.some(({ base, top }) => at >= base && at < top);
  }
}
