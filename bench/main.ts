/**
 * `npm run bench [-- --runs N] [--only REGEX] [--root DEBIAN]`: CPU loops and real programs on the bare CPU, qemu-i386 and the emulator, in one run on one
 * machine. Times differ between machines and hours; the ratios are what counts. Prints tables and writes build/bench.json.
 */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { corpusUnavailable } from '../test/corpus/root.ts';
import { allFixtures, build, compilerVersion } from '../test/drivers/fixtures.ts';
import { emulator, SEG386 } from '../test/drivers/emulator.ts';
import { native } from '../test/drivers/native.ts';
import { measureGuests } from './guests.ts';
import { commands, type EngineName, type LoopResult, measureLoops } from './loops.ts';
import { median, wall_s } from './measure.ts';
import { measureSwitch } from './switch.ts';
import { inDebian, measureWorkloads, ONE_PROCESS, type WorkloadResult } from './workloads.ts';

const OUTPUT = fileURLToPath(new URL('../build/bench.json', import.meta.url));
const ENGINES: readonly EngineName[] = ['native', 'qemu', 'emulator'];
const START_RUNS = 11;
/** A static C program that prints a few lines. */
const HELLO = 'process/the-kernel-says-it-is-linux-on-i686';

const { values } = parseArgs({
  options: { runs: { type: 'string', default: '3' }, only: { type: 'string', default: '' }, root: { type: 'string' } },
});
const runs = Number(values.runs);
const only = new RegExp(values.only);

function onPath(program: string): string | undefined {
  return (process.env.PATH ?? '')
    .split(delimiter)
    .map((folder) => join(folder, program))
    .find((file) => existsSync(file));
}

function needed(reason: string | undefined): void {
  if (reason === undefined) return;
  console.error(`bench: ${reason}`);
  process.exit(1);
}

const ratio = (part: number | undefined, whole: number | undefined, digits: number) =>
  part === undefined || whole === undefined ? '-' : (part / whole).toFixed(digits);
const cell = (value: number | undefined, digits: number) => (value === undefined ? '-' : value.toFixed(digits)).padStart(11);

function printLoops(results: readonly LoopResult[]): void {
  console.log(
    `${'loop'.padEnd(20)}${'unit'.padEnd(18)}${ENGINES.map((name) => name.padStart(11)).join('')}   emulator/qemu  emulator/native`,
  );
  for (const { name, unit, value } of results) {
    const ratios = `${ratio(value.emulator, value.qemu, 3).padStart(16)}${ratio(value.emulator, value.native, 3).padStart(17)}`;
    console.log(`${name.padEnd(20)}${unit.padEnd(18)}${ENGINES.map((engine) => cell(value[engine], 1)).join('')}${ratios}`);
  }
}

function printWorkloads(results: readonly WorkloadResult[]): void {
  console.log(
    `${'program'.padEnd(14)}${'wall s'.padEnd(18)}${ENGINES.map((name) => name.padStart(11)).join('')}   emulator/qemu  emulator/native`,
  );
  for (const { name, wall_s, verdict } of results) {
    const ratios = `${ratio(wall_s.emulator, wall_s.qemu, 1).padStart(16)}${ratio(wall_s.emulator, wall_s.native, 1).padStart(17)}`;
    const wrong = ENGINES.filter((engine) => !['pass', undefined].includes(verdict[engine])).map(
      (engine) => `  ${engine}: ${verdict[engine]}`,
    );
    console.log(`${name.padEnd(14)}${''.padEnd(18)}${ENGINES.map((engine) => cell(wall_s[engine], 3)).join('')}${ratios}${wrong.join('')}`);
  }
}

needed(emulator.unavailable());
needed(native.unavailable());
needed((await compilerVersion()) ? undefined : 'gcc cannot build i386 programs');
const qemu = onPath('qemu-i386-static') ?? onPath('qemu-i386');
if (!qemu) console.error('bench: no qemu-i386 here, going on without it');

console.log(`seg386 bench: ${cpus()[0]?.model}, node ${process.versions.node}, ${runs} runs each, medians\n`);
const loops = measureLoops(commands(qemu), runs, only);
printLoops(loops);
const contextSwitch = only.test('context-switch') ? measureSwitch() : undefined;
if (contextSwitch) {
  const { same_ns, other_ns, switch_ns } = contextSwitch;
  console.log(
    `\ncontext switch: ${switch_ns.toFixed(0)} ns (100 instructions: ${same_ns.toFixed(0)} ns going on, ${other_ns.toFixed(0)} ns in turn with another task)`,
  );
}
const hello = allFixtures().find(({ name }) => name === HELLO);
if (!hello) throw new Error(`${HELLO} is gone`);
const program = await build(hello);
const start_s = median(Array.from({ length: START_RUNS }, () => wall_s([process.execPath, SEG386, '--', program])));
console.log(`start to end of a static hello: ${(start_s * 1e3).toFixed(0)} ms\n`);
const guests = measureGuests(commands(qemu), runs, only);
if (guests.length > 0) {
  printLoops(guests);
  console.log();
}
const reason = corpusUnavailable();
if (reason) console.error(`bench: no real programs: ${reason}`);
const workloads = reason ? [] : measureWorkloads(ONE_PROCESS, qemu, runs, values.only);
if (values.root) workloads.push(...measureWorkloads(inDebian(values.root), qemu, runs, values.only));
else console.error('bench: no Debian root (--root), so no start-up of bash and python, forks and files');
if (workloads.length > 0) printWorkloads(workloads);
mkdirSync(join(OUTPUT, '..'), { recursive: true });
writeFileSync(
  OUTPUT,
  `${JSON.stringify({ node: process.versions.node, cpu: cpus()[0]?.model, loops, contextSwitch, start_s, guests, workloads }, undefined, 2)}\n`,
);
console.log(`\nwritten to ${OUTPUT}`);
