/** /sys: a tree of directories, one-line files and links, made of a description of it. What is in it says debug/system-tree.ts. */
import { SYSFS_MAGIC } from '../abi/magic.ts';
import { EACCES, EPERM } from '../abi/errno.ts';
import { makeDevice } from '../abi/stat.ts';
import { type Caller, type Listing, Maker, textContent } from './proc-node.ts';
import type { Vnode } from './vnode.ts';

/** Text is a file's content without the newline at its end; `undefined` content cannot be read (EINVAL). */
export type SysEntry =
  | { readonly kind: 'file'; readonly text: (() => string) | undefined }
  | { readonly kind: 'link'; readonly target: string }
  | { readonly kind: 'folder'; readonly entries: SysEntries };
export type SysEntries = Readonly<Record<string, SysEntry>>;

/** A file that says always the same, or what is the case when it is read. */
export function line(text: string | number | (() => string)): SysEntry {
  return { kind: 'file', text: typeof text === 'function' ? text : () => String(text) };
}

export function unreadable(): SysEntry {
  return { kind: 'file', text: undefined };
}

export function link(target: string): SysEntry {
  return { kind: 'link', target };
}

export function folder(entries: SysEntries = {}): SysEntry {
  return { kind: 'folder', entries };
}

const SYSFS = { device: makeDevice(0, 22), magic: SYSFS_MAGIC, fileSize: 4096, blksize: 4096, refusal: { create: EACCES, make: EPERM } };

export interface SysSource {
  now_ns(): bigint;
  caller(): Caller | undefined;
  readonly entries: SysEntries;
}

export function sysRoot({ now_ns, caller, entries }: SysSource): Vnode {
  const make = new Maker(now_ns, caller, SYSFS);
  return make.directory('', listingOf(make, '', entries), undefined, 0o755);
}

function listingOf(make: Maker, path: string, entries: SysEntries): Listing {
  return {
    names: () => Object.keys(entries),
    lookup: (name) => (Object.hasOwn(entries, name) ? nodeOf(make, `${path}/${name}`, entries[name]) : undefined),
  };
}

function nodeOf(make: Maker, path: string, entry: SysEntry): Vnode {
  switch (entry.kind) {
    case 'link':
      return make.link(path, { target: () => entry.target });
    case 'folder':
      return make.directory(path, listingOf(make, path, entry.entries), undefined, 0o755);
    case 'file': {
      const { text } = entry;
      return make.file(path, { mode: 0o444, open: () => textContent(text && (() => `${text()}\n`)) });
    }
  }
}
