/** The accounts of memory: what smaps, statm and status are made of. */
import { expect, test } from 'vitest';
import * as mman from '../../abi/mman.ts';
import { PAGE_SIZE } from '../../abi/page.ts';
import { accountArea, accountMachine, accountSpace, residentPages } from '../../mm/account.ts';
import { checkAccounts } from '../../mm/check.ts';
import { MemoryObject } from '../../mm/object.ts';
import { type Pager, ZeroPager } from '../../mm/pager.ts';
import type { AddressSpace } from '../../mm/space.ts';
import { MapMmu, makeSpace, touch } from './mm-parts.ts';

const AT = 0x5000_0000;
const ANON = mman.MAP_PRIVATE | mman.MAP_ANONYMOUS;

const disk: Pager = { name: '/disk', pageIn: () => undefined, pageOut: () => undefined, release: () => {} };

function mapped(space: AddressSpace, pages: number, flags: number, object?: MemoryObject): number {
  return space.map({ addr: AT, size: pages * PAGE_SIZE, prot: 3, flags: flags | mman.MAP_FIXED, object });
}

function account(space: AddressSpace, addr: number) {
  const area = space.find(addr);
  if (area === undefined) throw new Error('nothing is mapped there');
  return accountArea(space, area);
}

test('memory that was only read is not resident, written memory is private and dirty', () => {
  const space = makeSpace();
  mapped(space, 5, ANON);
  touch(space, AT, 'read');
  touch(space, AT + PAGE_SIZE, 'write', 1);
  expect(account(space, AT)).toMatchObject({ size: 5, resident: 1, anonymous: 1, privateDirty: 1, referenced: 1, pss_bytes: PAGE_SIZE });
  checkAccounts(space.frames, [space]);
});

test('pages of a file are resident where they can be reached, and clean until they are written', () => {
  const space = makeSpace();
  const object = new MemoryObject({ frames: space.frames, pager: disk, size: 40 * PAGE_SIZE });
  mapped(space, 40, mman.MAP_SHARED, object);
  object.page(39);
  touch(space, AT, 'read');
  touch(space, AT + PAGE_SIZE, 'write', 1);
  expect(account(space, AT)).toMatchObject({ resident: 2, file: 2, privateClean: 1, privateDirty: 1, shmem: 0 });
  expect(accountMachine(space.frames, [space])).toEqual({ anonymous: 0, file: 2, shmem: 0, cached: 1 });
  checkAccounts(space.frames, [space]);
  object.drop();
});

test('a written page of a private file mapping is anonymous', () => {
  const space = makeSpace();
  const object = new MemoryObject({ frames: space.frames, pager: disk, size: 4 * PAGE_SIZE });
  mapped(space, 4, mman.MAP_PRIVATE, object);
  touch(space, AT, 'read');
  touch(space, AT + PAGE_SIZE, 'write', 1);
  expect(residentPages(space)).toEqual({ anonymous: 1, file: 1, shmem: 0 });
  checkAccounts(space.frames, [space]);
  object.drop();
});

test('what a forked space shares counts half in each, until one writes', () => {
  const space = makeSpace();
  mapped(space, 4, ANON);
  touch(space, AT, 'write', 1);
  touch(space, AT + PAGE_SIZE, 'write', 1);
  const child = space.fork(new MapMmu());
  expect(account(child, AT)).toMatchObject({ resident: 2, sharedDirty: 2, referenced: 0, pss_bytes: PAGE_SIZE });
  touch(child, AT, 'write', 2);
  expect(account(space, AT)).toMatchObject({ sharedDirty: 1, privateDirty: 1, referenced: 2, pss_bytes: 1.5 * PAGE_SIZE });
  checkAccounts(space.frames, [space, child]);
});

test('shared anonymous memory is shmem, and shared once two spaces have touched it', () => {
  const space = makeSpace();
  mapped(space, 4, mman.MAP_SHARED | mman.MAP_ANONYMOUS);
  touch(space, AT, 'write', 1);
  const child = space.fork(new MapMmu());
  expect(account(space, AT)).toMatchObject({ shmem: 1, privateDirty: 1 });
  expect(account(child, AT)).toMatchObject({ resident: 0 });
  touch(child, AT, 'read');
  expect(account(child, AT)).toMatchObject({ shmem: 1, sharedDirty: 1, pss_bytes: PAGE_SIZE / 2, pssShmem_bytes: PAGE_SIZE / 2 });
  checkAccounts(space.frames, [space, child]);
});

test('a space has the totals of its areas, stacks and code counted apart', () => {
  const space = makeSpace();
  const memory = new MemoryObject({ frames: space.frames, pager: new ZeroPager('/memfd:x'), size: PAGE_SIZE });
  mapped(space, 1, mman.MAP_SHARED, memory);
  memory.drop();
  space.map({ addr: 0x6000_0000, size: 2 * PAGE_SIZE, prot: 5, flags: ANON | mman.MAP_FIXED });
  space.map({ addr: 0x6100_0000, size: 3 * PAGE_SIZE, prot: 3, flags: ANON | mman.MAP_FIXED | mman.MAP_LOCKED });
  touch(space, 0x6100_0000, 'write', 1);
  const { base, top } = space.mapStack();
  touch(space, AT, 'read');
  expect(accountSpace(space)).toMatchObject({
    size: 6 + (top - base) / PAGE_SIZE,
    resident: 2,
    shmem: 1,
    anonymous: 1,
    data: 3,
    stack: (top - base) / PAGE_SIZE,
    executable: 2,
    lockedSize: 3,
    locked_bytes: PAGE_SIZE,
  });
});
