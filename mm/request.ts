/** What users of an address space say and see: its options, limits and counters, and a request to map something, with the meaning of its flags. */
import { EINVAL, errno } from '../abi/errno.ts';
import * as mman from '../abi/mman.ts';
import { type Addr, PAGE_SIZE } from '../abi/page.ts';
import { AREA_GROWS_DOWN, AREA_LOCKED, AREA_LOCKS, AREA_NO_RESERVE, AREA_SYNC, type Sharing } from './area.ts';
import type { OvercommitMode } from './commitment.ts';
import type { FramePool } from './frame.ts';
import type { Mmu } from './mmu.ts';
import type { MappedFile, MemoryObject } from './object.ts';
import type { LayoutName } from './placement.ts';
import type { Bounds } from './segment.ts';

/** Most areas a space may have unless told otherwise; small mappings are an ordinary case here. */
export const MAX_AREAS = 131_072;
/** Linux's vm.max_map_count: what a guest's space is told to stop at, and what /proc/sys says. */
export const MAX_MAP_COUNT = 65_530;

/** Resource limits that memory obeys, in bytes; Infinity is RLIM_INFINITY. The owner may change them at any time. */
export interface MemoryLimits {
  /** RLIMIT_AS. */
  as: number;
  /** RLIMIT_DATA. */
  data: number;
  /** Its hard limit, which is what counts for mappings where the soft one is 0. Default: the soft one. */
  dataMaximum?: number;
  /** RLIMIT_STACK. */
  stack: number;
  /** RLIMIT_MEMLOCK, which a locked stack that grows must obey; absent: none. */
  locked?: number;
}

/** RLIMIT_DATA in pages. A soft limit of 0 leaves mappings the hard one (Linux may_expand_vm: for Valgrind). */
export function dataLimit({ data, dataMaximum = data }: MemoryLimits): number {
  return Math.floor((data === 0 ? dataMaximum : data) / PAGE_SIZE);
}

export interface SpaceOptions {
  readonly mmu: Mmu;
  readonly frames: FramePool;
  /** Default linuxemu. */
  readonly layout?: LayoutName;
  /** Default: AS and DATA unlimited, STACK 8 MiB. Kept and read at every use, not copied. */
  readonly limits?: MemoryLimits;
  /** Most areas; default MAX_AREAS. */
  readonly maxAreas?: number;
  /** The segments to begin with; default: the layout's. */
  readonly bounds?: readonly Bounds[];
}

export interface MapRequest {
  /** The hint, or with MAP_FIXED the address. */
  readonly addr: Addr;
  /** In bytes; rounded up to pages. */
  readonly size: number;
  /** PROT_ bits. */
  readonly prot: number;
  /** MAP_ bits. Exactly one of MAP_SHARED, MAP_PRIVATE and, for files, MAP_SHARED_VALIDATE. */
  readonly flags: number;
  /** What is mapped; undefined is anonymous memory: zeros of the mapping's own, or with MAP_SHARED a new object that only forked spaces come to share. */
  readonly object?: MemoryObject;
  /** In pages, of the mapping's first page within the object. */
  readonly offset?: number;
  /** What mprotect may give later; default everything. Shared mappings of files not open for writing lack PROT_WRITE. */
  readonly maxProt?: number;
  /** The open file that `object` is the content of; held by the area from then on. */
  readonly file?: MappedFile;
  /** Throws what else forbids the mapping; asked when its place is known, as Linux does. */
  readonly check?: () => void;
  /** Shown by maps instead of the object's name, such as `[vdso]`. */
  readonly name?: string;
}

/** Counters since the space was made. */
export interface SpaceStatistics {
  /** Calls of the fault walk. */
  faults: number;
  /** Pages of zeros given out. */
  zeroFills: number;
  /** Pages copied on write. */
  copies: number;
  stackGrowths: number;
}

/** What mlockall(MCL_FUTURE) makes of new areas: locked, and brought in at once or when they are touched. */
export type LockFuture = 'no' | 'present' | 'on fault';

/** AREA_LOCKS that new areas get of themselves. */
export function futureLocks(how: LockFuture): number {
  return how === 'no' ? 0 : how === 'present' ? AREA_LOCKED : AREA_LOCKS;
}

/** Throws EINVAL unless exactly one kind of sharing is asked for. */
export function sharingOf(flags: number): Sharing {
  switch (flags & mman.MAP_TYPE) {
    case mman.MAP_PRIVATE:
      return 'private';
    case mman.MAP_SHARED:
      return 'shared';
    case mman.MAP_SHARED_VALIDATE:
      if ((flags & mman.MAP_ANONYMOUS) !== 0) throw errno(EINVAL);
      return 'shared';
    default:
      throw errno(EINVAL);
  }
}

/** AREA_ bits for MAP_ bits. Where no more may be promised than there is, MAP_NORESERVE means nothing. */
export function areaFlags(flags: number, mode: OvercommitMode, lockFuture: LockFuture): number {
  return (
    ((flags & mman.MAP_GROWSDOWN) !== 0 ? AREA_GROWS_DOWN : 0) |
    ((flags & mman.MAP_LOCKED) !== 0 ? AREA_LOCKED | futureLocks(lockFuture) : 0) |
    ((flags & mman.MAP_SYNC) !== 0 ? AREA_SYNC : 0) |
    ((flags & mman.MAP_NORESERVE) !== 0 && mode !== 'strict' ? AREA_NO_RESERVE : 0)
  );
}
