/** /proc/sys: what may be asked of the kernel's settings. Those that mean nothing here have the values of a kernel that was left as it is. */
import { SHMALL, SHMMAX, SHMMNI } from '../../abi/ipc.ts';
import { OVERCOMMIT_MODES } from '../../mm/commitment.ts';
import { MAX_MAP_COUNT } from '../../mm/request.ts';
import type { Kernel } from '../../proc/task.ts';

/** Where settings are true of the machine, functions say them; the others are words. */
const SETTINGS: Readonly<Record<string, string | ((kernel: Kernel) => string)>> = {
  'fs/aio-max-nr': '65536',
  'fs/aio-nr': '0',
  'fs/dir-notify-enable': '1',
  'fs/epoll/max_user_watches': '1048576',
  'fs/file-max': '1048576',
  'fs/file-nr': (kernel) => `${openFiles(kernel)}\t0\t1048576`,
  'fs/inode-nr': '1024\t0',
  'fs/inotify/max_queued_events': '16384',
  'fs/inotify/max_user_instances': '128',
  'fs/inotify/max_user_watches': '65536',
  'fs/lease-break-time': '45',
  'fs/leases-enable': '1',
  'fs/mount-max': '100000',
  'fs/mqueue/msg_default': '10',
  'fs/mqueue/msg_max': '10',
  'fs/mqueue/msgsize_default': '8192',
  'fs/mqueue/msgsize_max': '8192',
  'fs/mqueue/queues_max': '256',
  'fs/nr_open': '1048576',
  'fs/overflowgid': '65534',
  'fs/overflowuid': '65534',
  'fs/pipe-max-size': '1048576',
  'fs/pipe-user-pages-hard': '0',
  'fs/pipe-user-pages-soft': '16384',
  'fs/protected_fifos': '0',
  'fs/protected_hardlinks': '0',
  'fs/protected_regular': '0',
  'fs/protected_symlinks': '0',
  'fs/suid_dumpable': '0',
  'kernel/auto_msgmni': '0',
  'kernel/cap_last_cap': '40',
  'kernel/core_pattern': 'core',
  'kernel/core_uses_pid': '0',
  'kernel/dmesg_restrict': '1',
  'kernel/domainname': ({ identity }) => identity.domainname,
  'kernel/hostname': ({ identity }) => identity.nodename,
  'kernel/kptr_restrict': '0',
  'kernel/msgmax': '8192',
  'kernel/msgmnb': '16384',
  'kernel/msgmni': '32000',
  'kernel/ngroups_max': '65536',
  'kernel/osrelease': ({ identity }) => identity.release,
  'kernel/ostype': ({ identity }) => identity.sysname,
  'kernel/overflowgid': '65534',
  'kernel/overflowuid': '65534',
  'kernel/panic': '0',
  'kernel/perf_event_paranoid': '2',
  'kernel/pid_max': '4194304',
  'kernel/printk': '4\t4\t1\t7',
  'kernel/random/boot_id': '6b0e3d9c-5e67-4b8e-8f27-386386386386',
  'kernel/random/entropy_avail': '256',
  'kernel/random/poolsize': '256',
  'kernel/random/uuid': (kernel) => uuid(kernel),
  'kernel/randomize_va_space': ({ settings }) => String(settings.randomizeLayout),
  'kernel/sched_rr_timeslice_ms': '100',
  'kernel/sem': '32000\t1024000000\t500\t32000',
  'kernel/shm_rmid_forced': '0',
  'kernel/shmall': String(SHMALL),
  'kernel/shmmax': String(SHMMAX),
  'kernel/shmmni': String(SHMMNI),
  'kernel/tainted': '0',
  'kernel/threads-max': ({ maxTasks }) => String(maxTasks),
  'kernel/unprivileged_bpf_disabled': '2',
  'kernel/version': ({ identity }) => identity.version,
  'net/core/rmem_default': '212992',
  'net/core/rmem_max': '212992',
  'net/core/somaxconn': '4096',
  'net/core/wmem_default': '212992',
  'net/core/wmem_max': '212992',
  'net/ipv4/ip_forward': '0',
  'net/ipv4/ip_local_port_range': '32768\t60999',
  'net/ipv4/ip_unprivileged_port_start': '1024',
  'net/ipv4/ping_group_range': '1\t0',
  'net/ipv4/tcp_congestion_control': 'cubic',
  'net/ipv4/tcp_fin_timeout': '60',
  'net/ipv4/tcp_keepalive_intvl': '75',
  'net/ipv4/tcp_keepalive_probes': '9',
  'net/ipv4/tcp_keepalive_time': '7200',
  'net/ipv4/tcp_max_syn_backlog': '1024',
  'net/ipv4/tcp_rmem': '4096\t131072\t6291456',
  'net/ipv4/tcp_syncookies': '1',
  'net/ipv4/tcp_wmem': '4096\t16384\t4194304',
  'net/ipv6/bindv6only': '0',
  'net/ipv6/conf/all/disable_ipv6': '0',
  'net/unix/max_dgram_qlen': '10',
  'vm/dirty_background_ratio': '10',
  'vm/dirty_ratio': '20',
  'vm/legacy_va_layout': '0',
  'vm/max_map_count': String(MAX_MAP_COUNT),
  'vm/min_free_kbytes': '0',
  'vm/mmap_min_addr': '65536',
  'vm/nr_hugepages': '0',
  'vm/oom_dump_tasks': '0',
  'vm/oom_kill_allocating_task': '0',
  'vm/overcommit_kbytes': '0',
  'vm/overcommit_memory': ({ commitment }) => String(OVERCOMMIT_MODES.indexOf(commitment.mode)),
  'vm/overcommit_ratio': ({ commitment }) => String(commitment.ratio),
  'vm/page-cluster': '3',
  'vm/panic_on_oom': '0',
  'vm/stat_interval': '1',
  'vm/swappiness': '60',
  'vm/unprivileged_userfaultfd': '0',
  'vm/vfs_cache_pressure': '100',
};

export const SYSTEM_FILES: Readonly<Record<string, (kernel: Kernel) => string>> = Object.fromEntries(
  Object.entries(SETTINGS).map(([name, value]) => [
    `sys/${name}`,
    (kernel: Kernel) => `${typeof value === 'string' ? value : value(kernel)}\n`,
  ]),
);

/** Descriptions, as far as descriptors lead to them. */
function openFiles(kernel: Kernel): number {
  const found = new Set<object>();
  for (const { files } of kernel.tasks.values()) for (const fd of files.open()) found.add(files.get(fd));
  return found.size;
}

/** A random one at each read. */
function uuid(kernel: Kernel): string {
  const bytes = new Uint8Array(16);
  kernel.random(bytes);
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const text = [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  return [text.slice(0, 8), text.slice(8, 12), text.slice(12, 16), text.slice(16, 20), text.slice(20)].join('-');
}
