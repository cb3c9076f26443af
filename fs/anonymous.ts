/** The nameless files behind pipes, epoll, eventfd, timerfd and sockets: what stat and /proc/self/fd tell of them. */
import { ANON_INODE_FS_MAGIC } from '../abi/magic.ts';
import { EINVAL, ENXIO, errno } from '../abi/errno.ts';
import { makeDevice, S_IFMT } from '../abi/stat.ts';
import { uncounted } from './fixed-vnode.ts';
import type { Attributes, FileKind, FileSystemStat, OpenFile, Place, Stat, Vnode } from './vnode.ts';

/** On Linux one inode stands behind all of them, and it is root's. */
const ROOT = { uid: 0, gid: 0 };

export interface AnonymousOptions {
  /** `anon_inode:[eventpoll]`, `socket:[12]`. */
  readonly label: string;
  readonly kind: FileKind;
  /** Kind and permission bits; an anonymous inode of Linux has no kind. */
  readonly mode: number;
  /** Minor number of its file system, major 0. */
  readonly device: number;
  readonly ino: bigint;
  readonly now_ns: bigint;
  readonly owner: { readonly uid: number; readonly gid: number };
  /** Vnode.isFixed. */
  readonly isFixed?: boolean;
  readonly attributes?: Attributes;
  /** Of its file system, for statfs. */
  readonly magic?: number;
}

export class AnonymousVnode implements Vnode {
  readonly kind: FileKind;
  readonly key: string;
  readonly label: string;
  readonly isFixed: boolean;
  readonly attributes: Attributes | undefined;
  private mode: number;
  private owner: AnonymousOptions['owner'];
  private readonly options: AnonymousOptions;

  constructor(options: AnonymousOptions) {
    this.options = options;
    this.kind = options.kind;
    this.label = options.label;
    this.isFixed = options.isFixed === true;
    this.attributes = options.attributes;
    this.mode = options.mode;
    this.owner = options.owner;
    this.key = `${makeDevice(0, options.device)}:${options.ino}`;
  }

  /** A place to hang a description on. */
  get place(): Place {
    return { vnode: this, parent: undefined, name: this.label };
  }

  open(_flags: number): OpenFile {
    throw errno(ENXIO);
  }

  stat(): Stat {
    const { mode, owner } = this;
    const { device, ino, now_ns } = this.options;
    return {
      dev: makeDevice(0, device),
      rdev: 0,
      ino,
      mode,
      nlink: 1,
      uid: owner.uid,
      gid: owner.gid,
      size: 0,
      blksize: 4096,
      blocks: 0,
      atime_ns: now_ns,
      mtime_ns: now_ns,
      ctime_ns: now_ns,
      btime_ns: undefined,
    };
  }

  statfs(): FileSystemStat {
    return uncounted(this.options.magic ?? ANON_INODE_FS_MAGIC);
  }

  readlink(): string {
    throw errno(EINVAL);
  }

  truncate(): void {
    throw errno(EINVAL);
  }

  chmod(mode: number): void {
    this.mode = (this.mode & S_IFMT) | (mode & 0o7777);
  }

  chown(uid: number | undefined, gid: number | undefined): void {
    this.owner = { uid: uid ?? this.owner.uid, gid: gid ?? this.owner.gid };
  }

  utimes(): void {}

  access(): void {}
}

/** Inode numbers of nameless files need only differ. */
export function anonymous(label: string, ino: bigint, now_ns: bigint): AnonymousVnode {
  return new AnonymousVnode({
    label: `anon_inode:${label}`,
    kind: 'character',
    mode: 0o600,
    device: 14,
    ino,
    now_ns,
    owner: ROOT,
    isFixed: true,
  });
}
