/**
 * Layouts of C structs as the i386 ABI packs them (a 64-bit member is aligned to 4). One value describes a struct and reads, writes and
 * shows it; `T` is the plain object it stands for.
 */

export interface Layout<T> {
  /** Bytes, padding at the end included. */
  readonly size: number;
  readonly align: number;
  read(view: DataView, at: number): T;
  write(view: DataView, at: number, value: T): void;
  /** As strace prints it. */
  show(value: T): string;
}

export interface Struct<T> extends Layout<T> {
  /** Byte offset of each member. */
  readonly offsets: { readonly [K in keyof T]: number };
}

export type ValueOf<L> = L extends Layout<infer T> ? T : never;

function scalar(size: number, read: (v: DataView, at: number) => number, write: (v: DataView, at: number, n: number) => void): Layout<number> {
  return { size, align: size, read, write, show: String };
}

export const u8 = scalar(1, (v, at) => v.getUint8(at), (v, at, n) => v.setUint8(at, n));
export const u16 = scalar(2, (v, at) => v.getUint16(at, true), (v, at, n) => v.setUint16(at, n, true));
export const i16 = scalar(2, (v, at) => v.getInt16(at, true), (v, at, n) => v.setInt16(at, n, true));
export const u32 = scalar(4, (v, at) => v.getUint32(at, true), (v, at, n) => v.setUint32(at, n, true));
export const i32 = scalar(4, (v, at) => v.getInt32(at, true), (v, at, n) => v.setInt32(at, n, true));
/** A word shown in hexadecimal: addresses and masks. */
export const x32: Layout<number> = { ...u32, show: (n) => (n === 0 ? '0' : `0x${n.toString(16)}`) };
/** A word shown in octal with a leading zero: modes. */
export const o32: Layout<number> = { ...u32, show: (n) => `0${n.toString(8)}` };

/** Exact 64-bit members. */
export const u64: Layout<bigint> = {
  size: 8, align: 4, read: (v, at) => v.getBigUint64(at, true), write: (v, at, n) => v.setBigUint64(at, n, true), show: String,
};
export const i64: Layout<bigint> = {
  size: 8, align: 4, read: (v, at) => v.getBigInt64(at, true), write: (v, at, n) => v.setBigInt64(at, n, true), show: String,
};
/** 64-bit members as numbers: exact up to 2^53, which file sizes and inode numbers never pass. Negative numbers are written as two's complement. */
export const s64: Layout<number> = {
  size: 8, align: 4,
  read: (v, at) => v.getInt32(at + 4, true) * 0x1_0000_0000 + v.getUint32(at, true),
  write: (v, at, n) => {
    v.setUint32(at, n % 0x1_0000_0000, true);
    v.setInt32(at + 4, Math.floor(n / 0x1_0000_0000), true);
  },
  show: String,
};

/** `count` bytes as they are. A shorter value is padded with zeros; a longer one is cut. */
export function bytes(count: number): Layout<Uint8Array> {
  return {
    size: count, align: 1,
    read: (v, at) => new Uint8Array(v.buffer, v.byteOffset + at, count).slice(),
    write: (v, at, value) => {
      const into = new Uint8Array(v.buffer, v.byteOffset + at, count);
      into.fill(0);
      into.set(value.subarray(0, count));
    },
    show: (value) => `"${Array.from(value, (b) => `\\x${b.toString(16).padStart(2, '0')}`).join('')}"`,
  };
}

/** A NUL-terminated string in a field of `count` bytes; one character a byte (latin1), as paths are held everywhere. */
export function text(count: number): Layout<string> {
  return {
    size: count, align: 1,
    read: (v, at) => {
      let s = '';
      for (let i = 0; i < count; i++) {
        const c = v.getUint8(at + i);
        if (c === 0) break;
        s += String.fromCharCode(c);
      }
      return s;
    },
    write: (v, at, value) => {
      for (let i = 0; i < count; i++) v.setUint8(at + i, i < value.length && i < count - 1 ? value.charCodeAt(i) : 0);
    },
    show: (value) => JSON.stringify(value),
  };
}

export function array<T>(element: Layout<T>, count: number): Layout<T[]> {
  return {
    size: element.size * count, align: element.align,
    read: (v, at) => Array.from({ length: count }, (_, i) => element.read(v, at + i * element.size)),
    write: (v, at, value) => {
      for (let i = 0; i < count; i++) {
        const item = value[i];
        if (item !== undefined) element.write(v, at + i * element.size, item);
      }
    },
    show: (value) => `[${value.map((item) => element.show(item)).join(', ')}]`,
  };
}

/** Members in order, aligned as the i386 ABI does. Give `size` where the C struct has more padding than the members ask for. */
export function struct<T extends object>(members: { readonly [K in keyof T]: Layout<T[K]> }, size?: number): Struct<T> {
  const names = Object.keys(members) as (keyof T & string)[];
  const offsets = {} as { [K in keyof T]: number };
  let end = 0;
  let align = 1;
  for (const name of names) {
    const member = members[name];
    end = Math.ceil(end / member.align) * member.align;
    offsets[name] = end;
    end += member.size;
    align = Math.max(align, member.align);
  }
  const total = size ?? Math.ceil(end / align) * align;
  return {
    size: total, align, offsets,
    read: (v, at) => {
      const value = {} as T;
      for (const name of names) value[name] = members[name].read(v, at + offsets[name]);
      return value;
    },
    write: (v, at, value) => {
      new Uint8Array(v.buffer, v.byteOffset + at, total).fill(0);
      for (const name of names) members[name].write(v, at + offsets[name], value[name]);
    },
    show: (value) => `{${names.map((name) => `${name}=${members[name].show(value[name])}`).join(', ')}}`,
  };
}

/** The bytes of one. */
export function encoded<T>(layout: Layout<T>, value: T): Uint8Array {
  const bytes = new Uint8Array(layout.size);
  layout.write(new DataView(bytes.buffer), 0, value);
  return bytes;
}

/** One out of its bytes, zeroes where there are fewer. */
export function decoded<T>(layout: Layout<T>, bytes: Uint8Array): T {
  const whole = new Uint8Array(layout.size);
  whole.set(bytes.subarray(0, layout.size));
  return layout.read(new DataView(whole.buffer), 0);
}
