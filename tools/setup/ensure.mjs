// What each everyday command needs, and the one function that brings it about. Costs a few milliseconds when there is nothing to do.
import { locked } from './lock.mjs';
import { passSignalsOn } from './run.mjs';
import { explain, SetupError, say } from './say.mjs';
import * as steps from './steps.mjs';

const GOALS = {
  start: [steps.nodeModules, steps.engine, steps.program],
  check: [steps.nodeModules, steps.engine, steps.program],
  test: [steps.nodeModules, steps.engine, steps.program, steps.gcc32, steps.python, steps.corpusTools, steps.miniRoot],
  bench: [steps.nodeModules, steps.engine, steps.program, steps.gcc32, steps.python, steps.corpusTools, steps.miniRoot, steps.qemu],
};

/** Makes everything that `goal` needs. Returns false, with the reason told, when something needed cannot be had. */
export async function ensure(goal) {
  try {
    needNode();
    if (GOALS[goal].every((step) => step.isDone())) return true;
    const restore = passSignalsOn();
    await locked('set-up', async () => {
      for (const step of GOALS[goal]) {
        if (!step.isDone()) await perform(step);
      }
    });
    restore();
    return true;
  } catch (error) {
    explain(error);
    return false;
  }
}

/** Tests and benchmarks go on without an optional tool: what needs it is then counted as skipped. */
async function perform(step) {
  try {
    await step.do();
  } catch (error) {
    if (!step.optional || !(error instanceof SetupError)) throw error;
    explain(error);
    say('going on without it: what needs it is skipped');
  }
}

function needNode() {
  const major = Number(process.versions.node.split('.')[0]);
  if (major < 20)
    throw new SetupError(
      `Node 20 or newer is needed, this is ${process.versions.node}`,
      'apt-get install -y nodejs  (from a release that has Node 20 or newer)',
    );
}
