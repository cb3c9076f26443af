/** The sources keep the project's rules, and the rules can fail: each is tried on a small bad sample. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import type { Source } from './tidy/rules.ts';
import { barrels, cycles, LIMIT_LINES, lineCount, strayExports, tooLong, unintroduced, uninjected, wrongImports } from './tidy/rules.ts';

const PROJECT = fileURLToPath(new URL('..', import.meta.url));
const MADE = new Set(['.git', 'node_modules', 'dist', 'build', '.cache', '__pycache__']);
const LAYERS = /^(?:(?:abi|mm|emu|loader|fs|proc|syscalls|debug|cli)\/[^/]+|index|machine[^/]*)\.ts$/;

/** Every file of the project but what set-up and builds make. */
function listed(folder = ''): string[] {
  return readdirSync(join(PROJECT, folder), { withFileTypes: true }).flatMap((entry) => {
    const name = folder === '' ? entry.name : `${folder}/${entry.name}`;
    if (entry.isDirectory()) return MADE.has(entry.name) ? [] : listed(name);
    return entry.isFile() && !/\.(?:tgz|wasm|log)$/.test(name) ? [name] : [];
  });
}

const read = (name: string): Source => ({ name, text: readFileSync(join(PROJECT, name), 'utf8') });
const all = listed();
const product = all.filter((name) => LAYERS.test(name) && !name.endsWith('.d.ts')).map(read);
const scripts = all.filter((name) => /\.(?:ts|mjs|c|s|h|sh|py)$/.test(name)).map(read);

describe('the sources', () => {
  test('import only downwards, and the host, packages and the engine only where they belong', () =>
    expect(wrongImports(product)).toEqual([]));
  test('have no cycle of imports, types included', () => expect(cycles(product)).toEqual([]));
  test('take time and randomness from what is passed in', () => expect(uninjected(product)).toEqual([]));
  test('call the exports of the wasm in emu only', () => expect(strayExports(product)).toEqual([]));
  test('have no barrels', () => expect(barrels(product)).toEqual([]));
  test(`have no file over ${LIMIT_LINES} lines but tables`, () => expect(tooLong(product)).toEqual([]));
  test('open with a comment that says what they are', () => expect(unintroduced(scripts)).toEqual([]));
  test('have their generated table of system calls up to date', async () => {
    const { syscallsDocument } = await import('../debug/syscalls-doc.ts');
    expect(read('docs/SYSCALLS.md').text === syscallsDocument(), 'run npm run docs:syscalls').toBe(true);
  });
  test('name no workplace and no registry', () => {
    const names = ['/wor' + 'k/', 'registry.npm' + 'js.org', '../sha' + 'red'];
    const texts = all.filter((name) => !/\.(?:wasm|expected)$/.test(name)).map(read);
    expect(texts.filter(({ text }) => names.some((name) => text.includes(name))).map(({ name }) => name)).toEqual([]);
  });
});

describe('the rules', () => {
  const source = (name: string, ...lines: string[]): Source => ({ name, text: lines.join('\n') });
  test('refuse an import that points upwards, even of a type', () => {
    expect(wrongImports([source('mm/a.ts', "import type { X } from '../fs/b.ts';")])).toHaveLength(1);
    expect(wrongImports([source('fs/a.ts', 'import {', '  X,', "} from '../mm/b.ts';")])).toEqual([]);
    expect(wrongImports([source('proc/a.ts', "import { Y } from '../loader/b.ts';")])).toHaveLength(1);
    expect(wrongImports([source('abi/a.ts', "export { Y } from '../mm/b.ts';")])).toHaveLength(1);
  });
  test('refuse Node, a package and the engine in the wrong place', () => {
    expect(
      wrongImports([source('mm/a.ts', "import fs from 'node:fs';"), source('fs/hostfs.ts', "import fs from 'node:fs';")]),
    ).toHaveLength(1);
    expect(wrongImports([source('fs/a.ts', "import elfy from 'elfy';"), source('loader/elf.ts', "import elfy from 'elfy';")])).toHaveLength(
      1,
    );
    expect(wrongImports([source('fs/a.ts', "import _ from 'lodash';")])).toHaveLength(1);
    expect(wrongImports([source('proc/a.ts', "import { U } from '../emu/unicorn.ts';")])).toHaveLength(1);
    expect(wrongImports([source('emu/a.ts', "import { S } from '../mm/space.ts';")])).toHaveLength(1);
    expect(wrongImports([source('proc/a.ts', "const x = await import('node:fs');")])).toHaveLength(1);
  });
  test('find a cycle of three', () => {
    const ring = [
      source('mm/a.ts', "import './b.ts';"),
      source('mm/b.ts', "import type { C } from './c.ts';"),
      source('mm/c.ts', "export { a } from './a.ts';"),
    ];
    expect(cycles(ring)).toEqual(['mm/a.ts -> mm/b.ts -> mm/c.ts -> mm/a.ts']);
    expect(cycles(ring.slice(0, 2))).toEqual([]);
  });
  test('find a clock, but not one that a comment speaks of', () => {
    expect(uninjected([source('proc/a.ts', 'const x = Math.random();')])).toHaveLength(1);
    expect(uninjected([source('proc/a.ts', '// as Date.now does', "const x = 'performance.now';")])).toEqual([]);
    expect(uninjected([source('machine-host.ts', 'const x = Date.now();')])).toEqual([]);
  });
  test('find a barrel, a call into the wasm, a long file and a bare one', () => {
    expect(barrels([source('mm/all.ts', "export * from './a.ts';")])).toHaveLength(1);
    expect(strayExports([source('proc/a.ts', 'exports.seg_run(1);')])).toHaveLength(1);
    expect(tooLong([source('mm/a.ts', ...Array.from({ length: LIMIT_LINES + 1 }, () => ';'))])).toHaveLength(1);
    expect(unintroduced([source('mm/a.ts', 'const x = 1;'), source('tools/b', '#!/bin/sh', '# is a tool')])).toHaveLength(1);
    expect(lineCount('a\nb\n')).toBe(2);
  });
});
