/** Descriptors, descriptions, pipes, locks, host files with their pages, and files in memory. */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  F_RDLCK,
  F_UNLCK,
  F_WRLCK,
  O_APPEND,
  O_CREAT,
  O_RDONLY,
  O_RDWR,
  O_TRUNC,
  O_WRONLY,
  SEEK_CUR,
  SEEK_END,
  SEEK_SET,
} from '../../abi/fcntl.ts';
import { POLLERR, POLLHUP, POLLIN, POLLOUT } from '../../abi/poll.ts';
import { Description } from '../../fs/description.ts';
import { FdTable } from '../../fs/fdtable.ts';
import { mkfifo } from '../../fs/host-tools.ts';
import { LOCK_END, LockTable } from '../../fs/locks.ts';
import { MemFileSystem } from '../../fs/memfs.ts';
import { isWait } from '../../fs/vnode.ts';
import { bytes, errorOf, type TestRoot, testRoot, text } from './fs-parts.ts';

let root: TestRoot;
beforeAll(() => {
  root = testRoot();
});
afterAll(() => root.remove());

const host = (name: string) => path.join(root.directory, name);

function readAll(description: Description, size = 100): string {
  const into = new Uint8Array(size);
  const moved = description.read(into);
  return text(into.subarray(0, moved as number));
}

test('the lowest free number is given, and what close gives back is used first', () => {
  const table = new FdTable(5);
  const made = (name: string) => {
    const vnode = new MemFileSystem({ device: 9, now_ns: () => 0n }).file(0o644);
    return new Description(undefined, { vnode, parent: undefined, name }, O_RDONLY);
  };
  expect([table.add(made('a'), false), table.add(made('b'), true), table.add(made('c'), false)]).toEqual([0, 1, 2]);
  table.close(1);
  table.close(0);
  expect(table.add(made('d'), false, 1)).toBe(1);
  expect(table.add(made('e'), false)).toBe(0);
  expect(table.duplicate(2, 4, true)).toBe(4);
  expect(table.closeOnExec(4)).toBe(true);
  expect(table.closeOnExec(2)).toBe(false);
  expect(errorOf(() => table.reserve(2))).toBe('EMFILE');
  expect(table.add(made('f'), false)).toBe(3);
  expect(errorOf(() => table.add(made('g'), false))).toBe('EMFILE');
  expect(errorOf(() => table.duplicateTo(0, 5, false))).toBe('EBADF');
  expect(errorOf(() => table.duplicate(0, 5, false))).toBe('EINVAL');
  table.closeMarked();
  expect([...table.open()]).toEqual([0, 1, 2, 3]);
  const copy = table.copy();
  table.closeAll();
  expect(copy.get(2).place.name).toBe('c');
});

test('a description closes its file with the last descriptor, and runs what waits for that once', () => {
  const { reader, writer } = root.files.pipe(0);
  const table = new FdTable();
  const a = table.add(writer, false);
  const b = table.duplicate(a, 0, false);
  let closed = 0;
  writer.onClose('test', () => closed++);
  writer.onClose('test', () => closed++);
  table.close(a);
  expect(closed).toBe(0);
  expect(reader.file.poll() & POLLHUP).toBe(0);
  table.close(b);
  expect(closed).toBe(1);
  expect(reader.file.poll() & POLLHUP).toBe(POLLHUP);
});

test('a pipe gives an end only when all writers have gone, and EPIPE when all readers have', () => {
  const { reader, writer } = root.files.pipe(0);
  reader.acquire();
  writer.acquire();
  const woken: string[] = [];
  const waits = reader.read(new Uint8Array(4));
  expect(isWait(waits)).toBe(true);
  if (isWait(waits)) waits.on.subscribe(() => woken.push('reader'));
  expect(writer.write(bytes('hello'))).toBe(5);
  expect(woken).toEqual(['reader']);
  expect(readAll(reader, 3)).toBe('hel');
  expect(reader.file.poll() & POLLIN).toBe(POLLIN);
  writer.release();
  expect(readAll(reader)).toBe('lo');
  expect(reader.read(new Uint8Array(4))).toBe(0);
  const other = root.files.pipe(0);
  other.writer.acquire();
  other.reader.acquire();
  other.reader.release();
  expect(errorOf(() => other.writer.write(bytes('x')))).toBe('EPIPE');
  expect(other.writer.file.poll() & POLLERR).toBe(POLLERR);
});

test('a pipe that is full takes part of a long write and nothing of a short one', () => {
  const { reader, writer } = root.files.pipe(0);
  expect(writer.write(new Uint8Array(65000))).toBe(65000);
  expect(isWait(writer.write(new Uint8Array(2000)))).toBe(true);
  expect(isWait(writer.write(new Uint8Array(4096)))).toBe(true);
  // What a write has beyond whole pages goes into the last page where it fits.
  expect(writer.write(new Uint8Array(70000))).toBe(70000 % 4096);
  expect(writer.file.poll() & POLLOUT).toBe(0);
  expect(reader.read(new Uint8Array(4096))).toBe(4096);
  expect(writer.file.poll() & POLLOUT).toBe(POLLOUT);
  expect(writer.write(new Uint8Array(4096))).toBe(4096);
});

test('reading, writing and seeking a host file', () => {
  fs.writeFileSync(host('io'), '');
  const d = root.open('/io', O_RDWR);
  expect(d.write(bytes('0123456789'))).toBe(10);
  expect(d.seek(-3, SEEK_CUR)).toBe(7);
  expect(readAll(d)).toBe('789');
  expect(d.seek(2, SEEK_END)).toBe(12);
  d.write(bytes('x'));
  expect(fs.readFileSync(host('io'), 'latin1')).toBe('0123456789\0\0x');
  expect(errorOf(() => d.seek(-1, SEEK_SET))).toBe('EINVAL');
  expect(errorOf(() => d.readAt(new Uint8Array(1), -1))).toBe('EINVAL');
  d.release();
  const w = root.open('/io', O_WRONLY | O_APPEND);
  w.write(bytes('end'));
  expect(fs.readFileSync(host('io'), 'latin1').endsWith('xend')).toBe(true);
  expect(errorOf(() => w.read(new Uint8Array(1)))).toBe('EBADF');
  w.release();
});

test('pages of a file and its bytes are the same: writes, dirty pages, truncation', () => {
  fs.writeFileSync(host('mapped'), 'a'.repeat(5000));
  const d = root.open('/mapped', O_RDWR);
  const object = d.file.memoryObject?.('/mapped');
  if (object === undefined) throw new Error('no object');
  const page = (index: number) => object.frames.bytes(object.page(index) as number);
  expect(text(page(0).subarray(0, 3))).toBe('aaa');
  expect(page(1)[903]).toBe(97);
  expect(page(1)[904]).toBe(0);
  d.writeAt(bytes('BBB'), 4095);
  expect(page(0)[4095]).toBe(66);
  expect(page(1)[1]).toBe(66);
  // A shared mapping stores into the frame; read() sees it, the host's file gets it at write-back.
  page(0).set(bytes('dirty'));
  object.markDirty(0);
  const into = new Uint8Array(10);
  expect(d.readAt(into, 2)).toBe(10);
  expect(text(into)).toBe('rtyaaaaaaa');
  expect(fs.readFileSync(host('mapped'), 'latin1').startsWith('aaa')).toBe(true);
  d.file.sync?.(true);
  expect(fs.readFileSync(host('mapped'), 'latin1').startsWith('dirtya')).toBe(true);
  expect(fs.statSync(host('mapped')).size).toBe(5000);
  d.file.truncate?.(10);
  expect(object.size).toBe(10);
  expect(page(0)[10]).toBe(0);
  expect(object.page(1)).toEqual({ kind: 'beyond' });
  d.release();
});

test('two descriptions of a file, and one by another name, share its pages', () => {
  fs.writeFileSync(host('one'), 'content');
  fs.linkSync(host('one'), host('two'));
  const a = root.open('/one', O_RDONLY);
  const b = root.open('/two', O_RDWR);
  expect(a.file.memoryObject?.('/one')).toBe(b.file.memoryObject?.('/two'));
  a.release();
  b.release();
});

test('a file that the host changed is read anew at the next opening', () => {
  fs.writeFileSync(host('behind'), 'old old old');
  const a = root.open('/behind', O_RDONLY);
  const object = a.file.memoryObject?.('/behind');
  object?.page(0);
  fs.writeFileSync(host('behind'), 'new');
  const b = root.open('/behind', O_RDONLY);
  const again = b.file.memoryObject?.('/behind');
  expect(again).toBe(object);
  expect(again?.size).toBe(3);
  const frame = again?.page(0) as number;
  expect(text(root.frames.bytes(frame).subarray(0, 5))).toBe('new\0\0');
  a.release();
  b.release();
});

test('an unlinked file stays readable through its description, and is reopened without its name', () => {
  fs.writeFileSync(host('unlinked'), 'still here');
  const d = root.open('/unlinked', O_RDONLY);
  root.files.tree.root.vnode.directory?.unlink('unlinked');
  expect(readAll(d)).toBe('still here');
  expect(d.label).toBe('/unlinked (deleted)');
  expect(d.vnode.stat().nlink).toBe(0);
  const again = d.reopenable.vnode.open(O_RDONLY);
  if (isWait(again)) throw new Error('waits');
  const into = new Uint8Array(5);
  again.read(into, 0, false);
  expect(text(into)).toBe('still');
  again.close();
  d.release();
});

test('times are kept to the nanosecond although the host is told less', () => {
  fs.writeFileSync(host('times'), '');
  const { vnode } = root.resolve('/times');
  vnode.utimes({ atime_ns: 1_000_000_000_123_456_789n, mtime_ns: 1_500_000_000_987_654_321n });
  expect(root.resolve('/times').vnode.stat().mtime_ns).toBe(1_500_000_000_987_654_321n);
  vnode.utimes({ atime_ns: undefined, mtime_ns: 5n });
  expect(root.resolve('/times').vnode.stat()).toMatchObject({ atime_ns: 1_000_000_000_123_456_789n, mtime_ns: 5n });
  fs.utimesSync(host('times'), 7, 8);
  expect(root.resolve('/times').vnode.stat()).toMatchObject({ atime_ns: 7_000_000_000n, mtime_ns: 8_000_000_000n });
});

test('a directory lists what it holds once, in pieces too, and what goes meanwhile is left out', () => {
  fs.mkdirSync(host('many'));
  for (let i = 0; i < 300; i++) fs.writeFileSync(host(`many/f${i}`), '');
  const d = root.open('/many', O_RDONLY);
  const names: string[] = [];
  for (let round = 0; round < 1000; round++) {
    const before = names.length;
    let taken = 0;
    for (const entry of d.entries()) {
      if (taken++ === 7) break;
      names.push(entry.name);
      d.position = entry.next;
      if (entry.name !== '.' && entry.name !== '..') fs.rmSync(host(`many/${entry.name}`));
    }
    if (names.length === before) break;
  }
  expect(names.length).toBe(302);
  expect(new Set(names).size).toBe(302);
  d.position = 0;
  expect([...d.entries()].map((entry) => entry.name)).toEqual(['.', '..']);
  d.release();
});

test('fifos of the host wait for a writer and end when it has gone', () => {
  mkfifo(path.join(root.directory, 'fifo'), 0o600);
  const reader = root.open('/fifo', O_RDONLY);
  expect(isWait(reader.read(new Uint8Array(4)))).toBe(true);
  const writer = root.open('/fifo', O_WRONLY);
  writer.write(bytes('abc'));
  expect(readAll(reader)).toBe('abc');
  expect(isWait(reader.read(new Uint8Array(4)))).toBe(true);
  writer.release();
  expect(reader.read(new Uint8Array(4))).toBe(0);
  reader.release();
  expect(isWait(root.resolve('/fifo').vnode.open(O_WRONLY))).toBe(true);
});

test('fifos that guests make have both their ends in the machine', () => {
  root.files.tree.root.vnode.directory?.mknod('own', 0o10600, 0);
  expect(fs.lstatSync(path.join(root.directory, 'own')).isFIFO()).toBe(true);
  const [reader, other, writer] = [O_RDONLY, O_RDONLY, O_WRONLY].map((flags) => root.open('/own', flags));
  writer.write(bytes('abc'));
  expect(reader.file.poll() & other.file.poll() & POLLIN).toBe(POLLIN);
  expect(readAll(other)).toBe('abc');
  for (const end of [reader, other, writer]) end.release();
});

test('memory files have names, links, directories and pages', () => {
  let clock = 0n;
  const system = new MemFileSystem({ device: 8, now_ns: () => ++clock });
  const { root: top } = system;
  const { file } = top.create('f', 0o640);
  expect(file.write(bytes('hello'), 3, false)).toBe(5);
  expect(top.lookup('f')?.stat()).toMatchObject({ size: 8, mode: 0o100640, nlink: 1 });
  top.link('g', top.lookup('f') as never);
  top.mkdir('d', 0o755);
  expect(top.stat().nlink).toBe(3);
  const into = new Uint8Array(20);
  expect(file.read(into, 2, false)).toBe(6);
  expect(text(into.subarray(0, 6))).toBe('\0hello');
  expect(errorOf(() => top.rmdir('f'))).toBe('ENOTDIR');
  expect(errorOf(() => top.unlink('d'))).toBe('EISDIR');
  expect(errorOf(() => top.mkdir('g', 0))).toBe('EEXIST');
  top.rename('g', top, 'f', 0);
  expect([...top.names()].sort()).toEqual(['d', 'f', 'g']);
  top.rename('g', top.lookup('d')?.directory as never, 'moved', 0);
  expect(errorOf(() => top.rmdir('d'))).toBe('ENOTEMPTY');
  expect(errorOf(() => file.write(bytes('x'), 2 ** 40, false))).toBe('EFBIG');
});

test('the pages of a nameless memory file go with its last opening', () => {
  const before = root.frames.inUse;
  const d = root.files.memoryFile('name');
  d.acquire();
  d.write(new Uint8Array(20000).fill(1));
  expect(root.frames.inUse).toBe(before + 5);
  const object = d.file.memoryObject?.('name');
  expect(object?.size).toBe(20000);
  d.release();
  expect(root.frames.inUse).toBe(before);
});

test('byte-range locks bind other owners, split, and are given back whole', () => {
  const locks = new LockTable();
  const [mine, theirs] = [{}, {}];
  expect(locks.set('k', mine, F_WRLCK, { start: 0n, end: 100n }, 1)).toBe(true);
  expect(locks.set('k', theirs, F_RDLCK, { start: 50n, end: 60n }, 2)).toBe(false);
  expect(locks.set('k', mine, F_UNLCK, { start: 40n, end: 60n }, 1)).toBe(true);
  expect(locks.set('k', theirs, F_WRLCK, { start: 45n, end: 55n }, 2)).toBe(true);
  expect(locks.conflict('k', theirs, F_RDLCK, { start: 0n, end: LOCK_END })).toEqual({
    type: F_WRLCK,
    range: { start: 0n, end: 40n },
    pid: 1,
    owner: mine,
  });
  locks.releaseAll('k', mine);
  expect(locks.conflict('k', theirs, F_WRLCK, { start: 0n, end: LOCK_END })).toBeUndefined();
  expect(locks.lockWhole('k', mine, 'shared')).toBe(true);
  expect(locks.lockWhole('k', theirs, 'shared')).toBe(true);
  expect(locks.lockWhole('k', theirs, 'exclusive')).toBe(false);
});

test('opening with truncation empties the pages too', () => {
  fs.writeFileSync(host('emptied'), 'x'.repeat(100));
  const a = root.open('/emptied', O_RDONLY);
  const object = a.file.memoryObject?.('/emptied');
  object?.page(0);
  root.open('/emptied', O_RDWR | O_TRUNC).release();
  expect(object?.size).toBe(0);
  expect(object?.page(0)).toEqual({ kind: 'beyond' });
  a.release();
});

test('a new file gets exactly the mode it is given, and is not made twice', () => {
  const directory = root.files.tree.root.vnode.directory;
  directory?.create('moded', 0o666, O_RDWR | O_CREAT).file.close();
  expect(fs.statSync(host('moded')).mode & 0o7777).toBe(0o666);
  expect(errorOf(() => directory?.create('moded', 0o600, O_RDWR))).toBe('EEXIST');
  directory?.mkdir('wide', 0o1777);
  expect(fs.statSync(host('wide')).mode & 0o7777).toBe(0o1777);
});
