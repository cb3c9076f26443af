/** Segments: the few runs of pages an address space consists of (Plan 9's idea), each with its areas; and the ordered list of them. */
import { assert } from '../abi/assert.ts';
import type { Addr, Range } from '../abi/page.ts';
import type { Area, AreaFields } from './area.ts';
import { AreaSet } from './area-set.ts';
import type { Slab } from './slab.ts';

/**
 * DATA, PRIVATE, SHARED and STACK are made at exec by the linuxemu layout, WHOLE (everything) by the linux layout; ATTACHED ones come and go with
 * mappings at addresses that belong to no other segment.
 */
export type SegmentKind = 'DATA' | 'PRIVATE' | 'SHARED' | 'STACK' | 'WHOLE' | 'ATTACHED';

/** Where a segment may lie: `[base, limit)`. */
export interface Bounds {
  readonly kind: SegmentKind;
  readonly base: Addr;
  /** One past the last address it may grow to. */
  readonly limit: Addr;
}

export class Segment implements Range {
  readonly kind: SegmentKind;
  readonly base: Addr;
  readonly limit: Addr;
  readonly areas: AreaSet;

  constructor(slab: Slab, space: AreaFields['space'], bounds: Bounds) {
    this.kind = bounds.kind;
    this.base = bounds.base;
    this.limit = bounds.limit;
    this.areas = new AreaSet(slab, space, bounds.base);
  }

  /** One past its last mapped address: it grows to cover its areas and shrinks when its last area goes. */
  get top(): Addr {
    return this.areas.end;
  }
}

/** The segments of one space, lowest base first, disjoint. */
export class SegmentList {
  readonly #segments: Segment[] = [];
  readonly #slab: Slab;
  readonly #space: AreaFields['space'];
  /** One past the last address of user memory. */
  readonly #userTop: Addr;

  /** Requires: the bounds are disjoint, lowest first. */
  constructor(slab: Slab, space: AreaFields['space'], userTop: Addr, bounds: readonly Bounds[]) {
    this.#slab = slab;
    this.#space = space;
    this.#userTop = userTop;
    for (const each of bounds) this.#segments.push(new Segment(slab, space, each));
  }

  /** Gives the indexes back. The list is not used again. */
  release(): void {
    for (const segment of this.#segments) segment.areas.release();
  }

  get all(): readonly Segment[] {
    return this.#segments;
  }

  /** Index of the first segment whose limit is above `addr`. */
  #indexAbove(addr: Addr): number {
    let low = 0;
    let high = this.#segments.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#segments[middle].limit > addr) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  /** The segment whose bounds contain `addr`. */
  find(addr: Addr): Segment | undefined {
    const segment = this.#segments[this.#indexAbove(addr)];
    return segment !== undefined && segment.base <= addr ? segment : undefined;
  }

  ofKind(kind: SegmentKind): Segment | undefined {
    return this.#segments.find((segment) => segment.kind === kind);
  }

  /** The segment for a mapping at `addr`; attaches one over the whole unclaimed run where there is none. Requires: addr below the top of user memory. */
  claim(addr: Addr): Segment {
    const index = this.#indexAbove(addr);
    const above = this.#segments[index];
    if (above !== undefined && above.base <= addr) return above;
    assert(addr < this.#userTop, 'mappings lie in user memory');
    const base = index === 0 ? 0 : this.#segments[index - 1].limit;
    const segment = new Segment(this.#slab, this.#space, { kind: 'ATTACHED', base, limit: above?.base ?? this.#userTop });
    this.#segments.splice(index, 0, segment);
    return segment;
  }

  /** Forgets an attached segment that has become empty. */
  retire(segment: Segment): void {
    if (segment.kind !== 'ATTACHED' || segment.areas.size > 0) return;
    const index = this.#segments.indexOf(segment);
    if (index < 0) return;
    this.#segments.splice(index, 1);
    segment.areas.release();
  }

  /** The area that contains `addr`. */
  findArea(addr: Addr): Area | undefined {
    return this.find(addr)?.areas.find(addr);
  }

  /** The packed word (area-index.ts) of the area that contains `addr`, or 0. */
  word(addr: Addr): number {
    const segment = this.find(addr);
    return segment === undefined ? 0 : segment.areas.word(addr);
  }

  /** Where the lowest area that ends above `addr` begins: the one that contains it, else the next; Infinity where there is none. */
  baseAbove(addr: Addr): Addr {
    for (let i = this.#indexAbove(addr); i < this.#segments.length; i++) {
      const base = this.#segments[i].areas.baseAbove(addr);
      if (base >= 0) return base;
    }
    return Number.POSITIVE_INFINITY;
  }

  /** The same, less the guard gap of an area that grows down. */
  guardedBaseAbove(addr: Addr): Addr {
    const base = this.baseAbove(addr);
    return this.find(base)?.areas.guardedBase(base) ?? base;
  }

  /** Where the first area at or above `addr`, which is page-aligned, begins; Infinity where there is none. */
  nextBase(addr: Addr): Addr {
    for (let i = this.#indexAbove(addr); i < this.#segments.length; i++) {
      const base = this.#segments[i].areas.nextBase(addr);
      if (base >= 0) return base;
    }
    return Number.POSITIVE_INFINITY;
  }

  /** Whether an area begins at `addr`. */
  beginsAt(addr: Addr): boolean {
    return this.find(addr)?.areas.beginsAt(addr) === true;
  }

  /** The lowest area that ends above `addr`. */
  findAreaAbove(addr: Addr): Area | undefined {
    for (let i = this.#indexAbove(addr); i < this.#segments.length; i++) {
      const area = this.#segments[i].areas.findAbove(addr);
      if (area !== undefined) return area;
    }
    return undefined;
  }

  /** The area that begins last below `addr`. */
  findAreaBelow(addr: Addr): Area | undefined {
    for (let i = Math.min(this.#indexAbove(addr), this.#segments.length - 1); i >= 0; i--) {
      const area = this.#segments[i].areas.before(addr);
      if (area !== undefined) return area;
    }
    return undefined;
  }

  /** Every area, ascending. */
  *areas(): Generator<Area> {
    for (const segment of this.#segments) yield* segment.areas;
  }
}
