/** What the three kinds of System V objects have in common: identifiers, keys, owners and rights. Linux: ipc/util.c. */
import { CAP_IPC_OWNER, CAP_SYS_ADMIN } from '../abi/capability.ts';
import { EACCES, EEXIST, EINVAL, ENOENT, ENOSPC, EPERM, errno } from '../abi/errno.ts';
import { INDEX_BITS, IPC_CREAT, IPC_EXCL, IPC_PRIVATE } from '../abi/ipc.ts';
import { capable, type Credentials } from './credentials.ts';

/** Indexes are handed out in a round of at least so many (ipc_min_cycle). */
const LEAST_ROUND = 64;

export interface IpcObject {
  readonly id: number;
  /** IPC_PRIVATE once nobody is to find it any more. */
  key: number;
  uid: number;
  gid: number;
  readonly cuid: number;
  readonly cgid: number;
  /** Permission bits, and the kind's own. */
  mode: number;
  /** Seconds since 1970. */
  ctime: number;
}

/** What a get call asks for. */
export interface IpcRequest {
  readonly key: number;
  readonly flags: number;
  readonly credentials: Credentials;
  /** Seconds since 1970. */
  readonly now: number;
}

export class IpcTable<T extends IpcObject> {
  private readonly objects: Map<number, T> = new Map();
  private readonly most: number;
  private sequence = 0;
  private lastIndex = -1;

  constructor(most: number) {
    this.most = most;
  }

  get size(): number {
    return this.objects.size;
  }

  /** By index, ascending. */
  all(): T[] {
    return [...this.objects.entries()].sort(([a], [b]) => a - b).map(([, object]) => object);
  }

  /** Throws EINVAL. */
  find(id: number): T {
    const object = this.objects.get(indexOf(id));
    if (id < 0 || object?.id !== id) throw errno(EINVAL);
    return object;
  }

  /** By what the STAT commands of ipcs count through: the index, whatever else is in the number. */
  atIndex(id: number): T {
    const object = this.objects.get(indexOf(id));
    if (object === undefined) throw errno(EINVAL);
    return object;
  }

  get highestIndex(): number {
    return Math.max(0, ...this.objects.keys());
  }

  /** The object of a key, or a new one. `check` throws where one that exists will not do. Linux: ipcget. */
  get(request: IpcRequest, check: (found: T) => void, make: (basis: Omit<IpcObject, 'mode'> & { mode: number }) => T, may: () => void): T {
    const { key, flags, credentials } = request;
    const found = key === IPC_PRIVATE ? undefined : this.all().find((object) => object.key === key);
    if (found === undefined) {
      if (key !== IPC_PRIVATE && (flags & IPC_CREAT) === 0) throw errno(ENOENT);
      may();
      if (this.objects.size >= this.most) throw errno(ENOSPC);
      const { euid: uid, egid: gid } = credentials;
      const id = this.freeId();
      const object = make({ id, key, uid, gid, cuid: uid, cgid: gid, mode: flags & 0o777, ctime: request.now });
      this.objects.set(indexOf(id), object);
      return object;
    }
    if ((flags & IPC_CREAT) !== 0 && (flags & IPC_EXCL) !== 0) throw errno(EEXIST);
    check(found);
    checkAccess(found, credentials, flags);
    return found;
  }

  delete(object: T): void {
    this.objects.delete(indexOf(object.id));
  }

  /** Linux ipc_idr_alloc: round and round, so that old identifiers stay invalid for long. */
  private freeId(): number {
    const round = Math.max(Math.floor((this.objects.size * 3) / 2), LEAST_ROUND);
    let index = this.lastIndex + 1;
    for (let tried = 0; ; tried++, index++) {
      if (index >= round) index = 0;
      if (!this.objects.has(index) || tried > this.most) break;
    }
    if (index <= this.lastIndex) this.sequence = (this.sequence + 1) & 0xffff;
    this.lastIndex = index;
    return (this.sequence << INDEX_BITS) | index;
  }
}

function indexOf(id: number): number {
  return id & ((1 << INDEX_BITS) - 1);
}

/** Linux ipcperms; `wanted` has the bits of one of the three triples. Throws EACCES. */
export function checkAccess(object: IpcObject, credentials: Credentials, wanted: number): void {
  const { uid, gid, cuid, cgid, mode } = object;
  const { euid, egid, groups } = credentials;
  const requested = (wanted >> 6) | (wanted >> 3) | wanted;
  const inGroup = [gid, cgid].some((group) => group === egid || groups.includes(group));
  const granted = euid === cuid || euid === uid ? mode >> 6 : inGroup ? mode >> 3 : mode;
  if ((requested & ~granted & 7) !== 0 && !capable(credentials, CAP_IPC_OWNER)) throw errno(EACCES);
}

/** Only owner and creator may change it. Throws EPERM. */
export function checkOwner(object: IpcObject, credentials: Credentials): void {
  const { euid } = credentials;
  if (euid !== object.uid && euid !== object.cuid && !capable(credentials, CAP_SYS_ADMIN)) throw errno(EPERM);
}
