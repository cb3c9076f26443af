/** Many cases in a row, compared with the bare CPU where there is one; the summary names the seeds that differ. */
import { agrees, isHuge, Judge, Native, type Verdict } from './judge.ts';
import { makeCase } from './mutate.ts';

export interface Summary {
  readonly cases: number;
  /** Cases compared with the bare CPU. */
  readonly compared: number;
  /** How often each verdict came. */
  readonly verdicts: Readonly<Record<string, number>>;
  /** `seed: ours, native` of each case that differs. */
  readonly differences: readonly string[];
}

/** Cases `first` to `first + count - 1`. Throws what the loader throws, with the seed. */
export async function campaign(first: number, count: number, progress: (done: number) => void = () => {}): Promise<Summary> {
  const judge = new Judge();
  const native = Native.make();
  const verdicts: Record<string, number> = {};
  const differences: string[] = [];
  let compared = 0;
  for (let seed = first; seed < first + count; seed++) {
    const made = makeCase(seed);
    const ours = judged(judge, made);
    verdicts[nameOf(ours)] = (verdicts[nameOf(ours)] ?? 0) + 1;
    if (native !== undefined) {
      const theirs = await native.run(made);
      const skipped = isHuge(made) && theirs === 'S 11' && ours.kind === 'started';
      if (!skipped) compared++;
      if (!skipped && !agrees(ours, theirs)) differences.push(`${seed}: ours ${JSON.stringify(ours)}, native ${theirs}`);
    }
    progress(seed - first + 1);
  }
  await native?.close();
  return { cases: count, compared, verdicts, differences };
}

function judged(judge: Judge, made: ReturnType<typeof makeCase>): Verdict {
  try {
    return judge.ours(made);
  } catch (error) {
    throw new Error(`case ${made.seed} made the loader throw`, { cause: error });
  }
}

function nameOf(verdict: Verdict): string {
  switch (verdict.kind) {
    case 'refused':
      return `refused ${verdict.errno}`;
    case 'fatal':
      return 'fatal';
    case 'started':
      return `started: ${verdict.at}`;
  }
}
