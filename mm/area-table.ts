/** All areas of one space over its segments, with their counts: the elementary edits that every operation on a space is made of. */
import { assert } from '../abi/assert.ts';
import { type Addr, PAGE_SIZE, type Range } from '../abi/page.ts';
import { Area, type AreaFields, canMerge, fieldsOf, flagsWith, offsetAt, splitArea } from './area.ts';
import { joinSimply, simpleWith, simpleWithTop, topPage, unmade, WORD_ACCOUNT, WORD_DATA, WORD_SIMPLE, wordOf } from './area-index.ts';
import type { Commitment } from './commitment.ts';
import { type Bounds, type Segment, SegmentList } from './segment.ts';
import type { Slab } from './slab.ts';
import { USER_TOP } from './placement.ts';

/** Edits change areas and objects' lists of mappings; pages and MMU entries are the caller's business. */
export class AreaTable {
  readonly #slab: Slab;
  readonly #space: AreaFields['space'];
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
  constructor(slab: Slab, space: AreaFields['space'], bounds: readonly Bounds[], commitment: Commitment) {
    this.#slab = slab;
    this.#space = space;
    this.#segments = new SegmentList(slab, space, USER_TOP, bounds);
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
    for (let base = this.#segments.baseAbove(range.base); base < range.top; ) {
      const word = this.#segments.word(base);
      const top = topPage(word) * PAGE_SIZE;
      const pages = (Math.min(top, range.top) - Math.max(base, range.base)) / PAGE_SIZE;
      all += pages;
      if ((word & WORD_DATA) !== 0) data += pages;
      if ((word & WORD_ACCOUNT) !== 0) promised += pages;
      base = this.#segments.nextBase(top);
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
    const word = wordOf(fields);
    if ((word & WORD_SIMPLE) !== 0 && fields.top <= segment.limit) return this.insertSimple(fields.base, simpleWith(word, fields.prot));
    const area = new Area(fields);
    area.flags = flagsWith(area.flags, area.sharing, area.prot);
    const rest = fields.top > segment.limit ? splitArea(area, segment.limit) : undefined;
    segment.areas.insert(area);
    attach(area);
    this.#account(area.base, segment.areas.wordAt(area.base), 1);
    if (rest !== undefined) this.insert(fieldsOf(rest));
  }

  /** The same of a simple area, by its word. Requires: it lies in one segment. */
  insertSimple(base: Addr, word: number): void {
    const entered = unmade(word);
    this.#segments.claim(base).areas.insertSimple(base, entered);
    this.#account(base, entered, 1);
  }

  /** Puts a simple area in the place of exactly one that is simple too; returns whether that is what was asked. */
  replaceSimple(fields: AreaFields): boolean {
    const word = wordOf(fields);
    const before = (word & WORD_SIMPLE) === 0 ? 0 : this.simpleAt(fields.base, fields.top);
    if (before === 0 || topPage(before) !== topPage(word)) return false;
    this.#change(fields.base, before, simpleWith(word, fields.prot));
    return true;
  }

  /** Takes an area out. */
  erase(area: Area): void {
    this.#eraseAt(area.base);
    detach(area);
  }

  /** Takes out the area that begins at `base`; its object is the caller's business. */
  #eraseAt(base: Addr): void {
    const segment = this.#segments.find(base) as Segment;
    this.#account(base, segment.areas.wordAt(base), -1);
    segment.areas.removeAt(base);
    this.#segments.retire(segment);
  }

  /** Moves an area's ends; its pages keep their places in the object. */
  resize(area: Area, base: Addr, top: Addr): void {
    const offset = offsetAt(area, base);
    const { areas } = this.segmentOf(area);
    this.#account(area.base, areas.wordAt(area.base), -1);
    areas.resize(area, base, top);
    area.offset = offset;
    this.#account(base, areas.wordAt(base), 1);
  }

  /** Gives a whole area other rights. */
  setProt(area: Area, prot: number): void {
    this.#edit(area, () => {
      area.prot = prot;
      area.flags = flagsWith(area.flags, area.sharing, prot);
    });
  }

  /** Gives a whole area other flags. */
  setFlags(area: Area, flags: number): void {
    this.#edit(area, () => {
      area.flags = flags;
    });
  }

  #edit(area: Area, change: () => void): void {
    const { areas } = this.segmentOf(area);
    this.#account(area.base, areas.wordAt(area.base), -1);
    change();
    areas.update(area);
    this.#account(area.base, areas.wordAt(area.base), 1);
  }

  /** The word of the area that begins at `base` and ends at `top` or below, where it is a simple one (area-index.ts), else 0. */
  simpleAt(base: Addr, top: Addr): number {
    if (!this.#segments.beginsAt(base)) return 0;
    const word = this.#segments.word(base);
    return (word & WORD_SIMPLE) !== 0 && topPage(word) * PAGE_SIZE <= top ? word : 0;
  }

  /** Gives the simple area at `base` other rights. */
  setSimpleProt(base: Addr, word: number, prot: number): void {
    this.#change(base, word, simpleWith(word, prot));
  }

  /** Gives the simple area at `base`, which had the word `before`, another. */
  #change(base: Addr, before: number, word: number): void {
    this.#account(base, before, -1);
    (this.#segments.find(base) as Segment).areas.change(base, word);
    this.#account(base, word, 1);
  }

  /** The range that everything changed since the last time lies in; undefined where nothing has. For those who watch mappings. */
  takeChanged(): Range | undefined {
    const range = { base: this.#changedBase, top: this.#changedTop };
    this.#changedBase = USER_TOP;
    this.#changedTop = 0;
    return range.base < range.top ? range : undefined;
  }

  /** Counts the area that begins at `base` and has this word, or counts it no more. */
  #account(base: Addr, word: number, sign: 1 | -1): void {
    const top = topPage(word) * PAGE_SIZE;
    const pages = (sign * (top - base)) / PAGE_SIZE;
    if (base < this.#changedBase) this.#changedBase = base;
    if (top > this.#changedTop) this.#changedTop = top;
    this.#count += sign;
    this.#pages += pages;
    if (this.#pages > this.#peak) this.#peak = this.#pages;
    if ((word & WORD_DATA) !== 0) this.#dataPages += pages;
    if ((word & WORD_ACCOUNT) !== 0) this.#promise(pages);
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
    const former = [...this.#complex()];
    this.#segments.release();
    this.#segments = new SegmentList(this.#slab, this.#space, USER_TOP, bounds);
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
    for (let base = this.#segments.nextBase(range.base); base < range.top; ) {
      const word = this.#segments.word(base);
      const top = topPage(word) * PAGE_SIZE;
      if ((word & WORD_SIMPLE) !== 0) this.#eraseAt(base);
      else this.erase(this.#segments.findArea(base) as Area);
      base = this.#segments.nextBase(top);
    }
  }

  /** Joins neighbours that can be one area, from the one that ends at `range.base` to the one that begins at `range.top`. */
  merge(range: Range): void {
    for (let border = this.#segments.nextBase(range.base); border <= range.top; border = this.#segments.nextBase(border + PAGE_SIZE)) {
      this.#mergeAt(border);
    }
  }

  /** Joins the area that begins at `border` with the one below, if there is one in the segment and they can be one. */
  #mergeAt(border: Addr): void {
    const { areas, base } = this.#segments.find(border) as Segment;
    const below = border > base ? areas.word(border - PAGE_SIZE) : 0;
    const above = areas.wordAt(border);
    if (below === 0 || ((below ^ above) & WORD_SIMPLE) !== 0) return;
    if (joinSimply(below, above)) {
      const first = areas.baseAbove(border - PAGE_SIZE);
      this.#eraseAt(border);
      return this.#change(first, below, simpleWithTop(below, topPage(above)));
    }
    if ((below & WORD_SIMPLE) !== 0) return;
    const [area, next] = [areas.find(border - PAGE_SIZE) as Area, areas.find(border) as Area];
    if (!canMerge(area, next)) return;
    const { top } = next;
    this.erase(next);
    this.resize(area, area.base, top);
  }

  /** Calls `visit` for every area, ascending, with its word. The table may not change meanwhile. */
  forEachWord(visit: (base: Addr, word: number) => void): void {
    for (let base = this.#segments.nextBase(0); base < USER_TOP; base = this.#segments.nextBase(base + PAGE_SIZE)) {
      visit(base, this.#segments.word(base));
    }
  }

  /** The areas that are not simple. */
  *#complex(): Generator<Area> {
    for (let base = this.#segments.nextBase(0); base < USER_TOP; base = this.#segments.nextBase(base + PAGE_SIZE)) {
      if ((this.#segments.word(base) & WORD_SIMPLE) === 0) yield this.#segments.findArea(base) as Area;
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
