/** One page cache: every way to a file's bytes sees the same ones, failures are told once, and nothing leaks whatever fails. */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { EIO, ENOSPC } from '../../abi/errno.ts';
import { F_SEAL_GROW, F_SEAL_SHRINK, F_SEAL_WRITE, O_RDONLY, O_RDWR, O_TRUNC } from '../../abi/fcntl.ts';
import * as mman from '../../abi/mman.ts';
import { PAGE_SIZE } from '../../abi/page.ts';
import type { Description } from '../../fs/description.ts';
import { checkInvariants } from '../../mm/check.ts';
import type { Pager, PagerResult } from '../../mm/pager.ts';
import type { AddressSpace } from '../../mm/space.ts';
import { bytes, errorOf, type TestRoot, testRoot, text } from './fs-parts.ts';
import { entriesOf, makeSpace, touch } from './mm-parts.ts';

const RW = mman.PROT_READ | mman.PROT_WRITE;
let root: TestRoot;
let space: AddressSpace;

beforeEach(() => {
  root = testRoot();
  space = makeSpace({ frames: root.frames });
});
afterEach(() => {
  space.release();
  root.remove();
});

function hostFile(name: string, content: string | Uint8Array): string {
  const file = path.join(root.directory, name);
  fs.writeFileSync(file, content);
  return file;
}

function map(file: Description, size: number, flags: number = mman.MAP_SHARED, prot = RW): number {
  const object = file.file.memoryObject?.('/file');
  if (object === undefined) throw new Error('it can be mapped');
  return space.map({ addr: 0, size, prot, flags, object, file });
}

function peek(at: number, count: number): string {
  return text(Uint8Array.from({ length: count }, (_, i) => touch(space, at + i, 'read') as number));
}

function poke(at: number, content: string): void {
  for (const [i, byte] of bytes(content).entries()) touch(space, at + i, 'write', byte);
}

function readAt(file: Description, position: number, count: number): string {
  const into = new Uint8Array(count);
  return text(into.subarray(0, file.readAt(into, position) as number));
}

/** Files of the host, and of memory: the same holds of both. */
const KINDS: readonly [string, () => Description][] = [
  ['host file', () => (hostFile('f', 'x'.repeat(10000)), root.open('/f', O_RDWR))],
  [
    'memory file',
    () => {
      const file = root.files.memoryFile('f', 0o777, 0);
      file.acquire();
      file.writeAt(bytes('x'.repeat(10000)), 0);
      return file;
    },
  ],
];

test.each(KINDS)('of a %s, reads, writes and mappings see the same bytes', (_kind, open) => {
  const file = open();
  const shared = map(file, 12288);
  const second = map(file, 4096);
  const own = map(file, 12288, mman.MAP_PRIVATE);
  expect(peek(own + 4096, 3)).toBe('xxx');
  poke(shared + 4096, 'abc');
  expect([readAt(file, 4096, 4), peek(own + 4096, 4)]).toEqual(['abcx', 'abcx']);
  file.writeAt(bytes('DEF'), 4094);
  expect([peek(shared + 4094, 5), peek(own + 4094, 5), peek(second + 4094, 2)]).toEqual(['DEFbc', 'DEFbc', 'DE']);
  poke(own + 4096, 'own');
  poke(shared + 4096, 'sha');
  expect([peek(own + 4096, 3), readAt(file, 4096, 3)]).toEqual(['own', 'sha']);
  checkInvariants(space, entriesOf(space));
  file.release();
});

test.each(KINDS)('of a %s, truncating takes pages away from every mapping, and growing brings zeros', (_kind, open) => {
  const file = open();
  const shared = map(file, 12288);
  const own = map(file, 12288, mman.MAP_PRIVATE);
  poke(shared + 4000, 'y'.repeat(200));
  poke(own + 4096, 'own');
  poke(own, 'own');
  file.file.truncate?.(4050);
  expect(touch(space, shared + 4096, 'read')).toMatchObject({ kind: 'signal', addr: shared + 4096, code: 2 });
  expect(touch(space, own + 4096, 'write', 1)).toMatchObject({ kind: 'signal' });
  expect([peek(shared + 4049, 2), peek(own, 3)]).toEqual(['y\0', 'own']);
  file.file.truncate?.(9000);
  expect([peek(shared + 4096, 2), readAt(file, 4049, 3), peek(own + 4096, 2)]).toEqual(['\0\0', 'y\0\0', '\0\0']);
  checkInvariants(space, entriesOf(space));
  file.release();
});

test.each(KINDS)('of a %s, a hole reads as zeros everywhere but where a private mapping has written', (_kind, open) => {
  const file = open();
  const shared = map(file, 12288);
  const own = map(file, 12288, mman.MAP_PRIVATE);
  poke(own + 4096, 'own');
  poke(shared + 4096, 'abc');
  file.file.allocate?.(3, 4090, 4106);
  expect([readAt(file, 4088, 4), peek(shared + 4096, 3), peek(own + 4096, 3)]).toEqual(['xx\0\0', '\0\0\0', 'own']);
  expect([peek(shared + 8195, 2), readAt(file, 8195, 2), file.file.size?.()]).toEqual(['\0x', '\0x', 10000]);
  checkInvariants(space, entriesOf(space));
  file.release();
});

test('collapsing and inserting move what follows, as on ext4', () => {
  hostFile('f', 'a'.repeat(4096) + 'b'.repeat(4096) + 'c'.repeat(100));
  const file = root.open('/f', O_RDWR);
  const at = map(file, 16384);
  poke(at + 8192, 'CC');
  file.file.allocate?.(8, 4096, 4096);
  expect([file.file.size?.(), peek(at + 4096, 3), readAt(file, 4096, 3)]).toEqual([4196, 'CCc', 'CCc']);
  file.file.allocate?.(32, 0, 4096);
  expect([file.file.size?.(), peek(at, 1), peek(at + 4096, 1), readAt(file, 8192, 3)]).toEqual([8292, '\0', 'a', 'CCc']);
  expect(errorOf(() => file.file.allocate?.(8, 1, 4096))).toBe('EINVAL');
  file.release();
});

test('what mappings wrote reaches the host when the last that may write goes, and never makes the file longer', () => {
  const host = hostFile('f', 'x'.repeat(5000));
  const file = root.open('/f', O_RDWR);
  const one = map(file, 8192);
  const two = map(file, 4096);
  poke(one + 4990, 'z'.repeat(40));
  file.release();
  space.unmap(one, 8192);
  expect(fs.readFileSync(host, 'latin1')).toBe('x'.repeat(5000));
  space.unmap(two, 4096);
  expect(fs.readFileSync(host, 'latin1')).toBe(`${'x'.repeat(4990)}${'z'.repeat(10)}`);
});

test('a mapping keeps its file open: it can still not be executed, and goes with the mapping', () => {
  hostFile('f', 'x');
  const { vnode } = root.resolve('/f');
  const file = root.open('/f', O_RDWR);
  const at = map(file, 4096, mman.MAP_PRIVATE);
  file.release();
  expect(vnode.writers).toBe(1);
  space.protect(at, 4096, mman.PROT_READ);
  space.unmap(at, 4096);
  expect(vnode.writers).toBe(0);
});

test('opening with O_TRUNC empties every mapping', () => {
  hostFile('f', 'x'.repeat(5000));
  const file = root.open('/f', O_RDWR);
  const at = map(file, 8192);
  poke(at, 'dirty');
  root.open('/f', O_RDWR | O_TRUNC).release();
  expect(touch(space, at, 'read')).toMatchObject({ kind: 'signal' });
  file.writeAt(bytes('new'), 0);
  expect(peek(at, 5)).toBe('new\0\0');
  file.release();
});

test('what others change on the host is seen at reads, mmap and msync(MS_INVALIDATE); what is dirty stays ours', () => {
  const host = hostFile('f', 'x'.repeat(8192));
  const file = root.open('/f', O_RDWR);
  const at = map(file, 8192);
  peek(at, 1);
  peek(at + 4096, 1);
  poke(at + 4096, 'ours');
  fs.writeFileSync(host, 'H'.repeat(8192));
  fs.utimesSync(host, 5, 5);
  file.file.memoryObject?.('/f').invalidate();
  expect([peek(at, 2), peek(at + 4096, 5)]).toEqual(['HH', 'oursx']);
  fs.writeFileSync(host, 'J'.repeat(8192));
  fs.utimesSync(host, 6, 6);
  expect([readAt(file, 0, 2), peek(at, 2), readAt(file, 4096, 5)]).toEqual(['JJ', 'JJ', 'oursx']);
  file.release();
});

test('sealed memory refuses what its seals say', () => {
  const file = root.files.memoryFile('f', 0o777, 0);
  file.acquire();
  file.writeAt(bytes('x'.repeat(5000)), 0);
  const at = map(file, 8192);
  const { vnode } = file;
  expect(errorOf(() => vnode.addSeals?.(F_SEAL_WRITE))).toBe('EBUSY');
  space.unmap(at, 8192);
  vnode.addSeals?.(F_SEAL_WRITE | F_SEAL_SHRINK);
  expect(errorOf(() => file.writeAt(bytes('y'), 0))).toBe('EPERM');
  expect(errorOf(() => file.file.truncate?.(1))).toBe('EPERM');
  expect(errorOf(() => file.file.truncate?.(6000))).toBe('ok');
  vnode.addSeals?.(F_SEAL_GROW);
  expect(errorOf(() => file.file.truncate?.(7000))).toBe('EPERM');
  expect(vnode.seals).toBe(F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW);
  file.release();
});

// ---- Faults injected ---------------------------------------------------------------------------------------------------------------

/** A pager whose calls fail from the `failAt`-th on, or only that one. */
class FailingPager implements Pager {
  readonly name: string;
  private readonly inner: Pager;
  private readonly plan: Plan;
  constructor(inner: Pager, plan: Plan) {
    this.inner = inner;
    this.plan = plan;
    this.name = inner.name;
  }
  private attempt(kind: 'in' | 'out', call: () => PagerResult): PagerResult {
    if (kind !== this.plan.kind) return call();
    return ++this.plan.calls === this.plan.failAt || (this.plan.stays && this.plan.calls > this.plan.failAt)
      ? { kind: 'error', errno: this.plan.errno }
      : call();
  }
  pageIn(index: number, into: Uint8Array): PagerResult {
    return this.attempt('in', () => this.inner.pageIn(index, into));
  }
  pageOut(index: number, from: Uint8Array): PagerResult {
    return this.attempt('out', () => this.inner.pageOut(index, from));
  }
  release(): void {
    this.inner.release();
  }
}
interface Plan {
  readonly kind: 'in' | 'out';
  readonly errno: number;
  readonly failAt: number;
  readonly stays?: boolean;
  calls: number;
}

test('a failed write-back is told once to each opening, and the pages stay until they are taken', () => {
  const host = hostFile('f', 'x'.repeat(8192));
  const plan: Plan = { kind: 'out', errno: ENOSPC, failAt: 1, calls: 0 };
  root.files.host.inodes.pagers = (pager) => new FailingPager(pager, plan);
  const one = root.open('/f', O_RDWR);
  const two = root.open('/f', O_RDONLY);
  const at = map(one, 8192);
  poke(at, 'first');
  poke(at + 4096, 'second');
  expect(errorOf(() => one.writeBack(0, 2))).toBe('ENOSPC');
  const late = root.open('/f', O_RDONLY);
  expect([errorOf(() => one.file.sync?.(false)), errorOf(() => two.file.sync?.(false))]).toEqual(['ok', 'ENOSPC']);
  expect([errorOf(() => two.file.sync?.(false)), errorOf(() => late.file.sync?.(false))]).toEqual(['ok', 'ok']);
  expect(fs.readFileSync(host, 'latin1').slice(4094, 4100)).toBe('xxseco');
  for (const file of [one, two, late]) file.release();
});

test('what could not be written at the end is named', () => {
  hostFile('f', 'x'.repeat(8192));
  root.files.host.inodes.pagers = (pager) => new FailingPager(pager, { kind: 'out', errno: EIO, failAt: 1, stays: true, calls: 0 });
  const file = root.open('/f', O_RDWR);
  const at = map(file, 8192);
  poke(at, 'lost');
  space.unmap(at, 8192);
  file.release();
  expect(root.files.host.inodes.unsaved()).toEqual([{ name: '/file', pages: 1 }]);
});

/** What a guest might do with files and memory, for every place where something can fail. Returns what each step came to. */
function program(file: Description): string[] {
  const seen: string[] = [];
  const step = (work: () => unknown): void => {
    let result: unknown;
    const code = errorOf(() => void (result = work()));
    const outcome = result as { kind?: string; signo?: number } | undefined;
    seen.push(code !== 'ok' ? code : outcome?.kind === 'signal' ? `signal ${outcome.signo}` : 'ok');
  };
  const shared = map(file, 6 * PAGE_SIZE);
  const own = map(file, 6 * PAGE_SIZE, mman.MAP_PRIVATE);
  const anonymous = space.map({ addr: 0, size: 4 * PAGE_SIZE, prot: RW, flags: mman.MAP_PRIVATE | mman.MAP_ANONYMOUS });
  for (let i = 0; i < 4; i++) {
    step(() => touch(space, shared + i * PAGE_SIZE, 'read'));
    step(() => touch(space, shared + i * PAGE_SIZE, 'write', i));
    step(() => touch(space, own + i * PAGE_SIZE, 'write', i));
    step(() => touch(space, anonymous + i * PAGE_SIZE, 'write', i));
  }
  step(() => file.writeAt(bytes('y'.repeat(6000)), 100));
  step(() => file.readAt(new Uint8Array(9000), 0));
  step(() => file.writeBack(0, 6));
  step(() => file.file.truncate?.(5000));
  step(() => file.file.allocate?.(3, 0, 4096));
  step(() => file.file.truncate?.(20000));
  step(() => touch(space, shared + 3 * PAGE_SIZE, 'write', 1));
  step(() => file.file.sync?.(true));
  checkInvariants(space, entriesOf(space));
  space.clear();
  return seen;
}

function runOf(plan: Plan | undefined, limit: number | undefined): { seen: string[]; left: number } {
  hostFile('p', 'x'.repeat(20000));
  root.files.host.inodes.pagers = (pager) => (plan === undefined ? pager : new FailingPager(pager, plan));
  const before = root.frames.inUse;
  root.frames.limit = limit ?? Number.POSITIVE_INFINITY;
  const file = root.open('/p', O_RDWR);
  const seen = program(file);
  file.release();
  fs.rmSync(path.join(root.directory, 'p'));
  root.files.host.inodes.trim();
  root.frames.limit = Number.POSITIVE_INFINITY;
  return { seen, left: root.frames.inUse - before };
}

test('whatever page-in fails, the touch is SIGBUS and no frame leaks', () => {
  for (let failAt = 1; failAt <= 8; failAt++) {
    const plan: Plan = { kind: 'in', errno: EIO, failAt, calls: 0 };
    const { seen, left } = runOf(plan, undefined);
    expect(seen.filter((each) => each !== 'ok')).toEqual(plan.calls >= failAt ? ['signal 7'] : []);
    expect(left).toBe(0);
  }
});

test('whatever write-back fails, the next sync says so and no frame leaks', () => {
  for (const code of [EIO, ENOSPC]) {
    for (let failAt = 1; failAt <= 6; failAt++) {
      const plan: Plan = { kind: 'out', errno: code, failAt, calls: 0 };
      const { seen, left } = runOf(plan, undefined);
      const told = seen.filter((each) => each !== 'ok');
      for (const each of told) expect(each).toBe(code === EIO ? 'EIO' : 'ENOSPC');
      expect(told.length).toBeLessThanOrEqual(1);
      expect(left).toBe(0);
    }
  }
});

test('however few frames there are, a touch works or kills, and no frame leaks', () => {
  for (let limit = 0; limit <= 16; limit++) {
    const { seen, left } = runOf(undefined, limit);
    for (const each of seen) expect(['ok', 'signal 9', 'ENOMEM', 'ENOSPC', 'EIO']).toContain(each);
    expect(left).toBe(0);
  }
});
