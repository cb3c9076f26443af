/** Numbers for processes and threads: one after the other, as a kernel gives them out, and none again while anybody means it. */

/** The machine itself is process 1 as far as anybody sees it: it adopts orphans. */
export const INIT_PID = 1;
/** Where numbering starts again behind the highest number (Linux RESERVED_PIDS), and that number on a 64-bit kernel. */
const RESERVED = 300;
const PID_TOP = 4_194_304;

export class Pids {
  /** How many were given out. */
  given = 0;
  private last = INIT_PID;
  /** Above the highest number ever given out nobody needs to be asked. */
  private highest = INIT_PID;
  private readonly used: (pid: number) => boolean;

  constructor(used: (pid: number) => boolean) {
    this.used = used;
  }

  /** The next free number. There is one: tasks are limited to far fewer. */
  next(): number {
    do this.last = this.last + 1 >= PID_TOP ? RESERVED : this.last + 1;
    while (this.last <= this.highest && this.used(this.last));
    return this.take(this.last);
  }

  /** A number that somebody has chosen; numbering goes on behind it. */
  take(pid: number): number {
    this.given++;
    this.last = pid;
    this.highest = Math.max(this.highest, pid);
    return pid;
  }
}
