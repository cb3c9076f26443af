/** A list kept in order of a numeric key, as a row of short leaves: finding is two binary searches, changing moves at most a leaf. */
import { assert } from '../abi/assert.ts';

const LEAF_LIMIT = 128;

export interface Leaf<T> {
  readonly items: T[];
  /** For the user's own digest of the leaf; undefined whenever the leaf, or the end of the one before it, changed. */
  digest: number | undefined;
}

/** Where an item is. Valid until the list changes. */
export interface Position {
  leaf: number;
  at: number;
}

/** Keys are distinct. Items may change their key as long as the order stays; then `touched` must be called. */
export class SortedList<T> {
  readonly leaves: Leaf<T>[] = [];
  readonly #key: (item: T) => number;
  #size = 0;

  constructor(key: (item: T) => number) {
    this.#key = key;
  }

  get size(): number {
    return this.#size;
  }

  get first(): T | undefined {
    return this.leaves[0]?.items[0];
  }

  get last(): T | undefined {
    return this.leaves.at(-1)?.items.at(-1);
  }

  /** Index of the last leaf whose first key is at most `key`; -1 when all are greater. */
  #leafFor(key: number): number {
    let low = 0;
    let high = this.leaves.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#key(this.leaves[middle].items[0]) <= key) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  /** Index within a leaf of the last item whose key is at most `key`. Requires: the first one's is. */
  #indexIn(items: readonly T[], key: number): number {
    let low = 1;
    let high = items.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#key(items[middle]) <= key) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  /** The item with the greatest key that is at most `key`. */
  atOrBelow(key: number): T | undefined {
    const leaf = this.#leafFor(key);
    if (leaf < 0) return undefined;
    const items = this.leaves[leaf].items;
    return items[this.#indexIn(items, key)];
  }

  /** The item with the smallest key that is at least `key`. */
  atOrAbove(key: number): T | undefined {
    const leaf = this.#leafFor(key);
    if (leaf < 0) return this.first;
    const items = this.leaves[leaf].items;
    const at = this.#indexIn(items, key);
    if (this.#key(items[at]) === key) return items[at];
    return at + 1 < items.length ? items[at + 1] : this.leaves[leaf + 1]?.items[0];
  }

  /** The item just below the one with exactly this key, or below where it would be. */
  before(key: number): T | undefined {
    const leaf = this.#leafFor(key);
    if (leaf < 0) return undefined;
    const items = this.leaves[leaf].items;
    const at = this.#indexIn(items, key);
    if (this.#key(items[at]) < key) return items[at];
    return at > 0 ? items[at - 1] : this.leaves[leaf - 1]?.items.at(-1);
  }

  insert(item: T): void {
    const key = this.#key(item);
    this.#size++;
    let leaf = this.#leafFor(key);
    if (leaf < 0) {
      if (this.leaves.length === 0) {
        this.leaves.push({ items: [item], digest: undefined });
        return;
      }
      leaf = 0;
    }
    const { items } = this.leaves[leaf];
    const at = this.#key(items[0]) > key ? 0 : this.#indexIn(items, key) + 1;
    assert(at === 0 || this.#key(items[at - 1]) !== key, `two items with key ${key}`);
    items.push(item);
    for (let i = items.length - 1; i > at; i--) items[i] = items[i - 1];
    items[at] = item;
    if (items.length > LEAF_LIMIT) this.leaves.splice(leaf + 1, 0, { items: items.splice(LEAF_LIMIT >> 1), digest: undefined });
    this.#forget(leaf);
  }

  /** Takes out the item with exactly this key, which must be there. */
  remove(key: number): void {
    const leaf = this.#leafFor(key);
    const items = leaf < 0 ? [] : this.leaves[leaf].items;
    const at = leaf < 0 ? 0 : this.#indexIn(items, key);
    assert(at < items.length && this.#key(items[at]) === key, `no item with key ${key}`);
    this.#size--;
    for (let i = at; i < items.length - 1; i++) items[i] = items[i + 1];
    items.pop();
    const above = this.leaves[leaf + 1];
    if (items.length === 0) {
      this.leaves.splice(leaf, 1);
    } else if (above !== undefined && items.length + above.items.length <= LEAF_LIMIT >> 1) {
      items.push(...above.items);
      this.leaves.splice(leaf + 1, 1);
    }
    this.#forget(leaf);
  }

  /** Says that the item with this key changed in what the digest covers. */
  touched(key: number): void {
    this.#forget(this.#leafFor(key));
  }

  #forget(leaf: number): void {
    for (let i = Math.max(leaf, 0); i <= leaf + 2 && i < this.leaves.length; i++) this.leaves[i].digest = undefined;
  }

  *[Symbol.iterator](): Generator<T> {
    for (const leaf of this.leaves) yield* leaf.items;
  }
}
