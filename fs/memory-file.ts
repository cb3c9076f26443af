/** Open files and directories of a memory file system. */
import { ENODEV, EPERM, errno } from '../abi/errno.ts';
import { canWrite, F_SEAL_GROW, FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE } from '../abi/fcntl.ts';
import { POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM } from '../abi/poll.ts';
import type { MemoryObject } from '../mm/object.ts';
import type { OpenFile, Vnode } from './vnode.ts';

/** A regular file as its open files know it. */
export interface MemoryNode extends Vnode {
  readonly size: number;
  readonly nlink: number;
  readonly seals: number;
  /** Open files, and those that may write. */
  opens: number;
  writers: number;
  read(into: Uint8Array, position: number): number;
  write(from: Uint8Array, position: number): number;
  punch(base: number, top: number): void;
  reserve(base: number, top: number): void;
  pages(): MemoryObject | undefined;
  retire(): void;
}

const READY = POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM;

export class MemFile implements OpenFile {
  readonly vnode: MemoryNode;
  readonly seekable = true;
  private readonly mayWrite: boolean;

  constructor(vnode: MemoryNode, flags: number) {
    this.vnode = vnode;
    this.mayWrite = canWrite(flags);
    vnode.opens++;
    if (this.mayWrite) vnode.writers++;
  }

  read(into: Uint8Array, position: number): number {
    return this.vnode.read(into, position);
  }

  write(from: Uint8Array, position: number): number {
    return this.vnode.write(from, position);
  }

  append(from: Uint8Array): number {
    return this.vnode.write(from, this.vnode.size);
  }

  poll(): number {
    return READY;
  }

  size(): number {
    return this.vnode.size;
  }

  get nameless(): boolean {
    return this.vnode.nlink === 0;
  }

  truncate(size: number): void {
    this.vnode.truncate(size);
  }

  readonly allocates: number = FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE;

  allocate(mode: number, offset: number, size: number): void {
    if (mode & FALLOC_FL_PUNCH_HOLE) return this.vnode.punch(offset, offset + size);
    const end = this.size();
    if (this.vnode.seals & F_SEAL_GROW && offset + size > end) throw errno(EPERM);
    if (!(mode & FALLOC_FL_KEEP_SIZE) && offset + size > end) this.truncate(offset + size);
    this.vnode.reserve(offset, offset + size);
  }

  nextRun(offset: number, data: boolean): number {
    const object = this.vnode.pages();
    return object === undefined ? (data ? offset : this.size()) : object.nextRun(offset, data);
  }

  sync(): void {}

  memoryObject(name: string): MemoryObject {
    const object = this.vnode.pages();
    if (object === undefined) throw errno(ENODEV);
    object.pager.rename?.(name);
    return object;
  }

  close(): void {
    this.vnode.opens--;
    if (this.mayWrite) this.vnode.writers--;
    this.vnode.retire();
  }
}
