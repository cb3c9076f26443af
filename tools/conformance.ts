/**
 * Writes docs/CONFORMANCE.md from what test/corpus/run.py has found: `npm run docs:conformance -- RESULTS.json...`, where every file is a `--json` of a run
 * with `--engines native,emu` (or native,qemu,emu). Later files replace the cases of earlier ones.
 */
import { readFileSync, writeFileSync } from 'node:fs';

interface Run {
  readonly verdict: string;
  readonly wall?: number | null;
}
interface Case {
  readonly name: string;
  readonly category: string;
  readonly native?: Run;
  readonly qemu?: Run;
  readonly emu?: Run;
}

const cases = new Map<string, Case>();
for (const file of process.argv.slice(2))
  for (const one of JSON.parse(readFileSync(file, 'utf8')) as Case[]) cases.set(one.name, { ...cases.get(one.name), ...one });
if (cases.size === 0) throw new Error('usage: npm run docs:conformance -- RESULTS.json...');

const comparable = [...cases.values()].filter(({ native, emu }) => native?.verdict === 'pass' && emu !== undefined);
const passed = (run: Run | undefined) => run?.verdict === 'pass';
const hasQemu = comparable.some(({ qemu }) => qemu !== undefined);

/** Geometric mean of the wall times over the bare CPU's, of the cases that passed. */
function slowdown(rows: readonly Case[], engine: 'qemu' | 'emu'): string {
  const ratios = rows.filter((row) => passed(row[engine])).map((row) => (row[engine]?.wall ?? 0) / Math.max(row.native?.wall ?? 0, 0.001));
  if (ratios.length === 0) return '';
  return Math.exp(ratios.reduce((sum, ratio) => sum + Math.log(ratio), 0) / ratios.length).toFixed(1);
}

function line(name: string, rows: readonly Case[]): string {
  const cells = [name, rows.length, rows.filter(({ emu }) => passed(emu)).length];
  if (hasQemu) {
    const ran = rows.filter(({ qemu }) => qemu !== undefined);
    const count = ran.filter(({ qemu }) => passed(qemu)).length;
    cells.push(ran.length === rows.length ? count : ran.length === 0 ? '' : `${count} of ${ran.length}`);
  }
  cells.push(slowdown(rows, 'emu'));
  if (hasQemu) cells.push(slowdown(rows, 'qemu'));
  return `| ${cells.join(' | ')} |`;
}

const head = ['category', 'cases', 'seg386', ...(hasQemu ? ['qemu-i386'] : []), 'time, seg386', ...(hasQemu ? ['time, qemu-i386'] : [])];
const categories = [...new Set(comparable.map(({ category }) => category))].sort();
const table = [
  `| ${head.join(' | ')} |`,
  `|${head.map((_, i) => (i === 0 ? '---' : '---:')).join('|')}|`,
  ...categories.map((category) =>
    line(
      category,
      comparable.filter((row) => row.category === category),
    ),
  ),
  line('**all**', comparable),
];
const failures = comparable.filter(({ emu }) => !passed(emu)).map(({ name, emu }) => `| ${name} | ${emu?.verdict} |`);

const path = new URL('../docs/CONFORMANCE.md', import.meta.url);
const old = readFileSync(path, 'utf8');
const BEGIN = '<!-- results -->';
const [before = '', , after = ''] = old.split(BEGIN);
const body = [...table, '', ...(failures.length === 0 ? ['Every case passed.'] : ['| not equal | what |', '|---|---|', ...failures])].join(
  '\n',
);
writeFileSync(path, `${before}${BEGIN}\n${body}\n${BEGIN}${after}`);
