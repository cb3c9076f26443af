/** Which calls random programs make, with which arguments they would do harm or depend on the machine they run on, and what of their answers does. */
import type { Definition } from '../../../syscalls/define.ts';
import type { Argument } from './programs.ts';

/** Not made at all, and why. */
export const LEFT_OUT: readonly { readonly reason: string; readonly calls: readonly string[] }[] = [
  {
    reason: 'ends, replaces or copies the runner itself, or takes its calls away',
    calls: names(`exit exit_group fork vfork clone clone3 execve execveat ptrace sigreturn rt_sigreturn unshare setns seccomp`),
  },
  {
    reason: "only the machine's owner may, and would change the machine",
    calls:
      names(`reboot mount umount umount2 pivot_root chroot swapon swapoff init_module finit_module delete_module kexec_load acct sync syncfs
      vhangup sethostname setdomainname stime settimeofday clock_settime clock_settime64 clock_adjtime clock_adjtime64 adjtimex quotactl syslog
      iopl ioperm`),
  },
  {
    reason: "asks about a device by its number, which is the machine's",
    calls: names(`ustat`),
  },
  {
    reason: 'kernels are built with or without it, and answer their owner otherwise than others',
    calls: names(`bpf perf_event_open userfaultfd fanotify_init fanotify_mark name_to_handle_at`),
  },
  {
    reason: 'changes the memory that the runner runs in; test/fuzz/mm proves these against a model and the bare CPU',
    calls:
      names(`brk mmap mmap2 munmap mremap mprotect madvise remap_file_pages shmget shmat shmdt shmctl mlock munlock mlock2 mlockall munlockall
      mincore msync process_madvise pkey_mprotect pkey_alloc pkey_free`),
  },
  {
    reason: "sets what the runner's own C library has set; fixtures of threads prove these",
    calls: names(`set_thread_area modify_ldt arch_prctl rseq`),
  },
  {
    reason: 'maps memory where it likes; fixtures of asynchronous transfers prove these',
    calls: names(`io_setup io_destroy io_submit io_cancel io_getevents`),
  },
  {
    reason: "is about processors and memory nodes, whose number is the machine's",
    calls: names(
      `sched_setaffinity sched_getaffinity sched_setattr migrate_pages move_pages mbind set_mempolicy get_mempolicy set_mempolicy_home_node`,
    ),
  },
];

function names(text: string): string[] {
  return text.split(/\s+/).filter((name) => name !== '');
}

const NOT_USED = new Set(LEFT_OUT.flatMap(({ calls }) => calls));

export function isUsed({ name }: Definition): boolean {
  return !NOT_USED.has(name);
}

/** How many of all calls programs make, and why they do not make the others. */
export function coverage(all: readonly Definition[]): string {
  const reasons = LEFT_OUT.map(({ reason, calls }) => `  ${calls.length} not: ${reason}: ${calls.join(' ')}`);
  return [`programs are made of ${all.filter(isUsed).length} of ${all.length} calls`, ...reasons].join('\n');
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

/** prctl options that change nothing, or nothing that lasts, and that every kernel answers alike. */
const PRCTL_OPTIONS = new Set([2, 7, 14, 15, 16, 21, 27, 30, 32, 36, 37, 39, 999]);

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
      return [5, 10, 15, 99].includes(word(name === 'setrlimit' ? 0 : 1));
    case 'rt_sigaction':
    case 'sigaction':
    case 'signal':
      // A handler must be none that is not there.
      return name === 'signal' ? word(1) < 2 : true;
    case 'poll':
    case 'epoll_wait':
    case 'epoll_pwait': {
      // No waits that are over at about the time when they are cut short.
      const timeout = word(name === 'poll' ? 2 : 3);
      return timeout === 0 || timeout > 4000;
    }
    case 'fcntl':
    case 'fcntl64':
      // F_SETOWN to whoever else lives in the jail.
      return word(1) !== 8 || word(2) === 0 || (word(2) > 1000 && word(2) < 0xffff_fc18);
    case 'futex':
    case 'futex_time64':
      // Locks that name their owner's thread: numbers in memory may be of somebody else in the jail.
      return ![6, 7, 8, 11, 12, 13].includes(word(1) & 0x7f);
    case 'socket':
    case 'socketpair':
      // Which families and protocols of netlink a kernel has is its own; these all have.
      if (![0, 1, 2, 10, 16, 17].includes(word(0)) && word(0) < 46) return false;
      return word(0) !== 16 || [0, 2, 16].includes(word(2)) || word(2) >= 32;
    case 'getpriority':
    case 'setpriority':
      // All that a user runs on the machine.
      return word(0) !== 2;
    case 'ioprio_get':
    case 'ioprio_set':
      return word(0) !== 3;
    case 'prctl':
      return PRCTL_OPTIONS.has(word(0));
    case 'personality':
      return word(0) === 0xffff_ffff;
    case 'sigaltstack':
      return words[0].tag === 0 && (word(0) === 0 || word(0) === 0x3000_0000);
    case 'socketcall':
      // Making sockets: `socket` and `socketpair` say which must not be made.
      return word(0) !== 1 && word(0) !== 8;
    case 'ipc':
      // Shared memory is mapped.
      return (word(0) & 0xffff) < 21;
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
    'gettimeofday clock_gettime clock_gettime64 clock_getres clock_getres_time64 getrandom uname olduname oldolduname sysinfo getrusage getcpu',
    'statfs fstatfs statfs64 fstatfs64 get_robust_list membarrier capget recvmmsg recvmmsg_time64 process_vm_readv process_vm_writev socketcall ipc',
  ].flatMap((row) => row.split(' ')),
);

/** Of these only is compared whether they fail, and how: what they return differs as well. */
export const RESULT_VOLATILE = new Set(names('time times getdents getdents64 personality'));
