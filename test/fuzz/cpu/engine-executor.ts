/** Runs cases in the engine, with the same memory, descriptors and start state as native-runner.c gives them on the bare CPU. */
import { readFileSync } from 'node:fs';
import { CS, DS, type Engine, ES, FS, GS, type Registers, SS, type Trap } from '../../../emu/engine.ts';
import { createEngine } from '../../../emu/unicorn.ts';
import type { Mmu } from '../../../mm/mmu.ts';
import { engineModule } from '../../drivers/engine.ts';
import { FILL, LDT, makePattern, PATTERN_COUNT, REGIONS, type Region, THREAD_AREAS } from './layout.ts';
import { type Executor, lost } from './native.ts';
import { type Ending, MAX_CHANGES, type Result } from './protocol.ts';
import type { Feature } from './row.ts';
import type { Case } from './sequence.ts';
import { FX_SIZE } from './state.ts';

/** More instructions than any case that ends: a repeated string instruction over all of the address space stops at a hole long before. */
const BUDGET = 1_000_000;
const PAGE = 4096;

/** `wasm`: another build of the engine than the project's own. */
export function openEngine(wasm?: string): { executor: Executor; features: ReadonlySet<Feature> } {
  const stage = new Stage(wasm ? new WebAssembly.Module(readFileSync(wasm)) : engineModule());
  const features = stage.features();
  return { executor: { name: 'engine', run: (cases) => cases.map((one) => stage.run(one)) }, features };
}

interface Placed extends Region {
  /** Byte offset of the region's frames in the arena. */
  readonly at: number;
  readonly frame: number;
}

class Stage {
  private readonly engine: Engine;
  private readonly mmu: Mmu;
  private readonly registers: Registers;
  private readonly regions: Placed[] = [];
  private readonly patterns: readonly Uint8Array[];
  private pattern = -1;
  private readonly image = new Uint8Array(512);

  constructor(module: WebAssembly.Module) {
    this.engine = createEngine(module);
    this.engine.onFault = () => false;
    this.mmu = this.engine.createMmu();
    this.registers = this.engine.createRegisters();
    this.patterns = Array.from({ length: PATTERN_COUNT }, (_, i) => makePattern(i));
    for (const region of REGIONS) this.place(region);
    for (const { index, descriptor } of THREAD_AREAS) this.registers.setThreadArea(index, descriptor);
    LDT.forEach((descriptor, index) => this.registers.setLdtEntry(index, descriptor));
  }

  private place(region: Region): void {
    const frames = this.engine.arena.grow(region.size / PAGE);
    if (!frames || frames.count * PAGE < region.size) throw new Error('the arena does not give a run of frames');
    for (let i = 0; i < frames.count; i++) this.mmu.map(region.base + i * PAGE, frames.first + i, region.prot);
    this.regions.push({ ...region, frame: frames.first, at: frames.first * PAGE });
    this.engine.arena.bytes.fill(FILL, frames.first * PAGE, frames.first * PAGE + region.size);
  }

  /** What the engine's own CPUID offers. */
  features(): ReadonlySet<Feature> {
    const leaf = (eax: number): number[] => {
      const code = [0xb8, eax & 0xff, (eax >>> 8) & 0xff, (eax >>> 16) & 0xff, eax >>> 24, 0x31, 0xc9, 0x0f, 0xa2, 0xcc];
      this.putCode(REGIONS[4].base, Uint8Array.from(code));
      this.registers.eip = REGIONS[4].base;
      this.engine.run(this.registers, this.mmu, 100);
      this.putCode(REGIONS[4].base, new Uint8Array(code.length).fill(FILL));
      return [0, 1, 2, 3].map((register) => this.registers.get(register));
    };
    const [, ecx1] = leaf(1),
      [, , , ebx7] = leaf(7),
      [, ecx81] = leaf(0x80000001);
    const bits: readonly (readonly [Feature, number, number])[] = [
      ['sse3', ecx1, 0],
      ['pclmul', ecx1, 1],
      ['ssse3', ecx1, 9],
      ['sse41', ecx1, 19],
      ['sse42', ecx1, 20],
      ['movbe', ecx1, 22],
      ['popcnt', ecx1, 23],
      ['aes', ecx1, 25],
      ['tzcnt', ebx7, 3],
      ['bmi1', ebx7, 3],
      ['bmi2', ebx7, 8],
      ['adx', ebx7, 19],
      ['lzcnt', ecx81, 5],
    ];
    return new Set(bits.filter(([, word, bit]) => (word >>> bit) & 1).map(([feature]) => feature));
  }

  private regionOf(addr: number): Placed {
    return this.regions.find(({ base, size }) => addr >= base && addr < base + size)!;
  }

  private putCode(target: number, code: Uint8Array): void {
    const region = this.regionOf(target);
    const offset = target - region.base;
    this.engine.arena.bytes.set(code, region.at + offset);
    this.codeChanged(region, offset, code.length);
  }

  private codeChanged(region: Placed, offset: number, size: number): void {
    for (let page = Math.floor(offset / PAGE); page * PAGE < offset + size; page++) this.engine.arena.changed(region.frame + page);
  }

  private usePattern(index: number): void {
    if (this.pattern === index) return;
    this.pattern = index;
    this.eachDataRegion((region, pattern) => this.engine.arena.bytes.set(pattern, region.at));
  }

  private eachDataRegion(visit: (region: Placed, pattern: Uint8Array) => void): void {
    let at = 0;
    for (const region of this.regions) {
      if (region.kind !== 'data') continue;
      visit(region, this.patterns[this.pattern].subarray(at, at + region.size));
      at += region.size;
    }
  }

  run(one: Case): Result {
    try {
      this.usePattern(one.state.pattern);
      this.load(one);
      const ending = endingOf(this.engine.run(this.registers, this.mmu, BUDGET));
      return this.collect(one, ending);
    } catch (error) {
      this.collect(one, { kind: 'endless' });
      return lost((error as Error).stack ?? String(error));
    }
  }

  private load({ state, target, sequence }: Case): void {
    this.putCode(target, sequence.code);
    const { registers } = this;
    for (const segment of [CS, SS, DS, ES, FS, GS]) {
      if (!registers.loadSelector(segment, state.selectors[segment]))
        throw new Error(`the engine does not load segment ${segment} with ${state.selectors[segment]}`);
    }
    for (let i = 0; i < 8; i++) registers.set(i, state.regs[i]);
    registers.eflags = state.eflags;
    registers.eip = target;
    this.image.fill(0);
    this.image.set(state.fx);
    if (!registers.restoreFx(this.image)) throw new Error('the engine does not load the FPU image');
  }

  private collect({ target, sequence }: Case, ending: Ending): Result {
    const { registers } = this;
    registers.saveFx(this.image);
    const regs = Uint32Array.from({ length: 8 }, (_, i) => registers.get(i));
    const changes: number[] = [];
    this.eachDataRegion((region, pattern) => this.collectRegion(region, pattern, changes));
    const region = this.regionOf(target);
    if (region.kind === 'patchable') {
      const expected = new Uint8Array(region.size).fill(FILL);
      expected.set(sequence.code, target - region.base);
      this.collectRegion(region, expected, changes);
    }
    this.engine.arena.bytes.fill(FILL, region.at + target - region.base, region.at + target - region.base + sequence.code.length);
    this.codeChanged(region, target - region.base, sequence.code.length);
    return {
      ending,
      eip: registers.eip,
      eflags: registers.eflags,
      regs,
      selectors: [0, 1, 2, 3, 4, 5].map((segment) => registers.selector(segment)),
      fx: this.image.slice(0, FX_SIZE),
      changes: Uint32Array.from(changes.slice(0, 2 * MAX_CHANGES)),
    };
  }

  /** Notes the words that differ from `expected`, and puts it back. */
  private collectRegion(region: Placed, expected: Uint8Array, changes: number[]): void {
    const bytes = this.engine.arena.bytes.subarray(region.at, region.at + region.size);
    if (Buffer.compare(bytes, expected) === 0) return;
    const now = new DataView(bytes.buffer, bytes.byteOffset),
      was = new DataView(expected.buffer, expected.byteOffset);
    for (let at = 0; at < region.size; at += 4) {
      const value = now.getUint32(at, true);
      if (value !== was.getUint32(at, true)) changes.push(region.base + at, value);
    }
    bytes.set(expected);
    if (region.kind === 'patchable') this.codeChanged(region, 0, region.size);
  }
}

function endingOf(trap: Trap): Ending {
  switch (trap.kind) {
    case 'syscall':
      return { kind: 'syscall' };
    case 'fault':
      return { kind: 'fault', addr: trap.addr, access: trap.access };
    case 'exception':
      return { kind: 'exception', vector: trap.vector, errorCode: trap.errorCode };
    case 'budget':
      return { kind: 'endless' };
  }
}
