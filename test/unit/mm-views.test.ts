/** The views of memory: umem, Plan 9 segments, Linux maps. */
import { expect, test } from 'vitest';
import { explainFault } from '../../debug/explain.ts';
import { maps, mapsText } from '../../debug/maps.ts';
import { segmentsText } from '../../debug/segments.ts';
import { smaps, smapsRollupText, smapsText } from '../../debug/smaps.ts';
import { umemDiff, umemDiffText } from '../../debug/umem-diff.ts';
import { umem, umemText } from '../../debug/umem.ts';
import * as mman from '../../abi/mman.ts';
import { PAGE_SIZE } from '../../abi/page.ts';
import { accountMachine, accountSpace } from '../../mm/account.ts';
import { MemoryObject } from '../../mm/object.ts';
import { type Pager, ZeroPager } from '../../mm/pager.ts';
import { USER_TOP } from '../../mm/placement.ts';
import type { AddressSpace } from '../../mm/space.ts';
import { MapMmu, makeSpace, touch } from './mm-parts.ts';

const FIXED = mman.MAP_PRIVATE | mman.MAP_FIXED;
const ANON = mman.MAP_PRIVATE | mman.MAP_ANONYMOUS;

/** bash as segments.md shows it. */
function bash(layout: 'linuxemu' | 'linux' = 'linuxemu'): AddressSpace {
  const space = makeSpace({ layout });
  const pager: Pager = Object.assign(new ZeroPager('/bin/bash'), { identity: { major: 0xfe, minor: 0, inode: 5318481 } });
  const object = new MemoryObject({ frames: space.frames, pager, size: 0x99000 });
  space.map({ addr: 0x08048000, size: 0x94000, prot: 5, flags: FIXED, object });
  space.map({ addr: 0x080dc000, size: 0x6000, prot: 3, flags: FIXED, object, offset: 0x93 });
  space.map({ addr: 0x080e2000, size: 0x3000, prot: 3, flags: FIXED | mman.MAP_ANONYMOUS });
  object.drop();
  space.startBrk(0x080e5000);
  space.brk(0x080e5800);
  return space;
}

test("umem prints linuxemu's text", () => {
  const space = bash();
  const shared = new MemoryObject({ frames: space.frames, pager: new ZeroPager(), size: 0x11000 });
  space.map({ addr: 0xdefed000, size: 0x11000, prot: 3, flags: mman.MAP_SHARED | mman.MAP_ANONYMOUS | mman.MAP_FIXED, object: shared });
  const other = makeSpace({ frames: space.frames });
  other.map({ addr: 0, size: 0x11000, prot: 3, flags: mman.MAP_SHARED | mman.MAP_ANONYMOUS, object: shared });
  expect(umemText(space)).toBe(
    '1 0x08048000-0x080dc000 0x00000000@/bin/bash\n' +
      '1 0x080dc000-0x080e2000 0x00093000@/bin/bash\n' +
      '1 0x080e2000-0x080e6000 *ANON*\n' +
      '2 0xdefed000-0xdeffe000 *ANON*\n',
  );
});

test('umem as data counts own pages and the pages of the file that are shown', () => {
  const space = bash();
  touch(space, 0x08048000, 'fetch');
  touch(space, 0x080dc000, 'read');
  touch(space, 0x080dd000, 'write', 1);
  expect(umem(space).map(({ segment, ownPages, objectPages }) => ({ segment, ownPages, objectPages }))).toEqual([
    { segment: 'DATA', ownPages: 0, objectPages: 2 },
    { segment: 'DATA', ownPages: 1, objectPages: 1 },
    { segment: 'DATA', ownPages: 0, objectPages: 0 },
  ]);
});

test.each(['linuxemu', 'linux'] as const)("segments are listed as Plan 9's /proc lists them (%s layout)", (layout) => {
  const space = bash(layout);
  space.mapStack();
  const shared = space.map({ addr: 0, size: 0x1000, prot: 3, flags: mman.MAP_SHARED | mman.MAP_ANONYMOUS });
  const at = shared.toString(16);
  expect(segmentsText(space)).toBe(
    'Stack  fffdd000 ffffe000    1\n' +
      'Text   R  08048000 080dc000    1\n' +
      'Data   080dc000 080e2000    1\n' +
      'Bss    080e2000 080e6000    1\n' +
      `Shared ${at} ${(shared + 0x1000).toString(16)}    1\n`,
  );
});

test('maps prints what Linux prints, heap and stack named', () => {
  const space = bash();
  space.mapStack();
  expect(mapsText(space)).toBe(
    '08048000-080dc000 r-xp 00000000 fe:00 5318481                            /bin/bash\n' +
      '080dc000-080e2000 rw-p 00093000 fe:00 5318481                            /bin/bash\n' +
      '080e2000-080e5000 rw-p 00000000 00:00 0 \n' +
      '080e5000-080e6000 rw-p 00000000 00:00 0                                  [heap]\n' +
      'fffdd000-ffffe000 rw-p 00000000 00:00 0                                  [stack]\n',
  );
});

test('smaps, its sum and the frames in use add up, forked spaces and shared memory included', () => {
  const space = bash();
  space.mapStack();
  const shared = space.map({ addr: 0, size: 0x4000, prot: 3, flags: mman.MAP_SHARED | mman.MAP_ANONYMOUS });
  touch(space, 0x08048000, 'fetch');
  for (const addr of [0x080dc000, 0x080dd000, 0x080e2000, USER_TOP - 4, shared]) touch(space, addr, 'write', 1);
  const child = space.fork(new MapMmu());
  touch(child, 0x080e2000, 'write', 2);
  touch(child, shared, 'write', 3);
  for (const each of [space, child]) {
    const rows = smaps(each);
    const sum = (of: (row: (typeof rows)[number]) => number): number => rows.reduce((total, row) => total + of(row), 0);
    const all = accountSpace(each);
    expect(sum(({ counts }) => counts.resident)).toBe(all.resident);
    expect(sum(({ counts: c }) => c.sharedClean + c.sharedDirty + c.privateClean + c.privateDirty)).toBe(all.resident);
    expect(smapsRollupText(each)).toContain(`Rss:            ${String(all.resident * 4).padStart(8)} kB\nPss:            `);
  }
  const machine = accountMachine(space.frames, [space, child]);
  expect(machine.anonymous + machine.file + machine.shmem + machine.cached).toBe(space.frames.inUse);
  expect(smapsText(space)).toMatch(
    /\[stack\]\nSize: {16}132 kB\n(?:.*\n)*?Anonymous: {13}4 kB\n(?:.*\n)*?VmFlags: rd wr mr mw me gd ac \n/,
  );
});

test('a comparison of two dumps names what changed, by address', () => {
  const space = bash();
  const before = umem(space);
  space.brk(0x080e8000);
  space.protect(0x08049000, 0x2000, mman.PROT_READ);
  space.unmap(0x080dc000, 0x1000);
  space.map({ addr: 0x40000000, size: 0x2000, prot: 3, flags: ANON | mman.MAP_FIXED });
  touch(space, 0x40001000, 'write', 1);
  expect(umemDiffText(umemDiff(before, umem(space)))).toBe(
    'protected 0x08049000-0x0804b000 r-x -> r-- 2 pages /bin/bash\n' +
      'shrunk    0x080dc000-0x080dd000 rw- 1 page /bin/bash\n' +
      'grown     0x080e6000-0x080e8000 rw- 2 pages *ANON*\n' +
      'added     0x40000000-0x40002000 rw- 2 pages *ANON*\n' +
      'resident  0x40001000-0x40002000 1 page *ANON*\n' +
      'dirty     0x40001000-0x40002000 1 page *ANON*\n',
  );
  expect(umemDiff(before, before)).toEqual([]);
});

test('a heap that was never grown is not named', () => {
  const space = makeSpace();
  space.startBrk(0x08050000);
  space.map({ addr: 0x08050000, size: PAGE_SIZE, prot: 3, flags: ANON | mman.MAP_FIXED });
  expect(maps(space).map((entry) => entry.name)).toEqual(['']);
});

function explained(space: AddressSpace, addr: number, access: 'read' | 'write' | 'fetch'): string {
  const outcome = touch(space, addr, access);
  if (typeof outcome === 'number' || outcome.kind !== 'signal') throw new Error('the access was not refused');
  return explainFault(space, outcome, access, 0x08048123);
}

test('a refused access is explained in one line', () => {
  const space = bash();
  expect(explained(space, 0x10, 'write')).toBe(
    'SIGSEGV (SEGV_MAPERR) writing 0x00000010 by the instruction at 0x08048123 in /bin/bash+0x123: ' +
      'null pointer: nothing is mapped in the first page; 0x8047ff0 bytes below 0x08048000-0x080dc000 r-x /bin/bash',
  );
  expect(explained(space, 0x08048004, 'write')).toMatch(
    /SEGV_ACCERR\) writing .* not writable \(r-x\); it lies in 0x08048000-0x080dc000 r-x \/bin\/bash$/,
  );
  expect(explained(space, 0x080e2000, 'fetch')).toMatch(/SEGV_ACCERR\) executing .* not executable \(rw-\)/);
  expect(explained(space, 0x080e7010, 'read')).toMatch(/0x1010 bytes past the end of 0x080e2000-0x080e6000 rw- \[heap\]$/);
  space.mapStack();
  expect(explained(space, USER_TOP - 9 * 2 ** 20, 'write')).toMatch(/the stack above may not grow to \d+ bytes: its limit is 8388608/);
  const past = space.map({ addr: 0, size: 8192, prot: 1, flags: mman.MAP_PRIVATE, object: space.find(0x08048000)?.object, offset: 0x98 });
  expect(explained(space, past + PAGE_SIZE, 'read')).toMatch(
    /^SIGBUS \(BUS_ADRERR\) reading .*past the end of \/bin\/bash, which has 626688 bytes/,
  );
});

test('a machine without frames left says so', () => {
  const space = makeSpace({ limit: 0, mmu: new MapMmu() });
  const addr = space.map({ addr: 0, size: PAGE_SIZE, prot: 3, flags: ANON });
  expect(touch(space, addr, 'write', 1)).toMatchObject({
    kind: 'signal',
    signo: 9,
    reason: "out of memory: the machine's limit of 0 MiB is reached",
  });
});
