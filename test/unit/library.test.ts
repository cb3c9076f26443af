/** The library as a host program uses it: streams, files, events, limits, several machines at once, and what is left when one goes wrong. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  DISCARD,
  type FaultEvent,
  FileError,
  type GuestProcess,
  InputPipe,
  Machine,
  MachineError,
  type MachineOptions,
  memoryRoot,
  ProgramError,
} from '../../index.ts';
import { BUFFER_AT, call, DATA_AT, exit, LOOP, store, tiny, word, writeResult } from '../drivers/tiny.ts';

const FORK = 2,
  READ = 3,
  WRITE = 4,
  OPEN = 5,
  TIME = 13,
  PAUSE = 29,
  SIGNAL = 48,
  MMAP2 = 192,
  NANOSLEEP = 162;
/** Runs for ever: back to the beginning. */
const forever = (code: readonly number[]): number[] => [...code, 0xe9, ...word(-(code.length + 5) >>> 0)];
/** `exit(0)` where the last call returned 0. */
const EXIT_AT_END = [0x85, 0xc0, 0x75, exit(0).length, ...exit(0)];
/** `open(DATA_AT, flags)`, then the descriptor is in ebx. */
const opened = (flags: number): number[] => [...call(OPEN, DATA_AT, flags), 0x89, 0xc3];

const PROGRAMS: Readonly<Record<string, readonly [code: readonly number[], data?: string]>> = {
  exit42: [exit(42)],
  hello: [[...call(WRITE, 1, DATA_AT, 6), ...call(WRITE, 2, DATA_AT, 3), ...exit(0)], 'hello\n'],
  echo: [forever([...call(READ, 0, BUFFER_AT, 100), ...EXIT_AT_END, ...writeResult(1, BUFFER_AT)])],
  crash: [store(0x1234, 1)],
  loop: [LOOP],
  chatter: [forever(call(WRITE, 1, DATA_AT, 6)), 'hello\n'],
  nap: [[...call(NANOSLEEP, DATA_AT, 0), ...exit(7)], '\0\0\0\0\x40\x4b\x4c\0'],
  pauser: [[...call(PAUSE), ...exit(1)]],
  family: [[...call(FORK), ...LOOP]],
  bomb: [forever(call(FORK))],
  deaf: [[...call(SIGNAL, 15, 1), ...call(WRITE, 1, DATA_AT, 1), ...LOOP], '!'],
  clock: [[...call(TIME, BUFFER_AT), ...call(WRITE, 1, BUFFER_AT, 4), ...exit(0)]],
  touch: [[...store(BUFFER_AT + 0x3000, 1), ...store(BUFFER_AT, 0x6f6c6568), ...LOOP]],
  // Maps /shared (MAP_SHARED, one page) at 0x20000000, shows its first byte, writes there, and waits.
  mapper: [
    [
      ...opened(2),
      ...[0x89, 0xdf], // mov %ebx, %edi
      ...[0xbd, ...word(0)], // mov $0, %ebp
      ...[0xb8, ...word(MMAP2), 0xbb, ...word(0x2000_0000), 0xb9, ...word(4096), 0xba, ...word(3), 0xbe, ...word(0x11), 0xcd, 0x80],
      ...call(WRITE, 1, 0x2000_0000, 1),
      ...store(0x2000_0004, 0x21646c6f),
      ...call(PAUSE),
      ...call(WRITE, 1, 0x2000_0000, 8),
      ...exit(0),
    ],
    '/shared\0',
  ],
};

/** A machine in memory with all these programs in its root. */
function machine(options: MachineOptions = {}): Machine {
  const made = new Machine({ root: memoryRoot, ...options });
  for (const [name, [code, data]] of Object.entries(PROGRAMS)) made.files.writeFile(name, tiny(code, data), { mode: 0o755 });
  return made;
}
async function withMachine<T>(use: (made: Machine) => Promise<T> | T, options: MachineOptions = {}): Promise<T> {
  const made = machine(options);
  try {
    return await use(made);
  } finally {
    made.close();
  }
}
const until = async (condition: () => boolean): Promise<void> => {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 1));
};

describe('programs', () => {
  test('have their output kept, and say how they ended', () =>
    withMachine(async (made) => {
      const hello = await made.run({ argv: ['/hello'] });
      expect(hello).toMatchObject({ stdoutText: 'hello\n', stderrText: 'hel', exitCode: 0, status: { kind: 'exited', code: 0 } });
      expect(await made.run({ argv: ['/crash'] })).toMatchObject({ exitCode: 139, limit: undefined });
      expect((await made.run({ argv: ['other name'], program: '/exit42' })).exitCode).toBe(42);
    }));

  test('have no numbers left once they are over', () =>
    withMachine(async (made) => {
      const process = made.spawn({ argv: ['/nap', 'a', 'ü'] });
      expect(process).toMatchObject({
        program: '/nap',
        argv: ['/nap', 'a', 'ü'],
        status: undefined,
        exitCode: undefined,
        parent: undefined,
      });
      expect(made.processes()).toEqual([process]);
      expect(made.process(process.pid)).toBe(process);
      await process.wait();
      expect(made.processes()).toEqual([]);
      expect(made.usage.processes).toBe(0);
      expect(process.maps()).toEqual([]);
      expect(process.picture()).toBeUndefined();
    }));

  test('read what the host writes as it goes, and wait for it', () =>
    withMachine(async (made) => {
      const stdin = new InputPipe();
      const process = made.spawn({ argv: ['/echo'], stdin });
      const over = process.wait();
      stdin.write('one ');
      await until(() => process.stdoutText === 'one ');
      expect(stdin.buffered).toBe(0);
      stdin.write('two');
      await stdin.drained();
      stdin.end(' end');
      await over;
      expect(process.stdoutText).toBe('one two end');
      expect(() => stdin.write('more')).toThrow(TypeError);
      expect(stdin.closed).toBe(true);
    }));

  test('read streams, and write to streams no faster than these take it', () =>
    withMachine(async (made) => {
      async function* source(): AsyncGenerator<string> {
        for (let i = 0; i < 100; i++) yield `${i} `.repeat(20);
      }
      let taken = '';
      let waiting = 0;
      const slow = new WritableStream<Uint8Array>({
        write: async (bytes) => {
          waiting++;
          await new Promise((resolve) => setTimeout(resolve, 1));
          taken += new TextDecoder().decode(bytes);
          expect(waiting--).toBe(1);
        },
      });
      await made.run({ argv: ['/echo'], stdin: source(), stdout: slow });
      await until(() => taken.length === 5800);
      const readable = new ReadableStream<string>({
        start: (controller) => {
          controller.enqueue('piece');
          controller.close();
        },
      });
      expect((await made.run({ argv: ['/echo'], stdin: readable })).stdoutText).toBe('piece');
    }));

  test('are told by EIO when a source fails, and by SIGPIPE when nobody listens', () =>
    withMachine(async (made) => {
      async function* failing(): AsyncGenerator<string> {
        yield 'some';
        throw new Error('gone');
      }
      const errors: (string | undefined)[] = [];
      const stop = made.on('syscall', ({ error }) => void (error !== undefined && errors.push(error)));
      const process = made.spawn({ argv: ['/echo'], stdin: failing(), limits: { instructions: 1000 } });
      await process.wait();
      expect(process.stdoutText.slice(0, 4)).toBe('some');
      expect(errors[0]).toBe('EIO');
      stop();
      const cancelled = new WritableStream<Uint8Array>({ write: () => Promise.reject(new Error('full')) });
      expect((await made.run({ argv: ['/chatter'], stdout: cancelled })).exitCode).toBe(128 + 13);
    }));

  test('are sent signals by name and number', () =>
    withMachine(async (made) => {
      const pauser = made.spawn({ argv: ['/pauser'] });
      setTimeout(() => pauser.kill(), 5);
      expect(await pauser.wait()).toMatchObject({ kind: 'killed', signo: 15 });
      expect(pauser.kill()).toBe(false);
      const deaf = made.spawn({ argv: ['/deaf'] });
      while (deaf.stdoutText === '') made.step();
      expect(deaf.kill('SIGTERM')).toBe(true);
      made.step();
      expect(deaf.status).toBeUndefined();
      deaf.kill(9);
      expect(await deaf.wait()).toMatchObject({ signo: 9 });
      for (const wrong of ['SIGNONE', '0', 0, 65, 1.5]) expect(() => deaf.kill(wrong)).toThrow(RangeError);
    }));

  test('that cannot be run say why', () =>
    withMachine(async (made) => {
      expect(() => made.spawn({ argv: ['/ünknown'] })).toThrow(ProgramError);
      expect(() => made.spawn({ argv: ['/ünknown'] })).toThrow('/ünknown was not found');
      expect(() => made.spawn({ argv: ['/hello'], cwd: '/none' })).toThrow('/none cannot be the working directory');
      expect(() => made.spawn({ argv: [] })).toThrow(ProgramError);
      expect(made.usage.processes).toBe(0);
    }));
});

describe('limits', () => {
  test('of instructions are exact, and count all that a program starts', () =>
    withMachine(async (made) => {
      const loop = await made.run({ argv: ['/loop'], limits: { instructions: 12_345 } });
      expect(loop).toMatchObject({ instructions: 12_345, limit: 'instructions', exitCode: 137 });
      const family = await made.run({ argv: ['/family'], limits: { instructions: 3_000_000 } });
      expect(family).toMatchObject({ limit: 'instructions', exitCode: 137 });
      expect(made.usage.processes).toBe(0);
      expect(made.usage.instructions).toBe(12_345 + 3_000_000);
    }));

  test('of time end what runs and what waits', () =>
    withMachine(async (made) => {
      for (const program of ['/loop', '/pauser']) {
        const started = performance.now();
        expect(await made.run({ argv: [program], limits: { time_ms: 20 } })).toMatchObject({ limit: 'time', exitCode: 137 });
        expect(performance.now() - started).toBeGreaterThan(18);
      }
      expect(await made.run({ argv: ['/nap'], limits: { time_ms: 60_000 } })).toMatchObject({ limit: undefined, exitCode: 7 });
    }));

  test('of output end who writes on', () =>
    withMachine(async (made) => {
      const chatter = await made.run({ argv: ['/chatter'], limits: { output: 10 } });
      expect(chatter).toMatchObject({ exitCode: 128 + 13, stdoutText: 'hello\nhell', outputTruncated: true });
      expect((await made.run({ argv: ['/hello'], limits: { output: 6 } })).outputTruncated).toBe(false);
      expect((await made.run({ argv: ['/hello'], stdout: DISCARD })).stdout.length).toBe(0);
    }));

  test('of processes and memory hold for the machine', () =>
    withMachine(
      async (made) => {
        const errors = new Set<string | undefined>();
        const stop = made.on('syscall', ({ error }) => void errors.add(error));
        const bomb = await made.run({ argv: ['/bomb'], limits: { instructions: 100_000 } });
        stop();
        expect(bomb.limit).toBe('instructions');
        expect([...errors]).toEqual([undefined, 'EAGAIN']);
        expect(made.usage).toMatchObject({ memoryLimit: 16 << 20, processes: 0 });
        expect(() => made.files.writeFile('large', new Uint8Array(20 << 20))).toThrow(expect.objectContaining({ code: 'ENOSPC' }));
        made.files.unlink('large');
        expect((await made.run({ argv: ['/hello'] })).exitCode).toBe(0);
      },
      { maxProcesses: 5, memory: 16 << 20 },
    ));

  test('that are no numbers are refused', () =>
    withMachine((made) => {
      for (const limits of [{ instructions: -1 }, { time_ms: Number.NaN }, { output: 1.5 }, { openFiles: -2 }])
        expect(() => made.spawn({ argv: ['/hello'], limits })).toThrow(RangeError);
      for (const options of [{ memory: 10 }, { maxProcesses: 0 }, { slice: 0 }, { seed: -1 }])
        expect(() => new Machine(options)).toThrow(RangeError);
    }));
});

describe('files', () => {
  test('are made, read, changed, listed and removed', () =>
    withMachine(({ files }) => {
      files.mkdir('/a/b/c', { recursive: true });
      files.mkdir('a/b', { recursive: true });
      files.writeFile('/a/b/text', 'grüße', { mode: 0o600 });
      files.writeFile('/a/b/text', '!', { append: true });
      expect(files.readText('/a/b/text')).toBe('grüße!');
      expect(files.stat('/a/b/text')).toMatchObject({ kind: 'file', mode: 0o600, size: 8, nlink: 1 });
      files.writeFile('/a/b/text', 'x');
      files.truncate('/a/b/text', 3);
      expect(files.readFile('/a/b/text')).toEqual(Uint8Array.of(0x78, 0, 0));
      files.symlink('text', '/a/b/link');
      expect(files.readlink('/a/b/link')).toBe('text');
      expect(files.stat('/a/b/link').kind).toBe('file');
      expect(files.stat('/a/b/link', { followLinks: false }).kind).toBe('symlink');
      files.rename('/a/b/text', '/a/ü');
      files.chmod('/a/ü', 0o444);
      expect(files.stat('/a/ü').mode).toBe(0o444);
      expect(files.exists('/a/b/link')).toBe(false);
      expect(files.readdir('/a')).toEqual([
        { name: 'b', kind: 'directory' },
        { name: 'ü', kind: 'file' },
      ]);
      expect(files.readdir('/').map(({ name }) => name)).toEqual(expect.arrayContaining(['a', 'dev', 'hello', 'proc']));
      files.unlink('/a/ü');
      files.rmdir('/a', { recursive: true });
      expect(files.exists('/a')).toBe(false);
    }));

  test('that cannot be reached say why as Linux would', () =>
    withMachine(({ files }) => {
      files.mkdir('/d');
      const code = (action: () => unknown): string => {
        try {
          action();
        } catch (error) {
          if (error instanceof FileError) return error.code;
          throw error;
        }
        return 'none';
      };
      expect(code(() => files.readFile('/none'))).toBe('ENOENT');
      expect(code(() => files.readFile('/d'))).toBe('EISDIR');
      expect(code(() => files.readFile('/dev/zero'))).toBe('EINVAL');
      expect(code(() => files.writeFile('/none/x', ''))).toBe('ENOENT');
      expect(code(() => files.writeFile('/d', ''))).toBe('EISDIR');
      expect(code(() => files.writeFile('/new/', ''))).toBe('EISDIR');
      expect(code(() => files.mkdir('/d'))).toBe('EEXIST');
      expect(code(() => files.mkdir('/hello/x', { recursive: true }))).toBe('ENOTDIR');
      expect(code(() => files.readdir('/hello'))).toBe('ENOTDIR');
      expect(code(() => files.unlink('/d'))).toBe('EISDIR');
      expect(code(() => files.unlink('/'))).toBe('EINVAL');
      expect(code(() => files.rmdir('/hello'))).toBe('ENOTDIR');
      expect(code(() => files.rename('/d', '/d/e'))).toBe('EINVAL');
      expect(code(() => files.readlink('/d'))).toBe('EINVAL');
      files.writeFile('/d/x', '');
      expect(code(() => files.rmdir('/d'))).toBe('ENOTEMPTY');
      expect(() => files.readFile('/none')).toThrow('read /none: ENOENT');
    }));

  test('in memory and on the host are the same pages that a guest has mapped', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'seg386-library-'));
    try {
      for (const options of [{}, { mounts: [{ source: folder, target: '/m', mode: 'rw' as const }] }]) {
        await withMachine(async (made) => {
          const onHost = made.files.exists('/m');
          const shared = onHost ? '/m/shared' : '/shared';
          made.files.writeFile(shared, 'h'.padEnd(4096, '-'));
          if (onHost) made.files.symlink('/m/shared', '/shared');
          const process = made.spawn({ argv: ['/mapper'] });
          const over = process.wait();
          await until(() => process.stdoutText === 'h' && process.readMemory(0x2000_0004, 1)[0] === 0x6f);
          expect(made.files.readText(shared).slice(0, 8)).toBe('h---old!');
          made.files.writeFile(shared, 'Hall', { append: false });
          made.files.truncate(shared, 4096);
          expect(new TextDecoder().decode(process.readMemory(0x2000_0000, 5))).toBe('Hall\0');
          process.writeMemory(0x2000_0004, new TextEncoder().encode('oder'));
          expect(made.files.readText(shared).slice(0, 8)).toBe('Halloder');
          expect(() => process.readMemory(0x3000_0000, 1)).toThrow(RangeError);
          expect(() => process.readMemory(0xffff_ffff, 2)).toThrow(RangeError);
          process.kill('SIGKILL');
          await over;
        }, options);
      }
      expect(readFileSync(join(folder, 'shared'), 'latin1').slice(0, 8)).toBe('Halloder');
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test('of a host directory change there, or stay in memory', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'seg386-library-'));
    writeFileSync(join(folder, 'old'), 'old');
    const overlaid = new Machine({ root: folder, overlay: true });
    overlaid.files.writeFile('/old', 'new');
    overlaid.files.writeFile('/ü', 'new');
    expect(overlaid.changes()).toEqual([
      { path: '/old', change: 'changed', kind: 'file' },
      { path: '/ü', change: 'added', kind: 'file' },
    ]);
    overlaid.close();
    expect(readFileSync(join(folder, 'old'), 'utf8')).toBe('old');
    const plain = new Machine({ root: folder });
    plain.files.writeFile('/old', 'new');
    expect(() => plain.files.readFile('/../../etc/passwd')).toThrow(FileError);
    plain.close();
    expect(readFileSync(join(folder, 'old'), 'utf8')).toBe('new');
    rmSync(folder, { recursive: true });
    expect(() => new Machine({ root: folder })).toThrow(FileError);
  });
});

describe('events', () => {
  test('tell of calls, faults, programs, signals and ends, while somebody listens', () =>
    withMachine(async (made) => {
      const seen: string[] = [];
      const faults: FaultEvent<GuestProcess>[] = [];
      const stops = [
        made.on('syscall', ({ text, name, result, error, supported }) => seen.push(`${text}|${name} ${result} ${error} ${supported}`)),
        made.on('fault', (event) => faults.push({ ...event, reason: event.reason })),
        made.on('signal', ({ name, action }) => seen.push(`${name} ${action}`)),
        made.on('exec', ({ path }) => seen.push(`exec ${path}`)),
        made.on('exit', ({ process, status }) => seen.push(`exit ${status.kind} ${process.maps().length > 2}`)),
      ];
      await made.run({ argv: ['/hello'] });
      expect(seen).toEqual([
        'exec /hello',
        `${'write(1, "hello\\n", 6)'.padEnd(39)} = 6|write 6 undefined true`,
        `${'write(2, "hel", 3)'.padEnd(39)} = 3|write 3 undefined true`,
        'exit exited true',
        expect.stringContaining('|exit undefined undefined true'),
      ]);
      seen.length = 0;
      const crash = await made.run({ argv: ['/crash'] });
      expect(seen).toEqual(['exec /crash', 'SIGSEGV terminated', 'exit killed true']);
      expect(faults.at(-1)).toMatchObject({ process: crash, address: 0x1234, access: 'write', outcome: 'refused', signal: 'SIGSEGV' });
      expect(faults.at(-1)?.reason).toContain('nothing is mapped');
      await made.run({ argv: ['/touch'], limits: { instructions: 1000 } });
      expect(faults.at(-1)).toMatchObject({ address: BUFFER_AT, outcome: 'resolved', reason: undefined, signal: undefined });
      seen.length = 0;
      for (const stop of stops) stop();
      await made.run({ argv: ['/hello'] });
      expect(seen).toEqual([]);
    }));

  test('whose listeners throw end the wait, and nothing else', () =>
    withMachine(async (made) => {
      const stop = made.on('syscall', () => {
        throw new Error('mine');
      });
      await expect(made.run({ argv: ['/hello'] })).rejects.toThrow('mine');
      stop();
      const throwing = made.run({
        argv: ['/hello'],
        stdout: () => {
          throw new Error('mine too');
        },
      });
      await expect(throwing).rejects.toThrow('mine too');
      expect((await made.run({ argv: ['/hello'] })).exitCode).toBe(0);
    }));

  test('do not let a listener run the machine', () =>
    withMachine(async (made) => {
      const stop = made.on('syscall', () => void made.step());
      await expect(made.run({ argv: ['/hello'] })).rejects.toThrow(MachineError);
      stop();
    }));
});

describe('several machines', () => {
  test('run side by side, and what goes wrong in one does not reach the others', async () => {
    let broken: Error | undefined;
    const realtime = (): bigint => {
      if (broken !== undefined) throw broken;
      return 5_000_000_000n;
    };
    const [a, b, c] = [machine({ memory: 4 << 20, maxProcesses: 3 }), machine({ clock: { realtime, monotonic: () => 0n } }), machine()];
    const ends: string[] = [];
    a.on('exit', ({ process }) => ends.push(`a ${process.argv[0]}`));
    b.on('exit', ({ process }) => ends.push(`b ${process.argv[0]}`));
    const jobs = [
      a.run({ argv: ['/crash'] }),
      a.run({ argv: ['/bomb'], limits: { time_ms: 50 } }),
      b.run({ argv: ['/loop'], limits: { instructions: 20_000_000 } }),
      b.run({ argv: ['/clock'] }),
      c.run({ argv: ['/echo'], stdin: 'c' }),
      c.run({ argv: ['/loop'], limits: { time_ms: 60 } }),
    ];
    const [crash, bomb, loop, clock, echo, timed] = await Promise.all(jobs);
    expect([crash, bomb, loop, clock, echo, timed].map(({ exitCode }) => exitCode)).toEqual([139, 137, 137, 0, 0, 137]);
    expect([bomb.limit, loop.limit, timed.limit]).toEqual(['time', 'instructions', 'time']);
    expect(loop.instructions).toBe(20_000_000);
    expect(new DataView(clock.stdout.buffer).getUint32(0, true)).toBe(5);
    expect(echo.stdoutText).toBe('c');
    expect(ends).toContain('b /clock');
    expect(ends.filter((end) => end === 'a /clock')).toEqual([]);
    // What the host program passed in fails: that machine is over, the others go on.
    broken = new Error('broken clock');
    await expect(b.run({ argv: ['/clock'] })).rejects.toBe(broken);
    expect(() => b.spawn({ argv: ['/hello'] })).toThrow(broken);
    b.close();
    expect((await a.run({ argv: ['/hello'] })).stdoutText).toBe('hello\n');
    a.close();
    expect((await c.run({ argv: ['/hello'] })).stdoutText).toBe('hello\n');
    c.close();
  });

  test('with the same seed do the same, whatever runs beside them', async () => {
    const trace = async (made: Machine): Promise<string> => {
      const lines: string[] = [];
      made.on('syscall', ({ text }) => lines.push(text));
      const process = await made.run({ argv: ['/clock'] });
      await made.run({ argv: ['/nap'] });
      return `${lines.join('\n')} ${process.instructions} ${made.usage.instructions}`;
    };
    const made = [1, 1, 2].map((seed) => machine({ deterministic: true, seed }));
    const [first, second] = await Promise.all(made.map(trace));
    expect(first).toBe(second);
    for (const each of made) each.close();
  });

  test('take their time and randomness from where the host program says', () =>
    withMachine(
      async (made) => {
        const clock = await made.run({ argv: ['/clock'] });
        expect(new DataView(clock.stdout.buffer).getUint32(0, true)).toBe(1_000_000);
      },
      { clock: { realtime: () => 1_000_000_000_000_000n, monotonic: () => 0n }, random: (into) => void into.fill(7) },
    ));
});

describe('a closed machine', () => {
  test('rejects what is waited for, runs nothing, and is closed twice as once', async () => {
    const made = machine();
    const waiting = made.spawn({ argv: ['/pauser'] }).wait();
    const seen = waiting.catch((error: unknown) => error);
    await until(() => made.usage.instructions > 0);
    made.close();
    made.close();
    expect(await seen).toMatchObject({ name: 'MachineError', code: 'closed' });
    expect(made.closed).toBe(true);
    expect(() => made.spawn({ argv: ['/hello'] })).toThrow(MachineError);
    expect(() => made.step()).toThrow('the machine is closed');
    await expect(made.run({ argv: ['/hello'] })).rejects.toThrow(MachineError);
  });
});

test('every exported name is described', () => {
  const names = [...readFileSync(new URL('../../index.ts', import.meta.url), 'utf8').matchAll(/^export (?:type )?\{([^}]*)\}/gm)].flatMap(
    ([, list]) => list.split(',').map((name) => name.replace('type ', '').trim()),
  );
  const described = readFileSync(new URL('../../docs/API.md', import.meta.url), 'utf8');
  expect(names.filter((name) => name !== '' && !new RegExp(`\\b${name}\\b`).test(described))).toEqual([]);
});
