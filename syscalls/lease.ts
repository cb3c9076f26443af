/** Leases and directory notifications: fcntl's F_SETLEASE, F_GETLEASE and F_NOTIFY. Linux: fs/locks.c, fs/notify/dnotify. */
import { CAP_LEASE } from '../abi/capability.ts';
import { EACCES, EAGAIN, EINVAL, ENOTDIR, errno } from '../abi/errno.ts';
import * as f from '../abi/fcntl.ts';
import * as i from '../abi/inotify.ts';
import type { Description } from '../fs/description.ts';
import type { Vnode } from '../fs/vnode.ts';
import type { Watch, Watcher } from '../fs/watches.ts';
import { capable } from '../proc/credentials.ts';
import { F_OWNER_PID, tellOwner } from '../proc/signal-io.ts';
import type { Task } from '../proc/task.ts';
import { block } from '../proc/wait.ts';
import type { Fd } from './kinds.ts';

/** What siginfo says: POLL_MSG, and its bits. */
const POLL_MSG = 3,
  MESSAGE_BAND = 0x441;

/** Whoever asks is told, unless somebody else was named before. */
function ownIt(task: Task, description: Description): void {
  const { uid, euid } = task.credentials;
  if (description.owner.id === 0) description.owner = { type: F_OWNER_PID, id: task.process.pid, by: { uid, euid } };
}

export function setLease(task: Task, fd: Fd, description: Description, type: number): number {
  const { vnode } = description;
  const { kernel, credentials } = task;
  const { leases, watches } = kernel.files;
  if (type !== f.F_RDLCK && type !== f.F_WRLCK && type !== f.F_UNLCK) throw errno(EINVAL);
  if (vnode.stat().uid !== credentials.fsuid && !capable(credentials, CAP_LEASE)) throw errno(EACCES);
  if (vnode.kind !== 'file') throw errno(EINVAL);
  if (type === f.F_UNLCK) {
    if (!leases.remove(description)) throw errno(EAGAIN);
    description.closed('lease');
    description.owner = { type: 0, id: 0 };
    description.signal = 0;
    return 0;
  }
  leases.set(description, type, watches.openings(vnode.key), () => tellOwner(kernel, description, POLL_MSG, MESSAGE_BAND, fd));
  description.onClose('lease', () => leases.remove(description));
  ownIt(task, description);
  return 0;
}

/** Before a file is opened or cut: waits for those who hold leases that stand against it. */
export function breakLeases(task: Task, vnode: Vnode, how: number): void {
  const { clock, files } = task.kernel;
  if (vnode.kind !== 'file') return;
  const writes = f.canWrite(how) || (how & f.O_TRUNC) !== 0;
  const until = files.leases.break(vnode.key, writes, clock.monotonic());
  if (until === undefined) return;
  if (how & f.O_NONBLOCK) throw errno(EAGAIN);
  throw block(files.leases.changed, until);
}

// ---- Directories ---------------------------------------------------------------------------------------------------------------

/** What of inotify's events each DN_ bit is. */
const EVENTS: readonly (readonly [bit: number, events: number])[] = [
  [1, i.IN_ACCESS],
  [2, i.IN_MODIFY],
  [4, i.IN_CREATE | i.IN_MOVED_TO],
  [8, i.IN_DELETE | i.IN_MOVED_FROM],
  [0x10, i.IN_MOVED_FROM],
  [0x20, i.IN_ATTRIB],
];
const DN_MULTISHOT = 0x8000_0000;
const KNOWN = EVENTS.reduce((all, [bit]) => all | bit, DN_MULTISHOT) >>> 0;

/** Tells a directory's opener of one event, or with DN_MULTISHOT of all. */
class DirectoryNotice implements Watcher {
  readonly watch: Watch;
  asked = 0;
  private readonly fire: () => void;
  private readonly end: () => void;

  constructor(key: string, fire: () => void, end: () => void) {
    this.watch = { owner: this, wd: 0, key, mask: 0 };
    this.fire = fire;
    this.end = end;
  }

  ask(bits: number): void {
    this.asked = (this.asked | bits) >>> 0;
    this.watch.mask = EVENTS.reduce((mask, [bit, events]) => ((this.asked & bit) !== 0 ? mask | events : mask), 0);
  }

  tell(_watch: Watch, _mask: number, _cookie: number, name: string): void {
    if (name === '') return;
    this.fire();
    if ((this.asked & DN_MULTISHOT) === 0) this.end();
  }

  remove(): void {
    this.end();
  }
}

/** F_NOTIFY. Bits add up; none at all takes the notice back. */
export function notifyOf(task: Task, fd: Fd, description: Description, bits: number): number {
  const { kernel } = task;
  const { watches } = kernel.files;
  if (description.vnode.kind !== 'directory') throw errno(ENOTDIR);
  if ((bits & ~KNOWN) !== 0) throw errno(EINVAL);
  if ((bits & ~DN_MULTISHOT) === 0) {
    description.closed('notice');
    return 0;
  }
  ownIt(task, description);
  const known = watches.notices.get(description);
  let notice = known instanceof DirectoryNotice ? known : undefined;
  if (notice === undefined) {
    const end = (): void => description.closed('notice');
    notice = new DirectoryNotice(description.vnode.key, () => tellOwner(kernel, description, POLL_MSG, MESSAGE_BAND, fd), end);
    const { watch } = notice;
    watches.notices.set(description, notice);
    watches.add(watch);
    description.onClose('notice', () => {
      watches.drop(watch);
      watches.notices.delete(description);
    });
  }
  notice.ask(bits);
  return 0;
}
