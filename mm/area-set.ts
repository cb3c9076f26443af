/** The areas of one segment in order of address, with the holes between them indexed by size. Every operation is O(log n) in areas. */
import { assert } from '../abi/assert.ts';
import { type Addr, PAGE_SIZE } from '../abi/page.ts';
import { AREA_GROWS_DOWN, type Area } from './area.ts';
import { SortedList } from './sorted-list.ts';

/** Linux stack_guard_gap: addresses below an area that grows down where no mapping is placed without being told to, in bytes. */
export const STACK_GUARD_GAP = 256 * PAGE_SIZE;

/** Page numbers are below 2^20, so a hole's size and place fit one exact number that sorts by size first. */
const PLACES = 2 ** 20;

export class AreaSet {
  /** Where the first hole begins. */
  readonly floor: Addr;
  readonly #areas = new SortedList<Area>();
  /** One key a hole: pages * PLACES + its first page. */
  readonly #holes = new SortedList<number>();

  constructor(floor: Addr) {
    this.floor = floor;
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
    const area = this.#areas.atOrBelow(addr);
    return area !== undefined && addr < area.top ? area : undefined;
  }

  /** The lowest area that ends above `addr` (Linux find_vma): the one that contains it, else the next. */
  findAbove(addr: Addr): Area | undefined {
    const area = this.#areas.atOrBelow(addr);
    return area !== undefined && addr < area.top ? area : this.#areas.atOrAbove(addr);
  }

  /** The area that begins last below `addr`. */
  before(addr: Addr): Area | undefined {
    return this.#areas.before(addr);
  }

  /** Requires: overlaps no area of the set. */
  insert(area: Area): void {
    const above = this.#areas.atOrAbove(area.base);
    const bottom = this.#areas.before(area.base)?.top ?? this.floor;
    assert(bottom <= area.base && (above === undefined || area.top <= above.base), 'an inserted area overlaps none');
    if (above !== undefined) this.#removeHole(bottom, above);
    this.#areas.insert(area.base, area);
    this.#addHole(bottom, area);
    if (above !== undefined) this.#addHole(area.top, above);
  }

  remove(area: Area): void {
    const bottom = this.#areas.before(area.base)?.top ?? this.floor;
    this.#areas.remove(area.base);
    const above = this.#areas.atOrAbove(area.base);
    this.#removeHole(bottom, area);
    if (above === undefined) return;
    this.#removeHole(area.top, above);
    this.#addHole(bottom, above);
  }

  /** Moves an area's ends. Requires: it stays between its neighbours and is not empty. */
  resize(area: Area, base: Addr, top: Addr): void {
    const bottom = this.#areas.before(area.base)?.top ?? this.floor;
    const above = this.#areas.atOrAbove(area.base + 1);
    assert(bottom <= base && base < top && (above === undefined || top <= above.base), 'a resized area stays between its neighbours');
    this.#removeHole(bottom, area);
    if (above !== undefined) this.#removeHole(area.top, above);
    this.#areas.rekey(area.base, base);
    area.base = base;
    area.top = top;
    this.#addHole(bottom, area);
    if (above !== undefined) this.#addHole(top, above);
  }

  #removeHole(bottom: Addr, above: Area): void {
    const key = holeKey(bottom, above);
    if (key > 0) this.#holes.remove(key);
  }

  #addHole(bottom: Addr, above: Area): void {
    const key = holeKey(bottom, above);
    if (key > 0) this.#holes.insert(key, key);
  }

  /** The smallest hole between areas (or below the first) that has `size` bytes; of equal ones the lowest. */
  bestHole(size: number): { readonly base: Addr; readonly top: Addr } | undefined {
    const key = this.#holes.atOrAbove((size / PAGE_SIZE) * PLACES);
    if (key === undefined) return undefined;
    const base = (key % PLACES) * PAGE_SIZE;
    return { base, top: base + Math.floor(key / PLACES) * PAGE_SIZE };
  }

  /** Holes of at least `size` bytes, smallest first. */
  *holes(size: number): Generator<{ readonly base: Addr; readonly top: Addr }> {
    let key = this.#holes.atOrAbove((size / PAGE_SIZE) * PLACES);
    while (key !== undefined) {
      const base = (key % PLACES) * PAGE_SIZE;
      yield { base, top: base + Math.floor(key / PLACES) * PAGE_SIZE };
      key = this.#holes.atOrAbove(key + 1);
    }
  }

  /** The highest address where `size` bytes fit within `[low, high)`, the hole above the last area included; undefined when nowhere. */
  highestFit(size: number, low: Addr, high: Addr): Addr | undefined {
    const bottom = Math.max(this.last?.top ?? this.floor, low);
    if (high - bottom >= size) return high - size;
    const { leaves } = this.#areas;
    for (let i = leaves.length - 1; i >= 0; i--) {
      const leaf = leaves[i];
      if (leaf.digest < 0) leaf.digest = this.#largestHole(i);
      if (leaf.digest < size || this.#topBefore(i, 0) >= high) continue;
      for (let at = leaf.items.length - 1; at >= 0; at--) {
        const top = Math.min(guardedBase(leaf.items[at]), high);
        const base = Math.max(this.#topBefore(i, at), low);
        if (top - base >= size) return top - size;
      }
    }
    return undefined;
  }

  /** The lowest address at or above `low` where `size` bytes fit below `high`. */
  lowestFit(size: number, low: Addr, high: Addr): Addr | undefined {
    const { leaves } = this.#areas;
    for (let i = 0; i < leaves.length; i++) {
      const leaf = leaves[i];
      if (leaf.digest < 0) leaf.digest = this.#largestHole(i);
      if (leaf.digest < size) continue;
      for (let at = 0; at < leaf.items.length; at++) {
        const base = Math.max(this.#topBefore(i, at), low);
        if (Math.min(guardedBase(leaf.items[at]), high) - base >= size) return base;
      }
    }
    const bottom = Math.max(this.last?.top ?? this.floor, low);
    return high - bottom >= size ? bottom : undefined;
  }

  #topBefore(leaf: number, at: number): Addr {
    const { leaves } = this.#areas;
    if (at > 0) return leaves[leaf].items[at - 1].top;
    return leaf > 0 ? (leaves[leaf - 1].items.at(-1)?.top ?? this.floor) : this.floor;
  }

  #largestHole(leaf: number): number {
    const { items } = this.#areas.leaves[leaf];
    let largest = 0;
    let bottom = this.#topBefore(leaf, 0);
    for (const area of items) {
      largest = Math.max(largest, guardedBase(area) - bottom);
      bottom = area.top;
    }
    return largest;
  }

  /** Every area, ascending. */
  [Symbol.iterator](): Iterator<Area> {
    return this.#areas[Symbol.iterator]();
  }

  /** Asserts that the hole index says what the areas say. */
  check(): void {
    let bottom = this.floor;
    const expected: number[] = [];
    for (const area of this) {
      const key = holeKey(bottom, area);
      if (key > 0) expected.push(key);
      bottom = area.top;
    }
    expected.sort((a, b) => a - b);
    const held = [...this.#holes];
    assert(held.length === expected.length && held.every((key, i) => key === expected[i]), 'the hole index matches the areas');
    for (let i = 0; i < this.#areas.leaves.length; i++) {
      const { digest } = this.#areas.leaves[i];
      assert(digest < 0 || digest === this.#largestHole(i), 'a leaf knows its largest hole');
    }
  }
}

/** Where the hole below an area ends: a guard gap lower for one that grows down (Linux vm_start_gap). */
function guardedBase(area: Area): Addr {
  return (area.flags & AREA_GROWS_DOWN) !== 0 ? area.base - STACK_GUARD_GAP : area.base;
}

/** The key of the hole between `bottom` and the area above it; 0 or less when there is none. */
function holeKey(bottom: Addr, above: Area): number {
  const pages = (guardedBase(above) - bottom) / PAGE_SIZE;
  return pages <= 0 ? 0 : pages * PLACES + bottom / PAGE_SIZE;
}
