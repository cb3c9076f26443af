/**
 * What a system call is: one value with its name, typed arguments, result, support and handler. The dispatcher, the strace line,
 * docs/SYSCALLS.md and the fuzzer's argument sampler are functions of it.
 *
 * How to add a call
 *   1. In the file of its family: `export const calls = [ ..., define({ name, args, result, support, handler }) ]`.
 *        define({
 *          name: 'fchmod',
 *          args: [['fd', fd], ['mode', mode]],
 *          result: none,                                // none | int | fdResult | size | address | ...
 *          support: 'full',                             // or { partial: 'what is missing' }, { stub: 'what it answers instead' }
 *          handler: (task, fd, mode) => { task.files.get(fd)... },   // parameter types come from `args`
 *        })
 *   2. A new family file is added to FAMILIES in table.ts. Numbers are there already.
 *   3. Errors: `throw errno(EBADF)`. Nothing may have changed when a handler waits: `return block(on, deadline)` (or throw it) (proc/wait.ts) parks the
 *      task; when woken the *whole call runs again*. What must survive is in `task.call` (deadline, progress) and nowhere else;
 *      `task.deadlineAfter(ns)` gives the same deadline each time. A page that is not there yet waits by itself (user memory throws it).
 *   4. `interrupted` says what happens when a signal handler runs while the call waits: 'restart' (the default: SA_RESTART decides,
 *      else EINTR), 'fail' (EINTR whatever SA_RESTART says: select, poll, nanosleep, pause, ...) or 'always' (EINTR without any handler too,
 *      when the process is stopped: epoll_wait, semop, sigtimedwait, signal(7)). Where progress was made
 *      (`task.call.progress`), the call returns that instead. `onInterrupt` may write what Linux writes then (a remaining time).
 *   5. Own kinds of argument are welcome (kinds.ts shows how). Regenerate docs/SYSCALLS.md: `node tools/syscalls-doc.ts`.
 */
import type { Task } from '../proc/task.ts';
import { Blocked } from '../proc/wait.ts';

/** The argument words of a call, from ebx on; two spare words so that a 64-bit argument may be read anywhere. */
export type Words = Uint32Array;

/** What a kind may look at when it shows an argument. */
export interface CallView {
  readonly task: Task;
  /** A sibling argument's word, by name. */
  argument(name: string): number;
  /** The call's result word; undefined while the call has not returned. */
  readonly result: number | undefined;
}

/** Where the fuzzer's argument generator gets its raw material: seeded numbers, and resources of the program it is making. */
export interface SampleSource {
  /** A uniform integer in [0, n). */
  below(n: number): number;
  /** A descriptor: mostly open ones. */
  fd(): number;
  /** Address of a NUL-terminated path. */
  path(): number;
  /** Address of at least `size` bytes: mostly good memory, with random content. */
  buffer(size: number): number;
}

/** One kind of argument: how its word becomes the handler's value, how strace shows it, how a fuzzer makes one. */
export interface Kind<T> {
  /** As docs/SYSCALLS.md shows the type. */
  readonly label: string;
  /** Argument registers it takes. */
  readonly registers: 1 | 2;
  /** Whether strace shows it before the call or after it (memory that the call fills). */
  readonly direction: 'in' | 'out';
  decode(task: Task, words: Words, slot: number): T;
  show(view: CallView, low: number, high: number): string;
  sample(source: SampleSource): number;
  /** The second register's word, for kinds that take two. */
  sampleHigh?(source: SampleSource): number;
}

/** What a handler returns and how the result word is shown. */
export interface Result<R> {
  readonly label: string;
  /** The word for eax; undefined where the handler has set the registers itself (sigreturn, execve) or there is nobody to return to. */
  encode(value: R): number | undefined;
  /** The word as strace prints it; 0 where there is none. */
  show(word: number): string;
}

export type Support = 'full' | { readonly partial: string } | { readonly stub: string };

export type Parameter = readonly [name: string, kind: Kind<unknown>];
/** The handler's parameter types, derived from the argument list. */
export type Decoded<P extends readonly Parameter[]> = { [I in keyof P]: P[I] extends readonly [string, Kind<infer T>] ? T : never };

export interface Specification<P extends readonly Parameter[], R> {
  readonly name: string;
  readonly args: P;
  readonly result: Result<R>;
  readonly support: Support;
  /** See 4. above. */
  readonly interrupted?: 'restart' | 'fail' | 'always';
  /**
   * Runs when the waiting call is cut short by a signal handler; returns the result word, 'restart' where the call runs again after any handler,
   * or undefined where `interrupted` decides.
   */
  readonly onInterrupt?: (task: Task, ...args: Decoded<P>) => number | 'restart' | undefined;
  readonly handler: (task: Task, ...args: Decoded<P>) => R | Blocked;
}

/** A call ready to be dispatched. */
export interface Definition {
  readonly name: string;
  readonly args: readonly Parameter[];
  /** First argument word of each argument. */
  readonly slots: readonly number[];
  readonly result: Result<never>;
  readonly support: Support;
  readonly interrupted: 'restart' | 'fail' | 'always';
  /** Decodes, runs the handler, returns the result word, or undefined where the registers must stay as the handler left them, or what the call waits for. */
  readonly invoke: (task: Task, words: Words) => number | undefined | Blocked;
  readonly onInterrupt: ((task: Task, words: Words) => number | 'restart' | undefined) | undefined;
  /** Multiplexers (socketcall, ipc): rewrites `words` to the modern call's arguments and returns that call, which then runs and is traced. */
  readonly unwrap?: (task: Task, words: Words) => Definition;
}

export function define<const P extends readonly Parameter[], R>(spec: Specification<P, R>): Definition {
  const kinds = spec.args.map(([, kind]) => kind);
  const slots: number[] = [];
  let next = 0;
  for (const kind of kinds) {
    slots.push(next);
    next += kind.registers;
  }
  const run = compile(kinds, slots, spec.handler as Handler);
  const encode = spec.result.encode;
  return {
    name: spec.name, args: spec.args, slots, result: spec.result, support: spec.support,
    interrupted: spec.interrupted ?? 'restart',
    invoke: (task, words) => {
      const value = run(task, words) as R | Blocked;
      return value instanceof Blocked ? value : encode(value);
    },
    onInterrupt: spec.onInterrupt && (compile(kinds, slots, spec.onInterrupt as Handler) as Definition['onInterrupt']),
  };
}

/** An old entry point that is nothing but another call with its arguments arranged differently. */
export function multiplexer(name: string, args: readonly Parameter[], unwrap: (task: Task, words: Words) => Definition): Definition {
  const invoke = (task: Task, words: Words) => unwrap(task, words).invoke(task, words);
  const slots = args.map((_, i) => i);
  return { name, args, slots, result: UNWRAPPED, support: 'full', interrupted: 'restart', invoke, onInterrupt: undefined, unwrap };
}

const UNWRAPPED: Result<number> = { label: 'as the call it stands for', encode: (n) => n, show: String };

type Handler = (task: Task, ...args: unknown[]) => unknown;

/** One closure per arity, so that a call allocates no argument array. */
function compile(kinds: readonly Kind<unknown>[], slots: readonly number[], h: Handler): (task: Task, words: Words) => unknown {
  const [k0, k1, k2, k3, k4, k5] = kinds;
  const [s0, s1, s2, s3, s4, s5] = slots;
  switch (kinds.length) {
    case 0: return (t) => h(t);
    case 1: return (t, w) => h(t, k0.decode(t, w, s0));
    case 2: return (t, w) => h(t, k0.decode(t, w, s0), k1.decode(t, w, s1));
    case 3: return (t, w) => h(t, k0.decode(t, w, s0), k1.decode(t, w, s1), k2.decode(t, w, s2));
    case 4: return (t, w) => h(t, k0.decode(t, w, s0), k1.decode(t, w, s1), k2.decode(t, w, s2), k3.decode(t, w, s3));
    case 5: return (t, w) =>
      h(t, k0.decode(t, w, s0), k1.decode(t, w, s1), k2.decode(t, w, s2), k3.decode(t, w, s3), k4.decode(t, w, s4));
    default: return (t, w) =>
      h(t, k0.decode(t, w, s0), k1.decode(t, w, s1), k2.decode(t, w, s2), k3.decode(t, w, s3), k4.decode(t, w, s4), k5.decode(t, w, s5));
  }
}

/** Fills `words` with arguments for `call` as the fuzzer wants them. */
export function sampleArguments(call: Definition, source: SampleSource, words: Words): void {
  call.args.forEach(([, kind], i) => {
    words[call.slots[i]] = kind.sample(source);
    if (kind.registers === 2) words[call.slots[i] + 1] = kind.sampleHigh ? kind.sampleHigh(source) : 0;
  });
}
