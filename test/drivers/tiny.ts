/** Static programs of a few instructions, assembled here: what tests run when they need a guest but no compiler. */
import { chmodSync, writeFileSync } from 'node:fs';
import { elfImage } from './elf-image.ts';

const BASE = 0x08048000;
const CODE = 0x100;
/** Room for code; data comes behind it. */
const DATA = 0x800;

/** Register codes in the order of system-call arguments: ebx, ecx, edx, esi, edi. */
const ARGUMENT_MOVES = [0xbb, 0xb9, 0xba, 0xbe, 0xbf];

export function word(value: number): number[] {
  return [value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, value >>> 24];
}

/** `mov $number, %eax` and the arguments, then `int $0x80`. */
export function call(number: number, ...args: readonly number[]): number[] {
  return [0xb8, ...word(number), ...args.flatMap((arg, i) => [ARGUMENT_MOVES[i], ...word(arg)]), 0xcd, 0x80];
}

export const exit = (status: number): number[] => call(1, status);
/** `exit` with what the last call returned. */
export const EXIT_WITH_RESULT: readonly number[] = [0x89, 0xc3, 0xb8, 1, 0, 0, 0, 0xcd, 0x80];
/** `write(fd, data, result of the last call)`. */
export const writeResult = (fd: number, at: number): number[] => [
  0x89,
  0xc2,
  0xb8,
  4,
  0,
  0,
  0,
  0xbb,
  ...word(fd),
  0xb9,
  ...word(at),
  0xcd,
  0x80,
];
/** `jmp .`. */
export const LOOP: readonly number[] = [0xeb, 0xfe];
/** `mov $value, address`. */
export const store = (addr: number, value: number): number[] => [0xc7, 0x05, ...word(addr), ...word(value)];

/** Where the data given to `tiny` lies, and the memory behind it, which is zero. */
export const DATA_AT = BASE + DATA;
export const BUFFER_AT = BASE + 0x1000;

/** A program of one segment that may do everything. */
export function tiny(code: readonly number[], data: string | Uint8Array = ''): Uint8Array<ArrayBuffer> {
  const bytes = typeof data === 'string' ? new TextEncoder().encode(data) : data;
  const size = DATA + bytes.length;
  return elfImage({
    entry: BASE + CODE,
    segments: [
      { type: 1, vaddr: BASE, filesz: size, memsz: 0x20000, flags: 7 },
      { type: 0x6474e551, flags: 6 },
    ],
    content: [
      [CODE, Uint8Array.from(code)],
      [DATA, bytes],
    ],
  });
}

/** Writes a program to a host file. */
export function tinyFile(path: string, code: readonly number[], data?: string): string {
  writeFileSync(path, tiny(code, data));
  chmodSync(path, 0o755);
  return path;
}
