/** Frames: 4 KiB pieces of the arena, shared by count, with one limit for the whole machine. */
import { assert } from '../abi/assert.ts';
import type { Arena, FrameNumber } from './arena.ts';
import { Commitment } from './commitment.ts';
import { SPACE_RUN, Slab } from './slab.ts';
import type { MemoryWatcher } from './watcher.ts';

export type { FrameNumber };

/** 32-bit words in a frame. */
const FRAME_WORDS = 1024;
/** The arena grows by at least so many frames at a time (4 MiB). */
const GROWTH = 1024;
const END_OF_LIST = -1;
/** Frames that fit into 4 GiB: there are no more, whatever the limit. */
const ADDRESSABLE = 2 ** 20;

/** Asked for frames when none is left: frees some and returns how many. Must not allocate frames. */
export type Reclaimer = () => number;

/**
 * Hands out frames. A frame that is in use has a count of at least 1: the number of page-map entries that hold it. Metadata is 8 bytes a frame.
 */
export class FramePool {
  readonly arena: Arena;
  /** What spaces keep their tables in: page maps, and indexes of areas. */
  readonly spaceTables = new Slab(SPACE_RUN);
  /** Most frames that may be in use at once, in the whole machine. */
  limit: number;
  /** Told of what happens to pages, in all spaces and objects over these frames. */
  watcher: MemoryWatcher | undefined;
  /** Holders of each frame; 0 is free. */
  #counts = new Uint32Array(GROWTH);
  /** For a free frame, the next one in the free list. */
  #next = new Int32Array(GROWTH);
  #free = END_OF_LIST;
  /** Frames the arena gave us and nobody has used yet: `[#fresh, #freshTop)`. */
  #fresh = 0;
  #freshTop = 0;
  #total = 0;
  #inUse = 0;
  #peak = 0;
  #zero: FrameNumber = -1;
  readonly #reclaimers = new Set<Reclaimer>();
  /** Asked when no other reclaimer has anything: the machine's out-of-memory policy. */
  lastResort: Reclaimer | undefined;
  /** What has been promised of the frames. */
  readonly commitment: Commitment = new Commitment(() => Math.min(this.limit, ADDRESSABLE));

  constructor(options: { readonly arena: Arena; readonly limit?: number }) {
    this.arena = options.arena;
    this.limit = options.limit ?? Number.POSITIVE_INFINITY;
  }

  /** Frames held by somebody, without the zero frame. */
  get inUse(): number {
    return this.#inUse;
  }

  /** The largest `inUse` there was. */
  get peak(): number {
    return this.#peak;
  }

  /** Frames taken from the arena so far. */
  get total(): number {
    return this.#total;
  }

  /** Registers somebody who can free frames under pressure, such as the page cache. */
  addReclaimer(reclaimer: Reclaimer): void {
    this.#reclaimers.add(reclaimer);
  }

  removeReclaimer(reclaimer: Reclaimer): void {
    this.#reclaimers.delete(reclaimer);
  }

  /** A frame with count 1 and unspecified content, or -1 when the limit is reached and nothing could be reclaimed. */
  allocate(): FrameNumber {
    if (this.#inUse >= this.limit && !this.#reclaim()) return -1;
    let frame = this.#free;
    if (frame !== END_OF_LIST) {
      this.#free = this.#next[frame];
      this.arena.changed(frame);
    } else {
      if (this.#fresh === this.#freshTop && !this.#grow() && !this.#reclaim()) return -1;
      if (this.#fresh === this.#freshTop) return this.allocate();
      frame = this.#fresh++;
    }
    this.#counts[frame] = 1;
    if (++this.#inUse > this.#peak) this.#peak = this.#inUse;
    return frame;
  }

  /** A frame with count 1 and all bytes 0, or -1 as `allocate`. */
  allocateZeroed(): FrameNumber {
    const frame = this.allocate();
    if (frame >= 0) this.clear(frame);
    return frame;
  }

  /** Fills a frame with zeros. */
  clear(frame: FrameNumber): void {
    this.arena.words.fill(0, frame * FRAME_WORDS, (frame + 1) * FRAME_WORDS);
  }

  /** Copies all bytes of one frame to another. */
  copy(from: FrameNumber, to: FrameNumber): void {
    this.arena.words.copyWithin(to * FRAME_WORDS, from * FRAME_WORDS, (from + 1) * FRAME_WORDS);
  }

  /** The bytes of a frame, valid until the arena grows. */
  bytes(frame: FrameNumber): Uint8Array {
    return this.arena.bytes.subarray(frame * 4096, (frame + 1) * 4096);
  }

  /** One more holder. */
  share(frame: FrameNumber): void {
    assert(this.#counts[frame] > 0, 'a shared frame is in use');
    this.#counts[frame]++;
  }

  /** One holder less; the last one frees the frame. Requires: no MMU entry of the leaving holder reaches it any more. */
  free(frame: FrameNumber): void {
    const count = this.#counts[frame];
    assert(count > 0, 'a freed frame is in use');
    this.#counts[frame] = count - 1;
    if (count > 1) return;
    this.#next[frame] = this.#free;
    this.#free = frame;
    this.#inUse--;
  }

  /** Number of holders; 0 is free. */
  count(frame: FrameNumber): number {
    return this.#counts[frame];
  }

  /** The one frame of zeros that reads of untouched anonymous memory share; never writable, held by the pool alone, not counted in use. -1 when out of frames. */
  get zero(): FrameNumber {
    if (this.#zero < 0) {
      this.#zero = this.allocateZeroed();
      if (this.#zero >= 0) this.#inUse--;
    }
    return this.#zero;
  }

  isZero(frame: FrameNumber): boolean {
    return frame >= 0 && frame === this.#zero;
  }

  #reclaim(): boolean {
    for (const reclaimer of this.#reclaimers) if (reclaimer() > 0) return true;
    return this.lastResort !== undefined && this.lastResort() > 0;
  }

  #grow(): boolean {
    const wanted = Math.max(1, Math.min(Math.max(GROWTH, this.#total >> 1), this.limit + 1 - this.#total));
    const run = this.arena.grow(wanted);
    if (run === undefined || run.count === 0) return false;
    this.#fresh = run.first;
    this.#freshTop = run.first + run.count;
    this.#total += run.count;
    if (this.#freshTop > this.#counts.length) {
      const size = Math.max(this.#freshTop, this.#counts.length * 2);
      const counts = new Uint32Array(size);
      counts.set(this.#counts);
      this.#counts = counts;
      const next = new Int32Array(size);
      next.set(this.#next);
      this.#next = next;
    }
    return true;
  }
}
