/** Memory as a debugger reaches it: whatever rights mappings give at the moment, only what they may ever have counts (Linux FOLL_FORCE). */
import { EIO, errno } from '../abi/errno.ts';
import { PROT_READ, PROT_WRITE } from '../abi/mman.ts';
import { type Addr, PAGE_MASK, PAGE_SIZE, pageDown } from '../abi/page.ts';
import { allows } from './area.ts';
import { fault, faultIn } from './fault.ts';
import { USER_TOP } from './placement.ts';
import type { AddressSpace } from './space.ts';
import { MustWait } from './user.ts';

/** Copies guest bytes from `addr` on into `into`; returns how many there were before the first that cannot be read. Throws MustWait. */
export function copyInForced(space: AddressSpace, addr: Addr, into: Uint8Array): number {
  return pieces(space, addr, into.length, 'read', (at, done, part) => into.set(space.frames.arena.bytes.subarray(at, at + part), done));
}

/**
 * Copies `from` to guest memory at `addr`, into private pages that the guest itself may not write too; returns how many bytes got there before the
 * first that cannot be written. Throws MustWait.
 */
export function copyOutForced(space: AddressSpace, addr: Addr, from: Uint8Array): number {
  const { arena } = space.frames;
  return pieces(space, addr, from.length, 'write', (at, done, part) => {
    arena.bytes.set(from.subarray(done, done + part), at);
    arena.changed(at >>> 12);
  });
}

/** Calls `move` with each piece of the range that lies in one page, until one cannot be had. */
function pieces(
  space: AddressSpace,
  addr: Addr,
  size: number,
  access: 'read' | 'write',
  move: (at: number, done: number, part: number) => void,
): number {
  let done = 0;
  while (done < size && addr + done < USER_TOP) {
    const at = reach(space, addr + done, access);
    if (at < 0) return done;
    const part = Math.min(PAGE_SIZE - ((addr + done) & PAGE_MASK), size - done);
    move(at, done, part);
    // A page that the guest may not touch does not stay reachable.
    if (space.find(addr + done)?.prot === 0) space.mmu.unmap({ base: pageDown(addr + done), top: pageDown(addr + done) + PAGE_SIZE });
    done += part;
  }
  return done;
}

/** Offset in the arena of the byte at `addr`, or -1. */
function reach(space: AddressSpace, addr: Addr, access: 'read' | 'write'): number {
  const area = space.find(addr) ?? space.growStack(addr);
  if (area === undefined) return -1;
  const isForced = !allows(area, access);
  if (isForced) {
    const possible = access === 'read' ? PROT_READ : PROT_WRITE;
    const mayBe = (area.maxProt & possible) !== 0 && (access === 'read' || area.sharing === 'private');
    if (!mayBe) return -1;
  } else {
    const at = space.mmu.translate(addr, access === 'read' ? PROT_READ : PROT_WRITE);
    if (at >= 0) return at;
  }
  const outcome = isForced ? faultIn(space, area, addr, access) : fault(space, addr, access);
  switch (outcome.kind) {
    case 'done':
      if (isForced) space.softDirty?.touched(space.mmu, addr, access);
      // What was written by force is the space's own page, which the MMU lets the guest read at most.
      return space.mmu.translate(addr, PROT_READ);
    case 'wait':
      throw new MustWait(outcome);
    case 'signal':
      return -1;
  }
}

/** As many bytes as could be moved, or EIO where there was none. */
export function movedOrFailed(moved: number, asked: number): number {
  if (moved === 0 && asked > 0) throw errno(EIO);
  return moved;
}
