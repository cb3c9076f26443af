/** Handles of files (name_to_handle_at): numbers that lead back to a file without its path, for as long as it is there. */
import { ESTALE, Errno, errno } from '../abi/errno.ts';
import type { Place } from './vnode.ts';

/** Files that are remembered; the handles of those longest known go stale. */
const MOST = 16_384;

export class FileHandles {
  private readonly places: Map<number, Place> = new Map();
  private readonly numbers: Map<string, number> = new Map();
  private last = 0;

  /** The file's number: always the same. */
  of(place: Place): number {
    const { key } = place.vnode;
    let number = this.numbers.get(key);
    if (number === undefined) {
      number = ++this.last;
      this.numbers.set(key, number);
      if (this.places.size >= MOST) this.forgetOldest();
    }
    this.places.set(number, place);
    return number;
  }

  private forgetOldest(): void {
    const [oldest] = this.places;
    this.places.delete(oldest[0]);
    this.numbers.delete(oldest[1].vnode.key);
  }

  /** Throws ESTALE where the file has gone. */
  place(number: number): Place {
    const place = this.places.get(number);
    if (place === undefined || !isThere(place)) throw errno(ESTALE);
    return place;
  }
}

function isThere({ vnode }: Place): boolean {
  try {
    return vnode.stat().nlink > 0;
  } catch (error) {
    if (error instanceof Errno) return false;
    throw error;
  }
}
