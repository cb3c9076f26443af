/** Where our own lines go: standard error, or the file that --trace-file names. Failing to write is our failure, never the guest's. */
import { closeSync, ftruncateSync, openSync, writeFileSync, writeSync } from 'node:fs';
import type { Core } from '../debug/core.ts';

/** Lines for a file are gathered up to this many bytes; those for standard error keep their place among the guest's own. */
const GATHERED_MAX = 65536;

/** The emulator itself cannot go on: a clear message, and its own exit status. */
export class OwnFailure extends Error {}

export class Sink {
  private readonly fd: number;
  private readonly path: string | undefined;
  private gathered = '';

  /** Throws OwnFailure where the file cannot be made. */
  constructor(path?: string) {
    this.path = path;
    try {
      this.fd = path === undefined ? 2 : openSync(Buffer.from(path, 'latin1'), 'w');
    } catch (error) {
      throw new OwnFailure(`cannot write ${path}: ${(error as Error).message}`);
    }
  }

  /** `text` ends in a newline. */
  write(text: string): void {
    this.gathered += text;
    if (this.path === undefined || this.gathered.length >= GATHERED_MAX) this.flush();
  }

  readonly line = (text: string): void => this.write(`${text}\n`);

  flush(): void {
    const bytes = Buffer.from(this.gathered, 'latin1');
    this.gathered = '';
    for (let done = 0; done < bytes.length; ) {
      try {
        done += writeSync(this.fd, bytes, done);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'EAGAIN') continue;
        // Nobody reads standard error any more: the guest goes on, as it would by itself.
        if (this.path === undefined) return;
        throw new OwnFailure(`cannot write ${this.path}: ${(error as Error).message}`);
      }
    }
  }

  close(): void {
    this.flush();
    if (this.path !== undefined) closeSync(this.fd);
  }
}

/** Writes a file of our own in one go. Throws OwnFailure. */
export function writeWhole(path: string, text: string): void {
  try {
    writeFileSync(Buffer.from(path, 'latin1'), text);
  } catch (error) {
    throw new OwnFailure(`cannot write ${path}: ${(error as Error).message}`);
  }
}

/** Whose core it is. */
export interface Dead {
  readonly pid: number;
  readonly name: string;
  readonly signo: number;
}

/** Writes the cores of a run. A core that cannot be written is told, and changes nothing else: the program has its own end. */
export class CoreWriter {
  private readonly pattern: string;
  private readonly tell: (text: string) => void;
  private readonly written: Set<string> = new Set();

  /** In `pattern`, %p, %e and %s are process, name and signal. A name that a core of this run has already is given the process's number behind it. */
  constructor(pattern: string, tell: (text: string) => void) {
    this.pattern = pattern;
    this.tell = tell;
  }

  write(core: Core, dead: Dead): void {
    const named = this.pattern.replace(/%([pes%])/g, (_, letter: string) => corePart(letter, dead));
    const path = this.written.has(named) ? `${named}.${dead.pid}` : named;
    this.written.add(path);
    try {
      writeCore(core, path);
    } catch (error) {
      if (!(error instanceof OwnFailure)) throw error;
      this.tell(error.message);
    }
  }
}

function corePart(letter: string, { pid, name, signo }: Dead): string {
  switch (letter) {
    case 'p':
      return String(pid);
    case 'e':
      return name.replaceAll('/', '!');
    case 's':
      return String(signo);
    default:
      return '%';
  }
}

/** With holes where nothing is in memory. Throws OwnFailure. */
function writeCore({ size, pieces }: Core, path: string): void {
  try {
    const fd = openSync(Buffer.from(path, 'latin1'), 'w', 0o600);
    try {
      ftruncateSync(fd, size);
      for (const { offset, bytes } of pieces) {
        for (let done = 0; done < bytes.length; ) done += writeSync(fd, bytes, done, bytes.length - done, offset + done);
      }
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    throw new OwnFailure(`cannot write ${path}: ${(error as Error).message}`);
  }
}
