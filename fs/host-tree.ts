/**
 * A host directory as a file system. A directory is held by an O_PATH descriptor of ours, and the host is only ever asked for
 * /proc/self/fd/N/NAME with one checked NAME that it does not follow (O_NOFOLLOW, lstat, readlink and the like): a symbolic link, `..` or
 * somebody renaming things on the host cannot lead outside. What remains: a directory that the host's user moves out of the root while we
 * hold it stays visible, as it does under chroot; and without /proc on the host plain paths of checked directories are used instead.
 */
import { EEXIST, EINVAL, ELOOP, EMFILE, ENOENT, ENOTDIR, ENXIO, EOPNOTSUPP, EPERM, ESTALE, EXDEV, Errno, errno } from '../abi/errno.ts';
import * as f from '../abi/fcntl.ts';
import { S_IFDIR, S_IFIFO, S_IFMT, S_IFREG } from '../abi/stat.ts';
import { HostDirectoryFile, HostFile } from './host-file.ts';
import { type FifoOpener, OwnFifos } from './host-fifo.ts';
import { linkDescriptor, mkfifo, renameWithWhiteout } from './host-tools.ts';
import * as host from './hostfs.ts';
import { HostDescriptor } from './hostfs.ts';
import type { PageCache } from '../mm/cache.ts';
import { ExactTimes } from './exact-times.ts';
import { InodeTable } from './inode.ts';
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

/** O_PATH descriptors of directories that are kept open. */
const OPEN_DIRECTORIES = 256;
/** Flags of the guest that the host's open may see. Never O_NONBLOCK's absence: a fifo put in place of a file must not hang us. */
const PASSED_FLAGS = f.O_ACCMODE | f.O_DSYNC | f.O_SYNC | f.O_NOATIME;
const SAFE = f.O_NOFOLLOW | f.O_CLOEXEC | f.O_NONBLOCK;

/** What opens a device node, by its number: the machine has its own devices and never touches the host's. Undefined: no such device. */
export type DeviceOpener = (vnode: Vnode, rdev: number, flags: number) => OpenFile | undefined;
/** What opens a fifo: the host path gives descriptors of it. */
export interface HostFileSystemOptions {
  readonly cache: PageCache<string>;
  readonly openDevice: DeviceOpener;
  readonly openFifo: FifoOpener;
}

export class HostFileSystem {
  readonly root: HostVnode;
  readonly inodes: InodeTable;
  readonly options: HostFileSystemOptions;
  private readonly isGuestRoot: boolean;
  /** Open directories, least recently used first. */
  private readonly descriptors: Map<HostVnode, number> = new Map();
  readonly times: ExactTimes = new ExactTimes();

  /** Without a path none of the host's files is the guest's by itself; there are only mounts and inherited streams. */
  constructor(path: string | undefined, options: HostFileSystemOptions) {
    this.options = options;
    this.inodes = new InodeTable(options.cache);
    this.isGuestRoot = path !== undefined;
    this.root = this.top(host.realpath(path ?? '/'));
  }

  /** A host directory that is not looked up from another: the root, the source of a mount. `real` has no links in it. */
  top(real: string): HostVnode {
    const stat = host.lstat(real);
    if (stat === undefined) throw errno(ENOENT);
    if ((Number(stat.mode) & S_IFMT) !== S_IFDIR) throw errno(ENOTDIR);
    return new HostVnode(this, stat, { parent: undefined, name: real });
  }

  /** What the last look-up saw, good for one use: stat right after a walk asks the host only once. */
  private seen: { readonly vnode: HostVnode; readonly stat: host.HostStat } | undefined;

  sees(vnode: HostVnode, stat: host.HostStat): void {
    this.seen = { vnode, stat };
  }

  takeSeen(vnode: HostVnode): host.HostStat | undefined {
    const { seen } = this;
    if (seen?.vnode !== vnode) return undefined;
    this.seen = undefined;
    return seen.stat;
  }

  readonly ownFifos: OwnFifos = new OwnFifos();

  /** At each new walk, and when something changes. */
  forgetSeen(): void {
    this.seen = undefined;
  }

  /** What the guest calls a host path; undefined where it lies outside. */
  readonly guestPath = (path: string): string | undefined => {
    if (!this.isGuestRoot) return undefined;
    const root = this.root.textPath();
    return path.startsWith(`${root}/`) ? path.slice(root.length) : path === root || path === '/' ? '/' : undefined;
  };

  /** The host path of entry `name` of a directory, safe to use without following. */
  at(directory: HostVnode, name: string): string {
    return `${this.pathOf(directory)}/${name}`;
  }

  /** A host path that is the directory itself, whatever has been renamed. */
  pathOf(directory: HostVnode): string {
    if (!host.descriptorPaths()) return directory.textPath() || '/';
    return `/proc/self/fd/${this.descriptor(directory)}`;
  }

  /** Whether the host still calls a directory what the names that led to it say. */
  isWhereItWas(directory: HostVnode): boolean {
    const fd = this.descriptors.get(directory);
    return fd !== undefined && host.descriptorName(fd) === directory.textPath();
  }

  /** Needs no right to search the directory, as stat needs none. */
  statDirectory(directory: HostVnode): host.HostStat {
    if (host.descriptorPaths()) return host.fstat(this.descriptor(directory));
    const stat = host.lstat(directory.textPath() || '/');
    if (stat === undefined) throw errno(ENOENT);
    return stat;
  }

  private descriptor(directory: HostVnode): number {
    const known = this.descriptors.get(directory);
    if (known !== undefined) {
      this.descriptors.delete(directory);
      this.descriptors.set(directory, known);
      return known;
    }
    while (this.descriptors.size >= OPEN_DIRECTORIES) this.closeOldest();
    const { parent, name } = directory.entry;
    const path = parent === undefined ? name : this.at(parent, name);
    const fd = this.open(path, f.O_PATH | f.O_DIRECTORY | f.O_NOFOLLOW | f.O_CLOEXEC);
    if (keyOf(host.fstat(fd)) !== directory.key) {
      host.close(fd);
      throw errno(ESTALE);
    }
    this.descriptors.set(directory, fd);
    return fd;
  }

  private closeOldest(): void {
    for (const [directory, fd] of this.descriptors) {
      this.descriptors.delete(directory);
      host.close(fd);
      return;
    }
  }

  /** Opens, giving up kept files and directories where the host has no more descriptors. */
  open(path: string, flags: number, mode = 0): number {
    for (;;) {
      try {
        return host.open(path, flags, mode);
      } catch (error) {
        if (!(error instanceof Errno) || error.code !== EMFILE) throw error;
        if (this.inodes.trim()) continue;
        if (this.descriptors.size <= 8) throw error;
        this.closeOldest();
      }
    }
  }

  statOf(stat: host.HostStat): Stat {
    const exact = this.times.of(keyOf(stat));
    this.inodes.looks++;
    return {
      dev: Number(stat.dev),
      rdev: Number(stat.rdev),
      ino: stat.ino,
      mode: Number(stat.mode),
      nlink: Number(stat.nlink),
      uid: Number(stat.uid),
      gid: Number(stat.gid),
      size: Number(stat.size),
      blksize: Number(stat.blksize),
      blocks: Number(stat.blocks),
      atime_ns: exact?.host_atime_ns === stat.atimeNs ? exact.atime_ns : stat.atimeNs,
      mtime_ns: exact?.host_mtime_ns === stat.mtimeNs ? exact.mtime_ns : stat.mtimeNs,
      ctime_ns: stat.ctimeNs,
      btime_ns: stat.birthtimeNs > 0n ? stat.birthtimeNs : undefined,
    };
  }

  /** A standard stream that is a regular file; undefined where it is none. Our descriptor stays open whatever the guest closes. */
  adoptStream(fd: number, stat: host.HostStat, flags: number, shown: (stat: Stat) => Stat): OpenFile | undefined {
    if ((Number(stat.mode) & S_IFMT) !== S_IFREG) return undefined;
    const descriptor = new HostDescriptor(fd, (flags & f.O_ACCMODE) === f.O_RDWR);
    descriptor.hold();
    const vnode = new HostVnode(this, stat, { parent: this.root, name: '' }, descriptor);
    vnode.shown = shown;
    const inode = this.inodes.get(vnode.key);
    inode.opened(stat);
    return new HostFile(vnode, descriptor, inode, this.guestPath, f.canWrite(flags));
  }

  /** sync: dirty pages of all files go to the host. */
  writeBackAll(): number | undefined {
    return this.inodes.writeBackAll();
  }

  close(): void {
    this.writeBackAll();
    while (this.descriptors.size > 0) this.closeOldest();
  }
}

/** Where a file hangs on the host. Directories know it for life (renames through us are noted); others when they were looked up. */
interface HostEntryPlace {
  parent: HostVnode | undefined;
  /** A single name; for the root the absolute path. */
  name: string;
}

export class HostVnode implements Vnode, Directory {
  readonly kind: FileKind;
  readonly key: string;
  readonly judges = 'host';
  readonly entry: HostEntryPlace;
  private readonly system: HostFileSystem;
  /** For the file of a description: names do not matter any more. */
  private readonly opened: HostDescriptor | undefined;
  /** What the guest is to see of it. */
  shown: (stat: Stat) => Stat = asItIs;

  constructor(system: HostFileSystem, stat: host.HostStat, entry: HostEntryPlace, opened?: HostDescriptor) {
    this.system = system;
    this.kind = kindOf(Number(stat.mode));
    this.key = keyOf(stat);
    this.entry = entry;
    this.opened = opened;
  }

  get directory(): Directory | undefined {
    return this.kind === 'directory' ? this : undefined;
  }

  get writers(): number {
    return this.system.inodes.peek(this.key)?.writers ?? 0;
  }

  /** Where there are no descriptor paths. */
  textPath(): string {
    const { parent, name } = this.entry;
    return parent === undefined ? (name === '/' ? '' : name) : `${parent.textPath()}/${name}`;
  }

  /** A host path of the file itself, not to be followed; of an open file it is a link that must be followed. */
  private path(): string {
    const { parent, name } = this.entry;
    return parent === undefined ? this.system.pathOf(this) : this.system.at(parent, name);
  }

  private hostStat(): host.HostStat {
    if (this.opened !== undefined) return host.fstat(this.opened.fd);
    const seen = this.system.takeSeen(this);
    if (seen !== undefined) return seen;
    if (this.kind === 'directory') return this.system.statDirectory(this);
    const stat = host.lstat(this.path());
    if (stat === undefined) throw errno(ENOENT);
    return stat;
  }

  stat(): Stat {
    return this.shown(this.system.statOf(this.hostStat()));
  }

  /** Runs `use` with a host path that is this very inode, safe to follow. */
  private withHandle<T>(use: (path: string) => T): T {
    if (this.opened !== undefined) return use(`/proc/self/fd/${this.opened.fd}`);
    if (this.kind === 'directory') return use(this.system.pathOf(this));
    if (!host.descriptorPaths()) return use(this.path());
    const fd = this.system.open(this.path(), f.O_PATH | f.O_NOFOLLOW | f.O_CLOEXEC);
    try {
      return use(`/proc/self/fd/${fd}`);
    } finally {
      host.close(fd);
    }
  }

  statfs(): FileSystemStat {
    const s = this.withHandle((path) => host.statfs(path));
    const { type, bsize, blocks, bfree, bavail, files, ffree } = s;
    return { type, bsize, blocks, bfree, bavail, files, ffree, namelen: 255, flags: ST_VALID_RELATIME };
  }

  open(flags: number): OpenFile | Wait {
    switch (this.kind) {
      case 'file':
        return this.openFile(flags);
      case 'directory':
        return this.openDirectory();
      case 'symlink':
      case 'socket':
        throw errno(this.kind === 'symlink' ? ELOOP : ENXIO);
      case 'fifo':
        return this.system.options.openFifo(this, this.path(), flags, this.system.ownFifos.has(this.path()));
      case 'character':
      case 'block': {
        const file = this.system.options.openDevice(this, Number(this.hostStat().rdev), flags);
        if (file === undefined) throw errno(ENXIO);
        return file;
      }
    }
  }

  private openFile(flags: number): OpenFile {
    const path = this.opened === undefined ? this.path() : `/proc/self/fd/${this.opened.fd}`;
    const nofollow = this.opened === undefined ? f.O_NOFOLLOW : 0;
    const fd = this.system.open(path, (flags & (PASSED_FLAGS | f.O_TRUNC)) | f.O_CLOEXEC | f.O_NONBLOCK | nofollow);
    return this.adopt(fd, flags);
  }

  /** Makes the open file of a host descriptor that names a regular file. */
  private adopt(fd: number, flags: number): OpenFile {
    const stat = host.fstat(fd);
    if ((Number(stat.mode) & S_IFMT) !== S_IFREG) {
      host.close(fd);
      throw errno(ESTALE);
    }
    const descriptor = new HostDescriptor(fd, (flags & f.O_ACCMODE) === f.O_RDWR);
    const vnode = new HostVnode(this.system, stat, this.entry, descriptor);
    const inode = this.system.inodes.get(vnode.key);
    if (flags & f.O_TRUNC) inode.truncated(descriptor, 0);
    inode.opened(stat);
    return new HostFile(vnode, descriptor, inode, this.system.guestPath, f.canWrite(flags));
  }

  private openDirectory(): OpenFile {
    const fd = this.system.open(this.system.pathOf(this), f.O_RDONLY | f.O_DIRECTORY | f.O_CLOEXEC);
    return new HostDirectoryFile(this, fd, this.system.guestPath);
  }

  readlink(): string {
    if (this.kind !== 'symlink') throw errno(EINVAL);
    return host.readlink(this.path());
  }

  truncate(size: number): void {
    if (this.kind !== 'file') throw errno(EINVAL);
    const file = this.openFile(f.O_WRONLY);
    try {
      file.truncate?.(size);
    } finally {
      file.close();
    }
  }

  chmod(mode: number): void {
    if (this.kind === 'symlink') throw errno(EOPNOTSUPP);
    this.withHandle((path) => host.chmod(path, mode & 0o7777));
    this.system.forgetSeen();
  }

  chown(uid: number | undefined, gid: number | undefined): void {
    if (this.opened !== undefined) host.fchown(this.opened.fd, uid ?? -1, gid ?? -1);
    else if (this.kind === 'directory') host.chown(this.system.pathOf(this), uid ?? -1, gid ?? -1);
    else host.lchown(this.path(), uid ?? -1, gid ?? -1);
    this.system.forgetSeen();
  }

  utimes(times: NewTimes): void {
    this.system.inodes.looks++;
    this.system.times.set(
      this.key,
      times,
      this.stat(),
      (atime, mtime) => {
        if (this.opened !== undefined) host.futimes(this.opened.fd, atime, mtime);
        else if (this.kind === 'directory') host.utimes(this.system.pathOf(this), atime, mtime);
        else host.lutimes(this.path(), atime, mtime);
      },
      () => this.stat(),
    );
  }

  access(mode: number): void {
    if (this.kind === 'symlink') return;
    this.withHandle((path) => host.access(path, mode));
  }

  lookup(name: string, known?: Vnode): Vnode | undefined {
    const stat = host.lstat(this.system.at(this, name));
    if (stat === undefined) return undefined;
    const found =
      known instanceof HostVnode && known.key === keyOf(stat) ? known : new HostVnode(this.system, stat, { parent: this, name });
    this.system.sees(found, stat);
    return found;
  }

  create(name: string, mode: number, flags: number): { vnode: Vnode; file: OpenFile } {
    const fd = this.system.open(this.system.at(this, name), (flags & PASSED_FLAGS) | f.O_CREAT | f.O_EXCL | SAFE, mode & 0o7777);
    const vnode = new HostVnode(this.system, host.fstat(fd), { parent: this, name });
    return { vnode, file: vnode.adopt(fd, flags & ~f.O_TRUNC) };
  }

  createUnnamed(mode: number, flags: number): OpenFile {
    const fd = this.system.open(this.system.pathOf(this), (flags & (PASSED_FLAGS | f.O_EXCL)) | f.O_TMPFILE | f.O_CLOEXEC, mode & 0o7777);
    return new HostVnode(this.system, host.fstat(fd), { parent: this, name: '' }).adopt(fd, flags & ~f.O_TRUNC);
  }

  mkdir(name: string, mode: number): void {
    host.mkdir(this.system.at(this, name), mode & 0o7777);
  }

  /** Device nodes are refused: they would be the host's devices. Sockets have no call in node that makes just the node. */
  mknod(name: string, mode: number): void {
    const kind = mode & S_IFMT;
    if (kind === S_IFREG || kind === 0) return this.create(name, mode, f.O_RDONLY).file.close();
    if (this.lookup(name) !== undefined) throw errno(EEXIST);
    if (kind !== S_IFIFO) throw errno(EPERM);
    mkfifo(this.system.at(this, name), mode);
    this.system.ownFifos.add(this.system.at(this, name));
  }

  symlink(name: string, target: string): void {
    host.symlink(target, this.system.at(this, name));
  }

  link(name: string, to: Vnode): void {
    if (!(to instanceof HostVnode)) throw errno(EXDEV);
    if (to.kind === 'directory') throw errno(EPERM);
    if (to.opened === undefined || to.isNamed()) return host.link(to.path(), this.system.at(this, name));
    if (host.lstat(this.system.at(this, name)) !== undefined) throw errno(EEXIST);
    if (!linkDescriptor(to.opened.fd, this.system.at(this, name))) throw errno(to.hostStat().nlink === 0n ? ENOENT : EPERM);
    this.system.forgetSeen();
  }

  /** An open file is still what its name names. */
  private isNamed(): boolean {
    if (this.entry.name === '') return false;
    const stat = host.lstat(this.path());
    return stat !== undefined && keyOf(stat) === this.key;
  }

  unlink(name: string): void {
    host.unlink(this.system.at(this, name));
  }

  rmdir(name: string): void {
    host.rmdir(this.system.at(this, name));
  }

  rename(name: string, to: Directory, toName: string, flags: number): void {
    if (!(to instanceof HostVnode) || to.system !== this.system) throw errno(EXDEV);
    const from = this.system.at(this, name);
    // The first path's directory could be closed by the search for the second one only if hundreds were open in between.
    const target = this.system.at(to, toName);
    if (flags & f.RENAME_NOREPLACE && host.lstat(target) !== undefined) throw errno(EEXIST);
    // Of two names of one file nothing is renamed, exchanged or marked.
    if ((flags & (f.RENAME_EXCHANGE | f.RENAME_WHITEOUT)) === 0 || host.isOneFile(from, target)) host.rename(from, target);
    else if (flags & f.RENAME_EXCHANGE) host.exchange(from, target);
    else renameWithWhiteout(from, target);
  }

  isWhereItWas(): boolean {
    return this.system.isWhereItWas(this);
  }

  moved(parent: Vnode, name: string): void {
    if (!(parent instanceof HostVnode)) return;
    this.entry.parent = parent;
    this.entry.name = name;
  }
}

/** statfs f_flags: ST_VALID and ST_RELATIME; node does not tell the host's. */
const ST_VALID_RELATIME = 0x1020;

function asItIs(stat: Stat): Stat {
  return stat;
}

function keyOf(stat: host.HostStat): string {
  return `${stat.dev}:${stat.ino}`;
}
