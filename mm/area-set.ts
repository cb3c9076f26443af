/** The areas of one segment in order of address, with the holes between them. What an operation costs hardly depends on how many areas there are. */
import { assert } from '../abi/assert.ts';
import { type Addr, PAGE_SIZE, type Range } from '../abi/page.ts';
import { AREA_GROWS_DOWN, type Area } from './area.ts';
import { AreaIndex } from './area-index.ts';
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

  constructor(slab: Slab, floor: Addr) {
    this.floor = floor;
    this.#areas = new AreaIndex(slab);
  }

  get size(): number {
    return this.#areas.size;
  }

  get first(): Area | undefined {
    return this.#areas.first;
  }

  get last(): Area | undefined {
    return this.#areas.last;
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

  /** Takes note of an area's new rights. */
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

  #above(area: Area): Area | undefined {
    return this.#areas.atOrAbove(area.top / PAGE_SIZE);
  }

  #bottom(area: Area): Addr {
    return this.before(area.base)?.top ?? this.floor;
  }

  /** Requires: overlaps no area of the set. */
  insert(area: Area): void {
    const page = area.base / PAGE_SIZE;
    const above = this.#areas.atOrAbove(page);
    const bottom = this.#bottom(area);
    assert(bottom <= area.base && (above === undefined || area.top <= above.base), 'an inserted area overlaps none');
    if (above !== undefined) this.#removeHole(bottom, above);
    this.#areas.insert(page, area);
    this.#addHole(bottom, area);
    if (above !== undefined) this.#addHole(area.top, above);
  }

  remove(area: Area): void {
    const page = area.base / PAGE_SIZE;
    assert(this.#areas.get(page) === area, 'a removed area is there');
    const bottom = this.#bottom(area);
    const above = this.#above(area);
    this.#areas.remove(page);
    this.#removeHole(bottom, area);
    if (above === undefined) return;
    this.#removeHole(area.top, above);
    this.#addHole(bottom, above);
  }

  /** Moves an area's ends. Requires: it stays between its neighbours and is not empty. */
  resize(area: Area, base: Addr, top: Addr): void {
    const bottom = this.#bottom(area);
    const above = this.#above(area);
    assert(bottom <= base && base < top && (above === undefined || top <= above.base), 'a resized area stays between its neighbours');
    this.#removeHole(bottom, area);
    if (above !== undefined) this.#removeHole(area.top, above);
    const former = area.base;
    area.base = base;
    area.top = top;
    if (base === former) this.#areas.update(area);
    else {
      this.#areas.remove(former / PAGE_SIZE);
      this.#areas.insert(base / PAGE_SIZE, area);
    }
    this.#addHole(bottom, area);
    if (above !== undefined) this.#addHole(top, above);
  }

  #removeHole(bottom: Addr, above: Area): void {
    if (this.#sizes === undefined && this.#places === undefined) return;
    const pages = holePages(bottom, above);
    if (pages <= 0) return;
    this.#sizes?.delete(pages, bottom / PAGE_SIZE);
    this.#places?.set(above.base / PAGE_SIZE, 0);
  }

  #addHole(bottom: Addr, above: Area): void {
    if (this.#sizes === undefined && this.#places === undefined) return;
    const pages = holePages(bottom, above);
    if (pages <= 0) return;
    this.#sizes?.add(pages, bottom / PAGE_SIZE);
    this.#places?.set(above.base / PAGE_SIZE, pages);
  }

  #eachHole(visit: (bottom: Addr, above: Area, pages: number) => void): void {
    let bottom = this.floor;
    for (const area of this) {
      const pages = holePages(bottom, area);
      if (pages > 0) visit(bottom, area, pages);
      bottom = area.top;
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
      this.#eachHole((_bottom, above, pages) => places.set(above.base / PAGE_SIZE, pages));
      this.#places = places;
    }
    return this.#places;
  }

  /** The hole below the area that begins at page `page`. */
  #holeBelow(page: number): Range {
    const top = guardedBase(this.#areas.get(page) as Area);
    return { base: top - this.#holePlaces().get(page) * PAGE_SIZE, top };
  }

  /** The highest address where `size` bytes fit within `[low, high)`, the hole above the last area included; undefined when nowhere. */
  highestFit(size: number, low: Addr, high: Addr): Addr | undefined {
    const end = Math.max(this.last?.top ?? this.floor, low);
    if (high - end >= size) return high - size;
    const places = this.#holePlaces();
    const pages = size / PAGE_SIZE;
    const above = this.#areas.atOrAbove(high / PAGE_SIZE);
    let page = above === undefined ? high / PAGE_SIZE : above.base / PAGE_SIZE;
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
    const bottom = Math.max(this.last?.top ?? this.floor, low);
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
      const known = this.#places?.get(above.base / PAGE_SIZE) ?? pages;
      assert(known === pages, 'the index of holes by place matches the areas');
    });
    if (this.#sizes === undefined) return;
    const held = [...this.#sizes.from(1)].map(([place, pages]) => `${place} ${pages}`);
    assert(held.sort().join() === expected.sort().join(), 'the index of holes by size matches the areas');
  }
}

/** Where the hole below an area ends: a guard gap lower for one that grows down (Linux vm_start_gap). */
function guardedBase(area: Area): Addr {
  return (area.flags & AREA_GROWS_DOWN) !== 0 ? area.base - STACK_GUARD_GAP : area.base;
}

/** The pages between `bottom` and the area above it, less its guard gap; 0 or less when there are none. */
function holePages(bottom: Addr, above: Area): number {
  return (guardedBase(above) - bottom) / PAGE_SIZE;
}
