/** The path walk: links, dots, mounts, limits, and nothing outside the root. */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { O_NOFOLLOW, O_RDONLY, RESOLVE_BENEATH, RESOLVE_IN_ROOT, RESOLVE_NO_SYMLINKS } from '../../abi/fcntl.ts';
import { DirectoryPlace, pathOf } from '../../fs/path.ts';
import { errorOf, type TestRoot, testRoot } from './fs-parts.ts';

let root: TestRoot;
beforeAll(() => {
  root = testRoot();
  const at = (name: string) => path.join(root.directory, name);
  fs.mkdirSync(at('a/b/c'), { recursive: true });
  fs.writeFileSync(at('a/file'), 'inside');
  fs.writeFileSync(at('secret'), 'inside');
  fs.symlinkSync(root.outside, at('escape'));
  fs.symlinkSync('../../../../../../../../../../../../..', at('a/up'));
  fs.symlinkSync('/secret', at('a/b/absolute'));
  fs.symlinkSync('../file', at('a/b/relative'));
  fs.symlinkSync('loop2', at('loop1'));
  fs.symlinkSync('loop1', at('loop2'));
  fs.symlinkSync('nowhere', at('dangling'));
  fs.symlinkSync('a/', at('slashed'));
  fs.symlinkSync(`${root.outside}/secret`, at('direct'));
  fs.symlinkSync('/proc/self/root', at('magic'));
  for (let i = 0; i < 45; i++) fs.symlinkSync(i === 0 ? 'secret' : `chain${i - 1}`, at(`chain${i}`));
});
afterAll(() => root.remove());

const read = (name: string) => {
  const description = root.open(name, O_RDONLY);
  const into = new Uint8Array(100);
  const moved = description.read(into);
  description.release();
  return String.fromCharCode(...into.subarray(0, moved as number));
};

test('`..` at the root stays at the root', () => {
  expect(root.resolve('/../../..')).toBe(root.files.tree.root);
  expect(read('/../../../../secret')).toBe('inside');
  expect(read('/a/../../secret')).toBe('inside');
});

test('a link that climbs above the root ends at the root', () => {
  expect(root.resolve('/a/up')).toBe(root.files.tree.root);
  expect(read('/a/up/secret')).toBe('inside');
});

test('an absolute link starts at the guest root, so that one to a host directory does not lead there', () => {
  expect(read('/a/b/absolute')).toBe('inside');
  expect(errorOf(() => root.resolve('/escape/secret'))).toBe('ENOENT');
  expect(errorOf(() => root.resolve('/direct'))).toBe('ENOENT');
});

test('relative links are relative to their directory', () => {
  expect(read('/a/b/relative')).toBe('inside');
  expect(read('/slashed/file')).toBe('inside');
});

test('a loop of links is ELOOP, and so are more than forty', () => {
  expect(errorOf(() => root.resolve('/loop1'))).toBe('ELOOP');
  expect(errorOf(() => root.resolve('/chain44'))).toBe('ELOOP');
  expect(read('/chain39')).toBe('inside');
  expect(errorOf(() => root.resolve('/chain40'))).toBe('ELOOP');
});

test('a trailing slash demands a directory and follows a link', () => {
  expect(errorOf(() => root.resolve('/a/file/'))).toBe('ENOTDIR');
  expect(root.resolve('/slashed/', false).vnode.kind).toBe('directory');
  expect(root.resolve('/slashed', false).vnode.kind).toBe('symlink');
  expect(errorOf(() => root.resolve('/a/b/relative/', false))).toBe('ENOTDIR');
});

test('names and paths have limits', () => {
  expect(errorOf(() => root.resolve(`/${'n'.repeat(256)}`))).toBe('ENAMETOOLONG');
  expect(errorOf(() => root.resolve(`/${'n'.repeat(255)}`))).toBe('ENOENT');
  expect(errorOf(() => root.resolve('/a'.repeat(2048)))).toBe('ENAMETOOLONG');
  expect(errorOf(() => root.resolve(''))).toBe('ENOENT');
  expect(errorOf(() => root.resolve('/secret/x'))).toBe('ENOTDIR');
  expect(errorOf(() => root.resolve('/secret/..'))).toBe('ENOTDIR');
});

test('a last component that does not exist is reported with its parent', () => {
  const walked = root.files.tree.walk(root.context, '/a/new');
  expect(walked.place).toBeUndefined();
  expect(walked.name).toBe('new');
  expect(pathOf(walked.parent, root.files.tree.root)).toBe('/a');
  const through = root.files.tree.walk(root.context, '/dangling');
  expect(through.name).toBe('nowhere');
});

test('opening a link itself is refused', () => {
  expect(errorOf(() => root.resolve('/a/b/absolute', false).vnode.open(O_RDONLY | O_NOFOLLOW))).toBe('ELOOP');
});

test('a directory that becomes a link to the outside between look-up and use does not let the guest out', () => {
  const at = (name: string) => path.join(root.directory, name);
  fs.mkdirSync(at('swap'));
  fs.writeFileSync(at('swap/secret'), 'inside');
  const place = root.resolve('/swap');
  expect(read('/swap/secret')).toBe('inside');
  expect(place).toBeInstanceOf(DirectoryPlace);
  fs.renameSync(at('swap'), at('swapped'));
  fs.symlinkSync(root.outside, at('swap'));
  // The place we hold is still the old directory ...
  const held = root.files.tree.resolve({ root: root.files.tree.root, cwd: place as DirectoryPlace }, 'secret');
  expect(held.vnode.stat().size).toBe(6);
  // ... and a new walk sees the link, which starts again at the guest's root.
  expect(errorOf(() => root.resolve('/swap/secret'))).toBe('ENOENT');
});

test('a file that becomes a link to the outside between look-up and opening is not followed', () => {
  const at = (name: string) => path.join(root.directory, name);
  fs.writeFileSync(at('victim'), 'x');
  const place = root.resolve('/victim');
  fs.rmSync(at('victim'));
  fs.symlinkSync(path.join(root.outside, 'secret'), at('victim'));
  expect(errorOf(() => place.vnode.open(O_RDONLY))).toBe('ELOOP');
  expect(errorOf(() => place.vnode.truncate(0))).toBe('ELOOP');
  place.vnode.access(4);
  expect(fs.readFileSync(path.join(root.outside, 'secret'), 'utf8')).toBe('secret');
});

test('a fifo put in place of a file does not hang the machine', () => {
  const at = (name: string) => path.join(root.directory, name);
  fs.writeFileSync(at('pretender'), 'x');
  const place = root.resolve('/pretender');
  fs.rmSync(at('pretender'));
  const directory = root.files.tree.root.vnode.directory;
  directory?.mknod('pretender', 0o10600, 0);
  expect(errorOf(() => place.vnode.open(O_RDONLY))).toBe('ESTALE');
});

test('device nodes of the root open our devices, and device nodes cannot be made', () => {
  expect(errorOf(() => root.files.tree.root.vnode.directory?.mknod('sda', 0o60600, 0x800))).toBe('EPERM');
  expect(read('/dev/null')).toBe('');
  expect(read('/dev/zero')).toBe('\0'.repeat(100));
});

test('openat2: beneath, in root and without links', () => {
  const walk = (name: string, resolve: number, from = '/a') =>
    root.files.tree.resolve(root.context, name, { from: root.resolve(from), resolve });
  expect(errorOf(() => walk('../secret', RESOLVE_BENEATH))).toBe('EXDEV');
  expect(errorOf(() => walk('/secret', RESOLVE_BENEATH))).toBe('EXDEV');
  expect(errorOf(() => walk('b/absolute', RESOLVE_BENEATH))).toBe('EXDEV');
  expect(errorOf(() => walk('b/../file', RESOLVE_BENEATH))).toBe('ok');
  expect(errorOf(() => walk('b/relative', RESOLVE_NO_SYMLINKS))).toBe('ELOOP');
  expect(errorOf(() => walk('/file', RESOLVE_IN_ROOT))).toBe('ok');
  expect(errorOf(() => walk('../../../file', RESOLVE_IN_ROOT))).toBe('ok');
});

test('a directory renamed by the guest keeps its place: `..` and its path follow', () => {
  const { tree } = root.files;
  const { directory } = tree.root.vnode;
  directory?.mkdir('one', 0o755);
  directory?.mkdir('two', 0o755);
  const one = root.resolve('/one') as DirectoryPlace;
  one.vnode.directory?.mkdir('inner', 0o755);
  const inner = root.resolve('/one/inner') as DirectoryPlace;
  const two = root.resolve('/two') as DirectoryPlace;
  directory?.rename('one', two.vnode.directory as never, 'moved', 0);
  tree.renamed(tree.root, 'one', two, 'moved', false);
  expect(pathOf(inner, tree.root)).toBe('/two/moved/inner');
  expect(root.resolve('/two/moved/inner')).toBe(inner);
  inner.vnode.directory?.mkdir('below', 0o755);
  expect(fs.existsSync(path.join(root.directory, 'two/moved/inner/below'))).toBe(true);
  expect(tree.resolve({ root: tree.root, cwd: inner }, '../..')).toBe(two);
});

test('names that are no text survive', () => {
  const name = 'caf\xe9\xff';
  root.files.tree.root.vnode.directory?.mkdir(name, 0o755);
  expect(root.resolve(`/${name}`).vnode.kind).toBe('directory');
  expect(fs.readdirSync(root.directory, { encoding: 'latin1' })).toContain(name);
});
