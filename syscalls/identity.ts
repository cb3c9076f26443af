/** Who a task is: process and thread ids, users and groups, sessions. */
import { define } from './define.ts';
import { pidResult } from './kinds.ts';

const getpid = define({ name: 'getpid', args: [], result: pidResult, support: 'full', handler: (task) => task.process.pid });
const gettid = define({ name: 'gettid', args: [], result: pidResult, support: 'full', handler: (task) => task.tid });
const getppid = define({
  name: 'getppid', args: [], result: pidResult, support: 'full', handler: (task) => task.process.parent?.pid ?? 0,
});

export const calls = [getpid, gettid, getppid];
