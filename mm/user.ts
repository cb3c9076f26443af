/** Guest memory as system calls see it: numbers, bytes, strings and structures in and out, through the same fault walk as the guest's own accesses. */
import { EFAULT, ENAMETOOLONG, ENOMEM, errno } from '../abi/errno.ts';
import { PROT_READ, PROT_WRITE } from '../abi/mman.ts';
import { type Addr, PAGE_MASK, PAGE_SIZE } from '../abi/page.ts';
import { SIGKILL } from '../abi/signal.ts';
import { fault } from './fault.ts';
import type { Outcome } from './outcome.ts';
import type { AddressSpace } from './space.ts';

/**
 * Thrown when a page must be waited for: the call has to park on `outcome` and run again from its start. Not an Error; dispatch catches it.
 * Requires of a call: nothing has been changed that running again would change twice.
 */
export class MustWait {
  readonly outcome: Outcome & { readonly kind: 'wait' };
  constructor(outcome: Outcome & { readonly kind: 'wait' }) {
    this.outcome = outcome;
  }
}

/** Largest array `read` makes, in bytes. Calls that move more do it in pieces. */
export const MOST_AT_ONCE = 64 * 2 ** 20;

/**
 * Reads and writes the memory of the space it was made for. Single values and structures are all or nothing: EFAULT where any byte cannot be reached.
 * `copyIn` and `copyOut` transfer what they can and say how much. Addresses are taken modulo 2^32 at entry; a run that would wrap past the top faults there.
 */
export class UserMemory {
  readonly space: AddressSpace;
  /** One value's bytes, for those that lie across a page end and for numbers wider than a byte. */
  #scratchBytes: Uint8Array | undefined;
  #scratchView: DataView | undefined;

  constructor(space: AddressSpace) {
    this.space = space;
  }

  /** Made when they are needed, which in most short processes is never. */
  get #scratch(): Uint8Array {
    return (this.#scratchBytes ??= new Uint8Array(8));
  }
  get #view(): DataView {
    return (this.#scratchView ??= new DataView(this.#scratch.buffer));
  }

  /** Offset in the arena of a byte the guest may access, or -1 when it may not (EFAULT). Throws MustWait and ENOMEM. */
  #reach(addr: Addr, prot: number): number {
    const { mmu } = this.space;
    if (addr > 0xffff_ffff) return -1;
    const at = mmu.translate(addr, prot);
    return at >= 0 ? at : this.#fill(addr, prot);
  }

  #fill(addr: Addr, prot: number): number {
    const outcome = fault(this.space, addr, prot === PROT_WRITE ? 'write' : 'read');
    switch (outcome.kind) {
      case 'done':
        return this.space.mmu.translate(addr, prot);
      case 'wait':
        throw new MustWait(outcome);
      case 'signal':
        if (outcome.signo === SIGKILL) throw errno(ENOMEM);
        return -1;
    }
  }

  /** Copies guest bytes from `addr` on into `into` and returns how many there were before the first that cannot be read. */
  copyIn(addr: Addr, into: Uint8Array): number {
    let from = addr >>> 0;
    for (let done = 0; done < into.length; ) {
      const at = this.#reach(from, PROT_READ);
      if (at < 0) return done;
      const part = Math.min(PAGE_SIZE - (from & PAGE_MASK), into.length - done);
      into.set(this.space.frames.arena.bytes.subarray(at, at + part), done);
      done += part;
      from += part;
    }
    return into.length;
  }

  /** Copies `from` to guest memory at `addr` and returns how many bytes got there before the first that cannot be written. */
  copyOut(addr: Addr, from: Uint8Array): number {
    const { arena } = this.space.frames;
    let to = addr >>> 0;
    for (let done = 0; done < from.length; ) {
      const at = this.#reach(to, PROT_WRITE);
      if (at < 0) return done;
      const part = Math.min(PAGE_SIZE - (to & PAGE_MASK), from.length - done);
      arena.bytes.set(done === 0 && part === from.length ? from : from.subarray(done, done + part), at);
      arena.changed(at >>> 12);
      done += part;
      to += part;
    }
    return from.length;
  }

  /** `size` guest bytes in an array of their own, which is only made when the guest has them. Throws EFAULT, and ENOMEM for more than MOST_AT_ONCE. */
  read(addr: Addr, size: number): Uint8Array<ArrayBuffer> {
    if (size > PAGE_SIZE && this.probe(addr, size, 'read') < size) throw errno(EFAULT);
    if (size > MOST_AT_ONCE) throw errno(ENOMEM);
    const bytes = new Uint8Array(size);
    if (this.copyIn(addr, bytes) < size) throw errno(EFAULT);
    return bytes;
  }

  /** Writes all bytes. Throws EFAULT; what lies before the fault is then written. */
  write(addr: Addr, bytes: Uint8Array): void {
    if (this.copyOut(addr, bytes) < bytes.length) throw errno(EFAULT);
  }

  /** Writes `size` zero bytes and returns how many could be written. */
  zero(addr: Addr, size: number): number {
    const { arena } = this.space.frames;
    let to = addr >>> 0;
    for (let done = 0; done < size; ) {
      const at = this.#reach(to, PROT_WRITE);
      if (at < 0) return done;
      const part = Math.min(PAGE_SIZE - (to & PAGE_MASK), size - done);
      arena.bytes.fill(0, at, at + part);
      arena.changed(at >>> 12);
      done += part;
      to += part;
    }
    return size;
  }

  /**
   * How many of the `size` bytes from `addr` on can be written (or read) now, their pages made present on the way. For calls that must know before they
   * consume what they deliver. The answer holds until the space changes or pages are reclaimed.
   */
  probe(addr: Addr, size: number, access: 'read' | 'write'): number {
    const prot = access === 'write' ? PROT_WRITE : PROT_READ;
    let to = addr >>> 0;
    for (let done = 0; done < size; ) {
      if (this.#reach(to, prot) < 0) return done;
      const part = Math.min(PAGE_SIZE - (to & PAGE_MASK), size - done);
      done += part;
      to += part;
    }
    return size;
  }

  readU8(addr: Addr): number {
    const at = this.#reach(addr >>> 0, PROT_READ);
    if (at < 0) throw errno(EFAULT);
    return this.space.frames.arena.bytes[at];
  }

  readU16(addr: Addr): number {
    this.#load(addr, 2);
    return this.#view.getUint16(0, true);
  }

  /** An unsigned 32-bit word. */
  readU32(addr: Addr): number {
    if ((addr & 3) === 0) {
      const at = this.#reach(addr >>> 0, PROT_READ);
      if (at < 0) throw errno(EFAULT);
      return this.space.frames.arena.words[at >>> 2];
    }
    this.#load(addr, 4);
    return this.#view.getUint32(0, true);
  }

  readI32(addr: Addr): number {
    return this.readU32(addr) | 0;
  }

  readU64(addr: Addr): bigint {
    this.#load(addr, 8);
    return this.#view.getBigUint64(0, true);
  }

  readI64(addr: Addr): bigint {
    return BigInt.asIntN(64, this.readU64(addr));
  }

  writeU8(addr: Addr, value: number): void {
    this.#scratch[0] = value;
    this.#store(addr, 1);
  }

  writeU16(addr: Addr, value: number): void {
    this.#view.setUint16(0, value, true);
    this.#store(addr, 2);
  }

  /** The low 32 bits of `value`, which may be signed. */
  writeU32(addr: Addr, value: number): void {
    if ((addr & 3) === 0) {
      const at = this.#reach(addr >>> 0, PROT_WRITE);
      if (at < 0) throw errno(EFAULT);
      const { arena } = this.space.frames;
      arena.words[at >>> 2] = value;
      arena.changed(at >>> 12);
      return;
    }
    this.#view.setUint32(0, value, true);
    this.#store(addr, 4);
  }

  /** The low 64 bits of `value`, which may be signed. */
  writeU64(addr: Addr, value: bigint): void {
    this.#view.setBigUint64(0, BigInt.asUintN(64, value), true);
    this.#store(addr, 8);
  }

  #load(addr: Addr, size: number): void {
    const start = addr >>> 0;
    const at = this.#reach(start, PROT_READ);
    if (at < 0) throw errno(EFAULT);
    const { bytes } = this.space.frames.arena;
    if ((start & PAGE_MASK) + size <= PAGE_SIZE) {
      for (let i = 0; i < size; i++) this.#scratch[i] = bytes[at + i];
      return;
    }
    for (let i = 0; i < size; i++) this.#scratch[i] = this.#byteAt(start + i);
  }

  #byteAt(addr: Addr): number {
    const at = this.#reach(addr, PROT_READ);
    if (at < 0) throw errno(EFAULT);
    return this.space.frames.arena.bytes[at];
  }

  #store(addr: Addr, size: number): void {
    const start = addr >>> 0;
    if ((start & PAGE_MASK) + size > PAGE_SIZE) {
      if (this.probe(start, size, 'write') < size) throw errno(EFAULT);
      return this.write(start, this.#scratch.subarray(0, size));
    }
    const at = this.#reach(start, PROT_WRITE);
    if (at < 0) throw errno(EFAULT);
    const { arena } = this.space.frames;
    const { bytes } = arena;
    for (let i = 0; i < size; i++) bytes[at + i] = this.#scratch[i];
    arena.changed(at >>> 12);
  }

  /**
   * The bytes of a zero-terminated string, without the zero. Throws EFAULT where memory ends before the zero, and `tooLong` (default ENAMETOOLONG) when there is none in
   * the first `limit` bytes.
   */
  cbytes(addr: Addr, limit: number, tooLong: number = ENAMETOOLONG): Uint8Array {
    const parts: Uint8Array[] = [];
    let from = addr >>> 0;
    for (let done = 0; done < limit; ) {
      const at = this.#reach(from, PROT_READ);
      if (at < 0) throw errno(EFAULT);
      const part = Math.min(PAGE_SIZE - (from & PAGE_MASK), limit - done);
      const bytes = this.space.frames.arena.bytes.subarray(at, at + part);
      const end = bytes.indexOf(0);
      parts.push(bytes.slice(0, end < 0 ? part : end));
      if (end >= 0) return joined(parts);
      done += part;
      from += part;
    }
    throw errno(tooLong);
  }

  /**
   * A zero-terminated string, one character a byte (Latin-1), so that any file name survives the way in and out; decode as UTF-8 only for people.
   */
  cstring(addr: Addr, limit: number, tooLong: number = ENAMETOOLONG): string {
    return latin1(this.cbytes(addr, limit, tooLong));
  }

  /** A copy of a structure, to be picked apart. Throws EFAULT. */
  readStruct(addr: Addr, size: number): DataView<ArrayBuffer> {
    return new DataView(this.read(addr, size).buffer);
  }

  /** Writes a structure that `fill` lays out in zeroed bytes. Throws EFAULT, after `fill` and before anything is written where the first page fails. */
  writeStruct(addr: Addr, size: number, fill: (view: DataView<ArrayBuffer>) => void): void {
    const view = new DataView(new ArrayBuffer(size));
    fill(view);
    this.write(addr, new Uint8Array(view.buffer));
  }
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  if (parts.length === 1) return parts[0];
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

const ascii = new TextDecoder();

function latin1(bytes: Uint8Array): string {
  let bits = 0;
  for (let i = 0; i < bytes.length; i++) bits |= bytes[i];
  // Nearly every string is ASCII, and decoding that is quick.
  if (bits < 0x80) return ascii.decode(bytes);
  let text = '';
  for (let i = 0; i < bytes.length; i++) text += String.fromCharCode(bytes[i]);
  return text;
}
