/** The differences between the engine and the bare CPU that are known and allowed, each with its reason. docs/CPU.md explains them to users. */
import type { Difference } from './compare.ts';
import type { Result } from './protocol.ts';
import type { Case } from './sequence.ts';

export interface AllowedDifference {
  readonly name: string;
  /** Why the engine may differ here. */
  readonly reason: string;
  /** Whether this entry explains `difference`; what no entry explains is a failure. */
  readonly explains: (difference: Difference, one: Case, native: Result, other: Result) => boolean;
}

export const ALLOWED: readonly AllowedDifference[] = [];

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
