// Builds the engine: patches a copy of Unicorn's source, compiles the i386 target with our back end, MMU and run loop by
// emscripten, and links one .wasm that needs no loader. Same inputs, same bytes. Incremental: an object is rebuilt when its source, a
// patch, a header or the flags changed.
//
//   node emu/unicorn/build.mjs --source DIR --out FILE [--objects DIR] [--jobs N] [--verbose]
//
// DIR is the unpacked crate unicorn-engine-sys 2.1.5.
import { createHash } from 'node:crypto';
import { spawn, spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const here = dirname(fileURLToPath(import.meta.url));
const { values: options } = parseArgs({
  options: {
    source: { type: 'string' },
    out: { type: 'string' },
    objects: { type: 'string' },
    jobs: { type: 'string' },
    verbose: { type: 'boolean' },
  },
});
if (!options.source || !options.out) fail('usage: build.mjs --source DIR --out FILE [--objects DIR] [--jobs N] [--verbose]');
const source = resolve(options.source);
const out = resolve(options.out);
const objects = resolve(options.objects ?? join(here, '../../build/unicorn'));
const tree = join(objects, 'source');

/** Unicorn's files for the i386 target. Its soft MMU, run loop, memory regions and API are not here: ours replace them. */
const UNICORN = [
  'qemu/tcg/tcg.c', 'qemu/tcg/optimize.c', 'qemu/tcg/tcg-op.c', 'qemu/tcg/tcg-op-gvec.c', 'qemu/tcg/tcg-op-vec.c',
  'qemu/accel/tcg/translate-all.c', 'qemu/accel/tcg/translator.c', 'qemu/accel/tcg/tcg-runtime.c', 'qemu/accel/tcg/tcg-runtime-gvec.c',
  'qemu/fpu/softfloat.c',
  'qemu/target/i386/bpt_helper.c', 'qemu/target/i386/cc_helper.c', 'qemu/target/i386/cpu.c',
  'qemu/target/i386/fpu_helper.c', 'qemu/target/i386/helper.c', 'qemu/target/i386/int_helper.c', 'qemu/target/i386/mem_helper.c',
  'qemu/target/i386/misc_helper.c', 'qemu/target/i386/mpx_helper.c', 'qemu/target/i386/seg_helper.c', 'qemu/target/i386/smm_helper.c',
  'qemu/target/i386/svm_helper.c', 'qemu/target/i386/translate.c', 'qemu/target/i386/xsave_helper.c',
  'qemu/hw/core/cpu.c', 'qemu/crypto/aes.c',
  'qemu/util/bitmap.c', 'qemu/util/bitops.c', 'qemu/util/cutils.c', 'qemu/util/host-utils.c', 'qemu/util/qdist.c', 'qemu/util/qht.c',
  'qemu/util/range.c', 'qemu/util/crc32c.c',
  'glib_compat/glib_compat.c', 'glib_compat/gtestutils.c', 'glib_compat/garray.c', 'glib_compat/gtree.c', 'glib_compat/grand.c',
  'glib_compat/glist.c', 'glib_compat/gmem.c', 'glib_compat/gpattern.c', 'glib_compat/gslice.c', 'list.c',
];
const OURS = readdirSync(here).filter((name) => name.endsWith('.c')).sort();

const INCLUDES = [
  join(here, 'config'), join(here, 'tcg'), here,
  ...['', 'include', 'glib_compat', 'qemu', 'qemu/include', 'qemu/tcg', 'qemu/target/i386', 'qemu/accel/tcg'].map((dir) => join(tree, dir)),
];
const FLAGS = [
  '-O3', '-DNDEBUG', '-DNEED_CPU_H', '-DUNICORN_HAS_X86', '-D_GNU_SOURCE', '-sSUPPORT_LONGJMP=wasm', '-mbulk-memory', '-msign-ext', '-fno-strict-aliasing',
  '-fwrapv', '-fno-common', '-w', '-ffile-prefix-map=' + tree + '=unicorn', '-ffile-prefix-map=' + here + '=seg386',
];
const LINK = [
  '-O3', '-sSUPPORT_LONGJMP=wasm', '-mbulk-memory', '-sSTANDALONE_WASM', '--no-entry', '-sALLOW_MEMORY_GROWTH=1', '-sMAXIMUM_MEMORY=4GB', '-sINITIAL_MEMORY=64MB',
  '-sTOTAL_STACK=1MB', '-sERROR_ON_UNDEFINED_SYMBOLS=0', '-sWARN_ON_UNDEFINED_SYMBOLS=0', '-sMALLOC=emmalloc', '-sFILESYSTEM=0', '-sASSERTIONS=0', '-Wl,--fatal-warnings',
];

function fail(message) {
  console.error(`build.mjs: ${message}`);
  process.exit(1);
}

function environment() {
  return { ...process.env, NODE_PATH: process.env.NODE_PATH ?? '/usr/share/nodejs', SOURCE_DATE_EPOCH: '0', LC_ALL: 'C' };
}

function hash(...parts) {
  const h = createHash('sha256');
  for (const part of parts) h.update(part).update('\0');
  return h.digest('hex');
}

function filesUnder(dir, wanted) {
  const found = [];
  for (const entry of readdirSync(dir, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const path = join(dir, entry.name);
    if (entry.isDirectory()) found.push(...filesUnder(path, wanted));
    else if (wanted(entry.name)) found.push(path);
  }
  return found;
}

/** A fresh, patched copy of the source where the patches or the source changed; returns a key that stands for its content. */
function patchedTree() {
  const patches = readdirSync(join(here, 'patches')).filter((name) => name.endsWith('.patch')).sort();
  const key = hash(source, readFileSync(join(source, 'Cargo.toml')), ...patches.flatMap((name) => [name, readFileSync(join(here, 'patches', name))]));
  const stamp = join(objects, 'source.key');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === key) return key;
  const fresh = tree + '.new';
  rmSync(fresh, { recursive: true, force: true });
  mkdirSync(objects, { recursive: true });
  for (const dir of ['include', 'glib_compat', 'qemu']) cpSync(join(source, dir), join(fresh, dir), { recursive: true });
  cpSync(join(source, 'list.c'), join(fresh, 'list.c'));
  for (const name of patches) {
    const run = spawnSync('patch', ['-p1', '--batch', '--no-backup-if-mismatch', '-i', join(here, 'patches', name)], { cwd: fresh, encoding: 'utf8' });
    if (run.error) fail(`the command "patch" cannot be run (${run.error.message}); on Debian: apt-get install patch`);
    if (run.status !== 0) fail(`${name} does not apply:\n${run.stdout}${run.stderr}`);
  }
  // Files whose content is as before keep their objects: only the changed ones are rebuilt (objects are keyed by content).
  rmSync(tree, { recursive: true, force: true });
  renameSync(fresh, tree);
  writeFileSync(stamp, key);
  return key;
}

function run(command, args) {
  return new Promise((done) => {
    if (options.verbose) console.error(command, args.join(' '));
    const child = spawn(command, args, { env: environment(), stdio: ['ignore', 'pipe', 'pipe'] });
    let text = '';
    child.stdout.on('data', (data) => (text += data));
    child.stderr.on('data', (data) => (text += data));
    child.on('error', (error) => done({ status: 1, text: error.code === 'ENOENT' ? `the command "${command}" is not there; on Debian: apt-get install emscripten` : String(error) }));
    child.on('close', (status) => done({ status, text }));
  });
}

/** The content hash of every header that a source could include; coarse, but headers change rarely and a full build takes a minute. */
function headerKey() {
  const headers = [...filesUnder(tree, (name) => /\.(h|inc|def)$|\.inc\.c$|_template\.h$/.test(name)), ...filesUnder(here, (name) => /\.(h|inc)$|\.inc\.c$/.test(name))];
  return hash(...headers.map((path) => readFileSync(path)));
}

async function compileAll() {
  const shared = hash(FLAGS.join(' ').replaceAll(tree, '').replaceAll(here, ''), headerKey());
  mkdirSync(join(objects, 'o'), { recursive: true });
  const jobs = [...UNICORN.map((name) => [join(tree, name), name]), ...OURS.map((name) => [join(here, name), 'seg386/' + name])].map(([path, name]) => {
    if (!existsSync(path)) fail(`${name} is missing from the source`);
    const object = join(objects, 'o', `${name.replaceAll('/', '_')}-${hash(shared, name, readFileSync(path)).slice(0, 16)}.o`);
    return { path, name, object, args: ['-c', ...FLAGS, ...(process.env.SEG386_CFLAGS ?? '').split(' ').filter(Boolean), ...INCLUDES.map((dir) => '-I' + dir), path, '-o', object + '.tmp'] };
  });
  const waiting = jobs.filter((job) => !existsSync(job.object));
  const total = waiting.length;
  let failed = '';
  const worker = async () => {
    for (let job = waiting.shift(); job && !failed; job = waiting.shift()) {
      const { status, text } = await run('emcc', job.args);
      if (status !== 0) failed = `${job.name}:\n${text}`;
      else renameSync(job.object + '.tmp', job.object);
    }
  };
  await Promise.all(Array.from({ length: Number(options.jobs ?? availableParallelism()) }, worker));
  if (failed) fail(failed);
  const kept = new Set(jobs.map((job) => basename(job.object)));
  for (const name of readdirSync(join(objects, 'o'))) if (!kept.has(name)) rmSync(join(objects, 'o', name));
  return { objects: jobs.map((job) => job.object), compiled: total };
}

const started = Date.now();
patchedTree();
const built = await compileAll();
const linkKey = hash(LINK.join(' '), process.env.SEG386_LDFLAGS ?? '', ...built.objects.map((path) => basename(path)));
const linkStamp = join(objects, 'link.key');
if (!existsSync(out) || !existsSync(linkStamp) || readFileSync(linkStamp, 'utf8') !== linkKey + hash(out)) {
  mkdirSync(dirname(out), { recursive: true });
  const { status, text } = await run('emcc', [...built.objects, ...LINK, ...(process.env.SEG386_LDFLAGS ?? '').split(' ').filter(Boolean), '-o', out + '.tmp.wasm']);
  if (status !== 0) fail(`link:\n${text}`);
  renameSync(out + '.tmp.wasm', out);
  writeFileSync(linkStamp, linkKey + hash(out));
}
if (options.verbose || built.compiled) console.error(`build.mjs: ${built.compiled} files compiled, ${relative(process.cwd(), out)} is ${statSync(out).size} bytes (${((Date.now() - started) / 1000).toFixed(1)} s)`);
