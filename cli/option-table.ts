/**
 * Every option, one entry a field of CliOptions: what it is when nothing is given, and the switches that change it. A new option is a new entry here
 * and its use; cli/options.ts turns the table into a command line and its help.
 */
import { type Mount, parseMount } from '../fs/mounts.ts';
import { OVERCOMMIT_MODES, type OvercommitMode } from '../mm/commitment.ts';
import type { LayoutName } from '../mm/placement.ts';
import { type Occasion, OCCASIONS_HELP, occasions } from './occasions.ts';

export const TRACE_KINDS = ['calls', 'faults', 'signals', 'maps'] as const;
export type TraceKind = (typeof TRACE_KINDS)[number];

/** What a user typed does not fit the option; the message is a sentence for them. */
export class BadValue extends Error {}

/** One way to change a field on the command line. */
export interface Switch<T> {
  /** As commander reads them: `-r, --root <dir>`; a value in square brackets may be left out. */
  readonly flags: string;
  readonly help: string;
  /** The value that is meant where it may be left out and is. */
  readonly bare?: string;
  /** The heading of the help that begins here; it lasts until the next one. */
  readonly heading?: string;
  /** The field's new value. `text` is '' for switches without a value. Throws BadValue. */
  take(text: string, before: T): T;
}

export interface Field<T> {
  readonly initial: T;
  readonly switches: readonly Switch<T>[];
}

export const FIELDS = {
  /** Host directory that is the guest's `/`; undefined: the host's own files. */
  root: value(
    '-r, --root <dir>',
    "the guest's /: a directory (nothing outside can be reached) or a tar archive; without it, the host's files",
    asGiven,
    'The program:',
  ),
  /** Changes to the environment, in the order given; an undefined value removes the variable. */
  environment: field<readonly (readonly [name: string, value: string | undefined])[]>(
    [],
    { flags: '-E <name=value>', help: 'set a variable of the environment', take: (text, before) => [...before, assignment(text)] },
    { flags: '-U <name>', help: 'remove a variable of the environment', take: (name, before) => [...before, [name, undefined]] },
  ),
  /** Changes below the root stay in memory. */
  overlay: flag('--overlay', 'keep all changes to files in memory: nothing on the host is written'),
  overlayList: flag('--overlay-list', 'list at exit what was changed in memory (with --json: one object a line)'),
  mounts: field<readonly Mount[]>([], {
    flags: '--mount <mount>',
    help: 'show more files: HOST:GUEST[:ro|rw|overlay], or tmpfs:GUEST for memory',
    take: (text, before) => [...before, mountOf(text)],
  }),
  argv0: value('-0, --argv0 <name>', 'give the program this argv[0]', asGiven),
  directory: value('-w, --chdir <dir>', "start in this directory (the guest's name for it)", asGiven),

  /** Bytes of guest memory the machine may use. */
  memory: value('--memory <size>', 'limit guest memory: 512M, 2G', memorySize, 'The machine:'),
  overcommit: value(
    '--overcommit <mode>',
    `what may be promised of it: ${OVERCOMMIT_MODES.join(', ')}; strict:80 is 80% of it`,
    overcommitOf,
  ),
  maxProcesses: value('--max-processes <n>', 'processes and threads there may be at once; default 4096', upToAMillion),
  slice: value('--slice <n>', "instructions a thread runs before it is the others' turn; default 1000000", upToAMillion),
  layout: choice<LayoutName>('--layout <layout>', 'where things are mapped', ['linuxemu', 'linux']),
  aslr: flag('--aslr', 'put stack, heap, mappings and programs elsewhere each time, as Linux does; with --seed, always there'),
  net: value('--net <what>', "what sockets reach: loopback (the machine's own), or host for the host's network too", netOf),
  deterministic: flag('--deterministic', 'time and randomness that repeat exactly'),
  seed: value('--seed <n>', 'seed of the randomness (implies nothing else)', seedNumber),

  /** What is told while it happens. */
  trace: field<ReadonlySet<TraceKind>>(
    new Set(),
    { flags: '-d', help: 'the same as --trace=calls', heading: 'What happens:', take: (_, before) => new Set([...before, 'calls']) },
    {
      flags: '--trace [kinds]',
      help: `print what happens: ${TRACE_KINDS.join(',')}; --trace alone: calls`,
      bare: 'calls',
      take: (text, before) => new Set([...before, ...traceKinds(text)]),
    },
  ),
  traceFile: value('--trace-file <file>', 'print it there instead of to standard error', asGiven),
  explain: flag('--explain', 'say why a fatal signal came, with the memory maps'),
  /** File of the core of a process that a signal ends. */
  core: value('--core <file>', 'write an ELF core file there when a signal ends a program (gdb PROGRAM FILE); %p is its number', asGiven),
  stats: flag('--stats', 'print counts and times at exit'),

  /** When each view of memory is shown; empty: never. */
  umem: view('umem', 'the memory map as linuxemu prints it', `What memory looks like ([when]: ${OCCASIONS_HELP}; alone: exit):`),
  segments: view('segments', "the segments as Plan 9's /proc/N/segment lists them"),
  maps: view('maps', "the mappings as Linux's /proc/PID/maps lists them"),
  smaps: view('smaps', "what of them is in memory, as Linux's /proc/PID/smaps"),
  json: flag('--json', 'print these as JSON, one object a line'),
  /** File of the picture of memory. */
  svg: value('--svg <file>', 'draw the address space there, at exit; later pictures get a number in their name', asGiven),
  svgWhen: field<readonly Occasion[]>([], { flags: '--svg-when <when>', help: 'draw it then instead', take: whenOf }),
};

/** What the fields' values are. */
export type FieldValues = { readonly [K in keyof typeof FIELDS]: (typeof FIELDS)[K]['initial'] };

// ---- Kinds of fields -------------------------------------------------------------------------------------------------------------------

function field<T>(initial: T, ...switches: readonly Switch<T>[]): Field<T> {
  return { initial, switches };
}

function flag(flags: string, help: string, heading?: string): Field<boolean> {
  return field<boolean>(false, { flags, help, heading, take: () => true });
}

/** One value; the last one given counts. */
function value<T>(flags: string, help: string, read: (text: string) => T, heading?: string): Field<T | undefined> {
  return field<T | undefined>(undefined, { flags, help, heading, take: (text) => read(text) });
}

/** One of a few words; the first is the default. */
function choice<T extends string>(flags: string, help: string, words: readonly T[]): Field<T> {
  const take = (text: string): T => {
    const found = words.find((word) => word === text);
    if (found === undefined) throw new BadValue(`There is no '${text}'; there are ${words.join(', ')}.`);
    return found;
  };
  return field<T>(words[0], { flags, help: `${help}: ${words.join(', ')}; default ${words[0]}`, take });
}

function view(name: string, help: string, heading?: string): Field<readonly Occasion[]> {
  return field<readonly Occasion[]>([], { flags: `--${name} [when]`, help: `print ${help}`, heading, bare: 'exit', take: whenOf });
}

// ---- Values ----------------------------------------------------------------------------------------------------------------------------

function asGiven(text: string): string {
  return text;
}

function mountOf(text: string): Mount {
  const mount = parseMount(text);
  if (mount === undefined) throw new BadValue('It must look like HOST:GUEST, HOST:GUEST:ro, HOST:GUEST:overlay or tmpfs:GUEST.');
  return mount;
}

function whenOf(text: string, before: readonly Occasion[]): readonly Occasion[] {
  const found = occasions(text);
  if (typeof found === 'string') throw new BadValue(found);
  return [...before, ...found];
}

function assignment(text: string): [string, string] {
  const equals = text.indexOf('=');
  if (equals <= 0) throw new BadValue('It must look like NAME=VALUE.');
  return [text.slice(0, equals), text.slice(equals + 1)];
}

function traceKinds(text: string): readonly TraceKind[] {
  const kinds = text.split(',');
  const unknown = kinds.find((kind) => !(TRACE_KINDS as readonly string[]).includes(kind));
  if (unknown !== undefined) throw new BadValue(`There is no '${unknown}'; there are ${TRACE_KINDS.join(', ')}.`);
  return kinds as TraceKind[];
}

const UNITS: Readonly<Record<string, number>> = { '': 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30 };
/** Less holds no program; more a 32-bit engine cannot give. */
const MEMORY_MIN = 2 ** 16,
  MEMORY_MAX = 4 * 2 ** 30;

function memorySize(text: string): number {
  const match = /^(\d+)([KMG]?)(?:i?B)?$/i.exec(text);
  const bytes = match ? Number(match[1]) * UNITS[match[2].toUpperCase()] : Number.NaN;
  if (!(bytes >= MEMORY_MIN && bytes <= MEMORY_MAX)) throw new BadValue('It must be a size from 64K to 4G, as in 512M.');
  return bytes;
}

/** What may be promised of the machine's memory. */
export interface Overcommit {
  readonly mode: OvercommitMode;
  /** Percent, in strict mode. */
  readonly ratio?: number;
}

function netOf(text: string): 'loopback' | 'host' {
  if (text === 'loopback' || text === 'host') return text;
  throw new BadValue(`There is no '${text}'; there are loopback and host.`);
}

function overcommitOf(text: string): Overcommit {
  const [word, percent] = text.split(':', 2);
  const mode = OVERCOMMIT_MODES.find((each) => each === word);
  if (mode === undefined) throw new BadValue(`There is no '${word}'; there are ${OVERCOMMIT_MODES.join(', ')}.`);
  if (percent === undefined) return { mode };
  const ratio = mode === 'strict' && /^\d{1,4}$/.test(percent) ? Number(percent) : Number.NaN;
  if (!(ratio >= 1 && ratio <= 1000)) throw new BadValue('It must look like strict:80, with a percentage from 1 to 1000.');
  return { mode, ratio };
}

function upToAMillion(text: string): number {
  const count = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (!(count >= 1 && count <= 1_000_000)) throw new BadValue('It must be a number from 1 to 1000000.');
  return count;
}

function seedNumber(text: string): number {
  const seed = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (!(seed <= 0xffff_ffff)) throw new BadValue('It must be a number from 0 to 4294967295.');
  return seed;
}
