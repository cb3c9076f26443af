/** The pager of a host file: page N is bytes N * 4096 of the file. It keeps a host descriptor open, so a removed file stays readable. */
import { EIO, Errno } from '../abi/errno.ts';
import { PAGE_SIZE } from '../abi/page.ts';
import { deviceMajor, deviceMinor } from '../abi/stat.ts';
import type { FileIdentity, Pager, PagerResult } from '../mm/pager.ts';
import * as host from './hostfs.ts';
import type { HostDescriptor } from './hostfs.ts';

export class FilePager implements Pager {
  readonly name: string;
  private file: HostDescriptor;
  private readonly onRelease: () => void;

  constructor(name: string, file: HostDescriptor, onRelease: () => void) {
    this.name = name;
    this.file = file;
    this.onRelease = onRelease;
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
    return failing(() => {
      for (let done = 0; done < PAGE_SIZE; ) {
        const moved = host.read(this.file.fd, into.subarray(done), index * PAGE_SIZE + done);
        if (moved === 0) return;
        done += moved;
      }
    });
  }

  /** Never makes the file longer: what lies past its end in the last page is the mapping's own (mmap(2)). */
  pageOut(index: number, from: Uint8Array): PagerResult {
    return failing(() => {
      const end = Number(host.fstat(this.file.fd).size) - index * PAGE_SIZE;
      const size = Math.min(PAGE_SIZE, end);
      for (let done = 0; done < size; ) done += host.write(this.file.fd, from.subarray(done, size), index * PAGE_SIZE + done);
    });
  }

  release(): void {
    this.file.drop();
    this.onRelease();
  }
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
