/** The differences between the engine and the bare CPU that are known and allowed, each with its reason. docs/CPU.md explains them to users. */
import type { Difference } from './compare.ts';
import { DATA_BASE } from './layout.ts';
import type { Result } from './protocol.ts';
import type { Case } from './sequence.ts';

export interface AllowedDifference {
  readonly name: string;
  /** Why the engine may differ here. */
  readonly reason: string;
  /** Whether this entry explains `difference`; what no entry explains is a failure. */
  readonly explains: (difference: Difference, one: Case, native: Result, other: Result) => boolean;
}

/** The instruction at which the case ended on the bare CPU. */
function lastInstruction(one: Case, native: Result): string {
  const index = one.sequence.offsets.indexOf(native.eip - one.target);
  return one.list[index]?.name ?? '';
}

export const ALLOWED: readonly AllowedDifference[] = [
  {
    name: 'flags of an unfinished repe cmps or scas',
    reason:
      'A repeated comparison that faults in the middle leaves the flags of its last iteration; the CPU takes back those from before the instruction. Going on with the instruction gives the same result either way; a signal handler could see the difference.',
    explains: (difference, one, native) =>
      difference.field === 'eflags' && native.ending.kind !== 'syscall' && /^rep (cmps|scas)/.test(lastInstruction(one, native)),
  },
  {
    name: 'wrap around in a segment with a base',
    reason:
      'An access whose bytes wrap from offset 0xffffffff to 0 in a 4 GB segment that has a base: the CPU raises #GP (with base 0 it does not). The engine does not check flat segments at all, for speed; it faults or goes on.',
    explains: (_difference, _one, native, other) =>
      native.ending.kind === 'exception' &&
      (native.ending.vector === 13 || native.ending.vector === 12) &&
      other.ending.kind === 'fault' &&
      other.ending.addr >= DATA_BASE - 16 &&
      other.ending.addr < DATA_BASE,
  },
  {
    name: 'bound whose upper bound lies beyond a segment limit',
    reason:
      'The CPU looks at the lower bound first and raises #BR before it asks for the upper one; the engine checks the limit of both at once and raises #GP or #SS. Only in segments with a limit.',
    explains: (_difference, one, native, other) =>
      native.ending.kind === 'exception' &&
      native.ending.vector === 5 &&
      other.ending.kind === 'exception' &&
      (other.ending.vector === 13 || other.ending.vector === 12) &&
      lastInstruction(one, native).startsWith('bound'),
  },
];

/** The entry that explains each difference, or undefined when one of them has none. */
export function explain(differences: readonly Difference[], one: Case, native: Result, other: Result): AllowedDifference[] | undefined {
  const found: AllowedDifference[] = [];
  for (const difference of differences) {
    const entry = ALLOWED.find((allowed) => allowed.explains(difference, one, native, other));
    if (!entry) return undefined;
    if (!found.includes(entry)) found.push(entry);
  }
  return found;
}
