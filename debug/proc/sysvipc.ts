/** /proc/sysvipc: System V objects of the machine, a line each. Linux: the seq files of ipc/. */
import type { Kernel } from '../../proc/task.ts';

/** First lines, by kind. */
const SYSV_HEADS = {
  msg: '       key      msqid perms      cbytes       qnum lspid lrpid   uid   gid  cuid  cgid      stime      rtime      ctime\n',
  sem: '       key      semid perms      nsems   uid   gid  cuid  cgid      otime      ctime\n',
  shm: '       key      shmid perms                  size  cpid  lpid nattch   uid   gid  cuid  cgid      atime      dtime      ctime                   rss                  swap\n',
};

export function sharedMemoryText({ shm }: Kernel): string {
  const rows = shm.table
    .all()
    .map(({ key, id, mode, size, cpid, lpid, object, uid, gid, cuid, cgid, atime, dtime, ctime }) =>
      [
        padded(key | 0, 10),
        padded(id, 10),
        ` ${mode.toString(8).padStart(4)}`,
        padded(size, 21),
        padded(cpid, 5),
        padded(lpid, 5),
        ` ${padded(object.areas.size, 5)}`,
        ...[uid, gid, cuid, cgid].map((number) => padded(number, 5)),
        ...[atime, dtime, ctime].map((number) => padded(number, 10)),
        padded(object.pages.size * 4096, 21),
        padded(0, 21),
      ].join(' '),
    );
  return `${SYSV_HEADS.shm}${rows.map((row) => `${row}\n`).join('')}`;
}

export function semaphoresText({ semaphores }: Kernel): string {
  const rows = semaphores.table
    .all()
    .map(({ key, id, mode, values, uid, gid, cuid, cgid, otime, ctime }) =>
      [
        padded(key | 0, 10),
        padded(id, 10),
        ` ${mode.toString(8).padStart(4)}`,
        padded(values.length, 10),
        ...[uid, gid, cuid, cgid].map((number) => padded(number, 5)),
        ...[otime, ctime].map((number) => padded(number, 10)),
      ].join(' '),
    );
  return `${SYSV_HEADS.sem}${rows.map((row) => `${row}\n`).join('')}`;
}

export function messageQueuesText({ messages }: Kernel): string {
  const rows = messages.table
    .all()
    .map(({ key, id, mode, bytes, messages: held, lspid, lrpid, uid, gid, cuid, cgid, stime, rtime, ctime }) =>
      [
        padded(key | 0, 10),
        padded(id, 10),
        ` ${mode.toString(8).padStart(4)} `,
        ...[bytes, held.length].map((number) => padded(number, 10)),
        ...[lspid, lrpid, uid, gid, cuid, cgid].map((number) => padded(number, 5)),
        ...[stime, rtime, ctime].map((number) => padded(number, 10)),
      ].join(' '),
    );
  return `${SYSV_HEADS.msg}${rows.map((row) => `${row}\n`).join('')}`;
}

function padded(value: number, width: number): string {
  return String(value).padStart(width);
}
