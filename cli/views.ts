/** The views of memory that the options ask for, each when its occasion comes: a process ends, a signal kills, a call returns, instructions pass, the user asks. */
import { maps, mapsText } from '../debug/maps.ts';
import { picture } from '../debug/picture.ts';
import { segments, segmentsText } from '../debug/segments.ts';
import { smaps, smapsText } from '../debug/smaps.ts';
import { umem, umemText } from '../debug/umem.ts';
import type { Machine } from '../machine.ts';
import type { AddressSpace } from '../mm/space.ts';
import type { Process } from '../proc/process.ts';
import { type Task, threadsOf } from '../proc/task.ts';
import type { Occasion } from './occasions.ts';
import type { CliOptions } from './options.ts';
import { type Sink, writeWhole } from './sink.ts';

const VIEWS = {
  umem: { data: umem, text: umemText },
  segments: { data: segments, text: segmentsText },
  maps: { data: maps, text: mapsText },
  smaps: { data: smaps, text: smapsText },
} satisfies Readonly<Record<string, { data(space: AddressSpace): unknown; text(space: AddressSpace): string }>>;
type View = keyof typeof VIEWS;

/** In the order in which they are printed. */
const PRINTED = Object.keys(VIEWS) as View[];
/** What can be wanted: the printed ones, and the picture. */
const ORDER = [...PRINTED, 'svg'] as const;
type Wanted = (typeof ORDER)[number];
/** What --explain shows with a fatal signal. */
const EXPLAINING: readonly Wanted[] = ['umem', 'segments', 'maps'];

export class Views {
  private readonly machine: Machine;
  private readonly options: CliOptions;
  private readonly sink: Sink;
  /** Views that come every so many instructions, and at which count the next time. */
  private readonly periods: { readonly view: Wanted; readonly every: number; due: number }[] = [];
  private readonly calls: ReadonlySet<string>;
  /** Processes whose end was shown with the signal that brought it. */
  private readonly shown: WeakSet<Process> = new WeakSet();
  /** Pictures drawn so far. */
  private pictures = 0;
  /** There was more than one process: each view says whose it is. */
  private several = false;

  constructor(machine: Machine, options: CliOptions, sink: Sink) {
    this.machine = machine;
    this.options = options;
    this.sink = sink;
    const called = new Set<string>();
    for (const view of ORDER) {
      for (const occasion of this.occasions(view)) {
        if (occasion.kind === 'call') called.add(occasion.name);
        if (occasion.kind === 'every') this.periods.push({ view, every: occasion.instructions, due: occasion.instructions });
      }
    }
    this.calls = called;
  }

  /** Whether calls must be watched. */
  get wantsCalls(): boolean {
    return this.calls.size > 0;
  }

  /** Whether the host's SIGUSR2 is ours. */
  get wantsSignal(): boolean {
    return ORDER.some((view) => this.occasions(view).some(({ kind }) => kind === 'signal'));
  }

  /** A call has returned. */
  called(task: Task, name: string): void {
    // A call that ended the process has left nothing to show: that is what `exit` is for.
    if (this.calls.has(name) && task.state !== 'dead')
      this.show(
        task,
        name,
        this.wanted((occasion) => occasion.kind === 'call' && occasion.name === name),
      );
  }

  /** A signal is about to end the process. `explaining`: with the views that --explain shows. */
  fatal(task: Task, explaining: boolean): void {
    const wanted = this.wanted(({ kind }) => kind === 'fatal' || kind === 'exit');
    this.show(task, 'fatal signal', explaining ? ORDER.filter((view) => EXPLAINING.includes(view) || wanted.includes(view)) : wanted);
    this.shown.add(task.process);
  }

  /** The process is over; its memory is still there. */
  exited(process: Process): void {
    if (this.shown.has(process)) return;
    const [task] = threadsOf(this.machine.kernel, process);
    if (task !== undefined)
      this.show(
        task,
        'exit',
        this.wanted(({ kind }) => kind === 'exit'),
      );
  }

  /** Between slices. */
  sliced(): void {
    if (this.machine.kernel.processes.size > 1) this.several = true;
  }

  /** The machine is to stop for the periods that were asked for. */
  follow(): void {
    this.machine.pauseAt = Math.min(...this.periods.map(({ due }) => due));
  }

  /** So many instructions have run. */
  paused(): void {
    const now = this.machine.kernel.instructions();
    const due = this.periods.filter((period) => period.due <= now);
    for (const period of due) period.due += period.every;
    this.follow();
    const wanted = new Set(due.map(({ view }) => view));
    this.showAll(
      `${now} instructions`,
      ORDER.filter((view) => wanted.has(view)),
    );
  }

  /** The user asks. */
  signalled(): void {
    this.showAll(
      'SIGUSR2',
      this.wanted(({ kind }) => kind === 'signal'),
    );
  }

  private occasions(view: Wanted): readonly Occasion[] {
    if (view !== 'svg') return this.options[view];
    const { svg, svgWhen } = this.options;
    if (svg === undefined) return [];
    return svgWhen.length > 0 ? svgWhen : [{ kind: 'exit' }];
  }

  private wanted(fits: (occasion: Occasion) => boolean): Wanted[] {
    return ORDER.filter((view) => this.occasions(view).some(fits));
  }

  /** Of every process that has memory. */
  private showAll(when: string, wanted: readonly Wanted[]): void {
    for (const process of this.machine.kernel.processes.values()) {
      const [task] = threadsOf(this.machine.kernel, process);
      if (task !== undefined) this.show(task, when, wanted);
    }
  }

  private show(task: Task, when: string, wanted: readonly Wanted[]): void {
    if (wanted.length === 0) return;
    const { process, space, name } = task;
    if (wanted.includes('svg')) this.draw(space, `${name} (pid ${process.pid}), ${when}`);
    const printed = PRINTED.filter((view) => wanted.includes(view));
    if (printed.length === 0) return;
    if (this.machine.kernel.processes.size > 1) this.several = true;
    if (this.options.json) {
      const views = Object.fromEntries(printed.map((view) => [view, VIEWS[view].data(space)]));
      this.sink.line(JSON.stringify({ pid: process.pid, command: name, when, ...views }));
      return;
    }
    if (this.several || (when !== 'exit' && when !== 'fatal signal')) this.sink.line(`[pid ${process.pid} ${name}] ${when}`);
    for (const view of printed) this.sink.write(VIEWS[view].text(space));
  }

  /** memory.svg, memory-2.svg, memory-3.svg, ... */
  private draw(space: AddressSpace, title: string): void {
    const { svg = '' } = this.options;
    const path = ++this.pictures === 1 ? svg : svg.replace(/(\.[^./]*)?$/, `-${this.pictures}$1`);
    writeWhole(path, picture(space, title));
  }
}
