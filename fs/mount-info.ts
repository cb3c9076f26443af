/** What is known of one mount. */
import type { Vnode } from './vnode.ts';

/** What /proc/PID/mountinfo says of a mount, and what it restricts. */
export interface MountInfo {
  readonly source: string;
  readonly type: string;
  /** MS_ bits that last: MS_RDONLY, MS_NOSUID and so on. */
  flags: number;
  /** Which directory of its file system is shown. */
  readonly root: string;
  /** As the file system itself was asked for (`size=64k`). */
  readonly data: string;
  /** The file system without the guard that keeps changes out. */
  readonly bare: Vnode;
  /** Asked to expire once, and not used since. */
  isExpiring: boolean;
}
