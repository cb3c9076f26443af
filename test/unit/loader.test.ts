/** Programs are mapped as Linux maps them, and refused with the reason. */
import { expect, test } from 'vitest';
import { elfImage, type ImageOptions } from '../drivers/elf-image.ts';
import { LoaderWorld, type WorldOptions } from '../drivers/loader-world.ts';

const LOAD = 1,
  INTERP = 3,
  STACK = 0x6474e551;
const R = 4,
  W = 2,
  X = 1;
/** Something that is not zero, to see what is cleared. */
const NOISE = new Uint8Array(0x4000).fill(0xee);
const PLAIN_STACK = { type: STACK, flags: R | W };

function load(image: ImageOptions, options: WorldOptions = {}) {
  const world = new LoaderWorld(options);
  world.file('program', elfImage(image));
  return { world, result: world.exec('/program') };
}

function loaded(image: ImageOptions, options: WorldOptions = {}) {
  const { world, result } = load(image, options);
  if (result.kind === 'refused') throw new Error(result.reason);
  return { world, result };
}

const TWO_SEGMENTS: ImageOptions = {
  entry: 0x8048100,
  phoff: 52,
  segments: [
    { type: LOAD, offset: 0, vaddr: 0x8048000, filesz: 0x1200, flags: R | X },
    { type: LOAD, offset: 0x1200, vaddr: 0x804a200, filesz: 0x100, memsz: 0x3000, flags: R | W },
    PLAIN_STACK,
  ],
  content: [[0x200, NOISE]],
};

test('a program lies where its headers say, with its stack, vdso and heap as Linux would', () => {
  const { world, result } = loaded(TWO_SEGMENTS, { layout: 'linux' });
  expect(world.maps().filter((line) => !line.includes('vdso'))).toEqual([
    '8048000-804a000 r-x /program',
    '804a000-804b000 rw- /program',
    '804b000-804e000 rw-',
    'fffdd000-ffffe000 rw-',
  ]);
  expect(world.space.brkStart).toBe(0x804e000);
  expect(result.entry).toBe(0x8048100);
  expect(result.vdso % 4096).toBe(0);
});

test('bss is zero from the very byte behind the data, to the end of its last page', () => {
  const { world } = loaded(TWO_SEGMENTS);
  expect(world.user.readU8(0x804a2ff)).toBe(0xee);
  expect([0x804a300, 0x804afff, 0x804b000, 0x804d1ff].map((addr) => world.user.readU8(addr))).toEqual([0, 0, 0, 0]);
  expect(world.user.readU8(0x8048fff)).toBe(0xee);
});

test('the file itself is not changed by clearing bss', () => {
  const { world } = loaded(TWO_SEGMENTS);
  world.exec('/program');
  expect(world.user.readU8(0x80491ff)).toBe(0xee);
  expect(world.user.readU8(0x8049300)).toBe(0xee);
});

test('bss without any file part is fresh memory, writable whatever the header says', () => {
  const { world } = loaded({
    segments: [
      { type: LOAD, vaddr: 0x8048000, filesz: 0x100, flags: R | X },
      { type: LOAD, vaddr: 0x9000123, filesz: 0, memsz: 0x2000, flags: R },
      PLAIN_STACK,
    ],
  });
  expect(world.maps()).toContain('9000000-9003000 rw-');
});

test('segments may come out of order and overlap: the later one wins', () => {
  const { world } = loaded({
    segments: [
      { type: LOAD, offset: 0x1000, vaddr: 0x8050000, filesz: 0x2000, flags: R | W },
      { type: LOAD, offset: 0, vaddr: 0x8048000, filesz: 0x1000, flags: R | X },
      { type: LOAD, offset: 0x3000, vaddr: 0x8051000, filesz: 0x1000, flags: R },
      PLAIN_STACK,
    ],
    content: [
      [0x1000, new Uint8Array(0x2000).fill(1)],
      [0x3000, new Uint8Array(0x1000).fill(3)],
    ],
  });
  expect([0x8050000, 0x8051000].map((addr) => world.user.readU8(addr))).toEqual([1, 3]);
  expect(world.space.brkStart).toBe(0x8052000);
});

test('a program without a stack header gets READ_IMPLIES_EXEC, an executable-stack header only the stack', () => {
  const none = loaded({ segments: [{ type: LOAD, vaddr: 0x8048000, filesz: 0x100, flags: R }] });
  expect(none.result.readImpliesExec).toBe(true);
  expect(none.world.maps()).toContain('8048000-8049000 r-x /program');
  expect(none.world.maps().at(-1)).toContain('rwx');
  const executable = loaded({
    segments: [
      { type: LOAD, vaddr: 0x8048000, filesz: 0x100, flags: R },
      { type: STACK, flags: R | W | X },
    ],
  });
  expect(executable.result.readImpliesExec).toBe(false);
  expect(executable.world.maps()).toContain('8048000-8049000 r-- /program');
  expect(executable.world.maps().at(-1)).toContain('rwx');
});

const PIE: ImageOptions = {
  type: 3,
  entry: 0x100,
  segments: [
    { type: LOAD, offset: 0, vaddr: 0, filesz: 0x1000, flags: R | X },
    { type: LOAD, offset: 0x1000, vaddr: 0x3000, filesz: 0x10, memsz: 0x1800, flags: R | W },
    PLAIN_STACK,
  ],
  content: [[0x1000, NOISE]],
};

test('a static PIE lies at the base of DATA in one layout, below the stack in the other', () => {
  const own = loaded(PIE);
  expect(own.world.maps().slice(0, 2)).toEqual(['8048000-8049000 r-x /program', '804b000-804c000 rw- /program']);
  expect(own.result.entry).toBe(0x8048100);
  expect(own.world.space.brkStart).toBe(0x804d000);
  expect(own.world.space.segments.ofKind('DATA')?.base).toBe(0x8048000);
  const linux = loaded(PIE, { layout: 'linux' });
  expect(linux.result.entry).toBeGreaterThan(0xf0000000);
  expect(linux.world.space.brkStart).toBe(0x56555000);
});

test('a PIE that asks for a large alignment gets it', () => {
  const segments = [{ type: LOAD, vaddr: 0x1000, offset: 0x1000, filesz: 0x1000, flags: R | X, align: 0x200000 }, PLAIN_STACK];
  for (const layout of ['linuxemu', 'linux'] as const) {
    const { result } = loaded({ type: 3, entry: 0x1100, segments, size: 0x2000 }, { layout });
    expect((result.entry - 0x100) % 0x200000).toBe(0);
  }
});

test('an interpreter is mapped beside the program and started first', () => {
  const world = new LoaderWorld();
  world.file(
    'ld.so',
    elfImage({ type: 3, entry: 0x40, segments: [{ type: LOAD, filesz: 0x800, memsz: 0x1800, flags: R | W | X }, PLAIN_STACK] }),
  );
  const name = new TextEncoder().encode('/ld.so\0');
  world.file(
    'program',
    elfImage({
      ...PIE,
      segments: [{ type: INTERP, offset: 0x200, filesz: name.length }, ...(PIE.segments ?? [])],
      content: [[0x200, name]],
      size: 0x2000,
    }),
  );
  const result = world.exec('/program');
  if (result.kind === 'refused') throw new Error(result.reason);
  const line = world.maps().find((text) => text.endsWith('/ld.so')) ?? '';
  const base = Number.parseInt(line, 16);
  expect(result.entry).toBe(base + 0x40);
  const auxv = new DataView(result.auxv.buffer);
  const entries = new Map(
    Array.from({ length: auxv.byteLength / 8 }, (_, i) => [auxv.getUint32(i * 8, true), auxv.getUint32(i * 8 + 4, true)]),
  );
  expect([...entries.keys()]).toEqual([32, 33, 16, 6, 17, 3, 4, 5, 7, 8, 9, 11, 12, 13, 14, 23, 25, 26, 31, 15, 0]);
  expect(entries.get(7)).toBe(base);
  expect(entries.get(9)).toBe(0x8048100);
  expect(entries.get(3)).toBe(0x8048034);
  expect([entries.get(5), entries.get(16), entries.get(11), entries.get(14)]).toEqual([4, 0x1234, 1, 4]);
  expect(entries.get(32)).toBe(result.vdso + 0x300);
});

test('a missing interpreter is named', () => {
  const name = new TextEncoder().encode('/lib/ld-linux.so.2\0');
  const { result } = load({ ...PIE, segments: [{ type: INTERP, offset: 0x200, filesz: name.length }], content: [[0x200, name]] });
  expect(result).toMatchObject({
    kind: 'refused',
    errno: 2,
    reason: expect.stringContaining('/lib/ld-linux.so.2, which was not found'),
    missing: '/lib/ld-linux.so.2',
  });
});

test('what Linux refuses behind the point of no return kills with SIGSEGV', () => {
  const segment = (fields: object): ImageOptions => ({
    segments: [{ type: LOAD, vaddr: 0x8048000, filesz: 0x100, flags: R | W, ...fields }, PLAIN_STACK],
    size: 0x1000,
  });
  for (const image of [
    segment({ filesz: 0x200, memsz: 0x100 }),
    segment({ offset: 0x10 }),
    segment({ vaddr: 0xffffd000, memsz: 0x10000 }),
    segment({ filesz: 0xf0000000, memsz: 0xf0000000 }),
    segment({ memsz: 0xffffffff }),
    segment({ vaddr: 0xfffff000 }),
    { ...segment({}), entry: 0xfffff000 },
    { ...segment({ filesz: 0, memsz: 0 }), type: 3 },
  ]) {
    expect(load(image).result).toMatchObject({ kind: 'refused', signal: 11 });
  }
});

test('scripts are run by the interpreters of their first lines, five deep and no deeper', () => {
  const world = new LoaderWorld();
  world.file('end', elfImage({ segments: [{ type: LOAD, vaddr: 0x8048000, filesz: 0x100, flags: R | X }] }));
  world.file('s1', '#!/end -x y\n');
  for (let i = 2; i <= 6; i++) world.file(`s${i}`, `#! /s${i - 1}\n`);
  expect(world.exec('/s1', ['name', 'arg'])).toMatchObject({ argv: ['/end', '-x y', '/s1', 'arg'] });
  expect(world.exec('/s5', ['name', 'arg'])).toMatchObject({ argv: ['/end', '-x y', '/s1', '/s2', '/s3', '/s4', '/s5', 'arg'] });
  expect(world.exec('/s6')).toMatchObject({ errno: 40 });
  world.file('bad', '#!/nowhere\n');
  expect(world.exec('/bad')).toMatchObject({ errno: 2, path: '/nowhere', reason: expect.stringContaining('first line of /bad') });
  world.file('text', 'echo hello\n');
  expect(world.exec('/text')).toMatchObject({ errno: 8, reason: 'is not an ELF program' });
});

test('directories, missing files and unmappable memory have their own errors', () => {
  const world = new LoaderWorld();
  expect(world.exec('/nothing')).toMatchObject({ errno: 2, reason: 'was not found' });
  expect(world.exec('/')).toMatchObject({ errno: 13, reason: 'is a directory' });
  expect(
    load({ segments: [{ type: LOAD, vaddr: 0x8048000, filesz: 0x100, memsz: 0x100, flags: R | W }] }, { limit: 1 }).result,
  ).toMatchObject({ kind: 'refused' });
});

test('loading again and emptying gives every frame back', () => {
  const { world } = loaded(TWO_SEGMENTS);
  const before = world.frames.inUse;
  for (let i = 0; i < 5; i++) world.exec('/program');
  expect(world.frames.inUse).toBe(before);
});
