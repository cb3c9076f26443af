/** What made-up nodes have in common whose owner, rights and times guests cannot change: the host's own streams, message queues. */
import { EINVAL, EPERM, errno } from '../abi/errno.ts';
import type { FileKind, FileSystemStat, OpenFile, Stat, Vnode } from './vnode.ts';

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

  access(): void {}
}
