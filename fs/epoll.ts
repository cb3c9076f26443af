/** epoll: a set of descriptions with the events asked of each. Files tell it when they change, so a wait costs what is ready, not what is watched. */
import { EEXIST, EINVAL, ELOOP, ENOENT, EPERM, errno } from '../abi/errno.ts';
import { POLLERR, POLLHUP, POLLIN, POLLRDNORM } from '../abi/poll.ts';
import type { Waitable } from '../mm/outcome.ts';
import { deviceMajor, deviceMinor } from '../abi/stat.ts';
import type { Description } from './description.ts';
import type { OpenFile, Vnode } from './vnode.ts';
import { Waiters } from './wait.ts';

export const EPOLLEXCLUSIVE = 0x1000_0000,
  EPOLLWAKEUP = 0x2000_0000,
  EPOLLONESHOT = 0x4000_0000,
  EPOLLET = 0x8000_0000;
/** Bits that say how, not what. */
const MODES = EPOLLEXCLUSIVE | EPOLLWAKEUP | EPOLLONESHOT | EPOLLET;
/** What may be asked for together with EPOLLEXCLUSIVE: EPOLLIN, OUT, ERR, HUP, WAKEUP and ET. */
const EXCLUSIVE_OK = EPOLLEXCLUSIVE | EPOLLWAKEUP | EPOLLET | 1 | 4 | POLLERR | POLLHUP;
/** How deep epolls may watch epolls. */
const MAX_NESTS = 5;

export interface EpollEvent {
  readonly events: number;
  /** The user's 64 bits, as two words. */
  readonly low: number;
  readonly high: number;
}

interface Item {
  readonly fd: number;
  readonly description: Description;
  /** What tells of changes: kept, as a signalfd answers with the signals of whoever asks. */
  readonly changes: Waitable;
  event: EpollEvent;
  cancel: () => void;
}

export class EpollFile implements OpenFile {
  readonly vnode: Vnode;
  readonly seekable = false;
  readonly stays = true;
  readonly noRead = true;
  readonly noWrite = true;
  readonly label: string = 'anon_inode:[eventpoll]';
  readonly changes: Waiters = new Waiters();
  /** What is watched, by descriptor number and description: Linux's key as well. */
  private readonly items: Map<Description, Map<number, Item>> = new Map();
  /** Items of which something has been heard since they were last found not ready, in that order. */
  private readonly ready: Set<Item> = new Set();

  constructor(vnode: Vnode) {
    this.vnode = vnode;
  }

  add(fd: number, description: Description, event: EpollEvent): void {
    const { file } = description;
    const { changes } = file;
    if (changes === undefined) throw errno(EPERM);
    if ((event.events & EPOLLEXCLUSIVE) !== 0) {
      if ((event.events & ~EXCLUSIVE_OK) !== 0 || file instanceof EpollFile) throw errno(EINVAL);
    }
    if (file instanceof EpollFile && (file.watches(this) || file.depth() + 1 >= MAX_NESTS)) throw errno(ELOOP);
    const known = this.items.get(description);
    if (known?.has(fd)) throw errno(EEXIST);
    const item: Item = { fd, description, changes, event: always(event), cancel: () => {} };
    if (known === undefined) this.items.set(description, new Map([[fd, item]]));
    else known.set(fd, item);
    description.onClose(`epoll ${this.vnode.key}`, () => this.forgetAll(description));
    this.listen(item);
    this.look(item);
  }

  /** What was put in under a number; of several (one put in, closed, another one put in) the one at `index`. */
  watched(fd: number, index: number): Description | undefined {
    return [...this.items].filter(([, byNumber]) => byNumber.has(fd))[index]?.[0];
  }

  modify(fd: number, description: Description, event: EpollEvent): void {
    if ((event.events & EPOLLEXCLUSIVE) !== 0) throw errno(EINVAL);
    const item = this.find(fd, description);
    if ((item.event.events & EPOLLEXCLUSIVE) !== 0) throw errno(EINVAL);
    item.event = always(event);
    this.look(item);
  }

  remove(fd: number, description: Description): void {
    this.drop(this.find(fd, description));
  }

  /** Up to `most` events. Level-triggered items stay among the ready and go to the end of their row. */
  take(most: number): EpollEvent[] {
    const found: EpollEvent[] = [];
    for (const item of [...this.ready]) {
      if (found.length >= most) break;
      this.ready.delete(item);
      const { events, low, high } = item.event;
      const now = this.holding(item);
      if (now === 0) continue;
      found.push({ events: now, low, high });
      if ((events & EPOLLONESHOT) !== 0) item.event = { events: events & MODES, low, high };
      else if ((events & EPOLLET) === 0) this.ready.add(item);
    }
    return found;
  }

  read(): number {
    throw errno(EINVAL);
  }

  write(): number {
    throw errno(EINVAL);
  }

  /** None but its own are known, which ask for how to wait and which Linux answers so only since 6.9. */
  ioctl(): number {
    throw errno(EINVAL);
  }

  poll(): number {
    for (const item of this.ready) {
      if (this.holding(item) !== 0) return POLLIN | POLLRDNORM;
      this.ready.delete(item);
    }
    return 0;
  }

  info(): string {
    return [...this.items]
      .flatMap(([description, watched]) => [...watched.values()].map((item) => ({ item, description })))
      .sort((a, b) => a.item.fd - b.item.fd)
      .map(({ item: { fd, event }, description: { vnode, position } }) => {
        const { ino, dev } = vnode.stat();
        const data = ((BigInt(event.high) << 32n) | BigInt(event.low)).toString(16).padStart(16);
        const events = event.events.toString(16).padStart(8);
        // sdev is the kernel's own form of a device number: twelve bits of major, twenty of minor.
        const device = ((deviceMajor(dev) << 20) | deviceMinor(dev)) >>> 0;
        return `tfd: ${String(fd).padStart(8)} events: ${events} data: ${data}  pos:${position} ino:${ino.toString(16)} sdev:${device.toString(16)}\n`;
      })
      .join('');
  }

  close(): void {
    for (const watched of [...this.items.values()]) for (const item of [...watched.values()]) this.drop(item);
  }

  private find(fd: number, description: Description): Item {
    const item = this.items.get(description)?.get(fd);
    if (item === undefined) throw errno(ENOENT);
    return item;
  }

  /** The asked-for events that hold now; none while a oneshot is spent. */
  private holding(item: Item): number {
    const wanted = item.event.events & ~MODES;
    return wanted === 0 ? 0 : item.description.file.poll() & wanted;
  }

  private listen(item: Item): void {
    item.cancel = item.changes.subscribe((events) => this.heard(item, events));
  }

  /** The file has changed: an edge, where it is about what was asked for. */
  private heard(item: Item, events: number | undefined): void {
    this.listen(item);
    const wanted = item.event.events & ~MODES;
    if (wanted === 0 || (events !== undefined && (events & wanted) === 0)) return;
    // Whether it still holds is seen when somebody asks: that may be another task than the one that brought it about (signalfd).
    if (this.ready.has(item) || events !== undefined) {
      this.ready.add(item);
      this.changes.wakeAll(POLLIN | POLLRDNORM);
      return;
    }
    this.look(item);
  }

  private look(item: Item): void {
    if (this.holding(item) === 0) return;
    this.ready.add(item);
    this.changes.wakeAll(POLLIN | POLLRDNORM);
  }

  private drop(item: Item): void {
    item.cancel();
    this.ready.delete(item);
    const known = this.items.get(item.description);
    known?.delete(item.fd);
    if (known?.size === 0) this.items.delete(item.description);
  }

  private forgetAll(description: Description): void {
    for (const item of [...(this.items.get(description)?.values() ?? [])]) this.drop(item);
  }

  private *nested(): Generator<EpollFile> {
    for (const description of this.items.keys()) if (description.file instanceof EpollFile) yield description.file;
  }

  private watches(other: EpollFile): boolean {
    if (other === this) return true;
    for (const inner of this.nested()) if (inner.watches(other)) return true;
    return false;
  }

  private depth(): number {
    let depth = 0;
    for (const inner of this.nested()) depth = Math.max(depth, inner.depth() + 1);
    return depth;
  }
}

/** Errors and hang-ups are told unasked, unless a oneshot is spent. */
function always({ events, low, high }: EpollEvent): EpollEvent {
  return { events: (events | POLLERR | POLLHUP) >>> 0, low, high };
}
