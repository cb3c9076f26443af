/** Frames' bytes in the engine's own memory: frame f is at wasm address f * 4096, so the CPU reaches it without a copy. */
import { PAGE_SHIFT, PAGE_SIZE } from '../abi/page.ts';
import type { Arena } from '../mm/arena.ts';
import type { FrameNumber } from '../mm/frame.ts';
import type { WasmExports } from './wasm-exports.ts';
import type { WasmMemory } from './wasm-memory.ts';

export class WasmArena implements Arena {
  private readonly memory: WasmMemory;
  private readonly exports: WasmExports;
  /** Address of the map that says, a byte a frame, whether instructions were translated from it. */
  private readonly codeMap: number;

  constructor(memory: WasmMemory, exports: WasmExports) {
    this.memory = memory;
    this.exports = exports;
    this.codeMap = exports.seg_code_map_at() >>> 0;
  }

  get bytes(): Uint8Array {
    return this.memory.bytes;
  }

  get words(): Uint32Array {
    return this.memory.words;
  }

  grow(wanted: number): { readonly first: FrameNumber; readonly count: number } | undefined {
    for (let count = wanted; count > 0; count >>>= 1) {
      const at = this.exports.seg_pages_allocate(count * PAGE_SIZE, 0) >>> 0;
      if (at !== 0) return { first: at >>> PAGE_SHIFT, count };
    }
    return undefined;
  }

  changed(frame: FrameNumber): void {
    if (this.memory.bytes[this.codeMap + frame] !== 0) this.exports.seg_changed(frame);
  }
}
