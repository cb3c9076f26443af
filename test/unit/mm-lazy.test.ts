/** madvise(MADV_FREE): given up pages keep their content until frames are short, and for good once they are written again. */
import { expect, test } from 'vitest';
import * as mman from '../../abi/mman.ts';
import { PAGE_SIZE } from '../../abi/page.ts';
import { accountSpace } from '../../mm/account.ts';
import { checkFrames, checkInvariants } from '../../mm/check.ts';
import { freeLazily } from '../../mm/lazy.ts';
import { remap } from '../../mm/remap.ts';
import type { AddressSpace } from '../../mm/space.ts';
import { UserMemory } from '../../mm/user.ts';
import { entriesOf, MapMmu, makeSpace } from './mm-parts.ts';

const RW = mman.PROT_READ | mman.PROT_WRITE;
const PRIVATE = mman.MAP_PRIVATE | mman.MAP_ANONYMOUS;

function filled(space: AddressSpace, pages: number): { at: number; user: UserMemory } {
  const at = space.map({ addr: 0, size: pages * PAGE_SIZE, prot: RW, flags: PRIVATE });
  const user = new UserMemory(space);
  for (let page = 0; page < pages; page++) user.writeU8(at + page * PAGE_SIZE, page + 1);
  return { at, user };
}

function first(user: UserMemory, at: number, pages: number): number[] {
  return Array.from({ length: pages }, (_, page) => user.readU8(at + page * PAGE_SIZE));
}

test('pages that were given up stay until frames are short; those written again stay then too', () => {
  const space = makeSpace({ limit: 8 });
  const { at, user } = filled(space, 6);
  freeLazily(space, { base: at, top: at + 6 * PAGE_SIZE });
  expect(accountSpace(space)).toMatchObject({ anonymous: 6, lazyFree: 6, privateDirty: 0, privateClean: 6 });
  expect(first(user, at, 6)).toEqual([1, 2, 3, 4, 5, 6]);
  user.writeU8(at + PAGE_SIZE + 1, 99);
  expect(accountSpace(space)).toMatchObject({ lazyFree: 5, privateDirty: 1 });
  checkInvariants(space, entriesOf(space));
  const more = filled(space, 3);
  expect(first(user, at, 6)).toEqual([0, 2, 0, 0, 0, 0]);
  expect(first(more.user, more.at, 3)).toEqual([1, 2, 3]);
  expect(accountSpace(space)).toMatchObject({ lazyFree: 0 });
  checkInvariants(space, entriesOf(space));
  checkFrames(space.frames, [space]);
});

test('a locked page, and one that a child holds too, are kept', () => {
  const space = makeSpace({ limit: 8 });
  const { at, user } = filled(space, 4);
  freeLazily(space, { base: at, top: at + 2 * PAGE_SIZE });
  const child = space.fork(new MapMmu());
  freeLazily(space, { base: at + 2 * PAGE_SIZE, top: at + 4 * PAGE_SIZE });
  expect(accountSpace(space).lazyFree).toBe(2);
  filled(space, 4);
  expect(first(user, at, 4)).toEqual([1, 2, 3, 4]);
  child.release();
  filled(space, 1);
  expect(first(user, at, 4)).toEqual([0, 0, 3, 4]);
  checkFrames(space.frames, [space]);
});

test('pages that move take along that they were given up', () => {
  const space = makeSpace({ limit: 8 });
  const { at, user } = filled(space, 2);
  filled(space, 1);
  freeLazily(space, { base: at, top: at + 2 * PAGE_SIZE });
  const flags = mman.MREMAP_MAYMOVE | mman.MREMAP_FIXED;
  const to = remap(space, { addr: at, oldSize: 2 * PAGE_SIZE, newSize: 2 * PAGE_SIZE, flags, newAddr: 0x7000_0000 });
  expect(accountSpace(space).lazyFree).toBe(2);
  expect(first(user, to, 2)).toEqual([1, 2]);
  filled(space, 6);
  expect(first(user, to, 2)).toEqual([0, 0]);
  space.release();
  expect(space.frames.inUse).toBe(0);
});
