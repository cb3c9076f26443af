/** What the host has started as one thing, with everything that starts in turn: what the host's limits of instructions and time count. */
import type { Expirable } from './deadlines.ts';

/** Which limit ended a job. */
export type JobLimit = 'instructions' | 'time';

export interface JobLimits {
  /** Instructions that all its processes together may execute. */
  readonly instructions?: number;
  /** When it must be over, in monotonic nanoseconds. */
  readonly deadline_ns?: bigint;
}

export class Job implements Expirable {
  /** Instructions that are left. */
  left: number;
  /** Its deadline, a timer of the scheduler; undefined once there is nothing to wait for. */
  due: bigint | undefined;
  /** The limit that it ran into. */
  exceeded: JobLimit | undefined;
  private readonly end: (job: Job) => void;

  /** `end` ends all its processes. */
  constructor({ instructions = Number.POSITIVE_INFINITY, deadline_ns }: JobLimits, end: (job: Job) => void) {
    this.left = instructions;
    this.due = deadline_ns;
    this.end = end;
  }

  /** Its processes have executed that many more. */
  charge(instructions: number): void {
    this.left -= instructions;
    if (this.left <= 0) this.exceed('instructions');
  }

  expire(): void {
    this.exceed('time');
  }

  private exceed(limit: JobLimit): void {
    this.due = undefined;
    this.exceeded ??= limit;
    this.end(this);
  }
}
