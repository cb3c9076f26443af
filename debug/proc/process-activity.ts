/** /proc/PID/syscall, sched, timers, children and oom_score: what a task is at, and how the machine treats it. */
import { EAX, EBP, EBX, ECX, EDI, EDX, ESI, ESP } from '../../emu/engine.ts';
import type { Process } from '../../proc/process.ts';
import type { Task } from '../../proc/task.ts';

/** Bytes of `int 0x80`, behind which a call goes on. */
const INSTRUCTION = 2;

/** The call it waits in or makes: number, arguments, stack pointer and program counter; `running` outside of calls. */
export function syscallText(task: Task): string {
  const { registers, kernel, call } = task;
  if (task.state === 'dead') return '0 0x0 0x0\n';
  const isInCall = kernel.current() === task || (task.state === 'waiting' && call.resumed);
  if (!isInCall) return 'running\n';
  const words = [EBX, ECX, EDX, ESI, EDI, EBP, ESP].map((register) => registers.get(register));
  return `${registers.get(EAX) | 0} ${[...words, (registers.eip + INSTRUCTION) >>> 0].map((word) => `0x${word.toString(16)}`).join(' ')}\n`;
}

export function childrenOf({ children }: Process, tid: number): string {
  return [...children]
    .filter(({ parentTid }) => parentTid === tid)
    .map(({ pid }) => `${pid} `)
    .join('');
}

const POLICY_ROW = 45;

export function schedText(task: Task): string {
  const { process, name, switches, policy, nice, kernel } = task;
  kernel.account();
  const milliseconds = (time_ns: bigint): string => `${time_ns / 1_000_000n}.${String(time_ns % 1_000_000n).padStart(6, '0')}`;
  const rows: [string, string | number][] = [
    ['se.exec_start', milliseconds(kernel.clock.monotonic())],
    ['se.sum_exec_runtime', milliseconds(task.cpuTime_ns)],
    ['nr_switches', switches.voluntary + switches.involuntary],
    ['nr_voluntary_switches', switches.voluntary],
    ['nr_involuntary_switches', switches.involuntary],
    ['policy', policy],
    ['prio', 120 + nice],
  ];
  const head = `${name} (${process.pid}, #threads: ${process.tids.size})\n${'-'.repeat(67)}\n`;
  return head + rows.map(([label, value]) => `${label.padEnd(POLICY_ROW)}:${String(value).padStart(21)}\n`).join('');
}

export function timersText({ process }: Task): string {
  return [...process.posixTimers.all()]
    .map(({ id, signo, value, port }) => {
      const whom = port.tid === undefined ? `pid.${process.pid}` : `tid.${port.tid}`;
      const how = port.send === undefined ? 'none' : 'signal';
      return `ID: ${id}\nsignal: ${signo}/${value.toString(16).padStart(16, '0')}\nnotify: ${how}/${whom}\nClockID: ${port.clock}\n`;
    })
    .join('');
}

// ---- Out of memory ---------------------------------------------------------------------------------------------------------------------
