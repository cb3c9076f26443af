/** execve and execveat: another program in the place of the calling one. */
import { E2BIG, EACCES, ELOOP, ENOENT, ENOSYS, ETXTBSY, errno } from '../abi/errno.ts';
import { AT_EMPTY_PATH, AT_EXECVE_CHECK, AT_SYMLINK_NOFOLLOW, X_OK } from '../abi/fcntl.ts';
import { RLIM_INFINITY, RLIMIT_STACK } from '../abi/resource.ts';
import type { ExecCall, Task } from '../proc/task.ts';
import { define, type Result } from './define.ts';
import { dirfd, type Fd, flags, type In, path, pointerIn, programReplaced } from './kinds.ts';
import { AT_FDCWD, onlyFlags, placeAt } from './paths.ts';

/** Linux's MAX_ARG_STRLEN and MAX_ARG_STRINGS; all strings together may take a quarter of the stack, and never more than 6 MiB. */
const MAX_STRING = 131_072, MAX_STRINGS = 0x7fffffff, MAX_ALL = 6 << 20, MIN_ALL = 131_072;

function argumentRoom(task: Task): number {
  const soft = task.process.limits[RLIMIT_STACK].current;
  const quarter = soft === RLIM_INFINITY ? MAX_ALL : Number(soft / 4n);
  return Math.max(MIN_ALL, Math.min(MAX_ALL, quarter));
}

/** The strings of argv or envp; a null pointer is an empty list. `room` is what they may take: the loader counts exactly. */
function readStrings(task: Task, list: In<Uint8Array>, room: number): string[] {
  const strings: string[] = [];
  if (list === 0) return strings;
  let left = room;
  for (let at: number = list; strings.length < MAX_STRINGS; at += 4) {
    const pointer = task.user.readU32(at);
    if (pointer === 0) return strings;
    const text = task.user.cstring(pointer, MAX_STRING, E2BIG);
    strings.push(text);
    left -= text.length + 1 + 4;
    if (left < 0) throw errno(E2BIG);
  }
  throw errno(E2BIG);
}

type Named = Pick<ExecCall, 'path' | 'place' | 'isNameless' | 'isClosing'>;

function readArguments(task: Task, argv: In<Uint8Array>, envp: In<Uint8Array>) {
  const room = argumentRoom(task);
  const args = readStrings(task, argv, room);
  const used = args.reduce((sum, text) => sum + text.length + 5, 0);
  // Linux gives a program without any argument an empty one.
  return { argv: args.length === 0 ? [''] : args, env: readStrings(task, envp, room - used) };
}

function execute(task: Task, named: Named, argv: In<Uint8Array>, envp: In<Uint8Array>): void {
  const { exec } = task.kernel;
  if (exec === undefined) throw errno(ENOSYS);
  exec(task, { ...named, ...readArguments(task, argv, envp) });
}

const execve = define({
  name: 'execve', args: [['pathname', path], ['argv', pointerIn], ['envp', pointerIn]], result: programReplaced, support: 'full',
  handler: (task, file, argv, envp) => {
    if (file === '') throw errno(ENOENT);
    execute(task, { path: file }, argv, envp);
  },
});

/** The call comes back only where it was to look at the file, and not to run it. */
const replacedOrChecked: Result<number | undefined> = { ...programReplaced, encode: (value) => value };
const execFlags = flags({ AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH, AT_EXECVE_CHECK });

/** Where a program is named by a descriptor, scripts' interpreters are told /dev/fd. Linux: alloc_bprm. */
function nameAt(task: Task, dir: Fd, file: string, how: number): Named {
  const isEmpty = file === '' && dir !== AT_FDCWD;
  const place = isEmpty ? task.files.get(dir).reopenable : placeAt(task, dir, file, { flags: how });
  if (place.vnode.kind === 'symlink' && (how & AT_SYMLINK_NOFOLLOW) !== 0) throw errno(ELOOP);
  if (dir === AT_FDCWD || file.startsWith('/')) return { path: file, place };
  return { path: isEmpty ? `/dev/fd/${dir}` : `/dev/fd/${dir}/${file}`, place, isNameless: isEmpty, isClosing: task.files.closeOnExec(dir) };
}

/** AT_EXECVE_CHECK: what execve would say of the file, not of what is in it. */
function check(task: Task, { place }: Named): void {
  if (place?.vnode.kind !== 'file') throw errno(EACCES);
  task.fs.tree.require(task.credentials, place.vnode, X_OK);
  place.vnode.access(X_OK);
  if ((place.vnode.writers ?? 0) > 0) throw errno(ETXTBSY);
}

const execveat = define({
  name: 'execveat', args: [['dirfd', dirfd], ['pathname', path], ['argv', pointerIn], ['envp', pointerIn], ['flags', execFlags]],
  result: replacedOrChecked, support: 'full',
  handler: (task, dir, file, argv, envp, how) => {
    if (file === '' && (how & AT_EMPTY_PATH) === 0) throw errno(ENOENT);
    onlyFlags(how, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH | AT_EXECVE_CHECK);
    const named = nameAt(task, dir, file, how);
    if ((how & AT_EXECVE_CHECK) === 0) {
      execute(task, named, argv, envp);
      return undefined;
    }
    readArguments(task, argv, envp);
    check(task, named);
    return 0;
  },
});

export const calls = [execve, execveat];
