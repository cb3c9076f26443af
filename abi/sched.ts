/** Scheduling policies, their attributes, and priorities of input and output. Source: uapi/linux/sched.h, sched/types.h, ioprio.h. */
import { i32, type Struct, struct, u32, u64 } from './struct.ts';

export const SCHED_OTHER = 0, SCHED_FIFO = 1, SCHED_RR = 2, SCHED_BATCH = 3, SCHED_IDLE = 5, SCHED_DEADLINE = 6, SCHED_EXT = 7;
export const SCHED_POLICIES: Readonly<Record<string, number>> = { SCHED_OTHER, SCHED_FIFO, SCHED_RR, SCHED_BATCH, SCHED_IDLE, SCHED_DEADLINE, SCHED_EXT };
export const SCHED_RESET_ON_FORK = 0x4000_0000;

export const SCHED_FLAG_RESET_ON_FORK = 1, SCHED_FLAG_KEEP_POLICY = 8, SCHED_FLAG_KEEP_PARAMS = 16, SCHED_FLAG_UTIL_CLAMP = 0x60, SCHED_FLAG_ALL = 0x7f;

export interface SchedParam {
  priority: number;
}
export const schedParam: Struct<SchedParam> = struct<SchedParam>({ priority: i32 });

export interface SchedAttr {
  size: number;
  policy: number;
  flags: bigint;
  nice: number;
  priority: number;
  runtime: bigint;
  deadline: bigint;
  period: bigint;
  utilMin: number;
  utilMax: number;
}
export const schedAttr: Struct<SchedAttr> = struct<SchedAttr>({
  size: u32, policy: u32, flags: u64, nice: i32, priority: u32, runtime: u64, deadline: u64, period: u64, utilMin: u32, utilMax: u32,
});
/** sizeof(struct sched_attr) before utilisation clamps. */
export const SCHED_ATTR_SIZE_VER0 = 48;

export const PRIO_PROCESS = 0, PRIO_PGRP = 1, PRIO_USER = 2;
export const MIN_NICE = -20, MAX_NICE = 19;

export const IOPRIO_WHO_PROCESS = 1, IOPRIO_WHO_PGRP = 2, IOPRIO_WHO_USER = 3;
export const IOPRIO_CLASS_NONE = 0, IOPRIO_CLASS_RT = 1, IOPRIO_CLASS_BE = 2, IOPRIO_CLASS_IDLE = 3, IOPRIO_CLASS_SHIFT = 13;
