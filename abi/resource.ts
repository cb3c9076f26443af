/** Resource limits and usage. Source: uapi/asm-generic/resource.h, uapi/linux/resource.h. */
import { i32, type Layout, type Struct, struct, u32, u64 } from './struct.ts';

export const RLIMIT_CPU = 0, RLIMIT_FSIZE = 1, RLIMIT_DATA = 2, RLIMIT_STACK = 3, RLIMIT_CORE = 4, RLIMIT_RSS = 5, RLIMIT_NPROC = 6;
export const RLIMIT_NOFILE = 7, RLIMIT_MEMLOCK = 8, RLIMIT_AS = 9, RLIMIT_LOCKS = 10, RLIMIT_SIGPENDING = 11, RLIMIT_MSGQUEUE = 12;
export const RLIMIT_NICE = 13, RLIMIT_RTPRIO = 14, RLIMIT_RTTIME = 15, RLIMITS = 16;
/** As prlimit64 says "no limit"; the 32-bit calls say 0xffffffff (getrlimit of old: 0x7fffffff). */
export const RLIM_INFINITY = 0xffff_ffff_ffff_ffffn;
export const RLIM32_INFINITY = 0xffffffff;
export const RLIM_OLD_INFINITY = 0x7fffffff;

export const RESOURCES: Readonly<Record<string, number>> = {
  RLIMIT_CPU, RLIMIT_FSIZE, RLIMIT_DATA, RLIMIT_STACK, RLIMIT_CORE, RLIMIT_RSS, RLIMIT_NPROC, RLIMIT_NOFILE, RLIMIT_MEMLOCK, RLIMIT_AS,
  RLIMIT_LOCKS, RLIMIT_SIGPENDING, RLIMIT_MSGQUEUE, RLIMIT_NICE, RLIMIT_RTPRIO, RLIMIT_RTTIME,
};

export interface Rlimit64 {
  rlim_cur: bigint;
  rlim_max: bigint;
}
/** Sizes in KiB where they are whole ones, as strace shows limits. */
function showLimit(value: number | bigint, infinity: number | bigint): string {
  if (value === infinity) return 'RLIM_INFINITY';
  return BigInt(value) > 1024n && BigInt(value) % 1024n === 0n ? `${BigInt(value) / 1024n}*1024` : String(value);
}
const limit64: Layout<bigint> = { ...u64, show: (value) => showLimit(value, RLIM_INFINITY) };
const limit32: Layout<number> = { ...u32, show: (value) => showLimit(value, RLIM32_INFINITY) };

export const rlimit64: Struct<Rlimit64> = struct<Rlimit64>({ rlim_cur: limit64, rlim_max: limit64 });
export interface Rlimit32 {
  rlim_cur: number;
  rlim_max: number;
}
export const rlimit32: Struct<Rlimit32> = struct<Rlimit32>({ rlim_cur: limit32, rlim_max: limit32 });

export const RUSAGE_SELF = 0, RUSAGE_CHILDREN = -1, RUSAGE_THREAD = 1;

export interface Rusage {
  utime_sec: number; utime_usec: number; stime_sec: number; stime_usec: number; maxrss: number; ixrss: number; idrss: number; isrss: number;
  minflt: number; majflt: number; nswap: number; inblock: number; oublock: number; msgsnd: number; msgrcv: number; nsignals: number;
  nvcsw: number; nivcsw: number;
}
export const rusage: Struct<Rusage> = struct<Rusage>({
  utime_sec: i32, utime_usec: i32, stime_sec: i32, stime_usec: i32, maxrss: i32, ixrss: i32, idrss: i32, isrss: i32,
  minflt: i32, majflt: i32, nswap: i32, inblock: i32, oublock: i32, msgsnd: i32, msgrcv: i32, nsignals: i32, nvcsw: i32, nivcsw: i32,
});
