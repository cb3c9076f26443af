/** A small file system in memory and a space to load programs into, without a CPU: what the loader's tests stand on. */
import { Tree } from '../../fs/path.ts';
import { MemFileSystem } from '../../fs/memfs.ts';
import type { Place } from '../../fs/vnode.ts';
import { FramePool } from '../../mm/frame.ts';
import { MemoryObject } from '../../mm/object.ts';
import type { LayoutName } from '../../mm/placement.ts';
import { AddressSpace } from '../../mm/space.ts';
import { UserMemory } from '../../mm/user.ts';
import { type Loaded, loadProgram } from '../../loader/load.ts';
import { openProgram } from '../../loader/program.ts';
import type { Refusal } from '../../loader/refusal.ts';
import { vdso } from '../../loader/vdso.ts';
import { MapMmu, PlainArena } from '../unit/mm-parts.ts';

export interface WorldOptions {
  readonly layout?: LayoutName;
  /** Most frames. */
  readonly limit?: number;
}

export class LoaderWorld {
  readonly frames: FramePool;
  readonly space: AddressSpace;
  readonly user: UserMemory;
  readonly tree: Tree;
  private readonly vdso: MemoryObject;
  /** Paths by file identity, which is what the memory file system calls its objects. */
  private readonly names: Map<string, string> = new Map();

  constructor(options: WorldOptions = {}) {
    this.frames = new FramePool({ arena: new PlainArena(), limit: options.limit });
    const pages = (name: string): MemoryObject => new MemoryObject({ frames: this.frames, pager: zeroPager(name), size: 0 });
    const files = new MemFileSystem({ device: 1, now_ns: () => 0n, pages });
    this.tree = new Tree(files.root);
    this.space = new AddressSpace({ mmu: new MapMmu(), frames: this.frames, layout: options.layout });
    this.space.mayMapLow = true;
    this.user = new UserMemory(this.space);
    const pager = { ...zeroPager('[vdso]'), pageIn: (_index: number, into: Uint8Array) => void into.set(vdso().bytes) };
    this.vdso = new MemoryObject({ frames: this.frames, pager, size: 4096 });
  }

  /** Makes a file in the root directory and returns its place. */
  file(name: string, bytes: Uint8Array | string, mode = 0o755): Place {
    const directory = this.tree.root.vnode.directory;
    if (directory === undefined) throw new Error('the root is a directory');
    const content = typeof bytes === 'string' ? Uint8Array.from(bytes, (character) => character.charCodeAt(0)) : bytes;
    const { file } = directory.create(name, mode, 2);
    file.memoryObject?.(`/${name}`);
    file.write(content, 0, false);
    file.close();
    this.names.set(file.vnode.key, `/${name}`);
    return this.tree.resolve({ root: this.tree.root, cwd: this.tree.root }, `/${name}`);
  }

  /** As `file`, whether or not there is one of that name. */
  replace(name: string, bytes: Uint8Array): void {
    const directory = this.tree.root.vnode.directory;
    if (directory?.lookup(name) !== undefined) directory.unlink(name);
    this.file(name, bytes);
  }

  exec(
    path: string,
    argv: readonly string[] = [path],
    env: readonly string[] = [],
  ): (Loaded & { readonly argv: readonly string[] }) | Refusal {
    const context = { root: this.tree.root, cwd: this.tree.root };
    const program = openProgram({ tree: this.tree, context, path, argv, env, stackLimit: 8 << 20 });
    if (program.kind === 'refused') return program;
    try {
      const loaded = loadProgram(program, {
        space: this.space,
        vdso: this.vdso,
        ids: { uid: 1, euid: 2, gid: 3, egid: 4 },
        cpu: { platform: 'i686', hwcap: 0x1234 },
        random: new Uint8Array(16).fill(7),
        readImpliesExec: false,
      });
      return loaded.kind === 'refused' ? loaded : { ...loaded, argv: program.argv };
    } finally {
      program.close();
    }
  }

  /** `base-top prot name` of every area, in hexadecimal. */
  maps(): string[] {
    return [...this.space.areas()].map(({ base, top, prot, name, object }) => {
      const rights = `${prot & 1 ? 'r' : '-'}${prot & 2 ? 'w' : '-'}${prot & 4 ? 'x' : '-'}`;
      return `${base.toString(16)}-${top.toString(16)} ${rights} ${name || this.names.get(object?.name ?? '') || ''}`.trimEnd();
    });
  }
}

function zeroPager(name: string) {
  return { name, pageIn: () => undefined, pageOut: () => undefined, release: () => {} };
}
