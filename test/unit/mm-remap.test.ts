/** mremap: growing, shrinking and moving. */
import { expect, test } from 'vitest';
import * as mman from '../../abi/mman.ts';
import { PAGE_SIZE } from '../../abi/page.ts';
import { checkFrames, checkInvariants } from '../../mm/check.ts';
import { remap } from '../../mm/remap.ts';
import type { AddressSpace } from '../../mm/space.ts';
import { entriesOf, errnoOf, makeSpace, touch } from './mm-parts.ts';

const ANON = mman.MAP_PRIVATE | mman.MAP_ANONYMOUS;
const AT = 0x50000000;
const MAY = mman.MREMAP_MAYMOVE;

function space(pages = 2): AddressSpace {
  const made = makeSpace();
  made.map({ addr: AT, size: pages * PAGE_SIZE, prot: 3, flags: ANON });
  for (let i = 0; i < pages; i++) touch(made, AT + i * PAGE_SIZE, 'write', i + 1);
  return made;
}

function move(within: AddressSpace, oldPages: number, newPages: number, flags = 0, newAddr = 0, addr = AT): number {
  const at = remap(within, { addr, oldSize: oldPages * PAGE_SIZE, newSize: newPages * PAGE_SIZE, flags, newAddr });
  checkInvariants(within, entriesOf(within));
  checkFrames(within.frames, [within]);
  return at;
}

test('shrinking unmaps the tail and frees its frames', () => {
  const within = space();
  expect(move(within, 2, 1)).toBe(AT);
  expect(within.frames.inUse).toBe(1);
  expect(touch(within, AT + PAGE_SIZE, 'read')).toMatchObject({ signo: 11 });
});

test('growing stays in place where there is room', () => {
  const within = space();
  expect(move(within, 2, 5)).toBe(AT);
  expect(touch(within, AT + 4 * PAGE_SIZE, 'write', 9)).toBe(9);
  expect(within.areaCount).toBe(1);
});

test('growing moves, with the pages and without copying, where there is none', () => {
  const within = space();
  within.map({ addr: AT + 2 * PAGE_SIZE, size: PAGE_SIZE, prot: 1, flags: ANON });
  expect(errnoOf(() => move(within, 2, 5))).toBe('ENOMEM');
  const before = within.frames.inUse;
  const to = move(within, 2, 5, MAY);
  expect(to).not.toBe(AT);
  expect([0, 1, 2].map((i) => touch(within, to + i * PAGE_SIZE, 'read'))).toEqual([1, 2, 0]);
  expect(within.frames.inUse).toBe(before);
  expect(touch(within, AT, 'read')).toMatchObject({ signo: 11 });
});

test('part of a mapping moves to a fixed place, over what was there', () => {
  const within = space(4);
  const to = 0x60000000;
  within.map({ addr: to, size: PAGE_SIZE, prot: 1, flags: ANON });
  expect(move(within, 2, 2, MAY | mman.MREMAP_FIXED, to, AT + PAGE_SIZE)).toBe(to);
  expect([0, 1].map((i) => touch(within, to + i * PAGE_SIZE, 'read'))).toEqual([2, 3]);
  expect([...within.areas()].map(({ base }) => base)).toEqual([AT, AT + 3 * PAGE_SIZE, to]);
});

test('a fixed move of one size takes every area along, and what lies opposite a hole stays', () => {
  const within = space(4);
  const to = 0x60000000;
  within.unmap(AT + PAGE_SIZE, PAGE_SIZE);
  within.map({ addr: to + PAGE_SIZE, size: PAGE_SIZE, prot: 1, flags: ANON });
  expect(move(within, 6, 6, MAY | mman.MREMAP_FIXED, to)).toBe(to);
  expect([...within.areas()].map(({ base, top }) => [base, top])).toEqual([
    [to, to + PAGE_SIZE],
    [to + PAGE_SIZE, to + 2 * PAGE_SIZE],
    [to + 2 * PAGE_SIZE, to + 4 * PAGE_SIZE],
  ]);
  expect([0, 2, 3].map((i) => touch(within, to + i * PAGE_SIZE, 'read'))).toEqual([1, 3, 4]);
  expect(errnoOf(() => move(within, 1, 1, MAY | mman.MREMAP_FIXED, AT, to - PAGE_SIZE))).toBe('EFAULT');
});

test('MREMAP_DONTUNMAP leaves an empty mapping behind', () => {
  const within = space();
  const to = move(within, 2, 2, MAY | mman.MREMAP_DONTUNMAP);
  expect(touch(within, to, 'read')).toBe(1);
  expect(touch(within, AT, 'read')).toBe(0);
});

test('an old size of zero maps shared memory a second time', () => {
  const within = makeSpace();
  const at = within.map({ addr: 0, size: 2 * PAGE_SIZE, prot: 3, flags: mman.MAP_SHARED | mman.MAP_ANONYMOUS });
  const to = move(within, 0, 1, MAY, 0, at + PAGE_SIZE);
  touch(within, to, 'write', 5);
  expect(touch(within, at + PAGE_SIZE, 'read')).toBe(5);
});

test('refusals of mremap are those of Linux', () => {
  const within = space();
  const fixed = MAY | mman.MREMAP_FIXED;
  expect(errnoOf(() => move(within, 2, 0))).toBe('EINVAL');
  expect(errnoOf(() => move(within, 2, 2, 8))).toBe('EINVAL');
  expect(errnoOf(() => move(within, 2, 2, mman.MREMAP_FIXED))).toBe('EINVAL');
  expect(errnoOf(() => move(within, 2, 3, MAY | mman.MREMAP_DONTUNMAP))).toBe('EINVAL');
  expect(errnoOf(() => move(within, 2, 2, 0, 0, AT + 1))).toBe('EINVAL');
  expect(errnoOf(() => move(within, 2, 3, MAY, 0, 0x60000000))).toBe('EFAULT');
  expect(errnoOf(() => move(within, 3, 4, MAY))).toBe('EFAULT');
  expect(errnoOf(() => move(within, 0, 4, MAY))).toBe('EINVAL');
  expect(errnoOf(() => move(within, 2, 2, fixed, AT + PAGE_SIZE))).toBe('EINVAL');
  expect(errnoOf(() => move(within, 2, 2, fixed, 0x60000001))).toBe('EINVAL');
  expect(errnoOf(() => move(within, 2, 2, fixed, 0xfffff000))).toBe('EINVAL');
});
