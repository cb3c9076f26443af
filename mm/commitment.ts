/**
 * Promised memory (Linux vm.overcommit_memory): pages that private writable mappings and shared memory without a file may come to need, touched or not. The
 * frame pool has one for the whole machine; areas and objects add what they promise as they come and go, whatever the mode, and ask before they do.
 */

/**
 * heuristic: only what could never be there is refused; always: nothing is; strict: no more is promised than the commit limit.
 * In the order of vm.overcommit_memory's numbers.
 */
export const OVERCOMMIT_MODES = ['heuristic', 'always', 'strict'] as const;
export type OvercommitMode = (typeof OVERCOMMIT_MODES)[number];

/** Linux's vm.overcommit_ratio unless told otherwise. */
const DEFAULT_RATIO = 50;
/** Linux's vm.admin_reserve_kbytes and vm.user_reserve_kbytes in pages, at most; and the share of memory they are otherwise. */
const ADMIN_RESERVE = 2048;
const USER_RESERVE = 32_768;
const RESERVE_SHARE = 32;

export class Commitment {
  /** Of a machine: what its options say. */
  mode: OvercommitMode = 'always';
  /** Percent of the machine's memory that strict mode promises at most. */
  ratio: number = DEFAULT_RATIO;
  readonly #total: () => number;
  #promised = 0;

  /** `total` is the machine's memory in pages. */
  constructor(total: () => number) {
    this.#total = total;
  }

  /** Pages promised: Committed_AS. */
  get promised(): number {
    return this.#promised;
  }

  /** CommitLimit, in pages. */
  get limit(): number {
    return Math.floor((this.#total() * this.ratio) / 100);
  }

  /** `pages` more are promised, or fewer where it is negative. */
  add(pages: number): void {
    this.#promised += pages;
  }

  /**
   * Whether `pages` more may be promised to a space of `mapped` pages (Linux __vm_enough_memory). Strict mode keeps something back for an administrator, and
   * from each space a part of its size, so that others get room.
   */
  allows(pages: number, mapped: number, privileged: boolean): boolean {
    if (pages <= 0 || this.mode === 'always') return true;
    if (this.mode === 'heuristic') return pages <= this.#total();
    const share = Math.floor(this.#total() / RESERVE_SHARE);
    const kept = (privileged ? 0 : Math.min(share, ADMIN_RESERVE)) + Math.min(Math.floor(mapped / RESERVE_SHARE), share, USER_RESERVE);
    return this.#promised + pages < this.limit - kept;
  }
}
