/** What `--stats` prints: instructions, faults, calls, frames and time of one run. */
import type { EngineStatistics } from '../emu/engine.ts';

export interface RunStatistics {
  readonly engine: EngineStatistics;
  /** Page faults that reached the fault walk. */
  readonly faults: number;
  /** Calls by name, most frequent first; a number where no call has it. */
  readonly calls: readonly { readonly name: string; readonly count: number; readonly known: boolean }[];
  /** Frames: in use now, at most so far, the limit, and bytes of one. */
  readonly frames: { readonly inUse: number; readonly peak: number; readonly limit: number; readonly size: number };
  readonly elapsed_ms: number;
}

/** Calls shown by name; the rest is summed up. */
const CALLS_SHOWN = 12;
const FRAME_KIB = 4;

/** Lines for people, each ended by a newline. */
export function statisticsText(statistics: RunStatistics): string {
  const { engine, faults, calls, frames, elapsed_ms } = statistics;
  const total = calls.reduce((sum, { count }) => sum + count, 0);
  const unknown = calls.filter(({ known }) => !known);
  const rate = elapsed_ms > 0 ? engine.instructions / elapsed_ms / 1000 : 0;
  const rows: [string, string][] = [
    ['instructions', `${grouped(engine.instructions)} (${rate.toFixed(1)} million a second)`],
    ['time', `${elapsed_ms.toFixed(1)} ms`],
    ['blocks', `${grouped(engine.blocksTranslated)} translated, ${grouped(engine.blocksInvalidated)} dropped`],
    ['TLB', `${grouped(engine.tlbMisses)} misses, ${grouped(engine.tlbFlushes)} flushes`],
    ['page faults', grouped(faults)],
    [
      'memory',
      `${grouped(frames.inUse * FRAME_KIB)} KiB in use, ${grouped(frames.peak * FRAME_KIB)} KiB at most${limitText(frames.limit)}`,
    ],
    ['system calls', `${grouped(total)}${total === 0 ? '' : `: ${callsText(calls)}`}`],
    ...(unknown.length === 0 ? [] : [['not answered', `${callsText(unknown)} (ENOSYS)`] as [string, string]]),
  ];
  return rows.map(([name, value]) => `${name.padEnd(14)}${value}\n`).join('');
}

function callsText(calls: RunStatistics['calls']): string {
  const shown = calls.slice(0, CALLS_SHOWN).map(({ name, count }) => `${name} ${grouped(count)}`);
  const rest = calls.slice(CALLS_SHOWN).reduce((sum, { count }) => sum + count, 0);
  return [...shown, ...(rest > 0 ? [`others ${grouped(rest)}`] : [])].join(', ');
}

function limitText(limit: number): string {
  return Number.isFinite(limit) ? ` of ${grouped(limit * FRAME_KIB)}` : '';
}

/** 1234567 as 1,234,567. */
function grouped(value: number): string {
  return String(value).replace(/\B(?=(\d{3})+$)/g, ',');
}
