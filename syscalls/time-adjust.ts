/** adjtimex and clock_adjtime: what is known of the real time's accuracy, and small changes to it. Source: kernel/time/ntp.c, timekeeping.c. */
import { CAP_SYS_TIME } from '../abi/capability.ts';
import { EINVAL, EOPNOTSUPP, EPERM, errno } from '../abi/errno.ts';
import { encoded, type Struct } from '../abi/struct.ts';
import { CLOCK_REALTIME, CLOCK_REALTIME_ALARM, CLOCK_TAI, CLOCKS, SECOND_NS } from '../abi/time.ts';
import * as abi from '../abi/timex.ts';
import type { ClockAccuracy } from '../proc/clock.ts';
import { capable } from '../proc/credentials.ts';
import type { Task } from '../proc/task.ts';
import { define } from './define.ts';
import { choice, type InOut, intResult, structInOut } from './kinds.ts';

const support = { partial: 'frequency, tick and offset are kept and told again; the clock goes on as it goes' };
const clock = choice(CLOCKS);

const adjtimex = define({
  name: 'adjtimex', args: [['buf', structInOut(abi.timex32, 'struct timex')]], result: intResult, support,
  handler: (task, buf) => adjust(task, buf, abi.timex32),
});

function clockAdjtime(name: string, layout: Struct<abi.Timex>) {
  return define({
    name, args: [['clockid', clock], ['buf', structInOut(layout, 'struct timex')]], result: intResult, support,
    handler: (task, id, buf) => adjust(task, buf, layout, id),
  });
}

function adjust(task: Task, at: InOut<abi.Timex>, layout: Struct<abi.Timex>, id: number = CLOCK_REALTIME): number {
  const bytes = task.user.read(at, layout.size);
  if (id !== CLOCK_REALTIME) throw errno(id >= CLOCK_REALTIME_ALARM + 2 && id !== CLOCK_TAI ? EINVAL : EOPNOTSUPP);
  const wanted = layout.read(new DataView(bytes.buffer, bytes.byteOffset, bytes.length), 0);
  check(task, wanted);
  const offset = apply(task, wanted);
  const { accuracy } = task.kernel.clock;
  const now_ns = task.kernel.clock.realtime();
  const below_ns = Number(now_ns % SECOND_NS);
  const told: abi.Timex = {
    modes: wanted.modes, offset, freq: accuracy.frequency, maxerror: accuracy.maxError_us, esterror: accuracy.error_us, status: accuracy.status,
    constant: accuracy.constant, precision: 1, tolerance: abi.MAX_FREQUENCY, tv_sec: Number(now_ns / SECOND_NS),
    tv_usec: accuracy.status & abi.STA_NANO ? below_ns : Math.floor(below_ns / 1000), tick: accuracy.tick_us, tai: accuracy.tai_s,
    ppsfreq: 0, jitter: 0, shift: 0, stabil: 0, jitcnt: 0, calcnt: 0, errcnt: 0, stbcnt: 0,
  };
  const answer = encoded(layout, told);
  // The old struct is built anew, with nothing behind its last field; the new one goes back as it came but for what its fields say.
  if (layout === abi.timex64) for (const [from, to] of abi.TIMEX64_PADDING) answer.set(bytes.subarray(from, to), from);
  task.user.write(at, answer);
  return accuracy.status & (abi.STA_UNSYNC | abi.STA_CLOCKERR) ? abi.TIME_ERROR : abi.TIME_OK;
}

function check(task: Task, { modes, tick, tv_usec }: abi.Timex): void {
  const allowed = capable(task.credentials, CAP_SYS_TIME);
  if (modes & abi.ADJ_ADJTIME) {
    if (!(modes & abi.ADJ_OFFSET)) throw errno(EINVAL);
    if (!(modes & abi.ADJ_OFFSET_READONLY) && !allowed) throw errno(EPERM);
  } else {
    if (modes !== 0 && !allowed) throw errno(EPERM);
    if (modes & abi.ADJ_TICK && (tick < abi.TICK_MIN_US || tick > abi.TICK_MAX_US)) throw errno(EINVAL);
  }
  if (!(modes & abi.ADJ_SETOFFSET)) return;
  if (!allowed) throw errno(EPERM);
  if (tv_usec < 0 || tv_usec >= (modes & abi.ADJ_NANO ? 1e9 : 1e6)) throw errno(EINVAL);
}

/** Returns the offset to tell: what was left of a slew, or 0. */
function apply(task: Task, wanted: abi.Timex): number {
  const { clock: time } = task.kernel;
  const { modes } = wanted;
  if (modes & abi.ADJ_SETOFFSET) {
    const below_ns = BigInt(wanted.tv_usec) * (modes & abi.ADJ_NANO ? 1n : 1000n);
    const now_ns = time.realtime() + BigInt(wanted.tv_sec) * SECOND_NS + below_ns;
    if (now_ns < time.monotonic()) throw errno(EINVAL);
    time.set(now_ns);
  }
  if (modes & abi.ADJ_ADJTIME) {
    const left_us = Number(time.slewLeft_ns / 1000n);
    if (!(modes & abi.ADJ_OFFSET_READONLY)) time.slew(BigInt(wanted.offset) * 1000n);
    return left_us;
  }
  if (modes !== 0) keep(time.accuracy, wanted);
  return 0;
}

/** Linux: process_adjtimex_modes. */
function keep(accuracy: ClockAccuracy, wanted: abi.Timex): void {
  const { modes } = wanted;
  if (modes & abi.ADJ_STATUS) {
    if (accuracy.status & abi.STA_PLL && !(wanted.status & abi.STA_PLL)) accuracy.status = abi.STA_UNSYNC;
    accuracy.status = (accuracy.status & abi.STA_RONLY) | (wanted.status & ~abi.STA_RONLY);
  }
  if (modes & abi.ADJ_NANO) accuracy.status |= abi.STA_NANO;
  if (modes & abi.ADJ_MICRO) accuracy.status &= ~abi.STA_NANO;
  if (modes & abi.ADJ_FREQUENCY) accuracy.frequency = clamp(wanted.freq, -abi.MAX_FREQUENCY, abi.MAX_FREQUENCY);
  if (modes & abi.ADJ_MAXERROR) accuracy.maxError_us = clamp(wanted.maxerror, 0, abi.MAX_ERROR_US);
  if (modes & abi.ADJ_ESTERROR) accuracy.error_us = clamp(wanted.esterror, 0, abi.MAX_ERROR_US);
  if (modes & abi.ADJ_TIMECONST) {
    const constant = clamp(wanted.constant, 0, abi.MAX_TIME_CONSTANT);
    accuracy.constant = clamp(constant + (accuracy.status & abi.STA_NANO ? 0 : 4), 0, abi.MAX_TIME_CONSTANT);
  }
  if (modes & abi.ADJ_TAI && wanted.constant >= 0 && wanted.constant <= abi.MAX_TAI_OFFSET) accuracy.tai_s = wanted.constant;
  if (modes & abi.ADJ_TICK) accuracy.tick_us = wanted.tick;
}

function clamp(value: number, least: number, most: number): number {
  return Math.min(Math.max(value, least), most);
}

export const calls = [adjtimex, clockAdjtime('clock_adjtime', abi.timex32), clockAdjtime('clock_adjtime64', abi.timex64)];
