/** An inotify instance: its watches, and the queue of what they saw. What happens in the tree is told by watches.ts. Linux: fs/notify/inotify. */
import { EAGAIN, EEXIST, EINVAL, ENOSPC, errno } from '../abi/errno.ts';
import * as i from '../abi/inotify.ts';
import { FIONREAD } from '../abi/ioctl.ts';
import { POLLIN, POLLRDNORM } from '../abi/poll.ts';
import type { Io, IoctlArgument, OpenFile, Vnode } from './vnode.ts';
import { Waiters } from './wait.ts';
import type { Watch, Watcher, Watches } from './watches.ts';

/** fs.inotify.max_queued_events. */
const MOST_QUEUED = 16_384;

interface Event {
  readonly wd: number;
  readonly mask: number;
  readonly cookie: number;
  readonly name: string;
}

const OVERFLOW: Event = { wd: -1, mask: i.IN_Q_OVERFLOW, cookie: 0, name: '' };

export class InotifyFile implements OpenFile, Watcher {
  readonly vnode: Vnode;
  readonly seekable = false;
  readonly stays = true;
  readonly hasRecords = true;
  readonly label: string = 'anon_inode:inotify';
  readonly changes: Waiters = new Waiters();
  private readonly all: Watches;
  private readonly byNumber: Map<number, Watch> = new Map();
  private readonly byFile: Map<string, Watch> = new Map();
  private queue: Event[] = [];
  private lastNumber = 0;

  constructor(vnode: Vnode, all: Watches) {
    this.vnode = vnode;
    this.all = all;
  }

  /** inotify_add_watch: the number of the file's watch. Throws EEXIST, ENOSPC. */
  add(file: Vnode, asked: number): number {
    const mask = asked & (i.IN_ALL_EVENTS | i.IN_ONESHOT | i.IN_EXCL_UNLINK);
    const known = this.byFile.get(file.key);
    if (known !== undefined) {
      if ((asked & i.IN_MASK_CREATE) !== 0) throw errno(EEXIST);
      known.mask = ((asked & i.IN_MASK_ADD) !== 0 ? known.mask | mask : mask) >>> 0;
      return known.wd;
    }
    if (this.all.full) throw errno(ENOSPC);
    const watch: Watch = { owner: this, wd: ++this.lastNumber, key: file.key, mask: mask >>> 0 };
    this.byNumber.set(watch.wd, watch);
    this.byFile.set(watch.key, watch);
    this.all.add(watch);
    return watch.wd;
  }

  /** inotify_rm_watch. */
  removeNumber(wd: number): void {
    const watch = this.byNumber.get(wd);
    if (watch === undefined) throw errno(EINVAL);
    this.remove(watch);
  }

  /** The watch is over, which its owner is told. */
  remove(watch: Watch): void {
    if (!this.byNumber.delete(watch.wd)) return;
    this.byFile.delete(watch.key);
    this.all.drop(watch);
    this.put({ wd: watch.wd, mask: i.IN_IGNORED, cookie: 0, name: '' });
  }

  /** Something has happened that the watch asks for. */
  tell(watch: Watch, mask: number, cookie: number, name: string): void {
    this.put({ wd: watch.wd, mask, cookie, name });
    if ((watch.mask & i.IN_ONESHOT) !== 0) this.remove(watch);
  }

  /** Equal events one after the other are one. */
  private put(event: Event): void {
    const last = this.queue[this.queue.length - 1];
    const isSame = last?.wd === event.wd && last.mask === event.mask && last.name === event.name;
    if (isSame && (last.mask & i.IN_IGNORED) === 0) return;
    if (this.queue.length < MOST_QUEUED) this.queue.push(event);
    else if (last !== OVERFLOW) this.queue.push(OVERFLOW);
    else return;
    this.changes.wakeAll(POLLIN | POLLRDNORM);
  }

  read(into: Uint8Array, _position: number, nonblocking: boolean): Io {
    const view = new DataView(into.buffer, into.byteOffset, into.length);
    let used = 0;
    let taken = 0;
    for (const event of this.queue) {
      const size = sizeOf(event);
      if (used + size > into.length) {
        if (taken === 0) throw errno(EINVAL);
        break;
      }
      encode(event, view, used);
      used += size;
      taken++;
    }
    if (taken > 0) {
      this.queue = this.queue.slice(taken);
      return used;
    }
    if (nonblocking) throw errno(EAGAIN);
    return { kind: 'wait', on: this.changes };
  }

  write(): number {
    throw errno(EINVAL);
  }

  poll(): number {
    return this.queue.length > 0 ? POLLIN | POLLRDNORM : 0;
  }

  ioctl(request: number, argument: IoctlArgument): number | undefined {
    if (request !== FIONREAD) return undefined;
    const bytes = new Uint8Array(4);
    const waiting = this.queue.reduce((sum, event) => sum + sizeOf(event), 0);
    new DataView(bytes.buffer).setInt32(0, waiting, true);
    argument.bytesOut(bytes);
    return 0;
  }

  close(): void {
    for (const watch of this.byNumber.values()) this.all.drop(watch);
    this.byNumber.clear();
    this.all.instances--;
  }
}

/** The name has a NUL behind it and fills up to a multiple of the event's own size. */
function sizeOf({ name }: Event): number {
  return i.EVENT_SIZE + (name === '' ? 0 : Math.ceil((name.length + 1) / i.EVENT_SIZE) * i.EVENT_SIZE);
}

function encode(event: Event, view: DataView, at: number): void {
  const size = sizeOf(event);
  view.setInt32(at, event.wd, true);
  view.setUint32(at + 4, event.mask, true);
  view.setUint32(at + 8, event.cookie, true);
  view.setUint32(at + 12, size - i.EVENT_SIZE, true);
  for (let n = i.EVENT_SIZE; n < size; n++) view.setUint8(at + n, event.name.charCodeAt(n - i.EVENT_SIZE) || 0);
}
