/** /proc/PID/mem, pagemap and map_files: a process's memory by address, where its pages are, and which files it shows. */
import { EINVAL, errno } from '../../abi/errno.ts';
import { PAGE_SIZE } from '../../abi/page.ts';
import { Description } from '../../fs/description.ts';
import type { ProcContent } from '../../fs/proc-node.ts';
import type { ProcJump } from '../../fs/procfs.ts';
import type { Area } from '../../mm/area.ts';
import { copyInForced, copyOutForced, movedOrFailed } from '../../mm/force.ts';
import { NO_FRAME } from '../../mm/page-map.ts';
import { USER_TOP } from '../../mm/placement.ts';
import type { AddressSpace } from '../../mm/space.ts';
import type { Task } from '../../proc/task.ts';
import { isOfFile } from '../maps.ts';
import { hex8 } from '../umem.ts';

/** Answers whether the memory that the task has now is no more: it has ended, or runs another program. */
export function watchMemory({ space }: Task): () => boolean {
  const { lives } = space;
  return () => space.lives !== lives;
}

/** The memory that the process had when the file was opened; once it is gone there is nothing any more. */
export function memoryContent(task: Task): ProcContent {
  const { space } = task;
  const isGone = watchMemory(task);
  const none = (bytes: Uint8Array): boolean => isGone() || bytes.length === 0;
  return {
    read: (into, position) => (none(into) ? 0 : movedOrFailed(copyInForced(space, position, into), into.length)),
    write: (from, position) => (none(from) ? 0 : movedOrFailed(copyOutForced(space, position, from), from.length)),
  };
}

const ENTRY_SIZE = 8;
/** Bits of an entry's upper word: in memory, of a file or shared, mapped once, written since clear_refs. */
const PRESENT = 2 ** 31,
  FILE = 2 ** 29,
  EXCLUSIVE = 2 ** 24,
  SOFT_DIRTY = 2 ** 23;

/** `showsFrames`: the opener is privileged and learns frame numbers, counted from the start of the machine's memory. */
export function pagemapContent(task: Task, showsFrames: boolean): ProcContent {
  const { space } = task;
  const isGone = watchMemory(task);
  return {
    read: (into, position) => {
      if (position % ENTRY_SIZE !== 0 || into.length % ENTRY_SIZE !== 0) throw errno(EINVAL);
      if (isGone()) return 0;
      const first = position / ENTRY_SIZE;
      const count = Math.max(0, Math.min(into.length / ENTRY_SIZE, USER_TOP / PAGE_SIZE - first));
      const words = new DataView(into.buffer, into.byteOffset, count * ENTRY_SIZE);
      new Uint8Array(words.buffer, words.byteOffset, words.byteLength).fill(0);
      forEachPage(space, first, count, (page, frame, bits) => {
        const at = (page - first) * ENTRY_SIZE;
        words.setUint32(at, showsFrames ? frame : 0, true);
        words.setUint32(at + 4, bits, true);
      });
      addSoftDirty(space, first, words);
      return count * ENTRY_SIZE;
    },
  };
}

/** Calls `visit` for every page in memory among `count` from page number `first` on. Costs what is there. */
function forEachPage(space: AddressSpace, first: number, count: number, visit: (page: number, frame: number, bits: number) => void): void {
  const range = { base: first * PAGE_SIZE, top: (first + count) * PAGE_SIZE };
  const { copies, frames } = space;
  let area: Area | undefined;
  space.mmu.present(range, (at, frame) => {
    if (area === undefined || at >= area.top) area = space.find(at);
    if (area === undefined) return;
    const page = at / PAGE_SIZE;
    if (area.object === undefined || (area.sharing === 'private' && copies.get(page) === frame)) visit(page, frame, PRESENT);
    else visit(page, frame, PRESENT + FILE + (isSeenOnce(area, page) ? EXCLUSIVE : 0));
  });
  // Pages of its own are its own whether or not the MMU reaches them at the moment.
  copies.forEach(first, first + count, (page, frame) => {
    if (frame !== NO_FRAME) visit(page, frame, PRESENT + (frames.count(frame) === 1 ? EXCLUSIVE : 0));
  });
}

/** Pages that are not in memory have the bit too, where they are mapped. */
function addSoftDirty({ softDirty, table }: AddressSpace, first: number, words: DataView): void {
  const count = words.byteLength / ENTRY_SIZE;
  if (softDirty === undefined) return;
  for (const area of table.in({ base: first * PAGE_SIZE, top: (first + count) * PAGE_SIZE })) {
    const last = Math.min(area.top / PAGE_SIZE, first + count);
    for (let page = Math.max(area.base / PAGE_SIZE, first); page < last; page++) {
      if (!softDirty.has(page * PAGE_SIZE)) continue;
      const at = (page - first) * ENTRY_SIZE + 4;
      words.setUint32(at, words.getUint32(at, true) + SOFT_DIRTY, true);
    }
  }
}

/** Whether no other mapping reaches the page of the object. */
function isSeenOnce(area: Area, page: number): boolean {
  const { object } = area;
  if (object === undefined) return false;
  if (object.areas.size === 1) return true;
  const index = area.offset + page - area.base / PAGE_SIZE;
  const frame = object.pages.get(index);
  let seen = 0;
  object.forEachMapped(index, index + 1, (mapping, range) => {
    if (Math.floor(mapping.space.mmu.translate(range.base, 1) / PAGE_SIZE) === frame) seen++;
  });
  return seen <= 1;
}

// ---- map_files -------------------------------------------------------------------------------------------------------------------------

function isOfNamedFile(area: Area): boolean {
  return area.name === '' && isOfFile(area);
}

export function* mappedFiles(space: AddressSpace): Generator<string> {
  for (const area of space.areas()) if (isOfNamedFile(area)) yield rangeName(area);
}

/** The file mapped at exactly this range. */
export function mappedFile({ space, fs }: Task, range: string): ProcJump | undefined {
  const match = /^([0-9a-f]{1,8})-([0-9a-f]{1,8})$/.exec(range);
  const area = match === null ? undefined : space.find(Number.parseInt(match[1], 16));
  if (area === undefined || !isOfNamedFile(area) || rangeName(area) !== range) return undefined;
  const target = area.file?.label ?? area.object?.name ?? '';
  if (area.file instanceof Description) return { target, place: area.file.reopenable };
  return { target, place: fs.tree.walk({ root: fs.tree.root, cwd: fs.tree.root }, target).place };
}

function rangeName({ base, top }: Area): string {
  return `${hex8(base).replace(/^0+(?=.)/, '')}-${hex8(top).replace(/^0+(?=.)/, '')}`;
}
