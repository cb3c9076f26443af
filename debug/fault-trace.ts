/** `--trace=faults`: one line a page fault, with the mapping it fell into, what came of it, and the instruction. */
import type { Access, Addr } from '../abi/page.ts';
import { signalName } from '../abi/signal.ts';
import type { Outcome } from '../mm/outcome.ts';
import type { AddressSpace } from '../mm/space.ts';
import { mapsIn } from './maps.ts';
import { hex8 } from './umem.ts';

export function faultLine(space: AddressSpace, addr: Addr, access: Access, outcome: Outcome, eip: Addr): string {
  const entry = mapsIn(space, { base: addr, top: addr + 1 }).find(({ base, top }) => addr >= base && addr < top);
  const place =
    entry === undefined
      ? 'nothing mapped'
      : `${hex8(entry.base)}-${hex8(entry.top)} ${entry.rights}${entry.name === '' ? '' : ` ${entry.name}`}`;
  return `fault ${access.padEnd(5)} 0x${hex8(addr)} ${place}${resultOf(outcome)} (eip 0x${hex8(eip)})`;
}

function resultOf(outcome: Outcome): string {
  switch (outcome.kind) {
    case 'done':
      return '';
    case 'wait':
      return ': waits for its pager';
    case 'signal':
      return `: ${signalName(outcome.signo)}, ${outcome.reason}`;
  }
}
