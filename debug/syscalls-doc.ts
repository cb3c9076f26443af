/** The text of docs/SYSCALLS.md, as a function of the definitions. */
import type { Definition } from '../syscalls/define.ts';
import { SYSCALL_NAMES, SYSCALLS } from '../syscalls/table.ts';

const HEAD = `# System calls

Generated from the definitions in \`syscalls/\` by \`npm run docs:syscalls\`; do not edit.

*full*: as i386 Linux does it. *partial*: what is said is missing. *stub*: the number is known and answers as said. Every other number answers
ENOSYS; such calls are counted (\`--stats\`) and shown with their argument words (\`--trace\`).
`;

/** The whole text. */
export function syscallsDocument(): string {
  const defined = SYSCALLS.flatMap((call, number) => (call === undefined ? [] : [{ call, number }]));
  const count = (kind: string) => defined.filter(({ call }) => supportKind(call) === kind).length;
  const missing = SYSCALL_NAMES.flatMap((name, number) =>
    name === undefined || SYSCALLS[number] !== undefined ? [] : [`${name} (${number})`],
  );
  return [
    HEAD,
    `${defined.length} of ${SYSCALL_NAMES.filter((name) => name !== undefined).length} numbers are defined: ${count('full')} full, ${count('partial')} partial, ${count('stub')} stubs.\n`,
    '| number | call | support |\n|---:|---|---|',
    ...defined.map(({ call, number }) => row(call, number)),
    `\n## Answered with ENOSYS\n\n${missing.join(', ')}\n`,
  ].join('\n');
}

function supportKind({ support }: Definition): 'full' | 'partial' | 'stub' {
  if (support === 'full') return 'full';
  return 'partial' in support ? 'partial' : 'stub';
}

function row(call: Definition, number: number): string {
  const args = call.args.map(([name, kind]) => `${name}: ${kind.label}`).join(', ');
  const { support } = call;
  const note = support === 'full' ? '' : `: ${'partial' in support ? support.partial : support.stub}`;
  const signature = `${call.name}(${args}) → ${call.result.label}`.replaceAll('|', '\\|');
  return `| ${number} | \`${signature}\` | ${supportKind(call)}${note} |`;
}
