/** The command line is read as its help says. */
import { expect, test } from 'vitest';
import { type CliOptions, parseCommandLine } from '../../cli/options.ts';

const parse = (...args: string[]) => parseCommandLine(args, '1.2.3');
function options(...args: string[]): CliOptions {
  const line = parse(...args);
  if (line.kind !== 'run') throw new Error(line.text);
  return line.options;
}
function complaint(...args: string[]): string {
  const line = parse(...args);
  return line.kind === 'print' && line.toError && line.status === 125 ? line.text : `accepted ${args.join(' ')}`;
}

test('options end at the program, whatever comes behind it', () => {
  expect(options('-r', '/x', 'ls', '-l', '--trace', '-r', '--', '-x')).toMatchObject({
    root: '/x',
    program: 'ls',
    args: ['-l', '--trace', '-r', '--', '-x'],
  });
  expect(options('--', '-strange', '--help')).toMatchObject({ program: '-strange', args: ['--help'] });
});

test('the environment is changed in the order given', () => {
  expect(options('-E', 'A=1', '-U', 'B', '-EC=a=b', 'p').environment).toEqual([
    ['A', '1'],
    ['B', undefined],
    ['C', 'a=b'],
  ]);
  expect(complaint('-E', 'A', 'p')).toContain('NAME=VALUE');
  expect(complaint('-E', '=x', 'p')).toContain('NAME=VALUE');
});

test('a trace takes its kinds behind an equals sign only', () => {
  expect([...options('--trace', 'p', 'q').trace]).toEqual(['calls']);
  expect(options('--trace', 'p', 'q').program).toBe('p');
  expect([...options('--trace=faults,maps', 'p').trace]).toEqual(['faults', 'maps']);
  expect([...options('-d', '--trace=faults', 'p').trace].sort()).toEqual(['calls', 'faults']);
  expect(options('-E', '--trace=x', 'p').environment).toEqual([['--trace', 'x']]);
  expect(complaint('--trace=everything', 'p')).toContain("There is no 'everything'");
});

test('a view is shown at the end, or when it is said', () => {
  expect(options('--umem', 'p').umem).toEqual([{ kind: 'exit' }]);
  expect(options('p').smaps).toEqual([]);
  expect(options('--smaps=fatal,call:munmap', '--smaps=every:2000000', '--smaps=signal', 'p').smaps).toEqual([
    { kind: 'fatal' },
    { kind: 'call', name: 'munmap' },
    { kind: 'every', instructions: 2_000_000 },
    { kind: 'signal' },
  ]);
  expect(complaint('--maps=call:nonsense', 'p')).toContain("There is no call 'nonsense'");
  expect(complaint('--maps=every:0', 'p')).toContain('a number of instructions, 1 at least');
  for (const when of ['sometimes', 'exit:3', '']) expect(complaint(`--maps=${when}`, 'p')).toContain('There is no occasion');
});

test('sizes, seeds and layouts are checked', () => {
  expect(options('--memory', '64M', 'p').memory).toBe(64 * 2 ** 20);
  expect(options('--memory=1g', 'p').memory).toBe(2 ** 30);
  for (const size of ['0', '5G', '12X', '', '-1', '1.5M', '63K']) expect(complaint(`--memory=${size}`, 'p')).toContain('64K to 4G');
  expect(options('--seed', '4294967295', 'p').seed).toBe(4294967295);
  for (const seed of ['-1', 'x', '4294967296']) expect(complaint(`--seed=${seed}`, 'p')).toContain('number from 0');
  expect(options('p').layout).toBe('linuxemu');
  expect(complaint('--layout=windows', 'p')).toContain('linuxemu, linux');
});

test('wrong command lines are explained, with the status of our own failures', () => {
  expect(complaint()).toContain('no program given');
  expect(complaint('--nonsense', 'p')).toMatch(/^seg386: unknown option '--nonsense'\n.*--help/);
  expect(complaint('-r')).toContain('argument missing');
});

test('help and version go to standard output', () => {
  expect(parse('--version')).toEqual({ kind: 'print', text: '1.2.3\n', toError: false, status: 0 });
  const help = parse('--help');
  expect(help).toMatchObject({ toError: false, status: 0, text: expect.stringContaining('Examples:') });
  for (const name of [
    '--root',
    '-E',
    '-U',
    '--argv0',
    '--chdir',
    '--trace',
    '--trace-file',
    '--umem',
    '--segments',
    '--maps',
    '--smaps',
    '--svg',
    '--svg-when',
    '--json',
    '--memory',
    '--layout',
    '--deterministic',
    '--seed',
    '--stats',
    '--explain',
  ])
    expect(help.kind === 'print' && help.text).toContain(name);
});
