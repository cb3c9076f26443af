/** Extended attributes: of files in memory and of overlays. Node reaches none of the host's, so a host file has none. Linux: fs/xattr.c. */
import { latin1 } from '../abi/latin1.ts';
import { CAP_SETFCAP, CAP_SYS_ADMIN } from '../abi/capability.ts';
import { E2BIG, EEXIST, EINVAL, ENODATA, EOPNOTSUPP, EPERM, ERANGE, errno } from '../abi/errno.ts';
import * as f from '../abi/fcntl.ts';
import { S_ISVTX } from '../abi/stat.ts';
import { AnonymousVnode } from '../fs/anonymous.ts';
import { owns } from '../fs/permission.ts';
import type { Vnode } from '../fs/vnode.ts';
import { capable, parseFileCapabilities } from '../proc/credentials.ts';
import type { Task } from '../proc/task.ts';
import { aclMode, isAcl } from './acl.ts';
import { define } from './define.ts';
import { bytesIn, bytesOut, count, type Fd, fd, flags, type In, latePath, none, type Out, pathText, size, string } from './kinds.ts';
import { AT_FDCWD, openAt, placeAt, requireAccess } from './paths.ts';

const XATTR = { partial: "host files have none that we could reach: reading answers ENODATA, setting EOPNOTSUPP; access lists only as far as mode bits say the same" };
const NAME_MAX = 255, VALUE_MAX = 65536;
const XATTR_CREATE = 1, XATTR_REPLACE = 2;
const CAPABILITY = 'security.capability';
/** Linux has a file system of its own for these, and calls them regular files. */
const PIDFD = 'anon_inode:[pidfd]';
/** What every socket has. */
const SOCKET_NAME = 'system.sockprotoname';

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
  if (!writes && name === SOCKET_NAME && vnode.attributes?.get(name) !== undefined) return;
  if (/^(security|system)\./.test(name)) {
    if (name.startsWith('system.') && !isAcl(name)) throw errno(EOPNOTSUPP);
    return;
  }
  if (name.startsWith('trusted.')) {
    if (!capable(task.credentials, CAP_SYS_ADMIN)) throw errno(writes ? EPERM : ENODATA);
    return;
  }
  if (name.startsWith('user.')) {
    if (vnode.kind !== 'file' && vnode.kind !== 'directory' && !(vnode instanceof AnonymousVnode && vnode.label === PIDFD)) throw errno(writes ? EPERM : ENODATA);
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

/** The file that a call is about. It is looked for when the call's own memory has been read, as on Linux since 6.13. */
type Find = () => Vnode;

function get(task: Task, find: Find, at: In<string>, to: Out<Uint8Array>, room: number): number {
  const name = nameAt(task, at);
  const vnode = find();
  check(task, vnode, name, f.R_OK);
  const value = vnode.attributes?.get(name);
  if (value === undefined) throw errno(ENODATA);
  if (room === 0) return value.length;
  if (value.length > room) throw errno(ERANGE);
  task.user.write(to, value);
  return value.length;
}

function set(task: Task, find: Find, at: In<string>, from: In<Uint8Array>, bytes: number, how: number): void {
  if (how & ~(XATTR_CREATE | XATTR_REPLACE)) throw errno(EINVAL);
  const name = nameAt(task, at);
  if (bytes > VALUE_MAX) throw errno(E2BIG);
  const value = task.user.read(from, bytes);
  const vnode = find();
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
  if (vnode.attributes === undefined || vnode.kind === 'symlink' || vnode.kind === 'socket') throw errno(EOPNOTSUPP);
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
  task.user.write(to, latin1(text));
  return text.length;
}

function remove(task: Task, find: Find, at: In<string>): void {
  const name = nameAt(task, at);
  const vnode = find();
  check(task, vnode, name, f.W_OK);
  checkSecurity(task, name, undefined);
  if (isAcl(name)) {
    if (vnode.attributes === undefined) throw errno(EOPNOTSUPP);
    return;
  }
  if (vnode.attributes?.get(name) === undefined) throw errno(vnode.attributes === undefined ? EOPNOTSUPP : ENODATA);
  vnode.attributes.remove(name);
}

/** The four calls of one way to name a file. */
function family<T extends In<string> | Fd>(prefix: '' | 'l' | 'f', kind: typeof latePath | typeof fd, find: (task: Task, file: T) => Vnode) {
  const file = [prefix === 'f' ? 'fd' : 'path', kind as unknown as typeof latePath] as const;
  const finder = (task: Task, given: In<string>): Find => () => find(task, given as unknown as T);
  return [
    define({
      name: `${prefix}getxattr`, args: [file, ['name', string], ['value', bytesOut('size')], ['size', count]], result: size, support: XATTR,
      handler: (task, given, name, to, room) => get(task, finder(task, given), name, to, room),
    }),
    define({
      name: `${prefix}setxattr`, args: [file, ['name', string], ['value', bytesIn('size')], ['size', count], ['flags', setFlags]],
      result: none, support: XATTR,
      handler: (task, given, name, from, bytes, how) => set(task, finder(task, given), name, from, bytes, how),
    }),
    define({
      name: `${prefix}listxattr`, args: [file, ['list', bytesOut('size')], ['size', count]], result: size, support: XATTR,
      handler: (task, given, to, room) => list(task, find(task, given as unknown as T), to, room),
    }),
    define({
      name: `${prefix}removexattr`, args: [file, ['name', string]], result: none, support: XATTR,
      handler: (task, given, name) => remove(task, finder(task, given), name),
    }),
  ];
}

export const calls = [
  ...family<In<string>>('', latePath, (task, name) => placeAt(task, AT_FDCWD, pathText(task, name)).vnode),
  ...family<In<string>>('l', latePath, (task, name) => placeAt(task, AT_FDCWD, pathText(task, name), { flags: f.AT_SYMLINK_NOFOLLOW }).vnode),
  ...family<Fd>('f', fd, (task, file) => openAt(task, file).vnode),
];
