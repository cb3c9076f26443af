/** An area: one mapping in one address space. Splitting, clipping and merging are pure: they change areas, never pages. */
import { assert } from '../abi/assert.ts';
import { PROT_NONE, PROT_READ, PROT_WRITE, PROT_EXEC } from '../abi/mman.ts';
import { type Access, type Addr, PAGE_SHIFT, PAGE_SIZE, type Range } from '../abi/page.ts';
import type { MappedFile, Mapping, MemoryObject } from './object.ts';

/** The area grows down when the page below it is touched (stacks). */
export const AREA_GROWS_DOWN = 1;
/** mlock: kept in memory. */
export const AREA_LOCKED = 2;
/** MAP_NORESERVE. */
export const AREA_NO_RESERVE = 4;
/** madvise(MADV_DONTFORK): a child does not get it. */
export const AREA_DONT_FORK = 8;
/** madvise(MADV_WIPEONFORK): a child gets it empty. */
export const AREA_WIPE_ON_FORK = 16;
/** madvise(MADV_DONTDUMP). */
export const AREA_DONT_DUMP = 32;

/** It was private and writable at some time, so its pages count as promised memory (Linux VM_ACCOUNT). Such an area merges only with its like. */
export const AREA_ACCOUNT = 64;
/** madvise(MADV_RANDOM) and MADV_SEQUENTIAL: nothing is read otherwise for them, but Linux keeps areas of different advice apart, and mremap tells. */
export const AREA_RANDOM_READ = 128;
export const AREA_SEQUENTIAL_READ = 256;
/** Locked, but its pages come when they are touched: mlock2(MLOCK_ONFAULT), mlockall(MCL_ONFAULT). */
export const AREA_LOCK_ON_FAULT = 512;
/** Both, which go together. */
export const AREA_LOCKS: number = AREA_LOCKED | AREA_LOCK_ON_FAULT;
/** madvise(MADV_HUGEPAGE), MADV_NOHUGEPAGE and MADV_MERGEABLE: kept and told, and areas that differ in them stay apart. */
export const AREA_HUGE_PAGES = 1024;
export const AREA_NO_HUGE_PAGES = 2048;
export const AREA_MERGEABLE = 4096;
/** MAP_SYNC, where it is ignored: it is told, and keeps areas apart. */
export const AREA_SYNC = 8192;
/** The memory policy of mbind(2), as syscalls/numa.ts encodes it; 0 is none. */
export const AREA_POLICY_SHIFT = 16;
export const AREA_POLICY: number = 0x7f << AREA_POLICY_SHIFT;

export type Sharing = 'private' | 'shared';

export interface AreaFields {
  readonly space: Mapping['space'];
  readonly base: Addr;
  readonly top: Addr;
  readonly prot: number;
  readonly maxProt: number;
  readonly sharing: Sharing;
  readonly flags: number;
  readonly object: MemoryObject | undefined;
  readonly offset: number;
  readonly name: string;
  readonly file?: MappedFile;
}

export class Area implements Mapping {
  /** The address space it is mapped in. */
  readonly space: Mapping['space'];
  /** Page numbers of its ends: small integers, which lie in the object itself, where addresses would be numbers of their own on the heap. */
  #first: number;
  #end: number;
  /** PROT_ bits the guest asked for. */
  prot: number;
  /** PROT_ bits mprotect may give. */
  readonly maxProt: number;
  readonly sharing: Sharing;
  /** AREA_ bits. */
  flags: number;
  /** Whose pages are seen where the space has none of its own; undefined for private anonymous memory, which is zero there. */
  readonly object: MemoryObject | undefined;
  /** Page index of `base` within the object, or the file; 0 without. */
  offset: number;
  /** What maps shows in brackets or instead of the object's name, such as `[vdso]`; '' is nothing. */
  name: string;
  /** The open file it was made from, which stays open as long (Linux vm_file); undefined where there is none. Private memory of /dev/zero has one, but no object. */
  readonly file: MappedFile | undefined;

  constructor(fields: AreaFields) {
    this.space = fields.space;
    this.#first = fields.base >>> PAGE_SHIFT;
    this.#end = fields.top >>> PAGE_SHIFT;
    this.prot = fields.prot;
    this.maxProt = fields.maxProt;
    this.sharing = fields.sharing;
    this.flags = fields.flags;
    this.object = fields.object;
    this.offset = fields.offset;
    this.name = fields.name;
    this.file = fields.file;
  }

  /** First address; page-aligned. */
  get base(): Addr {
    return this.#first * PAGE_SIZE;
  }

  set base(addr: Addr) {
    this.#first = addr >>> PAGE_SHIFT;
  }

  /** One past the last address; page-aligned. */
  get top(): Addr {
    return this.#end * PAGE_SIZE;
  }

  set top(addr: Addr) {
    this.#end = addr >>> PAGE_SHIFT;
  }
}

/** Page index within its object of the page at `addr`. */
export function objectPage(area: Area, addr: Addr): number {
  return area.offset + Math.floor((addr - area.base) / PAGE_SIZE);
}

/** Whether the guest may do that. As on x86, what may be written or executed may be read; executing needs its own right. */
export function allows(area: Area, access: Access): boolean {
  switch (access) {
    case 'read':
      return area.prot !== PROT_NONE;
    case 'write':
      return (area.prot & PROT_WRITE) !== 0;
    case 'fetch':
      return (area.prot & PROT_EXEC) !== 0;
  }
}

/** PROT_ bits for the MMU: readable whenever anything is allowed. */
export function mmuProt(area: Area): number {
  return area.prot | PROT_READ;
}

/** Cuts `area` at `at`: it keeps what is below, the result is what was above. Requires: base < at < top, page-aligned. The object learns of the new area when it is inserted. */
export function splitArea(area: Area, at: Addr): Area {
  assert(at > area.base && at < area.top, 'a split lies inside its area');
  const above = new Area({ ...fieldsOf(area), base: at, offset: offsetAt(area, at) });
  area.top = at;
  return above;
}

/** The offset an area has, or would have, when it began at `base`. */
export function offsetAt(area: Area, base: Addr): number {
  return hasOffset(area) ? area.offset + (base - area.base) / PAGE_SIZE : 0;
}

function hasOffset({ object, file }: Area): boolean {
  return object !== undefined || file !== undefined;
}

/** A record of what `area` is, for making one like it. */
export function fieldsOf(area: Area): AreaFields {
  const { space, base, top, prot, maxProt, sharing, flags, object, offset, name, file } = area;
  return { space, base, top, prot, maxProt, sharing, flags, object, offset, name, file };
}

/** Whether `above` directly continues `below`, so that one area can stand for both. */
export function canMerge(below: Area, above: Area): boolean {
  return (
    below.top === above.base &&
    below.prot === above.prot &&
    below.maxProt === above.maxProt &&
    below.sharing === above.sharing &&
    below.flags === above.flags &&
    below.object === above.object &&
    below.name === above.name &&
    below.file === above.file &&
    (!hasOffset(below) || offsetAt(below, above.base) === above.offset)
  );
}

/** Whether it can be counted as data: private and writable, and no stack (Linux is_data_mapping). */
export function isData(area: Pick<AreaFields, 'sharing' | 'prot' | 'flags'>): boolean {
  return area.sharing === 'private' && (area.prot & PROT_WRITE) !== 0 && (area.flags & AREA_GROWS_DOWN) === 0;
}

/** The flags of an area once it has these rights. */
export function flagsWith(flags: number, sharing: Sharing, prot: number): number {
  return sharing === 'private' && (prot & PROT_WRITE) !== 0 && (flags & AREA_NO_RESERVE) === 0 ? flags | AREA_ACCOUNT : flags;
}

/** The pages an area spans. */
export function areaPages(area: Range): number {
  return (area.top - area.base) / PAGE_SIZE;
}
