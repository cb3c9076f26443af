/** /proc/PID/clear_refs: forgets which pages were touched, so that those touched from now on can be told apart. */
import { EINVAL, errno } from '../../abi/errno.ts';
import { USER_TOP } from '../../mm/placement.ts';
import { SoftDirty } from '../../mm/soft-dirty.ts';
import type { Area } from '../../mm/area.ts';
import type { Task } from '../../proc/task.ts';

/** Linux's CLEAR_REFS_: of all pages, of anonymous ones (3: those of files); the soft-dirty bits; the largest resident size. */
const ALL = 1,
  ANONYMOUS = 2,
  SOFT_DIRTY = 4,
  PEAK = 5;

/**
 * A page that the MMU does not reach has not been touched, which is what Referenced counts; so clearing is unmapping. Soft-dirty bits begin with the first
 * time they are cleared; before, pagemap shows none, as a kernel without CONFIG_MEM_SOFT_DIRTY.
 */
export function clearReferences({ space }: Task, written: string): void {
  const kind = /^\s*\d+\s*$/.test(written) ? Number(written) : 0;
  if (kind < ALL || kind > PEAK) throw errno(EINVAL);
  if (kind === SOFT_DIRTY) {
    space.softDirty = new SoftDirty();
    space.mmu.writeProtect({ base: 0, top: USER_TOP });
    return;
  }
  if (kind === PEAK) {
    space.peakResident = 0;
    return;
  }
  if (kind === ALL) {
    space.mmu.unmap({ base: 0, top: USER_TOP });
    return;
  }
  const isWanted = ({ object }: Area): boolean => (object === undefined) === (kind === ANONYMOUS);
  for (const area of space.areas()) if (isWanted(area)) space.mmu.unmap(area);
}
