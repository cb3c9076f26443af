/** What the options ask us to tell: traces while the guest runs, maps and counts at its end, an explanation where it dies. */
import { type Addr, PAGE_SIZE, type Access } from '../abi/page.ts';
import { signalName } from '../abi/signal.ts';
import { coreOf } from '../debug/core.ts';
import { explainFault } from '../debug/explain.ts';
import { faultLine } from '../debug/fault-trace.ts';
import { MapTrace } from '../debug/map-trace.ts';
import { type RunStatistics, statisticsText } from '../debug/stats.ts';
import { exitLine, signalLine, Strace } from '../debug/strace.ts';
import { hex8 } from '../debug/umem.ts';
import type { Machine, MachineTracer } from '../machine.ts';
import type { Outcome } from '../mm/outcome.ts';
import type { ExitStatus, Process } from '../proc/process.ts';
import type { SignalInfo } from '../proc/siginfo.ts';
import { defaultAction } from '../proc/signal.ts';
import type { Task } from '../proc/task.ts';
import type { CallTracer } from '../syscalls/dispatch.ts';
import { SYSCALLS, syscallName } from '../syscalls/table.ts';
import type { CliOptions } from './options.ts';
import { type Sink, writeCore } from './sink.ts';
import { Views } from './views.ts';

/** A fault that could not be resolved, and the task that made it. */
interface Refused {
  readonly task: Task;
  readonly outcome: Outcome & { readonly kind: 'signal' };
  readonly access: Access;
}

/** Calls after which mappings may differ. */
const MAPPING_CALLS: ReadonlySet<string> = new Set([
  'brk',
  'mmap',
  'mmap2',
  'munmap',
  'mprotect',
  'mremap',
  'execve',
  'remap_file_pages',
  'shmat',
  'shmdt',
]);

export class Reports {
  private readonly machine: Machine;
  private readonly options: CliOptions;
  private readonly sink: Sink;
  private readonly started_ms = performance.now();
  private readonly mapTrace = new MapTrace();
  private refused: Refused | undefined;
  private ending: string | undefined;
  readonly views: Views;

  constructor(machine: Machine, options: CliOptions, sink: Sink) {
    this.machine = machine;
    this.options = options;
    this.sink = sink;
    this.views = new Views(machine, options, sink);
    machine.observe(this.tracer());
  }

  private tracer(): MachineTracer {
    const { trace } = this.options;
    return {
      calls: this.callTracer(),
      signal: trace.has('signals') || trace.has('calls') ? (_task, info) => this.sink.line(signalLine(info)) : undefined,
      fault: (task, addr, access, outcome) => this.fault(task, addr, access, outcome),
      fatal: (task, info) => this.fatal(task, info),
      exit: (process, status) => this.exit(process, status),
      exec: trace.has('maps') ? (task, _path, refused) => refused ?? this.mapChanges(task, 'execve') : undefined,
    };
  }

  private callTracer(): CallTracer | undefined {
    const { trace } = this.options;
    const calls = trace.has('calls') ? new Strace(this.sink.line) : undefined;
    if (calls === undefined && !trace.has('maps') && !this.views.wantsCalls) return undefined;
    return {
      enter: (...event) => calls?.enter(...event),
      leave: (...event) => {
        calls?.leave(...event);
        this.tellEnding();
        const [task, , call] = event;
        if (call === undefined) return;
        if (trace.has('maps') && MAPPING_CALLS.has(call.name)) this.mapChanges(task, call.name);
        this.views.called(task, call.name);
      },
    };
  }

  private mapChanges(task: Task, cause: string): void {
    const behind = ` (${cause}, eip 0x${hex8(task.registers.eip)})`;
    for (const line of this.mapTrace.changes(task.space)) this.sink.line(`${this.whose(task)}${line}${behind}`);
  }

  /** Only with several tasks does a line say whose it is. */
  private whose(task: Task): string {
    return task.kernel.tasks.size > 1 ? `[pid ${task.tid}] ` : '';
  }

  private fault(task: Task, addr: Addr, access: Access, outcome: Outcome): void {
    if (outcome.kind === 'signal') this.refused = { task, outcome, access };
    if (this.options.trace.has('faults')) {
      this.sink.line(`${this.whose(task)}${faultLine(task.space, addr, access, outcome, task.registers.eip)}`);
    }
  }

  private fatal(task: Task, info: SignalInfo): void {
    const refused = this.refused?.task === task ? this.refused : undefined;
    const { explain, json } = this.options;
    if (explain) {
      const explanation = this.explanation(task, info, refused);
      if (json) this.json({ pid: task.process.pid, command: task.name, explanation });
      else this.sink.line(this.machine.kernel.processes.size > 1 ? `[pid ${task.process.pid} ${task.name}] ${explanation}` : explanation);
    }
    if (this.options.core !== undefined && defaultAction(info.signo) === 'core') writeCore(coreOf(task, info), this.options.core);
    this.views.fatal(task, explain);
  }

  private explanation(task: Task, info: SignalInfo, refused: Refused | undefined): string {
    const { eip } = task.registers;
    if (refused !== undefined && refused.outcome.signo === info.signo && refused.outcome.addr === info.fields[0])
      return explainFault(task.space, refused.outcome, refused.access, eip);
    return `${signalName(info.signo)} (code ${info.code}) at 0x${eip.toString(16).padStart(8, '0')}`;
  }

  private exit(process: Process, status: ExitStatus): void {
    if (this.options.trace.has('calls')) this.ending = exitLine(status);
    this.views.exited(process);
  }

  /** One object a line. Infinity, which JSON lacks, is null. */
  private json(data: object): void {
    this.sink.line(JSON.stringify(data, (_key, value) => (value === Number.POSITIVE_INFINITY ? null : value)));
  }

  /** How it ended comes behind the call it ended in, as strace has it. */
  private tellEnding(): void {
    if (this.ending !== undefined) this.sink.line(this.ending);
    this.ending = undefined;
  }

  /** The guest is over. */
  finish(): void {
    this.tellEnding();
    if (this.options.overlayList) this.listChanges();
    if (!this.options.stats) return;
    const statistics = this.statistics();
    if (this.options.json) this.json({ stats: statistics });
    else this.sink.write(statisticsText(statistics));
  }

  private listChanges(): void {
    for (const change of this.machine.changes()) {
      if (this.options.json) this.json({ change });
      else this.sink.write(`${change.change.padEnd(7)} ${change.path}${change.kind === 'directory' ? '/' : ''}\n`);
    }
  }

  private statistics(): RunStatistics {
    const { dispatcher, faults, parts } = this.machine;
    const named = [...dispatcher.counts].map((count, number) => ({
      name: syscallName(number),
      count,
      known: SYSCALLS[number] !== undefined,
    }));
    const beyond = [...dispatcher.unknown].filter(([number]) => number >= dispatcher.counts.length);
    const calls = [...named, ...beyond.map(([number, count]) => ({ name: syscallName(number), count, known: false }))]
      .filter(({ count }) => count > 0)
      .sort((a, b) => b.count - a.count);
    const { inUse, peak, limit } = parts.frames;
    return {
      engine: parts.engine.statistics,
      faults,
      calls,
      frames: { inUse, peak, limit, size: PAGE_SIZE },
      elapsed_ms: performance.now() - this.started_ms,
    };
  }
}
