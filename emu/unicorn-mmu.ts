/**
 * One address space's page tables in the engine's memory, which its C code walks at a TLB miss: a directory of 1024 words, each the address
 * of a table (0: none) of 1024 entries, each a frame's address and PROT_ bits (0: not present).
 */
import { ADDRESS_TOP, PAGE_SHIFT, PAGE_SIZE, type Addr, type Range } from '../abi/page.ts';
import { assert } from '../abi/assert.ts';
import type { FrameNumber } from '../mm/frame.ts';
import type { Mmu } from '../mm/mmu.ts';
import type { WasmExports } from './wasm-exports.ts';
import type { WasmMemory } from './wasm-memory.ts';

const TABLE_SPAN = 0x40_0000; // bytes of address space that one table maps
const ENTRIES = 1024;
const PROT_WRITE = 2;
/** Pages of tables taken from the engine's heap at once. */
const TABLES_AT_ONCE = 16;
/** Changed pages from which on one whole TLB flush is cheaper than a flush each. */
const FLUSH_ALL_FROM = 16;

/** Hands out zeroed pages for tables; shared by all spaces of an engine. */
export class TablePool {
  private readonly free: number[] = [];
  private readonly exports: WasmExports;
  private readonly memory: WasmMemory;

  constructor(exports: WasmExports, memory: WasmMemory) {
    this.exports = exports;
    this.memory = memory;
  }

  /** Word index of a zeroed page. Fails only when the host has no memory at all. */
  take(): number {
    const page = this.free.pop();
    if (page !== undefined) return page;
    let count = TABLES_AT_ONCE;
    let at = this.exports.seg_pages_allocate(count * PAGE_SIZE, 1) >>> 0;
    if (at === 0) {
      count = 1;
      at = this.exports.seg_pages_allocate(PAGE_SIZE, 1) >>> 0;
    }
    assert(at !== 0, 'no memory left for page tables');
    for (let i = count - 1; i > 0; i--) this.free.push((at + i * PAGE_SIZE) >>> 2);
    return at >>> 2;
  }

  give(page: number): void {
    this.memory.words.fill(0, page, page + ENTRIES);
    this.free.push(page);
  }
}

/** Knows which space's tables the CPU uses now. */
export interface MmuOwner {
  readonly activeMmu: UnicornMmu | undefined;
  mmuReleased(mmu: UnicornMmu): void;
}

export class UnicornMmu implements Mmu {
  /** Word index of the directory. */
  readonly directory: number;
  private readonly owner: MmuOwner;
  private readonly pool: TablePool;
  private readonly memory: WasmMemory;
  private readonly exports: WasmExports;

  constructor(owner: MmuOwner, pool: TablePool, memory: WasmMemory, exports: WasmExports) {
    this.owner = owner;
    this.pool = pool;
    this.memory = memory;
    this.exports = exports;
    this.directory = pool.take();
  }

  map(at: Addr, frame: FrameNumber, prot: number): void {
    let table = this.memory.words[this.directory + (at >>> 22)];
    if (table === 0) {
      const page = this.pool.take();
      table = page * 4;
      this.memory.words[this.directory + (at >>> 22)] = table;
    }
    const entry = (table >>> 2) + ((at >>> PAGE_SHIFT) & 1023);
    const words = this.memory.words;
    const before = words[entry];
    words[entry] = frame * PAGE_SIZE + prot;
    if (before !== 0 && this.owner.activeMmu === this) this.exports.seg_flush_page(at);
  }

  writeProtect(range: Range): void {
    this.change(range, PROT_WRITE, (PROT_WRITE ^ 0xffff_ffff) >>> 0);
  }

  unmap({ base, top }: Range): void {
    const first = Math.ceil(base / TABLE_SPAN) * TABLE_SPAN;
    const last = Math.floor(top / TABLE_SPAN) * TABLE_SPAN;
    if (first >= last) return this.change({ base, top }, 0xffff_ffff, 0);
    this.change({ base, top: first }, 0xffff_ffff, 0);
    this.dropTables(first, last);
    this.change({ base: last, top }, 0xffff_ffff, 0);
  }

  /** Gives whole tables back, those of `[base, top)`, which begins and ends with a table. */
  private dropTables(base: Addr, top: Addr): void {
    const words = this.memory.words;
    let dropped = 0;
    for (let slot = this.directory + base / TABLE_SPAN; slot < this.directory + top / TABLE_SPAN; slot++) {
      const table = words[slot] >>> 2;
      if (table === 0) continue;
      words[slot] = 0;
      this.pool.give(table);
      dropped++;
    }
    if (dropped > 0 && this.owner.activeMmu === this) this.exports.seg_flush();
  }

  /** Keeps only the bits of `mask` in each present entry that has one of `wanted`, and drops it from the TLB. */
  private change(range: Range, wanted: number, mask: number): void {
    const words = this.memory.words;
    const active = this.owner.activeMmu === this;
    let changed = 0;
    for (let base = range.base; base < range.top; ) {
      const next = Math.min(range.top, base - (base % TABLE_SPAN) + TABLE_SPAN);
      const table = words[this.directory + Math.floor(base / TABLE_SPAN)] >>> 2;
      if (table !== 0) {
        const last = table + (((next - 1) >>> PAGE_SHIFT) & 1023);
        for (let entry = table + ((base >>> PAGE_SHIFT) & 1023); entry <= last; entry++) {
          if ((words[entry] & wanted) === 0) continue;
          words[entry] &= mask;
          if (active && ++changed < FLUSH_ALL_FROM)
            this.exports.seg_flush_page((base - (base % TABLE_SPAN) + (entry - table) * PAGE_SIZE) >>> 0);
        }
      }
      base = next;
    }
    if (changed >= FLUSH_ALL_FROM) this.exports.seg_flush();
  }

  translate(addr: Addr, prot: number): number {
    const words = this.memory.words;
    const table = words[this.directory + (addr >>> 22)];
    if (table === 0) return -1;
    const entry = words[(table >>> 2) + ((addr >>> PAGE_SHIFT) & 1023)];
    return (entry & prot) === 0 ? -1 : (entry & 0xffff_f000) + (entry & 0x8000_0000 ? ADDRESS_TOP : 0) + (addr & 0xfff);
  }

  present(range: Range, visit: (at: Addr, frame: FrameNumber) => void): void {
    const words = this.memory.words;
    for (let base = range.base; base < range.top; ) {
      const next = Math.min(range.top, base - (base % TABLE_SPAN) + TABLE_SPAN);
      const table = words[this.directory + Math.floor(base / TABLE_SPAN)] >>> 2;
      if (table !== 0) {
        const entry = table + ((base >>> PAGE_SHIFT) & 1023);
        for (let i = 0; i < (next - base) / PAGE_SIZE; i++) {
          if (words[entry + i] !== 0) visit(base + i * PAGE_SIZE, words[entry + i] >>> PAGE_SHIFT);
        }
      }
      base = next;
    }
  }

  release(): void {
    this.owner.mmuReleased(this);
    for (let slot = this.directory; slot < this.directory + ENTRIES; slot++) {
      const table = this.memory.words[slot];
      if (table !== 0) this.pool.give(table >>> 2);
    }
    this.pool.give(this.directory);
  }
}
