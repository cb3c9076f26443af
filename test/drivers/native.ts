/** The bare CPU: the judge. Needs a Linux kernel that runs i386 programs. */
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Driver, Program } from './driver.ts';
import { PROBE, PROBE_STATUS } from './probe.ts';
import { runToEnd } from './spawned.ts';

let probed: { reason: string | undefined } | undefined;

function probe(): string | undefined {
  if (process.platform !== 'linux') return 'the host is not Linux';
  const folder = mkdtempSync(join(tmpdir(), 'seg386-probe-'));
  try {
    const file = join(folder, 'probe');
    writeFileSync(file, PROBE);
    chmodSync(file, 0o755);
    const { status } = spawnSync(file, [], { stdio: 'ignore' });
    return status === PROBE_STATUS ? undefined : 'this kernel does not run i386 programs';
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Makes uname say i686, as on a 32-bit kernel. */
const SETARCH = ['/usr/bin/setarch', '/bin/setarch'].find((path) => existsSync(path));

export const native: Driver = {
  name: 'native',
  unavailable() {
    probed ??= { reason: probe() };
    return probed.reason;
  },
  run(program: Program) {
    if (program.root !== undefined) throw new Error('the native driver has no root of its own: use test/corpus/run.py for that');
    // setarch names the program itself, so a name of its own and the i686 of uname exclude each other.
    const whole = [...(SETARCH && program.argv0 === undefined ? [SETARCH, 'linux32', '--'] : []), program.path, ...(program.args ?? [])];
    return runToEnd(whole[0] as string, whole.slice(1), program, program.argv0);
  },
};
