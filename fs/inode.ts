/**
 * Host inodes in core: what all names and descriptions of one host file share while any of them is open or its pages are mapped. Here read(),
 * write() and truncate() meet the pages that mappings see.
 */
import { PAGE_SIZE } from '../abi/page.ts';
import type { PageCache } from '../mm/cache.ts';
import type { MemoryObject } from '../mm/object.ts';
import { DIRTY, NO_FRAME } from '../mm/page-map.ts';
import { FilePager } from './file-pager.ts';
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

  /** At open: where the host's file was changed behind our back, clean pages are read again. */
  opened(stat: host.HostStat): void {
    const { seen, object } = this;
    this.seen = { size: stat.size, mtime_ns: stat.mtimeNs };
    if (object === undefined || seen === undefined || (seen.size === stat.size && seen.mtime_ns === stat.mtimeNs)) return;
    if (object.size !== Number(stat.size)) object.truncate(Number(stat.size));
    const clean: number[] = [];
    object.pages.forEach(0, 2 ** 52, (index) => {
      if (!object.isDirty(index)) clean.push(index);
    });
    for (const index of clean) object.evict(index);
  }

  /** The object whose pages every mapping of the file shares. */
  memoryObject(name: string, file: HostDescriptor): MemoryObject {
    if (this.object !== undefined) {
      if (file.writable) this.pager?.makeWritable(file);
      return this.object;
    }
    this.object = this.table.cache.object(this.key, () => {
      this.pager = new FilePager(name, file, () => this.released());
      return { pager: this.pager, size: Number(host.fstat(file.fd).size) };
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

  private released(): void {
    this.object = undefined;
    this.pager = undefined;
    this.drop();
  }

  /** Reads what the guest must see: the host's bytes, with pages over them that a shared mapping has written. */
  read(file: HostDescriptor, into: Uint8Array, position: number): number {
    const moved = host.read(file.fd, into, position);
    const object = this.object;
    if (object === undefined || object.pages.size === 0 || moved === 0) return moved;
    const first = Math.floor(position / PAGE_SIZE);
    object.pages.forEach(first, Math.floor((position + moved - 1) / PAGE_SIZE) + 1, (index, frame) => {
      if (!object.pages.marked(index, DIRTY)) return;
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
    if (end > object.size) object.truncate(end);
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
    this.object.truncate(size);
    this.look(file);
  }

  private look(file: HostDescriptor): void {
    const stat = host.fstat(file.fd);
    this.seen = { size: stat.size, mtime_ns: stat.mtimeNs };
  }

  /** Gives dirty pages to the host's file; an errno where that failed. */
  writeBack(): number | undefined {
    const failure = this.object?.writeBack();
    return failure?.kind === 'error' ? failure.errno : undefined;
  }
}

export class InodeTable {
  readonly cache: PageCache<string>;
  private readonly inodes: Map<string, Inode> = new Map();

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

  /** Write-back of every file (sync, end of the machine). */
  writeBackAll(): void {
    for (const inode of this.inodes.values()) inode.writeBack();
  }
}
