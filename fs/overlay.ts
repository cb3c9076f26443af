/**
 * Changes in memory over files that are only read: a file is copied when it is first written, a name that goes leaves a whiteout, new names live in
 * memory. Nothing below is ever changed. With `readOnly` there are no changes at all, only EROFS.
 */
import { EEXIST, EINVAL, EISDIR, ELOOP, ENOENT, ENOTDIR, ENOTEMPTY, ENXIO, EPERM, EROFS, errno, EXDEV } from '../abi/errno.ts';
import { canWrite, O_RDONLY, O_TRUNC, RENAME_EXCHANGE, RENAME_NOREPLACE, RENAME_WHITEOUT } from '../abi/fcntl.ts';
import { S_IFCHR, S_IFDIR, S_IFLNK, S_IFMT, S_IFREG, S_ISGID } from '../abi/stat.ts';
import { type MemFileSystem, MemVnode } from './memfs.ts';
import { StoredDirectoryFile } from './directory-file.ts';
import { OverlayFile } from './overlay-file.ts';
import {
  type Attributes,
  type Directory,
  type FileKind,
  type FileSystemStat,
  isWait,
  type NewTimes,
  type OpenFile,
  type Stat,
  type Vnode,
  type Wait,
} from './vnode.ts';

const OVERLAYFS_MAGIC = 0x794c7630;
const W_OK = 2;

/** One difference from what lies below. */
export interface Change {
  readonly path: string;
  readonly change: 'added' | 'changed' | 'removed';
  readonly kind: FileKind;
}

/** What was changed of one file. */
interface Layer {
  /** Mode, owner and times; of a new or copied file the content too. */
  meta: MemVnode | undefined;
  /** `meta` has the content. */
  hasData: boolean;
  /** Names that are other than below; undefined: gone. */
  readonly entries: Map<string, OverlayVnode | undefined>;
  /** Names more (or fewer) than below. */
  links: number;
  /** For the list of changes. */
  readonly node: OverlayVnode;
}

export interface OverlayOptions {
  /** Where what is new lives. */
  readonly memory: MemFileSystem;
  readonly readOnly?: boolean;
  readonly openSpecial: (vnode: Vnode, rdev: number, flags: number) => OpenFile | Wait | undefined;
}

export class OverlayFileSystem {
  readonly root: OverlayVnode;
  readonly options: OverlayOptions;
  /** Changed files that exist below, by their key there. */
  readonly layers: Map<string, Layer> = new Map();

  constructor(lower: Vnode, options: OverlayOptions) {
    this.options = options;
    this.root = new OverlayVnode(this, { lower }, undefined, '');
  }

  /** A new file that has nothing below it. */
  make(mode: number, rdev: number, parent: OverlayVnode, name: string, target?: string): OverlayVnode {
    return new OverlayVnode(this, { made: new MemVnode(this.options.memory, mode, rdev), target }, parent, name);
  }

  private at(path: string): OverlayVnode | undefined {
    let at: OverlayVnode | undefined = this.root;
    for (const name of path.split('/').filter((part) => part !== '')) at = at?.lookup(name);
    return at;
  }

  /** Every difference, in the order of their paths. */
  changes(): Change[] {
    const found: Change[] = [];
    const below = (node: OverlayVnode, path: string, isNew: boolean): void => {
      if (isNew) found.push({ path, change: 'added', kind: node.kind });
      for (const [name, entry] of node.changedEntries()) {
        const before = node.below(name);
        const at = `${path === '/' ? '' : path}/${name}`;
        if (before !== undefined) found.push({ path: at, change: entry === undefined ? 'removed' : 'changed', kind: before.kind });
        if (entry !== undefined) below(entry, at, before === undefined);
      }
    };
    for (const layer of this.layers.values()) {
      const { node } = layer;
      if (node.isMoved || this.at(node.path())?.key !== node.key) continue;
      if (layer.meta !== undefined && node !== this.root && layer.entries.size === 0)
        found.push({ path: node.path(), change: 'changed', kind: node.kind });
      below(node, node.path(), false);
    }
    const seen = new Map(found.map((change) => [`${change.change} ${change.path}`, change]));
    return [...seen.values()].sort((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0));
  }
}

export class OverlayVnode implements Vnode, Directory {
  readonly kind: FileKind;
  readonly key: string;
  readonly lower: Vnode | undefined;
  private readonly system: OverlayFileSystem;
  private readonly own: Layer | undefined;
  private readonly target: string | undefined;
  private parent: OverlayVnode | undefined;
  private name: string;
  /** Renamed or linked: it is listed where it is now, not where it was. */
  isMoved = false;

  constructor(
    system: OverlayFileSystem,
    from: { readonly lower?: Vnode; readonly made?: MemVnode; readonly target?: string },
    parent: OverlayVnode | undefined,
    name: string,
  ) {
    this.system = system;
    this.lower = from.lower;
    this.target = from.target;
    this.parent = parent;
    this.name = name;
    if (from.made !== undefined) this.own = { meta: from.made, hasData: true, entries: new Map(), links: 0, node: this };
    this.kind = from.made?.kind ?? (from.lower as Vnode).kind;
    this.key = from.made?.key ?? `overlay ${from.lower?.key}`;
  }

  private get layer(): Layer | undefined {
    return this.own ?? this.system.layers.get((this.lower as Vnode).key);
  }

  /** Where changes of this file are kept; EROFS where there may be none. */
  private change(): Layer {
    if (this.system.options.readOnly) throw errno(EROFS);
    let { layer } = this;
    if (layer === undefined) {
      layer = { meta: undefined, hasData: false, entries: new Map(), links: 0, node: this };
      this.system.layers.set((this.lower as Vnode).key, layer);
    }
    return layer;
  }

  path(): string {
    if (this.parent === undefined) return '/';
    const above = this.parent.path();
    return `${above === '/' ? '' : above}/${this.name}`;
  }

  changedEntries(): ReadonlyMap<string, OverlayVnode | undefined> {
    return this.layer?.entries ?? new Map();
  }

  below(name: string): Vnode | undefined {
    return this.lower?.directory?.lookup(name);
  }

  get directory(): Directory | undefined {
    return this.kind === 'directory' ? this : undefined;
  }

  // ---- The file itself ---------------------------------------------------------------------------------------------------------------

  stat(): Stat {
    const { layer, lower } = this;
    const upper = layer?.meta?.stat();
    if (upper === undefined) {
      const stat = (lower as Vnode).stat();
      return layer === undefined || layer.links === 0 ? stat : { ...stat, nlink: stat.nlink + layer.links };
    }
    if (lower === undefined) return this.target === undefined ? upper : { ...upper, size: this.target.length };
    const { dev, ino, nlink, size, blocks, btime_ns } = lower.stat();
    const content = layer?.hasData ? {} : { size, blocks };
    return { ...upper, ...content, dev, ino, nlink: nlink + (layer?.links ?? 0), btime_ns };
  }

  statfs(): FileSystemStat {
    const below = this.lower?.statfs() ?? this.system.root.lower?.statfs();
    const own = this.system.options.memory.root.statfs();
    return { ...(below ?? own), type: this.system.options.readOnly && below ? below.type : OVERLAYFS_MAGIC };
  }

  /** Mode, owner and times in memory, as they are below. */
  private copied(): MemVnode {
    const layer = this.change();
    if (layer.meta === undefined) {
      const { mode, rdev, uid, gid, atime_ns, mtime_ns } = (this.lower as Vnode).stat();
      layer.meta = new MemVnode(this.system.options.memory, mode, rdev);
      layer.meta.chown(uid, gid);
      const attributes = this.lower?.attributes;
      if (attributes !== undefined) layer.meta.attributes.copyFrom(attributes);
      layer.meta.utimes({ atime_ns, mtime_ns });
    }
    return layer.meta;
  }

  /** The content in memory; `empty`: it is about to be cut to nothing. */
  private written(empty: boolean): MemVnode {
    const meta = this.copied();
    const layer = this.change();
    if (layer.hasData) return meta;
    layer.hasData = true;
    if (empty) return meta;
    const { atime_ns, mtime_ns } = meta.stat();
    try {
      copyContent(this.lower as Vnode, meta);
    } catch (error) {
      layer.hasData = false;
      meta.truncate(0);
      throw error;
    }
    meta.utimes({ atime_ns, mtime_ns });
    return meta;
  }

  open(flags: number): OpenFile | Wait {
    switch (this.kind) {
      case 'symlink':
        throw errno(ELOOP);
      case 'directory':
        return new StoredDirectoryFile(this, { names: () => this.names(), stat: (name) => this.lookup(name)?.stat() });
      case 'file': {
        if (canWrite(flags) || flags & O_TRUNC) this.written((flags & O_TRUNC) !== 0);
        return new OverlayFile(this, flags, () => this.content(flags));
      }
      default: {
        const file = this.system.options.openSpecial(this, this.stat().rdev, flags);
        if (file === undefined) throw errno(ENXIO);
        return file;
      }
    }
  }

  /** Whichever file has the content now. */
  content(flags: number): { readonly of: Vnode; open(): OpenFile } {
    const of = this.layer?.hasData ? (this.layer.meta as Vnode) : (this.lower as Vnode);
    return {
      of,
      open: () => {
        const file = of.open(flags);
        if (isWait(file)) throw errno(EINVAL);
        return file;
      },
    };
  }

  readlink(): string {
    if (this.kind !== 'symlink') throw errno(EINVAL);
    return this.target ?? (this.lower as Vnode).readlink();
  }

  truncate(size: number): void {
    this.written(size === 0).truncate(size);
  }

  chmod(mode: number): void {
    this.copied().chmod(mode);
  }

  chown(uid: number | undefined, gid: number | undefined): void {
    this.copied().chown(uid, gid);
  }

  utimes(times: NewTimes): void {
    this.copied().utimes(times);
  }

  access(mode: number): void {
    if (mode & W_OK && this.system.options.readOnly && this.kind !== 'character' && this.kind !== 'fifo') throw errno(EROFS);
    // Changes stay in memory: only reading asks the host.
    if (this.layer?.meta === undefined && mode & ~W_OK) this.lower?.access(mode & ~W_OK);
  }

  get attributes(): Attributes {
    const now = (): Attributes | undefined => (this.layer?.meta ?? this.lower)?.attributes;
    return {
      get: (name) => now()?.get(name),
      names: () => now()?.names() ?? [],
      set: (name, value) => this.copied().attributes.set(name, value),
      remove: (name) => this.copied().attributes.remove(name),
    };
  }

  // ---- Directories -------------------------------------------------------------------------------------------------------------------

  lookup(name: string, known?: Vnode): OverlayVnode | undefined {
    const { layer } = this;
    if (layer?.entries.has(name)) return layer.entries.get(name);
    const before = known instanceof OverlayVnode ? known : undefined;
    const found = this.lower?.directory?.lookup(name, before?.lower);
    if (found === undefined) return undefined;
    return before !== undefined && before.lower === found ? before : new OverlayVnode(this.system, { lower: found }, this, name);
  }

  names(): string[] {
    const { entries } = this.layer ?? { entries: new Map<string, OverlayVnode | undefined>() };
    const names: string[] = [];
    if (this.lower !== undefined) {
      const file = this.lower.open(O_RDONLY);
      if (isWait(file) || file.entries === undefined) throw errno(ENOTDIR);
      for (const { name } of file.entries(0)) if (name !== '.' && name !== '..' && !entries.has(name)) names.push(name);
      file.close();
    }
    for (const [name, vnode] of entries) if (vnode !== undefined) names.push(name);
    return names;
  }

  private put(name: string, vnode: OverlayVnode | undefined): void {
    const { entries } = this.change();
    if (vnode === undefined && this.below(name) === undefined) entries.delete(name);
    else entries.set(name, vnode);
    const now_ns = this.system.options.memory.options.now_ns();
    this.copied().utimes({ atime_ns: undefined, mtime_ns: now_ns });
  }

  private add(name: string, vnode: OverlayVnode): OverlayVnode {
    this.put(name, vnode);
    const { mode, gid } = this.stat();
    if (mode & S_ISGID) vnode.own?.meta?.joinGroup(gid);
    return vnode;
  }

  /** The name must be free, and the directory still there. */
  private free(name: string): void {
    if (this.system.options.readOnly) throw errno(EROFS);
    if (this.lookup(name) !== undefined) throw errno(EEXIST);
    if (this.own?.meta?.nlink === 0) throw errno(ENOENT);
  }

  private existing(name: string): OverlayVnode {
    const vnode = this.lookup(name);
    if (vnode === undefined) throw errno(ENOENT);
    if (this.system.options.readOnly) throw errno(EROFS);
    return vnode;
  }

  create(name: string, mode: number, flags: number): { vnode: Vnode; file: OpenFile } {
    this.free(name);
    const vnode = this.add(name, this.system.make(S_IFREG | (mode & 0o7777), 0, this, name));
    return { vnode, file: vnode.open(flags & ~O_TRUNC) as OpenFile };
  }

  createUnnamed(mode: number, flags: number): OpenFile {
    if (this.system.options.readOnly) throw errno(EROFS);
    const vnode = this.system.make(S_IFREG | (mode & 0o7777), 0, this, '');
    vnode.linked(-1);
    return vnode.open(flags & ~O_TRUNC) as OpenFile;
  }

  mkdir(name: string, mode: number): void {
    this.free(name);
    this.add(name, this.system.make(S_IFDIR | (mode & 0o7777), 0, this, name));
  }

  mknod(name: string, mode: number, rdev: number): void {
    this.free(name);
    this.add(name, this.system.make((mode & S_IFMT) === 0 ? mode | S_IFREG : mode, rdev, this, name));
  }

  symlink(name: string, target: string): void {
    this.free(name);
    this.add(name, this.system.make(S_IFLNK | 0o777, 0, this, name, target));
  }

  link(name: string, to: Vnode): void {
    if (!(to instanceof OverlayVnode) || to.system !== this.system) throw errno(EXDEV);
    if (to.kind === 'directory') throw errno(EPERM);
    this.free(name);
    this.put(name, to);
    to.linked(1);
  }

  /** One name more or less. */
  private linked(by: number): void {
    const layer = this.change();
    const meta = this.copied();
    if (this.lower === undefined) meta.nlink += by;
    else layer.links += by;
    if (this.stat().nlink > 0) return;
    meta.nlink = 0;
    meta.retire();
  }

  unlink(name: string): void {
    const vnode = this.existing(name);
    if (vnode.kind === 'directory') throw errno(EISDIR);
    this.put(name, undefined);
    vnode.linked(-1);
  }

  rmdir(name: string): void {
    const vnode = this.existing(name);
    if (vnode.kind !== 'directory') throw errno(ENOTDIR);
    if (vnode.names().length > 0) throw errno(ENOTEMPTY);
    this.put(name, undefined);
    if (vnode.own?.meta !== undefined) vnode.own.meta.nlink = 0;
  }

  rename(name: string, to: Directory, toName: string, flags: number): void {
    if (!(to instanceof OverlayVnode) || to.system !== this.system) throw errno(EXDEV);
    const vnode = this.existing(name);
    const other = to.lookup(toName);
    if (flags & RENAME_EXCHANGE) {
      if (other === undefined) throw errno(ENOENT);
      this.put(name, other.movedTo(this, name));
      to.put(toName, vnode.movedTo(to, toName));
      return;
    }
    if (other !== undefined) {
      if (other === vnode || other.key === vnode.key) return;
      if (flags & RENAME_NOREPLACE) throw errno(EEXIST);
      if (other.kind === 'directory') to.rmdir(toName);
      else to.unlink(toName);
    }
    this.put(name, flags & RENAME_WHITEOUT ? this.system.make(S_IFCHR, 0, this, name) : undefined);
    to.put(toName, vnode.movedTo(to, toName));
  }

  private movedTo(parent: OverlayVnode, name: string): OverlayVnode {
    this.parent = parent;
    this.name = name;
    this.isMoved = true;
    return this;
  }
}

function copyContent(from: Vnode, to: MemVnode): void {
  const file = from.open(O_RDONLY);
  if (isWait(file)) throw errno(EINVAL);
  try {
    const bytes = new Uint8Array(1 << 16);
    for (let at = 0; ; ) {
      const moved = file.read(bytes, at, false);
      if (isWait(moved)) throw errno(EINVAL);
      if (moved === 0) return;
      for (let done = 0; done < moved; ) done += to.write(bytes.subarray(done, moved), at + done);
      at += moved;
    }
  } finally {
    file.close();
  }
}
