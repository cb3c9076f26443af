/**
 * Who watches which file (inotify), and what system calls tell of their own changes: to watches of the file itself, and by its name to watches of its
 * directory. Costs next to nothing while nobody watches. Changes from outside the machine are not seen.
 */
import * as i from '../abi/inotify.ts';
import { canWrite } from '../abi/fcntl.ts';
import type { Description } from './description.ts';
import type { Place, Vnode } from './vnode.ts';

/** fs.inotify.max_user_watches and max_user_instances. */
const MOST_WATCHES = 65_536;
export const MOST_INSTANCES = 128;

/** Who asked for a watch, and is told. */
export interface Watcher {
  tell(watch: Watch, mask: number, cookie: number, name: string): void;
  remove(watch: Watch): void;
}

export interface Watch {
  readonly owner: Watcher;
  readonly wd: number;
  /** The file's Vnode.key. */
  readonly key: string;
  /** Events it asks for, and how. */
  mask: number;
}

/** A file and where it hangs: descriptions, and the targets of paths. */
interface Subject {
  readonly vnode: Vnode;
  readonly place: Place;
}

/** A name in a directory. */
interface Entry {
  readonly parent: Place;
  readonly name: string;
}

export class Watches {
  /** Inotify instances there are. */
  instances = 0;
  private readonly watches: Map<string, Set<Watch>> = new Map();
  private count = 0;
  /** Descriptions open on each file: the last one's end is the end of a file without a name. */
  private readonly open: Map<string, number> = new Map();
  /** Notices of directories (F_NOTIFY), by who asked. */
  readonly notices: WeakMap<Description, Watcher> = new WeakMap();
  /** How many of them may write. */
  private readonly writing: Map<string, number> = new Map();
  /** Open files that were moved, by where they are now, and those that have no name any more. */
  private readonly moved: Map<string, Place> = new Map();
  private readonly nameless: Set<string> = new Set();
  private cookie = 0;

  get full(): boolean {
    return this.count >= MOST_WATCHES;
  }

  get active(): boolean {
    return this.count > 0;
  }

  add(watch: Watch): void {
    const known = this.watches.get(watch.key);
    if (known === undefined) this.watches.set(watch.key, new Set([watch]));
    else known.add(watch);
    this.count++;
  }

  drop(watch: Watch): void {
    const known = this.watches.get(watch.key);
    if (known?.delete(watch) !== true) return;
    if (known.size === 0) this.watches.delete(watch.key);
    this.count--;
  }

  // ---- What calls tell -----------------------------------------------------------------------------------------------------------------------

  /** A description has been made by an open call; from now on its end is noticed too. */
  opened(description: Description, created: boolean): void {
    const { key } = description.vnode;
    this.open.set(key, (this.open.get(key) ?? 0) + 1);
    if (canWrite(description.flags)) this.writing.set(key, (this.writing.get(key) ?? 0) + 1);
    description.onClose('watches', () => this.closed(description));
    const { parent, name } = description.place;
    if (created && parent !== undefined) this.named(parent.vnode, i.IN_CREATE, name);
    this.happened(description, i.IN_OPEN);
  }

  private closed(description: Description): void {
    const { key } = description.vnode;
    const left = (this.open.get(key) ?? 1) - 1;
    if (canWrite(description.flags)) this.wroteLess(key);
    this.happened(description, canWrite(description.flags) ? i.IN_CLOSE_WRITE : i.IN_CLOSE_NOWRITE);
    if (left > 0) {
      this.open.set(key, left);
      return;
    }
    this.open.delete(key);
    this.moved.delete(key);
    if (this.nameless.delete(key)) this.destroyed(key);
  }

  private wroteLess(key: string): void {
    const writers = (this.writing.get(key) ?? 1) - 1;
    if (writers > 0) this.writing.set(key, writers);
    else this.writing.delete(key);
  }

  /** Who has a file open by open calls. */
  openings(key: string): { readonly all: number; readonly writers: number } {
    return { all: this.open.get(key) ?? 0, writers: this.writing.get(key) ?? 0 };
  }

  /** An event of the file that its directory hears of too. */
  happened({ vnode, place }: Subject, event: number): void {
    if (this.count === 0) return;
    const mask = vnode.kind === 'directory' ? (event | i.IN_ISDIR) >>> 0 : event;
    const { parent, name } = this.moved.get(vnode.key) ?? place;
    if (parent !== undefined) this.tell(parent.vnode.key, mask, name, 0, this.nameless.has(vnode.key));
    this.tell(vnode.key, mask, '', 0);
  }

  /** An entry of a directory has come, or gone. */
  named(directory: Vnode, event: number, name: string, kind: Vnode['kind'] = 'file', cookie = 0): void {
    if (this.count === 0) return;
    this.tell(directory.key, kind === 'directory' ? (event | i.IN_ISDIR) >>> 0 : event, name, cookie);
  }

  linked(directory: Vnode, name: string, vnode: Vnode): void {
    if (this.count === 0) return;
    this.tell(vnode.key, i.IN_ATTRIB, '', 0);
    this.tell(directory.key, i.IN_CREATE, name, 0);
  }

  /** Asked before a name goes: whether the file goes with it. */
  isLastName(vnode: Vnode): boolean {
    return this.count > 0 && (vnode.kind === 'directory' || vnode.stat().nlink <= 1);
  }

  /** A name has been removed. `wasLast` is what `isLastName` said before. */
  removed(directory: Vnode, name: string, vnode: Vnode, wasLast: boolean): void {
    if (this.count === 0) return;
    this.unnamed(vnode, wasLast);
    this.named(directory, i.IN_DELETE, name, vnode.kind);
  }

  /** A file was given another name. `over` had that name before and has lost it. */
  renamed(vnode: Vnode, from: Entry, to: Entry, over: Vnode | undefined, overWasLast: boolean): void {
    if (this.count === 0) return;
    const cookie = ++this.cookie;
    this.named(from.parent.vnode, i.IN_MOVED_FROM, from.name, vnode.kind, cookie);
    this.named(to.parent.vnode, i.IN_MOVED_TO, to.name, vnode.kind, cookie);
    if (this.open.has(vnode.key) && vnode.kind !== 'directory') this.moved.set(vnode.key, { vnode, parent: to.parent, name: to.name });
    if (over !== undefined) this.tell(over.key, i.IN_ATTRIB, '', 0);
    this.tell(vnode.key, i.IN_MOVE_SELF, '', 0);
    if (over !== undefined) this.unnamed(over, overWasLast, true);
  }

  private unnamed(vnode: Vnode, wasLast: boolean, told = false): void {
    if (!told && vnode.kind !== 'directory') this.tell(vnode.key, i.IN_ATTRIB, '', 0);
    if (!wasLast) return;
    if (this.open.has(vnode.key)) this.nameless.add(vnode.key);
    else this.destroyed(vnode.key);
  }

  private destroyed(key: string): void {
    this.tell(key, i.IN_DELETE_SELF, '', 0);
    for (const watch of [...(this.watches.get(key) ?? [])]) watch.owner.remove(watch);
  }

  private tell(key: string, mask: number, name: string, cookie: number, nameless = false): void {
    const known = this.watches.get(key);
    if (known === undefined) return;
    for (const watch of [...known]) {
      if ((watch.mask & mask & i.IN_ALL_EVENTS) === 0) continue;
      if (nameless && (watch.mask & i.IN_EXCL_UNLINK) !== 0) continue;
      watch.owner.tell(watch, mask, cookie, name);
    }
  }
}
