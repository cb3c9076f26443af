/** When a view is shown: at the end, at a fatal signal, behind a named call, every so many instructions, when the host's user asks. */
import { SYSCALL_NAMES } from '../syscalls/table.ts';

export type Occasion =
  /** The process is over, however. */
  | { readonly kind: 'exit' }
  /** A signal is about to end it. */
  | { readonly kind: 'fatal' }
  /** A call of that name has returned. */
  | { readonly kind: 'call'; readonly name: string }
  /** The machine has executed so many instructions more. */
  | { readonly kind: 'every'; readonly instructions: number }
  /** The emulator got SIGUSR2. */
  | { readonly kind: 'signal' };

export const OCCASIONS_HELP = 'exit, fatal, call:NAME, every:INSTRUCTIONS, signal (SIGUSR2 to seg386)';

/** Reads `exit,call:munmap`; a message that says what is wrong with it where it cannot be read. */
export function occasions(text: string): readonly Occasion[] | string {
  const found = text.split(',').map(occasion);
  return found.find((each) => typeof each === 'string') ?? (found as Occasion[]);
}

function occasion(text: string): Occasion | string {
  const [kind, detail] = [text.split(':', 1)[0], text.slice(text.indexOf(':') + 1)];
  switch (kind) {
    case 'exit':
    case 'fatal':
    case 'signal':
      if (detail === text) return { kind };
      break;
    case 'call':
      if (SYSCALL_NAMES.includes(detail)) return { kind, name: detail };
      return `There is no call '${detail === text ? '' : detail}'.`;
    case 'every': {
      const instructions = /^\d+$/.test(detail) ? Number(detail) : 0;
      if (instructions >= 1 && Number.isSafeInteger(instructions)) return { kind, instructions };
      return 'It must be every:N with a number of instructions, 1 at least.';
    }
  }
  return `There is no occasion '${text}'; there are ${OCCASIONS_HELP}.`;
}
