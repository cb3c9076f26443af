/** How many tasks use what tasks may share (memory, files, places, signal actions): the end of the last one is the end of the thing. */
export class Users {
  private readonly counts: Map<object, number> = new Map();
  private readonly ranks: WeakMap<object, number> = new WeakMap();
  private ranked = 0;

  count(thing: object): number {
    return this.counts.get(thing) ?? 0;
  }

  shared(thing: object): boolean {
    return this.count(thing) > 1;
  }

  add(thing: object): void {
    this.counts.set(thing, this.count(thing) + 1);
  }

  /** Returns whether nobody uses it any more. */
  drop(thing: object): boolean {
    const left = this.count(thing) - 1;
    if (left > 0) this.counts.set(thing, left);
    else this.counts.delete(thing);
    return left <= 0;
  }

  /** A place in an order of all things, as kcmp needs it. */
  rank(thing: object): number {
    const rank = this.ranks.get(thing) ?? this.ranked++;
    this.ranks.set(thing, rank);
    return rank;
  }
}
