/** A bare engine with a few frames mapped flat, for tests of the CPU alone: machine code in, registers out. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Access, Addr } from '../../abi/page.ts';
import { ESP, type Engine, type Registers, type Trap } from '../../emu/engine.ts';
import { createEngine, type EngineOptions } from '../../emu/unicorn.ts';
import type { Mmu } from '../../mm/mmu.ts';

let compiled: WebAssembly.Module | undefined;

/** The built engine's module, compiled once for all tests of a file. */
export function engineModule(): WebAssembly.Module {
  compiled ??= new WebAssembly.Module(readFileSync(fileURLToPath(new URL('../../dist/emu/seg386.wasm', import.meta.url))));
  return compiled;
}

export const CODE = 0x0804_8000;
export const DATA = 0x0805_0000;
export const STACK_TOP = 0x0806_0000;
const PAGES = 0x18;
const RWX = 7;

/** Pages CODE .. STACK_TOP are readable, writable and executable, filled on demand; anything else is refused. */
export class Bench {
  readonly engine: Engine;
  readonly mmu: Mmu;
  readonly registers: Registers;
  readonly firstFrame: number;
  readonly faults: { addr: Addr; access: Access }[] = [];

  constructor(options: EngineOptions = {}) {
    this.engine = createEngine(engineModule(), options);
    this.mmu = this.engine.createMmu();
    this.registers = this.engine.createRegisters();
    const run = this.engine.arena.grow(PAGES);
    if (!run || run.count < PAGES) throw new Error('no frames');
    this.firstFrame = run.first;
    this.engine.arena.bytes.fill(0, run.first * 4096, (run.first + PAGES) * 4096);
    this.engine.onFault = (addr, access) => {
      this.faults.push({ addr, access });
      const page = addr - (addr % 4096);
      if (page < CODE || page >= STACK_TOP) return false;
      this.mmu.map(page, this.frame(page), RWX);
      return true;
    };
    this.registers.set(ESP, STACK_TOP - 16);
  }

  /** The frame behind a guest page. */
  frame(addr: Addr): number {
    return this.firstFrame + Math.floor((addr - CODE) / 4096);
  }

  /** Writes as a system call would: behind the CPU's back, and telling it. */
  write(addr: Addr, bytes: readonly number[] | Uint8Array): void {
    for (let i = 0; i < bytes.length; i++) {
      const frame = this.frame(addr + i);
      this.engine.arena.bytes[frame * 4096 + ((addr + i) % 4096)] = bytes[i];
    }
    for (let frame = this.frame(addr); frame <= this.frame(addr + bytes.length - 1); frame++) this.engine.arena.changed(frame);
  }

  word(addr: Addr): number {
    return this.engine.arena.words[(this.frame(addr) * 4096 + (addr % 4096)) >>> 2];
  }

  /** Puts code at CODE (or `at`), eip at its first byte, and runs. The trap object is copied: the engine reuses it. */
  run(code: readonly number[], instructions = 100_000, at: Addr = CODE): Trap {
    this.write(at, code);
    this.registers.eip = at;
    return this.go(instructions);
  }

  go(instructions = 100_000): Trap {
    return { ...this.engine.run(this.registers, this.mmu, instructions) };
  }
}

/** A 32-bit little-endian immediate. */
export function le32(value: number): number[] {
  return [value & 255, (value >>> 8) & 255, (value >>> 16) & 255, (value >>> 24) & 255];
}

export const INT80 = [0xcd, 0x80];
