/** The page cache: one object per file, whoever maps it, kept after its last user until frames are short. */
import type { FramePool } from './frame.ts';
import { MemoryObject } from './object.ts';
import { DIRTY, REFERENCED } from './page-map.ts';
import type { Pager } from './pager.ts';
import type { WriteErrors } from './write-errors.ts';

/** Pages freed by one call for help: enough that calls are rare, few enough that what is in use stays. */
const BATCH = 64;

export interface CacheStatistics {
  /** Pages taken out of memory because frames were short. */
  evicted: number;
  /** Objects found when asked for, and those that had to be made. */
  hits: number;
  misses: number;
}

/**
 * `Key` identifies a file whatever path leads to it, such as `"device:inode"`; keys are compared as Map does. The cache registers itself with the pool and gives
 * back clean pages when it is asked to, those not used lately first.
 */
export class PageCache<Key> {
  readonly frames: FramePool;
  readonly statistics: CacheStatistics = { evicted: 0, hits: 0, misses: 0 };
  /** In the order in which the clock hand visits them. */
  readonly #objects = new Map<Key, MemoryObject>();

  constructor(frames: FramePool) {
    this.frames = frames;
    frames.addReclaimer(() => this.reclaim(BATCH));
  }

  /** Number of objects held. */
  get size(): number {
    return this.#objects.size;
  }

  /**
   * The object of the file `key`; made over `open()` when there is none. The caller does not hold it: mapping it does, anything else that keeps it calls
   * `hold` and `drop`. Where an object is found and the file has another size now, the caller calls `truncate`.
   */
  object(key: Key, open: () => { readonly pager: Pager; readonly size: number; readonly errors?: WriteErrors }): MemoryObject {
    const found = this.#objects.get(key);
    if (found !== undefined) {
      this.statistics.hits++;
      return found;
    }
    this.statistics.misses++;
    const object = new MemoryObject({ frames: this.frames, ...open() });
    this.#objects.set(key, object);
    return object;
  }

  /** The object of `key` if the cache has it. */
  peek(key: Key): MemoryObject | undefined {
    return this.#objects.get(key);
  }

  /** Forgets `key` (the file is gone, or its content is another): who uses the object keeps it, who asks for it next gets a new one. */
  forget(key: Key): void {
    const object = this.#objects.get(key);
    if (object === undefined) return;
    this.#objects.delete(key);
    object.drop();
  }

  /** Writes every dirty page back. Returns how many objects failed; their pages stay dirty. */
  writeBack(): number {
    let failed = 0;
    for (const object of this.#objects.values()) if (object.writeBack() !== undefined) failed++;
    return failed;
  }

  /**
   * Frees up to `wanted` frames and returns how many. First pages nobody referenced since the last visit; if there are none, any clean page; if there are
   * none, dirty pages are written back first. A page whose frame somebody else holds at the moment stays.
   */
  reclaim(wanted: number): number {
    return this.#sweep(wanted, false) || this.#sweep(wanted, true) || (this.writeBack(), this.#sweep(wanted, true));
  }

  #sweep(wanted: number, evenReferenced: boolean): number {
    let freed = 0;
    for (const [key, object] of [...this.#objects]) {
      if (freed >= wanted) break;
      freed += this.#sweepObject(object, wanted - freed, evenReferenced);
      if (object.idle && object.pages.size === 0) this.forget(key);
      else this.#visitLast(key, object);
    }
    this.statistics.evicted += freed;
    return freed;
  }

  #sweepObject(object: MemoryObject, wanted: number, evenReferenced: boolean): number {
    const { pages } = object;
    let freed = 0;
    pages.forEach(0, Math.ceil(object.size / 4096), (index, frame) => {
      if (freed >= wanted || pages.marked(index, DIRTY) || this.frames.count(frame) > 1) return;
      if (!evenReferenced && pages.marked(index, REFERENCED)) {
        pages.unmark(index, REFERENCED);
        return;
      }
      object.evict(index);
      freed++;
    });
    return freed;
  }

  #visitLast(key: Key, object: MemoryObject): void {
    this.#objects.delete(key);
    this.#objects.set(key, object);
  }
}
