/** What a machine's tree is made of besides its root: host directories or files, and memory, each shown somewhere. */
import { EINVAL, ENOENT, ENOTDIR, Errno, errno, errnoName } from '../abi/errno.ts';
import type { HostFileSystem } from './host-tree.ts';
import * as host from './hostfs.ts';
import type { MemFileSystem } from './memfs.ts';
import { OverlayFileSystem, type OverlayOptions } from './overlay.ts';
import type { DirectoryPlace, Tree } from './path.ts';
import type { Vnode } from './vnode.ts';

export interface Mount {
  /** A directory or file of the host, or `tmpfs`: an empty directory in memory. */
  readonly source: string;
  /** The guest's name for it. */
  readonly target: string;
  /** Changes go through, are refused, or stay in memory. Of no meaning for `tmpfs`. */
  readonly mode: 'rw' | 'ro' | 'overlay';
}

/** A mount that cannot be made; the message is for people. */
export class MountError extends Error {
  override name = 'MountError';
}

/** `HOST:GUEST[:ro|rw|overlay]`, `tmpfs:GUEST`. Undefined: it is none. */
export function parseMount(text: string): Mount | undefined {
  const match = /^(.+?):(\/[^:]*)(?::(ro|rw|overlay))?$/.exec(text);
  if (match === null) return undefined;
  return { source: match[1], target: match[2], mode: (match[3] as Mount['mode'] | undefined) ?? 'rw' };
}

export interface MountTools {
  readonly tree: Tree;
  readonly host: HostFileSystem;
  memory(): MemFileSystem;
  readonly openSpecial: OverlayOptions['openSpecial'];
}

/** Returns the overlay, where it is one. */
export function mount(tools: MountTools, { source, target, mode }: Mount): OverlayFileSystem | undefined {
  try {
    const vnode = sourceOf(tools, source);
    const layered =
      mode === 'rw' || source === 'tmpfs'
        ? undefined
        : new OverlayFileSystem(vnode, { memory: tools.memory(), readOnly: mode === 'ro', openSpecial: tools.openSpecial });
    const { tree } = tools;
    const walked = tree.walk({ root: tree.root, cwd: tree.root }, target);
    if (walked.name === '' || walked.name === '.' || walked.name === '..') throw errno(EINVAL);
    tree.mount(walked.parent as DirectoryPlace, walked.name, layered?.root ?? vnode);
    return mode === 'overlay' ? layered : undefined;
  } catch (error) {
    if (!(error instanceof Errno)) throw error;
    throw new MountError(`cannot mount ${source} on ${target}: ${errnoName(error.code)}`);
  }
}

function sourceOf({ host: files, memory }: MountTools, source: string): Vnode {
  if (source === 'tmpfs') {
    const { root } = memory();
    root.chmod(0o1777);
    return root;
  }
  const real = host.realpath(source);
  const stat = host.lstat(real);
  if (stat === undefined) throw errno(ENOENT);
  if (real === '/') return files.top(real);
  const cut = real.lastIndexOf('/');
  const found = files.top(real.slice(0, cut) || '/').lookup(real.slice(cut + 1));
  if (found === undefined) throw errno(ENOENT);
  if (found.kind !== 'directory' && found.kind !== 'file') throw errno(ENOTDIR);
  return found.kind === 'directory' ? files.top(real) : found;
}
