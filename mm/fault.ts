/** The fault walk: from an address and what is wanted there, over area, copies, object and pager, to a frame that the MMU then reaches. */
import { EIO } from '../abi/errno.ts';
import { PROT_EXEC, PROT_READ, PROT_WRITE } from '../abi/mman.ts';
import { type Access, type Addr, PAGE_SIZE, pageDown } from '../abi/page.ts';
import { BUS_ADRERR, SEGV_ACCERR, SEGV_MAPERR, SIGBUS, SIGKILL, SIGSEGV } from '../abi/signal.ts';
import { AREA_GROWS_DOWN, type Area, allows, mmuProt, objectPage } from './area.ts';
import { WORD_PLAIN, WORD_PROT } from './area-index.ts';
import type { FrameNumber, FramePool } from './frame.ts';
import type { MemoryObject, PageFailure } from './object.ts';
import { DONE, type Outcome } from './outcome.ts';
import { LAZY, NO_FRAME } from './page-map.ts';
import type { AddressSpace } from './space.ts';

/** Pages of an object in memory around one that was touched are made reachable with it, in windows of so many pages (Linux fault_around_bytes is 16 pages). */
const AROUND = 16;

/**
 * Makes `addr` reachable for `access`, or says why that cannot be. `done` means the MMU now has an entry that allows it: the access is simply made again.
 * Nothing is allocated on the way to `done`, except by pagers.
 */
export function fault(space: AddressSpace, addr: Addr, access: Access): Outcome {
  const outcome = walk(space, addr, access);
  if (space.softDirty !== undefined && outcome.kind === 'done') space.softDirty.touched(space.mmu, addr, access);
  space.frames.watcher?.faulted(space, addr, access, outcome);
  return outcome;
}

function walk(space: AddressSpace, addr: Addr, access: Access): Outcome {
  space.statistics.faults++;
  // Asked before it is known to be of use: of many areas both tables are out of the caches, and are fetched together.
  const own = space.copies.get(addr >>> 12);
  const word = space.segments.word(addr);
  if ((word & WORD_PLAIN) !== 0 && (word & NEEDED[access]) !== 0) return faultPlain(space, addr, own, word & WORD_PROT, access);
  const area = space.find(addr) ?? space.growStack(addr);
  if (area === undefined) return segfault(space, addr, access);
  if (!allows(area, access)) {
    // Linux fetches as it reads: only a page that is there can forbid it (access_error), so one past a file's end is SIGBUS all the same.
    const found = access === 'fetch' && allows(area, 'read') ? faultIn(space, area, addr, 'read') : DONE;
    return found.kind === 'done' ? refused(area, addr, access) : found;
  }
  return faultIn(space, area, addr, access);
}

/** The walk once the rights have been looked at. */
export function faultIn(space: AddressSpace, area: Area, addr: Addr, access: Access): Outcome {
  return area.sharing === 'private' ? faultPrivate(space, area, addr, access) : faultShared(space, area, addr, access);
}

/** PROT_ bits of which an area must have one for an access; see `allows`. */
const NEEDED: Readonly<Record<Access, number>> = { read: WORD_PROT, write: PROT_WRITE, fetch: PROT_EXEC };

/** Private memory without an object, where the access is allowed: the page the space has, or zeros. */
function faultPlain(space: AddressSpace, addr: Addr, own: FrameNumber, rights: number, access: Access): Outcome {
  const { copies, frames, mmu } = space;
  const at = pageDown(addr);
  const page = at / PAGE_SIZE;
  const prot = rights | PROT_READ;
  if (own !== NO_FRAME) return faultOwn(space, at, own, prot, access);
  if (access !== 'write') {
    const { zero } = frames;
    if (zero < 0) return outOfMemory(frames, addr);
    mmu.map(at, zero, prot & ~PROT_WRITE);
    return DONE;
  }
  const fresh = frames.allocateZeroed();
  if (fresh < 0) return outOfMemory(frames, addr);
  copies.set(page, fresh);
  space.statistics.zeroFills++;
  mmu.map(at, fresh, prot);
  return DONE;
}

/**
 * A page that the space has itself: held alone it is the space's to write, else a write copies it. What was given up (MADV_FREE) is kept once it is written
 * again, and that must be seen.
 */
function faultOwn(space: AddressSpace, at: Addr, own: FrameNumber, prot: number, access: Access): Outcome {
  const alone = space.frames.count(own) === 1;
  if (!alone && access === 'write') return copyPage(space, at, own, prot);
  const { copies } = space;
  const page = at / PAGE_SIZE;
  const given = copies.marked(page, LAZY);
  if (given && access === 'write') copies.unmark(page, LAZY);
  space.mmu.map(at, own, alone && !(given && access !== 'write') ? prot : prot & ~PROT_WRITE);
  return DONE;
}

/** Pages of its own first, then the object's, which a write copies. */
function faultPrivate(space: AddressSpace, area: Area, addr: Addr, access: Access): Outcome {
  const at = pageDown(addr);
  const prot = mmuProt(area);
  const own = space.copies.get(at / PAGE_SIZE);
  if (area.object === undefined) return faultPlain(space, addr, own, prot, access);
  if (own !== NO_FRAME) return faultOwn(space, at, own, prot, access);
  const frame = area.object.page(objectPage(area, at));
  if (typeof frame !== 'number') return failed(area, area.object, addr, frame);
  if (access === 'write') return copyPage(space, at, frame, prot);
  space.mmu.map(at, frame, prot & ~PROT_WRITE);
  mapAround(space, area, area.object, at);
  return DONE;
}

/** Gives the space a page of its own with the content of `source`, which somebody else holds too, and may until now have been what the space held. */
function copyPage(space: AddressSpace, at: Addr, source: FrameNumber, prot: number): Outcome {
  const { copies, frames } = space;
  const page = at / PAGE_SIZE;
  frames.share(source);
  const fresh = frames.allocate();
  if (fresh >= 0) frames.copy(source, fresh);
  frames.free(source);
  if (fresh < 0) return outOfMemory(space.frames, at);
  const held = copies.get(page);
  copies.set(page, fresh);
  space.mmu.map(at, fresh, prot);
  if (held !== NO_FRAME) frames.free(held);
  space.statistics.copies++;
  frames.watcher?.copied(space, at, held === NO_FRAME ? 'object' : 'fork');
  return DONE;
}

/** Every mapping sees the object's own frame; it is writable while the page is marked dirty. */
function faultShared(space: AddressSpace, area: Area, addr: Addr, access: Access): Outcome {
  const object = sharedObject(area);
  const at = pageDown(addr);
  const index = objectPage(area, at);
  const frame = object.page(index);
  if (typeof frame !== 'number') return failed(area, object, addr, frame);
  if (access === 'write') object.markDirty(index);
  space.mmu.map(at, frame, sharedProt(area, object, index));
  if (access !== 'write') mapAround(space, area, object, at);
  return DONE;
}

function sharedObject(area: Area): MemoryObject {
  if (area.object === undefined) throw new TypeError('a shared area has an object');
  return area.object;
}

function sharedProt(area: Area, object: MemoryObject, index: number): number {
  const prot = mmuProt(area);
  return object.isDirty(index) ? prot : prot & ~PROT_WRITE;
}

/** Makes neighbours that are already in memory reachable too, so that running through a file does not fault on every page. */
function mapAround(space: AddressSpace, area: Area, object: MemoryObject, at: Addr): void {
  const window = AROUND * PAGE_SIZE;
  const start = at - (at % window);
  const base = Math.max(start, area.base);
  const top = Math.min(start + window, area.top);
  const isPrivate = area.sharing === 'private';
  const readOnly = mmuProt(area) & ~PROT_WRITE;
  let index = objectPage(area, base);
  for (let addr = base; addr < top; addr += PAGE_SIZE, index++) {
    if (addr === at || space.mmu.translate(addr, PROT_READ) >= 0) continue;
    const frame = object.pages.get(index);
    if (frame === NO_FRAME || index * PAGE_SIZE >= object.size) continue;
    if (!isPrivate) space.mmu.map(addr, frame, sharedProt(area, object, index));
    else if (space.copies.get(addr / PAGE_SIZE) === NO_FRAME) space.mmu.map(addr, frame, readOnly);
  }
}

/**
 * Makes every page of `[base, top)` present, for writing where its area allows that (MAP_POPULATE, mlock). Stops at the first page that cannot be had and
 * returns its outcome; else done.
 */
export function populate(space: AddressSpace, base: Addr, top: Addr): Outcome {
  for (let addr = pageDown(base); addr < top; addr += PAGE_SIZE) {
    const area = space.find(addr);
    if (area === undefined || area.prot === 0) continue;
    const access = allows(area, 'write') && area.sharing === 'private' ? 'write' : 'read';
    if (space.mmu.translate(addr, access === 'write' ? PROT_WRITE : PROT_READ) >= 0) continue;
    const outcome = fault(space, addr, access);
    if (outcome.kind !== 'done') return outcome;
  }
  return DONE;
}

/** A page of the object cannot be had. */
function failed(area: Area, object: MemoryObject, addr: Addr, failure: PageFailure): Outcome {
  switch (failure.kind) {
    case 'wait':
      return failure;
    case 'memory':
      return outOfMemory(object.frames, addr);
    case 'beyond': {
      const reason = `past the end of ${object.name}, which has ${object.size} bytes; the page would begin at ${objectPage(area, addr) * PAGE_SIZE}`;
      return { kind: 'signal', signo: SIGBUS, code: BUS_ADRERR, addr, reason };
    }
    case 'error': {
      const cause = failure.errno === EIO ? 'an I/O error' : `error ${failure.errno}`;
      return {
        kind: 'signal',
        signo: SIGBUS,
        code: BUS_ADRERR,
        addr,
        reason: `page ${objectPage(area, addr)} of ${object.name} could not be read: ${cause}`,
      };
    }
  }
}

/** Nothing is mapped there. */
function segfault(space: AddressSpace, addr: Addr, access: Access): Outcome {
  const above = space.segments.findAreaAbove(addr);
  let reason = `nothing is mapped there to ${access === 'fetch' ? 'execute' : access}`;
  if (addr < PAGE_SIZE) reason = 'null pointer: nothing is mapped in the first page';
  else if (above !== undefined && (above.flags & AREA_GROWS_DOWN) !== 0) reason = stackReason(space, above, addr);
  return { kind: 'signal', signo: SIGSEGV, code: SEGV_MAPERR, addr, reason };
}

function stackReason(space: AddressSpace, stack: Area, addr: Addr): string {
  const size = stack.top - pageDown(addr);
  if (size <= space.limits.stack)
    return `nothing is mapped there, and the stack above cannot grow so far: it would come too near to what lies below`;
  return `nothing is mapped there, and the stack above may not grow to ${size} bytes: its limit is ${space.limits.stack}`;
}

/** Something is mapped there but must not be used that way. */
function refused(area: Area, addr: Addr, access: Access): Outcome {
  const verb = access === 'read' ? 'readable' : access === 'write' ? 'writable' : 'executable';
  return { kind: 'signal', signo: SIGSEGV, code: SEGV_ACCERR, addr, reason: `the mapping is not ${verb} (${protText(area.prot)})` };
}

/** `rw-` for a set of rights. */
export function protText(prot: number): string {
  return `${(prot & PROT_READ) !== 0 ? 'r' : '-'}${(prot & PROT_WRITE) !== 0 ? 'w' : '-'}${(prot & 4) !== 0 ? 'x' : '-'}`;
}

/** The machine's frames are used up: like Linux's out-of-memory killer, but the victim is always who asked. */
function outOfMemory(frames: FramePool, addr: Addr): Outcome {
  const limit = Number.isFinite(frames.limit) ? ` of ${(frames.limit * PAGE_SIZE) / 2 ** 20} MiB` : '';
  return { kind: 'signal', signo: SIGKILL, code: 0, addr, reason: `out of memory: the machine's limit${limit} is reached` };
}
