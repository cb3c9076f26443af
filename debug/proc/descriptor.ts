/** /proc/PID/fdinfo/N: position, flags, what only its kind of file knows, and the locks on it; and /proc/locks. */
import { O_CLOEXEC } from '../../abi/fcntl.ts';
import { deviceMajor, deviceMinor } from '../../abi/stat.ts';
import { mountIdOf } from '../../fs/path.ts';
import { LOCK_END, type LockEntry } from '../../fs/locks.ts';
import type { Kernel, Task } from '../../proc/task.ts';

export function descriptorText(task: Task, fd: number): string {
  const description = task.files.get(fd);
  const { position, vnode, isPathOnly, place } = description;
  const flags = (description.flags & ~O_CLOEXEC) | (task.files.closeOnExec(fd) ? O_CLOEXEC : 0);
  const mount = mountIdOf(place);
  const head = `pos:\t${position}\nflags:\t0${flags.toString(8)}\nmnt_id:\t${mount}\nino:\t${vnode.stat().ino}\n`;
  if (isPathOnly) return head;
  const { locks } = task.kernel.files;
  const own = [...locks.all()].filter(
    ({ key, owner }) => key === vnode.key && (owner === description || owner === task.process || owner === task.files),
  );
  return head + lockLines(own, 'lock:\t') + (description.file.info?.(task.kernel.clock.monotonic()) ?? '');
}

export function locksText(kernel: Kernel): string {
  return lockLines([...kernel.files.locks.all()], '');
}

function lockLines(locks: readonly LockEntry[], before: string): string {
  return locks
    .map(({ key, kind, exclusive, pid, start, end }, n) => {
      const [device, inode] = key.split(':');
      const numbers = [deviceMajor(Number(device)), deviceMinor(Number(device))].map((number) => number.toString(16).padStart(2, '0'));
      const what = `${kind.padEnd(6)} ADVISORY  ${exclusive ? 'WRITE' : 'READ'}`;
      return `${before}${n + 1}: ${what} ${pid} ${numbers.join(':')}:${inode} ${start} ${end === LOCK_END ? 'EOF' : end - 1n}\n`;
    })
    .join('');
}
