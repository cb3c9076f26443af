/**
 * Ordered sets and maps of page numbers below 2^20, as bits in three levels of 32: finding a member, its predecessor or successor reads a handful of words,
 * however many there are. Room is made 1024 pages at a time.
 */

/** Pages in a chunk; chunks in a set. */
const SPAN = 1024;
/** Index of the summary among a row's 33 words: bit w says that word w is not 0. */
const SUMMARY = 32;

/** 1024 bits and their summary. Arrays of small integers: quicker to make than typed ones of this size. */
type Row = number[];

function newRow(): Row {
  return new Array<number>(SUMMARY + 1).fill(0);
}

/** Never written. */
const EMPTY: Row = newRow();

/** The greatest member at or below `at`, which may be -1; else -1. */
function lastIn(row: Row, at: number): number {
  if (at < 0) return -1;
  const word = at >>> 5;
  const bits = row[word] & (-1 >>> (31 - (at & 31)));
  if (bits !== 0) return (word << 5) | (31 - Math.clz32(bits));
  const words = row[SUMMARY] & ((1 << word) - 1);
  if (words === 0) return -1;
  const below = 31 - Math.clz32(words);
  return (below << 5) | (31 - Math.clz32(row[below]));
}

/** The smallest member at or above `at`, which may be 1024; else -1. */
function firstIn(row: Row, at: number): number {
  if (at >= SPAN) return -1;
  const word = at >>> 5;
  const bits = row[word] & (-1 << (at & 31));
  if (bits !== 0) return (word << 5) | lowestBit(bits);
  const words = row[SUMMARY] & (-2 << word);
  if (words === 0) return -1;
  const above = lowestBit(words);
  return (above << 5) | lowestBit(row[above]);
}

function lowestBit(bits: number): number {
  return 31 - Math.clz32(bits & -bits);
}

function setBit(row: Row, at: number): void {
  row[at >>> 5] |= 1 << (at & 31);
  row[SUMMARY] |= 1 << (at >>> 5);
}

/** Whether the row is empty afterwards. */
function clearBit(row: Row, at: number): boolean {
  const word = at >>> 5;
  row[word] &= ~(1 << (at & 31));
  if (row[word] === 0) row[SUMMARY] &= ~(1 << word);
  return row[SUMMARY] === 0;
}

/** A sparse list of 1024 things that are mostly absent. */
export class SparseList<T> {
  #parts: (T | undefined)[][] | undefined;

  get(key: number): T | undefined {
    return this.#parts?.[key >>> 5]?.[key & 31];
  }

  set(key: number, value: T | undefined): void {
    this.#parts ??= new Array(32);
    let part = this.#parts[key >>> 5];
    if (part === undefined) this.#parts[key >>> 5] = part = new Array(32);
    part[key & 31] = value;
  }
}

/** A set of page numbers. Where there is none to answer, the answer is -1. */
export class PageSet {
  /** Which chunks have members. Sets that stay empty are common. */
  #top: Row = EMPTY;
  readonly #rows = new SparseList<Row>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  has(page: number): boolean {
    const row = this.#rows.get(page >>> 10);
    return row !== undefined && (row[(page & 1023) >>> 5] & (1 << (page & 31))) !== 0;
  }

  /** Requires: not yet there. */
  add(page: number): void {
    const key = page >>> 10;
    let row = this.#rows.get(key);
    if (row === undefined) this.#rows.set(key, (row = newRow()));
    if (this.#top === EMPTY) this.#top = newRow();
    setBit(row, page & 1023);
    setBit(this.#top, key);
    this.#size++;
  }

  /** Requires: there. */
  delete(page: number): void {
    const key = page >>> 10;
    const row = this.#rows.get(key);
    if (row !== undefined && clearBit(row, page & 1023)) clearBit(this.#top, key);
    this.#size--;
  }

  /** The greatest member at or below `page`, which may be -1. */
  atOrBelow(page: number): number {
    if (page < 0) return -1;
    const key = page >>> 10;
    const row = this.#rows.get(key);
    const near = row === undefined ? -1 : lastIn(row, page & 1023);
    if (near >= 0) return (key << 10) | near;
    const below = lastIn(this.#top, key - 1);
    return below < 0 ? -1 : (below << 10) | lastIn(this.#rows.get(below) as Row, 1023);
  }

  /** The smallest member at or above `page`, which may be 2^20. */
  atOrAbove(page: number): number {
    const key = page >>> 10;
    const row = key < SPAN ? this.#rows.get(key) : undefined;
    const near = row === undefined ? -1 : firstIn(row, page & 1023);
    if (near >= 0) return (key << 10) | near;
    const above = firstIn(this.#top, key + 1);
    return above < 0 ? -1 : (above << 10) | firstIn(this.#rows.get(above) as Row, 0);
  }
}

/** A map from page numbers to things, in order. */
export class PageIndex<T> {
  readonly #keys = new PageSet();
  readonly #chunks = new SparseList<(T | undefined)[]>();

  get size(): number {
    return this.#keys.size;
  }

  get first(): T | undefined {
    return this.atOrAbove(0);
  }

  get last(): T | undefined {
    return this.atOrBelow(2 ** 20 - 1);
  }

  #at(page: number): T | undefined {
    return page < 0 ? undefined : this.#chunks.get(page >>> 10)?.[page & 1023];
  }

  /** The thing with exactly this key. */
  get(page: number): T | undefined {
    return this.#keys.has(page) ? this.#at(page) : undefined;
  }

  /** The thing with the greatest key at or below `page`. */
  atOrBelow(page: number): T | undefined {
    return this.#at(this.#keys.atOrBelow(page));
  }

  /** The thing with the smallest key at or above `page`. */
  atOrAbove(page: number): T | undefined {
    return this.#at(this.#keys.atOrAbove(page));
  }

  /** Requires: the key is free. */
  insert(page: number, thing: T): void {
    let chunk = this.#chunks.get(page >>> 10);
    if (chunk === undefined) this.#chunks.set(page >>> 10, (chunk = new Array<T | undefined>(SPAN)));
    chunk[page & 1023] = thing;
    this.#keys.add(page);
  }

  /** Requires: the key is there. */
  remove(page: number): void {
    (this.#chunks.get(page >>> 10) as (T | undefined)[])[page & 1023] = undefined;
    this.#keys.delete(page);
  }

  *[Symbol.iterator](): Generator<T> {
    for (let page = this.#keys.atOrAbove(0); page >= 0; page = this.#keys.atOrAbove(page + 1)) yield this.#at(page) as T;
  }
}
