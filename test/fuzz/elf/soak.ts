/** `node soak.js [COUNT] [FIRST SEED]`: as the test, for as long as one likes. */
import { campaign } from './campaign.ts';

const count = Number(process.argv[2] ?? 100_000);
const first = Number(process.argv[3] ?? 1_000_000);
const started = Date.now();
const summary = await campaign(first, count, (done) => {
  if (done % 10_000 === 0) console.log(`${done} cases, ${Math.round((Date.now() - started) / 1000)} s`);
});
console.log(JSON.stringify(summary.verdicts, undefined, 1));
for (const difference of summary.differences.slice(0, 50)) console.log(difference);
console.log(`${summary.cases} cases, ${summary.compared} compared with the bare CPU, ${summary.differences.length} differences`);
process.exitCode = summary.differences.length > 0 ? 1 : 0;
