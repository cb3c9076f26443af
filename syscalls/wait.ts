/** wait4, waitpid and waitid: what became of children. */
import { EAGAIN, ECHILD, EINVAL, ESRCH, errno } from '../abi/errno.ts';
import * as resource from '../abi/resource.ts';
import { SIGCHLD } from '../abi/signal.ts';
import { type ChildEvent, takeEvent, WALL, WCLONE, WCONTINUED, WEXITED, WNOHANG, WNOTHREAD, WNOWAIT, WUNTRACED } from '../proc/family.ts';
import type { Process } from '../proc/process.ts';
import type { Task } from '../proc/task.ts';
import { rusageOf, wholeUsage } from '../proc/usage.ts';
import { Blocked, block } from '../proc/wait.ts';
import { define } from './define.ts';
import { choice, flags, none, pid, pidResult, pointerOut, storeAt } from './kinds.ts';
import { processBehind } from './pidfd.ts';

const waitOptions = flags({ WNOHANG, WUNTRACED, WEXITED, WCONTINUED, WNOWAIT, __WNOTHREAD: WNOTHREAD, __WALL: WALL, __WCLONE: WCLONE });
const WAIT4_OPTIONS = WNOHANG | WUNTRACED | WCONTINUED | WNOTHREAD | WALL | WCLONE;
const WAITID_OPTIONS = WAIT4_OPTIONS | WEXITED | WNOWAIT;
const P_ALL = 0, P_PID = 1, P_PGID = 2, P_PIDFD = 3;

/** Undefined: with WNOHANG nothing has happened yet. */
function waitFor(task: Task, matches: (child: Process) => boolean, options: number): ChildEvent | Blocked | undefined {
  const event = takeEvent(task, { matches, options });
  if (event === 'none') throw errno(ECHILD);
  if (event !== 'later') return event;
  if ((options & WNOHANG) !== 0) return undefined;
  return block(task.process.childChanged);
}

function matching(task: Task, who: number): (child: Process) => boolean {
  const own = task.process.pgid;
  if (who === -1) return () => true;
  if (who > 0) return (child) => child.pid === who;
  return (child) => child.pgid === (who === 0 ? own : -who);
}

function wait(task: Task, who: number, status: number, options: number, usage: number): number | Blocked {
  if ((options & ~WAIT4_OPTIONS) !== 0) throw errno(EINVAL);
  // -INT_MIN is no number.
  if (who === -0x8000_0000) throw errno(ESRCH);
  probe(task, status, 4);
  probe(task, usage, resource.rusage.size);
  const event = waitFor(task, matching(task, who), options | WEXITED);
  if (event === undefined) return 0;
  if (event instanceof Blocked) return event;
  if (usage !== 0) storeAt(task, usage, resource.rusage, rusageOf(wholeUsage(task.kernel, event.child)));
  if (status !== 0) task.user.writeU32(status, event.status);
  return event.child.pid;
}

/** Fetches pages before a child's end is used up: the call may have to run again for them. */
function probe(task: Task, at: number, size: number): void {
  if (at !== 0) task.user.probe(at, size, 'write');
}

const wait4 = define({
  name: 'wait4', args: [['pid', pid], ['status', pointerOut], ['options', waitOptions], ['rusage', pointerOut]], result: pidResult,
  support: 'full', handler: wait,
});
const waitpid = define({
  name: 'waitpid', args: [['pid', pid], ['status', pointerOut], ['options', waitOptions]], result: pidResult, support: 'full',
  handler: (task, who, status, options) => wait(task, who, status, options, 0),
});

/** The six words of siginfo_t that waitid fills. */
function writeInfo(task: Task, info: number, event: ChildEvent | undefined): void {
  if (info === 0) return;
  const words = new Uint32Array(6);
  if (event !== undefined) words.set([SIGCHLD, 0, event.code, event.child.pid, event.child.uid, event.value]);
  task.user.write(info, new Uint8Array(words.buffer));
}

const waitid = define({
  name: 'waitid',
  args: [['idtype', choice({ P_ALL, P_PID, P_PGID, P_PIDFD })], ['id', pid], ['info', pointerOut], ['options', waitOptions], ['rusage', pointerOut]],
  result: none, support: 'full',
  handler: (task, type, id, info, options, usage) => {
    probe(task, info, 24);
    probe(task, usage, resource.rusage.size);
    const event = waitById(task, type, id, info, options);
    if (event instanceof Blocked) return event;
    if (event !== undefined && usage !== 0) storeAt(task, usage, resource.rusage, rusageOf(wholeUsage(task.kernel, event.child)));
    writeInfo(task, info, event);
  },
});

function waitById(task: Task, type: number, id: number, info: number, options: number): ChildEvent | Blocked | undefined {
  try {
    if ((options & ~WAITID_OPTIONS) !== 0 || (options & (WEXITED | WUNTRACED | WCONTINUED)) === 0) throw errno(EINVAL);
    if (type < P_ALL || type > P_PIDFD || (type === P_PID && id <= 0) || (type !== P_ALL && id < 0)) throw errno(EINVAL);
    const group = id === 0 ? task.process.pgid : id;
    if (type === P_PIDFD) {
      const { process, nonblocking } = processBehind(task, id);
      const event = waitFor(task, (child) => child === process, nonblocking ? options | WNOHANG : options);
      if (event === undefined && nonblocking && (options & WNOHANG) === 0) throw errno(EAGAIN);
      return event;
    }
    const matches = (child: Process): boolean => type === P_ALL || (type === P_PID ? child.pid === id : child.pgid === group);
    return waitFor(task, matches, options);
  } catch (thrown) {
    // Linux fills in an empty report whatever the error is.
    if (thrown instanceof Object && 'code' in thrown) writeInfo(task, info, undefined);
    throw thrown;
  }
}

export const calls = [wait4, waitpid, waitid];
