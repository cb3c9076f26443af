/** Overlays keep the host's files as they are, and mounts show more of them. */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { O_RDONLY, O_RDWR, O_TRUNC, RENAME_EXCHANGE, RENAME_WHITEOUT } from '../../abi/fcntl.ts';
import type { Description } from '../../fs/description.ts';
import { mount, MountError, parseMount } from '../../fs/mounts.ts';
import type { Directory } from '../../fs/vnode.ts';
import { bytes, errorOf, testRoot, type TestRoot, text } from './fs-parts.ts';

let root: TestRoot;
afterEach(() => root.remove());

function overlaid(): TestRoot {
  root = testRoot({ overlay: true });
  fs.writeFileSync(path.join(root.directory, 'old'), 'as it was');
  fs.mkdirSync(path.join(root.directory, 'dir'));
  fs.writeFileSync(path.join(root.directory, 'dir/inner'), 'inner');
  fs.linkSync(path.join(root.directory, 'old'), path.join(root.directory, 'second'));
  return root;
}

function directory(name: string): Directory {
  return root.resolve(name).vnode.directory as Directory;
}

function content(file: Description): string {
  const into = new Uint8Array(64);
  return text(into.subarray(0, file.readAt(into, 0) as number));
}

function names(): string[] {
  return [...root.open('/', O_RDONLY).entries()].map(({ name }) => name).filter((name) => !name.startsWith('.'));
}

const list = (): string[] => root.files.changes().map(({ change, path: at }) => `${change} ${at}`);

describe('an overlay', () => {
  test('copies a file when it is written: all its names and openings see it, the host does not', () => {
    overlaid();
    const reader = root.open('/second', O_RDONLY);
    const before = reader.vnode.stat();
    const writer = root.open('/old', O_RDWR);
    writer.writeAt(bytes('AS'), 0);
    expect(content(reader)).toBe('AS it was');
    expect(reader.vnode.stat()).toMatchObject({ ino: before.ino, nlink: 2, size: 9 });
    expect(fs.readFileSync(path.join(root.directory, 'old'), 'latin1')).toBe('as it was');
    expect(list()).toEqual(['changed /old']);
    for (const each of [reader, writer]) each.release();
  });

  test('does not copy what is cut at once', () => {
    overlaid();
    const file = root.open('/old', O_RDWR | O_TRUNC);
    expect(content(file)).toBe('');
    file.release();
  });

  test('hides what was removed, and shows what was made in its place', () => {
    overlaid();
    directory('/').unlink('old');
    expect(errorOf(() => root.resolve('/old'))).toBe('ENOENT');
    expect(names()).not.toContain('old');
    directory('/dir').unlink('inner');
    directory('/').rmdir('dir');
    directory('/').mkdir('dir', 0o755);
    expect(errorOf(() => root.resolve('/dir/inner'))).toBe('ENOENT');
    expect(list()).toEqual(['changed /dir', 'removed /old']);
    expect(fs.existsSync(path.join(root.directory, 'dir/inner'))).toBe(true);
  });

  test('renames directories with what is in them, exchanges, and leaves whiteouts when asked', () => {
    overlaid();
    directory('/').rename('dir', directory('/'), 'moved', 0);
    expect(content(root.open('/moved/inner', O_RDONLY))).toBe('inner');
    expect(errorOf(() => root.resolve('/dir'))).toBe('ENOENT');
    directory('/').rename('moved', directory('/'), 'old', RENAME_EXCHANGE);
    expect(content(root.open('/moved', O_RDONLY))).toBe('as it was');
    expect(content(root.open('/old/inner', O_RDONLY))).toBe('inner');
    directory('/').rename('second', directory('/'), 'third', RENAME_WHITEOUT);
    expect(root.resolve('/second').vnode.stat()).toMatchObject({ mode: 0o20000, rdev: 0 });
  });

  test('refuses what its files refuse', () => {
    overlaid();
    expect(errorOf(() => directory('/').rmdir('dir'))).toBe('ENOTEMPTY');
    expect(errorOf(() => directory('/').mkdir('old', 0o755))).toBe('EEXIST');
    expect(errorOf(() => directory('/').unlink('none'))).toBe('ENOENT');
  });
});

describe('mounts', () => {
  test('show host directories and files, memory, and refuse to write where they are read only', () => {
    root = testRoot((base) => {
      const outside = path.join(base, 'outside');
      fs.writeFileSync(path.join(base, 'root/file'), '');
      return {
        mounts: [
          { source: outside, target: '/ro', mode: 'ro' },
          { source: outside, target: '/ov', mode: 'overlay' },
          { source: path.join(outside, 'secret'), target: '/file', mode: 'rw' },
          { source: 'tmpfs', target: '/tmp', mode: 'rw' },
        ],
      };
    });
    expect(content(root.open('/ro/secret', O_RDONLY))).toBe('secret');
    expect(content(root.open('/file', O_RDONLY))).toBe('secret');
    expect(errorOf(() => root.open('/ro/secret', O_RDWR))).toBe('EROFS');
    expect(errorOf(() => directory('/ro').mkdir('x', 0o755))).toBe('EROFS');
    expect(errorOf(() => root.resolve('/ro/secret').vnode.chmod(0o600))).toBe('EROFS');
    directory('/ov').unlink('secret');
    expect(list()).toEqual(['removed /ov/secret']);
    directory('/tmp').mkdir('mine', 0o755);
    expect(root.resolve('/tmp/..').vnode.key).toBe(root.resolve('/').vnode.key);
    expect(fs.existsSync(path.join(root.outside, 'secret'))).toBe(true);
  });

  test('are read from their text, and say what is wrong with them', () => {
    root = testRoot();
    expect(parseMount('/a:/b')).toEqual({ source: '/a', target: '/b', mode: 'rw' });
    expect(parseMount('tmpfs:/t')).toEqual({ source: 'tmpfs', target: '/t', mode: 'rw' });
    expect(parseMount('/a:/b:overlay')?.mode).toBe('overlay');
    expect(parseMount('/a')).toBeUndefined();
    const tools = {
      tree: root.files.tree,
      host: root.files.host,
      memory: () => Reflect.get(root.files, 'memory'),
      openSpecial: () => undefined,
    };
    expect(() => mount(tools, { source: '/none/such', target: '/x', mode: 'rw' })).toThrow(MountError);
  });
});
