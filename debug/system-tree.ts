/** What /sys shows of a machine: one processor, one node of memory, one network interface, no devices. */
import { ARPHRD_LOOPBACK, LOOPBACK } from '../abi/interface.ts';
import { folder, line, link, type SysEntries, type SysEntry, unreadable } from '../fs/sysfs.ts';
import type { Kernel } from '../proc/task.ts';

/** Of cpumasks and lists: processor 0, or node 0. */
const FIRST = '0',
  MASK = '1';

export function systemTree(kernel: Kernel): SysEntries {
  return {
    block: folder(),
    bus: folder(),
    class: folder({ block: folder(), net: folder({ lo: link('../../devices/virtual/net/lo') }) }),
    dev: folder({ block: folder(), char: folder() }),
    devices: folder({ system: folder({ cpu: processors(), node: nodes(kernel) }), virtual: folder({ net: folder({ lo: loopback() }) }) }),
    firmware: folder(),
    fs: folder({ cgroup: folder() }),
    kernel: folder(ofKernel()),
    module: folder(),
    power: folder(),
  };
}

// ---- Processors ------------------------------------------------------------------------------------------------------------------------

function processors(): SysEntry {
  return folder({
    cpu0: folder({
      cache: folder({ index0: cache(0, 'Data', 1), index1: cache(1, 'Instruction', 1), index2: cache(2, 'Unified', 2) }),
      node0: link('../../node/node0'),
      topology: topology(),
    }),
    isolated: line(''),
    kernel_max: line(0),
    offline: line(''),
    online: line(FIRST),
    possible: line(FIRST),
    present: line(FIRST),
    smt: folder({ active: line(0), control: line('notsupported') }),
  });
}

function topology(): SysEntry {
  const entries: Record<string, SysEntry> = { core_id: line(0), die_id: line(0), physical_package_id: line(0) };
  for (const group of ['core_cpus', 'core_siblings', 'die_cpus', 'package_cpus', 'thread_siblings']) {
    entries[group] = line(MASK);
    entries[`${group}_list`] = line(FIRST);
  }
  return folder(entries);
}

const LINE = 64,
  WAYS = 8;
/** KiB by level. */
const CACHE_SIZES: Readonly<Record<number, number>> = { 1: 32, 2: 1024 };

/** There are no caches whose like could be measured: a usual size for those who cut their work to it. */
function cache(id: number, type: string, level: number): SysEntry {
  const size = CACHE_SIZES[level];
  return folder({
    coherency_line_size: line(LINE),
    id: line(id),
    level: line(level),
    number_of_sets: line((size * 1024) / (LINE * WAYS)),
    physical_line_partition: line(1),
    shared_cpu_list: line(FIRST),
    shared_cpu_map: line(MASK),
    size: line(`${size}K`),
    type: line(type),
    ways_of_associativity: line(WAYS),
  });
}

// ---- Memory ----------------------------------------------------------------------------------------------------------------------------

function nodes(kernel: Kernel): SysEntry {
  const counts = ['numa_hit', 'numa_miss', 'numa_foreign', 'interleave_hit', 'local_node', 'other_node'];
  return folder({
    has_cpu: line(FIRST),
    has_memory: line(FIRST),
    has_normal_memory: line(FIRST),
    node0: folder({
      cpu0: link('../../cpu/cpu0'),
      cpulist: line(FIRST),
      cpumap: line(MASK),
      distance: line(10),
      meminfo: line(() => nodeMemory(kernel)),
      numastat: line(counts.map((name) => `${name} 0`).join('\n')),
    }),
    online: line(FIRST),
    possible: line(FIRST),
  });
}

function nodeMemory(kernel: Kernel): string {
  const { total, free } = kernel.memory();
  const rows = [
    ['MemTotal', total],
    ['MemFree', free],
    ['MemUsed', total - free],
  ] as const;
  return rows.map(([name, bytes]) => `Node 0 ${`${name}:`.padEnd(15)} ${String(Math.floor(bytes / 1024)).padStart(8)} kB`).join('\n');
}

// ---- The loopback ----------------------------------------------------------------------------------------------------------------------

const STATISTICS = [
  ...['collisions', 'multicast', 'rx_bytes', 'rx_compressed', 'rx_crc_errors', 'rx_dropped', 'rx_errors', 'rx_fifo_errors'],
  ...['rx_frame_errors', 'rx_length_errors', 'rx_missed_errors', 'rx_nohandler', 'rx_over_errors', 'rx_packets', 'tx_aborted_errors'],
  ...['tx_bytes', 'tx_carrier_errors', 'tx_compressed', 'tx_dropped', 'tx_errors', 'tx_fifo_errors', 'tx_heartbeat_errors', 'tx_packets'],
  'tx_window_errors',
];

function loopback(): SysEntry {
  const nobody = '00:00:00:00:00:00';
  return folder({
    addr_assign_type: line(0),
    addr_len: line(6),
    address: line(nobody),
    broadcast: line(nobody),
    carrier: line(1),
    carrier_changes: line(0),
    dev_id: line('0x0'),
    dev_port: line(0),
    dormant: line(0),
    duplex: unreadable(),
    // Without IFF_RUNNING, which is found out when it is asked for.
    flags: line('0x9'),
    ifalias: line(''),
    ifindex: line(LOOPBACK.index),
    iflink: line(LOOPBACK.index),
    link_mode: line(0),
    mtu: line(LOOPBACK.mtu),
    netdev_group: line(0),
    operstate: line('unknown'),
    proto_down: line(0),
    speed: unreadable(),
    statistics: folder(Object.fromEntries(STATISTICS.map((name) => [name, line(0)]))),
    subsystem: link('../../../../class/net'),
    tx_queue_len: line(LOOPBACK.queue),
    type: line(ARPHRD_LOOPBACK),
    uevent: line(`INTERFACE=${LOOPBACK.name}\nIFINDEX=${LOOPBACK.index}`),
  });
}

// ---- The kernel ------------------------------------------------------------------------------------------------------------------------

function ofKernel(): SysEntries {
  return {
    address_bits: line(32),
    cpu_byteorder: line('little'),
    debug: folder(),
    fscaps: line(1),
    mm: folder({
      hugepages: folder(),
      transparent_hugepage: folder({
        defrag: line('always defer defer+madvise madvise [never]'),
        enabled: line('always madvise [never]'),
        hpage_pmd_size: line(2_097_152),
        shmem_enabled: line('always within_size advise [never] deny force'),
        use_zero_page: line(0),
      }),
    }),
    security: folder(),
    uevent_seqnum: line(0),
  };
}
