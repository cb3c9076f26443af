/** Writes docs/SYSCALLS.md from the definitions: `npm run docs:syscalls`. A test checks that the committed text is the current one. */
import { writeFileSync } from 'node:fs';
import { syscallsDocument } from '../debug/syscalls-doc.ts';

writeFileSync(new URL('../docs/SYSCALLS.md', import.meta.url), syscallsDocument());
