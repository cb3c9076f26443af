/** Asynchronous input and output (io_setup, io_submit ...). Source: uapi/linux/aio_abi.h. */
import { i16, i32, i64, type Struct, struct, u16, u32, u64 } from './struct.ts';

export const IOCB_CMD_PREAD = 0, IOCB_CMD_PWRITE = 1, IOCB_CMD_FSYNC = 2, IOCB_CMD_FDSYNC = 3, IOCB_CMD_POLL = 5, IOCB_CMD_PREADV = 7;
export const IOCB_CMD_PWRITEV = 8;
export const IOCB_FLAG_RESFD = 1;

export interface Iocb {
  /** Comes back with the event. */
  data: bigint;
  /** Written by the kernel: 0. */
  key: number;
  rw_flags: number;
  opcode: number;
  reqprio: number;
  fildes: number;
  buf: bigint;
  nbytes: bigint;
  offset: bigint;
  reserved2: bigint;
  flags: number;
  resfd: number;
}
export const iocb: Struct<Iocb> = struct<Iocb>({
  data: u64, key: u32, rw_flags: i32, opcode: u16, reqprio: i16, fildes: i32, buf: u64, nbytes: u64, offset: i64, reserved2: u64, flags: u32, resfd: i32,
});

export interface IoEvent {
  data: bigint;
  /** Address of the iocb. */
  obj: bigint;
  /** As the call's result: a count or a negative errno. */
  res: bigint;
  res2: bigint;
}
export const ioEvent: Struct<IoEvent> = struct<IoEvent>({ data: u64, obj: u64, res: i64, res2: i64 });
