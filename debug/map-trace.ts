/** `--trace=maps`: what a call, an exec or a growing stack changed in the mappings, as lines that are taken out and lines that are put in. */
import { PAGE_SIZE, type Range } from '../abi/page.ts';
import { PageIndex } from '../mm/page-set.ts';
import type { AddressSpace } from '../mm/space.ts';
import { type MapsEntry, mapsIn, mapsLine } from './maps.ts';

interface Line extends Range {
  readonly text: string;
}

export class MapTrace {
  /** What was told of each space, by first page. */
  private readonly before: WeakMap<AddressSpace, PageIndex<Line>> = new WeakMap();

  /** The lines since the last time: those gone with a minus before them, new ones with a plus, each kind ascending. Costs what has changed. */
  changes(space: AddressSpace): string[] {
    const changed = space.table.takeChanged();
    if (changed === undefined) return [];
    const known = this.before.get(space) ?? new PageIndex<Line>();
    this.before.set(space, known);
    const gone = takeOut(known, changed);
    const range = { base: Math.min(changed.base, gone[0]?.base ?? changed.base), top: Math.max(changed.top, gone.at(-1)?.top ?? 0) };
    const fresh = mapsIn(space, range).map(lineOf);
    for (const line of takeOut(known, { base: fresh[0]?.base ?? range.base, top: Math.max(range.top, fresh.at(-1)?.top ?? 0) }))
      gone.push(line);
    for (const line of fresh) known.insert(line.base / PAGE_SIZE, line);
    const [was, is] = [new Set(gone.map(({ text }) => text)), new Set(fresh.map(({ text }) => text))];
    return [
      ...gone.filter(({ text }) => !is.has(text)).map(({ text }) => `- ${text}`),
      ...fresh.filter(({ text }) => !was.has(text)).map(({ text }) => `+ ${text}`),
    ];
  }
}

function lineOf(entry: MapsEntry): Line {
  return { base: entry.base, top: entry.top, text: mapsLine(entry).trimEnd() };
}

/** Takes the lines that overlap `range` out of `known`; ascending. */
function takeOut(known: PageIndex<Line>, { base, top }: Range): Line[] {
  const taken: Line[] = [];
  let line = known.atOrBelow(base / PAGE_SIZE);
  if (line === undefined || line.top <= base) line = known.atOrAbove(base / PAGE_SIZE);
  while (line !== undefined && line.base < top) {
    taken.push(line);
    known.remove(line.base / PAGE_SIZE);
    line = known.atOrAbove(line.top / PAGE_SIZE);
  }
  return taken;
}
