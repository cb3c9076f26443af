/** A sparse map from page index to frame, held in typed arrays, with two mark bits an entry. Looking up and setting allocate nothing in the long run. */
import { assert } from '../abi/assert.ts';
import type { FrameNumber } from './arena.ts';
import { RunList, Slab } from './slab.ts';

/** log2 of the entries in a chunk unless told otherwise: a sixteenth of a page, so that maps of many small objects stay small. */
const SMALL_CHUNK = 6;
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

/** Page indexes are non-negative integers up to 2^52; frames are below 2^24 - 1. */
export class PageMap {
  /** A chunk is a run of the slab: its entries. How many of them are in use is counted beside them. */
  readonly #slab: Slab;
  readonly #chunks = new RunList();
  readonly #shift: number;
  readonly #mask: number;
  #size = 0;

  /** Maps that come and go share a slab. */
  constructor(slab: Slab = new Slab(SMALL_CHUNK)) {
    this.#slab = slab;
    this.#shift = slab.shift;
    this.#mask = (1 << slab.shift) - 1;
  }

  /** Number of pages held. */
  get size(): number {
    return this.#size;
  }

  #key(index: number): number {
    return index < 2 ** 31 ? index >>> this.#shift : Math.floor(index / 2 ** this.#shift);
  }

  /** The entry of page `index`; 0 where there is none. */
  #entry(index: number): number {
    const chunk = this.#chunks.get(this.#key(index));
    return chunk === 0 ? 0 : this.#slab.words(chunk)[this.#slab.start(chunk) + (index & this.#mask)];
  }

  #add(key: number): number {
    const chunk = this.#slab.take();
    this.#chunks.set(key, chunk);
    return chunk;
  }

  /** The frame of page `index`, or NO_FRAME. */
  get(index: number): FrameNumber {
    return (this.#entry(index) & FRAME_BITS) - 1;
  }

  /** Enters or replaces page `index`; its marks are cleared. The counts of frames are the caller's business. */
  set(index: number, frame: FrameNumber): void {
    assert(frame >= 0 && frame < FRAME_BITS, 'a frame number fits a page map');
    const key = this.#key(index);
    const chunk = this.#chunks.get(key) || this.#add(key);
    const words = this.#slab.words(chunk);
    const at = this.#slab.start(chunk) + (index & this.#mask);
    if (words[at] === 0) {
      this.#slab.used[chunk]++;
      this.#size++;
    }
    words[at] = frame + 1;
  }

  /** Enters every page that `from`, a map over the same slab, holds in `[base, top)`, without its marks, and calls `visit` for each. Requires: none of them is here. */
  copyFrom(from: PageMap, base: number, top: number, visit: (frame: FrameNumber) => void): void {
    const slab = this.#slab;
    assert(from.#slab === slab, 'maps that are copied share a slab');
    from.#eachChunk(base, top, (key, chunk) => {
      const start = key << this.#shift;
      const end = Math.min(top - start, 1 << this.#shift);
      const own = this.#chunks.get(key) || this.#add(key);
      const [source, target] = [slab.words(chunk), slab.words(own)];
      const [sourceStart, targetStart] = [slab.start(chunk), slab.start(own)];
      let copied = 0;
      for (let at = Math.max(base - start, 0); at < end; at++) {
        const entry = source[sourceStart + at] & FRAME_BITS;
        if (entry === 0) continue;
        target[targetStart + at] = entry;
        visit(entry - 1);
        copied++;
      }
      slab.used[own] += copied;
      this.#size += copied;
      if (slab.used[own] === 0) this.#drop(key, own);
    });
  }

  /** Takes page `index` out and returns the frame it had, or NO_FRAME. */
  delete(index: number): FrameNumber {
    const key = this.#key(index);
    const chunk = this.#chunks.get(key);
    if (chunk === 0) return NO_FRAME;
    const words = this.#slab.words(chunk);
    const at = this.#slab.start(chunk) + (index & this.#mask);
    const frame = (words[at] & FRAME_BITS) - 1;
    if (frame < 0) return NO_FRAME;
    words[at] = 0;
    this.#size--;
    if (--this.#slab.used[chunk] === 0) this.#drop(key, chunk);
    return frame;
  }

  #drop(key: number, chunk: number): void {
    this.#chunks.set(key, 0);
    this.#slab.give(chunk);
  }

  /** Whether page `index` is held and carries `mark`. */
  marked(index: number, mark: number): boolean {
    return (this.#entry(index) & mark) !== 0;
  }

  #change(index: number, keep: number, mark: number): void {
    const chunk = this.#chunks.get(this.#key(index));
    if (chunk === 0) return;
    const words = this.#slab.words(chunk);
    const at = this.#slab.start(chunk) + (index & this.#mask);
    words[at] = (words[at] & keep) | mark;
  }

  /** Sets a mark on a page that is held. */
  mark(index: number, mark: number): void {
    assert(this.#entry(index) !== 0, 'a marked page is held');
    this.#change(index, -1, mark);
  }

  /** Clears a mark; nothing happens where no page is held. */
  unmark(index: number, mark: number): void {
    this.#change(index, ~mark, 0);
  }

  /**
   * Calls `visit` for every page held in `[base, top)`, ascending. `visit` may delete or replace the page it is given, and only that one.
   * Costs what is held near the range, not what the range spans.
   */
  forEach(base: number, top: number, visit: (index: number, frame: FrameNumber) => void): void {
    const span = 2 ** this.#shift;
    this.#eachChunk(base, top, (key, chunk) => {
      const start = key * span;
      const end = Math.min(top - start, span);
      const words = this.#slab.words(chunk);
      const first = this.#slab.start(chunk);
      for (let at = Math.max(base - start, 0); at < end; at++) {
        const frame = (words[first + at] & FRAME_BITS) - 1;
        if (frame >= 0) visit(start + at, frame);
      }
    });
  }

  /** Takes every page in `[base, top)` out and calls `visit` with its frame. */
  takeAll(base: number, top: number, visit: (frame: FrameNumber) => void): void {
    const span = 2 ** this.#shift;
    this.#eachChunk(base, top, (key, chunk) => {
      const words = this.#slab.words(chunk);
      const first = this.#slab.start(chunk) - key * span;
      let left = this.#slab.used[chunk];
      const end = first + Math.min(top, (key + 1) * span);
      for (let at = first + Math.max(base, key * span); at < end && left > 0; at++) {
        const frame = (words[at] & FRAME_BITS) - 1;
        if (frame < 0) continue;
        words[at] = 0;
        left--;
        this.#size--;
        visit(frame);
      }
      this.#slab.used[chunk] = left;
      if (left === 0) this.#drop(key, chunk);
    });
  }

  /** Calls `visit` for every chunk that reaches into `[base, top)`, ascending. */
  #eachChunk(base: number, top: number, visit: (key: number, chunk: number) => void): void {
    if (base < top && this.#size > 0) this.#chunks.forEach(this.#key(base), this.#key(top - 1), visit);
  }

  /** Number of pages held in `[base, top)`. */
  count(base: number, top: number): number {
    let held = 0;
    this.forEach(base, top, () => held++);
    return held;
  }
}
