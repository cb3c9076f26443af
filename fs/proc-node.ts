/** What a made-up file system is made of: directories, links and files whose content is made when they are opened or read. fs/procfs.ts says what is where. */
import { PROC_SUPER_MAGIC } from '../abi/magic.ts';
import { EACCES, EEXIST, EINVAL, EISDIR, ELOOP, ENOENT, EPERM, EROFS, Errno, errno } from '../abi/errno.ts';
import { canRead, canWrite } from '../abi/fcntl.ts';
import { latin1 } from '../abi/latin1.ts';
import { POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM } from '../abi/poll.ts';
import { makeDevice, S_IFDIR, S_IFLNK, S_IFMT, S_IFREG } from '../abi/stat.ts';
import { FixedVnode, uncounted } from './fixed-vnode.ts';
import { DirectoryFile } from './directory-file.ts';
import type { Directory, FileKind, FileSystemStat, OpenFile, Place, Stat, Vnode } from './vnode.ts';

/** A made-up file: who may do what with it, and what one opening of it gives. */
export interface ProcFile {
  /** Permission bits. */
  readonly mode: number;
  /** Throws where the process whose call is running may not have it, whatever the bits say. */
  open(): ProcContent;
}

/** An open made-up file: bytes by position. */
export interface ProcContent {
  /** Absent: EINVAL. */
  read?(into: Uint8Array, position: number): number;
  write?(from: Uint8Array, position: number): number;
}

/** Who makes the running call. */
export interface Caller {
  readonly pid: number;
  readonly tid: number;
  readonly uid: number;
  readonly gid: number;
  readonly groups: readonly number[];
  /** Permission bits do not bind it (Linux CAP_DAC_OVERRIDE). */
  readonly privileged: boolean;
}

export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/**
 * Text, one character a byte, made at the first read and whenever a file is read from its start again: a file read in pieces is of one moment.
 * `make` answers undefined where the process has gone. `store` takes what is written, a call at a time.
 */
export function textContent(make: (() => string | undefined) | undefined, store?: (text: string) => void): ProcContent {
  let bytes: Uint8Array | undefined;
  return {
    read:
      make &&
      ((into, position) => {
        if (position === 0 || bytes === undefined) {
          const text = make();
          if (text === undefined) throw errno(ENOENT);
          bytes = latin1(text);
        }
        const part = bytes.subarray(position, position + into.length);
        into.set(part);
        return part.length;
      }),
    write:
      store &&
      ((from) => {
        // Nobody means to write more than a page.
        store(String.fromCharCode(...from.subarray(0, PAGE)));
        return from.length;
      }),
  };
}

const PAGE = 4096;
/** What tells one made-up file system from another. */
export interface MadeFileSystem {
  readonly device: number;
  readonly magic: number;
  /** Bytes that stat says a file has. */
  readonly fileSize: number;
  readonly blksize: number;
  /** Errnos of making a file there, and anything else; absent: there is no such name (ENOENT). */
  readonly refusal?: { readonly create: number; readonly make: number };
}

const PROC: MadeFileSystem = { device: makeDevice(0, 4), magic: PROC_SUPER_MAGIC, fileSize: 0, blksize: 1024 };

/** The same path always has the same inode number. */
class Inodes {
  private readonly numbers: Map<string, bigint> = new Map();

  of(path: string): bigint {
    let ino = this.numbers.get(path);
    if (ino === undefined) {
      // Paths of processes that are gone would pile up; numbers need not stay the same for ever.
      if (this.numbers.size > 50_000) this.numbers.clear();
      this.numbers.set(path, (ino = BigInt(0x1000 + this.numbers.size)));
    }
    return ino;
  }
}

interface NodeOptions {
  readonly path: string;
  readonly mode: number;
  readonly owner?: Owner;
}

/** What a made-up directory holds. */
export interface Listing {
  names(): Iterable<string>;
  lookup(name: string): Vnode | undefined;
  /** See Vnode.process. */
  readonly process?: number;
}

interface Content {
  readonly file?: ProcFile;
  readonly target?: () => string;
  readonly follow?: () => Place | undefined;
  readonly list?: Listing;
}

/** Where a link leads. */
export interface LinkOptions {
  readonly target: () => string;
  /** A magic link: the walk jumps there. */
  readonly follow?: () => Place | undefined;
  readonly owner?: Owner;
  readonly rights?: number;
}

/** Makes nodes; they are made anew at every look-up, and hold nothing. */
export class Maker {
  readonly caller: () => Caller | undefined;
  readonly system: MadeFileSystem;
  private readonly now_ns: () => bigint;
  private readonly inodes = new Inodes();

  constructor(now_ns: () => bigint, caller: () => Caller | undefined, system: MadeFileSystem = PROC) {
    this.system = system;
    this.now_ns = now_ns;
    this.caller = caller;
  }

  stat(options: NodeOptions): Stat {
    const now = this.now_ns();
    return {
      dev: this.system.device,
      rdev: 0,
      ino: options.path === '' ? 1n : this.inodes.of(options.path),
      mode: options.mode,
      nlink: (options.mode & 0o170000) === S_IFDIR ? 2 : 1,
      uid: options.owner?.uid ?? 0,
      gid: options.owner?.gid ?? 0,
      size: (options.mode & S_IFMT) === S_IFREG ? this.system.fileSize : 0,
      blksize: this.system.blksize,
      blocks: 0,
      atime_ns: now,
      mtime_ns: now,
      ctime_ns: now,
      btime_ns: undefined,
    };
  }

  file(path: string, file: ProcFile, owner?: Owner): Vnode {
    return new ProcNode(this, 'file', { path, mode: S_IFREG | file.mode, owner }, { file });
  }

  /** A file for reading. */
  text(path: string, make: () => string | undefined, owner?: Owner): Vnode {
    return this.file(path, { mode: 0o444, open: () => textContent(make) }, owner);
  }

  link(path: string, { target, follow, owner, rights = 0o777 }: LinkOptions): Vnode {
    return new ProcNode(this, 'symlink', { path, mode: S_IFLNK | rights, owner }, { target, follow });
  }

  directory(path: string, list: Listing, owner?: Owner, rights = 0o555): Vnode {
    return new ProcNode(this, 'directory', { path, mode: S_IFDIR | rights, owner }, { list });
  }
}

class ProcNode extends FixedVnode implements Directory {
  readonly kind: FileKind;
  readonly key: string;
  readonly options: NodeOptions;
  readonly content: Content;
  readonly make: Maker;

  constructor(make: Maker, kind: FileKind, options: NodeOptions, content: Content) {
    super();
    this.make = make;
    this.kind = kind;
    this.options = options;
    this.content = content;
    this.key = `${make.system.device}:${options.path}`;
  }

  get directory(): Directory | undefined {
    return this.kind === 'directory' ? this : undefined;
  }

  stat(): Stat {
    return this.make.stat(this.options);
  }

  get process(): number | undefined {
    return this.content.list?.process;
  }

  statfs(): FileSystemStat {
    return uncounted(this.make.system.magic);
  }

  open(flags: number): OpenFile {
    if (this.kind === 'symlink') throw errno(ELOOP);
    if (this.kind === 'directory')
      return new DirectoryFile(this, { names: () => [...(this.content.list?.names() ?? [])], stat: (name) => statOf(this, name) });
    this.access((canRead(flags) ? R : 0) | (canWrite(flags) ? W : 0));
    return new ProcOpenFile(this, (this.content.file as ProcFile).open());
  }

  override readlink(): string {
    if (this.content.target === undefined) throw errno(EINVAL);
    return this.content.target();
  }

  follow(): Place | undefined {
    return this.content.follow?.();
  }

  lookup(name: string, known?: Vnode): Vnode | undefined {
    const found = this.content.list?.lookup(name);
    // A directory is found again as itself, so that places below it stay what they are.
    return known !== undefined && found !== undefined && known.key === found.key ? known : found;
  }

  override truncate(): void {
    if (this.kind === 'directory') throw errno(EISDIR);
  }

  readonly judges = 'caller';

  /** The permission bits, as they bind whoever makes the running call. */
  override access(mode: number): void {
    const { mode: bits, owner } = this.options;
    const caller = this.make.caller();
    if (this.kind === 'symlink' || caller === undefined) return;
    if (caller.privileged) {
      if ((mode & X) !== 0 && (bits & 0o111) === 0) throw errno(EACCES);
      return;
    }
    const gid = owner?.gid ?? 0;
    const isGroup = caller.gid === gid || caller.groups.includes(gid);
    const shift = caller.uid === (owner?.uid ?? 0) ? 6 : isGroup ? 3 : 0;
    if ((mode & ~(bits >> shift) & 7) !== 0) throw errno(EACCES);
  }

  create(name: string): never {
    this.refuse(name, this.make.system.refusal?.create);
  }

  private refuse(name: string, error = ENOENT): never {
    throw errno(this.lookup(name) === undefined ? error : EEXIST);
  }

  mkdir(name: string): void {
    this.refuse(name, this.make.system.refusal?.make);
  }

  mknod(name: string): void {
    this.refuse(name, this.make.system.refusal?.make);
  }

  symlink(name: string): void {
    this.refuse(name, this.make.system.refusal?.make);
  }

  link(name: string): void {
    this.refuse(name, this.make.system.refusal?.make);
  }

  unlink(): void {
    throw errno(EPERM);
  }

  rmdir(): void {
    throw errno(EPERM);
  }

  rename(): void {
    throw errno(EROFS);
  }
}

const R = 4,
  W = 2,
  X = 1;
const READY = POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM;

class ProcOpenFile implements OpenFile {
  readonly vnode: ProcNode;
  readonly seekable = true;
  private readonly content: ProcContent;

  constructor(vnode: ProcNode, content: ProcContent) {
    this.vnode = vnode;
    this.content = content;
  }

  read(into: Uint8Array, position: number): number {
    if (this.content.read === undefined) throw errno(EINVAL);
    return this.content.read(into, position);
  }

  write(from: Uint8Array, position: number): number {
    if (this.content.write === undefined) throw errno(EINVAL);
    return this.content.write(from, position);
  }

  poll(): number {
    return READY;
  }

  /** Nobody knows how long it is: SEEK_END and its like are EINVAL, except below /proc/sys, where the size says 0. */
  size(): number {
    if (this.vnode.options.path.startsWith('/sys/')) return 0;
    throw errno(EINVAL);
  }

  truncate(): void {}

  close(): void {}
}

function statOf(directory: ProcNode, name: string): Stat | undefined {
  try {
    return directory.lookup(name)?.stat();
  } catch (error) {
    if (error instanceof Errno) return undefined;
    throw error;
  }
}
