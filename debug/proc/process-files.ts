/** The files of /proc/PID by name: their rights, and what an opening gives. Linux: fs/proc/base.c. */
import { CAP_SYS_ADMIN, CAP_SYS_PTRACE } from '../../abi/capability.ts';
import { EACCES, EINVAL, Errno, errno } from '../../abi/errno.ts';
import { PAGE_SIZE } from '../../abi/page.ts';
import { type ProcContent, textContent } from '../../fs/proc-node.ts';
import { copyInForced } from '../../mm/force.ts';
import type { AddressSpace } from '../../mm/space.ts';
import { MustWait } from '../../mm/user.ts';
import { capable } from '../../proc/credentials.ts';
import type { Task } from '../../proc/task.ts';
import { mapsText } from '../maps.ts';
import { smapsRollupText, smapsText } from '../smaps.ts';
import { limitsText } from './limits.ts';
import { memoryContent, pagemapContent, watchMemory } from './memory.ts';
import { statmText, statText, statusText } from './process-state.ts';

interface Entry {
  readonly mode: number;
  /** `by` makes the running call. Throws where it may not have the file. */
  open(task: Task, by: Task | undefined): ProcContent;
  /** It is a symbolic link that says this. */
  readonly link?: (task: Task) => string;
}

/** Linux's ptrace_may_access: oneself; who may do anything; or who has all the other's ids, unless that one has given up being looked into. */
export function mayInspect(by: Task | undefined, task: Task): boolean {
  if (by === undefined || by.process === task.process || capable(by.credentials, CAP_SYS_PTRACE)) return true;
  const { fsuid, fsgid } = by.credentials;
  const { uid, euid, suid, gid, egid, sgid } = task.credentials;
  const isSame = [uid, euid, suid].every((id) => id === fsuid) && [gid, egid, sgid].every((id) => id === fsgid);
  return isSame && task.process.dumpable === 1;
}

function demandInspection(by: Task | undefined, task: Task): void {
  if (!mayInspect(by, task)) throw errno(EACCES);
}

// ---- Kinds of files --------------------------------------------------------------------------------------------------------------------

/** For everybody. */
function text(make: (task: Task) => string): Entry {
  return { mode: 0o444, open: (task) => textContent(() => (task.state === 'dead' ? undefined : make(task))) };
}

/** For those who may look into the process, asked when it is read. */
function inspected(make: (task: Task) => string): Entry {
  return {
    mode: 0o400,
    open: (task, by) =>
      textContent(() => {
        demandInspection(by, task);
        return make(task);
      }),
  };
}

/** About the memory that the process has when the file is opened, for those who may look into it then. Once that is gone there is nothing. */
function ofMemory(mode: number, make: (space: AddressSpace) => string): Entry {
  return {
    mode,
    open: (task, by) => {
      demandInspection(by, task);
      const { space } = task;
      const isGone = watchMemory(task);
      return textContent(() => (isGone() ? '' : make(space)));
    },
  };
}

/** A number that may be written: by the owner and, as `mode` says, others. */
function number(mode: number, get: (task: Task) => number, set: (task: Task, value: number) => void, show = String): Entry {
  return {
    mode,
    open: (task) =>
      textContent(
        () => `${show(get(task))}\n`,
        (written) => {
          const value = /^\s*[-+]?(?:0x[0-9a-f]+|\d+)\s*$/i.test(written) ? Number(written) : Number.NaN;
          if (!Number.isSafeInteger(value)) throw errno(EINVAL);
          set(task, value);
        },
      ),
  };
}

// ---- The table -------------------------------------------------------------------------------------------------------------------------

export const PROCESS_FILES: Readonly<Record<string, Entry>> = {
  auxv: {
    mode: 0o400,
    open: (task, by) => {
      demandInspection(by, task);
      const { image } = task.process;
      return textContent(() => String.fromCharCode(...(image?.auxv ?? [])));
    },
  },
  cgroup: text(() => '0::/\n'),
  cmdline: text((task) => strings(task.space, task.process.image?.argStart, task.process.image?.envStart)),
  comm: {
    mode: 0o644,
    open: (task, by) =>
      textContent(
        () => `${task.name}\n`,
        (written) => {
          // Only the process's own threads may (Linux comm_write).
          if (by?.process !== task.process) throw errno(EINVAL);
          task.name = written.split(/[\0\n]/, 1)[0].slice(0, 15);
        },
      ),
  },
  environ: {
    mode: 0o400,
    open: (task, by) => {
      demandInspection(by, task);
      const { space } = task;
      const { image } = task.process;
      const isGone = watchMemory(task);
      return textContent(() => (isGone() ? '' : strings(space, image?.envStart, image?.envEnd)));
    },
  },
  limits: text(({ process }) => limitsText(process)),
  loginuid: number(
    0o644,
    ({ process }) => process.loginUid,
    ({ process }, value) => (process.loginUid = value >>> 0),
  ),
  maps: ofMemory(0o444, mapsText),
  mem: {
    mode: 0o600,
    open: (task, by) => {
      demandInspection(by, task);
      return memoryContent(task);
    },
  },
  mountinfo: text(() => '1 1 0:1 / / rw,relatime - ext4 /dev/root rw\n'),
  mounts: text(() => '/dev/root / ext4 rw,relatime 0 0\nproc /proc proc rw,nosuid,nodev,noexec,relatime 0 0\n'),
  oom_adj: text(() => '0\n'),
  oom_score: text(() => '0\n'),
  oom_score_adj: text(() => '0\n'),
  pagemap: {
    mode: 0o400,
    open: (task, by) => {
      demandInspection(by, task);
      return pagemapContent(task, by !== undefined && capable(by.credentials, CAP_SYS_ADMIN));
    },
  },
  personality: inspected(({ process }) => `${process.personality.toString(16).padStart(8, '0')}\n`),
  sessionid: text(() => '4294967295'),
  smaps: ofMemory(0o444, smapsText),
  smaps_rollup: ofMemory(0o444, smapsRollupText),
  stat: text(statText),
  statm: text(statmText),
  status: text(statusText),
  timerslack_ns: text(({ timerSlack_ns }) => `${timerSlack_ns}\n`),
  wchan: text(() => '0'),
};

/** The strings as they are in the program's memory now: programs write over them to change what ps shows. */
function strings(space: AddressSpace, from = 0, to = 0): string {
  const bytes = new Uint8Array(Math.max(0, to - from));
  try {
    const there = copyInForced(space, from, bytes);
    let result = '';
    for (let at = 0; at < there; at += PAGE_SIZE) result += String.fromCharCode(...bytes.subarray(at, Math.min(there, at + PAGE_SIZE)));
    return result;
  } catch (error) {
    if (error instanceof Errno || error instanceof MustWait) return '';
    throw error;
  }
}
