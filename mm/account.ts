/**
 * What memory is in use, counted as Linux's smaps, statm and status count it. A page of a space's own is resident while it is held; a page of an object is
 * resident in an area while the MMU has an entry for it, which is what Linux's page tables say too. Frames of objects that nobody has an entry for are the page cache.
 */
import { PAGE_SIZE, type Range } from '../abi/page.ts';
import { AREA_GROWS_DOWN, AREA_LOCKED, type Area, areaPages, objectPage } from './area.ts';
import type { FrameNumber, FramePool } from './frame.ts';
import type { MemoryObject } from './object.ts';
import { LAZY } from './page-map.ts';
import { ZeroPager } from './pager.ts';
import type { AddressSpace } from './space.ts';

/** Counts of pages, except where a name says bytes. */
export interface PageCounts {
  /** Pages mapped, touched or not. */
  size: number;
  /** Pages in memory: anonymous + file + shmem, and also the sum of the four kinds of shared and private. */
  resident: number;
  /** Pages that are the space's own: not, or not any more, a file's. */
  anonymous: number;
  /** Pages of files. */
  file: number;
  /** Pages of objects without a file on a disk: shared anonymous memory, memfd, tmpfs, SysV shm. */
  shmem: number;
  sharedClean: number;
  sharedDirty: number;
  privateClean: number;
  privateDirty: number;
  /** Pages that were touched through this mapping. */
  referenced: number;
  /** Pages that madvise(MADV_FREE) gave up and nobody has written since. */
  lazyFree: number;
  /** Proportional set size in bytes: each page divided by the number of mappings that show it, rounded down once at the end. */
  pss_bytes: number;
  pssDirty_bytes: number;
  pssAnonymous_bytes: number;
  pssFile_bytes: number;
  pssShmem_bytes: number;
  /** The PSS of locked areas, as smaps' Locked. */
  locked_bytes: number;
}

/** A space's totals: the sums of its areas', and what mm keeps of sizes. */
export interface SpaceCounts extends PageCounts {
  /** Pages of private writable areas that are no stacks (Linux data_vm). */
  data: number;
  /** Pages of areas that grow down (Linux stack_vm). */
  stack: number;
  /** Pages of executable areas that are not writable (Linux exec_vm). */
  executable: number;
  /** Pages in locked areas, resident or not (VmLck). */
  lockedSize: number;
}

/** Where all frames of a machine are. `anonymous + file + shmem + cached` is `frames.inUse`. */
export interface MachineCounts {
  /** Frames that spaces hold of their own. */
  anonymous: number;
  /** Frames of objects that some MMU entry reaches. */
  file: number;
  shmem: number;
  /** Frames of objects that no MMU entry reaches. */
  cached: number;
}

/** Shares of a page are kept to 2^-12 bytes, as Linux keeps them (PSS_SHIFT). */
const PSS_ONE = 4096;

class Tally implements PageCounts {
  size = 0;
  resident = 0;
  anonymous = 0;
  file = 0;
  shmem = 0;
  sharedClean = 0;
  sharedDirty = 0;
  privateClean = 0;
  privateDirty = 0;
  referenced = 0;
  lazyFree = 0;
  pss_bytes = 0;
  pssDirty_bytes = 0;
  pssAnonymous_bytes = 0;
  pssFile_bytes = 0;
  pssShmem_bytes = 0;
  locked_bytes = 0;

  /** One resident page that `mappings` mappings show. */
  page(kind: 'anonymous' | 'file' | 'shmem', mappings: number, dirty: boolean): void {
    const share = Math.floor((PAGE_SIZE * PSS_ONE) / mappings);
    this.resident++;
    this[kind]++;
    this.pss_bytes += share;
    if (kind === 'anonymous') this.pssAnonymous_bytes += share;
    else if (kind === 'file') this.pssFile_bytes += share;
    else this.pssShmem_bytes += share;
    if (dirty) this.pssDirty_bytes += share;
    if (mappings > 1) dirty ? this.sharedDirty++ : this.sharedClean++;
    else dirty ? this.privateDirty++ : this.privateClean++;
  }

  add(other: PageCounts): void {
    for (const key of COUNTS) this[key] += other[key];
  }

  /** Ends the counting: shares become bytes. */
  rounded(): this {
    for (const key of SHARES) this[key] = Math.floor(this[key] / PSS_ONE);
    return this;
  }
}

const SHARES = ['pss_bytes', 'pssDirty_bytes', 'pssAnonymous_bytes', 'pssFile_bytes', 'pssShmem_bytes', 'locked_bytes'] as const;
const COUNTS = Object.keys(new Tally()) as (keyof PageCounts)[];

/** Whether an object's pages live in memory alone (Linux: shmem), and not in a file on a disk. */
export function isShmem(object: MemoryObject): boolean {
  return object.pager instanceof ZeroPager;
}

/** What one area has in memory. */
export function accountArea(space: AddressSpace, area: Area): PageCounts {
  return tallyArea(space, area).rounded();
}

/** What a space has in memory: the sums over its areas; shares are added before they are rounded. */
export function accountSpace(space: AddressSpace): SpaceCounts {
  const sum = new Tally();
  const sizes = { data: space.table.dataPages, stack: 0, executable: 0, lockedSize: 0 };
  for (const area of space.areas()) {
    sum.add(tallyArea(space, area));
    if ((area.flags & AREA_GROWS_DOWN) !== 0) sizes.stack += areaPages(area);
    else if ((area.prot & 6) === 4) sizes.executable += areaPages(area);
    if ((area.flags & AREA_LOCKED) !== 0) sizes.lockedSize += areaPages(area);
  }
  return { ...sum.rounded(), ...sizes };
}

/** Resident pages alone, by kind: cheaper than the whole account, since nobody else's mappings are looked at. */
export function residentPages(space: AddressSpace): { anonymous: number; file: number; shmem: number } {
  const counts = { anonymous: space.copies.size, file: 0, shmem: 0 };
  for (const area of space.areas()) {
    if (area.object === undefined) continue;
    const kind = isShmem(area.object) ? 'shmem' : 'file';
    forEachShown(space, area, area.object, area, () => counts[kind]++);
  }
  return counts;
}

function tallyArea(space: AddressSpace, area: Area): Tally {
  const tally = new Tally();
  const { copies, frames, mmu } = space;
  tally.size = areaPages(area);
  let ownEntries = 0;
  if (area.sharing === 'private') {
    copies.forEach(area.base / PAGE_SIZE, area.top / PAGE_SIZE, (page, frame) => {
      const lazy = copies.marked(page, LAZY);
      tally.page('anonymous', frames.count(frame), !lazy);
      if (lazy) tally.lazyFree++;
      if (mmu.translate(page * PAGE_SIZE, 1) >= 0) ownEntries++;
    });
  }
  tally.referenced += ownEntries;
  if (area.object !== undefined) tallyObject(tally, space, area, area.object);
  if ((area.flags & AREA_LOCKED) !== 0) tally.locked_bytes = tally.pss_bytes;
  return tally;
}

/** The pages of the object that the area shows. */
function tallyObject(tally: Tally, space: AddressSpace, area: Area, object: MemoryObject): void {
  const shown = new Map<number, number>();
  forEachShown(space, area, object, area, (index) => shown.set(index, 0));
  if (shown.size === 0) return;
  const first = objectPage(area, area.base);
  object.forEachMapped(first, first + areaPages(area), (mapping, range) => {
    const other = mapping as Area;
    forEachShown(other.space as AddressSpace, other, object, range, (index) => {
      const before = shown.get(index);
      if (before !== undefined) shown.set(index, before + 1);
    });
  });
  const kind = isShmem(object) ? 'shmem' : 'file';
  for (const [index, mappings] of shown) tally.page(kind, mappings, object.isDirty(index));
  tally.referenced += shown.size;
}

/** Calls `visit` with the index of each page of the object that the MMU can reach through the area within `range`. */
function forEachShown(
  space: AddressSpace,
  area: Area,
  object: MemoryObject,
  range: Range,
  visit: (index: number, frame: FrameNumber) => void,
): void {
  if (object.pages.size === 0) return;
  space.mmu.present(range, (at, frame) => {
    const index = objectPage(area, at);
    if (object.pages.get(index) === frame) visit(index, frame);
  });
}

/** Where all frames are. `objects` are those that may have pages but no mapping; mapped ones are found. */
export function accountMachine(frames: FramePool, spaces: Iterable<AddressSpace>): MachineCounts {
  const own = new Set<FrameNumber>();
  const shown = new Map<FrameNumber, 'file' | 'shmem'>();
  for (const space of new Set(spaces)) {
    space.copies.forEach(0, 2 ** 20, (_page, frame) => own.add(frame));
    for (const area of space.areas()) {
      const { object } = area;
      if (object === undefined) continue;
      const kind = isShmem(object) ? 'shmem' : 'file';
      forEachShown(space, area, object, area, (_index, frame) => shown.set(frame, kind));
    }
  }
  const counts = { anonymous: own.size, file: 0, shmem: 0, cached: 0 };
  for (const kind of shown.values()) counts[kind]++;
  counts.cached = frames.inUse - own.size - shown.size;
  return counts;
}
