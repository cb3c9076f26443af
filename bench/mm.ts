/**
 * What memory operations cost at 1,000 and at 100,000 areas, without a CPU: `npm run bench:mm`.
 * The MMU is a flat table, so that the figures are those of areas, pages and frames.
 */
import * as mman from '../abi/mman.ts';
import { PAGE_SIZE, type Range } from '../abi/page.ts';
import type { Arena } from '../mm/arena.ts';
import { fault } from '../mm/fault.ts';
import { FramePool } from '../mm/frame.ts';
import type { Mmu } from '../mm/mmu.ts';
import type { LayoutName } from '../mm/placement.ts';
import { AddressSpace } from '../mm/space.ts';
import { UserMemory } from '../mm/user.ts';

const ANON = mman.MAP_PRIVATE | mman.MAP_ANONYMOUS;
const RW = mman.PROT_READ | mman.PROT_WRITE;

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
  translate(addr: number, prot: number): number {
    const entry = this.entries[addr >>> 12];
    return (entry & prot) === 0 ? -1 : (entry >>> 12) * PAGE_SIZE + (addr & 0xfff);
  }
  present({ base, top }: Range, visit: (at: number, frame: number) => void): void {
    for (let page = base / PAGE_SIZE; page < top / PAGE_SIZE; page++) {
      if (this.entries[page] !== 0) visit(page * PAGE_SIZE, this.entries[page] >>> 12);
    }
  }
  release(): void {}
}

/** For spaces that are never used. */
class IdleMmu implements Mmu {
  map(): void {}
  writeProtect(): void {}
  unmap(): void {}
  translate(): number {
    return -1;
  }
  present(): void {}
  release(): void {}
}

class FlatArena implements Arena {
  readonly bytes = new Uint8Array(1 << 30);
  readonly words = new Uint32Array(this.bytes.buffer);
  #used = 0;
  grow(wanted: number): { first: number; count: number } | undefined {
    const first = this.#used;
    const count = Math.min(wanted, this.bytes.length / PAGE_SIZE - first);
    this.#used += count;
    return count === 0 ? undefined : { first, count };
  }
  changed(): void {}
}

function time_us(rounds: number, work: (i: number) => void, from = 0): number {
  const start = performance.now();
  for (let i = from; i < from + rounds; i++) work(i);
  return ((performance.now() - start) * 1000) / rounds;
}

const BATCHES = 20;

/** As `time_us`, of the quickest of some batches: what others do on the machine meanwhile counts less. */
function quickest_us(rounds: number, work: (i: number) => void): number {
  const batch = rounds / BATCHES;
  const times = Array.from({ length: BATCHES }, (_, i) => time_us(batch, work, i * batch));
  return Math.min(...times);
}

/** A space with `count` one-page areas that cannot merge, every second page free. */
function spaceWith(count: number, layout: LayoutName, frames: FramePool): { space: AddressSpace; base: number } {
  const space = new AddressSpace({ mmu: new FlatMmu(), frames, layout });
  const base = 0x2000_0000;
  for (let i = 0; i < count; i++) space.map({ addr: base + i * 2 * PAGE_SIZE, size: PAGE_SIZE, prot: RW, flags: ANON | mman.MAP_FIXED });
  return { space, base };
}

function measure(count: number, layout: LayoutName): Record<string, number> {
  const frames = new FramePool({ arena: new FlatArena() });
  const { space, base } = spaceWith(count, layout, frames);
  let seed = 1;
  const random = (below: number): number => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return Math.floor((seed / 2 ** 32) * below);
  };
  const rounds = 20_000;
  const result: Record<string, number> = {};
  const at = (i: number): number => base + i * 2 * PAGE_SIZE;
  const mapped: number[] = [];
  const one = { addr: 0, size: PAGE_SIZE, prot: RW, flags: ANON };
  for (let warm = 0; warm < 2; warm++) {
    mapped.length = 0;
    result['mmap anywhere'] = quickest_us(rounds, () => mapped.push(space.map({ ...one, prot: 1 + (mapped.length % 3) })));
    result['munmap'] = quickest_us(rounds, (i) => space.unmap(mapped[i], PAGE_SIZE));
    result['mmap fixed over one'] = quickest_us(rounds, () => space.map({ ...one, addr: at(random(count)), flags: ANON | mman.MAP_FIXED }));
    result['mprotect'] = quickest_us(rounds, (i) => space.protect(at(random(count)), PAGE_SIZE, i % 2 === 0 ? 1 : 3));
    result['find at random'] = quickest_us(rounds, () => space.find(at(random(count))));
    for (let i = 0; i < count; i++) space.protect(at(i), PAGE_SIZE, RW);
    result['anonymous fault at random'] = faults(space, someOf(count, 1000, random).map(at));
    for (let i = 0; i < count; i++) fault(space, at(i), 'write');
    const idle = new IdleMmu();
    result['fork and release, an area'] = quickest_us(BATCHES, () => space.fork(idle).release()) / count;
    space.discard({ base, top: at(count) });
  }
  space.release();
  return result;
}

/** `wanted` different numbers below `count`, in no order. */
function someOf(count: number, wanted: number, random: (below: number) => number): number[] {
  const all = Array.from({ length: count }, (_, i) => i);
  for (let i = 0; i < wanted; i++) {
    const other = i + random(count - i);
    [all[i], all[other]] = [all[other], all[i]];
  }
  return all.slice(0, wanted);
}

/** First touches of some pages, whose frames were in use before. */
function faults(space: AddressSpace, places: readonly number[]): number {
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < 20; round++) {
    best = Math.min(
      best,
      time_us(places.length, (i) => fault(space, places[i], 'write')),
    );
    for (const place of places) space.discard({ base: place, top: place + PAGE_SIZE });
  }
  return best;
}

function steady(): void {
  const frames = new FramePool({ arena: new FlatArena() });
  const space = new AddressSpace({ mmu: new FlatMmu(), frames });
  const size = 64 * 2 ** 20;
  // Addresses from 2^31 on V8 passes on in boxes, which would be counted below.
  const addr = space.map({ addr: 0x2000_0000, size, prot: RW, flags: ANON | mman.MAP_FIXED });
  const pages = size / PAGE_SIZE;
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < 8; round++) {
    best = Math.min(
      best,
      time_us(pages, (i) => fault(space, addr + i * PAGE_SIZE, 'write')),
    );
    space.discard({ base: addr, top: addr + size });
  }
  console.log(`sequential anonymous fault, frames in use again: ${best.toFixed(3)} us`);
  const before = process.memoryUsage().heapUsed;
  for (let i = 0; i < pages; i++) fault(space, addr + i * PAGE_SIZE, 'write');
  console.log(`JavaScript heap a fault: ${((process.memoryUsage().heapUsed - before) / pages).toFixed(1)} bytes`);
  const large = new AddressSpace({ mmu: new FlatMmu(), frames });
  const first = large.map({ addr: 0, size: 256 * 2 ** 20, prot: RW, flags: ANON });
  for (let i = 0; i < 65536; i++) fault(large, first + i * PAGE_SIZE, 'write');
  for (let round = 0; round < 3; round++) {
    let child: AddressSpace | undefined;
    const forked = time_us(1, () => (child = large.fork(new IdleMmu()))) / 1000;
    console.log(`fork of 256 MiB touched: ${forked.toFixed(2)} ms, release: ${(time_us(1, () => child?.release()) / 1000).toFixed(2)} ms`);
  }
  const user = new UserMemory(space);
  console.log(`readU32: ${time_us(1_000_000, (i) => user.readU32(addr + ((i * 4) % size))).toFixed(3)} us`);
  const bytes = new Uint8Array(65536);
  console.log(`copyOut of 64 KiB: ${time_us(2000, () => user.copyOut(addr + 100, bytes)).toFixed(2)} us`);
}

const LAYOUTS = ['linuxemu', 'linux'] as const;
// What is measured first would carry V8's compiling.
for (const layout of LAYOUTS) for (const count of [1_000, 100_000]) measure(count, layout);
for (const layout of LAYOUTS) {
  const [few, many] = [1_000, 100_000].map((count) => measure(count, layout));
  console.log(`${layout} layout, us an operation${' '.repeat(8)}1,000 areas   100,000 areas   ratio`);
  for (const name of Object.keys(few)) {
    const ratio = many[name] / few[name];
    console.log(
      `  ${name.padEnd(30)}${few[name].toFixed(3).padStart(12)}${many[name].toFixed(3).padStart(16)}${ratio.toFixed(2).padStart(8)}`,
    );
  }
}
steady();
