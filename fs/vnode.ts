/**
 * What a file is: a Vnode names one, an OpenFile operates on one that is open, a FileSystem holds them. Implemented by hostfs, memfs, devfs,
 * procfs, pipes and streams. Everything throws `errno(X)`; what may have to wait returns a Wait. Names are byte strings: one character a byte.
 */
import { S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFMT, S_IFREG } from '../abi/stat.ts';
import type { MemoryObject } from '../mm/object.ts';
import type { Waitable } from '../mm/outcome.ts';

export type FileKind = 'file' | 'directory' | 'symlink' | 'character' | 'block' | 'fifo' | 'socket';

/** The kind that a mode's bits say. */
export function kindOf(mode: number): FileKind {
  switch (mode & S_IFMT) {
    case S_IFREG:
      return 'file';
    case S_IFDIR:
      return 'directory';
    case S_IFLNK:
      return 'symlink';
    case S_IFCHR:
      return 'character';
    case S_IFBLK:
      return 'block';
    case S_IFIFO:
      return 'fifo';
    default:
      return 'socket';
  }
}

export interface Stat {
  /** Device numbers in Linux's encoding (abi/stat.ts makeDevice). */
  readonly dev: number;
  readonly rdev: number;
  readonly ino: bigint;
  /** File kind and permission bits. */
  readonly mode: number;
  readonly nlink: number;
  readonly uid: number;
  readonly gid: number;
  /** In bytes. */
  readonly size: number;
  readonly blksize: number;
  /** In units of 512 bytes. */
  readonly blocks: number;
  readonly atime_ns: bigint;
  readonly mtime_ns: bigint;
  readonly ctime_ns: bigint;
  /** Undefined where the file system keeps no time of birth. */
  readonly btime_ns: bigint | undefined;
}

/** What statfs says of a file system. Counts are in units of `bsize`. */
export interface FileSystemStat {
  readonly type: number;
  readonly bsize: number;
  readonly blocks: number;
  readonly bfree: number;
  readonly bavail: number;
  readonly files: number;
  readonly ffree: number;
  readonly namelen: number;
  /** ST_ flags (read-only and so on). */
  readonly flags: number;
}

/** The call cannot finish yet and has changed nothing: it runs again once `on` wakes. */
export interface Wait {
  readonly kind: 'wait';
  readonly on: Waitable;
  /** Where nobody can wake us (another host process holds the other end): look again after so many milliseconds. */
  readonly retry_ms?: number;
  /** After so long in all the call fails with EAGAIN, or with `late` (SO_RCVTIMEO and its like). */
  readonly timeout_ns?: bigint;
  readonly late?: number;
}
/** Bytes moved, or a wait. */
export type Io = number | Wait;

export function isWait(result: unknown): result is Wait {
  return typeof result === 'object' && result !== null && (result as Wait).kind === 'wait';
}

export interface DirectoryEntry {
  readonly name: string;
  readonly ino: bigint;
  /** abi/dirent.ts directoryType of its mode. */
  readonly type: number;
  /** Position of a directory description behind this entry. */
  readonly next: number;
}

/** New times of a file; undefined leaves one as it is. */
export interface NewTimes {
  readonly atime_ns: bigint | undefined;
  readonly mtime_ns: bigint | undefined;
}

/** How ioctl reaches guest memory without knowing it: one argument word, and structs at the address it may be. */
export interface IoctlArgument {
  readonly value: number;
  bytesIn(count: number): Uint8Array;
  bytesOut(bytes: Uint8Array): void;
  /** The same anywhere, for arguments that point on. */
  bytesAt(address: number, count: number): Uint8Array;
  bytesTo(address: number, bytes: Uint8Array): void;
}

/** Where a file hangs in the tree: what `..`, getcwd and /proc/self/fd need to know. */
export interface Place {
  readonly vnode: Vnode;
  /** Undefined for the root of everything, and for files without a path (pipes, streams). */
  readonly parent: Place | undefined;
  readonly name: string;
}

/** Extended attributes of one file. Names and limits are checked by the caller. */
export interface Attributes {
  get(name: string): Uint8Array | undefined;
  /** Throws ENOSPC where there is no room, EROFS. */
  set(name: string, value: Uint8Array): void;
  remove(name: string): void;
  names(): readonly string[];
}

/** One file of a file system. Two Vnodes with equal `key` are the same file. */
export interface Vnode {
  readonly kind: FileKind;
  /** Identity: device and inode, unique among all file systems of a machine. */
  readonly key: string;
  stat(): Stat;
  statfs(): FileSystemStat;
  /** Opens it with abi O_ flags (creation and truncation are already decided by the caller, O_TRUNC included here). */
  open(flags: number): OpenFile | Wait;
  /** Where a symbolic link points. */
  readlink(): string;
  /** A magic link's place, to which the walk jumps without reading any text (/proc/self/fd/N); undefined for all others. */
  follow?(): Place | undefined;
  truncate(size: number): void;
  chmod(mode: number): void;
  /** undefined leaves an id as it is. */
  chown(uid: number | undefined, gid: number | undefined): void;
  utimes(times: NewTimes): void;
  /**
   * Throws EACCES or EROFS where the machine itself may not, whoever asks; `mode` of abi R_OK, W_OK and X_OK bits. With `judges` 'caller' it decides
   * about the running call's task alone, and the mode bits do not; with 'host' the host does where that task is who the machine is.
   */
  access(mode: number): void;
  readonly judges?: 'caller' | 'host';
  /** Its mode, owner and times cannot be changed, whoever asks (EOPNOTSUPP): a nameless file that many share. Linux: anon_inode_setattr. */
  readonly isFixed?: boolean;
  /** The process whose /proc directory this is: its descriptors send signals as pidfds do. */
  readonly process?: number;
  /** Open files that may write to it: while there are any it cannot be executed (ETXTBSY). Undefined where nobody counts. */
  readonly writers?: number;
  /** F_GET_SEALS; undefined where the file system has no seals. */
  readonly seals?: number;
  /** F_ADD_SEALS by somebody who may write. Throws EPERM, EBUSY. */
  addSeals?(seals: number): void;
  /** Absent where the file system keeps none (EOPNOTSUPP). */
  readonly attributes?: Attributes;
  /** Directories only. */
  readonly directory?: Directory;
}

/** What only a directory can do. Names are single components, never '', '.' or '..', and at most 255 bytes. */
export interface Directory {
  /** The file of this name, or undefined. `known` is what the last look-up gave: the same object again where it is still that file. */
  lookup(name: string, known?: Vnode): Vnode | undefined;
  /** Makes and opens a regular file; EEXIST where the name is taken. */
  create(name: string, mode: number, flags: number): { readonly vnode: Vnode; readonly file: OpenFile };
  mkdir(name: string, mode: number): void;
  /** A fifo, socket or device node; mode has the kind bits. */
  mknod(name: string, mode: number, rdev: number): void;
  symlink(name: string, target: string): void;
  link(name: string, to: Vnode): void;
  unlink(name: string): void;
  rmdir(name: string): void;
  /** `flags` of abi RENAME_ bits. `to` is a directory of the same file system, or the call throws EXDEV. */
  rename(name: string, to: Directory, toName: string, flags: number): void;
  /** Whether the directory has the same path as when it was first used: then so have all above it. Absent: it must be looked up name by name. */
  isWhereItWas?(): boolean;
  /** The guest moved this directory itself to another name. */
  moved?(parent: Vnode, name: string): void;
  /** An unnamed file that goes with its last descriptor (O_TMPFILE). */
  createUnnamed?(mode: number, flags: number): OpenFile;
}

/** An open file. One belongs to one description; position and flags are the description's. */
export interface OpenFile {
  readonly vnode: Vnode;
  /** False for pipes, terminals and the like, where lseek and pread answer ESPIPE. */
  readonly seekable: boolean;
  /** lseek succeeds and means nothing: the position stays 0. */
  readonly stays?: boolean;
  /** Moves at least one byte unless at the end of the file. `position` is ignored where not seekable. With `nonblocking`, EAGAIN is thrown instead of a wait. */
  read(into: Uint8Array, position: number, nonblocking: boolean): Io;
  write(from: Uint8Array, position: number, nonblocking: boolean): Io;
  /** The opening itself waits for somebody (a fifo's other end); it is open meanwhile. */
  arriving?(): Wait | undefined;
  /** A position may be given although it cannot be moved: what else is wrong is told, not ESPIPE. */
  readonly takesPositions?: boolean;
  /** There is no such operation: EINVAL, before anything else is looked at. */
  readonly noRead?: boolean;
  readonly noWrite?: boolean;
  /** Throws what a read (a write) of so many bytes answers before any of the program's memory is looked at. */
  checkRead?(size: number): void;
  checkWrite?(size: number): void;
  /** Reads give whole records, which are lost where they cannot be delivered. */
  readonly hasRecords?: boolean;
  /** A write whose bytes cannot all be read from the program's memory takes a multiple of so many. */
  readonly writeGrain?: number | undefined;
  /** Each piece of a vector is a write of its own, and flags mean nothing to it. Linux: do_loop_readv_writev. */
  readonly writesPieces?: boolean;
  /** Reads and writes can be asked not to wait (RWF_NOWAIT), as of all sockets. */
  readonly canNotWait?: boolean;
  /** Appends; returns bytes written. The description then sets its position from `stat`. */
  append?(from: Uint8Array): Io;
  /** Which of abi POLL bits hold now. Regular files are always ready. */
  poll(): number;
  /** Wakes when `poll` may answer otherwise; undefined where it never changes. */
  readonly changes?: Waitable;
  /** Directories: the entries from position `from` on, '.' and '..' included; 0 reads the directory anew. */
  entries?(from: number): Iterable<DirectoryEntry>;
  truncate?(size: number): void;
  /** Reserves or punches (abi FALLOC_ bits); `allocates` says which bits it knows, where not all. */
  readonly allocates?: number;
  allocate?(mode: number, offset: number, size: number): void;
  sync?(dataOnly: boolean): void;
  /** Current length in bytes, for SEEK_END; without it the vnode's stat decides. */
  size?(): number;
  /** Where from `offset` on the first data, or the first hole, begins; at or past the end where there is none. Absent: all is data. */
  nextRun?(offset: number, data: boolean): number;
  /** Undefined: no such request (ENOTTY). */
  ioctl?(request: number, argument: IoctlArgument): number | Wait | undefined;
  /** `position` is the description's last one. */
  close(position?: number): void;
  /** Writes pages `[from, to)` of the file's mappings back, and throws the errno of a write-back that failed since the last time this opening was told. */
  writeBack?(from: number, to?: number): void;
  /** Bytes that reached the file by another way than `write`: pages in memory must follow. */
  noteWritten?(bytes: Uint8Array, position: number): void;
  /** The pages of the file that every mapping, exec and read share; `name` is its path for maps. Absent: it cannot be mapped (ENODEV). */
  memoryObject?(name: string): MemoryObject;
  /** What is written is not even looked at. */
  readonly discards?: boolean;
  /** Each mapping is new memory of zeros, as of /dev/zero. */
  readonly mapsFresh?: boolean;
  /** The path it has now in its file system, ` (deleted)` behind it where its name has gone; undefined: the place says it. */
  currentPath?(): string | undefined;
  /** Its name in a memory file system has gone: the place's path is shown with ` (deleted)` behind it. */
  readonly nameless?: boolean;
  /** What /proc/self/fd/N shows, where not a path: `pipe:[12]`. */
  readonly label?: string;
  /** What /proc/PID/fdinfo/N tells of its kind, as whole lines. `now_ns`: monotonic. */
  info?(now_ns: bigint): string;
  /** Told of its description's status flags, at first and whenever F_SETFL changes them. */
  statusFlags?(flags: number): void;
  /** Pipe capacity calls. */
  capacity?(size?: number): number;
}
