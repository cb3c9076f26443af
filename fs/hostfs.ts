/**
 * The host's files: the only file of the project that calls node:fs. Thin synchronous calls that throw our errno; names and link texts are
 * byte strings. Everything about what the guest may see is decided elsewhere (host-tree.ts).
 */
import type * as childProcess from 'node:child_process';
import * as fs from 'node:fs';
import { createRequire } from 'node:module';
import { Socket } from 'node:net';
import { isatty } from 'node:tty';
import type * as zlib from 'node:zlib';
import { EEXIST, EFBIG, EINVAL, ENOENT, errno, errnoOfName } from '../abi/errno.ts';

/** What the host says of a file. Declared here, so that the package's types need none of Node's. */
export interface HostStat {
  readonly dev: bigint;
  readonly ino: bigint;
  readonly mode: bigint;
  readonly nlink: bigint;
  readonly uid: bigint;
  readonly gid: bigint;
  readonly rdev: bigint;
  readonly size: bigint;
  readonly blksize: bigint;
  readonly blocks: bigint;
  readonly atimeNs: bigint;
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
  readonly birthtimeNs: bigint;
  isCharacterDevice(): boolean;
  isBlockDevice(): boolean;
  isSocket(): boolean;
}

/** What the host says of a file system, in units of `bsize`. */
export interface HostFileSystemStat {
  readonly type: number;
  readonly bsize: number;
  readonly blocks: number;
  readonly bfree: number;
  readonly bavail: number;
  readonly files: number;
  readonly ffree: number;
}

/** A path for the host: text where it is ASCII, else its bytes. */
function hostPath(path: string): string | Buffer {
  for (let i = 0; i < path.length; i++) if (path.charCodeAt(i) > 0x7f) return Buffer.from(path, 'latin1');
  return path;
}

/** Turns a host error into the guest's; anything that is not an error of the system is our bug and passes. */
function fail(error: unknown): never {
  const code = (error as NodeJS.ErrnoException).code;
  if (code === undefined || code.startsWith('ERR_')) throw error;
  throw errno(errnoOfName(code));
}

/** Undefined where nothing of that name exists. */
export function lstat(path: string): HostStat | undefined {
  try {
    return fs.lstatSync(hostPath(path), { bigint: true, throwIfNoEntry: false });
  } catch (error) {
    return fail(error);
  }
}

export function fstat(fd: number): HostStat {
  try {
    return fs.fstatSync(fd, { bigint: true });
  } catch (error) {
    return fail(error);
  }
}

/** Opens with exactly this mode for a new file, whatever our own umask. Flags are abi/fcntl.ts's, which are the host's. */
export function open(path: string, flags: number, mode = 0): number {
  return withoutUmask(() => fs.openSync(hostPath(path), flags, mode), (flags & fs.constants.O_CREAT) !== 0 || mode !== 0);
}

function withoutUmask<T>(call: () => T, matters = true): T {
  const umask = matters ? setUmask(0) : undefined;
  try {
    return call();
  } catch (error) {
    return fail(error);
  } finally {
    if (umask !== undefined) setUmask(umask);
  }
}

/** A worker thread may not change the process's umask: there files get what it leaves of their mode. */
function setUmask(mask: number): number | undefined {
  try {
    return process.umask(mask);
  } catch {
    return undefined;
  }
}

export function close(fd: number): void {
  try {
    fs.closeSync(fd);
  } catch (error) {
    fail(error);
  }
}

/** `position` null: at the descriptor's own position, which moves. */
export function read(fd: number, into: Uint8Array, position: number | null): number {
  try {
    return fs.readSync(fd, into, 0, into.length, position);
  } catch (error) {
    return fail(error);
  }
}

export function write(fd: number, from: Uint8Array, position: number | null): number {
  try {
    return fs.writeSync(fd, from, 0, from.length, position);
  } catch (error) {
    return fail(error);
  }
}

/** Fills the pieces one after the other from `position` on. */
export function readv(fd: number, into: readonly Uint8Array[], position: number): number {
  try {
    if (into.length === 1) return fs.readSync(fd, into[0], 0, into[0].length, position);
    return fs.readvSync(fd, into as Uint8Array[], position);
  } catch (error) {
    return fail(error);
  }
}

export function writev(fd: number, from: readonly Uint8Array[], position: number): number {
  try {
    if (from.length === 1) return fs.writeSync(fd, from[0], 0, from[0].length, position);
    return fs.writevSync(fd, from as Uint8Array[], position);
  } catch (error) {
    return fail(error);
  }
}

/** Ranges from so many bytes on are worth the start of a tool that can make real holes. */
const HOLE_WORTH_A_TOOL = 1 << 20;
const zeros = new Uint8Array(1 << 16);

/** Makes `[base, top)`, which ends at most where the file does, read as zeros; in long ranges blocks are given back where the host can do that. */
export function punch(fd: number, base: number, top: number): void {
  if (top - base >= HOLE_WORTH_A_TOOL) {
    const args = ['--punch-hole', '--offset', `${base}`, '--length', `${top - base}`, `/proc/${process.pid}/fd/${fd}`];
    if (runTool('fallocate', args) !== undefined) return;
  }
  for (let at = base; at < top; ) at += write(fd, zeros.subarray(0, Math.min(zeros.length, top - at)), at);
}

/** Moves what begins at `from` to `to`, whichever is first. */
export function moveBytes(fd: number, from: number, to: number, size: number): void {
  const buffer = new Uint8Array(Math.min(size, 1 << 18));
  for (let done = 0; done < size; ) {
    const part = Math.min(buffer.length, size - done);
    // Towards the end of the file the last part goes first, so that nothing is overwritten before it has moved.
    const at = from < to ? size - done - part : done;
    const got = read(fd, buffer.subarray(0, part), from + at);
    if (got < part) buffer.fill(0, got, part);
    for (let written = 0; written < part; ) written += write(fd, buffer.subarray(written, part), to + at + written);
    done += part;
  }
}

export function readlink(path: string): string {
  try {
    return fs.readlinkSync(hostPath(path), 'latin1');
  } catch (error) {
    return fail(error);
  }
}

export interface HostEntry {
  readonly name: string;
  /** abi/dirent.ts directoryType, 0 where the host does not say. */
  readonly type: number;
}

/** Names in the host's own order, without '.' and '..'. (readdirSync would sort.) */
export function list(path: string): HostEntry[] {
  try {
    const directory = fs.opendirSync(path, { encoding: 'latin1', bufferSize: 512 });
    try {
      const entries: HostEntry[] = [];
      for (let entry = directory.readSync(); entry !== null; entry = directory.readSync())
        entries.push({ name: entry.name, type: typeOf(entry) });
      return entries;
    } finally {
      directory.closeSync();
    }
  } catch (error) {
    return fail(error);
  }
}

function typeOf(entry: fs.Dirent): number {
  if (entry.isFile()) return 8;
  if (entry.isDirectory()) return 4;
  if (entry.isSymbolicLink()) return 10;
  if (entry.isCharacterDevice()) return 2;
  if (entry.isBlockDevice()) return 6;
  if (entry.isFIFO()) return 1;
  return entry.isSocket() ? 12 : 0;
}

export function mkdir(path: string, mode: number): void {
  withoutUmask(() => fs.mkdirSync(hostPath(path), mode));
}

export function rmdir(path: string): void {
  attempt(() => fs.rmdirSync(hostPath(path)));
}

export function unlink(path: string): void {
  attempt(() => fs.unlinkSync(hostPath(path)));
}

export function rename(from: string, to: string): void {
  attempt(() => fs.renameSync(hostPath(from), hostPath(to)));
}

/** Whether both are names of the same file. */
export function isOneFile(path: string, other: string): boolean {
  const [a, b] = [lstat(path), lstat(other)];
  return a !== undefined && b !== undefined && a.dev === b.dev && a.ino === b.ino;
}

/** node cannot ask for an exchange: three renames, of which no other guest sees the middle. */
export function exchange(from: string, target: string): void {
  if (lstat(from) === undefined || lstat(target) === undefined) throw errno(ENOENT);
  const aside = `${target}.exchange`;
  if (lstat(aside) !== undefined) throw errno(EEXIST);
  rename(target, aside);
  try {
    rename(from, target);
  } catch (error) {
    rename(aside, target);
    throw error;
  }
  rename(aside, from);
}

/** A second name for what `from` itself names (a link is not followed). */
export function link(from: string, to: string): void {
  attempt(() => fs.linkSync(hostPath(from), hostPath(to)));
}

export function symlink(target: string, path: string): void {
  attempt(() => fs.symlinkSync(hostPath(target), hostPath(path)));
}

export function chmod(path: string, mode: number): void {
  attempt(() => fs.chmodSync(hostPath(path), mode));
}

export function fchmod(fd: number, mode: number): void {
  attempt(() => fs.fchmodSync(fd, mode));
}

/** -1 leaves an id as it is. */
export function chown(path: string, uid: number, gid: number): void {
  attempt(() => fs.chownSync(hostPath(path), uid, gid));
}

/** Of the link itself where it is one; -1 leaves an id as it is. */
export function lchown(path: string, uid: number, gid: number): void {
  attempt(() => fs.lchownSync(hostPath(path), uid, gid));
}

export function fchown(fd: number, uid: number, gid: number): void {
  attempt(() => fs.fchownSync(fd, uid, gid));
}

/** In seconds, to the precision of a double. */
export function utimes(path: string, atime: number, mtime: number): void {
  attempt(() => fs.utimesSync(hostPath(path), atime, mtime));
}

/** In seconds, to the precision of a double; of the link itself where it is one. */
export function lutimes(path: string, atime: number, mtime: number): void {
  attempt(() => fs.lutimesSync(hostPath(path), atime, mtime));
}

export function futimes(fd: number, atime: number, mtime: number): void {
  attempt(() => fs.futimesSync(fd, atime, mtime));
}

export function ftruncate(fd: number, size: number): void {
  attempt(() => fs.ftruncateSync(fd, size));
}

export function fsync(fd: number, dataOnly: boolean): void {
  attempt(() => (dataOnly ? fs.fdatasyncSync(fd) : fs.fsyncSync(fd)));
}

export function access(path: string, mode: number): void {
  attempt(() => fs.accessSync(hostPath(path), mode));
}

export function statfs(path: string): HostFileSystemStat {
  try {
    return fs.statfsSync(hostPath(path));
  } catch (error) {
    return fail(error);
  }
}

/**
 * Runs one of the host's own tools, for what node cannot do itself, with our descriptor `input` as its standard input. Returns what it printed, one
 * character a byte; undefined where it failed or does not exist.
 */
export function runTool(name: string, args: readonly string[], input?: number): string | undefined {
  // Loaded at its first use: few guests need it, and all would wait for it.
  const { spawnSync } = createRequire(import.meta.url)('node:child_process') as typeof childProcess;
  const done = spawnSync(name, args, { stdio: [input ?? 'ignore', 'pipe', 'ignore'], encoding: 'latin1' });
  return done.status === 0 ? done.stdout : undefined;
}

function attempt(call: () => void): void {
  try {
    call();
  } catch (error) {
    fail(error);
  }
}

let checked: boolean | undefined;

/** Whether /proc/self/fd/N/name reaches names below an open directory, as on any Linux host with /proc. */
export function descriptorPaths(): boolean {
  checked ??= fs.existsSync('/proc/self/fd');
  return checked;
}

/** Packed archives are unpacked into memory, up to so many bytes. */
const MOST_UNPACKED = 2 ** 31;

/** A file that is read from anywhere, as an archive is: where it lies, or unpacked in memory where it is gzip's. Undefined where it is no regular file. */
export function archive(path: string): { readonly size: number; read(into: Uint8Array, position: number): number } | undefined {
  if (lstat(realpath(path)) === undefined) throw errno(ENOENT);
  const fd = open(path, fs.constants.O_RDONLY | fs.constants.O_NONBLOCK);
  const stat = fstat(fd);
  if ((stat.mode & 0o170000n) !== 0o100000n) {
    close(fd);
    return undefined;
  }
  const readFully = (into: Uint8Array, position: number): number => {
    let done = 0;
    for (let moved = -1; moved !== 0 && done < into.length; done += moved) moved = read(fd, into.subarray(done), position + done);
    return done;
  };
  const magic = new Uint8Array(2);
  readFully(magic, 0);
  if (magic[0] !== 0x1f || magic[1] !== 0x8b) return { size: Number(stat.size), read: readFully };
  const packed = new Uint8Array(Number(stat.size));
  readFully(packed, 0);
  close(fd);
  const bytes = unpacked(packed);
  return {
    size: bytes.length,
    read: (into, position) => {
      const part = bytes.subarray(position, position + into.length);
      into.set(part);
      return part.length;
    },
  };
}

function unpacked(packed: Uint8Array): Uint8Array {
  const { gunzipSync } = createRequire(import.meta.url)('node:zlib') as typeof zlib;
  try {
    return gunzipSync(packed, { maxOutputLength: MOST_UNPACKED });
  } catch (error) {
    throw errno((error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE' ? EFBIG : EINVAL);
  }
}

/** Where the host keeps a directory, with all links resolved. */
export function realpath(path: string): string {
  try {
    return fs.realpathSync.native(path, 'latin1');
  } catch (error) {
    return fail(error);
  }
}

/** The position and open flags of one of our own descriptors; undefined where the host does not say. */
export function descriptorInfo(fd: number): { readonly position: number; readonly flags: number } | undefined {
  try {
    const text = fs.readFileSync(`/proc/self/fdinfo/${fd}`, 'latin1');
    const position = /^pos:\s*(\d+)/m.exec(text);
    const flags = /^flags:\s*([0-7]+)/m.exec(text);
    if (position === null || flags === null) return undefined;
    return { position: Number(position[1]), flags: Number.parseInt(flags[1], 8) };
  } catch {
    return undefined;
  }
}

/** What the host calls one of our descriptors: a path, or `pipe:[7]`. */
export function descriptorName(fd: number): string {
  try {
    return fs.readlinkSync(`/proc/self/fd/${fd}`, 'latin1');
  } catch {
    return `/dev/fd/${fd}`;
  }
}

/** The user and group we run as; root's where the host has no such thing. */
export function owner(): { readonly uid: number; readonly gid: number } {
  return { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
}

/**
 * Makes reads of a socket answer EAGAIN instead of waiting, and returns what makes it as it was; undefined where that cannot be had. Node has no other
 * way than to take the descriptor for a stream, of which nothing else is used.
 */
export function unblock(fd: number): (() => void) | undefined {
  try {
    const stream = new Socket({ fd, readable: false, writable: false });
    stream.unref();
    const { _handle: handle } = stream as unknown as { readonly _handle: { setBlocking?(isBlocking: boolean): void } | null };
    return () => handle?.setBlocking?.(true);
  } catch {
    return undefined;
  }
}

export function isTerminal(fd: number): boolean {
  return isatty(fd);
}

/** By the clock that stamps the host's files. */
export function realtime_ms(): number {
  return Date.now();
}

/** Milliseconds that only grow. */
export function now_ms(): number {
  return performance.now();
}

const sleeper = new Int32Array(new SharedArrayBuffer(4));

/** Blocks this thread; nothing else happens meanwhile. */
export function sleep(duration_ms: number): void {
  Atomics.wait(sleeper, 0, 0, duration_ms);
}

/** One of our host descriptors, shared by a description and a pager. */
export class HostDescriptor {
  readonly fd: number;
  readonly writable: boolean;
  private users = 1;

  constructor(fd: number, writable: boolean) {
    this.fd = fd;
    this.writable = writable;
  }

  hold(): void {
    this.users++;
  }

  drop(): void {
    if (--this.users === 0) close(this.fd);
  }
}
