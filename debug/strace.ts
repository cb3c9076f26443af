/** Calls, signals and ends as strace prints them: every line is a function of the call's definition. */
import * as abi from '../abi/signal.ts';
import type { ExitStatus } from '../proc/process.ts';
import type { SignalInfo } from '../proc/siginfo.ts';
import type { Task } from '../proc/task.ts';
import type { CallView, Definition, Words } from '../syscalls/define.ts';
import type { CallTracer } from '../syscalls/dispatch.ts';
import { hexText, resultText } from '../syscalls/kinds.ts';
import { syscallName } from '../syscalls/table.ts';

/** Where `=` stands at the least. */
const RESULT_COLUMN = 40;

/** What has been made of the call that a task is in: one text an argument, undefined where it must wait for the result. */
interface Begun {
  readonly name: string;
  readonly shown: readonly (string | undefined)[];
}

/** Prints a line when a call is over. Arguments that the call reads are shown as they were before it, those it fills as they are after it. */
export class Strace implements CallTracer {
  private readonly write: (line: string) => void;
  private readonly begun: Map<Task, Begun> = new Map();

  constructor(write: (line: string) => void) {
    this.write = write;
  }

  enter(task: Task, number: number, call: Definition | undefined, words: Words): void {
    const shown = call === undefined ? rawArguments(words) : texts(task, call, words, undefined, []);
    this.begun.set(task, { name: call?.name ?? syscallName(number), shown });
  }

  leave(task: Task, number: number, call: Definition | undefined, words: Words, result: number | undefined): void {
    const before = this.begun.get(task)?.shown ?? [];
    this.begun.delete(task);
    this.write(`${prefix(task)}${callText(task, number, call, words, result, before)}`);
  }

  /** The process ends or is stopped in the middle of a call. */
  unfinished(task: Task): void {
    const begun = this.begun.get(task);
    this.begun.delete(task);
    if (begun === undefined) return;
    const shown = begun.shown.filter((text) => text !== undefined);
    this.write(`${prefix(task)}${begun.name}(${shown.join(', ')} <unfinished ...>`);
  }
}

/** A call that is over, on one line. `before` holds the arguments that were shown before it; all others are shown as they are now. */
export function callText(
  task: Task,
  number: number,
  call: Definition | undefined,
  words: Words,
  result: number | undefined,
  before: readonly (string | undefined)[] = [],
): string {
  const shown = call === undefined ? rawArguments(words) : texts(task, call, words, result ?? 0, before);
  const head = `${call?.name ?? syscallName(number)}(${shown.join(', ')})`;
  return `${head.padEnd(RESULT_COLUMN - 1)} = ${resultText(call?.result, result)}`;
}

/** Only with several tasks does a line say whose it is. */
function prefix(task: Task): string {
  return task.kernel.tasks.size > 1 ? `[pid ${task.tid}] ` : '';
}

/** Arguments by their kinds. Without a result only those that the call reads; what `before` holds stays. */
function texts(
  task: Task,
  call: Definition,
  words: Words,
  result: number | undefined,
  before: readonly (string | undefined)[],
): (string | undefined)[] {
  const view: CallView = {
    task,
    result,
    argument: (name) => words[call.slots[call.args.findIndex(([known]) => known === name)]] ?? 0,
  };
  return call.args.map(([, kind], i) => {
    if (before[i] !== undefined) return before[i];
    if (result === undefined && kind.direction === 'out') return undefined;
    return kind.show(view, words[call.slots[i]], words[call.slots[i] + 1]);
  });
}

function rawArguments(words: Words): string[] {
  return Array.from(words.subarray(0, 6), hexText);
}

// ---- Signals and ends ----------------------------------------------------------------------------------------------------------

const GENERAL_CODES: Readonly<Record<number, string>> = {
  [abi.SI_USER]: 'SI_USER',
  [abi.SI_KERNEL]: 'SI_KERNEL',
  [abi.SI_QUEUE]: 'SI_QUEUE',
  [abi.SI_TIMER]: 'SI_TIMER',
  [abi.SI_TKILL]: 'SI_TKILL',
};
const CODES: Readonly<Record<number, Readonly<Record<number, string>>>> = {
  [abi.SIGSEGV]: { [abi.SEGV_MAPERR]: 'SEGV_MAPERR', [abi.SEGV_ACCERR]: 'SEGV_ACCERR' },
  [abi.SIGBUS]: { [abi.BUS_ADRALN]: 'BUS_ADRALN', [abi.BUS_ADRERR]: 'BUS_ADRERR' },
  [abi.SIGILL]: { [abi.ILL_ILLOPN]: 'ILL_ILLOPN', [abi.ILL_PRVOPC]: 'ILL_PRVOPC' },
  [abi.SIGTRAP]: { [abi.TRAP_BRKPT]: 'TRAP_BRKPT', [abi.TRAP_TRACE]: 'TRAP_TRACE' },
  [abi.SIGFPE]: {
    [abi.FPE_INTDIV]: 'FPE_INTDIV',
    [abi.FPE_INTOVF]: 'FPE_INTOVF',
    [abi.FPE_FLTDIV]: 'FPE_FLTDIV',
    [abi.FPE_FLTOVF]: 'FPE_FLTOVF',
    [abi.FPE_FLTUND]: 'FPE_FLTUND',
    [abi.FPE_FLTRES]: 'FPE_FLTRES',
    [abi.FPE_FLTINV]: 'FPE_FLTINV',
  },
  [abi.SIGCHLD]: {
    [abi.CLD_EXITED]: 'CLD_EXITED',
    [abi.CLD_KILLED]: 'CLD_KILLED',
    [abi.CLD_DUMPED]: 'CLD_DUMPED',
    [abi.CLD_TRAPPED]: 'CLD_TRAPPED',
    [abi.CLD_STOPPED]: 'CLD_STOPPED',
    [abi.CLD_CONTINUED]: 'CLD_CONTINUED',
  },
};

/** `--- abi.SIGSEGV {si_signo=abi.SIGSEGV, si_code=abi.SEGV_MAPERR, si_addr=NULL} ---` */
export function signalLine(info: SignalInfo): string {
  const name = abi.signalName(info.signo);
  const code = GENERAL_CODES[info.code] ?? CODES[info.signo]?.[info.code] ?? String(info.code);
  return `--- ${name} {${[`si_signo=${name}`, `si_code=${code}`, ...detail(info)].join(', ')}} ---`;
}

function detail({ signo, code, fields }: SignalInfo): string[] {
  const [first, second, third] = fields;
  if (code === abi.SI_USER || code === abi.SI_TKILL) return [`si_pid=${first}`, `si_uid=${second}`];
  if (code === abi.SI_QUEUE) return [`si_pid=${first}`, `si_uid=${second}`, `si_int=${third | 0}`];
  if (code <= 0 || code === abi.SI_KERNEL) return [];
  if (signo === abi.SIGCHLD) return [`si_pid=${first}`, `si_uid=${second}`, `si_status=${third | 0}`];
  return [`si_addr=${first === 0 ? 'NULL' : hexText(first)}`];
}

/** What the machine has to say about a call beyond its result, which comes on the next line. */
export function noteLine(task: Task, text: string): string {
  return `${prefix(task)}--- ${text} ---`;
}

/** `+++ exited with 0 +++`, `+++ killed by abi.SIGSEGV (core dumped) +++` */
export function exitLine(status: ExitStatus): string {
  if (status.kind === 'exited') return `+++ exited with ${status.code} +++`;
  return `+++ killed by ${abi.signalName(status.signo)}${status.core ? ' (core dumped)' : ''} +++`;
}
