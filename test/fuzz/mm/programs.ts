/** Makes random programs of memory calls: every call and flag of i386 Linux, places that touch each other, files, shared memory, forks. */
import * as mman from '../../../abi/mman.ts';
import { Random } from '../cpu/random.ts';
import {
  type Argument,
  AS_ADDRESS,
  AS_FILE,
  AS_ID,
  AS_NUMBER,
  AS_SCRATCH,
  FILE_SLOT,
  ID_SLOT,
  IN_ARENA,
  IN_HEAP,
  IN_SCRATCH,
  type Kind,
  LITERAL,
  type Operation,
  type Program,
  SELF,
  SLOT,
} from './operations.ts';

const PAGE = 4096;
/** Few pages, so that things meet. */
const ARENA_PAGES = 24;
const SLOTS = 6;
/** Never an argument. */
const HEAP_SLOT = 15;
const NUMBERS = {
  read: 3,
  pread64: 180,
  pwrite64: 181,
  brk: 45,
  mmap2: 192,
  munmap: 91,
  mprotect: 125,
  mremap: 163,
  msync: 144,
  mincore: 218,
  madvise: 219,
  mlock: 150,
  munlock: 151,
  mlockall: 152,
  munlockall: 153,
  mlock2: 376,
  remap_file_pages: 257,
  ftruncate: 93,
  fallocate: 324,
  memfd_create: 356,
  fcntl: 221,
  shmget: 395,
  shmctl: 396,
  shmat: 397,
  shmdt: 398,
  fsync: 118,
  fdatasync: 148,
  sync_file_range: 314,
  membarrier: 375,
};
type CallName = keyof typeof NUMBERS;

const literal = (value: number): Argument => ({ tag: LITERAL, value });

export class Generator {
  private readonly seed: number;
  private readonly forks: boolean;
  constructor(seed: number, forks: boolean) {
    this.seed = seed;
    this.forks = forks;
  }

  program(index: number): Program {
    const maker = new Maker(new Random(this.seed, index), this.forks);
    return { seed: this.seed, index, operations: [...maker.operations(12 + maker.random.below(30)), maker.plain('maps')] };
  }
}

class Maker {
  readonly random: Random;
  private readonly forks: boolean;
  private depth = 0;

  constructor(random: Random, forks: boolean) {
    this.random = random;
    this.forks = forks;
  }

  operations(count: number): Operation[] {
    return Array.from({ length: count }, () => this.operation());
  }

  /** Sometimes in the heap, which brk grows and shrinks. */
  private anyPlace(): Argument {
    return this.random.chance(0.06) ? { tag: IN_HEAP, value: this.random.below(6) * PAGE } : this.place();
  }

  private touched(): Argument {
    return this.random.chance(0.05) ? { tag: IN_HEAP, value: this.random.below(6 * PAGE) } : this.place();
  }

  private operation(): Operation {
    const { random } = this;
    const choice = random.below(100);
    if (choice < 21) return this.map();
    if (choice < 44) return this.touch();
    if (choice < 49) return this.call('munmap', [this.anyPlace(), this.size()]);
    if (choice < 55) return this.protect();
    if (choice < 61) return this.remap();
    if (choice < 67) return this.call('madvise', [this.anyPlace(), this.smallSize(), literal(random.pick(ADVICES))]);
    if (choice < 70) return this.call('msync', [this.place(), this.size(), literal(random.pick([1, 2, 4, 6, 3, 0, 5, 8]))]);
    if (choice < 72) return this.call('mincore', [this.place(), this.size(), { tag: IN_SCRATCH, value: 0 }], AS_SCRATCH);
    if (choice < 76) return this.lock();
    if (choice < 79) return { ...this.call('brk', [{ tag: IN_HEAP, value: random.below(9 * PAGE) - PAGE }], AS_ADDRESS), out: HEAP_SLOT };
    if (choice < 88) return this.file();
    if (choice < 92) return this.shm();
    if (choice < 93) return this.remapFilePages();
    if (choice < 94) return this.limit();
    if (choice < 95)
      return random.chance(0.8) ? this.plain('status') : this.call('membarrier', [literal(random.pick(BARRIERS)), literal(0), literal(0)]);
    if (choice < 97) return this.plain('maps');
    return this.fork();
  }

  plain(kind: Kind): Operation {
    return { kind, name: String(kind), out: 0, a: 0, b: 0, args: [] };
  }

  private call(name: CallName, args: readonly Argument[], as = AS_NUMBER): Operation {
    return { kind: 'call', name, out: this.random.below(SLOTS), a: NUMBERS[name], b: as, args };
  }

  // ---- Arguments ----

  private place(): Argument {
    const off = this.random.chance(0.04) ? this.random.below(PAGE) : 0;
    if (this.random.chance(0.6)) return { tag: IN_ARENA, value: this.random.below(ARENA_PAGES) * PAGE + off };
    if (this.random.chance(0.04)) return literal(this.random.pick([0, 0xffff_f000, 0xffff_e000, 0xffff_ffff, 0xc000_0000]));
    return { tag: SLOT + this.random.below(SLOTS), value: (this.random.below(8) - 1) * PAGE + off };
  }

  private size(): Argument {
    // Nothing so large that what has a place of its own meets what the kernel places: how far they are apart is random on the bare CPU.
    if (this.random.chance(0.05)) return literal(this.random.pick([0, 1, 0xffff_ffff, 0xffff_f000, 0x3000_0000, 100]));
    return literal((1 + this.random.below(6)) * PAGE - (this.random.chance(0.1) ? this.random.below(PAGE) : 0));
  }

  /** For calls that go on behind holes: a huge one would reach the runner's own stack. */
  private smallSize(): Argument {
    return literal(this.random.chance(0.05) ? this.random.pick([0, 1, 100]) : (1 + this.random.below(6)) * PAGE);
  }

  /** Never executable without being readable: whether such memory can be read depends on the processor. */
  private prot(): number {
    return this.random.pick([0, 1, 2, 3, 3, 3, 3, 5, 7, 1, 3]);
  }

  private fileSlot(): Argument {
    return { tag: FILE_SLOT, value: this.random.pick([0, 0, 0, 0, 1, 2, 3, 3, 3, 4, 5, 10, 11]) };
  }

  // ---- Operations ----

  private map(): Operation {
    const { random } = this;
    const anonymous = random.chance(0.5);
    let flags = random.pick([mman.MAP_PRIVATE, mman.MAP_PRIVATE, mman.MAP_SHARED, mman.MAP_SHARED, mman.MAP_SHARED_VALIDATE]);
    if (random.chance(0.03)) flags = 0;
    if (anonymous) flags |= mman.MAP_ANONYMOUS;
    const fixed = random.chance(0.6);
    if (fixed) flags |= random.chance(0.85) ? mman.MAP_FIXED : mman.MAP_FIXED_NOREPLACE;
    // Not MAP_HUGETLB: its answer depends on how many huge pages a machine was given.
    if (random.chance(0.12))
      flags |= random.pick([
        mman.MAP_GROWSDOWN,
        mman.MAP_GROWSDOWN,
        mman.MAP_UNINITIALIZED,
        mman.MAP_NORESERVE,
        mman.MAP_POPULATE,
        mman.MAP_LOCKED,
        mman.MAP_STACK,
        mman.MAP_DENYWRITE,
        mman.MAP_EXECUTABLE,
        mman.MAP_NONBLOCK,
        mman.MAP_32BIT,
        UNKNOWN_FLAG,
      ]);
    // Of files on a disk their file system decides.
    const file = this.fileSlot();
    if (file.value >= 3 && random.chance(0.02)) flags |= mman.MAP_SYNC;
    const addr = fixed || random.chance(0.4) ? this.place() : literal(0);
    const offset = random.chance(0.03) ? random.pick([0xf_ffff, 0xffff_ffff, 0x10_0000]) : random.below(5);
    // Gigabytes are reserved, not filled.
    const size = (flags & (mman.MAP_POPULATE | mman.MAP_LOCKED)) !== 0 ? this.smallSize() : this.size();
    const args = [addr, size, literal(this.prot()), literal(flags), file, literal(anonymous ? 0 : offset)];
    if (random.chance(0.05)) {
      const old = [...args.slice(0, 5), literal((anonymous ? 0 : offset * PAGE) + (random.chance(0.2) ? 100 : 0))];
      return { ...this.call('mmap2', old, AS_ADDRESS), kind: 'old mmap', name: 'mmap', a: 90 };
    }
    return this.call('mmap2', args, AS_ADDRESS);
  }

  private protect(): Operation {
    const grows = this.random.chance(0.06) ? this.random.pick([mman.PROT_GROWSDOWN, mman.PROT_GROWSUP, 8, 16]) : 0;
    return this.call('mprotect', [this.anyPlace(), this.smallSize(), literal(this.prot() | grows)]);
  }

  private remapFilePages(): Operation {
    const { random } = this;
    const prot = random.chance(0.05) ? 1 : 0;
    const flags = random.pick([0, 0, mman.MAP_NONBLOCK, mman.MAP_FIXED]);
    return this.call('remap_file_pages', [this.place(), this.size(), literal(prot), literal(random.below(5)), literal(flags)]);
  }

  /** Relative to what is in use; of limits that count from nothing, the number itself. */
  private limit(): Operation {
    const { random } = this;
    const which = random.pick([RLIMIT_AS, RLIMIT_DATA, RLIMIT_MEMLOCK, RLIMIT_STACK]);
    return { ...this.plain('limit'), a: which, args: [literal(random.below(24) * PAGE + (random.chance(0.2) ? random.below(PAGE) : 0))] };
  }

  private remap(): Operation {
    const { random } = this;
    const flags = random.pick([0, 1, 1, 1, 3, 3, 5, 7, 2, 8]);
    const oldSize = random.chance(0.08) ? literal(0) : this.size();
    return this.call('mremap', [this.place(), oldSize, this.size(), literal(flags), this.place()], AS_ADDRESS);
  }

  private touch(): Operation {
    const { random } = this;
    const at = this.touched();
    const inside = {
      tag: at.tag,
      value: at.value + (random.chance(0.15) ? PAGE - 1 - random.below(3) : random.chance(0.3) ? random.below(PAGE) : 0),
    };
    const width = random.pick([1, 1, 1, 2, 4]);
    const make = (kind: Kind, a: number, args: Argument[]): Operation => ({ kind, name: String(kind), out: 0, a, b: 0, args });
    switch (random.below(12)) {
      case 0:
      case 1:
      case 2:
        return make('read', width, [inside]);
      case 3:
      case 4:
      case 5:
      case 6:
      case 7:
        return make('write', width, [inside, literal(random.word())]);
      case 8:
        return make('execute', 0, [inside]);
      case 9:
        return make('copy', 1 + random.below(3 * PAGE), [this.place(), this.place()]);
      case 10:
        return make('show', 1 + random.below(2 * PAGE), [at]);
      default:
        return make('process_vm', random.below(2), [
          this.place(),
          literal(random.below(2 * PAGE)),
          this.place(),
          literal(random.below(2 * PAGE)),
        ]);
    }
  }

  private lock(): Operation {
    const { random } = this;
    switch (random.below(8)) {
      case 6:
        return this.call('mlockall', [literal(random.pick([1, 2, 2, 6, 3, 4, 0, 8]))]);
      case 0:
      case 1:
        return this.call('mlock', [this.place(), this.size()]);
      case 2:
        return this.call('mlock2', [this.place(), this.size(), literal(random.pick([0, 1, 1, 2]))]);
      case 3:
      case 4:
        return this.call('munlock', [this.place(), this.size()]);
      case 7:
        return this.plain('status');
      default:
        return this.call('munlockall', []);
    }
  }

  private file(): Operation {
    const { random } = this;
    const fd = this.fileSlot();
    const memory: Argument = { tag: FILE_SLOT, value: random.pick([3, 3, 3, 4, 5, 10]) };
    // Files on /dev/shm are the host's, whose seals are not to be had.
    const sealed: Argument = memory.value === 10 ? { ...memory, value: 3 } : memory;
    switch (random.below(11)) {
      case 0:
      case 1:
        return this.call('ftruncate', [fd, literal(random.chance(0.5) ? random.below(6) * PAGE : random.below(5 * PAGE))]);
      case 2:
      case 3:
        return this.write(fd);
      case 4:
      case 5:
        return this.call(
          'pread64',
          [fd, this.buffer(), literal(1 + random.below(2 * PAGE)), literal(random.below(4 * PAGE)), literal(0)],
          AS_SCRATCH,
        );
      case 6:
        return this.call('memfd_create', [{ tag: IN_SCRATCH, value: 3 * PAGE }, literal(random.pick([0, 1, 2, 2, 3, 0x100]))], AS_FILE);
      case 7:
      case 8: {
        const [at, size] = random.chance(0.5)
          ? [random.below(5) * PAGE, random.below(4) * PAGE]
          : [random.below(5 * PAGE), random.below(3 * PAGE)];
        const mode = random.pick([0, 1, PUNCH, PUNCH, PUNCH, PUNCH, 2, 8, 16]);
        return this.call('fallocate', [memory, literal(mode), literal(at), literal(0), literal(size), literal(0)]);
      }
      case 9:
        return random.chance(0.5)
          ? this.call('fcntl', [sealed, literal(F_GET_SEALS), literal(0)])
          : this.call('fcntl', [sealed, literal(F_ADD_SEALS), literal(random.pick([0, 1, 2, 4, 8, 16, 6, 32, 64]))]);
      default:
        return random.chance(0.5) ? { kind: 'fill', name: 'fill', out: 0, a: random.below(256), b: 0, args: [] } : this.sync(fd);
    }
  }

  private sync(fd: Argument): Operation {
    const { random } = this;
    if (random.chance(0.4)) return this.call('fsync', [fd]);
    if (random.chance(0.3)) return this.call('fdatasync', [fd]);
    const [from, size] = [random.below(5) * PAGE, random.below(4) * PAGE];
    return this.call('sync_file_range', [
      fd,
      literal(from),
      literal(0),
      literal(size),
      literal(0),
      literal(random.pick([0, 1, 2, 4, 7, 8])),
    ]);
  }

  /** What is written beyond the beginning can be read: of others some file systems find that they cannot when they have grown the file to that place (tmpfs of 6.18). */
  private write(fd: Argument): Operation {
    const { random } = this;
    const size = literal(1 + random.below(2 * PAGE));
    if (fd.value >= 3 && random.chance(0.3)) return this.call('pwrite64', [fd, this.buffer(), size, literal(0), literal(0)]);
    return this.call('pwrite64', [fd, { tag: IN_SCRATCH, value: 0 }, size, literal(random.below(4 * PAGE)), literal(0)]);
  }

  private buffer(): Argument {
    return this.random.chance(0.5) ? { tag: IN_SCRATCH, value: 0 } : this.place();
  }

  private shm(): Operation {
    const { random } = this;
    const id = { tag: ID_SLOT, value: random.below(SLOTS) };
    switch (random.below(6)) {
      case 0:
      case 1:
        return this.call('shmget', [literal(0), this.size(), literal(0x380 | random.pick([0, 0o600, 0o600]))], AS_ID);
      case 2:
      case 3:
        return this.call(
          'shmat',
          [
            id,
            random.chance(0.5) ? literal(0) : this.place(),
            literal(random.pick([0, 0, 0o10000, 0o20000, 0o40000, 0o60000, 0o70000, 0o100000])),
          ],
          AS_ADDRESS,
        );
      case 4:
        return this.call('shmdt', [this.place()]);
      default:
        return random.chance(0.5)
          ? this.call('shmctl', [id, literal(random.pick([0, 0, 11, 12])), literal(0)])
          : { kind: 'shm stat', name: 'shm stat', out: 0, a: 0, b: 0, args: [id] };
    }
  }

  private fork(): Operation {
    if (!this.forks || this.depth > 0) return this.plain('maps');
    this.depth++;
    const parent = this.operations(this.random.below(5));
    const child = this.operations(1 + this.random.below(6));
    this.depth--;
    return { kind: 'fork', name: 'fork', out: 0, a: 0, b: 0, args: [{ tag: SELF, value: 0 }], parent, child };
  }
}

const RLIMIT_DATA = 2,
  RLIMIT_STACK = 3,
  RLIMIT_MEMLOCK = 8,
  RLIMIT_AS = 9;
const F_ADD_SEALS = 1033,
  F_GET_SEALS = 1034;
/** FALLOC_FL_PUNCH_HOLE with FALLOC_FL_KEEP_SIZE. */
const PUNCH = 3;
/** Of membarrier: private ones, for whose use one registers, and one that there is not. Which there are at all depends on the version. */
const BARRIERS = [1, 8, 8, 16, 32, 64, 3];
/** A MAP_ bit without a meaning. */
const UNKNOWN_FLAG = 0x200;
/** All there are but poisoning, which needs privileges and hurts the machine, and some that there are not. */
const ADVICES = [
  mman.MADV_FREE,
  mman.MADV_COLD,
  mman.MADV_PAGEOUT,
  mman.MADV_DONTNEED_LOCKED,
  mman.MADV_UNMERGEABLE,
  mman.MADV_NORMAL,
  mman.MADV_RANDOM,
  mman.MADV_SEQUENTIAL,
  mman.MADV_WILLNEED,
  mman.MADV_DONTNEED,
  mman.MADV_DONTNEED,
  mman.MADV_DONTNEED,
  mman.MADV_REMOVE,
  mman.MADV_DONTFORK,
  mman.MADV_DOFORK,
  mman.MADV_DONTDUMP,
  mman.MADV_DODUMP,
  mman.MADV_WIPEONFORK,
  mman.MADV_KEEPONFORK,
  mman.MADV_POPULATE_READ,
  mman.MADV_POPULATE_WRITE,
  mman.MADV_MERGEABLE,
  mman.MADV_HUGEPAGE,
  mman.MADV_NOHUGEPAGE,
  mman.MADV_COLLAPSE,
  mman.MADV_GUARD_INSTALL,
  mman.MADV_GUARD_REMOVE,
  7,
  26,
  104,
];
