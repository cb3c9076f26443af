// Files as set-up sees them: hashes of inputs, stamps that say which inputs an output was made from, atomic replacement.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The project's folder. */
export const PROJECT = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '');

export function inProject(...parts) {
  return join(PROJECT, ...parts);
}

/** Every file below `path` (or `path` itself), sorted, that `wanted` accepts by its project-relative name. */
export function filesBelow(path, wanted = () => true) {
  const found = [];
  const visit = (at, isFolder) => {
    if (isFolder) {
      for (const entry of readdirSync(at, { withFileTypes: true })) visit(join(at, entry.name), entry.isDirectory());
    } else if (wanted(relative(PROJECT, at))) found.push(at);
  };
  if (existsSync(path)) visit(path, statSync(path).isDirectory());
  return found.sort();
}

/** A hash of names and contents, so that neither a clone's dates nor its place matter. */
export function hashOf(files, extra = '') {
  const hash = createHash('sha256').update(extra);
  for (const file of files) hash.update(`\0${relative(PROJECT, file)}\0`).update(readFileSync(file));
  return hash.digest('hex').slice(0, 32);
}

const stampFile = (name) => inProject('build', 'stamps', name);

/** True when step `name` was last completed with this key. */
export function isStamped(name, key) {
  try {
    return readFileSync(stampFile(name), 'utf8').trim() === key;
  } catch {
    return false;
  }
}

export function stamp(name, key) {
  writeAtomically(stampFile(name), `${key}\n`);
}

export function unstamp(name) {
  rmSync(stampFile(name), { force: true });
}

/** The file has its old content or all of its new content, whenever we are interrupted. */
export function writeAtomically(path, content) {
  mkdirSync(dirname(path), { recursive: true });
  const temporary = `${path}.${process.pid}.tmp`;
  writeFileSync(temporary, content);
  renameSync(temporary, path);
}

/** Makes folder `to` equal to folder `from` below the names `owned` accepts: writes what differs, removes what is gone. */
export function mirror(from, to, owned) {
  const wanted = new Set(filesBelow(from).map((file) => relative(from, file)));
  for (const name of wanted) {
    const content = readFileSync(join(from, name));
    const target = join(to, name);
    if (!existsSync(target) || !readFileSync(target).equals(content)) writeAtomically(target, content);
  }
  for (const file of filesBelow(to)) {
    const name = relative(to, file);
    if (owned(name) && !wanted.has(name)) rmSync(file);
  }
}
