/**
 * The areas of a segment in order of address. What a page fault must know of an area is packed into one word beside it, so that the fault reads a few small
 * tables and not the area: at many areas that is what it costs.
 */
import { PAGE_SIZE } from '../abi/page.ts';
import type { Area } from './area.ts';
import { PageSet } from './page-set.ts';
import { AREA_RUN, RunList, type Slab } from './slab.ts';

const PAGES_SHIFT = AREA_RUN - 1;
const PAGES_MASK = (1 << PAGES_SHIFT) - 1;
const LAST_KEY = 2 ** (20 - PAGES_SHIFT) - 1;

/** In an area's word: its PROT_ bits, whether it is plain, and above these the page number of its end. */
export const WORD_PROT = 7;
/** Private memory without an object: its pages are zero until they are written. */
export const WORD_PLAIN = 8;
const WORD_TOP_SHIFT = 12;

function wordOf(area: Area): number {
  const plain = area.sharing === 'private' && area.object === undefined;
  return ((area.top / PAGE_SIZE) << WORD_TOP_SHIFT) | (plain ? WORD_PLAIN : 0) | area.prot;
}

/** The page number of the end of the area whose word this is. */
function topPage(word: number): number {
  return word >>> WORD_TOP_SHIFT;
}

export class AreaIndex {
  readonly #keys = new PageSet();
  /** For each page where an area begins, two words: the area's word and its place in `#areas`; zeros elsewhere. */
  readonly #slab: Slab;
  readonly #runs = new RunList();
  /** In no order, with gaps; and the gaps. */
  readonly #areas: (Area | undefined)[] = [];
  readonly #gaps: number[] = [];

  constructor(slab: Slab) {
    this.#slab = slab;
  }

  get size(): number {
    return this.#keys.size;
  }

  get first(): Area | undefined {
    return this.atOrAbove(0);
  }

  get last(): Area | undefined {
    return this.atOrBelow(2 ** 20 - 1);
  }

  /** One of the two words of a page where an area begins. */
  #word(first: number, which: 0 | 1): number {
    const run = this.#runs.get(first >>> PAGES_SHIFT);
    return this.#slab.words(run)[this.#slab.start(run) + 2 * (first & PAGES_MASK) + which];
  }

  #at(first: number): Area | undefined {
    return first < 0 ? undefined : this.#areas[this.#word(first, 1)];
  }

  /** Whether an area begins at `page`. */
  has(page: number): boolean {
    return this.#keys.has(page);
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
    const word = this.#word(first, 0);
    return page < topPage(word) ? word : 0;
  }

  /** The area that contains `page`. */
  containing(page: number): Area | undefined {
    const first = this.#keys.atOrBelow(page);
    return first >= 0 && page < topPage(this.#word(first, 0)) ? this.#at(first) : undefined;
  }

  #enter(page: number, word: number, place: number): void {
    const run = this.#runs.get(page >>> PAGES_SHIFT) || this.#add(page >>> PAGES_SHIFT);
    const at = this.#slab.start(run) + 2 * (page & PAGES_MASK);
    const words = this.#slab.words(run);
    words[at] = word;
    words[at + 1] = place;
  }

  #add(key: number): number {
    const run = this.#slab.take();
    this.#runs.set(key, run);
    return run;
  }

  /** Requires: no area begins there. */
  insert(page: number, area: Area): void {
    const place = this.#gaps.pop() ?? this.#areas.length;
    this.#areas[place] = area;
    this.#enter(page, wordOf(area), place);
    this.#keys.add(page);
  }

  /** Requires: an area begins there. */
  remove(page: number): void {
    const place = this.#word(page, 1);
    this.#areas[place] = undefined;
    this.#gaps.push(place);
    this.#enter(page, 0, 0);
    this.#keys.delete(page);
  }

  /** Takes note of an area's end and rights, which have changed; its beginning has not. */
  update(area: Area): void {
    const page = area.base / PAGE_SIZE;
    this.#enter(page, wordOf(area), this.#word(page, 1));
  }

  /** Whether the word of an area says what the area says. */
  isCurrent(area: Area): boolean {
    return this.word(area.base / PAGE_SIZE) === wordOf(area);
  }

  /** Gives the tables back. The index is not used again. */
  release(): void {
    this.#runs.forEach(0, LAST_KEY, (_key, run) => {
      const start = this.#slab.start(run);
      this.#slab.words(run).fill(0, start, start + (1 << AREA_RUN));
      this.#slab.give(run);
    });
  }

  *[Symbol.iterator](): Generator<Area> {
    for (let page = this.#keys.atOrAbove(0); page >= 0; page = this.#keys.atOrAbove(page + 1)) yield this.#at(page) as Area;
  }
}
