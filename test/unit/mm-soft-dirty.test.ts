/** Soft-dirty bits: what was written, or mapped, since they were cleared. */
import { expect, test } from 'vitest';
import * as mman from '../../abi/mman.ts';
import { PAGE_SIZE, type Addr } from '../../abi/page.ts';
import { pagemapContent } from '../../debug/proc/memory.ts';
import { clearReferences } from '../../debug/proc/clear-refs.ts';
import type { AddressSpace } from '../../mm/space.ts';
import type { Task } from '../../proc/task.ts';
import { makeSpace, touch } from './mm-parts.ts';

const ANON = mman.MAP_PRIVATE | mman.MAP_ANONYMOUS | mman.MAP_FIXED;
const BASE = 0x1000_0000;

/** Bits 63 and 55 of `count` pages from `at` on: P present, S soft-dirty. */
function bits(space: AddressSpace, at: Addr, count: number): string[] {
  const bytes = new Uint8Array(count * 8);
  pagemapContent({ space } as Task, false).read?.(bytes, (at / PAGE_SIZE) * 8);
  const words = new DataView(bytes.buffer);
  return Array.from({ length: count }, (_, i) => {
    const upper = words.getUint32(i * 8 + 4, true);
    return `${(upper & 0x8000_0000) !== 0 ? 'P' : '-'}${(upper & 0x80_0000) !== 0 ? 'S' : '-'}`;
  });
}

test('pages show whether they were written since the bits were cleared, whoever wrote before', () => {
  const space = makeSpace();
  space.map({ addr: BASE, size: 4 * PAGE_SIZE, prot: 3, flags: ANON });
  touch(space, BASE, 'write', 1);
  touch(space, BASE + PAGE_SIZE, 'write', 1);
  expect(bits(space, BASE, 4)).toEqual(['P-', 'P-', '--', '--']);
  clearReferences({ space } as Task, '4\n');
  expect(bits(space, BASE, 4)).toEqual(['P-', 'P-', '--', '--']);
  touch(space, BASE + PAGE_SIZE, 'read');
  touch(space, BASE, 'write', 2);
  touch(space, BASE + 2 * PAGE_SIZE, 'write', 2);
  expect(bits(space, BASE, 4)).toEqual(['PS', 'P-', 'PS', '--']);
  clearReferences({ space } as Task, '4');
  expect(bits(space, BASE, 4)).toEqual(['P-', 'P-', 'P-', '--']);
});

test('a page that is read first and then written is noticed', () => {
  const space = makeSpace();
  space.map({ addr: BASE, size: PAGE_SIZE, prot: 3, flags: ANON });
  touch(space, BASE, 'write', 1);
  clearReferences({ space } as Task, '4');
  space.mmu.unmap({ base: BASE, top: BASE + PAGE_SIZE });
  touch(space, BASE, 'read');
  expect(bits(space, BASE, 1)).toEqual(['P-']);
  touch(space, BASE, 'write', 3);
  expect(bits(space, BASE, 1)).toEqual(['PS']);
});

test('new mappings are dirty as a whole, a forked space has what its parent has, an emptied one nothing', () => {
  const space = makeSpace();
  clearReferences({ space } as Task, '4');
  space.map({ addr: BASE, size: 2 * PAGE_SIZE, prot: 3, flags: ANON });
  expect(bits(space, BASE, 3)).toEqual(['-S', '-S', '--']);
  const child = space.fork(makeSpace().mmu);
  expect(bits(child, BASE, 2)).toEqual(['-S', '-S']);
  space.clear();
  expect(space.softDirty).toBeUndefined();
});
