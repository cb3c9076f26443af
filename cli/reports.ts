/** What the options ask us to tell: traces while the guest runs, maps and counts at its end, an explanation where it dies. */
import { isatty } from 'node:tty';
import { type Addr, PAGE_SIZE, type Access } from '../abi/page.ts';
import { signalName } from '../abi/signal.ts';
import { coreOf } from '../debug/core.ts';
import { explainFault } from '../debug/explain.ts';
import { MemoryTrace } from '../debug/memory-trace.ts';
import { type RunStatistics, statisticsText } from '../debug/stats.ts';
import { exitLine, noteLine, signalLine, Strace } from '../debug/strace.ts';
import type { Machine, MachineTracer } from '../machine.ts';
import type { Outcome } from '../mm/outcome.ts';
import type { ExitStatus, Process } from '../proc/process.ts';
import type { SignalInfo } from '../proc/siginfo.ts';
import { defaultAction } from '../proc/signal.ts';
import { type Task, threadsOf } from '../proc/task.ts';
import type { CallTracer } from '../syscalls/dispatch.ts';
import { SYSCALLS, syscallName } from '../syscalls/table.ts';
import { libraryAdvice } from './advice.ts';
import type { CliOptions } from './options.ts';
import { CoreWriter, type Sink } from './sink.ts';
import { Views } from './views.ts';

/** A fault that could not be resolved, and the task that made it. */
interface Refused {
  readonly task: Task;
  readonly outcome: Outcome & { readonly kind: 'signal' };
  readonly access: Access;
}

export class Reports {
  private readonly machine: Machine;
  private readonly options: CliOptions;
  private readonly sink: Sink;
  private readonly started_ms = performance.now();
  private readonly memoryTrace: MemoryTrace | undefined;
  private readonly cores: CoreWriter | undefined;
  private refused: Refused | undefined;
  private ending: string | undefined;
  readonly views: Views;

  constructor(machine: Machine, options: CliOptions, sink: Sink) {
    this.machine = machine;
    this.options = options;
    this.sink = sink;
    this.views = new Views(machine, options, sink);
    const [traced, faults] = [options.trace.has('maps'), options.trace.has('faults')];
    if (traced || faults) this.memoryTrace = machine.parts.frames.watcher = new MemoryTrace(machine, { maps: traced, faults }, sink.line);
    if (options.core !== undefined) this.cores = new CoreWriter(options.core, (text) => sink.line(`seg386: ${text}`));
    machine.observe(this.tracer());
    this.views.follow();
  }

  private tracer(): MachineTracer {
    const { trace } = this.options;
    return {
      calls: this.callTracer(),
      signal: trace.has('signals') || trace.has('calls') ? (_task, info) => this.sink.line(signalLine(info)) : undefined,
      note: trace.has('calls') ? (task, text) => this.sink.line(noteLine(task, text)) : undefined,
      fault: (task, addr, access, outcome) => this.fault(task, addr, access, outcome),
      fatal: (task, info) => this.fatal(task, info),
      exit: (process, status) => this.exit(process, status),
      exec: trace.has('maps') ? (task, _path, refused) => refused ?? this.memoryTrace?.mappings(task, 'execve') : undefined,
      paused: () => this.views.paused(),
    };
  }

  private callTracer(): CallTracer | undefined {
    const { trace } = this.options;
    const calls = trace.has('calls') ? new Strace(this.sink.line) : undefined;
    if (calls === undefined && this.memoryTrace === undefined && !this.views.wantsCalls) return undefined;
    return {
      enter: (...event) => calls?.enter(...event),
      leave: (...event) => {
        calls?.leave(...event);
        this.tellEnding();
        const [task, , call] = event;
        if (call === undefined) return;
        this.memoryTrace?.mappings(task, call.name);
        this.views.called(task, call.name);
      },
    };
  }

  private fault(task: Task, addr: Addr, access: Access, outcome: Outcome): void {
    if (outcome.kind === 'signal') this.refused = { task, outcome, access };
  }

  private fatal(task: Task, info: SignalInfo): void {
    const refused = this.refused?.task === task ? this.refused : undefined;
    const { explain, json } = this.options;
    if (explain) {
      const explanation = this.explanation(task, info, refused);
      if (json) this.json({ pid: task.process.pid, command: task.name, explanation });
      else this.sink.line(this.machine.kernel.processes.size > 1 ? `[pid ${task.process.pid} ${task.name}] ${explanation}` : explanation);
    }
    if (this.cores !== undefined && defaultAction(info.signo) === 'core')
      this.cores.write(coreOf(task, info), { pid: task.process.pid, name: task.name, signo: info.signo });
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
    if (process.parent === undefined && !process.orphan) this.advise(process, status);
    this.views.exited(process);
  }

  /** Only where a person reads it: standard error is otherwise the program's alone. */
  private advise(process: Process, status: ExitStatus): void {
    if (!this.options.explain && !isatty(2)) return;
    const [task] = threadsOf(this.machine.kernel, process);
    const advice = task && libraryAdvice(task, status, this.options.root);
    if (advice !== undefined) this.sink.line(`seg386: ${advice}`);
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
