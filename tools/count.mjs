// `node tools/count.mjs RESULTS.json [NAME=STATUS ...]`: adds vitest's results and other commands' statuses up to the one line that CI reads,
// and fails when anything failed, or when the tests did not come to their end.
import { existsSync, readFileSync } from 'node:fs';

const [file, ...others] = process.argv.slice(2);
let passed = 0;
let failed = 0;
let skipped = 0;

if (existsSync(file)) {
  const results = JSON.parse(readFileSync(file, 'utf8'));
  passed += results.numPassedTests;
  failed += results.numFailedTests;
  skipped += results.numPendingTests + results.numTodoTests;
  // A file that cannot be loaded, or whose hook fails, has no failed test of its own.
  for (const suite of results.testResults ?? []) {
    if (suite.status === 'failed' && !suite.assertionResults.some(({ status }) => status === 'failed')) {
      console.log(`failed as a whole: ${suite.name}: ${String(suite.message).split('\n')[0]}`);
      failed++;
    }
  }
} else {
  console.log('the tests left no results');
  failed++;
}
for (const other of others) {
  const [name, status] = other.split('=');
  if (name === 'tests') {
    if (status !== '0' && failed === 0) failed++;
  } else if (status === '0') passed++;
  else {
    console.log(`${name} failed`);
    failed++;
  }
}
console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`);
process.exit(failed === 0 && passed > 0 ? 0 : 1);
