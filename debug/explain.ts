/** One line that says why an access was refused: signal, address, access, the nearest mapping and the reason. */
import type { Access, Addr } from '../abi/page.ts';
import { BUS_ADRERR, SEGV_ACCERR, SEGV_MAPERR, SIGBUS, SIGSEGV, signalName } from '../abi/signal.ts';
import type { Area } from '../mm/area.ts';
import { protText } from '../mm/fault.ts';
import type { Outcome } from '../mm/outcome.ts';
import type { AddressSpace } from '../mm/space.ts';
import { type MapsEntry, maps } from './maps.ts';
import { hex8 } from './umem.ts';

/** Requires: `outcome` came from fault(space, ...) and the space has not changed since. `eip` is the instruction that made the access. */
export function explainFault(space: AddressSpace, outcome: Outcome & { readonly kind: 'signal' }, access: Access, eip: Addr): string {
  const { signo, code, addr, reason } = outcome;
  const doing = access === 'fetch' ? 'executing' : access === 'write' ? 'writing' : 'reading';
  const at = eip === addr ? '' : ` by the instruction at ${hex(eip)}${placeOf(space, eip)}`;
  return `${signalName(signo)}${codeName(signo, code)} ${doing} ${hex(addr)}${at}: ${reason}; ${nearest(space, addr)}`;
}

function codeName(signo: number, code: number): string {
  if (signo === SIGSEGV && code === SEGV_MAPERR) return ' (SEGV_MAPERR)';
  if (signo === SIGSEGV && code === SEGV_ACCERR) return ' (SEGV_ACCERR)';
  return signo === SIGBUS && code === BUS_ADRERR ? ' (BUS_ADRERR)' : '';
}

/** ` in NAME+0x123`, where a file is executed. */
function placeOf(space: AddressSpace, addr: Addr): string {
  const area = space.find(addr);
  if (area?.object === undefined) return '';
  return ` in ${area.object.name}+0x${(area.offset * 4096 + addr - area.base).toString(16)}`;
}

/** The area that contains the address, else the nearer of the two around it. */
function nearest(space: AddressSpace, addr: Addr): string {
  const inside = space.find(addr);
  if (inside !== undefined) return `it lies in ${describe(space, inside)}`;
  const above = space.segments.findAreaAbove(addr);
  const below = space.segments.findAreaBelow(addr);
  if (above === undefined && below === undefined) return 'nothing at all is mapped';
  if (below === undefined || (above !== undefined && above.base - addr <= addr - below.top)) {
    return above === undefined ? '' : `0x${(above.base - addr).toString(16)} bytes below ${describe(space, above)}`;
  }
  return `0x${(addr - below.top).toString(16)} bytes past the end of ${describe(space, below)}`;
}

function describe(space: AddressSpace, area: Area): string {
  const entry = maps(space).findLast((each: MapsEntry) => each.base >= area.base && each.top <= area.top);
  const name = entry === undefined || entry.name === '' ? 'anonymous memory' : entry.name;
  return `${hex(area.base)}-${hex(area.top)} ${protText(area.prot)} ${name}`;
}

function hex(value: number): string {
  return `0x${hex8(value)}`;
}
