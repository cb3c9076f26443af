/** The port that fills pages of a memory object from wherever they live, and takes dirty ones back. */
import type { Waitable } from './outcome.ts';

export type PagerResult =
  /** Filled or taken back. */
  | undefined
  /** Not yet: the task parks and the instruction runs again when woken; the pager then hands over what it fetched meanwhile. */
  | { readonly kind: 'wait'; readonly on: Waitable }
  /** The page cannot be had: SIGBUS in the task that touched it; `errno` for write-back reports. */
  | { readonly kind: 'error'; readonly errno: number };

/** Which file it is, for /proc/PID/maps. */
export interface FileIdentity {
  readonly major: number;
  readonly minor: number;
  readonly inode: number;
}

/** The name of memory that no file stands behind. */
export const ANONYMOUS = '*ANON*';

export interface Pager {
  /** For messages, umem and statistics: the file's path, or ANONYMOUS. */
  readonly name: string;
  /** Absent where no file stands behind it. */
  readonly identity?: FileIdentity | undefined;
  /** The file is known by another path now. Absent: the name stays. */
  rename?(name: string): void;
  /** Fills `into` (one page, zero-filled beforehand) with page `index` of the object. A short last page leaves the rest zero. */
  pageIn(index: number, into: Uint8Array): PagerResult;
  /** Takes back dirty page `index`. */
  pageOut(index: number, from: Uint8Array): PagerResult;
  /**
   * As `pageIn` for consecutive pages, read ahead of their first use: all of them or, with a failure, none. Absent: pages come one by one.
   */
  pageInRun?(index: number, into: readonly Uint8Array[]): PagerResult;
  /** As `pageOut` for consecutive pages: with a failure, none counts as taken. */
  pageOutRun?(index: number, from: readonly Uint8Array[]): PagerResult;
  /** A page that was as it is behind the pager has been stored to: its file has changed from now on. */
  changed?(): void;
  /** There is no place to take pages back to: the object keeps every page it has, and writing back means nothing. */
  readonly memoryOnly?: boolean;
  /** Makes bytes `[base, top)` a hole in what is behind the pager; the object's pages follow. Absent: nothing is behind. */
  punch?(base: number, top: number): PagerResult;
  /** Looks whether what is behind the pager was changed by others, and drops the pages that are not true any more (MS_INVALIDATE). */
  invalidate?(): void;
  /** The object is gone. */
  release(): void;
}

/** Memory that starts as zeros and lives nowhere else: shared anonymous mappings and files of a memory file system. */
export class ZeroPager implements Pager {
  name: string;
  readonly memoryOnly = true;
  readonly identity: FileIdentity | undefined;
  constructor(name = ANONYMOUS, identity?: FileIdentity) {
    this.name = name;
    this.identity = identity;
  }
  rename(name: string): void {
    this.name = name;
  }
  pageIn(): PagerResult {
    return undefined;
  }
  pageOut(): PagerResult {
    return undefined;
  }
  release(): void {}
}
