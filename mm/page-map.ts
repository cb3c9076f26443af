/** A sparse map from page index to frame, held in typed arrays, with two mark bits an entry. Looking up and setting allocate nothing but new chunks. */
import { assert } from '../abi/assert.ts';
import type { FrameNumber } from './frame.ts';

/** Entries in a chunk: a chunk of 64 costs what a sixteenth of a page costs, so that sparse maps stay small. */
const CHUNK_SHIFT = 6;
const CHUNK = 1 << CHUNK_SHIFT;
/** Most empty chunks kept for use again. */
const SPARES = 32;
/** An entry is `frame + 1` in the low bits and marks above; 0 is no entry. */
const FRAME_BITS = 0x00ff_ffff;

/** The page was written since it was last written back or snapshotted. */
export const DIRTY = 0x4000_0000;
/** The page was used since the clock hand of the page cache last passed. */
export const REFERENCED = 0x2000_0000;

/** What `get` answers where there is no entry. */
export const NO_FRAME: FrameNumber = -1;

class Chunk {
  readonly entries = new Int32Array(CHUNK);
  used = 0;
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

  /** The frame of page `index`, or NO_FRAME. */
  get(index: number): FrameNumber {
    const chunk = this.#find(Math.floor(index / CHUNK));
    return chunk === undefined ? NO_FRAME : (chunk.entries[index % CHUNK] & FRAME_BITS) - 1;
  }

  /** Enters or replaces page `index`; its marks are cleared. The counts of frames are the caller's business. */
  set(index: number, frame: FrameNumber): void {
    assert(frame >= 0 && frame < FRAME_BITS, `frame ${frame} does not fit a page map`);
    const key = Math.floor(index / CHUNK);
    let chunk = this.#find(key);
    if (chunk === undefined) {
      chunk = this.#spares.pop() ?? new Chunk();
      this.#chunks.set(key, chunk);
      this.#lastKey = key;
      this.#last = chunk;
    }
    const at = index % CHUNK;
    if (chunk.entries[at] === 0) {
      chunk.used++;
      this.#size++;
    }
    chunk.entries[at] = frame + 1;
  }

  /** Takes page `index` out and returns the frame it had, or NO_FRAME. */
  delete(index: number): FrameNumber {
    const key = Math.floor(index / CHUNK);
    const chunk = this.#find(key);
    if (chunk === undefined) return NO_FRAME;
    const at = index % CHUNK;
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
    const chunk = this.#find(Math.floor(index / CHUNK));
    return chunk !== undefined && (chunk.entries[index % CHUNK] & mark) !== 0;
  }

  /** Sets a mark on a page that is held. */
  mark(index: number, mark: number): void {
    const chunk = this.#find(Math.floor(index / CHUNK));
    assert(chunk !== undefined && chunk.entries[index % CHUNK] !== 0, `no page ${index} to mark`);
    chunk.entries[index % CHUNK] |= mark;
  }

  /** Clears a mark; nothing happens where no page is held. */
  unmark(index: number, mark: number): void {
    const chunk = this.#find(Math.floor(index / CHUNK));
    if (chunk !== undefined) chunk.entries[index % CHUNK] &= ~mark;
  }

  /**
   * Calls `visit` for every page held in `[base, top)`, ascending. `visit` may delete or replace the page it is given, and only that one.
   * Costs what is held near the range, not what the range spans.
   */
  forEach(base: number, top: number, visit: (index: number, frame: FrameNumber) => void): void {
    const firstKey = Math.floor(base / CHUNK);
    const lastKey = Math.floor((top - 1) / CHUNK);
    if (lastKey - firstKey < this.#chunks.size) {
      for (let key = firstKey; key <= lastKey; key++) this.#visitChunk(key, base, top, visit);
    } else {
      const keys: number[] = [];
      for (const key of this.#chunks.keys()) if (key >= firstKey && key <= lastKey) keys.push(key);
      keys.sort((a, b) => a - b);
      for (const key of keys) this.#visitChunk(key, base, top, visit);
    }
  }

  #visitChunk(key: number, base: number, top: number, visit: (index: number, frame: FrameNumber) => void): void {
    const chunk = this.#chunks.get(key);
    if (chunk === undefined) return;
    const start = key * CHUNK;
    const from = Math.max(base - start, 0);
    const to = Math.min(top - start, CHUNK);
    for (let at = from; at < to; at++) {
      const frame = (chunk.entries[at] & FRAME_BITS) - 1;
      if (frame >= 0) visit(start + at, frame);
    }
  }

  /** Number of pages held in `[base, top)`. */
  count(base: number, top: number): number {
    let held = 0;
    this.forEach(base, top, () => held++);
    return held;
  }
}
