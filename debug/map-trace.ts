/** `--trace=maps`: what a call, an exec or a growing stack changed in the mappings, one event a line. */
import { PAGE_SIZE, type Range } from '../abi/page.ts';
import { PageIndex } from '../mm/page-set.ts';
import type { AddressSpace } from '../mm/space.ts';
import { type MapsEntry, mapsIn, mapsLine } from './maps.ts';
import { hex8 } from './umem.ts';

/** What extends a mapping: its new part is told as growth, where another call's would be a mapping that happens to lie beside its like. */
const GROWING: ReadonlySet<string> = new Set(['brk', 'fault', 'mremap', 'signal']);

export class MapTrace {
  /** What was told of each space, by first page. */
  private readonly before: WeakMap<AddressSpace, PageIndex<MapsEntry>> = new WeakMap();

  /** Whether the space has been told of. */
  knows(space: AddressSpace): boolean {
    return this.before.has(space);
  }

  /** The events since the last time, ascending. Costs what has changed. */
  changes(space: AddressSpace, cause: string): string[] {
    const changed = space.table.takeChanged();
    if (changed === undefined) return [];
    const known = this.before.get(space) ?? new PageIndex<MapsEntry>();
    this.before.set(space, known);
    const gone = takeOut(known, changed);
    const range = { base: Math.min(changed.base, gone[0]?.base ?? changed.base), top: Math.max(changed.top, gone.at(-1)?.top ?? 0) };
    const fresh = mapsIn(space, range);
    for (const entry of takeOut(known, { base: fresh[0]?.base ?? range.base, top: Math.max(range.top, fresh.at(-1)?.top ?? 0) }))
      gone.push(entry);
    for (const entry of fresh) known.insert(entry.base / PAGE_SIZE, entry);
    return events(
      gone.sort((a, b) => a.base - b.base),
      fresh,
      cause,
    );
  }
}

/** Takes the entries that overlap `range` out of `known`; ascending. */
function takeOut(known: PageIndex<MapsEntry>, { base, top }: Range): MapsEntry[] {
  const taken: MapsEntry[] = [];
  let entry = known.atOrBelow(base / PAGE_SIZE);
  if (entry === undefined || entry.top <= base) entry = known.atOrAbove(base / PAGE_SIZE);
  while (entry !== undefined && entry.base < top) {
    taken.push(entry);
    known.remove(entry.base / PAGE_SIZE);
    entry = known.atOrAbove(entry.top / PAGE_SIZE);
  }
  return taken;
}

/** A range in which neither the old nor the new mappings have an end. */
interface Piece extends Range {
  readonly old: MapsEntry | undefined;
  readonly now: MapsEntry | undefined;
}

function events(gone: readonly MapsEntry[], fresh: readonly MapsEntry[], cause: string): string[] {
  const borders = [...new Set([...gone, ...fresh].flatMap(({ base, top }) => [base, top]))].sort((a, b) => a - b);
  const olds = cursor(gone);
  const news = cursor(fresh);
  const lines: string[] = [];
  let held: Piece | undefined;
  for (let i = 0; i + 1 < borders.length; i++) {
    const range = { base: borders[i], top: borders[i + 1] };
    const piece = { ...range, old: olds(range.base), now: news(range.base) };
    if (held !== undefined && held.top === piece.base && goesOn(held, piece)) {
      held = { ...held, top: piece.top };
      continue;
    }
    if (held !== undefined) lines.push(...pieceLines(held, gone, cause));
    held = piece;
  }
  if (held !== undefined) lines.push(...pieceLines(held, gone, cause));
  return lines;
}

/** Answers which of ascending entries holds an address; asked for ascending ones. */
function cursor(entries: readonly MapsEntry[]): (addr: number) => MapsEntry | undefined {
  let at = 0;
  return (addr) => {
    while (at < entries.length && entries[at].top <= addr) at++;
    return at < entries.length && entries[at].base <= addr ? entries[at] : undefined;
  };
}

/** Whether one event can stand for both neighbours. */
function goesOn(below: Piece, above: Piece): boolean {
  const same = (a: MapsEntry | undefined, b: MapsEntry | undefined): boolean =>
    a === undefined || b === undefined ? a === b : isSame(a, b) && a.rights === b.rights && a.name === b.name;
  return same(below.old, above.old) && same(below.now, above.now);
}

/** Whether both show the same memory, whatever their rights. */
function isSame(a: MapsEntry, b: MapsEntry): boolean {
  if (a === b) return true;
  const [x, y] = [a.identity, b.identity];
  const sameFile = x.major === y.major && x.minor === y.minor && x.inode === y.inode && a.rights[3] === b.rights[3];
  return sameFile && (x.inode === 0 || a.offset - a.base === b.offset - b.base);
}

function pieceLines(piece: Piece, gone: readonly MapsEntry[], cause: string): string[] {
  const { old, now } = piece;
  if (old !== undefined && now !== undefined && isSame(old, now)) {
    if (old.rights === now.rights) return [];
    // Another mapping of the same file in the same place is a mapping.
    if (cause.includes('mprotect'))
      return [`protect ${hex8(piece.base)}-${hex8(piece.top)} ${old.rights} -> ${now.rights}${now.name === '' ? '' : ` ${now.name}`}`];
  }
  const lines: string[] = [];
  if (old !== undefined) lines.push(`unmap ${partLine(old, piece)}`);
  if (now !== undefined) {
    const grown =
      GROWING.has(cause) &&
      old === undefined &&
      gone.some((other) => (other.base === piece.top || other.top === piece.base) && isSame(other, now));
    lines.push(`${grown ? 'grow' : 'map'} ${partLine(now, piece)}`);
  }
  return lines;
}

/** The line of a part of a mapping. */
function partLine(entry: MapsEntry, { base, top }: Range): string {
  const offset = entry.identity.inode === 0 ? entry.offset : entry.offset + base - entry.base;
  const line = mapsLine({ ...entry, base, top, offset, name: '' }).trimEnd();
  return entry.name === '' ? line : `${line} ${entry.name.replaceAll('\n', '\\012')}`;
}
