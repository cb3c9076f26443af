/** Real programs, timed by test/corpus/run.py: bare CPU, qemu-i386, emulator in the same run. Those of one process in its small root, those that need a Debian in one that is named. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { MINI_ROOT, RUN_PY } from '../test/corpus/root.ts';
import { SEG386 } from '../test/drivers/emulator.ts';
import type { EngineName } from './loops.ts';

export interface WorkloadSet {
  readonly table: string;
  /** As run.py names the size of the root. */
  readonly tier: string;
  readonly root: string;
}

export const ONE_PROCESS: WorkloadSet = { table: fileURLToPath(new URL('workloads.tsv', import.meta.url)), tier: 'mini', root: MINI_ROOT };

/** Start-up, forks and many files, in a Debian that test/corpus's mkrootfs.sh has made. */
export function inDebian(root: string): WorkloadSet {
  return { table: fileURLToPath(new URL('processes.tsv', import.meta.url)), tier: 'core', root };
}

const NAMES: Readonly<Record<string, EngineName>> = { native: 'native', qemu: 'qemu', emu: 'emulator' };

/** Seconds of wall and processor time, medians; absent where the engine is missing or ended otherwise than the bare CPU. */
export interface WorkloadResult {
  readonly name: string;
  readonly wall_s: Partial<Record<EngineName, number>>;
  readonly cpu_s: Partial<Record<EngineName, number>>;
  readonly verdict: Partial<Record<EngineName, string>>;
}

export function measureWorkloads(set: WorkloadSet, qemu: string | undefined, runs: number, wanted: string): WorkloadResult[] {
  const folder = mkdtempSync(join(tmpdir(), 'seg386-bench-'));
  try {
    const json = join(folder, 'results.json');
    const engines = ['native', ...(qemu ? ['qemu'] : []), 'emu'];
    const options = ['--bench', '--cases', set.table, '--tier', set.tier, '--root', set.root, '--filter', wanted, '--json', json];
    const repeats = ['--repeat', String(runs), '--emu-repeat', String(runs), ...(qemu ? ['--qemu', qemu] : [])];
    const emulator = `'${process.execPath}' '${SEG386}' -r {root} --`;
    spawnSync('python3', [RUN_PY, ...options, ...repeats, '--engines', engines.join(','), '--emu', emulator], {
      stdio: ['ignore', 'ignore', 2],
    });
    return (
      JSON.parse(readFileSync(json, 'utf8')) as {
        name: string;
        median: Record<string, (number | null)[]>;
        verdict: Record<string, string>;
      }[]
    ).map(({ name, median, verdict }) => {
      const result: WorkloadResult = { name, wall_s: {}, cpu_s: {}, verdict: {} };
      for (const engine of engines) {
        const [wall, cpu] = median[engine] ?? [];
        const ours = NAMES[engine] as EngineName;
        if (typeof wall === 'number') result.wall_s[ours] = wall;
        if (typeof cpu === 'number') result.cpu_s[ours] = cpu;
        result.verdict[ours] = verdict[engine] ?? 'absent';
      }
      return result;
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
