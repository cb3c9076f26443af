/**
 * Programs that nobody here wrote end on the emulator as on the bare CPU: static ones, Debian's static busybox, and dynamic ones
 * through their own loaders. One run of run.py compares them all; each is then a test of its own.
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test } from 'vitest';
import { emulator, SEG386 } from '../drivers/emulator.ts';
import { corpusUnavailable, MINI_ROOT, RUN_PY } from './root.ts';

const TABLES = ['cases.tsv', 'single.tsv'].map((name) => fileURLToPath(new URL(name, import.meta.url)));
const LIMIT_MS = 900_000;

interface Case {
  readonly name: string;
  readonly category: string;
  readonly tier: string;
  readonly command: string;
}
interface Verdict {
  readonly name: string;
  readonly native: { readonly verdict: string };
  readonly emu: { readonly verdict: string };
}

/** The rows of the small tier. */
function cases(): Case[] {
  return TABLES.flatMap((table) => {
    const [head = [], ...rows] = readFileSync(table, 'utf8')
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('#'))
      .map((line) => line.split('\t'));
    return rows.map((row) => Object.fromEntries(head.map((key, n) => [key, row[n]])) as unknown as Case);
  }).filter(({ tier }) => tier === 'mini');
}

function compareAll(json: string): Promise<void> {
  const options = ['--root', MINI_ROOT, '--tier', 'mini', '--stderr', '--jobs', '2', '--json', json];
  const tables = TABLES.flatMap((table) => ['--cases', table]);
  const emulatorCommand = `'${process.execPath}' '${SEG386}' -r {root} --`;
  return new Promise((resolve, reject) => {
    const child = spawn('python3', [RUN_PY, ...options, ...tables, '--emu', emulatorCommand], { stdio: ['ignore', 'ignore', 'pipe'] });
    let messages = '';
    child.stderr.on('data', (piece) => {
      messages += piece;
    });
    child.on('error', reject);
    child.on('close', () => (existsSync(json) ? resolve() : reject(new Error(messages))));
  });
}

const reason = emulator.unavailable() ?? corpusUnavailable();
if (reason) console.warn(`corpus skipped: ${reason}`);

describe.skipIf(reason !== undefined)('on the emulator as on the bare CPU', () => {
  const verdicts = new Map<string, Verdict>();
  beforeAll(async () => {
    const folder = mkdtempSync(join(tmpdir(), 'seg386-corpus-'));
    try {
      await compareAll(join(folder, 'verdicts.json'));
      for (const verdict of JSON.parse(readFileSync(join(folder, 'verdicts.json'), 'utf8')) as Verdict[])
        verdicts.set(verdict.name, verdict);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }, LIMIT_MS);

  for (const { name, category, command } of cases()) {
    test(`${category} ${name}: ${command.slice(0, 100)}`, () => {
      expect(verdicts.get(name)?.native.verdict).toBe('pass');
      expect(verdicts.get(name)?.emu.verdict).toBe('pass');
    });
  }
});
