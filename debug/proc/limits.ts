/** /proc/PID/limits. */
import { RLIM_INFINITY } from '../../abi/resource.ts';
import type { Process } from '../../proc/process.ts';

/** In the order of RLIMIT_ numbers. */
const LIMIT_NAMES: readonly (readonly [name: string, unit: string])[] = [
  ['Max cpu time', 'seconds'],
  ['Max file size', 'bytes'],
  ['Max data size', 'bytes'],
  ['Max stack size', 'bytes'],
  ['Max core file size', 'bytes'],
  ['Max resident set', 'bytes'],
  ['Max processes', 'processes'],
  ['Max open files', 'files'],
  ['Max locked memory', 'bytes'],
  ['Max address space', 'bytes'],
  ['Max file locks', 'locks'],
  ['Max pending signals', 'signals'],
  ['Max msgqueue size', 'bytes'],
  ['Max nice priority', ''],
  ['Max realtime priority', ''],
  ['Max realtime timeout', 'us'],
];

export function limitsText({ limits }: Process): string {
  const text = (value: bigint): string => (value === RLIM_INFINITY ? 'unlimited' : String(value));
  const row = (name: string, soft: string, hard: string, unit: string): string =>
    `${name.padEnd(25)} ${soft.padEnd(20)} ${hard.padEnd(20)} ${unit.padEnd(10)}\n`;
  const rows = LIMIT_NAMES.map(([name, unit], i) => row(name, text(limits[i].current), text(limits[i].maximum), unit));
  return row('Limit', 'Soft Limit', 'Hard Limit', 'Units') + rows.join('');
}
