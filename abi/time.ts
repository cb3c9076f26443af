/** Clocks, timers and the structs that carry time. Source: uapi/linux/time.h, time_types.h. */
import { i32, type Layout, type Struct, s64, struct, u32 } from './struct.ts';

export const CLOCK_REALTIME = 0, CLOCK_MONOTONIC = 1, CLOCK_PROCESS_CPUTIME_ID = 2, CLOCK_THREAD_CPUTIME_ID = 3, CLOCK_MONOTONIC_RAW = 4;
export const CLOCK_REALTIME_COARSE = 5, CLOCK_MONOTONIC_COARSE = 6, CLOCK_BOOTTIME = 7, CLOCK_REALTIME_ALARM = 8, CLOCK_BOOTTIME_ALARM = 9;
export const CLOCK_TAI = 11;
export const CLOCKS: Readonly<Record<string, number>> = {
  CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_PROCESS_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID, CLOCK_MONOTONIC_RAW, CLOCK_REALTIME_COARSE,
  CLOCK_MONOTONIC_COARSE, CLOCK_BOOTTIME, CLOCK_REALTIME_ALARM, CLOCK_BOOTTIME_ALARM, CLOCK_TAI,
};
export const TIMER_ABSTIME = 1;
export const ITIMER_REAL = 0, ITIMER_VIRTUAL = 1, ITIMER_PROF = 2;

/** Ticks of times() in a second. */
export const CLK_TCK = 100;
export const SECOND_NS = 1_000_000_000n;

export interface Timespec {
  tv_sec: number;
  tv_nsec: number;
}
export const timespec32: Struct<Timespec> = struct<Timespec>({ tv_sec: i32, tv_nsec: i32 });
/** A 64-bit tv_nsec of which a 32-bit program's high word is padding: ignored on the way in, zero on the way out. */
const paddedNanoseconds: Layout<number> = { ...i32, size: 8 };
/** struct __kernel_timespec, of the time64 calls. */
export const timespec64: Struct<Timespec> = struct<Timespec>({ tv_sec: s64, tv_nsec: paddedNanoseconds });

export interface Timeval {
  tv_sec: number;
  tv_usec: number;
}
export const timeval32: Struct<Timeval> = struct<Timeval>({ tv_sec: i32, tv_usec: i32 });

/** struct __kernel_sock_timeval. */
export const timeval64: Struct<Timeval> = struct<Timeval>({ tv_sec: s64, tv_usec: s64 });

export interface Itimerval {
  it_interval: Timeval;
  it_value: Timeval;
}
export const itimerval32: Struct<Itimerval> = struct<Itimerval>({ it_interval: timeval32, it_value: timeval32 });

export interface Itimerspec {
  it_interval: Timespec;
  it_value: Timespec;
}
export const itimerspec32: Struct<Itimerspec> = struct<Itimerspec>({ it_interval: timespec32, it_value: timespec32 });
export const itimerspec64: Struct<Itimerspec> = struct<Itimerspec>({ it_interval: timespec64, it_value: timespec64 });

export interface Timezone {
  tz_minuteswest: number;
  tz_dsttime: number;
}
export const timezone: Struct<Timezone> = struct<Timezone>({ tz_minuteswest: i32, tz_dsttime: i32 });

export interface Tms {
  tms_utime: number;
  tms_stime: number;
  tms_cutime: number;
  tms_cstime: number;
}
export const tms: Struct<Tms> = struct<Tms>({ tms_utime: u32, tms_stime: u32, tms_cutime: u32, tms_cstime: u32 });

/** Whether a timespec may be used as a time: not negative, and less than a second of nanoseconds. */
export function isValidTime(time: Timespec): boolean {
  return time.tv_sec >= 0 && time.tv_nsec >= 0 && time.tv_nsec < 1_000_000_000;
}

/** The largest time Linux counts with (KTIME_MAX); longer ones are as good as for ever. */
const KTIME_MAX = 0x7fff_ffff_ffff_ffffn;

/** Nanoseconds of a valid timespec. */
export function toNanoseconds(time: Timespec): bigint {
  const ns = BigInt(time.tv_sec) * SECOND_NS + BigInt(time.tv_nsec);
  return ns > KTIME_MAX ? KTIME_MAX : ns;
}

export function toTimespec(ns: bigint): Timespec {
  return { tv_sec: Number(ns / SECOND_NS), tv_nsec: Number(ns % SECOND_NS) };
}

export function toTimeval(ns: bigint): Timeval {
  return { tv_sec: Number(ns / SECOND_NS), tv_usec: Number((ns % SECOND_NS) / 1000n) };
}
