/** Open files of an overlay: they go on with the copy in memory from the moment there is one. */
import { EISDIR, ENODEV, EOPNOTSUPP, errno } from '../abi/errno.ts';
import { POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM } from '../abi/poll.ts';
import { directoryType } from '../abi/dirent.ts';
import type { MemoryObject } from '../mm/object.ts';
import type { Directory, DirectoryEntry, Io, OpenFile, Vnode } from './vnode.ts';

const READY = POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM;

/** Whichever file has the content. */
interface Content {
  readonly of: Vnode;
  open(): OpenFile;
}

export class OverlayFile implements OpenFile {
  readonly vnode: Vnode;
  readonly seekable = true;
  private readonly content: () => Content;
  private of: Vnode;
  private opened: OpenFile;

  constructor(vnode: Vnode, _flags: number, content: () => Content) {
    this.vnode = vnode;
    this.content = content;
    const now = content();
    this.of = now.of;
    this.opened = now.open();
  }

  private get inner(): OpenFile {
    const now = this.content();
    if (now.of.key !== this.of.key) {
      this.opened.close();
      this.of = now.of;
      this.opened = now.open();
    }
    return this.opened;
  }

  read(into: Uint8Array, position: number, nonblocking: boolean): Io {
    return this.inner.read(into, position, nonblocking);
  }

  write(from: Uint8Array, position: number, nonblocking: boolean): Io {
    return this.inner.write(from, position, nonblocking);
  }

  append(from: Uint8Array): Io {
    const { inner } = this;
    return inner.append?.(from) ?? inner.write(from, this.size(), false);
  }

  poll(): number {
    return READY;
  }

  size(): number {
    return this.inner.size?.() ?? this.vnode.stat().size;
  }

  truncate(size: number): void {
    this.inner.truncate?.(size);
  }

  allocate(mode: number, offset: number, size: number): void {
    const { inner } = this;
    if (inner.allocate === undefined) throw errno(EOPNOTSUPP);
    inner.allocate(mode, offset, size);
  }

  sync(): void {}

  memoryObject(name: string): MemoryObject {
    const { inner } = this;
    if (inner.memoryObject === undefined) throw errno(ENODEV);
    return inner.memoryObject(name);
  }

  close(): void {
    this.opened.close();
  }
}

export class OverlayDirectoryFile implements OpenFile {
  readonly vnode: Vnode & Directory;
  readonly seekable = true;
  private readonly names: () => string[];
  private listing: readonly string[] = [];

  constructor(vnode: Vnode & Directory, names: () => string[]) {
    this.vnode = vnode;
    this.names = names;
  }

  read(): number {
    throw errno(EISDIR);
  }

  write(): number {
    throw errno(EISDIR);
  }

  poll(): number {
    return READY;
  }

  /** The names are those of the moment the reading began (or was rewound); what has gone meanwhile is left out. */
  *entries(from: number): Generator<DirectoryEntry> {
    if (from === 0) this.listing = this.names();
    const { ino } = this.vnode.stat();
    if (from === 0) yield { name: '.', ino, type: 4, next: 1 };
    if (from <= 1) yield { name: '..', ino, type: 4, next: 2 };
    for (let i = Math.max(0, from - 2); i < this.listing.length; i++) {
      const stat = this.vnode.lookup(this.listing[i])?.stat();
      if (stat !== undefined) yield { name: this.listing[i], ino: stat.ino, type: directoryType(stat.mode), next: i + 3 };
    }
  }

  sync(): void {}

  close(): void {}
}
