/** An address space: segments of areas over memory objects, the pages it holds of its own, and its MMU, which only ever caches what these say. */
import { assert } from '../abi/assert.ts';
import { EACCES, EEXIST, EINVAL, ENOMEM, EOVERFLOW, EPERM, errno } from '../abi/errno.ts';
import * as mman from '../abi/mman.ts';
import { type Addr, PAGE_SIZE, pageDown, pageUp, type Range } from '../abi/page.ts';
import * as areas from './area.ts';
import { Area } from './area.ts';
import { STACK_GUARD_GAP } from './area-set.ts';
import { forkAction } from './fork.ts';
import type { FramePool } from './frame.ts';
import type { Mmu } from './mmu.ts';
import type { MemoryObject } from './object.ts';
import { PageMap } from './page-map.ts';
import { heapReserve, isFree, type LayoutName, MIN_ADDRESS, place, segmentsAtExec, USER_TOP } from './placement.ts';
import { type Segment, SegmentList } from './segment.ts';

/** Resource limits that memory obeys, in bytes; Infinity is RLIM_INFINITY. The owner may change them at any time. */
export interface MemoryLimits {
  /** RLIMIT_AS. */
  as: number;
  /** RLIMIT_DATA. */
  data: number;
  /** RLIMIT_STACK. */
  stack: number;
}

/** Where Linux puts a program without an address of its own wish, and where segments begin until the loader says otherwise. */
export const DEFAULT_PROGRAM_BASE: Addr = 0x0804_8000;
/** Size of the first stack before it grows, as Linux leaves it after exec. */
const FIRST_STACK = 33 * PAGE_SIZE;
/** Most areas a space may have. Linux stops at 65,530; small mappings are an ordinary case here. */
const MAX_AREAS = 262_144;

export interface SpaceOptions {
  readonly mmu: Mmu;
  readonly frames: FramePool;
  readonly layout?: LayoutName;
  /** Default: AS and DATA unlimited, STACK 8 MiB. Kept and read at every use, not copied. */
  readonly limits?: MemoryLimits;
  /** Most areas; default 262,144. */
  readonly maxAreas?: number;
}

export interface MapRequest {
  /** The hint, or with MAP_FIXED the address. */
  readonly addr: Addr;
  /** In bytes; rounded up to pages. */
  readonly size: number;
  /** PROT_ bits. */
  readonly prot: number;
  /** MAP_ bits. Exactly one of MAP_SHARED, MAP_PRIVATE (and for files MAP_SHARED_VALIDATE). */
  readonly flags: number;
  /** What is mapped. Required unless MAP_ANONYMOUS; with MAP_ANONYMOUS|MAP_SHARED the caller passes a new object over a ZeroPager and drops its hold after the call. */
  readonly object?: MemoryObject;
  /** In pages, of the mapping's first page within the object. */
  readonly offset?: number;
  /** What mprotect may give later; default everything. Shared mappings of files not open for writing lack PROT_WRITE. */
  readonly maxProt?: number;
  /** Shown by maps instead of the object's name, such as `[vdso]`. */
  readonly name?: string;
}

/** Counters since the space was made. */
export interface SpaceStatistics {
  faults: number;
  zeroFills: number;
  copies: number;
  objectPages: number;
  stackGrowths: number;
}

export class AddressSpace {
  readonly mmu: Mmu;
  readonly frames: FramePool;
  readonly layout: LayoutName;
  readonly maxAreas: number;
  limits: MemoryLimits;
  segments: SegmentList;
  /** Pages of private areas that differ from their object, by guest page number: written ones, and those shared with a forked space. */
  readonly copies = new PageMap();
  /** personality READ_IMPLIES_EXEC: what is readable is executable too. Set by the loader for programs without a PT_GNU_STACK header; fork keeps it. */
  readImpliesExec = false;
  /** Whether mappings below MIN_ADDRESS are allowed (Linux CAP_SYS_RAWIO). */
  mayMapLow = false;
  /** The heap is `[brkStart, brkTop)`; both 0 until `startBrk`. */
  brkStart: Addr = 0;
  brkTop: Addr = 0;
  /** The top of the first stack; 0 before `mapStack`. */
  stackTop: Addr = 0;
  readonly statistics: SpaceStatistics = { faults: 0, zeroFills: 0, copies: 0, objectPages: 0, stackGrowths: 0 };
  #areaCount = 0;
  /** Pages in areas, and in those that count as data. */
  #pages = 0;
  #dataPages = 0;
  /** The area found last; faults come in runs. */
  #recent: Area | undefined;
  #released = false;

  constructor(options: SpaceOptions) {
    this.mmu = options.mmu;
    this.frames = options.frames;
    this.layout = options.layout ?? 'linuxemu';
    this.limits = options.limits ?? { as: Number.POSITIVE_INFINITY, data: Number.POSITIVE_INFINITY, stack: 8 * 1024 * 1024 };
    this.maxAreas = options.maxAreas ?? MAX_AREAS;
    this.segments = new SegmentList(USER_TOP, segmentsAtExec(this.layout, DEFAULT_PROGRAM_BASE));
  }

  /** Number of areas. */
  get areaCount(): number {
    return this.#areaCount;
  }

  /** Pages in areas, touched or not (Linux total_vm). */
  get mappedPages(): number {
    return this.#pages;
  }

  /** Pages in private writable areas other than stacks (Linux data_vm). */
  get dataPages(): number {
    return this.#dataPages;
  }

  /** Every area, ascending. */
  areas(): Iterable<Area> {
    return this.segments.areas();
  }

  /** The area that contains `addr`. */
  find(addr: Addr): Area | undefined {
    const recent = this.#recent;
    if (recent !== undefined && addr >= recent.base && addr < recent.top) return recent;
    const area = this.segments.findArea(addr);
    if (area !== undefined) this.#recent = area;
    return area;
  }

  /**
   * Maps as mmap(2) does and returns the address. The object, if any, is held by the area from then on.
   * Throws EINVAL, ENOMEM, EPERM, EEXIST, EOVERFLOW as Linux does; checks of files and descriptors are the caller's.
   */
  map(request: MapRequest): Addr {
    if (request.size === 0) throw errno(EINVAL);
    const size = pageUp(request.size);
    if (size > USER_TOP) throw errno(ENOMEM);
    if ((request.offset ?? 0) + size / PAGE_SIZE >= 2 ** 32) throw errno(EOVERFLOW);
    if (this.#areaCount + 2 > this.maxAreas) throw errno(ENOMEM);
    const base = this.#choose(request, size);
    const sharing = sharingOf(request);
    const prot = this.#effectiveProt(request.prot, request.maxProt ?? mman.PROT_ALL);
    const range = { base, top: base + size };
    const isData = sharing === 'private' && (prot & mman.PROT_WRITE) !== 0 && (request.flags & mman.MAP_GROWSDOWN) === 0;
    this.#checkLimits(range, isData);
    this.#remove(range);
    this.#insert({
      space: this,
      ...range,
      prot,
      maxProt: request.maxProt ?? mman.PROT_ALL,
      sharing,
      flags: areaFlags(request.flags),
      object: request.object,
      offset: request.object === undefined ? 0 : (request.offset ?? 0),
      name: request.name ?? '',
    });
    this.#merge(range);
    return base;
  }

  /** The rights an mmap or mprotect really gives. */
  #effectiveProt(prot: number, maxProt: number): number {
    const asked = prot & mman.PROT_ALL;
    return this.readImpliesExec && (asked & mman.PROT_READ) !== 0 ? asked | (maxProt & mman.PROT_EXEC) : asked;
  }

  /** Linux get_unmapped_area: the fixed address checked, the hint if free, else a place. */
  #choose(request: MapRequest, size: number): Addr {
    const { flags } = request;
    if ((flags & (mman.MAP_FIXED | mman.MAP_FIXED_NOREPLACE)) !== 0) {
      if (request.addr > USER_TOP - size) throw errno(ENOMEM);
      if (request.addr % PAGE_SIZE !== 0) throw errno(EINVAL);
      if (request.addr < MIN_ADDRESS && !this.mayMapLow) throw errno(EPERM);
      if ((flags & mman.MAP_FIXED_NOREPLACE) !== 0 && this.#overlapsAny(request.addr, size)) throw errno(EEXIST);
      return request.addr;
    }
    if (request.addr > 0) {
      const hint = Math.max(pageDown(request.addr), MIN_ADDRESS);
      if (pageDown(request.addr) > 0 && hint <= USER_TOP - size && isFree(this.segments, hint, size)) return hint;
    }
    const addr = place(
      { layout: this.layout, segments: this.segments, reserved: this.#reserved(), minAddress: MIN_ADDRESS, stackLimit: this.limits.stack },
      { sharing: sharingOf(request), stack: (flags & (mman.MAP_STACK | mman.MAP_GROWSDOWN)) !== 0, size },
    );
    if (addr === undefined) throw errno(ENOMEM);
    return addr;
  }

  #overlapsAny(addr: Addr, size: number): boolean {
    const above = this.segments.findAreaAbove(addr);
    return above !== undefined && above.base < addr + size;
  }

  /** What brk and the first stack may still grow into. */
  #reserved(): Range[] {
    const reserved: Range[] = [];
    const heap = this.brkStart === 0 ? undefined : heapReserve(this.layout, this.brkStart);
    if (heap !== undefined) reserved.push(heap);
    if (this.stackTop !== 0 && this.layout === 'linuxemu') {
      reserved.push({ base: Math.max(0, pageDown(this.stackTop - this.limits.stack) - STACK_GUARD_GAP), top: this.stackTop });
    }
    return reserved;
  }

  /** Linux may_expand_vm: what `range` replaces is not counted twice. */
  #checkLimits(range: Range, isData: boolean): void {
    const pages = areas.areaPages(range);
    const asLimit = Math.floor(this.limits.as / PAGE_SIZE);
    const dataLimit = Math.floor(this.limits.data / PAGE_SIZE);
    if (this.#pages + pages <= asLimit && (!isData || this.#dataPages + pages <= dataLimit)) return;
    const replaced = this.#pagesIn(range);
    if (this.#pages + pages - replaced > asLimit) throw errno(ENOMEM);
    if (isData && this.#dataPages + pages - replaced > dataLimit) throw errno(ENOMEM);
  }

  #pagesIn(range: Range): number {
    let pages = 0;
    for (const area of this.areasIn(range)) pages += (Math.min(area.top, range.top) - Math.max(area.base, range.base)) / PAGE_SIZE;
    return pages;
  }

  /** The areas that overlap `range`, ascending; the set may not change meanwhile. */
  *areasIn(range: Range): Generator<Area> {
    let area = this.segments.findAreaAbove(range.base);
    while (area !== undefined && area.base < range.top) {
      yield area;
      area = this.segments.findAreaAbove(area.top);
    }
  }

  /** Unmaps as munmap(2) does: whatever lies in the range goes. Throws EINVAL for an unaligned address or a range outside of user memory. */
  unmap(addr: Addr, size: number): void {
    const rounded = pageUp(size);
    if (addr % PAGE_SIZE !== 0 || addr > USER_TOP || size > USER_TOP - addr || rounded === 0) throw errno(EINVAL);
    const around = this.segments.findArea(addr);
    const splits = around !== undefined && around.base < addr && around.top > addr + rounded;
    if (splits && this.#areaCount + 1 > this.maxAreas) throw errno(ENOMEM);
    this.#remove({ base: addr, top: addr + rounded });
  }

  /**
   * Changes rights as mprotect(2) does: across areas and segments, up to the first hole (ENOMEM) or the first area that may not have them (EACCES);
   * what came before keeps its new rights, as on Linux.
   */
  protect(addr: Addr, size: number, prot: number): void {
    const grows = prot & (mman.PROT_GROWSDOWN | mman.PROT_GROWSUP);
    const asked = prot & ~grows;
    if (grows === (mman.PROT_GROWSDOWN | mman.PROT_GROWSUP) || addr % PAGE_SIZE !== 0) throw errno(EINVAL);
    if (size === 0) return;
    const top = addr + pageUp(size);
    if (top > 2 ** 32 || pageUp(size) === 2 ** 32) throw errno(ENOMEM);
    if ((asked & ~(mman.PROT_ALL | mman.PROT_SEM)) !== 0) throw errno(EINVAL);
    const first = this.segments.findAreaAbove(addr);
    if (first === undefined) throw errno(ENOMEM);
    let base = addr;
    if (grows === mman.PROT_GROWSDOWN) {
      if (first.base >= top) throw errno(ENOMEM);
      if ((first.flags & areas.AREA_GROWS_DOWN) === 0) throw errno(EINVAL);
      base = first.base;
    } else if (first.base > addr) throw errno(ENOMEM);
    else if (grows === mman.PROT_GROWSUP) throw errno(EINVAL);
    let done = base;
    try {
      while (done < top) {
        const area = this.segments.findArea(done);
        if (area === undefined) throw errno(ENOMEM);
        done = this.#protectArea(area, { base: done, top: Math.min(area.top, top) }, asked);
      }
    } finally {
      if (done > base) this.#merge({ base, top: done });
    }
  }

  /** Changes the rights of the part of `area` that `range` is, and returns its end. */
  #protectArea(area: Area, range: Range, asked: number): Addr {
    const prot = this.#effectiveProt(asked, area.maxProt);
    if ((prot & ~area.maxProt) !== 0) throw errno(EACCES);
    const wasData = areas.isData(area);
    const lost = area.prot & ~prot;
    if (prot === area.prot) return range.top;
    if (!wasData && area.sharing === 'private' && (prot & mman.PROT_WRITE) !== 0) this.#checkDataGrowth(area, range);
    if (this.#areaCount + 2 > this.maxAreas && (range.base > area.base || range.top < area.top)) throw errno(ENOMEM);
    this.#cutAt(range.base);
    this.#cutAt(range.top);
    const part = this.segments.findArea(range.base);
    assert(part !== undefined && part.base === range.base && part.top === range.top, 'cutting leaves the exact part');
    part.prot = prot;
    const isNowData = areas.isData(part);
    if (isNowData !== wasData) this.#dataPages += (isNowData ? 1 : -1) * areas.areaPages(part);
    if (lost === mman.PROT_WRITE) this.mmu.writeProtect(range);
    else if (lost !== 0) this.mmu.unmap(range);
    return range.top;
  }

  /** Making pages writable makes them data (Linux mprotect_fixup). */
  #checkDataGrowth(area: Area, range: Range): void {
    if ((area.flags & areas.AREA_GROWS_DOWN) !== 0) return;
    if (this.#dataPages + areas.areaPages(range) > Math.floor(this.limits.data / PAGE_SIZE)) throw errno(ENOMEM);
  }

  /** Empties the space and lays out fresh segments for a program whose lowest page is `lowest` (exec). Counters, limits and the layout stay. */
  clear(lowest: Addr = DEFAULT_PROGRAM_BASE): void {
    this.#remove({ base: 0, top: USER_TOP });
    assert(this.copies.size === 0, 'an empty space holds no pages');
    this.segments = new SegmentList(USER_TOP, segmentsAtExec(this.layout, pageDown(lowest)));
    this.brkStart = 0;
    this.brkTop = 0;
    this.stackTop = 0;
    this.readImpliesExec = false;
  }

  /** Says where the heap begins: the program's end, by the loader, before anything is mapped without an address. May be any byte address. */
  startBrk(start: Addr): void {
    this.brkStart = start;
    this.brkTop = start;
  }

  /** As the system call brk: moves the end of the heap to `top` and returns the new end, or the old one where that cannot be. */
  brk(top: Addr): Addr {
    if (top < this.brkStart || this.brkStart === 0) return this.brkTop;
    const oldTop = pageUp(this.brkTop);
    const newTop = pageUp(top);
    if (top - this.brkStart > this.limits.data || newTop > USER_TOP) return this.brkTop;
    if (newTop < oldTop) this.#remove({ base: newTop, top: oldTop });
    if (newTop > oldTop && !this.#growHeap({ base: oldTop, top: newTop })) return this.brkTop;
    this.brkTop = top;
    return top;
  }

  #growHeap(range: Range): boolean {
    if (!isFree(this.segments, range.base, Math.min(range.top + PAGE_SIZE, USER_TOP) - range.base)) return false;
    if (this.#areaCount + 2 > this.maxAreas) return false;
    const pages = areas.areaPages(range);
    if (this.#pages + pages > Math.floor(this.limits.as / PAGE_SIZE)) return false;
    if (this.#dataPages + pages > Math.floor(this.limits.data / PAGE_SIZE)) return false;
    const prot = this.#effectiveProt(mman.PROT_READ | mman.PROT_WRITE, mman.PROT_ALL);
    this.#insert({ space: this, ...range, prot, maxProt: mman.PROT_ALL, sharing: 'private', flags: 0, object: undefined, offset: 0, name: '' });
    this.#merge(range);
    return true;
  }

  /** Maps the first stack at the top of the space; it grows down to RLIMIT_STACK. `prot` lacks PROT_EXEC unless the program's PT_GNU_STACK asks for it. Throws ENOMEM. */
  mapStack(prot: number = mman.PROT_READ | mman.PROT_WRITE): Range {
    const size = Math.max(PAGE_SIZE, Math.min(FIRST_STACK, pageDown(this.limits.stack)));
    const flags = mman.MAP_PRIVATE | mman.MAP_ANONYMOUS | mman.MAP_GROWSDOWN | mman.MAP_FIXED_NOREPLACE;
    const base = this.map({ addr: USER_TOP - size, size, prot, flags });
    this.stackTop = USER_TOP;
    return { base, top: USER_TOP };
  }

  /**
   * Grows the area above `addr` down to it, if it is a stack that may (Linux expand_downwards). Returns the area that then contains `addr`.
   */
  growStack(addr: Addr): Area | undefined {
    const area = this.segments.findAreaAbove(addr);
    if (area === undefined || (area.flags & areas.AREA_GROWS_DOWN) === 0 || addr >= area.base) return undefined;
    const base = pageDown(addr);
    const pages = (area.base - base) / PAGE_SIZE;
    const segment = this.#segmentOf(area);
    if (base < Math.max(segment.base, MIN_ADDRESS) || area.top - base > this.limits.stack) return undefined;
    if (this.#pages + pages > Math.floor(this.limits.as / PAGE_SIZE)) return undefined;
    if (area.object !== undefined && area.offset < pages) return undefined;
    const below = this.segments.findAreaBelow(area.base);
    if (below !== undefined) {
      if (below.top > base) return undefined;
      const guarded = (below.flags & areas.AREA_GROWS_DOWN) === 0 && below.prot !== mman.PROT_NONE;
      if (guarded && base - below.top < STACK_GUARD_GAP) return undefined;
    }
    this.#resize(area, base, area.top);
    this.statistics.stackGrowths++;
    this.#merge({ base, top: area.top });
    return this.segments.findArea(addr);
  }

  /** Forgets the pages this space holds of its own in `range`, and their MMU entries; areas stay. The next touch starts afresh. */
  discard(range: Range): void {
    this.mmu.unmap(range);
    this.copies.forEach(range.base / PAGE_SIZE, range.top / PAGE_SIZE, (page, frame) => {
      this.copies.delete(page);
      this.frames.free(frame);
    });
  }

  /** A copy for a child process: areas as `forkAction` says, private pages shared by count until somebody writes. `mmu` is the child's, and empty. */
  fork(mmu: Mmu): AddressSpace {
    const { frames, layout, limits, maxAreas } = this;
    const child = new AddressSpace({ mmu, frames, layout, limits: { ...limits }, maxAreas });
    const bounds = this.segments.all.filter((segment) => segment.kind !== 'ATTACHED');
    child.segments = new SegmentList(USER_TOP, bounds);
    child.readImpliesExec = this.readImpliesExec;
    child.mayMapLow = this.mayMapLow;
    child.brkStart = this.brkStart;
    child.brkTop = this.brkTop;
    child.stackTop = this.stackTop;
    for (const area of this.areas()) {
      const action = forkAction(area);
      if (action === 'omit') continue;
      child.#insert({ ...areas.fieldsOf(area), space: child });
    }
    this.copies.forEach(0, USER_TOP / PAGE_SIZE, (page, frame) => {
      const area = this.find(page * PAGE_SIZE);
      assert(area !== undefined, 'a page held lies in an area');
      if (forkAction(area) !== 'copy') return;
      frames.share(frame);
      child.copies.set(page, frame);
    });
    if (child.copies.size > 0) this.mmu.writeProtect({ base: 0, top: USER_TOP });
    return child;
  }

  /** Gives everything back, page tables included. The space is not used again. */
  release(): void {
    assert(!this.#released, 'a space is released once');
    this.clear();
    this.#released = true;
    this.mmu.release();
  }

  #segmentOf(area: Area): Segment {
    const segment = this.segments.find(area.base);
    assert(segment !== undefined, 'an area lies in a segment');
    return segment;
  }

  /** Takes everything out of `range`: areas, pages, MMU entries. */
  #remove(range: Range): void {
    const first = this.segments.findAreaAbove(range.base);
    if (first === undefined || first.base >= range.top) return;
    this.discard(range);
    this.#recent = undefined;
    this.#cutAt(range.base);
    this.#cutAt(range.top);
    for (let area = this.segments.findAreaAbove(range.base); area !== undefined && area.base < range.top; ) {
      const { top } = area;
      this.#erase(area);
      area = this.segments.findAreaAbove(top);
    }
  }

  /** Puts a new area into its segment; one that spans segments becomes one area in each. */
  #insert(fields: areas.AreaFields): void {
    const segment = this.segments.claim(fields.base);
    const area = new Area(fields);
    if (fields.top > segment.limit) {
      const rest = areas.splitArea(area, segment.limit);
      this.#enter(segment, area);
      this.#insert(areas.fieldsOf(rest));
    } else this.#enter(segment, area);
  }

  #enter(segment: Segment, area: Area): void {
    segment.areas.insert(area);
    area.object?.attach(area);
    this.#areaCount++;
    this.#pages += areas.areaPages(area);
    if (areas.isData(area)) this.#dataPages += areas.areaPages(area);
  }

  #erase(area: Area): void {
    const segment = this.#segmentOf(area);
    segment.areas.remove(area);
    this.segments.retire(segment);
    this.#areaCount--;
    this.#pages -= areas.areaPages(area);
    if (areas.isData(area)) this.#dataPages -= areas.areaPages(area);
    area.object?.detach(area);
  }

  #resize(area: Area, base: Addr, top: Addr): void {
    const grown = (top - base) / PAGE_SIZE - areas.areaPages(area);
    const offset = areas.offsetAt(area, base);
    this.#segmentOf(area).areas.resize(area, base, top);
    area.offset = offset;
    this.#pages += grown;
    if (areas.isData(area)) this.#dataPages += grown;
  }

  /** Makes `addr` a border between areas, if one spans it. */
  #cutAt(addr: Addr): void {
    const area = this.segments.findArea(addr);
    if (area === undefined || area.base === addr) return;
    const segment = this.#segmentOf(area);
    const { base, top } = area;
    const above = areas.splitArea(area, addr);
    area.top = top;
    segment.areas.resize(area, base, addr);
    segment.areas.insert(above);
    above.object?.attach(above);
    this.#areaCount++;
  }

  /** Joins neighbours that can be one area, from the one that ends at `range.base` to the one that begins at `range.top`. */
  #merge(range: Range): void {
    let area = this.segments.findAreaBelow(range.base) ?? this.segments.findAreaAbove(range.base);
    while (area !== undefined && area.base <= range.top) {
      const next: Area | undefined = this.segments.findAreaAbove(area.top);
      if (next !== undefined && areas.canMerge(area, next) && this.#segmentOf(area) === this.#segmentOf(next)) {
        const { top } = next;
        this.#recent = undefined;
        this.#erase(next);
        this.#resize(area, area.base, top);
      } else area = next;
    }
  }
}

/** Throws EINVAL unless exactly one kind of sharing is asked for. */
function sharingOf(request: MapRequest): areas.Sharing {
  const anonymous = (request.flags & mman.MAP_ANONYMOUS) !== 0;
  const grows = (request.flags & mman.MAP_GROWSDOWN) !== 0;
  switch (request.flags & mman.MAP_TYPE) {
    case mman.MAP_PRIVATE:
      return 'private';
    case mman.MAP_SHARED:
      if (grows) throw errno(EINVAL);
      return 'shared';
    case mman.MAP_SHARED_VALIDATE:
      if (anonymous || grows) throw errno(EINVAL);
      return 'shared';
    default:
      throw errno(EINVAL);
  }
}

function areaFlags(flags: number): number {
  return (
    ((flags & mman.MAP_GROWSDOWN) !== 0 ? areas.AREA_GROWS_DOWN : 0) |
    ((flags & mman.MAP_LOCKED) !== 0 ? areas.AREA_LOCKED : 0) |
    ((flags & mman.MAP_NORESERVE) !== 0 ? areas.AREA_NO_RESERVE : 0)
  );
}
