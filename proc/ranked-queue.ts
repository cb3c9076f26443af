/** Ready tasks that run before all others (real-time policies), the highest rank first, those of one rank in the order in which they came. */

export class RankedQueue<T extends { readonly rank: number }> {
  private readonly queues: Set<T>[] = [];
  private count = 0;

  get size(): number {
    return this.count;
  }

  /** Behind all of its rank, which is above 0 and not above 100. */
  add(task: T): void {
    this.queues[task.rank] ??= new Set();
    this.queues[task.rank].add(task);
    this.count++;
  }

  /** Before all of its rank. */
  addFirst(task: T): void {
    this.queues[task.rank] = new Set([task, ...(this.queues[task.rank] ?? [])]);
    this.count++;
  }

  /** Whether it was there, with that rank. */
  delete(task: T, rank: number): boolean {
    const found = this.queues[rank]?.delete(task) ?? false;
    if (found) this.count--;
    return found;
  }

  /** The first of the highest rank. */
  get first(): T | undefined {
    if (this.count === 0) return undefined;
    for (let rank = this.queues.length - 1; rank > 0; rank--) {
      for (const task of this.queues[rank] ?? []) return task;
    }
    return undefined;
  }
}
