/** The segments of an address space as Plan 9's /proc/N/segment lists them, and as data. */
import { PROT_WRITE } from '../abi/mman.ts';
import { ADDRESS_TOP, type Addr, pageUp } from '../abi/page.ts';
import type { Area } from '../mm/area.ts';
import { ANONYMOUS } from '../mm/pager.ts';
import type { SegmentKind } from '../mm/segment.ts';
import type { AddressSpace } from '../mm/space.ts';
import { hex8, sharers } from './umem.ts';

/** Text, Data and Bss are the program's own part; Private, Shared and Stack hold what is mapped later; Attach what was put at addresses of its own choice. */
export type SegmentClass = 'Stack' | 'Text' | 'Data' | 'Bss' | 'Private' | 'Shared' | 'Attach';

export interface SegmentEntry {
  readonly class: SegmentClass;
  readonly readOnly: boolean;
  readonly base: number;
  /** Exclusive. */
  readonly top: number;
  /** Most address spaces that share anything in it; 1 when alone. */
  readonly refs: number;
}

/** The order of lines, Plan 9's. */
const ORDER: readonly SegmentClass[] = ['Stack', 'Text', 'Data', 'Bss', 'Private', 'Shared', 'Attach'];

export function segmentsText(space: AddressSpace): string {
  return segments(space)
    .map(
      (entry) =>
        `${entry.class.padEnd(6)} ${entry.readOnly ? 'R  ' : ''}${hex8(entry.base)} ${hex8(entry.top)} ${String(entry.refs).padStart(4)}\n`,
    )
    .join('');
}

export function segments(space: AddressSpace): SegmentEntry[] {
  const dataBase = firstWritable(space);
  const found = new Map<SegmentClass, SegmentEntry>();
  for (const segment of space.segments.all) {
    for (const area of segment.areas) {
      const name = classOf(space, area, segment.kind, dataBase);
      const before = found.get(name);
      found.set(name, {
        class: name,
        readOnly: (before?.readOnly ?? true) && (area.prot & PROT_WRITE) === 0,
        base: before?.base ?? area.base,
        top: area.top,
        refs: Math.max(before?.refs ?? 1, sharers(area)),
      });
    }
  }
  return ORDER.flatMap((name) => found.get(name) ?? []);
}

/** What Plan 9 would call the segment an area belongs to. `dataBase` is where the program's first writable area begins. */
function classOf(space: AddressSpace, area: Area, kind: SegmentKind, dataBase: Addr): SegmentClass {
  if (kind !== 'ATTACHED' && area.base < pageUp(space.brkTop)) {
    if (area.object === undefined || area.object.name === ANONYMOUS) return 'Bss';
    return area.base < dataBase ? 'Text' : 'Data';
  }
  switch (kind) {
    case 'DATA':
    case 'PRIVATE':
      return 'Private';
    case 'SHARED':
      return 'Shared';
    case 'STACK':
      return 'Stack';
    case 'ATTACHED':
      return 'Attach';
    case 'WHOLE':
      if (area.base < space.stackTop && area.top >= space.stackTop) return 'Stack';
      return area.sharing === 'shared' ? 'Shared' : 'Private';
  }
}

function firstWritable(space: AddressSpace): Addr {
  for (const area of space.areas()) if ((area.prot & PROT_WRITE) !== 0 && area.object !== undefined) return area.base;
  return ADDRESS_TOP;
}
