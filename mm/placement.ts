/** Where a mapping goes: the two layouts of an address space, and the choice of a place for a request that names none. Pure: nothing is mapped here. */
import { type Addr, PAGE_SIZE, pageDown, pageUp, type Range } from '../abi/page.ts';
import { STACK_GUARD_GAP } from './area-set.ts';
import { NO_SHIFTS, type Shifts, STACK_SHIFT_MAX } from './randomize.ts';
import type { Bounds, Segment, SegmentKind, SegmentList } from './segment.ts';

export type LayoutName = 'linuxemu' | 'linux';

/** One past the last byte a program can have: TASK_SIZE of a 32-bit program under a 64-bit kernel. */
export const USER_TOP: Addr = 0xffff_e000;
/** Linux mmap_min_addr: below it only a privileged program may map. */
export const MIN_ADDRESS: Addr = 0x1_0000;

/** Distance from the DATA segment's region to PRIVATE, and the size of SHARED. */
const REGION = 0x1000_0000;
/** The STACK segment: the first stack and stacks of threads (MAP_STACK, MAP_GROWSDOWN). */
const STACK_SEGMENT = 0x0400_0000;
/** DATA and PRIVATE together get at least so much, or the program is given the whole space as one segment. */
const LEAST_ROOM = 2 * REGION;
/** Kept free above the program for brk by the linuxemu layout. */
const HEAP_ROOM = REGION / 2;

/** What placement must know of a request. */
export interface Placement {
  readonly sharing: 'private' | 'shared';
  /** For stacks. */
  readonly stack: boolean;
  /** In bytes, page-aligned. */
  readonly size: number;
}

/** What it must know of a space. */
export interface Place {
  readonly layout: LayoutName;
  readonly segments: SegmentList;
  /** Kept for brk and the first stack: nothing is placed there without being told to. */
  readonly reserved: readonly Range[];
  /** Lowest address to give. */
  readonly minAddress: Addr;
  readonly arrangement: Arrangement;
}

/** What is decided when a program is loaded, and stays until the next one is. */
export interface Arrangement {
  readonly shifts: Shifts;
  /** The linux layout: below which mappings are placed from the top down, and above which from the bottom up. */
  readonly mmapBase: Addr;
  readonly bottomUpBase: Addr;
  /** Places are looked for from the bottom up first (personality ADDR_COMPAT_LAYOUT). */
  readonly bottomUp: boolean;
}

/** Linux arch_pick_mmap_layout. `stackLimit` is RLIMIT_STACK in bytes. */
export function arrange(stackLimit: number, shifts: Shifts = NO_SHIFTS, bottomUp = false): Arrangement {
  const room = stackLimit + STACK_GUARD_GAP + (shifts.isRandom ? STACK_SHIFT_MAX : 0);
  const gap = Math.min(Math.max(room, 0x0800_0000), Math.floor(USER_TOP / 6) * 5);
  const mmapBase = pageUp(USER_TOP - gap - shifts.mappings);
  return { shifts, mmapBase, bottomUpBase: pageUp(Math.floor(USER_TOP / 3)) + shifts.mappings, bottomUp };
}

/** The segments an empty space begins with. `lowest` is the program's lowest page; `shift` moves those of mappings up. */
export function segmentsAtExec(layout: LayoutName, lowest: Addr, shift = 0): Bounds[] {
  const whole: Bounds = { kind: 'WHOLE', base: 0, limit: USER_TOP };
  if (layout === 'linux') return [whole];
  const stack = USER_TOP - STACK_SEGMENT;
  const shared = stack - PAGE_SIZE - REGION + shift;
  const region = lowest - (lowest % (REGION / 16)) + REGION + shift;
  if (region + LEAST_ROOM > shared) return [whole];
  return [
    { kind: 'DATA', base: lowest, limit: region - PAGE_SIZE },
    { kind: 'PRIVATE', base: region, limit: shared - PAGE_SIZE },
    { kind: 'SHARED', base: shared, limit: stack - PAGE_SIZE },
    { kind: 'STACK', base: stack, limit: USER_TOP },
  ];
}

/** What to keep free above `brkStart` for brk to grow into. Linux keeps nothing: its mappings come from the top. */
export function heapReserve(layout: LayoutName, brkStart: Addr): Range | undefined {
  if (layout === 'linux') return undefined;
  return { base: pageDown(brkStart), top: Math.min(pageDown(brkStart) + HEAP_ROOM, USER_TOP) };
}

/** Whether `size` bytes at `addr` are free, with the gap a stack above needs. */
export function isFree(segments: SegmentList, addr: Addr, size: number): boolean {
  return addr + size <= Math.min(segments.guardedBaseAbove(addr), USER_TOP);
}

/** Whether something is mapped there. */
export function anyIn(segments: SegmentList, addr: Addr, size: number): boolean {
  return segments.baseAbove(addr) < addr + size;
}

/** An address for the request, or undefined when it fits nowhere. */
export function place(where: Place, request: Placement): Addr | undefined {
  const whole = where.segments.ofKind('WHOLE');
  if (whole !== undefined) return placeTopDown(whole, where, request.size);
  for (const kind of preference(request)) {
    const segment = where.segments.ofKind(kind);
    const addr = segment === undefined ? undefined : placeInSegment(segment, request.size, where.reserved);
    if (addr !== undefined) return addr;
  }
  return undefined;
}

/** The segments to try, in order. */
function preference(request: Placement): readonly SegmentKind[] {
  if (request.stack) return ['STACK', 'PRIVATE', 'DATA', 'SHARED'];
  return request.sharing === 'shared' ? ['SHARED', 'PRIVATE', 'DATA'] : ['DATA', 'PRIVATE', 'SHARED'];
}

/** linuxemu: the top end of the best-fitting hole, else behind the last area. */
function placeInSegment(segment: Segment, size: number, reserved: readonly Range[]): Addr | undefined {
  for (const hole of segment.areas.holes(size)) {
    const top = highestFree(hole, size, reserved);
    if (top !== undefined) return top - size;
  }
  let base = segment.top;
  for (const range of reserved) if (range.base < base + size && base < range.top) base = range.top;
  return base + size <= segment.limit ? base : undefined;
}

/** The top of the highest `size` bytes of a hole that touch no reserved range. */
function highestFree(hole: Range, size: number, reserved: readonly Range[]): Addr | undefined {
  let { top } = hole;
  for (let moved = true; moved && top - size >= hole.base; ) {
    moved = false;
    for (const range of reserved) {
      if (range.base < top && top - size < range.top) {
        top = range.base;
        moved = true;
      }
    }
  }
  return top - size >= hole.base ? top : undefined;
}

/** Linux: downwards from below the stack, and upwards from a third of the space when that is full, or when it is asked for. */
function placeTopDown(whole: Segment, where: Place, size: number): Addr | undefined {
  const { mmapBase, bottomUpBase, bottomUp } = where.arrangement;
  const found = bottomUp ? undefined : whole.areas.highestFit(size, where.minAddress, mmapBase);
  return found ?? whole.areas.lowestFit(size, bottomUpBase, USER_TOP);
}
