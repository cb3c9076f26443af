/** mprotect(2), area by area: where a change of rights begins, and what it is for the next area. */
import { assert } from '../abi/assert.ts';
import { EACCES, EINVAL, ENOMEM, errno } from '../abi/errno.ts';
import { PROT_ALL, PROT_GROWSDOWN, PROT_GROWSUP, PROT_NONE, PROT_WRITE } from '../abi/mman.ts';
import { type Addr, PAGE_SIZE, type Range } from '../abi/page.ts';
import { AREA_ACCOUNT, AREA_GROWS_DOWN, type Area, areaPages, flagsWith, isData } from './area.ts';
import { topPage, WORD_ACCOUNT, WORD_DATA, WORD_PROT } from './area-index.ts';
import { dataLimit, type MemoryLimits } from './request.ts';
import type { AreaTable } from './area-table.ts';
import type { Mmu } from './mmu.ts';
import type { SegmentList } from './segment.ts';

/** The address space whose rights change. */
interface Protected {
  readonly table: AreaTable;
  readonly segments: SegmentList;
  readonly mmu: Mmu;
  readonly limits: MemoryLimits;
  readonly areaCount: number;
  readonly maxAreas: number;
  /** The rights it gives where these are asked for, of those there may be. */
  effectiveProt(prot: number, maxProt: number): number;
  /** Throws ENOMEM where so many pages more may not be promised. */
  checkPromise(pages: number): void;
}

/** Where mprotect begins: `addr`, or with PROT_GROWSDOWN the bottom of the stack there. */
export function protectBase(segments: SegmentList, addr: Addr, top: Addr, grows: number): Addr {
  const base = segments.baseAbove(addr);
  if (base === Number.POSITIVE_INFINITY) throw errno(ENOMEM);
  if (grows === PROT_GROWSDOWN) {
    if (base >= top) throw errno(ENOMEM);
    if (((segments.findArea(base) as Area).flags & AREA_GROWS_DOWN) === 0) throw errno(EINVAL);
    return base;
  }
  if (base > addr) throw errno(ENOMEM);
  if (grows === PROT_GROWSUP) throw errno(EINVAL);
  return addr;
}

/** Changes the rights of the area at `done`, up to `top`, and returns where that ends. Throws ENOMEM, EACCES. */
export function protectNext(space: Protected, done: Addr, top: Addr, asked: number): Addr {
  const word = space.table.simpleAt(done, top);
  if (word !== 0) return protectSimple(space, done, word, asked);
  const area = space.segments.findArea(done);
  if (area === undefined) throw errno(ENOMEM);
  return protectArea(space, area, { base: done, top: Math.min(area.top, top) }, asked);
}

/** The same of a whole simple area, without its object. */
function protectSimple(space: Protected, base: Addr, word: number, asked: number): Addr {
  const range = { base, top: topPage(word) * PAGE_SIZE };
  const before = word & WORD_PROT;
  const prot = space.effectiveProt(asked, PROT_ALL);
  if (prot === before) return range.top;
  const isWritable = (prot & PROT_WRITE) !== 0;
  if (isWritable && (word & WORD_DATA) === 0) checkData(space, range);
  if (isWritable && (word & WORD_ACCOUNT) === 0) space.checkPromise(areaPages(range));
  space.table.setSimpleProt(base, word, prot);
  withdraw(space, range, before & ~prot, prot);
  return range.top;
}

/** Changes the rights of the part of `area` that `range` is, and returns its end. */
function protectArea(space: Protected, area: Area, range: Range, asked: number): Addr {
  const prot = space.effectiveProt(asked, area.maxProt);
  if ((prot & ~area.maxProt) !== 0) throw errno(EACCES);
  if (prot === area.prot) return range.top;
  const { sharing, flags } = area;
  if (!isData(area) && isData({ sharing, flags, prot })) checkData(space, range);
  const promises = ((flagsWith(flags, sharing, prot) ^ flags) & AREA_ACCOUNT) !== 0;
  if (promises) space.checkPromise(areaPages(range));
  const cuts = Number(range.base > area.base) + Number(range.top < area.top);
  if (space.areaCount + cuts > space.maxAreas) throw errno(ENOMEM);
  const lost = area.prot & ~prot;
  space.table.setProt(cuts === 0 ? area : cutOut(space, range), prot);
  withdraw(space, range, lost, prot);
  return range.top;
}

/** Throws ENOMEM where the range may not become data too. */
function checkData(space: Protected, range: Range): void {
  if (space.table.dataPages + areaPages(range) > dataLimit(space.limits)) throw errno(ENOMEM);
}

/** Takes lost rights from what the MMU can reach. */
function withdraw({ mmu }: Protected, range: Range, lost: number, prot: number): void {
  if (lost === PROT_WRITE && prot !== PROT_NONE) mmu.writeProtect(range);
  else if (lost !== 0) mmu.unmap(range);
}

/** Makes one area of exactly `range`, which lies in one. */
function cutOut({ table, segments }: Protected, range: Range): Area {
  table.cutAt(range.base);
  table.cutAt(range.top);
  const part = segments.findArea(range.base);
  assert(part !== undefined && part.base === range.base && part.top === range.top, 'cutting leaves the exact part');
  return part;
}
