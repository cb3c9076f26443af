/** System calls' way into the guest's memory. */
import { expect, test } from 'vitest';
import * as mman from '../../abi/mman.ts';
import { PAGE_SIZE } from '../../abi/page.ts';
import { FramePool } from '../../mm/frame.ts';
import { MemoryObject } from '../../mm/object.ts';
import { ZeroPager } from '../../mm/pager.ts';
import { MustWait, UserMemory } from '../../mm/user.ts';
import { errnoOf, makeSpace, PlainArena } from './mm-parts.ts';

const ANON = mman.MAP_PRIVATE | mman.MAP_ANONYMOUS | mman.MAP_FIXED;
const AT = 0x50000000;

/** Two writable pages, one read-only, then nothing. */
function memory(arena = new PlainArena()): UserMemory {
  const space = makeSpace({ frames: new FramePool({ arena }) });
  space.map({ addr: AT, size: 2 * PAGE_SIZE, prot: 3, flags: ANON });
  space.map({ addr: AT + 2 * PAGE_SIZE, size: PAGE_SIZE, prot: 1, flags: ANON });
  return new UserMemory(space);
}

test('numbers of every width go in and come out, also across a page end', () => {
  const user = memory();
  for (const addr of [AT, AT + 1, AT + PAGE_SIZE - 1, AT + PAGE_SIZE - 3]) {
    user.writeU8(addr, 0x1ff);
    expect(user.readU8(addr)).toBe(0xff);
    user.writeU16(addr, 0x1fffe);
    expect(user.readU16(addr)).toBe(0xfffe);
    user.writeU32(addr, -2);
    expect(user.readU32(addr)).toBe(0xfffffffe);
    expect(user.readI32(addr)).toBe(-2);
    user.writeU64(addr, -3n);
    expect(user.readU64(addr)).toBe(2n ** 64n - 3n);
    expect(user.readI64(addr)).toBe(-3n);
  }
});

test('addresses are taken modulo 2^32', () => {
  const user = memory();
  user.writeU32(AT, 5);
  expect(user.readU32(AT - 2 ** 32)).toBe(5);
  expect(errnoOf(() => user.readU32(0xfffffffe))).toBe('EFAULT');
  expect(user.copyIn(0xffffffff, new Uint8Array(8))).toBe(0);
});

test('bytes are transferred up to the first that cannot be reached', () => {
  const user = memory();
  const bytes = Uint8Array.from({ length: 3 * PAGE_SIZE }, (_, i) => i % 251);
  expect(user.copyOut(AT + 10, bytes)).toBe(2 * PAGE_SIZE - 10);
  const back = new Uint8Array(4 * PAGE_SIZE);
  expect(user.copyIn(AT + 10, back)).toBe(3 * PAGE_SIZE - 10);
  expect(back.subarray(0, 2 * PAGE_SIZE - 10)).toEqual(bytes.subarray(0, 2 * PAGE_SIZE - 10));
  expect(errnoOf(() => user.read(AT, 3 * PAGE_SIZE))).toBe('none');
  expect(errnoOf(() => user.read(AT, 3 * PAGE_SIZE + 1))).toBe('EFAULT');
  expect(errnoOf(() => user.write(AT, bytes))).toBe('EFAULT');
  expect(user.zero(AT, 3 * PAGE_SIZE)).toBe(2 * PAGE_SIZE);
  expect(user.readU8(AT + 2 * PAGE_SIZE - 1)).toBe(0);
  expect(user.probe(AT + 5, 3 * PAGE_SIZE, 'read')).toBe(3 * PAGE_SIZE - 5);
  expect(user.probe(AT + 5, 3 * PAGE_SIZE, 'write')).toBe(2 * PAGE_SIZE - 5);
});

test('a number that does not fit before the fault changes nothing', () => {
  const user = memory();
  const last = AT + 2 * PAGE_SIZE - 2;
  user.writeU16(last, 0x1234);
  expect(errnoOf(() => user.writeU32(last, 0))).toBe('EFAULT');
  expect(user.readU16(last)).toBe(0x1234);
});

test('strings end at a zero, at a fault or at the limit', () => {
  const user = memory();
  user.write(AT + PAGE_SIZE - 3, Uint8Array.from([...'h\u00e9llo, world'].map((c) => c.charCodeAt(0))));
  expect(user.cstring(AT + PAGE_SIZE - 3, 100)).toBe('h\u00e9llo, world');
  expect(user.cstring(AT + PAGE_SIZE - 3, 13)).toBe('h\u00e9llo, world');
  expect(errnoOf(() => user.cstring(AT + PAGE_SIZE - 3, 12))).toBe('ENAMETOOLONG');
  expect(user.cstring(AT, 1)).toBe('');
  user.space.map({ addr: AT + 2 * PAGE_SIZE, size: PAGE_SIZE, prot: 3, flags: ANON });
  user.write(AT + 2 * PAGE_SIZE, new Uint8Array(PAGE_SIZE).fill(65));
  expect(errnoOf(() => user.cstring(AT + 2 * PAGE_SIZE, 2 * PAGE_SIZE))).toBe('EFAULT');
  expect(errnoOf(() => user.cstring(0, 10))).toBe('EFAULT');
});

test('structures are read as a copy and written whole', () => {
  const user = memory();
  user.writeStruct(AT + 6, 8, (view) => view.setUint32(4, 77, true));
  const view = user.readStruct(AT + 6, 8);
  expect(view.getUint32(4, true)).toBe(77);
  user.writeU32(AT + 10, 78);
  expect(view.getUint32(4, true)).toBe(77);
});

test('the arena hears of every frame that is written', () => {
  const arena = new PlainArena();
  const user = memory(arena);
  user.copyOut(AT, new Uint8Array(2 * PAGE_SIZE));
  expect(new Set(arena.changes).size).toBe(2);
  const before = arena.changes.length;
  user.writeU16(AT + PAGE_SIZE - 1, 7);
  expect(arena.changes.length).toBe(before + 2);
});

test('reading or writing below a stack grows it', () => {
  const user = memory();
  const { base } = user.space.mapStack();
  user.write(base - 3 * PAGE_SIZE, new Uint8Array(PAGE_SIZE).fill(1));
  expect(user.readU8(base - 3 * PAGE_SIZE)).toBe(1);
});

test('a page that must be waited for stops the call with what to wait on', () => {
  const user = memory();
  const on = { subscribe: () => () => {} };
  const pager = Object.assign(new ZeroPager('slow'), { pageIn: () => ({ kind: 'wait', on }) as const });
  const object = new MemoryObject({ frames: user.space.frames, pager, size: PAGE_SIZE });
  const at = user.space.map({ addr: 0, size: PAGE_SIZE, prot: 1, flags: mman.MAP_PRIVATE, object });
  let thrown: unknown;
  try {
    user.readU32(at);
  } catch (error) {
    thrown = error;
  }
  expect(thrown).toBeInstanceOf(MustWait);
  expect((thrown as MustWait).outcome).toEqual({ kind: 'wait', on });
});

test('running out of frames in a call is ENOMEM', () => {
  const user = new UserMemory(makeSpace({ limit: 1 }));
  user.space.map({ addr: AT, size: 2 * PAGE_SIZE, prot: 3, flags: ANON });
  expect(errnoOf(() => user.write(AT, new Uint8Array(2 * PAGE_SIZE)))).toBe('ENOMEM');
});
