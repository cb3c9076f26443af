/** Forked spaces, and pages that go while somebody else has them cached. */
import { expect, test } from 'vitest';
import * as mman from '../../abi/mman.ts';
import { PAGE_SIZE } from '../../abi/page.ts';
import { AREA_DONT_FORK, AREA_LOCKED, AREA_WIPE_ON_FORK } from '../../mm/area.ts';
import { checkFrames, checkInvariants } from '../../mm/check.ts';
import { MemoryObject } from '../../mm/object.ts';
import { ZeroPager } from '../../mm/pager.ts';
import type { AddressSpace } from '../../mm/space.ts';
import { entriesOf, MapMmu, makeSpace, touch } from './mm-parts.ts';

const AT = 0x5000_0000;
const ANON = mman.MAP_PRIVATE | mman.MAP_ANONYMOUS | mman.MAP_FIXED;

function flagged(space: AddressSpace, at: number, flag: number): void {
  const area = space.find(at);
  if (area !== undefined) space.table.setFlags(area, area.flags | flag);
}

function consistent(...spaces: AddressSpace[]): void {
  for (const space of spaces) checkInvariants(space, entriesOf(space));
  checkFrames(spaces[0].frames, spaces);
}

test('a child lacks areas marked MADV_DONTFORK and sees those marked MADV_WIPEONFORK empty', () => {
  const space = makeSpace();
  for (const page of [0, 2, 4]) space.map({ addr: AT + page * PAGE_SIZE, size: PAGE_SIZE, prot: 3, flags: ANON });
  for (const page of [0, 2, 4]) touch(space, AT + page * PAGE_SIZE, 'write', 7);
  flagged(space, AT, AREA_DONT_FORK);
  flagged(space, AT + 2 * PAGE_SIZE, AREA_WIPE_ON_FORK);
  const child = space.fork(new MapMmu());
  expect(child.find(AT)).toBeUndefined();
  expect(touch(child, AT + 2 * PAGE_SIZE, 'read')).toBe(0);
  expect(touch(child, AT + 4 * PAGE_SIZE, 'read')).toBe(7);
  expect(child.find(AT + 2 * PAGE_SIZE)?.flags).toBe(space.find(AT + 2 * PAGE_SIZE)?.flags);
  consistent(space, child);
  child.release();
  consistent(space);
});

test('a child inherits no lock, neither of areas nor of the future', () => {
  const space = makeSpace();
  space.map({ addr: AT, size: 2 * PAGE_SIZE, prot: 3, flags: ANON });
  space.map({ addr: AT + 2 * PAGE_SIZE, size: PAGE_SIZE, prot: 3, flags: ANON | mman.MAP_LOCKED });
  space.lockFuture = 'present';
  const child = space.fork(new MapMmu());
  expect(child.lockFuture).toBe('no');
  expect([...child.areas()].map(({ base, top, flags }) => [base, top, flags & AREA_LOCKED])).toEqual([[AT, AT + 3 * PAGE_SIZE, 0]]);
  consistent(space, child);
});

test('who writes first after a fork has a page of its own, and the other keeps the old one alone', () => {
  const space = makeSpace();
  space.map({ addr: AT, size: PAGE_SIZE, prot: 3, flags: ANON });
  touch(space, AT, 'write', 1);
  const child = space.fork(new MapMmu());
  touch(space, AT, 'write', 2);
  expect(touch(child, AT, 'read')).toBe(1);
  const before = space.frames.inUse;
  touch(child, AT, 'write', 3);
  expect(space.frames.inUse).toBe(before);
  consistent(space, child);
});

test('a page taken out of an object is gone for every space that had it cached', () => {
  const space = makeSpace();
  const object = new MemoryObject({ frames: space.frames, pager: new ZeroPager(), size: 2 * PAGE_SIZE });
  space.map({ addr: AT, size: 2 * PAGE_SIZE, prot: 3, flags: mman.MAP_SHARED | mman.MAP_FIXED, object });
  const child = space.fork(new MapMmu());
  object.drop();
  touch(space, AT + PAGE_SIZE, 'write', 5);
  expect(touch(child, AT + PAGE_SIZE, 'read')).toBe(5);
  object.truncate(PAGE_SIZE);
  for (const each of [space, child]) {
    expect(each.mmu.translate(AT + PAGE_SIZE, mman.PROT_READ)).toBe(-1);
    expect(touch(each, AT + PAGE_SIZE, 'read')).toMatchObject({ kind: 'signal', signo: 7 });
  }
  consistent(space, child);
});

test('rights taken away and mappings removed leave nothing in the MMU', () => {
  const space = makeSpace();
  space.map({ addr: AT, size: 3 * PAGE_SIZE, prot: 3, flags: ANON });
  for (let page = 0; page < 3; page++) touch(space, AT + page * PAGE_SIZE, 'write', 1);
  space.protect(AT, PAGE_SIZE, mman.PROT_READ);
  space.protect(AT + PAGE_SIZE, PAGE_SIZE, mman.PROT_NONE);
  space.unmap(AT + 2 * PAGE_SIZE, PAGE_SIZE);
  expect(space.mmu.translate(AT, mman.PROT_WRITE)).toBe(-1);
  for (const page of [1, 2]) expect(space.mmu.translate(AT + page * PAGE_SIZE, mman.PROT_READ)).toBe(-1);
  consistent(space);
});
