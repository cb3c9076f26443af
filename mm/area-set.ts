/** The areas of one segment in order of address, with the holes between them. What an operation costs hardly depends on how many areas there are. */
import { assert } from '../abi/assert.ts';
import { type Addr, PAGE_SIZE, type Range } from '../abi/page.ts';
import type { Area, AreaFields } from './area.ts';
import { AreaIndex, growsDown, topPage } from './area-index.ts';
import { HolePlaces, HoleSizes } from './holes.ts';
import type { Slab } from './slab.ts';

/** Linux stack_guard_gap: addresses below an area that grows down where no mapping is placed without being told to, in bytes. */
export const STACK_GUARD_GAP = 256 * PAGE_SIZE;

export class AreaSet {
  /** Where the first hole begins. */
  readonly floor: Addr;
  /** By first page. */
  readonly #areas: AreaIndex;
  /** The holes below areas by size, and by the first page of the area above: each made when it is first asked, and kept from then on. */
  #sizes: HoleSizes | undefined;
  #places: HolePlaces | undefined;

  constructor(slab: Slab, space: AreaFields['space'], floor: Addr) {
    this.floor = floor;
    this.#areas = new AreaIndex(slab, space);
  }

  get size(): number {
    return this.#areas.size;
  }

  get first(): Area | undefined {
    return this.#areas.first;
  }

  /** The end of the last area; the floor where there is none. */
  get end(): Addr {
    return this.#topBelow(2 ** 20);
  }

  /** The area that contains `addr`. */
  find(addr: Addr): Area | undefined {
    return this.#areas.containing(addr >>> 12);
  }

  /** The packed word (area-index.ts) of the area that contains `addr`, or 0. */
  word(addr: Addr): number {
    return this.#areas.word(addr >>> 12);
  }

  /** Whether an area begins at `addr`, which is page-aligned. */
  beginsAt(addr: Addr): boolean {
    return this.#areas.has(addr >>> 12);
  }

  /** The word of the area that begins at `addr`, where one does. */
  wordAt(addr: Addr): number {
    return this.#areas.wordAt(addr >>> 12);
  }

  /** Where the area that contains `addr` begins, else the next above it; -1 for none. */
  baseAbove(addr: Addr): Addr {
    const page = addr >>> 12;
    const first = this.#areas.firstContaining(page);
    const above = first >= 0 ? first : this.#areas.firstAtOrAbove(page + 1);
    return above < 0 ? -1 : above * PAGE_SIZE;
  }

  /** Where the first area at or above `addr`, which is page-aligned, begins; -1 for none. */
  nextBase(addr: Addr): Addr {
    const page = this.#areas.firstAtOrAbove(addr / PAGE_SIZE);
    return page < 0 ? -1 : page * PAGE_SIZE;
  }

  /** Where the hole below the area that begins at `addr` ends. */
  guardedBase(addr: Addr): Addr {
    return guarded(addr, this.wordAt(addr));
  }

  /** Takes note of what has changed in an area. */
  update(area: Area): void {
    this.#areas.update(area);
  }

  /** The lowest area that ends above `addr` (Linux find_vma): the one that contains it, else the next. */
  findAbove(addr: Addr): Area | undefined {
    return this.#areas.containing(addr >>> 12) ?? this.#areas.atOrAbove((addr >>> 12) + 1);
  }

  /** The area that begins last below `addr`, which is page-aligned. */
  before(addr: Addr): Area | undefined {
    return this.#areas.atOrBelow(addr / PAGE_SIZE - 1);
  }

  /** The end of the area that begins last below page `page`, else the floor. */
  #topBelow(page: number): Addr {
    const first = this.#areas.firstAtOrBelow(page - 1);
    return first < 0 ? this.floor : topPage(this.#areas.wordAt(first)) * PAGE_SIZE;
  }

  /** Requires: overlaps no area of the set. */
  insert(area: Area): void {
    this.#insert(area.base, area.top, (page) => this.#areas.insert(page, area));
  }

  /** The same of a simple area, by its word. */
  insertSimple(base: Addr, word: number): void {
    this.#insert(base, topPage(word) * PAGE_SIZE, (page) => this.#areas.insertSimple(page, word));
  }

  #insert(base: Addr, top: Addr, enter: (page: number) => void): void {
    const page = base / PAGE_SIZE;
    const above = this.#areas.firstAtOrAbove(page);
    const bottom = this.#topBelow(page);
    assert(bottom <= base && (above < 0 || top <= above * PAGE_SIZE), 'an inserted area overlaps none');
    if (above >= 0) this.#removeHole(bottom, above);
    enter(page);
    this.#addHole(bottom, page);
    if (above >= 0) this.#addHole(top, above);
  }

  remove(area: Area): void {
    assert(this.#areas.get(area.base / PAGE_SIZE) === area, 'a removed area is there');
    this.removeAt(area.base);
  }

  /** Takes out the area that begins at `base`. */
  removeAt(base: Addr): void {
    const page = base / PAGE_SIZE;
    const end = topPage(this.#areas.wordAt(page));
    const bottom = this.#topBelow(page);
    const above = this.#areas.firstAtOrAbove(end);
    this.#removeHole(bottom, page);
    this.#areas.remove(page);
    if (above < 0) return;
    this.#removeHole(end * PAGE_SIZE, above);
    this.#addHole(bottom, above);
  }

  /** Gives the simple area that begins at `base` another end or other rights; it stays simple. Requires: it stays below its neighbour. */
  change(base: Addr, word: number): void {
    const page = base / PAGE_SIZE;
    const former = topPage(this.#areas.wordAt(page));
    const end = topPage(word);
    const above = former === end ? -1 : this.#areas.firstAtOrAbove(former);
    assert(page < end && (above < 0 || end <= above), 'a changed area stays below its neighbour');
    if (above >= 0) this.#removeHole(former * PAGE_SIZE, above);
    this.#areas.change(page, word);
    if (above >= 0) this.#addHole(end * PAGE_SIZE, above);
  }

  /** Moves an area's ends. Requires: it stays between its neighbours and is not empty. */
  resize(area: Area, base: Addr, top: Addr): void {
    const former = area.base / PAGE_SIZE;
    const bottom = this.#topBelow(former);
    const above = this.#areas.firstAtOrAbove(area.top / PAGE_SIZE);
    assert(bottom <= base && base < top && (above < 0 || top <= above * PAGE_SIZE), 'a resized area stays between its neighbours');
    this.#removeHole(bottom, former);
    if (above >= 0) this.#removeHole(area.top, above);
    area.base = base;
    area.top = top;
    if (base / PAGE_SIZE === former) this.#areas.update(area);
    else {
      this.#areas.remove(former);
      this.#areas.insert(base / PAGE_SIZE, area);
    }
    this.#addHole(bottom, base / PAGE_SIZE);
    if (above >= 0) this.#addHole(top, above);
  }

  /** The pages between `bottom` and the area that begins at page `above`, less its guard gap; 0 or less when there are none. */
  #holePages(bottom: Addr, above: number): number {
    return (guarded(above * PAGE_SIZE, this.#areas.wordAt(above)) - bottom) / PAGE_SIZE;
  }

  #removeHole(bottom: Addr, above: number): void {
    if (this.#sizes === undefined && this.#places === undefined) return;
    const pages = this.#holePages(bottom, above);
    if (pages <= 0) return;
    this.#sizes?.delete(pages, bottom / PAGE_SIZE);
    this.#places?.set(above, 0);
  }

  #addHole(bottom: Addr, above: number): void {
    if (this.#sizes === undefined && this.#places === undefined) return;
    const pages = this.#holePages(bottom, above);
    if (pages <= 0) return;
    this.#sizes?.add(pages, bottom / PAGE_SIZE);
    this.#places?.set(above, pages);
  }

  #eachHole(visit: (bottom: Addr, above: number, pages: number) => void): void {
    let bottom = this.floor;
    for (let page = this.#areas.firstAtOrAbove(0); page >= 0; page = this.#areas.firstAtOrAbove(page + 1)) {
      const pages = this.#holePages(bottom, page);
      if (pages > 0) visit(bottom, page, pages);
      bottom = topPage(this.#areas.wordAt(page)) * PAGE_SIZE;
    }
  }

  /** Holes of at least `size` bytes between areas or below the first, smallest first, of equal ones the lowest first. The set may not change meanwhile. */
  *holes(size: number): Generator<Range> {
    if (this.#sizes === undefined) {
      const sizes = new HoleSizes();
      this.#eachHole((bottom, _above, pages) => sizes.add(pages, bottom / PAGE_SIZE));
      this.#sizes = sizes;
    }
    for (const [place, pages] of this.#sizes.from(size / PAGE_SIZE)) {
      yield { base: place * PAGE_SIZE, top: (place + pages) * PAGE_SIZE };
    }
  }

  #holePlaces(): HolePlaces {
    if (this.#places === undefined) {
      const places = new HolePlaces();
      this.#eachHole((_bottom, above, pages) => places.set(above, pages));
      this.#places = places;
    }
    return this.#places;
  }

  /** The hole below the area that begins at page `page`. */
  #holeBelow(page: number): Range {
    const top = this.guardedBase(page * PAGE_SIZE);
    return { base: top - this.#holePlaces().get(page) * PAGE_SIZE, top };
  }

  /** The highest address where `size` bytes fit within `[low, high)`, the hole above the last area included; undefined when nowhere. */
  highestFit(size: number, low: Addr, high: Addr): Addr | undefined {
    const end = Math.max(this.end, low);
    if (high - end >= size) return high - size;
    const places = this.#holePlaces();
    const pages = size / PAGE_SIZE;
    const above = this.#areas.firstAtOrAbove(high / PAGE_SIZE);
    let page = above < 0 ? high / PAGE_SIZE : above;
    for (page = places.atOrBelow(page, pages); page >= 0; page = places.atOrBelow(page - 1, pages)) {
      const hole = this.#holeBelow(page);
      const top = Math.min(hole.top, high);
      if (top - Math.max(hole.base, low) >= size) return top - size;
      if (hole.top <= low) return undefined;
    }
    return undefined;
  }

  /** The lowest address at or above `low` where `size` bytes fit below `high`. */
  lowestFit(size: number, low: Addr, high: Addr): Addr | undefined {
    const places = this.#holePlaces();
    const pages = size / PAGE_SIZE;
    for (let page = places.atOrAbove(low / PAGE_SIZE, pages); page >= 0; page = places.atOrAbove(page + 1, pages)) {
      const hole = this.#holeBelow(page);
      const base = Math.max(hole.base, low);
      if (Math.min(hole.top, high) - base >= size) return base;
      if (hole.base >= high) return undefined;
    }
    const bottom = Math.max(this.end, low);
    return high - bottom >= size ? bottom : undefined;
  }

  /** Gives the index back. The set is not used again. */
  release(): void {
    this.#areas.release();
  }

  /** Every area, ascending. */
  [Symbol.iterator](): Iterator<Area> {
    return this.#areas[Symbol.iterator]();
  }

  /** Asserts that the indexes say what the areas say. */
  check(): void {
    for (const area of this) assert(this.#areas.isCurrent(area), 'the word of an area says what the area says');
    const expected: string[] = [];
    this.#eachHole((bottom, above, pages) => {
      expected.push(`${bottom / PAGE_SIZE} ${pages}`);
      const known = this.#places?.get(above) ?? pages;
      assert(known === pages, 'the index of holes by place matches the areas');
    });
    if (this.#sizes === undefined) return;
    const held = [...this.#sizes.from(1)].map(([place, pages]) => `${place} ${pages}`);
    assert(held.sort().join() === expected.sort().join(), 'the index of holes by size matches the areas');
  }
}

/** Where the hole below an area ends: a guard gap lower for one that grows down (Linux vm_start_gap). */
function guarded(base: Addr, word: number): Addr {
  return growsDown(word) ? base - STACK_GUARD_GAP : base;
}
