/** `--core` leaves a core file of a program that a signal has ended: its threads' registers, its memory, what lay where. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { emulator, SEG386 } from '../drivers/emulator.ts';
import { compilerVersion } from '../drivers/fixtures.ts';

const canRun = (await compilerVersion()) !== undefined && emulator.unavailable() === undefined;

/** Puts known values into memory and registers, then writes to address 42. */
const SOURCE = `
  .data
  .globl known
known: .long 0x12345678
  .text
  .globl _start
_start:
  movl $0xabcdef01, known
  subl $0x20000, %esp
  pushl $0x600df00d
  movl $0x11111111, %ebx
  movl $42, %eax
  .globl here
here: movl %ebx, (%eax)
`;

interface Segment {
  readonly type: number;
  readonly offset: number;
  readonly address: number;
  readonly fileSize: number;
}

function segmentsOf(view: DataView): Segment[] {
  return Array.from({ length: view.getUint16(44, true) }, (_, n) => {
    const word = (at: number) => view.getUint32(52 + n * 32 + at, true);
    return { type: word(0), offset: word(4), address: word(8), fileSize: word(16) };
  });
}

describe.skipIf(!canRun)('a core file', () => {
  let folder: string;
  let view: DataView;
  const symbols = new Map<string, number>();

  /** A word of the dead program's memory. */
  const memory = (address: number): number | undefined => {
    const found = segmentsOf(view).find((each) => each.type === 1 && address >= each.address && address < each.address + each.fileSize);
    return found && view.getUint32(found.offset + address - found.address, true);
  };
  /** A word of the first thread's NT_PRSTATUS, which is the first note. */
  const status = (at: number): number => {
    const notes = segmentsOf(view)[0];
    expect(view.getUint32(notes.offset + 8, true)).toBe(1);
    return view.getUint32(notes.offset + 20 + at, true);
  };

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'seg386-core-'));
    writeFileSync(join(folder, 'crash.s'), SOURCE);
    execFileSync('gcc', ['-m32', '-nostdlib', '-static', '-no-pie', 'crash.s', '-o', 'crash'], { cwd: folder });
    for (const line of execFileSync('nm', ['crash'], { cwd: folder, encoding: 'latin1' }).split('\n')) {
      const [address, , name] = line.split(' ');
      if (name) symbols.set(name, Number.parseInt(address, 16));
    }
    const { signal } = spawnSync(process.execPath, [SEG386, '--core', 'core', './crash'], { cwd: folder });
    expect(signal).toBe('SIGSEGV');
    const bytes = readFileSync(join(folder, 'core'));
    view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  test('is an ELF core of an i386', () => {
    expect([view.getUint32(0), view.getUint16(16, true), view.getUint16(18, true)]).toEqual([0x7f454c46, 4, 3]);
  });

  test('tells the signal and the registers', () => {
    expect(status(0)).toBe(11);
    expect([status(72), status(96), status(120)]).toEqual([0x11111111, 42, symbols.get('here')]);
  });

  test('holds data and stack as they were', () => {
    expect(memory(symbols.get('known') as number)).toBe(0xabcdef01);
    expect(memory(status(132))).toBe(0x600df00d);
  });

  test('takes no more of the disk than was in memory', () => {
    const { blocks, size } = statSync(join(folder, 'core'));
    expect(size).toBeGreaterThan(0x20000);
    expect(blocks * 512).toBeLessThan(0x10000);
  });
});
