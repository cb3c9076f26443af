/**
 * What execve finds out before it lets the old program go: which files are to be mapped, behind `#!` lines and PT_INTERP, and whether they are fit.
 * Linux's bprm_execve up to begin_new_exec.
 */
import { EACCES, EIO, ELIBBAD, ELOOP, ENOENT, ENOEXEC, ETXTBSY, Errno, errno } from '../abi/errno.ts';
import { O_RDONLY, X_OK } from '../abi/fcntl.ts';
import { MS_NOEXEC } from '../abi/mount.ts';
import { mountFlags } from '../fs/mount-table.ts';
import { pathOf, type Tree, type WalkContext } from '../fs/path.ts';
import { isWait, type OpenFile, type Place } from '../fs/vnode.ts';
import type { MemoryObject } from '../mm/object.ts';
import { MustWait } from '../mm/user.ts';
import { type ElfFile, type ReadAt, readElf } from './elf.ts';
import { type Refusal, refusal } from './refusal.ts';
import { HEAD_SIZE, isScript, parseScript, SCRIPT_DEPTH_MAX, scriptArguments } from './script.ts';
import { checkArguments } from './stack.ts';

/** Longest interpreter name in a program, its zero included: Linux's PATH_MAX. */
const INTERPRETER_MAX = 4096;
const EHDR_SIZE = 52;

export interface ExecRequest {
  readonly tree: Tree;
  /** Where the path, and those of interpreters, start. */
  readonly context: WalkContext;
  /** As execve got it; one character a byte. */
  readonly path: string;
  /** The file, where it was found by other means than `path` (fexecve). */
  readonly place?: Place;
  /** The path will lead nowhere once the program runs: a script cannot be read through it. */
  readonly isClosing?: boolean;
  readonly argv: readonly string[];
  readonly env: readonly string[];
  /** RLIMIT_STACK in bytes, Infinity for none. */
  readonly stackLimit: number;
}

/** A file to be mapped. It stays open until `close`. */
export interface ImageFile {
  readonly path: string;
  readonly place: Place;
  readonly elf: ElfFile;
  readonly object: MemoryObject;
}

/** A program that is fit to run, as far as Linux looks before the point of no return. */
export interface Program {
  readonly kind: 'program';
  readonly image: ImageFile;
  readonly interpreter: ImageFile | undefined;
  /** As they go onto the stack: `#!` lines have been worked in. */
  readonly argv: readonly string[];
  readonly env: readonly string[];
  /** The path execve got, for AT_EXECFN and the task's name. */
  readonly execfn: string;
  /** Closes the files; what has been mapped stays mapped. */
  close(): void;
}

/** Finds and checks the program. Throws nothing but MustWait. Ensures: nothing stays open when it is refused. */
export function openProgram(request: ExecRequest): Program | Refusal {
  const opened: Opened = { files: [], objects: [] };
  const close = (): void => {
    for (const object of opened.objects.splice(0)) object.drop();
    for (const file of opened.files.splice(0)) file.close();
  };
  try {
    const result = new Opening(request, opened).run();
    if (result.kind === 'refused') close();
    return result.kind === 'refused' ? result : { ...result, close };
  } catch (error) {
    close();
    if (!(error instanceof Errno)) throw error;
    return refusal(error.code, `cannot be read: ${error.name}`);
  }
}

/** What is to be given back. Objects are held so that memory pressure cannot drop them before they are mapped. */
interface Opened {
  readonly files: OpenFile[];
  readonly objects: MemoryObject[];
}

/** A file that may be executed, with its first bytes. */
interface Executable {
  readonly kind: 'executable';
  readonly path: string;
  readonly place: Place;
  readonly file: OpenFile;
  readonly read: ReadAt;
}

class Opening {
  private readonly request: ExecRequest;
  private readonly opened: Opened;

  constructor(request: ExecRequest, opened: Opened) {
    this.request = request;
    this.opened = opened;
  }

  run(): Omit<Program, 'close'> | Refusal {
    const { path, env, stackLimit } = this.request;
    // Linux gives a program without arguments an empty name, so that none walks from argv[0] into its environment.
    let argv = this.request.argv.length === 0 ? [''] : this.request.argv;
    const tooBig = checkArguments(argv, env, path, stackLimit);
    if (tooBig) return tooBig;
    let file = this.open(path, this.request.place);
    for (let depth = 0; ; depth++) {
      if (file.kind === 'refused')
        return depth === 0 ? file : { ...file, reason: `${file.reason}: it is named by the first line of ${path}` };
      const head = new Uint8Array(HEAD_SIZE);
      file.read(0, head);
      if (!isScript(head)) return this.elf(file, argv);
      const line = parseScript(head);
      if (line === undefined) return refusal(ENOEXEC, 'is a script whose first line names no interpreter', file.path);
      if (depth === 0 && this.request.isClosing) return refusal(ENOENT, 'is a script whose descriptor is closed by execve', file.path);
      if (depth === SCRIPT_DEPTH_MAX) return refusal(ELOOP, 'is a script of a script, too many times over', file.path);
      argv = scriptArguments(line, file.path, argv);
      const grown = checkArguments(argv, env, path, stackLimit);
      if (grown) return grown;
      file = this.open(line.interpreter, undefined);
    }
  }

  private elf(file: Executable, argv: readonly string[]): Omit<Program, 'close'> | Refusal {
    const elf = readElf(file.read);
    if (elf.kind === 'refused') return { ...elf, path: file.path };
    const image = this.image(file, elf);
    if (image.kind === 'refused') return image;
    const interpreter = this.interpreter(file, elf);
    if (interpreter?.kind === 'refused') return interpreter;
    const { env, path } = this.request;
    return { kind: 'program', image, interpreter, argv, env, execfn: path };
  }

  /** The file PT_INTERP names, undefined without one. */
  private interpreter(program: Executable, elf: ElfFile): (ImageFile & { readonly kind: 'image' }) | Refusal | undefined {
    if (elf.interp === undefined) return undefined;
    const { offset, filesz } = elf.interp;
    if (filesz < 2 || filesz > INTERPRETER_MAX) return refusal(ENOEXEC, `names its interpreter in ${filesz} bytes`, program.path);
    const name = new Uint8Array(filesz);
    if (program.read(offset, name) < filesz) return refusal(EIO, "is truncated: its interpreter's name lies past its end", program.path);
    if (name[filesz - 1] !== 0) return refusal(ENOEXEC, "names its interpreter without a zero at the name's end", program.path);
    const path = String.fromCharCode(...name.subarray(0, name.indexOf(0)));
    const file = this.open(path, undefined);
    if (file.kind === 'refused') return missing(file, program.path, path);
    const wrong = (code: number, reason: string): Refusal => refusal(code, `needs the interpreter ${path}, which ${reason}`, program.path);
    if (file.read(0, new Uint8Array(EHDR_SIZE)) < EHDR_SIZE) return wrong(EIO, 'is truncated: it ends within its ELF header');
    const own = readElf(file.read, 'interpreter');
    return own.kind === 'refused' ? wrong(ELIBBAD, own.reason) : this.image(file, own);
  }

  private image(file: Executable, elf: ElfFile): (ImageFile & { readonly kind: 'image' }) | Refusal {
    const object = file.file.memoryObject?.(pathOf(file.place, this.request.context.root) ?? file.path);
    if (object === undefined) return refusal(ENOEXEC, 'lies in a file system whose files cannot be mapped', file.path);
    object.hold();
    this.opened.objects.push(object);
    return { kind: 'image', path: file.path, place: file.place, elf, object };
  }

  /** Linux's do_open_execat: a regular file that may be executed. */
  private open(path: string, known: Place | undefined): Executable | Refusal {
    try {
      const place = known ?? (path === '' ? this.request.context.cwd : this.request.tree.resolve(this.request.context, path));
      if (place.vnode.kind !== 'file') {
        return refusal(EACCES, place.vnode.kind === 'directory' ? 'is a directory' : `is no regular file (${place.vnode.kind})`, path);
      }
      this.request.tree.require(this.request.context.rights, place.vnode, X_OK);
      place.vnode.access(X_OK);
      if (mountFlags(place) & MS_NOEXEC) return refusal(EACCES, 'lies in a file system mounted noexec', path);
      if ((place.vnode.writers ?? 0) > 0) return refusal(ETXTBSY, 'is open for writing', path);
      const file = place.vnode.open(O_RDONLY);
      if (isWait(file)) throw new MustWait(file);
      this.opened.files.push(file);
      return { kind: 'executable', path, place, file, read: reader(file) };
    } catch (error) {
      if (!(error instanceof Errno)) throw error;
      return refusal(error.code, describe(error), path);
    }
  }
}

/** A program whose interpreter cannot be opened looks to the user as if it were not there itself: say what is missing, and where it is looked for. */
function missing(file: Refusal, program: string, interpreter: string): Refusal {
  const isMissing = file.errno === ENOENT;
  const reason = isMissing ? 'was not found' : file.reason;
  const refused = refusal(file.errno, `needs the interpreter ${interpreter}, which ${reason}`, program);
  return isMissing ? { ...refused, missing: interpreter } : refused;
}

function describe(error: Errno): string {
  switch (error.code) {
    case ENOENT:
      return 'was not found';
    case EACCES:
      return 'may not be executed: permission denied';
    default:
      return `cannot be opened: ${error.name}`;
  }
}

/** Reads of a file at a position, complete unless the file ends. */
function reader(file: OpenFile): ReadAt {
  return (offset, into) => {
    let done = 0;
    while (done < into.length) {
      const moved = file.read(into.subarray(done), offset + done, false);
      if (isWait(moved)) throw new MustWait(moved);
      if (moved === 0) break;
      done += moved;
    }
    return done;
  };
}

/** For callers that answer a guest: throws the refusal as the errno it is. */
export function orThrow<T extends { readonly kind: string }>(result: T | Refusal): T {
  if (result.kind === 'refused') throw errno((result as Refusal).errno);
  return result as T;
}
