/** What is mounted where, from the tree itself: /proc/PID/mounts, mountinfo and mountstats. */
import * as magic from '../../abi/magic.ts';
import { MS_NOATIME, MS_NODEV, MS_NODIRATIME, MS_NOEXEC, MS_NOSUID, MS_RDONLY } from '../../abi/mount.ts';
import { deviceMajor, deviceMinor } from '../../abi/stat.ts';
import { type DirectoryPlace, pathOf, type Tree } from '../../fs/path.ts';
import type { Task } from '../../proc/task.ts';

interface MountEntry {
  readonly id: number;
  readonly parent: number;
  readonly place: DirectoryPlace;
  readonly type: string;
  readonly source: string;
  readonly options: string;
  readonly superOptions: string;
  /** What of its file system is shown. */
  readonly root: string;
}

/** statfs's f_type by name. */
const TYPES: Readonly<Record<number, string>> = {
  [magic.PROC_SUPER_MAGIC]: 'proc',
  [magic.TMPFS_MAGIC]: 'tmpfs',
  [magic.DEVPTS_SUPER_MAGIC]: 'devpts',
  0x794c7630: 'overlay',
  [magic.SYSFS_MAGIC]: 'sysfs',
  [magic.MQUEUE_MAGIC]: 'mqueue',
  0x58465342: 'xfs',
  0x9123683e: 'btrfs',
  0xef53: 'ext4',
};
const ST_RDONLY = 1;

const OPTIONS = [
  [MS_NOSUID, 'nosuid'],
  [MS_NODEV, 'nodev'],
  [MS_NOEXEC, 'noexec'],
  [MS_NOATIME, 'noatime'],
  [MS_NODIRATIME, 'nodiratime'],
] as const;

/** In Linux's order. */
function optionsText(flags: number): string {
  const words: string[] = OPTIONS.filter(([bit]) => (flags & bit) !== 0).map(([, word]) => word);
  if ((flags & MS_NOATIME) === 0) words.push('relatime');
  return [(flags & MS_RDONLY) !== 0 ? 'ro' : 'rw', ...words].join(',');
}

/** The root first, every mount behind the one it is in. */
export function mountsOf(tree: Tree): MountEntry[] {
  const entries: MountEntry[] = [];
  const add = (place: DirectoryPlace, parent: number): void => {
    const id = place.mountId;
    const { type, flags } = place.vnode.statfs();
    const { mount } = place;
    const name = mount?.type || (TYPES[type] ?? 'ext4');
    const source = mount?.source ?? (['ext4', 'xfs', 'btrfs'].includes(name) ? '/dev/root' : name);
    const readOnly = (flags & ST_RDONLY) !== 0 ? MS_RDONLY : 0;
    const options = optionsText((mount?.flags ?? 0) | readOnly);
    const data = mount?.data ? `,${mount.data}` : '';
    entries.push({
      id,
      parent,
      place,
      type: name,
      source,
      options,
      superOptions: `${readOnly ? 'ro' : 'rw'}${data}`,
      root: mount?.root ?? '/',
    });
    below(place, id);
  };
  const below = (place: DirectoryPlace, id: number): void => {
    for (const mounted of place.mounts.values()) add(mounted, id);
    for (const child of place.children.values()) below(child, id);
  };
  add(tree.root, 1);
  return entries;
}

/** With the path as the task sees it; what lies outside of its root it does not see. */
function seen(task: Task): (MountEntry & { readonly path: string })[] {
  return mountsOf(task.fs.tree).flatMap((entry) => {
    const path = pathOf(entry.place, task.fs.root);
    return path === undefined ? [] : [{ ...entry, path: escaped(path) }];
  });
}

export function mountsText(task: Task): string {
  return seen(task)
    .map(({ source, path, type, options, superOptions }) => `${escaped(source)} ${path} ${type} ${options}${superOptions.slice(2)} 0 0\n`)
    .join('');
}

export function mountinfoText(task: Task): string {
  return seen(task)
    .map(({ id, parent, place, path, options, superOptions, root, type, source }) => {
      const { dev } = place.vnode.stat();
      return `${id} ${parent} ${deviceMajor(dev)}:${deviceMinor(dev)} ${escaped(root)} ${path} ${options} - ${type} ${escaped(source)} ${superOptions}\n`;
    })
    .join('');
}

export function mountstatsText(task: Task): string {
  return seen(task)
    .map(({ source, path, type }) => `device ${source} mounted on ${path} with fstype ${type}\n`)
    .join('');
}

/** Linux mangle: blanks, tabs, newlines and backslashes as octal. */
function escaped(path: string): string {
  return path.replace(/[ \t\n\\]/g, (c) => `\\${c.charCodeAt(0).toString(8).padStart(3, '0')}`);
}
