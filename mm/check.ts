/** The invariants of address spaces, as assertions that tests run after every step. Numbers are those of docs/ARCHITECTURE.md. */
import { assert } from '../abi/assert.ts';
import { PROT_READ, PROT_WRITE } from '../abi/mman.ts';
import { type Addr, PAGE_SIZE } from '../abi/page.ts';
import { accountArea, accountMachine, accountSpace, residentPages } from './account.ts';
import { AREA_ACCOUNT, type Area, areaPages, canMerge, isData, mmuProt, objectPage } from './area.ts';
import type { FrameNumber, FramePool } from './frame.ts';
import type { MemoryObject } from './object.ts';
import { NO_FRAME } from './page-map.ts';
import { USER_TOP } from './placement.ts';
import type { AddressSpace } from './space.ts';

/** One entry of an MMU, for those that can list them. */
export interface MmuEntry {
  readonly at: Addr;
  readonly frame: FrameNumber;
  readonly prot: number;
}

/** Asserts everything that must hold of one space. `entries` lists what its MMU can reach, where the test's MMU can say. */
export function checkInvariants(space: AddressSpace, entries: Iterable<MmuEntry> = []): void {
  checkAreas(space);
  checkCounts(space);
  checkCopies(space);
  for (const entry of entries) checkEntry(space, entry);
}

/** 1: areas are ordered, disjoint, aligned, not empty, in their segment. 5: objects know them. 6: neighbours that could merge have merged. */
function checkAreas(space: AddressSpace): void {
  let segmentEnd = 0;
  for (const segment of space.segments.all) {
    assert(segment.base >= segmentEnd && segment.base < segment.limit && segment.limit <= USER_TOP, '1: segments are ordered and disjoint');
    assert(segment.kind !== 'ATTACHED' || segment.areas.size > 0, '1: an attached segment has areas');
    segmentEnd = segment.limit;
    let previous: Area | undefined;
    for (const area of segment.areas) {
      assert(area.base % PAGE_SIZE === 0 && area.top % PAGE_SIZE === 0 && area.base < area.top, '1: areas are aligned and not empty');
      assert(
        area.base >= (previous?.top ?? segment.base) && area.top <= segment.limit,
        '1: areas are ordered, disjoint and in their segment',
      );
      assert(area.space === space, '1: an area belongs to the space it is in');
      assert((area.prot & ~area.maxProt) === 0, '2: rights are at most what they may become');
      assert(area.sharing === 'private' || area.object !== undefined, '4: a shared area has an object');
      assert(area.object === undefined || area.object.areas.has(area), '5: an object knows its areas');
      assert(previous === undefined || !canMerge(previous, area), '6: neighbours that could merge have merged');
      previous = area;
    }
    assert(segment.top === (previous?.top ?? segment.base), '1: a segment ends with its last area');
    segment.areas.check();
  }
}

function checkCounts(space: AddressSpace): void {
  let count = 0;
  let pages = 0;
  let data = 0;
  let promised = 0;
  for (const area of space.areas()) {
    if ((area.flags & AREA_ACCOUNT) !== 0) promised += areaPages(area);
    count++;
    pages += areaPages(area);
    if (isData(area)) data += areaPages(area);
    for (const mapping of area.object?.areas ?? []) {
      if (mapping.space !== space) continue;
      const found = space.segments.findArea(mapping.base);
      assert(found === mapping, '5: every area an object knows is mapped');
    }
  }
  assert(promised === space.table.promisedPages, '1: what is promised is what the areas promise');
  assert(
    count === space.areaCount && pages === space.table.pages && data === space.table.dataPages,
    '1: the totals are those of the areas',
  );
}

/** 4, first half: what a space holds of its own lies in private areas, in frames that are in use. */
function checkCopies(space: AddressSpace): void {
  space.copies.forEach(0, USER_TOP / PAGE_SIZE, (page, frame) => {
    const area = space.segments.findArea(page * PAGE_SIZE);
    assert(area !== undefined && area.sharing === 'private', '4: a page held lies in a private area');
    assert(space.frames.count(frame) > 0, '4: a page held is in use');
  });
}

/** 2: no entry reaches more than its area allows. 3: a writable one has an owned frame. */
function checkEntry(space: AddressSpace, { at, frame, prot }: MmuEntry): void {
  const area = space.segments.findArea(at);
  assert(area !== undefined && at % PAGE_SIZE === 0, `2: an entry lies in an area, not at 0x${at.toString(16)}`);
  assert(area.prot !== 0 && (prot & ~mmuProt(area)) === 0 && (prot & PROT_READ) !== 0, '2: an entry allows at most what its area does');
  const own = area.sharing === 'private' ? space.copies.get(at / PAGE_SIZE) : NO_FRAME;
  const index = objectPage(area, at);
  if (own !== NO_FRAME) assert(frame === own, '2: an entry reaches the page the space holds there');
  else if (area.object === undefined) assert(space.frames.isZero(frame), '2: untouched anonymous memory is zero');
  else assert(frame === area.object.pages.get(index), '2: an entry reaches the page of the object');
  if ((prot & PROT_WRITE) === 0) return;
  if (own !== NO_FRAME) assert(space.frames.count(own) === 1, '3: a writable private page is held once');
  else assert(area.sharing === 'shared' && area.object?.isDirty(index) === true, '3: a writable shared page is dirty');
}

/** 4, second half: over the whole machine, a frame's count is the number of page-map entries that hold it, and nothing else is in use. */
export function checkFrames(frames: FramePool, spaces: readonly AddressSpace[], objects: readonly MemoryObject[] = []): void {
  const holds = new Map<FrameNumber, number>();
  const hold = (_index: number, frame: FrameNumber): void => void holds.set(frame, (holds.get(frame) ?? 0) + 1);
  const seen = new Set<MemoryObject>(objects);
  for (const space of spaces) {
    space.copies.forEach(0, USER_TOP / PAGE_SIZE, hold);
    for (const area of space.areas()) if (area.object !== undefined) seen.add(area.object);
  }
  for (const object of seen) object.pages.forEach(0, 2 ** 52, hold);
  for (const [frame, count] of holds)
    assert(frames.count(frame) === count, `4: frame ${frame} is held ${count} times and counted ${frames.count(frame)}`);
  assert(frames.inUse === holds.size, `4: ${frames.inUse} frames are in use, ${holds.size} are held`);
}

/** The accounts add up: areas to their space, spaces' proportional shares to the frames that are mapped, and these with the page cache to the frames in use. */
export function checkAccounts(frames: FramePool, spaces: readonly AddressSpace[], objects: readonly MemoryObject[] = []): void {
  const machine = accountMachine(frames, spaces);
  let pss_bytes = 0;
  let mappings = 0;
  for (const space of spaces) {
    const total = accountSpace(space);
    const sums = { size: 0, resident: 0, anonymous: 0 };
    for (const area of space.areas()) {
      const part = accountArea(space, area);
      sums.size += part.size;
      sums.resident += part.resident;
      sums.anonymous += part.anonymous;
      const kinds = part.sharedClean + part.sharedDirty + part.privateClean + part.privateDirty;
      assert(part.resident === kinds && part.resident <= part.size, '7: the kinds of resident pages add up');
      assert(
        part.resident === part.anonymous + part.file + part.shmem && part.referenced <= part.resident,
        '7: resident pages have an origin',
      );
    }
    const { anonymous, file, shmem } = residentPages(space);
    assert(sums.size === space.table.pages && total.size === sums.size, '7: sizes add up');
    assert(sums.resident === total.resident && anonymous + file + shmem === total.resident, '7: resident pages add up');
    assert(sums.anonymous === space.copies.size && total.anonymous === anonymous, '7: own pages are the anonymous ones');
    assert(total.file === file && total.shmem === shmem, '7: both ways to count agree');
    pss_bytes += total.pss_bytes;
    mappings += total.resident;
  }
  const { anonymous, file, shmem, cached } = machine;
  const mapped_bytes = (anonymous + file + shmem) * PAGE_SIZE;
  assert(
    pss_bytes <= mapped_bytes && mapped_bytes - pss_bytes <= spaces.length + mappings / PAGE_SIZE,
    '7: shares add up to the frames mapped',
  );
  const seen = new Set(objects);
  for (const space of spaces) for (const area of space.areas()) if (area.object !== undefined) seen.add(area.object);
  let objectPages = 0;
  for (const object of seen) objectPages += object.pages.size;
  assert(cached === objectPages - file - shmem, '7: what is in use and not mapped is the page cache');
}
