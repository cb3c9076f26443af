/** What each area does on fork, as one switch. */
import { AREA_DONT_FORK, AREA_WIPE_ON_FORK, type Area } from './area.ts';

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
