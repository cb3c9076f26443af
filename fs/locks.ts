/** File locks: byte ranges of fcntl (owned by a process) and of open file descriptions, and whole files by flock. They bind guests of one machine. */
import { EDEADLK, ENOLCK, errno } from '../abi/errno.ts';
import { F_RDLCK, F_UNLCK, F_WRLCK } from '../abi/fcntl.ts';
import { Waiters } from './wait.ts';

/** Ranges one file may have locked: looking for what is in the way must stay short. */
const MOST_RANGES = 10_000;

/** Whoever holds a lock: a process (by its table of descriptors, which its threads share), or a description. Compared by identity. */
export type LockOwner = object;

/** The end of a range that goes to the end of the file however long it gets. */
export const LOCK_END = 1n << 63n;

export interface LockRange {
  readonly start: bigint;
  /** Exclusive. */
  readonly end: bigint;
}

interface Lock extends LockRange {
  readonly owner: LockOwner;
  readonly exclusive: boolean;
  /** Process id for F_GETLK; -1 for locks of descriptions. */
  readonly pid: number;
}

interface FileLocks {
  readonly ranges: Lock[];
  readonly whole: Map<LockOwner, { readonly kind: 'shared' | 'exclusive'; readonly pid: number }>;
}

/** A lock as /proc/locks tells of it. */
export interface LockEntry extends LockRange {
  /** The vnode's. */
  readonly key: string;
  readonly kind: 'POSIX' | 'OFDLCK' | 'FLOCK';
  readonly owner: LockOwner;
  readonly exclusive: boolean;
  readonly pid: number;
}

/** Locks of all files, by vnode key. */
export class LockTable {
  /** Wakes whenever a lock is given back. */
  readonly released: Waiters = new Waiters();
  private readonly files: Map<string, FileLocks> = new Map();
  /** Processes that wait for a range, and who holds it. */
  private readonly waiting: Map<LockOwner, LockOwner> = new Map();

  private of(key: string): FileLocks {
    let locks = this.files.get(key);
    if (locks === undefined) this.files.set(key, (locks = { ranges: [], whole: new Map() }));
    return locks;
  }

  /** The first lock that stands in the way of one of this type, or undefined. F_UNLCK asks for the owner's own. */
  conflict(
    key: string,
    owner: LockOwner,
    type: number,
    range: LockRange,
  ): { readonly type: number; readonly range: LockRange; readonly pid: number; readonly owner: LockOwner } | undefined {
    const found = this.files
      .get(key)
      ?.ranges.find(
        (lock) =>
          lock.start < range.end &&
          range.start < lock.end &&
          (type === F_UNLCK ? lock.owner === owner : lock.owner !== owner && (lock.exclusive || type === F_WRLCK)),
      );
    const { exclusive, start, end, pid } = found ?? { exclusive: false, start: 0n, end: 0n, pid: 0 };
    return found && { type: exclusive ? F_WRLCK : F_RDLCK, range: { start, end }, pid, owner: found.owner };
  }

  /** Sets or clears a lock; false (and nothing changed) where another is in the way. */
  set(key: string, owner: LockOwner, type: number, range: LockRange, pid: number): boolean {
    if (type !== F_UNLCK && this.conflict(key, owner, type, range) !== undefined) return false;
    const { ranges } = this.of(key);
    const kept: Lock[] = [];
    for (const lock of ranges) {
      if (lock.owner !== owner || lock.end <= range.start || range.end <= lock.start) {
        kept.push(lock);
        continue;
      }
      if (lock.start < range.start) kept.push({ ...lock, end: range.start });
      if (range.end < lock.end) kept.push({ ...lock, start: range.end });
    }
    if (type !== F_UNLCK) addMerged(kept, { owner, exclusive: type === F_WRLCK, pid, start: range.start, end: range.end });
    if (kept.length > Math.max(MOST_RANGES, ranges.length)) throw errno(ENOLCK);
    ranges.splice(0, ranges.length, ...kept);
    this.tidy(key);
    this.released.wakeAll();
    return true;
  }

  /** A process is about to wait for whoever holds a range. Throws EDEADLK where that one waits for it, by however many others. */
  waitFor(owner: LockOwner, holder: LockOwner): void {
    for (let at: LockOwner | undefined = holder; at !== undefined; at = this.waiting.get(at)) if (at === owner) throw errno(EDEADLK);
    this.waiting.set(owner, holder);
  }

  /** It has its lock, or has given up. */
  waitOver(owner: LockOwner): void {
    this.waiting.delete(owner);
  }

  /** flock: false where another description is in the way; what the description had is then lost, as on Linux. */
  lockWhole(key: string, owner: LockOwner, kind: 'shared' | 'exclusive' | 'none', pid = 0): boolean {
    const { whole } = this.of(key);
    for (const [other, held] of whole)
      if (other !== owner && kind !== 'none' && (kind === 'exclusive' || held.kind === 'exclusive')) {
        if (whole.has(owner) && whole.get(owner)?.kind !== kind) this.lockWhole(key, owner, 'none');
        return false;
      }
    if (kind === 'none') whole.delete(owner);
    else whole.set(owner, { kind, pid });
    this.tidy(key);
    this.released.wakeAll();
    return true;
  }

  /** Gives back every lock an owner has on a file: a process does at each close of any of its descriptors of it (fcntl(2)). */
  releaseAll(key: string, owner: LockOwner): void {
    const locks = this.files.get(key);
    if (locks === undefined) return;
    this.set(key, owner, F_UNLCK, { start: 0n, end: LOCK_END }, 0);
    this.lockWhole(key, owner, 'none');
  }

  *all(): Generator<LockEntry> {
    for (const [key, { ranges, whole }] of this.files) {
      for (const [owner, { kind, pid }] of whole)
        yield { key, kind: 'FLOCK', owner, exclusive: kind === 'exclusive', pid, start: 0n, end: LOCK_END };
      for (const lock of ranges) yield { key, kind: lock.pid < 0 ? 'OFDLCK' : 'POSIX', ...lock };
    }
  }

  private tidy(key: string): void {
    const locks = this.files.get(key);
    if (locks !== undefined && locks.ranges.length === 0 && locks.whole.size === 0) this.files.delete(key);
  }
}

/** Neighbours of the same kind and owner are one lock. */
function addMerged(locks: Lock[], added: Lock): void {
  let { start, end } = added;
  for (let i = locks.length - 1; i >= 0; i--) {
    const lock = locks[i];
    if (lock.owner !== added.owner || lock.exclusive !== added.exclusive || lock.end < start || end < lock.start) continue;
    if (lock.start < start) start = lock.start;
    if (lock.end > end) end = lock.end;
    locks.splice(i, 1);
  }
  locks.push({ ...added, start, end });
}
