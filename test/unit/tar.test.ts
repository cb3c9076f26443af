/** Tar archives as a root: what GNU tar packs in each of its formats is there as it was, and damaged archives are refused and harm nothing. */
import { execFileSync, spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { O_RDONLY, O_RDWR } from '../../abi/fcntl.ts';
import { tarRoot } from '../../fs/guest.ts';
import * as host from '../../fs/hostfs.ts';
import { tarEntries, TarError } from '../../fs/tar.ts';
import { errorOf, type TestRoot, testRoot, text } from './fs-parts.ts';

const hasTar = spawnSync('tar', ['--version'], { encoding: 'utf8' }).stdout?.includes('GNU') ?? false;
const DEEP = `${'x'.repeat(90)}/${'y'.repeat(120)}`;
let folder = '';

beforeAll(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'seg386-tar-'));
  const top = path.join(folder, 'top');
  fs.mkdirSync(path.join(top, DEEP), { recursive: true });
  fs.writeFileSync(path.join(top, DEEP, 'file'), 'deep');
  fs.writeFileSync(path.join(top, 'f'), 'hello');
  fs.chmodSync(path.join(top, 'f'), 0o640);
  fs.linkSync(path.join(top, 'f'), path.join(top, 'hard'));
  fs.symlinkSync(DEEP, path.join(top, 'link'));
  fs.symlinkSync(`/${'z'.repeat(200)}`, path.join(top, 'far'));
  const sparse = fs.openSync(path.join(top, 'sparse'), 'w');
  for (let i = 0; i < 30; i++) fs.writeSync(sparse, `part ${i}`, i * 200_000);
  fs.ftruncateSync(sparse, 7_000_000);
  fs.closeSync(sparse);
});
afterAll(() => fs.rmSync(folder, { recursive: true, force: true }));

function pack(...options: readonly string[]): Uint8Array {
  return execFileSync('tar', [...options, '-C', path.join(folder, 'top'), '-cf', '-', '.'], { maxBuffer: 1 << 26 });
}

function content(root: TestRoot, name: string): Buffer {
  const size = root.resolve(name).vnode.stat().size;
  const into = new Uint8Array(size + 1);
  const file = root.open(name, O_RDONLY);
  let done = 0;
  for (let moved = -1; moved !== 0; done += moved) moved = file.read(into.subarray(done)) as number;
  file.release();
  return Buffer.from(into.subarray(0, done));
}

describe.skipIf(!hasTar)('an archive of GNU tar', () => {
  test.each([
    ['--format=gnu'],
    ['--format=gnu', '-S'],
    ['--format=pax', '-S', '--sparse-version=0.0'],
    ['--format=pax', '-S', '--sparse-version=0.1'],
    ['--format=pax', '-S', '--sparse-version=1.0'],
    ['--format=pax'],
  ])('%s %s %s shows every file as it was, and nothing can be changed', (...options) => {
    const root = testRoot({ root: tarRoot(pack(...options)) });
    const real = fs.statSync(path.join(folder, 'top', 'f'), { bigint: true });
    const { mode, nlink, uid, size, mtime_ns } = root.resolve('/f').vnode.stat();
    expect({ mode, nlink, uid, size }).toEqual({ mode: 0o100640, nlink: 2, uid: Number(real.uid), size: 5 });
    expect(mtime_ns / 1_000_000_000n).toBe(real.mtimeNs / 1_000_000_000n);
    expect(root.resolve('/hard').vnode.stat().ino).toBe(root.resolve('/f').vnode.stat().ino);
    expect(text(content(root, '/link/file'))).toBe('deep');
    expect(root.resolve('/far', false).vnode.readlink()).toHaveLength(201);
    expect(content(root, '/sparse').equals(fs.readFileSync(path.join(folder, 'top', 'sparse')))).toBe(true);
    expect(errorOf(() => root.resolve('/f').vnode.open(O_RDWR))).toBe('EROFS');
    expect(errorOf(() => root.resolve('/').vnode.directory?.mkdir('new', 0o700))).toBe('EROFS');
    root.remove();
  });

  test('changes over it stay in memory', () => {
    const root = testRoot({ root: tarRoot(pack()), overlay: true });
    const file = root.open('/f', O_RDWR);
    file.write(Uint8Array.from([0x4a]));
    expect(text(content(root, '/f'))).toBe('Jello');
    expect(root.files.changes()).toEqual([{ path: '/f', change: 'changed', kind: 'file' }]);
    file.release();
    root.remove();
  });

  test('is read where it lies, or unpacked where gzip has packed it', () => {
    const bytes = pack();
    fs.writeFileSync(path.join(folder, 'a.tar'), bytes);
    fs.writeFileSync(path.join(folder, 'a.tar.gz'), gzipSync(bytes));
    for (const name of ['a.tar', 'a.tar.gz']) {
      const source = host.archive(path.join(folder, name));
      expect(source?.size).toBe(bytes.length);
      expect([...tarEntries(source as never)].some((entry) => entry.name === './f')).toBe(true);
    }
    expect(host.archive(folder)).toBeUndefined();
    fs.writeFileSync(path.join(folder, 'b.gz'), Uint8Array.of(0x1f, 0x8b, 1, 2, 3));
    expect(errorOf(() => host.archive(path.join(folder, 'b.gz')))).toBe('EINVAL');
  });

  test('that is damaged anywhere is read as far as it is sound, or refused', () => {
    const bytes = pack('--format=pax', '-S');
    let seed = 12345;
    const below = (n: number): number => (seed = (seed * 1103515245 + 12345) & 0x7fffffff) % n;
    for (let round = 0; round < 300; round++) {
      const broken = Uint8Array.from(bytes.subarray(0, round % 3 === 0 ? below(bytes.length) : bytes.length));
      for (let i = 0; i < 4 && broken.length > 0; i++) broken[below(Math.min(broken.length, 20_000))] = below(256);
      try {
        tarRoot(broken)({ device: () => 9, memory: () => ({}) } as never);
      } catch (error) {
        if (!(error instanceof TarError)) throw error;
      }
    }
  });
});

test('what is no archive is refused, and names never lead out of the root', () => {
  expect(() => [...tarEntries({ size: 3, read: () => 3 })]).toThrow(TarError);
  const block = new Uint8Array(1536);
  block.set(Buffer.from('../../etc/passwd'), 0);
  block.set(Buffer.from('0000644\0'), 100);
  block.set(Buffer.from('00000000000\0'), 124);
  block[156] = 0x30;
  block.fill(32, 148, 156);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.set(Buffer.from(`${sum.toString(8).padStart(6, '0')}\0 `), 148);
  const root = testRoot({ root: tarRoot(block) });
  expect(root.resolve('/etc/passwd').vnode.kind).toBe('file');
  root.remove();
});
