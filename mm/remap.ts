/** mremap(2): shrinking, growing in place, and moving an area with its pages. Linux mm/mremap.c decides the order of refusals. */
import { assert } from '../abi/assert.ts';
import { EAGAIN, EFAULT, EINVAL, ENOMEM, errno } from '../abi/errno.ts';
import { MREMAP_DONTUNMAP, MREMAP_FIXED, MREMAP_MAYMOVE } from '../abi/mman.ts';
import { type Addr, PAGE_SIZE, pageUp, type Range } from '../abi/page.ts';
import { AREA_ACCOUNT, AREA_LOCKED, AREA_LOCKS, type Area, fieldsOf, isData, offsetAt } from './area.ts';
import { populate } from './fault.ts';
import { LAZY } from './page-map.ts';
import { anyIn, USER_TOP } from './placement.ts';
import type { AddressSpace } from './space.ts';

export interface RemapRequest {
  readonly addr: Addr;
  /** In bytes; 0 makes a second mapping of shared memory. */
  readonly oldSize: number;
  /** In bytes. */
  readonly newSize: number;
  /** MREMAP_ bits. */
  readonly flags: number;
  /** Where to, with MREMAP_FIXED. */
  readonly newAddr: Addr;
  /** Whether so many bytes more may be locked; absent: any number. */
  readonly mayLock?: (bytes: number) => boolean;
}

/** Does what mremap(2) does and returns the new address. Throws EINVAL, EFAULT, ENOMEM. The rules are those of Linux 6.17 and later. */
export function remap(space: AddressSpace, request: RemapRequest): Addr {
  const { addr, flags, newAddr } = request;
  const oldSize = pageUp(request.oldSize);
  const newSize = pageUp(request.newSize);
  checkFlags(request);
  if (addr % PAGE_SIZE !== 0 || newSize === 0 || newSize > USER_TOP) throw errno(EINVAL);
  checkTarget(request, oldSize, newSize);
  if ((flags & MREMAP_FIXED) !== 0 && oldSize === newSize) return moveAll(space, request, newSize);
  const area = space.find(addr);
  if (area === undefined) throw errno(EFAULT);
  if ((flags & (MREMAP_FIXED | MREMAP_DONTUNMAP)) !== 0) return remapTo(space, area, request, { addr, oldSize, newSize }, newAddr);
  if (oldSize >= newSize) {
    if (oldSize > newSize) space.unmap(addr + newSize, oldSize - newSize);
    return addr;
  }
  checkResize(space, area, request, { addr, oldSize, newSize });
  if (growInPlace(space, area, addr, oldSize, newSize)) {
    bringInLocked(space, area, addr + oldSize, addr + newSize);
    return addr;
  }
  if ((flags & MREMAP_MAYMOVE) === 0) throw errno(ENOMEM);
  const to = space.findPlace(newSize, area.sharing, false, 0);
  move(space, area, { base: addr, top: addr + oldSize }, { base: to, top: to + newSize }, false);
  bringInLocked(space, area, to + oldSize, to + newSize);
  return to;
}

/** What one area is asked for; sizes in whole pages. */
interface Step {
  readonly addr: Addr;
  readonly oldSize: number;
  readonly newSize: number;
}

function checkFlags({ flags, oldSize, newSize }: RemapRequest): void {
  if ((flags & ~(MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP)) !== 0) throw errno(EINVAL);
  if ((flags & (MREMAP_FIXED | MREMAP_DONTUNMAP)) !== 0 && (flags & MREMAP_MAYMOVE) === 0) throw errno(EINVAL);
  if ((flags & MREMAP_DONTUNMAP) !== 0 && pageUp(oldSize) !== pageUp(newSize)) throw errno(EINVAL);
}

/** Linux looks at the new place before it looks for the old one. */
function checkTarget({ addr, flags, newAddr }: RemapRequest, oldSize: number, newSize: number): void {
  if ((flags & (MREMAP_FIXED | MREMAP_DONTUNMAP)) === 0) return;
  if (newAddr % PAGE_SIZE !== 0 || newSize > USER_TOP || newAddr > USER_TOP - newSize) throw errno(EINVAL);
  if (addr + oldSize > newAddr && newAddr + newSize > addr) throw errno(EINVAL);
}

/** A move that changes no size takes everything in the range along, holes but one at its start included (Linux remap_move, since 6.17). */
function moveAll(space: AddressSpace, request: RemapRequest, size: number): Addr {
  const { addr, newAddr } = request;
  const top = addr + size;
  if (space.find(addr) === undefined) throw errno(EFAULT);
  const parts: Range[] = [];
  for (const area of space.table.in({ base: addr, top })) {
    parts.push({ base: Math.max(area.base, addr), top: Math.min(area.top, top) });
  }
  for (const part of parts) {
    const area = space.find(part.base);
    if (area === undefined) throw errno(EFAULT);
    const bytes = part.top - part.base;
    remapTo(space, area, request, { addr: part.base, oldSize: bytes, newSize: bytes }, newAddr + part.base - addr);
  }
  return newAddr;
}

/** MREMAP_FIXED and MREMAP_DONTUNMAP (Linux mremap_to). */
function remapTo(space: AddressSpace, first: Area, request: RemapRequest, step: Step, newAddr: Addr): Addr {
  const { addr, oldSize, newSize } = step;
  const fixed = (request.flags & MREMAP_FIXED) !== 0;
  const keeps = (request.flags & MREMAP_DONTUNMAP) !== 0;
  checkResize(space, first, request, step);
  if (fixed) {
    space.checkFixed(newAddr, newSize);
    space.unmap(newAddr, newSize);
  }
  if (oldSize > newSize) space.unmap(addr + newSize, oldSize - newSize);
  const size = Math.min(oldSize, newSize);
  const area = space.find(addr);
  if (area === undefined) throw errno(EFAULT);
  if (keeps) checkGrowth(space, area, size);
  const to = fixed ? newAddr : space.findPlace(newSize, area.sharing, false, newAddr);
  move(space, area, { base: addr, top: addr + size }, { base: to, top: to + newSize }, keeps);
  bringInLocked(space, area, to + size, to + newSize);
  return to;
}

/** Linux check_prep_vma. */
function checkResize(space: AddressSpace, area: Area, { mayLock }: RemapRequest, { addr, oldSize, newSize }: Step): void {
  if (oldSize === 0 && area.sharing === 'private') throw errno(EINVAL);
  // What shrinks may reach over the area's end: the rest goes before it moves.
  if (Math.min(oldSize, newSize) > area.top - addr) throw errno(EFAULT);
  if (newSize <= oldSize) return;
  if ((area.flags & AREA_LOCKED) !== 0 && mayLock?.(newSize - oldSize) === false) throw errno(EAGAIN);
  checkGrowth(space, area, newSize - oldSize);
}

function checkGrowth(space: AddressSpace, area: Area, size: number): void {
  space.checkExpansion(size / PAGE_SIZE, isData(area));
  if ((area.flags & AREA_ACCOUNT) !== 0) space.checkPromise(size / PAGE_SIZE);
}

/** What a locked area has grown by is made present; what cannot be had comes when it is touched. */
function bringInLocked(space: AddressSpace, area: Area, base: Addr, top: Addr): void {
  if ((area.flags & AREA_LOCKS) === AREA_LOCKED && base < top) populate(space, base, top);
}

function growInPlace(space: AddressSpace, area: Area, addr: Addr, oldSize: number, newSize: number): boolean {
  if (addr + oldSize !== area.top || addr + newSize > USER_TOP) return false;
  // The gap below a stack is kept from who chooses a place, not from this (Linux vma_expandable).
  if (addr + newSize > space.table.segmentOf(area).limit || anyIn(space.segments, area.top, newSize - oldSize)) return false;
  space.table.resize(area, area.base, addr + newSize);
  space.table.merge(area);
  return true;
}

/** Maps what `from` shows at `to` as well, takes the pages along, and unmaps `from` unless it stays (then empty). Requires: `to` is free. */
function move(space: AddressSpace, area: Area, from: Range, to: Range, keeps: boolean): void {
  // Linux move_vma: room for both ends of what is left.
  if (space.areaCount >= space.maxAreas - 3) throw errno(ENOMEM);
  space.table.withoutPeak(() => {
    space.table.insert({ ...fieldsOf(area), ...to, offset: offsetAt(area, from.base) });
    space.softDirty?.mapped(to);
    movePages(space, from, to);
    if (!keeps && from.top > from.base) space.unmap(from.base, from.top - from.base);
    // What stays is not locked any more, all of the old area (Linux dontunmap_complete).
    if (keeps && (area.flags & AREA_LOCKS) !== 0) {
      space.table.setFlags(area, area.flags & ~AREA_LOCKS);
      space.table.merge(area);
    }
    space.table.merge(to);
  });
}

function movePages({ copies, mmu }: AddressSpace, from: Range, to: Range): void {
  mmu.unmap(from);
  const distance = (to.base - from.base) / PAGE_SIZE;
  const moved: number[] = [];
  copies.forEach(from.base / PAGE_SIZE, from.top / PAGE_SIZE, (page) => moved.push(page));
  for (const page of moved) {
    const given = copies.marked(page, LAZY);
    const frame = copies.delete(page);
    assert(copies.get(page + distance) < 0, 'pages move to a free place');
    copies.set(page + distance, frame);
    if (given) copies.mark(page + distance, LAZY);
  }
}
