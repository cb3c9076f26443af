/** Random operations on address spaces against the model, with every invariant checked after every step. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Errno } from '../../abi/errno.ts';
import * as mman from '../../abi/mman.ts';
import { type Access, PAGE_SIZE } from '../../abi/page.ts';
import { AREA_DONT_FORK, AREA_LOCKED, AREA_WIPE_ON_FORK, objectPage } from '../../mm/area.ts';
import { PageCache } from '../../mm/cache.ts';
import { checkAccounts, checkFrames, checkInvariants } from '../../mm/check.ts';
import { FramePool } from '../../mm/frame.ts';
import { freeLazily } from '../../mm/lazy.ts';
import type { MemoryObject } from '../../mm/object.ts';
import type { Outcome } from '../../mm/outcome.ts';
import type { Pager } from '../../mm/pager.ts';
import { type LayoutName, USER_TOP } from '../../mm/placement.ts';
import { remap } from '../../mm/remap.ts';
import { AddressSpace } from '../../mm/space.ts';
import { UserMemory } from '../../mm/user.ts';
import { entriesOf, errnoOf, MapMmu, PlainArena, touch } from '../unit/mm-parts.ts';
import { type Expected, initialValue, type Mark, ModelFile, type ModelPage, ModelSpace } from './space-model.ts';

/** Places where things meet: a quiet run, the border of DATA and PRIVATE with its guard page, the lowest pages, and the program. */
const WINDOWS = [0x50000, 0x50000, 0x50000, 0x17ffa, 0x8044, 0x8050];
const STACK_LIMIT = 64 * PAGE_SIZE;

const MARKS: Readonly<Record<Mark, number>> = { locked: AREA_LOCKED, stays: AREA_DONT_FORK, wiped: AREA_WIPE_ON_FORK };
const ALL_MARKS = AREA_LOCKED | AREA_DONT_FORK | AREA_WIPE_ON_FORK;

type Kind = 'anonymous' | 'shared' | 'file' | 'read-only file' | 'shared file';
type Op =
  | { op: 'map'; at: number; count: number; prot: number; kind: Kind; offset: number; fixed: boolean }
  | { op: 'unmap' | 'discard'; at: number; count: number }
  | { op: 'protect'; at: number; count: number; prot: number }
  | { op: 'touch'; at: number; access: Access; value: number }
  | { op: 'copyOut'; at: number; count: number; value: number }
  | { op: 'remap'; at: number; oldCount: number; newCount: number; to: number; flags: number }
  | { op: 'brk'; by: number }
  | { op: 'stack'; depth: number; value: number }
  | { op: 'mark'; at: number; count: number; mark: Mark; on: boolean }
  | { op: 'giveUp'; at: number; count: number; value: number; locks: boolean; wanted: boolean }
  | { op: 'fork' | 'release' | 'clear' | 'writeBack' | 'reclaim' | 'pressure' }
  | { op: 'truncate'; pages: number };
type Step = Op & { space: number; file: number };

const page = fc.tuple(fc.constantFrom(...WINDOWS), fc.integer({ min: 0, max: 9 })).map(([window, i]) => window + i);
const count = fc.integer({ min: 1, max: 7 });
const prot = fc.constantFrom(0, 1, 2, 3, 3, 3, 5, 7, 7);
const value = fc.integer({ min: 1, max: 255 });
const kind = fc.constantFrom<Kind>('anonymous', 'anonymous', 'shared', 'file', 'read-only file', 'shared file');
const only = <K extends Op['op']>(op: K) => ({ op: fc.constant(op) });
const anyOp: fc.Arbitrary<Op> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ ...only('map'), at: page, count, prot, kind, offset: fc.integer({ min: 0, max: 6 }), fixed: fc.boolean() }),
  },
  { weight: 3, arbitrary: fc.record({ ...only('unmap'), at: page, count }) },
  { weight: 1, arbitrary: fc.record({ ...only('discard'), at: page, count }) },
  {
    weight: 3,
    arbitrary: fc.record({ ...only('mark'), at: page, count, mark: fc.constantFrom<Mark>('locked', 'stays', 'wiped'), on: fc.boolean() }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ ...only('giveUp'), at: page, count, value, locks: fc.boolean(), wanted: fc.boolean() }),
  },
  { weight: 3, arbitrary: fc.record({ ...only('pressure') }) },
  { weight: 4, arbitrary: fc.record({ ...only('protect'), at: page, count, prot }) },
  {
    weight: 12,
    arbitrary: fc.record({ ...only('touch'), at: page, access: fc.constantFrom<Access>('read', 'write', 'write', 'fetch'), value }),
  },
  { weight: 3, arbitrary: fc.record({ ...only('copyOut'), at: page, count, value }) },
  {
    weight: 2,
    arbitrary: fc.record({ ...only('remap'), at: page, oldCount: count, newCount: count, to: page, flags: fc.constantFrom(0, 1, 3, 5, 7) }),
  },
  { weight: 2, arbitrary: fc.record({ ...only('brk'), by: fc.integer({ min: -5 * PAGE_SIZE, max: 7 * PAGE_SIZE }) }) },
  { weight: 2, arbitrary: fc.record({ ...only('stack'), depth: fc.integer({ min: 1, max: 70 }), value }) },
  {
    weight: 1,
    arbitrary: fc.record({ op: fc.constantFrom('release' as const, 'writeBack' as const, 'reclaim' as const, 'clear' as const) }),
  },
  { weight: 2, arbitrary: fc.record({ ...only('fork') }) },
  { weight: 1, arbitrary: fc.record({ ...only('truncate'), pages: fc.integer({ min: 0, max: 8 }) }) },
);
const step: fc.Arbitrary<Step> = fc.tuple(anyOp, fc.nat(3), fc.nat(1)).map(([op, space, file]) => ({ ...op, space, file }));

/** A file on a pretended disk: its pages are filled with one value. */
class Disk implements Pager {
  readonly name: string;
  readonly file: ModelFile;
  readonly stored = new Map<number, Uint8Array>();

  constructor(file: ModelFile) {
    this.file = file;
    this.name = `/disk/${file.id}`;
    for (let index = 0; index < file.pages; index++) this.stored.set(index, new Uint8Array(PAGE_SIZE).fill(initialValue(file.id, index)));
  }
  pageIn(index: number, into: Uint8Array): undefined {
    expect(into.every((byte) => byte === 0)).toBe(true);
    const bytes = this.stored.get(index);
    if (bytes !== undefined) into.set(bytes);
  }
  pageOut(index: number, from: Uint8Array): undefined {
    this.stored.set(index, from.slice());
  }
  release(): void {}
}

class Pair {
  readonly real: AddressSpace;
  readonly model: ModelSpace;
  constructor(real: AddressSpace, model: ModelSpace) {
    this.real = real;
    this.model = model;
  }
}

class Run {
  readonly frames: FramePool;
  readonly cache: PageCache<number>;
  readonly layout: LayoutName;
  readonly limited: boolean;
  readonly files = [new ModelFile(0, 5), new ModelFile(1, 3)];
  readonly disks = this.files.map((file) => new Disk(file));
  /** Objects of shared anonymous mappings, to their models. */
  readonly anonymous = new Map<MemoryObject, ModelFile>();
  readonly pairs: Pair[] = [];

  constructor(layout: LayoutName, limit: number | undefined) {
    this.layout = layout;
    this.limited = limit !== undefined;
    this.frames = new FramePool({ arena: new PlainArena(), limit });
    this.cache = new PageCache(this.frames);
    this.start();
  }

  start(): void {
    const limits = { as: Number.POSITIVE_INFINITY, data: Number.POSITIVE_INFINITY, stack: STACK_LIMIT };
    const real = new AddressSpace({ mmu: new MapMmu(), frames: this.frames, layout: this.layout, limits });
    this.pairs.push(this.prepare(real));
  }

  /** Heap and stack as after exec. */
  prepare(real: AddressSpace): Pair {
    const model = new ModelSpace();
    real.startBrk(0x8050 * PAGE_SIZE + 100);
    model.brkStart = model.brkTop = real.brkStart;
    const { base, top } = real.mapStack();
    model.stackPage = base / PAGE_SIZE;
    model.map(model.stackPage, (top - base) / PAGE_SIZE, () => ({ ...anonymousPage(3), grows: true }));
    return new Pair(real, model);
  }

  object(file: number): MemoryObject {
    const disk = this.disks[file];
    return this.cache.object(file, () => ({ pager: disk, size: this.files[file].pages * PAGE_SIZE }));
  }

  do(step: Step): void {
    const pair = this.pairs[step.space % this.pairs.length];
    this.perform(step, pair);
    for (const { real } of this.pairs) checkInvariants(real, entriesOf(real));
    const spaces = this.pairs.map(({ real }) => real);
    const objects = [0, 1].flatMap((file) => this.cache.peek(file) ?? []);
    this.checkMarks();
    checkFrames(this.frames, spaces, objects);
    checkAccounts(this.frames, spaces, objects);
  }

  /** What is said of a page is what its area says, and what is locked is there. */
  checkMarks(): void {
    for (const { real, model } of this.pairs) {
      for (const [page, at] of model.pages) {
        const flags = (real.find(page * PAGE_SIZE)?.flags ?? 0) & ALL_MARKS;
        const said =
          (at.locked === true ? MARKS.locked : 0) | (at.stays === true ? MARKS.stays : 0) | (at.wiped === true ? MARKS.wiped : 0);
        if (flags !== said) expect({ page, flags }).toEqual({ page, flags: said });
        if (at.given === true && at.locked === true && real.copies.get(page) < 0) expect(`locked page ${page}`).toBe('there');
      }
    }
  }

  perform(step: Step, pair: Pair): void {
    const { real, model } = pair;
    switch (step.op) {
      case 'map':
        return this.map(step, pair);
      case 'unmap':
        real.unmap(step.at * PAGE_SIZE, step.count * PAGE_SIZE - 1);
        return model.unmap(step.at, step.count);
      case 'discard':
        real.discard({ base: step.at * PAGE_SIZE, top: (step.at + step.count) * PAGE_SIZE });
        for (let i = 0; i < step.count; i++) {
          const at = model.get(step.at + i);
          if (at !== undefined) Object.assign(at, { own: undefined, given: false });
        }
        return;
      case 'mark':
        return this.mark(step, pair);
      case 'giveUp':
        return this.giveUp(step, pair);
      case 'pressure':
        return this.pressure();
      case 'protect':
        expect(errnoOf(() => real.protect(step.at * PAGE_SIZE, step.count * PAGE_SIZE, step.prot))).toBe(
          model.protect(step.at, step.count, step.prot),
        );
        return;
      case 'touch':
        return this.touch(pair, step.at, step.access, step.value);
      case 'copyOut':
        return this.copyOut(pair, step.at, step.count, step.value);
      case 'remap':
        return this.remap(step, pair);
      case 'brk':
        return this.brk(pair, step.by);
      case 'stack':
        return this.stack(pair, step.depth, step.value);
      case 'fork':
        if (this.pairs.length < 4) this.pairs.push(new Pair(real.fork(new MapMmu()), model.fork()));
        return;
      case 'release':
        if (this.pairs.length === 1) return;
        real.release();
        this.pairs.splice(this.pairs.indexOf(pair), 1);
        return;
      case 'clear':
        real.clear();
        this.pairs[this.pairs.indexOf(pair)] = this.prepare(real);
        return;
      case 'writeBack':
        expect(this.cache.writeBack()).toBe(0);
        return;
      case 'reclaim':
        this.cache.reclaim(2);
        return;
      case 'truncate':
        return this.truncate(step.file, step.pages);
    }
  }

  map(step: Step & { op: 'map' }, { real, model }: Pair): void {
    const shared = step.kind === 'shared' || step.kind === 'shared file' || step.kind === 'read-only file';
    const anonymous = step.kind === 'anonymous' || step.kind === 'shared';
    const maxProt = step.kind === 'read-only file' ? 5 : 7;
    const prot = step.prot & maxProt;
    const flags = (shared ? 1 : 2) | (anonymous ? mman.MAP_ANONYMOUS : 0) | (step.fixed ? mman.MAP_FIXED : 0);
    const object = anonymous ? undefined : this.object(step.file);
    const addr = real.map({
      addr: step.at * PAGE_SIZE,
      size: step.count * PAGE_SIZE,
      prot,
      maxProt,
      flags,
      object,
      offset: anonymous ? 0 : step.offset,
    });
    const page = addr / PAGE_SIZE;
    if (step.fixed) expect(page).toBe(step.at);
    else expect(model.isFree(page, step.count)).toBe(true);
    if (!step.fixed && model.isFree(step.at, step.count)) expect(page).toBe(step.at);
    const file = step.kind === 'shared' ? new ModelFile(9, 0) : anonymous ? undefined : this.files[step.file];
    if (step.kind === 'shared' && file !== undefined) file.pages = step.count;
    model.map(page, step.count, (i) => ({
      prot,
      maxProt,
      shared,
      file,
      index: (anonymous ? 0 : step.offset) + i,
      own: undefined,
      grows: false,
    }));
  }

  mark({ at, count, mark, on }: Step & { op: 'mark' }, { real, model }: Pair): void {
    const range = { base: at * PAGE_SIZE, top: (at + count) * PAGE_SIZE };
    real.table.cutAt(range.base);
    real.table.cutAt(range.top);
    for (const area of [...real.table.in(range)]) {
      if (mark === 'wiped' && on && (area.object !== undefined || area.sharing === 'shared')) continue;
      real.table.setFlags(area, on ? area.flags | MARKS[mark] : area.flags & ~MARKS[mark]);
    }
    real.table.merge(range);
    // What went before it was locked is gone.
    for (let i = 0; i < count; i++) this.settle({ real, model }, at + i);
    model.mark(at, count, mark, on);
  }

  /** What has just been written is given up, perhaps locked, and perhaps wanted at once. */
  giveUp({ at, count, value, locks, wanted, ...rest }: Step & { op: 'giveUp' }, pair: Pair): void {
    const { real, model } = pair;
    for (let i = 0; i < count; i++) this.touch(pair, at + i, 'write', value);
    const range = { base: at * PAGE_SIZE, top: (at + count) * PAGE_SIZE };
    for (const area of [...real.table.in(range)]) {
      if (area.object !== undefined || (area.flags & AREA_LOCKED) !== 0) continue;
      freeLazily(real, { base: Math.max(area.base, range.base), top: Math.min(area.top, range.top) });
    }
    model.giveUp(at, count);
    if (locks) this.mark({ ...rest, op: 'mark', at, count, mark: 'locked', on: true }, pair);
    if (wanted) this.pressure();
  }

  /** Somebody wants a frame and there is none: what was given up goes, but not what is locked. */
  pressure(): void {
    const { limit } = this.frames;
    this.frames.limit = 0;
    // Pages of files go first.
    for (let i = 0; i < 4; i++) {
      const frame = this.frames.allocate();
      if (frame >= 0) this.frames.free(frame);
    }
    this.frames.limit = limit;
  }

  /** A page that was given up and not locked shows zero when it has gone. */
  settle({ real, model }: Pair, page: number): void {
    const at = model.get(page);
    if (at?.given === true && real.copies.get(page) < 0) {
      model.gone(page);
    }
  }

  touch({ real, model }: Pair, page: number, access: Access, value: number): void {
    this.settle({ real, model }, page);
    const before = undo(model, page);
    const expected = model.touch(page, access, value);
    const got = outcomeName(touch(real, page * PAGE_SIZE, access, access === 'write' ? value : undefined));
    if (got === 'KILL' && this.limited) return before();
    expect(got).toBe(expected);
  }

  copyOut({ real, model }: Pair, page: number, count: number, value: number): void {
    const user = new UserMemory(real);
    const bytes = new Uint8Array(count * PAGE_SIZE).fill(value);
    let got: number;
    try {
      got = user.copyOut(page * PAGE_SIZE, bytes);
    } catch (thrown) {
      // Out of frames somewhere on the way: find out how far it came by what can be read.
      if (!(thrown instanceof Errno) || !this.limited) throw thrown;
      return this.adopt({ real, model }, page, count, value);
    }
    let expected = 0;
    while (expected < count && typeof model.touch(page + expected, 'write', value) === 'number') expected++;
    expect(got).toBe(expected * PAGE_SIZE);
  }

  /** After a copy that ran out of frames: pages were written from the first on, up to some page. */
  adopt({ real, model }: Pair, page: number, count: number, value: number): void {
    for (let i = 0; i < count && this.peek(real, page + i) === value; i++) model.touch(page + i, 'write', value);
  }

  /** What a page shows, without touching it. */
  peek(real: AddressSpace, page: number): number | undefined {
    const { bytes } = this.frames.arena;
    const area = real.find(page * PAGE_SIZE);
    const own = real.copies.get(page);
    if (own >= 0) return bytes[own * PAGE_SIZE];
    if (area?.object === undefined) return undefined;
    const index = objectPage(area, page * PAGE_SIZE);
    const frame = area.object.pages.get(index);
    if (frame >= 0) return bytes[frame * PAGE_SIZE];
    return area.object.pager instanceof Disk ? area.object.pager.stored.get(index)?.[0] : undefined;
  }

  remap(step: Step & { op: 'remap' }, { real, model }: Pair): void {
    const { at, oldCount, newCount, to, flags } = step;
    const grows = Array.from({ length: oldCount }, (_, i) => model.get(at + i)?.grows === true).includes(true);
    const old = Array.from({ length: oldCount }, (_, i) => model.get(at + i));
    const kept = (flags & mman.MREMAP_DONTUNMAP) !== 0 ? this.areasIn(real, at, oldCount) : [];
    const whole = (flags & mman.MREMAP_FIXED) !== 0 && oldCount === newCount;
    let addr: number;
    try {
      addr = remap(real, {
        addr: at * PAGE_SIZE,
        oldSize: oldCount * PAGE_SIZE,
        newSize: newCount * PAGE_SIZE,
        flags,
        newAddr: to * PAGE_SIZE,
      });
    } catch (thrown) {
      if (!(thrown instanceof Errno)) throw thrown;
      // What Linux undoes beforehand stays undone: the target of a fixed move, and what a shrinking move cuts off.
      if (thrown.name === 'EFAULT' || thrown.name === 'ENOMEM') this.adoptHoles({ real, model });
      return;
    }
    const page = addr / PAGE_SIZE;
    expect(grows).toBe(false);
    const locked = old.map((each) => each?.locked);
    for (const range of kept) model.mark(range.first, range.count, 'locked', false);
    if (whole) return this.moveAll(step, model, old, locked);
    if ((flags & mman.MREMAP_FIXED) !== 0) model.unmap(to, newCount);
    if (page !== at && (flags & mman.MREMAP_FIXED) === 0) expect(model.isFree(page, newCount)).toBe(true);
    const first = old[0];
    expect(first).toBeDefined();
    if (first === undefined) return;
    if (page === at && newCount <= oldCount) return model.unmap(at + newCount, oldCount - newCount);
    const empties = (flags & mman.MREMAP_DONTUNMAP) !== 0;
    if (page !== at) {
      for (let i = 0; i < oldCount; i++) {
        const was = old[i];
        if (!empties || i >= newCount) model.pages.delete(at + i);
        else if (was !== undefined && !was.shared) model.pages.set(at + i, { ...was, own: undefined, given: false });
      }
    }
    model.map(page, newCount, (i) => {
      const { own, given } = (i < oldCount ? old[i] : undefined) ?? { own: undefined, given: false };
      return { ...first, index: first.index + i, own, given, locked: locked[0] };
    });
  }

  /** A fixed move of one size takes all areas along; over holes, what is at the new place stays. */
  moveAll(
    { at, to, flags }: Step & { op: 'remap' },
    model: ModelSpace,
    old: readonly (ModelPage | undefined)[],
    locked: readonly (boolean | undefined)[],
  ): void {
    const keeps = (flags & mman.MREMAP_DONTUNMAP) !== 0;
    old.forEach((was, i) => {
      if (was === undefined) return;
      model.pages.set(to + i, { ...was, locked: locked[i] });
      if (!keeps) model.pages.delete(at + i);
      else if (!was.shared) model.pages.set(at + i, { ...was, own: undefined, given: false });
    });
  }

  /** The areas that overlap so many pages, whole. */
  areasIn(real: AddressSpace, page: number, count: number): { first: number; count: number }[] {
    const range = { base: page * PAGE_SIZE, top: (page + count) * PAGE_SIZE };
    return [...real.table.in(range)].map(({ base, top }) => ({ first: base / PAGE_SIZE, count: (top - base) / PAGE_SIZE }));
  }

  /** Takes over which pages are mapped. */
  adoptHoles({ real, model }: Pair): void {
    for (const page of [...model.pages.keys()]) if (real.find(page * PAGE_SIZE) === undefined) model.pages.delete(page);
  }

  brk({ real, model }: Pair, by: number): void {
    const wanted = model.brkTop + by;
    const oldPage = Math.ceil(model.brkTop / PAGE_SIZE);
    const newPage = Math.ceil(wanted / PAGE_SIZE);
    // What grows needs room and a page behind it; what shrinks needs some of what goes to be there still.
    const free = model.isFree(Math.min(oldPage, newPage), Math.abs(newPage - oldPage));
    const fits = wanted >= model.brkStart && (newPage > oldPage ? free && model.isFree(newPage, 1) : newPage === oldPage || !free);
    expect(real.brk(wanted)).toBe(fits ? wanted : model.brkTop);
    if (!fits) return;
    model.brkTop = wanted;
    if (newPage < oldPage) model.unmap(newPage, oldPage - newPage);
    else model.map(oldPage, newPage - oldPage, () => anonymousPage(3));
  }

  stack(pair: Pair, depth: number, value: number): void {
    const page = USER_TOP / PAGE_SIZE - depth;
    const { model } = pair;
    if (page < model.stackPage && depth * PAGE_SIZE <= STACK_LIMIT) {
      model.map(page, model.stackPage - page, () => ({ ...anonymousPage(3), grows: true }));
      model.stackPage = page;
    }
    this.touch(pair, page, 'write', value);
  }

  truncate(file: number, pages: number): void {
    const model = this.files[file];
    const disk = this.disks[file];
    model.pages = pages;
    for (const index of [...disk.stored.keys()]) if (index >= pages) disk.stored.delete(index);
    for (const index of [...model.values.keys()]) if (index >= pages) model.values.delete(index);
    for (const pair of this.pairs) pair.model.truncated(model);
    this.cache.peek(file)?.truncate(pages * PAGE_SIZE);
  }

  /** At the end every page shows what the model says, and everything can be given back. */
  finish(): void {
    for (const pair of this.pairs) for (const page of pair.model.pages.keys()) this.touch(pair, page, 'read', 0);
    for (const { real } of this.pairs) real.release();
    this.cache.writeBack();
    while (this.cache.reclaim(1000) > 0);
    expect(this.frames.inUse).toBe(0);
    expect(this.cache.size).toBe(0);
  }
}

function anonymousPage(prot: number): ModelPage {
  return { prot, maxProt: 7, shared: false, file: undefined, index: 0, own: undefined, grows: false };
}

function undo(model: ModelSpace, page: number): () => void {
  const at = model.get(page);
  const { own, given } = at ?? {};
  const shared = at?.file?.values.get(at.index);
  return () => {
    if (at === undefined) return;
    at.own = own;
    at.given = given;
    if (shared === undefined) at.file?.values.delete(at.index);
    else at.file?.values.set(at.index, shared);
  };
}

function outcomeName(got: number | Outcome): Expected | 'KILL' | 'wait' {
  if (typeof got === 'number') return got;
  if (got.kind !== 'signal') return 'wait';
  if (got.signo === 9) return 'KILL';
  if (got.signo === 7) return 'BUS';
  return got.code === 1 ? 'MAPERR' : 'ACCERR';
}

for (const layout of ['linuxemu', 'linux'] as const) {
  for (const limit of [undefined, 12]) {
    test(`random operations agree with the page model (${layout} layout, ${limit ?? 'unlimited'} frames)`, {
      timeout: 300_000,
    }, async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 100, size: 'max' }), async (steps) => {
          // The test runner wants to hear from us now and then.
          await new Promise((resolve) => setImmediate(resolve));
          const run = new Run(layout, limit);
          for (const each of steps) run.do(each);
          run.finish();
        }),
        { numRuns: Number(process.env['MODEL_RUNS'] ?? 200) },
      );
    });
  }
}
