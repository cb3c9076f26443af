/** Promised memory: what counts, what each mode refuses, and that everything is taken back. */
import { expect, test } from 'vitest';
import { ENOMEM, ENOSPC } from '../../abi/errno.ts';
import * as mman from '../../abi/mman.ts';
import { PAGE_SIZE } from '../../abi/page.ts';
import { checkInvariants } from '../../mm/check.ts';
import { FramePool } from '../../mm/frame.ts';
import { MemoryObject } from '../../mm/object.ts';
import { ZeroPager } from '../../mm/pager.ts';
import { remap } from '../../mm/remap.ts';
import { MapMmu, makeSpace, PlainArena } from './mm-parts.ts';

const RW = mman.PROT_READ | mman.PROT_WRITE;
const PRIVATE = mman.MAP_PRIVATE | mman.MAP_ANONYMOUS;
const SHARED = mman.MAP_SHARED | mman.MAP_ANONYMOUS;

function failure(action: () => unknown): unknown {
  try {
    return action();
  } catch (error) {
    return error;
  }
}

function pool(mode: 'heuristic' | 'always' | 'strict', pages: number, ratio = 100): FramePool {
  const frames = new FramePool({ arena: new PlainArena(), limit: pages });
  frames.commitment.mode = mode;
  frames.commitment.ratio = ratio;
  return frames;
}

test('private writable mappings are promised, and shared anonymous ones once; what cannot be written, or need not be, is not', () => {
  const frames = pool('heuristic', 1000);
  const space = makeSpace({ frames });
  const { commitment } = frames;
  const map = (pages: number, prot: number, flags: number) => space.map({ addr: 0, size: pages * PAGE_SIZE, prot, flags });
  const data = map(10, RW, PRIVATE);
  expect(commitment.promised).toBe(10);
  const text = map(10, mman.PROT_READ, PRIVATE);
  map(10, RW, PRIVATE | mman.MAP_NORESERVE);
  expect(commitment.promised).toBe(10);
  const shared = map(5, RW, SHARED);
  expect(commitment.promised).toBe(15);
  space.protect(text, 4 * PAGE_SIZE, RW);
  expect(commitment.promised).toBe(19);
  // What was promised once stays so (Linux VM_ACCOUNT).
  space.protect(text, 4 * PAGE_SIZE, mman.PROT_READ);
  expect(commitment.promised).toBe(19);
  const child = space.fork(new MapMmu());
  expect(commitment.promised).toBe(33);
  remap(space, { addr: data, oldSize: 10 * PAGE_SIZE, newSize: 12 * PAGE_SIZE, flags: mman.MREMAP_MAYMOVE, newAddr: 0 });
  expect(commitment.promised).toBe(35);
  space.unmap(shared, 5 * PAGE_SIZE);
  expect(commitment.promised).toBe(35);
  checkInvariants(space);
  space.release();
  expect(commitment.promised).toBe(19);
  child.release();
  expect(commitment.promised).toBe(0);
});

test('the heuristic refuses only what could never be there', () => {
  const space = makeSpace({ frames: pool('heuristic', 100) });
  const map = (pages: number, flags = PRIVATE) => space.map({ addr: 0, size: pages * PAGE_SIZE, prot: RW, flags });
  map(100);
  map(100);
  expect(failure(() => map(101))).toMatchObject({ code: ENOMEM });
  map(101, PRIVATE | mman.MAP_NORESERVE);
  space.frames.commitment.mode = 'always';
  map(101);
});

test('strict accounting keeps to the limit in every call that promises', () => {
  const frames = pool('strict', 1000, 50);
  expect(frames.commitment.limit).toBe(500);
  const space = makeSpace({ frames });
  const map = (pages: number, prot = RW, flags = PRIVATE) => space.map({ addr: 0, size: pages * PAGE_SIZE, prot, flags });
  const data = map(200);
  expect(failure(() => map(300))).toMatchObject({ code: ENOMEM });
  // Told not to reserve, it does so all the same.
  expect(failure(() => map(300, RW, PRIVATE | mman.MAP_NORESERVE))).toMatchObject({ code: ENOMEM });
  expect(failure(() => map(300, RW, SHARED))).toMatchObject({ code: ENOMEM });
  const reserved = map(300, mman.PROT_NONE);
  expect(failure(() => space.protect(reserved, 300 * PAGE_SIZE, RW))).toMatchObject({ code: ENOMEM });
  space.protect(reserved, 100 * PAGE_SIZE, RW);
  expect(failure(() => space.fork(new MapMmu()))).toMatchObject({ code: ENOMEM });
  const grow = { addr: data, oldSize: 200 * PAGE_SIZE, newSize: 400 * PAGE_SIZE, flags: mman.MREMAP_MAYMOVE, newAddr: 0 };
  expect(failure(() => remap(space, grow))).toMatchObject({ code: ENOMEM });
  space.startBrk(0x0900_0000);
  expect(space.brk(0x0900_0000 + 200 * PAGE_SIZE)).toBe(0x0900_0000);
  expect(space.brk(0x0900_0000 + 20 * PAGE_SIZE)).toBe(0x0900_0000 + 20 * PAGE_SIZE);
  // What is replaced was promised already.
  space.map({ addr: data, size: 200 * PAGE_SIZE, prot: RW, flags: PRIVATE | mman.MAP_FIXED });
  expect(frames.commitment.promised).toBe(320);
  checkInvariants(space);
  space.release();
  expect(frames.commitment.promised).toBe(0);
});

test('memory files are promised page by page, and have no space left when that is too much', () => {
  const frames = pool('strict', 20, 50);
  const object = new MemoryObject({ frames, pager: new ZeroPager('/memfd:x'), size: 0 });
  expect(object.write(0, new Uint8Array(7 * PAGE_SIZE))).toBe(7 * PAGE_SIZE);
  expect(frames.commitment.promised).toBe(7);
  expect(object.write(7 * PAGE_SIZE, new Uint8Array(5 * PAGE_SIZE))).toBe(2 * PAGE_SIZE);
  expect(object.write(9 * PAGE_SIZE, new Uint8Array(1))).toMatchObject({ kind: 'error', errno: ENOSPC });
  object.truncate(3 * PAGE_SIZE);
  expect(frames.commitment.promised).toBe(3);
  object.drop();
  expect(frames.commitment.promised).toBe(0);
});
