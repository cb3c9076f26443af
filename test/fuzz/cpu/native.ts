/** Builds native-runner.c and runs cases through it: on the bare CPU, or under qemu-i386 as a stand-in for an engine. */
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { decodeResults, encodeCases, encodeHeader, type Result } from './protocol.ts';
import type { Feature } from './row.ts';
import type { Case } from './sequence.ts';

/** Whatever executes cases: the bare CPU, qemu-i386, the engine. */
export interface Executor {
  readonly name: string;
  run(cases: readonly Case[]): Result[];
}

const FLAGS = [
  '-m32',
  '-O2',
  '-static',
  '-nostdlib',
  '-ffreestanding',
  '-fno-stack-protector',
  '-fno-pic',
  '-no-pie',
  '-msse2',
  '-z',
  'noexecstack',
  '-Wl,-Ttext-segment=0x60000000',
  '-Wl,--build-id=none',
];

/** The runner's path, built when its source has changed; undefined with a reason where that cannot be done. */
export function buildRunner(): { readonly path: string } | { readonly missing: string } {
  const source = fileURLToPath(new URL('native-runner.c', import.meta.url));
  const folder = fileURLToPath(new URL('../../../build/cpu-fuzz', import.meta.url));
  const digest = createHash('sha256').update(readFileSync(source)).update(FLAGS.join(' ')).digest('hex').slice(0, 16);
  const path = `${folder}/native-runner-${digest}`;
  if (existsSync(path)) return { path };
  try {
    mkdirSync(folder, { recursive: true });
    execFileSync('gcc', [...FLAGS, source, '-o', `${path}.${process.pid}`], { stdio: 'pipe' });
    renameSync(`${path}.${process.pid}`, path);
    return { path };
  } catch (error) {
    return { missing: `gcc -m32 cannot build the native runner: ${String(error).split('\n')[0]}` };
  }
}

/** Names of the kernel's /proc/cpuinfo for what the instruction table asks of a CPU. */
const CPUINFO: readonly (readonly [Feature, string])[] = [
  ['sse3', 'pni'],
  ['ssse3', 'ssse3'],
  ['sse41', 'sse4_1'],
  ['sse42', 'sse4_2'],
  ['popcnt', 'popcnt'],
  ['lzcnt', 'abm'],
  ['tzcnt', 'bmi1'],
  ['bmi1', 'bmi1'],
  ['bmi2', 'bmi2'],
  ['movbe', 'movbe'],
  ['aes', 'aes'],
  ['pclmul', 'pclmulqdq'],
  ['adx', 'adx'],
];

/** What the bare CPU offers: nothing else can be compared with it. */
export function hostFeatures(): ReadonlySet<Feature> {
  const flags = new Set(/^flags\s*:(.*)$/m.exec(existsSync('/proc/cpuinfo') ? readFileSync('/proc/cpuinfo', 'utf8') : '')?.[1].split(' '));
  return new Set(CPUINFO.filter(([, name]) => flags.has(name)).map(([feature]) => feature));
}

const header = encodeHeader();

/** An executor around the runner; undefined with a reason where i386 programs do not run. */
export function openNative(wrapper: readonly string[] = []): Executor | { readonly missing: string } {
  const built = buildRunner();
  if ('missing' in built) return built;
  const command = wrapper.length ? [...wrapper, built.path, 'plain'] : [built.path];
  const probe = spawnSync(command[0], command.slice(1), { input: header });
  if (probe.status !== 0)
    return {
      missing: `${command[0]} does not run here: ${probe.error?.message ?? (probe.stderr.toString().trim() || probe.signal || probe.status)}`,
    };
  return { name: wrapper[0] ?? 'native', run: (cases) => runAll(command, cases) };
}

/** A case that kills the runner is reported as lost, and a new runner goes on behind it. */
function runAll(command: readonly string[], cases: readonly Case[]): Result[] {
  const results: Result[] = [];
  while (results.length < cases.length) {
    const rest = cases.slice(results.length);
    const child = spawnSync(command[0], command.slice(1), { input: Buffer.concat([header, encodeCases(rest)]), maxBuffer: 1 << 30 });
    const got = decodeResults(child.stdout ?? new Uint8Array());
    for (const result of got) results.push(result);
    if (results.length < cases.length && got.length < rest.length) {
      // Results are buffered: of what is missing, only a run of its own tells which case is to blame.
      const blamed = rest.length === 1 ? undefined : runAll(command, [rest[got.length]]);
      results.push(blamed ? blamed[0] : lost(`the runner died: ${child.signal ?? child.status} ${child.stderr?.toString().trim()}`));
    }
  }
  return results;
}

export function lost(message: string): Result {
  return {
    ending: { kind: 'lost', message },
    eip: 0,
    eflags: 0,
    regs: new Uint32Array(8),
    selectors: [0, 0, 0, 0, 0, 0],
    fx: new Uint8Array(288),
    changes: new Uint32Array(),
  };
}
