/** mprotect(2)'s growing areas: where PROT_GROWSDOWN and PROT_GROWSUP make a change of rights begin. */
import { EINVAL, ENOMEM, errno } from '../abi/errno.ts';
import { PROT_GROWSDOWN, PROT_GROWSUP } from '../abi/mman.ts';
import type { Addr } from '../abi/page.ts';
import { AREA_GROWS_DOWN } from './area.ts';
import type { SegmentList } from './segment.ts';

/** Where mprotect begins: `addr`, or with PROT_GROWSDOWN the bottom of the stack there. */
export function protectBase(segments: SegmentList, addr: Addr, top: Addr, grows: number): Addr {
  const first = segments.findAreaAbove(addr);
  if (first === undefined) throw errno(ENOMEM);
  if (grows === PROT_GROWSDOWN) {
    if (first.base >= top) throw errno(ENOMEM);
    if ((first.flags & AREA_GROWS_DOWN) === 0) throw errno(EINVAL);
    return first.base;
  }
  if (first.base > addr) throw errno(ENOMEM);
  if (grows === PROT_GROWSUP) throw errno(EINVAL);
  return addr;
}
