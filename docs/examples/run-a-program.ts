// Runs an i386 program of a root directory and collects its output: node run-a-program.js ROOT PROGRAM [ARGUMENTS...] < INPUT
import { Machine, ProgramError } from 'seg386';

const [root, ...argv] = process.argv.slice(2);
const machine = new Machine({ root });
try {
  const guest = await machine.run({ argv, env: { PATH: '/usr/bin:/bin', LANG: 'C' }, stdin: process.stdin });
  console.log(`${argv[0]} ended with ${guest.exitCode} after ${guest.instructions > 1000 ? 'thousands of' : 'a few'} instructions`);
  console.log(`standard output: ${JSON.stringify(guest.stdoutText)}`);
  console.log(`standard error: ${JSON.stringify(guest.stderrText)}`);
} catch (error) {
  if (!(error instanceof ProgramError)) throw error;
  console.log(`cannot run it: ${error.message} (${error.code})`);
} finally {
  machine.close();
}
