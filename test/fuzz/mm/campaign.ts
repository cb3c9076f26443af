/** Runs batches of memory programs on the bare CPU and in the emulator, compares line by line, and shrinks what differs to a few operations. */
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Driver } from '../../drivers/driver.ts';
import { emulator } from '../../drivers/emulator.ts';
import { build, plainProgram } from '../../drivers/fixtures.ts';
import { native } from '../../drivers/native.ts';
import { endsProof, explain } from './differences.ts';
import { describe, encode, type Operation, type Program, recordsOf } from './operations.ts';

const LIMIT_MS = 300_000;
const RUNNER = plainProgram('fuzz/memory-runner', fileURLToPath(new URL('./runner.c', import.meta.url)));

export interface Difference {
  readonly program: Program;
  readonly operation: Operation;
  readonly native: string;
  readonly other: string;
}

export interface Verdict {
  operations: number;
  /** By name of what is allowed. */
  readonly explained: Map<string, number>;
  readonly failures: Difference[];
}

/** What the runner printed; undefined where several programs took too long together. */
async function run(driver: Driver, path: string, programs: readonly Program[], options: readonly string[]): Promise<string | undefined> {
  const cwd = mkdtempSync(join(tmpdir(), 'seg386-mm-'));
  try {
    // The runner gives up being root, and still makes its files here.
    chmodSync(cwd, 0o777);
    const ending = await driver.run({ path, env: {}, stdin: encode(programs), cwd, limit_ms: LIMIT_MS, options });
    if (ending.timedOut && programs.length > 1) return undefined;
    const how =
      ending.status === 0 ? '' : `ended: ${ending.timedOut ? 'timed out' : (ending.signal ?? ending.status)} ${ending.stderr.toString()}`;
    return ending.stdout.toString('latin1') + how;
  } finally {
    rmSync(cwd, { recursive: true, force: true });
  }
}

/** What each operation of each program printed: by program, then by its index (children's after a `c`). */
function answers(output: string): Map<string, Map<string, string>> {
  const programs = new Map<string, Map<string, string>>();
  let current = new Map<string, string>();
  let key = '';
  for (const line of output.split('\n')) {
    const start = /^P (\d+)$/.exec(line)?.[1];
    const answer = /^(c?\d+) (.*)$/.exec(line);
    if (start !== undefined) programs.set(start, (current = new Map()));
    else if (answer) current.set((key = answer[1]), answer[2]);
    else if (line !== '') current.set(key, `${current.get(key) ?? ''}\n${line}`);
  }
  return programs;
}

function joined(a: Verdict, b: Verdict): Verdict {
  const explained = new Map(a.explained);
  for (const [name, times] of b.explained) explained.set(name, (explained.get(name) ?? 0) + times);
  return { operations: a.operations + b.operations, explained, failures: [...a.failures, ...b.failures] };
}

/** Runs the programs on both; of each only the first unexplained difference counts. */
export async function compare(programs: readonly Program[], options: readonly string[] = []): Promise<Verdict> {
  const path = await build(RUNNER);
  // No program asks for more than the bare CPU's machine would promise; ours has less.
  const outputs = await Promise.all([
    run(native, path, programs, []),
    run(emulator, path, programs, ['--layout=linux', '--overcommit=always', ...options]),
  ]);
  if (outputs.includes(undefined)) {
    // A slow machine is no difference: by halves, until the one is alone that hangs.
    const middle = programs.length >> 1;
    const first = await compare(programs.slice(0, middle), options);
    return joined(first, await compare(programs.slice(middle), options));
  }
  const [theirs, ours] = outputs.map((output) => answers(output ?? ''));
  const verdict: Verdict = { operations: 0, explained: new Map(), failures: [] };
  for (const program of programs) {
    const records = recordsOf(program);
    const [a, b] = [theirs.get(String(program.index)), ours.get(String(program.index))];
    for (const key of new Set([...(a?.keys() ?? ['0']), ...(b?.keys() ?? [])])) {
      verdict.operations++;
      const [native, other] = [a?.get(key) ?? 'nothing', b?.get(key) ?? 'nothing'];
      const operation = records[Number(key.replace('c', ''))] ?? records[0];
      if (endsProof(operation, native, records)) break;
      if (native === other) continue;
      const allowed = explain(operation, native, other);
      if (allowed) verdict.explained.set(allowed.name, (verdict.explained.get(allowed.name) ?? 0) + 1);
      else {
        verdict.failures.push({ program, operation, native, other });
        break;
      }
    }
  }
  return verdict;
}

/** The smallest program found that differs in an operation of the same name. */
export async function shrink(difference: Difference): Promise<Difference> {
  let best = difference;
  const attempt = async (operations: readonly Operation[]) => {
    const { failures } = await compare([{ ...best.program, operations }]);
    if (failures[0]?.operation.name !== difference.operation.name) return false;
    best = failures[0];
    return true;
  };
  if (!(await attempt(best.program.operations))) return difference;
  for (let size = best.program.operations.length >> 1; size >= 1; size = size === 1 ? 0 : size >> 1) {
    for (let at = 0; at < best.program.operations.length; ) {
      const { operations } = best.program;
      if (!(await attempt([...operations.slice(0, at), ...operations.slice(at + size)]))) at += size;
    }
  }
  return best;
}

export function report({ program, operation, native, other }: Difference): string {
  return [
    `program --seed ${program.seed} --program ${program.index}:`,
    ...recordsOf(program).map((each, i) => `  ${i} ${describe(each)}`),
    `  ${operation.name} on the bare CPU: ${native}`,
    `  ${operation.name} here: ${other}`,
  ].join('\n');
}
