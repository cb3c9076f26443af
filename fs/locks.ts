/** File locks: byte ranges of fcntl (owned by a process) and of open file descriptions, and whole files by flock. They bind guests of one machine. */
import { F_RDLCK, F_UNLCK, F_WRLCK } from '../abi/fcntl.ts';
import { Waiters } from './wait.ts';

/** Whoever holds a lock: a process, or a description. Compared by identity. */
export type LockOwner = object;

export interface LockRange {
  readonly start: number;
  /** Exclusive; Infinity: to the end of the file however long it gets. */
  readonly end: number;
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

  private of(key: string): FileLocks {
    let locks = this.files.get(key);
    if (locks === undefined) this.files.set(key, (locks = { ranges: [], whole: new Map() }));
    return locks;
  }

  /** The first lock that stands in the way of one of this type, or undefined. */
  conflict(
    key: string,
    owner: LockOwner,
    type: number,
    range: LockRange,
  ): { readonly type: number; readonly range: LockRange; readonly pid: number } | undefined {
    const found = this.files
      .get(key)
      ?.ranges.find(
        (lock) => lock.owner !== owner && lock.start < range.end && range.start < lock.end && (lock.exclusive || type === F_WRLCK),
      );
    return found && { type: found.exclusive ? F_WRLCK : F_RDLCK, range: { start: found.start, end: found.end }, pid: found.pid };
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
    if (type !== F_UNLCK) kept.push({ owner, exclusive: type === F_WRLCK, pid, start: range.start, end: range.end });
    ranges.splice(0, ranges.length, ...kept);
    this.tidy(key);
    this.released.wakeAll();
    return true;
  }

  /** flock: false where another description is in the way. */
  lockWhole(key: string, owner: LockOwner, kind: 'shared' | 'exclusive' | 'none', pid = 0): boolean {
    const { whole } = this.of(key);
    for (const [other, held] of whole)
      if (other !== owner && kind !== 'none' && (kind === 'exclusive' || held.kind === 'exclusive')) return false;
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
    this.set(key, owner, F_UNLCK, { start: 0, end: Infinity }, 0);
    this.lockWhole(key, owner, 'none');
  }

  *all(): Generator<LockEntry> {
    for (const [key, { ranges, whole }] of this.files) {
      for (const [owner, { kind, pid }] of whole)
        yield { key, kind: 'FLOCK', owner, exclusive: kind === 'exclusive', pid, start: 0, end: Infinity };
      for (const lock of ranges) yield { key, kind: lock.pid < 0 ? 'OFDLCK' : 'POSIX', ...lock };
    }
  }

  private tidy(key: string): void {
    const locks = this.files.get(key);
    if (locks !== undefined && locks.ranges.length === 0 && locks.whole.size === 0) this.files.delete(key);
  }
}
