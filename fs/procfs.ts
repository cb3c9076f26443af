/** /proc: a tree of made-up files. What processes look like comes from a provider; this file only gives it directories, links and text. */
import { EACCES, EEXIST, EINVAL, EISDIR, ELOOP, ENOENT, EPERM, EROFS, Errno, errno } from '../abi/errno.ts';
import { canWrite } from '../abi/fcntl.ts';
import { POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM } from '../abi/poll.ts';
import { makeDevice, S_IFDIR, S_IFLNK, S_IFREG } from '../abi/stat.ts';
import type { Description } from './description.ts';
import type { Directory, DirectoryEntry, FileKind, FileSystemStat, OpenFile, Place, Stat, Vnode } from './vnode.ts';

/** One process as /proc shows it. */
export interface ProcessView {
  readonly uid: number;
  readonly gid: number;
  /** Files of /proc/PID that `text` can give: cmdline, maps, stat, status, ... */
  readonly files: readonly string[];
  /** Content of one of `files`, one character a byte; undefined: no such file. */
  text(name: string): string | undefined;
  /** Whether the process whose call is running may look into this one's memory, descriptors and places (Linux ptrace_may_access). */
  mayInspect(): boolean;
  exe(): Place | undefined;
  cwd(): Place;
  root(): Place;
  /** A place's path as this process sees it. */
  pathOf(place: Place): string;
  /** Open descriptors, ascending. */
  fds(): Iterable<number>;
  description(fd: number): Description | undefined;
  /** Threads. */
  tids(): Iterable<number>;
}

export interface ProcSource {
  now_ns(): bigint;
  pids(): Iterable<number>;
  /** The process (and thread) that is making the running call. */
  self(): { readonly pid: number; readonly tid: number } | undefined;
  process(pid: number): ProcessView | undefined;
  /** Files of /proc itself and of /proc/sys that `text` can give, as paths: 'cpuinfo', 'sys/kernel/ostype'. */
  readonly files: readonly string[];
  text(path: string): string | undefined;
  /** Tells a provider of a write to one of its files; absent or false: EACCES. */
  write?(path: string, text: string): boolean;
}

const PROC_DEVICE = makeDevice(0, 4);
const PROC_MAGIC = 0x9fa0;

/** The root of a /proc. */
export function procRoot(source: ProcSource): Vnode {
  const inodes = new Inodes();
  return rootDirectory(new Maker(source, inodes));
}

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
  readonly owner?: ProcessView;
}

/** Makes nodes; they are made anew at every look-up, and hold nothing. */
class Maker {
  readonly source: ProcSource;
  private readonly inodes: Inodes;

  constructor(source: ProcSource, inodes: Inodes) {
    this.source = source;
    this.inodes = inodes;
  }

  stat(options: NodeOptions): Stat {
    const now = this.source.now_ns();
    return {
      dev: PROC_DEVICE,
      rdev: 0,
      ino: options.path === '' ? 1n : this.inodes.of(options.path),
      mode: options.mode,
      nlink: (options.mode & 0o170000) === S_IFDIR ? 2 : 1,
      uid: options.owner?.uid ?? 0,
      gid: options.owner?.gid ?? 0,
      size: 0,
      blksize: 1024,
      blocks: 0,
      atime_ns: now,
      mtime_ns: now,
      ctime_ns: now,
      btime_ns: undefined,
    };
  }

  file(path: string, text: () => string | undefined, owner?: ProcessView): Vnode {
    return new ProcNode(this, 'file', { path, mode: S_IFREG | 0o444, owner }, { text });
  }

  link(path: string, target: () => string, follow?: () => Place | undefined, owner?: ProcessView, rights = 0o777): Vnode {
    return new ProcNode(this, 'symlink', { path, mode: S_IFLNK | rights, owner }, { target, follow });
  }

  directory(path: string, list: Listing, owner?: ProcessView): Vnode {
    return new ProcNode(this, 'directory', { path, mode: S_IFDIR | 0o555, owner }, { list });
  }
}

/** What a made-up directory holds. */
interface Listing {
  names(): Iterable<string>;
  lookup(name: string): Vnode | undefined;
}

interface Content {
  readonly text?: () => string | undefined;
  readonly target?: () => string;
  readonly follow?: () => Place | undefined;
  readonly list?: Listing;
}

// ---- What is where ---------------------------------------------------------------------------------------------------------------------

function rootDirectory(make: Maker): Vnode {
  const { source } = make;
  const lookup = (name: string): Vnode | undefined => {
    if (name === 'self' || name === 'thread-self') {
      const self = source.self();
      if (self === undefined) return undefined;
      return make.link(`/${name}`, () => (name === 'self' ? `${self.pid}` : `${self.pid}/task/${self.tid}`));
    }
    if (name === 'mounts') return make.link('/mounts', () => 'self/mounts');
    if (/^[1-9]\d{0,9}$/.test(name)) return processDirectory(make, Number(name), `/${name}`);
    return fixed(make, name);
  };
  const names = function* (): Generator<string> {
    for (const name of topNames(source.files, '')) yield name;
    yield* ['mounts', 'self', 'thread-self'];
    for (const pid of source.pids()) yield String(pid);
  };
  return make.directory('', { names, lookup });
}

/** Files and directories that `source.files` names. */
function fixed(make: Maker, path: string): Vnode | undefined {
  const { source } = make;
  if (source.files.includes(path)) return make.file(`/${path}`, () => source.text(path));
  const below = `${path}/`;
  if (!source.files.some((file) => file.startsWith(below))) return undefined;
  return make.directory(`/${path}`, { names: () => topNames(source.files, below), lookup: (name) => fixed(make, below + name) });
}

/** First components of those paths that begin with `prefix`, behind it. */
function topNames(paths: readonly string[], prefix: string): Set<string> {
  return new Set(paths.filter((path) => path.startsWith(prefix)).map((path) => path.slice(prefix.length).split('/', 1)[0]));
}

/** Files of a process that only those may open who may look into it. */
const PRIVATE_FILES: ReadonlySet<string> = new Set(['auxv', 'environ', 'maps', 'personality', 'smaps', 'smaps_rollup']);
const PROCESS_LINKS = ['cwd', 'exe', 'root'] as const;
const PROCESS_DIRECTORIES = ['fd', 'fdinfo', 'task'] as const;

function processDirectory(make: Maker, pid: number, path: string, isTask = false): Vnode | undefined {
  const view = make.source.process(pid);
  if (view === undefined) return undefined;
  const lookup = (name: string): Vnode | undefined => {
    const at = `${path}/${name}`;
    switch (name) {
      case 'cwd':
        return jump(make, at, view, () => view.cwd());
      case 'root':
        return jump(make, at, view, () => view.root());
      case 'exe':
        return jump(make, at, view, () => view.exe());
      case 'fd':
        return descriptorDirectory(make, at, view, (fd) => descriptorLink(make, `${at}/${fd}`, view, fd));
      case 'fdinfo':
        return descriptorDirectory(make, at, view, (fd) => make.file(`${at}/${fd}`, () => descriptorInfo(view, fd), view));
      case 'task':
        return isTask ? undefined : taskDirectory(make, at, pid, view);
      default:
        return view.files.includes(name) ? make.file(at, textOf(view, name), view) : undefined;
    }
  };
  const names = () => [...view.files, ...PROCESS_LINKS, ...PROCESS_DIRECTORIES.filter((name) => !(isTask && name === 'task'))];
  return make.directory(path, { names, lookup }, view);
}

function textOf(view: ProcessView, name: string): () => string | undefined {
  return () => {
    if (PRIVATE_FILES.has(name)) demandInspection(view);
    return view.text(name);
  };
}

function demandInspection(view: ProcessView): void {
  if (!view.mayInspect()) throw errno(EACCES);
}

function jump(make: Maker, path: string, view: ProcessView, to: () => Place | undefined): Vnode {
  const place = () => {
    demandInspection(view);
    const found = to();
    if (found === undefined) throw errno(ENOENT);
    return found;
  };
  return make.link(path, () => view.pathOf(place()), place, view);
}

function taskDirectory(make: Maker, path: string, pid: number, view: ProcessView): Vnode {
  const tids = () => [...view.tids()].map(String);
  return make.directory(
    path,
    {
      names: tids,
      lookup: (name) => (tids().includes(name) ? processDirectory(make, pid, `${path}/${name}`, true) : undefined),
    },
    view,
  );
}

function descriptorDirectory(make: Maker, path: string, view: ProcessView, node: (fd: number) => Vnode): Vnode {
  return make.directory(
    path,
    {
      names: () => {
        demandInspection(view);
        return [...view.fds()].map(String);
      },
      lookup: (name) => (/^(0|[1-9]\d{0,9})$/.test(name) && view.description(Number(name)) !== undefined ? node(Number(name)) : undefined),
    },
    view,
  );
}

/** /proc/PID/fd/N: its text is for people; following it reaches the open file itself, whatever its path has become. */
function descriptorLink(make: Maker, path: string, view: ProcessView, fd: number): Vnode {
  const description = () => {
    demandInspection(view);
    const found = view.description(fd);
    if (found === undefined) throw errno(ENOENT);
    return found;
  };
  const target = () => description().label ?? view.pathOf(description().place);
  const rights = description().isPathOnly ? 0o500 : canWrite(description().flags) ? 0o700 : 0o500;
  return make.link(path, target, () => description().reopenable, view, rights);
}

function descriptorInfo(view: ProcessView, fd: number): string | undefined {
  demandInspection(view);
  const description = view.description(fd);
  if (description === undefined) return undefined;
  return `pos:\t${description.position}\nflags:\t0${description.flags.toString(8)}\nmnt_id:\t1\nino:\t${description.place.vnode.stat().ino}\n`;
}

// ---- Nodes -----------------------------------------------------------------------------------------------------------------------------

class ProcNode implements Vnode, Directory {
  readonly kind: FileKind;
  readonly key: string;
  readonly options: NodeOptions;
  readonly content: Content;
  readonly make: Maker;

  constructor(make: Maker, kind: FileKind, options: NodeOptions, content: Content) {
    this.make = make;
    this.kind = kind;
    this.options = options;
    this.content = content;
    this.key = `${PROC_DEVICE}:${options.path}`;
  }

  get directory(): Directory | undefined {
    return this.kind === 'directory' ? this : undefined;
  }

  stat(): Stat {
    return this.make.stat(this.options);
  }

  statfs(): FileSystemStat {
    return { type: PROC_MAGIC, bsize: 4096, blocks: 0, bfree: 0, bavail: 0, files: 0, ffree: 0, namelen: 255, flags: 0x20 };
  }

  open(flags: number): OpenFile {
    if (this.kind === 'symlink') throw errno(ELOOP);
    if (this.kind === 'directory') return new ProcDirectoryFile(this);
    if (canWrite(flags) && this.make.source.write === undefined) throw errno(EACCES);
    return new ProcTextFile(this);
  }

  readlink(): string {
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

  truncate(): void {
    if (this.kind === 'directory') throw errno(EISDIR);
  }

  chmod(): void {
    throw errno(EPERM);
  }

  chown(): void {
    throw errno(EPERM);
  }

  utimes(): void {
    throw errno(EPERM);
  }

  access(mode: number): void {
    if (this.kind === 'file' && (mode & 1) !== 0) throw errno(EACCES);
    if (this.kind === 'file' && (mode & 2) !== 0 && this.make.source.write === undefined) throw errno(EACCES);
  }

  create(name: string): never {
    throw errno(this.lookup(name) === undefined ? ENOENT : EEXIST);
  }

  mkdir(name: string): void {
    this.create(name);
  }

  mknod(name: string): void {
    this.create(name);
  }

  symlink(name: string): void {
    this.create(name);
  }

  link(name: string): void {
    this.create(name);
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

const READY = POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM;

/** The text is made at the first read and kept, so that a file read in pieces is of one moment. */
class ProcTextFile implements OpenFile {
  readonly vnode: ProcNode;
  readonly seekable = true;
  private bytes: Uint8Array | undefined;

  constructor(vnode: ProcNode) {
    this.vnode = vnode;
  }

  read(into: Uint8Array, position: number): number {
    if (position === 0 || this.bytes === undefined) this.bytes = latin1(this.vnode.content.text?.());
    const part = this.bytes.subarray(position, position + into.length);
    into.set(part);
    return part.length;
  }

  write(from: Uint8Array): number {
    const path = this.vnode.options.path.slice(1);
    if (!this.vnode.make.source.write?.(path, String.fromCharCode(...from))) throw errno(EACCES);
    return from.length;
  }

  poll(): number {
    return READY;
  }

  truncate(): void {}

  close(): void {}
}

/** Undefined: the process has gone. */
function latin1(text: string | undefined): Uint8Array {
  if (text === undefined) throw errno(ENOENT);
  return Uint8Array.from(text, (c) => c.charCodeAt(0));
}

class ProcDirectoryFile implements OpenFile {
  readonly vnode: ProcNode;
  readonly seekable = true;
  private names: readonly string[] | undefined;

  constructor(vnode: ProcNode) {
    this.vnode = vnode;
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
    if (from === 0 || this.names === undefined) this.names = [...(this.vnode.content.list?.names() ?? [])];
    const { ino } = this.vnode.stat();
    if (from === 0) yield { name: '.', ino, type: 4, next: 1 };
    if (from <= 1) yield { name: '..', ino, type: 4, next: 2 };
    for (let i = Math.max(0, from - 2); i < this.names.length; i++) {
      const stat = statOf(this.vnode, this.names[i]);
      if (stat !== undefined) yield { name: this.names[i], ino: stat.ino, type: stat.mode >> 12, next: i + 3 };
    }
  }

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
