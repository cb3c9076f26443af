/** seccomp's modes, flags and actions, and classic BPF. Source: uapi/linux/seccomp.h, filter.h, bpf_common.h, audit.h. */
import { type Struct, struct, u16, u32, u8 } from './struct.ts';

export const SECCOMP_MODE_STRICT = 1, SECCOMP_MODE_FILTER = 2;
export const SECCOMP_SET_MODE_STRICT = 0, SECCOMP_SET_MODE_FILTER = 1, SECCOMP_GET_ACTION_AVAIL = 2, SECCOMP_GET_NOTIF_SIZES = 3;
export const SECCOMP_FILTER_FLAG_TSYNC = 1, SECCOMP_FILTER_FLAG_LOG = 2, SECCOMP_FILTER_FLAG_SPEC_ALLOW = 4;
export const SECCOMP_FILTER_FLAG_NEW_LISTENER = 8, SECCOMP_FILTER_FLAG_TSYNC_ESRCH = 16, SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV = 32;

export const SECCOMP_RET_KILL_PROCESS = 0x8000_0000, SECCOMP_RET_KILL_THREAD = 0, SECCOMP_RET_TRAP = 0x3_0000, SECCOMP_RET_ERRNO = 0x5_0000;
export const SECCOMP_RET_USER_NOTIF = 0x7fc0_0000, SECCOMP_RET_TRACE = 0x7ff0_0000, SECCOMP_RET_LOG = 0x7ffc_0000, SECCOMP_RET_ALLOW = 0x7fff_0000;
export const SECCOMP_RET_ACTION_FULL = 0xffff_0000, SECCOMP_RET_DATA = 0xffff;

export const AUDIT_ARCH_I386 = 0x4000_0003;
/** struct seccomp_data: number, architecture, 64-bit instruction pointer and six 64-bit arguments. */
export const SECCOMP_DATA_SIZE = 64;
/** Linux's BPF_MAXINSNS and MAX_INSNS_PER_PATH. */
export const BPF_MAXINSNS = 4096, MAX_INSNS_PER_PATH = 32_768;
export const BPF_MEMWORDS = 16;

export interface SockFilter {
  code: number;
  jt: number;
  jf: number;
  k: number;
}
export const sockFilter: Struct<SockFilter> = struct<SockFilter>({ code: u16, jt: u8, jf: u8, k: u32 });

export interface SockFprog {
  len: number;
  filter: number;
}
export const sockFprog: Struct<SockFprog> = struct<SockFprog>({ len: u16, filter: u32 });

/** Classes, sizes, modes, operations and sources of an instruction's code. */
export const BPF = {
  LD: 0, LDX: 1, ST: 2, STX: 3, ALU: 4, JMP: 5, RET: 6, MISC: 7,
  W: 0, H: 0x08, B: 0x10, IMM: 0, ABS: 0x20, IND: 0x40, MEM: 0x60, LEN: 0x80, MSH: 0xa0,
  ADD: 0, SUB: 0x10, MUL: 0x20, DIV: 0x30, OR: 0x40, AND: 0x50, LSH: 0x60, RSH: 0x70, NEG: 0x80, MOD: 0x90, XOR: 0xa0,
  JA: 0, JEQ: 0x10, JGT: 0x20, JGE: 0x30, JSET: 0x40,
  K: 0, X: 8, A: 0x10, TAX: 0, TXA: 0x80,
} as const;
