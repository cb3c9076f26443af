/** Resource limits of a process. 64-bit as prlimit64 passes them; the old calls clip to 32 bits. */
import {
  RLIM_INFINITY,
  RLIMIT_AS,
  RLIMIT_CORE,
  RLIMIT_DATA,
  RLIMIT_MEMLOCK,
  RLIMIT_MSGQUEUE,
  RLIMIT_NICE,
  RLIMIT_NOFILE,
  RLIMIT_NPROC,
  RLIMIT_RTPRIO,
  RLIMIT_SIGPENDING,
  RLIMIT_STACK,
  RLIMITS,
} from '../abi/resource.ts';
import type { MemoryLimits } from '../mm/request.ts';

export interface Limit {
  current: bigint;
  maximum: bigint;
}

/** What a login on Debian gives. */
export function defaultLimits(): Limit[] {
  const limits = Array.from({ length: RLIMITS }, () => ({ current: RLIM_INFINITY, maximum: RLIM_INFINITY }));
  limits[RLIMIT_STACK].current = 8n << 20n;
  limits[RLIMIT_CORE].current = 0n;
  limits[RLIMIT_NPROC] = { current: 31_500n, maximum: 31_500n };
  limits[RLIMIT_NOFILE] = { current: 1024n, maximum: 1_048_576n };
  limits[RLIMIT_MEMLOCK] = { current: 8n << 20n, maximum: 8n << 20n };
  limits[RLIMIT_SIGPENDING] = { current: 31_500n, maximum: 31_500n };
  limits[RLIMIT_MSGQUEUE] = { current: 819_200n, maximum: 819_200n };
  limits[RLIMIT_NICE] = { current: 0n, maximum: 0n };
  limits[RLIMIT_RTPRIO] = { current: 0n, maximum: 0n };
  return limits;
}

/** A limit as a number: Infinity is RLIM_INFINITY. */
export function limitNumber(value: bigint): number {
  return value === RLIM_INFINITY ? Number.POSITIVE_INFINITY : Number(value);
}

/** A child's limits. */
export function copyLimits(limits: readonly Limit[]): Limit[] {
  return limits.map(({ current, maximum }) => ({ current, maximum }));
}

/** A process's limits as memory obeys them: always what they are now, whoever has changed them. */
export class ProcessMemoryLimits implements MemoryLimits {
  private readonly limits: readonly Limit[];

  constructor(limits: readonly Limit[]) {
    this.limits = limits;
  }

  get as(): number {
    return limitNumber(this.limits[RLIMIT_AS].current);
  }
  get data(): number {
    return limitNumber(this.limits[RLIMIT_DATA].current);
  }
  get dataMaximum(): number {
    return limitNumber(this.limits[RLIMIT_DATA].maximum);
  }
  get stack(): number {
    return limitNumber(this.limits[RLIMIT_STACK].current);
  }
  get locked(): number {
    return limitNumber(this.limits[RLIMIT_MEMLOCK].current);
  }
}
