/** The ports of mm over plain JavaScript: an arena that is an array and an MMU that is a Map. */
import { Errno } from '../../abi/errno.ts';
import { PROT_EXEC, PROT_READ, PROT_WRITE } from '../../abi/mman.ts';
import { type Access, type Addr, PAGE_SIZE, pageDown, type Range } from '../../abi/page.ts';
import type { Arena } from '../../mm/arena.ts';
import { fault } from '../../mm/fault.ts';
import { type FrameNumber, FramePool } from '../../mm/frame.ts';
import type { Mmu } from '../../mm/mmu.ts';
import type { Outcome } from '../../mm/outcome.ts';
import type { SpaceOptions } from '../../mm/request.ts';
import { AddressSpace } from '../../mm/space.ts';

export class PlainArena implements Arena {
  bytes = new Uint8Array(0);
  words = new Uint32Array(0);
  /** Frames that `changed` was called for, in order. */
  readonly changes: FrameNumber[] = [];
  /** Most frames the pretended host has. */
  most = Number.POSITIVE_INFINITY;

  /** Grows by few frames at a time, into a new buffer, so that a view kept too long is found out. */
  grow(wanted: number): { first: FrameNumber; count: number } | undefined {
    const first = this.bytes.length / PAGE_SIZE;
    const count = Math.min(wanted, this.most - first);
    if (count <= 0) return undefined;
    const bytes = new Uint8Array((first + count) * PAGE_SIZE).fill(0xaa);
    bytes.set(this.bytes);
    structuredClone(this.bytes.buffer, { transfer: [this.bytes.buffer] });
    this.bytes = bytes;
    this.words = new Uint32Array(bytes.buffer);
    return { first, count };
  }

  changed(frame: FrameNumber): void {
    this.changes.push(frame);
  }
}

export class MapMmu implements Mmu {
  readonly entries = new Map<Addr, { frame: FrameNumber; prot: number }>();
  released = false;

  map(at: Addr, frame: FrameNumber, prot: number): void {
    this.entries.set(at, { frame, prot });
  }

  writeProtect(range: Range): void {
    for (const [at, entry] of this.entries) if (at >= range.base && at < range.top) entry.prot &= ~PROT_WRITE;
  }

  unmap(range: Range): void {
    if (range.top - range.base <= PAGE_SIZE * 64) {
      for (let at = range.base; at < range.top; at += PAGE_SIZE) this.entries.delete(at);
      return;
    }
    for (const at of this.entries.keys()) if (at >= range.base && at < range.top) this.entries.delete(at);
  }

  translate(addr: Addr, prot: number): number {
    const entry = this.entries.get(pageDown(addr));
    return entry !== undefined && (entry.prot & prot) === prot ? entry.frame * PAGE_SIZE + (addr % PAGE_SIZE) : -1;
  }

  present({ base, top }: Range, visit: (at: Addr, frame: FrameNumber) => void): void {
    const inside = [...this.entries].filter(([at]) => at >= base && at < top).sort(([a], [b]) => a - b);
    for (const [at, { frame }] of inside) visit(at, frame);
  }

  release(): void {
    this.released = true;
  }
}

/** The entries of a space's MapMmu, for checkInvariants. */
export function entriesOf(space: AddressSpace): Iterable<{ at: Addr; frame: FrameNumber; prot: number }> {
  return [...(space.mmu as MapMmu).entries].map(([at, { frame, prot }]) => ({ at, frame, prot }));
}

export function makeSpace(options: Partial<SpaceOptions> & { limit?: number } = {}): AddressSpace {
  const frames = options.frames ?? new FramePool({ arena: new PlainArena(), limit: options.limit });
  return new AddressSpace({ mmu: new MapMmu(), frames, ...options });
}

/** One access as the CPU makes it: through the MMU, with at most one fault. The byte is read, or written where `value` is given. */
export function touch(space: AddressSpace, addr: Addr, access: Access, value?: number): number | Outcome {
  const prot = access === 'read' ? PROT_READ : access === 'write' ? PROT_WRITE : PROT_EXEC;
  let at = space.mmu.translate(addr, prot);
  if (at < 0) {
    const outcome = fault(space, addr, access);
    if (outcome.kind !== 'done') return outcome;
    at = space.mmu.translate(addr, prot);
    if (at < 0) throw new Error(`a fault at 0x${addr.toString(16)} was done, yet the page cannot be reached`);
  }
  const { bytes } = space.frames.arena;
  if (value !== undefined) bytes[at] = value;
  return bytes[at];
}

/** The name of the errno that `call` throws, or 'none'. */
export function errnoOf(call: () => unknown): string {
  try {
    call();
    return 'none';
  } catch (thrown) {
    if (thrown instanceof Errno) return thrown.name;
    throw thrown;
  }
}
