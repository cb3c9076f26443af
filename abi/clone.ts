/** Flags and arguments of clone, clone3 and unshare. Source: uapi/linux/sched.h. */
import { type Struct, struct, u64 } from './struct.ts';

export const CSIGNAL = 0xff;
export const CLONE_NEWTIME = 0x80, CLONE_VM = 0x100, CLONE_FS = 0x200, CLONE_FILES = 0x400, CLONE_SIGHAND = 0x800, CLONE_PIDFD = 0x1000;
export const CLONE_PTRACE = 0x2000, CLONE_VFORK = 0x4000, CLONE_PARENT = 0x8000, CLONE_THREAD = 0x1_0000, CLONE_NEWNS = 0x2_0000;
export const CLONE_SYSVSEM = 0x4_0000, CLONE_SETTLS = 0x8_0000, CLONE_PARENT_SETTID = 0x10_0000, CLONE_CHILD_CLEARTID = 0x20_0000;
export const CLONE_DETACHED = 0x40_0000, CLONE_UNTRACED = 0x80_0000, CLONE_CHILD_SETTID = 0x100_0000, CLONE_NEWCGROUP = 0x200_0000;
export const CLONE_NEWUTS = 0x400_0000, CLONE_NEWIPC = 0x800_0000, CLONE_NEWUSER = 0x1000_0000, CLONE_NEWPID = 0x2000_0000;
export const CLONE_NEWNET = 0x4000_0000, CLONE_IO = 0x8000_0000;
/** clone3 only: bits 32 and 33, as bits of the high word. */
export const HIGH_CLEAR_SIGHAND = 1, HIGH_INTO_CGROUP = 2;

/** All that ask for namespaces of the child's own. */
export const CLONE_NAMESPACES =
  (CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET) >>> 0;

export const CLONE_FLAGS: Readonly<Record<string, number>> = {
  CLONE_VM, CLONE_FS, CLONE_FILES, CLONE_SIGHAND, CLONE_PIDFD, CLONE_PTRACE, CLONE_VFORK, CLONE_PARENT, CLONE_THREAD, CLONE_NEWNS,
  CLONE_SYSVSEM, CLONE_SETTLS, CLONE_PARENT_SETTID, CLONE_CHILD_CLEARTID, CLONE_DETACHED, CLONE_UNTRACED, CLONE_CHILD_SETTID,
  CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET, CLONE_IO,
};

/** struct clone_args; every member is 64 bits wide. */
export interface CloneArgs {
  flags: bigint;
  pidfd: bigint;
  child_tid: bigint;
  parent_tid: bigint;
  exit_signal: bigint;
  stack: bigint;
  stack_size: bigint;
  tls: bigint;
  set_tid: bigint;
  set_tid_size: bigint;
  cgroup: bigint;
}
export const cloneArgs: Struct<CloneArgs> = struct<CloneArgs>({
  flags: u64, pidfd: u64, child_tid: u64, parent_tid: u64, exit_signal: u64, stack: u64, stack_size: u64, tls: u64, set_tid: u64,
  set_tid_size: u64, cgroup: u64,
});
/** The sizes that programs of different ages pass. */
export const CLONE_ARGS_FIRST = 64, CLONE_ARGS_CGROUP = 88;
