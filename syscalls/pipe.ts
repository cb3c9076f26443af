/** Pipes. */
import { EINVAL, ENOPKG, errno } from '../abi/errno.ts';
import * as f from '../abi/fcntl.ts';
import { RLIMIT_NOFILE } from '../abi/resource.ts';
import { array, i32 } from '../abi/struct.ts';
import type { Task } from '../proc/task.ts';
import { define } from './define.ts';
import { none, type Out, store, structOut } from './kinds.ts';
import { openFlags } from './paths.ts';

/** Watch queues are an option of Linux that kernels mostly lack. */
const O_NOTIFICATION_PIPE = f.O_EXCL;

const pair = array(i32, 2);
const pairOut = structOut(pair, 'int[2]');

function pipe(task: Task, to: Out<number[]>, how: number): void {
  if (how & ~(f.O_CLOEXEC | f.O_NONBLOCK | f.O_DIRECT | O_NOTIFICATION_PIPE)) throw errno(EINVAL);
  const { current } = task.process.limits[RLIMIT_NOFILE];
  task.files.limit = current > 0x100000n ? 0x100000 : Number(current);
  if (how & O_NOTIFICATION_PIPE) throw errno(ENOPKG);
  task.files.reserve(2);
  const ends = task.kernel.files.pipe(how & (f.O_NONBLOCK | f.O_DIRECT), { uid: task.credentials.fsuid, gid: task.credentials.fsgid });
  const closeOnExec = (how & f.O_CLOEXEC) !== 0;
  const reader = task.files.add(ends.reader, closeOnExec);
  const writer = task.files.add(ends.writer, closeOnExec);
  try {
    store(task, to, pair, [reader, writer]);
  } catch (error) {
    task.files.close(reader);
    task.files.close(writer);
    throw error;
  }
}

const pipeCall = define({
  name: 'pipe',
  args: [['pipefd', pairOut]],
  result: none,
  support: 'full',
  handler: (task, to) => pipe(task, to, 0),
});
const pipe2 = define({
  name: 'pipe2',
  args: [
    ['pipefd', pairOut],
    ['flags', openFlags],
  ],
  result: none,
  support: 'full',
  handler: pipe,
});

export const calls = [pipeCall, pipe2];
