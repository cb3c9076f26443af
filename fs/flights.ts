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
  /** A look for lost sockets waits until everything has fallen. */
  private isDue = false;
  /** Sockets that have been closed since the last look. */
  private closes = 0;

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
    if (this.isDue) this.collect();
  }

  /** A socket is closed: others may be lost by that. Where many are under way it is not looked after each. */
  closed(): void {
    if (this.flying.size === 0 || ++this.closes * CLOSES_PER_LOOK < this.flying.size) return;
    this.collect();
  }

  /** Empties the queues of sockets that only messages in such queues refer to. Takes time by the number of descriptors under way. */
  private collect(): void {
    this.isDue = this.isFalling;
    if (this.isFalling) return;
    this.closes = 0;
    const lost = this.unreferred();
    if (lost.size === 0) return;
    const carried = this.carried();
    // Who is held by somebody that is not lost is not lost either, nor is whom it holds.
    const found = [...lost].filter(([, right]) => [...(this.flying.get(right)?.keys() ?? [])].some((holder) => !lost.has(ownerOf(holder))));
    for (const [socket] of found) lost.delete(socket);
    for (let next = found.pop(); next !== undefined; next = found.pop()) {
      for (const right of carried.get(next[0]) ?? []) if (lost.delete(right.file)) found.push([right.file, right]);
    }
    for (const socket of lost.keys()) (socket as Holder).purge();
  }

  /** Sockets that only messages refer to. */
  private unreferred(): Map<unknown, Description> {
    const found = new Map<unknown, Description>();
    for (const [right, holders] of this.flying) {
      if (right.isPathOnly || !isHolder(right.file)) continue;
      let flying = 0;
      for (const count of holders.values()) flying += count;
      if (right.uses === flying) found.set(right.file, right);
    }
    return found;
  }

  /** What is in whose queue. */
  private carried(): Map<unknown, Description[]> {
    const carried = new Map<unknown, Description[]>();
    for (const [right, holders] of this.flying) {
      for (const holder of holders.keys()) {
        const owner = ownerOf(holder);
        const rights = carried.get(owner);
        if (rights === undefined) carried.set(owner, [right]);
        else rights.push(right);
      }
    }
    return carried;
  }
}

/** One look goes through all that is under way: so many closes pay for it that each pays for few. */
const CLOSES_PER_LOOK = 64;

function isHolder(file: unknown): file is Holder {
  return typeof (file as Partial<Holder>).purge === 'function';
}

/** Who must be reachable for what a holder holds to be so. */
function ownerOf(holder: Holder): Holder {
  return holder.awaits ?? holder;
}
