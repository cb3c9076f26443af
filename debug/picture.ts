/**
 * An address space as a picture (SVG): at the left all 4 GB to scale, at the right a band a segment with a row an area, whose pages are cells. Gaps are
 * drawn broken and say their size, so one page and three gigabytes can both be read.
 */
import { PAGE_SIZE } from '../abi/page.ts';
import type { Area } from '../mm/area.ts';
import type { AddressSpace } from '../mm/space.ts';
import { maps } from './maps.ts';
import { type AreaKind, kindOf, type PageRun, type PageState, pageRuns } from './pages.ts';
import { hex8, sharers } from './umem.ts';

const COLOURS: Readonly<Record<AreaKind, string>> = {
  text: '#2f6db5',
  data: '#d9822b',
  heap: '#c0392b',
  anonymous: '#7a5cab',
  file: '#5f8f8a',
  shared: '#2e9e5b',
  stack: '#b8467f',
  vdso: '#6b6b6b',
};
/** How much of an area's colour a page has. */
const TINTS: Readonly<Record<PageState, number>> = { cached: 0.13, clean: 0.4, cow: 0.65, dirty: 1 };
const STATES: readonly (readonly [PageState | 'none', string])[] = [
  ['none', 'not in memory'],
  ['cached', 'in the page cache, not reached yet'],
  ['clean', 'reached, as in the file'],
  ['dirty', 'written'],
  ['cow', 'copied when written (fork)'],
];

const WIDTH = 1180;
const SCALE_LEFT = 92;
const SCALE_WIDTH = 34;
const LEFT = 210;
const CELLS_LEFT = 640;
const CELL = 7;
/** Cells in a line, and at most in an area: a cell of a larger area stands for several pages, a power of two. */
const COLUMNS = 64;
const CELLS_MAX = 192;
const ROW = 20;
const TOP = 118;
/** Areas drawn; the rest is counted. */
const AREAS_MAX = 500;
const UNITS = ['B', 'KB', 'MB', 'GB'];

/** A segment in both drawings: its addresses, and where its band is. */
interface Band {
  readonly base: number;
  readonly top: number;
  readonly from: number;
  readonly to: number;
}

/** The whole file. `title` says whose memory it is, and when. */
export function picture(space: AddressSpace, title: string): string {
  const body: string[] = [];
  const strips: string[] = [];
  const bands: Band[] = [];
  const names = new Map(maps(space).map((entry) => [entry.top, entry.name]));
  let y = TOP;
  let drawn = 0;
  let before = 0;
  for (const segment of space.segments.all) {
    if (segment.areas.size === 0) continue;
    if (segment.base > before) y = gap(body, y, segment.areas.first?.base ?? segment.base, before);
    before = segment.areas.first?.base ?? before;
    const rows: string[] = [];
    const bandTop = y;
    y += 24;
    for (const area of segment.areas) {
      strips.push(strip(area, kindOf(space, area), names.get(area.top) ?? ''));
      if (drawn++ >= AREAS_MAX) continue;
      if (area.base > before) y = gap(rows, y, area.base, before);
      y = areaRow(rows, y, space, area, names.get(area.top) ?? '');
      before = area.top;
    }
    before = segment.top;
    bands.push({ base: segment.areas.first?.base ?? segment.base, top: segment.top, from: bandTop, to: y });
    body.push(band(bandTop, y, `${segment.kind}  ${hex8(segment.base)} – ${hex8(segment.top)}`), ...rows);
    y += 8;
  }
  if (drawn > AREAS_MAX) y = note(body, y, `and ${drawn - AREAS_MAX} areas more`);
  y = gap(body, y, 2 ** 32, before, 'not for programs: ');
  const height = Math.max(y + 24, 560);
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" font-family="DejaVu Sans, Helvetica, Arial, sans-serif" font-size="12" fill="#333">`,
    `<rect width="${WIDTH}" height="${height}" fill="#ffffff"/>`,
    ...header(space, title, drawn),
    ...scale(height, strips, bands),
    ...body,
    '</svg>\n',
  ].join('\n');
}

// ---- Parts -----------------------------------------------------------------------------------------------------------------------------

function header(space: AddressSpace, title: string, areas: number): string[] {
  const { pages } = space.table;
  const lines = [
    `<text x="24" y="34" font-size="20" font-weight="bold">${escaped(title)}</text>`,
    `<text x="24" y="54" fill="#666">${areas} areas, ${sizeText(pages * PAGE_SIZE)} mapped, ${sizeText(space.copies.size * PAGE_SIZE)} of its own pages; layout ${space.layout}</text>`,
  ];
  let x = 24;
  for (const [kind, colour] of Object.entries(COLOURS)) {
    lines.push(`<rect x="${x}" y="68" width="11" height="11" fill="${colour}"/><text x="${x + 16}" y="78">${kind}</text>`);
    x += 40 + kind.length * 7.5;
  }
  x = 24;
  for (const [state, meaning] of STATES) {
    lines.push(cell(x, 88, 11, '#2f6db5', state, false), `<text x="${x + 16}" y="98">${meaning}</text>`);
    x += 42 + meaning.length * 6.6;
  }
  lines.push(cell(x, 88, 11, '#2f6db5', 'dirty', true), `<text x="${x + 16}" y="98">seen by several</text>`);
  const text = 'a cell is a page of 4 KB; where (1:8) stands, eight of them';
  lines.push(`<text x="${WIDTH - 24}" y="78" text-anchor="end" fill="#666" font-style="italic">${text}</text>`);
  return lines;
}

/** The line of all addresses. */
function scale(height: number, strips: readonly string[], bands: readonly Band[]): string[] {
  const size = height - TOP - 24;
  const at = (addr: number): number => TOP + (size * addr) / 2 ** 32;
  const right = SCALE_LEFT + SCALE_WIDTH;
  const links = bands.map(({ base, top, from, to }) => {
    const [upper, lower] = [at(base), Math.max(at(top), at(base) + 2)];
    return `<path d="M${right} ${upper.toFixed(1)} L${LEFT - 16} ${from + 5} V${to - 5} L${right} ${lower.toFixed(1)} z" fill="#e9eef6" stroke="#d5dae2" stroke-width=".5"/>`;
  });
  const holes = [...bands, { base: 2 ** 32, top: 0 }].map(({ base }, i) => ({ base: bands[i - 1]?.top ?? 0, top: base }));
  const sizes = holes
    .filter(({ base, top }) => at(top) - at(base) > 80)
    .map(({ base, top }) => {
      const [x, y] = [SCALE_LEFT + SCALE_WIDTH / 2 + 4, (at(base) + at(top)) / 2];
      return `<text transform="translate(${x} ${y.toFixed(1)}) rotate(-90)" text-anchor="middle" fill="#888" font-size="11" font-style="italic">${sizeText(top - base)} free</text>`;
    });
  const marks = Array.from({ length: 9 }, (_, i) => {
    const y = TOP + (size * i) / 8;
    const addr = i === 8 ? 'ffffffff' : hex8(i * 2 ** 29);
    return `<line x1="${SCALE_LEFT - 5}" x2="${SCALE_LEFT}" y1="${y}" y2="${y}" stroke="#888"/><text x="${SCALE_LEFT - 9}" y="${y + 4}" text-anchor="end" font-family="monospace" font-size="11">${addr}</text>`;
  });
  return [
    ...links,
    `<rect x="${SCALE_LEFT}" y="${TOP}" width="${SCALE_WIDTH}" height="${size}" fill="#f6f6f3" stroke="#999"/>`,
    ...marks,
    `<g transform="translate(0 ${TOP}) scale(1 ${size})">`,
    ...strips,
    '</g>',
    ...sizes,
    `<text x="${SCALE_LEFT + SCALE_WIDTH / 2}" y="${TOP + size + 16}" text-anchor="middle" font-size="11" fill="#666">4 GB, to scale</text>`,
  ];
}

/** An area on the line of all addresses; never thinner than can be seen. */
function strip(area: Area, kind: AreaKind, name: string): string {
  const y = area.base / 2 ** 32;
  const size = Math.max((area.top - area.base) / 2 ** 32, 0.003);
  return `<rect x="${SCALE_LEFT + 1}" width="${SCALE_WIDTH - 2}" y="${y.toFixed(5)}" height="${size.toFixed(5)}" fill="${COLOURS[kind]}"><title>${escaped(`${rangeText(area)} ${name}`)}</title></rect>`;
}

function band(top: number, bottom: number, text: string): string {
  return (
    `<rect x="${LEFT - 16}" y="${top}" width="${WIDTH - LEFT}" height="${bottom - top}" rx="5" fill="#f4f6f9" stroke="#d5dae2"/>` +
    `<text x="${LEFT - 6}" y="${top + 17}" font-weight="bold" fill="#445">${escaped(text)}</text>`
  );
}

/** A broken line with the gap's size. Returns where the next thing begins. */
function gap(into: string[], y: number, base: number, before: number, text = ''): number {
  const x = LEFT + 4;
  into.push(
    `<path d="M${x} ${y + 1} v3 l-5 3 l10 3 l-5 3 v3" fill="none" stroke="#999"/>` +
      `<text x="${x + 14}" y="${y + 12}" fill="#888" font-size="11" font-style="italic">${text}${sizeText(base - before)}${text === '' ? ' free' : ''}</text>`,
  );
  return y + 18;
}

function note(into: string[], y: number, text: string): number {
  into.push(`<text x="${LEFT}" y="${y + 14}" font-style="italic">${text}</text>`);
  return y + ROW;
}

function areaRow(into: string[], y: number, space: AddressSpace, area: Area, name: string): number {
  const kind = kindOf(space, area);
  const pages = (area.top - area.base) / PAGE_SIZE;
  const each = 2 ** Math.max(0, Math.ceil(Math.log2(pages / CELLS_MAX)));
  const cells = Math.ceil(pages / each);
  const lines = Math.ceil(cells / COLUMNS);
  const height = Math.max(ROW, lines * (CELL + 1) + 8);
  const runs = pageRuns(space, area);
  const shared = sharers(area) > 1;
  const rights = `${area.prot & 1 ? 'r' : '-'}${area.prot & 2 ? 'w' : '-'}${area.prot & 4 ? 'x' : '-'}${area.sharing === 'shared' ? 's' : 'p'}`;
  const inMemory = runs.reduce((sum, [, count]) => sum + count, 0);
  const label = name === '' ? kind : (name.split('/').at(-1) ?? name);
  const scaleText = each > 1 ? `, a cell is ${each} pages` : '';
  into.push(
    `<g><title>${escaped(`${rangeText(area)} ${rights} ${name}\n${kind}, ${pages} pages, ${inMemory} in memory${scaleText}`)}</title>`,
    `<rect x="${LEFT}" y="${y + 2}" width="8" height="${height - 4}" fill="${COLOURS[kind]}"/>`,
    `<text x="${LEFT + 16}" y="${y + 14}" font-family="monospace" font-size="11">${rangeText(area)} ${rights}</text>`,
    `<text x="${LEFT + 206}" y="${y + 14}">${escaped(shortened(label))}</text>`,
    `<text x="${CELLS_LEFT - 12}" y="${y + 14}" text-anchor="end" fill="#666" font-size="11">${sizeText(area.top - area.base)}${each > 1 ? ` (1:${each})` : ''}</text>`,
  );
  const states = cellStates(runs, each);
  for (let i = 0; i < cells; i++) {
    const [x, at] = [CELLS_LEFT + (i % COLUMNS) * (CELL + 0.3), y + 6 + Math.floor(i / COLUMNS) * (CELL + 1)];
    const state = states.get(i) ?? 'none';
    into.push(cell(x, at, CELL - 0.5, COLOURS[kind], state, shared && state !== 'none' && state !== 'cow'));
  }
  into.push('</g>');
  return y + height;
}

/** A cell shows the strongest state among its pages. */
function cellStates(runs: readonly PageRun[], each: number): Map<number, PageState> {
  const states = new Map<number, PageState>();
  for (const [first, count, state] of runs) {
    for (let i = Math.floor(first / each); i <= Math.floor((first + count - 1) / each); i++) {
      const known = states.get(i);
      if (known === undefined || TINTS[known] < TINTS[state]) states.set(i, state);
    }
  }
  return states;
}

function cell(x: number, y: number, size: number, colour: string, state: PageState | 'none', shared: boolean): string {
  const at = `x="${x.toFixed(1)}" y="${y}" width="${size}" height="${size}"`;
  if (state === 'none') return `<rect ${at} fill="#fff" stroke="#c9ced6" stroke-width=".5"/>`;
  const box = `<rect ${at} fill="${colour}" fill-opacity="${state === 'cow' ? 0.2 : TINTS[state]}" stroke="${colour}" stroke-width=".5"/>`;
  const half = state === 'cow' ? `<path d="M${x.toFixed(1)} ${y} v${size} h${size} z" fill="${colour}"/>` : '';
  const dot = shared
    ? `<circle cx="${(x + size / 2).toFixed(1)}" cy="${y + size / 2}" r="${size / 4}" fill="#fff" stroke="#222" stroke-width=".6"/>`
    : '';
  return box + half + dot;
}

// ---- Text ------------------------------------------------------------------------------------------------------------------------------

function rangeText({ base, top }: { readonly base: number; readonly top: number }): string {
  return `${hex8(base)}-${hex8(top)}`;
}

/** 135168 as `132 KB`. */
function sizeText(bytes: number): string {
  let unit = 0;
  let size = bytes;
  while (size >= 1024 && unit < UNITS.length - 1) {
    size /= 1024;
    unit++;
  }
  return `${size < 10 && unit > 1 ? size.toFixed(1) : Math.round(size)} ${UNITS[unit]}`;
}

function shortened(name: string): string {
  return name.length > 24 ? `${name.slice(0, 23)}…` : name;
}

/** For XML; control characters, which it cannot hold, become question marks. */
function escaped(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replace(/[^\n\x20-\x7e\u00a0-\uffff]/g, '?');
}
