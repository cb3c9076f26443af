/** The initial stack: arguments, environment and auxiliary vector where Linux puts them. */
import { expect, test } from 'vitest';
import { buildStack, checkArguments } from '../../loader/stack.ts';
import { HEAD_SIZE, parseScript, scriptArguments } from '../../loader/script.ts';

const TOP = 0xc0000000;
const AT = { PAGESZ: 6, PLATFORM: 15, RANDOM: 25, EXECFN: 31 };

function build(argv: string[], env: string[]) {
  const auxv = [
    [AT.PAGESZ, 4096],
    [AT.RANDOM, 0],
    [AT.EXECFN, 0],
    [AT.PLATFORM, 0],
  ] as const;
  const image = buildStack(TOP, { argv, env, execfn: '/bin/x', auxv, random: new Uint8Array(16).fill(0xab), platform: 'i686' });
  const view = new DataView(image.bytes.buffer);
  const word = (index: number): number => view.getUint32(index * 4, true);
  const text = (addr: number): string => {
    const from = addr - image.base;
    return String.fromCharCode(...image.bytes.subarray(from, image.bytes.indexOf(0, from)));
  };
  return { image, word, text };
}

test('the stack begins with argc, the pointers and the vector, 16-byte aligned', () => {
  const { image, word, text } = build(['a', 'bb', ''], ['HOME=/root']);
  expect(image.base % 16).toBe(0);
  expect(image.base + image.bytes.length).toBe(TOP);
  expect(word(0)).toBe(3);
  expect([1, 2, 3].map((i) => text(word(i)))).toEqual(['a', 'bb', '']);
  expect(word(4)).toBe(0);
  expect(text(word(5))).toBe('HOME=/root');
  expect(word(6)).toBe(0);
  expect([word(7), word(8), word(9), word(11), word(13)]).toEqual([AT.PAGESZ, 4096, AT.RANDOM, AT.EXECFN, AT.PLATFORM]);
  expect(text(word(12))).toBe('/bin/x');
  expect(text(word(14))).toBe('i686');
  expect(image.bytes[word(10) - image.base]).toBe(0xab);
  expect([word(15), word(16)]).toEqual([0, 0]);
  expect(image.auxv.length).toBe(5 * 8);
});

test('strings lie in order below the file name, which ends one word below the top', () => {
  const { image, word } = build(['a', 'b'], ['C=1', 'D=2']);
  expect(word(2)).toBe(word(1) + 2);
  expect(word(4)).toBe(word(2) + 2);
  expect(image.argStart).toBe(word(1));
  expect(image.envStart).toBe(word(4));
  expect(image.envEnd).toBe(TOP - 4 - '/bin/x\0'.length);
});

test('too long an argument, or too many, is E2BIG as in Linux', () => {
  const MB = 2 ** 20;
  expect(checkArguments(['x'.repeat(131071)], [], 'f', 8 * MB)).toBeUndefined();
  expect(checkArguments(['x'.repeat(131072)], [], 'f', 8 * MB)).toMatchObject({ errno: 7 });
  const many = Array.from({ length: 20 }, () => 'x'.repeat(100_000));
  expect(checkArguments(many, [], 'f', 8 * MB)).toBeUndefined();
  expect(checkArguments([...many, ...many], [], 'f', 8 * MB)).toMatchObject({ errno: 7 });
  expect(checkArguments(many, many, 'f', Infinity)).toBeUndefined();
  expect(checkArguments(['x'.repeat(100_000)], [], 'f', 4096)).toBeUndefined();
});

function script(text: string) {
  const head = new Uint8Array(HEAD_SIZE);
  head.set(new TextEncoder().encode(text).subarray(0, HEAD_SIZE));
  return parseScript(head);
}

test('an interpreter line is split as Linux splits it', () => {
  expect(script('#!/bin/sh\n')).toEqual({ interpreter: '/bin/sh', argument: undefined });
  expect(script('#! \t/bin/sh \t -e  -x\t\n')).toEqual({ interpreter: '/bin/sh', argument: '-e  -x' });
  expect(script('#!/bin/sh')).toEqual({ interpreter: '/bin/sh', argument: undefined });
  expect(script('#!/bin/sh\r\n')).toEqual({ interpreter: '/bin/sh\r', argument: undefined });
  expect(script('#!/bin/echo  a \0b\n')).toEqual({ interpreter: '/bin/echo', argument: 'a ' });
  expect(script('#!\n')).toBeUndefined();
  expect(script('#!   \n/bin/sh\n')).toBeUndefined();
});

test('an interpreter name that may be cut off at 256 bytes is refused, an argument is cut', () => {
  expect(script(`#!/${'x'.repeat(300)}\n`)).toBeUndefined();
  expect(script(`#!/bin/sh ${'y'.repeat(300)}\n`)?.argument).toBe('y'.repeat(245));
});

test('the script replaces argv[0] behind the interpreter and its argument', () => {
  expect(scriptArguments({ interpreter: '/bin/awk', argument: '-f' }, './s', ['s', '1'])).toEqual(['/bin/awk', '-f', './s', '1']);
});
