/** The CPU loops: small assembly programs that repeat one thing, timed as the difference between many turns and none. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { SEG386 } from '../test/drivers/emulator.ts';
import { median, wall_s } from './measure.ts';

const SOURCES = fileURLToPath(new URL('loops', import.meta.url));
const BUILT = fileURLToPath(new URL('../build/bench', import.meta.url));

export type EngineName = 'native' | 'qemu' | 'emulator';

interface Loop {
  readonly name: string;
  /** Instructions in a turn where speed is told in instructions a second; else it is told in nanoseconds a turn. */
  readonly instructions?: number;
  /** Turns for about a second on each engine, so that start-up and warming up weigh little. */
  readonly turns: Readonly<Record<EngineName, number>>;
}

const cpu = (name: string, instructions: number): Loop => ({ name, instructions, turns: { native: 1e9, qemu: 4e8, emulator: 1e8 } });
const LOOPS: readonly Loop[] = [
  cpu('store', 4),
  cpu('registers', 4),
  cpu('load-store', 7),
  cpu('call-return', 4),
  { name: 'getpid', turns: { native: 3e6, qemu: 3e6, emulator: 4e7 } },
  { name: 'page-fault', turns: { native: 5e5, qemu: 5e5, emulator: 5e5 } },
];

/** One figure for each engine that is there: million instructions a second, or nanoseconds. */
export interface LoopResult {
  readonly name: string;
  readonly unit: 'M instructions/s' | 'ns';
  readonly value: Partial<Record<EngineName, number>>;
}

function build(name: string): string {
  const [source, program] = [join(SOURCES, `${name}.s`), join(BUILT, name)];
  if (!existsSync(program) || statSync(program).mtimeMs < statSync(source).mtimeMs) {
    mkdirSync(BUILT, { recursive: true });
    execFileSync('gcc', ['-m32', '-nostdlib', '-static', '-no-pie', '-Wa,--noexecstack', `-Wa,-I${SOURCES}`, source, '-o', program]);
  }
  return program;
}

export function commands(qemu: string | undefined): Partial<Record<EngineName, readonly string[]>> {
  return { native: [], ...(qemu ? { qemu: [qemu] } : {}), emulator: [process.execPath, SEG386, '--'] };
}

export function measureLoops(engines: Partial<Record<EngineName, readonly string[]>>, runs: number, wanted: RegExp): LoopResult[] {
  return LOOPS.filter(({ name }) => wanted.test(name)).map(({ name, instructions, turns }) => {
    const program = build(name);
    const value: Partial<Record<EngineName, number>> = {};
    for (const [engine, command] of Object.entries(engines) as [EngineName, readonly string[]][]) {
      const time = (count: number) => wall_s([...command, program, String(count)]);
      const empty_s = median(Array.from({ length: runs }, () => time(0)));
      const full_s = median(Array.from({ length: runs }, () => time(turns[engine])));
      const turn_s = Math.max(full_s - empty_s, 1e-9) / turns[engine];
      value[engine] = instructions ? instructions / turn_s / 1e6 : turn_s * 1e9;
    }
    return { name, unit: instructions ? 'M instructions/s' : 'ns', value };
  });
}
