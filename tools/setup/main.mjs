// `node tools/setup/main.mjs GOAL`: only the set-up of one goal (start, check, test, bench). npm runs it before it makes a package.
import { ensure } from './ensure.mjs';

process.exit((await ensure(process.argv[2] ?? 'start')) ? 0 : 1);
