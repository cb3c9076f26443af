/** Makes calls from the definitions' samplers that do no harm and whose answers do not depend on time or place, and compares two runs of them. */
import { type Definition, type SampleSource, sampleArguments } from '../../../syscalls/define.ts';
import { SYSCALLS } from '../../../syscalls/table.ts';

const MEMORY = 0x2000_0000,
  FILLED = 0x400,
  READ_ONLY = 0x2002_0000,
  NOWHERE = 0x3000_0000;

export interface Call {
  readonly number: number;
  readonly definition: Definition;
  readonly words: Uint32Array;
}

/** Everything here is compared: the result and what the call fills. */
const CALLS = [
  'getpgid',
  'getsid',
  'kill',
  'tkill',
  'tgkill',
  'sigaltstack',
  'rt_sigaction',
  'sigaction',
  'rt_sigprocmask',
  'sigprocmask',
  'rt_sigpending',
  'sigpending',
  'clock_getres',
  'clock_getres_time64',
  'getitimer',
  'getrlimit',
  'ugetrlimit',
  'sched_getscheduler',
  'sched_getparam',
  'sched_get_priority_max',
  'sched_get_priority_min',
  'sched_setscheduler',
  'sched_setparam',
  'modify_ldt',
  'set_robust_list',
  'getresuid32',
  'getresgid',
  'prctl',
  'personality',
  'capget',
  'rt_sigqueueinfo',
  'rt_tgsigqueueinfo',
  'futex',
  'futex_time64',
  'mprotect',
  'msync',
  'mincore',
  'madvise',
  'mlock',
  'munlock',
  'waitpid',
  'wait4',
  'waitid',
  'setpgid',
  'arch_prctl',
  'rt_sigtimedwait',
  'nanosleep',
  'clock_nanosleep',
  'mremap',
  'munmap',
  'mlock2',
  'getsockname',
  'bind',
  'listen',
  'gettimeofday',
  'clock_gettime',
  'clock_gettime64',
  'getrandom',
  'uname',
  'olduname',
  'oldolduname',
  'sysinfo',
  'getrusage',
  'time',
  'getcpu',
  'membarrier',
  'prlimit64',
];
/** Of these only errors are compared: what they say differs from run to run, or from machine to machine. */
const VOLATILE = new Set([
  'gettimeofday',
  'clock_gettime',
  'clock_gettime64',
  'getrandom',
  'uname',
  'olduname',
  'oldolduname',
  'sysinfo',
  'getrusage',
  'time',
  'getcpu',
  'membarrier',
  'getsid',
  'getpgid',
  'getrlimit',
  'ugetrlimit',
  'prlimit64',
  'personality',
]);
/** prctl options that change nothing and that every kernel answers alike. */
const PRCTL_OPTIONS = new Set([2, 7, 14, 15, 16, 21, 27, 30, 32, 36, 37, 39, 999]);

const DEFINITIONS = CALLS.map((name) => {
  const number = SYSCALLS.findIndex((call) => call?.name === name);
  return { number, definition: SYSCALLS[number] as Definition };
});

export function makeCalls(seed: number, count: number): Call[] {
  let state = seed >>> 0;
  const below = (n: number) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * n);
  };
  const buffer = () => {
    const kind = below(12);
    return kind === 0 ? READ_ONLY : kind === 1 ? NOWHERE : MEMORY + below(FILLED / 16) * 16;
  };
  const source: SampleSource = { below, fd: () => below(8) + 40, path: buffer, buffer };
  const calls: Call[] = [];
  while (calls.length < count) {
    const { number, definition } = DEFINITIONS[below(DEFINITIONS.length)];
    const words = new Uint32Array(8);
    sampleArguments(definition, source, words);
    if (isHarmless(definition.name, words)) calls.push({ number, definition, words });
  }
  return calls;
}

function isHarmless(name: string, words: Uint32Array): boolean {
  const [first, second, third] = words;
  const inUse = (addr: number) => addr >>> 20 === MEMORY >>> 20;
  // Process and thread numbers that may exist: everything positive that is not far beyond what Linux hands out.
  // Chance must not hit what lies elsewhere in the two runs: the program, its heap, libraries and stack.
  if (words.some((word) => (word >= 0x0800_0000 && word < 0x1000_0000) || (word >= 0xf000_0000 && word < 0xffff_f000))) return false;
  const mayExist = first > 0 && first < 0x100_0000;
  switch (name) {
    case 'kill':
      return first > 0x100_0000 && first < 0x8000_0000;
    case 'tkill':
    case 'tgkill':
    case 'rt_sigqueueinfo':
    case 'rt_tgsigqueueinfo':
    case 'getpgid':
    case 'getsid':
    case 'sched_getscheduler':
    case 'sched_getparam':
    case 'setpgid':
      return !mayExist;
    case 'sched_setscheduler':
    case 'sched_setparam':
      return first > 0x100_0000;
    case 'rt_sigaction':
    case 'sigaction':
      return second === 0;
    case 'set_robust_list':
      return second !== 12;
    case 'sigaltstack':
      return first === 0 || first === NOWHERE;
    case 'prctl':
      return PRCTL_OPTIONS.has(first);
    case 'personality':
      return first === 0xffff_ffff;
    case 'prlimit64':
      return first === 0 && third === 0;
    case 'modify_ldt':
      return first !== 0;
    case 'munmap':
    case 'mremap':
    case 'mprotect':
    case 'madvise':
      return isFarFrom(first, second) && !inUse(words[4]);
    case 'mlock':
    case 'munlock':
    case 'mlock2':
      return isFarFrom(first, second);
    // Only what cannot wait long.
    case 'rt_sigtimedwait':
      return third === NOWHERE || third === READ_ONLY;
    case 'nanosleep':
      return first === NOWHERE || first === READ_ONLY;
    case 'clock_nanosleep':
      return (third === NOWHERE || third === READ_ONLY) && first !== 2 && first < 0x8000_0000;
    case 'futex':
    case 'futex_time64':
      return [1, 3, 4, 5, 10].includes(second & 0x7f);
    default:
      return true;
  }
}

/** The range lies neither in the program nor in its memory, whatever its length. */
function isFarFrom(addr: number, length: number): boolean {
  return addr >= NOWHERE && addr < NOWHERE + 0x1000_0000 && length < 0x4000_0000;
}

/** As the runner reads them. */
export function recordBytes(calls: readonly Call[]): Uint8Array {
  const records = new Uint32Array(calls.length * 7);
  calls.forEach(({ number, words }, i) => {
    records[i * 7] = number;
    records.set(words.subarray(0, 6), i * 7 + 1);
  });
  return new Uint8Array(records.buffer);
}

/** One line a call whose answers differ. */
export function differences(calls: readonly Call[], here: string, there: string): string[] {
  const [ours, theirs] = [here.split('\n'), there.split('\n')];
  return calls.flatMap((call, i) => {
    const [a, b] = [comparable(call, ours[i]), comparable(call, theirs[i])];
    const words = Array.from(call.words.subarray(0, 6), (word) => word.toString(16)).join(', ');
    return a === b ? [] : [`${i}: ${call.definition.name}(${words}) = ${b} on the bare CPU, ${a} here`];
  });
}

function comparable({ definition }: Call, line: string | undefined): string {
  const [result, sum] = (line ?? 'nothing').split(' ');
  if (!VOLATILE.has(definition.name)) return `${result} ${sum}`;
  return Number(result) < 0 && Number(result) > -4096 ? result : 'success';
}
