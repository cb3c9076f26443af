/** /proc/PID/fdinfo/N: position, flags and, by kind of file, what only it knows. */
import { O_CLOEXEC } from '../../abi/fcntl.ts';
import type { Task } from '../../proc/task.ts';

export function descriptorText(task: Task, fd: number): string {
  const description = task.files.get(fd);
  const { position, vnode, isPathOnly } = description;
  const flags = (description.flags & ~O_CLOEXEC) | (task.files.closeOnExec(fd) ? O_CLOEXEC : 0);
  const head = `pos:\t${position}\nflags:\t0${flags.toString(8)}\nmnt_id:\t1\nino:\t${vnode.stat().ino}\n`;
  return isPathOnly ? head : head + (description.file.info?.() ?? '');
}
