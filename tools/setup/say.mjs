// What set-up tells its user: always on stderr, because stdout belongs to the guest; and the one error that ends it.
import { performance } from 'node:perf_hooks';

/** Something set-up cannot do by itself. `command` is what the user can run to mend it. */
export class SetupError extends Error {
  name = 'SetupError';
  constructor(message, command) {
    super(message);
    this.command = command;
  }
}

export function say(text) {
  process.stderr.write(`seg386 set-up: ${text}\n`);
}

/** Runs `work`, telling what it is before and how long it took after. */
export async function timed(what, work) {
  say(`${what} ...`);
  const start = performance.now();
  const result = await work();
  say(`${what}: done in ${((performance.now() - start) / 1000).toFixed(1)} s`);
  return result;
}

/** Prints a SetupError as a user wants to read it; anything else is our bug and keeps its stack. */
export function explain(error) {
  if (!(error instanceof SetupError)) throw error;
  say(error.message);
  if (error.command) say(`to mend it, run: ${error.command}`);
}
