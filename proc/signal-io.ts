/** Signals that tell of input and output: SIGIO for descriptors with O_ASYNC, SIGURG for urgent data, broken leases. Linux: fs/fcntl.c send_sigio. */
import { POLLERR, POLLHUP, POLLIN, POLLOUT, POLLPRI, POLLRDNORM, POLLWRBAND, POLLWRNORM } from '../abi/poll.ts';
import { SIGIO, SIGURG } from '../abi/signal.ts';
import type { Description, Ownership } from '../fs/description.ts';
import { kernelInfo, type SignalInfo } from './siginfo.ts';
import { sendToProcess, sendToTask } from './send.ts';
import type { Process } from './process.ts';
import { type Kernel, type Task, threadsOf } from './task.ts';

/** What an owner's number names (F_SETOWN_EX). */
export const F_OWNER_TID = 0,
  F_OWNER_PID = 1,
  F_OWNER_PGRP = 2;

/** POLL_ codes: what has come to hold, and the bits that siginfo says of it. Linux: band_table. */
const REASONS = [
  { bits: POLLIN, code: 1, band: POLLIN | POLLRDNORM },
  { bits: POLLOUT, code: 2, band: POLLOUT | POLLWRNORM | POLLWRBAND },
  { bits: POLLERR, code: 4, band: POLLERR },
  { bits: POLLPRI, code: 5, band: POLLPRI | 0x80 },
  { bits: POLLHUP, code: 6, band: POLLHUP | POLLERR },
] as const;

/** Watches a description whose O_ASYNC is set, and tells its owner through descriptor `fd` of what comes to hold. */
export function watchAsync(kernel: Kernel, description: Description, fd: number): void {
  const { file } = description;
  const { changes } = file;
  if (changes === undefined) return;
  let cancel = (): void => {};
  const woken = (events?: number): void => {
    cancel = changes.subscribe(woken);
    const ready = file.poll() & (events ?? -1);
    const reason = REASONS.find(({ bits }) => (ready & bits) !== 0);
    if (reason !== undefined) tellOwner(kernel, description, reason.code, reason.band, fd);
  };
  cancel = changes.subscribe(woken);
  description.onClose('async', () => cancel());
}

/** Nobody is told any more. */
export function unwatchAsync(description: Description): void {
  description.closed('async');
}

/** SIGIO, or the signal that F_SETSIG named, which says what has happened and to which descriptor. */
export function tellOwner(kernel: Kernel, { owner, signal }: Description, code: number, band: number, fd: number): void {
  const info = signal === 0 ? kernelInfo(SIGIO) : { signo: signal, errno: 0, code, fields: [band, fd] };
  if (toOwner(kernel, owner, info) === 'full') toOwner(kernel, owner, kernelInfo(SIGIO));
}

export function tellUrgent(kernel: Kernel, { owner }: Description): void {
  toOwner(kernel, owner, kernelInfo(SIGURG));
}

function toOwner(kernel: Kernel, owner: Ownership, info: SignalInfo): string | undefined {
  const { type, id } = owner;
  if (id === 0) return undefined;
  if (type === F_OWNER_TID) {
    const task = kernel.tasks.get(id);
    return task !== undefined && mayTell(owner, task) ? sendToTask(task, info) : undefined;
  }
  let sent: string | undefined;
  for (const process of kernel.processes.values()) {
    const isMeant = type === F_OWNER_PGRP ? process.pgid === id : process.pid === id;
    const task = isMeant ? firstOf(kernel, process) : undefined;
    if (task !== undefined && mayTell(owner, task)) sent = sendToProcess(kernel, process, info);
  }
  return sent;
}

function firstOf(kernel: Kernel, process: Process): Task | undefined {
  return process.status === undefined ? threadsOf(kernel, process)[0] : undefined;
}

/** Linux: sigio_perm, by who named the owner. */
function mayTell({ by }: Ownership, { credentials: { uid, suid } }: Task): boolean {
  if (by === undefined || by.euid === 0) return true;
  return [by.euid, by.uid].some((id) => id === uid || id === suid);
}
