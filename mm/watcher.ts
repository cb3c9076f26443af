/** Who looks on while memory is managed (`--trace=maps,faults`). Absent it costs a test. */
import type { Access, Addr } from '../abi/page.ts';
import type { Outcome } from './outcome.ts';

/** Spaces are told apart by identity. Every method is called when the thing has happened. */
export interface MemoryWatcher {
  /** A page fault, of the program itself or of a call on its memory, and what came of it. */
  faulted(space: object, addr: Addr, access: Access, outcome: Outcome): void;
  /** The space has a page of its own now at `at`: a copy of the object's, or of one it shared since a fork. */
  copied(space: object, at: Addr, of: 'object' | 'fork'): void;
  /** `count` dirty pages from `index` on were given to the pager of an object; `failed` says why not. */
  writtenBack(name: string, index: number, count: number, failed: string | undefined): void;
  /** A clean page went from memory. */
  evicted(name: string, index: number): void;
}
