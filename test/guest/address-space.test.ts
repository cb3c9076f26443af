/** What an address space looks like: with `--layout linux` line by line as on the bare CPU, up to addresses; with linuxemu's layout in linuxemu's shape. */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { UmemEntry } from '../../debug/umem.ts';
import { MINI_ROOT } from '../corpus/root.ts';
import { emulator, SEG386 } from '../drivers/emulator.ts';
import { compilerVersion } from '../drivers/fixtures.ts';
import { native } from '../drivers/native.ts';

/** Prints its own maps after it has mapped something of every kind. */
const SOURCE = `
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
int zero[30000], data[5000] = {1};
void *volatile kept;
int main(int argc, char **argv) {
  char *area = mmap(0, 5 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  mprotect(area + 4096, 4096, PROT_READ);
  int fd = open(argv[0], O_RDONLY);
  mmap(0, 8192, PROT_READ, MAP_PRIVATE, fd, 4096);
  mmap(0, 4096, PROT_READ, MAP_SHARED, fd, 0);
  mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  kept = malloc(10);
  kept = malloc(500000);
  char buffer[4096];
  long size, maps = open("/proc/self/maps", O_RDONLY);
  while ((size = read(maps, buffer, sizeof buffer)) > 0) if (write(1, buffer, size) != size) return 1;
  return 0;
}`;

/**
 * A line without what differs from run to run: addresses and the inode of shared anonymous memory. Kernels have pages of data beside the vdso where we
 * have none, and their vdso is larger.
 */
function comparable(maps: string): string[] {
  return maps
    .trim()
    .split('\n')
    .flatMap((line) => {
      const [range, rights, offset, device, inode, ...name] = line.split(/ +/);
      const [base, top] = range.split('-').map((addr) => Number.parseInt(addr, 16));
      if (name[0]?.startsWith('[vvar')) return [];
      const size = name[0] === '[vdso]' ? 'some' : top - base;
      return [[size, rights, offset, device, name[0] === '/dev/zero' ? 'some' : inode, ...name].join(' ')];
    });
}

const canCompare = (await compilerVersion()) !== undefined && emulator.unavailable() === undefined && native.unavailable() === undefined;

describe.skipIf(!canCompare)('maps in the layout of Linux', () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'seg386-maps-'));
    writeFileSync(join(folder, 'maps.c'), SOURCE);
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  test.each([
    ['a static program', ['-static']],
    ['a dynamic program', ['-no-pie']],
    ['a position independent program', ['-pie', '-fPIE']],
  ])('are those of the bare CPU up to addresses for %s', (name, flags) => {
    const program = join(folder, name.replaceAll(' ', '-'));
    execFileSync('gcc', ['-m32', '-O1', ...flags, join(folder, 'maps.c'), '-o', program]);
    const expected = spawnSync(program, { cwd: folder, encoding: 'latin1' });
    const seen = spawnSync(process.execPath, [SEG386, '--layout', 'linux', program], { cwd: folder, encoding: 'latin1' });
    expect([expected.status, seen.status]).toEqual([0, 0]);
    expect(comparable(seen.stdout)).toEqual(comparable(expected.stdout));
    // Both spell lines the same way, to the column where names begin.
    const column = (text: string): number | undefined => /^.*\[stack\]$/m.exec(text)?.[0].indexOf('[');
    expect(column(seen.stdout)).toBe(column(expected.stdout));
  });
});

const hasBash = emulator.unavailable() === undefined && existsSync(join(MINI_ROOT, 'bin/bash'));

test.skipIf(!hasBash)(
  'umem of a dynamic bash has the shape of linuxemu: the program, its libraries one behind the other, shared memory, stacks',
  () => {
    const { stderr, status } = spawnSync(process.execPath, [SEG386, '-r', MINI_ROOT, '--umem', '--json', '/bin/bash', '-c', 'true'], {
      encoding: 'latin1',
    });
    expect(status).toBe(0);
    const { umem } = JSON.parse(stderr) as { umem: UmemEntry[] };
    const name = ({ path }: UmemEntry): string => path?.split('/').at(-1) ?? '*ANON*';
    // Files in the order in which they lie, each in one run of areas whose offsets grow.
    const runs = umem.map(name).filter((each, i, all) => each !== '*ANON*' && each !== all[i - 1]);
    expect(new Set(runs).size).toBe(runs.length);
    for (const [i, entry] of umem.entries()) {
      const before = umem[i - 1];
      if (before === undefined) continue;
      expect(entry.base).toBeGreaterThanOrEqual(before.top);
      if (entry.path !== undefined && entry.path === before.path) {
        expect(entry.base).toBe(before.top);
        expect(entry.offset).toBeGreaterThanOrEqual(before.offset ?? 0);
      }
    }
    // DATA begins with the program and, without a hole, its bss and heap.
    expect(umem[0]).toMatchObject({ base: 0x08048000, offset: 0, segment: 'DATA', sharing: 'private' });
    expect(name(umem[0])).toBe('bash');
    const heap = umem.findIndex(({ kind }) => kind === 'heap');
    expect(umem[heap]).toMatchObject({ segment: 'DATA', prot: 3 });
    for (let i = 1; i <= heap; i++) expect(umem[i].base).toBe(umem[i - 1].top);
    // Above the heap's room the interpreter, then the libraries, closely packed, libc among them; what DATA cannot hold is in PRIVATE.
    const libraries = umem.slice(heap + 1).filter(({ segment }) => segment === 'DATA' || segment === 'PRIVATE');
    expect(libraries[0].base >>> 24).toBe(0x10);
    expect(name(libraries[0])).toMatch(/^ld-linux/);
    expect(libraries.map(name)).toContain('libc.so.6');
    for (const [i, entry] of libraries.entries()) if (i > 0) expect(entry.base - libraries[i - 1].top).toBeLessThan(0x10_0000);
    // SHARED, where there is any, and STACK at the top.
    for (const entry of umem) expect(entry.segment === 'SHARED').toBe(entry.sharing === 'shared');
    expect(umem.at(-1)).toMatchObject({ segment: 'STACK', kind: 'stack', top: 0xffffe000 });
    const order = ['DATA', 'PRIVATE', 'SHARED', 'STACK'];
    const segments = [...new Set(umem.map(({ segment }) => segment))];
    expect(segments).toEqual(order.filter((segment) => segments.includes(segment)));
  },
);
