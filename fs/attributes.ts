/** Extended attributes kept in memory, with a limit on what one file may have, and those that are only read. */
import { ENODATA, ENOSPC, EOPNOTSUPP, errno } from '../abi/errno.ts';
import type { Attributes } from './vnode.ts';

/** Bytes of names and values of one file. */
const MOST_BYTES = 1 << 20;

/** Attributes that only the kernel sets. */
export class FixedAttributes implements Attributes {
  private readonly values: ReadonlyMap<string, Uint8Array>;

  constructor(values: ReadonlyMap<string, Uint8Array>) {
    this.values = values;
  }

  get(name: string): Uint8Array | undefined {
    return this.values.get(name);
  }

  set(): void {
    throw errno(EOPNOTSUPP);
  }

  remove(): void {
    throw errno(EOPNOTSUPP);
  }

  names(): readonly string[] {
    return [...this.values.keys()];
  }
}

export class AttributeMap implements Attributes {
  private readonly values: Map<string, Uint8Array> = new Map();
  private readonly changed: () => void;
  private bytes = 0;

  /** `changed` runs behind each change. */
  constructor(changed: () => void) {
    this.changed = changed;
  }

  get(name: string): Uint8Array | undefined {
    return this.values.get(name);
  }

  set(name: string, value: Uint8Array): void {
    const more = name.length + value.length - this.sizeOf(name);
    if (this.bytes + more > MOST_BYTES) throw errno(ENOSPC);
    this.bytes += more;
    this.values.set(name, value.slice());
    this.changed();
  }

  remove(name: string): void {
    const size = this.sizeOf(name);
    if (!this.values.delete(name)) throw errno(ENODATA);
    this.bytes -= size;
    this.changed();
  }

  names(): readonly string[] {
    return [...this.values.keys()];
  }

  copyFrom(other: Attributes): void {
    for (const name of other.names()) {
      const value = other.get(name);
      if (value !== undefined) this.set(name, value);
    }
  }

  private sizeOf(name: string): number {
    const value = this.values.get(name);
    return value === undefined ? 0 : name.length + value.length;
  }
}
