/** An address space: segments of areas over memory objects, the pages it holds of its own, and its MMU, which only ever caches what these say. */
import { assert } from '../abi/assert.ts';
import { EEXIST, EINVAL, ENOMEM, EPERM, errno } from '../abi/errno.ts';
import * as mman from '../abi/mman.ts';
import { type Addr, PAGE_SIZE, pageDown, pageUp, type Range } from '../abi/page.ts';
import {
  AREA_ACCOUNT,
  AREA_GROWS_DOWN,
  AREA_LOCKED,
  AREA_NO_RESERVE,
  type Area,
  areaPages,
  flagsWith,
  isData,
  type Sharing,
} from './area.ts';
import { topPage, WORD_SIMPLE } from './area-index.ts';
import { STACK_GUARD_GAP } from './area-set.ts';
import { AreaTable } from './area-table.ts';
import { childFields, forkAction, mayPromiseFork } from './fork.ts';
import type { FramePool, Reclaimer } from './frame.ts';
import type { Mmu } from './mmu.ts';
import { MemoryObject } from './object.ts';
import { protectBase, protectNext } from './protect.ts';
import { PageMap } from './page-map.ts';
import { ZeroPager } from './pager.ts';
import {
  anyIn,
  type Arrangement,
  arrange,
  heapReserve,
  isFree,
  type LayoutName,
  MIN_ADDRESS,
  place,
  segmentsAtExec,
  USER_TOP,
} from './placement.ts';
import {
  areaFlags,
  dataLimit,
  futureLocks,
  type LockFuture,
  MAX_AREAS,
  type MapRequest,
  type MemoryLimits,
  type SpaceOptions,
  type SpaceStatistics,
  sharingOf,
} from './request.ts';
import type { SegmentList } from './segment.ts';
import { SoftDirty } from './soft-dirty.ts';

/** Where segments begin until the loader says otherwise: where 386 programs without a will of their own are linked. */
export const DEFAULT_PROGRAM_BASE: Addr = 0x0804_8000;
/** What the first stack has below the strings that exec puts on it, before it grows (Linux setup_arg_pages). */
const STACK_EXPANSION = 32 * PAGE_SIZE;
export class AddressSpace {
  readonly mmu: Mmu;
  readonly frames: FramePool;
  readonly layout: LayoutName;
  readonly maxAreas: number;
  limits: MemoryLimits;
  /** The areas over their segments. Outside of mm only read it. */
  readonly table: AreaTable;
  /** Pages of private areas that are not their object's (written, or shared with a forked space), by guest page number. Each entry holds its frame once. */
  readonly copies: PageMap;
  /** personality READ_IMPLIES_EXEC: what is readable is executable too. Set by the loader for programs without a PT_GNU_STACK header; fork keeps it. */
  readImpliesExec = false;
  /** mlockall(MCL_FUTURE): new areas are locked, and brought in at once or when they are touched. A child does not inherit it. */
  lockFuture: LockFuture = 'no';
  /** Whether mappings below MIN_ADDRESS are allowed (Linux CAP_SYS_RAWIO). */
  mayMapLow = false;
  /** Whether who locked memory here last may lock any amount (CAP_IPC_LOCK). */
  mayLockAll = false;
  /** The heap is `[brkStart, brkTop)`, in bytes; both 0 until `startBrk`. */
  brkStart: Addr = 0;
  brkTop: Addr = 0;
  /** Bytes of the program's own data, which RLIMIT_DATA counts with the heap. */
  programData = 0;
  /** The top of the first stack; 0 before `mapStack`. */
  stackTop: Addr = 0;
  /** Takes pages given up by MADV_FREE back. */
  #lazyReclaimer: Reclaimer | undefined;
  /** Where mappings, stack and heap were put when the program was loaded. */
  arrangement: Arrangement;
  /** The most pages of its own that it had when some went: a lower bound of the largest resident size (Linux hiwater_rss). */
  peakResident = 0;
  /** How often it was emptied: who keeps a space in mind can tell whether it is still the same program's. */
  lives = 0;
  /** Pages written since somebody asked (/proc/PID/clear_refs). */
  softDirty: SoftDirty | undefined;
  readonly statistics: SpaceStatistics = { faults: 0, zeroFills: 0, copies: 0, stackGrowths: 0 };
  readonly #free = (frame: number): void => this.frames.free(frame);
  #released = false;

  constructor(options: SpaceOptions) {
    this.mmu = options.mmu;
    this.frames = options.frames;
    const { spaceTables, commitment } = options.frames;
    this.copies = new PageMap(spaceTables);
    this.layout = options.layout ?? 'linuxemu';
    this.limits = options.limits ?? { as: Number.POSITIVE_INFINITY, data: Number.POSITIVE_INFINITY, stack: 8 * 1024 * 1024 };
    this.maxAreas = options.maxAreas ?? MAX_AREAS;
    this.arrangement = arrange(this.limits.stack);
    this.table = new AreaTable(spaceTables, this, options.bounds ?? segmentsAtExec(this.layout, DEFAULT_PROGRAM_BASE), commitment);
  }

  get segments(): SegmentList {
    return this.table.segments;
  }

  /** Number of areas. */
  get areaCount(): number {
    return this.table.count;
  }

  /** Every area, ascending. */
  areas(): Iterable<Area> {
    return this.segments.areas();
  }

  /** The area that contains `addr`. */
  find(addr: Addr): Area | undefined {
    return this.table.find(addr);
  }

  /**
   * Maps as mmap(2) does and returns the address; the object, if any, is held by the area from then on.
   * Throws EINVAL, ENOMEM, EPERM, EEXIST as Linux does; checks of files and descriptors are the caller's.
   */
  map(request: MapRequest): Addr {
    const { offset = 0, maxProt = mman.PROT_ALL } = request;
    if (request.size === 0) throw errno(EINVAL);
    const size = pageUp(request.size);
    if (size > USER_TOP) throw errno(ENOMEM);
    if (this.areaCount > this.maxAreas) throw errno(ENOMEM);
    const base = this.#choose(request, size);
    request.check?.();
    const range = { base, top: base + size };
    const sharing = sharingOf(request.flags);
    if (sharing === 'shared' && (request.flags & mman.MAP_GROWSDOWN) !== 0) throw errno(EINVAL);
    if (this.#splits(range) && this.areaCount + 1 > this.maxAreas) throw errno(ENOMEM);
    const prot = this.effectiveProt(request.prot, maxProt);
    const flags = areaFlags(request.flags, this.frames.commitment.mode, this.lockFuture);
    this.#checkLimits(range, isData({ sharing, prot, flags }));
    const reserves = sharing === 'shared' && request.object === undefined && (flags & AREA_NO_RESERVE) === 0;
    if (reserves || (flagsWith(flags, sharing, prot) & AREA_ACCOUNT) !== 0) {
      this.checkPromise(areaPages(range) - this.table.pagesIn(range).promised);
    }
    // What goes may be all that keeps the object and its file (remap_file_pages).
    request.object?.hold();
    request.file?.acquire();
    const object = request.object ?? (sharing === 'shared' ? this.#zeroObject(size, reserves) : undefined);
    const fields = { space: this, ...range, prot, maxProt, sharing, flags, object, offset, name: request.name ?? '', file: request.file };
    if (this.table.replaceSimple(fields)) this.discard(range);
    else {
      this.#remove(range);
      this.table.insert(fields);
    }
    this.table.merge(range);
    this.softDirty?.mapped(range);
    object?.drop();
    request.file?.release();
    return base;
  }

  /** The memory of a shared anonymous mapping. */
  #zeroObject(size: number, reserves: boolean): MemoryObject {
    return new MemoryObject({ frames: this.frames, pager: new ZeroPager(), size, reserves });
  }

  /** The rights an mmap or mprotect really gives. */
  effectiveProt(prot: number, maxProt: number): number {
    const asked = prot & mman.PROT_ALL;
    return this.readImpliesExec && (asked & mman.PROT_READ) !== 0 ? asked | (maxProt & mman.PROT_EXEC) : asked;
  }

  /** Linux get_unmapped_area: the fixed address checked, the hint if it is free, else a place. */
  #choose(request: MapRequest, size: number): Addr {
    const { flags } = request;
    if ((flags & (mman.MAP_FIXED | mman.MAP_FIXED_NOREPLACE)) !== 0) {
      this.checkFixed(request.addr, size);
      if ((flags & mman.MAP_FIXED_NOREPLACE) !== 0 && anyIn(this.segments, request.addr, size)) throw errno(EEXIST);
      return request.addr;
    }
    const hint = pageDown(request.addr);
    const sharing = (flags & mman.MAP_TYPE) === mman.MAP_PRIVATE ? 'private' : 'shared';
    return this.findPlace(size, sharing, (flags & (mman.MAP_STACK | mman.MAP_GROWSDOWN)) !== 0, hint);
  }

  /** Throws what Linux does for a fixed address that cannot be used, whatever is there. */
  checkFixed(addr: Addr, size: number): void {
    if (addr > USER_TOP - size) throw errno(ENOMEM);
    if (addr % PAGE_SIZE !== 0) throw errno(EINVAL);
    if (addr < MIN_ADDRESS && !this.mayMapLow) throw errno(EPERM);
  }

  /** A free place for `size` bytes: `hint` (0 is none) if it is free, else what the layout says. Throws ENOMEM. */
  findPlace(size: number, sharing: Sharing, stack: boolean, hint: Addr): Addr {
    const wished = hint === 0 ? 0 : Math.max(hint, MIN_ADDRESS);
    if (wished > 0 && wished <= USER_TOP - size && isFree(this.segments, wished, size)) return wished;
    const { layout, segments } = this;
    const addr = place(
      { layout, segments, reserved: this.#reserved(), minAddress: MIN_ADDRESS, arrangement: this.arrangement },
      { sharing, stack, size },
    );
    if (addr === undefined) throw errno(ENOMEM);
    return addr;
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

  /** Throws ENOMEM where `range` more pages pass a limit; what the range replaces is not counted twice (Linux may_expand_vm). */
  #checkLimits(range: Range, isData: boolean): void {
    if (this.#mayExpand(areaPages(range), isData)) return;
    if (!this.#mayExpand(areaPages(range) - this.table.pagesIn(range).all, isData)) throw errno(ENOMEM);
  }

  #mayExpand(pages: number, isData: boolean): boolean {
    if (this.table.pages + pages > Math.floor(this.limits.as / PAGE_SIZE)) return false;
    return !isData || this.table.dataPages + pages <= dataLimit(this.limits);
  }

  /** Throws ENOMEM where `pages` more may not be mapped. */
  checkExpansion(pages: number, isData: boolean): void {
    if (!this.#mayExpand(pages, isData)) throw errno(ENOMEM);
  }

  /** Throws ENOMEM where `pages` more may not be promised. */
  checkPromise(pages: number): void {
    if (!this.#mayPromise(pages)) throw errno(ENOMEM);
  }

  #mayLock(pages: number): boolean {
    const { locked = Number.POSITIVE_INFINITY } = this.limits;
    if (this.mayLockAll || locked === Number.POSITIVE_INFINITY) return true;
    let all = pages;
    for (const area of this.areas()) if ((area.flags & AREA_LOCKED) !== 0) all += areaPages(area);
    return all * PAGE_SIZE <= locked;
  }

  #mayPromise(pages: number): boolean {
    return this.frames.commitment.allows(pages, this.table.pages, this.mayMapLow);
  }

  /** Unmaps as munmap(2) does: whatever lies in the range goes. Throws EINVAL for an unaligned address or a range outside of user memory. */
  unmap(addr: Addr, size: number): void {
    const rounded = pageUp(size);
    if (addr % PAGE_SIZE !== 0 || addr > USER_TOP || size > USER_TOP - addr || rounded === 0) throw errno(EINVAL);
    const range = { base: addr, top: addr + rounded };
    if (this.#splits(range) && this.areaCount + 1 > this.maxAreas) throw errno(ENOMEM);
    this.#remove(range);
  }

  /** Whether taking the range out leaves an area in two pieces. */
  #splits({ base, top }: Range): boolean {
    return this.segments.baseAbove(base) < base && topPage(this.segments.word(base)) * PAGE_SIZE > top;
  }

  /** Takes everything out of `range`: areas, pages, MMU entries. */
  #remove(range: Range): void {
    if (!anyIn(this.segments, range.base, range.top - range.base)) return;
    this.discard(range);
    this.table.clear(range);
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
    if ((asked & ~(mman.PROT_ALL | mman.PROT_SEM)) !== 0) throw errno(EINVAL);
    const base = protectBase(this.segments, addr, top, grows);
    let done = base;
    try {
      while (done < top) {
        done = protectNext(this, done, top, asked);
      }
    } finally {
      if (done > base) this.table.merge({ base, top: done });
    }
  }

  /** Forgets the pages this space holds of its own in `range`, and all MMU entries there; areas stay. The next touch starts afresh (MADV_DONTNEED, segfree). */
  discard(range: Range): void {
    this.mmu.unmap(range);
    if (this.copies.size > this.peakResident) this.peakResident = this.copies.size;
    this.copies.takeAll(range.base / PAGE_SIZE, range.top / PAGE_SIZE, this.#free);
  }

  /** What takes pages away that were given up (lazy.ts); set while there may be some. */
  setLazyReclaimer(reclaimer: Reclaimer | undefined): void {
    if (this.#lazyReclaimer !== undefined) this.frames.removeReclaimer(this.#lazyReclaimer);
    if (reclaimer !== undefined) this.frames.addReclaimer(reclaimer);
    this.#lazyReclaimer = reclaimer;
  }

  /** Empties the space and lays out fresh segments for a program whose lowest page is `lowest` (exec). Statistics, limits and the layout stay. */
  clear(lowest: Addr = DEFAULT_PROGRAM_BASE, arrangement: Arrangement = arrange(this.limits.stack)): void {
    this.arrangement = arrangement;
    this.discard({ base: 0, top: USER_TOP });
    assert(this.copies.size === 0, 'an empty space holds no pages');
    this.lives++;
    this.softDirty = undefined;
    this.setLazyReclaimer(undefined);
    this.table.reset(segmentsAtExec(this.layout, pageDown(lowest), arrangement.shifts.mappings));
    this.brkStart = 0;
    this.brkTop = 0;
    this.programData = 0;
    this.peakResident = 0;
    this.stackTop = 0;
    this.readImpliesExec = false;
    this.lockFuture = 'no';
  }

  /** Says where the heap begins, and how many bytes of data the program itself has: by the loader, before anything is mapped without an address. Any byte address. */
  startBrk(start: Addr, programData = 0): void {
    this.brkStart = start;
    this.brkTop = start;
    this.programData = programData;
  }

  /** As the system call brk: moves the end of the heap to `top` and returns the new end, or the old one where that cannot be. */
  brk(top: Addr): Addr {
    if (top < this.brkStart || this.brkStart === 0) return this.brkTop;
    const oldTop = pageUp(this.brkTop);
    const newTop = pageUp(top);
    if (top - this.brkStart + this.programData > this.limits.data || newTop > USER_TOP) return this.brkTop;
    // Linux refuses to shrink where the program has unmapped the heap's end itself.
    if (newTop < oldTop && !anyIn(this.segments, newTop, oldTop - newTop)) return this.brkTop;
    if (newTop < oldTop) this.#remove({ base: newTop, top: oldTop });
    if (newTop > oldTop && !this.#growHeap({ base: oldTop, top: newTop })) return this.brkTop;
    this.brkTop = top;
    return top;
  }

  #growHeap(range: Range): boolean {
    const prot = this.effectiveProt(mman.PROT_READ | mman.PROT_WRITE, mman.PROT_ALL);
    if (!isFree(this.segments, range.base, Math.min(range.top + PAGE_SIZE, USER_TOP) - range.base)) return false;
    if (this.areaCount > this.maxAreas || !this.#mayExpand(areaPages(range), true) || !this.#mayPromise(areaPages(range))) return false;
    this.table.insert({
      space: this,
      ...range,
      prot,
      maxProt: mman.PROT_ALL,
      sharing: 'private',
      flags: futureLocks(this.lockFuture),
      object: undefined,
      offset: 0,
      name: '',
    });
    this.table.merge(range);
    this.softDirty?.mapped(range);
    return true;
  }

  /**
   * Maps the first stack at the top of the space; it grows down to RLIMIT_STACK, and is large enough for `strings` bytes whatever that is. `prot` has
   * PROT_EXEC only where the program's PT_GNU_STACK asks for it. Throws ENOMEM.
   */
  mapStack(prot: number = mman.PROT_READ | mman.PROT_WRITE, strings = PAGE_SIZE): Range {
    const used = pageUp(strings);
    const size = Math.max(used, Math.min(used + STACK_EXPANSION, pageDown(this.limits.stack)));
    const flags = mman.MAP_PRIVATE | mman.MAP_ANONYMOUS | mman.MAP_GROWSDOWN | mman.MAP_FIXED_NOREPLACE;
    const top = USER_TOP - this.arrangement.shifts.stack;
    const base = this.map({ addr: top - size, size, prot, flags });
    this.stackTop = top;
    return { base, top };
  }

  /** Grows the area above `addr` down to it, if it is a stack that may (Linux expand_downwards). Returns the area that then contains `addr`. */
  growStack(addr: Addr): Area | undefined {
    const area = this.segments.findAreaAbove(addr);
    if (area === undefined || (area.flags & AREA_GROWS_DOWN) === 0 || addr >= area.base) return undefined;
    const base = pageDown(addr);
    const pages = (area.base - base) / PAGE_SIZE;
    if (base < Math.max(this.table.segmentOf(area).base, MIN_ADDRESS) || area.top - base > this.limits.stack) return undefined;
    if (!this.#mayExpand(pages, false) || (area.object !== undefined && area.offset < pages)) return undefined;
    if ((area.flags & AREA_ACCOUNT) !== 0 && !this.#mayPromise(pages)) return undefined;
    if ((area.flags & AREA_LOCKED) !== 0 && !this.#mayLock(pages)) return undefined;
    const below = this.segments.findAreaBelow(area.base);
    if (below !== undefined) {
      const guarded = (below.flags & AREA_GROWS_DOWN) === 0 && below.prot !== mman.PROT_NONE;
      if (below.top > base || (guarded && base - below.top < STACK_GUARD_GAP)) return undefined;
    }
    this.table.resize(area, base, area.top);
    this.table.merge({ base, top: area.top });
    this.statistics.stackGrowths++;
    return this.find(addr);
  }

  /**
   * A copy for a child process: areas as `forkAction` says, private pages shared by count until somebody writes. `mmu` is the child's, and empty. Throws ENOMEM
   * where the child's areas promise too much; `mmu` is then the caller's still.
   */
  fork(mmu: Mmu): AddressSpace {
    if (!mayPromiseFork(this, (pages) => this.#mayPromise(pages))) throw errno(ENOMEM);
    const { frames, layout, maxAreas } = this;
    const { as, data, dataMaximum, stack } = this.limits;
    const bounds = this.segments.all.filter((segment) => segment.kind !== 'ATTACHED');
    const child = new AddressSpace({ mmu, frames, layout, limits: { as, data, dataMaximum, stack }, maxAreas, bounds });
    child.readImpliesExec = this.readImpliesExec;
    child.mayMapLow = this.mayMapLow;
    child.mayLockAll = this.mayLockAll;
    child.brkStart = this.brkStart;
    child.brkTop = this.brkTop;
    child.programData = this.programData;
    child.stackTop = this.stackTop;
    child.softDirty = this.softDirty && new SoftDirty(this.softDirty);
    child.arrangement = this.arrangement;
    const share = (frame: number): void => frames.share(frame);
    let locked = false;
    const copy = (range: Range): void => {
      const held = child.copies.size;
      child.copies.copyFrom(this.copies, range.base / PAGE_SIZE, range.top / PAGE_SIZE, share);
      if (child.copies.size > held) this.mmu.writeProtect(range);
    };
    this.table.forEachWord((base, word) => {
      if ((word & WORD_SIMPLE) !== 0) {
        child.table.insertSimple(base, word);
        return copy({ base, top: topPage(word) * PAGE_SIZE });
      }
      const area = this.find(base) as Area;
      const action = forkAction(area);
      if (action !== 'omit') child.table.insert(childFields(child, area));
      locked ||= (area.flags & AREA_LOCKED) !== 0;
      if (action === 'copy') copy(area);
    });
    // Locks are not inherited, and what only they kept apart is one area.
    if (locked) child.table.merge({ base: 0, top: USER_TOP });
    return child;
  }

  /** Gives everything back, page tables included. The space is not used again. */
  release(): void {
    assert(!this.#released, 'a space is released once');
    this.#released = true;
    this.setLazyReclaimer(undefined);
    this.softDirty = undefined;
    this.copies.takeAll(0, USER_TOP / PAGE_SIZE, this.#free);
    assert(this.copies.size === 0, 'a released space holds no pages');
    this.lives++;
    this.table.reset([]);
    this.mmu.release();
  }
}
