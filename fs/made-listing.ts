/** A directory of a made-up file system, opened: its names as they were when it was read from the start. */
import { EISDIR, errno } from '../abi/errno.ts';
import { POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM } from '../abi/poll.ts';
import type { DirectoryEntry, OpenFile, Stat, Vnode } from './vnode.ts';

const READY = POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM;

/** What is in the directory. */
export interface MadeEntries {
  names(): readonly string[];
  /** Undefined where it has gone since. */
  stat(name: string): Stat | undefined;
}

export class MadeListing implements OpenFile {
  readonly vnode: Vnode;
  readonly seekable = true;
  private readonly made: MadeEntries;
  private names: readonly string[] | undefined;

  constructor(vnode: Vnode, made: MadeEntries) {
    this.vnode = vnode;
    this.made = made;
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
    if (from === 0 || this.names === undefined) this.names = this.made.names();
    const { ino } = this.vnode.stat();
    if (from === 0) yield { name: '.', ino, type: 4, next: 1 };
    if (from <= 1) yield { name: '..', ino, type: 4, next: 2 };
    for (let i = Math.max(0, from - 2); i < this.names.length; i++) {
      const stat = this.made.stat(this.names[i]);
      if (stat !== undefined) yield { name: this.names[i], ino: stat.ino, type: stat.mode >> 12, next: i + 3 };
    }
  }

  close(): void {}
}
