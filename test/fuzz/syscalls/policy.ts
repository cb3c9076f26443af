/** Which calls random programs make, with which arguments they would do harm or depend on the machine they run on, and what of their answers does. */
import type { Definition } from '../../../syscalls/define.ts';
import type { Argument } from './programs.ts';

/** Not made at all: they end or replace the program, need the machine's owner, or show what differs between machines. */
const LEFT_OUT = new Set(
  [
    // Ends, other processes, other programs.
    'exit exit_group fork vfork clone clone3 execve execveat ptrace sigreturn rt_sigreturn restart_syscall setsid unshare setns seccomp',
    // The machine as a whole, and what survives the jail.
    'reboot mount umount umount2 pivot_root chroot swapon swapoff init_module finit_module delete_module kexec_load acct sync syncfs vhangup nfsservctl',
    'sethostname setdomainname stime settimeofday clock_settime clock_settime64 clock_adjtime clock_adjtime64 adjtimex quotactl quotactl_fd syslog',
    'add_key request_key keyctl bpf perf_event_open userfaultfd io_setup io_destroy io_submit io_cancel io_getevents fanotify_init fanotify_mark',
    'open_tree move_mount fsopen fsconfig fsmount fspick mount_setattr landlock_create_ruleset landlock_add_rule landlock_restrict_self uselib',
    'io_uring_setup io_uring_enter io_uring_register statmount listmount lsm_get_self_attr lsm_set_self_attr lsm_list_modules open_by_handle_at',
    'name_to_handle_at lookup_dcookie migrate_pages move_pages mbind set_mempolicy get_mempolicy set_mempolicy_home_node memfd_secret kcmp',
    // The runner's own memory and descriptors of the processor; memory calls have a proof of their own (test/fuzz/mm).
    'brk mmap mmap2 munmap mremap mprotect madvise remap_file_pages shmat shmdt mlockall munlockall process_madvise pkey_mprotect pkey_alloc pkey_free',
    'set_thread_area modify_ldt arch_prctl vm86 vm86old iopl ioperm set_robust_list set_tid_address rseq personality map_shadow_stack mseal',
    'process_vm_readv process_vm_writev process_mrelease shmget shmctl mlock munlock mlock2 mincore msync sigaltstack',
    // What they say is the machine's.
    'sysinfo uname olduname oldolduname getcpu times time gettimeofday clock_gettime clock_gettime64 clock_getres clock_getres_time64 getrandom',
    'getrusage sched_setaffinity sched_getaffinity statfs fstatfs statfs64 fstatfs64 ustat cachestat getppid gettid getdents getdents64 readdir',
    'prctl capset capget setgroups setgroups32 sysfs _sysctl bdflush membarrier sched_setattr get_robust_list ioprio_set ioprio_get',
    'socketcall ipc',
  ].flatMap((row) => row.split(' ')),
);

export function isUsed({ name }: Definition): boolean {
  return !LEFT_OUT.has(name);
}

/** Their results are numbers of something: descriptors, IPC objects, timers. */
export const resourceCalls = new Set(
  [
    'open creat openat openat2 dup dup2 dup3 epoll_create epoll_create1 eventfd eventfd2 timerfd_create signalfd signalfd4 inotify_init inotify_init1',
    'memfd_create socket accept4 fcntl fcntl64 pidfd_open inotify_add_watch semget msgget mq_open',
  ].flatMap((row) => row.split(' ')),
);

/** Signals that must reach the runner, and those that nothing survives. */
const KEPT_SIGNALS = new Set([9, 10, 19, 20, 21, 22]);

/** Requests that every file system and terminal answers alike. */
const IOCTLS = new Set([0x5421, 0x541b, 0x5450, 0x5451, 0x5460, 0x5401, 0x5413, 0xffff]);

export function isHarmless({ name, args }: Definition, words: readonly Argument[]): boolean {
  const word = (i: number): number => (words[i].tag === 0 ? words[i].word : 0);
  // Chance must not hit what lies elsewhere in the two runs: the program, its heap, the results, its stack.
  for (const { tag, word: each } of words) {
    if (
      tag === 0 &&
      ((each >= 0x0800_0000 && each < 0x2000_0000) ||
        (each >= 0x2100_0000 && each < 0x2200_0000) ||
        (each >= 0x4000_0000 && each < 0x7fff_ff00))
    )
      return false;
    if (tag === 0 && each >= 0x8000_1000 && each < 0xffff_0000) return false;
  }
  const signal = args.findIndex(([, kind]) => kind.label === 'int (signal)');
  if (signal >= 0 && KEPT_SIGNALS.has(word(signal))) return false;
  switch (name) {
    case 'kill':
    case 'tkill':
    case 'tgkill':
    case 'rt_sigqueueinfo':
    case 'rt_tgsigqueueinfo':
    case 'pidfd_send_signal':
      // To itself or nobody; group 0 is the program's own.
      return words[0].tag === 2 || word(0) === 0x7fff_fff0 || name === 'pidfd_send_signal';
    case 'ioctl':
      return IOCTLS.has(word(1));
    case 'setrlimit':
    case 'prlimit64':
      return word(1) === 5 || word(1) === 99;
    case 'rt_sigaction':
    case 'sigaction':
    case 'signal':
      // A handler must be none that is not there.
      return name === 'signal' ? word(1) < 2 : true;
    case 'fallocate':
    case 'ftruncate':
    case 'ftruncate64':
    case 'truncate':
    case 'truncate64':
      return true;
    case 'fcntl':
    case 'fcntl64':
      // F_SETOWN to whoever else lives in the jail.
      return word(1) !== 8 || word(2) === 0 || word(2) > 1000;
    case 'futex':
    case 'futex_time64':
      // Locks that name their owner's thread: numbers in memory may be of somebody else in the jail.
      return ![6, 7, 8, 11, 12, 13].includes(word(1) & 0x7f);
    case 'socket':
    case 'socketpair':
      // Which protocols of netlink a kernel has is its own; these all have.
      return word(0) !== 16 || [0, 2, 16].includes(word(2)) || word(2) >= 32;
    case 'memfd_create':
      // Huge pages (MFD_HUGETLB) are the machine's: some have none.
      return (word(1) & 4) === 0;
    case 'alarm':
      return word(0) < 2 || word(0) > 100;
    default:
      return true;
  }
}

/** Only whether these fail, and how, is compared: what they fill in differs from run to run. */
export const VOLATILE = new Set(
  [
    'oldstat oldlstat oldfstat stat lstat fstat stat64 lstat64 fstat64 fstatat64 statx getitimer setitimer timer_gettime timer_gettime64 timer_settime',
    'timer_settime64 timerfd_gettime timerfd_gettime64 timerfd_settime timerfd_settime64 clock_nanosleep nanosleep clock_nanosleep_time64 select _newselect',
    'pselect6 pselect6_time64 ppoll ppoll_time64 alarm rt_sigtimedwait rt_sigtimedwait_time64 semctl msgctl get_thread_area',
    'getsockname getpeername getcwd sched_rr_get_interval sched_rr_get_interval_time64 getrlimit ugetrlimit prlimit64 wait4 waitid sched_getattr',
  ].flatMap((row) => row.split(' ')),
);

/** Where the long comparison still finds answers that differ in some argument, mostly in which of several errors comes first. */
export const UNPROVEN: ReadonlySet<string> = new Set(
  [
    'accept4 connect eventfd fallocate fchmod fchown fchown32 fcntl fcntl64 fgetxattr flistxattr fremovexattr fsetxattr futimesat',
    'getgroups getgroups32 getpriority getsockopt inotify_add_watch ioctl lgetxattr linkat lsetxattr memfd_create oldfstat openat',
    'openat2 pidfd_open pidfd_send_signal poll preadv2 pselect6 pwritev2 read readv recvfrom recvmsg removexattr rename renameat2',
    'sched_getattr sendfile sendfile64 sendmsg sendto setxattr socket socketpair sync_file_range timer_create timerfd_create utime',
    'utimes write writev',
  ].flatMap((row) => row.split(' ')),
);
