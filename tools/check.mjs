// `npm run check`: types, lint and format, tests; every one runs even when an earlier one failed. With --no-tests, without the tests.
import { spawn } from 'node:child_process';
import { performance } from 'node:perf_hooks';
import { ensure } from './setup/ensure.mjs';
import { inProject } from './setup/files.mjs';

const CHECKS = [
  ['types', ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.json']],
  ['lint and format', ['node_modules/@biomejs/biome/bin/biome', 'check', '--error-on-warnings', '--max-diagnostics=200']],
  ['tests', ['tools/test.mjs']],
];

if (!(await ensure('check'))) process.exit(1);
let failed = 0;
for (const [name, command] of CHECKS) {
  if (name === 'tests' && process.argv.includes('--no-tests')) continue;
  const start = performance.now();
  const status = await runNode(command);
  console.log(`check: ${name} ${status === 0 ? 'passed' : 'FAILED'} in ${((performance.now() - start) / 1000).toFixed(1)} s`);
  if (status !== 0) failed++;
}
process.exit(failed === 0 ? 0 : 1);

function runNode([script, ...args]) {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [inProject(script), ...args], { cwd: inProject(), stdio: 'inherit' });
    child.on('close', (status) => resolve(status ?? 1));
  });
}
