/** Out of memory: who is killed, who is told, and that everything comes back. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Machine } from '../../machine.ts';
import { createMachine } from '../../machine-host.ts';
import { programOptions } from '../../machine-spawn.ts';
import { Process } from '../../proc/process.ts';
import { call, LOOP, tinyFile } from '../drivers/tiny.ts';

const MMAP2 = 192;
/** With so many pages a point of adjustment is two. */
const PAGES = 2000;
const KILLED = { kind: 'killed', signo: 9, core: false };
let root = '';

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'seg386-oom-'));
  tinyFile(join(root, 'loop'), LOOP);
  // Maps 64 MiB that need not be there (MAP_NORESERVE) and writes to page after page.
  tinyFile(join(root, 'greedy'), [...call(MMAP2, 0, 64 << 20, 3, 0x4022, -1), 0xc6, 0x00, 1, 0x05, 0, 0x10, 0, 0, 0xeb, 0xf6]);
});
afterAll(() => rmSync(root, { recursive: true }));

function start(machine: Machine, program: string): Process {
  const started = machine.start(
    programOptions(machine.parts.files, { argv: [program] }, { stdout: () => undefined, stderr: () => undefined }),
  );
  if (!(started instanceof Process)) throw new Error(started.reason);
  return started;
}

function runToEnd(machine: Machine, process: Process): unknown {
  for (let slices = 0; slices < 2000 && process.status === undefined; slices++) machine.run();
  return process.status;
}

test('when memory is used up, who holds most is killed and said so, and no frame is lost', () => {
  const said: string[] = [];
  const machine = createMachine({ root, memory: PAGES * 4096, warn: (text) => said.push(text) });
  const bystander = start(machine, '/loop');
  const greedy = start(machine, '/greedy');
  const before = machine.parts.frames.inUse;
  expect(runToEnd(machine, greedy)).toEqual(KILLED);
  expect(bystander.status).toBeUndefined();
  expect(said).toEqual([expect.stringMatching(`out of memory: killed process ${greedy.pid} \\(greedy\\), which had 19\\d\\d pages`)]);
  expect(machine.parts.frames.inUse).toBeLessThanOrEqual(before);
  machine.close();
  expect(machine.parts.frames.inUse).toBe(0);
});

test('an adjustment makes one process go first, or never', () => {
  const said: string[] = [];
  const machine = createMachine({ root, memory: PAGES * 4096, warn: (text) => said.push(text) });
  const unwanted = start(machine, '/loop');
  unwanted.oomAdjust = 1000;
  const precious = start(machine, '/greedy');
  precious.oomAdjust = -1000;
  expect(runToEnd(machine, precious)).toEqual(KILLED);
  expect(unwanted.status).toEqual(KILLED);
  expect(said).toEqual([
    expect.stringContaining(`killed process ${unwanted.pid} (loop)`),
    expect.stringContaining(`nobody may be killed but process ${precious.pid} (greedy)`),
  ]);
  machine.close();
  expect(machine.parts.frames.inUse).toBe(0);
});

test('a call that runs out of memory kills too, and its process dies on the way back', () => {
  const said: string[] = [];
  // mmap with MAP_POPULATE.
  tinyFile(join(root, 'populate'), [...call(MMAP2, 0, 64 << 20, 3, 0xc022, -1), ...LOOP]);
  const machine = createMachine({ root, memory: PAGES * 4096, warn: (text) => said.push(text) });
  expect(runToEnd(machine, start(machine, '/populate'))).toEqual(KILLED);
  expect(said).toEqual([expect.stringContaining('(populate)')]);
  machine.close();
});
