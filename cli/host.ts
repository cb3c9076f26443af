/** What the emulator was started with, to the byte: arguments and environment as the host's kernel has them, and its version. */
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { RLIM_INFINITY } from '../abi/resource.ts';
import type { Limit } from '../proc/limits.ts';

/** Our own arguments, one character a byte: node would have decoded them, which loses what is not UTF-8. */
export function hostArguments(): string[] {
  const decoded = process.argv.slice(2);
  const raw = zeroSeparated('/proc/self/cmdline')?.slice(-decoded.length || Infinity) ?? [];
  const isSame = raw.length === decoded.length && raw.every((text, i) => Buffer.from(text, 'latin1').toString() === decoded[i]);
  return isSame ? raw : decoded.map(toBytes);
}

/** `NAME=VALUE` strings in their order. */
export function hostEnvironment(): string[] {
  return zeroSeparated('/proc/self/environ') ?? Object.entries(process.env).map(([name, value]) => toBytes(`${name}=${value}`));
}

/** In the order of RLIMIT_ numbers, as /proc/PID/limits names them. */
const LIMIT_NAMES = [
  'cpu time',
  'file size',
  'data size',
  'stack size',
  'core file size',
  'resident set',
  'processes',
  'open files',
  'locked memory',
  'address space',
  'file locks',
  'pending signals',
  'msgqueue size',
  'nice priority',
  'realtime priority',
  'realtime timeout',
];

const OPEN_FILES = 7;

/**
 * The resource limits the guest would have run with; undefined where the host does not tell. node has raised its own limit of open files by now: if our
 * parent's upper limit is ours, so was its lower one.
 */
export function hostLimits(): Limit[] | undefined {
  const own = limitsOf('self');
  const parent = limitsOf(String(process.ppid));
  if (own !== undefined && parent?.[OPEN_FILES].maximum === own[OPEN_FILES].maximum) own[OPEN_FILES] = parent[OPEN_FILES];
  return own;
}

function limitsOf(pid: string): Limit[] | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/limits`, 'latin1');
    const value = (word: string): bigint => (word === 'unlimited' ? RLIM_INFINITY : BigInt(word));
    return LIMIT_NAMES.map((name) => {
      const [, soft, hard] = new RegExp(`^Max ${name}\\s+(\\d+|unlimited)\\s+(\\d+|unlimited)`, 'm').exec(text) ?? [];
      return { current: value(soft), maximum: value(hard) };
    });
  } catch {
    return undefined;
  }
}

/** Our supplementary groups. node's own answer adds the effective group where the kernel's does not name it. */
export function hostGroups(): number[] {
  try {
    const [, groups] = /^Groups:[ \t]*([\d ]*)/m.exec(readFileSync('/proc/self/status', 'latin1')) ?? [];
    return groups
      .split(' ')
      .filter((group) => group !== '')
      .map(Number);
  } catch {
    return process.getgroups?.() ?? [];
  }
}

export function hostName(): string {
  return hostname();
}

/** From package.json, which lies one folder above the sources and two above the built files. */
export function version(): string {
  for (const place of ['../package.json', '../../package.json']) {
    try {
      return JSON.parse(readFileSync(new URL(place, import.meta.url), 'utf8')).version;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  }
  return 'unknown';
}

function zeroSeparated(path: string): string[] | undefined {
  try {
    return readFileSync(path, 'latin1').split('\0').slice(0, -1);
  } catch {
    return undefined;
  }
}

function toBytes(text: string): string {
  return Buffer.from(text).toString('latin1');
}

/** For messages to people. */
export function toText(bytes: string): string {
  return Buffer.from(bytes, 'latin1').toString();
}
