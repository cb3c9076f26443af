/** The guest's files for the host program: the same tree and the same pages that guests see, so that what either writes the other reads at once. */
import { EEXIST, EFBIG, EINVAL, EISDIR, ENOENT, ENOTDIR, ENOTEMPTY, Errno, errno, errnoName, EXDEV } from './abi/errno.ts';
import { O_APPEND, O_LARGEFILE, O_RDONLY, O_TRUNC, O_WRONLY } from './abi/fcntl.ts';
import { DirectoryPlace, newName, type Tree, type Walked, type WalkOptions } from './fs/path.ts';
import { type Directory, type FileKind, isWait, type OpenFile, type Place, type Vnode } from './fs/vnode.ts';
import { bytesOf, textOf } from './machine-spawn.ts';

/** An operation on a guest's file that did not succeed. */
export class FileError extends Error {
  override name = 'FileError';
  /** The errno that a system call would have answered, by name (`ENOENT`) and as a number. */
  readonly code: string;
  readonly errno: number;
  /** The path that the operation was given. */
  readonly path: string;

  constructor(operation: string, path: string, code: number) {
    super(`${operation} ${path}: ${errnoName(code)}`);
    this.code = errnoName(code);
    this.errno = code;
    this.path = path;
  }
}

/** What is known of a file. */
export interface FileInfo {
  readonly kind: FileKind;
  /** Permission bits, 0 to 0o7777. */
  readonly mode: number;
  /** In bytes. */
  readonly size: number;
  readonly uid: number;
  readonly gid: number;
  /** Names it has. */
  readonly nlink: number;
  readonly ino: bigint;
  /** Nanoseconds since 1970: last read, last change of the content, last change of anything. */
  readonly atime_ns: bigint;
  readonly mtime_ns: bigint;
  readonly ctime_ns: bigint;
}

/** An entry of a directory. */
export interface DirectoryItem {
  readonly name: string;
  readonly kind: FileKind;
}

/** Bytes read or written at once. */
const PIECE = 1 << 20;
/** Largest file that is read whole. */
const READ_MAX = 2 ** 31 - 1;

/**
 * All paths are the guest's, UTF-8, and start at its root, with a leading slash or without. Symbolic links are followed inside the root.
 * No permission is asked for but the host's own: the host program is the guest's root. Every method throws FileError.
 */
export class FileAccess {
  readonly #tree: Tree;

  constructor(tree: Tree) {
    this.#tree = tree;
  }

  /** The content of a regular file. Throws EISDIR, EINVAL for pipes and devices, EFBIG from 2 GiB on. */
  readFile(path: string): Uint8Array {
    return this.#operate('read', path, () => {
      const vnode = this.#regular(path);
      return withFile(vnode, O_RDONLY, readWhole);
    });
  }

  /** The same as text. Bytes that are no UTF-8 become U+FFFD. */
  readText(path: string): string {
    return new TextDecoder().decode(this.readFile(path));
  }

  /** Makes a file, or replaces (or with `append` extends) the content of one that exists. `mode` is a new file's permission bits; default 0o644. */
  writeFile(path: string, content: Uint8Array | string, options: { readonly mode?: number; readonly append?: boolean } = {}): void {
    const bytes = typeof content === 'string' ? new TextEncoder().encode(content) : content;
    this.#operate('write', path, () => {
      const walked = this.#walk(path);
      if (walked.place === undefined) {
        if (walked.slash) throw errno(EISDIR);
        const { file } = directoryOf(walked).create(walked.name, (options.mode ?? 0o644) & 0o7777, O_WRONLY | O_LARGEFILE);
        return closing(file, (open) => writeWhole(open, bytes, 0));
      }
      const vnode = this.#regular(path);
      if (options.append) return withFile(vnode, O_WRONLY | O_APPEND, (file) => writeWhole(file, bytes, vnode.stat().size));
      withFile(vnode, O_WRONLY | O_TRUNC, (file) => writeWhole(file, bytes, 0));
    });
  }

  /** Cuts a regular file, or extends it with zeroes. */
  truncate(path: string, size: number): void {
    this.#operate('truncate', path, () => {
      if (!Number.isSafeInteger(size) || size < 0) throw errno(EINVAL);
      this.#regular(path).truncate(size);
    });
  }

  /** Makes a directory; with `recursive` those above it as well, and it may exist already. Default mode 0o755. */
  mkdir(path: string, options: { readonly recursive?: boolean; readonly mode?: number } = {}): void {
    const mode = (options.mode ?? 0o755) & 0o7777;
    this.#operate('mkdir', path, () => {
      if (!options.recursive) return this.#makeDirectory(this.#walk(path, { entry: true }), mode);
      const names = bytesOf(path)
        .split('/')
        .filter((name) => name !== '');
      names.forEach((_, i) => {
        const walked = this.#walkBytes(names.slice(0, i + 1).join('/'), {});
        if (walked.place === undefined) this.#makeDirectory(walked, mode);
        else if (walked.place.vnode.kind !== 'directory') throw errno(i < names.length - 1 ? ENOTDIR : EEXIST);
      });
    });
  }

  #makeDirectory(walked: Walked, mode: number): void {
    directoryOf(walked).mkdir(newName(walked, true), mode);
  }

  /** The entries of a directory by name, without `.` and `..`. */
  readdir(path: string): DirectoryItem[] {
    return this.#operate('readdir', path, () => {
      const place = this.#resolve(path);
      if (!(place instanceof DirectoryPlace)) throw errno(ENOTDIR);
      const names = new Set<string>(withFile(place.vnode, O_RDONLY, namesIn));
      for (const name of [...place.mounts.keys(), ...place.fallbacks.keys()]) names.add(name);
      const items = [...names].map((name) => ({ name: textOf(name), kind: this.#tree.child(place, name)?.vnode.kind }));
      return items.filter((item): item is DirectoryItem => item.kind !== undefined).sort((a, b) => (a.name < b.name ? -1 : 1));
    });
  }

  /** What is known of the file; with `followLinks: false` of a symbolic link itself. */
  stat(path: string, options: { readonly followLinks?: boolean } = {}): FileInfo {
    return this.#operate('stat', path, () => {
      const { vnode } = this.#resolve(path, { follow: options.followLinks });
      const { mode, size, uid, gid, nlink, ino, atime_ns, mtime_ns, ctime_ns } = vnode.stat();
      return { kind: vnode.kind, mode: mode & 0o7777, size, uid, gid, nlink, ino, atime_ns, mtime_ns, ctime_ns };
    });
  }

  /** Whether there is a file of that name. A link that leads nowhere is none. */
  exists(path: string): boolean {
    return this.#operate('find', path, () => {
      try {
        return this.#walk(path).place !== undefined;
      } catch (thrown) {
        if (thrown instanceof Errno && (thrown.code === ENOENT || thrown.code === ENOTDIR)) return false;
        throw thrown;
      }
    });
  }

  /** Removes a name that is no directory's. What has the file open or mapped keeps it. */
  unlink(path: string): void {
    this.#operate('unlink', path, () => {
      const { parent, name, place } = this.#entry(path);
      if (place.vnode.kind === 'directory') throw errno(EISDIR);
      directoryOf({ parent }).unlink(name);
    });
  }

  /** Removes a directory; with `recursive` and all that is in it. */
  rmdir(path: string, options: { readonly recursive?: boolean } = {}): void {
    this.#operate('rmdir', path, () => {
      const { parent, name, place } = this.#entry(path);
      if (!(place instanceof DirectoryPlace)) throw errno(ENOTDIR);
      if (parent.mounts.has(name)) throw errno(EINVAL);
      if (options.recursive) this.#empty(place);
      directoryOf({ parent }).rmdir(name);
      this.#tree.removed(parent, name);
    });
  }

  #empty(directory: DirectoryPlace): void {
    if (directory.mounts.size > 0) throw errno(ENOTEMPTY);
    for (const name of withFile(directory.vnode, O_RDONLY, namesIn)) {
      const place = this.#tree.child(directory, name);
      if (!(place instanceof DirectoryPlace)) {
        directoryOf({ parent: directory }).unlink(name);
        continue;
      }
      this.#empty(place);
      directoryOf({ parent: directory }).rmdir(name);
      this.#tree.removed(directory, name);
    }
  }

  /** Gives a file another name in the same file system, in place of what had it. */
  rename(from: string, to: string): void {
    this.#operate('rename', from, () => {
      const source = this.#entry(from);
      const target = this.#walk(to, { entry: true });
      if (target.name === '' || target.name === '.' || target.name === '..') throw errno(EEXIST);
      for (let at: Place | undefined = target.parent; at !== undefined; at = at.parent) if (at === source.place) throw errno(EINVAL);
      if (source.parent.mounts.has(source.name) || target.parent.mounts.has(target.name)) throw errno(EXDEV);
      directoryOf(source).rename(source.name, directoryOf(target), target.name, 0);
      this.#tree.renamed(source.parent, source.name, target.parent, target.name, false);
    });
  }

  /** Makes a symbolic link that says `target`. */
  symlink(target: string, path: string): void {
    this.#operate('symlink', path, () => {
      const walked = this.#walk(path, { entry: true });
      directoryOf(walked).symlink(newName(walked, false), bytesOf(target));
    });
  }

  /** What a symbolic link says. */
  readlink(path: string): string {
    return this.#operate('readlink', path, () => textOf(this.#resolve(path, { follow: false }).vnode.readlink()));
  }

  /** Sets the permission bits, 0 to 0o7777. */
  chmod(path: string, mode: number): void {
    this.#operate('chmod', path, () => {
      const place = this.#resolve(path);
      place.vnode.chmod(mode & 0o7777);
      this.#tree.rightsChanged(place);
    });
  }

  // ---- Walks -------------------------------------------------------------------------------------------------------------------------

  #operate<T>(operation: string, path: string, action: () => T): T {
    try {
      return action();
    } catch (thrown) {
      if (thrown instanceof Errno) throw new FileError(operation, path, thrown.code);
      throw thrown;
    }
  }

  #walk(path: string, options: WalkOptions = {}): Walked {
    return this.#walkBytes(bytesOf(path), options);
  }

  #walkBytes(path: string, options: WalkOptions): Walked {
    const { root } = this.#tree;
    return this.#tree.walk({ root, cwd: root }, `/${path}`, options);
  }

  #resolve(path: string, options: WalkOptions = {}): Place {
    const { place } = this.#walk(path, options);
    if (place === undefined) throw errno(ENOENT);
    return place;
  }

  /** A name that exists, to be removed or changed. */
  #entry(path: string): { readonly parent: DirectoryPlace; readonly name: string; readonly place: Place } {
    const { parent, name, place } = this.#walk(path, { entry: true });
    if (place === undefined) throw errno(ENOENT);
    if (name === '' || name === '.' || name === '..') throw errno(EINVAL);
    return { parent, name, place };
  }

  #regular(path: string): Vnode {
    const { vnode } = this.#resolve(path);
    if (vnode.kind !== 'file') throw errno(vnode.kind === 'directory' ? EISDIR : EINVAL);
    return vnode;
  }
}

function directoryOf({ parent }: { readonly parent: DirectoryPlace }): Directory {
  const { directory } = parent.vnode;
  if (directory === undefined) throw errno(ENOTDIR);
  return directory;
}

function withFile<T>(vnode: Vnode, flags: number, use: (file: OpenFile) => T): T {
  const file = vnode.open(flags | O_LARGEFILE);
  if (isWait(file)) throw errno(EINVAL);
  return closing(file, use);
}

function closing<T>(file: OpenFile, use: (file: OpenFile) => T): T {
  try {
    return use(file);
  } finally {
    file.close();
  }
}

/** Sizes of files in /proc are not known before they are read. */
function readWhole(file: OpenFile): Uint8Array {
  const pieces: Uint8Array[] = [];
  let size = 0;
  for (;;) {
    const piece = new Uint8Array(Math.min(PIECE, Math.max(4096, file.vnode.stat().size - size + 1)));
    const moved = file.read(piece, size, true);
    if (isWait(moved)) throw errno(EINVAL);
    if (moved === 0) break;
    pieces.push(piece.subarray(0, moved));
    size += moved;
    if (size > READ_MAX) throw errno(EFBIG);
  }
  const whole = new Uint8Array(size);
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}

function writeWhole(file: OpenFile, bytes: Uint8Array, position: number): void {
  for (let done = 0; done < bytes.length; ) {
    const moved = file.write(bytes.subarray(done, done + PIECE), position + done, true);
    if (isWait(moved)) throw errno(EINVAL);
    done += moved;
  }
}

function namesIn(file: OpenFile): string[] {
  if (file.entries === undefined) throw errno(ENOTDIR);
  return [...file.entries(0)].map(({ name }) => name).filter((name) => name !== '.' && name !== '..');
}
