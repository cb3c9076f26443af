/** System V shared memory segments of a machine: identifiers over memory objects. Who is attached is what is mapped, so fork, exec and exit need no help. */
import { CAP_SYS_ADMIN } from '../abi/capability.ts';
import { EINVAL, ENOMEM, errno } from '../abi/errno.ts';
import { IPC_PRIVATE, SHM_DEST, SHM_NORESERVE, SHMMAX, SHMMNI } from '../abi/ipc.ts';
import { PAGE_SIZE, pageUp } from '../abi/page.ts';
import type { FramePool } from '../mm/frame.ts';
import { MemoryObject } from '../mm/object.ts';
import { type Pager, ZeroPager } from '../mm/pager.ts';
import { capable } from './credentials.ts';
import { type IpcObject, type IpcRequest, IpcTable } from './ipc-table.ts';

/** Its mode has SHM_ bits too. */
export interface Segment extends IpcObject {
  /** In bytes, as it was asked for. */
  readonly size: number;
  readonly object: MemoryObject;
  /** Seconds since 1970; 0: never. */
  atime: number;
  dtime: number;
  readonly cpid: number;
  lpid: number;
  /** Whose locked memory it counts as (SHM_LOCK). */
  lockedBy: number | undefined;
}

export interface Creation extends IpcRequest {
  readonly size: number;
  readonly pid: number;
  readonly frames: FramePool;
}

export class SharedMemory {
  readonly table: IpcTable<Segment> = new IpcTable(SHMMNI);

  /** The segment of a mapped object. */
  ofObject(object: MemoryObject): Segment | undefined {
    return this.table.all().find((segment) => segment.object === object);
  }

  /** shmget. */
  get(creation: Creation): Segment {
    const { size, pid, frames, flags, credentials } = creation;
    const { commitment } = frames;
    const reserves = (flags & SHM_NORESERVE) === 0 || commitment.mode === 'strict';
    return this.table.get(
      creation,
      (found) => {
        if (found.size < size) throw errno(EINVAL);
      },
      (basis) => {
        const name = `/SYSV${basis.key.toString(16).padStart(8, '0')} (deleted)`;
        const pager = new SegmentPager(name, basis.id, () => this.table.delete(segment));
        const object = new MemoryObject({ frames, pager, size: pageUp(size), reserves });
        const segment: Segment = { ...basis, size, object, atime: 0, dtime: 0, cpid: pid, lpid: 0, lockedBy: undefined };
        return segment;
      },
      () => {
        if (size < 1 || size > SHMMAX) throw errno(EINVAL);
        if (reserves && !commitment.allows(pageUp(size) / PAGE_SIZE, 0, capable(credentials, CAP_SYS_ADMIN))) throw errno(ENOMEM);
      },
    );
  }

  /** IPC_RMID: nobody finds it by its key any more; it goes with its last mapping. */
  remove(segment: Segment): void {
    if ((segment.mode & SHM_DEST) !== 0) return;
    segment.mode |= SHM_DEST;
    segment.key = IPC_PRIVATE;
    segment.object.drop();
  }

  /** Pages of the segments that a user has locked, which RLIMIT_MEMLOCK counts apart from those that mlock has. */
  lockedPages(uid: number): number {
    return this.table.all().reduce((sum, { lockedBy, size }) => sum + (lockedBy === uid ? pageUp(size) / PAGE_SIZE : 0), 0);
  }

  /** Pages of all segments, and those in memory. */
  pages(): { readonly total: number; readonly resident: number } {
    const all = this.table.all();
    return {
      total: all.reduce((sum, { object }) => sum + object.size / PAGE_SIZE, 0),
      resident: all.reduce((sum, { object }) => sum + object.pages.size, 0),
    };
  }
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
