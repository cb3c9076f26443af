/** Types of the part of elfy 1.0.0 that loader/elf.ts uses, as its source has them. */
declare module 'elfy' {
  export interface ElfyProgram {
    /** Undefined for types that elfy has no name for. */
    readonly type: string | undefined;
    readonly offset: number;
    readonly vaddr: number;
    readonly filesz: number;
    readonly memsz: number;
    /** `r`, `w`, `x`, or the decimal bit where elfy has no name. */
    readonly flags: Readonly<Record<string, boolean>>;
    readonly align: number;
  }
  export interface ElfyFile {
    readonly type: string | undefined;
    readonly machine: string | undefined;
    readonly entry: number;
    readonly body: { readonly programs: readonly ElfyProgram[] };
  }
  /** Throws on anything that it does not like. */
  export function parse(bytes: Uint8Array): ElfyFile;
  const elfy: { parse: typeof parse };
  export default elfy;
}
