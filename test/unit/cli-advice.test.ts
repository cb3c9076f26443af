/** A missing interpreter or library: what the user is told to do. */
import { expect, test } from 'vitest';
import { interpreterAdvice } from '../../cli/advice.ts';

test('the package of a known interpreter is named, with the root it belongs into', () => {
  expect(interpreterAdvice('/lib/ld-linux.so.2', '/srv/i386')).toBe(
    "/lib/ld-linux.so.2 is looked for in /srv/i386: Debian's libc6:i386 belongs there",
  );
  expect(interpreterAdvice('/lib/ld-musl-i386.so.1', undefined)).toMatch(
    /^install it \(Debian: .* apt install musl:i386\), or name a root directory/,
  );
});

test('an interpreter that nobody knows is looked for in a root', () => {
  expect(interpreterAdvice('/opt/ld.so', undefined)).toBe(
    "name a root directory that has it and the program's libraries: seg386 -r DIR ...",
  );
  expect(interpreterAdvice('/opt/ld.so', '/srv/i386')).toBe('/opt/ld.so is looked for in /srv/i386');
});
