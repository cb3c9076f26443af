/** Mounts that guests make: memory, binds, flags, moves, and what may not be taken away. */
import * as fs from 'node:fs';
import { afterEach, expect, test } from 'vitest';
import { O_CREAT, O_EXCL, O_RDONLY, O_RDWR, RENAME_WHITEOUT } from '../../abi/fcntl.ts';
import { MS_RDONLY } from '../../abi/mount.ts';
import { mountFlags } from '../../fs/mount-table.ts';
import { bytes, errorOf, type TestRoot, testRoot, text } from './fs-parts.ts';

let root: TestRoot;
afterEach(() => root.remove());

function made(): TestRoot {
  root = testRoot();
  for (const name of ['a', 'a/sub', 'b', 'c']) fs.mkdirSync(`${root.directory}/${name}`);
  fs.writeFileSync(`${root.directory}/a/f`, 'of a');
  fs.writeFileSync(`${root.directory}/plain`, 'plain');
  return root;
}

function content(name: string): string {
  const into = new Uint8Array(100);
  const file = root.open(name, O_RDONLY);
  const got = file.read(into) as number;
  file.release();
  return text(into.subarray(0, got));
}

test('a file system in memory covers a directory until it is taken away, and holds no more than its size', () => {
  const { files, resolve } = made();
  files.mounts.add(resolve('/a'), 'none', 'tmpfs', 0, 'size=8k,mode=750,uid=5');
  expect(errorOf(() => resolve('/a/f'))).toBe('ENOENT');
  expect(resolve('/a').vnode.stat()).toMatchObject({ mode: 0o40750, uid: 5 });
  const { file } = resolve('/a').vnode.directory?.create('big', 0o600, O_RDWR) ?? {};
  expect(file?.write(new Uint8Array(20_000), 0, false)).toBe(8192);
  expect(errorOf(() => file?.write(bytes('x'), 8192, false))).toBe('ENOSPC');
  expect(file?.write(bytes('x'), 0, false)).toBe(1);
  expect(resolve('/a').vnode.statfs()).toMatchObject({ blocks: 2, bfree: 0 });
  file?.close();
  files.mounts.remove(resolve('/a'), false);
  expect(content('/a/f')).toBe('of a');
  for (const wrong of ['size=x', 'nothing=1', 'mode=9'])
    expect(errorOf(() => files.mounts.add(resolve('/a'), 'none', 'tmpfs', 0, wrong))).toBe('EINVAL');
  expect(errorOf(() => files.mounts.add(resolve('/a'), 'x', 'ext4', 0, ''))).toBe('ENODEV');
});

test('a file system in memory holds no more files than it was made for, names and unnamed ones counted, until it is given more', () => {
  const { files, resolve } = made();
  files.mounts.add(resolve('/a'), 'none', 'tmpfs', 0, 'nr_inodes=4');
  const top = resolve('/a').vnode.directory;
  top?.create('f', 0o600, O_RDWR).file.close();
  top?.mkdir('d', 0o700);
  const unnamed = top?.createUnnamed?.(0o600, O_RDWR);
  expect(errorOf(() => top?.symlink('s', 'f'))).toBe('ENOSPC');
  expect(resolve('/a').vnode.statfs()).toMatchObject({ files: 4, ffree: 0 });
  expect(errorOf(() => top?.link('g', resolve('/a/f').vnode))).toBe('ENOSPC');
  top?.unlink('f');
  top?.rmdir('d');
  unnamed?.close();
  expect(resolve('/a').vnode.statfs()).toMatchObject({ ffree: 3 });
  const kept = top?.createUnnamed?.(0o600, O_RDWR);
  const secret = top?.createUnnamed?.(0o600, O_RDWR | O_EXCL);
  if (kept !== undefined) top?.link('kept', kept.vnode);
  expect(resolve('/a/kept').vnode.stat().nlink).toBe(1);
  expect(errorOf(() => secret && top?.link('secret', secret.vnode))).toBe('ENOENT');
  files.mounts.remount(resolve('/a'), 0, 'nr_inodes=9');
  expect(resolve('/a').vnode.statfs()).toMatchObject({ files: 9, ffree: 6 });
  top?.rename('kept', top, 'moved', RENAME_WHITEOUT);
  expect(resolve('/a/kept').vnode.kind).toBe('character');
});

test('mounts lie over each other, and the last one goes first', () => {
  const { files, resolve } = made();
  files.mounts.add(resolve('/b'), 'one', 'tmpfs', 0, '');
  resolve('/b').vnode.directory?.mkdir('first', 0o700);
  files.mounts.add(resolve('/b'), 'two', 'tmpfs', 0, '');
  expect(errorOf(() => resolve('/b/first'))).toBe('ENOENT');
  files.mounts.remove(resolve('/b'), false);
  expect(resolve('/b/first').vnode.kind).toBe('directory');
  files.mounts.remove(resolve('/b'), false);
  expect(errorOf(() => files.mounts.remove(resolve('/b'), false))).toBe('EINVAL');
});

test('a bind shows the same files, read-only where it is remounted so, and what is mounted below only if asked', () => {
  const { files, resolve } = made();
  files.mounts.add(resolve('/a/sub'), 'none', 'tmpfs', 0, '');
  resolve('/a/sub').vnode.directory?.mkdir('inside', 0o700);
  files.mounts.bind(resolve('/a'), resolve('/b'), false);
  files.mounts.bind(resolve('/a'), resolve('/c'), true);
  expect(content('/b/f')).toBe('of a');
  expect(errorOf(() => resolve('/b/sub/inside'))).toBe('ENOENT');
  expect(resolve('/c/sub/inside').vnode.kind).toBe('directory');
  files.mounts.remount(resolve('/b'), MS_RDONLY, '');
  expect(mountFlags(resolve('/b/f'))).toBe(MS_RDONLY);
  expect(errorOf(() => resolve('/b/f').vnode.open(O_RDWR))).toBe('EROFS');
  expect(errorOf(() => resolve('/b').vnode.directory?.mkdir('x', 0o700))).toBe('EROFS');
  expect(content('/b/f')).toBe('of a');
  expect(errorOf(() => resolve('/a/f').vnode.open(O_RDWR))).toBe('ok');
  files.mounts.remount(resolve('/b'), 0, '');
  expect(errorOf(() => resolve('/b/f').vnode.open(O_RDWR | O_CREAT))).toBe('ok');
  files.mounts.bind(resolve('/plain'), resolve('/a/f'), false);
  expect(content('/a/f')).toBe('plain');
  expect(errorOf(() => files.mounts.bind(resolve('/plain'), resolve('/a'), false))).toBe('ENOTDIR');
});

test('what is in use stays, unless it only leaves the tree; what was moved is found where it is now', () => {
  const { files, resolve } = made();
  files.mounts.add(resolve('/a'), 'none', 'tmpfs', 0, '');
  resolve('/a').vnode.directory?.create('f', 0o600, O_RDWR).file.close();
  files.mounts.move(resolve('/a'), resolve('/b'));
  const opened = root.open('/b/f', O_RDONLY);
  expect(content('/a/f')).toBe('of a');
  expect(errorOf(() => files.mounts.remove(resolve('/b'), false))).toBe('EBUSY');
  opened.release();
  expect(files.mounts.expire(resolve('/b'))).toBe(false);
  expect(files.mounts.expire(resolve('/b'))).toBe(true);
  files.mounts.add(resolve('/a'), 'none', 'tmpfs', 0, '');
  expect(errorOf(() => files.mounts.move(resolve('/c'), resolve('/b')))).toBe('EINVAL');
  const held = root.open('/a', O_RDONLY);
  files.mounts.remove(resolve('/a'), true);
  expect(content('/a/f')).toBe('of a');
  held.release();
});
