/** Times of processes and of functions, and their medians. */
import { spawnSync } from 'node:child_process';

/** Seconds from start to end of a command, which must succeed. */
export function wall_s(command: readonly string[]): number {
  const start = process.hrtime.bigint();
  const { status, signal, stderr } = spawnSync(command[0] as string, command.slice(1), { stdio: ['ignore', 'ignore', 'pipe'] });
  const end = process.hrtime.bigint();
  if (status !== 0) throw new Error(`${command.join(' ')} ended with ${signal ?? status}: ${stderr.toString().slice(0, 500)}`);
  return Number(end - start) / 1e9;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? (sorted[middle] as number) : ((sorted[middle - 1] as number) + (sorted[middle] as number)) / 2;
}

/** Nanoseconds that one call of `work` takes, as the median of several batches. */
export function perCall_ns(work: () => void, calls: number, batches = 7): number {
  const one = () => {
    const start = process.hrtime.bigint();
    for (let n = 0; n < calls; n++) work();
    return Number(process.hrtime.bigint() - start) / calls;
  };
  one();
  return median(Array.from({ length: batches }, one));
}
