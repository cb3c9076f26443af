/** name_to_handle_at and open_by_handle_at: files by handles instead of paths. Linux: fs/fhandle.c. */
import * as magic from '../abi/magic.ts';
import { CAP_DAC_READ_SEARCH } from '../abi/capability.ts';
import { EBADF, EINVAL, EOPNOTSUPP, EOVERFLOW, EPERM, ESTALE, errno } from '../abi/errno.ts';
import * as f from '../abi/fcntl.ts';
import { i32, struct, u32 } from '../abi/struct.ts';
import { mountIdOf } from '../fs/path.ts';
import type { Vnode } from '../fs/vnode.ts';
import { capable } from '../proc/credentials.ts';
import { define } from './define.ts';
import { openHandle } from './file.ts';
import { dirfd, fd, fdResult, loadAt, none, path, pointerIn, pointerOut, storeAt } from './kinds.ts';
import { AT_FDCWD, atFlags, onlyFlags, openFlags, targetAt } from './paths.ts';

/** struct file_handle: how many bytes follow, and what they are. */
const handleHeader = struct<{ size: number; type: number }>({ size: u32, type: i32 });
const MAX_HANDLE = 128;
/** A file system's own type, and two flags of Linux's: connectable, a directory. */
const KNOWN_TYPE = 0x3_ffff;
/** Ours: the file's number, and a word that others do not make up by chance. */
const HANDLE = 8,
  HANDLE_TYPE = 1,
  MARK = 0x3836_7365;

/** File systems in which there is nothing to find again. */
const WITHOUT: ReadonlySet<number> = new Set([
  magic.PROC_SUPER_MAGIC,
  magic.SYSFS_MAGIC,
  magic.DEVPTS_SUPER_MAGIC,
  magic.PIPEFS_MAGIC,
  magic.SOCKFS_MAGIC,
  magic.ANON_INODE_FS_MAGIC,
]);

function hasHandles(vnode: Vnode): boolean {
  return !WITHOUT.has(vnode.statfs().type);
}

const nameToHandle = define({
  name: 'name_to_handle_at',
  args: [['dirfd', dirfd], ['pathname', path], ['handle', pointerOut], ['mount_id', pointerOut], ['flags', atFlags]],
  result: none, support: 'full',
  handler: (task, dir, name, at, mountAt, how) => {
    onlyFlags(how, f.AT_SYMLINK_FOLLOW | f.AT_EMPTY_PATH);
    const { vnode, place } = targetAt(task, dir, name, how & f.AT_SYMLINK_FOLLOW ? how & ~f.AT_SYMLINK_FOLLOW : how | f.AT_SYMLINK_NOFOLLOW);
    if (!hasHandles(vnode)) throw errno(EOPNOTSUPP);
    const { size } = loadAt(task, at, handleHeader);
    if (size > MAX_HANDLE) throw errno(EINVAL);
    const isFitting = size >= HANDLE;
    if (isFitting) {
      const number = task.kernel.files.handles.of({ vnode, parent: place.parent, name: place.name });
      task.user.writeU32(at + handleHeader.size, number);
      task.user.writeU32(at + handleHeader.size + 4, MARK);
    }
    storeAt(task, mountAt, i32, mountIdOf(place));
    storeAt(task, at, handleHeader, { size: HANDLE, type: isFitting ? HANDLE_TYPE : 0xff });
    if (!isFitting) throw errno(EOVERFLOW);
  },
});

const openByHandle = define({
  name: 'open_by_handle_at', args: [['mount_fd', fd], ['handle', pointerIn], ['flags', openFlags]], result: fdResult, support: 'full',
  handler: (task, mount, at, how) => {
    const { size, type } = loadAt(task, at, handleHeader);
    if (size === 0 || size > MAX_HANDLE || type < 0 || (type & ~KNOWN_TYPE) !== 0) throw errno(EINVAL);
    if (mount !== AT_FDCWD && task.files.get(mount).isPathOnly) throw errno(EBADF);
    if (!capable(task.credentials, CAP_DAC_READ_SEARCH)) throw errno(EPERM);
    if (size !== HANDLE || type !== HANDLE_TYPE || task.user.readU32(at + handleHeader.size + 4) !== MARK) throw errno(ESTALE);
    return openHandle(task, task.kernel.files.handles.place(task.user.readU32(at + handleHeader.size)), how);
  },
});

export const calls = [nameToHandle, openByHandle];
