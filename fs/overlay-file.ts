/** Open files of an overlay: they go on with the copy in memory from the moment there is one. */
import { ENODEV, EOPNOTSUPP, errno } from '../abi/errno.ts';
import { POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM } from '../abi/poll.ts';
import type { MemoryObject } from '../mm/object.ts';
import type { Io, OpenFile, Vnode } from './vnode.ts';

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
