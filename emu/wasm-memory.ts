/** The engine's linear memory as typed views that stay right when it grows. Read a view from here each time; never keep one. */
export class WasmMemory {
  bytes: Uint8Array;
  words: Uint32Array;
  private readonly memory: WebAssembly.Memory;

  constructor(memory: WebAssembly.Memory) {
    this.memory = memory;
    this.bytes = new Uint8Array(memory.buffer);
    this.words = new Uint32Array(memory.buffer);
  }

  /** Called by the engine, at once, when its memory has grown and the old views are detached. */
  refresh(): void {
    this.bytes = new Uint8Array(this.memory.buffer);
    this.words = new Uint32Array(this.memory.buffer);
  }
}
