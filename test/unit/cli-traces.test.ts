/** `--trace=maps,faults` tells of every event of memory; views every so many instructions; cores of several processes. */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { emulator, SEG386 } from '../drivers/emulator.ts';
import { compilerVersion } from '../drivers/fixtures.ts';

const canRun = (await compilerVersion()) !== undefined && emulator.unavailable() === undefined;

const EVENTS = `
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
static void deep(int n) { volatile char room[8192]; memset((char *)room, n, sizeof room); if (n) deep(n - 1); }
int main(void) {
  int fd = open("shared", O_RDWR | O_CREAT | O_TRUNC, 0600);
  ftruncate(fd, 5 * 4096);
  char *shared = mmap(0, 5 * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  shared[0] = shared[4096] = shared[3 * 4096] = 1;
  msync(shared, 5 * 4096, MS_SYNC);
  shared[0] = 2;
  munmap(shared, 5 * 4096);
  char *area = mmap(0, 8 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  area[0] = 1;
  mprotect(area + 4096, 4096, PROT_READ);
  sbrk(4096);
  deep(20);
  if (fork() == 0) _exit(0);
  wait(0);
  area[0] = 3;
  return 0;
}`;
const CRASHES = `
#include <sys/wait.h>
#include <unistd.h>
int main(void) {
  for (int i = 0; i < 2; i++) if (fork() == 0) *(volatile int *)0x1234 = 1;
  wait(0);
  wait(0);
  return 7;
}`;

const LOOKS = `
#include <stdio.h>
#include <sys/stat.h>
int main(void) {
  for (int fd = 0; fd < 3; fd++) {
    struct stat s;
    fstat(fd, &s);
    printf("%d %d %d %ld.%09ld %ld\\n", fd, (int)s.st_dev, (int)s.st_ino, (long)s.st_mtim.tv_sec, s.st_mtim.tv_nsec, (long)s.st_size);
  }
  return 0;
}`;

describe.skipIf(!canRun)('traces of memory', () => {
  let folder: string;
  const at = (name: string): string => join(folder, name);
  const seg386 = (...args: string[]) => spawnSync(process.execPath, [SEG386, ...args], { cwd: folder, encoding: 'latin1' });

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'seg386-traces-'));
    for (const [name, source] of [
      ['events', EVENTS],
      ['crashes', CRASHES],
      ['looks', LOOKS],
    ]) {
      writeFileSync(at(`${name}.c`), source);
      execFileSync('gcc', ['-m32', '-static', '-O0', `${name}.c`, '-o', name], { cwd: folder });
    }
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  test('name each event, its place, its cause and the instruction', () => {
    const { stderr, status } = seg386('--trace=maps,faults', './events');
    expect(status).toBe(0);
    const eip = 'eip 0x[0-9a-f]{8}\\)$';
    for (const line of [
      '^map 08048000-08049000 r--p 00000000 \\S+ \\d+ .*/events \\(execve\\)$',
      `^map \\w+-\\w+ rw-s 00000000 \\S+ \\d+ .*/shared \\(mmap2?, ${eip}`,
      `^write-back pages 0-1 of .*/shared \\(msync, ${eip}`,
      `^write-back page 3 of .*/shared \\(msync, ${eip}`,
      `^write-back page 0 of .*/shared \\(munmap, ${eip}`,
      `^unmap \\w+-\\w+ rw-s 00000000 \\S+ \\d+ .*/shared \\(munmap, ${eip}`,
      `^protect \\w+-\\w+ rw-p -> r--p \\(mprotect, ${eip}`,
      `^grow \\w+-\\w+ rw-p 00000000 00:00 0 \\[heap\\] \\(brk, ${eip}`,
      `^grow \\w+-\\w+ rw-p 00000000 00:00 0 \\[stack\\] \\(fault, ${eip}`,
      `^fault fetch 0x\\w{8} 08049000-\\w+ r-xp .*/events \\(${eip}`,
      `^copy 0x\\w{8} \\w+-\\w+ rw-p .*/events: of the file \\(fault, ${eip}`,
      `^\\[pid \\d+\\] copy 0x\\w{8} \\w+-\\w+ rw-p: shared since a fork \\(fault, ${eip}`,
    ])
      expect(stderr).toMatch(new RegExp(line, 'm'));
    expect(stderr.match(/^write-back/gm)).toHaveLength(3);
  });

  test('tell of pages that have to go', () => {
    writeFileSync(at('large'), Buffer.alloc(6 * 2 ** 20, 'x'));
    const source = `#include <fcntl.h>
#include <sys/mman.h>
int main(void) {
  volatile char *file = mmap(0, 6 << 20, PROT_READ, MAP_PRIVATE, open("large", O_RDONLY), 0);
  int sum = 0;
  for (int i = 0; i < 6 << 20; i += 4096) sum += file[i];
  return sum == 0;
}`;
    writeFileSync(at('reads.c'), source);
    execFileSync('gcc', ['-m32', '-static', '-O0', 'reads.c', '-o', 'reads'], { cwd: folder });
    const { stderr, status } = seg386('--memory=4M', '--trace=faults', './reads');
    expect(status).toBe(0);
    expect(stderr).toMatch(/^evict page \d+ of .*\/large \(fault, eip 0x[0-9a-f]{8}\)$/m);
  });

  test('show views after every N instructions exactly, and change nothing by it', () => {
    const plain = seg386('--stats', '--deterministic', './events').stderr;
    const executed = Number(/instructions +([\d,]+)/.exec(plain)?.[1].replaceAll(',', ''));
    const { stderr } = seg386('--segments=every:1001', '--stats', '--deterministic', './events');
    const shown = [...stderr.matchAll(/^\[pid (\d+) events\] (\d+) instructions$/gm)].map((match) => Number(match[2]));
    expect(new Set(shown)).toEqual(new Set(Array.from({ length: Math.floor(executed / 1001) }, (_, i) => (i + 1) * 1001)));
    expect(/instructions +([\d,]+)/.exec(stderr)?.[1]).toBe(/instructions +([\d,]+)/.exec(plain)?.[1]);
  });

  test('repeat exactly where that is asked for, whatever the host calls the standard streams', () => {
    const once = seg386('--deterministic', './looks').stdout;
    expect(once.split('\n').length).toBe(4);
    expect(seg386('--deterministic', './looks').stdout).toBe(once);
    const intoFile = (name: string): string => {
      execFileSync('sh', ['-c', `"$@" > ${name}`, 'sh', process.execPath, SEG386, '--deterministic', './looks'], { cwd: folder });
      return readFileSync(at(name), 'latin1');
    };
    expect(intoFile('first')).toBe(intoFile('second'));
    expect(seg386('./looks').stdout).not.toBe(once);
  });

  test('cores of several processes do not overwrite one another', () => {
    const { stdout, status } = seg386('--deterministic', '--core', 'core', './crashes');
    expect({ stdout, status }).toEqual({ stdout: '', status: 7 });
    expect([existsSync(at('core')), existsSync(at('core.1002'))]).toEqual([true, true]);
    seg386('--deterministic', '--core', 'of-%e-%p-%s', './crashes');
    for (const pid of [1001, 1002])
      expect(
        readFileSync(at(`of-crashes-${pid}-11`))
          .subarray(1, 4)
          .toString(),
      ).toBe('ELF');
  });

  test('a core that cannot be written is told and changes nothing', () => {
    const { stderr, status } = seg386('--core', '/nowhere/core', './crashes');
    expect(status).toBe(7);
    expect(stderr).toMatch(/^seg386: cannot write \/nowhere\/core: ENOENT/);
  });
});
