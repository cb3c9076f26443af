/**
 * The engine as machine code, kept beside seg386.wasm from the first start on. V8 would otherwise compile it anew in every process, badly at first and
 * better in the background: that is most of the time a short guest takes. V8 offers this to its own tests only, so it is used with the versions it was
 * tried with, and everything that can go wrong leads back to the ordinary way.
 */
import { readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';

/** V8 of Node 20. */
const TRIED = ['11.3.'];
/** Code that is compiled at once and as well as V8 can; the code that is kept fits processes with equal flags only. */
const FLAGS = ['allow-natives-syntax', 'no-liftoff', 'no-wasm-lazy-compilation', 'no-wasm-dynamic-tiering'];
const DEFAULT_FLAGS = ['no-allow-natives-syntax', 'liftoff', 'wasm-lazy-compilation', 'wasm-dynamic-tiering'];
/** Bytes of the text that says what the code was made from and for. */
const IDENTITY_SIZE = 256;

/** The compiled engine; undefined where it cannot be had this way, and the wasm bytes must do. */
export function compiledEngine(wasmPath: string): WebAssembly.Module | undefined {
  if (!TRIED.some((version) => process.versions.v8.startsWith(version))) return undefined;
  try {
    for (const flag of FLAGS) setFlagsFromString(`--${flag}`);
    const code = read(fileOf(wasmPath));
    const isOurs = code !== undefined && Buffer.from(code.subarray(0, IDENTITY_SIZE)).equals(identityOf(wasmPath));
    return isOurs ? kept(wasmPath, code) : made(wasmPath);
  } catch {
    return undefined;
  } finally {
    for (const flag of DEFAULT_FLAGS) setFlagsFromString(`--${flag}`);
  }
}

/** V8 answers undefined where it finds that version, flags or CPU are others than when the code was made. */
function kept(wasmPath: string, code: Uint8Array<ArrayBuffer>): WebAssembly.Module | undefined {
  const wasm = read(wasmPath);
  return wasm && new Function('code', 'wasm', 'return %DeserializeWasmModule(code, wasm)')(code.slice(IDENTITY_SIZE).buffer, wasm);
}

/** Takes about half a second, once. Where the code cannot be kept it is not worth that. */
function made(wasmPath: string): WebAssembly.Module | undefined {
  const wasm = read(wasmPath);
  const fresh = `${fileOf(wasmPath)}.${process.pid}.tmp`;
  if (wasm === undefined) return undefined;
  writeFileSync(fresh, '');
  const module = new WebAssembly.Module(wasm);
  const code: ArrayBuffer = new Function('module', 'return %SerializeWasmModule(module)')(module);
  writeFileSync(fresh, Buffer.concat([identityOf(wasmPath), new Uint8Array(code)]));
  renameSync(fresh, fileOf(wasmPath));
  return module;
}

function fileOf(wasmPath: string): string {
  return `${wasmPath}.v8cache`;
}

function identityOf(wasmPath: string): Buffer {
  const { size, mtimeMs } = statSync(wasmPath);
  const parts = [size, mtimeMs, process.versions.v8, process.arch, ...process.execArgv, process.env.NODE_OPTIONS ?? ''];
  return Buffer.alloc(IDENTITY_SIZE, parts.join(' ').padEnd(IDENTITY_SIZE));
}

/** The file's bytes in a buffer of their own, which is what V8 wants. */
function read(path: string): Uint8Array<ArrayBuffer> | undefined {
  try {
    return new Uint8Array(readFileSync(path));
  } catch {
    return undefined;
  }
}
