/** Directory records: linux_dirent (getdents) and linux_dirent64. Source: fs/readdir.c, uapi. */
import { S_IFMT } from './stat.ts';

/** d_type of a mode: the file-kind bits shifted down. */
export function directoryType(mode: number): number {
  return (mode & S_IFMT) >>> 12;
}

/** What one record says. `cookie` is where the next read goes on. */
export interface DirectoryRecord {
  readonly ino: bigint;
  readonly cookie: number;
  readonly type: number;
  /** One character a byte. */
  readonly name: string;
}

function putName(view: DataView, at: number, name: string): void {
  for (let i = 0; i < name.length; i++) view.setUint8(at + i, name.charCodeAt(i));
  view.setUint8(at + name.length, 0);
}

/** Writes one struct linux_dirent (d_type in its last byte); returns its size, or 0 where it does not fit before `end`. */
export function putDirent32(view: DataView, at: number, end: number, record: DirectoryRecord): number {
  const size = (10 + record.name.length + 2 + 3) & ~3;
  if (at + size > end) return 0;
  new Uint8Array(view.buffer, view.byteOffset + at, size).fill(0);
  view.setUint32(at, Number(BigInt.asUintN(32, record.ino)), true);
  view.setUint32(at + 4, record.cookie, true);
  view.setUint16(at + 8, size, true);
  putName(view, at + 10, record.name);
  view.setUint8(at + size - 1, record.type);
  return size;
}

/** Writes one struct linux_dirent64; returns its size, or 0 where it does not fit before `end`. */
export function putDirent64(view: DataView, at: number, end: number, record: DirectoryRecord): number {
  const size = (19 + record.name.length + 1 + 7) & ~7;
  if (at + size > end) return 0;
  new Uint8Array(view.buffer, view.byteOffset + at, size).fill(0);
  view.setBigUint64(at, record.ino, true);
  view.setBigInt64(at + 8, BigInt(record.cookie), true);
  view.setUint16(at + 16, size, true);
  view.setUint8(at + 18, record.type);
  putName(view, at + 19, record.name);
  return size;
}
