/** `--trace=maps`: what a call, an exec or a growing stack changed in the mappings, as lines that are taken out and lines that are put in. */
import type { AddressSpace } from '../mm/space.ts';
import { maps, mapsLine } from './maps.ts';

export class MapTrace {
  private readonly before: WeakMap<AddressSpace, ReadonlySet<string>> = new WeakMap();

  /** The lines since the last time: those gone with a minus before them, new ones with a plus, each kind ascending. */
  changes(space: AddressSpace): string[] {
    const now = new Set(maps(space).map((entry) => mapsLine(entry).trimEnd()));
    const before = this.before.get(space) ?? new Set();
    const gone = [...before].filter((line) => !now.has(line)).map((line) => `- ${line}`);
    const fresh = [...now].filter((line) => !before.has(line)).map((line) => `+ ${line}`);
    this.before.set(space, now);
    return [...gone, ...fresh];
  }
}
