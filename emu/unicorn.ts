/** The engine over Unicorn in WebAssembly: the only file that calls the wasm exports' run loop and register sets. See emu/unicorn/. */
import { AssertionFailed, assert } from '../abi/assert.ts';
import type { Access, Addr } from '../abi/page.ts';
import type { Arena } from '../mm/arena.ts';
import type { Mmu } from '../mm/mmu.ts';
import { WasmArena } from './arena.ts';
import { decodeDescriptor, encodeDescriptor } from './descriptors.ts';
import type { Descriptor, Engine, EngineStatistics, Registers, Trap } from './engine.ts';
import { TablePool, UnicornMmu, type MmuOwner } from './unicorn-mmu.ts';
import type { WasmExports } from './wasm-exports.ts';
import { WasmMemory } from './wasm-memory.ts';

const ACCESSES: readonly Access[] = ['read', 'write', 'fetch'];
const TRAP_BUDGET = 0;
const TRAP_SYSCALL = 1;
const VECTOR_PAGE_FAULT = 14;
/** Word index of eip in the CPU's state, after the eight general registers. */
const EIP = 8;
const FX_SIZE = 512;
const FPU_SIZE = 108;
const DEFAULT_CODE_BUFFER = 32 << 20;

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

export interface EngineOptions {
  /** Bytes of wasm memory kept for translated blocks; 1 MiB or more. When it is full all are dropped. Default 32 MiB. */
  readonly codeBufferSize?: number;
}

class UnicornRegisters implements Registers {
  /** Word index of the state: the CPU's own while this set is on it. Kept by the engine. */
  state = 0;
  readonly handle: number;
  private readonly engine: UnicornEngine;

  constructor(engine: UnicornEngine) {
    this.engine = engine;
    this.handle = engine.exports.seg_set_create() >>> 0;
    assert(this.handle !== 0, 'no memory left for a register set');
    this.locate();
  }

  locate(): void {
    this.state = this.engine.exports.seg_set_state(this.handle) >>> 2;
  }

  get(register: number): number {
    return this.engine.memory.words[this.state + register];
  }

  set(register: number, value: number): void {
    this.engine.memory.words[this.state + register] = value;
  }

  get eip(): Addr {
    return this.engine.memory.words[this.state + EIP];
  }

  set eip(value: Addr) {
    this.engine.memory.words[this.state + EIP] = value;
  }

  get eflags(): number {
    return this.engine.exports.seg_get_eflags(this.handle) >>> 0;
  }

  set eflags(value: number) {
    this.engine.exports.seg_set_eflags(this.handle, value);
  }

  selector(segment: number): number {
    return this.engine.exports.seg_get_selector(this.handle, segment) & 0xffff;
  }

  loadSelector(segment: number, selector: number): boolean {
    this.engine.activate(this);
    return this.engine.exports.seg_load_selector(this.handle, segment, selector & 0xffff) !== 0;
  }

  segmentBase(segment: number): Addr {
    return this.engine.exports.seg_get_base(this.handle, segment) >>> 0;
  }

  setThreadArea(index: number, descriptor: Descriptor | undefined): void {
    assert(index >= 12 && index <= 14, `thread area ${index}`);
    this.setDescriptor(0, index, descriptor);
  }

  threadArea(index: number): Descriptor | undefined {
    return this.descriptor(0, index);
  }

  setLdtEntry(index: number, descriptor: Descriptor | undefined): void {
    assert(index >= 0 && index < 8192, `LDT entry ${index}`);
    this.setDescriptor(1, index, descriptor);
  }

  ldtEntry(index: number): Descriptor | undefined {
    return this.descriptor(1, index);
  }

  private setDescriptor(local: number, index: number, descriptor: Descriptor | undefined): void {
    const { low, high } = descriptor ? encodeDescriptor(descriptor) : { low: 0, high: 0 };
    this.engine.activate(this);
    assert(this.engine.exports.seg_set_descriptor(this.handle, local, index, low, high) !== 0, 'no memory left for local descriptors');
  }

  private descriptor(local: number, index: number): Descriptor | undefined {
    const value = BigInt.asUintN(64, this.engine.exports.seg_get_descriptor(this.handle, local, index));
    return decodeDescriptor(Number(value & 0xffff_ffffn), Number(value >> 32n));
  }

  saveFx(into: Uint8Array): void {
    this.engine.exports.seg_save_fx(this.handle, this.engine.scratch);
    into.set(this.engine.scratchBytes(FX_SIZE));
  }

  restoreFx(from: Uint8Array): boolean {
    this.engine.scratchBytes(FX_SIZE).set(from.subarray(0, FX_SIZE));
    return this.engine.exports.seg_restore_fx(this.handle, this.engine.scratch) !== 0;
  }

  saveFpu(into: Uint8Array): void {
    this.engine.exports.seg_save_fpu(this.handle, this.engine.scratch);
    into.set(this.engine.scratchBytes(FPU_SIZE));
  }

  restoreFpu(from: Uint8Array): void {
    this.engine.scratchBytes(FPU_SIZE).set(from.subarray(0, FPU_SIZE));
    this.engine.exports.seg_restore_fpu(this.handle, this.engine.scratch);
  }

  copyFrom(other: Registers): void {
    assert(other instanceof UnicornRegisters && other.engine === this.engine, 'registers of another engine');
    assert(this.engine.exports.seg_set_copy(this.handle, other.handle) !== 0, 'no memory left for local descriptors');
  }

  reset(): void {
    this.engine.exports.seg_set_reset(this.handle);
  }

  release(): void {
    this.engine.registersReleased(this);
    this.engine.exports.seg_set_release(this.handle);
  }
}

class UnicornEngine implements Engine, MmuOwner {
  readonly exports: WasmExports;
  readonly memory: WasmMemory;
  readonly arena: Arena;
  /** Address of a few hundred bytes for images on their way in and out. */
  readonly scratch: number;
  readonly cpu: Engine['cpu'];
  onFault: (addr: Addr, access: Access) => boolean = () => false;
  onTimestamp: (() => bigint) | undefined;
  executed = 0;
  activeMmu: UnicornMmu | undefined;
  private active: UnicornRegisters | undefined;
  private readonly tables: TablePool;
  private readonly budgetWord: number;
  private instructions = 0;
  private given = 0;

  private readonly syscallTrap: Trap = { kind: 'syscall' };
  private readonly budgetTrap: Trap = { kind: 'budget' };
  private readonly faultTrap: Mutable<Extract<Trap, { kind: 'fault' }>> = { kind: 'fault', addr: 0, access: 'read' };
  private readonly exceptionTrap: Mutable<Extract<Trap, { kind: 'exception' }>> = { kind: 'exception', vector: 0, errorCode: 0 };

  constructor(module: WebAssembly.Module, options: EngineOptions) {
    const instance = new WebAssembly.Instance(module, this.imports());
    this.exports = instance.exports as unknown as WasmExports;
    this.memory = new WasmMemory(this.exports.memory);
    this.exports._initialize();
    this.exports.seg_init(options.codeBufferSize ?? DEFAULT_CODE_BUFFER);
    this.memory.refresh();
    this.arena = new WasmArena(this.memory, this.exports);
    this.tables = new TablePool(this.exports, this.memory);
    this.scratch = this.exports.seg_pages_allocate(4096, 1) >>> 0;
    this.budgetWord = this.exports.seg_budget_at() >>> 2;
    this.cpu = { platform: 'i686', hwcap: this.exports.seg_feature(0) >>> 0, ecx: this.exports.seg_feature(1) >>> 0 };
  }

  private imports(): WebAssembly.Imports {
    return {
      env: {
        seg_host_fault: (addr: number, access: number): number => (this.onFault(addr >>> 0, ACCESSES[access]) ? 1 : 0),
        seg_host_timestamp: (): bigint => this.timestamp(),
        seg_host_panic: (text: number): never => {
          throw new AssertionFailed(`engine: ${this.text(text >>> 0)}`);
        },
        emscripten_notify_memory_growth: (): void => this.memory?.refresh(),
      },
      // The C library's stderr, on which Unicorn prints before it gives up, and its exit.
      wasi_snapshot_preview1: {
        proc_exit: (status: number): never => {
          throw new AssertionFailed(`engine: exit ${status}`);
        },
        fd_write: (_fd: number, vectors: number, count: number, written: number): number => this.discard(vectors, count, written),
        fd_close: (): number => 0,
        fd_seek: (): number => 0,
      },
    };
  }

  private discard(vectors: number, count: number, written: number): number {
    let total = 0;
    for (let i = 0; i < count; i++) total += this.memory.words[(vectors >>> 2) + 2 * i + 1];
    this.memory.words[written >>> 2] = total;
    return 0;
  }

  private text(at: number): string {
    const bytes = this.memory.bytes;
    let text = '';
    for (let i = at; bytes[i] !== 0 && text.length < 200; i++) text += String.fromCharCode(bytes[i]);
    return text;
  }

  private timestamp(): bigint {
    return this.onTimestamp ? this.onTimestamp() : BigInt(this.instructions + this.given - this.left());
  }

  private left(): number {
    return this.memory.words[this.budgetWord] | 0;
  }

  scratchBytes(size: number): Uint8Array {
    return this.memory.bytes.subarray(this.scratch, this.scratch + size);
  }

  createMmu(): Mmu {
    return new UnicornMmu(this, this.tables, this.memory, this.exports);
  }

  mmuReleased(mmu: UnicornMmu): void {
    if (this.activeMmu !== mmu) return;
    this.exports.seg_use_directory(0);
    this.activeMmu = undefined;
  }

  createRegisters(): Registers {
    return new UnicornRegisters(this);
  }

  activate(registers: UnicornRegisters): void {
    const before = this.active;
    if (before === registers) return;
    this.exports.seg_activate(registers.handle);
    this.active = registers;
    before?.locate();
    registers.locate();
  }

  registersReleased(registers: UnicornRegisters): void {
    if (this.active === registers) this.active = undefined;
  }

  run(registers: Registers, mmu: Mmu, instructions: number): Trap {
    if (this.active !== registers) this.activate(registers as UnicornRegisters);
    if (this.activeMmu !== mmu) {
      this.activeMmu = mmu as UnicornMmu;
      this.exports.seg_use_directory(this.activeMmu.directory * 4);
    }
    this.given = instructions;
    const trap = this.exports.seg_run(instructions);
    this.executed = instructions - this.left();
    this.instructions += this.executed;
    this.given = 0;
    this.memory.words[this.budgetWord] = 0;
    if (trap === TRAP_SYSCALL) return this.syscallTrap;
    if (trap === TRAP_BUDGET) return this.budgetTrap;
    return this.exception();
  }

  private exception(): Trap {
    const vector = this.exports.seg_trap_vector();
    const errorCode = this.exports.seg_trap_error();
    if (vector === VECTOR_PAGE_FAULT) {
      this.faultTrap.addr = this.exports.seg_trap_address() >>> 0;
      this.faultTrap.access = errorCode & 16 ? 'fetch' : errorCode & 2 ? 'write' : 'read';
      return this.faultTrap;
    }
    this.exceptionTrap.vector = vector;
    this.exceptionTrap.errorCode = errorCode;
    return this.exceptionTrap;
  }

  get statistics(): EngineStatistics {
    const at = this.exports.seg_statistics_at() >>> 2;
    const words = this.memory.words;
    return {
      instructions: this.instructions,
      blocksTranslated: words[at],
      blocksInvalidated: words[at + 1],
      tlbMisses: words[at + 2],
      tlbFlushes: words[at + 3],
    };
  }
}

/**
 * Makes an engine from the bytes of seg386.wasm, or from a module compiled from them (which may be shared by several engines).
 * Throws WebAssembly.CompileError for other bytes, RangeError where the host has no memory for it.
 */
export function createEngine(wasm: BufferSource | WebAssembly.Module, options: EngineOptions = {}): Engine {
  const module = wasm instanceof WebAssembly.Module ? wasm : new WebAssembly.Module(wasm);
  return new UnicornEngine(module, options);
}
