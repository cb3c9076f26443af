/** Memory-management constants of i386 Linux. Source: include/uapi/asm-generic/mman*.h, arch/x86/include/uapi/asm/mman.h, personality.h. */

export const PROT_NONE = 0, PROT_READ = 1, PROT_WRITE = 2, PROT_EXEC = 4, PROT_SEM = 8;
export const PROT_GROWSDOWN = 0x0100_0000, PROT_GROWSUP = 0x0200_0000;
/** Every right at once: what anonymous memory may be given by mprotect. */
export const PROT_ALL = PROT_READ | PROT_WRITE | PROT_EXEC;

export const MAP_SHARED = 0x01, MAP_PRIVATE = 0x02, MAP_SHARED_VALIDATE = 0x03, MAP_TYPE = 0x0f;
export const MAP_FIXED = 0x10, MAP_ANONYMOUS = 0x20, MAP_32BIT = 0x40, MAP_ABOVE4G = 0x80;
export const MAP_GROWSDOWN = 0x0100, MAP_DENYWRITE = 0x0800, MAP_EXECUTABLE = 0x1000, MAP_LOCKED = 0x2000, MAP_NORESERVE = 0x4000;
export const MAP_POPULATE = 0x8000, MAP_NONBLOCK = 0x1_0000, MAP_STACK = 0x2_0000, MAP_HUGETLB = 0x4_0000, MAP_SYNC = 0x8_0000;
/** The size of huge pages, as a logarithm, lies in six bits. */
export const MAP_HUGE_SHIFT = 26, MAP_HUGE_2MB = 21 << 26, MAP_HUGE_1GB = 30 << 26;
export const MAP_FIXED_NOREPLACE = 0x10_0000, MAP_UNINITIALIZED = 0x400_0000;

export const MREMAP_MAYMOVE = 1, MREMAP_FIXED = 2, MREMAP_DONTUNMAP = 4;
export const MS_ASYNC = 1, MS_INVALIDATE = 2, MS_SYNC = 4;
export const MCL_CURRENT = 1, MCL_FUTURE = 2, MCL_ONFAULT = 4, MLOCK_ONFAULT = 1;

export const MADV_NORMAL = 0, MADV_RANDOM = 1, MADV_SEQUENTIAL = 2, MADV_WILLNEED = 3, MADV_DONTNEED = 4, MADV_FREE = 8, MADV_REMOVE = 9;
export const MADV_DONTFORK = 10, MADV_DOFORK = 11, MADV_MERGEABLE = 12, MADV_UNMERGEABLE = 13, MADV_HUGEPAGE = 14, MADV_NOHUGEPAGE = 15;
export const MADV_DONTDUMP = 16, MADV_DODUMP = 17, MADV_WIPEONFORK = 18, MADV_KEEPONFORK = 19, MADV_COLD = 20, MADV_PAGEOUT = 21;
export const MADV_POPULATE_READ = 22, MADV_POPULATE_WRITE = 23, MADV_DONTNEED_LOCKED = 24, MADV_COLLAPSE = 25;
export const MADV_HWPOISON = 100, MADV_SOFT_OFFLINE = 101, MADV_GUARD_INSTALL = 102, MADV_GUARD_REMOVE = 103;

/** personality(2): every readable mapping is executable too. Linux sets it for i386 programs that have no PT_GNU_STACK header. */
export const READ_IMPLIES_EXEC = 0x0040_0000;
/** personality bits that go with a set-user-ID program: also ADDR_NO_RANDOMIZE, ADDR_COMPAT_LAYOUT and MMAP_PAGE_ZERO. */
export const PER_CLEAR_ON_SETID = 0x0074_0000;
export const ADDR_NO_RANDOMIZE = 0x0004_0000;
export const ADDR_COMPAT_LAYOUT = 0x0020_0000;
