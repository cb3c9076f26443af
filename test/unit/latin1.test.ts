/** Strings of one character a byte. */
import { expect, test } from 'vitest';
import { latin1 } from '../../abi/latin1.ts';

test('every byte is its character, whatever stands beside it', () => {
  const all = Array.from({ length: 256 }, (_, byte) => byte);
  expect([...latin1(String.fromCharCode(...all))]).toEqual(all);
  expect([...latin1('plain')]).toEqual([112, 108, 97, 105, 110]);
  expect([...latin1('\xc3\xa9')]).toEqual([0xc3, 0xa9]);
  expect(latin1('').length).toBe(0);
});
