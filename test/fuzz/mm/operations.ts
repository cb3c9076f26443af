/** The operations of a memory program as runner.c reads them, and as a person reads them in a report. */

/** Kinds of arguments, as in runner.c. From SLOT on: relative to what the slot (tag - SLOT) holds. */
export const LITERAL = 0,
  IN_ARENA = 1,
  IN_HEAP = 2,
  IN_SCRATCH = 4,
  FILE_SLOT = 5,
  ID_SLOT = 6,
  SELF = 7,
  SLOT = 16;
const KINDS: Readonly<Record<string, number>> = {
  program: 1,
  call: 2,
  'old mmap': 3,
  read: 4,
  write: 5,
  execute: 6,
  copy: 7,
  maps: 8,
  show: 9,
  fill: 10,
  fork: 11,
  process_vm: 12,
  'shm stat': 13,
  limit: 14,
  status: 15,
};
export type Kind = keyof typeof KINDS;

/** What a call's result is; the last prints the scratch buffer too. */
export const AS_NUMBER = 0,
  AS_ADDRESS = 1,
  AS_FILE = 2,
  AS_ID = 3,
  AS_SCRATCH = 4;

export interface Argument {
  readonly tag: number;
  readonly value: number;
}

export interface Operation {
  readonly kind: Kind;
  /** For reports: the call's name. */
  readonly name: string;
  /** Where the result goes. */
  readonly out: number;
  readonly a: number;
  readonly b: number;
  readonly args: readonly Argument[];
  /** Operations that only this child of a fork makes, and those the parent makes first. */
  readonly child?: readonly Operation[];
  readonly parent?: readonly Operation[];
}

export interface Program {
  readonly seed: number;
  readonly index: number;
  readonly operations: readonly Operation[];
}

const WORDS = 16;

/** Forks are followed by what the parent does first and then what the child does. */
function flatten(operations: readonly Operation[]): Operation[] {
  return operations.flatMap((each) => {
    const parent = flatten(each.parent ?? []);
    const child = flatten(each.child ?? []);
    return each.kind === 'fork' ? [{ ...each, a: child.length, b: parent.length }, ...parent, ...child] : [each];
  });
}

/** Everything that runs, in the order of the records. */
export function recordsOf(program: Program): Operation[] {
  const start: Operation = { kind: 'program', name: 'program', out: 0, a: program.index, b: 0, args: [] };
  return [start, ...flatten(program.operations)];
}

export function encode(programs: readonly Program[]): Uint8Array {
  const records = programs.flatMap(recordsOf);
  const words = new Uint32Array(records.length * WORDS);
  records.forEach((record, i) => {
    words.set([KINDS[record.kind], record.out, record.a, record.b], i * WORDS);
    record.args.forEach(({ tag, value }, n) => words.set([tag, value], i * WORDS + 4 + 2 * n));
  });
  return new Uint8Array(words.buffer);
}

const NAMES: Readonly<Record<number, string>> = { 1: 'A', 2: 'H', 4: 'S', 5: 'file', 6: 'id', 7: 'self' };

function describeArgument({ tag, value }: Argument): string {
  if (tag === LITERAL) return `0x${(value >>> 0).toString(16)}`;
  const base = tag >= SLOT ? `slot${tag - SLOT}` : NAMES[tag];
  if (tag === FILE_SLOT || tag === ID_SLOT) return `${base}${value}`;
  return value === 0 ? base : `${base}${value < 0 ? '-' : '+'}0x${Math.abs(value).toString(16)}`;
}

/** One line, as in `4 slot2 = mmap2(A+0x1000, 0x2000, ...)`. */
export function describe(operation: Operation): string {
  const out = [AS_ADDRESS, AS_FILE, AS_ID].includes(operation.b) && operation.kind !== 'fork' ? `slot${operation.out} = ` : '';
  return `${out}${operation.name}(${operation.args.map(describeArgument).join(', ')}) a=${operation.a} b=${operation.b}`;
}
