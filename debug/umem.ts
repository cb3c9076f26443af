/** The memory map as linuxemu's acid function umem prints it, and as data. */
import { PAGE_SIZE } from '../abi/page.ts';
import type { Area } from '../mm/area.ts';
import { ANONYMOUS } from '../mm/pager.ts';
import type { AddressSpace } from '../mm/space.ts';
import { type AreaKind, kindOf, type PageRun, pageRuns } from './pages.ts';

/** One area. Addresses, offset and sizes are in bytes. */
export interface UmemEntry {
  /** Number of address spaces that share the object's mapping; 1 when alone. */
  readonly refs: number;
  readonly base: number;
  /** Exclusive. */
  readonly top: number;
  /** Offset in the file; undefined for anonymous memory. */
  readonly offset?: number;
  /** What is mapped; undefined for anonymous memory. */
  readonly path?: string;
  /** PROT_ bits. */
  readonly prot: number;
  readonly sharing: 'private' | 'shared';
  /** The segment it lies in. */
  readonly segment: string;
  /** Pages the area holds of its own, and pages of its object in memory that it shows. */
  readonly ownPages: number;
  readonly objectPages: number;
  /** What the area is for, and its pages in memory. */
  readonly kind: AreaKind;
  readonly pages: readonly PageRun[];
}

/** One line an area, ascending; the text is a stable format. */
export function umemText(space: AddressSpace): string {
  return umem(space)
    .map((entry) => `${umemLine(entry)}\n`)
    .join('');
}

export function umem(space: AddressSpace): UmemEntry[] {
  return space.segments.all.flatMap((segment) => [...segment.areas].map((area) => entryOf(space, area, segment.kind)));
}

export function umemLine(entry: UmemEntry): string {
  const what = entry.path === undefined ? ANONYMOUS : `0x${hex8(entry.offset ?? 0)}@${entry.path}`;
  return `${entry.refs} 0x${hex8(entry.base)}-0x${hex8(entry.top)} ${what}`;
}

function entryOf(space: AddressSpace, area: Area, segment: string): UmemEntry {
  const { base, top, prot, sharing, object } = area;
  const path = area.name !== '' ? area.name : object === undefined || object.name === ANONYMOUS ? undefined : object.name;
  const ownPages = space.copies.count(base / PAGE_SIZE, top / PAGE_SIZE);
  return {
    refs: sharers(area),
    base,
    top,
    ...(path === undefined ? {} : { offset: area.offset * PAGE_SIZE, path }),
    prot,
    sharing,
    segment,
    ownPages,
    objectPages: object === undefined ? 0 : shownPages(space, area),
    kind: kindOf(space, area),
    pages: pageRuns(space, area),
  };
}

/** Pages of the object in memory that the area shows, where it has none of its own. */
function shownPages(space: AddressSpace, area: Area): number {
  let shown = 0;
  const first = area.base / PAGE_SIZE;
  area.object?.pages.forEach(area.offset, area.offset + (area.top - area.base) / PAGE_SIZE, (index) => {
    if (space.copies.get(first + index - area.offset) < 0) shown++;
  });
  return shown;
}

/** How many address spaces map a page of the object that this area maps. */
export function sharers(area: Area): number {
  if (area.object === undefined) return 1;
  const spaces = new Set<unknown>();
  const end = area.offset + (area.top - area.base) / PAGE_SIZE;
  area.object.forEachMapped(area.offset, end, (mapping) => spaces.add(mapping.space));
  return spaces.size;
}

/** Eight hexadecimal digits, more where the number needs them. */
export function hex8(value: number): string {
  return value.toString(16).padStart(8, '0');
}
