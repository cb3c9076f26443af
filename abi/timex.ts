/** adjtimex and clock_adjtime: what is known and wanted of a clock's accuracy. Source: uapi/linux/timex.h, kernel/time/ntp.c. */
import { i32, type Layout, type Struct, s64, struct, u32 } from './struct.ts';

export const ADJ_OFFSET = 0x0001, ADJ_FREQUENCY = 0x0002, ADJ_MAXERROR = 0x0004, ADJ_ESTERROR = 0x0008, ADJ_STATUS = 0x0010, ADJ_TIMECONST = 0x0020;
export const ADJ_TAI = 0x0080, ADJ_SETOFFSET = 0x0100, ADJ_MICRO = 0x1000, ADJ_NANO = 0x2000, ADJ_TICK = 0x4000;
/** With ADJ_OFFSET: a single slew (adjtime), and, with ADJ_OFFSET_READONLY, how much of one is left. */
export const ADJ_ADJTIME = 0x8000, ADJ_OFFSET_READONLY = 0x2000;

export const STA_PLL = 0x0001, STA_UNSYNC = 0x0040, STA_CLOCKERR = 0x1000, STA_NANO = 0x2000, STA_RONLY = 0xff00;
export const TIME_OK = 0, TIME_ERROR = 5;

/** Frequencies are in parts per million, shifted left by 16; times in microseconds, or nanoseconds under STA_NANO. */
export const MAX_FREQUENCY = 500 << 16, MAX_ERROR_US = 16_000_000, MAX_TIME_CONSTANT = 10, MAX_TAI_OFFSET = 100_000;
export const TICK_US = 10_000, TICK_MIN_US = 9_000, TICK_MAX_US = 11_000;

export interface Timex {
  modes: number;
  offset: number;
  freq: number;
  maxerror: number;
  esterror: number;
  status: number;
  constant: number;
  precision: number;
  tolerance: number;
  tv_sec: number;
  tv_usec: number;
  tick: number;
  ppsfreq: number;
  jitter: number;
  shift: number;
  stabil: number;
  jitcnt: number;
  calcnt: number;
  errcnt: number;
  stbcnt: number;
  tai: number;
}

function timex(long: Layout<number>, int: Layout<number>, size: number): Struct<Timex> {
  return struct<Timex>({
    modes: { ...u32, size: int.size }, offset: long, freq: long, maxerror: long, esterror: long, status: int, constant: long, precision: long,
    tolerance: long, tv_sec: long, tv_usec: long, tick: long, ppsfreq: long, jitter: long, shift: int, stabil: long, jitcnt: long, calcnt: long,
    errcnt: long, stbcnt: long, tai: int,
  }, size);
}

export const timex32: Struct<Timex> = timex(i32, i32, 128);
/** struct __kernel_timex: every int has a word of padding, which stays as it is. */
export const timex64: Struct<Timex> = timex(s64, { ...i32, size: 8 }, 208);
const { modes, status, shift, tai } = timex64.offsets;
/** From where to where, in bytes: what no field of it fills. */
export const TIMEX64_PADDING: readonly (readonly [number, number])[] = [
  [modes + 4, modes + 8], [status + 4, status + 8], [shift + 4, shift + 8], [tai + 4, timex64.size],
];
