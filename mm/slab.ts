/**
 * Runs of words for tables that come and go with processes, handed out of a few large typed arrays and taken back: in the long run nothing is allocated, and
 * tables that are used together lie together.
 */

/** log2 of the words in a run of the tables of spaces, which have one for each page: 2 MiB of addresses, so that large spaces need few runs. */
export const SPACE_RUN = 9;
/** Words in one of the large arrays. */
const SLAB = 2 ** 18;

/** Runs are numbered from 1. Word i of run r is `words(r)[start(r) + i]`; a run that is handed out holds zeros. */
export class Slab {
  /** Words in a run: a power of two, as an exponent. */
  readonly shift: number;
  /** Runs in a large array, as an exponent. */
  readonly #slabShift: number;
  readonly #mask: number;
  readonly #slabs: Int32Array[] = [];
  /** How many words of each run are in use, for those who count them. */
  readonly used: number[] = [0];
  readonly #free: number[] = [];
  #fresh = 1;

  constructor(shift: number) {
    this.shift = shift;
    this.#slabShift = Math.log2(SLAB) - shift;
    this.#mask = (1 << this.#slabShift) - 1;
  }

  take(): number {
    const again = this.#free.pop();
    if (again !== undefined) return again;
    const run = this.#fresh++;
    this.used.push(0);
    if (run >>> this.#slabShift === this.#slabs.length) this.#slabs.push(new Int32Array(SLAB));
    return run;
  }

  /** Requires: its words are zeros again. */
  give(run: number): void {
    this.#free.push(run);
  }

  words(run: number): Int32Array {
    return this.#slabs[run >>> this.#slabShift];
  }

  start(run: number): number {
    return (run & this.#mask) << this.shift;
  }
}

/** Runs with keys below it are found by two steps in arrays, those beyond, which only huge files have, by a Map. */
const NEAR = 2048;

/** Numbers of runs by key; 0 is none. */
export class RunList {
  #near: number[][] | undefined;
  #far: Map<number, number> | undefined;

  get(key: number): number {
    if (key >= NEAR) return this.#far?.get(key) ?? 0;
    const part = this.#near?.[key >>> 5];
    return part === undefined ? 0 : part[key & 31];
  }

  set(key: number, run: number): void {
    if (key < NEAR) ((this.#near ??= new Array(NEAR / 32))[key >>> 5] ??= new Array(32).fill(0))[key & 31] = run;
    else if (run === 0) this.#far?.delete(key);
    else (this.#far ??= new Map()).set(key, run);
  }

  /** Calls `visit` for every run from key `first` to key `last`, ascending. It may take out the one it is given. */
  forEach(first: number, last: number, visit: (key: number, run: number) => void): void {
    const near = Math.min(last, NEAR - 1);
    for (let key = first; key <= near; ) {
      const part = this.#near?.[key >>> 5];
      const end = Math.min(near, key | 31);
      for (; part !== undefined && key <= end; key++) if (part[key & 31] !== 0) visit(key, part[key & 31]);
      key = end + 1;
    }
    if (last < NEAR || this.#far === undefined || this.#far.size === 0) return;
    const keys = [...this.#far.keys()].filter((key) => key >= first && key <= last).sort((a, b) => a - b);
    for (const key of keys) {
      const run = this.get(key);
      if (run !== 0) visit(key, run);
    }
  }
}
