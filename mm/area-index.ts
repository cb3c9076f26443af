/**
 * The areas of a segment in order of address. What a page fault must know of an area is packed into one word beside it, so that the fault reads a few small
 * tables and not the area: at many areas that is what it costs.
 */
import type { Area } from './area.ts';
import { PageSet, SparseList } from './page-set.ts';

/** Pages in a chunk. */
const SPAN = 1024;
/** In an area's word: its PROT_ bits, whether it is plain, and above these the page number of its end. */
export const WORD_PROT = 7;
/** Private memory without an object: its pages are zero until they are written. */
export const WORD_PLAIN = 8;
const WORD_TOP_SHIFT = 12;

class Chunk {
  /** By first page; valid where there is an area. */
  readonly words = new Int32Array(SPAN);
  readonly areas = new Array<Area | undefined>(SPAN);
}

function wordOf(area: Area): number {
  const plain = area.sharing === 'private' && area.object === undefined;
  return ((area.top / 4096) << WORD_TOP_SHIFT) | (plain ? WORD_PLAIN : 0) | area.prot;
}

/** The page number of the end of the area whose word this is. */
function topPage(word: number): number {
  return word >>> WORD_TOP_SHIFT;
}

export class AreaIndex {
  readonly #keys = new PageSet();
  readonly #chunks = new SparseList<Chunk>();

  get size(): number {
    return this.#keys.size;
  }

  get first(): Area | undefined {
    return this.atOrAbove(0);
  }

  get last(): Area | undefined {
    return this.atOrBelow(2 ** 20 - 1);
  }

  #at(page: number): Area | undefined {
    return page < 0 ? undefined : this.#chunks.get(page >>> 10)?.areas[page & 1023];
  }

  /** The area that begins at exactly this page. */
  get(page: number): Area | undefined {
    return this.#keys.has(page) ? this.#at(page) : undefined;
  }

  /** The area that begins last at or below `page`. */
  atOrBelow(page: number): Area | undefined {
    return this.#at(this.#keys.atOrBelow(page));
  }

  /** The area that begins first at or above `page`. */
  atOrAbove(page: number): Area | undefined {
    return this.#at(this.#keys.atOrAbove(page));
  }

  /** The word of the area that contains `page`, or 0. */
  word(page: number): number {
    const first = this.#keys.atOrBelow(page);
    if (first < 0) return 0;
    const word = (this.#chunks.get(first >>> 10) as Chunk).words[first & 1023];
    return page < topPage(word) ? word : 0;
  }

  /** The area that contains `page`. */
  containing(page: number): Area | undefined {
    const first = this.#keys.atOrBelow(page);
    if (first < 0) return undefined;
    const chunk = this.#chunks.get(first >>> 10) as Chunk;
    return page < topPage(chunk.words[first & 1023]) ? chunk.areas[first & 1023] : undefined;
  }

  /** Whether an area ends where `page` begins. */
  endsAt(page: number): boolean {
    return this.word(page - 1) !== 0 && topPage(this.word(page - 1)) === page;
  }

  /** Requires: no area begins there. */
  insert(page: number, area: Area): void {
    let chunk = this.#chunks.get(page >>> 10);
    if (chunk === undefined) this.#chunks.set(page >>> 10, (chunk = new Chunk()));
    chunk.areas[page & 1023] = area;
    chunk.words[page & 1023] = wordOf(area);
    this.#keys.add(page);
  }

  /** Requires: an area begins there. */
  remove(page: number): void {
    (this.#chunks.get(page >>> 10) as Chunk).areas[page & 1023] = undefined;
    this.#keys.delete(page);
  }

  /** Takes note of an area's end and rights, which have changed; its beginning has not. */
  update(area: Area): void {
    const page = area.base / 4096;
    (this.#chunks.get(page >>> 10) as Chunk).words[page & 1023] = wordOf(area);
  }

  /** Whether the word of an area says what the area says. */
  isCurrent(area: Area): boolean {
    return this.word(area.base / 4096) === wordOf(area);
  }

  *[Symbol.iterator](): Generator<Area> {
    for (let page = this.#keys.atOrAbove(0); page >= 0; page = this.#keys.atOrAbove(page + 1)) yield this.#at(page) as Area;
  }
}
