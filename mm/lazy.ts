/** madvise(MADV_FREE): pages that are given up and stay, content and all, until frames are short. Whoever writes one again keeps it (fault.ts). */
import { PAGE_SIZE, type Range } from '../abi/page.ts';
import { AREA_LOCKED } from './area.ts';
import { LAZY } from './page-map.ts';
import { USER_TOP } from './placement.ts';
import type { AddressSpace } from './space.ts';

/** Gives up the pages in `range` that the space alone holds; one shared with another space is nobody's to give up (Linux madvise_free_pte_range). */
export function freeLazily(space: AddressSpace, range: Range): void {
  const { copies, frames } = space;
  let given = 0;
  copies.forEach(range.base / PAGE_SIZE, range.top / PAGE_SIZE, (page, frame) => {
    if (frames.count(frame) > 1) return;
    copies.mark(page, LAZY);
    given++;
  });
  if (given === 0) return;
  // The next store must be noticed.
  space.mmu.writeProtect(range);
  space.setLazyReclaimer(() => reclaim(space));
}

/** Takes every page away that is still given up, and returns how many frames that freed. */
function reclaim(space: AddressSpace): number {
  const { copies, frames, mmu } = space;
  let freed = 0;
  let kept = 0;
  copies.forEach(0, USER_TOP / PAGE_SIZE, (page, frame) => {
    if (!copies.marked(page, LAZY)) return;
    const at = page * PAGE_SIZE;
    const locked = ((space.find(at)?.flags ?? 0) & AREA_LOCKED) !== 0;
    if (locked || frames.count(frame) > 1) {
      kept++;
      return;
    }
    mmu.unmap({ base: at, top: at + PAGE_SIZE });
    copies.delete(page);
    frames.free(frame);
    freed++;
  });
  if (kept === 0) space.setLazyReclaimer(undefined);
  return freed;
}
