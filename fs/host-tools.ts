/** What node cannot do to the host's files, and the host's own tools can. */
import { EEXIST, EINVAL, EPERM, errno } from '../abi/errno.ts';
import * as host from './hostfs.ts';

/** node has no mkfifo; the host's own tool does it. EPERM where there is none. */
export function mkfifo(path: string, mode: number): void {
  if (!named('exec mkfifo -m "$2" -- "${name%_}"', path, (mode & 0o7777).toString(8))) throw errno(EPERM);
}

/** Leaves a character device 0:0, as overlays mark what is gone; anybody may make one. EINVAL, and nothing renamed, where the host's tool could not. */
export function renameWithWhiteout(from: string, target: string): void {
  const mark = `${from}.whiteout`;
  if (host.lstat(mark) !== undefined) throw errno(EEXIST);
  if (!named('exec mknod -m 0 -- "${name%_}" c 0 0', mark, '')) throw errno(EINVAL);
  try {
    host.rename(from, target);
  } catch (error) {
    host.unlink(mark);
    throw error;
  }
  host.rename(mark, from);
}

/** Gives an open file, which may have no name, one. False where the host's tool could not. */
export function linkDescriptor(fd: number, path: string): boolean {
  return named('exec ln -LT -- /proc/self/fd/0 "${name%_}"', path, '', fd);
}

/** Runs a line of the shell that has a path as `name`, one character behind it. A child's arguments are UTF-8: a path that is not goes escaped. */
function named(command: string, path: string, argument: string, input?: number): boolean {
  const escaped = Array.from(path.replace('/proc/self/', `/proc/${process.pid}/`), (byte) => `\\0${byte.charCodeAt(0).toString(8)}`).join(
    '',
  );
  return host.runTool('sh', ['-c', `name=$(printf "%b_" "$1"); ${command}`, 'sh', escaped, argument], input) !== undefined;
}
