/** Extended attributes: of files in memory and of overlays. Node reaches none of the host's, so a host file has none. Linux: fs/xattr.c. */
import { CAP_SETFCAP, CAP_SYS_ADMIN } from '../abi/capability.ts';
import { E2BIG, EEXIST, EINVAL, ENODATA, EOPNOTSUPP, EPERM, ERANGE, errno } from '../abi/errno.ts';
import * as f from '../abi/fcntl.ts';
import { S_ISVTX } from '../abi/stat.ts';
import { owns } from '../fs/permission.ts';
import type { Vnode } from '../fs/vnode.ts';
import { capable, parseFileCapabilities } from '../proc/credentials.ts';
import type { Task } from '../proc/task.ts';
import { aclMode, isAcl } from './acl.ts';
import { define } from './define.ts';
import { bytesIn, bytesOut, count, type Fd, fd, flags, type In, none, type Out, path, size, string } from './kinds.ts';
import { AT_FDCWD, openAt, placeAt, requireAccess } from './paths.ts';

const XATTR = { partial: "host files have none that we could reach: reading answers ENODATA, setting EOPNOTSUPP; access lists only as far as mode bits say the same" };
const NAME_MAX = 255, VALUE_MAX = 65536;
const XATTR_CREATE = 1, XATTR_REPLACE = 2;
const CAPABILITY = 'security.capability';

const setFlags = flags({ XATTR_CREATE, XATTR_REPLACE });

/** What the caller's own memory says, whatever the file is. */
function nameAt(task: Task, at: In<string>): string {
  const text = task.user.cstring(at, NAME_MAX + 1, ERANGE);
  if (text === '') throw errno(ERANGE);
  return text;
}

/** Linux: xattr_permission, and which names some file system knows. */
function check(task: Task, vnode: Vnode, name: string, mask: number): void {
  const writes = mask === f.W_OK;
  if (/^(security|system)\./.test(name)) {
    if (name.startsWith('system.') && !isAcl(name)) throw errno(EOPNOTSUPP);
    return;
  }
  if (name.startsWith('trusted.')) {
    if (!capable(task.credentials, CAP_SYS_ADMIN)) throw errno(writes ? EPERM : ENODATA);
    return;
  }
  if (name.startsWith('user.')) {
    if (vnode.kind !== 'file' && vnode.kind !== 'directory') throw errno(writes ? EPERM : ENODATA);
    if (writes && vnode.kind === 'directory' && (vnode.stat().mode & S_ISVTX) !== 0 && !owns(task.credentials, vnode.stat())) throw errno(EPERM);
  }
  requireAccess(task, vnode, mask);
  if (!/^user\../.test(name)) throw errno(EOPNOTSUPP);
}

/** Linux: cap_inode_setxattr, and cap_convert_nscap for what programs are given. */
function checkSecurity(task: Task, name: string, value: Uint8Array | undefined): void {
  if (!name.startsWith('security.')) return;
  if (name !== CAPABILITY) {
    if (!capable(task.credentials, CAP_SYS_ADMIN)) throw errno(EPERM);
    return;
  }
  if (value !== undefined && parseFileCapabilities(value) === undefined) throw errno(EINVAL);
  if (!capable(task.credentials, CAP_SETFCAP)) throw errno(EPERM);
}

function get(task: Task, vnode: Vnode, at: In<string>, to: Out<Uint8Array>, room: number): number {
  const name = nameAt(task, at);
  check(task, vnode, name, f.R_OK);
  const value = vnode.attributes?.get(name);
  if (value === undefined) throw errno(ENODATA);
  if (room === 0) return value.length;
  if (value.length > room) throw errno(ERANGE);
  task.user.write(to, value);
  return value.length;
}

function set(task: Task, vnode: Vnode, at: In<string>, from: In<Uint8Array>, bytes: number, how: number): void {
  if (how & ~(XATTR_CREATE | XATTR_REPLACE)) throw errno(EINVAL);
  const name = nameAt(task, at);
  if (bytes > VALUE_MAX) throw errno(E2BIG);
  const value = task.user.read(from, bytes);
  check(task, vnode, name, f.W_OK);
  checkSecurity(task, name, value);
  if (isAcl(name)) return setAcl(task, vnode, name, value);
  const { attributes } = vnode;
  if (attributes === undefined) throw errno(EOPNOTSUPP);
  const has = attributes.get(name) !== undefined;
  if (how & XATTR_CREATE && has) throw errno(EEXIST);
  if (how & XATTR_REPLACE && !has) throw errno(ENODATA);
  attributes.set(name, value);
}

/** An access list that says no more than mode bits can becomes mode bits, as on Linux; others are refused. */
function setAcl(task: Task, vnode: Vnode, name: string, value: Uint8Array): void {
  if (vnode.attributes === undefined || vnode.kind === 'symlink') throw errno(EOPNOTSUPP);
  const { mode } = vnode.stat();
  const bits = aclMode(value);
  if (!owns(task.credentials, vnode.stat())) throw errno(EPERM);
  if (bits === undefined || !name.endsWith('_access')) throw errno(EOPNOTSUPP);
  vnode.chmod((mode & 0o7000) | bits);
}

function list(task: Task, vnode: Vnode, to: Out<Uint8Array>, room: number): number {
  const seesTrusted = capable(task.credentials, CAP_SYS_ADMIN);
  const names = (vnode.attributes?.names() ?? []).filter((name) => seesTrusted || !name.startsWith('trusted.'));
  const text = names.map((name) => `${name}\0`).join('');
  if (text.length > VALUE_MAX) throw errno(E2BIG);
  if (room === 0) return text.length;
  if (text.length > room) throw errno(ERANGE);
  task.user.write(to, Uint8Array.from(text, (c) => c.charCodeAt(0)));
  return text.length;
}

function remove(task: Task, vnode: Vnode, at: In<string>): void {
  const name = nameAt(task, at);
  check(task, vnode, name, f.W_OK);
  checkSecurity(task, name, undefined);
  if (isAcl(name)) {
    if (vnode.attributes === undefined) throw errno(EOPNOTSUPP);
    return;
  }
  if (vnode.attributes?.get(name) === undefined) throw errno(vnode.attributes === undefined ? EOPNOTSUPP : ENODATA);
  vnode.attributes.remove(name);
}

/** The four calls of one way to name a file. `find` runs first, as on Linux before 6.13. */
function family<T extends string | Fd>(prefix: '' | 'l' | 'f', kind: typeof path | typeof fd, find: (task: Task, file: T) => Vnode) {
  const file = [prefix === 'f' ? 'fd' : 'path', kind as unknown as typeof path] as const;
  const vnodeOf = (task: Task, given: string): Vnode => find(task, given as T);
  return [
    define({
      name: `${prefix}getxattr`, args: [file, ['name', string], ['value', bytesOut('size')], ['size', count]], result: size, support: XATTR,
      handler: (task, given, name, to, room) => get(task, vnodeOf(task, given), name, to, room),
    }),
    define({
      name: `${prefix}setxattr`, args: [file, ['name', string], ['value', bytesIn('size')], ['size', count], ['flags', setFlags]],
      result: none, support: XATTR,
      handler: (task, given, name, from, bytes, how) => set(task, vnodeOf(task, given), name, from, bytes, how),
    }),
    define({
      name: `${prefix}listxattr`, args: [file, ['list', bytesOut('size')], ['size', count]], result: size, support: XATTR,
      handler: (task, given, to, room) => list(task, vnodeOf(task, given), to, room),
    }),
    define({
      name: `${prefix}removexattr`, args: [file, ['name', string]], result: none, support: XATTR,
      handler: (task, given, name) => remove(task, vnodeOf(task, given), name),
    }),
  ];
}

export const calls = [
  ...family<string>('', path, (task, name) => placeAt(task, AT_FDCWD, name).vnode),
  ...family<string>('l', path, (task, name) => placeAt(task, AT_FDCWD, name, { flags: f.AT_SYMLINK_NOFOLLOW }).vnode),
  ...family<Fd>('f', fd, (task, file) => openAt(task, file).vnode),
];
