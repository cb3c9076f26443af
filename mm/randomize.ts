/** Address space layout randomisation, as Linux does it for i386 programs under a 64-bit kernel: how far things lie from where they would lie without. */
import { PAGE_SIZE } from '../abi/page.ts';

/** In bytes; whole pages except for the stack pointer. */
export interface Shifts {
  /** Whether anything is moved at all: then room is kept for the largest shift of the stack. */
  readonly isRandom: boolean;
  /** The top of the first stack, downwards. */
  readonly stack: number;
  /** The stack pointer below the strings, downwards. */
  readonly stackPointer: number;
  /** Where mappings begin: downwards in the linux layout, upwards in linuxemu's segments. */
  readonly mappings: number;
  /** A program that can lie anywhere, upwards. */
  readonly program: number;
  /** The heap from the program's end, upwards; undefined: it begins right there. */
  readonly heap: number | undefined;
}

export const NO_SHIFTS: Shifts = { isRandom: false, stack: 0, stackPointer: 0, mappings: 0, program: 0, heap: undefined };

/** Linux's STACK_RND_MASK, mmap_rnd_compat_bits, and the ranges of arch_randomize_brk and arch_align_stack. */
const STACK_PAGES = 2 ** 11,
  MAPPING_PAGES = 2 ** 8,
  HEAP_PAGES = (32 << 20) / PAGE_SIZE,
  POINTER_BYTES = 8192;
/** The farthest that the stack may be moved. */
export const STACK_SHIFT_MAX: number = (STACK_PAGES - 1) * PAGE_SIZE;

/** `draw(n)` is a random integer in [0, n). `movesHeap` is randomize_va_space = 2. */
export function randomShifts(draw: (n: number) => number, movesHeap: boolean): Shifts {
  return {
    isRandom: true,
    stack: draw(STACK_PAGES) * PAGE_SIZE,
    stackPointer: draw(POINTER_BYTES),
    mappings: draw(MAPPING_PAGES) * PAGE_SIZE,
    program: draw(MAPPING_PAGES) * PAGE_SIZE,
    heap: movesHeap ? draw(HEAP_PAGES) * PAGE_SIZE : undefined,
  };
}
