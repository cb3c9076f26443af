/** File times to the nanosecond: node tells the host no more than a double of seconds, so what is lost on the way is remembered here. */
import type { NewTimes, Stat } from './vnode.ts';

/** Files whose times are remembered; beyond it all are forgotten, and show what the host has. */
const MANY = 100_000;

interface Exact {
  /** What the host has: while it still has that, the guest sees what it set. */
  readonly host_atime_ns: bigint;
  readonly host_mtime_ns: bigint;
  readonly atime_ns: bigint;
  readonly mtime_ns: bigint;
}

export class ExactTimes {
  private readonly files: Map<string, Exact> = new Map();

  of(key: string): Exact | undefined {
    return this.files.size === 0 ? undefined : this.files.get(key);
  }

  /** Sets times through `tell` (in seconds); `look` then says what the host made of them. */
  set(key: string, times: NewTimes, before: Stat, tell: (atime: number, mtime: number) => void, look: () => Stat): void {
    const atime_ns = times.atime_ns ?? before.atime_ns;
    const mtime_ns = times.mtime_ns ?? before.mtime_ns;
    this.files.delete(key);
    tell(seconds(atime_ns), seconds(mtime_ns));
    const told = look();
    if (told.atime_ns === atime_ns && told.mtime_ns === mtime_ns) return;
    if (this.files.size >= MANY) this.files.clear();
    this.files.set(key, { host_atime_ns: told.atime_ns, host_mtime_ns: told.mtime_ns, atime_ns, mtime_ns });
  }
}

/** The double nearest to a time. */
function seconds(time_ns: bigint): number {
  return Number(time_ns) / 1e9;
}
