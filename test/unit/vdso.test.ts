/** The vdso is a real little ELF whose symbols can be found. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { readElf } from '../../loader/elf.ts';
import { vdso } from '../../loader/vdso.ts';
import { readerOf } from '../drivers/elf-image.ts';

const CODE = {
  vsyscall: [0xcd, 0x80, 0xc3],
  sigreturn: [0x58, 0xb8, 119, 0, 0, 0, 0xcd, 0x80],
  rtSigreturn: [0xb8, 173, 0, 0, 0, 0xcd, 0x80],
} as const;

test('the vdso is one page that our own ELF reader accepts', () => {
  expect(vdso().bytes.length).toBe(4096);
  const elf = readElf(readerOf(vdso().bytes));
  expect(elf).toMatchObject({ kind: 'elf', type: 'dyn', entry: vdso().vsyscall });
});

test('its stubs are the very bytes that unwinders look for', () => {
  for (const [name, code] of Object.entries(CODE)) {
    const at = vdso()[name as keyof typeof CODE];
    expect([...vdso().bytes.subarray(at, at + code.length)]).toEqual(code);
  }
});

test('a look-up through the hash table finds each versioned symbol', () => {
  const view = new DataView(vdso().bytes.buffer);
  const dynamic = new Map<number, number>();
  const table = [1, 2, 3].map((index) => 52 + (index - 1) * 32).find((at) => view.getUint32(at, true) === 2) ?? 0;
  for (let at = view.getUint32(table + 4, true); view.getUint32(at, true) !== 0; at += 8)
    dynamic.set(view.getUint32(at, true), view.getUint32(at + 4, true));
  const [hash, strings, symbols] = [4, 5, 6].map((tag) => dynamic.get(tag) ?? 0);
  const found: Record<string, number> = {};
  for (let symbol = view.getUint32(hash + 8, true); symbol !== 0; symbol = view.getUint32(hash + 12 + symbol * 4, true)) {
    const start = strings + view.getUint32(symbols + symbol * 16, true);
    const name = String.fromCharCode(...vdso().bytes.subarray(start, vdso().bytes.indexOf(0, start)));
    found[name] = view.getUint32(symbols + symbol * 16 + 4, true);
  }
  expect(found).toMatchObject({
    __kernel_vsyscall: vdso().vsyscall,
    __kernel_sigreturn: vdso().sigreturn,
    __kernel_rt_sigreturn: vdso().rtSigreturn,
  });
});

function run(command: string, args: string[]): string | undefined {
  try {
    return execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

test('readelf has no complaint about it and sees the versions', (context) => {
  const folder = mkdtempSync(join(tmpdir(), 'seg386-vdso-'));
  try {
    const file = join(folder, 'vdso.so');
    writeFileSync(file, vdso().bytes);
    const text = run('readelf', ['-aW', file]);
    if (text === undefined) return context.skip();
    expect(text).toContain('__kernel_sigreturn@@LINUX_2.5');
    expect(text).toContain('__kernel_rt_sigreturn@@LINUX_2.5');
    expect(text).toContain('Library soname: [linux-gate.so.1]');
    expect(text).not.toMatch(/warning|error|corrupt/i);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
