/** Where mappings go, in both layouts. */
import { expect, test } from 'vitest';
import * as mman from '../../abi/mman.ts';
import { PAGE_SIZE } from '../../abi/page.ts';
import { checkInvariants } from '../../mm/check.ts';
import { MemoryObject } from '../../mm/object.ts';
import { ZeroPager } from '../../mm/pager.ts';
import { USER_TOP } from '../../mm/placement.ts';
import type { AddressSpace } from '../../mm/space.ts';
import { errnoOf, makeSpace, touch } from './mm-parts.ts';

const ANON = mman.MAP_PRIVATE | mman.MAP_ANONYMOUS;
const SHARED = mman.MAP_SHARED | mman.MAP_ANONYMOUS;
const RW = mman.PROT_READ | mman.PROT_WRITE;
const MiB = 2 ** 20;

function map(space: AddressSpace, size: number, flags = ANON, addr = 0, prot = RW): number {
  const at = space.map({ addr, size, prot, flags });
  checkInvariants(space);
  return at;
}

function kindAt(space: AddressSpace, addr: number): string | undefined {
  return space.segments.find(addr)?.kind;
}

test('exec makes the four segments of linuxemu, one page apart', () => {
  const space = makeSpace();
  space.clear(0x08048000);
  expect(space.segments.all.map(({ kind, base, limit }) => [kind, base.toString(16), limit.toString(16)])).toEqual([
    ['DATA', '8048000', '17fff000'],
    ['PRIVATE', '18000000', 'ebffc000'],
    ['SHARED', 'ebffd000', 'fbffd000'],
    ['STACK', 'fbffe000', 'ffffe000'],
  ]);
});

test('private mappings go behind the heap in DATA, shared ones to SHARED, stacks of threads to STACK', () => {
  const space = makeSpace();
  space.startBrk(0x08050000);
  space.mapStack();
  const first = map(space, MiB);
  expect(kindAt(space, first)).toBe('DATA');
  expect(first).toBe(0x10050000);
  expect(map(space, MiB, ANON, 0, mman.PROT_READ)).toBe(first + MiB);
  expect(kindAt(space, map(space, MiB, SHARED))).toBe('SHARED');
  const thread = map(space, 8 * MiB, ANON | mman.MAP_STACK);
  expect(kindAt(space, thread)).toBe('STACK');
  expect(thread + 8 * MiB).toBeLessThanOrEqual(USER_TOP - 8 * MiB);
});

test('what does not fit DATA goes to PRIVATE, and 3 GB can be reserved', () => {
  const space = makeSpace();
  space.startBrk(0x08050000);
  space.mapStack();
  expect(kindAt(space, map(space, 200 * MiB))).toBe('PRIVATE');
  const large = map(space, 3 * 1024 * MiB, ANON | mman.MAP_NORESERVE, 0, mman.PROT_NONE);
  expect(kindAt(space, large)).toBe('PRIVATE');
  expect(space.frames.inUse).toBe(0);
  expect(errnoOf(() => map(space, 2 * 1024 * MiB))).toBe('ENOMEM');
});

test('a mapping takes the top end of the best-fitting hole', () => {
  const space = makeSpace();
  const base = map(space, 32 * PAGE_SIZE);
  space.unmap(base + 2 * PAGE_SIZE, 8 * PAGE_SIZE);
  space.unmap(base + 16 * PAGE_SIZE, 4 * PAGE_SIZE);
  expect(map(space, 3 * PAGE_SIZE, ANON, 0, 1)).toBe(base + 17 * PAGE_SIZE);
  expect(map(space, 2 * PAGE_SIZE, ANON, 0, 1)).toBe(base + 8 * PAGE_SIZE);
  expect(map(space, 9 * PAGE_SIZE, ANON, 0, 1)).toBe(base + 32 * PAGE_SIZE);
});

test('a segment grows to cover its areas and shrinks when its last area goes', () => {
  const space = makeSpace();
  const data = space.segments.ofKind('DATA');
  expect(data?.top).toBe(data?.base);
  const at = map(space, MiB);
  expect(data?.top).toBe(at + MiB);
  space.unmap(at + PAGE_SIZE, MiB - PAGE_SIZE);
  expect(data?.top).toBe(at + PAGE_SIZE);
  space.unmap(at, PAGE_SIZE);
  expect(data?.top).toBe(data?.base);
});

test('a mapping at an address outside of every segment attaches one, and takes it along when it goes', () => {
  const space = makeSpace();
  map(space, PAGE_SIZE, ANON | mman.MAP_FIXED, 0x20000);
  expect(kindAt(space, 0x20000)).toBe('ATTACHED');
  map(space, 3 * PAGE_SIZE, ANON | mman.MAP_FIXED, 0x17ffe000);
  expect(space.segments.all.map(({ kind }) => kind)).toEqual(['ATTACHED', 'DATA', 'ATTACHED', 'PRIVATE', 'SHARED', 'STACK']);
  touch(space, 0x17fff123, 'write', 5);
  space.protect(0x17ffe000, 3 * PAGE_SIZE, mman.PROT_READ);
  expect(touch(space, 0x17fff123, 'read')).toBe(5);
  space.unmap(0x10000, 0x18000000);
  expect(space.segments.all.map(({ kind }) => kind)).toEqual(['DATA', 'PRIVATE', 'SHARED', 'STACK']);
});

test('the linux layout goes down from 128 MiB below the top, as the bare CPU does', () => {
  const space = makeSpace({ layout: 'linux' });
  space.mapStack();
  expect(map(space, PAGE_SIZE)).toBe(0xf7ffd000);
  expect(map(space, 2 * PAGE_SIZE, SHARED)).toBe(0xf7ffb000);
  space.unmap(0xf7ffd000, PAGE_SIZE);
  expect(map(space, PAGE_SIZE, ANON, 0, 1)).toBe(0xf7ffd000);
  expect(map(space, 3 * PAGE_SIZE)).toBe(0xf7ff8000);
});

test('the linux layout goes up from a third when there is no room below', () => {
  const space = makeSpace({ layout: 'linux' });
  map(space, 0xf7ffe000 - 0x10000, ANON | mman.MAP_FIXED, 0x10000);
  expect(map(space, PAGE_SIZE, SHARED)).toBe(0xf7ffe000);
});

test.each(['linuxemu', 'linux'] as const)('a hint is honoured where it is free (%s layout)', (layout) => {
  const space = makeSpace({ layout });
  expect(map(space, PAGE_SIZE, ANON, 0x50000123)).toBe(0x50000000);
  expect(map(space, PAGE_SIZE, ANON, 0x50000000, 1)).not.toBe(0x50000000);
  expect(map(space, PAGE_SIZE, ANON, 0x1000, 1)).toBe(0x10000);
});

test('a program that is linked high gets the whole space as one segment', () => {
  const space = makeSpace();
  space.clear(0xf0000000);
  expect(space.segments.all.map(({ kind }) => kind)).toEqual(['WHOLE']);
});

test('refusals of mmap are those of Linux', () => {
  const space = makeSpace();
  const fixed = ANON | mman.MAP_FIXED;
  expect(errnoOf(() => map(space, 0))).toBe('EINVAL');
  expect(errnoOf(() => map(space, 0xffffffff))).toBe('ENOMEM');
  expect(errnoOf(() => map(space, PAGE_SIZE, fixed, 0x50000001))).toBe('EINVAL');
  expect(errnoOf(() => map(space, PAGE_SIZE, fixed, 0xfffff000))).toBe('ENOMEM');
  expect(errnoOf(() => map(space, PAGE_SIZE, fixed, 0x1000))).toBe('EPERM');
  expect(errnoOf(() => map(space, PAGE_SIZE, mman.MAP_ANONYMOUS))).toBe('EINVAL');
  expect(errnoOf(() => map(space, PAGE_SIZE, SHARED | mman.MAP_GROWSDOWN))).toBe('EINVAL');
  expect(errnoOf(() => map(space, PAGE_SIZE, mman.MAP_SHARED_VALIDATE | mman.MAP_ANONYMOUS))).toBe('EINVAL');
  map(space, PAGE_SIZE, ANON, 0x50000000);
  expect(errnoOf(() => map(space, 2 * PAGE_SIZE, ANON | mman.MAP_FIXED_NOREPLACE, 0x4ffff000))).toBe('EEXIST');
  expect(errnoOf(() => space.unmap(0x50000001, PAGE_SIZE))).toBe('EINVAL');
  expect(errnoOf(() => space.unmap(0x50000000, 0))).toBe('EINVAL');
  expect(errnoOf(() => space.unmap(0xfffff000, PAGE_SIZE))).toBe('EINVAL');
  expect(errnoOf(() => space.protect(0x50000001, PAGE_SIZE, 1))).toBe('EINVAL');
  expect(errnoOf(() => space.protect(0x50000000, PAGE_SIZE, 0x40))).toBe('EINVAL');
  expect(errnoOf(() => space.protect(0x50000000, 2 * PAGE_SIZE, 1))).toBe('ENOMEM');
  expect(errnoOf(() => space.protect(0x50000000, 0xfffff000, 1))).toBe('ENOMEM');
  expect(errnoOf(() => space.protect(0x50000000, 0, 1))).toBe('none');
  expect(space.areaCount).toBe(1);
});

test('limits of address space, data and areas are kept, and what is replaced counts once', () => {
  const limits = { as: 16 * PAGE_SIZE, data: 8 * PAGE_SIZE, stack: MiB };
  const space = makeSpace({ limits, maxAreas: 6 });
  const at = map(space, 8 * PAGE_SIZE);
  expect(errnoOf(() => map(space, PAGE_SIZE))).toBe('ENOMEM');
  map(space, 8 * PAGE_SIZE, ANON, 0x50000000, mman.PROT_READ);
  expect(errnoOf(() => map(space, PAGE_SIZE, ANON, 0, mman.PROT_READ))).toBe('ENOMEM');
  map(space, 8 * PAGE_SIZE, ANON | mman.MAP_FIXED, at);
  expect(errnoOf(() => space.protect(0x50000000, PAGE_SIZE, RW))).toBe('ENOMEM');
  for (const page of [1, 3]) space.protect(at + page * PAGE_SIZE, PAGE_SIZE, mman.PROT_READ);
  expect(space.areaCount).toBe(6);
  expect(errnoOf(() => space.unmap(at + 5 * PAGE_SIZE, PAGE_SIZE))).toBe('ENOMEM');
  expect(errnoOf(() => space.unmap(at + PAGE_SIZE, PAGE_SIZE))).toBe('none');
  checkInvariants(space);
});

test('brk moves byte by byte, returns the old end where it cannot, and keeps a page to the next mapping', () => {
  const space = makeSpace();
  expect(space.brk(0x09000000)).toBe(0);
  space.startBrk(0x08050100);
  expect(space.brk(0)).toBe(0x08050100);
  expect(space.brk(0x08052001)).toBe(0x08052001);
  expect([...space.areas()].map(({ base, top }) => [base, top])).toEqual([[0x08051000, 0x08053000]]);
  touch(space, 0x08052000, 'write', 9);
  map(space, PAGE_SIZE, ANON | mman.MAP_FIXED, 0x08055000, 1);
  expect(space.brk(0x08054001)).toBe(0x08052001);
  expect(space.brk(0x08054000)).toBe(0x08054000);
  expect(space.brk(0x08051234)).toBe(0x08051234);
  expect(space.brk(0x08053000)).toBe(0x08053000);
  expect(touch(space, 0x08052000, 'read')).toBe(0);
  space.limits.data = 0x3000;
  expect(space.brk(0x08053101)).toBe(0x08053000);
});

test('a stack grows down to its limit and keeps its distance from what lies below', () => {
  const limits = { as: Number.POSITIVE_INFINITY, data: Number.POSITIVE_INFINITY, stack: 8 * MiB };
  const space = makeSpace({ limits });
  const { base } = space.mapStack();
  expect(touch(space, base - 5 * PAGE_SIZE, 'write', 3)).toBe(3);
  expect(space.find(base - 1)).toBe(space.find(base));
  expect(touch(space, USER_TOP - 8 * MiB, 'read')).toBe(0);
  expect(touch(space, USER_TOP - 8 * MiB - 1, 'read')).toMatchObject({ signo: 11, code: 1 });
  limits.stack = 16 * MiB;
  map(space, PAGE_SIZE, ANON | mman.MAP_FIXED, USER_TOP - 10 * MiB);
  expect(touch(space, USER_TOP - 9 * MiB, 'read')).toMatchObject({ signo: 11, code: 1 });
  expect(touch(space, USER_TOP - 9 * MiB + PAGE_SIZE, 'read')).toBe(0);
  space.protect(USER_TOP - 10 * MiB, PAGE_SIZE, mman.PROT_NONE);
  expect(touch(space, USER_TOP - 10 * MiB + PAGE_SIZE, 'read')).toBe(0);
  checkInvariants(space);
});

test('mprotect with PROT_GROWSDOWN reaches down to the bottom of the stack', () => {
  const space = makeSpace();
  const { base } = space.mapStack();
  space.protect(USER_TOP - PAGE_SIZE, PAGE_SIZE, mman.PROT_GROWSDOWN | 7);
  expect(space.find(base)?.prot).toBe(7);
  const other = map(space, PAGE_SIZE);
  expect(errnoOf(() => space.protect(other, PAGE_SIZE, mman.PROT_GROWSDOWN | 7))).toBe('EINVAL');
});

test('neighbours split under mprotect and merge again when they are equal', () => {
  const space = makeSpace();
  const at = map(space, 5 * PAGE_SIZE);
  space.protect(at + PAGE_SIZE, PAGE_SIZE, 1);
  space.protect(at + 3 * PAGE_SIZE, PAGE_SIZE, 1);
  expect(space.areaCount).toBe(5);
  space.protect(at, 5 * PAGE_SIZE, RW);
  expect(space.areaCount).toBe(1);
  map(space, PAGE_SIZE, ANON, at + 5 * PAGE_SIZE);
  expect(space.areaCount).toBe(1);
});

test('pieces of a file merge only where the file goes on', () => {
  const space = makeSpace();
  const object = new MemoryObject({ frames: space.frames, pager: new ZeroPager('/file'), size: 8 * PAGE_SIZE });
  const piece = (addr: number, offset: number) =>
    space.map({ addr, size: PAGE_SIZE, prot: 1, flags: mman.MAP_PRIVATE | mman.MAP_FIXED, object, offset });
  piece(0x50000000, 0);
  piece(0x50001000, 1);
  piece(0x50002000, 3);
  expect([...space.areas()].map(({ base, top, offset }) => [base, top, offset])).toEqual([
    [0x50000000, 0x50002000, 0],
    [0x50002000, 0x50003000, 3],
  ]);
  space.unmap(0x50000000, PAGE_SIZE);
  expect(space.find(0x50001000)?.offset).toBe(1);
  checkInvariants(space);
});

test('READ_IMPLIES_EXEC makes what is readable executable, the heap included', () => {
  const space = makeSpace();
  space.readImpliesExec = true;
  space.startBrk(0x08050000);
  space.brk(0x08051000);
  const at = map(space, PAGE_SIZE, ANON, 0, RW);
  expect(space.find(0x08050000)?.prot).toBe(7);
  expect(space.find(at)?.prot).toBe(7);
  space.protect(at, PAGE_SIZE, mman.PROT_WRITE);
  expect(space.find(at)?.prot).toBe(mman.PROT_WRITE);
});

test('many small mappings stay correct and quick', () => {
  const space = makeSpace({ layout: 'linux' });
  const count = 20_000;
  const start = process.cpuUsage();
  const pages: number[] = [];
  for (let i = 0; i < count; i++) pages.push(space.map({ addr: 0, size: PAGE_SIZE, prot: 1 + (i % 2), flags: ANON }));
  expect(space.areaCount).toBe(count);
  for (let i = 0; i < count; i += 2) space.unmap(pages[i], PAGE_SIZE);
  for (let i = 0; i < count; i += 2) space.map({ addr: 0, size: PAGE_SIZE, prot: 1, flags: ANON });
  expect(space.areaCount).toBe(count);
  expect(process.cpuUsage(start).user / 1000).toBeLessThan(5000);
  checkInvariants(space);
});
