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
  /** mlock, MADV_DONTFORK, MADV_WIPEONFORK. */
  locked?: boolean;
  stays?: boolean;
  wiped?: boolean;
  /** MADV_FREE: `own` may have gone unless it is written again or locked. */
  given?: boolean;
}

/** What may be said of pages. */
export type Mark = 'locked' | 'stays' | 'wiped';

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
      else Object.assign(at, { own: value, given: false });
    }
    return at.own ?? at.file?.value(at.index) ?? 0;
  }

  /** Where there are pages, what is said of them; what is wiped is private and of no file, or nothing is said. */
  mark(page: number, count: number, mark: Mark, on: boolean): void {
    for (let i = 0; i < count; i++) {
      const at = this.pages.get(page + i);
      if (at !== undefined && (mark !== 'wiped' || !on || isPlain(at))) at[mark] = on;
    }
  }

  /** MADV_FREE of pages that are private and of no file; locked ones are refused. */
  giveUp(page: number, count: number): void {
    for (let i = 0; i < count; i++) {
      const at = this.pages.get(page + i);
      if (at !== undefined && at.own !== undefined && isPlain(at) && at.locked !== true) at.given = true;
    }
  }

  /** Tells the model that a page that might have gone has. */
  gone(page: number): void {
    const at = this.pages.get(page);
    if (at !== undefined) Object.assign(at, { own: undefined, given: false });
  }

  fork(): ModelSpace {
    const child = new ModelSpace();
    for (const [page, at] of this.pages) {
      if (at.stays !== true)
        child.pages.set(page, { ...at, locked: false, ...(at.wiped === true ? { own: undefined, given: false } : {}) });
    }
    child.brkStart = this.brkStart;
    child.brkTop = this.brkTop;
    child.stackPage = this.stackPage;
    return child;
  }

  truncated(file: ModelFile): void {
    for (const at of this.pages.values()) if (at.file === file && at.index >= file.pages) at.own = undefined;
  }
}

export function isPlain({ shared, file }: ModelPage): boolean {
  return !shared && file === undefined;
}
