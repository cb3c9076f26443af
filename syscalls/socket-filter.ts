/** Options about filters of sockets: attaching, detaching, locking, reading back. Linux: net/core/filter.c. */
import { EBADF, EINVAL, ENOENT, ENOMEM, EPERM, errno } from '../abi/errno.ts';
import * as abi from '../abi/seccomp.ts';
import * as s from '../abi/socket.ts';
import type { LocalSocket } from '../fs/socket.ts';
import { filterCost, isValidFilter, runFilter } from '../proc/socket-filter.ts';
import type { Task } from '../proc/task.ts';
import { loadAt } from './kinds.ts';

/** net.core.optmem_max holds a filter of so many instructions, as Linux translates it; and all of the machine's together. */
const MOST_COST = 16_369,
  MOST_INSTRUCTIONS = 1 << 20;

/** There is a program that says which of those who share a port gets what comes: that is kept, without effect. */
const CHOICE = `${s.SOL_SOCKET}:${s.SO_ATTACH_REUSEPORT_CBPF}`;

function isLocked(socket: LocalSocket): boolean {
  return socket.option(s.SOL_SOCKET, s.SO_LOCK_FILTER) !== 0;
}

function programAt(task: Task, socket: LocalSocket, at: number, size: number): readonly abi.SockFilter[] {
  if (size !== abi.sockFprog.size) throw errno(EINVAL);
  const { len, filter } = loadAt(task, at, abi.sockFprog);
  if (isLocked(socket)) throw errno(EPERM);
  if (filter === 0 || len === 0 || len > abi.BPF_MAXINSNS) throw errno(EINVAL);
  const view = task.user.readStruct(filter, len * abi.sockFilter.size);
  const program = Array.from({ length: len }, (_, i) => abi.sockFilter.read(view, i * abi.sockFilter.size));
  if (!isValidFilter(program)) throw errno(EINVAL);
  if (filterCost(program) > MOST_COST) throw errno(ENOMEM);
  return program;
}

/** False: not an option about filters. */
export function setFilterOption(task: Task, socket: LocalSocket, name: number, at: number, size: number, value: number): boolean {
  switch (name) {
    case s.SO_ATTACH_FILTER:
      attach(task, socket, programAt(task, socket, at, size));
      return true;
    case s.SO_DETACH_FILTER:
      if (isLocked(socket)) throw errno(EPERM);
      if (socket.filter === undefined) throw errno(ENOENT);
      socket.filter.release();
      socket.filter = undefined;
      return true;
    case s.SO_LOCK_FILTER:
      if (isLocked(socket) && value === 0) throw errno(EPERM);
      return false;
    case s.SO_ATTACH_BPF:
    case s.SO_ATTACH_REUSEPORT_EBPF:
      // There are no descriptors of programs.
      if (size !== 4) throw errno(EINVAL);
      if (isLocked(socket)) throw errno(EPERM);
      throw errno(task.files.has(value) ? EINVAL : EBADF);
    case s.SO_ATTACH_REUSEPORT_CBPF:
      programAt(task, socket, at, size);
      if (!sharesPort(socket)) throw errno(EINVAL);
      socket.options.set(CHOICE, new Uint8Array(0));
      return true;
    case s.SO_DETACH_REUSEPORT_BPF:
      if (!socket.options.delete(CHOICE)) throw errno(sharesPort(socket) ? ENOENT : EINVAL);
      return true;
    default:
      return false;
  }
}

function sharesPort(socket: LocalSocket): boolean {
  return socket.option(s.SOL_SOCKET, s.SO_REUSEPORT) !== 0;
}

function attach(task: Task, socket: LocalSocket, program: readonly abi.SockFilter[]): void {
  const { kernel } = task;
  const random = (): number => {
    const bytes = new Uint8Array(4);
    kernel.random(bytes);
    return new DataView(bytes.buffer).getUint32(0);
  };
  const { sockets } = kernel.files;
  socket.filter?.release();
  socket.filter = undefined;
  if (sockets.filtering + program.length > MOST_INSTRUCTIONS) throw errno(ENOMEM);
  sockets.filtering += program.length;
  socket.filter = { program, keeps: (seen) => runFilter(program, seen, random), release: () => void (sockets.filtering -= program.length) };
}

/** SO_GET_FILTER: the length counts instructions; with 0 only how many there are is asked for. */
export function tellFilter(task: Task, socket: LocalSocket, at: number, sizeAt: number): void {
  const room = task.user.readI32(sizeAt);
  if (room < 0) throw errno(EINVAL);
  const program = socket.filter?.program ?? [];
  if (room > 0 && room < program.length) throw errno(EINVAL);
  if (room > 0 && program.length > 0) {
    const bytes = new Uint8Array(program.length * abi.sockFilter.size);
    const view = new DataView(bytes.buffer);
    for (const [i, instruction] of program.entries()) abi.sockFilter.write(view, i * abi.sockFilter.size, instruction);
    task.user.write(at, bytes);
  }
  task.user.writeU32(sizeAt, program.length);
}
