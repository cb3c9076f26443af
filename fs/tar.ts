/**
 * What a tar archive holds: names, kinds, rights, and where in the archive the bytes of each file are. ustar, pax, GNU's long names, sparse files and large
 * numbers. Nothing of the files' content is read. Archives come from anywhere: each number is checked before it is used.
 */
import { latin1 } from '../abi/latin1.ts';
import { S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFREG } from '../abi/stat.ts';

/** The archive's bytes. Reads are complete unless it ends. */
export interface TarSource {
  readonly size: number;
  read(into: Uint8Array, position: number): number;
}

/** A run of a file's bytes: `[offset, offset + size)` of the file is at `at` in the archive. Between runs are zeros. */
export interface TarRun {
  readonly offset: number;
  readonly size: number;
  readonly at: number;
}

export interface TarEntry {
  /** As the archive has it: relative or absolute, with or without a slash at its end. */
  readonly name: string;
  /** Kind and permission bits. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  readonly mtime_ns: bigint;
  readonly device: { readonly major: number; readonly minor: number };
  /** Where a symbolic link points. */
  readonly target: string;
  /** Another name in the archive that this one is the same file as. */
  readonly linkTo: string | undefined;
  readonly runs: readonly TarRun[];
  /** Extended attributes. */
  readonly attributes: ReadonlyMap<string, Uint8Array>;
}

/** The archive is damaged, or none; the message is for people. */
export class TarError extends Error {
  override name = 'TarError';
}

const BLOCK = 512;
/** Entries, bytes of what stands before one, and parts of a sparse file that we keep. */
const MOST_ENTRIES = 2_000_000,
  MOST_EXTENSION = 1 << 20,
  MOST_RUNS = 65_536;
const ENDS = 'it ends in the middle of an entry';

const KINDS: Readonly<Record<string, number>> = {
  '0': S_IFREG,
  '\0': S_IFREG,
  '7': S_IFREG,
  '1': S_IFREG,
  S: S_IFREG,
  '2': S_IFLNK,
  '3': S_IFCHR,
  '4': S_IFBLK,
  '5': S_IFDIR,
  '6': S_IFIFO,
};

/** Every entry in the archive's order. Throws TarError. */
export function* tarEntries(source: TarSource): Generator<TarEntry> {
  const reader = new TarReader(source);
  for (let count = 0; ; count++) {
    const entry = reader.next();
    if (entry === undefined) return;
    if (count >= MOST_ENTRIES) throw new TarError(`it has more than ${MOST_ENTRIES} entries`);
    yield entry;
  }
}

class TarReader {
  private readonly source: TarSource;
  private readonly block = new Uint8Array(BLOCK);
  private at = 0;
  /** Of pax's global headers. */
  private readonly global: Map<string, string> = new Map();

  constructor(source: TarSource) {
    this.source = source;
  }

  next(): TarEntry | undefined {
    const own = new Map<string, string>();
    while (this.header()) {
      const type = String.fromCharCode(this.block[156]);
      if (type === 'x' || type === 'X' || type === 'g') this.pax(type === 'g' ? this.global : own);
      else if (type === 'L') own.set('path', cut(text(this.extension())));
      else if (type === 'K') own.set('linkpath', cut(text(this.extension())));
      else if (Object.hasOwn(KINDS, type)) return this.entry(type, new Map([...this.global, ...own]));
      // A volume's name and other things that are no files.
      else this.skip(this.size(own));
    }
    return undefined;
  }

  /** The next header block that is one; false at the end of the archive. */
  private header(): boolean {
    const { block, source } = this;
    const got = source.read(block, this.at);
    if (got === 0 && this.at > 0) return false;
    if (got < BLOCK) throw new TarError(this.at === 0 ? 'it is no tar archive' : ENDS);
    if (block.every((byte) => byte === 0)) return false;
    let sum = 0;
    for (let i = 0; i < BLOCK; i++) sum += i >= 148 && i < 156 ? 32 : block[i];
    if (sum !== number(block, 148, 8)) throw new TarError(this.at === 0 ? 'it is no tar archive' : `its header at ${this.at} is damaged`);
    this.at += BLOCK;
    return true;
  }

  private size(own: ReadonlyMap<string, string>): number {
    return checked(Number(own.get('size') ?? number(this.block, 124, 12)), 'size');
  }

  private skip(size: number): void {
    this.at += Math.ceil(size / BLOCK) * BLOCK;
  }

  private readAt(size: number, at: number): Uint8Array {
    const bytes = new Uint8Array(size);
    if (this.source.read(bytes, at) < size) throw new TarError(ENDS);
    return bytes;
  }

  /** The content of an entry that only says something about the next one. */
  private extension(): Uint8Array {
    const size = number(this.block, 124, 12);
    if (!(size >= 0 && size <= MOST_EXTENSION)) throw new TarError(`its header at ${this.at - BLOCK} is too large`);
    const bytes = this.readAt(size, this.at);
    this.skip(size);
    return bytes;
  }

  /** Records `LENGTH KEY=VALUE\n`. */
  private pax(into: Map<string, string>): void {
    const bytes = text(this.extension());
    for (let at = 0; at < bytes.length; ) {
      const space = bytes.indexOf(' ', at);
      const length = Number(bytes.slice(at, space));
      const equals = bytes.indexOf('=', space);
      if (space < 0 || !(length > 0) || equals < 0 || equals >= at + length) return;
      const key = bytes.slice(space + 1, equals);
      const value = bytes.slice(equals + 1, at + length - 1);
      // The oldest sparse format has one pair of records for each part.
      if (key === 'GNU.sparse.offset' || key === 'GNU.sparse.numbytes') {
        const before = into.get('GNU.sparse.map');
        into.set('GNU.sparse.map', before === undefined ? value : `${before},${value}`);
      } else if (value === '') into.delete(key);
      else into.set(key, value);
      at += length;
    }
  }

  private entry(type: string, pax: ReadonlyMap<string, string>): TarEntry {
    const { block } = this;
    const name = pax.get('GNU.sparse.name') ?? pax.get('path') ?? this.shortName();
    const linkname = pax.get('linkpath') ?? cut(text(block.subarray(157, 257)));
    const isDirectory = type === '5' || ((type === '0' || type === '\0') && name.endsWith('/'));
    const kind = isDirectory ? S_IFDIR : KINDS[type];
    const head = {
      name,
      mode: kind | (number(block, 100, 8) & 0o7777),
      uid: checked(Number(pax.get('uid') ?? number(block, 108, 8)), 'uid') >>> 0,
      gid: checked(Number(pax.get('gid') ?? number(block, 116, 8)), 'gid') >>> 0,
      mtime_ns: time(pax.get('mtime'), number(block, 136, 12)),
      device: { major: number(block, 329, 8) & 0xfff, minor: number(block, 337, 8) & 0xfffff },
      target: type === '2' ? linkname : '',
      linkTo: type === '1' ? linkname : undefined,
      attributes: attributesOf(pax),
    };
    const stored = this.size(pax);
    if (kind === S_IFREG && type !== '1') return { ...head, ...this.content(type, stored, pax) };
    // Links, devices and directories have no content, whatever size they name; pax's hard links may.
    if (type === '1' && pax.size > 0) this.skip(stored);
    return { ...head, size: 0, runs: [] };
  }

  private shortName(): string {
    const { block } = this;
    const isPosix = text(block.subarray(257, 263)) === 'ustar\0';
    const prefix = isPosix ? cut(text(block.subarray(345, 500))) : '';
    const name = cut(text(block.subarray(0, 100)));
    return prefix === '' ? name : `${prefix}/${name}`;
  }

  /** Where the bytes are; behind it we stand at the next header. */
  private content(type: string, stored: number, pax: ReadonlyMap<string, string>): { size: number; runs: TarRun[] } {
    if (type === 'S') {
      const size = checked(number(this.block, 483, 12), 'size');
      return { size, runs: this.runs(this.oldSparse(), this.at, stored) };
    }
    const size = checked(Number(pax.get('GNU.sparse.realsize') ?? pax.get('GNU.sparse.size') ?? stored), 'size');
    if (pax.get('GNU.sparse.major') === '1') {
      const { map, head } = this.sparseHead(stored);
      return { size, runs: this.runs(map, this.at + head, stored) };
    }
    const map = pax.get('GNU.sparse.map')?.split(',').map(Number);
    return { size: map === undefined ? stored : size, runs: this.runs(map ?? [0, stored], this.at, stored) };
  }

  /** Pairs of offset and size as runs that lie behind each other from `from` on. */
  private runs(map: readonly number[], from: number, stored: number): TarRun[] {
    const end = this.at + stored;
    if (end > this.source.size) throw new TarError(ENDS);
    if (map.length / 2 > MOST_RUNS) throw new TarError('a sparse file in it has too many parts');
    const runs: TarRun[] = [];
    let at = from;
    for (let i = 0; i + 1 < map.length; i += 2) {
      const [offset, size] = [checked(map[i], 'offset'), checked(map[i + 1], 'size')];
      if (size > 0) runs.push({ offset, size, at });
      at += size;
    }
    if (at > end) throw new TarError('the map of a sparse file in it is damaged');
    this.skip(stored);
    return runs;
  }

  /** GNU's own sparse headers: four parts in the header, 21 in each block behind it. */
  private oldSparse(): number[] {
    const map: number[] = [];
    const take = (block: Uint8Array, at: number, count: number): void => {
      for (let part = at; part < at + count * 24; part += 24)
        if (block[part] !== 0) map.push(number(block, part, 12), number(block, part + 12, 12));
    };
    take(this.block, 386, 4);
    for (let more = this.block[482]; more !== 0 && map.length / 2 <= MOST_RUNS; this.at += BLOCK) {
      const next = this.readAt(BLOCK, this.at);
      take(next, 0, 21);
      more = next[504];
    }
    return map;
  }

  /** pax's sparse format 1.0: the map stands before the content, as lines of decimal numbers, filled up to a block. */
  private sparseHead(stored: number): { map: number[]; head: number } {
    const bytes = text(this.readAt(Math.min(stored, MOST_EXTENSION), this.at));
    const lines: number[] = [];
    let at = 0;
    for (let wanted = 1; lines.length < wanted; ) {
      const end = bytes.indexOf('\n', at);
      if (end < 0) throw new TarError('the map of a sparse file in it is damaged');
      lines.push(Number(bytes.slice(at, end)));
      if (lines.length === 1) wanted = 1 + 2 * Math.min(lines[0], MOST_RUNS + 1);
      at = end + 1;
    }
    return { map: lines.slice(1), head: Math.ceil(at / BLOCK) * BLOCK };
  }
}

function text(bytes: Uint8Array): string {
  let result = '';
  for (const byte of bytes) result += String.fromCharCode(byte);
  return result;
}

function cut(name: string): string {
  const end = name.indexOf('\0');
  return end < 0 ? name : name.slice(0, end);
}

/** Octal digits, or base 256 where the first bit is set. */
function number(block: Uint8Array, at: number, size: number): number {
  if (block[at] & 0x80) {
    let value = block[at] & 0x7f;
    if (value & 0x40) return 0;
    for (let i = at + 1; i < at + size; i++) value = value * 256 + block[i];
    return value;
  }
  const digits = cut(text(block.subarray(at, at + size))).trim();
  return digits === '' ? 0 : Number.parseInt(digits, 8);
}

function checked(value: number, what: string): number {
  if (!Number.isSafeInteger(value) || value < 0) throw new TarError(`an entry has an impossible ${what}`);
  return value;
}

function time(pax: string | undefined, seconds: number): bigint {
  const match = /^(-?\d{1,12})(?:\.(\d+))?$/.exec(pax ?? '');
  if (match === null) return BigInt(Number.isSafeInteger(seconds) ? seconds : 0) * 1_000_000_000n;
  return BigInt(match[1]) * 1_000_000_000n + BigInt((match[2] ?? '').slice(0, 9).padEnd(9, '0'));
}

const XATTR = 'SCHILY.xattr.';

function attributesOf(pax: ReadonlyMap<string, string>): ReadonlyMap<string, Uint8Array> {
  const found = new Map<string, Uint8Array>();
  for (const [key, value] of pax) if (key.startsWith(XATTR)) found.set(key.slice(XATTR.length), latin1(value));
  return found;
}
