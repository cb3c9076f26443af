/** `#!` lines as Linux's binfmt_script reads them: the first 256 bytes of the file, an interpreter, at most one argument. */

/** Linux's BINPRM_BUF_SIZE: how much of a file decides what it is. */
export const HEAD_SIZE = 256;
/** Interpreters of interpreters: the file asked for and five more (Linux's exec_binprm). */
export const SCRIPT_DEPTH_MAX = 5;

export interface ScriptLine {
  readonly interpreter: string;
  /** The rest of the line as one word, if there is one. */
  readonly argument: string | undefined;
}

const SPACE = 32,
  TAB = 9,
  NEWLINE = 10;

export function isScript(head: Uint8Array): boolean {
  return head[0] === 0x23 && head[1] === 0x21;
}

/**
 * The interpreter a script's first line names, or undefined where there is none or its name may be cut off. The name may be empty (nothing but
 * zeros follow), which no path look-up finds.
 * Requires: `head` is HEAD_SIZE bytes, zero where the file ends earlier, and isScript(head).
 */
export function parseScript(head: Uint8Array): ScriptLine | undefined {
  const last = HEAD_SIZE - 1;
  let end = lineEnd(head);
  if (end === undefined) {
    // A line cut off within its argument is fine, one cut off within the interpreter's name is not.
    const name = nextWord(head, 2, last);
    if (name === undefined || nextEnd(head, name, last) === undefined) return undefined;
    end = last;
  }
  while (isBlank(head[end - 1])) end--;
  const name = nextWord(head, 2, end);
  if (name === undefined || name === end) return undefined;
  const nameEnd = nextEnd(head, name, end) ?? end;
  const argument = nameEnd < end && head[nameEnd] !== 0 ? nextWord(head, nameEnd, end) : undefined;
  // As C strings: a zero byte ends either.
  const rest = argument === undefined || argument === end ? '' : text(head, argument, end);
  return { interpreter: text(head, name, nameEnd), argument: rest === '' ? undefined : rest };
}

/** argv of the interpreter: its name, the line's argument, the script's path in the place of argv[0], the other arguments. */
export function scriptArguments(line: ScriptLine, scriptPath: string, argv: readonly string[]): string[] {
  const before = line.argument === undefined ? [line.interpreter] : [line.interpreter, line.argument];
  return [...before, scriptPath, ...argv.slice(1)];
}

/** Where the first line's newline is; a zero byte before it hides it, as in Linux's strnchr. */
function lineEnd(head: Uint8Array): number | undefined {
  for (let at = 0; at < HEAD_SIZE && head[at] !== 0; at++) if (head[at] === NEWLINE) return at;
  return undefined;
}

function isBlank(byte: number): boolean {
  return byte === SPACE || byte === TAB;
}

/** The first position in [from, to] that is neither space nor tab. */
function nextWord(head: Uint8Array, from: number, to: number): number | undefined {
  for (let at = from; at <= to; at++) if (!isBlank(head[at])) return at;
  return undefined;
}

/** The first position in [from, to] that is a space, a tab or a zero. */
function nextEnd(head: Uint8Array, from: number, to: number): number | undefined {
  for (let at = from; at <= to; at++) if (isBlank(head[at]) || head[at] === 0) return at;
  return undefined;
}

function text(head: Uint8Array, from: number, to: number): string {
  let result = '';
  for (let at = from; at < to && head[at] !== 0; at++) result += String.fromCharCode(head[at]);
  return result;
}
