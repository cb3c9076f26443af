/** The mqueue file system: POSIX message queues as files of one directory (mq_overview(7)). Reading one tells of its messages and who is notified. */
import { MQUEUE_MAGIC } from '../abi/magic.ts';
import { EEXIST, EPERM, errno } from '../abi/errno.ts';
import { makeDevice, S_IFDIR } from '../abi/stat.ts';
import { FixedVnode, uncounted } from './fixed-vnode.ts';
import { DirectoryFile } from './directory-file.ts';
import type { PosixQueue, PosixQueues } from './mqueue.ts';
import type { Directory, FileKind, FileSystemStat, OpenFile, Stat, Vnode } from './vnode.ts';

const DEVICE = makeDevice(0, 19);
/** Bytes that a queue's file has (FILENT_SIZE). */
const FILE_SIZE = 80;

/** One queue as a file. */
class QueueNode extends FixedVnode {
  readonly kind: FileKind = 'file';
  readonly key: string;
  private readonly queue: PosixQueue;
  private readonly queues: PosixQueues;

  constructor(queue: PosixQueue, queues: PosixQueues) {
    super();
    this.queue = queue;
    this.queues = queues;
    this.key = queue.vnode.key;
  }

  stat(): Stat {
    return { ...this.queue.vnode.stat(), size: FILE_SIZE };
  }

  statfs(): FileSystemStat {
    return uncounted(MQUEUE_MAGIC);
  }

  open(): OpenFile {
    return this.queues.open(this.queue);
  }

  override truncate(): void {}
}

/** The directory of all queues: mq_open makes them, unlink removes them like mq_unlink. */
export class QueueDirectory extends FixedVnode implements Directory {
  readonly kind: FileKind = 'directory';
  readonly key = `${DEVICE}:1`;
  readonly queues: PosixQueues;
  private readonly now_ns: () => bigint;

  constructor(queues: PosixQueues, now_ns: () => bigint) {
    super();
    this.queues = queues;
    this.now_ns = now_ns;
  }

  get directory(): Directory {
    return this;
  }

  stat(): Stat {
    const now = this.now_ns();
    const times = { atime_ns: now, mtime_ns: now, ctime_ns: now, btime_ns: undefined };
    return { dev: DEVICE, rdev: 0, ino: 1n, mode: S_IFDIR | 0o1777, nlink: 2, uid: 0, gid: 0, size: 0, blksize: 4096, blocks: 0, ...times };
  }

  statfs(): FileSystemStat {
    return uncounted(MQUEUE_MAGIC);
  }

  open(): OpenFile {
    return new DirectoryFile(this, {
      names: () => [...this.queues.names()],
      stat: (name) => this.queues.find(name)?.vnode.stat(),
    });
  }

  lookup(name: string, known?: Vnode): Vnode | undefined {
    const queue = this.queues.find(name);
    return queue === undefined ? undefined : known?.key === queue.vnode.key ? known : new QueueNode(queue, this.queues);
  }

  unlink(name: string): void {
    this.queues.unlink(name);
  }

  private refuse(name: string): never {
    throw errno(this.queues.find(name) === undefined ? EPERM : EEXIST);
  }

  /** A queue's size is not known here: mq_open makes them. */
  create(name: string): never {
    return this.refuse(name);
  }

  mkdir(name: string): void {
    this.refuse(name);
  }

  mknod(name: string): void {
    this.refuse(name);
  }

  symlink(name: string): void {
    this.refuse(name);
  }

  link(name: string): void {
    this.refuse(name);
  }

  rmdir(): void {
    throw errno(EPERM);
  }

  rename(): void {
    throw errno(EPERM);
  }
}
