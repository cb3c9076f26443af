/**
 * Host inodes in core: what all names and descriptions of one host file share while any of them is open or its pages are mapped. Here read(),
 * write() and truncate() meet the pages that mappings see.
 */
import { EIO, errno } from '../abi/errno.ts';
import { PAGE_SIZE } from '../abi/page.ts';
import type { PageCache } from '../mm/cache.ts';
import type { MemoryObject } from '../mm/object.ts';
import { NO_FRAME } from '../mm/page-map.ts';
import type { Pager } from '../mm/pager.ts';
import { WriteErrors } from '../mm/write-errors.ts';
import { FilePager, setTimes } from './file-pager.ts';
import * as host from './hostfs.ts';
import type { HostDescriptor } from './hostfs.ts';

/** Files in core before those that nobody uses are given up. */
const MANY = 512;

export class Inode {
  readonly key: string;
  private readonly table: InodeTable;
  private users = 0;
  private object: MemoryObject | undefined;
  private pager: FilePager | undefined;
  /** Size and time of change when we last looked or wrote: others' changes show as a difference at the next open. */
  private seen: { size: bigint; mtime_ns: bigint } | undefined;
  /** A mapping has changed the file's time since somebody looked at times the last time but so many (`InodeTable.looks`). */
  private stampedAt = -1;
  /** Write-backs that failed, for everybody who has the file open. */
  readonly errors: WriteErrors = new WriteErrors();
  /** Open files that may write. */
  writers = 0;

  constructor(key: string, table: InodeTable) {
    this.key = key;
    this.table = table;
  }

  hold(): void {
    this.users++;
  }

  drop(): void {
    if (--this.users === 0) this.table.forget(this);
  }

  /**
   * Where the host's file was changed behind our back its clean pages are read again at their next use; dirty ones stay and win when they are
   * written back. Called at open, mmap, reads of a file that has pages in memory, and msync(MS_INVALIDATE).
   */
  opened(stat: host.HostStat): void {
    const { seen, object } = this;
    this.seen = { size: stat.size, mtime_ns: stat.mtimeNs };
    if (object === undefined || seen === undefined || (seen.size === stat.size && seen.mtime_ns === stat.mtimeNs)) return;
    if (object.size !== Number(stat.size)) object.truncate(Number(stat.size));
    object.evictClean();
  }

  revalidate(file: HostDescriptor): void {
    if (this.object !== undefined) this.opened(host.fstat(file.fd));
  }

  /** The object whose pages every mapping of the file shares. */
  memoryObject(name: string, file: HostDescriptor): MemoryObject {
    if (this.object !== undefined) {
      if (file.writable) this.pager?.makeWritable(file);
      this.revalidate(file);
      return this.object;
    }
    this.object = this.table.cache.object(this.key, () => {
      this.pager = new FilePager(name, file, this);
      this.look(file);
      return { pager: this.table.pagers(this.pager), size: Number(host.fstat(file.fd).size), errors: this.errors };
    });
    this.hold();
    return this.object;
  }

  /** A description of the file has gone. Pages of a file without a name are of no use to anybody any more. */
  closed(file: HostDescriptor): void {
    if (this.object?.idle && host.fstat(file.fd).nlink === 0n) this.table.cache.forget(this.key);
    this.drop();
  }

  /** Whether only the page cache keeps it. */
  get unused(): boolean {
    return this.users === 1 && this.object?.idle === true;
  }

  released(): void {
    this.object = undefined;
    this.pager = undefined;
    this.drop();
  }

  /** Reads what the guest must see: the host's bytes, with the pages over them that mappings see. */
  read(file: HostDescriptor, into: Uint8Array, position: number): number {
    const object = this.object;
    if (object === undefined || object.pages.size === 0) return host.read(file.fd, into, position);
    this.revalidate(file);
    const moved = host.read(file.fd, into, position);
    if (moved === 0) return moved;
    const first = Math.floor(position / PAGE_SIZE);
    object.pages.forEach(first, Math.floor((position + moved - 1) / PAGE_SIZE) + 1, (index, frame) => {
      const begin = Math.max(position, index * PAGE_SIZE);
      const end = Math.min(position + moved, (index + 1) * PAGE_SIZE);
      into.set(object.frames.bytes(frame).subarray(begin % PAGE_SIZE, (begin % PAGE_SIZE) + end - begin), begin - position);
    });
    return moved;
  }

  write(file: HostDescriptor, from: Uint8Array, position: number): number {
    const moved = host.write(file.fd, from, position);
    this.written(file, from.subarray(0, moved), position);
    return moved;
  }

  /** Brings pages in memory up to date with bytes that the host's file just got. */
  written(file: HostDescriptor, bytes: Uint8Array, position: number): void {
    const object = this.object;
    if (object === undefined) return;
    const end = position + bytes.length;
    this.resized(object, Math.max(end, object.size));
    for (let index = Math.floor(position / PAGE_SIZE); index * PAGE_SIZE < end; index++) {
      const frame = object.pages.get(index);
      if (frame === NO_FRAME) continue;
      const begin = Math.max(position, index * PAGE_SIZE);
      const upTo = Math.min(end, (index + 1) * PAGE_SIZE);
      object.frames.bytes(frame).set(bytes.subarray(begin - position, upTo - position), begin % PAGE_SIZE);
      object.frames.arena.changed(frame);
    }
    this.look(file);
  }

  truncated(file: HostDescriptor, size: number): void {
    if (this.object === undefined) return;
    this.resized(this.object, size);
    this.look(file);
  }

  /** What mappings wrote behind the old end does not come to light when the file grows (as on ext4, unlike tmpfs). */
  private resized(object: MemoryObject, size: number): void {
    if (size > object.size) object.clearTail();
    if (size !== object.size) object.truncate(size);
  }

  /** FALLOC_FL_PUNCH_HOLE and ZERO_RANGE within the file's size. Throws Errno. */
  punch(file: HostDescriptor, base: number, top: number): void {
    const object = this.object;
    if (object !== undefined) {
      if (file.writable) this.pager?.makeWritable(file);
      const failure = object.punch(base, top);
      if (failure !== undefined) throw errno(failure.kind === 'error' ? failure.errno : EIO);
      return;
    }
    const end = Math.min(top, Number(host.fstat(file.fd).size));
    if (base < end) host.punch(file.fd, base, end);
  }

  /** FALLOC_FL_COLLAPSE_RANGE and INSERT_RANGE: what follows `from` moves to `to`. Pages from the first of both on are read anew. */
  shift(file: HostDescriptor, from: number, to: number): void {
    const size = Number(host.fstat(file.fd).size);
    const first = Math.min(from, to);
    const failure = this.object?.writeBack(first / PAGE_SIZE);
    if (failure?.kind === 'error') throw errno(failure.errno);
    if (to > from) host.ftruncate(file.fd, size + to - from);
    host.moveBytes(file.fd, from, to, size - from);
    if (to > from) host.punch(file.fd, from, to);
    else host.ftruncate(file.fd, size + to - from);
    if (this.object === undefined) return;
    this.object.dropFrom(first / PAGE_SIZE);
    this.object.truncate(size + to - from);
    this.look(file);
  }

  /** Linux sets the time of change at each first store to a clean page. Here the first one counts since anybody looked: reading the clock takes its time. */
  stored(file: HostDescriptor): void {
    if (this.stampedAt === this.table.looks) return;
    setTimes(file, host.fstat(file.fd), host.realtime_ms() / 1000);
    this.look(file);
    this.stampedAt = this.table.looks;
  }

  look(file: HostDescriptor): void {
    const stat = host.fstat(file.fd);
    this.seen = { size: stat.size, mtime_ns: stat.mtimeNs };
    this.stampedAt = -1;
  }

  /** Gives dirty pages to the host's file; an errno where that failed. */
  writeBack(from?: number, to?: number): number | undefined {
    const failure = this.object?.writeBack(from, to);
    return failure?.kind === 'error' ? failure.errno : undefined;
  }

  /** What would be lost if the machine ended now. */
  get unsaved(): { readonly name: string; readonly pages: number } | undefined {
    const { object } = this;
    return object === undefined || object.dirtyPages === 0 ? undefined : { name: object.name, pages: object.dirtyPages };
  }
}

export class InodeTable {
  readonly cache: PageCache<string>;
  /** Wraps the pagers of files: to measure them, or to make them fail in tests. */
  pagers: (pager: Pager) => Pager = (pager) => pager;
  private readonly inodes: Map<string, Inode> = new Map();

  /** How often somebody looked at a file's times, or set them. */
  looks = 0;

  constructor(cache: PageCache<string>) {
    this.cache = cache;
  }

  /** The inode in core, held once for the caller. */
  get(key: string): Inode {
    let inode = this.inodes.get(key);
    if (inode === undefined) {
      if (this.inodes.size >= MANY) this.trim();
      this.inodes.set(key, (inode = new Inode(key, this)));
    }
    inode.hold();
    return inode;
  }

  /** The inode of a file that is open or has pages in memory. */
  peek(key: string): Inode | undefined {
    return this.inodes.get(key);
  }

  forget(inode: Inode): void {
    this.inodes.delete(inode.key);
  }

  /** Gives up the pages, and so our descriptors, of files that nobody uses. Returns whether there were any. */
  trim(): boolean {
    const unused = [...this.inodes.values()].filter((inode) => inode.unused);
    for (const inode of unused) {
      if (inode.writeBack() === undefined) this.cache.forget(inode.key);
    }
    return unused.length > 0;
  }

  /** Write-back of every file (sync, end of the machine). Returns an errno where one failed. */
  writeBackAll(): number | undefined {
    let failed: number | undefined;
    for (const inode of [...this.inodes.values()]) failed = inode.writeBack() ?? failed;
    return failed;
  }

  /** Files with pages that could not be written back. */
  unsaved(): { readonly name: string; readonly pages: number }[] {
    return [...this.inodes.values()].flatMap((inode) => inode.unsaved ?? []);
  }
}
