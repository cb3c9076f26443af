/** Frames: 4 KiB pieces of the arena, shared by count. (The pool follows.) */

/** Index of a frame in the arena: its first byte is at `frame * 4096` of `Arena.bytes`. */
export type FrameNumber = number;
