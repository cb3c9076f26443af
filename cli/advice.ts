/** What the user can do about a program whose interpreter or libraries are not there: sentences for people, about Debian's packages where they are known. */
import { maps } from '../debug/maps.ts';
import type { ExitStatus } from '../proc/process.ts';
import type { Task } from '../proc/task.ts';

/** Debian's packages of i386 interpreters. */
const PACKAGES: readonly (readonly [RegExp, string])[] = [
  [/\/ld-linux\.so\.2$/, 'libc6:i386'],
  [/\/ld-musl-i386\.so\.1$/, 'musl:i386'],
];
/** What an interpreter exits with that cannot find a library. */
const STATUS_NO_LIBRARY = 127;

export function interpreterAdvice(interpreter: string, root: string | undefined): string {
  const name = PACKAGES.find(([pattern]) => pattern.test(interpreter))?.[1];
  if (root !== undefined) return `${interpreter} is looked for in ${root}${name === undefined ? '' : `: Debian's ${name} belongs there`}`;
  const install = name === undefined ? '' : `install it (Debian: dpkg --add-architecture i386; apt update; apt install ${name}), or `;
  return `${install}name a root directory that has it and the program's libraries: seg386 -r DIR ...`;
}

/**
 * For a process that ends as glibc's interpreter ends it when a library is missing, having said which: it exits with 127 in the interpreter's own code,
 * before the program has begun or when it cannot go on.
 */
export function libraryAdvice(task: Task, status: ExitStatus, root: string | undefined): string | undefined {
  if (status.kind !== 'exited' || status.code !== STATUS_NO_LIBRARY) return undefined;
  const { eip } = task.registers;
  const place = maps(task.space).find(({ base, top }) => eip >= base && eip < top)?.name ?? '';
  if (!/\/ld(?:-linux|-\d|\.so)[^/]*$/.test(place)) return undefined;
  const where = root === undefined ? 'on this system' : `in ${root}`;
  return (
    `libraries are looked for ${where}, in the folders that ${place} knows: install the i386 package of the one that is missing there ` +
    '(Debian: NAME:i386), or say where it is: -E LD_LIBRARY_PATH=FOLDER'
  );
}
