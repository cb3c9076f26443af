/** Makes a failing case small: drops instructions and simplifies the state as long as it still fails the same way. */
import { assemble, type Instruction, without } from './instruction.ts';
import { CODE_BASE } from './layout.ts';
import type { Case } from './sequence.ts';
import { copyState, FX_SIZE, plainState, type State } from './state.ts';

/** Requires: `fails(one)`. Ensures: `fails` of the result. */
export function shrink(one: Case, fails: (candidate: Case) => boolean): Case {
  let best = one;
  for (let progress = true; progress; ) {
    progress = false;
    for (let i = best.list.length - 1; i >= 0; i--) {
      // Preparations go with what they prepare: alone they would change which flags are defined.
      if (i >= best.list.length || best.list[i].glued) continue;
      const candidate = withList(best, without(best.list, i));
      if (candidate && candidate.list.length > 0 && fails(candidate)) {
        best = candidate;
        progress = true;
      }
    }
  }
  const moved = { ...best, target: CODE_BASE + 0x800 };
  if (best.target !== moved.target && fails(moved)) best = moved;
  return simplifyState(best, fails);
}

function withList(one: Case, list: readonly Instruction[]): Case | undefined {
  const sequence = assemble(list);
  return sequence.valid ? { ...one, list, sequence } : undefined;
}

function simplifyState(one: Case, fails: (candidate: Case) => boolean): Case {
  let best = one;
  const plain = plainState(one.state.pattern);
  const attempt = (change: (state: State) => void) => {
    const state = copyState(best.state);
    change(state);
    const candidate = { ...best, state };
    if (fails(candidate)) best = candidate;
  };
  attempt((state) => state.fx.set(plain.fx));
  attempt((state) => state.regs.set(plain.regs));
  attempt((state) => (state.eflags = plain.eflags));
  for (let i = 0; i < 8; i++) if (best.state.regs[i] !== plain.regs[i]) attempt((state) => (state.regs[i] = plain.regs[i]));
  for (let i = 0; i < 6; i++)
    if (best.state.selectors[i] !== plain.selectors[i]) attempt((state) => (state.selectors[i] = plain.selectors[i]));
  for (let at = 0; at < FX_SIZE; at += at < 32 ? 2 : 16) {
    const size = at < 32 ? 2 : 16;
    if (Buffer.compare(best.state.fx.subarray(at, at + size), plain.fx.subarray(at, at + size)) !== 0)
      attempt((state) => state.fx.set(plain.fx.subarray(at, at + size), at));
  }
  return best;
}
