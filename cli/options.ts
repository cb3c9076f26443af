/** The command line: options before the program's name are ours, everything after it belongs to the program. */
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';

export const TRACE_KINDS = ['calls', 'faults', 'signals', 'maps'] as const;
export type TraceKind = (typeof TRACE_KINDS)[number];

export interface CliOptions {
  /** Host directory that is the guest's `/`; undefined: the host's own files. */
  readonly root: string | undefined;
  /** Changes to the environment, in the order given; an undefined value removes the variable. */
  readonly environment: readonly (readonly [name: string, value: string | undefined])[];
  readonly argv0: string | undefined;
  readonly directory: string | undefined;
  readonly trace: ReadonlySet<TraceKind>;
  readonly traceFile: string | undefined;
  readonly umem: boolean;
  readonly segments: boolean;
  readonly maps: boolean;
  readonly json: boolean;
  /** Bytes of guest memory the machine may use. */
  readonly memory: number | undefined;
  readonly layout: 'linuxemu' | 'linux';
  readonly deterministic: boolean;
  readonly seed: number | undefined;
  readonly stats: boolean;
  readonly explain: boolean;
  readonly program: string;
  readonly args: readonly string[];
}

/** What the command line says: a program to run, or text to print (help, version, a complaint) with the status to end with. */
export type CommandLine =
  | { readonly kind: 'run'; readonly options: CliOptions }
  | { readonly kind: 'print'; readonly text: string; readonly toError: boolean; readonly status: number };

/** Status for failures that are the emulator's own, as `env`, `timeout` and their like use it: no program was run. */
export const STATUS_OWN_FAILURE = 125;

const EXAMPLES = `
Examples:
  seg386 ./hello                              run a static i386 program
  seg386 -r ~/debian-i386 /bin/ls -l /etc     run a dynamic one inside a root directory
  seg386 -r ~/debian-i386 -E LANG=C bash -c 'echo $((6*7))'
  seg386 -d ./hello                           show its system calls on standard error
  seg386 --trace=calls,faults --trace-file=log ./hello
  seg386 --umem ./hello                       print its memory map at the end
  seg386 --explain ./crash                    say why a fatal signal came
  seg386 --deterministic --seed 7 ./game      the same run every time

Exit status: the program's own, and death by the same signal; 127 when the program is not found, 126 when it
cannot be run, 125 when seg386 itself fails.
`;

/** What commander collects; names are its camel-cased option names. */
interface Collected {
  readonly root?: string;
  readonly trace?: ReadonlySet<TraceKind>;
  readonly d?: boolean;
  readonly traceFile?: string;
  readonly argv0?: string;
  readonly chdir?: string;
  readonly umem?: boolean;
  readonly segments?: boolean;
  readonly maps?: boolean;
  readonly json?: boolean;
  readonly memory?: number;
  readonly layout: 'linuxemu' | 'linux';
  readonly deterministic?: boolean;
  readonly seed?: number;
  readonly stats?: boolean;
  readonly explain?: boolean;
}

/** Reads `args` (without node and script). `version` is what --version prints. Never throws for what a user may type. */
export function parseCommandLine(args: readonly string[], version: string): CommandLine {
  const environment: [string, string | undefined][] = [];
  let out = '';
  let err = '';
  const command = describe(version, environment);
  command.exitOverride().configureOutput({
    writeOut: (text) => (out += text),
    writeErr: (text) => (err += text),
    outputError: (text, write) => write(`seg386: ${text.replace(/^error: /, '')}`),
  });
  try {
    command.parse(withDefaults(args, command.options), { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return { kind: 'print', text: out, toError: false, status: 0 };
    return { kind: 'print', text: err + hint(), toError: true, status: STATUS_OWN_FAILURE };
  }
  const [program, ...programArgs] = command.args;
  if (program === undefined)
    return { kind: 'print', text: `seg386: no program given\n${hint()}`, toError: true, status: STATUS_OWN_FAILURE };
  return { kind: 'run', options: collect(command.opts<Collected>(), environment, program, programArgs) };
}

function hint(): string {
  return "Try 'seg386 --help'.\n";
}

function collect(
  given: Collected,
  environment: readonly (readonly [string, string | undefined])[],
  program: string,
  args: readonly string[],
): CliOptions {
  return {
    root: given.root,
    environment,
    argv0: given.argv0,
    directory: given.chdir,
    trace: new Set([...(given.trace ?? []), ...(given.d ? (['calls'] as const) : [])]),
    traceFile: given.traceFile,
    umem: given.umem === true,
    segments: given.segments === true,
    maps: given.maps === true,
    json: given.json === true,
    memory: given.memory,
    layout: given.layout,
    deterministic: given.deterministic === true,
    seed: given.seed,
    stats: given.stats === true,
    explain: given.explain === true,
    program,
    args,
  };
}

function describe(version: string, environment: [string, string | undefined][]): Command {
  return new Command('seg386')
    .description('Runs a 32-bit i386 Linux program in its own address space of Plan 9-style segments.')
    .usage('[options] [--] PROGRAM [ARGS...]')
    .version(version, '--version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .argument('[program]')
    .argument('[args...]')
    .passThroughOptions()
    .allowExcessArguments(false)
    .addOption(new Option('-r, --root <dir>', "the guest's / (nothing outside can be reached); without it, the host's files"))
    .addOption(repeated('-E <name=value>', 'set a variable of the environment', (text) => void environment.push(assignment(text))))
    .addOption(repeated('-U <name>', 'remove a variable of the environment', (name) => void environment.push([name, undefined])))
    .addOption(new Option('-0, --argv0 <name>', 'give the program this argv[0]'))
    .addOption(new Option('-w, --chdir <dir>', "start in this directory (the guest's name for it)"))
    .addOption(new Option('-d', 'the same as --trace=calls'))
    .addOption(new Option('--trace [kinds]', `print what happens: ${TRACE_KINDS.join(',')}; --trace alone: calls`).argParser(traceKinds))
    .addOption(new Option('--trace-file <file>', 'print it there instead of to standard error'))
    .addOption(new Option('--umem', 'print the memory map at exit, as linuxemu does'))
    .addOption(new Option('--segments', "print the segments at exit, as Plan 9's /proc/N/segment"))
    .addOption(new Option('--maps', "print the mappings at exit, as Linux's /proc/PID/maps"))
    .addOption(new Option('--json', 'print these as JSON'))
    .addOption(new Option('--memory <size>', 'limit guest memory: 512M, 2G').argParser(memorySize))
    .addOption(new Option('--layout <layout>', 'where things are mapped').choices(['linuxemu', 'linux']).default('linuxemu'))
    .addOption(new Option('--deterministic', 'time and randomness that repeat exactly'))
    .addOption(new Option('--seed <n>', 'seed of the randomness (implies nothing else)').argParser(seedNumber))
    .addOption(new Option('--stats', 'print counts and times at exit'))
    .addOption(new Option('--explain', 'say why a fatal signal came, with the memory maps'))
    .addHelpText('after', EXAMPLES);
}

/** An option that may come several times, each occurrence handed to `take`. */
function repeated(flags: string, description: string, take: (value: string) => void): Option {
  return new Option(flags, description).argParser((value: string) => take(value));
}

/** Options whose value may be left out take it only after an equals sign: `--trace PROGRAM` names a program. */
const BARE: Readonly<Record<string, string>> = { '--trace': '--trace=calls' };

/** Gives bare options their default value, up to the program's name. */
function withDefaults(args: readonly string[], options: readonly Option[]): string[] {
  const result = [...args];
  for (let i = 0; i < result.length; i++) {
    const arg = result[i];
    if (arg === '--' || arg === '-' || !arg.startsWith('-')) break;
    if (BARE[arg]) result[i] = BARE[arg];
    else if (options.some((option) => option.required && (option.short === arg || option.long === arg))) i++;
  }
  return result;
}

function assignment(text: string): [string, string] {
  const equals = text.indexOf('=');
  if (equals <= 0) throw new InvalidArgumentError('It must look like NAME=VALUE.');
  return [text.slice(0, equals), text.slice(equals + 1)];
}

function traceKinds(text: string): ReadonlySet<TraceKind> {
  const kinds = text.split(',');
  const unknown = kinds.find((kind) => !(TRACE_KINDS as readonly string[]).includes(kind));
  if (unknown !== undefined) throw new InvalidArgumentError(`There is no '${unknown}'; there are ${TRACE_KINDS.join(', ')}.`);
  return new Set(kinds as TraceKind[]);
}

const UNITS: Readonly<Record<string, number>> = { '': 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30 };
/** Less holds no program; more a 32-bit engine cannot give. */
const MEMORY_MIN = 2 ** 20,
  MEMORY_MAX = 4 * 2 ** 30;

function memorySize(text: string): number {
  const match = /^(\d+)([KMG]?)(?:i?B)?$/i.exec(text);
  const bytes = match ? Number(match[1]) * UNITS[match[2].toUpperCase()] : Number.NaN;
  if (!(bytes >= MEMORY_MIN && bytes <= MEMORY_MAX)) throw new InvalidArgumentError('It must be a size from 1M to 4G, as in 512M.');
  return bytes;
}

function seedNumber(text: string): number {
  const seed = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (!(seed <= 0xffff_ffff)) throw new InvalidArgumentError('It must be a number from 0 to 4294967295.');
  return seed;
}
