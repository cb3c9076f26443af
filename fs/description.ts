/** An open file description: what descriptors made by dup and fork share, that is the position and the status flags. */
import { EBADF, EFBIG, EINVAL, EISDIR, ENOTDIR, ENXIO, ESPIPE, errno } from '../abi/errno.ts';
import {
  canRead,
  canWrite,
  O_APPEND,
  O_CREAT,
  O_EXCL,
  O_NOCTTY,
  O_NONBLOCK,
  O_CLOEXEC,
  O_TRUNC,
  SEEK_CUR,
  SEEK_DATA,
  SEEK_END,
  SEEK_HOLE,
  SEEK_SET,
} from '../abi/fcntl.ts';
import { deviceMajor, deviceMinor } from '../abi/stat.ts';
import type { FileIdentity } from '../mm/pager.ts';
import { DirectoryPlace, hold, pathFromTop, release } from './path.ts';
import type { DirectoryEntry, Io, OpenFile, Place, Vnode } from './vnode.ts';

/** Largest file position: MAX_LFS_FILESIZE of a 64-bit kernel, kept where a double is exact. */
export const MAX_POSITION = Number.MAX_SAFE_INTEGER;

/** Flags that only the opening looks at; F_GETFL does not show them. */
const OPENING_FLAGS = O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_CLOEXEC;

/** How a write goes, where not as the descriptor's flags say (pwritev2). */
export interface WriteOptions {
  readonly appends: boolean;
  readonly nonblocking: boolean;
  /** No SIGPIPE where nobody reads. */
  readonly quiet: boolean;
}

/** Who is told of what happens to a description. */
export interface Ownership {
  /** F_OWNER_ of F_SETOWN_EX: a thread, a process, a group. */
  readonly type: number;
  readonly id: number;
  /** Who said so. */
  readonly by?: { readonly uid: number; readonly euid: number };
}

export class Description {
  /** Undefined for O_PATH descriptors, which only name a file. */
  private readonly opened: OpenFile | undefined;
  readonly place: Place;
  /** Status flags as F_GETFL shows them, access mode included. */
  flags: number;
  position = 0;
  /** Whom F_SETOWN named, and the signal that F_SETSIG did. */
  owner: Ownership = { type: 0, id: 0 };
  signal = 0;
  /** Descriptors (of all tables) that refer here. */
  private references = 0;
  /** Run once when the last descriptor goes, by what they are for: locks, epoll registrations. */
  private readonly closers: Map<string, () => void> = new Map();

  constructor(file: OpenFile | undefined, place: Place, flags: number) {
    this.opened = file;
    this.place = place;
    this.flags = flags & ~OPENING_FLAGS;
    hold(place);
    file?.statusFlags?.(this.flags);
  }

  /** F_SETFL. */
  setFlags(flags: number): void {
    this.flags = flags;
    this.opened?.statusFlags?.(flags);
  }

  get isPathOnly(): boolean {
    return this.opened === undefined;
  }

  /** The file itself, open or only named. */
  get vnode(): Vnode {
    return this.opened?.vnode ?? this.place.vnode;
  }

  /** The open file; EBADF for O_PATH descriptors. */
  get file(): OpenFile {
    if (this.opened === undefined) throw errno(EBADF);
    return this.opened;
  }

  get nonblocking(): boolean {
    return (this.flags & O_NONBLOCK) !== 0;
  }

  /** For /proc/self/fd/N: `pipe:[7]` or the present path; undefined where the place says it. */
  get label(): string | undefined {
    const { opened, place } = this;
    const nameless = opened?.nameless === true && place.parent !== undefined;
    return opened?.label ?? opened?.currentPath?.() ?? (nameless ? `${pathFromTop(place)} (deleted)` : undefined);
  }

  /** For maps. */
  get identity(): FileIdentity {
    const { dev, ino } = this.vnode.stat();
    return { major: deviceMajor(dev), minor: deviceMinor(dev), inode: Number(ino) };
  }

  /** Where /proc/self/fd/N leads: the open file itself, also when its name has gone. */
  get reopenable(): Place {
    if (this.opened === undefined || this.place instanceof DirectoryPlace) return this.place;
    return { vnode: this.opened.vnode, parent: this.place.parent, name: this.place.name };
  }

  /** How many refer to it. */
  get uses(): number {
    return this.references;
  }

  acquire(): void {
    this.references++;
  }

  /** For mappings of it: msync of their pages. Throws the errno of a failed write-back that this description has not been told of. */
  writeBack(from: number, to: number): void {
    this.opened?.writeBack?.(from, to);
  }

  /** Gives up one reference; the last one closes the file. */
  release(): void {
    if (--this.references > 0) return;
    for (const closer of this.closers.values()) closer();
    this.closers.clear();
    release(this.place);
    this.opened?.close(this.position);
  }

  /** What was to be done at the end is done now. */
  closed(name: string): void {
    this.closers.get(name)?.();
    this.closers.delete(name);
  }

  /** `name` tells registrations apart: the same one again replaces the first. */
  onClose(name: string, closer: () => void): void {
    this.closers.set(name, closer);
  }

  /** A descriptor for reading, of a file that can be read at all. Linux: vfs_read. */
  requireRead(): OpenFile {
    const file = this.file;
    if (!canRead(this.flags)) throw errno(EBADF);
    if (file.noRead) throw errno(EINVAL);
    return file;
  }

  requireWrite(): OpenFile {
    const file = this.file;
    if (!canWrite(this.flags)) throw errno(EBADF);
    if (file.noWrite) throw errno(EINVAL);
    return file;
  }

  read(into: Uint8Array, nonblocking: boolean = this.nonblocking): Io {
    const file = this.readable();
    const moved = file.read(into, this.position, nonblocking);
    if (typeof moved === 'number' && file.seekable) this.position += moved;
    return moved;
  }

  write(from: Uint8Array, how?: WriteOptions): Io {
    const file = this.requireWrite();
    if (this.appends(how) && file.append !== undefined) {
      const moved = file.append(from);
      if (typeof moved === 'number') this.position = endOf(file);
      return moved;
    }
    if (file.seekable) from = clipped(from, this.position);
    const moved = file.write(from, this.position, how?.nonblocking ?? this.nonblocking);
    if (typeof moved === 'number' && file.seekable) this.position += moved;
    return moved;
  }

  readAt(into: Uint8Array, position: number): Io {
    const file = this.readable();
    if (position < 0) throw errno(EINVAL);
    if (!file.seekable) throw errno(ESPIPE);
    if (position > MAX_POSITION - into.length) return 0;
    return file.read(into, position, this.nonblocking);
  }

  /** Linux appends whatever the position when O_APPEND is set (pwrite(2), BUGS). */
  writeAt(from: Uint8Array, position: number, how?: WriteOptions): Io {
    const file = this.requireWrite();
    if (position < 0) throw errno(EINVAL);
    if (!file.seekable) throw errno(ESPIPE);
    if (this.appends(how) && file.append !== undefined) return file.append(from);
    return file.write(clipped(from, position), position, how?.nonblocking ?? this.nonblocking);
  }

  seek(offset: number, whence: number): number {
    const file = this.file;
    if (whence < SEEK_SET || whence > SEEK_HOLE) throw errno(EINVAL);
    if (file.stays) return 0;
    if (!file.seekable) throw errno(ESPIPE);
    // Positions in a directory mean something to the file system alone.
    if (file.entries !== undefined && whence > SEEK_CUR) throw errno(EINVAL);
    const to = this.seekTarget(file, offset, whence);
    if (to < 0) throw errno(EINVAL);
    if (to > MAX_POSITION) throw errno(EINVAL);
    this.position = to;
    return to;
  }

  /** Where an append would write. */
  seekEnd(): number {
    return endOf(this.file);
  }

  private seekTarget(file: OpenFile, offset: number, whence: number): number {
    if (whence === SEEK_SET) return offset;
    if (whence === SEEK_CUR) return this.position + offset;
    const end = endOf(file);
    if (whence === SEEK_END) return end + offset;
    if (offset < 0 || offset >= end) throw errno(ENXIO);
    // A file system that does not tell holes apart has one run of data and a hole at its end (lseek(2)).
    if (file.nextRun === undefined) return whence === SEEK_DATA ? offset : end;
    const at = file.nextRun(offset, whence === SEEK_DATA);
    if (whence === SEEK_DATA && at >= end) throw errno(ENXIO);
    return Math.min(at, end);
  }

  /** Entries of an open directory from its position on; the caller moves the position by what it could deliver. */
  entries(): Iterable<DirectoryEntry> {
    const list = this.file.entries;
    if (list === undefined) throw errno(ENOTDIR);
    return list.call(this.file, this.position);
  }

  private appends(how: WriteOptions | undefined): boolean {
    return how === undefined ? (this.flags & O_APPEND) !== 0 : how.appends;
  }

  private readable(): OpenFile {
    const file = this.requireRead();
    if (file.entries !== undefined) throw errno(EISDIR);
    return file;
  }
}

function endOf(file: OpenFile): number {
  return file.size !== undefined ? file.size() : file.vnode.stat().size;
}

/** As much of a write as ends before the largest position. */
function clipped(from: Uint8Array, position: number): Uint8Array {
  if (position + from.length <= MAX_POSITION) return from;
  if (position >= MAX_POSITION) throw errno(EFBIG);
  return from.subarray(0, MAX_POSITION - position);
}
