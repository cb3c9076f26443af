/**
 * The first bytes on a program's stack: argument and environment strings, the auxiliary vector and the pointers to them, laid out as Linux's
 * copy_strings and create_elf_tables do. Pure: it computes bytes; load.ts stores them.
 */
import { AT_EXECFN, AT_NULL, AT_PLATFORM, AT_RANDOM } from '../abi/auxv.ts';
import { E2BIG } from '../abi/errno.ts';
import { type Addr, PAGE_SIZE } from '../abi/page.ts';
import { type Refusal, refusal } from './refusal.ts';

/** Linux's MAX_ARG_STRLEN: one argument or variable, its zero included. */
const STRING_MAX = 32 * PAGE_SIZE;
/** Linux's ARG_MAX: what is allowed however small the stack limit is; and three quarters of the default stack, never passed. */
const ARGUMENTS_MIN = 131072,
  ARGUMENTS_MAX = 6 * 1024 * 1024;
/** What Linux counts for each string beside its bytes: a pointer of a 64-bit kernel. */
const KERNEL_POINTER = 8;
const WORD = 4,
  STACK_ALIGN = 16,
  RANDOM_SIZE = 16;

export interface StackContent {
  readonly argv: readonly string[];
  readonly env: readonly string[];
  /** The path execve was given (AT_EXECFN). */
  readonly execfn: string;
  /** Type and value pairs, in order. AT_RANDOM, AT_EXECFN and AT_PLATFORM get their values here; AT_NULL is added. */
  readonly auxv: readonly (readonly [type: number, value: number])[];
  /** The 16 bytes AT_RANDOM points to. */
  readonly random: Uint8Array;
  readonly platform: string;
  /** Bytes left free below the strings. */
  readonly shift?: number;
}

export interface StackImage {
  /** Address of `bytes[0]`, which is the stack pointer at the program's first instruction. */
  readonly base: Addr;
  /** argc, pointers, vector and strings; ends at the top of the stack. */
  readonly bytes: Uint8Array;
  /** Where the strings lie, for /proc/PID/cmdline and environ. */
  readonly argStart: Addr;
  readonly envStart: Addr;
  readonly envEnd: Addr;
  /** The vector's bytes, for /proc/PID/auxv. */
  readonly auxv: Uint8Array;
}

/** Whether Linux's execve answers E2BIG. `stackLimit` is RLIMIT_STACK in bytes, Infinity for none. */
export function checkArguments(argv: readonly string[], env: readonly string[], execfn: string, stackLimit: number): Refusal | undefined {
  const allowed = Math.max(ARGUMENTS_MIN, Math.min(ARGUMENTS_MAX, Math.floor(stackLimit / 4)));
  let size = (Math.max(argv.length, 1) + env.length) * KERNEL_POINTER + execfn.length + 1;
  for (const text of [...argv, ...env]) {
    if (text.length + 1 > STRING_MAX)
      return refusal(E2BIG, `cannot be given an argument or variable of ${text.length} bytes; the limit is ${STRING_MAX - 1}`);
    size += text.length + 1;
  }
  return size > allowed ? refusal(E2BIG, `cannot be given ${size} bytes of arguments and environment; the limit is ${allowed}`) : undefined;
}

/** Bytes of the strings that exec puts on the stack before it knows how far that may grow. */
export function stringsSize({ argv, env, execfn }: Pick<StackContent, 'argv' | 'env' | 'execfn'>): number {
  let size = WORD + execfn.length + 1;
  for (const text of [...argv, ...env]) size += text.length + 1;
  return size;
}

/** Requires: the strings hold one character a byte and no zero; checkArguments said nothing; `top` is page-aligned. */
export function buildStack(top: Addr, content: StackContent): StackImage {
  const { argv, env, execfn, platform } = content;
  const place = new Downward(top - WORD);
  const execfnAt = place.string(execfn);
  const envEnd = execfnAt;
  const envAt = env.map(() => 0);
  for (let i = env.length - 1; i >= 0; i--) envAt[i] = place.string(env[i]);
  const envStart = place.at;
  const argAt = argv.map(() => 0);
  for (let i = argv.length - 1; i >= 0; i--) argAt[i] = place.string(argv[i]);
  const argStart = place.at;

  place.at -= content.shift ?? 0;
  place.at -= place.at % STACK_ALIGN;
  const platformAt = place.string(platform);
  const randomAt = (place.at -= RANDOM_SIZE);
  const own: Readonly<Record<number, number>> = { [AT_RANDOM]: randomAt, [AT_EXECFN]: execfnAt, [AT_PLATFORM]: platformAt };
  const vector = [...content.auxv.flatMap(([type, value]) => [type, own[type] ?? value]), AT_NULL, 0];
  const words = [argv.length, ...argAt, 0, ...envAt, 0, ...vector];
  place.at -= words.length * WORD;
  place.at -= place.at % STACK_ALIGN;

  const bytes = place.bytes();
  new Uint8Array(bytes.buffer, randomAt - place.at, RANDOM_SIZE).set(content.random);
  const view = new DataView(bytes.buffer);
  words.forEach((word, index) => view.setUint32(index * WORD, word, true));
  const auxvStart = (words.length - vector.length) * WORD;
  return { base: place.at, bytes, argStart, envStart, envEnd, auxv: bytes.slice(auxvStart, auxvStart + vector.length * WORD) };
}

/** Strings put one below the other. */
class Downward {
  private readonly top: Addr;
  private readonly strings: { readonly at: Addr; readonly text: string }[] = [];
  at: Addr;
  constructor(top: Addr) {
    this.top = top + WORD;
    this.at = top;
  }
  string(text: string): Addr {
    this.at -= text.length + 1;
    this.strings.push({ at: this.at, text });
    return this.at;
  }
  /** Everything from `at` to the top. */
  bytes(): Uint8Array<ArrayBuffer> {
    const bytes = new Uint8Array(this.top - this.at);
    for (const { at, text } of this.strings) {
      const start = at - this.at;
      for (let i = 0; i < text.length; i++) bytes[start + i] = text.charCodeAt(i);
    }
    return bytes;
  }
}
