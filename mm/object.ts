/** Memory objects: runs of pages that several mappings, in one or many address spaces, may see at the same time. */
import { assert } from '../abi/assert.ts';
import { PAGE_SIZE, type Range } from '../abi/page.ts';
import type { FrameNumber, FramePool } from './frame.ts';
import type { Mmu } from './mmu.ts';
import type { Waitable } from './outcome.ts';
import { DIRTY, NO_FRAME, PageMap, REFERENCED } from './page-map.ts';
import type { Pager } from './pager.ts';

/** What an object must know of a mapping of it. Implemented by Area. */
export interface Mapping extends Range {
  /** Page index within the object of the mapping's first page. */
  readonly offset: number;
  /** Whose mapping it is. */
  readonly space: {
    readonly mmu: Mmu;
    /** Forgets what the space holds of its own in `range` and every MMU entry there. */
    discard(range: Range): void;
  };
}

/** Why a page of an object cannot be had. */
export type PageFailure =
  | { readonly kind: 'wait'; readonly on: Waitable }
  /** The pager failed. */
  | { readonly kind: 'error'; readonly errno: number }
  /** The page lies past the end of the object. */
  | { readonly kind: 'beyond' }
  /** The machine has no frame left. */
  | { readonly kind: 'memory' };

export const BEYOND_END: PageFailure = { kind: 'beyond' };
export const OUT_OF_FRAMES: PageFailure = { kind: 'memory' };

/** One past the largest page index. */
const LAST_PAGE = 2 ** 52;

export class MemoryObject {
  readonly pager: Pager;
  readonly frames: FramePool;
  /** The pages in memory, by page index, with their DIRTY and REFERENCED marks. Each entry holds its frame once. */
  readonly pages = new PageMap();
  /** Every mapping of this object, in any space. */
  readonly areas = new Set<Mapping>();
  /** In bytes. A page that starts at or past it is SIGBUS. */
  #size: number;
  /** Users other than mappings: the page cache, open descriptions, a SysV identifier. */
  #holders = 0;
  #released = false;

  /** Ensures: the caller holds the object once; it lives until `drop` was called for each hold and the last mapping has gone. */
  constructor(options: { readonly frames: FramePool; readonly pager: Pager; readonly size: number }) {
    this.frames = options.frames;
    this.pager = options.pager;
    this.#size = options.size;
    this.#holders = 1;
  }

  /** For maps, umem and messages. */
  get name(): string {
    return this.pager.name;
  }

  get size(): number {
    return this.#size;
  }

  /** Whether nobody but its one holder (the cache) uses it. */
  get idle(): boolean {
    return this.areas.size === 0 && this.#holders <= 1;
  }

  hold(): void {
    assert(!this.#released, `holding ${this.name} after its release`);
    this.#holders++;
  }

  drop(): void {
    assert(this.#holders > 0, `dropping ${this.name} too often`);
    this.#holders--;
    this.#releaseIfUnused();
  }

  attach(mapping: Mapping): void {
    assert(!this.#released, `mapping ${this.name} after its release`);
    this.areas.add(mapping);
  }

  detach(mapping: Mapping): void {
    this.areas.delete(mapping);
    this.#releaseIfUnused();
  }

  #releaseIfUnused(): void {
    if (this.#holders > 0 || this.areas.size > 0 || this.#released) return;
    this.#released = true;
    this.pages.forEach(0, LAST_PAGE, (index, frame) => {
      this.pages.delete(index);
      this.frames.free(frame);
    });
    this.pager.release();
  }

  /** The frame of page `index`, brought in if it must be. Holding it across another allocation needs `frames.share`. */
  page(index: number): FrameNumber | PageFailure {
    const frame = this.pages.get(index);
    if (frame !== NO_FRAME) {
      this.pages.mark(index, REFERENCED);
      return frame;
    }
    return this.#pageIn(index);
  }

  #pageIn(index: number): FrameNumber | PageFailure {
    if (index * PAGE_SIZE >= this.#size) return BEYOND_END;
    // Allocating may make the cache give up objects that look unused, and this one must outlive it.
    this.#holders++;
    const frame = this.frames.allocateZeroed();
    this.#holders--;
    if (frame < 0) return OUT_OF_FRAMES;
    const failure = this.pager.pageIn(index, this.frames.bytes(frame));
    if (failure !== undefined) {
      this.frames.free(frame);
      return failure;
    }
    this.pages.set(index, frame);
    this.pages.mark(index, REFERENCED);
    return frame;
  }

  /** Notes that page `index`, which must be in memory, differs from what the pager has. */
  markDirty(index: number): void {
    this.pages.mark(index, DIRTY);
  }

  isDirty(index: number): boolean {
    return this.pages.marked(index, DIRTY);
  }

  /**
   * Gives dirty pages in `[from, to)` to the pager. Mappings are write-protected first, so the next store is noticed again. Returns the first failure;
   * pages that could not be taken back stay dirty, and after a wait the call is simply made again.
   */
  writeBack(from = 0, to = LAST_PAGE): PageFailure | undefined {
    const dirty: number[] = [];
    this.pages.forEach(from, to, (index) => {
      if (this.isDirty(index)) dirty.push(index);
    });
    if (dirty.length === 0) return undefined;
    this.forEachMapped(dirty[0], dirty[dirty.length - 1] + 1, (mapping, range) => mapping.space.mmu.writeProtect(range));
    let first: PageFailure | undefined;
    for (const index of dirty) {
      const failure = this.pager.pageOut(index, this.frames.bytes(this.pages.get(index)));
      if (failure === undefined) this.pages.unmark(index, DIRTY);
      else first ??= failure;
      if (failure?.kind === 'wait') return failure;
    }
    return first;
  }

  /** Takes a clean page out of memory; the next touch asks the pager again. */
  evict(index: number): void {
    assert(!this.isDirty(index), 'an evicted page is clean');
    this.forEachMapped(index, index + 1, (mapping, range) => mapping.space.mmu.unmap(range));
    const frame = this.pages.delete(index);
    if (frame !== NO_FRAME) this.frames.free(frame);
  }

  /** Sets the size in bytes. Pages past a smaller end go, private copies of them too, and the rest of the last page becomes zero. */
  truncate(size: number): void {
    const shrinks = size < this.#size;
    this.#size = size;
    if (!shrinks) return;
    const end = Math.ceil(size / PAGE_SIZE);
    this.forEachMapped(end, LAST_PAGE, (mapping, range) => mapping.space.discard(range));
    this.pages.forEach(end, LAST_PAGE, (index, frame) => {
      this.pages.delete(index);
      this.frames.free(frame);
    });
    const rest = size % PAGE_SIZE;
    const last = rest === 0 ? NO_FRAME : this.pages.get(end - 1);
    if (last === NO_FRAME) return;
    this.frames.bytes(last).fill(0, rest);
    this.frames.arena.changed(last);
  }

  /**
   * Copies bytes from `position` on, up to the end of the object. Returns how many, or why the first page could not be had.
   * For read() of files that live in their object.
   */
  read(position: number, into: Uint8Array): number | PageFailure {
    const size = Math.max(0, Math.min(into.length, this.#size - position));
    for (let done = 0; done < size; ) {
      const frame = this.page(Math.floor((position + done) / PAGE_SIZE));
      if (typeof frame !== 'number') return done > 0 ? done : frame;
      const within = (position + done) % PAGE_SIZE;
      const part = Math.min(PAGE_SIZE - within, size - done);
      into.set(this.frames.bytes(frame).subarray(within, within + part), done);
      done += part;
    }
    return size;
  }

  /** Copies bytes in at `position`, growing the object where needed; pages become dirty. Returns how many, or why none. */
  write(position: number, from: Uint8Array): number | PageFailure {
    const before = this.#size;
    if (position + from.length > before) this.#size = position + from.length;
    for (let done = 0; done < from.length; ) {
      const index = Math.floor((position + done) / PAGE_SIZE);
      const frame = this.page(index);
      if (typeof frame !== 'number') {
        this.#size = Math.max(before, done > 0 ? position + done : 0);
        return done > 0 ? done : frame;
      }
      const within = (position + done) % PAGE_SIZE;
      const part = Math.min(PAGE_SIZE - within, from.length - done);
      this.frames.bytes(frame).set(from.subarray(done, done + part), within);
      this.frames.arena.changed(frame);
      this.markDirty(index);
      done += part;
    }
    return from.length;
  }

  /** Calls `visit` with every mapping that shows a page of `[from, to)`, and where in its space those pages are. Mappings may not change meanwhile. */
  forEachMapped(from: number, to: number, visit: (mapping: Mapping, range: Range) => void): void {
    for (const mapping of this.areas) {
      const base = Math.max(mapping.base, mapping.base + (from - mapping.offset) * PAGE_SIZE);
      const top = Math.min(mapping.top, mapping.base + (to - mapping.offset) * PAGE_SIZE);
      if (base < top) visit(mapping, { base, top });
    }
  }
}
