/** `--trace=maps`: what a call, an exec or a growing stack changed in the mappings, as lines that are taken out and lines that are put in. */
import type { AddressSpace } from '../mm/space.ts';
import { maps, mapsLine } from './maps.ts';

export class MapTrace {
  private before: ReadonlySet<string> = new Set();

  /** The lines since the last time: those gone with a minus before them, new ones with a plus, each kind ascending. */
  changes(space: AddressSpace): string[] {
    const now = new Set(maps(space).map((entry) => mapsLine(entry).trimEnd()));
    const gone = [...this.before].filter((line) => !now.has(line)).map((line) => `- ${line}`);
    const fresh = [...now].filter((line) => !this.before.has(line)).map((line) => `+ ${line}`);
    this.before = now;
    return [...gone, ...fresh];
  }
}
