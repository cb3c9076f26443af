/**
 * The areas of a segment in order of address. Each is packed into a word, which says all there is to say of simple ones: of these there is no object until
 * somebody asks for it. So faults, and calls on whole simple areas, read a few small tables: at many areas that is what they cost.
 */
import { assert } from '../abi/assert.ts';
import { PROT_ALL, PROT_WRITE } from '../abi/mman.ts';
import { PAGE_SIZE } from '../abi/page.ts';
import { AREA_ACCOUNT, AREA_GROWS_DOWN, Area, type AreaFields, isData } from './area.ts';
import { PageSet } from './page-set.ts';
import { RunList, SPACE_RUN, type Slab } from './slab.ts';

const PAGES_MASK = (1 << SPACE_RUN) - 1;
const LAST_KEY = 2 ** (20 - SPACE_RUN) - 1;

/** In an area's word: its PROT_ bits, what it is like, and above these the page number of its end. */
export const WORD_PROT = 7;
/** Private memory without an object: its pages are zero until they are written. */
export const WORD_PLAIN = 8;
/** Plain, and nothing else is to be said of it: no name, no advice, no lock. */
export const WORD_SIMPLE = 16;
/** AREA_ACCOUNT; counted as data; grows down. */
export const WORD_ACCOUNT = 32;
export const WORD_DATA = 64;
const WORD_GROWS_DOWN = 128;
/** There is an object for it. */
const WORD_MADE = 256;
const WORD_TOP_SHIFT = 12;

/** The word of an area that is like this. */
export function wordOf(area: Pick<AreaFields, 'top' | 'prot' | 'maxProt' | 'sharing' | 'flags' | 'object' | 'name' | 'file'>): number {
  const { flags, prot } = area;
  const plain = area.sharing === 'private' && area.object === undefined;
  const simple = plain && area.name === '' && area.file === undefined && area.maxProt === PROT_ALL && (flags & ~AREA_ACCOUNT) === 0;
  return (
    ((area.top / PAGE_SIZE) << WORD_TOP_SHIFT) |
    (plain ? WORD_PLAIN : 0) |
    (simple ? WORD_SIMPLE : 0) |
    ((flags & AREA_ACCOUNT) !== 0 ? WORD_ACCOUNT : 0) |
    (isData(area) ? WORD_DATA : 0) |
    ((flags & AREA_GROWS_DOWN) !== 0 ? WORD_GROWS_DOWN : 0) |
    prot
  );
}

/** The word of a simple area with other rights. */
export function simpleWith(word: number, prot: number): number {
  const writable = (prot & PROT_WRITE) !== 0;
  return (word & ~(WORD_PROT | WORD_DATA)) | prot | (writable ? WORD_ACCOUNT | WORD_DATA : 0);
}

/** The word of a simple area of which there is no object yet. */
export function unmade(word: number): number {
  return word & ~WORD_MADE;
}

/** The word of a simple area with another end, a page number. */
export function simpleWithTop(word: number, top: number): number {
  return (word & ((1 << WORD_TOP_SHIFT) - 1)) | (top << WORD_TOP_SHIFT);
}

/** The page number of the end of the area whose word this is. */
export function topPage(word: number): number {
  return word >>> WORD_TOP_SHIFT;
}

export function growsDown(word: number): boolean {
  return (word & WORD_GROWS_DOWN) !== 0;
}

/** Whether neighbours with these words are simple areas that can be one. */
export function joinSimply(below: number, above: number): boolean {
  const alike = WORD_SIMPLE | WORD_PROT | WORD_ACCOUNT;
  return (below & WORD_SIMPLE) !== 0 && ((below ^ above) & alike) === 0;
}

export class AreaIndex {
  readonly #keys = new PageSet();
  readonly #space: AreaFields['space'];
  readonly #slab: Slab;
  /** For each page where an area begins its word; where there is an object for it, its place in `#areas`. Zeros elsewhere. */
  readonly #words = new RunList();
  readonly #places = new RunList();
  /** In no order, with gaps; and the gaps. */
  readonly #areas: (Area | undefined)[] = [];
  readonly #gaps: number[] = [];

  constructor(slab: Slab, space: AreaFields['space']) {
    this.#slab = slab;
    this.#space = space;
  }

  get size(): number {
    return this.#keys.size;
  }

  get first(): Area | undefined {
    return this.atOrAbove(0);
  }

  /** The word of the area that begins at `first`, else 0. */
  wordAt(first: number): number {
    return this.#read(this.#words, first);
  }

  #read(list: RunList, page: number): number {
    const run = list.get(page >>> SPACE_RUN);
    return run === 0 ? 0 : this.#slab.words(run)[this.#slab.start(run) + (page & PAGES_MASK)];
  }

  #write(list: RunList, page: number, value: number): void {
    const key = page >>> SPACE_RUN;
    let run = list.get(key);
    if (run === 0) list.set(key, (run = this.#slab.take()));
    this.#slab.words(run)[this.#slab.start(run) + (page & PAGES_MASK)] = value;
  }

  #at(first: number): Area | undefined {
    if (first < 0) return undefined;
    const word = this.wordAt(first);
    return (word & WORD_MADE) !== 0 ? this.#areas[this.#read(this.#places, first)] : this.#make(first, word);
  }

  /** The object of a simple area. */
  #make(first: number, word: number): Area {
    const area = new Area({
      space: this.#space,
      base: first * PAGE_SIZE,
      top: topPage(word) * PAGE_SIZE,
      prot: word & WORD_PROT,
      maxProt: PROT_ALL,
      sharing: 'private',
      flags: (word & WORD_ACCOUNT) !== 0 ? AREA_ACCOUNT : 0,
      object: undefined,
      offset: 0,
      name: '',
      file: undefined,
    });
    this.#enter(first, word, area);
    return area;
  }

  #enter(page: number, word: number, area: Area): void {
    const place = this.#gaps.pop() ?? this.#areas.length;
    this.#areas[place] = area;
    this.#write(this.#places, page, place);
    this.#write(this.#words, page, word | WORD_MADE);
  }

  /** Whether an area begins at `page`. */
  has(page: number): boolean {
    return this.#keys.has(page);
  }

  /** The area that begins at exactly this page. */
  get(page: number): Area | undefined {
    return this.#keys.has(page) ? this.#at(page) : undefined;
  }

  /** The page where the area that begins last at or below `page` begins, or -1. */
  firstAtOrBelow(page: number): number {
    return this.#keys.atOrBelow(page);
  }

  /** The page where the area that begins first at or above `page` begins, or -1. */
  firstAtOrAbove(page: number): number {
    return this.#keys.atOrAbove(page);
  }

  /** The area that begins last at or below `page`. */
  atOrBelow(page: number): Area | undefined {
    return this.#at(this.#keys.atOrBelow(page));
  }

  /** The area that begins first at or above `page`. */
  atOrAbove(page: number): Area | undefined {
    return this.#at(this.#keys.atOrAbove(page));
  }

  /** The page where the area that contains `page` begins, or -1. */
  firstContaining(page: number): number {
    // Where areas are many most are short: a look whether one begins here spares the search.
    if (this.wordAt(page) !== 0) return page;
    const first = this.#keys.atOrBelow(page);
    return first >= 0 && page < topPage(this.wordAt(first)) ? first : -1;
  }

  /** The word of the area that contains `page`, or 0. */
  word(page: number): number {
    const first = this.firstContaining(page);
    return first < 0 ? 0 : this.wordAt(first);
  }

  /** The area that contains `page`. */
  containing(page: number): Area | undefined {
    return this.#at(this.firstContaining(page));
  }

  /** Requires: no area begins there. */
  insert(page: number, area: Area): void {
    this.#enter(page, wordOf(area), area);
    this.#keys.add(page);
  }

  /** Enters a simple area by its word. Requires: no area begins there. */
  insertSimple(page: number, word: number): void {
    assert((word & (WORD_SIMPLE | WORD_MADE)) === WORD_SIMPLE, 'a word alone is a simple area');
    this.#write(this.#words, page, word);
    this.#keys.add(page);
  }

  /** Requires: an area begins there. */
  remove(page: number): void {
    if ((this.wordAt(page) & WORD_MADE) !== 0) {
      const place = this.#read(this.#places, page);
      this.#areas[place] = undefined;
      this.#gaps.push(place);
      this.#write(this.#places, page, 0);
    }
    this.#write(this.#words, page, 0);
    this.#keys.delete(page);
  }

  /** Gives a simple area, which stays one, another end or other rights. */
  change(page: number, word: number): void {
    const made = this.wordAt(page) & WORD_MADE;
    this.#write(this.#words, page, (word & ~WORD_MADE) | made);
    if (made === 0) return;
    const area = this.#areas[this.#read(this.#places, page)] as Area;
    area.top = topPage(word) * PAGE_SIZE;
    area.prot = word & WORD_PROT;
    area.flags = (word & WORD_ACCOUNT) !== 0 ? AREA_ACCOUNT : 0;
  }

  /** Takes note of what has changed in an area; its beginning has not. */
  update(area: Area): void {
    this.#write(this.#words, area.base / PAGE_SIZE, wordOf(area) | WORD_MADE);
  }

  /** Whether the word of an area says what the area says. */
  isCurrent(area: Area): boolean {
    return this.word(area.base / PAGE_SIZE) === (wordOf(area) | WORD_MADE);
  }

  /** Gives the tables back. The index is not used again. */
  release(): void {
    for (const list of [this.#words, this.#places]) {
      list.forEach(0, LAST_KEY, (_key, run) => {
        const start = this.#slab.start(run);
        this.#slab.words(run).fill(0, start, start + (1 << SPACE_RUN));
        this.#slab.give(run);
      });
    }
  }

  *[Symbol.iterator](): Generator<Area> {
    for (let page = this.#keys.atOrAbove(0); page >= 0; page = this.#keys.atOrAbove(page + 1)) yield this.#at(page) as Area;
  }
}
