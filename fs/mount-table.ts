/** Mounts that guests make and take away: file systems of memory and of the machine, binds of what is there, and their flags. Linux: fs/namespace.c. */
import { EBUSY, EINVAL, ELOOP, ENODEV, ENOTDIR, errno } from '../abi/errno.ts';
import * as m from '../abi/mount.ts';
import { type MemFileSystem, MemVnode } from './memfs.ts';
import type { MountInfo } from './mount-info.ts';
import { OverlayFileSystem, type OverlayOptions } from './overlay.ts';
import { DirectoryPlace, hold, liesBelow, pathOf, release, type Tree } from './path.ts';
import type { Place, Vnode } from './vnode.ts';

export interface MountTableOptions {
  readonly tree: Tree;
  memory(limits?: TmpfsOptions): MemFileSystem;
  readonly openSpecial: OverlayOptions['openSpecial'];
  /** Roots of the machine's own file systems by their type, where there are such. */
  machineRoot(type: string): Vnode | undefined;
}

/** What tmpfs is asked for. */
export interface TmpfsOptions {
  readonly bytes?: number;
  readonly inodes?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly mode?: number;
}

/** Many mounts would make every look at the table slow. */
const MOST_MOUNTS = 4096;

export class MountTable {
  private readonly options: MountTableOptions;
  private count = 0;

  constructor(options: MountTableOptions) {
    this.options = options;
  }

  /** A fresh file system. Throws ENODEV for types there are not, EINVAL for options. */
  add(target: Place, source: string, type: string, flags: number, data: string): void {
    const root = this.rootOf(type, data);
    if (target.vnode.kind !== 'directory') throw errno(ENOTDIR);
    if (isMountRoot(target) && bareOf(target) === root) throw errno(EBUSY);
    this.attach(target, root, { source: source === '' ? 'none' : source, type, flags, root: '/', data, bare: root, isExpiring: false });
  }

  private rootOf(type: string, data: string): Vnode {
    if (type === 'tmpfs' || type === 'ramfs') {
      const wanted = tmpfsOptions(data);
      const { root } = this.options.memory(wanted);
      root.chmod(wanted.mode ?? 0o1777);
      root.chown(wanted.uid ?? 0, wanted.gid ?? 0);
      return root;
    }
    const root = this.options.machineRoot(type);
    if (root === undefined) throw errno(ENODEV);
    return root;
  }

  /** Shows a file or directory once more; `isDeep`: with what is mounted below it. */
  bind(source: Place, target: Place, isDeep: boolean): void {
    const isDirectory = source.vnode.kind === 'directory';
    if (isDirectory !== (target.vnode.kind === 'directory')) throw errno(ENOTDIR);
    const of = mountOf(source);
    const root = pathOf(source, of) ?? '/';
    const known = of.mount;
    const info: MountInfo = {
      source: known?.source ?? '/dev/root',
      type: known?.type ?? '',
      flags: known?.flags ?? 0,
      root,
      data: known?.data ?? '',
      bare: source.vnode,
      isExpiring: false,
    };
    // What is mounted below is gathered first, for the target may lie there too.
    const below = isDeep && source instanceof DirectoryPlace ? submounts(source) : [];
    const place = this.attach(target, source.vnode, info);
    for (const { names, mounted } of below) {
      const at = this.down(place, names.slice(0, -1));
      if (at === undefined) continue;
      const copy = mounted.mount ?? { ...info, root: '/', bare: mounted.vnode };
      this.attachAt(at, names[names.length - 1], mounted.vnode, { ...copy, bare: copy.bare });
    }
  }

  private down(from: DirectoryPlace, names: readonly string[]): DirectoryPlace | undefined {
    let at: Place | undefined = from;
    for (const name of names) at = at instanceof DirectoryPlace ? this.options.tree.child(at, name) : undefined;
    return at instanceof DirectoryPlace ? at : undefined;
  }

  /** Takes a mount to another place. */
  move(source: Place, target: Place): void {
    if (!(source instanceof DirectoryPlace) || !isMountRoot(source) || source.parent === undefined) throw errno(EINVAL);
    if ((source.vnode.kind === 'directory') !== (target.vnode.kind === 'directory')) throw errno(ENOTDIR);
    if (liesBelow(target, source)) throw errno(ELOOP);
    const { at, name } = spotOf(target);
    this.detach(source);
    source.covered = at.mounts.get(name);
    source.parent = at;
    source.name = name;
    at.mounts.set(name, source);
    hold(at);
    this.count++;
  }

  /** New flags; writing through what was opened before goes on. */
  remount(target: Place, flags: number, data: string): void {
    if (!(target instanceof DirectoryPlace) || !isMountRoot(target)) throw errno(EINVAL);
    const { vnode, mount } = target;
    if (mount?.bare instanceof MemVnode && (mount.type === 'tmpfs' || mount.type === 'ramfs')) {
      const { bytes, inodes } = tmpfsOptions(data);
      mount.bare.limit({ ...(bytes !== undefined && { bytes }), ...(inodes !== undefined && { inodes }) });
    }
    const info = mount ?? { source: '/dev/root', type: '', flags: 0, root: '/', data: '', bare: vnode, isExpiring: false };
    target.mount = { ...info, flags };
    this.guard(target);
  }

  /** Keeps changes out of a read-only mount. */
  private guard(place: DirectoryPlace): void {
    const { mount } = place;
    if (mount === undefined) return;
    const { memory, openSpecial, tree } = this.options;
    const isGuarded = place.vnode !== mount.bare;
    const wantsGuard = (mount.flags & m.MS_RDONLY) !== 0;
    if (isGuarded === wantsGuard) return;
    place.vnode = wantsGuard ? new OverlayFileSystem(mount.bare, { memory: memory(), readOnly: true, openSpecial }).root : mount.bare;
    tree.rightsChanged(place);
  }

  /** Throws EINVAL where nothing is mounted, EBUSY where it is in use; `isLazy`: it only leaves the tree. */
  remove(target: Place, isLazy: boolean): void {
    const place = this.removable(target);
    if (!isLazy && isBusy(place)) throw errno(EBUSY);
    this.detach(place);
    place.parent = undefined;
    release(place);
  }

  /** MNT_EXPIRE: marks it, and takes away what was marked before. Returns false where it has been marked only now. */
  expire(target: Place): boolean {
    const place = this.removable(target);
    if (isBusy(place)) throw errno(EBUSY);
    if (place.mount !== undefined && !place.mount.isExpiring) {
      place.mount.isExpiring = true;
      return false;
    }
    this.remove(place, false);
    return true;
  }

  private removable(target: Place): DirectoryPlace {
    if (!(target instanceof DirectoryPlace) || !isMountRoot(target)) throw errno(EINVAL);
    if (target.parent === undefined) throw errno(EBUSY);
    return target;
  }

  private attach(target: Place, root: Vnode, info: MountInfo): DirectoryPlace {
    const { at, name } = spotOf(target);
    return this.attachAt(at, name, root, info);
  }

  private attachAt(at: DirectoryPlace, name: string, root: Vnode, info: MountInfo): DirectoryPlace {
    if (this.count >= MOST_MOUNTS) throw errno(m.TOO_MANY_MOUNTS);
    this.count++;
    const covered = at.mounts.get(name);
    const place = this.options.tree.mount(at, name, root);
    place.covered = covered;
    place.mount = info;
    this.guard(place);
    return place;
  }

  private detach(place: DirectoryPlace): void {
    const { parent, name, covered } = place;
    if (parent === undefined) return;
    if (covered === undefined) parent.mounts.delete(name);
    else parent.mounts.set(name, covered);
    place.covered = undefined;
    release(parent);
    this.count--;
  }
}

/** Where a mount that covers a place hangs. The root of everything is covered by nothing. */
function spotOf(place: Place): { readonly at: DirectoryPlace; readonly name: string } {
  if (!(place.parent instanceof DirectoryPlace)) throw errno(EBUSY);
  return { at: place.parent, name: place.name };
}

export function isMountRoot(place: Place): boolean {
  return place.parent === undefined || (place.parent as DirectoryPlace).mounts?.get(place.name) === place;
}

/** The root of the mount that a place lies in. */
export function mountOf(place: Place): DirectoryPlace {
  let at = place;
  while (at.parent !== undefined && !isMountRoot(at)) at = at.parent;
  return at as DirectoryPlace;
}

/** The MS_ bits of the mount that a place lies in. */
export function mountFlags(place: Place): number {
  return mountOf(place).mount?.flags ?? 0;
}

function bareOf(place: Place): Vnode {
  return (place as DirectoryPlace).mount?.bare ?? place.vnode;
}

interface Submount {
  readonly names: readonly string[];
  readonly mounted: DirectoryPlace;
}

function submounts(from: DirectoryPlace, above: readonly string[] = []): Submount[] {
  const found: Submount[] = [];
  for (const [name, mounted] of from.mounts) {
    const names = [...above, name];
    found.push({ names, mounted }, ...submounts(mounted, names));
  }
  for (const [name, child] of from.children) found.push(...submounts(child, [...above, name]));
  return found;
}

/** Whether anybody stands in it or has something of it open. The mount itself and cached directories count once each. */
function isBusy(place: DirectoryPlace): boolean {
  if (place.mounts.size > 0 || place.uses > 1 + place.children.size) return true;
  const inUse = (child: DirectoryPlace): boolean =>
    child.mounts.size > 0 || child.uses > child.children.size || [...child.children.values()].some(inUse);
  return [...place.children.values()].some(inUse);
}

const UNITS: Readonly<Record<string, number>> = { '': 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3, t: 1024 ** 4 };

/** tmpfs's options. Throws EINVAL. */
function tmpfsOptions(data: string): TmpfsOptions {
  let options: TmpfsOptions = {};
  for (const option of data.split(',')) {
    const [name, value = ''] = option.split('=', 2);
    const size = /^(\d+)([kmgt]?)$/i.exec(value);
    const bytes = size === null ? undefined : Number(size[1]) * UNITS[size[2].toLowerCase()];
    const isOctal = /^[0-7]+$/.test(value);
    const isNumber = /^\d+$/.test(value);
    if (name === '' || name === 'huge' || name === 'inode64' || name === 'inode32' || name === 'mpol') continue;
    if (name === 'size' && /^\d+%$/.test(value)) continue;
    else if (name === 'size' && bytes !== undefined) options = { ...options, bytes };
    else if (name === 'nr_blocks' && bytes !== undefined) options = { ...options, bytes: bytes * 4096 };
    else if (name === 'nr_inodes' && bytes !== undefined) options = { ...options, inodes: bytes === 0 ? undefined : bytes };
    else if (name === 'mode' && isOctal) options = { ...options, mode: Number.parseInt(value, 8) & 0o7777 };
    else if (name === 'uid' && isNumber) options = { ...options, uid: Number(value) };
    else if (name === 'gid' && isNumber) options = { ...options, gid: Number(value) };
    else throw errno(EINVAL);
  }
  return options;
}
