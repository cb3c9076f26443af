/**
 * The guest's path walk, done by us one component at a time: `..` never passes the root, symbolic links (absolute ones start at the
 * root again) are read and followed here, so the host kernel is only ever asked about single names in directories that were checked.
 */
import { EACCES, EEXIST, EINVAL, ELOOP, ENAMETOOLONG, ENOENT, ENOTDIR, errno, EXDEV } from '../abi/errno.ts';
import {
  MAX_SYMLINKS,
  NAME_MAX,
  PATH_MAX,
  RESOLVE_BENEATH,
  RESOLVE_IN_ROOT,
  RESOLVE_NO_MAGICLINKS,
  RESOLVE_NO_SYMLINKS,
  RESOLVE_NO_XDEV,
  X_OK,
} from '../abi/fcntl.ts';
import type { MountInfo } from './mount-info.ts';
import { isUnbound, mayFollow, permits, type Rights } from './permission.ts';
import type { Place, Vnode } from './vnode.ts';

/** Directories kept for reuse; those in use (a cwd, an open one, an ancestor of either) are never dropped. */
const CACHED_DIRECTORIES = 2048;

/** A directory of the tree. Others than directories get a plain Place for the one walk that found them. */
export class DirectoryPlace implements Place {
  /** Another one only where a mount begins or ceases to be read-only. */
  vnode: Vnode;
  parent: DirectoryPlace | undefined;
  name: string;
  /** Cached directories below, cwds, open descriptions: while any is left the place stays in the cache. */
  uses = 0;
  readonly children: Map<string, DirectoryPlace> = new Map();
  /** File systems mounted here, by name; seen whatever the directory itself holds. */
  readonly mounts: Map<string, DirectoryPlace> = new Map();
  /** Of a mount's root: what the guest asked for; and the mount that it covers. */
  mount: MountInfo | undefined;
  /** Of a mount's root: its number in mountinfo; 0 for all others. */
  mountId = 0;
  covered: DirectoryPlace | undefined;
  /** Files that are seen where the directory itself has none of that name (our device nodes). */
  readonly fallbacks: Map<string, Vnode> = new Map();

  constructor(vnode: Vnode, parent: DirectoryPlace | undefined, name: string) {
    this.vnode = vnode;
    this.parent = parent;
    this.name = name;
  }
}

interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/** Where a task's walks start. */
export interface WalkContext {
  readonly root: DirectoryPlace;
  readonly cwd: DirectoryPlace;
  /** Who walks; absent: the machine itself, which may go everywhere. */
  readonly rights?: Rights;
}

export interface WalkOptions {
  /** Start of a relative path; default the cwd. */
  readonly from?: Place;
  /** Whether a symbolic link at the end is followed. Default true; a trailing slash follows in any case. */
  readonly follow?: boolean;
  /** The last component is a name to be made, removed or renamed: it is never followed, not even before a slash, and may be no directory there. */
  readonly entry?: boolean;
  /** An empty path names `from` itself (AT_EMPTY_PATH). */
  readonly emptyPath?: boolean;
  /** openat2's RESOLVE_ bits. */
  readonly resolve?: number;
}

/** The end of a walk whose last component may not exist. */
export interface Walked {
  readonly parent: DirectoryPlace;
  /** The last component as written: a name, `.` or `..`; '' where the path is only slashes. */
  readonly name: string;
  /** Undefined where nothing of that name exists. */
  readonly place: Place | undefined;
  /** The path ended in a slash: it must be (or become) a directory. */
  readonly slash: boolean;
}

/** The number of the mount that a place lies in; 0 for files without a place. */
export function mountIdOf(place: Place): number {
  for (let at: Place | undefined = place; at !== undefined; at = at.parent)
    if (at instanceof DirectoryPlace && at.mountId !== 0) return at.mountId;
  return 0;
}

/** Linux numbers mounts from somewhere above 0. */
const FIRST_MOUNT_ID = 20;

/** The tree of all mounted file systems. */
export class Tree {
  readonly root: DirectoryPlace;
  private readonly cached: Set<DirectoryPlace> = new Set();
  private lastMountId = FIRST_MOUNT_ID;

  private readonly onWalk: () => void;
  private readonly owner: Owner;

  /** `onWalk` runs before each walk: what was learnt by the last one may be old now. `owner` is who the machine is for its host. */
  constructor(root: Vnode, onWalk: () => void = () => {}, owner: Owner = { uid: 0, gid: 0 }) {
    this.owner = owner;
    this.root = new DirectoryPlace(root, undefined, '');
    this.root.uses = 1;
    this.root.mountId = FIRST_MOUNT_ID;
    this.onWalk = onWalk;
  }

  /** Shows `vnode` (a directory) as `name` in `at`, whatever is there. */
  mount(at: DirectoryPlace, name: string, vnode: Vnode): DirectoryPlace {
    const place = new DirectoryPlace(vnode, at, name);
    place.uses = 1;
    place.mountId = ++this.lastMountId;
    hold(at);
    at.mounts.set(name, place);
    return place;
  }

  /** Throws EACCES where the mode bits and capabilities forbid `mask` (R_OK, W_OK, X_OK). */
  require(rights: Rights | undefined, vnode: Vnode, mask: number): void {
    if (rights === undefined || mask === 0) return;
    if (vnode.judges === 'caller') return vnode.access(mask);
    if (isUnbound(rights, vnode.kind === 'directory', mask) || (vnode.judges === 'host' && this.isHosts(rights))) return;
    if (!permits(rights, vnode.stat(), mask)) throw errno(EACCES);
  }

  /** Whether the host's own checks of us are those of whoever asks. */
  isHosts({ fsuid, fsgid }: Rights): boolean {
    return this.owner.uid !== 0 && fsuid === this.owner.uid && fsgid === this.owner.gid;
  }

  /** Whether new files belong to whoever asks without further ado. */
  makesOwn({ fsuid, fsgid }: Rights): boolean {
    return fsuid === this.owner.uid && fsgid === this.owner.gid;
  }

  /** The file at `path`; throws ENOENT and the other errors of path_resolution(7). */
  resolve(context: WalkContext, path: string, options: WalkOptions = {}): Place {
    const walked = this.walk(context, path, options);
    if (walked.place === undefined) throw errno(ENOENT);
    return walked.place;
  }

  /** As `resolve`, but a last component that does not exist is not an error. */
  walk(context: WalkContext, path: string, options: WalkOptions = {}): Walked {
    this.onWalk();
    return new Walk(this, context, options).run(path);
  }

  /** The entry `name` of a directory; never '.' or '..'. */
  child(at: DirectoryPlace, name: string): Place | undefined {
    const mounted = at.mounts.get(name);
    if (mounted !== undefined) return mounted;
    const known = at.children.get(name);
    const vnode = directoryOf(at).lookup(name, known?.vnode) ?? at.fallbacks.get(name);
    if (vnode === undefined) {
      if (known !== undefined) this.forget(known);
      return undefined;
    }
    if (vnode.kind !== 'directory') return { vnode, parent: at, name };
    if (known !== undefined) {
      if (known.vnode === vnode) {
        this.used(known);
        return known;
      }
      this.forget(known);
    }
    return this.remember(new DirectoryPlace(vnode, at, name));
  }

  /**
   * Goes down through directories known from before as far as the names lead, and takes those names off `names`; the last name stays. One question to the
   * file system tells that all of them are still where they were, so a deep path costs no more than a short one.
   */
  descend(from: DirectoryPlace, names: string[]): DirectoryPlace {
    let at = from;
    let depth = 0;
    for (; depth < names.length - 1; depth++) {
      const next = at.children.get(names[depth]);
      if (next === undefined || at.mounts.has(names[depth])) break;
      at = next;
    }
    if (depth < 2 || at.vnode.directory?.isWhereItWas?.() !== true) return from;
    names.splice(0, depth);
    this.used(at);
    return at;
  }

  private used(place: DirectoryPlace): void {
    this.cached.delete(place);
    this.cached.add(place);
  }

  /** The directory's rights have changed: what is known below it must be looked up anew. */
  rightsChanged(place: Place): void {
    if (!(place instanceof DirectoryPlace)) return;
    for (const child of [...place.children.values()]) this.forget(child);
  }

  /** Whether a directory still has its name: a removed one has no path. */
  exists(place: DirectoryPlace): boolean {
    return place.parent === undefined || this.child(place.parent, place.name)?.vnode.key === place.vnode.key;
  }

  /** Tells the cache that the guest moved (or exchanged) what `from` called `name`. */
  renamed(from: DirectoryPlace, name: string, to: DirectoryPlace, toName: string, exchange: boolean): void {
    const moved = from.children.get(name);
    const replaced = to.children.get(toName);
    if (replaced !== undefined) this.detach(replaced);
    if (moved !== undefined) this.attach(moved, to, toName);
    if (exchange && replaced !== undefined) this.attach(replaced, from, name);
    else if (replaced !== undefined) this.cached.delete(replaced);
  }

  /** Tells the cache that the guest removed a directory. */
  removed(from: DirectoryPlace, name: string): void {
    const gone = from.children.get(name);
    if (gone !== undefined) this.forget(gone);
  }

  private remember(place: DirectoryPlace): DirectoryPlace {
    if (this.cached.size >= CACHED_DIRECTORIES) this.evict();
    this.cached.add(place);
    const parent = place.parent as DirectoryPlace;
    parent.children.set(place.name, place);
    parent.uses++;
    return place;
  }

  /** Drops the least recently used quarter of what nobody uses. */
  private evict(): void {
    let room = CACHED_DIRECTORIES / 4;
    for (const place of this.cached) {
      if (room === 0) break;
      if (place.uses > 0) continue;
      this.forget(place);
      room--;
    }
  }

  private forget(place: DirectoryPlace): void {
    this.detach(place);
    this.cached.delete(place);
  }

  private detach(place: DirectoryPlace): void {
    const parent = place.parent;
    if (parent === undefined || parent.children.get(place.name) !== place) return;
    parent.children.delete(place.name);
    parent.uses--;
  }

  private attach(place: DirectoryPlace, parent: DirectoryPlace, name: string): void {
    this.detach(place);
    place.parent = parent;
    place.name = name;
    parent.children.set(name, place);
    parent.uses++;
    place.vnode.directory?.moved?.(parent.vnode, name);
  }
}

/** One walk: what is still to be done, and how many links were passed. */
class Walk {
  private readonly tree: Tree;
  private readonly context: WalkContext;
  private readonly options: WalkOptions;
  private readonly resolve: number;
  private root: DirectoryPlace;
  private links = 0;

  constructor(tree: Tree, context: WalkContext, options: WalkOptions) {
    this.tree = tree;
    this.context = context;
    this.options = options;
    this.resolve = options.resolve ?? 0;
    this.root = context.root;
  }

  run(path: string): Walked {
    if (path.length >= PATH_MAX) throw errno(ENAMETOOLONG);
    const start = this.options.from ?? this.context.cwd;
    if (this.resolve & RESOLVE_IN_ROOT) this.root = directory(start);
    if (path === '') {
      if (!this.options.emptyPath) throw errno(ENOENT);
      return { parent: parentOf(start), name: '', place: start, slash: false };
    }
    return this.components(this.start(path, start), path);
  }

  /** Where a path begins: the root for an absolute one. */
  private start(path: string, relativeTo: Place): DirectoryPlace {
    if (path.charCodeAt(0) !== SLASH) return directory(relativeTo);
    if (this.resolve & RESOLVE_BENEATH) throw errno(EXDEV);
    return this.root;
  }

  private components(start: DirectoryPlace, path: string): Walked {
    let at = start;
    let rest = split(path);
    let slash = path.endsWith('/');
    const beneath = this.resolve & RESOLVE_BENEATH ? start : undefined;
    const leaps = this.resolve === 0 && this.isTrusted;
    if (leaps) at = this.tree.descend(at, rest);
    for (;;) {
      const name = rest.shift();
      if (name === undefined) return { parent: at, name: '', place: at, slash };
      const last = rest.length === 0;
      const next = this.step(at, name, beneath);
      if (next !== undefined && next.vnode.kind === 'symlink' && (!last || this.followsLast(slash))) {
        const target = this.link(next, last);
        if (typeof target !== 'string') {
          if (last) return { parent: at, name, place: slash ? directory(target) : target, slash };
          at = directory(target);
          continue;
        }
        // A dangling link at the end of a path with O_CREAT makes the file it points to: the walk simply goes on there.
        at = this.start(target, at);
        rest = [...split(target), ...rest];
        if (leaps) at = this.tree.descend(at, rest);
        if (last && target.endsWith('/')) slash = true;
        continue;
      }
      if (last) {
        if (slash && !this.options.entry && next !== undefined && next.vnode.kind !== 'directory') throw errno(ENOTDIR);
        return { parent: at, name, place: next, slash };
      }
      if (next === undefined) throw errno(ENOENT);
      at = directory(next);
    }
  }

  /** Whether no directory on the way needs to be looked at for the walker's rights. */
  private get isTrusted(): boolean {
    const { rights } = this.context;
    return rights === undefined || isUnbound(rights, true, X_OK) || this.tree.isHosts(rights);
  }

  private followsLast(slash: boolean): boolean {
    return !this.options.entry && (slash || this.options.follow !== false);
  }

  private step(at: DirectoryPlace, name: string, beneath: DirectoryPlace | undefined): Place | undefined {
    this.tree.require(this.context.rights, at.vnode, X_OK);
    if (name === '.') return at;
    if (name === '..') {
      if (at === beneath) throw errno(EXDEV);
      if (at === this.root || at.parent === undefined) return at;
      this.crossing(at, at.parent);
      return at.parent;
    }
    if (name.length > NAME_MAX) throw errno(ENAMETOOLONG);
    const next = this.tree.child(at, name);
    if (next !== undefined) this.crossing(at, next);
    return next;
  }

  private crossing(from: Place, to: Place): void {
    if (this.resolve & RESOLVE_NO_XDEV && device(from) !== device(to)) throw errno(EXDEV);
  }

  /** The text of a link to be followed, or the place a magic one jumps to. */
  private link(place: Place, last: boolean): string | Place {
    if (this.resolve & RESOLVE_NO_SYMLINKS) throw errno(ELOOP);
    if (++this.links > MAX_SYMLINKS) throw errno(ELOOP);
    const { rights } = this.context;
    if (last && rights !== undefined && !mayFollow(rights, () => parentOf(place).vnode.stat(), place.vnode.stat())) throw errno(EACCES);
    const jump = place.vnode.follow?.();
    if (jump !== undefined) {
      if (this.resolve & RESOLVE_NO_MAGICLINKS) throw errno(ELOOP);
      if (this.resolve & (RESOLVE_BENEATH | RESOLVE_IN_ROOT)) throw errno(EXDEV);
      return jump;
    }
    const target = place.vnode.readlink();
    if (target === '') throw errno(ENOENT);
    if (target.length >= PATH_MAX) throw errno(ENAMETOOLONG);
    return target;
  }
}

const SLASH = 0x2f;

function split(path: string): string[] {
  return path.split('/').filter((part) => part !== '');
}

function device(place: Place): string {
  return place.vnode.key.split(':', 1)[0];
}

function directory(place: Place): DirectoryPlace {
  if (place.vnode.kind !== 'directory') throw errno(ENOTDIR);
  return place as DirectoryPlace;
}

function directoryOf(place: DirectoryPlace) {
  const found = place.vnode.directory;
  if (found === undefined) throw errno(ENOTDIR);
  return found;
}

function parentOf(place: Place): DirectoryPlace {
  return (place.parent ?? place) as DirectoryPlace;
}

/** Keeps a place (and so its ancestors) in the cache; undone by `release`. */
export function hold(place: Place): void {
  if (place instanceof DirectoryPlace) place.uses++;
  else if (place.parent instanceof DirectoryPlace) place.parent.uses++;
}

export function release(place: Place): void {
  if (place instanceof DirectoryPlace) place.uses--;
  else if (place.parent instanceof DirectoryPlace) place.parent.uses--;
}

/** The last component as a new name in a directory: what mkdir, symlink, link and rename need. */
export function newName(walked: Walked, mayEndInSlash: boolean): string {
  if (walked.place !== undefined || walked.name === '' || walked.name === '.' || walked.name === '..') throw errno(EEXIST);
  if (walked.slash && !mayEndInSlash) throw errno(ENOENT);
  return walked.name;
}

/** The absolute path of a place below `root`; undefined where it does not lie below it. */
export function pathOf(place: Place, root: Place): string | undefined {
  const names: string[] = [];
  let at: Place | undefined = place;
  while (at !== undefined && at !== root) {
    names.push(at.name);
    at = at.parent;
  }
  if (at === undefined) return undefined;
  return `/${names.reverse().join('/')}`;
}

/** The path from the top of the tree. */
export function pathFromTop(place: Place): string {
  let top = place;
  while (top.parent !== undefined) top = top.parent;
  return pathOf(place, top) ?? '';
}

/** Whether `above` is `place` or one of its ancestors: such a directory cannot be moved below itself. */
export function liesBelow(place: Place, above: Place): boolean {
  for (let at: Place | undefined = place; at !== undefined; at = at.parent) if (at === above) return true;
  return false;
}

/** openat2 refuses what it does not know. */
export function checkResolve(resolve: number): void {
  if ((resolve & ~0x3f) !== 0 || (resolve & RESOLVE_BENEATH && resolve & RESOLVE_IN_ROOT)) throw errno(EINVAL);
}
