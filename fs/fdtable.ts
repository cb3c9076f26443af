/** A process's descriptors: small numbers for descriptions, each with its own close-on-exec flag. */
import { EBADF, EINVAL, EMFILE, errno } from '../abi/errno.ts';
import type { Description } from './description.ts';

interface Entry {
  readonly description: Description;
  closeOnExec: boolean;
}

/** What a program has that a shell starts: shells keep number 255 open. */
const FIRST_CAPACITY = 256;

export class FdTable {
  private readonly entries: (Entry | undefined)[] = [];
  /** No free number lies below it. */
  private lowest = 0;
  /** RLIMIT_NOFILE: one past the largest number a new descriptor may get. */
  limit: number;
  /** Told of each description that a number ceases to refer to, by what they are for: locks of the process, notifications of queues. */
  private closing: Map<string, (description: Description) => void> | undefined;

  constructor(limit = 1024) {
    this.limit = limit;
  }

  /** The description behind a number; EBADF where there is none. */
  get(fd: number): Description {
    const entry = this.entries[fd];
    if (entry === undefined) throw errno(EBADF);
    return entry.description;
  }

  /** How many numbers Linux's table would have room for by now: it doubles. */
  get capacity(): number {
    return Math.max(FIRST_CAPACITY, 2 ** Math.ceil(Math.log2(this.entries.length)));
  }

  has(fd: number): boolean {
    return this.entries[fd] !== undefined;
  }

  /** Puts a description under the lowest free number at or above `from`. */
  add(description: Description, closeOnExec: boolean, from = 0): number {
    const fd = this.free(from);
    this.put(fd, description, closeOnExec);
    return fd;
  }

  /** The number the next `add` would give; EMFILE where there is none. Lets a call fail before it has changed anything. */
  free(from = 0): number {
    let fd = Math.max(from, this.lowest);
    while (this.entries[fd] !== undefined) fd++;
    if (from <= this.lowest) this.lowest = fd;
    if (fd >= this.limit) throw errno(EMFILE);
    return fd;
  }

  /** Whether `many` more descriptors fit (pipe, socketpair). */
  reserve(many: number): void {
    let fd = this.free();
    for (let left = many - 1; left > 0; left--) {
      do fd++;
      while (this.entries[fd] !== undefined);
      if (fd >= this.limit) throw errno(EMFILE);
    }
  }

  /** fcntl F_DUPFD: a second number at or above `from` for the same description. */
  duplicate(fd: number, from: number, closeOnExec: boolean): number {
    const description = this.get(fd);
    if (from < 0 || from >= this.limit) throw errno(EINVAL);
    return this.add(description, closeOnExec, from);
  }

  /** dup2 and dup3: makes `to` refer to what `fd` refers to, closing what it was. */
  duplicateTo(fd: number, to: number, closeOnExec: boolean): number {
    const description = this.get(fd);
    if (to < 0 || to >= this.limit) throw errno(EBADF);
    if (fd === to) return to;
    const replaced = this.entries[to];
    this.put(to, description, closeOnExec);
    if (replaced !== undefined) this.letGo(replaced.description);
    return to;
  }

  close(fd: number): void {
    const entry = this.entries[fd];
    if (entry === undefined) throw errno(EBADF);
    this.entries[fd] = undefined;
    if (fd < this.lowest) this.lowest = fd;
    this.letGo(entry.description);
  }

  /** `name` tells them apart: the first one of a name stays. */
  onClosing(name: string, told: (description: Description) => void): void {
    this.closing ??= new Map();
    if (!this.closing.has(name)) this.closing.set(name, told);
  }

  private letGo(description: Description): void {
    if (this.closing !== undefined) for (const told of this.closing.values()) told(description);
    description.release();
  }

  /** Every open number in [first, last]. */
  *open(first = 0, last = Infinity): Generator<number> {
    const end = Math.min(last, this.entries.length - 1);
    for (let fd = first; fd <= end; fd++) if (this.entries[fd] !== undefined) yield fd;
  }

  closeOnExec(fd: number): boolean {
    const entry = this.entries[fd];
    if (entry === undefined) throw errno(EBADF);
    return entry.closeOnExec;
  }

  setCloseOnExec(fd: number, on: boolean): void {
    const entry = this.entries[fd];
    if (entry === undefined) throw errno(EBADF);
    entry.closeOnExec = on;
  }

  /** execve: what is marked goes. */
  closeMarked(): void {
    for (const fd of this.open()) if (this.entries[fd]?.closeOnExec) this.close(fd);
  }

  closeAll(): void {
    for (const fd of this.open()) this.close(fd);
  }

  /** fork: the same descriptions under the same numbers. */
  copy(): FdTable {
    const table = new FdTable(this.limit);
    for (const fd of this.open()) {
      const entry = this.entries[fd] as Entry;
      table.put(fd, entry.description, entry.closeOnExec);
    }
    return table;
  }

  private put(fd: number, description: Description, closeOnExec: boolean): void {
    description.acquire();
    this.entries[fd] = { description, closeOnExec };
  }
}
