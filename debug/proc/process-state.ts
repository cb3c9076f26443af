/** /proc/PID/stat, statm and status: a task in numbers, as Linux's fs/proc/array.c prints them. */
import { PAGE_SIZE } from '../../abi/page.ts';
import { RLIM_INFINITY } from '../../abi/resource.ts';
import { SIG_DFL, SIG_IGN, type SignalSet } from '../../abi/signal.ts';
import { deviceMajor, deviceMinor } from '../../abi/stat.ts';
import { accountSpace, residentPages } from '../../mm/account.ts';
import { USER_TOP } from '../../mm/placement.ts';
import type { AddressSpace } from '../../mm/space.ts';
import { type Process, waitStatus } from '../../proc/process.ts';
import { filterCount } from '../../proc/seccomp.ts';
import { EMPTY_SET, withSignal } from '../../proc/signal.ts';
import type { Task } from '../../proc/task.ts';

const KIB = 1024;
/** Nanoseconds of the clock tick that /proc counts in. */
const TICK_NS = 10_000_000n;
const NSIG = 64;

function pagesOf(space: AddressSpace): { readonly mapped: number; readonly data: number; readonly stack: number } {
  const { pages, dataPages } = space.table;
  const stack = space.stackTop === 0 ? undefined : space.find(space.stackTop - 1);
  return { mapped: pages, data: dataPages, stack: stack === undefined ? 0 : (stack.top - stack.base) / PAGE_SIZE };
}

function codePages({ image, status }: Process): number {
  return image === undefined || status !== undefined ? 0 : Math.ceil(image.endCode / PAGE_SIZE) - Math.floor(image.startCode / PAGE_SIZE);
}

export function statmText({ space, process }: Task): string {
  const { anonymous, file, shmem } = residentPages(space);
  const { mapped, data, stack } = pagesOf(space);
  return `${mapped} ${anonymous + file + shmem} ${file + shmem} ${codePages(process)} 0 ${data + stack} 0\n`;
}

function stateOf(task: Task): string {
  if (task.state === 'dead') return 'Z';
  if (task.process.stopped) return 'T';
  return task.state === 'waiting' ? 'S' : 'R';
}

export function statText(task: Task): string {
  const { process, kernel, space, signals } = task;
  kernel.account();
  const { anonymous, file, shmem } = residentPages(space);
  const image = process.image;
  const terminal = kernel.files.terminalOf?.(process.sid);
  const ticks = (time_ns: bigint): string => String(time_ns / TICK_NS);
  const fields = [
    task.tid,
    `(${task.name})`,
    stateOf(task),
    process.parent?.pid ?? 0,
    process.pgid,
    process.sid,
    terminal === undefined ? 0 : terminalNumber(terminal.rdev),
    terminal?.foreground ?? -1,
    4194304,
    process.minorFaults,
    0,
    process.majorFaults,
    0,
    ticks(process.userTime_ns),
    ticks(process.systemTime_ns),
    ticks(process.childrenUser_ns),
    ticks(process.childrenSystem_ns),
    task.rank > 0 ? -1 - task.rank : 20 + task.nice,
    task.nice,
    process.tids.size,
    0,
    ticks(process.started_ns),
    pagesOf(space).mapped * PAGE_SIZE,
    anonymous + file + shmem,
    RLIM_INFINITY,
    image?.startCode ?? 0,
    image?.endCode ?? 0,
    image?.startStack ?? 0,
    0,
    0,
    signals.pending.set.low | 0,
    signals.mask.low | 0,
    handled(task, SIG_IGN).low | 0,
    caught(task).low | 0,
    0,
    0,
    0,
    process.exitSignal,
    0,
    task.realtimePriority,
    task.policy,
    0,
    0,
    0,
    image?.startData ?? 0,
    image?.endData ?? 0,
    space.brkStart,
    image?.argStart ?? 0,
    image?.envStart ?? 0,
    image?.envStart ?? 0,
    image?.envEnd ?? 0,
    process.status === undefined ? 0 : waitStatus(process.status),
  ];
  return `${fields.join(' ')}\n`;
}

/** Linux new_encode_dev. */
function terminalNumber(rdev: number): number {
  const minor = deviceMinor(rdev);
  return (minor & 0xff) | (deviceMajor(rdev) << 8) | ((minor & ~0xff) << 12);
}

export function statusText(task: Task): string {
  const { process, credentials, space, signals } = task;
  const { size, anonymous, file, shmem, data, stack, executable, lockedSize } = accountSpace(space);
  const isDead = task.state === 'dead';
  const resident = anonymous + file + shmem;
  const text = Math.min(codePages(process), executable);
  const kib = (pages: number): string => `${String((pages * PAGE_SIZE) / KIB).padStart(8)} kB`;
  const { uid, euid, suid, fsuid, gid, egid, sgid, fsgid, groups } = credentials;
  const { permitted, effective, inheritable, bounding, ambient } = credentials;
  const capabilities = (set: bigint): string => set.toString(16).padStart(16, '0');
  const rows: [string, string | number][] = [
    ['Name', task.name],
    ['Umask', task.fs.umask.toString(8).padStart(4, '0')],
    ['State', STATES[stateOf(task)]],
    ['Tgid', process.pid],
    ['Ngid', 0],
    ['Pid', task.tid],
    ['PPid', process.parent?.pid ?? 0],
    ['TracerPid', 0],
    ['Uid', [uid, euid, suid, fsuid].join('\t')],
    ['Gid', [gid, egid, sgid, fsgid].join('\t')],
    ['FDSize', descriptorSlots(task)],
    ['Groups', `${groups.join(' ')} `],
    ['NStgid', process.pid],
    ['NSpid', task.tid],
    ['NSpgid', process.pgid],
    ['NSsid', process.sid],
    ['VmPeak', kib(space.table.peak)],
    ['VmSize', kib(size)],
    ['VmLck', kib(lockedSize)],
    ['VmPin', kib(0)],
    ['VmHWM', kib(Math.max(resident, space.peakResident))],
    ['VmRSS', kib(resident)],
    ['RssAnon', kib(anonymous)],
    ['RssFile', kib(file)],
    ['RssShmem', kib(shmem)],
    ['VmData', kib(data)],
    ['VmStk', kib(stack)],
    ['VmExe', kib(text)],
    ['VmLib', kib(executable - text)],
    ['VmPTE', kib(isDead ? 0 : tablePages(space))],
    ['VmSwap', kib(0)],
    ['HugetlbPages', kib(0)],
    ['CoreDumping', 0],
    ['THP_enabled', 0],
    ['Threads', process.tids.size],
    ['SigQ', `0/${process.limits[11].current}`],
    ['SigPnd', mask(signals.pending.set)],
    ['ShdPnd', mask(process.pending.set)],
    ['SigBlk', mask(signals.mask)],
    ['SigIgn', mask(handled(task, SIG_IGN))],
    ['SigCgt', mask(caught(task))],
    ['CapInh', capabilities(inheritable)],
    ['CapPrm', capabilities(permitted)],
    ['CapEff', capabilities(effective)],
    ['CapBnd', capabilities(bounding)],
    ['CapAmb', capabilities(ambient)],
    ['NoNewPrivs', task.noNewPrivileges ? 1 : 0],
    ['Seccomp', task.seccomp?.mode ?? 0],
    ['Seccomp_filters', filterCount(task.seccomp?.filter)],
    ['Speculation_Store_Bypass', 'not vulnerable'],
    ['Cpus_allowed', 1],
    ['Cpus_allowed_list', 0],
    ['Mems_allowed', 1],
    ['Mems_allowed_list', 0],
    ['voluntary_ctxt_switches', task.switches.voluntary],
    ['nonvoluntary_ctxt_switches', task.switches.involuntary],
  ];
  // What has ended has no memory to speak of.
  const shown = isDead ? rows.filter(([name]) => !/^(?:Vm|Rss|Hugetlb|CoreD|THP)/.test(name)) : rows;
  return shown.map(([name, value]) => `${name}:\t${value}\n`).join('');
}

/** Page tables: the directory, and one for each 4 MiB that something is mapped in and reached. */
function tablePages(space: AddressSpace): number {
  const tables = new Set<number>();
  space.mmu.present({ base: 0, top: USER_TOP }, (at) => tables.add(at >>> 22));
  return tables.size + 1;
}

/** Linux's table of descriptors: 64 slots, doubled until all fit. */
function descriptorSlots({ files }: Task): number {
  let slots = 64;
  for (const fd of files.open()) while (fd >= slots) slots *= 2;
  return slots;
}

const STATES: Readonly<Record<string, string>> = { R: 'R (running)', S: 'S (sleeping)', T: 'T (stopped)', Z: 'Z (zombie)' };

/** The signals whose handler is `handler`. */
function handled(task: Task, handler: number): SignalSet {
  return signalsWhere((signo) => task.actions.get(signo).handler === handler);
}

function caught(task: Task): SignalSet {
  return signalsWhere((signo) => ![SIG_DFL, SIG_IGN].includes(task.actions.get(signo).handler));
}

function signalsWhere(test: (signo: number) => boolean): SignalSet {
  let set = EMPTY_SET;
  for (let signo = 1; signo <= NSIG; signo++) if (test(signo)) set = withSignal(set, signo);
  return set;
}

function mask({ low, high }: SignalSet): string {
  return `${high.toString(16).padStart(8, '0')}${low.toString(16).padStart(8, '0')}`;
}
