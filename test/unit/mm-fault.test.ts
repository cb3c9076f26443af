/** The fault walk: what each access to each kind of area comes to. */
import { expect, test } from 'vitest';
import { EIO } from '../../abi/errno.ts';
import * as mman from '../../abi/mman.ts';
import { PAGE_SIZE } from '../../abi/page.ts';
import { PageCache } from '../../mm/cache.ts';
import { checkFrames, checkInvariants } from '../../mm/check.ts';
import { fault, populate } from '../../mm/fault.ts';
import { FramePool } from '../../mm/frame.ts';
import { MemoryObject } from '../../mm/object.ts';
import type { Waitable } from '../../mm/outcome.ts';
import type { Pager, PagerResult } from '../../mm/pager.ts';
import type { AddressSpace } from '../../mm/space.ts';
import { entriesOf, errnoOf, MapMmu, makeSpace, PlainArena, touch } from './mm-parts.ts';

const ANON = mman.MAP_PRIVATE | mman.MAP_ANONYMOUS;
const RW = mman.PROT_READ | mman.PROT_WRITE;
const NEVER: Waitable = { subscribe: () => () => {} };

/** A file of pages filled with their index + 1; what the next calls answer can be set. */
class TestPager implements Pager {
  readonly name = '/file';
  answer: PagerResult = undefined;
  readonly pagedIn: number[] = [];
  readonly pagedOut: number[] = [];
  released = 0;

  pageIn(index: number, into: Uint8Array): PagerResult {
    if (this.answer === undefined) {
      this.pagedIn.push(index);
      into.fill(index + 1);
    }
    return this.answer;
  }
  pageOut(index: number): PagerResult {
    if (this.answer === undefined) this.pagedOut.push(index);
    return this.answer;
  }
  release(): void {
    this.released++;
  }
}

function file(space: AddressSpace, pages: number): { pager: TestPager; object: MemoryObject } {
  const pager = new TestPager();
  return { pager, object: new MemoryObject({ frames: space.frames, pager, size: pages * PAGE_SIZE }) };
}

function mapFile(space: AddressSpace, object: MemoryObject, flags: number, prot = RW): number {
  return space.map({ addr: 0, size: object.size + PAGE_SIZE, prot, flags, object });
}

function check(...spaces: AddressSpace[]): void {
  for (const space of spaces) checkInvariants(space, entriesOf(space));
  checkFrames(spaces[0].frames, spaces);
}

test('reading untouched anonymous memory takes no frame, writing takes one', () => {
  const space = makeSpace();
  const at = space.map({ addr: 0, size: 100 * PAGE_SIZE, prot: RW, flags: ANON });
  for (let i = 0; i < 100; i++) expect(touch(space, at + i * PAGE_SIZE, 'read')).toBe(0);
  expect(space.frames.inUse).toBe(0);
  touch(space, at + PAGE_SIZE, 'write', 1);
  expect(touch(space, at, 'read')).toBe(0);
  expect(space.frames.inUse).toBe(1);
  check(space);
});

test('a freed frame comes back empty, and the arena hears that its bytes changed', () => {
  const arena = new PlainArena();
  const space = makeSpace({ frames: new FramePool({ arena }) });
  const at = space.map({ addr: 0, size: PAGE_SIZE, prot: RW, flags: ANON });
  touch(space, at, 'write', 77);
  space.discard({ base: at, top: at + PAGE_SIZE });
  expect(arena.changes).toEqual([]);
  expect(touch(space, at, 'write', undefined)).toBe(0);
  expect(arena.changes.length).toBe(1);
});

test('rights are enforced as the CPU does: write implies read, execute stands alone', () => {
  const space = makeSpace();
  const page = (prot: number): number => space.map({ addr: 0, size: PAGE_SIZE, prot, flags: ANON });
  const refused = { kind: 'signal', signo: 11, code: 2 };
  expect(touch(space, page(mman.PROT_WRITE), 'read')).toBe(0);
  expect(touch(space, page(mman.PROT_EXEC), 'read')).toBe(0);
  expect(touch(space, page(mman.PROT_READ), 'write', 1)).toMatchObject(refused);
  expect(touch(space, page(RW), 'fetch')).toMatchObject(refused);
  expect(touch(space, page(mman.PROT_EXEC), 'fetch')).toBe(0);
  expect(touch(space, page(mman.PROT_NONE), 'read')).toMatchObject(refused);
});

test('taking the write right of a write-only page takes the right to read too', () => {
  const space = makeSpace();
  const at = space.map({ addr: 0, size: PAGE_SIZE, prot: mman.PROT_WRITE, flags: ANON });
  touch(space, at, 'write', 1);
  space.protect(at, PAGE_SIZE, mman.PROT_NONE);
  expect(touch(space, at, 'read')).toMatchObject({ signo: 11, code: 2 });
});

test('a private page of a file follows the file until it is written', () => {
  const space = makeSpace();
  const { object } = file(space, 2);
  const at = mapFile(space, object, mman.MAP_PRIVATE);
  expect(touch(space, at, 'read')).toBe(1);
  object.write(0, new Uint8Array([50]));
  expect(touch(space, at, 'read')).toBe(50);
  touch(space, at, 'write', 60);
  object.write(0, new Uint8Array([70]));
  expect(touch(space, at, 'read')).toBe(60);
  check(space);
});

test('pages past the end of a file raise SIGBUS at the address touched', () => {
  const space = makeSpace();
  const { object } = file(space, 2);
  for (const flags of [mman.MAP_PRIVATE, mman.MAP_SHARED]) {
    const at = mapFile(space, object, flags);
    expect(touch(space, at + 2 * PAGE_SIZE + 5, 'read')).toMatchObject({ signo: 7, code: 2, addr: at + 2 * PAGE_SIZE + 5 });
    expect(touch(space, at + 2 * PAGE_SIZE - 1, 'read')).toBe(2);
  }
});

test('a pager that fails raises SIGBUS, and one that must wait parks the task and is asked again', () => {
  const space = makeSpace();
  const { object, pager } = file(space, 2);
  const at = mapFile(space, object, mman.MAP_PRIVATE);
  pager.answer = { kind: 'error', errno: EIO };
  expect(fault(space, at, 'write')).toMatchObject({ kind: 'signal', signo: 7, reason: 'page 0 of /file could not be read: an I/O error' });
  pager.answer = { kind: 'wait', on: NEVER };
  expect(fault(space, at, 'read')).toEqual({ kind: 'wait', on: NEVER });
  pager.answer = undefined;
  expect(touch(space, at, 'read')).toBe(1);
  expect(pager.pagedIn).toEqual([0]);
  check(space);
});

test('pages in memory around a fault are mapped with it, and no page is brought in for that', () => {
  const space = makeSpace();
  const { object, pager } = file(space, 32);
  for (let index = 0; index < 32; index += 2) object.page(index);
  const at = space.map({ addr: 0x50000000, size: 32 * PAGE_SIZE, prot: 1, flags: mman.MAP_PRIVATE, object });
  touch(space, at + 4 * PAGE_SIZE, 'read');
  expect([...(space.mmu as MapMmu).entries.keys()].map((addr) => (addr - at) / PAGE_SIZE).sort((a, b) => a - b)).toEqual([
    0, 2, 4, 6, 8, 10, 12, 14,
  ]);
  expect(pager.pagedIn.length).toBe(16);
  check(space);
});

test('shared memory is one frame for all, written back when asked, and noticed again after that', () => {
  const frames = new FramePool({ arena: new PlainArena() });
  const [one, two] = [makeSpace({ frames }), makeSpace({ frames })];
  const { object, pager } = file(one, 2);
  const a = mapFile(one, object, mman.MAP_SHARED);
  const b = mapFile(two, object, mman.MAP_SHARED);
  touch(one, a, 'write', 9);
  expect(touch(two, b, 'read')).toBe(9);
  expect(object.writeBack()).toBeUndefined();
  expect(object.writeBack()).toBeUndefined();
  expect(pager.pagedOut).toEqual([0]);
  check(one, two);
  touch(two, b, 'write', 10);
  object.writeBack();
  expect(pager.pagedOut).toEqual([0, 0]);
  expect(touch(one, a, 'read')).toBe(10);
  check(one, two);
});

test('a page that could not be written back stays dirty', () => {
  const space = makeSpace();
  const { object, pager } = file(space, 2);
  const at = mapFile(space, object, mman.MAP_SHARED);
  touch(space, at, 'write', 9);
  pager.answer = { kind: 'error', errno: EIO };
  expect(object.writeBack()).toMatchObject({ kind: 'error', errno: EIO });
  pager.answer = undefined;
  object.writeBack();
  expect(pager.pagedOut).toEqual([0]);
});

test('truncating takes pages away, private copies too, and clears the rest of the last page', () => {
  const space = makeSpace();
  const { object } = file(space, 3);
  const at = mapFile(space, object, mman.MAP_PRIVATE);
  touch(space, at + 2 * PAGE_SIZE, 'write', 9);
  expect(touch(space, at + 100, 'read')).toBe(1);
  object.truncate(50);
  expect(touch(space, at + 2 * PAGE_SIZE, 'read')).toMatchObject({ signo: 7 });
  expect(touch(space, at + 49, 'read')).toBe(1);
  expect(touch(space, at + 100, 'read')).toBe(0);
  check(space);
});

test('an object goes with its last user, and its pager hears it once', () => {
  const space = makeSpace();
  const { object, pager } = file(space, 2);
  const at = mapFile(space, object, mman.MAP_SHARED);
  touch(space, at, 'write', 9);
  object.drop();
  space.protect(at, PAGE_SIZE, 1);
  space.unmap(at, PAGE_SIZE);
  expect(pager.released).toBe(0);
  space.unmap(at, 3 * PAGE_SIZE);
  expect(pager.released).toBe(1);
  expect(space.frames.inUse).toBe(0);
});

test('after fork whoever writes first copies, the last holder does not', () => {
  const parent = makeSpace();
  const at = parent.map({ addr: 0, size: PAGE_SIZE, prot: RW, flags: ANON });
  touch(parent, at, 'write', 1);
  const child = parent.fork(new MapMmu());
  const grandchild = child.fork(new MapMmu());
  check(parent, child, grandchild);
  expect(touch(grandchild, at, 'read')).toBe(1);
  touch(parent, at, 'write', 2);
  touch(child, at, 'write', 3);
  const before = parent.frames.inUse;
  touch(grandchild, at, 'write', 4);
  expect(parent.frames.inUse).toBe(before);
  expect([parent, child, grandchild].map((space) => touch(space, at, 'read'))).toEqual([2, 3, 4]);
  check(parent, child, grandchild);
});

test('anonymous shared memory is shared across fork, also before it was touched', () => {
  const parent = makeSpace();
  const at = parent.map({ addr: 0, size: 2 * PAGE_SIZE, prot: RW, flags: mman.MAP_SHARED | mman.MAP_ANONYMOUS });
  const child = parent.fork(new MapMmu());
  touch(child, at, 'write', 7);
  expect(touch(parent, at, 'read')).toBe(7);
  parent.release();
  expect(touch(child, at, 'read')).toBe(7);
  child.release();
  expect(child.frames.inUse).toBe(0);
});

test('without frames left a touch ends in SIGKILL, clean file pages having gone first', () => {
  const space = makeSpace({ limit: 4 });
  const cache = new PageCache<string>(space.frames);
  const pager = new TestPager();
  const object = cache.object('file', () => ({ pager, size: 4 * PAGE_SIZE }));
  const at = mapFile(space, object, mman.MAP_PRIVATE, mman.PROT_READ);
  for (let i = 0; i < 4; i++) touch(space, at + i * PAGE_SIZE, 'read');
  const own = space.map({ addr: 0, size: 5 * PAGE_SIZE, prot: RW, flags: ANON });
  for (let i = 0; i < 4; i++) expect(touch(space, own + i * PAGE_SIZE, 'write', i)).toBe(i);
  expect(cache.statistics.evicted).toBe(4);
  expect(touch(space, own + 4 * PAGE_SIZE, 'write', 1)).toMatchObject({ signo: 9 });
  space.unmap(own, PAGE_SIZE);
  expect(touch(space, at, 'read')).toBe(1);
  check(space);
});

test('a write to a private file page keeps its source while room is made for the copy', () => {
  const space = makeSpace({ limit: 1 });
  const cache = new PageCache<string>(space.frames);
  const object = cache.object('file', () => ({ pager: new TestPager(), size: 4 * PAGE_SIZE }));
  const at = mapFile(space, object, mman.MAP_PRIVATE);
  expect(touch(space, at, 'write', 5)).toMatchObject({ signo: 9 });
  space.frames.limit = 2;
  expect(touch(space, at + 1, 'write', undefined)).toBe(1);
  check(space);
});

test('the host running out of memory is the same as the limit', () => {
  const arena = new PlainArena();
  arena.most = 3;
  const space = makeSpace({ frames: new FramePool({ arena }) });
  const at = space.map({ addr: 0, size: 8 * PAGE_SIZE, prot: RW, flags: ANON });
  for (let i = 0; i < 3; i++) touch(space, at + i * PAGE_SIZE, 'write', 1);
  expect(touch(space, at + 3 * PAGE_SIZE, 'write', 1)).toMatchObject({ signo: 9 });
  expect(touch(space, at, 'read')).toBe(1);
});

test('populate makes what it may present, writable where that is private', () => {
  const space = makeSpace();
  const at = space.map({ addr: 0, size: 3 * PAGE_SIZE, prot: RW, flags: ANON });
  space.protect(at + PAGE_SIZE, PAGE_SIZE, mman.PROT_NONE);
  expect(populate(space, at, at + 3 * PAGE_SIZE).kind).toBe('done');
  expect(space.frames.inUse).toBe(2);
  expect(space.mmu.translate(at, mman.PROT_WRITE)).toBeGreaterThanOrEqual(0);
});

test('rights beyond what a mapping may have are refused, what came before keeps the new ones', () => {
  const space = makeSpace();
  const { object } = file(space, 1);
  const first = space.map({ addr: 0x50000000, size: PAGE_SIZE, prot: 1, flags: ANON });
  space.map({ addr: 0x50001000, size: PAGE_SIZE, prot: 1, flags: mman.MAP_SHARED, object, maxProt: 5 });
  expect(errnoOf(() => space.protect(first, 2 * PAGE_SIZE, RW))).toBe('EACCES');
  expect(space.find(first)?.prot).toBe(RW);
  expect(space.find(first + PAGE_SIZE)?.prot).toBe(1);
});
