/** Extended attributes: node reaches none, so no file has any. */
import { ENODATA, EOPNOTSUPP, EPERM, ERANGE, errno } from '../abi/errno.ts';
import * as f from '../abi/fcntl.ts';
import type { Vnode } from '../fs/vnode.ts';
import type { Task } from '../proc/task.ts';
import { define } from './define.ts';
import { bytesIn, bytesOut, count, type Fd, fd, int, type In, none, path, size, string } from './kinds.ts';
import { AT_FDCWD, openAt, placeAt } from './paths.ts';

/** Node reaches no extended attributes: files have none, and none can be set. */
const XATTR = { partial: 'no file has any: reading answers ENODATA, setting EOPNOTSUPP' };
const XATTR_NAME_MAX = 255;

/** How each family finds its file. */
const XATTR_FORMS = [
  ['', path, (task: Task, name: string) => placeAt(task, AT_FDCWD, name).vnode],
  ['l', path, (task: Task, name: string) => placeAt(task, AT_FDCWD, name, { flags: f.AT_SYMLINK_NOFOLLOW }).vnode],
] as const;

function attributeName(task: Task, name: In<string>): string {
  const text = task.user.cstring(name, XATTR_NAME_MAX + 1, ERANGE);
  if (text === '') throw errno(ERANGE);
  if (!/^(user|trusted|security|system)\./.test(text)) throw errno(EOPNOTSUPP);
  return text;
}

/** user. attributes belong to files and directories only (xattr_permission). */
function readAttribute(task: Task, find: () => Vnode, at: In<string>): number {
  const name = attributeName(task, at);
  const vnode = find();
  if (name.startsWith('trusted.') && task.credentials.euid !== 0) throw errno(ENODATA);
  if (name.startsWith('user.') && vnode.kind !== 'file' && vnode.kind !== 'directory') throw errno(ENODATA);
  if (name.startsWith('system.') && !/^system\.posix_acl_(access|default)$/.test(name)) throw errno(EOPNOTSUPP);
  throw errno(ENODATA);
}

function writeAttribute(task: Task, find: () => Vnode, at: In<string>): void {
  const name = attributeName(task, at);
  const vnode = find();
  if (name.startsWith('user.') && vnode.kind !== 'file' && vnode.kind !== 'directory') throw errno(EPERM);
  throw errno(EOPNOTSUPP);
}

function xattrCalls() {
  const byPath = XATTR_FORMS.flatMap(([prefix, kind, find]) => [
    define({
      name: `${prefix}getxattr`,
      args: [
        ['path', kind],
        ['name', string],
        ['value', bytesOut('size')],
        ['size', count],
      ],
      result: size,
      support: XATTR,
      handler: (task, file, name) => readAttribute(task, () => find(task, file), name),
    }),
    define({
      name: `${prefix}setxattr`,
      args: [
        ['path', kind],
        ['name', string],
        ['value', bytesIn('size')],
        ['size', count],
        ['flags', int],
      ],
      result: none,
      support: XATTR,
      handler: (task, file, name) => writeAttribute(task, () => find(task, file), name),
    }),
    define({
      name: `${prefix}listxattr`,
      args: [
        ['path', kind],
        ['list', bytesOut('size')],
        ['size', count],
      ],
      result: size,
      support: XATTR,
      handler: (task, file) => emptyList(find(task, file)),
    }),
    define({
      name: `${prefix}removexattr`,
      args: [
        ['path', kind],
        ['name', string],
      ],
      result: none,
      support: XATTR,
      handler: (task, file, name) => void readAttribute(task, () => find(task, file), name),
    }),
  ]);
  return [...byPath, ...xattrByFd()];
}

function xattrByFd() {
  const find = (task: Task, file: Fd) => openAt(task, file).vnode;
  return [
    define({
      name: 'fgetxattr',
      args: [
        ['fd', fd],
        ['name', string],
        ['value', bytesOut('size')],
        ['size', count],
      ],
      result: size,
      support: XATTR,
      handler: (task, file, name) => readAttribute(task, () => find(task, file), name),
    }),
    define({
      name: 'fsetxattr',
      args: [
        ['fd', fd],
        ['name', string],
        ['value', bytesIn('size')],
        ['size', count],
        ['flags', int],
      ],
      result: none,
      support: XATTR,
      handler: (task, file, name) => writeAttribute(task, () => find(task, file), name),
    }),
    define({
      name: 'flistxattr',
      args: [
        ['fd', fd],
        ['list', bytesOut('size')],
        ['size', count],
      ],
      result: size,
      support: XATTR,
      handler: (task, file) => emptyList(find(task, file)),
    }),
    define({
      name: 'fremovexattr',
      args: [
        ['fd', fd],
        ['name', string],
      ],
      result: none,
      support: XATTR,
      handler: (task, file, name) => void readAttribute(task, () => find(task, file), name),
    }),
  ];
}

/** For a file that exists. */
function emptyList(_vnode: Vnode): number {
  return 0;
}

export const calls = xattrCalls();
