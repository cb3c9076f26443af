/** Leases on files (F_SETLEASE): who is to be told before somebody else opens a file, and until when openers wait. Linux: fs/locks.c. */
import { EAGAIN, errno } from '../abi/errno.ts';
import { F_RDLCK, F_UNLCK, F_WRLCK } from '../abi/fcntl.ts';
import type { Description } from './description.ts';
import { Waiters } from './wait.ts';

/** fs.lease-break-time. */
const BREAK_TIME_NS = 45_000_000_000n;

interface Lease {
  readonly description: Description;
  type: number;
  /** What it is to become, and when it does so by itself. */
  breaking: { readonly to: number; readonly until_ns: bigint } | undefined;
  /** Tells the holder. */
  readonly tell: () => void;
}

/** Who has the file open. */
export interface Openings {
  readonly all: number;
  readonly writers: number;
}

export class Leases {
  /** Wakes openers: a lease has gone, or been weakened. */
  readonly changed: Waiters = new Waiters();
  private readonly byFile: Map<string, Lease[]> = new Map();

  /** F_GETLEASE: what it is, or is to become. */
  typeOf(description: Description): number {
    const lease = this.find(description);
    return lease === undefined ? F_UNLCK : (lease.breaking?.to ?? lease.type);
  }

  private find(description: Description): Lease | undefined {
    return this.byFile.get(description.vnode.key)?.find((lease) => lease.description === description);
  }

  /** Throws EAGAIN where others have the file open in a way that does not go with it. */
  set(description: Description, type: number, { all, writers }: Openings, tell: () => void): void {
    const { key } = description.vnode;
    const own = this.find(description);
    if ((type === F_RDLCK && writers > 0) || (type === F_WRLCK && all > 1)) throw errno(EAGAIN);
    if (own?.breaking !== undefined && (own.breaking.to === F_UNLCK || type === F_WRLCK)) throw errno(EAGAIN);
    const others = (this.byFile.get(key) ?? []).filter((lease) => lease !== own);
    if (others.length > 0 && (type === F_WRLCK || others.some((lease) => lease.type === F_WRLCK))) throw errno(EAGAIN);
    this.byFile.set(key, [...others, { description, type, breaking: undefined, tell }]);
    this.changed.wakeAll();
  }

  /** False: there was none. */
  remove(description: Description): boolean {
    const { key } = description.vnode;
    const leases = this.byFile.get(key);
    const left = leases?.filter((lease) => lease.description !== description);
    if (leases === undefined || left === undefined || left.length === leases.length) return false;
    if (left.length > 0) this.byFile.set(key, left);
    else this.byFile.delete(key);
    this.changed.wakeAll();
    return true;
  }

  /** Somebody opens the file: tells holders whose leases stand against it. Returns until when it waits at most; undefined: no need. */
  break(key: string, writes: boolean, now_ns: bigint): bigint | undefined {
    if (this.byFile.size === 0) return undefined;
    let until: bigint | undefined;
    for (const lease of [...(this.byFile.get(key) ?? [])]) {
      if (!writes && lease.type === F_RDLCK) continue;
      const to = writes ? F_UNLCK : F_RDLCK;
      if (lease.breaking === undefined || (to === F_UNLCK && lease.breaking.to !== F_UNLCK)) {
        lease.breaking = { to, until_ns: now_ns + BREAK_TIME_NS };
        lease.tell();
      }
      if (lease.breaking.until_ns > now_ns) until = lease.breaking.until_ns;
      else if (lease.breaking.to === F_UNLCK) this.remove(lease.description);
      else [lease.type, lease.breaking] = [F_RDLCK, undefined];
    }
    return until;
  }
}
