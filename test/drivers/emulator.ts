/** The emulator as its users meet it: bin/seg386 in a process of its own. Needs a built dist/, which `npm test` makes. */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Driver, Program } from './driver.ts';
import { runToEnd } from './spawned.ts';

export const SEG386 = fileURLToPath(new URL('../../bin/seg386', import.meta.url));
const BUILT = ['../../dist/cli/program.cjs', '../../dist/emu/seg386.wasm'].map((name) => fileURLToPath(new URL(name, import.meta.url)));

export const emulator: Driver = {
  name: 'emulator',
  unavailable() {
    const missing = [SEG386, ...BUILT].find((file) => !existsSync(file));
    return missing && `${missing} is missing: npm test builds it`;
  },
  run(program: Program) {
    const options = [
      ...(program.root !== undefined ? ['--root', program.root] : []),
      ...(program.argv0 !== undefined ? ['-0', program.argv0] : []),
      ...(program.options ?? []),
    ];
    return runToEnd(process.execPath, [SEG386, ...options, '--', program.path, ...(program.args ?? [])], program);
  },
};
