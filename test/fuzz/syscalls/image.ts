/** The memory that calls of random programs point into: names, times, addresses, vectors, masks at known places, and random words. */

export const MEMORY = 0x2000_0000,
  READ_ONLY = 0x2002_0000,
  NOWHERE = 0x3000_0000;
export const IMAGE_SIZE = 0x1000;
/** Zeroes that calls may fill. */
export const OUTPUT = MEMORY + IMAGE_SIZE,
  OUTPUT_SIZE = 0x1000;

const NAMES = [
  'a',
  'b',
  'd',
  'd/f',
  's',
  'l',
  'fifo',
  'none',
  'none/x',
  'a/x',
  '',
  '.',
  '..',
  'd/',
  './a',
  'new',
  'd/new',
  'sock',
  'user.x',
  'tmpfs',
];
/** Seconds: later than any machine's uptime, and long ago by the calendar. */
const LATE = 0x3000_0000;
const LONG_NAME = 'n'.repeat(256);

/** Where in the image what lies. */
const AT = {
  random: 0,
  names: 0x300,
  longName: 0x580,
  vectors: 0x6c0,
  times: 0x740,
  times64: 0x7c0,
  addresses: 0x860,
  polls: 0x920,
  events: 0x980,
  sigevents: 0xa00,
  timers: 0xa80,
  timers64: 0xb00,
  locks: 0xb80,
  sets: 0xc20,
  messages: 0xc80,
  headers: 0xd00,
  hows: 0xd80,
  actions: 0xdc0,
  limits: 0xe80,
  numbers: 0xf00,
} as const;
type Place = keyof typeof AT;

/** Size of one of several things that lie at a place, and how many there are. */
const ROWS: Readonly<Record<Place, readonly [size: number, count: number]>> = {
  random: [16, 48],
  names: [32, 20],
  longName: [320, 1],
  vectors: [8, 12],
  times: [8, 14],
  times64: [16, 9],
  addresses: [32, 6],
  polls: [8, 8],
  events: [12, 6],
  sigevents: [64, 2],
  timers: [16, 6],
  timers64: [32, 4],
  locks: [24, 6],
  sets: [8, 10],
  messages: [16, 6],
  headers: [28, 4],
  hows: [24, 2],
  actions: [20, 6],
  limits: [16, 6],
  numbers: [4, 60],
};

export type Below = (n: number) => number;

/** Which places suit a kind of argument, by a piece of its label or name; the first that fits counts. */
const SUITABLE: readonly (readonly [RegExp, Place])[] = [
  [/msghdr|mmsghdr/, 'headers'],
  [/iovec/, 'vectors'],
  [/itimerspec.*64|itimerspec/, 'timers64'],
  [/itimerval/, 'timers'],
  [/timespec.*64/, 'times64'],
  [/timespec|timeval|timeout|utimbuf/, 'times'],
  [/sockaddr|addr/, 'addresses'],
  [/pollfd/, 'polls'],
  [/epoll_event/, 'events'],
  [/sigevent/, 'sigevents'],
  [/sigset|mask/, 'sets'],
  [/sigaction|stack_t/, 'actions'],
  [/rlimit/, 'limits'],
  [/open_how/, 'hows'],
  [/loff_t|off_t/, 'numbers'],
  [/sembuf|msgp/, 'messages'],
];

/** An address in the image for an argument. */
export function addressFor(what: string, below: Below): number {
  const suitable = SUITABLE.find(([pattern]) => pattern.test(what))?.[1];
  const form = below(20);
  if (form === 0) return READ_ONLY;
  if (form === 1) return NOWHERE;
  if (form === 2) return 0;
  if (suitable !== undefined && form < 16) return row(suitable, below);
  if (form < 18) return OUTPUT + below(OUTPUT_SIZE / 64) * 16;
  return row((Object.keys(AT) as Place[])[below(Object.keys(AT).length)], below);
}

/** The address of a name. */
export function nameFor(below: Below): number {
  return below(40) === 0 ? MEMORY + AT.longName : row('names', below);
}

function row(place: Place, below: Below): number {
  const [size, count] = ROWS[place];
  return MEMORY + AT[place] + below(count) * size;
}

/** A program's image. */
export function makeImage(below: Below): Uint8Array {
  const bytes = new Uint8Array(IMAGE_SIZE);
  const view = new DataView(bytes.buffer);
  const word = (at: number, value: number): void => view.setUint32(at, value >>> 0, true);
  const words = (place: Place, make: (at: number, i: number) => readonly number[]): void => {
    const [size, count] = ROWS[place];
    for (let i = 0; i < count; i++) make(AT[place] + i * size, i).forEach((value, k) => word(AT[place] + i * size + 4 * k, value));
  };
  const text = (at: number, value: string): void => bytes.set(new TextEncoder().encode(value), at);
  const pick = <T>(values: readonly T[]): T => values[below(values.length)];
  const small = (): number => below(below(2) === 0 ? 8 : 0x100);
  const descriptor = (): number => pick([3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 40, 0xffffffff]);
  const time = (): readonly [number, number] =>
    pick([
      [0, 0],
      [0, 1_000_000],
      [0, 1000],
      [LATE, 0],
      [LATE, 500],
      [0xffffffff, 0],
      [0, 0xffffffff],
      [0, 1_000_000_000],
      [0, 999_999_999],
      [LATE, 1_000_000],
    ]);
  const wide = (): readonly number[] => {
    const [seconds, rest] = time();
    return [seconds, seconds === 0xffffffff ? 0xffffffff : 0, rest, 0];
  };
  const buffer = (): number => pick([OUTPUT + below(16) * 64, MEMORY + AT.random, READ_ONLY, NOWHERE, 0]);
  words('random', () =>
    Array.from({ length: 4 }, () => pick([0, 1, 2, 3, 7, 8, 12, 16, 64, 0x1000, 0x7fffffff, 0x80000000, 0xffffffff, small()])),
  );
  NAMES.forEach((name, i) => text(AT.names + i * 32, name));
  text(AT.longName, LONG_NAME);
  words('vectors', () => [buffer(), pick([0, 1, 5, 16, 64, 100])]);
  words('times', time);
  words('times64', wide);
  for (let i = 0; i < ROWS.addresses[1]; i++) {
    const at = AT.addresses + i * 32;
    const family = pick([1, 1, 1, 2, 2, 0, 10, 99]);
    word(at, family === 2 ? 2 | (pick([0, 0x5000, 0x1227]) << 16) : family);
    if (family === 2) word(at + 4, pick([0x0100007f, 0, 0xffffffff]));
    else text(at + 2, pick(['sock', 'a', 'none/s', '\0abstract', '']));
  }
  words('polls', () => [descriptor(), pick([0, 1, 4, 5, 0xff, 0x2001, 2])]);
  words('events', () => [pick([1, 4, 5, 0x80000001, 0x40000001, 0x10000005, 0x2001]), small(), 0]);
  words('sigevents', (_at, i) => [small(), pick([14, 34, 17, 0, 99]), i === 0 ? pick([0, 1]) : pick([0, 1, 2, 4, 9]), 0]);
  words('timers', () => [...time(), ...time()]);
  words('timers64', () => [...wide(), ...wide()]);
  words('locks', () => [pick([0, 1, 2, 9]) | (pick([0, 1, 2]) << 16), pick([0, 0, 1, 10, 0xffffffff]), pick([0, 0, 5, 100]), 0, 0, 0]);
  words('sets', () => [pick([0, 1 << 13, 1 << 1, 0x1000, 0xfffffdff, 0x8000]), pick([0, 0, 2, 0xfffffffe])]);
  words('messages', () => [pick([1, 2, 3, 0, 0xffffffff]), 0x6c6c6568, 0x6f, 0]);
  words('headers', () => [
    pick([0, MEMORY + AT.addresses]),
    pick([0, 16, 110]),
    MEMORY + AT.vectors,
    below(4),
    pick([0, OUTPUT + 0x800]),
    pick([0, 64]),
    0,
  ]);
  words('hows', () => [pick([0, 1, 2, 0x42, 0x200000, 0x8000]), 0, pick([0, 0, 0o644]), 0, pick([0, 0, 4, 8, 16, 99]), 0]);
  words('actions', () => [pick([0, 1, 0]), pick([0, 4, 0x10000000, 0x80000000, 0x44000000]), 0, pick([0, 0x1000]), 0]);
  words('limits', () => [
    pick([0, 1000, 0xffffffff, 4096]),
    pick([0, 0, 0xffffffff]),
    pick([1000, 0xffffffff, 8192]),
    pick([0, 0xffffffff]),
  ]);
  words('numbers', () => [pick([0, 1, 5, 10, 100, 0x1000, 0xffffffff, small()])]);
  return bytes;
}
