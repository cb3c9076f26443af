/** The command as a shell meets it: every test compares what a parent process can see. */
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { emulator, SEG386 } from '../drivers/emulator.ts';
import { BUFFER_AT, call, DATA_AT, exit, LOOP, store, tiny, tinyFile, word, writeResult } from '../drivers/tiny.ts';

const READ = 3,
  WRITE = 4,
  PAUSE = 29,
  KILL = 37,
  GETPID = 20,
  SIGNAL = 48,
  PTRACE = 26;
const SIGTERM = 15;
let folder = '';
const at = (name: string): string => join(folder, name);

/** Behind the code's first instructions: `signal(SIGTERM, handler)`, then the rest; the handler exits with 9. */
function catching(rest: readonly number[]): number[] {
  const handlerOffset = 0x80;
  const start = call(SIGNAL, SIGTERM, 0x08048100 + handlerOffset);
  const before = [...start, ...rest];
  return [...before, ...new Array<number>(handlerOffset - before.length).fill(0x90), ...exit(9)];
}

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'seg386-cli-'));
  tinyFile(at('exit42'), exit(42));
  tinyFile(at('hello'), [...call(WRITE, 1, DATA_AT, 6), ...exit(0)], 'hello\n');
  tinyFile(at('one'), [...call(READ, 0, BUFFER_AT, 1), ...writeResult(1, BUFFER_AT), ...exit(0)]);
  tinyFile(at('crash'), store(0x1234, 1));
  tinyFile(at('flood'), [...call(WRITE, 1, DATA_AT, 6), 0xeb, 0x100 - 24], 'hello\n');
  tinyFile(at('selfterm'), [...call(GETPID), 0x89, 0xc3, 0xb9, ...word(SIGTERM), 0xb8, ...word(KILL), 0xcd, 0x80, ...LOOP]);
  tinyFile(at('catch-loop'), catching([...call(WRITE, 1, DATA_AT, 6), ...LOOP]), 'ready\n');
  tinyFile(at('catch-pause'), catching([...call(WRITE, 1, DATA_AT, 6), ...call(PAUSE), ...LOOP]), 'ready\n');
  tinyFile(at('catch-read'), catching([...call(WRITE, 1, DATA_AT, 6), ...call(READ, 0, BUFFER_AT, 10), ...LOOP]), 'ready\n');
  tinyFile(at('pause'), [...call(WRITE, 1, DATA_AT, 6), ...call(PAUSE), ...exit(0)], 'ready\n');
  tinyFile(at('touch'), [...store(BUFFER_AT, 1), ...exit(0)]);
  tinyFile(at('unknown'), [...call(9999), ...exit(0)]);
  tinyFile(at('traceme'), [...call(PTRACE, 0, 0, 0), ...exit(0)]);
  writeFileSync(at('text'), 'hello\n', { mode: 0o755 });
  writeFileSync(at('plain'), tiny(exit(0)), { mode: 0o644 });
  writeFileSync(at('script'), `#!${at('nowhere')}\n`, { mode: 0o755 });
});
afterAll(() => rmSync(folder, { recursive: true }));

function seg386(...args: string[]) {
  const { status, signal, stdout, stderr } = spawnSync(process.execPath, [SEG386, ...args], { cwd: folder, encoding: 'latin1' });
  return { status, signal, stdout, stderr };
}

/** Starts a program, waits until it says that it is ready, and returns it. */
async function ready(name: string): Promise<ChildProcess> {
  // A pipe as shells make them: node's own are sockets, which can only be read by waiting for them.
  const script = 'exec "$@" < <(exec sleep 20)';
  const child = spawn('bash', ['-c', script, 'bash', process.execPath, SEG386, at(name)], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(child.stdout as NodeJS.ReadableStream, 'data');
  return child;
}

describe.skipIf(emulator.unavailable() !== undefined)('the command', () => {
  test('exits as the guest exits, and says nothing of its own', () => {
    expect(seg386('./exit42')).toEqual({ status: 42, signal: null, stdout: '', stderr: '' });
    expect(seg386('./hello')).toEqual({ status: 0, signal: null, stdout: 'hello\n', stderr: '' });
  });

  test('dies of the signal that the guest dies of, without a core', () => {
    expect(seg386('./crash')).toEqual({ status: null, signal: 'SIGSEGV', stdout: '', stderr: '' });
    expect(seg386('./selfterm')).toEqual({ status: null, signal: 'SIGTERM', stdout: '', stderr: '' });
    execFileSync('sh', ['-c', 'ulimit -c unlimited; "$@" || true', 'sh', process.execPath, SEG386, './crash'], {
      cwd: folder,
      stdio: 'ignore',
    });
    expect(existsSync(at('core'))).toBe(false);
  });

  test('dies of SIGPIPE when nobody reads any more', () => {
    const script = `"$1" "$2" ./flood | head -c 6; echo \${PIPESTATUS[0]}`;
    expect(spawnSync('bash', ['-c', script, 'bash', process.execPath, SEG386], { cwd: folder, encoding: 'latin1' }).stdout).toBe(
      'hello\n141\n',
    );
  });

  test('reads no more of a shared input than the guest does', () => {
    const script = 'printf abc | { "$1" "$2" ./one; cat; }; echo; printf abc >in; { "$1" "$2" ./one; cat; } <in';
    expect(spawnSync('sh', ['-c', script, 'sh', process.execPath, SEG386], { cwd: folder, encoding: 'latin1' }).stdout).toBe('abc\nabc');
  });

  test.each([
    ['./nothing', 127, './nothing was not found'],
    ['nothing', 127, 'nothing was not found in the PATH'],
    ['./plain', 126, './plain may not be executed: permission denied'],
    ['./text', 126, './text is not an ELF program'],
    ['/', 126, '/ is a directory'],
    ['./script', 127, 'nowhere was not found: it is named by the first line of ./script'],
    [process.execPath, 126, 'is an x86-64 program; seg386 runs 32-bit i386 ones'],
  ])('%s cannot be run: status %d and a message', (program, status, message) => {
    const result = seg386(program);
    expect(result).toMatchObject({ status, signal: null, stdout: '' });
    expect(result.stderr).toContain(message);
    expect(result.stderr).toMatch(/^seg386: [^\n]*\n$/);
  });

  test.each([
    [['--nonsense', './hello'], 'unknown option'],
    [['-r', '/nowhere', 'x'], '/nowhere cannot be the root: ENOENT'],
    [['-w', '/nowhere', './hello'], 'cannot start in /nowhere: ENOENT'],
    [['--trace-file=/nowhere/x', './hello'], 'cannot write /nowhere/x'],
  ])('its own failures %j have status 125', (args, message) => {
    const result = seg386(...args);
    expect(result).toMatchObject({ status: 125, stdout: '' });
    expect(result.stderr).toContain(message);
  });

  test('traces go to standard error, or to a file', () => {
    expect(seg386('-d', './hello').stderr).toContain('write(1, "hello\\n", 6)');
    const traced = seg386('--trace=calls,faults,maps', '--trace-file=trace', './touch');
    expect(traced).toEqual({ status: 0, signal: null, stdout: '', stderr: '' });
    const text = readFileSync(at('trace'), 'latin1');
    expect(text).toMatch(/^map 08048000-08049000 rwxp 00000000 .*\/touch \(execve\)$/m);
    expect(text).toMatch(/^fault write 0x08049000 08049000-08068000 rwxp \(eip 0x08048100\)$/m);
    expect(text).toMatch(/^exit\(0\)/m);
  });

  test('a trace says what the machine refuses to do', () => {
    expect(seg386('--trace', './traceme').stderr).toMatch(/^--- ptrace .* ENOSYS ---\nptrace\(0, 0, NULL, .*\) += -1 ENOSYS/m);
  });

  test('maps are printed at the end in the form asked for', () => {
    expect(seg386('--umem', './hello').stderr).toMatch(/^1 0x08048000-0x08049000 0x00000000@.*\/hello\n1 0x08049000-0x08068000 \*ANON\*\n/);
    expect(seg386('--segments', './hello').stderr).toMatch(/^Stack {2}/m);
    expect(seg386('--maps', './hello').stderr).toMatch(/\[stack\]\n$/);
    expect(seg386('--smaps', './hello').stderr).toMatch(/^08048000-.*\nSize: {18}4 kB\n[^]*^VmFlags: rd wr ex mr mw me ac \n/m);
    const data = JSON.parse(seg386('--json', '--umem', '--segments', '--maps', '--smaps', './hello').stderr);
    expect(Object.keys(data)).toEqual(['pid', 'command', 'when', 'umem', 'segments', 'maps', 'smaps']);
    expect(data).toMatchObject({ command: 'hello', when: 'exit' });
    expect(data.smaps[0].counts.size).toBe(1);
    expect(data.umem[0].base).toBe(0x8048000);
  });

  test('maps are printed behind a named call, and with a fatal signal once', () => {
    expect(seg386('--umem=call:write', './hello').stderr).toMatch(/^\[pid \d+ hello\] write\n1 0x08048000-/);
    expect(seg386('--segments=fatal,exit', './crash').stderr.match(/^Stack/gm)).toHaveLength(1);
    expect(seg386('--segments=fatal', './hello').stderr).toBe('');
  });

  test('two dumps are compared', () => {
    seg386('--umem', '--json', '--trace-file=a.json', './hello');
    seg386('--umem', '--json', '--trace-file=b.json', './hello');
    expect(seg386('umem', '--diff', 'a.json', 'b.json')).toEqual({ status: 0, signal: null, stdout: '', stderr: '' });
    seg386('--umem', '--json', '--trace-file=b.json', './touch');
    const { status, stdout } = seg386('umem', '--diff', 'a.json', 'b.json');
    expect(status).toBe(1);
    expect(stdout).toMatch(/^removed {3}0x08048000-0x08049000 rwx 1 page .*\/hello\nadded {5}0x08048000-0x08049000 rwx 1 page .*\/touch\n/);
    expect(stdout).toMatch(/^dirty {5}0x08049000-0x0804a000 1 page \*ANON\*$/m);
    expect(JSON.parse(seg386('umem', '--diff', '--json', 'a.json', 'b.json').stdout).changes[0]).toMatchObject({
      kind: 'removed',
      before: 7,
    });
    expect(seg386('umem', '--diff', 'a.json', 'text')).toMatchObject({ status: 125, stderr: expect.stringContaining('no memory map') });
    expect(seg386('umem')).toMatchObject({ status: 125, stderr: expect.stringContaining('usage') });
  });

  test('the address space is drawn, each later picture into a file of its own', () => {
    expect(seg386('--svg', 'exit.svg', './hello')).toMatchObject({ status: 0, stderr: '' });
    const svg = readFileSync(at('exit.svg'), 'utf8');
    expect(svg).toMatch(/^<svg [^>]*>\n[^]*<\/svg>\n$/);
    for (const text of ['DATA', 'STACK', '[stack]', '08048000-08049000', '/hello\ntext, 1 pages, 1 in memory', 'GB free'])
      expect(svg).toContain(text);
    for (const name of ['g', 'title', 'text']) expect(svg.split(`<${name}`).length).toBe(svg.split(`</${name}>`).length);
    seg386('--svg', 'each.svg', '--svg-when=exit,call:write', './hello');
    expect([existsSync(at('each.svg')), existsSync(at('each-2.svg')), existsSync(at('each-3.svg'))]).toEqual([true, true, false]);
    expect(seg386('--svg', '/nowhere/x.svg', './hello')).toMatchObject({ status: 125, stderr: expect.stringContaining('cannot write') });
  });

  test('maps are printed when the user asks with SIGUSR2, and the guest goes on', async () => {
    const child = spawn(process.execPath, [SEG386, '--umem=signal', at('pause')], { stdio: ['ignore', 'pipe', 'pipe'] });
    await once(child.stdout, 'data');
    child.kill('SIGUSR2');
    const [shown] = await once(child.stderr, 'data');
    expect(String(shown)).toMatch(/^\[pid \d+ pause\] SIGUSR2\n/);
    child.kill('SIGTERM');
    expect(await once(child, 'exit')).toEqual([null, 'SIGTERM']);
  });

  test('a fatal fault is explained on request, with the maps', () => {
    const { stderr } = seg386('--explain', './crash');
    expect(stderr.split('\n')[0]).toMatch(/^SIGSEGV \(SEGV_MAPERR\) writing 0x00001234 by the instruction at 0x08048100 in .*: /);
    expect(stderr).toContain('[stack]');
  });

  test('statistics count instructions, faults and calls, unknown ones too', () => {
    const { stats } = JSON.parse(seg386('--stats', '--json', './unknown').stderr);
    expect(stats.engine.instructions).toBe(5);
    expect(stats.calls).toContainEqual({ name: 'exit', count: 1, known: true });
    expect(stats.calls).toContainEqual(expect.objectContaining({ count: 1, known: false }));
    expect(seg386('--stats', './unknown').stderr).toMatch(/not answered .*9999/);
  });

  test('nothing outside of the root can be seen', () => {
    tinyFile(at('inside'), exit(3));
    expect(seg386('-r', folder, '/inside').status).toBe(3);
    expect(seg386('-r', folder, at('inside')).status).toBe(127);
    expect(seg386('-r', folder, '/../../../../inside').status).toBe(3);
  });

  test.each(['catch-loop', 'catch-pause', 'catch-read'])('a signal reaches the handler of a guest in %s', async (name) => {
    const child = await ready(name);
    child.kill('SIGTERM');
    expect((await once(child, 'exit'))[0]).toBe(9);
  });

  test('a signal that the guest does not catch kills it, and so us', async () => {
    const child = await ready('pause');
    child.kill('SIGTERM');
    expect(await once(child, 'exit')).toEqual([null, 'SIGTERM']);
  });

  test('a waiting guest costs no time', async () => {
    const child = await ready('catch-pause');
    const ticks = (): number =>
      Number(
        readFileSync(`/proc/${child.pid}/stat`, 'latin1')
          .split(' ')
          .slice(13, 15)
          .reduce((sum, each) => sum + Number(each), 0),
      );
    const halfASecond = async (): Promise<number> => {
      const before = ticks();
      await new Promise((resolve) => setTimeout(resolve, 500));
      return ticks() - before;
    };
    // Node compiles for a while yet beside a program that waits, on a busy machine for long.
    let used = await halfASecond();
    for (let n = 0; n < 50 && used > 5; n++) used = await halfASecond();
    expect(used).toBeLessThanOrEqual(5);
    child.kill('SIGKILL');
    await once(child, 'exit');
  });

  test('descriptors beyond the standard ones are inherited under their numbers', () => {
    tinyFile(at('three'), [...call(READ, 3, BUFFER_AT, 100), ...writeResult(11, BUFFER_AT), ...exit(0)]);
    const script =
      'echo inherited >in3; "$1" "$2" ./three 3<in3 11>out11; cat out11; echo piped | { "$1" "$2" ./three 3<&0 11>&1 </dev/null; }';
    expect(spawnSync('bash', ['-c', script, 'bash', process.execPath, SEG386], { cwd: folder, encoding: 'latin1' }).stdout).toBe(
      'inherited\npiped\n',
    );
  });

  test('a descriptor is inherited though its number is beyond the limit', () => {
    tinyFile(at('beyond'), [...call(READ, 200, BUFFER_AT, 100), ...writeResult(1, BUFFER_AT), ...exit(0)]);
    const script = 'exec 200< <(echo inherited); ulimit -n 100; exec "$1" "$2" ./beyond';
    const { stdout } = spawnSync('bash', ['-c', script, 'bash', process.execPath, SEG386], { cwd: folder, encoding: 'latin1' });
    expect(stdout).toBe('inherited\n');
  });

  test('argv[0], environment and arguments reach the guest as they are, to the byte', () => {
    // The initial stack's strings: from the first argument on.
    tinyFile(at('args'), [0x8b, 0x4c, 0x24, 0x04, 0xba, ...word(40), 0xbb, ...word(1), 0xb8, ...word(WRITE), 0xcd, 0x80, ...exit(0)]);
    const script = `env -i A=1 B=2 "$1" "$2" -0 name -E C=3 -U A ./args "$(printf 'x\\377y')" ''`;
    const { stdout } = spawnSync('sh', ['-c', script, 'sh', process.execPath, SEG386], { cwd: folder, encoding: 'latin1' });
    expect(stdout.split('\0').slice(0, 5)).toEqual(['name', 'x\xffy', '', 'B=2', 'C=3']);
  });
});
