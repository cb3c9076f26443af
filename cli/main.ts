/** The command: reads the command line, runs the program, ends as it ended. */
import { ENOENT } from '../abi/errno.ts';
import type { Refusal } from '../loader/refusal.ts';
import { interpreterAdvice } from './advice.ts';
import { endAs } from './ending.ts';
import { hostArguments, toText, version } from './host.ts';
import { type CliOptions, parseCommandLine, STATUS_OWN_FAILURE } from './options.ts';
import { runProgram } from './run.ts';
import { OwnFailure } from './sink.ts';
import { restoreTerminal } from './terminal.ts';
import { isUmemCommand, umemCommand } from './umem-command.ts';

/** What a shell's status for a program that is not there is, and for one that cannot be run. */
const STATUS_NOT_FOUND = 127,
  STATUS_NOT_RUNNABLE = 126;

async function main(): Promise<void> {
  const args = hostArguments();
  if (isUmemCommand(args)) {
    const { text, status } = umemCommand(args);
    process.stdout.write(text);
    process.exitCode = status;
    return;
  }
  const line = parseCommandLine(args, args.includes('--version') ? version() : '');
  if (line.kind === 'print') {
    (line.toError ? process.stderr : process.stdout).write(line.text);
    process.exitCode = line.status;
    return;
  }
  const result = await runProgram(line.options);
  if (result.kind === 'ended') endAs(result.status);
  complain(line.options, result.refusal);
}

/** The program was not run: says why, and ends as a shell would have. */
function complain({ program, root }: CliOptions, { path, reason, errno, signal, missing }: Refusal): never {
  process.stderr.write(`seg386: ${toText(path ?? program)} ${toText(reason)}\n`);
  if (missing !== undefined) process.stderr.write(`seg386: ${toText(interpreterAdvice(missing, root))}\n`);
  if (signal !== undefined) endAs({ kind: 'killed', signo: signal, core: false });
  process.exit(errno === ENOENT ? STATUS_NOT_FOUND : STATUS_NOT_RUNNABLE);
}

main().catch((error: unknown) => {
  restoreTerminal();
  const isOwn = error instanceof OwnFailure;
  process.stderr.write(
    isOwn ? `seg386: ${error.message}\n` : `seg386: internal error: ${error instanceof Error ? error.stack : String(error)}\n`,
  );
  process.exit(STATUS_OWN_FAILURE);
});
