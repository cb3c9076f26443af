/** What memory calls and page faults cost a guest program: bench/guests/memory.c on the bare CPU, qemu-i386 and the emulator, in nanoseconds a time. */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { EngineName, LoopResult } from './loops.ts';
import { median } from './measure.ts';

const SOURCE = fileURLToPath(new URL('guests/memory.c', import.meta.url));
const FOLDER = fileURLToPath(new URL('../build/bench', import.meta.url));
const PROGRAM = join(FOLDER, 'memory');
/** Linux allows a process 65,530 areas. */
const MANY = '60000';
/** Name and arguments of each case; a number is the case's own N. */
const CASES: readonly (readonly string[])[] = [
  ['map-touch-unmap'],
  ['first-touch'],
  ['touch-again'],
  ['random-first-touch'],
  ['reserve-2.5G'],
  ['read-mapped-64M'],
  ['msync-64M'],
  ...['areas-map', 'areas-protect', 'areas-unmap', 'areas-fault'].flatMap((name) => [
    [name, '1000'],
    [name, MANY],
  ]),
  ['fork-256M'],
  ['copy-on-write-64M'],
  ['shared-counter'],
];
const LONGEST_MS = 120_000;

function build(): void {
  if (existsSync(PROGRAM) && statSync(PROGRAM).mtimeMs >= statSync(SOURCE).mtimeMs) return;
  mkdirSync(FOLDER, { recursive: true });
  execFileSync('gcc', ['-m32', '-O2', '-static', '-o', PROGRAM, SOURCE]);
}

/** The figure that a run printed; undefined where the engine cannot do it. */
function once(command: readonly string[]): number | undefined {
  const { status, stdout } = spawnSync(command[0], command.slice(1), { stdio: ['ignore', 'pipe', 'ignore'], timeout: LONGEST_MS });
  return status === 0 ? Number(stdout.toString()) : undefined;
}

export function measureMemory(engines: Partial<Record<EngineName, readonly string[]>>, runs: number, wanted: RegExp): LoopResult[] {
  const chosen = CASES.map((words) => ({ name: words.join(' '), words })).filter(({ name }) => wanted.test(`memory ${name}`));
  if (chosen.length > 0) build();
  return chosen.map(({ name, words }) => {
    const value: Partial<Record<EngineName, number>> = {};
    for (const [engine, command] of Object.entries(engines) as [EngineName, readonly string[]][]) {
      const figures = Array.from({ length: runs }, () => once([...command, PROGRAM, ...words])).filter((figure) => figure !== undefined);
      if (figures.length === runs) value[engine] = median(figures);
    }
    return { name, unit: 'ns', value };
  });
}
