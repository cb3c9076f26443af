/** What /proc shows of a kernel's processes and of the machine, as Linux's fs/proc prints it. The tree itself is fs/procfs.ts. */
import { Errno } from '../abi/errno.ts';
import { PAGE_SIZE } from '../abi/page.ts';
import { RLIM_INFINITY } from '../abi/resource.ts';
import { SIG_DFL, SIG_IGN, type SignalSet } from '../abi/signal.ts';
import type { Engine } from '../emu/engine.ts';
import { pathOf } from '../fs/path.ts';
import type { ProcessView, ProcSource } from '../fs/procfs.ts';
import { accountSpace, residentPages } from '../mm/account.ts';
import { MAX_MAP_COUNT } from '../mm/request.ts';
import type { AddressSpace } from '../mm/space.ts';
import { MustWait } from '../mm/user.ts';
import { privileged } from '../proc/credentials.ts';
import type { Process } from '../proc/process.ts';
import { EMPTY_SET, withSignal } from '../proc/signal.ts';
import { type Kernel, type Task, threadsOf } from '../proc/task.ts';
import { mapsText } from './maps.ts';
import { smapsRollupText, smapsText } from './smaps.ts';

/** What the files need beyond the kernel. */
export interface ProcOptions {
  readonly cpu: Engine['cpu'];
  /** The task whose call is running. */
  readonly current: () => Task | undefined;
}

const KIB = 1024;
/** Nanoseconds of the clock tick that /proc counts in. */
const TICK_NS = 10_000_000n;
const NSIG = 64;

export function procSource(kernel: Kernel, options: ProcOptions): ProcSource {
  return {
    now_ns: () => kernel.clock.realtime(),
    pids: () => kernel.processes.keys(),
    self: () => {
      const task = options.current();
      return task && { pid: task.process.pid, tid: task.tid };
    },
    process: (pid) => processView(kernel, pid, options),
    files: Object.keys(MACHINE_FILES),
    text: (path) => MACHINE_FILES[path]?.(kernel, options),
  };
}

function processView(kernel: Kernel, pid: number, options: ProcOptions): ProcessView | undefined {
  const process = kernel.processes.get(pid);
  const [task] = process === undefined ? [] : threadsOf(kernel, process);
  if (process === undefined || task === undefined) return undefined;
  return {
    uid: task.credentials.euid,
    gid: task.credentials.egid,
    files: Object.keys(PROCESS_FILES),
    text: (name) => PROCESS_FILES[name]?.(task),
    mayInspect: () => mayInspect(options.current(), task),
    exe: () => process.image?.place,
    cwd: () => task.fs.cwd,
    root: () => task.fs.root,
    pathOf: (place) => pathOf(place, task.fs.root) ?? place.name,
    fds: () => task.files.open(),
    description: (fd) => (task.files.has(fd) ? task.files.get(fd) : undefined),
    tids: () => process.tids,
  };
}

/** Linux's ptrace_may_access: oneself; who may do anything; or who has all the other's ids, unless that one has given up being looked into. */
function mayInspect(by: Task | undefined, task: Task): boolean {
  if (by === undefined || by.process === task.process || privileged(by.credentials)) return true;
  const { fsuid, fsgid } = by.credentials;
  const { uid, euid, suid, gid, egid, sgid } = task.credentials;
  const isSame = [uid, euid, suid].every((id) => id === fsuid) && [gid, egid, sgid].every((id) => id === fsgid);
  return isSame && task.process.dumpable === 1;
}

// ---- Files of a process ----------------------------------------------------------------------------------------------------------------

const PROCESS_FILES: Readonly<Record<string, (task: Task) => string>> = {
  auxv: ({ process }) => String.fromCharCode(...(process.image?.auxv ?? [])),
  cgroup: () => '0::/\n',
  cmdline: (task) => strings(task, task.process.image?.argStart, task.process.image?.envStart),
  comm: ({ name }) => `${name}\n`,
  environ: (task) => strings(task, task.process.image?.envStart, task.process.image?.envEnd),
  limits: ({ process }) => limitsText(process),
  maps: ({ space }) => mapsText(space),
  mountinfo: () => '1 1 0:1 / / rw,relatime - ext4 /dev/root rw\n',
  mounts: () => '/dev/root / ext4 rw,relatime 0 0\nproc /proc proc rw,nosuid,nodev,noexec,relatime 0 0\n',
  loginuid: () => '4294967295',
  oom_adj: () => '0\n',
  oom_score: () => '0\n',
  oom_score_adj: () => '0\n',
  personality: ({ process }) => `${process.personality.toString(16).padStart(8, '0')}\n`,
  stat: statText,
  sessionid: () => '4294967295',
  smaps: ({ space }) => smapsText(space),
  smaps_rollup: ({ space }) => smapsRollupText(space),
  statm: statmText,
  status: statusText,
  wchan: () => '0',
};

/** The strings as they are in the program's memory now: programs write over them to change what ps shows. */
function strings(task: Task, from = 0, to = 0): string {
  const bytes = new Uint8Array(Math.max(0, to - from));
  try {
    const there = task.user.copyIn(from, bytes);
    let text = '';
    for (let at = 0; at < there; at += PAGE_SIZE) text += String.fromCharCode(...bytes.subarray(at, Math.min(there, at + PAGE_SIZE)));
    return text;
  } catch (error) {
    if (error instanceof Errno || error instanceof MustWait) return '';
    throw error;
  }
}

function pagesOf(space: AddressSpace): { readonly mapped: number; readonly data: number; readonly stack: number } {
  const { pages, dataPages } = space.table;
  const stack = space.stackTop === 0 ? undefined : space.find(space.stackTop - 1);
  return { mapped: pages, data: dataPages, stack: stack === undefined ? 0 : (stack.top - stack.base) / PAGE_SIZE };
}

function codePages({ image }: Process): number {
  return image === undefined ? 0 : Math.ceil(image.endCode / PAGE_SIZE) - Math.floor(image.startCode / PAGE_SIZE);
}

function statmText({ space, process }: Task): string {
  const { anonymous, file, shmem } = residentPages(space);
  const { mapped, data, stack } = pagesOf(space);
  return `${mapped} ${anonymous + file + shmem} ${file + shmem} ${codePages(process)} 0 ${data + stack} 0\n`;
}

function stateOf(task: Task): string {
  if (task.process.stopped) return 'T';
  return task.state === 'waiting' ? 'S' : 'R';
}

function statText(task: Task): string {
  const { process, kernel, space, signals } = task;
  kernel.account();
  const { anonymous, file, shmem } = residentPages(space);
  const image = process.image;
  const ticks = (time_ns: bigint): string => String(time_ns / TICK_NS);
  const fields = [
    task.tid,
    `(${task.name})`,
    stateOf(task),
    process.parent?.pid ?? 0,
    process.pgid,
    process.sid,
    0,
    -1,
    4194304,
    process.minorFaults,
    0,
    process.majorFaults,
    0,
    ticks(process.userTime_ns),
    ticks(process.systemTime_ns),
    ticks(process.childrenUser_ns),
    ticks(process.childrenSystem_ns),
    20 + task.nice,
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
    0,
    0,
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
    0,
  ];
  return `${fields.join(' ')}\n`;
}

function statusText(task: Task): string {
  const { process, credentials, space, signals } = task;
  const { size, anonymous, file, shmem, data, stack, executable, lockedSize } = accountSpace(space);
  const resident = anonymous + file + shmem;
  const text = Math.min(codePages(process), executable);
  const kib = (pages: number): string => `${String((pages * PAGE_SIZE) / KIB).padStart(8)} kB`;
  const { uid, euid, suid, fsuid, gid, egid, sgid, fsgid, groups } = credentials;
  const capabilities = euid === 0 ? '000001ffffffffff' : '0000000000000000';
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
    ['FDSize', 64],
    ['Groups', `${groups.join(' ')} `],
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
    ['VmPTE', kib(0)],
    ['VmSwap', kib(0)],
    ['Threads', process.tids.size],
    ['SigQ', `0/${process.limits[11].current}`],
    ['SigPnd', mask(signals.pending.set)],
    ['ShdPnd', mask(process.pending.set)],
    ['SigBlk', mask(signals.mask)],
    ['SigIgn', mask(handled(task, SIG_IGN))],
    ['SigCgt', mask(caught(task))],
    ['CapInh', '0000000000000000'],
    ['CapPrm', capabilities],
    ['CapEff', capabilities],
    ['CapBnd', '000001ffffffffff'],
    ['CapAmb', '0000000000000000'],
    ['NoNewPrivs', task.noNewPrivileges ? 1 : 0],
    ['Seccomp', 0],
    ['Cpus_allowed', 1],
    ['Cpus_allowed_list', 0],
    ['Mems_allowed', 1],
    ['Mems_allowed_list', 0],
    ['voluntary_ctxt_switches', 0],
    ['nonvoluntary_ctxt_switches', 0],
  ];
  return rows.map(([name, value]) => `${name}:\t${value}\n`).join('');
}

const STATES: Readonly<Record<string, string>> = { R: 'R (running)', S: 'S (sleeping)', T: 'T (stopped)' };

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

/** In the order of RLIMIT_ numbers. */
const LIMIT_NAMES: readonly (readonly [name: string, unit: string])[] = [
  ['Max cpu time', 'seconds'],
  ['Max file size', 'bytes'],
  ['Max data size', 'bytes'],
  ['Max stack size', 'bytes'],
  ['Max core file size', 'bytes'],
  ['Max resident set', 'bytes'],
  ['Max processes', 'processes'],
  ['Max open files', 'files'],
  ['Max locked memory', 'bytes'],
  ['Max address space', 'bytes'],
  ['Max file locks', 'locks'],
  ['Max pending signals', 'signals'],
  ['Max msgqueue size', 'bytes'],
  ['Max nice priority', ''],
  ['Max realtime priority', ''],
  ['Max realtime timeout', 'us'],
];

function limitsText({ limits }: Process): string {
  const text = (value: bigint): string => (value === RLIM_INFINITY ? 'unlimited' : String(value));
  const row = (name: string, soft: string, hard: string, unit: string): string =>
    `${name.padEnd(25)} ${soft.padEnd(20)} ${hard.padEnd(20)} ${unit.padEnd(10)}\n`;
  const rows = LIMIT_NAMES.map(([name, unit], i) => row(name, text(limits[i].current), text(limits[i].maximum), unit));
  return row('Limit', 'Soft Limit', 'Hard Limit', 'Units') + rows.join('');
}

// ---- Files of the machine --------------------------------------------------------------------------------------------------------------

const MACHINE_FILES: Readonly<Record<string, (kernel: Kernel, options: ProcOptions) => string>> = {
  cmdline: () => 'seg386\n',
  devices: () => 'Character devices:\n  1 mem\n  5 /dev/tty\n  5 /dev/ptmx\n136 pts\n\nBlock devices:\n',
  interrupts: () => '           CPU0       \n',
  partitions: () => 'major minor  #blocks  name\n\n',
  swaps: () => 'Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n',
  vmstat: (kernel) => vmstatText(kernel),
  buddyinfo: (kernel) =>
    `Node 0, zone   Normal ${String(Math.floor(kernel.memory().free / PAGE_SIZE)).padStart(6)} ${'     0 '.repeat(10)}\n`,
  cpuinfo: (_kernel, { cpu }) => cpuinfoText(cpu),
  filesystems: () => 'nodev\tproc\nnodev\ttmpfs\nnodev\tpipefs\n\text4\n',
  loadavg: (kernel) => `0.00 0.00 0.00 1/${kernel.tasks.size} ${Math.max(0, ...kernel.tasks.keys())}\n`,
  meminfo: (kernel) => meminfoText(kernel),
  stat: (kernel) => statOfMachine(kernel),
  uptime: (kernel) => `${seconds(kernel.clock.monotonic())} 0.00\n`,
  version: ({ identity }) => `${identity.sysname} version ${identity.release} ${identity.version}\n`,
  'sys/fs/file-max': () => '1048576\n',
  'sys/fs/pipe-max-size': () => '1048576\n',
  'sys/kernel/cap_last_cap': () => '40\n',
  'sys/kernel/hostname': ({ identity }) => `${identity.nodename}\n`,
  'sys/kernel/ngroups_max': () => '65536\n',
  'sys/kernel/osrelease': ({ identity }) => `${identity.release}\n`,
  'sys/kernel/ostype': ({ identity }) => `${identity.sysname}\n`,
  'sys/kernel/pid_max': () => '32768\n',
  'sys/kernel/random/boot_id': () => '6b0e3d9c-5e67-4b8e-8f27-386386386386\n',
  'sys/kernel/random/uuid': (kernel) => uuidText(kernel),
  'sys/kernel/randomize_va_space': () => '0\n',
  'sys/kernel/threads-max': () => '32768\n',
  'sys/kernel/version': ({ identity }) => `${identity.version}\n`,
  'sys/vm/max_map_count': () => `${MAX_MAP_COUNT}\n`,
  'sys/vm/mmap_min_addr': () => '65536\n',
  'sys/vm/overcommit_memory': () => '0\n',
};

/** Names of CPUID leaf 1's feature bits, edx and ecx, as Linux prints them; bits without a name are not shown. */
const EDX =
  'fpu vme de pse tsc msr pae mce cx8 apic - sep mtrr pge mca cmov pat pse36 pn clflush - dts acpi mmx fxsr sse sse2 ss ht tm ia64 pbe'.split(
    ' ',
  );
const ECX =
  'pni pclmulqdq dtes64 monitor ds_cpl vmx smx est tm2 ssse3 cid sdbg fma cx16 xtpr pdcm - pcid dca sse4_1 sse4_2 x2apic movbe popcnt - aes xsave - avx f16c rdrand hypervisor'.split(
    ' ',
  );

function cpuinfoText({ hwcap, ecx }: Engine['cpu']): string {
  const names = (word: number, table: readonly string[]): string[] =>
    table.filter((name, bit) => name !== '-' && ((word >>> bit) & 1) === 1);
  const rows: [string, string][] = [
    ['processor', '0'],
    ['vendor_id', 'GenuineIntel'],
    ['cpu family', '6'],
    ['model', '6'],
    ['model name', 'seg386'],
    ['stepping', '3'],
    ['cpu MHz', '1000.000'],
    ['physical id', '0'],
    ['siblings', '1'],
    ['core id', '0'],
    ['cpu cores', '1'],
    ['fpu', 'yes'],
    ['fpu_exception', 'yes'],
    ['cpuid level', '1'],
    ['wp', 'yes'],
    ['flags', [...names(hwcap, EDX), ...names(ecx, ECX)].join(' ')],
    ['bogomips', '2000.00'],
    ['clflush size', '64'],
    ['cache_alignment', '64'],
  ];
  return `${rows.map(([name, value]) => `${name.padEnd(15)}\t: ${value}\n`).join('')}\n`;
}

function meminfoText(kernel: Kernel): string {
  const { total, free } = kernel.memory();
  const row = (name: string, bytes: number): string => `${`${name}:`.padEnd(15)} ${String(Math.floor(bytes / KIB)).padStart(8)} kB\n`;
  return [
    row('MemTotal', total),
    row('MemFree', free),
    row('MemAvailable', free),
    row('Buffers', 0),
    row('Cached', 0),
    row('SwapTotal', 0),
    row('SwapFree', 0),
  ].join('');
}

function vmstatText(kernel: Kernel): string {
  const faults = [...kernel.processes.values()].reduce((sum, { minorFaults, majorFaults }) => sum + minorFaults + majorFaults, 0);
  return `nr_free_pages ${Math.floor(kernel.memory().free / PAGE_SIZE)}\npgfault ${faults}\npswpin 0\npswpout 0\n`;
}

function statOfMachine(kernel: Kernel): string {
  const ticks = [...kernel.processes.values()].reduce((sum, { userTime_ns }) => sum + userTime_ns / TICK_NS, 0n);
  const boot = (kernel.clock.realtime() - kernel.clock.monotonic()) / 1_000_000_000n;
  return `cpu  ${ticks} 0 0 0 0 0 0 0 0 0\ncpu0 ${ticks} 0 0 0 0 0 0 0 0 0\nintr 0\nctxt 0\nbtime ${boot}\nprocesses ${kernel.processes.size}\nprocs_running 1\nprocs_blocked 0\n`;
}

function seconds(time_ns: bigint): string {
  return (Number(time_ns / 10_000_000n) / 100).toFixed(2);
}

/** A random one at each read. */
function uuidText(kernel: Kernel): string {
  const bytes = new Uint8Array(16);
  kernel.random(bytes);
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const text = [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  return `${[text.slice(0, 8), text.slice(8, 12), text.slice(12, 16), text.slice(16, 20), text.slice(20)].join('-')}\n`;
}
