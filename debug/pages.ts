/** Which pages of an area are in memory, and as what: data for the picture, for JSON, and for comparing two dumps. */
import { PAGE_SIZE } from '../abi/page.ts';
import type { Area } from '../mm/area.ts';
import { ANONYMOUS } from '../mm/pager.ts';
import type { AddressSpace } from '../mm/space.ts';

/**
 * cached: of the object, in memory, but the program has not reached it; clean: of the object, reached; dirty: written since it came in, or the space's own;
 * cow: the space's own and some forked space's too, copied by who writes first.
 */
export type PageState = 'cached' | 'clean' | 'dirty' | 'cow';

/** Neighbours in one state: the first one's number within the area, how many, the state. Pages that are not in memory are in no run. */
export type PageRun = readonly [first: number, count: number, state: PageState];

export type AreaKind = 'text' | 'data' | 'heap' | 'anonymous' | 'file' | 'shared' | 'stack' | 'vdso';

/** Ascending. */
export function pageRuns(space: AddressSpace, area: Area): PageRun[] {
  const { copies, frames, mmu } = space;
  const first = area.base / PAGE_SIZE;
  const pages = (area.top - area.base) / PAGE_SIZE;
  const states = new Map<number, PageState>();
  area.object?.pages.forEach(area.offset, area.offset + pages, (index) => {
    const page = index - area.offset;
    const reached = mmu.translate((first + page) * PAGE_SIZE, 1) >= 0;
    states.set(page, area.sharing === 'shared' && area.object?.isDirty(index) ? 'dirty' : reached ? 'clean' : 'cached');
  });
  if (area.sharing === 'private')
    copies.forEach(first, first + pages, (page, frame) => states.set(page - first, frames.count(frame) > 1 ? 'cow' : 'dirty'));
  const runs: [number, number, PageState][] = [];
  for (const [page, state] of [...states].sort(([a], [b]) => a - b)) {
    const last = runs.at(-1);
    if (last !== undefined && last[0] + last[1] === page && last[2] === state) last[1]++;
    else runs.push([page, 1, state]);
  }
  return runs;
}

/** What an area is for. */
export function kindOf(space: AddressSpace, area: Area): AreaKind {
  const { object, name } = area;
  if (name === '[vdso]' || name === '[vvar]' || object?.name === '[vdso]') return 'vdso';
  if (space.stackTop !== 0 && area.base < space.stackTop && area.top >= space.stackTop) return 'stack';
  if (area.sharing === 'shared') return 'shared';
  if (object === undefined || object.name === ANONYMOUS)
    return area.top <= Math.ceil(space.brkTop / PAGE_SIZE) * PAGE_SIZE ? 'heap' : 'anonymous';
  if ((area.prot & 4) !== 0) return 'text';
  return (area.prot & 2) !== 0 ? 'data' : 'file';
}
