/** Memory objects: runs of pages that several mappings, in one or many address spaces, may see at the same time. */
import { assert } from '../abi/assert.ts';
import { ENOSPC, errnoName } from '../abi/errno.ts';
import { PROT_WRITE } from '../abi/mman.ts';
import { PAGE_SIZE, type Range } from '../abi/page.ts';
import type { FrameNumber, FramePool } from './frame.ts';
import type { Mmu } from './mmu.ts';
import type { Waitable } from './outcome.ts';
import { DIRTY, NO_FRAME, PageMap, REFERENCED } from './page-map.ts';
import type { FileIdentity, Pager } from './pager.ts';
import { WriteErrors } from './write-errors.ts';

/** An open file that mappings keep open (Linux vm_file). Implemented by fs's Description. */
export interface MappedFile {
  /** The path it has now, for maps; undefined: the object's name is it. */
  readonly label?: string | undefined;
  /** Which file it is. */
  readonly identity: FileIdentity;
  acquire(): void;
  release(): void;
  /** Writes pages `[from, to)` back. Throws Errno for a failed write-back that this opening has not been told of, be it this one or an earlier one. */
  writeBack(from: number, to: number): void;
}

/** What an object must know of a mapping of it. Implemented by Area. */
export interface Mapping extends Range {
  /** Page index within the object of the mapping's first page. */
  readonly offset: number;
  readonly sharing: 'private' | 'shared';
  /** PROT_ bits it may ever have. */
  readonly maxProt: number;
  readonly file: MappedFile | undefined;
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
/** A page more of a memory file may not be promised (Linux shmem_inode_acct_blocks). */
const OUT_OF_SPACE: PageFailure = { kind: 'error', errno: ENOSPC };

/** One past the largest page index. */
const LAST_PAGE = 2 ** 52;
/** Pages that are brought in together, in windows of so many. */
const READ_AHEAD = 16;
/** Nothing is read ahead once more than this part of the machine's frames is in use. */
const READ_AHEAD_SHARE = 0.75;
/** Pages that are written back together at most. */
const LONGEST_RUN = 256;

export interface ObjectOptions {
  readonly frames: FramePool;
  readonly pager: Pager;
  /** In bytes. */
  readonly size: number;
  readonly errors?: WriteErrors;
  readonly reserves?: boolean;
}

export class MemoryObject {
  readonly pager: Pager;
  readonly frames: FramePool;
  /** The pages in memory, by page index, with their DIRTY and REFERENCED marks. Each entry holds its frame once. */
  readonly pages = new PageMap();
  /** Every mapping of this object, in any space. */
  readonly areas = new Set<Mapping>();
  /** Write-backs that failed. */
  readonly errors: WriteErrors;
  /** In bytes. A page that starts at or past it is SIGBUS. */
  #size: number;
  /** Shared mappings that may write now or after mprotect. */
  #writers = 0;
  #dirty = 0;
  /** Users other than mappings: the page cache, open descriptions, a SysV identifier. */
  #holders = 0;
  #released = false;

  /** Pages promised for the object as a whole. Memory that has no other place, and no such promise, is promised page by page as it comes to be. */
  readonly #reserved: number;

  /**
   * Ensures: the caller holds the object once; it lives until `drop` was called for each hold and the last mapping has gone. With `reserves` its whole size counts
   * as promised memory, which the caller has asked for (`Commitment.allows`).
   */
  constructor(options: ObjectOptions) {
    this.frames = options.frames;
    this.pager = options.pager;
    this.#size = options.size;
    this.#holders = 1;
    this.#reserved = options.reserves === true ? Math.ceil(options.size / PAGE_SIZE) : 0;
    this.frames.commitment.add(this.#reserved);
    this.errors = options.errors ?? new WriteErrors();
  }

  /** For maps, umem and messages. */
  get name(): string {
    return this.pager.name;
  }

  get size(): number {
    return this.#size;
  }

  /** Shared mappings that may write, now or after mprotect. */
  get writers(): number {
    return this.#writers;
  }

  /** Pages that differ from what the pager has. */
  get dirtyPages(): number {
    return this.#dirty;
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
    if (mayWrite(mapping)) this.#writers++;
    mapping.file?.acquire();
  }

  /** When the last mapping that may write has gone, what it wrote is written back. Requires: the MMU does not reach the pages by it any more. */
  detach(mapping: Mapping): void {
    this.areas.delete(mapping);
    if (mayWrite(mapping) && --this.#writers === 0) this.writeBack();
    mapping.file?.release();
    this.#releaseIfUnused();
  }

  #releaseIfUnused(): void {
    if (this.#holders > 0 || this.areas.size > 0 || this.#released) return;
    this.#released = true;
    this.#dropPages(0, LAST_PAGE);
    this.frames.commitment.add(-this.#reserved);
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
    if (this.#promisesPages && !this.frames.commitment.allows(1, 0, false)) return OUT_OF_SPACE;
    // Allocating may make the cache give up objects that look unused, and this one must outlive it.
    this.#holders++;
    const frame = this.frames.allocateZeroed();
    this.#holders--;
    if (frame < 0) return OUT_OF_FRAMES;
    const failure = this.pager.pageInRun === undefined ? this.pager.pageIn(index, this.frames.bytes(frame)) : this.#readAhead(index, frame);
    if (failure !== undefined) {
      this.frames.free(frame);
      return failure;
    }
    this.pages.set(index, frame);
    this.pages.mark(index, REFERENCED);
    if (this.#promisesPages) this.frames.commitment.add(1);
    return frame;
  }

  get #promisesPages(): boolean {
    return this.pager.memoryOnly === true && this.#reserved === 0;
  }

  /** Fills `frame` with page `index`, and brings the pages behind it into memory in one go where they are not there and frames are plenty. */
  #readAhead(index: number, frame: FrameNumber): PageFailure | undefined {
    const { frames, pager } = this;
    const end = Math.min(index - (index % READ_AHEAD) + READ_AHEAD, Math.ceil(this.#size / PAGE_SIZE));
    const ahead: FrameNumber[] = [];
    for (let next = index + 1; next < end && this.pages.get(next) === NO_FRAME; next++) {
      if (frames.inUse + READ_AHEAD > frames.limit * READ_AHEAD_SHARE) break;
      const more = frames.allocateZeroed();
      if (more < 0) break;
      ahead.push(more);
    }
    if (
      ahead.length > 0 &&
      pager.pageInRun?.(
        index,
        [frame, ...ahead].map((each) => frames.bytes(each)),
      ) === undefined
    ) {
      ahead.forEach((more, i) => this.pages.set(index + 1 + i, more));
      return undefined;
    }
    for (const more of ahead) frames.free(more);
    return pager.pageIn(index, frames.bytes(frame));
  }

  /** Notes that page `index`, which must be in memory, differs from what the pager has. */
  markDirty(index: number): void {
    if (!this.isDirty(index)) {
      this.#dirty++;
      this.pager.changed?.();
    }
    this.pages.mark(index, DIRTY);
  }

  #markClean(index: number): void {
    if (this.isDirty(index)) this.#dirty--;
    this.pages.unmark(index, DIRTY);
  }

  /** Forgets pages in `[from, to)`, dirty or not. Requires: nothing reaches them. */
  #dropPages(from: number, to: number): void {
    const before = this.pages.size;
    this.pages.forEach(from, to, (index, frame) => {
      this.#markClean(index);
      this.pages.delete(index);
      this.frames.free(frame);
    });
    if (this.#promisesPages) this.frames.commitment.add(this.pages.size - before);
  }

  isDirty(index: number): boolean {
    return this.pages.marked(index, DIRTY);
  }

  /**
   * Gives dirty pages in `[from, to)` to the pager. Mappings are write-protected first, so the next store is noticed again. Returns the first failure;
   * pages that could not be taken back stay dirty, and after a wait the call is simply made again.
   */
  writeBack(from = 0, to = LAST_PAGE): PageFailure | undefined {
    if (this.#dirty === 0 || this.pager.memoryOnly) return undefined;
    const dirty: number[] = [];
    this.pages.forEach(from, to, (index) => {
      if (this.isDirty(index)) dirty.push(index);
    });
    if (dirty.length === 0) return undefined;
    this.forEachMapped(dirty[0], dirty[dirty.length - 1] + 1, (mapping, range) => mapping.space.mmu.writeProtect(range));
    let first: PageFailure | undefined;
    for (let at = 0; at < dirty.length; ) {
      const run = runLength(dirty, at);
      const failure = this.#pageOut(dirty[at], run);
      this.frames.watcher?.writtenBack(this.name, dirty[at], run, failureText(failure));
      if (failure !== undefined) first ??= failure;
      if (failure?.kind === 'wait') return failure;
      at += run;
    }
    if (first?.kind === 'error') this.errors.record(first.errno);
    return first;
  }

  /** Writes `count` dirty pages from `index` on; those that are taken become clean. Where a run fails, its pages are tried one by one. */
  #pageOut(index: number, count: number): PageFailure | undefined {
    const { pager, frames, pages } = this;
    const bytes = (page: number): Uint8Array => frames.bytes(pages.get(page));
    if (count > 1 && pager.pageOutRun !== undefined) {
      const run = Array.from({ length: count }, (_, i) => bytes(index + i));
      if (pager.pageOutRun(index, run) === undefined) {
        for (let i = 0; i < count; i++) this.#markClean(index + i);
        return undefined;
      }
    }
    let first: PageFailure | undefined;
    for (let page = index; page < index + count; page++) {
      const failure = pager.pageOut(page, bytes(page));
      if (failure === undefined) this.#markClean(page);
      else first ??= failure;
      if (failure?.kind === 'wait') return failure;
    }
    return first;
  }

  /** Looks whether others have changed what is behind the pager (MS_INVALIDATE). */
  invalidate(): void {
    this.pager.invalidate?.();
  }

  /** Takes the clean pages out of memory: what is behind the pager was changed by others. */
  evictClean(): void {
    const clean: number[] = [];
    this.pages.forEach(0, LAST_PAGE, (index) => {
      if (!this.isDirty(index)) clean.push(index);
    });
    if (clean.length === 0) return;
    this.forEachMapped(clean[0], clean[clean.length - 1] + 1, (mapping, range) => mapping.space.mmu.unmap(range));
    for (const index of clean) {
      this.frames.free(this.pages.delete(index));
      this.frames.watcher?.evicted(this.name, index);
    }
  }

  /** Takes a clean page out of memory; the next touch asks the pager again. */
  evict(index: number): void {
    assert(!this.isDirty(index), 'an evicted page is clean');
    this.forEachMapped(index, index + 1, (mapping, range) => mapping.space.mmu.unmap(range));
    const frame = this.pages.delete(index);
    if (frame === NO_FRAME) return;
    this.frames.free(frame);
    this.frames.watcher?.evicted(this.name, index);
  }

  /** Sets the size in bytes. Pages past a smaller end go, private copies of them too, and the rest of the last page becomes zero. */
  truncate(size: number): void {
    const shrinks = size < this.#size;
    this.#size = size;
    if (!shrinks) return;
    const end = Math.ceil(size / PAGE_SIZE);
    this.dropFrom(end);
    this.clearTail();
  }

  /** Forgets the pages from `index` on, and with them what private mappings have made of them (Linux truncate_pagecache). */
  dropFrom(index: number): void {
    this.forEachMapped(index, LAST_PAGE, (mapping, range) => mapping.space.discard(range));
    this.#dropPages(index, LAST_PAGE);
  }

  /** Makes zero what mappings may have written behind the end of the file in its last page. */
  clearTail(): void {
    const rest = this.#size % PAGE_SIZE;
    if (rest !== 0) this.#clear(this.#size, this.#size - rest + PAGE_SIZE);
  }

  /** Zeroes `[base, top)`, which lies in one page, where that page is in memory. */
  #clear(base: number, top: number): void {
    const frame = this.pages.get(Math.floor(base / PAGE_SIZE));
    if (frame === NO_FRAME || base >= top) return;
    const within = base % PAGE_SIZE;
    this.frames.bytes(frame).fill(0, within, within + top - base);
    this.frames.arena.changed(frame);
  }

  /**
   * Makes bytes `[base, top)` a hole that reads as zeros: here and behind the pager. Whole pages go from every mapping; pages that private
   * mappings have written stay theirs. Returns the pager's failure, after which nothing has changed.
   */
  punch(base: number, top: number): PageFailure | undefined {
    const end = Math.min(top, this.#size);
    if (base >= end) return undefined;
    const failure = this.pager.punch?.(base, end);
    if (failure !== undefined) return failure;
    const first = Math.ceil(base / PAGE_SIZE);
    // What lies behind the end of the file in its last page goes with it.
    const last = end === this.#size && top > end ? Math.ceil(end / PAGE_SIZE) : Math.floor(end / PAGE_SIZE);
    if (first > last) this.#clear(base, end);
    else {
      this.#clear(base, first * PAGE_SIZE);
      this.#clear(last * PAGE_SIZE, end);
    }
    if (first >= last) return undefined;
    this.forEachMapped(first, last, (mapping, range) => mapping.space.mmu.unmap(range));
    this.#dropPages(first, last);
    return undefined;
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

  /** The first byte from `position` on whose page is in memory, or is not (SEEK_DATA, SEEK_HOLE of files that live in their object). */
  nextRun(position: number, inMemory: boolean): number {
    let index = Math.floor(position / PAGE_SIZE);
    if (inMemory) {
      let first = LAST_PAGE;
      this.pages.forEach(index, LAST_PAGE, (held) => {
        first = Math.min(first, held);
      });
      index = first;
    } else while (this.pages.get(index) !== NO_FRAME) index++;
    return Math.max(position, index * PAGE_SIZE);
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

function mayWrite({ sharing, maxProt }: Mapping): boolean {
  return sharing === 'shared' && (maxProt & PROT_WRITE) !== 0;
}

/** For those who watch. */
function failureText(failure: PageFailure | undefined): string | undefined {
  return failure?.kind === 'error' ? errnoName(failure.errno) : failure?.kind;
}

/** How many of the ascending page numbers from `at` on are consecutive, up to LONGEST_RUN. */
function runLength(indexes: readonly number[], at: number): number {
  let end = at + 1;
  while (end < indexes.length && end - at < LONGEST_RUN && indexes[end] === indexes[end - 1] + 1) end++;
  return end - at;
}
