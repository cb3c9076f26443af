/** The files of /proc/PID by name: their rights, and what an opening gives. Linux: fs/proc/base.c. */
import { CAP_SYS_ADMIN, CAP_SYS_PTRACE, CAP_SYS_RESOURCE } from '../../abi/capability.ts';
import { EACCES, EINVAL, Errno, errno } from '../../abi/errno.ts';
import { S_IFREG } from '../../abi/stat.ts';
import { PAGE_SIZE } from '../../abi/page.ts';
import { AnonymousVnode } from '../../fs/anonymous.ts';
import type { ProcJump } from '../../fs/procfs.ts';
import { type ProcContent, textContent } from '../../fs/proc-node.ts';
import { copyInForced } from '../../mm/force.ts';
import type { AddressSpace } from '../../mm/space.ts';
import { MustWait } from '../../mm/user.ts';
import { capable } from '../../proc/credentials.ts';
import { oomAdj, oomScore, setOomAdj, setOomScoreAdj } from '../../proc/oom.ts';
import type { Task } from '../../proc/task.ts';
import { mapsText } from '../maps.ts';
import { smapsRollupText, smapsText } from '../smaps.ts';
import { clearReferences } from './clear-refs.ts';
import { limitsText } from './limits.ts';
import { memoryContent, pagemapContent, watchMemory } from './memory.ts';
import { mountinfoText, mountstatsText, mountsText } from './mounts.ts';
import { NET_FILES } from './net.ts';
import { childrenOf, schedText, syscallText, timersText } from './process-activity.ts';
import { statmText, statText, statusText } from './process-state.ts';

interface Entry {
  readonly mode: number;
  /** `by` makes the running call. Throws where it may not have the file. */
  open(task: Task, by: Task | undefined): ProcContent;
  /** It is a magic link. */
  readonly link?: (task: Task) => ProcJump;
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

/** Alive, or dead and not waited for yet. */
function isThere(task: Task): boolean {
  return (
    task.state !== 'dead' ||
    (task.kernel.remains.get(task.process) === task && task.kernel.processes.get(task.process.pid) === task.process)
  );
}

/** For everybody. */
function text(make: (task: Task) => string): Entry {
  return { mode: 0o444, open: (task) => textContent(() => (isThere(task) ? make(task) : undefined)) };
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
function number(
  mode: number,
  get: (task: Task) => number,
  set: (task: Task, value: number, by: Task | undefined) => void,
  show: (value: number) => string = String,
): Entry {
  return {
    mode,
    open: (task, by) =>
      textContent(
        () => `${show(get(task))}\n`,
        (written) => {
          const value = /^\s*[-+]?(?:0x[0-9a-f]+|\d+)\s*$/i.test(written) ? Number(written) : Number.NaN;
          if (!Number.isSafeInteger(value)) throw errno(EINVAL);
          set(task, value, by);
        },
      ),
  };
}

/** Linux CAP_SYS_RESOURCE. */
function mayLowerOom(by: Task | undefined): boolean {
  return by === undefined || capable(by.credentials, CAP_SYS_RESOURCE);
}

function demanded(task: Task, by: Task | undefined): Task {
  demandInspection(by, task);
  return task;
}

/** A user namespace in which every id is itself. */
const ALL_IDS = `${[0, 0, 0xffff_ffff].map((id) => String(id).padStart(10)).join(' ')}\n`;
const CORE_FILTER_BITS = 0x1ff;
const DEFAULT_SLACK_NS = 50_000;
/** The nameless file system of namespaces (nsfs). */
const NAMESPACE_DEVICE = 3;

/** The only namespace of each kind there is, with Linux's own numbers. */
const NAMESPACES: Readonly<Record<string, string>> = {
  cgroup: 'cgroup:[4026531835]',
  ipc: 'ipc:[4026531839]',
  mnt: 'mnt:[4026531841]',
  net: 'net:[4026531840]',
  pid: 'pid:[4026531836]',
  pid_for_children: 'pid:[4026531836]',
  time: 'time:[4026531834]',
  time_for_children: 'time:[4026531834]',
  user: 'user:[4026531837]',
  uts: 'uts:[4026531838]',
};

function namespace({ kernel }: Task, target: string): ProcJump {
  const ino = BigInt(/\d+/.exec(target)?.[0] ?? 0);
  const options = {
    label: target,
    kind: 'file',
    mode: S_IFREG | 0o444,
    device: NAMESPACE_DEVICE,
    ino,
    now_ns: kernel.clock.realtime(),
  } as const;
  return { target, place: new AnonymousVnode({ ...options, owner: { uid: 0, gid: 0 } }).place };
}

/** The files of a directory. */
function under<T>(directory: string, table: Readonly<Record<string, T>>, entry: (value: T) => Entry): Record<string, Entry> {
  return Object.fromEntries(Object.entries(table).map(([name, value]) => [`${directory}/${name}`, entry(value)]));
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
  children: text(({ process, tid }) => childrenOf(process, tid)),
  clear_refs: { mode: 0o200, open: (task) => textContent(undefined, (written) => clearReferences(task, written)) },
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
  coredump_filter: number(
    0o644,
    ({ process }) => process.coreFilter,
    ({ process }, value) => (process.coreFilter = value & CORE_FILTER_BITS),
    (value) => value.toString(16).padStart(8, '0'),
  ),
  cpuset: text(() => '/\n'),
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
  gid_map: text(() => ALL_IDS),
  io: inspected(({ process: { io } }) =>
    [
      `rchar: ${io.readBytes}`,
      `wchar: ${io.writtenBytes}`,
      `syscr: ${io.reads}`,
      `syscw: ${io.writes}`,
      'read_bytes: 0',
      'write_bytes: 0',
      'cancelled_write_bytes: 0',
      '',
    ].join('\n'),
  ),
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
  mountinfo: text(mountinfoText),
  mounts: text(mountsText),
  mountstats: text(mountstatsText),
  ...under('net', NET_FILES, (make) => text(({ kernel }) => make(kernel))),
  ...under('ns', NAMESPACES, (label) => ({ mode: 0o777, open: () => textContent(undefined), link: (task) => namespace(task, label) })),
  oom_adj: number(0o644, oomAdj, (task, value, by) => setOomAdj(task, value, mayLowerOom(by))),
  oom_score: text(({ kernel, process }) => `${oomScore(kernel, process)}\n`),
  oom_score_adj: number(
    0o644,
    ({ process }) => process.oomAdjust,
    (task, value, by) => setOomScoreAdj(task, value, mayLowerOom(by)),
  ),
  pagemap: {
    mode: 0o400,
    open: (task, by) => {
      demandInspection(by, task);
      return pagemapContent(task, by !== undefined && capable(by.credentials, CAP_SYS_ADMIN));
    },
  },
  personality: inspected(({ process }) => `${process.personality.toString(16).padStart(8, '0')}\n`),
  projid_map: text(() => ALL_IDS),
  sched: text(schedText),
  schedstat: text(({ cpuTime_ns, switches }) => `${cpuTime_ns} 0 ${switches.voluntary + switches.involuntary}\n`),
  sessionid: text(() => '4294967295'),
  setgroups: text(() => 'allow\n'),
  smaps: ofMemory(0o444, smapsText),
  smaps_rollup: ofMemory(0o444, smapsRollupText),
  // Nothing of ours runs on a stack of a kernel's.
  stack: inspected(() => ''),
  stat: text(statText),
  statm: text(statmText),
  status: text(statusText),
  syscall: inspected(syscallText),
  timers: text(timersText),
  timerslack_ns: {
    mode: 0o666,
    open: (task, by) =>
      textContent(
        () => `${demanded(task, by).timerSlack_ns}\n`,
        (written) => {
          const value = Number(written.trim());
          if (!Number.isSafeInteger(value) || value < 0) throw errno(EINVAL);
          demanded(task, by).timerSlack_ns = value === 0 ? DEFAULT_SLACK_NS : value;
        },
      ),
  },
  uid_map: text(() => ALL_IDS),
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
