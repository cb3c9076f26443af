/**
 * The kinds of argument and result that system calls share: how each is decoded, shown and sampled. Pointers are branded with what may be
 * done with them, so that reading an out-pointer or passing a descriptor as an address does not compile.
 */
import { AT_FDCWD, PATH_MAX } from '../abi/fcntl.ts';
import type { Layout } from '../abi/struct.ts';
import type { Addr } from '../abi/page.ts';
import type { Task } from '../proc/task.ts';
import { errnoName } from '../abi/errno.ts';
import { SIGNAL_NAMES, signalName } from '../abi/signal.ts';
import { strerror } from '../abi/strerror.ts';
import type { CallView, Kind, Result, SampleSource } from './define.ts';
import { quoted, quotedBytes } from './show.ts';

declare const brand: unique symbol;
/** A descriptor number as the guest gave it; may be anything. */
export type Fd = number & { readonly [brand]: 'fd' };
/** Guest memory the call may read as a `T`. */
export type In<T> = Addr & { readonly [brand]: { readonly in: T } };
/** Guest memory the call fills with a `T`. */
export type Out<T> = Addr & { readonly [brand]: { readonly out: T } };
/** Guest memory the call reads and fills. */
export type InOut<T> = Addr & { readonly [brand]: { readonly in: T; readonly out: T } };
/** Plain bytes. */
export type Bytes = Uint8Array;

// ---- Reading and writing through pointers --------------------------------------------------------------------------------------

/** Reads a struct; EFAULT where it cannot be read. */
export function load<T>(task: Task, from: In<T> | InOut<T>, layout: Layout<T>): T {
  return loadAt(task, from, layout);
}

/** Fills a struct; EFAULT where it cannot be written. */
export function store<T>(task: Task, to: Out<T> | InOut<T>, layout: Layout<T>, value: T): void {
  storeAt(task, to, layout, value);
}

/** As `load`, at an address that came from elsewhere than an argument. */
export function loadAt<T>(task: Task, from: Addr, layout: Layout<T>): T {
  return layout.read(task.user.readStruct(from, layout.size), 0);
}

/** As `store`, at an address that came from elsewhere than an argument. */
export function storeAt<T>(task: Task, to: Addr, layout: Layout<T>, value: T): void {
  task.user.writeStruct(to, layout.size, (view) => layout.write(view, 0, value));
}

// ---- Numbers -------------------------------------------------------------------------------------------------------------------

const CORNERS = [0, 1, 2, 3, 4, 7, 8, 0x10, 0x1000, 0x1001, 0x7fffffff, 0x80000000, 0xfffff000, 0xffffffff];

/** A number at one of the places where calls change their mind, or a small one, or any. */
export function sampleWord(source: SampleSource): number {
  const form = source.below(4);
  if (form < 2) return CORNERS[source.below(CORNERS.length)];
  return form === 2 ? source.below(64) : source.below(0x1_0000_0000);
}

function word<T extends number>(label: string, decode: (word: number) => T, show: (word: number) => string, sample = sampleWord): Kind<T> {
  return { label, registers: 1, direction: 'in', decode: (_task, words, slot) => decode(words[slot]), show: (_view, low) => show(low), sample };
}

export const int = word('int', (w) => w | 0, (w) => String(w | 0));
export const uint = word('unsigned int', (w) => w, (w) => String(w));
/** Words that read better in hexadecimal. */
export const hex = word('unsigned long', (w) => w, hexText);
/** Byte counts. */
export const count = word('size_t', (w) => w, (w) => String(w), (s) => (s.below(4) === 0 ? sampleWord(s) : s.below(0x3000)));
export const mode = word('mode_t', (w) => w, (w) => `0${w.toString(8)}`, (s) => s.below(0o10000));
export const pid = word('pid_t', (w) => w | 0, (w) => String(w | 0), (s) => (s.below(2) === 0 ? 0 : sampleWord(s)));
export const signo = word('int (signal)', (w) => w | 0, (w) => signalName(w | 0), (s) => s.below(SIGNAL_NAMES.length + 3) - 1);
/** 16-bit ids of the old calls; -1 means "no change" and stays so. */
export const id16 = word('old_uid_t', (w) => ((w & 0xffff) === 0xffff ? -1 : w & 0xffff), (w) => String((w << 16) >> 16));
export const id32 = word('uid_t', (w) => w, (w) => String(w | 0));
export const address = word('void *', (w) => w, pointerText, (s) => (s.below(4) === 0 ? sampleWord(s) : s.buffer(0x1000)));

/** A signed 64-bit argument in two registers, low word first. As a number: every value that a file or a clock can have is exact. */
export const off64: Kind<number> = {
  label: 'loff_t', registers: 2, direction: 'in',
  decode: (_task, words, slot) => (words[slot + 1] | 0) * 0x1_0000_0000 + words[slot],
  show: (_view, low, high) => String((BigInt(high | 0) << 32n) | BigInt(low)),
  sample: (s) => (s.below(2) === 0 ? s.below(0x10000) : sampleWord(s)),
  sampleHigh: (s) => (s.below(4) === 0 ? sampleWord(s) : 0),
};

// ---- Names for numbers ---------------------------------------------------------------------------------------------------------

/** A set of bits by name; `field` describes bits that together hold one of several values (O_ACCMODE). */
export function flags(
  bits: Readonly<Record<string, number>>,
  field?: { readonly mask: number; readonly values: Readonly<Record<string, number>> },
): Kind<number> {
  const values = [...Object.values(bits), ...Object.values(field?.values ?? {})];
  const show = (w: number) => flagsText(w, bits, field);
  return word('flags', (w) => w, show, (s) => {
    let set = 0;
    for (let n = s.below(4); n > 0; n--) set |= values[s.below(values.length)];
    return (s.below(16) === 0 ? set | (1 << s.below(32)) : set) >>> 0;
  });
}

/** `O_RDWR|O_CLOEXEC`, with what has no name in hexadecimal. Exported for kinds that combine several sets. */
export function flagsText(
  w: number, bits: Readonly<Record<string, number>>, field?: { readonly mask: number; readonly values: Readonly<Record<string, number>> },
): string {
  const parts: string[] = [];
  let rest = w;
  if (field) {
    const value = (w & field.mask) >>> 0;
    const name = Object.keys(field.values).find((key) => field.values[key] >>> 0 === value);
    if (name !== undefined) {
      parts.push(name);
      rest = (rest & ~field.mask) >>> 0;
    }
  }
  for (const [name, bit] of Object.entries(bits)) {
    if (bit !== 0 && (rest & bit) >>> 0 === bit >>> 0) {
      parts.push(name);
      rest = (rest & ~bit) >>> 0;
    }
  }
  if (parts.length === 0 && rest === 0) return Object.keys(bits).find((key) => bits[key] === 0) ?? '0';
  if (rest !== 0) parts.push(`0x${rest.toString(16)}`);
  return parts.join('|');
}

/** One of several numbers by name (SEEK_SET, CLOCK_MONOTONIC). */
export function choice(values: Readonly<Record<string, number>>): Kind<number> {
  const names = new Map(Object.entries(values).map(([name, value]) => [value | 0, name]));
  const all = Object.values(values);
  return word('enum', (w) => w | 0, (w) => names.get(w | 0) ?? (w > 0xffff ? hexText(w) : String(w | 0)), (s) =>
    s.below(8) === 0 ? sampleWord(s) : all[s.below(all.length)] >>> 0);
}

// ---- Descriptors and paths -----------------------------------------------------------------------------------------------------

export const fd = word<Fd>('fd', (w) => (w | 0) as Fd, (w) => String(w | 0), (s) => s.fd());
/** The directory a path starts from: a descriptor or AT_FDCWD. */
export const dirfd = word<Fd>('dirfd', (w) => (w | 0) as Fd, (w) => ((w | 0) === AT_FDCWD ? 'AT_FDCWD' : String(w | 0)), (s) =>
  s.below(2) === 0 ? AT_FDCWD >>> 0 : s.fd());

function pathKind<T>(label: string, nullValue: (task: Task) => T | undefined): Kind<string | T> {
  return {
    label, registers: 1, direction: 'in',
    decode: (task, words, slot) => {
      if (words[slot] === 0) {
        const value = nullValue(task);
        if (value !== undefined) return value;
      }
      return task.user.cstring(words[slot], PATH_MAX);
    },
    show: stringText,
    sample: (s) => (s.below(16) === 0 ? sampleWord(s) : s.path()),
  };
}

/** A path, one character a byte; EFAULT, or ENAMETOOLONG past PATH_MAX. */
export const path: Kind<string> = pathKind<string>('path', () => undefined);
/** A path that may be a null pointer. */
export const pathOrNull: Kind<string | null> = pathKind<string | null>('path or NULL', () => null);

/** Any other NUL-terminated string (a name, a file system type), as a pointer: the handler reads it with the limit that Linux uses. */
export const string: Kind<In<string>> = {
  label: 'char *', registers: 1, direction: 'in', decode: (_task, words, slot) => words[slot] as In<string>, show: stringText,
  sample: (s) => (s.below(16) === 0 ? sampleWord(s) : s.path()),
};

/** A path that is read only after other arguments have been looked at, as Linux reads it: `pathText`. */
export const latePath: Kind<In<string>> = { ...string, label: 'path' };

/** EFAULT, or ENAMETOOLONG past PATH_MAX. */
export function pathText(task: Task, at: In<string>): string {
  return task.user.cstring(at, PATH_MAX);
}

function stringText(view: CallView, low: number): string {
  if (low === 0) return 'NULL';
  try {
    return quoted(view.task.user.cstring(low, PATH_MAX), 256);
  } catch {
    return hexText(low);
  }
}

// ---- Memory --------------------------------------------------------------------------------------------------------------------

function pointer<T>(label: string, direction: 'in' | 'out', show: Kind<unknown>['show'], size: number): Kind<T> {
  return {
    label, registers: 1, direction, decode: (_task, words, slot) => words[slot] as T, show,
    sample: (s) => (s.below(16) === 0 ? sampleWord(s) : s.buffer(size)),
  };
}

/** Bytes that the call reads; `length` names the argument that counts them. */
export function bytesIn(length: string): Kind<In<Bytes>> {
  return pointer(`const void *[${length}]`, 'in', (view, low) => bytesText(view, low, view.argument(length)), 0x1000);
}

/** Bytes that the call fills; as many as the result says, else as the argument `length` says. */
export function bytesOut(length: string): Kind<Out<Bytes>> {
  return pointer(`void *[${length}]`, 'out', (view, low) => {
    const result = view.result === undefined ? -1 : view.result | 0;
    return result < 0 ? pointerText(low) : bytesText(view, low, Math.min(result, view.argument(length)));
  }, 0x1000);
}

export function structIn<T>(layout: Layout<T>, label = 'struct'): Kind<In<T>> {
  return pointer(`const ${label} *`, 'in', (view, low) => structText(view, low, layout), layout.size);
}

export function structOut<T>(layout: Layout<T>, label = 'struct'): Kind<Out<T>> {
  return pointer(`${label} *`, 'out', (view, low) => (failed(view) ? pointerText(low) : structText(view, low, layout)), layout.size);
}

/** Shown before the call, as it was given. */
export function structInOut<T>(layout: Layout<T>, label = 'struct'): Kind<InOut<T>> {
  return pointer(`${label} * (in, out)`, 'in', (view, low) => structText(view, low, layout), layout.size);
}

/** An array of structs, counted by the argument `length`. */
export function structsIn<T>(layout: Layout<T>, length: string, label = 'struct'): Kind<In<T>> {
  return pointer(`const ${label} [${length}]`, 'in', (view, low) => arrayText(view, low, layout, view.argument(length)), layout.size * 4);
}

export function structsInOut<T>(layout: Layout<T>, length: string, label = 'struct'): Kind<InOut<T>> {
  return pointer(`${label} [${length}] (in, out)`, 'in', (view, low) => arrayText(view, low, layout, view.argument(length)), layout.size * 4);
}

/** A pointer nothing more is said about. */
export const pointerIn: Kind<In<Bytes>> = pointer('const void *', 'in', (_view, low) => pointerText(low), 0x1000);
export const pointerOut: Kind<Out<Bytes>> = pointer('void *', 'in', (_view, low) => pointerText(low), 0x1000);

function structText<T>(view: CallView, at: Addr, layout: Layout<T>): string {
  if (at === 0) return 'NULL';
  try {
    return layout.show(loadAt(view.task, at, layout));
  } catch {
    return hexText(at);
  }
}

function arrayText<T>(view: CallView, at: Addr, layout: Layout<T>, length: number): string {
  if (at === 0) return 'NULL';
  const shown = Math.min(length, 16);
  const parts: string[] = [];
  for (let i = 0; i < shown; i++) parts.push(structText(view, at + i * layout.size, layout));
  return `[${parts.join(', ')}${shown < length ? ', ...' : ''}]`;
}

/** How many bytes of a buffer a trace line shows. */
const SHOWN_BYTES = 32;

function bytesText(view: CallView, at: Addr, length: number): string {
  if (at === 0) return 'NULL';
  try {
    const shown = view.task.user.read(at, Math.min(length, SHOWN_BYTES));
    return quotedBytes(shown, shown.length < length);
  } catch {
    return hexText(at);
  }
}

function failed(view: CallView): boolean {
  return view.result !== undefined && view.result > 0xfffff000;
}

export function hexText(w: number): string {
  return w === 0 ? '0' : `0x${w.toString(16)}`;
}

export function pointerText(w: number): string {
  return w === 0 ? 'NULL' : `0x${w.toString(16)}`;
}

// ---- Results -------------------------------------------------------------------------------------------------------------------

function result(label: string, show: (value: number) => string): Result<number> {
  return { label, encode: (value) => value, show };
}

/** Nothing but success: 0. */
export const none: Result<void> = { label: '0', encode: () => 0, show: String };
export const intResult = result('int', (value) => String(value | 0));
export const fdResult = result('fd', (value) => String(value | 0));
export const size = result('ssize_t', (value) => String(value | 0));
export const pidResult = result('pid_t', (value) => String(value | 0));
export const idResult = result('uid_t', (value) => String(value));
export const modeResult = result('mode_t', (value) => `0${value.toString(8)}`);
export const addressResult = result('void *', hexText);
/** The call does not come back (exit), or has set all registers itself (sigreturn). */
export const registersSet: Result<void> = { label: 'does not return', encode: () => undefined, show: () => '?' };
/** Another program stands where this one stood. */
export const programReplaced: Result<void> = { label: 'does not return', encode: () => undefined, show: () => '0' };

/** What a call that a signal handler cut short is traced with when it will run again: Linux's own number for it. */
export const ERESTARTSYS = 512;

/** `-1 ENOENT (No such file or directory)` where the word is an error, else what the result kind says. */
export function resultText(kind: Result<never> | undefined, word: number | undefined): string {
  if (word === undefined) return kind?.show(0) ?? '?';
  const code = 0x1_0000_0000 - word;
  if (code === ERESTARTSYS) return '? ERESTARTSYS (To be restarted if SA_RESTART is set)';
  if (code < 0x1000) return `-1 ${errnoName(code)} (${strerror(code)})`;
  return kind?.show(word) ?? String(word);
}
