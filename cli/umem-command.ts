/** `seg386 umem --diff A.json B.json`: what changed between two dumps that `--umem --json` made. */
import { readFileSync } from 'node:fs';
import { umemDiff, umemDiffText } from '../debug/umem-diff.ts';
import type { UmemEntry } from '../debug/umem.ts';
import { OwnFailure } from './sink.ts';

const USAGE = 'usage: seg386 umem --diff [--json] A.json B.json\n(a program of that name is run by its path, or behind --)';

/** Whether the command line asks for this instead of a program. */
export function isUmemCommand(args: readonly string[]): boolean {
  return args[0] === 'umem';
}

/** The text to print and the status: as diff's, 0 where nothing changed and 1 where something did. Throws OwnFailure. */
export function umemCommand(args: readonly string[]): { readonly text: string; readonly status: number } {
  const flags = args.slice(1).filter((arg) => arg.startsWith('-'));
  const files = args.slice(1).filter((arg) => !arg.startsWith('-'));
  const isKnown = flags.every((flag) => flag === '--diff' || flag === '--json');
  if (!isKnown || !flags.includes('--diff') || files.length !== 2) throw new OwnFailure(USAGE);
  const changes = umemDiff(dump(files[0]), dump(files[1]));
  const text = flags.includes('--json') ? `${JSON.stringify({ changes })}\n` : umemDiffText(changes);
  return { text, status: changes.length === 0 ? 0 : 1 };
}

/** The last dump in a file; the program's own lines, which may be mixed with ours, are passed over. */
function dump(path: string): UmemEntry[] {
  let found: UmemEntry[] | undefined;
  for (const line of read(path).split('\n')) {
    const data = line.startsWith('{') ? parsed(line) : undefined;
    if (isDump(data)) found = data.umem;
  }
  if (found === undefined) throw new OwnFailure(`${path} holds no memory map: make one with --umem --json`);
  return found;
}

function read(path: string): string {
  try {
    return readFileSync(Buffer.from(path, 'latin1'), 'utf8');
  } catch (error) {
    throw new OwnFailure(`cannot read ${path}: ${(error as Error).message}`);
  }
}

function parsed(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

function isDump(data: unknown): data is { umem: UmemEntry[] } {
  const umem = (data as { umem?: unknown } | undefined)?.umem;
  const isEntry = (each: UmemEntry): boolean =>
    Number.isInteger(each?.base) &&
    Number.isInteger(each.top) &&
    each.base < each.top &&
    each.top <= 2 ** 32 &&
    Number.isInteger(each.prot) &&
    Array.isArray(each.pages) &&
    each.pages.every((run) => Array.isArray(run) && run[0] >= 0 && run[0] + run[1] <= (each.top - each.base) / 4096);
  return Array.isArray(umem) && umem.every(isEntry);
}
