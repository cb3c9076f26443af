// `npm run bench [-- options of bench/main.ts]`: sets up what is missing, then measures.
import { spawn } from 'node:child_process';
import { ensure } from './setup/ensure.mjs';
import { inProject } from './setup/files.mjs';
import { CACHE } from './setup/steps.mjs';

if (!(await ensure('bench'))) process.exit(1);
const child = spawn(
  process.execPath,
  [inProject('node_modules/vite-node/vite-node.mjs'), inProject('bench/main.ts'), ...process.argv.slice(2)],
  {
    cwd: inProject(),
    stdio: 'inherit',
    env: { ...process.env, SEG386_CACHE: CACHE },
  },
);
for (const name of ['SIGINT', 'SIGTERM']) process.on(name, () => child.kill(name));
child.on('close', (status) => process.exit(status ?? 1));
