/**
 * The project's rules about its own sources, as functions from files to complaints: who may import whom, no cycles, where the host,
 * the clock, elfy and the wasm exports may appear, no barrels, sizes, opening comments. docs/ARCHITECTURE.md says why.
 */

/** A source file by its project-relative name, as in `mm/space.ts`. */
export interface Source {
  readonly name: string;
  readonly text: string;
}

/** Layers from the bottom up: a file may import its own layer and what its row names, nothing else of ours. */
const LAYERS: Readonly<Record<string, readonly string[]>> = {
  abi: [],
  mm: ['abi'],
  emu: ['abi', 'mm'],
  fs: ['abi', 'mm'],
  loader: ['abi', 'mm', 'fs'],
  proc: ['abi', 'mm', 'fs', 'emu'],
  syscalls: ['abi', 'mm', 'fs', 'proc', 'loader', 'emu'],
  debug: ['abi', 'mm', 'fs', 'proc', 'loader', 'emu', 'syscalls'],
  machine: ['abi', 'mm', 'fs', 'proc', 'loader', 'emu', 'syscalls', 'debug'],
  index: ['abi', 'mm', 'fs', 'proc', 'loader', 'emu', 'syscalls', 'debug', 'machine'],
  cli: ['abi', 'mm', 'fs', 'proc', 'loader', 'emu', 'syscalls', 'debug', 'machine'],
};
/** Above the engine only these see more of emu than its types. */
const ENGINE_TYPES = 'emu/engine.ts';
const ENGINE_BUILDERS = ['machine', 'index'];
/** emu implements these ports of mm and sees no more of it. */
const MM_PORTS = ['mm/arena.ts', 'mm/mmu.ts', 'mm/frame.ts'];
/** Where Node itself may be used; everything else runs unchanged in a browser. */
const NODE_FILES = [/^fs\/hostfs\.ts$/, /^fs\/hostnet\.ts$/, /^cli\//];
/** Where time and randomness enter: the adapters that are passed in, and the command line's own waiting. */
const CLOCK_FILES = [/^fs\/hostfs\.ts$/, /^machine-host\.ts$/, /^cli\//];
const CLOCKS = /\b(?:Date\.now|new Date\(\)|Math\.random|performance\.now|crypto\.getRandomValues)\b/;
const PACKAGES: Readonly<Record<string, RegExp>> = { elfy: /^loader\/elf\.ts$/, commander: /^cli\/options\.ts$/ };
/** The only file that calls the engine's exports, and the one that declares them. */
const WASM_FILES = [/^emu\/(?:unicorn|unicorn-mmu|unicorn-registers|wasm-exports|arena|descriptors)\.ts$/];
const BARRELS = [/^index\.ts$/];

const GUIDE_LINES = 400;
/** Past the guide is a nudge, past this a failure; files of data (tables, constants) may be longer. */
export const LIMIT_LINES = 480;
const DATA_FILES = [/^abi\//, /^syscalls\/table\.ts$/, /^emu\/unicorn\//];

interface Import {
  readonly from: string;
  readonly to: string;
  readonly line: number;
}

const IMPORT = /^\s*(?:import|export)\b[^'"]*?from\s*['"]([^'"]+)['"]|^\s*import\s*['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]\s*\)/gm;

/** Every import, types included, with relative ones resolved to project names. */
export function importsOf({ name, text }: Source): Import[] {
  const folder = name.includes('/') ? name.slice(0, name.lastIndexOf('/')) : '';
  return [...text.matchAll(IMPORT)].map((match) => {
    const specifier = match[1] ?? match[2] ?? match[3] ?? '';
    return {
      from: name,
      to: specifier.startsWith('.') ? resolve(folder, specifier) : specifier,
      line: text.slice(0, match.index).split('\n').length + (match[0].startsWith('\n') ? 1 : 0),
    };
  });
}

function resolve(folder: string, specifier: string): string {
  const parts = folder === '' ? [] : folder.split('/');
  for (const part of specifier.split('/')) {
    if (part === '..') parts.pop();
    else if (part !== '.') parts.push(part);
  }
  return parts.join('/');
}

function layerOf(name: string): string {
  if (name.includes('/')) return name.slice(0, name.indexOf('/'));
  return name.startsWith('machine') ? 'machine' : name.replace(/\.ts$/, '');
}

const matches = (name: string, patterns: readonly RegExp[]) => patterns.some((pattern) => pattern.test(name));

/** Imports that point upwards or sideways, and host, package or engine imports outside their place. */
export function wrongImports(sources: readonly Source[]): string[] {
  return sources.flatMap(importsOf).flatMap(({ from, to, line }) => {
    const reason = wrong(from, to);
    return reason ? [`${from}:${line} imports ${to}: ${reason}`] : [];
  });
}

function wrong(from: string, to: string): string | undefined {
  if (to.startsWith('node:')) return matches(from, NODE_FILES) ? undefined : 'node: only in fs/hostfs.ts, fs/hostnet.ts and cli';
  if (!to.endsWith('.ts')) {
    const place = PACKAGES[to];
    return place === undefined ? 'not a package of this project' : place.test(from) ? undefined : `only ${place.source} may`;
  }
  const [upper, lower] = [layerOf(from), layerOf(to)];
  if (upper === 'emu' && lower === 'mm' && !MM_PORTS.includes(to)) return 'emu sees only the ports of mm';
  if (lower === 'emu' && upper !== 'emu' && to !== ENGINE_TYPES && !ENGINE_BUILDERS.includes(upper))
    return `only ${ENGINE_TYPES} may be seen from here`;
  if (upper === lower) return undefined;
  const allowed = LAYERS[upper];
  if (allowed === undefined) return `${upper} is no layer of the project`;
  return allowed.includes(lower) ? undefined : `${upper} may not import ${lower}`;
}

/** Cycles of imports, each once, as `a -> b -> a`. Types count: they are what makes files hard to read apart. */
export function cycles(sources: readonly Source[]): string[] {
  const edges = new Map(sources.map((source) => [source.name, importsOf(source).map(({ to }) => to)]));
  const state = new Map<string, 'open' | 'done'>();
  const found = new Set<string>();
  const visit = (name: string, path: readonly string[]): void => {
    if (state.get(name) === 'done' || !edges.has(name)) return;
    if (state.get(name) === 'open') {
      found.add([...path.slice(path.indexOf(name)), name].join(' -> '));
      return;
    }
    state.set(name, 'open');
    for (const next of edges.get(name) ?? []) visit(next, [...path, name]);
    state.set(name, 'done');
  };
  for (const name of edges.keys()) visit(name, []);
  return [...found];
}

/** Time and randomness outside the injected adapters. Comments and strings may speak of them. */
export function uninjected(sources: readonly Source[]): string[] {
  return sources
    .filter(({ name }) => !matches(name, CLOCK_FILES))
    .flatMap(({ name, text }) =>
      withoutComments(text)
        .split('\n')
        .flatMap((line, n) => (CLOCKS.test(line) ? [`${name}:${n + 1} uses ${CLOCKS.exec(line)?.[0]}: it must be passed in`] : [])),
    );
}

/** Blanks out comments and string contents, keeping lines where they are. */
export function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\/|\/\/[^\n]*|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"/g, (piece) => piece.replace(/[^\n]/g, ' '));
}

/** Calls of the engine's exports (`seg_...`) outside the files that wrap them. */
export function strayExports(sources: readonly Source[]): string[] {
  return sources
    .filter(({ name, text }) => !matches(name, WASM_FILES) && /\bseg_[a-z_]+\b/.test(withoutComments(text)))
    .map(({ name }) => `${name} calls the engine's exports: only emu's wrappers may`);
}

/** Files that only pass on what others export. The public API is the one place for that. */
export function barrels(sources: readonly Source[]): string[] {
  return sources
    .filter(({ name, text }) => !matches(name, BARRELS) && /^export\s+(?:\*|(?:type\s+)?\{[^}]*\}\s*from)/m.test(withoutComments(text)))
    .map(({ name }) => `${name} exports another file's names again`);
}

export function lineCount(text: string): number {
  return text.split('\n').length - (text.endsWith('\n') ? 1 : 0);
}

export function tooLong(sources: readonly Source[]): string[] {
  return sources
    .filter(({ name, text }) => !matches(name, DATA_FILES) && lineCount(text) > LIMIT_LINES)
    .map(({ name, text }) => `${name} has ${lineCount(text)} lines: the guide is ${GUIDE_LINES}, the limit ${LIMIT_LINES}`);
}

/** Files that do not open with a sentence about what they are. */
export function unintroduced(sources: readonly Source[]): string[] {
  return sources
    .filter(({ text }) => !/^(?:#!.*\n)?\s*(?:\/\*|\/\/|;|#)/.test(text))
    .map(({ name }) => `${name} does not open with a comment`);
}
