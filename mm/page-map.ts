/** A sparse map from page index to frame, held in typed arrays, with two mark bits an entry. Looking up and setting allocate nothing but new chunks. */
import { assert } from '../abi/assert.ts';
import type { FrameNumber } from './arena.ts';

/** Entries in a chunk unless told otherwise: a sixteenth of a page, so that maps of many small objects stay small. */
const SMALL_CHUNK = 64;
/** Bytes of empty chunks that are kept for use again. */
const SPARE_BYTES = 2 ** 22;
/** An entry is `frame + 1` in the low bits and marks above; 0 is no entry. */
const FRAME_BITS = 0x00ff_ffff;

/** The page was written since it was last written back or snapshotted. */
export const DIRTY = 0x4000_0000;
/** The page was used since the clock hand of the page cache last passed. */
export const REFERENCED = 0x2000_0000;
/** In a space's own pages: given up by madvise(MADV_FREE), and not written since. */
export const LAZY = 0x1000_0000;

/** What `get` answers where there is no entry. */
export const NO_FRAME: FrameNumber = -1;

class Chunk {
  readonly entries: Int32Array;
  used = 0;
  constructor(span: number) {
    this.entries = new Int32Array(span);
  }
}

/** Hands out chunks of one size, and takes those that have become empty: mapping and unmapping over and over allocates nothing. */
export class ChunkPool {
  /** Entries in a chunk. */
  readonly span: number;
  readonly #spares: Chunk[] = [];

  constructor(span: number = SMALL_CHUNK) {
    this.span = span;
  }

  take(): Chunk {
    return this.#spares.pop() ?? new Chunk(this.span);
  }

  /** Requires: nothing is in it. */
  give(chunk: Chunk): void {
    if (this.#spares.length * this.span * 4 < SPARE_BYTES) this.#spares.push(chunk);
  }
}

/** Chunks with keys below it are found by two steps in arrays, those beyond, which only huge files have, by a Map. */
const NEAR = 2048;

/** Chunks by key. */
class ChunkList {
  #near: (Chunk | undefined)[][] | undefined;
  readonly #far = new Map<number, Chunk>();
  #size = 0;

  get(key: number): Chunk | undefined {
    return key < NEAR ? this.#near?.[key >>> 5]?.[key & 31] : this.#far.get(key);
  }

  /** Requires: none there yet. */
  set(key: number, chunk: Chunk): void {
    this.#size++;
    if (key >= NEAR) this.#far.set(key, chunk);
    else ((this.#near ??= new Array(NEAR / 32))[key >>> 5] ??= new Array(32))[key & 31] = chunk;
  }

  /** Requires: there. */
  delete(key: number): void {
    this.#size--;
    if (key >= NEAR) this.#far.delete(key);
    else (this.#near as (Chunk | undefined)[][])[key >>> 5][key & 31] = undefined;
  }

  /** Calls `visit` for every chunk from key `first` to key `last`, ascending. It may delete the one it is given. */
  forEach(first: number, last: number, visit: (key: number, chunk: Chunk) => void): void {
    if (this.#size === 0) return;
    const near = Math.min(last, NEAR - 1);
    for (let key = first; key <= near; ) {
      const part = this.#near?.[key >>> 5];
      const end = Math.min(near, key | 31);
      for (; part !== undefined && key <= end; key++) {
        const chunk = part[key & 31];
        if (chunk !== undefined) visit(key, chunk);
      }
      key = end + 1;
    }
    if (last < NEAR || this.#far.size === 0) return;
    const keys = [...this.#far.keys()].filter((key) => key >= first && key <= last).sort((a, b) => a - b);
    for (const key of keys) {
      const chunk = this.#far.get(key);
      if (chunk !== undefined) visit(key, chunk);
    }
  }
}

/** Page indexes are non-negative integers up to 2^52; frames are below 2^24 - 1. */
export class PageMap {
  readonly #chunks = new ChunkList();
  #size = 0;

  readonly #pool: ChunkPool;
  /** Entries in a chunk. */
  readonly #span: number;

  /** Maps that come and go share a pool. */
  constructor(pool: ChunkPool = new ChunkPool()) {
    this.#pool = pool;
    this.#span = pool.span;
  }

  /** Number of pages held. */
  get size(): number {
    return this.#size;
  }

  #add(key: number): Chunk {
    const chunk = this.#pool.take();
    this.#chunks.set(key, chunk);
    return chunk;
  }

  /** The frame of page `index`, or NO_FRAME. */
  get(index: number): FrameNumber {
    const chunk = this.#chunks.get(Math.floor(index / this.#span));
    return chunk === undefined ? NO_FRAME : (chunk.entries[index % this.#span] & FRAME_BITS) - 1;
  }

  /** Enters or replaces page `index`; its marks are cleared. The counts of frames are the caller's business. */
  set(index: number, frame: FrameNumber): void {
    assert(frame >= 0 && frame < FRAME_BITS, 'a frame number fits a page map');
    const key = Math.floor(index / this.#span);
    const chunk = this.#chunks.get(key) ?? this.#add(key);
    const at = index % this.#span;
    if (chunk.entries[at] === 0) {
      chunk.used++;
      this.#size++;
    }
    chunk.entries[at] = frame + 1;
  }

  /** Enters every page that `from`, a map of the same span, holds in `[base, top)`, without its marks, and calls `visit` for each. Requires: none of them is here. */
  copyFrom(from: PageMap, base: number, top: number, visit: (frame: FrameNumber) => void): void {
    assert(from.#span === this.#span, 'maps that are copied have one span');
    from.#eachChunk(base, top, (key, chunk) => {
      const start = key * this.#span;
      const end = Math.min(top - start, this.#span);
      const own = this.#chunks.get(key) ?? this.#add(key);
      let copied = 0;
      for (let at = Math.max(base - start, 0); at < end; at++) {
        const entry = chunk.entries[at] & FRAME_BITS;
        if (entry === 0) continue;
        own.entries[at] = entry;
        visit(entry - 1);
        copied++;
      }
      own.used += copied;
      this.#size += copied;
      if (own.used === 0) this.#drop(key, own);
    });
  }

  /** Takes page `index` out and returns the frame it had, or NO_FRAME. */
  delete(index: number): FrameNumber {
    const key = Math.floor(index / this.#span);
    const chunk = this.#chunks.get(key);
    if (chunk === undefined) return NO_FRAME;
    const at = index % this.#span;
    const frame = (chunk.entries[at] & FRAME_BITS) - 1;
    if (frame < 0) return NO_FRAME;
    chunk.entries[at] = 0;
    this.#size--;
    if (--chunk.used === 0) this.#drop(key, chunk);
    return frame;
  }

  #drop(key: number, chunk: Chunk): void {
    this.#chunks.delete(key);
    this.#pool.give(chunk);
  }

  /** Whether page `index` is held and carries `mark`. */
  marked(index: number, mark: number): boolean {
    const chunk = this.#chunks.get(Math.floor(index / this.#span));
    return chunk !== undefined && (chunk.entries[index % this.#span] & mark) !== 0;
  }

  /** Sets a mark on a page that is held. */
  mark(index: number, mark: number): void {
    const chunk = this.#chunks.get(Math.floor(index / this.#span));
    assert(chunk !== undefined && chunk.entries[index % this.#span] !== 0, 'a marked page is held');
    chunk.entries[index % this.#span] |= mark;
  }

  /** Clears a mark; nothing happens where no page is held. */
  unmark(index: number, mark: number): void {
    const chunk = this.#chunks.get(Math.floor(index / this.#span));
    if (chunk !== undefined) chunk.entries[index % this.#span] &= ~mark;
  }

  /**
   * Calls `visit` for every page held in `[base, top)`, ascending. `visit` may delete or replace the page it is given, and only that one.
   * Costs what is held near the range, not what the range spans.
   */
  forEach(base: number, top: number, visit: (index: number, frame: FrameNumber) => void): void {
    this.#eachChunk(base, top, (key, chunk) => {
      const start = key * this.#span;
      const end = Math.min(top - start, this.#span);
      for (let at = Math.max(base - start, 0); at < end; at++) {
        const frame = (chunk.entries[at] & FRAME_BITS) - 1;
        if (frame >= 0) visit(start + at, frame);
      }
    });
  }

  /** Calls `visit` for every chunk that reaches into `[base, top)`, ascending. */
  #eachChunk(base: number, top: number, visit: (key: number, chunk: Chunk) => void): void {
    if (base >= top) return;
    const first = Math.floor(base / this.#span);
    const last = Math.floor((top - 1) / this.#span);
    this.#chunks.forEach(first, last, visit);
  }

  /** Number of pages held in `[base, top)`. */
  count(base: number, top: number): number {
    let held = 0;
    this.forEach(base, top, () => held++);
    return held;
  }
}
