/** What each area does on fork, as one switch. */
import { AREA_ACCOUNT, AREA_DONT_FORK, AREA_LOCKS, AREA_WIPE_ON_FORK, type Area, type AreaFields, areaPages } from './area.ts';
import type { Commitment } from './commitment.ts';

/**
 * share: the child maps the same object, and sees every later change;
 * copy: the child holds the parent's own pages too, and whoever writes first copies;
 * wipe: the child gets the area without the pages; omit: the child does not get the area.
 */
export type ForkAction = 'share' | 'copy' | 'wipe' | 'omit';

export function forkAction(area: Area): ForkAction {
  if ((area.flags & AREA_DONT_FORK) !== 0) return 'omit';
  if (area.sharing === 'shared') return 'share';
  return (area.flags & AREA_WIPE_ON_FORK) !== 0 ? 'wipe' : 'copy';
}

/** What a child's area is, for making it in the child's space: as its parent's, but for locks. */
export function childFields(space: AreaFields['space'], area: Area): AreaFields {
  const { base, top, prot, maxProt, sharing, flags, object, offset, name, file } = area;
  return { space, base, top, prot, maxProt, sharing, flags: flags & ~AREA_LOCKS, object, offset, name, file };
}

/** Whether what a child's areas promise is not too much. `allows` says so of a number of pages. */
export function mayPromiseFork(space: Forked, allows: (pages: number) => boolean): boolean {
  if (allows(space.table.promisedPages)) return true;
  const isStrict = space.frames.commitment.mode === 'strict';
  let promised = 0;
  for (const area of space.areas()) {
    if ((area.flags & AREA_ACCOUNT) === 0 || forkAction(area) === 'omit') continue;
    // Linux asks area by area, and what an earlier one was promised counts for the next.
    promised = areaPages(area) + (isStrict ? promised : 0);
    if (!allows(promised)) return false;
  }
  return true;
}

interface Forked {
  areas(): Iterable<Area>;
  readonly table: { readonly promisedPages: number };
  readonly frames: { readonly commitment: Commitment };
}
