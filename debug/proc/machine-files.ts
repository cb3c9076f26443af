/** The files of /proc itself and of /proc/sys: what the machine looks like to the programs in it. */
import { EINVAL, errno } from '../../abi/errno.ts';
import { PAGE_SIZE } from '../../abi/page.ts';
import { accountMachine, type MachineCounts } from '../../mm/account.ts';
import type { Engine } from '../../emu/engine.ts';
import { textContent } from '../../fs/proc-node.ts';
import type { ProcFiles } from '../../fs/procfs.ts';
import { OVERCOMMIT_MODES } from '../../mm/commitment.ts';
import type { Kernel, Task } from '../../proc/task.ts';
import { locksText } from './descriptor.ts';
import { SYSTEM_FILES } from './system-files.ts';
import { messageQueuesText, semaphoresText, sharedMemoryText } from './sysvipc.ts';

/** What the files need beyond the kernel. */
export interface ProcOptions {
  readonly cpu: Engine['cpu'];
  /** The task whose call is running. */
  readonly current: () => Task | undefined;
}

const KIB = 1024;
const TICK_NS = 10_000_000n;

/** What symbolic links say. */
const LINKS: Readonly<Record<string, string>> = { mounts: 'self/mounts', net: 'self/net' };

type Made = (kernel: Kernel, options: ProcOptions) => string;
/** What may be written, by the privileged. */
const STORES: Readonly<Record<string, (kernel: Kernel, text: string) => void>> = {
  'sys/kernel/domainname': ({ identity }, text) => (identity.domainname = text.trim().slice(0, 64)),
  'sys/kernel/hostname': ({ identity }, text) => (identity.nodename = text.trim().slice(0, 64)),
  'sys/kernel/randomize_va_space': ({ settings }, text) => (settings.randomizeLayout = numberIn(text, 2)),
  'sys/vm/overcommit_memory': ({ commitment }, text) => (commitment.mode = OVERCOMMIT_MODES[numberIn(text, OVERCOMMIT_MODES.length - 1)]),
  'sys/vm/overcommit_ratio': ({ commitment }, text) => (commitment.ratio = numberIn(text, 2 ** 31 - 1)),
};

/** The number from 0 to `most` that somebody writes. Throws EINVAL. */
function numberIn(text: string, most: number): number {
  const value = /^\s*\d+\s*$/.test(text) ? Number(text) : Number.NaN;
  if (!(value <= most)) throw errno(EINVAL);
  return value;
}

export function machineFiles(kernel: Kernel, options: ProcOptions): ProcFiles {
  return {
    names: [...Object.keys(MACHINE_FILES), ...Object.keys(LINKS)],
    file: (path) => {
      if (Object.hasOwn(LINKS, path)) return LINKS[path];
      if (!Object.hasOwn(MACHINE_FILES, path)) return undefined;
      const make = MACHINE_FILES[path];
      const store = STORES[path];
      const write = store && ((text: string) => store(kernel, text));
      return { mode: store === undefined ? 0o444 : 0o644, open: () => textContent(() => make(kernel, options), write) };
    },
  };
}

const MACHINE_FILES: Readonly<Record<string, Made>> = {
  buddyinfo: (kernel) =>
    `Node 0, zone   Normal ${String(Math.floor(kernel.memory().free / PAGE_SIZE)).padStart(6)} ${'     0 '.repeat(10)}\n`,
  cmdline: () => 'seg386\n',
  cpuinfo: (_kernel, { cpu }) => cpuinfoText(cpu),
  devices: () => 'Character devices:\n  1 mem\n  5 /dev/tty\n  5 /dev/ptmx\n136 pts\n\nBlock devices:\n',
  diskstats: () => '',
  filesystems: () =>
    'nodev\tsysfs\nnodev\ttmpfs\nnodev\tproc\nnodev\tdevtmpfs\nnodev\tpipefs\nnodev\tsockfs\nnodev\tdevpts\nnodev\toverlay\n\text4\n',
  interrupts: () => '           CPU0       \n',
  loadavg: (kernel) => `0.00 0.00 0.00 ${running(kernel)}/${kernel.tasks.size} ${Math.max(0, ...kernel.tasks.keys())}\n`,
  locks: (kernel) => locksText(kernel),
  meminfo: (kernel) => meminfoText(kernel),
  modules: () => '',
  partitions: () => 'major minor  #blocks  name\n\n',
  softirqs: () => '                    CPU0       \n',
  stat: (kernel) => statOfMachine(kernel),
  swaps: () => 'Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n',
  'sysvipc/msg': (kernel) => messageQueuesText(kernel),
  'sysvipc/sem': (kernel) => semaphoresText(kernel),
  'sysvipc/shm': (kernel) => sharedMemoryText(kernel),
  'tty/drivers': () =>
    '/dev/tty             /dev/tty        5       0 system:/dev/tty\n/dev/ptmx            /dev/ptmx       5       2 system\npty_slave            /dev/pts      136 0-1048575 pty:slave\n',
  uptime: (kernel) => `${seconds(kernel.clock.monotonic())} ${seconds(idle_ns(kernel))}\n`,
  version: ({ identity }) => `${identity.sysname} version ${identity.release} (seg386@seg386) ${identity.version}\n`,
  vmstat: (kernel) => vmstatText(kernel),
  zoneinfo: () => 'Node 0, zone   Normal\n',
  ...SYSTEM_FILES,
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
  const { anonymous, file, shmem, cached } = accountFrames(kernel);
  const row = (name: string, bytes: number): string => `${`${name}:`.padEnd(15)} ${String(Math.floor(bytes / KIB)).padStart(8)} kB\n`;
  const pages = (count: number): number => count * PAGE_SIZE;
  const zeros = (...names: string[]): [string, number][] => names.map((name) => [name, 0]);
  const rows: [string, number][] = [
    ['MemTotal', total],
    ['MemFree', free],
    ['MemAvailable', free + pages(file + cached)],
    ['Buffers', 0],
    ['Cached', pages(file + shmem + cached)],
    ['SwapCached', 0],
    ['Active', pages(anonymous)],
    ['Inactive', pages(file + cached)],
    ['Active(anon)', pages(anonymous)],
    ['Inactive(anon)', 0],
    ['Active(file)', 0],
    ['Inactive(file)', pages(file + cached)],
    ...zeros('Unevictable', 'Mlocked', 'SwapTotal', 'SwapFree', 'Dirty', 'Writeback'),
    ['AnonPages', pages(anonymous)],
    ['Mapped', pages(file + shmem)],
    ['Shmem', pages(shmem)],
    ...zeros('KReclaimable', 'Slab', 'SReclaimable', 'SUnreclaim', 'KernelStack', 'PageTables', 'NFS_Unstable', 'Bounce', 'WritebackTmp'),
    ['CommitLimit', pages(kernel.commitment.limit)],
    ['Committed_AS', pages(kernel.commitment.promised)],
    ...zeros('VmallocTotal', 'VmallocUsed', 'VmallocChunk', 'AnonHugePages', 'ShmemHugePages', 'ShmemPmdMapped'),
  ];
  return rows.map(([name, bytes]) => row(name, bytes)).join('');
}

/** Where the frames are, as far as spaces tell; the rest is the page cache. */
function accountFrames(kernel: Kernel): MachineCounts {
  const spaces = new Set([...kernel.tasks.values()].map(({ space }) => space));
  const [first] = spaces;
  return first === undefined ? { anonymous: 0, file: 0, shmem: 0, cached: 0 } : accountMachine(first.frames, spaces);
}

function vmstatText(kernel: Kernel): string {
  const { anonymous, file, shmem, cached } = accountFrames(kernel);
  const faults = [...kernel.processes.values()].reduce((sum, { minorFaults, majorFaults }) => sum + minorFaults + majorFaults, 0);
  const rows: [string, number][] = [
    ['nr_free_pages', Math.floor(kernel.memory().free / PAGE_SIZE)],
    ['nr_anon_pages', anonymous],
    ['nr_mapped', file + shmem],
    ['nr_file_pages', file + shmem + cached],
    ['nr_dirty', 0],
    ['nr_writeback', 0],
    ['nr_shmem', shmem],
    ['pgpgin', 0],
    ['pgpgout', 0],
    ['pswpin', 0],
    ['pswpout', 0],
    ['pgfault', faults],
    ['pgmajfault', [...kernel.processes.values()].reduce((sum, { majorFaults }) => sum + majorFaults, 0)],
    ['oom_kill', 0],
  ];
  return rows.map(([name, value]) => `${name} ${value}\n`).join('');
}

function running(kernel: Kernel): number {
  return [...kernel.tasks.values()].filter(({ state }) => state === 'ready').length;
}

/** CPU time of all processes there are, and of those that they waited for. */
function busy_ns(kernel: Kernel): { readonly user: bigint; readonly system: bigint } {
  kernel.account();
  let [user, system] = [0n, 0n];
  for (const process of kernel.processes.values()) {
    user += process.userTime_ns + process.childrenUser_ns;
    system += process.systemTime_ns + process.childrenSystem_ns;
  }
  return { user, system };
}

function idle_ns(kernel: Kernel): bigint {
  const { user, system } = busy_ns(kernel);
  const idle = kernel.clock.monotonic() - user - system;
  return idle > 0n ? idle : 0n;
}

function statOfMachine(kernel: Kernel): string {
  const { user, system } = busy_ns(kernel);
  const times = `${user / TICK_NS} 0 ${system / TICK_NS} ${idle_ns(kernel) / TICK_NS} 0 0 0 0 0 0`;
  const boot = (kernel.clock.realtime() - kernel.clock.monotonic()) / 1_000_000_000n;
  const switches = [...kernel.tasks.values()].reduce((sum, { switches: { voluntary, involuntary } }) => sum + voluntary + involuntary, 0);
  const rows = [
    `cpu  ${times}`,
    `cpu0 ${times}`,
    'intr 0',
    `ctxt ${switches}`,
    `btime ${boot}`,
    `processes ${kernel.pids.given}`,
    `procs_running ${running(kernel)}`,
    'procs_blocked 0',
    `softirq ${'0 '.repeat(11).trimEnd()}`,
  ];
  return `${rows.join('\n')}\n`;
}

function seconds(time_ns: bigint): string {
  return (Number(time_ns / 10_000_000n) / 100).toFixed(2);
}
