/** A queue of things that are due at a time: a binary heap whose outdated entries are skipped when they come up. */

/** Something with a due time. */
export interface Expirable {
  /** Monotonic nanoseconds; undefined: not due at all any more. */
  readonly due: bigint | undefined;
  /** The time has come. May enter itself again. */
  expire(now: bigint): void;
}

interface Entry {
  readonly at: bigint;
  readonly item: Expirable;
}

/** Up to here outdated entries are left alone. */
const SMALL = 1024;

export class Deadlines {
  private heap: Entry[] = [];
  /** At this size outdated entries are looked for: a program that sets a far timer again and again leaves one each time. */
  private crowded: number = SMALL;

  /** Enters `item` at its current due time. A former entry with another time dies by itself. */
  add(item: Expirable): void {
    if (item.due === undefined) return;
    if (this.heap.length >= this.crowded) this.tidy();
    const { heap } = this;
    heap.push({ at: item.due, item });
    let i = heap.length - 1;
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if (heap[parent].at <= heap[i].at) break;
      swap(heap, i, parent);
      i = parent;
    }
  }

  /** The earliest time at which something is due. */
  next(): bigint | undefined {
    while (this.heap.length > 0 && this.heap[0].item.due !== this.heap[0].at) this.pop();
    return this.heap[0]?.at;
  }

  /** Expires everything due by `now`. Things that enter themselves again for a time already past wait for the next call. */
  expire(now: bigint): void {
    const due: Expirable[] = [];
    for (let at = this.next(); at !== undefined && at <= now; at = this.next()) due.push(this.pop().item);
    for (const item of due) {
      if (item.due !== undefined && item.due <= now) item.expire(now);
    }
  }

  /** Number of entries, outdated ones included. */
  get size(): number {
    return this.heap.length;
  }

  /** Keeps one entry an item, and of those the ones that are not outdated. What is sorted is a heap. */
  private tidy(): void {
    const current = new Map<Expirable, Entry>();
    for (const entry of this.heap) if (entry.item.due === entry.at) current.set(entry.item, entry);
    this.heap = [...current.values()].sort((a, b) => (a.at < b.at ? -1 : a.at > b.at ? 1 : 0));
    this.crowded = Math.max(SMALL, 2 * this.heap.length);
  }

  private pop(): Entry {
    const { heap } = this;
    const top = heap[0];
    const last = heap.pop() as Entry;
    if (heap.length > 0) {
      heap[0] = last;
      let i = 0;
      for (;;) {
        let least = i;
        for (const child of [2 * i + 1, 2 * i + 2]) {
          if (child < heap.length && heap[child].at < heap[least].at) least = child;
        }
        if (least === i) break;
        swap(heap, i, least);
        i = least;
      }
    }
    return top;
  }
}

function swap(heap: Entry[], a: number, b: number): void {
  const entry = heap[a];
  heap[a] = heap[b];
  heap[b] = entry;
}
