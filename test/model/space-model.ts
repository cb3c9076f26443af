/** A page-by-page model of address spaces: what each page must show, without segments, areas, frames or sharing tricks. */
import type { Access } from '../../abi/page.ts';

/** One byte stands for a page: its first. */
export class ModelFile {
  readonly id: number;
  readonly values = new Map<number, number>();
  pages: number;

  constructor(id: number, pages: number) {
    this.id = id;
    this.pages = pages;
    for (let index = 0; index < pages; index++) this.values.set(index, initialValue(id, index));
  }

  value(index: number): number {
    return this.values.get(index) ?? 0;
  }
}

/** What page `index` of file `id` holds before anybody writes it. */
export function initialValue(id: number, index: number): number {
  return (id * 31 + index * 7 + 1) & 0xff;
}

export interface ModelPage {
  prot: number;
  readonly maxProt: number;
  readonly shared: boolean;
  readonly file: ModelFile | undefined;
  readonly index: number;
  /** The private value, once written. */
  own: number | undefined;
  readonly grows: boolean;
}

export type Expected = number | 'MAPERR' | 'ACCERR' | 'BUS';

export class ModelSpace {
  readonly pages = new Map<number, ModelPage>();
  brkStart = 0;
  brkTop = 0;
  /** Lowest page of the first stack. */
  stackPage = 0;

  get(page: number): ModelPage | undefined {
    return this.pages.get(page);
  }

  map(page: number, count: number, make: (i: number) => ModelPage): void {
    for (let i = 0; i < count; i++) this.pages.set(page + i, make(i));
  }

  unmap(page: number, count: number): void {
    for (let i = 0; i < count; i++) this.pages.delete(page + i);
  }

  isFree(page: number, count: number): boolean {
    for (let i = 0; i < count; i++) if (this.pages.has(page + i)) return false;
    return true;
  }

  /** What mprotect answers; changes what it changes. */
  protect(page: number, count: number, prot: number): string {
    for (let i = 0; i < count; i++) {
      const at = this.pages.get(page + i);
      if (at === undefined) return 'ENOMEM';
      if ((prot & ~at.maxProt) !== 0) return 'EACCES';
      at.prot = prot;
    }
    return 'none';
  }

  touch(page: number, access: Access, value: number): Expected {
    const at = this.pages.get(page);
    if (at === undefined) return 'MAPERR';
    if (at.prot === 0 || (access === 'write' && (at.prot & 2) === 0)) return 'ACCERR';
    if (at.file !== undefined && at.own === undefined && at.index >= at.file.pages) return 'BUS';
    // A fetch is a read that is refused once the page is there.
    if (access === 'fetch' && (at.prot & 4) === 0) return 'ACCERR';
    if (access === 'write') {
      if (at.shared) at.file?.values.set(at.index, value);
      else at.own = value;
    }
    return at.own ?? at.file?.value(at.index) ?? 0;
  }

  fork(): ModelSpace {
    const child = new ModelSpace();
    for (const [page, at] of this.pages) child.pages.set(page, { ...at });
    child.brkStart = this.brkStart;
    child.brkTop = this.brkTop;
    child.stackPage = this.stackPage;
    return child;
  }

  truncated(file: ModelFile): void {
    for (const at of this.pages.values()) if (at.file === file && at.index >= file.pages) at.own = undefined;
  }
}
