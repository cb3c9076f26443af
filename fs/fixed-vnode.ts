/** What made-up nodes have in common whose owner, rights and times guests cannot change: /proc, /sys, message queues, the host's own streams. */
import { EINVAL, EPERM, errno } from '../abi/errno.ts';
import type { FileKind, FileSystemStat, OpenFile, Stat, Vnode } from './vnode.ts';

/** statfs of a file system that counts nothing. */
export function uncounted(type: number): FileSystemStat {
  return { type, bsize: 4096, blocks: 0, bfree: 0, bavail: 0, files: 0, ffree: 0, namelen: 255, flags: 0x20 };
}

export abstract class FixedVnode implements Vnode {
  abstract readonly kind: FileKind;
  abstract readonly key: string;
  abstract stat(): Stat;
  abstract statfs(): FileSystemStat;
  abstract open(flags: number): OpenFile;

  readlink(): string {
    throw errno(EINVAL);
  }

  truncate(): void {
    throw errno(EINVAL);
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

  access(_mode: number): void {}
}
