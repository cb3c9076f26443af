/** The files of /proc itself and of /proc/sys: what the machine looks like to the programs in it. */
import { PAGE_SIZE } from '../../abi/page.ts';
import type { Engine } from '../../emu/engine.ts';
import { textContent } from '../../fs/proc-node.ts';
import type { ProcFiles } from '../../fs/procfs.ts';
import { MAX_MAP_COUNT } from '../../mm/request.ts';
import type { Kernel, Task } from '../../proc/task.ts';

/** What the files need beyond the kernel. */
export interface ProcOptions {
  readonly cpu: Engine['cpu'];
  /** The task whose call is running. */
  readonly current: () => Task | undefined;
}

const KIB = 1024;
const TICK_NS = 10_000_000n;

/** What symbolic links say. */
const LINKS: Readonly<Record<string, string>> = { mounts: 'self/mounts' };

export function machineFiles(kernel: Kernel, options: ProcOptions): ProcFiles {
  return {
    names: [...Object.keys(MACHINE_FILES), ...Object.keys(LINKS)],
    file: (path) => {
      if (Object.hasOwn(LINKS, path)) return LINKS[path];
      if (!Object.hasOwn(MACHINE_FILES, path)) return undefined;
      const make = MACHINE_FILES[path];
      return { mode: 0o444, open: () => textContent(() => make(kernel, options)) };
    },
  };
}

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
  'sys/vm/overcommit_kbytes': () => '0\n',
  'sys/vm/overcommit_memory': () => '0\n',
  'sys/vm/overcommit_ratio': () => '50\n',
  'sys/vm/page-cluster': () => '3\n',
  'sys/vm/swappiness': () => '60\n',
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
