/** Where the small i386 root with real programs lies (tools/setup makes it), and whether programs can be run in it here. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const CACHE = process.env.SEG386_CACHE ?? join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'seg386');
export const MINI_ROOT = join(CACHE, 'mini-root');
export const RUN_PY = fileURLToPath(new URL('run.py', import.meta.url));

/** Why the corpus cannot be compared with the bare CPU on this machine, or undefined. */
export function corpusUnavailable(): string | undefined {
  if (!existsSync(`${MINI_ROOT}.key`)) return 'the small root is missing: npm test makes it where it can';
  const probe = spawnSync('python3', [RUN_PY, '--root', MINI_ROOT, '--exec', 'native', '--', '/bin/busybox', 'true'], { encoding: 'utf8' });
  return probe.status === 0 ? undefined : `run.py cannot run programs here: ${(probe.stderr || String(probe.error)).trim()}`;
}
