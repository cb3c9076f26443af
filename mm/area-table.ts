/** All areas of one space over its segments, with their counts: the elementary edits that every operation on a space is made of. */
import { assert } from '../abi/assert.ts';
import { type Addr, PAGE_SIZE, type Range } from '../abi/page.ts';
import { AREA_ACCOUNT, Area, type AreaFields, areaPages, canMerge, fieldsOf, flagsWith, isData, offsetAt, splitArea } from './area.ts';
import type { Commitment } from './commitment.ts';
import { type Bounds, type Segment, SegmentList } from './segment.ts';
import type { Slab } from './slab.ts';
import { USER_TOP } from './placement.ts';

/** Edits change areas and objects' lists of mappings; pages and MMU entries are the caller's business. */
export class AreaTable {
  readonly #slab: Slab;
  #segments: SegmentList;
  #count = 0;
  #pages = 0;
  #dataPages = 0;
  #peak = 0;
  #promisedPages = 0;
  /** Where promised pages are added up for the whole machine. */
  readonly #commitment: Commitment;
  /** What has changed since `takeChanged`: from the lowest to the highest address; none where the first is not below the second. */
  #changedBase: Addr = USER_TOP;
  #changedTop: Addr = 0;

  /** Begins with segments of these bounds; its indexes lie in `slab`. What areas promise is added to `commitment`. */
  constructor(slab: Slab, bounds: readonly Bounds[], commitment: Commitment) {
    this.#slab = slab;
    this.#segments = new SegmentList(slab, USER_TOP, bounds);
    this.#commitment = commitment;
  }

  get segments(): SegmentList {
    return this.#segments;
  }

  /** Number of areas. */
  get count(): number {
    return this.#count;
  }

  /** Pages in areas, touched or not (Linux total_vm). */
  get pages(): number {
    return this.#pages;
  }

  /** Pages in areas that count as promised memory (AREA_ACCOUNT). */
  get promisedPages(): number {
    return this.#promisedPages;
  }

  /** The most pages there were at once (Linux hiwater_vm). */
  get peak(): number {
    return this.#peak;
  }

  /** Pages in private writable areas other than stacks (Linux data_vm). */
  get dataPages(): number {
    return this.#dataPages;
  }

  /** The area that contains `addr`. */
  find(addr: Addr): Area | undefined {
    return this.#segments.findArea(addr);
  }

  /** The areas that overlap `range`, ascending; the table may not change meanwhile. */
  *in(range: Range): Generator<Area> {
    let area = this.#segments.findAreaAbove(range.base);
    while (area !== undefined && area.base < range.top) {
      yield area;
      area = this.#segments.findAreaAbove(area.top);
    }
  }

  /** Pages of `range` that lie in areas, and those of them that are data, or promised. */
  pagesIn(range: Range): { readonly all: number; readonly data: number; readonly promised: number } {
    let all = 0;
    let data = 0;
    let promised = 0;
    for (const area of this.in(range)) {
      const pages = (Math.min(area.top, range.top) - Math.max(area.base, range.base)) / PAGE_SIZE;
      all += pages;
      if (isData(area)) data += pages;
      if ((area.flags & AREA_ACCOUNT) !== 0) promised += pages;
    }
    return { all, data, promised };
  }

  segmentOf(area: Area): Segment {
    const segment = this.#segments.find(area.base);
    assert(segment !== undefined, 'an area lies in a segment');
    return segment;
  }

  /** Puts a new area into its segment; one that spans segments becomes one area in each. Requires: the range is free. */
  insert(fields: AreaFields): void {
    const segment = this.#segments.claim(fields.base);
    const area = new Area(fields);
    area.flags = flagsWith(area.flags, area.sharing, area.prot);
    const rest = fields.top > segment.limit ? splitArea(area, segment.limit) : undefined;
    segment.areas.insert(area);
    attach(area);
    this.#account(area, 1);
    if (rest !== undefined) this.insert(fieldsOf(rest));
  }

  /** Takes an area out. */
  erase(area: Area): void {
    const segment = this.segmentOf(area);
    segment.areas.remove(area);
    this.#segments.retire(segment);
    this.#account(area, -1);
    detach(area);
  }

  /** Moves an area's ends; its pages keep their places in the object. */
  resize(area: Area, base: Addr, top: Addr): void {
    const offset = offsetAt(area, base);
    this.#account(area, -1);
    this.segmentOf(area).areas.resize(area, base, top);
    area.offset = offset;
    this.#account(area, 1);
  }

  /** Gives a whole area other rights. */
  setProt(area: Area, prot: number): void {
    this.#account(area, -1);
    area.prot = prot;
    area.flags = flagsWith(area.flags, area.sharing, prot);
    this.segmentOf(area).areas.update(area);
    this.#account(area, 1);
  }

  /** The range that everything changed since the last time lies in; undefined where nothing has. For those who watch mappings. */
  takeChanged(): Range | undefined {
    const range = { base: this.#changedBase, top: this.#changedTop };
    this.#changedBase = USER_TOP;
    this.#changedTop = 0;
    return range.base < range.top ? range : undefined;
  }

  #account(area: Area, sign: 1 | -1): void {
    if (area.base < this.#changedBase) this.#changedBase = area.base;
    if (area.top > this.#changedTop) this.#changedTop = area.top;
    this.#count += sign;
    this.#pages += sign * areaPages(area);
    if (this.#pages > this.#peak) this.#peak = this.#pages;
    if (isData(area)) this.#dataPages += sign * areaPages(area);
    if ((area.flags & AREA_ACCOUNT) !== 0) this.#promise(sign * areaPages(area));
  }

  #promise(pages: number): void {
    this.#promisedPages += pages;
    this.#commitment.add(pages);
  }

  /** Runs what holds areas twice for a moment, which does not count as a peak. */
  withoutPeak(change: () => void): void {
    const before = this.#peak;
    change();
    this.#peak = Math.max(before, this.#pages);
  }

  /** Makes `addr` a border between areas, if one spans it. */
  cutAt(addr: Addr): void {
    if (this.#segments.beginsAt(addr)) return;
    const area = this.#segments.findArea(addr);
    if (area === undefined) return;
    const { top } = area;
    const above = fieldsOf(area);
    this.resize(area, area.base, addr);
    this.insert({ ...above, base: addr, top, offset: offsetAt(area, addr) });
  }

  /** Takes every area out, and starts over with other segments. */
  reset(bounds: readonly Bounds[]): void {
    const former = this.#count === 0 ? [] : [...this.#segments.areas()];
    this.#segments.release();
    this.#segments = new SegmentList(this.#slab, USER_TOP, bounds);
    this.#count = this.#pages = this.#dataPages = this.#peak = 0;
    this.#promise(-this.#promisedPages);
    this.#changedBase = 0;
    this.#changedTop = USER_TOP;
    for (const area of former) detach(area);
  }

  /** Takes every area out of `range`, cutting those that cross its ends. */
  clear(range: Range): void {
    this.cutAt(range.base);
    this.cutAt(range.top);
    for (let area = this.#segments.findAreaAbove(range.base); area !== undefined && area.base < range.top; ) {
      const { top } = area;
      this.erase(area);
      area = this.#segments.findAreaAbove(top);
    }
  }

  /** Joins neighbours that can be one area, from the one that ends at `range.base` to the one that begins at `range.top`. */
  merge(range: Range): void {
    const below = this.#segments.findArea(range.base - 1);
    let area = below ?? this.#segments.findAreaAbove(range.base);
    while (area !== undefined && area.base < range.top) {
      const next: Area | undefined = this.#segments.findArea(area.top);
      if (next !== undefined && canMerge(area, next) && this.segmentOf(area) === this.segmentOf(next)) {
        const { top } = next;
        this.erase(next);
        this.resize(area, area.base, top);
      } else area = next ?? (area.top < range.top ? this.#segments.findAreaAbove(area.top) : undefined);
    }
  }
}

function attach(area: Area): void {
  if (area.object === undefined) area.file?.acquire();
  else area.object.attach(area);
}

function detach(area: Area): void {
  if (area.object === undefined) area.file?.release();
  else area.object.detach(area);
}
