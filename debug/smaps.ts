/** What of each mapping is in memory, as Linux's /proc/PID/smaps and smaps_rollup print it, and as data. All counts come from mm/account.ts. */
import { PROT_EXEC, PROT_READ, PROT_WRITE } from '../abi/mman.ts';
import { PAGE_SIZE } from '../abi/page.ts';
import { accountArea, accountSpace, type PageCounts } from '../mm/account.ts';
import * as area from '../mm/area.ts';
import type { AddressSpace } from '../mm/space.ts';
import { type MapsEntry, maps, mapsLine } from './maps.ts';
import { hex8 } from './umem.ts';

export interface SmapsEntry {
  /** The area's line of maps; where the heap is shown apart from the bss it merged with, they are one area here. */
  readonly map: MapsEntry;
  readonly counts: PageCounts;
  /** VmFlags' two-letter names. */
  readonly flags: readonly string[];
}

/** Where numbers end: Linux's labels take 16 columns and numbers 8. */
const LABEL = 16;
const NUMBER = 8;

export function smaps(space: AddressSpace): SmapsEntry[] {
  const lines = maps(space);
  return [...space.areas()].flatMap((each) => {
    const inside = lines.filter(({ base, top }) => base >= each.base && top <= each.top);
    const named = inside.at(-1);
    if (named === undefined) return [];
    return [{ map: { ...named, base: each.base }, counts: accountArea(space, each), flags: vmFlags(each) }];
  });
}

export function smapsText(space: AddressSpace): string {
  return smaps(space)
    .map((entry) => `${mapsLine(entry.map)}\n${areaText(entry)}`)
    .join('');
}

/** One sum over everything, headed by a line from the first address to the last. */
export function smapsRollupText(space: AddressSpace): string {
  const all = [...space.areas()];
  const [base, top] = [all[0]?.base ?? 0, all.at(-1)?.top ?? 0];
  const head = `${hex8(base)}-${hex8(top)} ---p 00000000 00:00 0 `.padEnd(73);
  const counts = accountSpace(space);
  const parts = [
    ['Pss_Anon', counts.pssAnonymous_bytes],
    ['Pss_File', counts.pssFile_bytes],
    ['Pss_Shmem', counts.pssShmem_bytes],
  ] as const;
  const [resident, share, dirty, ...rest] = rows(counts);
  const lines = [resident, share, dirty, ...parts.map(([name, bytes]) => row(name, kib(bytes))), ...rest];
  return `${head}[rollup]\n${lines.join('')}`;
}

function areaText({ counts, flags }: SmapsEntry): string {
  return [
    row('Size', pagesKib(counts.size)),
    row('KernelPageSize', PAGE_SIZE / 1024),
    row('MMUPageSize', PAGE_SIZE / 1024),
    ...rows(counts),
    `${'THPeligible:'.padEnd(LABEL)}${'0'.padStart(NUMBER)}\n`,
    `VmFlags: ${flags.map((flag) => `${flag} `).join('')}\n`,
  ].join('');
}

function rows(counts: PageCounts): string[] {
  return [
    row('Rss', pagesKib(counts.resident)),
    row('Pss', kib(counts.pss_bytes)),
    row('Pss_Dirty', kib(counts.pssDirty_bytes)),
    row('Shared_Clean', pagesKib(counts.sharedClean)),
    row('Shared_Dirty', pagesKib(counts.sharedDirty)),
    row('Private_Clean', pagesKib(counts.privateClean)),
    row('Private_Dirty', pagesKib(counts.privateDirty)),
    row('Referenced', pagesKib(counts.referenced)),
    row('Anonymous', pagesKib(counts.anonymous)),
    row('LazyFree', pagesKib(counts.lazyFree)),
    // There are no huge pages, and nothing is ever swapped out.
    ...['AnonHugePages', 'ShmemPmdMapped', 'FilePmdMapped', 'Shared_Hugetlb', 'Private_Hugetlb', 'Swap', 'SwapPss'].map((name) =>
      row(name, 0),
    ),
    row('Locked', kib(counts.locked_bytes)),
  ];
}

function row(name: string, value_kib: number): string {
  return `${`${name}:`.padEnd(LABEL)}${String(value_kib).padStart(NUMBER)} kB\n`;
}

function pagesKib(pages: number): number {
  return (pages * PAGE_SIZE) / 1024;
}

function kib(bytes: number): number {
  return Math.floor(bytes / 1024);
}

/** In the order of Linux's show_smap_vma_flags. */
function vmFlags({ prot, maxProt, sharing, flags }: area.Area): string[] {
  const shared = sharing === 'shared';
  const said: readonly (readonly [string, boolean])[] = [
    ['rd', (prot & PROT_READ) !== 0],
    ['wr', (prot & PROT_WRITE) !== 0],
    ['ex', (prot & PROT_EXEC) !== 0],
    ['sh', shared && (maxProt & PROT_WRITE) !== 0],
    ['mr', (maxProt & PROT_READ) !== 0],
    ['mw', (maxProt & PROT_WRITE) !== 0],
    ['me', (maxProt & PROT_EXEC) !== 0],
    ['ms', shared],
    ['gd', (flags & area.AREA_GROWS_DOWN) !== 0],
    ['lo', (flags & area.AREA_LOCKED) !== 0],
    ['sr', (flags & area.AREA_SEQUENTIAL_READ) !== 0],
    ['rr', (flags & area.AREA_RANDOM_READ) !== 0],
    ['dc', (flags & area.AREA_DONT_FORK) !== 0],
    ['lf', (flags & area.AREA_LOCK_ON_FAULT) !== 0],
    ['ac', (flags & area.AREA_ACCOUNT) !== 0],
    ['nr', (flags & area.AREA_NO_RESERVE) !== 0],
    ['sf', (flags & area.AREA_SYNC) !== 0],
    ['wf', (flags & area.AREA_WIPE_ON_FORK) !== 0],
    ['dd', (flags & area.AREA_DONT_DUMP) !== 0],
    ['hg', (flags & area.AREA_HUGE_PAGES) !== 0],
    ['nh', (flags & area.AREA_NO_HUGE_PAGES) !== 0],
    ['mg', (flags & area.AREA_MERGEABLE) !== 0],
  ];
  return said.filter(([, is]) => is).map(([name]) => name);
}
