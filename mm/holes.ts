/** Two indexes of the holes between areas: by size for the best fit, by place for the highest or lowest fit. All in pages. */
import { PageSet } from './page-set.ts';

/** A hole and its size as one exact number that sorts by size first: page numbers are below 2^20. */
const PLACES = 2 ** 20;
/** Holes of fewer pages are held in a set a size; of larger ones there are at most 1024 in a space. */
const LARGE = 1024;

/** Holes in order of size, those of one size in order of place. */
export class HoleSizes {
  readonly #bySize: (PageSet | undefined)[] = [];
  /** The sizes below LARGE of which there are holes. */
  readonly #sizes = new PageSet();
  /** Keys of the large ones, ascending. */
  readonly #large: number[] = [];

  add(size: number, place: number): void {
    if (size >= LARGE) {
      const key = size * PLACES + place;
      this.#large.splice(this.#largeFrom(key), 0, key);
      return;
    }
    while (this.#bySize.length <= size) this.#bySize.push(undefined);
    const places = (this.#bySize[size] ??= new PageSet());
    places.add(place);
    if (places.size === 1) this.#sizes.add(size);
  }

  /** Requires: there. */
  delete(size: number, place: number): void {
    if (size >= LARGE) {
      this.#large.splice(this.#largeFrom(size * PLACES + place), 1);
      return;
    }
    const places = this.#bySize[size] as PageSet;
    places.delete(place);
    if (places.size === 0) this.#sizes.delete(size);
  }

  /** Index of the first large hole whose key is at least `key`. */
  #largeFrom(key: number): number {
    let low = 0;
    let high = this.#large.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#large[middle] < key) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Holes of at least `size` pages, smallest first, as `[place, size]`. The index may not change meanwhile. */
  *from(size: number): Generator<readonly [place: number, size: number]> {
    if (size < LARGE) {
      for (let each = this.#sizes.atOrAbove(size); each >= 0; each = this.#sizes.atOrAbove(each + 1)) {
        const places = this.#bySize[each] as PageSet;
        for (let place = places.atOrAbove(0); place >= 0; place = places.atOrAbove(place + 1)) yield [place, each];
      }
    }
    for (let i = this.#largeFrom(size * PLACES); i < this.#large.length; i++) {
      yield [this.#large[i] % PLACES, Math.floor(this.#large[i] / PLACES)];
    }
  }
}

/** Words of a row of the tree: 1024 values, then the greatest of each 32 of them, then the greatest of all. */
const BLOCKS = 1024;
const WHOLE = BLOCKS + 32;

/** Sets value `at` of a row; what is above stays the maximum of what is below. Returns the greatest of the row. */
function setIn(row: Int32Array, at: number, value: number): number {
  const before = row[at];
  row[at] = value;
  const block = BLOCKS + (at >>> 5);
  if (value >= row[block]) row[block] = value;
  else if (before === row[block]) row[block] = greatest(row, at & ~31);
  else return row[WHOLE];
  return (row[WHOLE] = greatest(row, BLOCKS));
}

function greatest(row: Int32Array, from: number): number {
  let most = 0;
  for (let i = from; i < from + 32; i++) if (row[i] > most) most = row[i];
  return most;
}

/** The last place at or below `at` with at least `least`, or -1. */
function lastIn(row: Int32Array, at: number, least: number): number {
  if (at < 0) return -1;
  for (let i = at; i >= (at & ~31); i--) if (row[i] >= least) return i;
  for (let block = (at >>> 5) - 1; block >= 0; block--) {
    if (row[BLOCKS + block] < least) continue;
    for (let i = block * 32 + 31; ; i--) if (row[i] >= least) return i;
  }
  return -1;
}

/** The first place at or above `at` with at least `least`, or -1. */
function firstIn(row: Int32Array, at: number, least: number): number {
  for (let i = at; i < BLOCKS && (i === at || (i & 31) !== 0); i++) if (row[i] >= least) return i;
  for (let block = (at >>> 5) + 1; block < 32; block++) {
    if (row[BLOCKS + block] < least) continue;
    for (let i = block * 32; ; i++) if (row[i] >= least) return i;
  }
  return -1;
}

/** Sizes by place, such that the next place with enough is found without a look at those between. */
export class HolePlaces {
  /** The greatest size of each chunk of 1024 places. */
  readonly #top = new Int32Array(WHOLE + 1);
  readonly #rows: (Int32Array | undefined)[] = new Array(1024);

  /** 0 is no hole. */
  set(place: number, size: number): void {
    const key = place >>> 10;
    let row = this.#rows[key];
    if (row === undefined) {
      if (size === 0) return;
      this.#rows[key] = row = new Int32Array(WHOLE + 1);
    }
    const most = setIn(row, place & 1023, size);
    if (most !== this.#top[key]) setIn(this.#top, key, most);
  }

  get(place: number): number {
    return this.#rows[place >>> 10]?.[place & 1023] ?? 0;
  }

  /** The last place at or below `place` that has at least `size`, which is not 0; else -1. */
  atOrBelow(place: number, size: number): number {
    if (place < 0) return -1;
    const key = place >>> 10;
    const row = this.#rows[key];
    const near = row === undefined ? -1 : lastIn(row, place & 1023, size);
    if (near >= 0) return (key << 10) | near;
    const below = lastIn(this.#top, key - 1, size);
    return below < 0 ? -1 : (below << 10) | lastIn(this.#rows[below] as Int32Array, 1023, size);
  }

  /** The first place at or above `place` that has at least `size`, which is not 0; else -1. */
  atOrAbove(place: number, size: number): number {
    const key = place >>> 10;
    if (key >= 1024) return -1;
    const row = this.#rows[key];
    const near = row === undefined ? -1 : firstIn(row, place & 1023, size);
    if (near >= 0) return (key << 10) | near;
    const above = key === 1023 ? -1 : firstIn(this.#top, key + 1, size);
    return above < 0 ? -1 : (above << 10) | firstIn(this.#rows[above] as Int32Array, 0, size);
  }
}
