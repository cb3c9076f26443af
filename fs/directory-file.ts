/** A directory of a file system that is ours, opened: its names are those of the moment it was read from the start, without what has gone meanwhile. */
import { directoryType } from '../abi/dirent.ts';
import { EISDIR, errno } from '../abi/errno.ts';
import { POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM } from '../abi/poll.ts';
import type { DirectoryEntry, OpenFile, Stat, Vnode } from './vnode.ts';

const READY = POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM;

/** What is in the directory. */
export interface Entries {
  names(): readonly string[];
  /** Undefined where it has gone since. */
  stat(name: string): Stat | undefined;
}

export class DirectoryFile implements OpenFile {
  readonly vnode: Vnode;
  readonly seekable = true;
  private readonly directory: Entries;
  private names: readonly string[] | undefined;

  constructor(vnode: Vnode, directory: Entries) {
    this.vnode = vnode;
    this.directory = directory;
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

  *entries(from: number): Generator<DirectoryEntry> {
    if (from === 0 || this.names === undefined) this.names = this.directory.names();
    const { ino } = this.vnode.stat();
    if (from === 0) yield { name: '.', ino, type: 4, next: 1 };
    if (from <= 1) yield { name: '..', ino, type: 4, next: 2 };
    for (let i = Math.max(0, from - 2); i < this.names.length; i++) {
      const stat = this.directory.stat(this.names[i]);
      if (stat !== undefined) yield { name: this.names[i], ino: stat.ino, type: directoryType(stat.mode), next: i + 3 };
    }
  }

  close(): void {}
}

/** One of a file system that keeps what is written, which fsync may be asked for. */
export class StoredDirectoryFile extends DirectoryFile {
  sync(): void {}
}
