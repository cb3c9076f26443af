/** The command line: options before the program's name are ours, everything after it belongs to the program. The options are in cli/option-table.ts. */
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { BadValue, type Field, FIELDS, type FieldValues, type Switch } from './option-table.ts';

export interface CliOptions extends FieldValues {
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
  seg386 --umem=call:munmap ./hello           print it each time munmap has returned
  seg386 --svg memory.svg ./hello             draw its address space
  seg386 --explain ./crash                    say why a fatal signal came
  seg386 --deterministic --seed 7 ./game      the same run every time

Exit status: the program's own, and death by the same signal; 127 when the program is not found, 126 when it
cannot be run, 125 when seg386 itself fails.
`;

/** The fields while they are collected. */
type Values = { [K in keyof FieldValues]: FieldValues[K] };

/** Reads `args` (without node and script). `version` is what --version prints. Never throws for what a user may type. */
export function parseCommandLine(args: readonly string[], version: string): CommandLine {
  let out = '';
  let err = '';
  const values = initialValues();
  const command = describe(version, values);
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
  return { kind: 'run', options: { ...values, program, args: programArgs } };
}

function hint(): string {
  return "Try 'seg386 --help'.\n";
}

/** The table by name, its value types forgotten: what a switch takes it has given. */
const TABLE: Readonly<Record<string, Field<unknown>>> = FIELDS;

function initialValues(): Values {
  return Object.fromEntries(Object.entries(TABLE).map(([name, { initial }]) => [name, initial])) as Values;
}

function describe(version: string, values: Values): Command {
  const command = new Command('seg386')
    .description('Runs a 32-bit i386 Linux program in its own address space of Plan 9-style segments.')
    .usage('[options] [--] PROGRAM [ARGS...]\n       seg386 umem --diff [--json] A.json B.json')
    .version(version, '--version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .argument('[program]')
    .argument('[args...]')
    .passThroughOptions()
    .allowExcessArguments(false)
    .addHelpText('after', EXAMPLES);
  const collected = values as Record<string, unknown>;
  let heading = 'Options:';
  for (const [name, field] of Object.entries(TABLE)) {
    for (const each of field.switches) {
      heading = each.heading ?? heading;
      const take = (text: string): void => {
        collected[name] = taken(each, text, collected[name]);
      };
      command.addOption(optionOf(each, take).helpGroup(heading));
      // A switch without a value has no parser of its own.
      if (!/[<[]/.test(each.flags)) command.on(`option:${new Option(each.flags).name()}`, () => take(''));
    }
  }
  return command;
}

function optionOf({ flags, help }: Switch<unknown>, take: (text: string) => void): Option {
  const option = new Option(flags, help);
  return /[<[]/.test(flags) ? option.argParser(take) : option;
}

function taken(each: Switch<unknown>, text: string, before: unknown): unknown {
  try {
    return each.take(text, before);
  } catch (error) {
    if (error instanceof BadValue) throw new InvalidArgumentError(error.message);
    throw error;
  }
}

/** By long name, the whole switch with its default, for those whose value may be left out: they take one only after an equals sign. */
const BARE: ReadonlyMap<string, string> = new Map(
  Object.values(TABLE)
    .flatMap(({ switches }) => switches)
    .flatMap(({ flags, bare }) => (bare === undefined ? [] : [[flags.split(' ')[0], `${flags.split(' ')[0]}=${bare}`] as const])),
);

/** Gives bare options their default value, up to the program's name: `--trace PROGRAM` names a program. */
function withDefaults(args: readonly string[], options: readonly Option[]): string[] {
  const result = [...args];
  for (let i = 0; i < result.length; i++) {
    const arg = result[i];
    if (arg === '--' || arg === '-' || !arg.startsWith('-')) break;
    const whole = BARE.get(arg);
    if (whole !== undefined) result[i] = whole;
    else if (options.some((option) => option.required && (option.short === arg || option.long === arg))) i++;
  }
  return result;
}
