/** Who a task is: process and thread ids, users and groups in their 16 and 32-bit forms, sessions and process groups. */
import { CAP_SETGID, CAP_SETUID } from '../abi/capability.ts';
import { EACCES, EINVAL, EPERM, ESRCH, errno } from '../abi/errno.ts';
import { array, u16, u32 } from '../abi/struct.ts';
import { capable, type Credentials, hidesProcess, withFileUserChanged, withUserChanged } from '../proc/credentials.ts';
import { INIT_PID } from '../proc/pids.ts';
import type { Process } from '../proc/process.ts';
import type { Task } from '../proc/task.ts';
import { define, type Kind, type Result } from './define.ts';
import {
  id16, id32, idResult, int, intResult, loadAt, none, pid, pidResult, pointerIn, pointerOut, storeAt,
} from './kinds.ts';

/** 16-bit calls show ids that do not fit as this one. */
const OVERFLOW_ID = 65534;
/** "No change" in 32-bit calls. */
const NO_CHANGE = 0xffffffff;
/** Linux's NGROUPS_MAX. */
const NGROUPS_MAX = 65536;

function simple<R>(name: string, result: Result<R>, handler: (task: Task) => R) {
  return define({ name, args: [], result, support: 'full', handler });
}

// ---- Processes and sessions ----------------------------------------------------------------------------------------------------

/** The process that a number means, be it one of its threads' (0: the caller's own); ESRCH where there is none. */
function processOf({ kernel, process: own }: Task, number: number): Process {
  const process = number === 0 ? own : (kernel.processes.get(number) ?? kernel.tasks.get(number)?.process);
  if (process === undefined) throw errno(ESRCH);
  return process;
}

/** A number of the process's; the machine, which nobody sees more of, leads a group and a session of its own. */
function numberOf(task: Task, number: number, which: 'pgid' | 'sid'): number {
  return number === INIT_PID ? INIT_PID : processOf(task, number)[which];
}

const setpgid = define({
  name: 'setpgid', args: [['pid', pid], ['pgid', pid]], result: none, support: 'full',
  handler: (task, number, group) => {
    if (group < 0 || (group === 0 && number < 0)) throw errno(EINVAL);
    const process = processOf(task, number);
    if (number !== 0 && process.pid !== number) throw errno(EINVAL);
    if (process !== task.process && process.parent !== task.process) throw errno(ESRCH);
    if (process.sid !== task.process.sid) throw errno(EPERM);
    // A child that runs a program of its own arranges itself.
    if (process !== task.process && process.hasExecuted) throw errno(EACCES);
    if (process.pid === process.sid) throw errno(EPERM);
    const wanted = group === 0 ? process.pid : group;
    const exists = [...task.kernel.processes.values()].some((other) => other.pgid === wanted && other.sid === process.sid);
    if (wanted !== process.pid && !exists) throw errno(EPERM);
    process.pgid = wanted;
  },
});

const setsid = simple('setsid', pidResult, (task) => {
  const { process, kernel } = task;
  if ([...kernel.processes.values()].some((other) => other.pgid === process.pid)) throw errno(EPERM);
  process.sid = process.pid;
  process.pgid = process.pid;
  return process.pid;
});

const sessions = [
  simple('getpid', pidResult, (task) => task.process.pid),
  simple('gettid', pidResult, (task) => task.tid),
  simple('getppid', pidResult, (task) => task.process.parent?.pid ?? (task.process.orphan ? INIT_PID : 0)),
  simple('getpgrp', pidResult, (task) => task.process.pgid),
  define({ name: 'getpgid', args: [['pid', pid]], result: pidResult, support: 'full', handler: (task, n) => numberOf(task, n, 'pgid') }),
  define({ name: 'getsid', args: [['pid', pid]], result: pidResult, support: 'full', handler: (task, n) => numberOf(task, n, 'sid') }),
  setpgid,
  setsid,
];

// ---- Users and groups ----------------------------------------------------------------------------------------------------------

/** One of the two families of ids that every rule below holds for alike. */
type Family = 'uid' | 'gid';
interface Ids {
  readonly real: number;
  readonly effective: number;
  readonly saved: number;
  readonly fs: number;
}

function idsOf(c: Credentials, family: Family): Ids {
  return family === 'uid'
    ? { real: c.uid, effective: c.euid, saved: c.suid, fs: c.fsuid }
    : { real: c.gid, effective: c.egid, saved: c.sgid, fs: c.fsgid };
}

function withIds(c: Credentials, family: Family, ids: Ids): Credentials {
  return family === 'uid'
    ? { ...c, uid: ids.real, euid: ids.effective, suid: ids.saved, fsuid: ids.fs }
    : { ...c, gid: ids.real, egid: ids.effective, sgid: ids.saved, fsgid: ids.fs };
}

/** Whether the task may take any id. */
function isFree(task: Task, family: Family): boolean {
  return capable(task.credentials, family === 'uid' ? CAP_SETUID : CAP_SETGID);
}

function setIds(task: Task, family: Family, ids: Ids): void {
  const next = withIds(task.credentials, family, ids);
  setCredentials(task, family === 'uid' ? withUserChanged(task.credentials, next) : next);
}

/** Linux: commit_creds. */
export function setCredentials(task: Task, next: Credentials): void {
  if (hidesProcess(task.credentials, next)) {
    task.process.dumpable = 0;
    task.parentDeathSignal = 0;
  }
  task.credentials = next;
}

/** setuid, setgid: all ids for the privileged, else the effective one, to one of its other two. */
function setId(task: Task, family: Family, id: number): void {
  if (id === NO_CHANGE) throw errno(EINVAL);
  const ids = idsOf(task.credentials, family);
  if (isFree(task, family)) setIds(task, family, { real: id, effective: id, saved: id, fs: id });
  else if (id === ids.real || id === ids.saved) setIds(task, family, { ...ids, effective: id, fs: id });
  else throw errno(EPERM);
}

function setRealEffective(task: Task, family: Family, real: number, effective: number): void {
  const ids = idsOf(task.credentials, family);
  const free = isFree(task, family);
  if (real !== NO_CHANGE && !free && real !== ids.real && real !== ids.effective) throw errno(EPERM);
  if (effective !== NO_CHANGE && !free && effective !== ids.real && effective !== ids.effective && effective !== ids.saved) throw errno(EPERM);
  const next = { real: real === NO_CHANGE ? ids.real : real, effective: effective === NO_CHANGE ? ids.effective : effective };
  const savedFollows = real !== NO_CHANGE || (effective !== NO_CHANGE && effective !== ids.real);
  setIds(task, family, { ...next, saved: savedFollows ? next.effective : ids.saved, fs: next.effective });
}

function setAll(task: Task, family: Family, real: number, effective: number, saved: number): void {
  const ids = idsOf(task.credentials, family);
  const known = [ids.real, ids.effective, ids.saved, NO_CHANGE];
  if (!isFree(task, family) && ![real, effective, saved].every((id) => known.includes(id))) throw errno(EPERM);
  const pick = (id: number, old: number) => (id === NO_CHANGE ? old : id);
  const next = pick(effective, ids.effective);
  setIds(task, family, { real: pick(real, ids.real), effective: next, saved: pick(saved, ids.saved), fs: next });
}

/** Returns the old id; an id that may not be taken changes nothing, and no error says so. */
function setFs(task: Task, family: Family, id: number): number {
  const ids = idsOf(task.credentials, family);
  const allowed = isFree(task, family) || [ids.real, ids.effective, ids.saved, ids.fs].includes(id);
  if (allowed && id !== NO_CHANGE) {
    const next = withIds(task.credentials, family, { ...ids, fs: id });
    setCredentials(task, family === 'uid' ? withFileUserChanged(task.credentials, next) : next);
  }
  return ids.fs;
}

function wide(id: number): number {
  return id === -1 ? NO_CHANGE : id;
}

function narrow(id: number): number {
  return id > 0xffff ? OVERFLOW_ID : id;
}

/** The calls that exist once with 16-bit and once with 32-bit ids. `suffix` is '32' for the wide ones. */
function idCalls(suffix: '' | '32') {
  const is32 = suffix === '32';
  const id: Kind<number> = is32 ? id32 : id16;
  const layout = is32 ? u32 : u16;
  const shown = is32 ? (value: number) => value : narrow;
  const get = (name: string, family: Family, which: keyof Ids) =>
    simple(`${name}${suffix}`, idResult, (task) => shown(idsOf(task.credentials, family)[which]));
  const getThree = (name: string, family: Family) => define({
    name: `${name}${suffix}`, args: [['real', pointerOut], ['effective', pointerOut], ['saved', pointerOut]], result: none, support: 'full',
    handler: (task, real, effective, saved) => {
      const ids = idsOf(task.credentials, family);
      storeAt(task, real, layout, shown(ids.real));
      storeAt(task, effective, layout, shown(ids.effective));
      storeAt(task, saved, layout, shown(ids.saved));
    },
  });
  return [
    get('getuid', 'uid', 'real'), get('geteuid', 'uid', 'effective'), get('getgid', 'gid', 'real'), get('getegid', 'gid', 'effective'),
    ...(['uid', 'gid'] as const).flatMap((family) => [
      define({
        name: `set${family}${suffix}`, args: [['id', id]], result: none, support: 'full',
        handler: (task, to) => setId(task, family, wide(to)),
      }),
      define({
        name: `setre${family}${suffix}`, args: [['real', id], ['effective', id]], result: none, support: 'full',
        handler: (task, real, effective) => setRealEffective(task, family, wide(real), wide(effective)),
      }),
      define({
        name: `setres${family}${suffix}`, args: [['real', id], ['effective', id], ['saved', id]], result: none, support: 'full',
        handler: (task, real, effective, saved) => setAll(task, family, wide(real), wide(effective), wide(saved)),
      }),
      define({
        name: `setfs${family}${suffix}`, args: [['id', id]], result: idResult, support: 'full',
        handler: (task, to) => shown(setFs(task, family, wide(to))),
      }),
      getThree(`getres${family}`, family),
    ]),
    define({
      name: `getgroups${suffix}`, args: [['size', int], ['list', pointerOut]], result: intResult, support: 'full',
      handler: (task, size, list) => {
        const { groups } = task.credentials;
        if (size < 0 || (size > 0 && size < groups.length)) throw errno(EINVAL);
        if (size > 0) groups.forEach((group, i) => storeAt(task, list + i * layout.size, layout, shown(group)));
        return groups.length;
      },
    }),
    define({
      name: `setgroups${suffix}`, args: [['size', int], ['list', pointerIn]], result: none, support: 'full',
      handler: (task, size, list) => {
        if (!capable(task.credentials, CAP_SETGID)) throw errno(EPERM);
        if (size < 0 || size > NGROUPS_MAX) throw errno(EINVAL);
        task.credentials = { ...task.credentials, groups: loadAt(task, list, array(layout, size)) };
      },
    }),
  ];
}

export const calls = [...sessions, ...idCalls(''), ...idCalls('32')];
