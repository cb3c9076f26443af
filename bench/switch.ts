/** What it costs to change from one task to another: two register sets in two address spaces run in turn, against one alone. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Engine, Registers } from '../emu/engine.ts';
import { createEngine } from '../emu/unicorn.ts';
import type { Mmu } from '../mm/mmu.ts';
import { perCall_ns } from './measure.ts';

const CODE = 0x0804_8000;
const READ_WRITE_EXECUTE = 7;
/** `1: inc eax; jmp 1b`, and as many instructions a run. */
const LOOP = [0x40, 0xeb, 0xfd];
const INSTRUCTIONS = 100;
const CALLS = 20_000;

interface Task {
  readonly registers: Registers;
  readonly mmu: Mmu;
}

export interface SwitchResult {
  /** A run of INSTRUCTIONS that goes on where it stopped. */
  readonly same_ns: number;
  /** A run after another task ran in another address space. */
  readonly other_ns: number;
  readonly switch_ns: number;
}

function task(engine: Engine): Task {
  const run = engine.arena.grow(1);
  if (!run) throw new Error('no frame for the benchmark');
  engine.arena.bytes.set(LOOP, run.first * 4096);
  const [mmu, registers] = [engine.createMmu(), engine.createRegisters()];
  mmu.map(CODE, run.first, READ_WRITE_EXECUTE);
  registers.eip = CODE;
  return { mmu, registers };
}

export function measureSwitch(): SwitchResult {
  const wasm = readFileSync(fileURLToPath(new URL('../dist/emu/seg386.wasm', import.meta.url)));
  const engine = createEngine(new WebAssembly.Module(wasm));
  const [one, other] = [task(engine), task(engine)];
  const same_ns = perCall_ns(() => engine.run(one.registers, one.mmu, INSTRUCTIONS), CALLS);
  let turn = 0;
  const other_ns = perCall_ns(() => {
    const { registers, mmu } = turn++ % 2 === 0 ? one : other;
    engine.run(registers, mmu, INSTRUCTIONS);
  }, CALLS);
  return { same_ns, other_ns, switch_ns: other_ns - same_ns };
}
