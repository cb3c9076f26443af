/** What becomes of an ELF image: in our loader, and on the bare CPU; and whether the two agree. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { fault } from '../../../mm/fault.ts';
import { LoaderWorld } from '../../drivers/loader-world.ts';
import { type Case, EXIT_42, INTERPRETED, TRAP } from './mutate.ts';

/** How an image ended: refused with an errno, killed while it was loaded, or started at an instruction of this kind. */
export type Verdict =
  | { readonly kind: 'refused'; readonly errno: number }
  | { readonly kind: 'fatal'; readonly reason: string }
  | { readonly kind: 'started'; readonly at: 'exit' | 'trap' | 'nowhere' | 'elsewhere' };

/** One file system for many cases; the space is emptied by each. */
export class Judge {
  private world = makeWorld();
  private cases = 0;

  /** What our loader makes of it. Throws only if the loader does. */
  ours({ role, image }: Case): Verdict {
    if (++this.cases % 200 === 0) this.world = makeWorld();
    const { world } = this;
    world.replace(role === 'i' ? 'interp' : 'program', image);
    if (role === 'i') world.replace('program', INTERPRETED);
    const result = world.exec('program');
    if (result.kind === 'refused')
      return result.signal === undefined ? { kind: 'refused', errno: result.errno } : { kind: 'fatal', reason: result.reason };
    return { kind: 'started', at: startOf(world, result.entry) };
  }
}

function makeWorld(): LoaderWorld {
  const world = new LoaderWorld({ layout: 'linux' });
  world.space.mayMapLow = process.getuid?.() === 0;
  return world;
}

function startOf(world: LoaderWorld, entry: number): 'exit' | 'trap' | 'nowhere' | 'elsewhere' {
  const bytes: number[] = [];
  for (let i = 0; i < EXIT_42.length; i++) {
    if (fault(world.space, (entry + i) >>> 0, 'fetch').kind !== 'done') break;
    bytes.push(world.user.readU8((entry + i) >>> 0));
  }
  if (bytes.length === 0) return 'nowhere';
  if (bytes[0] === TRAP) return 'trap';
  return bytes.length === EXIT_42.length && bytes.every((byte, i) => byte === EXIT_42[i]) ? 'exit' : 'elsewhere';
}

/** Whether a line of the native runner says the same as our verdict. */
export function agrees(ours: Verdict, native: string): boolean {
  const [letter, value] = native.split(' ');
  const number = Number(value);
  if (ours.kind === 'refused') return letter === 'E' && number === ours.errno;
  if (letter === 'E') return false;
  if (ours.kind === 'fatal') return letter === 'S' && (number === 11 || number === 9);
  switch (ours.at) {
    case 'exit':
      return letter === 'X' && number === 42;
    case 'trap':
      return letter === 'S' && number === 5;
    case 'nowhere':
      return letter === 'S' && (number === 11 || number === 7);
    case 'elsewhere':
      return true;
  }
}

/**
 * Whether Linux may decide by how much memory the host has: its heuristic refuses single private writable mappings larger than memory, at load time, where we
 * overcommit without limit.
 */
export function isHuge({ image }: Case): boolean {
  const view = new DataView(image.buffer, image.byteOffset, image.length);
  for (let at = 52; at + 32 <= Math.min(image.length, 52 + 32 * 8); at += 4)
    if (view.getUint32(at, true) >= 0x20000000 && view.getUint32(at, true) < 0xffffe000) return true;
  return false;
}

/** The bare CPU, as one process that runs images one after the other; undefined where there is no compiler or no i386. */
export class Native {
  private readonly folder: string;
  private readonly child: ReturnType<typeof spawn>;
  private readonly lines: AsyncIterator<string>;

  private constructor(folder: string, runner: string) {
    this.folder = folder;
    const root = join(folder, 'root');
    mkdirSync(root);
    writeFileSync(join(root, 'program'), INTERPRETED, { mode: 0o755 });
    this.child = spawn(runner, [root], { stdio: ['pipe', 'pipe', 'inherit'] });
    if (this.child.stdout === null) throw new Error('the runner has an output');
    this.lines = createInterface({ input: this.child.stdout })[Symbol.asyncIterator]();
  }

  static make(): Native | undefined {
    const folder = mkdtempSync(join(tmpdir(), 'seg386-elf-'));
    const runner = join(folder, 'runner');
    const source = fileURLToPath(new URL('native-runner.c', import.meta.url));
    const made = spawnSync('gcc', ['-O1', '-o', runner, source], { stdio: 'ignore' });
    if (made.status === 0) return new Native(folder, runner);
    rmSync(folder, { recursive: true });
    return undefined;
  }

  async run({ role, image }: Case): Promise<string> {
    if (role === 'i') this.send('p', INTERPRETED);
    if (role === 'i') await this.lines.next();
    this.send(role, image);
    const { value, done } = await this.lines.next();
    if (done) throw new Error('the native runner ended');
    return value;
  }

  private send(role: string, image: Uint8Array): void {
    const head = new Uint8Array(5);
    head[0] = role.charCodeAt(0);
    new DataView(head.buffer).setUint32(1, image.length, true);
    this.child.stdin?.write(Buffer.concat([head, image]));
  }

  async close(): Promise<void> {
    this.child.stdin?.end();
    await once(this.child, 'exit');
    rmSync(this.folder, { recursive: true });
  }
}
