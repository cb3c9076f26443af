/** Mutated ELF headers never crash the loader, and are refused for the right reason. */
import { expect, test } from 'vitest';
import { campaign } from './elf/campaign.ts';

const CASES = 3000;

test('hostile ELF headers end as on the bare CPU, without an exception or a hang', { timeout: 120_000 }, async (context) => {
  const seed = Number(process.env.SEG386_SEED ?? 1);
  const summary = await campaign(seed, CASES);
  expect(summary.differences).toEqual([]);
  expect(Object.keys(summary.verdicts).length).toBeGreaterThan(4);
  if (summary.compared === 0) context.skip();
});
