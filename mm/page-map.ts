/** A sparse map from page index to frame, held in typed arrays, with two mark bits an entry. Looking up and setting allocate nothing but new chunks. */
import { assert } from '../abi/assert.ts';
import type { FrameNumber } from './frame.ts';

/** Entries in a chunk unless told otherwise: a sixteenth of a page, so that maps of many small objects stay small. */
const SMALL_CHUNK = 64;
/** Most empty chunks kept for use again. */
const SPARES = 32;
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

/** Page indexes are non-negative integers up to 2^52; frames are below 2^24 - 1. */
export class PageMap {
  readonly #chunks = new Map<number, Chunk>();
  /** The chunk used last, and its key: most look-ups come in runs. */
  #lastKey = -1;
  #last: Chunk | undefined;
  /** Some chunks that became empty: mapping and unmapping over and over allocates nothing. */
  readonly #spares: Chunk[] = [];
  #size = 0;

  /** Entries in a chunk. */
  readonly #span: number;

  constructor(span: number = SMALL_CHUNK) {
    this.#span = span;
  }

  /** Number of pages held. */
  get size(): number {
    return this.#size;
  }

  #find(key: number): Chunk | undefined {
    if (key === this.#lastKey) return this.#last;
    const chunk = this.#chunks.get(key);
    if (chunk !== undefined) {
      this.#lastKey = key;
      this.#last = chunk;
    }
    return chunk;
  }

  #add(key: number): Chunk {
    const chunk = this.#spares.pop() ?? new Chunk(this.#span);
    this.#chunks.set(key, chunk);
    this.#lastKey = key;
    this.#last = chunk;
    return chunk;
  }

  /** The frame of page `index`, or NO_FRAME. */
  get(index: number): FrameNumber {
    const chunk = this.#find(Math.floor(index / this.#span));
    return chunk === undefined ? NO_FRAME : (chunk.entries[index % this.#span] & FRAME_BITS) - 1;
  }

  /** Enters or replaces page `index`; its marks are cleared. The counts of frames are the caller's business. */
  set(index: number, frame: FrameNumber): void {
    assert(frame >= 0 && frame < FRAME_BITS, 'a frame number fits a page map');
    const key = Math.floor(index / this.#span);
    const chunk = this.#find(key) ?? this.#add(key);
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
      const own = this.#find(key) ?? this.#add(key);
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
      if (own.used === 0) this.#drop(key);
    });
  }

  /** Takes page `index` out and returns the frame it had, or NO_FRAME. */
  delete(index: number): FrameNumber {
    const key = Math.floor(index / this.#span);
    const chunk = this.#find(key);
    if (chunk === undefined) return NO_FRAME;
    const at = index % this.#span;
    const frame = (chunk.entries[at] & FRAME_BITS) - 1;
    if (frame < 0) return NO_FRAME;
    chunk.entries[at] = 0;
    this.#size--;
    if (--chunk.used === 0) {
      this.#drop(key);
      if (this.#spares.length < SPARES) this.#spares.push(chunk);
    }
    return frame;
  }

  #drop(key: number): void {
    this.#chunks.delete(key);
    if (key === this.#lastKey) {
      this.#lastKey = -1;
      this.#last = undefined;
    }
  }

  /** Whether page `index` is held and carries `mark`. */
  marked(index: number, mark: number): boolean {
    const chunk = this.#find(Math.floor(index / this.#span));
    return chunk !== undefined && (chunk.entries[index % this.#span] & mark) !== 0;
  }

  /** Sets a mark on a page that is held. */
  mark(index: number, mark: number): void {
    const chunk = this.#find(Math.floor(index / this.#span));
    assert(chunk !== undefined && chunk.entries[index % this.#span] !== 0, 'a marked page is held');
    chunk.entries[index % this.#span] |= mark;
  }

  /** Clears a mark; nothing happens where no page is held. */
  unmark(index: number, mark: number): void {
    const chunk = this.#find(Math.floor(index / this.#span));
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
    if (last - first < this.#chunks.size) {
      for (let key = first; key <= last; key++) {
        const chunk = this.#chunks.get(key);
        if (chunk !== undefined) visit(key, chunk);
      }
      return;
    }
    const keys: number[] = [];
    for (const key of this.#chunks.keys()) if (key >= first && key <= last) keys.push(key);
    keys.sort((a, b) => a - b);
    for (const key of keys) {
      const chunk = this.#chunks.get(key);
      if (chunk !== undefined) visit(key, chunk);
    }
  }

  /** Number of pages held in `[base, top)`. */
  count(base: number, top: number): number {
    let held = 0;
    this.forEach(base, top, () => held++);
    return held;
  }
}
