/** System V shared memory segments of a machine: identifiers over memory objects. Who is attached is what is mapped, so fork, exec and exit need no help. */
import { CAP_IPC_OWNER, CAP_SYS_ADMIN } from '../abi/capability.ts';
import { EACCES, EEXIST, EINVAL, ENOENT, ENOMEM, ENOSPC, EPERM, errno } from '../abi/errno.ts';
import { INDEX_BITS, IPC_CREAT, IPC_EXCL, IPC_PRIVATE, SHM_DEST, SHM_NORESERVE, SHMMAX, SHMMNI } from '../abi/ipc.ts';
import { PAGE_SIZE, pageUp } from '../abi/page.ts';
import type { FramePool } from '../mm/frame.ts';
import { MemoryObject } from '../mm/object.ts';
import { type Pager, ZeroPager } from '../mm/pager.ts';
import { capable, type Credentials } from './credentials.ts';

/** Indexes are handed out in a round of at least so many (ipc_min_cycle). */
const LEAST_ROUND = 64;

export interface Segment {
  readonly id: number;
  /** IPC_PRIVATE once it is marked to be destroyed. */
  key: number;
  uid: number;
  gid: number;
  readonly cuid: number;
  readonly cgid: number;
  /** Permission bits and SHM_ bits. */
  mode: number;
  /** In bytes, as it was asked for. */
  readonly size: number;
  readonly object: MemoryObject;
  /** Seconds since 1970; 0: never. */
  atime: number;
  dtime: number;
  ctime: number;
  readonly cpid: number;
  lpid: number;
}

export interface Creation {
  readonly key: number;
  readonly size: number;
  readonly flags: number;
  readonly credentials: Credentials;
  readonly pid: number;
  readonly frames: FramePool;
  /** Seconds since 1970. */
  readonly now: number;
}

export class SharedMemory {
  private readonly segments: Map<number, Segment> = new Map();
  private sequence = 0;
  private lastIndex = -1;

  /** By index, ascending. */
  all(): Segment[] {
    return [...this.segments.entries()].sort(([a], [b]) => a - b).map(([, segment]) => segment);
  }

  /** The segment of an identifier. Throws EINVAL. */
  find(id: number): Segment {
    const segment = this.atIndex(id & ((1 << INDEX_BITS) - 1));
    if (id < 0 || segment.id !== id) throw errno(EINVAL);
    return segment;
  }

  atIndex(index: number): Segment {
    const segment = this.segments.get(index);
    if (segment === undefined) throw errno(EINVAL);
    return segment;
  }

  get highestIndex(): number {
    return Math.max(0, ...this.segments.keys());
  }

  /** The segment of a mapped object. */
  ofObject(object: MemoryObject): Segment | undefined {
    for (const segment of this.segments.values()) if (segment.object === object) return segment;
    return undefined;
  }

  /** shmget. */
  get(creation: Creation): Segment {
    const { key, size, flags, credentials } = creation;
    const found = key === IPC_PRIVATE ? undefined : [...this.segments.values()].find((segment) => segment.key === key);
    if (found === undefined) {
      if (key !== IPC_PRIVATE && (flags & IPC_CREAT) === 0) throw errno(ENOENT);
      return this.create(creation);
    }
    if ((flags & IPC_CREAT) !== 0 && (flags & IPC_EXCL) !== 0) throw errno(EEXIST);
    if (found.size < size) throw errno(EINVAL);
    checkAccess(found, credentials, flags);
    return found;
  }

  private create({ key, size, flags, credentials, pid, frames, now }: Creation): Segment {
    if (size < 1 || size > SHMMAX) throw errno(EINVAL);
    if (this.segments.size >= SHMMNI) throw errno(ENOSPC);
    const index = this.freeIndex();
    const id = (this.sequence << INDEX_BITS) | index;
    const pager = new SegmentPager(`/SYSV${key.toString(16).padStart(8, '0')} (deleted)`, id, () => this.segments.delete(index));
    const { commitment } = frames;
    const reserves = (flags & SHM_NORESERVE) === 0 || commitment.mode === 'strict';
    if (reserves && !commitment.allows(pageUp(size) / PAGE_SIZE, 0, capable(credentials, CAP_SYS_ADMIN))) throw errno(ENOMEM);
    const object = new MemoryObject({ frames, pager, size: pageUp(size), reserves });
    const { euid: uid, egid: gid } = credentials;
    const times = { atime: 0, dtime: 0, ctime: now };
    const segment = { id, key, uid, gid, cuid: uid, cgid: gid, mode: flags & 0o777, size, object, ...times, cpid: pid, lpid: 0 };
    this.segments.set(index, segment);
    return segment;
  }

  /** Linux ipc_idr_alloc: round and round, so that old identifiers stay invalid for long. */
  private freeIndex(): number {
    const round = Math.max(Math.floor((this.segments.size * 3) / 2), LEAST_ROUND);
    let index = this.lastIndex + 1;
    for (let tried = 0; ; tried++, index++) {
      if (index >= round) index = 0;
      if (!this.segments.has(index) || tried > SHMMNI) break;
    }
    if (index <= this.lastIndex) this.sequence = (this.sequence + 1) & 0xffff;
    this.lastIndex = index;
    return index;
  }

  /** IPC_RMID: nobody finds it by its key any more; it goes with its last mapping. */
  remove(segment: Segment): void {
    if ((segment.mode & SHM_DEST) !== 0) return;
    segment.mode |= SHM_DEST;
    segment.key = IPC_PRIVATE;
    segment.object.drop();
  }

  /** Pages of all segments, and those in memory. */
  pages(): { readonly total: number; readonly resident: number } {
    const all = this.all();
    return {
      total: all.reduce((sum, { object }) => sum + object.size / PAGE_SIZE, 0),
      resident: all.reduce((sum, { object }) => sum + object.pages.size, 0),
    };
  }
}

/** Linux ipcperms; `wanted` has the bits of one of the three triples. Throws EACCES. */
export function checkAccess(segment: Segment, credentials: Credentials, wanted: number): void {
  const { uid, gid, cuid, cgid, mode } = segment;
  const { euid, egid, groups } = credentials;
  const requested = (wanted >> 6) | (wanted >> 3) | wanted;
  const inGroup = [gid, cgid].some((group) => group === egid || groups.includes(group));
  const granted = euid === cuid || euid === uid ? mode >> 6 : inGroup ? mode >> 3 : mode;
  if ((requested & ~granted & 7) !== 0 && !capable(credentials, CAP_IPC_OWNER)) throw errno(EACCES);
}

/** Only owner and creator may change it. Throws EPERM. */
export function checkOwner(segment: Segment, credentials: Credentials): void {
  const { euid } = credentials;
  if (euid !== segment.uid && euid !== segment.cuid && !capable(credentials, CAP_SYS_ADMIN)) throw errno(EPERM);
}

/** Zeros, with the name and inode that maps shows. */
class SegmentPager extends ZeroPager implements Pager {
  override readonly identity: { readonly major: number; readonly minor: number; readonly inode: number };
  private readonly onRelease: () => void;

  constructor(name: string, id: number, onRelease: () => void) {
    super(name);
    this.identity = { major: 0, minor: 1, inode: id };
    this.onRelease = onRelease;
  }

  override release(): void {
    this.onRelease();
  }
}
