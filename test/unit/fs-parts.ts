/** What the file tests share: a guest tree over a fresh host directory. */
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { errnoName, Errno } from '../../abi/errno.ts';
import { Description } from '../../fs/description.ts';
import { GuestFiles, type GuestFilesOptions } from '../../fs/guest.ts';
import type { WalkContext } from '../../fs/path.ts';
import { isWait, type Place } from '../../fs/vnode.ts';
import { PageCache } from '../../mm/cache.ts';
import { FramePool } from '../../mm/frame.ts';
import { PlainArena } from './mm-parts.ts';

export interface TestRoot {
  /** The host's name for the directory that is the guest's root. */
  readonly directory: string;
  /** A host directory beside it, which no guest may reach. */
  readonly outside: string;
  readonly files: GuestFiles;
  readonly context: WalkContext;
  readonly frames: FramePool;
  resolve(path: string, follow?: boolean): Place;
  /** Opens an existing file. */
  open(path: string, flags: number): Description;
  remove(): void;
}

export function testRoot(more: Partial<GuestFilesOptions> | ((base: string) => Partial<GuestFilesOptions>) = {}): TestRoot {
  const base = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), 'seg386-fs-')));
  const directory = path.join(base, 'root');
  const outside = path.join(base, 'outside');
  fs.mkdirSync(directory);
  fs.mkdirSync(outside);
  fs.writeFileSync(path.join(outside, 'secret'), 'secret');
  const frames = new FramePool({ arena: new PlainArena() });
  const files = new GuestFiles({
    root: directory,
    cache: new PageCache<string>(frames),
    now_ns: () => BigInt(Date.now()) * 1_000_000n,
    random: (into) => void into.fill(7),
    owner: { uid: 0, gid: 0 },
    ...(typeof more === 'function' ? more(base) : more),
  });
  const context = { root: files.tree.root, cwd: files.tree.root };
  const resolve = (name: string, follow = true) => files.tree.resolve(context, name, { follow });
  return {
    directory,
    outside,
    files,
    context,
    frames,
    resolve,
    open: (name, flags) => {
      const place = resolve(name);
      const file = place.vnode.open(flags);
      if (isWait(file)) throw new Error('open would wait');
      const description = new Description(file, place, flags);
      description.acquire();
      return description;
    },
    remove: () => {
      files.close();
      fs.rmSync(base, { recursive: true, force: true });
    },
  };
}

/** The name of the errno that `call` throws, or 'ok'. */
export function errorOf(call: () => unknown): string {
  try {
    call();
    return 'ok';
  } catch (error) {
    if (error instanceof Errno) return errnoName(error.code);
    throw error;
  }
}

/** One character a byte, as everything in the guest's files is. */
export function bytes(text: string): Uint8Array {
  return Uint8Array.from(text, (c) => c.charCodeAt(0));
}

export function text(from: Uint8Array): string {
  return String.fromCharCode(...from);
}
