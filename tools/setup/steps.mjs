// The steps of set-up. Each says whether it is done (cheaply: hashes against stamps) and does itself, so that it may be interrupted and repeated.
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { install, onPath } from './apt.mjs';
import { bundle } from './bundle.mjs';
import { filesBelow, hashOf, inProject, isStamped, mirror, stamp, unstamp, writeAtomically } from './files.mjs';
import { ask, run } from './run.mjs';
import { SetupError, timed } from './say.mjs';

const CRATE = 'unicorn-engine-sys';
/** A lock file of version 4 needs this cargo or a newer one. */
const CARGO_MINIMUM = [1, 78];
const SOURCE_FOLDERS = ['abi', 'mm', 'emu', 'loader', 'fs', 'proc', 'syscalls', 'debug', 'cli', 'web'];
export const WASM = inProject('dist', 'emu', 'seg386.wasm');

/** Where things that outlive a clone are kept: the built engine by the hash of its sources, the test corpus. */
export const CACHE = process.env.SEG386_CACHE ?? join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'seg386');

/** node_modules, from the registry that npm is set up with, exactly as package-lock.json says. */
export const nodeModules = {
  name: 'node-modules',
  isDone() {
    const key = hashOf([inProject('package-lock.json')]);
    return (
      existsSync(inProject('node_modules', '.package-lock.json')) &&
      (isStamped(this.name, key) || (isInstalled() && (stamp(this.name, key), true)))
    );
  },
  async do() {
    unstamp(this.name);
    const npm = process.env.npm_execpath ? [process.execPath, process.env.npm_execpath] : ['npm'];
    await timed('installing node_modules (npm ci)', () =>
      run(npm[0], [...npm.slice(1), 'ci', '--loglevel=error', '--no-audit', '--no-fund', '--no-progress'], { cwd: inProject() }),
    );
    stamp(this.name, hashOf([inProject('package-lock.json')]));
  },
};

/** True when every package of the lock file lies in node_modules in its version (somebody ran npm themselves). */
function isInstalled() {
  const { packages } = JSON.parse(readFileSync(inProject('package-lock.json'), 'utf8'));
  return Object.entries(packages).every(([path, { version, optional }]) => {
    if (path === '') return true;
    try {
      return JSON.parse(readFileSync(inProject(path, 'package.json'), 'utf8')).version === version;
    } catch {
      return optional === true;
    }
  });
}

/** Unicorn's source: the pinned crate, with its checksum verified by cargo, copied to build/vendor. */
export const unicornSource = {
  name: 'unicorn-source',
  folder: inProject('build', 'vendor', CRATE),
  key: () => hashOf([inProject('emu/unicorn/Cargo.toml'), inProject('emu/unicorn/Cargo.lock')]),
  isDone() {
    return existsSync(this.folder) && isStamped(this.name, this.key());
  },
  async do() {
    await needTools(['cargo']);
    const key = this.key();
    unstamp(this.name);
    await timed('fetching the source of Unicorn (cargo vendor)', async () => {
      const work = inProject('build', `vendor.${process.pid}.tmp`);
      try {
        mkdirSync(join(work, 'src'), { recursive: true });
        for (const name of ['Cargo.toml', 'Cargo.lock']) copyFileSync(inProject('emu/unicorn', name), join(work, name));
        writeFileSync(join(work, 'src', 'lib.rs'), '');
        await run('cargo', ['vendor', '--locked', '--quiet', join(work, 'vendor')], { cwd: work });
        rmSync(this.folder, { recursive: true, force: true });
        mkdirSync(dirname(this.folder), { recursive: true });
        renameSync(join(work, 'vendor', CRATE), this.folder);
      } finally {
        rmSync(work, { recursive: true, force: true });
      }
    });
    stamp(this.name, key);
  },
};

function hasCargo() {
  const version = onPath('cargo') ? /^cargo (\d+)\.(\d+)/.exec(ask('cargo', ['--version']) ?? '') : undefined;
  const [major, minor] = version ? [Number(version[1]), Number(version[2])] : [0, 0];
  return major > CARGO_MINIMUM[0] || (major === CARGO_MINIMUM[0] && minor >= CARGO_MINIMUM[1]);
}

/** Installs those of cargo and emscripten that are wanted and missing: all at once, so that who may not is told everything at once. */
async function needTools(wanted) {
  const missing = wanted.filter((tool) => !(tool === 'cargo' ? hasCargo() : onPath('emcc') && onPath('patch')));
  if (missing.length === 0) return;
  const what = missing.map((tool) => (tool === 'cargo' ? `cargo ${CARGO_MINIMUM.join('.')} or newer` : tool)).join(' and ');
  const packages = missing.flatMap((tool) => (tool === 'cargo' ? ['cargo-web', 'ca-certificates'] : ['emscripten', 'patch']));
  await install(what, packages).catch(async (error) => {
    // Releases after Debian 12 have no cargo-web, and their own cargo is new enough.
    if (!(error instanceof SetupError) || !/Unable to locate package cargo-web|'cargo-web' has no installation/i.test(error.message))
      throw error;
    await install(
      what,
      packages.map((name) => (name === 'cargo-web' ? 'cargo' : name)),
    );
  });
}

/** The engine: one .wasm, built from the vendored source and emu/unicorn by emscripten. Built once per content, also across clones. */
export const engine = {
  name: 'engine',
  key: () => hashOf(filesBelow(inProject('emu', 'unicorn'))),
  isDone() {
    return existsSync(WASM) && isStamped(this.name, this.key());
  },
  async do() {
    const key = this.key();
    const kept = join(CACHE, 'engine', `${key}.wasm`);
    if (existsSync(kept)) {
      writeAtomically(WASM, readFileSync(kept));
      return stamp(this.name, key);
    }
    if (!existsSync(inProject('emu/unicorn/build.mjs')))
      throw new SetupError('emu/unicorn/build.mjs is missing: this clone is not whole', 'git checkout emu/unicorn');
    await needTools(unicornSource.isDone() ? ['emscripten'] : ['cargo', 'emscripten']);
    if (!unicornSource.isDone()) await unicornSource.do();
    unstamp(this.name);
    const made = inProject('build', 'engine', 'seg386.wasm');
    mkdirSync(dirname(made), { recursive: true });
    await timed('building the engine with emscripten (a few minutes the first time)', () =>
      run(process.execPath, [inProject('emu/unicorn/build.mjs'), '--source', unicornSource.folder, '--out', made], {
        cwd: inProject(),
        env: { NODE_PATH: ['/usr/share/nodejs', process.env.NODE_PATH].filter(Boolean).join(':') },
      }),
    );
    const wasm = readFileSync(made);
    writeAtomically(WASM, wasm);
    try {
      writeAtomically(kept, wasm);
    } catch {
      // A cache that cannot be written only costs the next clone its time.
    }
    stamp(this.name, key);
  },
};

/** dist/: the TypeScript compiled to JavaScript and declarations. */
export const program = {
  name: 'program',
  key: () =>
    hashOf([
      ...readdirSync(inProject())
        .filter((name) => name.endsWith('.ts'))
        .map((name) => inProject(name)),
      ...SOURCE_FOLDERS.flatMap((folder) => filesBelow(inProject(folder), (name) => name.endsWith('.ts'))),
      ...['tsconfig.json', 'tsconfig.build.json', 'package.json', 'tools/setup/bundle.mjs'].map((name) => inProject(name)),
    ]),
  isDone() {
    return existsSync(inProject('dist/cli/program.cjs')) && isStamped(this.name, this.key());
  },
  async do() {
    const key = this.key();
    unstamp(this.name);
    await timed('compiling TypeScript (tsc)', async () => {
      const fresh = inProject('build', `dist.${process.pid}.tmp`);
      try {
        await run(process.execPath, [inProject('node_modules/typescript/bin/tsc'), '-p', 'tsconfig.build.json', '--outDir', fresh], {
          cwd: inProject(),
        });
        await bundle(join(fresh, 'cli', 'main.js'), join(fresh, 'cli', 'program.cjs'));
        mirror(fresh, inProject('dist'), (name) => /\.(js|cjs|d\.ts)$/.test(name));
      } finally {
        rmSync(fresh, { recursive: true, force: true });
      }
    });
    stamp(this.name, key);
  },
};

/** A tool of the system that tests or benchmarks use. `programs`: all of them on the PATH means it is there. */
function tool(what, programs, packages, files = []) {
  return {
    name: what,
    optional: true,
    isDone: () => programs.every(onPath) && files.every((file) => existsSync(file)),
    do: () => install(what, packages),
  };
}

export const gcc32 = tool(
  'a C compiler for i386',
  ['gcc', 'as', 'ld'],
  ['gcc', 'binutils', 'gcc-multilib', 'libc6-dev-i386'],
  ['/usr/lib32/libc.a'],
);
export const python = tool('python3', ['python3'], ['python3']);
export const qemu = tool('qemu-i386', ['qemu-i386-static'], ['qemu-user-static']);
export const corpusTools = tool(
  'what the test corpus is made with',
  ['tar', 'xz', 'bzip2', 'make', 'tclsh'],
  ['tar', 'xz-utils', 'bzip2', 'make', 'tcl'],
);

/** The small i386 root with real programs that test/corpus runs; kept outside the clone. */
export const miniRoot = {
  name: 'mini-root',
  optional: true,
  folder: join(CACHE, 'mini-root'),
  key: () =>
    hashOf(
      ['mkrootfs.sh', 'packages.txt', 'programs/malloc-stress.c', 'programs/sqlite-wal.c'].map((name) => inProject('test/corpus', name)),
    ),
  keyFile: () => `${miniRoot.folder}.key`,
  isDone() {
    try {
      return readFileSync(this.keyFile(), 'utf8').trim() === this.key();
    } catch {
      return false;
    }
  },
  async do() {
    if (!onPath('apt-get')) throw new SetupError('the test corpus needs apt to fetch its programs', 'run the tests on Debian or Ubuntu');
    const key = this.key();
    rmSync(this.keyFile(), { force: true });
    await timed('making a small root with real i386 programs', () =>
      run('bash', [inProject('test/corpus/mkrootfs.sh'), this.folder, 'mini'], { cwd: inProject() }),
    );
    writeAtomically(this.keyFile(), `${key}\n`);
  },
};
