/** Open files of the host: regular ones and directories. */
import { TMPFS_MAGIC } from '../abi/magic.ts';
import { EINVAL, EISDIR, EOPNOTSUPP, errno } from '../abi/errno.ts';
import * as f from '../abi/fcntl.ts';
import { PAGE_SIZE } from '../abi/page.ts';
import { POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM } from '../abi/poll.ts';
import type { MemoryObject } from '../mm/object.ts';
import * as host from './hostfs.ts';
import type { HostDescriptor } from './hostfs.ts';
import type { Inode } from './inode.ts';
import type { DirectoryEntry, OpenFile, Vnode } from './vnode.ts';

const ALWAYS_READY = POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM;

/** A host path as the guest knows it. */
export type Rename = (path: string) => string | undefined;

export class HostFile implements OpenFile {
  readonly vnode: Vnode;
  readonly seekable = true;
  private readonly file: HostDescriptor;
  private readonly inode: Inode;
  private readonly guestPath: Rename;
  private readonly mayWrite: boolean;
  /** Failed write-backs up to here this opening has been told of. */
  private told: number;

  constructor(vnode: Vnode, file: HostDescriptor, inode: Inode, guestPath: Rename, mayWrite: boolean) {
    this.vnode = vnode;
    this.file = file;
    this.inode = inode;
    this.guestPath = guestPath;
    this.mayWrite = mayWrite;
    this.told = inode.errors.sample();
    if (mayWrite) inode.writers++;
  }

  currentPath(): string | undefined {
    return this.guestPath(host.descriptorName(this.file.fd));
  }

  read(into: Uint8Array, position: number): number {
    return this.inode.read(this.file, into, position);
  }

  write(from: Uint8Array, position: number): number {
    return from.length === 0 ? 0 : this.inode.write(this.file, from, position);
  }

  noteWritten(bytes: Uint8Array, position: number): void {
    this.inode.written(this.file, bytes, position);
  }

  /** All guests of one machine write through here one after the other, so the end cannot move between the two steps; only another host process could. */
  append(from: Uint8Array): number {
    return this.write(from, this.size());
  }

  size(): number {
    return Number(host.fstat(this.file.fd).size);
  }

  poll(): number {
    return ALWAYS_READY;
  }

  truncate(size: number): void {
    host.ftruncate(this.file.fd, size);
    this.inode.truncated(this.file, size);
  }

  /** The host's fallocate is out of node's reach: growing is a truncate, and blocks are not reserved. Modes are those of ext4, on a tmpfs its few. */
  allocate(mode: number, offset: number, size: number): void {
    const end = this.size();
    const only = mode & ~f.FALLOC_FL_KEEP_SIZE;
    const keeps = (mode & f.FALLOC_FL_KEEP_SIZE) !== 0;
    if (only !== 0 && only !== f.FALLOC_FL_PUNCH_HOLE && this.vnode.statfs().type === TMPFS_MAGIC) throw errno(EOPNOTSUPP);
    switch (only) {
      case 0:
        break;
      case f.FALLOC_FL_PUNCH_HOLE:
        if (!keeps) throw errno(EOPNOTSUPP);
        return this.inode.punch(this.file, offset, offset + size);
      case f.FALLOC_FL_ZERO_RANGE:
        this.inode.punch(this.file, offset, offset + size);
        break;
      case f.FALLOC_FL_COLLAPSE_RANGE:
      case f.FALLOC_FL_INSERT_RANGE:
        if (keeps) throw errno(EOPNOTSUPP);
        return this.shift(only === f.FALLOC_FL_INSERT_RANGE, offset, size, end);
      default:
        throw errno(EOPNOTSUPP);
    }
    if (!keeps && offset + size > end) this.truncate(offset + size);
  }

  private shift(inserts: boolean, offset: number, size: number, end: number): void {
    if (offset % PAGE_SIZE !== 0 || size % PAGE_SIZE !== 0 || (inserts ? offset : offset + size) >= end) throw errno(EINVAL);
    if (inserts) this.inode.shift(this.file, offset, offset + size);
    else this.inode.shift(this.file, offset + size, offset);
  }

  sync(dataOnly: boolean): void {
    this.writeBack();
    host.fsync(this.file.fd, dataOnly);
  }

  writeBack(from?: number, to?: number): void {
    this.inode.writeBack(from, to);
    const { errno: code, since } = this.inode.errors.check(this.told);
    this.told = since;
    if (code !== 0) throw errno(code);
  }

  memoryObject(name: string): MemoryObject {
    return this.inode.memoryObject(name, this.file);
  }

  close(): void {
    if (this.mayWrite) this.inode.writers--;
    this.inode.closed(this.file);
    this.file.drop();
  }
}

export class HostDirectoryFile implements OpenFile {
  readonly vnode: Vnode;
  readonly seekable = true;
  private readonly fd: number;
  private readonly guestPath: Rename;
  private listing: readonly host.HostEntry[] | undefined;

  constructor(vnode: Vnode, fd: number, guestPath: Rename) {
    this.vnode = vnode;
    this.fd = fd;
    this.guestPath = guestPath;
  }

  currentPath(): string | undefined {
    return this.guestPath(host.descriptorName(this.fd));
  }

  read(): number {
    throw errno(EISDIR);
  }

  write(): number {
    throw errno(EISDIR);
  }

  poll(): number {
    return ALWAYS_READY;
  }

  size(): number {
    return Number.MAX_SAFE_INTEGER;
  }

  /** The names are those of the moment the reading began (or was rewound), the inode numbers those of now; what has gone meanwhile is left out. */
  *entries(from: number): Generator<DirectoryEntry> {
    const path = `/proc/self/fd/${this.fd}`;
    if (from === 0 || this.listing === undefined) this.listing = host.list(path);
    const names = this.listing;
    if (from === 0) yield { name: '.', ino: this.vnode.stat().ino, type: 4, next: 1 };
    if (from <= 1) yield { name: '..', ino: host.lstat(`${path}/..`)?.ino ?? 1n, type: 4, next: 2 };
    for (let i = Math.max(0, from - 2); i < names.length; i++) {
      const stat = host.lstat(`${path}/${names[i].name}`);
      if (stat !== undefined) yield { name: names[i].name, ino: stat.ino, type: Number(stat.mode >> 12n), next: i + 3 };
    }
  }

  sync(dataOnly: boolean): void {
    host.fsync(this.fd, dataOnly);
  }

  close(): void {
    host.close(this.fd);
  }
}
