/** Classic BPF over packets (SO_ATTACH_FILTER): what a program may load, and how much of a packet it keeps. Linux: net/core/filter.c. */
import { BPF, type SockFilter } from '../abi/seccomp.ts';
import type { Seen } from '../fs/socket-filter.ts';
import { COMMON_CODES, isSound, run } from './bpf.ts';

const { LD, LDX, ALU, W, H, B, ABS, IND, MEM, LEN, MSH, IMM, K, X } = BPF;
const CODES: ReadonlySet<number> = new Set([
  ...COMMON_CODES,
  ...[W, H, B].flatMap((size) => [LD | size | ABS, LD | size | IND]),
  LDX | B | MSH,
  ALU | BPF.MOD | K,
  ALU | BPF.MOD | X,
]);

/** Where loads find no bytes of the packet's data: facts about it, its network's header, its link's (SKF_AD_OFF, SKF_NET_OFF, SKF_LL_OFF). */
const FACTS = -0x1000,
  NETWORK = -0x10_0000,
  LINK = -0x20_0000;
/** Which facts there are (SKF_AD_), by their offset. */
const PROTOCOL = 0,
  KIND = 4,
  INTERFACE = 8,
  HARDWARE = 28,
  XOR_X = 40,
  PAYLOAD = 52,
  RANDOM = 56;
const KNOWN_FACTS: ReadonlySet<number> = new Set([
  PROTOCOL,
  KIND,
  INTERFACE,
  12,
  16,
  20,
  24,
  HARDWARE,
  32,
  36,
  XOR_X,
  44,
  48,
  PAYLOAD,
  RANDOM,
  60,
]);

export function isValidFilter(program: readonly SockFilter[]): boolean {
  return isSound(program, CODES, (k) => k >>> 0 < FACTS >>> 0 || KNOWN_FACTS.has((k - FACTS) >>> 0));
}

/** How many instructions Linux would translate it into, about: loads from the packet are many each. */
export function filterCost(program: readonly SockFilter[]): number {
  let cost = 0;
  for (const { code, k } of program) {
    const mode = code & 0xe0;
    if ((code & 7) === LDX) cost += mode === MSH ? 18 : 1;
    else if ((code & 7) === LD && mode === ABS) cost += k >>> 0 >= FACTS >>> 0 ? 3 : (code & 0x18) === B ? 12 : 13;
    else if ((code & 7) === LD && mode === IND) cost += 8;
    else cost += code === (ALU | BPF.DIV | X) || code === (ALU | BPF.MOD | X) ? 5 : 2;
  }
  return cost;
}

/** Bytes of the packet that are kept; 0: it is dropped. Requires: isValidFilter. */
export function runFilter(program: readonly SockFilter[], seen: Seen, random: () => number): number {
  return run(program, (code, k, memory, a, x) => {
    switch (code & 0xe0) {
      case IMM:
        return k;
      case MEM:
        return memory[k];
      case LEN:
        return seen.bytes.length - seen.data;
      case MSH: {
        const first = bytesAt(seen, k | 0, 1);
        return first === undefined ? undefined : (first & 0xf) << 2;
      }
      case ABS:
        if (k | 0 && (k | 0) >= FACTS && (k | 0) < 0) return fact((k | 0) - FACTS, seen, a, x, random);
        return bytesAt(seen, k | 0, sizeOf(code));
      default:
        return bytesAt(seen, (k + x) | 0, sizeOf(code));
    }
  });
}

function sizeOf(code: number): number {
  return (code & H) !== 0 ? 2 : (code & B) !== 0 ? 1 : 4;
}

/** A word of the network's order; undefined beyond the packet. */
function bytesAt({ bytes, data, network, link }: Seen, offset: number, size: number): number | undefined {
  let at: number;
  if (offset >= 0) at = data + offset;
  else if (offset >= NETWORK && network !== undefined) at = network + offset - NETWORK;
  else if (offset >= LINK && offset < NETWORK && link !== undefined) at = link + offset - LINK;
  else return undefined;
  if (at < 0 || at + size > bytes.length) return undefined;
  let word = 0;
  for (let i = 0; i < size; i++) word = ((word << 8) | bytes[at + i]) >>> 0;
  return word;
}

/** What a loopback has nothing to say about (marks, queues, hashes, VLANs, processors) is 0. */
function fact(which: number, { protocol, kind, at, payload }: Seen, a: number, x: number, random: () => number): number | undefined {
  switch (which) {
    case PROTOCOL:
      return protocol;
    case KIND:
      return kind;
    case INTERFACE:
      return at?.index;
    case HARDWARE:
      return at?.hardware;
    case XOR_X:
      return (a ^ x) >>> 0;
    case PAYLOAD:
      return payload;
    case RANDOM:
      return random();
    default:
      return 0;
  }
}
