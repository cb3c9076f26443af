/** The port that gives frames their bytes. Implemented by emu/arena.ts over wasm memory and by tests over a plain array. */

/** Index of a frame in the arena: its first byte is at `frame * 4096` of `Arena.bytes`. */
export type FrameNumber = number;

/**
 * Bytes of frame `f` are `bytes[f * 4096 .. f * 4096 + 4095]`. The underlying buffer may be replaced when memory grows, so `bytes`
 * (and `words`) must be read from the arena again after anything that may grow it; never keep them in a field.
 */
export interface Arena {
  /** All of the arena's bytes; only frames handed out by `grow` may be touched. */
  readonly bytes: Uint8Array;
  /** The same bytes as little-endian 32-bit words. */
  readonly words: Uint32Array;
  /** Adds a run of at most `wanted` frames with unspecified content, or returns undefined when the host has no more memory. */
  grow(wanted: number): { readonly first: FrameNumber; readonly count: number } | undefined;
  /**
   * Must be called after the bytes of a frame were changed by anything but the guest's own stores (a system call, a pager, reuse of a freed
   * frame), so that instructions translated from the old bytes are dropped. Cheap when the frame holds no translated code.
   */
  changed(frame: FrameNumber): void;
}
