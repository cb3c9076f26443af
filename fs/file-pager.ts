/** The pager of a host file: page N is bytes N * 4096 of the file. It keeps a host descriptor open, so a removed file stays readable. */
import { EBADF, EIO, Errno } from '../abi/errno.ts';
import { PAGE_SIZE } from '../abi/page.ts';
import { deviceMajor, deviceMinor } from '../abi/stat.ts';
import type { FileIdentity, Pager, PagerResult } from '../mm/pager.ts';
import * as host from './hostfs.ts';
import type { HostDescriptor } from './hostfs.ts';

/** What of its inode a pager tells and asks. */
export interface PagedInode {
  /** The host's file was written through `file`. */
  look(file: HostDescriptor): void;
  /** Somebody asks whether others have changed the host's file. */
  revalidate(file: HostDescriptor): void;
  /** A mapping has changed what the file shows. */
  stored(file: HostDescriptor): void;
  /** The object is gone. */
  released(): void;
}

export class FilePager implements Pager {
  readonly name: string;
  private file: HostDescriptor;
  private readonly inode: PagedInode;

  constructor(name: string, file: HostDescriptor, inode: PagedInode) {
    this.name = name;
    this.file = file;
    this.inode = inode;
    file.hold();
  }

  get identity(): FileIdentity {
    const { dev, ino } = host.fstat(this.file.fd);
    return { major: deviceMajor(Number(dev)), minor: deviceMinor(Number(dev)), inode: Number(ino) };
  }

  /** A mapping that may write needs a descriptor that may: pages go back through it from now on. */
  makeWritable(file: HostDescriptor): void {
    if (this.file.writable) return;
    file.hold();
    this.file.drop();
    this.file = file;
  }

  pageIn(index: number, into: Uint8Array): PagerResult {
    return this.pageInRun(index, [into]);
  }

  /** The host may read less than asked without being at the end of the file. */
  pageInRun(index: number, into: readonly Uint8Array[]): PagerResult {
    return failing(() => {
      let position = index * PAGE_SIZE;
      for (let left = into; left.length > 0; ) {
        const moved = host.readv(this.file.fd, left, position);
        if (moved === 0) return;
        position += moved;
        left = behind(left, moved);
      }
    });
  }

  pageOut(index: number, from: Uint8Array): PagerResult {
    return this.pageOutRun(index, [from]);
  }

  /** Never makes the file longer: what lies past its end in the last page is the mapping's own (mmap(2)). */
  pageOutRun(index: number, from: readonly Uint8Array[]): PagerResult {
    return failing(() => {
      if (!this.file.writable) throw new Errno(EBADF);
      let position = index * PAGE_SIZE;
      const stat = host.fstat(this.file.fd);
      const size = Math.min(from.length * PAGE_SIZE, Number(stat.size) - position);
      if (size <= 0) return;
      try {
        for (let left = upTo(from, size); left.length > 0; ) {
          const moved = host.writev(this.file.fd, left, position);
          if (moved === 0) throw new Errno(EIO);
          position += moved;
          left = behind(left, moved);
        }
      } finally {
        // The file changed when it was stored to, not now.
        setTimes(this.file, stat, seconds(stat.mtimeNs));
        this.inode.look(this.file);
      }
    });
  }

  changed(): void {
    this.inode.stored(this.file);
  }

  punch(base: number, top: number): PagerResult {
    return failing(() => {
      host.punch(this.file.fd, base, top);
      this.inode.look(this.file);
    });
  }

  invalidate(): void {
    this.inode.revalidate(this.file);
  }

  release(): void {
    this.file.drop();
    this.inode.released();
  }
}

/** In seconds, of which Node passes whole microseconds on: what was given to the host so stays as it is when it is given again. */
function seconds(ns: bigint): number {
  return Number(ns / 1_000_000_000n) + (Number(ns % 1_000_000_000n) + 500) / 1e9;
}

/** Gives the file a time of change, where we may; its time of access stays. */
export function setTimes(file: HostDescriptor, stat: host.HostStat, mtime: number): void {
  try {
    host.futimes(file.fd, seconds(stat.atimeNs), mtime);
  } catch (error) {
    if (!(error instanceof Errno)) throw error;
  }
}

/** The pieces without their first `count` bytes. */
function behind(pieces: readonly Uint8Array[], count: number): Uint8Array[] {
  const left: Uint8Array[] = [];
  let skip = count;
  for (const piece of pieces) {
    if (skip < piece.length) left.push(skip === 0 ? piece : piece.subarray(skip));
    skip = Math.max(0, skip - piece.length);
  }
  return left;
}

/** The first `size` bytes of the pieces. */
function upTo(pieces: readonly Uint8Array[], size: number): Uint8Array[] {
  const kept: Uint8Array[] = [];
  let left = size;
  for (const piece of pieces) {
    if (left <= 0) break;
    kept.push(left < piece.length ? piece.subarray(0, left) : piece);
    left -= piece.length;
  }
  return kept;
}

/** A host error as the pager port reports it. */
function failing(work: () => void): PagerResult {
  try {
    work();
    return undefined;
  } catch (error) {
    if (!(error instanceof Errno)) throw error;
    return { kind: 'error', errno: error.code || EIO };
  }
}
