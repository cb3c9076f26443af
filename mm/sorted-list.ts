/**
 * A list kept in order of a numeric key, as a row of short leaves: finding is two binary searches, changing moves at most a leaf. Keys lie beside the items in
 * flat arrays, so that a search in a large list touches few cache lines.
 */
import { assert } from '../abi/assert.ts';

const LEAF_LIMIT = 128;

export class Leaf<T> {
  /** The keys of the items, and behind them unused room. */
  readonly keys = new Float64Array(LEAF_LIMIT);
  readonly items: T[] = [];
  /** For the user's own digest of the leaf; -1 whenever the leaf, or the end of the one before it, changed. */
  digest = -1;
}

/** Keys are distinct and at least 0. */
export class SortedList<T> {
  readonly leaves: Leaf<T>[] = [];
  /** The first key of each leaf. */
  readonly #firsts: number[] = [];
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get first(): T | undefined {
    return this.#size === 0 ? undefined : this.leaves[0].items[0];
  }

  get last(): T | undefined {
    if (this.#size === 0) return undefined;
    const { items } = this.leaves[this.leaves.length - 1];
    return items[items.length - 1];
  }

  /** Index of the last leaf whose first key is at most `key`; -1 when all are greater. */
  #leafFor(key: number): number {
    const firsts = this.#firsts;
    let low = 0;
    let high = firsts.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (firsts[middle] <= key) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  /** Index within a leaf of the last item whose key is at most `key`. Requires: the first one's is. */
  #indexIn(leaf: Leaf<T>, key: number): number {
    const { keys } = leaf;
    let low = 1;
    let high = leaf.items.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (keys[middle] <= key) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  /** The item with the greatest key that is at most `key`. */
  atOrBelow(key: number): T | undefined {
    const at = this.#leafFor(key);
    if (at < 0) return undefined;
    const leaf = this.leaves[at];
    return leaf.items[this.#indexIn(leaf, key)];
  }

  /** The item with the smallest key that is at least `key`. */
  atOrAbove(key: number): T | undefined {
    const number = this.#leafFor(key);
    if (number < 0) return this.first;
    const leaf = this.leaves[number];
    const at = this.#indexIn(leaf, key);
    if (leaf.keys[at] === key) return leaf.items[at];
    if (at + 1 < leaf.items.length) return leaf.items[at + 1];
    return number + 1 < this.leaves.length ? this.leaves[number + 1].items[0] : undefined;
  }

  /** The item just below the one with exactly this key, or below where it would be. */
  before(key: number): T | undefined {
    const number = this.#leafFor(key);
    if (number < 0) return undefined;
    const leaf = this.leaves[number];
    const at = this.#indexIn(leaf, key);
    if (leaf.keys[at] < key) return leaf.items[at];
    if (at > 0) return leaf.items[at - 1];
    if (number === 0) return undefined;
    const { items } = this.leaves[number - 1];
    return items[items.length - 1];
  }

  insert(key: number, item: T): void {
    if (this.leaves.length === 0) {
      this.leaves.push(new Leaf<T>());
      this.#firsts.push(key);
    }
    let number = Math.max(this.#leafFor(key), 0);
    if (this.leaves[number].items.length === LEAF_LIMIT) {
      this.#split(number, key > this.leaves[number].keys[LEAF_LIMIT - 1]);
      if (this.#firsts[number + 1] <= key) number++;
    }
    const leaf = this.leaves[number];
    const { keys, items } = leaf;
    const at = items.length === 0 || keys[0] > key ? 0 : this.#indexIn(leaf, key) + 1;
    assert(at === 0 || keys[at - 1] !== key, 'keys are distinct');
    items.push(item);
    for (let i = items.length - 1; i > at; i--) {
      items[i] = items[i - 1];
      keys[i] = keys[i - 1];
    }
    items[at] = item;
    keys[at] = key;
    if (at === 0) this.#firsts[number] = key;
    this.#size++;
    this.#forget(number);
  }

  /** Makes room: the upper half of a full leaf moves to a new one; with `atEnd`, little does, since what is added in order comes behind it. */
  #split(number: number, atEnd: boolean): void {
    const leaf = this.leaves[number];
    const from = atEnd ? LEAF_LIMIT - 1 : LEAF_LIMIT >> 1;
    const above = new Leaf<T>();
    above.keys.set(leaf.keys.subarray(from));
    above.items.push(...leaf.items.splice(from));
    this.leaves.splice(number + 1, 0, above);
    this.#firsts.splice(number + 1, 0, above.keys[0]);
  }

  /** Takes out the item with exactly this key, which must be there. */
  remove(key: number): void {
    const number = this.#leafFor(key);
    assert(number >= 0, 'a removed key is there');
    const leaf = this.leaves[number];
    const { keys, items } = leaf;
    const at = this.#indexIn(leaf, key);
    assert(keys[at] === key, 'a removed key is there');
    for (let i = at; i < items.length - 1; i++) {
      items[i] = items[i + 1];
      keys[i] = keys[i + 1];
    }
    items.pop();
    this.#size--;
    if (items.length === 0) this.#dropLeaf(number);
    else {
      this.#firsts[number] = keys[0];
      this.#join(number);
    }
    this.#forget(number);
  }

  /** Takes the next leaf's items over where both together are small. */
  #join(number: number): void {
    const leaf = this.leaves[number];
    const above = this.leaves[number + 1];
    if (above === undefined || leaf.items.length + above.items.length > LEAF_LIMIT >> 1) return;
    leaf.keys.set(above.keys.subarray(0, above.items.length), leaf.items.length);
    leaf.items.push(...above.items);
    this.#dropLeaf(number + 1);
  }

  #dropLeaf(number: number): void {
    this.leaves.splice(number, 1);
    this.#firsts.splice(number, 1);
  }

  /** Gives the item with key `from` the key `to`. Requires: the order stays. */
  rekey(from: number, to: number): void {
    const number = this.#leafFor(from);
    const leaf = this.leaves[number];
    const at = this.#indexIn(leaf, from);
    assert(leaf.keys[at] === from, 'a changed key is there');
    leaf.keys[at] = to;
    if (at === 0) this.#firsts[number] = to;
    this.#forget(number);
  }

  #forget(number: number): void {
    const end = Math.min(number + 2, this.leaves.length - 1);
    for (let i = Math.max(number, 0); i <= end; i++) this.leaves[i].digest = -1;
  }

  *[Symbol.iterator](): Generator<T> {
    for (const leaf of this.leaves) yield* leaf.items;
  }
}
