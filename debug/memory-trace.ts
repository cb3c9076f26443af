/** `--trace=maps,faults`: every event of memory as a line with its area, its page, its cause and the guest's eip. */
import { type Access, type Addr, PAGE_SIZE, pageDown } from '../abi/page.ts';
import { signalName } from '../abi/signal.ts';
import type { Outcome } from '../mm/outcome.ts';
import type { AddressSpace } from '../mm/space.ts';
import type { MemoryWatcher } from '../mm/watcher.ts';
import type { Task } from '../proc/task.ts';
import { MapTrace } from './map-trace.ts';
import { mapsIn } from './maps.ts';
import { hex8 } from './umem.ts';

/** What the trace must know of the machine. */
export interface TracedMachine {
  /** Whose turn it is. */
  readonly current: Task | undefined;
  /** What is being done: a call, `fault`, ... */
  readonly activity: string;
  readonly kernel: { readonly tasks: ReadonlyMap<number, Task> };
}

export interface MemoryTraceOptions {
  readonly maps: boolean;
  readonly faults: boolean;
}

export class MemoryTrace implements MemoryWatcher {
  private readonly machine: TracedMachine;
  private readonly options: MemoryTraceOptions;
  private readonly line: (text: string) => void;
  private readonly mapTrace = new MapTrace();
  /** Copies that the fault made whose line comes next. */
  private copies: string[] = [];
  /** There has been more than one task. */
  private several = false;

  constructor(machine: TracedMachine, options: MemoryTraceOptions, line: (text: string) => void) {
    this.machine = machine;
    this.options = options;
    this.line = line;
  }

  /** What has changed in the task's mappings. */
  mappings(task: Task, cause: string): void {
    this.flush(task);
    if (!this.options.maps) return;
    const why = this.mapTrace.knows(task.space) || cause === 'execve' ? cause : 'fork';
    for (const line of this.mapTrace.changes(task.space, why)) this.tell(task, line, why);
  }

  faulted(space: object, addr: Addr, access: Access, outcome: Outcome): void {
    const task = this.taskOf(space);
    if (task === undefined) return;
    const { activity } = this.machine;
    if (this.options.faults) this.tell(task, `fault ${access} 0x${hex8(addr)} ${place(task.space, addr)}${resultOf(outcome)}`, activity);
    this.flush(task);
    // A stack has grown. What a call changes is told when it is over.
    if (activity === 'fault' || activity === 'signal') this.mappings(task, activity);
  }

  copied(space: object, at: Addr, of: 'object' | 'fork'): void {
    const task = this.taskOf(space);
    if (task === undefined || !this.options.faults) return;
    const from = of === 'fork' ? 'shared since a fork' : 'of the file';
    this.copies.push(`copy 0x${hex8(at)} ${place(task.space, at)}: ${from}`);
  }

  writtenBack(name: string, index: number, count: number, failed: string | undefined): void {
    const pages = count === 1 ? `page ${index}` : `pages ${index}-${index + count - 1}`;
    if (this.options.maps) this.tell(this.machine.current, `write-back ${pages} of ${name}${failed === undefined ? '' : `: ${failed}`}`);
  }

  evicted(name: string, index: number): void {
    if (this.options.faults) this.tell(this.machine.current, `evict page ${index} of ${name}`);
  }

  private flush(task: Task): void {
    const lines = this.copies;
    if (lines.length === 0) return;
    this.copies = [];
    for (const line of lines) this.tell(task, line);
  }

  /** The task whose turn it is, if it is its space; else one that has it. */
  private taskOf(space: object): Task | undefined {
    const { current, kernel } = this.machine;
    if (current?.space === space) return current;
    for (const task of kernel.tasks.values()) if (task.space === space) return task;
    return undefined;
  }

  /** Only once there were several tasks does a line say whose it is; the cause of a page fault is the fault. */
  private tell(task: Task | undefined, text: string, cause: string = this.machine.activity): void {
    this.several ||= this.machine.kernel.tasks.size > 1;
    const whose = task !== undefined && this.several ? `[pid ${task.tid}] ` : '';
    const isOwn = cause === 'fault' && text.startsWith('fault ');
    const where = task === undefined || task !== this.machine.current ? '' : `${isOwn ? '' : ', '}eip 0x${hex8(task.registers.eip)}`;
    this.line(`${whose}${text} (${isOwn ? '' : cause}${where})`);
  }
}

/** The mapping at an address. */
function place(space: AddressSpace, addr: Addr): string {
  const base = pageDown(addr);
  const entry = mapsIn(space, { base, top: base + PAGE_SIZE }).find((each) => addr >= each.base && addr < each.top);
  if (entry === undefined) return 'nothing mapped';
  return `${hex8(entry.base)}-${hex8(entry.top)} ${entry.rights}${entry.name === '' ? '' : ` ${entry.name}`}`;
}

function resultOf(outcome: Outcome): string {
  switch (outcome.kind) {
    case 'done':
      return '';
    case 'wait':
      return ': waits for its pager';
    case 'signal':
      return `: ${signalName(outcome.signo)}, ${outcome.reason}`;
  }
}
