/** The mappings of an address space as Linux's /proc/PID/maps lists them, and as data. */
import { PROT_EXEC, PROT_READ, PROT_WRITE } from '../abi/mman.ts';
import { PAGE_SIZE, type Range } from '../abi/page.ts';
import type { Area } from '../mm/area.ts';
import { ANONYMOUS, type FileIdentity } from '../mm/pager.ts';
import type { AddressSpace } from '../mm/space.ts';
import { hex8 } from './umem.ts';

export interface MapsEntry {
  readonly base: number;
  /** Exclusive. */
  readonly top: number;
  /** As `r-xp`; the last letter is s where shared. */
  readonly rights: string;
  /** Bytes into the file; 0 for anonymous memory. */
  readonly offset: number;
  readonly identity: FileIdentity;
  /** The file's path, a name in brackets, or ''. */
  readonly name: string;
}

const NO_FILE: FileIdentity = { major: 0, minor: 0, inode: 0 };
/** What Linux shows for shared anonymous memory. */
const SHARED_ANONYMOUS: FileIdentity = { major: 0, minor: 1, inode: 1 };
/** Column where names begin: 25 + 6 * 8 on a 64-bit kernel (fs/proc/task_mmu.c). */
const NAME_COLUMN = 73;

/** With the trailing newline of every line. */
export function mapsText(space: AddressSpace): string {
  return maps(space)
    .map((entry) => `${mapsLine(entry)}\n`)
    .join('');
}

export function maps(space: AddressSpace): MapsEntry[] {
  return [...space.areas()].flatMap((area) => entriesOf(space, area));
}

/** Those of the areas that overlap `range`. */
export function mapsIn(space: AddressSpace, range: Range): MapsEntry[] {
  return [...space.table.in(range)].flatMap((area) => entriesOf(space, area));
}

export function mapsLine(entry: MapsEntry): string {
  const { major, minor, inode } = entry.identity;
  const device = `${major.toString(16).padStart(2, '0')}:${minor.toString(16).padStart(2, '0')}`;
  const head = `${hex8(entry.base)}-${hex8(entry.top)} ${entry.rights} ${hex8(entry.offset)} ${device} ${inode} `;
  return entry.name === '' ? head : `${head.padEnd(NAME_COLUMN)}${escaped(entry.name)}`;
}

/** An area is one line, except that the heap is shown apart from the bss it may have merged with. */
function entriesOf(space: AddressSpace, area: Area): MapsEntry[] {
  const { object } = area;
  const isFile = isOfFile(area);
  const rights = `${bit(area, PROT_READ, 'r')}${bit(area, PROT_WRITE, 'w')}${bit(area, PROT_EXEC, 'x')}${area.sharing === 'shared' ? 's' : 'p'}`;
  const entry = {
    base: area.base,
    top: area.top,
    rights,
    offset: (object !== undefined || isFile) && area.name === '' ? area.offset * PAGE_SIZE : 0,
    identity:
      (object === undefined ? area.file : object.pager)?.identity ?? (area.sharing === 'shared' && !isFile ? SHARED_ANONYMOUS : NO_FILE),
    name: nameOf(space, area),
  };
  const heap = Math.ceil(space.brkStart / PAGE_SIZE) * PAGE_SIZE;
  if (object !== undefined || heap <= area.base || heap >= area.top || space.brkStart === 0) return [entry];
  return [
    { ...entry, top: heap, name: '' },
    { ...entry, base: heap },
  ];
}

/** Whether a file stands behind it. Private memory of /dev/zero has one, but no object. */
export function isOfFile({ object, file }: Area): boolean {
  return object === undefined ? file !== undefined : object.name !== ANONYMOUS;
}

function bit(area: Area, right: number, letter: string): string {
  return (area.prot & right) !== 0 ? letter : '-';
}

function nameOf(space: AddressSpace, area: Area): string {
  if (area.name !== '') return area.name;
  if (isOfFile(area)) return area.file?.label ?? area.object?.name ?? '/dev/zero';
  if (area.object !== undefined) return '/dev/zero (deleted)';
  if (space.brkTop > space.brkStart && area.base < space.brkTop && area.top > space.brkStart) return '[heap]';
  return space.stackTop !== 0 && area.base < space.stackTop && area.top >= space.stackTop ? '[stack]' : '';
}

/** Linux shows a newline in a path as \012. */
function escaped(name: string): string {
  return name.replaceAll('\n', '\\012');
}
