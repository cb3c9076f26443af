/** Runs guest.c, or a fixture, in a machine of this process while something is made to fail, and says how each step of it ended. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { GuestFiles } from '../../../fs/guest.ts';
import type { Machine } from '../../../machine.ts';
import { createMachine } from '../../../machine-host.ts';
import { programOptions } from '../../../machine-spawn.ts';
import { Process } from '../../../proc/process.ts';
import { allFixtures, build } from '../../drivers/fixtures.ts';

const PAGES = 6;
/** Slices after which a run hangs. */
const PATIENCE = 5_000;

export interface Ran {
  /** As `exited 0`, `killed 9`, `signaled 7`; or why it did not start. */
  readonly ending: string;
  /** The lines of the guest that are not ok. */
  readonly failures: readonly string[];
  /** Every line. */
  readonly lines: readonly string[];
  /** Frames in use afterwards that were not before. */
  readonly leaked: number;
  /** The file that was mapped, as the host has it: the first byte of each page. */
  readonly file: string;
}

export class Bed {
  readonly machine: Machine;
  private readonly folder = mkdtempSync(join(tmpdir(), 'seg386-failures-'));
  private readonly program: string;

  private constructor(program: string) {
    this.program = program;
    this.machine = createMachine({ deterministic: true, overcommit: 'always', warn: () => {} });
  }

  /** Without a name guest.c. */
  static async make(name?: string): Promise<Bed> {
    const source = fileURLToPath(new URL('./guest.c', import.meta.url));
    const guest = { name: 'fuzz/failing', source, expected: '', kind: 'bare', flags: [], args: [], env: {}, stdin: '' };
    const found = name === undefined ? guest : allFixtures().find((each) => each.name === name);
    if (found === undefined) throw new Error(`${name} is a fixture`);
    return new Bed(await build(found));
  }

  /** `arm` makes something fail from now on, and returns what makes everything work again. */
  run(arm: () => () => void): Ran {
    const { machine, program } = this;
    const { files, frames } = machine.parts;
    writeFileSync(join(this.folder, 'f'), `f${'x'.repeat(4095)}`.repeat(PAGES));
    let text = '';
    const stdout = (bytes: Uint8Array) => void (text += Buffer.from(bytes).toString('latin1'));
    const options = programOptions(files, { argv: [program], cwd: this.folder }, { stdout, stderr: stdout });
    const before = frames.inUse;
    const disarm = arm();
    let ending = 'hangs';
    const started = machine.start(options);
    for (const stream of options.streams) stream?.release();
    if (!(started instanceof Process)) ending = `not started: ${started.reason}`;
    else {
      for (let slices = 0; slices < PATIENCE && machine.kernel.tasks.size > 0; slices++) machine.run();
      const { status } = started;
      if (machine.kernel.tasks.size === 0 && status !== undefined)
        ending = `${status.kind} ${status.kind === 'exited' ? status.code : status.signo}`;
    }
    disarm();
    this.trim();
    const lines = text.split('\n').slice(0, -1);
    const content = readFileSync(join(this.folder, 'f'), 'latin1');
    return {
      ending,
      lines,
      failures: lines.filter((line) => !line.endsWith(' ok')),
      leaked: frames.inUse - before,
      file: Array.from({ length: content.length / 4096 }, (_, i) => content[i * 4096]).join(''),
    };
  }

  /** What only the page cache keeps goes. */
  private trim(): void {
    const { files } = this.machine.parts;
    if (!(files instanceof GuestFiles)) throw new TypeError('a machine on this host');
    files.host.inodes.trim();
  }

  close(): void {
    this.machine.close();
    rmSync(this.folder, { recursive: true });
  }
}
