/** What page faults leave behind in the JavaScript heap, and what memory costs that nobody touches. */
import { expect, test } from 'vitest';
import * as mman from '../../abi/mman.ts';
import { PAGE_SIZE, type Range } from '../../abi/page.ts';
import { fault } from '../../mm/fault.ts';
import { FramePool } from '../../mm/frame.ts';
import type { Mmu } from '../../mm/mmu.ts';
import { AddressSpace } from '../../mm/space.ts';

const ANON = mman.MAP_PRIVATE | mman.MAP_ANONYMOUS;
const RW = mman.PROT_READ | mman.PROT_WRITE;
const MiB = 2 ** 20;

/** Page tables that are one flat array. */
class FlatMmu implements Mmu {
  readonly entries = new Uint32Array(2 ** 20);
  map(at: number, frame: number, prot: number): void {
    this.entries[at >>> 12] = (frame << 12) | prot;
  }
  writeProtect({ base, top }: Range): void {
    for (let page = base / PAGE_SIZE; page < top / PAGE_SIZE; page++) this.entries[page] &= ~mman.PROT_WRITE;
  }
  unmap({ base, top }: Range): void {
    this.entries.fill(0, base / PAGE_SIZE, top / PAGE_SIZE);
  }
  translate(): number {
    return -1;
  }
  present(): void {}
  release(): void {}
}

function spaceOver(size: number): AddressSpace {
  const bytes = new Uint8Array(size);
  let used = 0;
  const grow = (wanted: number): { first: number; count: number } | undefined => {
    const first = used;
    used = Math.min(used + wanted, size / PAGE_SIZE);
    return used === first ? undefined : { first, count: used - first };
  };
  const arena = { bytes, words: new Uint32Array(bytes.buffer), grow, changed: (): void => {} };
  return new AddressSpace({ mmu: new FlatMmu(), frames: new FramePool({ arena }) });
}

test('page faults that need no I/O allocate nothing in the long run', () => {
  const space = spaceOver(16 * MiB);
  const size = 4 * MiB;
  const addr = space.map({ addr: 0, size, prot: RW, flags: ANON });
  const round = (): void => {
    for (let at = addr; at < addr + size; at += PAGE_SIZE) fault(space, at, 'write');
    space.discard({ base: addr, top: addr + size });
  };
  for (let i = 0; i < 50; i++) round();
  // A collection in between would hide what was allocated before it: the quietest of some measurements counts, over many faults each.
  const grown = Array.from({ length: 20 }, () => {
    const before = process.memoryUsage().heapUsed;
    for (let i = 0; i < 10; i++) round();
    return process.memoryUsage().heapUsed - before;
  });
  const faults = (10 * size) / PAGE_SIZE;
  const quietest = Math.min(...grown.filter((bytes) => bytes >= 0));
  expect(quietest / faults).toBeLessThan(4);
});

test('3 GB that are reserved and hardly touched cost what is touched', () => {
  const space = spaceOver(8 * MiB);
  const size = 3072 * MiB;
  const addr = space.map({ addr: 0, size, prot: RW, flags: ANON | mman.MAP_NORESERVE });
  for (let i = 0; i < 100; i++) expect(fault(space, addr + i * 30 * MiB, 'write').kind).toBe('done');
  expect(space.frames.inUse).toBe(100);
  space.unmap(addr, size);
  expect(space.frames.inUse).toBe(0);
});
