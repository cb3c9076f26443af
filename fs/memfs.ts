/** A file system in memory: for tests, for devices that the root lacks, for memfd_create. Its files may live in page objects, so that they can be mapped. */
import { TMPFS_MAGIC } from '../abi/magic.ts';
import * as e from '../abi/errno.ts';
import { errno } from '../abi/errno.ts';
import * as f from '../abi/fcntl.ts';
import { makeDevice, S_IFCHR, S_IFDIR, S_IFLNK, S_IFMT, S_IFREG, S_ISGID } from '../abi/stat.ts';
import type { MemoryObject } from '../mm/object.ts';
import { NO_FRAME } from '../mm/page-map.ts';
import type { FileIdentity } from '../mm/pager.ts';
import { AttributeMap } from './attributes.ts';
import { StoredDirectoryFile } from './directory-file.ts';
import { MemFile } from './memory-file.ts';
import {
  type Directory,
  type FileKind,
  type FileSystemStat,
  kindOf,
  type NewTimes,
  type OpenFile,
  type Stat,
  type Vnode,
  type Wait,
} from './vnode.ts';

/** Largest file kept as plain bytes. */
const LARGEST_PLAIN = 64 << 20;

export interface MemFileSystemOptions {
  /** Tells this file system's files from others': the minor number of its device, major 0. */
  readonly device: number;
  readonly now_ns: () => bigint;
  readonly uid?: number;
  readonly gid?: number;
  /** Bytes that all files together may take, default what the machine has; and how many files there may be, default any. */
  readonly bytes?: number;
  readonly inodes?: number;
  /** statfs f_type. */
  readonly magic?: number;
  /** Makes the pages of one file; without it files are plain bytes and cannot be mapped. */
  readonly pages?: (name: string, identity: FileIdentity) => MemoryObject;
  /** Whether files may take more pages; ENOSPC where not. */
  readonly mayGrow?: () => boolean;
  /** Opens device nodes and fifos. */
  readonly openSpecial?: (vnode: Vnode, rdev: number, flags: number) => OpenFile | Wait | undefined;
}

export class MemFileSystem {
  readonly options: MemFileSystemOptions;
  readonly root: MemVnode;
  /** What of the options may be changed. */
  limits: { readonly bytes?: number; readonly inodes?: number };
  private inodes = 0n;
  /** Files, and names beyond the first of each. */
  files = 0;

  constructor(options: MemFileSystemOptions) {
    this.options = options;
    this.limits = options;
    this.claim();
    this.root = new MemVnode(this, S_IFDIR | 0o755);
  }

  /** Files that have pages, for the account. */
  readonly contents: Set<MemoryObject> = new Set();

  /** Bytes that files take. */
  get used(): number {
    let pages = 0;
    for (const object of this.contents) pages += object.pages.size;
    return pages * 4096;
  }

  /** Whether so many bytes more have room. */
  hasRoom(bytes: number): boolean {
    const { mayGrow } = this.options;
    const { bytes: most } = this.limits;
    return mayGrow?.() !== false && (most === undefined || this.used + bytes <= most);
  }

  /** One file more. Throws ENOSPC. */
  claim(): void {
    if (this.files >= (this.limits.inodes ?? Number.POSITIVE_INFINITY)) throw errno(e.ENOSPC);
    this.files++;
  }

  get dev(): number {
    return makeDevice(0, this.options.device);
  }

  nextInode(): bigint {
    return ++this.inodes;
  }

  /** An unnamed regular file. */
  file(mode: number): MemVnode {
    this.claim();
    return new MemVnode(this, S_IFREG | mode);
  }

  /** As memfd_create opens it: Linux does not count it as open for writing, so it may be executed. */
  openUnnamed(vnode: MemVnode): OpenFile {
    return new MemFile(vnode, f.O_RDONLY);
  }
}

export class MemVnode implements Vnode, Directory {
  readonly kind: FileKind;
  readonly key: string;
  private readonly system: MemFileSystem;
  private readonly ino: bigint;
  private readonly entries: Map<string, MemVnode> = new Map();
  private readonly rdev: number;
  private target = '';
  private mode: number;
  private uid: number;
  private gid: number;
  nlink: number;
  private atime_ns: bigint;
  private mtime_ns: bigint;
  private ctime_ns: bigint;
  private plain: Uint8Array = new Uint8Array(0);
  private plainSize = 0;
  private object: MemoryObject | undefined;
  /** Open files of it, and those that may write. */
  opens = 0;
  writers = 0;
  /** An unnamed file that may get a name. */
  private isLinkable = false;
  private hasGone = false;
  /** F_SEAL_ bits. Files are sealed against seals unless memfd_create said otherwise. */
  seals: number = f.F_SEAL_SEAL;
  private extended: AttributeMap | undefined;

  constructor(system: MemFileSystem, mode: number, rdev = 0) {
    this.system = system;
    this.kind = kindOf(mode);
    this.mode = mode;
    this.rdev = rdev;
    this.ino = system.nextInode();
    this.key = `${system.dev}:${this.ino}`;
    this.uid = system.options.uid ?? 0;
    this.gid = system.options.gid ?? 0;
    this.nlink = this.kind === 'directory' ? 2 : 1;
    this.atime_ns = this.mtime_ns = this.ctime_ns = system.options.now_ns();
  }

  get directory(): Directory | undefined {
    return this.kind === 'directory' ? this : undefined;
  }

  get attributes(): AttributeMap {
    return (this.extended ??= new AttributeMap(() => (this.ctime_ns = this.system.options.now_ns())));
  }

  get size(): number {
    if (this.kind === 'symlink') return this.target.length;
    return this.object?.size ?? this.plainSize;
  }

  stat(): Stat {
    const { atime_ns, mtime_ns, ctime_ns, mode, uid, gid, nlink, ino, rdev, size } = this;
    return {
      dev: this.system.dev,
      rdev,
      ino,
      mode,
      nlink,
      uid,
      gid,
      size,
      blksize: 4096,
      blocks: (this.object === undefined ? Math.ceil(size / 4096) : this.object.pages.size) * 8,
      atime_ns,
      mtime_ns,
      ctime_ns,
      btime_ns: undefined,
    };
  }

  /** A remount's options. */
  limit(limits: MemFileSystem['limits']): void {
    this.system.limits = { ...this.system.limits, ...limits };
  }

  statfs(): FileSystemStat {
    const type = this.system.options.magic ?? TMPFS_MAGIC;
    const { bytes, inodes: files = 0 } = this.system.limits;
    const ffree = Math.max(0, files - this.system.files);
    const blocks = bytes === undefined ? 0 : Math.ceil(bytes / 4096);
    const free = bytes === undefined ? 0 : Math.max(0, blocks - this.system.used / 4096);
    return { type, bsize: 4096, blocks, bfree: free, bavail: free, files, ffree, namelen: 255, flags: 0x20 };
  }

  open(flags: number): OpenFile | Wait {
    if (this.kind === 'symlink') throw errno(e.ELOOP);
    if (this.kind === 'directory')
      return new StoredDirectoryFile(this, { names: () => this.names(), stat: (name) => this.entry(name)?.stat() });
    if (this.kind !== 'file') {
      const file = this.system.options.openSpecial?.(this, this.rdev, flags);
      if (file === undefined) throw errno(e.ENXIO);
      return file;
    }
    if (flags & f.O_TRUNC) this.truncate(0);
    return new MemFile(this, flags);
  }

  readlink(): string {
    if (this.kind !== 'symlink') throw errno(e.EINVAL);
    return this.target;
  }

  truncate(size: number): void {
    if (this.kind !== 'file') throw errno(this.kind === 'directory' ? e.EISDIR : e.EINVAL);
    if (this.seals & f.F_SEAL_SHRINK && size < this.size) throw errno(e.EPERM);
    if (this.seals & f.F_SEAL_GROW && size > this.size) throw errno(e.EPERM);
    const object = this.pages();
    if (object !== undefined) object.truncate(size);
    else this.resize(size);
    this.touch();
  }

  /** Linux memfd_add_seals. */
  addSeals(seals: number): void {
    if (this.seals & f.F_SEAL_SEAL) throw errno(e.EPERM);
    // A program must not change any more once its right to be one is sealed.
    const more = seals & f.F_SEAL_EXEC && this.mode & 0o111 ? f.F_SEAL_SHRINK | f.F_SEAL_GROW | f.F_SEAL_WRITE | f.F_SEAL_FUTURE_WRITE : 0;
    const all = seals | more;
    if (all & f.F_SEAL_WRITE && !(this.seals & f.F_SEAL_WRITE) && (this.object?.writers ?? 0) > 0) throw errno(e.EBUSY);
    this.seals |= all;
  }

  /** FALLOC_FL_PUNCH_HOLE, MADV_REMOVE: pages go, the size stays. */
  punch(base: number, top: number): void {
    if (this.seals & (f.F_SEAL_WRITE | f.F_SEAL_FUTURE_WRITE)) throw errno(e.EPERM);
    const object = this.pages();
    if (object !== undefined) object.punch(base, top);
    else this.plain.fill(0, Math.min(base, this.plainSize), Math.min(top, this.plainSize));
    this.touch();
  }

  /** fallocate: the pages are there afterwards, or it is ENOSPC. */
  reserve(base: number, top: number): void {
    const object = this.pages();
    for (let index = Math.floor(base / 4096); object !== undefined && index * 4096 < Math.min(top, object.size); index++) {
      if (!this.system.hasRoom(object.pages.get(index) === NO_FRAME ? 4096 : 0) || typeof object.page(index) !== 'number')
        throw errno(e.ENOSPC);
    }
  }

  private resize(size: number): void {
    if (size > LARGEST_PLAIN) throw errno(e.EFBIG);
    if (size > this.plain.length) {
      const larger = new Uint8Array(Math.max(size, this.plain.length * 2, 256));
      larger.set(this.plain.subarray(0, this.plainSize));
      this.plain = larger;
    }
    if (size < this.plainSize) this.plain.fill(0, size, this.plainSize);
    this.plainSize = size;
  }

  read(into: Uint8Array, position: number): number {
    const object = this.pages();
    if (object !== undefined) {
      const moved = object.read(position, into);
      if (typeof moved !== 'number') throw errno(e.ENOMEM);
      return moved;
    }
    const part = this.plain.subarray(position, Math.max(position, Math.min(position + into.length, this.plainSize)));
    into.set(part);
    return part.length;
  }

  write(from: Uint8Array, position: number): number {
    if (this.seals & (f.F_SEAL_WRITE | f.F_SEAL_FUTURE_WRITE)) throw errno(e.EPERM);
    if (this.seals & f.F_SEAL_GROW && position + from.length > this.size) {
      // Linux decides page by page (shmem_write_begin): those that lie in the file whole are written.
      const end = this.size - (this.size % 4096);
      if (position >= end) throw errno(e.EPERM);
      from = from.subarray(0, end - position);
    }
    from = this.fitting(from, position);
    const object = this.pages();
    this.touch();
    if (object !== undefined) {
      const moved = object.write(position, from);
      if (typeof moved !== 'number') throw errno(e.ENOSPC);
      return moved;
    }
    if (position + from.length > this.plainSize) this.resize(position + from.length);
    this.plain.set(from, position);
    return from.length;
  }

  /** As much of a write as there is room for. Throws ENOSPC where there is none. */
  private fitting(from: Uint8Array, position: number): Uint8Array {
    if (this.system.hasRoom(from.length + 4096) || from.length === 0) return from;
    const object = this.pages();
    let end = position;
    let more = 0;
    for (; end < position + from.length; end = Math.min(position + from.length, (Math.floor(end / 4096) + 1) * 4096)) {
      if (object?.pages.get(Math.floor(end / 4096)) === NO_FRAME) more += 4096;
      if (more > 0 && !this.system.hasRoom(more)) break;
    }
    if (end === position) throw errno(e.ENOSPC);
    return from.subarray(0, end - position);
  }

  /** Made in a set-group-ID directory. */
  joinGroup(gid: number): void {
    this.gid = gid;
    if (this.kind === 'directory') this.mode |= S_ISGID;
  }

  /** The page object that holds the content, where the file system has one for each file. */
  pages(): MemoryObject | undefined {
    const { device, pages } = this.system.options;
    if (this.object === undefined && pages !== undefined) {
      this.object = pages(this.key, { major: 0, minor: device, inode: Number(this.ino) });
      this.system.contents.add(this.object);
    }
    return this.object;
  }

  /** Gives up the content of a file that has neither a name nor an opening left; mappings keep their pages. */
  retire(): void {
    if (this.opens > 0 || this.nlink > 0 || this.hasGone) return;
    this.hasGone = true;
    this.system.files--;
    if (this.object !== undefined) this.system.contents.delete(this.object);
    this.object?.drop();
    this.object = undefined;
  }

  chmod(mode: number): void {
    if (this.seals & f.F_SEAL_EXEC && (this.mode ^ mode) & 0o111) throw errno(e.EPERM);
    this.mode = (this.mode & S_IFMT) | (mode & 0o7777);
    this.ctime_ns = this.system.options.now_ns();
  }

  chown(uid: number | undefined, gid: number | undefined): void {
    this.uid = uid ?? this.uid;
    this.gid = gid ?? this.gid;
    this.ctime_ns = this.system.options.now_ns();
  }

  utimes(times: NewTimes): void {
    this.atime_ns = times.atime_ns ?? this.atime_ns;
    this.mtime_ns = times.mtime_ns ?? this.mtime_ns;
    this.ctime_ns = this.system.options.now_ns();
  }

  access(): void {}

  private touch(): void {
    this.mtime_ns = this.ctime_ns = this.system.options.now_ns();
  }

  // ---- Directories -----------------------------------------------------------------------------------------------------------------

  lookup(name: string): Vnode | undefined {
    return this.entries.get(name);
  }

  names(): readonly string[] {
    return [...this.entries.keys()];
  }

  entry(name: string): MemVnode | undefined {
    return this.entries.get(name);
  }

  private insert(name: string, vnode: MemVnode): MemVnode {
    if (this.entries.has(name)) throw errno(e.EEXIST);
    if (this.nlink === 0) throw errno(e.ENOENT);
    this.entries.set(name, vnode);
    if (vnode.kind === 'directory') this.nlink++;
    this.touch();
    return vnode;
  }

  /** A new file; of a set-group-ID directory's group. */
  private add(name: string, vnode: MemVnode): MemVnode {
    this.insert(name, vnode);
    if (this.mode & S_ISGID) vnode.joinGroup(this.gid);
    return vnode;
  }

  create(name: string, mode: number, flags: number = f.O_RDWR): { vnode: Vnode; file: OpenFile } {
    const vnode = this.add(name, this.system.file(mode & 0o7777));
    return { vnode, file: new MemFile(vnode, flags) };
  }

  createUnnamed(mode: number, flags: number = f.O_RDWR): OpenFile {
    const vnode = this.system.file(mode & 0o7777);
    vnode.nlink = 0;
    vnode.isLinkable = (flags & f.O_EXCL) === 0;
    return new MemFile(vnode, flags);
  }

  mkdir(name: string, mode: number): void {
    this.system.claim();
    this.add(name, new MemVnode(this.system, S_IFDIR | (mode & 0o7777)));
  }

  mknod(name: string, mode: number, rdev: number): void {
    this.system.claim();
    this.add(name, new MemVnode(this.system, (mode & S_IFMT) === 0 ? mode | S_IFREG : mode, rdev));
  }

  symlink(name: string, target: string): void {
    this.system.claim();
    const link = this.add(name, new MemVnode(this.system, S_IFLNK | 0o777));
    link.target = target;
  }

  link(name: string, to: Vnode): void {
    if (!(to instanceof MemVnode) || to.system !== this.system) throw errno(e.EXDEV);
    if (to.kind === 'directory') throw errno(e.EPERM);
    if (to.nlink === 0 && !to.isLinkable) throw errno(e.ENOENT);
    if (to.nlink > 0) this.system.claim();
    this.insert(name, to);
    to.nlink++;
  }

  unlink(name: string): void {
    const vnode = this.entries.get(name);
    if (vnode === undefined) throw errno(e.ENOENT);
    if (vnode.kind === 'directory') throw errno(e.EISDIR);
    this.entries.delete(name);
    if (--vnode.nlink > 0) this.system.files--;
    vnode.retire();
    this.touch();
  }

  rmdir(name: string): void {
    const vnode = this.entries.get(name);
    if (vnode === undefined) throw errno(e.ENOENT);
    if (vnode.kind !== 'directory') throw errno(e.ENOTDIR);
    if (vnode.entries.size > 0) throw errno(e.ENOTEMPTY);
    this.entries.delete(name);
    vnode.nlink = 0;
    vnode.retire();
    this.nlink--;
    this.touch();
  }

  rename(name: string, to: Directory, toName: string, flags: number): void {
    if (!(to instanceof MemVnode) || to.system !== this.system) throw errno(e.EXDEV);
    const vnode = this.entries.get(name);
    if (vnode === undefined) throw errno(e.ENOENT);
    const other = to.entries.get(toName);
    if (flags & f.RENAME_EXCHANGE) {
      if (other === undefined) throw errno(e.ENOENT);
      this.entries.set(name, other);
      to.entries.set(toName, vnode);
      return;
    }
    if (other === vnode) return;
    if (flags & f.RENAME_WHITEOUT) this.system.claim();
    if (other !== undefined) {
      if (flags & f.RENAME_NOREPLACE) throw errno(e.EEXIST);
      if (other.kind === 'directory' && vnode.kind !== 'directory') throw errno(e.EISDIR);
      if (other.kind !== 'directory' && vnode.kind === 'directory') throw errno(e.ENOTDIR);
      if (other.kind === 'directory') to.rmdir(toName);
      else to.unlink(toName);
    }
    this.entries.delete(name);
    if (vnode.kind === 'directory') this.nlink--;
    to.insert(toName, vnode);
    // What is seen of a file that was removed from a layer of an overlay: device 0:0.
    if (flags & f.RENAME_WHITEOUT) this.add(name, new MemVnode(this.system, S_IFCHR));
    this.touch();
  }
}
