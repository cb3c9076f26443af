/** Every i386 system call number with its name, and the definitions behind them. Numbers live here only. Source: arch/x86/entry/syscalls/syscall_32.tbl. */
import { assert } from '../abi/assert.ts';
import type { Definition } from './define.ts';
import { calls as aio } from './aio.ts';
import { calls as attributes } from './attributes.ts';
import { calls as capability } from './capability.ts';
import { calls as clone } from './clone.ts';
import { calls as directory } from './directory.ts';
import { calls as epoll } from './epoll.ts';
import { calls as event } from './event.ts';
import { calls as exec } from './exec.ts';
import { calls as fcntl } from './fcntl.ts';
import { calls as file } from './file.ts';
import { calls as futex } from './futex.ts';
import { calls as handle } from './handle.ts';
import { calls as identity } from './identity.ts';
import { calls as inotify } from './inotify.ts';
import { calls as io } from './io.ts';
import { calls as ipc } from './ipc.ts';
import { calls as lock } from './lock.ts';
import { calls as kcmp } from './kcmp.ts';
import { calls as memory } from './memory.ts';
import { calls as memoryLock } from './memory-lock.ts';
import { calls as message } from './message.ts';
import { calls as mount } from './mount.ts';
import { calls as mqueue } from './mqueue.ts';
import { calls as numa } from './numa.ts';
import { calls as pidfd } from './pidfd.ts';
import { calls as pipe } from './pipe.ts';
import { calls as poll } from './poll.ts';
import { calls as prctl } from './prctl.ts';
import { calls as process } from './process.ts';
import { calls as processMemory } from './process-memory.ts';
import { calls as rename } from './rename.ts';
import { calls as resource } from './resource.ts';
import { calls as semaphore } from './semaphore.ts';
import { calls as sched } from './sched.ts';
import { calls as seccomp } from './seccomp.ts';
import { calls as sharedMemory } from './shared-memory.ts';
import { calls as signal } from './signal.ts';
import { calls as size } from './size.ts';
import { calls as socket } from './socket.ts';
import { calls as splice } from './splice.ts';
import { calls as stat } from './stat.ts';
import { calls as system } from './system.ts';
import { calls as terminal } from './terminal.ts';
import { calls as thread } from './thread.ts';
import { calls as time } from './time.ts';
import { calls as timeAdjust } from './time-adjust.ts';
import { calls as timer } from './timer.ts';
import { calls as wait } from './wait.ts';
import { calls as xattr } from './xattr.ts';

/** The families. Each exports `calls`. */
const FAMILIES: readonly (readonly Definition[])[] = [
  aio, attributes,
  capability,
  clone,
  directory,
  epoll,
  event,
  exec,
  fcntl,
  file,
  futex,
  handle,
  identity,
  inotify,
  io,
  ipc,
  lock,
  kcmp,
  memory,
  memoryLock,
  message,
  mount,
  mqueue,
  numa,
  pidfd,
  pipe,
  poll,
  prctl,
  process,
  processMemory,
  rename,
  resource,
  semaphore,
  sched,
  seccomp,
  sharedMemory,
  signal,
  size,
  socket,
  splice,
  stat,
  system,
  terminal,
  thread,
  time, timeAdjust,
  timer,
  wait,
  xattr,
];

/** Runs of names: the first name's number, then the names in order. */
const ROWS: readonly (readonly [first: number, names: string])[] = [
  [0, 'restart_syscall exit fork read write open close waitpid creat link'],
  [10, 'unlink execve chdir time mknod chmod lchown break oldstat lseek'],
  [20, 'getpid mount umount setuid getuid stime ptrace alarm oldfstat pause'],
  [30, 'utime stty gtty access nice ftime sync kill rename mkdir'],
  [40, 'rmdir dup pipe times prof brk setgid getgid signal geteuid'],
  [50, 'getegid acct umount2 lock ioctl fcntl mpx setpgid ulimit oldolduname'],
  [60, 'umask chroot ustat dup2 getppid getpgrp setsid sigaction sgetmask ssetmask'],
  [70, 'setreuid setregid sigsuspend sigpending sethostname setrlimit getrlimit getrusage gettimeofday settimeofday'],
  [80, 'getgroups setgroups select symlink oldlstat readlink uselib swapon reboot readdir'],
  [90, 'mmap munmap truncate ftruncate fchmod fchown getpriority setpriority profil statfs'],
  [100, 'fstatfs ioperm socketcall syslog setitimer getitimer stat lstat fstat olduname'],
  [110, 'iopl vhangup idle vm86old wait4 swapoff sysinfo ipc fsync sigreturn'],
  [120, 'clone setdomainname uname modify_ldt adjtimex mprotect sigprocmask create_module init_module delete_module'],
  [130, 'get_kernel_syms quotactl getpgid fchdir bdflush sysfs personality afs_syscall setfsuid setfsgid'],
  [140, '_llseek getdents _newselect flock msync readv writev getsid fdatasync _sysctl'],
  [
    150,
    'mlock munlock mlockall munlockall sched_setparam sched_getparam sched_setscheduler sched_getscheduler sched_yield sched_get_priority_max',
  ],
  [160, 'sched_get_priority_min sched_rr_get_interval nanosleep mremap setresuid getresuid vm86 query_module poll nfsservctl'],
  [170, 'setresgid getresgid prctl rt_sigreturn rt_sigaction rt_sigprocmask rt_sigpending rt_sigtimedwait rt_sigqueueinfo rt_sigsuspend'],
  [180, 'pread64 pwrite64 chown getcwd capget capset sigaltstack sendfile getpmsg putpmsg'],
  [190, 'vfork ugetrlimit mmap2 truncate64 ftruncate64 stat64 lstat64 fstat64 lchown32 getuid32'],
  [200, 'getgid32 geteuid32 getegid32 setreuid32 setregid32 getgroups32 setgroups32 fchown32 setresuid32 getresuid32'],
  [210, 'setresgid32 getresgid32 chown32 setuid32 setgid32 setfsuid32 setfsgid32 pivot_root mincore madvise'],
  [220, 'getdents64 fcntl64'],
  [224, 'gettid readahead setxattr lsetxattr fsetxattr getxattr lgetxattr fgetxattr listxattr llistxattr'],
  [234, 'flistxattr removexattr lremovexattr fremovexattr tkill sendfile64 futex sched_setaffinity sched_getaffinity set_thread_area'],
  [244, 'get_thread_area io_setup io_destroy io_getevents io_submit io_cancel fadvise64'],
  [
    252,
    'exit_group lookup_dcookie epoll_create epoll_ctl epoll_wait remap_file_pages set_tid_address timer_create timer_settime timer_gettime',
  ],
  [262, 'timer_getoverrun timer_delete clock_settime clock_gettime clock_getres clock_nanosleep statfs64 fstatfs64 tgkill utimes'],
  [272, 'fadvise64_64 vserver mbind get_mempolicy set_mempolicy mq_open mq_unlink mq_timedsend mq_timedreceive mq_notify'],
  [282, 'mq_getsetattr kexec_load waitid'],
  [286, 'add_key request_key keyctl ioprio_set ioprio_get inotify_init inotify_add_watch inotify_rm_watch migrate_pages openat'],
  [296, 'mkdirat mknodat fchownat futimesat fstatat64 unlinkat renameat linkat symlinkat readlinkat'],
  [306, 'fchmodat faccessat pselect6 ppoll unshare set_robust_list get_robust_list splice sync_file_range tee'],
  [316, 'vmsplice move_pages getcpu epoll_pwait utimensat signalfd timerfd_create eventfd fallocate timerfd_settime'],
  [326, 'timerfd_gettime signalfd4 eventfd2 epoll_create1 dup3 pipe2 inotify_init1 preadv pwritev rt_tgsigqueueinfo'],
  [336, 'perf_event_open recvmmsg fanotify_init fanotify_mark prlimit64 name_to_handle_at open_by_handle_at clock_adjtime syncfs sendmmsg'],
  [346, 'setns process_vm_readv process_vm_writev kcmp finit_module sched_setattr sched_getattr renameat2 seccomp getrandom'],
  [356, 'memfd_create bpf execveat socket socketpair bind connect listen accept4 getsockopt'],
  [366, 'setsockopt getsockname getpeername sendto sendmsg recvfrom recvmsg shutdown userfaultfd membarrier'],
  [376, 'mlock2 copy_file_range preadv2 pwritev2 pkey_mprotect pkey_alloc pkey_free statx arch_prctl io_pgetevents'],
  [386, 'rseq'],
  [393, 'semget semctl shmget shmctl shmat shmdt msgget msgsnd msgrcv msgctl'],
  [
    403,
    'clock_gettime64 clock_settime64 clock_adjtime64 clock_getres_time64 clock_nanosleep_time64 timer_gettime64 timer_settime64 timerfd_gettime64 timerfd_settime64 utimensat_time64',
  ],
  [413, 'pselect6_time64 ppoll_time64'],
  [
    416,
    'io_pgetevents_time64 recvmmsg_time64 mq_timedsend_time64 mq_timedreceive_time64 semtimedop_time64 rt_sigtimedwait_time64 futex_time64 sched_rr_get_interval_time64 pidfd_send_signal io_uring_setup',
  ],
  [426, 'io_uring_enter io_uring_register open_tree move_mount fsopen fsconfig fsmount fspick pidfd_open clone3'],
  [
    436,
    'close_range openat2 pidfd_getfd faccessat2 process_madvise epoll_pwait2 mount_setattr quotactl_fd landlock_create_ruleset landlock_add_rule',
  ],
  [
    446,
    'landlock_restrict_self memfd_secret process_mrelease futex_waitv set_mempolicy_home_node cachestat fchmodat2 map_shadow_stack futex_wake futex_wait',
  ],
  [456, 'futex_requeue statmount listmount lsm_get_self_attr lsm_set_self_attr lsm_list_modules mseal setxattrat getxattrat listxattrat'],
  [466, 'removexattrat open_tree_attr file_getattr file_setattr'],
];

/** Name of each number; undefined where Linux has none. */
export const SYSCALL_NAMES: readonly (string | undefined)[] = names();

/** Definition of each number; undefined answers ENOSYS. */
export const SYSCALLS: readonly (Definition | undefined)[] = definitions(FAMILIES);

function names(): (string | undefined)[] {
  const table: (string | undefined)[] = [];
  for (const [first, row] of ROWS) {
    row.split(' ').forEach((name, i) => {
      assert(table[first + i] === undefined, `system call ${first + i} is named twice`);
      table[first + i] = name;
    });
  }
  return Array.from(table);
}

function definitions(families: readonly (readonly Definition[])[]): (Definition | undefined)[] {
  const numbers = new Map(SYSCALL_NAMES.map((name, number) => [name, number]));
  const table: (Definition | undefined)[] = SYSCALL_NAMES.map(() => undefined);
  for (const call of families.flat()) {
    const number = numbers.get(call.name);
    assert(number !== undefined, `${call.name} is not an i386 system call`);
    assert(table[number] === undefined, `${call.name} is defined twice`);
    table[number] = call;
  }
  return table;
}

/** `openat` for 295; `syscall_999` where there is no name. */
export function syscallName(number: number): string {
  return SYSCALL_NAMES[number] ?? `syscall_${number}`;
}
