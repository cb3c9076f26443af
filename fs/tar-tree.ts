/** A tar archive as a read-only file system: the tree of its names is made at once, content is read where it lies in the archive when it is asked for. */
import { EIO, EISDIR, EINVAL, ELOOP, ENXIO, EROFS, errno } from '../abi/errno.ts';
import { canWrite, O_TRUNC } from '../abi/fcntl.ts';
import { POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM } from '../abi/poll.ts';
import { makeDevice, S_IFDIR, S_IFMT } from '../abi/stat.ts';
import type { PageCache } from '../mm/cache.ts';
import type { MemoryObject } from '../mm/object.ts';
import type { Pager, PagerResult } from '../mm/pager.ts';
import { type TarEntry, tarEntries, TarError, type TarRun, type TarSource } from './tar.ts';
import type { Attributes, Directory, DirectoryEntry, FileKind, FileSystemStat, OpenFile, Stat, Vnode, Wait } from './vnode.ts';
import { kindOf } from './vnode.ts';

/** squashfs's, the read-only file system that programs know. */
const MAGIC = 0x73717368;
const ST_RDONLY_VALID = 0x21;
const PAGE = 4096;
const READY = POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM;
const NO_RUNS: readonly TarRun[] = [];

export interface TarTreeOptions {
  readonly source: TarSource;
  /** Minor number of its device, major 0. */
  readonly device: number;
  readonly cache: PageCache<string>;
  readonly openSpecial: (vnode: Vnode, rdev: number, flags: number) => OpenFile | Wait | undefined;
}

/** The archive's root directory. Throws TarError. Later entries of a name replace earlier ones, as unpacking would. */
export function tarTree(options: TarTreeOptions): Vnode {
  const system = new TarSystem(options);
  for (const entry of tarEntries(options.source)) system.add(entry);
  return system.root;
}

class TarSystem {
  readonly options: TarTreeOptions;
  readonly root: TarVnode;
  files = 0;

  constructor(options: TarTreeOptions) {
    this.options = options;
    this.root = new TarVnode(this, S_IFDIR | 0o755);
  }

  add(entry: TarEntry): void {
    const names = parts(entry.name);
    const name = names.pop();
    if (name === undefined) return this.root.take(entry);
    const parent = this.down(names);
    if (entry.linkTo !== undefined) return parent.link(name, this.find(entry.linkTo, entry.name));
    const known = parent.entries.get(name);
    if (known !== undefined && known.kind === 'directory' && kindOf(entry.mode) === 'directory') return known.take(entry);
    const made = new TarVnode(this, entry.mode);
    made.take(entry);
    parent.link(name, made);
  }

  /** Directories that the archive does not name are there all the same. */
  private down(names: readonly string[]): TarVnode {
    let at = this.root;
    for (const name of names) {
      let next = at.entries.get(name);
      if (next === undefined || next.kind !== 'directory') {
        next = new TarVnode(this, S_IFDIR | 0o755);
        at.link(name, next);
      }
      at = next;
    }
    return at;
  }

  private find(path: string, from: string): TarVnode {
    let at: TarVnode | undefined = this.root;
    for (const name of parts(path)) at = at?.entries.get(name);
    if (at === undefined || at.kind === 'directory') throw new TarError(`${from} is a link to ${path}, which is not in it`);
    return at;
  }
}

/** Names that could lead outside mean what they would at the root. */
function parts(path: string): string[] {
  const names: string[] = [];
  for (const name of path.split('/')) {
    if (name === '..') names.pop();
    else if (name !== '' && name !== '.') names.push(name.slice(0, 255));
  }
  return names;
}

class TarVnode implements Vnode, Directory {
  readonly kind: FileKind;
  readonly key: string;
  readonly entries: Map<string, TarVnode> = new Map();
  readonly system: TarSystem;
  readonly ino: number;
  private mode: number;
  private uid = 0;
  private gid = 0;
  private nlink = 0;
  private mtime_ns = 0n;
  private rdev = 0;
  private target = '';
  private extended: ReadonlyMap<string, Uint8Array> = new Map();
  size = 0;
  runs: readonly TarRun[] = NO_RUNS;

  constructor(system: TarSystem, mode: number) {
    this.system = system;
    this.mode = mode;
    this.kind = kindOf(mode);
    this.ino = ++system.files;
    this.key = `${makeDevice(0, system.options.device)}:${this.ino}`;
  }

  take({ mode, uid, gid, mtime_ns, device, target, size, runs, attributes }: TarEntry): void {
    this.mode = (this.mode & S_IFMT) | (mode & 0o7777);
    Object.assign(this, { uid, gid, mtime_ns, target, size, runs, extended: attributes });
    this.rdev = this.kind === 'character' || this.kind === 'block' ? makeDevice(device.major, device.minor) : 0;
  }

  link(name: string, to: Vnode): void {
    const vnode = to as TarVnode;
    const before = this.entries.get(name);
    if (before !== undefined) before.nlink--;
    vnode.nlink++;
    this.entries.set(name, vnode);
  }

  get directory(): Directory | undefined {
    return this.kind === 'directory' ? this : undefined;
  }

  get attributes(): Attributes {
    return { get: (name) => this.extended.get(name), names: () => [...this.extended.keys()], set: refuse, remove: refuse };
  }

  stat(): Stat {
    const { mode, uid, gid, mtime_ns, rdev } = this;
    const isDirectory = this.kind === 'directory';
    const below = isDirectory ? [...this.entries.values()].filter(({ kind }) => kind === 'directory').length : 0;
    const blocks = this.runs.reduce((sum, run) => sum + Math.ceil(run.size / 512), 0);
    return {
      dev: makeDevice(0, this.system.options.device),
      rdev,
      ino: BigInt(this.ino),
      mode,
      nlink: isDirectory ? 2 + below : this.nlink,
      uid,
      gid,
      size: this.kind === 'symlink' ? this.target.length : isDirectory ? PAGE : this.size,
      blksize: PAGE,
      blocks,
      atime_ns: mtime_ns,
      mtime_ns,
      ctime_ns: mtime_ns,
      btime_ns: undefined,
    };
  }

  statfs(): FileSystemStat {
    const { source } = this.system.options;
    const blocks = Math.ceil(source.size / PAGE);
    return {
      type: MAGIC,
      bsize: PAGE,
      blocks,
      bfree: 0,
      bavail: 0,
      files: this.system.files,
      ffree: 0,
      namelen: 255,
      flags: ST_RDONLY_VALID,
    };
  }

  open(flags: number): OpenFile | Wait {
    if (this.kind === 'symlink') throw errno(ELOOP);
    if (this.kind === 'directory') return new TarDirectoryFile(this);
    if (this.kind !== 'file') {
      const file = this.system.options.openSpecial(this, this.rdev, flags);
      if (file === undefined) throw errno(ENXIO);
      return file;
    }
    if (canWrite(flags) || flags & O_TRUNC) throw errno(EROFS);
    return new TarFile(this);
  }

  /** The file's bytes from `position` on. */
  read(into: Uint8Array, position: number): number {
    const end = Math.min(position + into.length, this.size);
    if (end <= position) return 0;
    const wanted = into.subarray(0, end - position);
    wanted.fill(0);
    for (const { offset, size, at } of this.runs) {
      const base = Math.max(position, offset);
      const top = Math.min(end, offset + size);
      if (base >= top) continue;
      const part = wanted.subarray(base - position, top - position);
      if (this.system.options.source.read(part, at + base - offset) < part.length) throw errno(EIO);
    }
    return wanted.length;
  }

  memoryObject(name: string): MemoryObject {
    return this.system.options.cache.object(this.key, () => ({ pager: new TarPager(this, name), size: this.size }));
  }

  get identity() {
    return { major: 0, minor: this.system.options.device, inode: this.ino };
  }

  readlink(): string {
    if (this.kind !== 'symlink') throw errno(EINVAL);
    return this.target;
  }

  lookup(name: string): Vnode | undefined {
    return this.entries.get(name);
  }

  access(): void {}

  readonly truncate: () => never = refuse;
  readonly chmod: () => never = refuse;
  readonly chown: () => never = refuse;
  readonly utimes: () => never = refuse;
  readonly create: () => never = refuse;
  readonly mkdir: () => never = refuse;
  readonly mknod: () => never = refuse;
  readonly symlink: () => never = refuse;
  readonly unlink: () => never = refuse;
  readonly rmdir: () => never = refuse;
  readonly rename: () => never = refuse;
}

function refuse(): never {
  throw errno(EROFS);
}

class TarFile implements OpenFile {
  readonly vnode: TarVnode;
  readonly seekable = true;

  constructor(vnode: TarVnode) {
    this.vnode = vnode;
  }

  read(into: Uint8Array, position: number): number {
    return this.vnode.read(into, position);
  }

  write(): never {
    return refuse();
  }

  poll(): number {
    return READY;
  }

  size(): number {
    return this.vnode.size;
  }

  memoryObject(name: string): MemoryObject {
    return this.vnode.memoryObject(name);
  }

  sync(): void {}

  close(): void {}
}

/** Pages of a file in the archive; what is dirty belongs to private copies and never comes back here. */
class TarPager implements Pager {
  readonly name: string;
  private readonly vnode: TarVnode;

  constructor(vnode: TarVnode, name: string) {
    this.vnode = vnode;
    this.name = name;
  }

  get identity() {
    return this.vnode.identity;
  }

  pageIn(index: number, into: Uint8Array): PagerResult {
    this.vnode.read(into, index * PAGE);
    return undefined;
  }

  pageOut(): PagerResult {
    return { kind: 'error', errno: EROFS };
  }

  release(): void {}
}

class TarDirectoryFile implements OpenFile {
  readonly vnode: TarVnode;
  readonly seekable = true;

  constructor(vnode: TarVnode) {
    this.vnode = vnode;
  }

  read(): never {
    throw errno(EISDIR);
  }

  write(): never {
    throw errno(EISDIR);
  }

  poll(): number {
    return READY;
  }

  *entries(from: number): Generator<DirectoryEntry> {
    const own = BigInt(this.vnode.ino);
    if (from === 0) yield { name: '.', ino: own, type: 4, next: 1 };
    if (from <= 1) yield { name: '..', ino: own, type: 4, next: 2 };
    let next = 2;
    for (const [name, vnode] of this.vnode.entries) {
      next++;
      if (next > Math.max(2, from)) yield { name, ino: BigInt(vnode.ino), type: vnode.stat().mode >> 12, next };
    }
  }

  sync(): void {}

  close(): void {}
}
