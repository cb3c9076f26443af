/** struct user_desc, by which programs describe segments (thread areas, the LDT), and what becomes of it in the CPU's descriptor tables. */
import { EINVAL, ESRCH, errno } from '../abi/errno.ts';
import { type Struct, struct, u32, x32 } from '../abi/struct.ts';
import { type Descriptor, DS, ES, FS, GS, type Registers } from '../emu/engine.ts';

export interface UserDesc {
  entry_number: number;
  base_addr: number;
  limit: number;
  flags: number;
}
export const userDesc: Struct<UserDesc> = struct<UserDesc>({
  entry_number: { ...u32, show: (entry) => String(entry | 0) },
  base_addr: x32,
  limit: x32,
  flags: x32,
});

/** GDT entries that set_thread_area hands out, as a 64-bit kernel numbers them. */
export const TLS_FIRST = 12,
  TLS_LAST = 14;

export function decodeDescriptor(d: UserDesc): Descriptor {
  return {
    base: d.base_addr,
    limit: d.limit & 0xfffff,
    seg32Bit: (d.flags & 1) !== 0,
    contents: ((d.flags >> 1) & 3) as 0 | 1 | 2 | 3,
    readExecOnly: (d.flags & 8) !== 0,
    limitInPages: (d.flags & 16) !== 0,
    notPresent: (d.flags & 32) !== 0,
    useable: (d.flags & 64) !== 0,
  };
}

export function encodeDescriptor(entry: number, d: Descriptor): UserDesc {
  const bits = [d.seg32Bit, false, false, d.readExecOnly, d.limitInPages, d.notPresent, d.useable];
  const flags = bits.reduce((set, on, i) => (on ? set | (1 << i) : set), d.contents << 1);
  return { entry_number: entry, base_addr: d.base, limit: d.limit, flags };
}

/** Linux: LDT_empty, the way to say that an entry is to be cleared. */
export function isEmpty(d: UserDesc): boolean {
  return d.base_addr === 0 && d.limit === 0 && (d.flags & 0x7f) === 0x28;
}
function isZero(d: UserDesc): boolean {
  return d.base_addr === 0 && d.limit === 0 && (d.flags & 0x7f) === 0;
}

/** What a thread area becomes; undefined clears it. Throws EINVAL for what no thread area may be. */
export function threadAreaOf(wanted: UserDesc): Descriptor | undefined {
  if (isEmpty(wanted) || isZero(wanted)) return undefined;
  const descriptor = decodeDescriptor(wanted);
  if (!descriptor.seg32Bit || descriptor.contents > 1 || descriptor.notPresent) throw errno(EINVAL);
  return descriptor;
}

/** Sets an area; segment registers that hold its selector see it at once. Throws EINVAL for an entry that is no thread area. */
export function setThreadArea(registers: Registers, entry: number, descriptor: Descriptor | undefined): void {
  checkEntry(entry);
  registers.setThreadArea(entry, descriptor);
  reloadSelector(registers, entry * 8);
}

export function checkEntry(entry: number): void {
  if (entry < TLS_FIRST || entry > TLS_LAST) throw errno(EINVAL);
}

/** An entry that is not in use; ESRCH where all are. */
export function freeArea(registers: Registers): number {
  for (let entry = TLS_FIRST; entry <= TLS_LAST; entry++) if (registers.threadArea(entry) === undefined) return entry;
  throw errno(ESRCH);
}

/** A segment register that holds the changed entry's selector sees the new base at once. */
export function reloadSelector(registers: Registers, selector: number): void {
  for (const segment of [DS, ES, FS, GS]) {
    if ((registers.selector(segment) & ~3) !== (selector & ~3)) continue;
    if (!registers.loadSelector(segment, registers.selector(segment))) registers.loadSelector(segment, 0);
  }
}
