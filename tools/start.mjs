// `npm start -- [options] PROGRAM [ARGS...]`: sets up what is missing, then becomes the command line program in this very process,
// so that streams, signals and exit status are its own.
import { createRequire } from 'node:module';
import { ensure } from './setup/ensure.mjs';
import { inProject } from './setup/files.mjs';

if (!(await ensure('start'))) process.exit(1);
const program = inProject('bin', 'seg386');
process.argv = [process.argv[0], program, ...process.argv.slice(2)];
createRequire(import.meta.url)(program);
