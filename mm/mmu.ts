/** The port through which memory management tells a CPU what it may reach. Implemented by emu (page tables in wasm memory) and by tests (a Map). */
import type { Addr, Range } from '../abi/page.ts';
import type { FrameNumber } from './frame.ts';

/** One address space's page tables. Dropping any entry is always correct: the next access faults and is filled again. */
export interface Mmu {
  /** Makes the page at `at` (page-aligned) reach `frame` with `prot` (PROT_READ | PROT_WRITE | PROT_EXEC bits); replaces what was there. */
  map(at: Addr, frame: FrameNumber, prot: number): void;
  /** Takes the write right from every present entry in `range`. Cost: O(present tables), not O(range). */
  writeProtect(range: Range): void;
  /** Removes every entry in `range`. Cost: O(present tables), not O(range). */
  unmap(range: Range): void;
  /**
   * The byte offset in `Arena.bytes` of guest address `addr` if a present entry allows `prot` (one PROT_ bit), else -1.
   * The fast path of UserMemory: no fault is raised and nothing is filled.
   */
  translate(addr: Addr, prot: number): number;
  /** Calls `visit` for every present entry in `range`, ascending. `visit` changes no entry. Cost: O(present tables), not O(range). */
  present(range: Range, visit: (at: Addr, frame: FrameNumber) => void): void;
  /** Frees the page tables themselves (never the frames). The Mmu is not used again. */
  release(): void;
}
