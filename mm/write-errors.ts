/** Failed write-backs of one file, each told once to everybody who has it open (Linux errseq_t). */
export class WriteErrors {
  #errno = 0;
  /** Failures so far. */
  #count = 0;
  /** Failures that somebody has been told of. */
  #told = 0;

  record(errno: number): void {
    this.#errno = errno;
    this.#count++;
  }

  /** What a new opening remembers: failures that nobody has been told of yet are its business too. */
  sample(): number {
    return this.#told;
  }

  /** The errno of a failure later than `since`, or 0; and what to remember from now on. */
  check(since: number): { readonly errno: number; readonly since: number } {
    if (this.#count === since) return { errno: 0, since };
    this.#told = this.#count;
    return { errno: this.#errno, since: this.#count };
  }
}
