/** ELF headers are read as Linux reads them: only the ELF and program headers decide. */
import { expect, test } from 'vitest';
import { type ElfFile, readElf } from '../../loader/elf.ts';
import type { Refusal } from '../../loader/refusal.ts';
import { elfImage, readerOf } from '../drivers/elf-image.ts';

const read = (bytes: Uint8Array): ElfFile | Refusal => readElf(readerOf(bytes));
const reason = (bytes: Uint8Array): string => {
  const result = read(bytes);
  return result.kind === 'refused' ? result.reason : 'accepted';
};

test('a program without section headers is read from its program headers alone', () => {
  const result = read(
    elfImage({
      segments: [
        { type: 1, vaddr: 0x8048000, filesz: 0x1000, flags: 5 },
        { type: 0x6474e551, flags: 6 },
      ],
    }),
  );
  expect(result).toMatchObject({ kind: 'elf', type: 'exec', stack: 'plain', phnum: 2 });
  expect(result.kind === 'elf' && result.loads).toEqual([
    { offset: 0, vaddr: 0x8048000, filesz: 0x1000, memsz: 0x1000, prot: 5, align: 0x1000 },
  ]);
});

test('garbage section headers change nothing', () => {
  const image = elfImage({});
  const plain = read(image);
  const view = new DataView(image.buffer);
  view.setUint32(32, 0xfffffff0, true);
  view.setUint16(46, 0xffff, true);
  view.setUint16(48, 0xffff, true);
  view.setUint16(50, 0xfffe, true);
  expect(read(image)).toEqual(plain);
});

test('class, byte order and version bytes do not matter, as they do not to Linux', () => {
  const image = elfImage({});
  const plain = read(image);
  image.fill(0xff, 4, 16);
  expect(read(image)).toEqual(plain);
});

test('each kind of wrong file has its own message', () => {
  const withHeader = (change: (view: DataView) => void): Uint8Array => {
    const image = elfImage({});
    change(new DataView(image.buffer));
    return image;
  };
  expect(reason(new Uint8Array(0))).toBe('is empty');
  expect(reason(new TextEncoder().encode('hello, this is only text'))).toBe('is not an ELF program');
  expect(reason(elfImage({}).slice(0, 40))).toBe('is truncated: it ends within its ELF header');
  expect(reason(elfImage({}).slice(0, 60))).toBe('is truncated: its program headers lie past its end');
  expect(reason(withHeader((v) => v.setUint16(18, 62, true)))).toBe('is an x86-64 program; seg386 runs 32-bit i386 ones');
  expect(reason(withHeader((v) => v.setUint16(18, 40, true)))).toBe('is an ARM program; seg386 runs 32-bit i386 ones');
  expect(reason(withHeader((v) => v.setUint16(18, 999, true)))).toContain('ELF machine 999');
  expect(reason(withHeader((v) => (v.setUint8(5, 2), v.setUint16(18, 8, false))))).toContain('a MIPS program');
  expect(reason(withHeader((v) => v.setUint16(16, 1, true)))).toBe('is an object file, not a program');
  expect(reason(withHeader((v) => v.setUint16(16, 4, true)))).toBe('is a core dump, not a program');
  expect(reason(withHeader((v) => v.setUint16(42, 56, true)))).toContain('56 bytes');
  expect(reason(withHeader((v) => v.setUint16(44, 0, true)))).toBe('has no program headers');
  expect(reason(withHeader((v) => v.setUint16(44, 2049, true)))).toContain('2049 program headers');
});

test('the first interpreter and the last stack header count', () => {
  const result = read(
    elfImage({
      segments: [
        { type: 3, offset: 0x100, filesz: 5 },
        { type: 3, offset: 0x200, filesz: 9 },
        { type: 0x6474e551, flags: 7 },
        { type: 0x6474e551, flags: 6 },
        { type: 0x6474e551, flags: 1 },
      ],
    }),
  );
  expect(result).toMatchObject({ interp: { offset: 0x100, filesz: 5 }, stack: 'executable' });
  expect(read(elfImage({ segments: [{ type: 1 }] }))).toMatchObject({ stack: 'default', interp: undefined });
});

test('a file shorter than its header is a program when the missing rest may be zero', () => {
  // The classic 45-byte program: its one program header lies within the ELF header.
  const image = new Uint8Array(45);
  const view = new DataView(image.buffer);
  view.setUint32(0, 0x464c457f, true);
  view.setUint32(4, 1, true);
  view.setUint32(12, 0x10000, true);
  view.setUint16(16, 2, true);
  view.setUint16(18, 3, true);
  view.setUint32(28, 4, true);
  view.setUint16(42, 32, true);
  view.setUint8(44, 1);
  expect(read(image)).toMatchObject({ kind: 'elf', phnum: 1, phoff: 4 });
});
