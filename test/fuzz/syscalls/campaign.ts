/** Runs random programs of system calls in a jail on the bare CPU and in machines, compares call by call, and shrinks what differs. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmdirSync } from 'node:fs';
import { getPriority, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Machine, memoryRoot } from '../../../index.ts';
import { build, type Fixture, plainProgram } from '../../drivers/fixtures.ts';
import { native } from '../../drivers/native.ts';
import { explain } from './known.ts';
import { RESULT_VOLATILE, VOLATILE } from './policy.ts';
import { describe, encode, type RandomCall, type RandomProgram } from './programs.ts';

const NOBODY = 65_534;
const LIMIT_MS = 600_000;
const OUTPUT_LIMIT = 256 << 20;
/** The jail's status where it could not be made. */
const NO_JAIL = 120;

const source = (name: string): Fixture => plainProgram(`fuzz/${name}`, fileURLToPath(new URL(`./${name}.c`, import.meta.url)));

export interface Difference {
  readonly program: RandomProgram;
  /** Undefined: the end of the program. */
  readonly call: RandomCall | undefined;
  readonly native: string;
  readonly here: string;
}

export interface Verdict {
  calls: number;
  /** How often, by the name of what is known to differ. */
  readonly known: Map<string, number>;
  readonly failures: Difference[];
}

/** Why programs cannot be compared here; undefined where they can. */
export async function unavailable(): Promise<string | undefined> {
  if (native.unavailable() !== undefined) return native.unavailable();
  if (process.geteuid?.() !== 0) return 'the jail must be made by root';
  return runNative([]).then(
    () => undefined,
    (error: unknown) => String(error),
  );
}

async function runNative(programs: readonly RandomProgram[]): Promise<string> {
  const [jail, runner] = [await build(source('jail')), await build(source('program-runner'))];
  const folder = mkdtempSync(join(tmpdir(), 'seg386-jail-'));
  try {
    const { status, stdout, stderr } = spawnSync(jail, [folder, runner], {
      input: encode(programs, getPriority()),
      timeout: LIMIT_MS,
      maxBuffer: OUTPUT_LIMIT,
      env: {},
    });
    if (status !== 0) throw new Error(status === NO_JAIL ? `no jail: ${stderr}` : `the runner ended with ${status}: ${stderr}`);
    return stdout.toString('latin1');
  } finally {
    // Its files were in a mount that went with the jail.
    rmdirSync(folder);
  }
}

async function runHere(programs: readonly RandomProgram[]): Promise<string> {
  const machine = new Machine({ root: memoryRoot, deterministic: true, memory: 256 << 20 });
  try {
    machine.files.writeFile('/runner', readFileSync(await build(source('program-runner'))), { mode: 0o755 });
    machine.files.mkdir('/w');
    machine.files.chmod('/w', 0o777);
    const options = {
      argv: ['runner'],
      program: '/runner',
      cwd: '/w',
      uid: NOBODY,
      gid: NOBODY,
      groups: [],
      stdin: encode(programs, getPriority()),
    };
    const { status, stdout } = await machine.run({ ...options, limits: { output: OUTPUT_LIMIT } });
    if (status?.kind !== 'exited' || status.code !== 0) throw new Error(`the runner ended here with ${JSON.stringify(status)}`);
    return Buffer.from(stdout).toString('latin1');
  } finally {
    machine.close();
  }
}

/** What each call of each program answered, and how the program ended. */
function answers(output: string): Map<number, { readonly calls: string[]; end: string }> {
  const programs = new Map<number, { readonly calls: string[]; end: string }>();
  let current = { calls: [] as string[], end: 'nothing' };
  for (const line of output.split('\n')) {
    const [first, second] = line.split(' ');
    if (first === 'program') programs.set(Number(second), (current = { calls: [], end: 'nothing' }));
    else if (first === 'exit' || first === 'signal') current.end = line;
    else if (line !== '') current.calls[Number(first)] = line.slice(first.length + 1);
  }
  return programs;
}

/** As `once`, and what differs must differ again, twice: a busy machine makes calls late that are to be cut short, and timers early. */
export async function compare(programs: readonly RandomProgram[]): Promise<Verdict> {
  const verdict = await once(programs);
  for (let again = 0; again < 2 && verdict.failures.length > 0; again++) {
    const repeated = await once(verdict.failures.map(({ program }) => program));
    verdict.failures.splice(0, verdict.failures.length, ...repeated.failures);
  }
  return verdict;
}

/** Of each program only the first unexplained difference counts. */
async function once(programs: readonly RandomProgram[]): Promise<Verdict> {
  const verdict: Verdict = { calls: 0, known: new Map(), failures: [] };
  const [theirs, ours] = (await Promise.all([runNative(programs), runHere(programs)])).map(answers);
  for (const program of programs) {
    const [there, here] = [theirs.get(program.index), ours.get(program.index)];
    const failure = (call: RandomCall | undefined, a: string, b: string): void =>
      void verdict.failures.push({ program, call, native: a, here: b });
    if (there === undefined || here === undefined) {
      failure(undefined, there?.end ?? 'did not run', here?.end ?? 'did not run');
      continue;
    }
    let differs = false;
    for (const [i, call] of program.calls.entries()) {
      const [a, b] = [comparable(call, there.calls[i]), comparable(call, here.calls[i])];
      verdict.calls++;
      if (a === b) continue;
      const known = explain(call, a, b);
      differs = known?.diverges ?? known === undefined;
      if (known !== undefined) verdict.known.set(known.reason, (verdict.known.get(known.reason) ?? 0) + 1);
      if (differs && known !== undefined) break;
      if (known !== undefined) continue;
      failure(call, a, b);
      break;
    }
    if (!differs && there.end !== here.end) failure(undefined, there.end, here.end);
  }
  return verdict;
}

function comparable({ definition }: RandomCall, answer = 'not made'): string {
  const [result] = answer.split(' ');
  if (RESULT_VOLATILE.has(definition.name)) return Number(result) < 0 && Number(result) > -4096 ? result : 'success';
  return VOLATILE.has(definition.name) ? result : answer;
}

/** The smallest program found that differs in a call of the same name; undefined where it does not differ again. */
export async function shrink(difference: Difference): Promise<Difference | undefined> {
  let best: Difference | undefined;
  const attempt = async (calls: readonly RandomCall[]): Promise<boolean> => {
    const { failures } = await once([{ ...difference.program, calls }]);
    if (failures[0]?.call?.definition.name !== difference.call?.definition.name || failures.length === 0) return false;
    best = failures[0];
    return true;
  };
  const upTo = difference.call === undefined ? difference.program.calls.length : difference.program.calls.indexOf(difference.call) + 1;
  if (!(await attempt(difference.program.calls.slice(0, upTo)))) return undefined;
  for (let size = 4; size >= 1; size >>= 1) {
    for (let at = 0; best !== undefined && at < best.program.calls.length - 1; ) {
      if (!(await attempt(without(best.program.calls, at, size)))) at += size;
    }
  }
  return best;
}

/** The calls without some of them. What used a result that is gone uses -1. */
function without(calls: readonly RandomCall[], from: number, count: number): RandomCall[] {
  const kept = calls.filter((_, i) => i < from || i >= from + count);
  return kept.map((call) => ({
    ...call,
    args: call.args.map((argument) => {
      if (argument.tag !== 1 || argument.word < from) return argument;
      return argument.word < from + count ? { tag: 0, word: 0xffff_ffff } : { tag: 1, word: argument.word - count };
    }),
  }));
}

export function report({ program, call, native: there, here }: Difference): string {
  return [
    `program --seed ${program.seed} --program ${program.index}:`,
    ...program.calls.map((each, i) => `  ${i} ${describe(each)}`),
    `  ${call?.definition.name ?? 'the end'} on the bare CPU: ${there}`,
    `  ${call?.definition.name ?? 'the end'} here: ${here}`,
  ].join('\n');
}
