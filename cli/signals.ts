/**
 * Signals that somebody sends to the emulator: those the guest catches, ignores or blocks are passed on to it; all others do to us what they
 * would do to the guest. Listeners are only installed for the former, so an ordinary program costs nothing.
 */
import { SIG_DFL, type SignalSet } from '../abi/signal.ts';
import type { Machine } from '../machine.ts';
import type { Process } from '../proc/process.ts';
import { sendToProcess } from '../proc/send.ts';
import { userInfo } from '../proc/siginfo.ts';
import { hasSignal, type SignalActions } from '../proc/signal.ts';
import { threadsOf } from '../proc/task.ts';

/** Everything that can be caught, does not come from the CPU or from ourselves, and that node lets us have. */
const PASSED: readonly (readonly [NodeJS.Signals, number])[] = [
  ['SIGHUP', 1],
  ['SIGINT', 2],
  ['SIGQUIT', 3],
  ['SIGUSR1', 10],
  ['SIGUSR2', 12],
  ['SIGALRM', 14],
  ['SIGTERM', 15],
  ['SIGCONT', 18],
  ['SIGTSTP', 20],
  ['SIGTTIN', 21],
  ['SIGTTOU', 22],
  ['SIGURG', 23],
  ['SIGXCPU', 24],
  ['SIGVTALRM', 26],
  ['SIGWINCH', 28],
  ['SIGIO', 29],
  ['SIGPWR', 30],
];
/** What keys and a terminal's window bring about: SIGINT, SIGQUIT, SIGTSTP, SIGWINCH. */
const FROM_TERMINAL: ReadonlySet<number> = new Set([2, 3, 20, 28]);
/** si_code of kill(2). */
const SI_USER = 0;

export class SignalPasser {
  private readonly machine: Machine;
  private readonly process: Process;
  private readonly asked: (() => void) | undefined;
  private readonly listeners: Map<NodeJS.Signals, () => void> = new Map();
  /** What the listeners were made for. */
  private seenActions: SignalActions | undefined;
  private seenChanges = 0;
  private seenMask: SignalSet | undefined;

  /** `asked`: what SIGUSR2 does instead of what the guest makes of it. */
  constructor(machine: Machine, guest: Process, asked?: () => void) {
    this.machine = machine;
    this.process = guest;
    this.asked = asked;
    // It would start node's inspector. A listener that comes and goes leaves the kernel's default.
    const nothing = (): void => {};
    process.on('SIGUSR1', nothing);
    process.removeListener('SIGUSR1', nothing);
    if (asked === undefined) return;
    this.listeners.set('SIGUSR2', asked);
    process.on('SIGUSR2', asked);
  }

  /** Whether signals may come in, which needs the host's event loop to turn. */
  get active(): boolean {
    return this.listeners.size > 0;
  }

  /** Follows what the guest now does with each signal. */
  sync(): void {
    const { tasks } = this.machine.kernel;
    const first = tasks.get(this.process.pid);
    const task = first === undefined || first.state === 'dead' ? threadsOf(this.machine.kernel, this.process)[0] : first;
    if (task === undefined) return;
    const { actions } = task;
    const { mask } = task.signals;
    // After every turn of every task: most change nothing.
    if (actions === this.seenActions && actions.changes === this.seenChanges && mask === this.seenMask) return;
    this.seenActions = actions;
    this.seenChanges = actions.changes;
    this.seenMask = mask;
    for (const [name, signo] of PASSED) {
      if (name === 'SIGUSR2' && this.asked !== undefined) continue;
      const wanted = task.actions.get(signo).handler !== SIG_DFL || hasSignal(task.signals.mask, signo);
      if (wanted !== this.listeners.has(name)) this.set(name, signo, wanted);
    }
  }

  private set(name: NodeJS.Signals, signo: number, wanted: boolean): void {
    const known = this.listeners.get(name);
    if (known !== undefined) {
      process.removeListener(name, known);
      this.listeners.delete(name);
    }
    if (!wanted) return;
    const listener = (): void => this.pass(signo);
    this.listeners.set(name, listener);
    process.on(name, listener);
  }

  /**
   * The host does not tell who sent it: it looks as if our parent had. What a terminal sends goes to the guest's foreground group, as it would there;
   * everything else is for the first process.
   */
  pass(signo: number): void {
    const { kernel, parts } = this.machine;
    const group = FROM_TERMINAL.has(signo) ? parts.files.streams?.terminal?.foreground : undefined;
    const members = [...kernel.processes.values()].filter(({ pgid, status }) => pgid === group && status === undefined);
    for (const member of members.length > 0 ? members : [this.process])
      sendToProcess(kernel, member, userInfo(signo, SI_USER, process.ppid, 0));
  }
}
