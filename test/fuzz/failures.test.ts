/**
 * A guest that does all sorts of things with memory and files, while the Nth frame, read or write-back fails, for every N: it is told the right error, or
 * gets the right signal; nothing in the emulator breaks, no frame is lost, and what was written gets to its file when that works again.
 */
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { EIO, ENOSPC, Errno } from '../../abi/errno.ts';
import { emulator } from '../drivers/emulator.ts';
import { compilerVersion } from '../drivers/fixtures.ts';
import { Bed, type Ran } from './failures/runs.ts';

type Move = (fd: number, pieces: readonly Uint8Array[], position: number) => number;
type Wrapped = (real: Move, ...moved: Parameters<Move>) => number;
const PLAIN: Wrapped = (real, ...moved) => real(...moved);
/** What is between the page cache and the host. */
const host = vi.hoisted(() => ({ readv: undefined as Wrapped | undefined, writev: undefined as Wrapped | undefined }));
vi.mock('../../fs/hostfs.ts', async (original) => {
  const real = await original<typeof import('../../fs/hostfs.ts')>();
  return {
    ...real,
    readv: (...moved: Parameters<Move>) => (host.readv ?? PLAIN)(real.readv as Move, ...moved),
    writev: (...moved: Parameters<Move>) => (host.writev ?? PLAIN)(real.writev as Move, ...moved),
  };
});

/** More than the guest needs of anything. */
const FRAMES = 90;
const MOVES = 14;
const FIXTURES = [
  'memory/after-fork-each-writes-its-own-pages',
  'memory/a-removed-segment-lives-until-its-last-detach',
  'memory/truncating-and-punching-take-pages-from-mappings',
];
/** What a step may say when there is no frame: ENOMEM, EAGAIN of mlock and fork, ENOSPC of memory files. */
const NO_MEMORY = /^(\S+( \S+)*) (-12|-11|-28)$|^child status 9$/;

const cannot = (await compilerVersion()) === undefined || emulator.unavailable() !== undefined;

/** The `at`-th move fails, and all after it if it `stays`; 'short' moves a part. */
function failing(which: 'readv' | 'writev', at: number, how: number | 'short', stays: boolean): () => () => void {
  let calls = 0;
  return () => {
    host[which] = (real, fd, pieces, position) => {
      calls++;
      if (calls !== at && !(stays && calls > at)) return real(fd, pieces, position);
      if (how !== 'short') throw new Errno(how);
      return real(fd, [pieces[0].subarray(0, Math.min(1000, pieces[0].length))], position);
    };
    return () => void (host[which] = undefined);
  };
}

describe.skipIf(cannot)('a guest that uses memory', { timeout: 120_000 }, () => {
  let bed: Bed;
  beforeAll(async () => void (bed = await Bed.make()));
  afterAll(() => bed.close());

  /** Every kind of end, and every line that is not ok, of runs 0 or 1 to `last`; none of them loses a frame or shows wrong bytes. */
  function outcomes(last: number, run: (n: number) => Ran): { endings: Set<string>; failures: Set<string>; final: Ran } {
    const [endings, failures] = [new Set<string>(), new Set<string>()];
    let final = run(0);
    for (let n = 0; n <= last; n++) {
      final = run(n);
      expect({ n, leaked: final.leaked }).toEqual({ n, leaked: 0 });
      endings.add(final.ending);
      for (const line of final.failures) failures.add(line);
    }
    expect([...failures].filter((line) => line.includes('wrong'))).toEqual([]);
    return { endings, failures, final };
  }

  function shortOf(frames: number): Ran {
    return bed.run(() => {
      const pool = bed.machine.parts.frames;
      pool.limit = pool.inUse + frames;
      return () => void (pool.limit = Number.POSITIVE_INFINITY);
    });
  }

  function withoutFrame(n: number): Ran {
    return bed.run(() => {
      const pool = bed.machine.parts.frames;
      let calls = 0;
      pool.allocate = () => (calls++ === n ? -1 : Object.getPrototypeOf(pool).allocate.call(pool));
      return () => void Reflect.deleteProperty(pool, 'allocate');
    });
  }

  test('does all its steps where nothing fails', () => {
    const { ending, failures, lines, leaked, file } = bed.run(() => () => {});
    expect({ ending, failures, leaked, file }).toEqual({ ending: 'exited 0', failures: [], leaked: 0, file: 'fffFff' });
    expect(lines.length).toBe(64);
  });

  test('is not started, told or killed where frames end after any number', () => {
    const { endings, failures, final } = outcomes(FRAMES, shortOf);
    expect([...endings]).toEqual(['not started: cannot be mapped: there is no room for it', 'killed 9', 'exited 0']);
    for (const line of failures) expect(line).toMatch(NO_MEMORY);
    expect(failures).toContain('allocate -28');
    expect(final.failures).toEqual([]);
  });

  test('is not started, told or killed where any one frame cannot be had', () => {
    const { endings, failures, final } = outcomes(FRAMES, withoutFrame);
    expect([...endings]).toEqual(['not started: cannot be mapped: there is no room for it', 'killed 9', 'exited 0']);
    for (const line of failures) expect(line).toMatch(NO_MEMORY);
    expect([...failures]).toEqual(expect.arrayContaining(['child status 9', 'allocate -28', 'lock -11', 'populate -12']));
    expect(final.failures).toEqual([]);
  });

  test('never notices reads that come short, or fail once when read ahead', () => {
    for (const how of ['short', EIO] as const) {
      const { failures, final } = outcomes(MOVES, (n) => bed.run(failing('readv', n + 1, how, how === 'short')));
      expect([...failures]).toEqual([]);
      expect(final.file).toBe('fffFff');
    }
  });

  test('gets SIGBUS or EIO where reads fail from any one on', () => {
    const { endings, failures, final } = outcomes(MOVES, (n) => bed.run(failing('readv', n + 1, EIO, true)));
    for (const ending of endings) expect(ending).toMatch(/^(not started: .*|killed 7|exited 0)$/);
    for (const line of failures) expect(line).toMatch(/ signal 7$| -5$| -14$|^child status 7$/);
    expect(failures).toContain('read shared signal 7');
    expect(final.failures).toEqual([]);
  });

  for (const [name, code] of [
    ['ENOSPC', ENOSPC],
    ['EIO', EIO],
  ] as const) {
    test(`is told of write-backs that fail with ${name} by the next msync or fsync, and loses nothing`, () => {
      for (const stays of [false, true]) {
        const { endings, failures, final } = outcomes(MOVES, (n) => {
          const ran = bed.run(failing('writev', n + 1, code, stays));
          expect(ran.file).toBe('fffFff');
          return ran;
        });
        expect([...endings]).toEqual(['exited 0']);
        for (const line of failures) expect(line).toMatch(new RegExp(`^(msync|fsync|fsync after) -${code}$`));
        expect(failures).toContain(`fsync after -${code}`);
        if (stays) expect([...failures].length).toBe(3);
        expect(final.failures).toEqual([]);
      }
    });
  }
});

describe.skipIf(cannot)('with too few frames', { timeout: 120_000 }, () => {
  for (const name of FIXTURES) {
    test(`a fixture ends and leaves none behind: ${name}`, async () => {
      const bed = await Bed.make(name);
      const pool = bed.machine.parts.frames;
      const endings = new Set<string>();
      // The vdso's page comes with the first program and stays.
      expect(bed.run(() => () => {}).ending).toBe('exited 0');
      for (let frames = 0; frames < 60; frames += 3) {
        const { ending, leaked } = bed.run(() => {
          pool.limit = pool.inUse + frames;
          return () => void (pool.limit = Number.POSITIVE_INFINITY);
        });
        expect({ frames, leaked }).toEqual({ frames, leaked: 0 });
        endings.add(ending);
      }
      expect([...endings]).toEqual(expect.arrayContaining(['killed 9', 'exited 0']));
      expect(endings).not.toContain('hangs');
      bed.close();
    });
  }
});
