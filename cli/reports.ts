/** What the options ask us to tell: traces while the guest runs, maps and counts at its end, an explanation where it dies. */
import { type RunStatistics, statisticsJson, statisticsText } from '../debug/stats.ts';
import type { Machine } from '../machine.ts';
import type { Process } from '../proc/process.ts';
import { SYSCALLS } from '../syscalls/table.ts';
import type { CliOptions } from './options.ts';
import type { Sink } from './sink.ts';

export class Reports {
  private readonly machine: Machine;
  private readonly options: CliOptions;
  private readonly sink: Sink;
  private readonly started_ms = performance.now();

  constructor(machine: Machine, options: CliOptions, sink: Sink) {
    this.machine = machine;
    this.options = options;
    this.sink = sink;
  }

  /** The process whose end is reported. */
  follow(_process: Process): void {}

  /** The guest is over. */
  finish(): void {
    if (!this.options.stats) return;
    const statistics = this.statistics();
    this.sink.write(this.options.json ? statisticsJson(statistics) : statisticsText(statistics));
  }

  private statistics(): RunStatistics {
    const { dispatcher, faults, parts } = this.machine;
    const known = [...dispatcher.counts].map((count, number) => ({
      name: SYSCALLS[number]?.name ?? `call ${number}`,
      count,
      known: SYSCALLS[number] !== undefined,
    }));
    const beyond = [...dispatcher.unknown]
      .filter(([number]) => number >= dispatcher.counts.length)
      .map(([number, count]) => ({ name: `call ${number}`, count, known: false }));
    const calls = [...known, ...beyond].filter(({ count }) => count > 0).sort((a, b) => b.count - a.count);
    const { inUse, peak, limit } = parts.frames;
    return {
      engine: parts.engine.statistics,
      faults,
      calls,
      frames: { inUse, peak, limit },
      elapsed_ms: performance.now() - this.started_ms,
    };
  }
}
