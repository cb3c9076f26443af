/**
 * Descriptors on their way in messages (SCM_RIGHTS): how many each user has under way, and the finding of sockets that nobody but messages in their own
 * queues refers to. Linux: net/unix/garbage.c.
 */
import type { Description } from './description.ts';

/** A socket whose queue holds messages. */
export interface Holder {
  /** The listener whose queue it waits in; undefined once it was accepted. */
  readonly awaits: Holder | undefined;
  /** Lets go of what its queue holds. */
  purge(): void;
}

export class Flights {
  private readonly byUser: Map<number, number> = new Map();
  /** Who holds how many references to each. */
  private readonly flying: Map<Description, Map<Holder, number>> = new Map();
  private readonly fallen: Description[] = [];
  private isFalling = false;

  /** Descriptors that a user has under way. */
  of(uid: number): number {
    return this.byUser.get(uid) ?? 0;
  }

  depart(rights: readonly Description[], holder: Holder, uid: number): void {
    if (rights.length === 0) return;
    this.byUser.set(uid, this.of(uid) + rights.length);
    for (const right of rights) {
      let holders = this.flying.get(right);
      if (holders === undefined) this.flying.set(right, (holders = new Map()));
      holders.set(holder, (holders.get(holder) ?? 0) + 1);
    }
  }

  /** They have left the holder's queue. */
  arrive(rights: readonly Description[], holder: Holder, uid: number): void {
    if (rights.length === 0) return;
    const left = this.of(uid) - rights.length;
    if (left > 0) this.byUser.set(uid, left);
    else this.byUser.delete(uid);
    for (const right of rights) {
      const holders = this.flying.get(right);
      const count = (holders?.get(holder) ?? 0) - 1;
      if (count > 0) holders?.set(holder, count);
      else holders?.delete(holder);
      if (holders?.size === 0) this.flying.delete(right);
    }
  }

  /** Gives up references, one after the other: what one of them closes may hold more, in a chain of any length. */
  drop(rights: readonly Description[]): void {
    this.fallen.push(...rights);
    if (this.isFalling) return;
    this.isFalling = true;
    try {
      for (let right = this.fallen.pop(); right !== undefined; right = this.fallen.pop()) right.release();
    } finally {
      this.isFalling = false;
    }
  }

  /** Empties the queues of sockets that only messages in such queues refer to. */
  collect(): void {
    const lost = new Map<unknown, Description>();
    for (const [right, holders] of this.flying) {
      const flying = [...holders.values()].reduce((sum, count) => sum + count, 0);
      if (!right.isPathOnly && isHolder(right.file) && right.uses === flying) lost.set(right.file, right);
    }
    if (lost.size === 0) return;
    for (let found = true; found; ) {
      found = false;
      for (const [socket, right] of lost) {
        const holders = [...(this.flying.get(right)?.keys() ?? [])];
        if (holders.every((holder) => lost.has(ownerOf(holder)))) continue;
        lost.delete(socket);
        found = true;
      }
    }
    for (const socket of lost.keys()) (socket as Holder).purge();
  }
}

function isHolder(file: unknown): file is Holder {
  return typeof (file as Partial<Holder>).purge === 'function';
}

/** Who must be reachable for what a holder holds to be so. */
function ownerOf(holder: Holder): Holder {
  return holder.awaits ?? holder;
}
