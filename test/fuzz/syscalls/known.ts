/** Where this machine may answer otherwise than the bare CPU's kernel, each with its reason. docs/SYSCALLS.md explains them to users. */
import type { RandomCall } from './programs.ts';

interface Known {
  readonly reason: string;
  readonly explains: (call: RandomCall, native: string, here: string) => boolean;
}

const KNOWN: readonly Known[] = [];

/** The reason why two answers of a call may differ; undefined where they must not. */
export function explain(call: RandomCall, native: string, here: string): string | undefined {
  return KNOWN.find(({ explains }) => explains(call, native, here))?.reason;
}
