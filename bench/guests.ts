/** What memory calls, page faults and processes cost a guest program: bench/guests/*.c on the bare CPU, qemu-i386 and the emulator, in nanoseconds a time. */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { EngineName, LoopResult } from './loops.ts';
import { median } from './measure.ts';

const SOURCES = fileURLToPath(new URL('guests', import.meta.url));
const FOLDER = fileURLToPath(new URL('../build/bench', import.meta.url));
/** Linux allows a process 65,530 areas. */
const MANY = '60000';
/** Program, case and, where it is not the case's own, N. */
const CASES: readonly (readonly string[])[] = [
  ['memory', 'map-touch-unmap'],
  ['memory', 'first-touch'],
  ['memory', 'first-touch', '2000'],
  ['memory', 'touch-again'],
  ['memory', 'random-first-touch'],
  ['memory', 'reserve-2.5G'],
  ['memory', 'read-mapped-64M'],
  ['memory', 'msync-64M'],
  ...['areas-map', 'areas-protect', 'areas-unmap', 'areas-fault'].flatMap((name) => [
    ['memory', name, '1000'],
    ['memory', name, MANY],
  ]),
  ['memory', 'fork-256M'],
  ['memory', 'copy-on-write-64M'],
  ['memory', 'shared-counter'],
  ['process', 'fork-wait'],
  ['process', 'fork-exec-wait'],
  ['process', 'switch'],
  ['process', 'pipe-64K'],
];
const LONGEST_MS = 120_000;

function build(name: string): string {
  const [source, program] = [join(SOURCES, `${name}.c`), join(FOLDER, name)];
  if (!existsSync(program) || statSync(program).mtimeMs < statSync(source).mtimeMs) {
    mkdirSync(FOLDER, { recursive: true });
    execFileSync('gcc', ['-m32', '-O2', '-static', '-o', program, source]);
  }
  return program;
}

/** The figure that a run printed; undefined where the engine cannot do it. */
function once(command: readonly string[]): number | undefined {
  const { status, stdout } = spawnSync(command[0], command.slice(1), { stdio: ['ignore', 'pipe', 'ignore'], timeout: LONGEST_MS });
  return status === 0 ? Number(stdout.toString()) : undefined;
}

export function measureGuests(engines: Partial<Record<EngineName, readonly string[]>>, runs: number, wanted: RegExp): LoopResult[] {
  return CASES.filter((words) => wanted.test(words.join(' '))).map(([name, ...words]) => {
    const program = build(name);
    const value: Partial<Record<EngineName, number>> = {};
    for (const [engine, command] of Object.entries(engines) as [EngineName, readonly string[]][]) {
      const figures = Array.from({ length: runs }, () => once([...command, program, ...words])).filter((figure) => figure !== undefined);
      if (figures.length === runs) value[engine] = median(figures);
    }
    return { name: words.join(' '), unit: 'ns', value };
  });
}
