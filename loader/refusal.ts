/** Why a file does not become a program: the guest's errno, and a sentence for the person at the terminal. */

export interface Refusal {
  readonly kind: 'refused';
  /** What execve answers while it still can. */
  readonly errno: number;
  /** A sentence without a final stop that follows the file's name: `is an x86-64 program; seg386 runs 32-bit i386 ones`. */
  readonly reason: string;
  /** The file that is at fault, when it is not the one that was asked for (an interpreter). */
  readonly path?: string;
  /** The interpreter that the program names and that is not there. */
  readonly missing?: string;
  /**
   * Set where Linux notices only after the old program is gone (past begin_new_exec): the task dies of this signal instead of seeing `errno`.
   */
  readonly signal?: number;
}

export function refusal(errno: number, reason: string, path?: string): Refusal {
  return path === undefined ? { kind: 'refused', errno, reason } : { kind: 'refused', errno, reason, path };
}

/** A refusal past the point of no return: Linux's bprm_execve forces SIGSEGV. */
export function fatal(errno: number, reason: string, path?: string): Refusal {
  return { ...refusal(errno, reason, path), signal: 11 };
}
