/** Address spaces: map, unmap, protect, brk, fork and their limits. */
import { expect, test } from 'vitest';
import * as mman from '../../abi/mman.ts';
import { errnoOf, makeSpace, touch } from './mm-parts.ts';

const ANON = mman.MAP_PRIVATE | mman.MAP_ANONYMOUS;
const RW = mman.PROT_READ | mman.PROT_WRITE;

test('anonymous memory is zero, keeps what is written and is gone after unmap', () => {
  const space = makeSpace();
  const addr = space.map({ addr: 0, size: 8192, prot: RW, flags: ANON });
  expect(touch(space, addr, 'read')).toBe(0);
  expect(touch(space, addr + 5, 'write', 7)).toBe(7);
  expect(touch(space, addr + 5, 'read')).toBe(7);
  expect(space.frames.inUse).toBe(1);
  space.unmap(addr, 8192);
  expect(touch(space, addr, 'read')).toMatchObject({ kind: 'signal', signo: 11, code: 1 });
  expect(space.frames.inUse).toBe(0);
  expect(space.areaCount).toBe(0);
});

test('a private page written after fork is seen by the writer only', () => {
  const parent = makeSpace();
  const addr = parent.map({ addr: 0, size: 4096, prot: RW, flags: ANON });
  touch(parent, addr, 'write', 1);
  const child = parent.fork(makeSpace({ frames: parent.frames }).mmu);
  touch(child, addr, 'write', 2);
  expect(touch(parent, addr, 'read')).toBe(1);
  expect(touch(child, addr, 'read')).toBe(2);
  expect(parent.frames.inUse).toBe(2);
  child.release();
  expect(parent.frames.inUse).toBe(1);
});

test('a size of zero is refused', () => {
  expect(errnoOf(() => makeSpace().map({ addr: 0, size: 0, prot: RW, flags: ANON }))).toBe('EINVAL');
});
