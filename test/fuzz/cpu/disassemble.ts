/** Shows code for people: through objdump where it is installed, else as the generator's own names and bytes. */
import { spawnSync } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import type { Case } from './sequence.ts';

export function disassemble(one: Case): string {
  const file = `${tmpdir()}/seg386-cpu-fuzz-${process.pid}.bin`;
  writeFileSync(file, one.sequence.code);
  const objdump = spawnSync(
    'objdump',
    ['-D', '-b', 'binary', '-m', 'i386', '-M', 'intel', `--adjust-vma=0x${one.target.toString(16)}`, file],
    { encoding: 'utf8' },
  );
  rmSync(file, { force: true });
  if (objdump.status === 0) return objdump.stdout.split('\n').slice(7).join('\n').trimEnd();
  return one.list
    .map(
      (instruction, i) =>
        `${hex(one.target + one.sequence.offsets[i])}: ${Buffer.from(instruction.bytes).toString('hex')}  ${instruction.name}`,
    )
    .join('\n');
}

export function hex(value: number, digits = 8): string {
  return (value >>> 0).toString(16).padStart(digits, '0');
}
