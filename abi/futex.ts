/** Futex operations, the bits of a lock's word, and the structures of the newer calls. Source: uapi/linux/futex.h. */
import { type Struct, struct, u32, u64 } from './struct.ts';

export const FUTEX_WAIT = 0, FUTEX_WAKE = 1, FUTEX_FD = 2, FUTEX_REQUEUE = 3, FUTEX_CMP_REQUEUE = 4, FUTEX_WAKE_OP = 5, FUTEX_LOCK_PI = 6;
export const FUTEX_UNLOCK_PI = 7, FUTEX_TRYLOCK_PI = 8, FUTEX_WAIT_BITSET = 9, FUTEX_WAKE_BITSET = 10, FUTEX_WAIT_REQUEUE_PI = 11;
export const FUTEX_CMP_REQUEUE_PI = 12, FUTEX_LOCK_PI2 = 13;
export const FUTEX_OPERATIONS: Readonly<Record<string, number>> = {
  FUTEX_WAIT, FUTEX_WAKE, FUTEX_FD, FUTEX_REQUEUE, FUTEX_CMP_REQUEUE, FUTEX_WAKE_OP, FUTEX_LOCK_PI, FUTEX_UNLOCK_PI, FUTEX_TRYLOCK_PI,
  FUTEX_WAIT_BITSET, FUTEX_WAKE_BITSET, FUTEX_WAIT_REQUEUE_PI, FUTEX_CMP_REQUEUE_PI, FUTEX_LOCK_PI2,
};
export const FUTEX_PRIVATE_FLAG = 128, FUTEX_CLOCK_REALTIME = 256;

/** A lock's word: its owner's thread id and what is known of it. */
export const FUTEX_WAITERS = 0x80000000, FUTEX_OWNER_DIED = 0x40000000, FUTEX_TID_MASK = 0x3fffffff;

/** Flags of futex_waitv, futex_wake, futex_wait and futex_requeue: the word's size in the low two bits. */
export const FUTEX2_SIZE_U8 = 0, FUTEX2_SIZE_U16 = 1, FUTEX2_SIZE_U32 = 2, FUTEX2_SIZE_U64 = 3, FUTEX2_SIZE_MASK = 3;
export const FUTEX2_NUMA = 4, FUTEX2_MPOL = 8, FUTEX2_PRIVATE = 128;
export const FUTEX_WAITV_MAX = 128;
/** Of a FUTEX2_NUMA word's second half: any node. */
export const FUTEX_NO_NODE = 0xffffffff;

export interface FutexWaitv {
  val: bigint;
  uaddr: bigint;
  flags: number;
  reserved: number;
}
export const futexWaitv: Struct<FutexWaitv> = struct<FutexWaitv>({ val: u64, uaddr: u64, flags: u32, reserved: u32 });
