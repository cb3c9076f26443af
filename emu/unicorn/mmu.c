/*
 * The software MMU: two-level page tables in wasm memory, a direct-mapped TLB filled from them, and the slow paths of guest loads and
 * stores. Replaces Unicorn's cputlb.c and its memory regions. A page that is missing or forbids the access is asked of the host at
 * once (seg_host_fault); what it fills, the very instruction goes on with.
 */
#include "qemu/osdep.h"
#include "cpu.h"
#include "exec/exec-all.h"
#include "exec/cpu_ldst.h"
#include "tcg/tcg.h"
#include "accel/tcg/translate-all.h"
#include "uc_priv.h"
#include "seg386.h"

extern CPUX86State *seg_env;

SegTlbEntry seg_tlb[SEG_TLB_SIZE] __attribute__((aligned(64)));
uint8_t seg_code_map[1u << 20];
struct SegStatistics seg_statistics;

/* The running task's page directory: 1024 addresses of page tables, 0 where there is none. */
static uint32_t *directory;
static uint32_t no_tables[1024];

enum { ACCESS_READ, ACCESS_WRITE, ACCESS_FETCH };

/* ---- flushing */

void seg_tlb_flush(void)
{
    memset(seg_tlb, 0xff, sizeof(seg_tlb));
    seg_statistics.tlb_flushes++;
    cpu_tb_jmp_cache_clear(env_cpu(seg_env));
}

void seg_tlb_flush_page(uint32_t addr)
{
    memset(seg_tlb_entry(addr), 0xff, sizeof(SegTlbEntry));
    tb_flush_jmp_cache(env_cpu(seg_env), addr & SEG_PAGE_MASK);
}

void seg_set_directory(uint32_t *tables)
{
    directory = tables ? tables : no_tables;
    seg_tlb_flush();
}

/* Unicorn's names, for its helpers. */
void tlb_init(CPUState *cpu) { directory = no_tables; memset(seg_tlb, 0xff, sizeof(seg_tlb)); }
void tlb_flush(CPUState *cpu) { seg_tlb_flush(); }
void tlb_flush_page(CPUState *cpu, target_ulong addr) { seg_tlb_flush_page(addr); }

/* ---- filling */

static inline uint32_t page_entry(uint32_t addr)
{
    uint32_t *table = (uint32_t *)directory[addr >> 22];
    return table ? table[(addr >> SEG_PAGE_BITS) & 1023] : 0;
}

/* A TLB entry that allows the access, or NULL where the host refuses it. */
static SegTlbEntry *fill(uint32_t addr, int access)
{
    static const uint32_t needed[] = { SEG_PROT_READ, SEG_PROT_WRITE, SEG_PROT_EXEC };
    uint32_t page = addr & SEG_PAGE_MASK, entry = page_entry(addr);
    SegTlbEntry *slot = seg_tlb_entry(addr);

    seg_statistics.tlb_misses++;
    if (!(entry & needed[access])) {
        if (!seg_host_fault(addr, access)) {
            return NULL;
        }
        entry = page_entry(addr);
        if (!(entry & needed[access])) {
            seg_host_panic("a page that was said to be filled is not");
        }
    }
    uint32_t frame = entry & SEG_PAGE_MASK;
    slot->read = entry & SEG_PROT_READ ? page : SEG_TAG_NONE;
    slot->write = entry & SEG_PROT_WRITE ? page | (seg_code_map[frame >> SEG_PAGE_BITS] ? SEG_TAG_CODE : 0) : SEG_TAG_NONE;
    slot->exec = entry & SEG_PROT_EXEC ? page : SEG_TAG_NONE;
    slot->addend = frame - page;
    return slot;
}

/* The byte at addr; of no account where its page is not there. */
int seg_peek(uint32_t addr)
{
    uint32_t entry = page_entry(addr);
    return entry ? *(uint8_t *)((entry & SEG_PAGE_MASK) + (addr & ~SEG_PAGE_MASK)) : 0;
}

/* Ends the run with a page fault at the instruction that `retaddr` is in (0: at eip). */
static void QEMU_NORETURN page_fault(uint32_t addr, int access, uintptr_t retaddr)
{
    CPUX86State *env = seg_env;
    CPUState *cs = env_cpu(env);
    env->cr[2] = addr;
    if (access == ACCESS_READ) {
        if (retaddr) {
            cpu_restore_state(cs, retaddr, true);
            retaddr = 0;
        }
        if (seg_modifies_memory(env->segs[R_CS].base + env->eip)) {
            access = ACCESS_WRITE;
        }
    }
    /* As the CPU pushes it: user mode; the present bit is the host's to know. */
    env->error_code = PG_ERROR_U_MASK | (access == ACCESS_WRITE ? PG_ERROR_W_MASK : 0) | (access == ACCESS_FETCH ? PG_ERROR_I_D_MASK : 0);
    cs->exception_index = EXCP0E_PAGE;
    cpu_loop_exit_restore(cs, retaddr);
}

static inline uint32_t tag_of(const SegTlbEntry *entry, int access)
{
    return access == ACCESS_READ ? entry->read : access == ACCESS_WRITE ? entry->write & ~SEG_TAG_CODE : entry->exec;
}

/* The entry for an access that must succeed. */
static inline SegTlbEntry *lookup(uint32_t addr, int access, uintptr_t retaddr)
{
    SegTlbEntry *entry = seg_tlb_entry(addr);
    if (tag_of(entry, access) != (addr & SEG_PAGE_MASK)) {
        entry = fill(addr, access);
        if (!entry) {
            page_fault(addr, access, retaddr);
        }
    }
    return entry;
}

/* ---- code pages: a frame that blocks were translated from is written slowly, so that they can be dropped */

void tlb_protect_code(struct uc_struct *uc, ram_addr_t frame)
{
    seg_code_map[frame >> SEG_PAGE_BITS] = 1;
    for (unsigned i = 0; i < SEG_TLB_SIZE; i++) {
        SegTlbEntry *entry = &seg_tlb[i];
        if (!(entry->write & ~SEG_PAGE_MASK) && entry->write + entry->addend == (frame & SEG_PAGE_MASK)) {
            entry->write |= SEG_TAG_CODE;
        }
    }
}

/* Write tags that still say "code" are put right by the next store through them. */
void tlb_unprotect_code(struct uc_struct *uc, ram_addr_t frame)
{
    seg_code_map[frame >> SEG_PAGE_BITS] = 0;
}

/* Called by translate-all.c for each block; tlb_protect_code did the work. */
void tlb_reset_dirty_by_vaddr(CPUState *cpu, target_ulong start, target_ulong length) {}

/* Drops the blocks that overlap the bytes about to be written; unwinds when the running block is one of them. */
static void before_code_write(SegTlbEntry *entry, uint32_t addr, unsigned size, uintptr_t retaddr)
{
    uint32_t at = addr + entry->addend;
    if (seg_code_map[at >> SEG_PAGE_BITS]) {
        tb_invalidate_phys_page_fast(seg_env->uc, NULL, at, size, retaddr);
    }
    if (!seg_code_map[at >> SEG_PAGE_BITS]) {
        entry->write &= ~SEG_TAG_CODE;
    }
}

/* The host changed a frame's bytes: blocks translated from it are stale. */
void seg_frame_changed(uint32_t frame)
{
    if (seg_code_map[frame]) {
        tb_invalidate_phys_range(seg_env->uc, frame << SEG_PAGE_BITS, (frame << SEG_PAGE_BITS) + SEG_PAGE_SIZE);
    }
}

/* ---- loads and stores of 1 to 8 bytes, anywhere */

static inline bool crosses(uint32_t addr, unsigned size)
{
    return ((addr + size - 1) ^ addr) & SEG_PAGE_MASK;
}

static uint64_t load(uint32_t addr, unsigned size, int access, uintptr_t retaddr)
{
    uint64_t value = 0;
    if (!crosses(addr, size)) {
        memcpy(&value, (void *)(addr + lookup(addr, access, retaddr)->addend), size);
        return value;
    }
    unsigned first = SEG_PAGE_SIZE - (addr & ~SEG_PAGE_MASK);
    /* The lower page's fault comes first, as on the CPU; filling the upper one cannot evict the lower. */
    lookup(addr, access, retaddr);
    memcpy((uint8_t *)&value + first, (void *)(addr + first + lookup(addr + first, access, retaddr)->addend), size - first);
    memcpy(&value, (void *)(addr + lookup(addr, access, retaddr)->addend), first);
    return value;
}

static inline void store_in_page(SegTlbEntry *entry, uint32_t addr, const void *bytes, unsigned size, uintptr_t retaddr)
{
    if (entry->write & SEG_TAG_CODE) {
        before_code_write(entry, addr, size, retaddr);
    }
    memcpy((void *)(addr + entry->addend), bytes, size);
}

static void store(uint32_t addr, uint64_t value, unsigned size, uintptr_t retaddr)
{
    SegTlbEntry *entry = lookup(addr, ACCESS_WRITE, retaddr);
    if (!crosses(addr, size)) {
        store_in_page(entry, addr, &value, size, retaddr);
        return;
    }
    /* Both pages are writable before a byte is written, so that a fault leaves nothing half done. */
    unsigned first = SEG_PAGE_SIZE - (addr & ~SEG_PAGE_MASK);
    SegTlbEntry *upper = lookup(addr + first, ACCESS_WRITE, retaddr);
    entry = lookup(addr, ACCESS_WRITE, retaddr);
    if (entry->write & SEG_TAG_CODE) {
        before_code_write(entry, addr, first, retaddr);
    }
    store_in_page(upper, addr + first, (uint8_t *)&value + first, size - first, retaddr);
    memcpy((void *)(addr + entry->addend), &value, first);
}

/* Alignment check (EFLAGS.AC): blocks made while it is set ask for aligned accesses. It comes before a page fault. */
static void check_alignment(uint32_t addr, uint32_t oi, uintptr_t retaddr)
{
    unsigned bits = get_alignment_bits(get_memop(oi));
    if (addr & ((1u << bits) - 1)) {
        raise_exception_err_ra(seg_env, EXCP11_ALGN, 0, retaddr);
    }
}

uint64_t seg_load_slow(uint32_t addr, uint32_t oi)
{
    MemOp op = get_memop(oi);
    if (get_mmuidx(oi) != SEG_USER_MMU_INDEX) {
        seg_host_panic("a block loads with kernel rights");
    }
    check_alignment(addr, oi, seg_return_address);
    uint64_t value = load(addr, 1u << (op & MO_SIZE), ACCESS_READ, seg_return_address);
    switch (op & (MO_SSIZE | MO_BSWAP)) {
    case MO_SB: return (uint64_t)(int8_t)value;
    case MO_SW: return (uint64_t)(int16_t)value;
    case MO_BEUW: return __builtin_bswap16(value);
    case MO_BESW: return (uint64_t)(int16_t)__builtin_bswap16(value);
    case MO_BEUL: case MO_BESL: return __builtin_bswap32(value);
    case MO_BEQ: return __builtin_bswap64(value);
    default: return value;
    }
}

void seg_store_slow(uint32_t addr, uint64_t value, uint32_t oi)
{
    MemOp op = get_memop(oi);
    if (get_mmuidx(oi) != SEG_USER_MMU_INDEX) {
        seg_host_panic("a block stores with kernel rights");
    }
    check_alignment(addr, oi, seg_return_address);
    switch (op & (MO_SIZE | MO_BSWAP)) {
    case MO_BEUW: value = __builtin_bswap16(value); break;
    case MO_BEUL: value = __builtin_bswap32(value); break;
    case MO_BEQ: value = __builtin_bswap64(value); break;
    default: break;
    }
    store(addr, value, 1u << (op & MO_SIZE), seg_return_address);
}

/*
 * The accesses of Unicorn's helpers. With kernel rights (another MMU index) they reach the descriptor tables, which are not in the guest's
 * space but in the engine's own memory: there a linear address is a wasm address, bounded by the table's limit.
 */
static inline void check_data_alignment(CPUArchState *env, uint32_t addr, unsigned size, uintptr_t ra)
{
    if (unlikely(env->eflags & AC_MASK) && (addr & (size - 1))) {
        raise_exception_err_ra(env, EXCP11_ALGN, 0, ra);
    }
}

#define DATA_ACCESS(letter, type, size) \
    type cpu_ld##letter##_mmuidx_ra(CPUArchState *env, abi_ptr addr, int index, uintptr_t ra) \
    { \
        if (index != SEG_USER_MMU_INDEX) { \
            type value = 0; \
            memcpy(&value, (void *)addr, size); \
            return value; \
        } \
        return load(addr, size, ACCESS_READ, ra); \
    } \
    type cpu_ld##letter##_data_ra(CPUArchState *env, abi_ptr addr, uintptr_t ra) \
    { \
        check_data_alignment(env, addr, size, ra); \
        return load(addr, size, ACCESS_READ, ra); \
    } \
    type cpu_ld##letter##_data(CPUArchState *env, abi_ptr addr) { return load(addr, size, ACCESS_READ, 0); } \
    type cpu_ld##letter##_code(CPUArchState *env, abi_ptr addr) { return load(addr, size, ACCESS_FETCH, 0); }

#define DATA_STORE(letter, type, size) \
    void cpu_st##letter##_mmuidx_ra(CPUArchState *env, abi_ptr addr, type value, int index, uintptr_t ra) \
    { \
        if (index != SEG_USER_MMU_INDEX) { \
            memcpy((void *)addr, &value, size); \
            return; \
        } \
        store(addr, value, size, ra); \
    } \
    void cpu_st##letter##_data_ra(CPUArchState *env, abi_ptr addr, type value, uintptr_t ra) \
    { \
        check_data_alignment(env, addr, size, ra); \
        store(addr, value, size, ra); \
    } \
    void cpu_st##letter##_data(CPUArchState *env, abi_ptr addr, type value) { store(addr, value, size, 0); }

DATA_ACCESS(ub, uint32_t, 1) DATA_ACCESS(uw, uint32_t, 2) DATA_ACCESS(l, uint32_t, 4) DATA_ACCESS(q, uint64_t, 8)
DATA_STORE(b, uint32_t, 1) DATA_STORE(w, uint32_t, 2) DATA_STORE(l, uint32_t, 4) DATA_STORE(q, uint64_t, 8)

int cpu_ldsb_mmuidx_ra(CPUArchState *env, abi_ptr addr, int index, uintptr_t ra) { return (int8_t)cpu_ldub_mmuidx_ra(env, addr, index, ra); }
int cpu_ldsw_mmuidx_ra(CPUArchState *env, abi_ptr addr, int index, uintptr_t ra) { return (int16_t)cpu_lduw_mmuidx_ra(env, addr, index, ra); }
int cpu_ldsb_data_ra(CPUArchState *env, abi_ptr addr, uintptr_t ra) { return (int8_t)load(addr, 1, ACCESS_READ, ra); }
int cpu_ldsw_data_ra(CPUArchState *env, abi_ptr addr, uintptr_t ra) { return (int16_t)load(addr, 2, ACCESS_READ, ra); }
int cpu_ldsb_data(CPUArchState *env, abi_ptr addr) { return (int8_t)load(addr, 1, ACCESS_READ, 0); }
int cpu_ldsw_data(CPUArchState *env, abi_ptr addr) { return (int16_t)load(addr, 2, ACCESS_READ, 0); }

/* Where the code at addr is in wasm memory; raises the fault where it cannot be fetched. */
tb_page_addr_t get_page_addr_code_hostp(CPUArchState *env, target_ulong addr, void **hostp)
{
    uint32_t at = addr + lookup(addr, ACCESS_FETCH, 0)->addend;
    if (hostp) {
        *hostp = (void *)at;
    }
    return at;
}

tb_page_addr_t get_page_addr_code(CPUArchState *env, target_ulong addr)
{
    return get_page_addr_code_hostp(env, addr, NULL);
}

/* Raises the fault that `size` bytes (in one page) would; returns where they are. */
void *probe_access(CPUArchState *env, target_ulong addr, int size, MMUAccessType type, int index, uintptr_t ra)
{
    int access = type == MMU_DATA_STORE ? ACCESS_WRITE : type == MMU_INST_FETCH ? ACCESS_FETCH : ACCESS_READ;
    SegTlbEntry *entry = lookup(addr, access, ra);
    if (access == ACCESS_WRITE && (entry->write & SEG_TAG_CODE)) {
        before_code_write(entry, addr, size, ra);
    }
    return (void *)(addr + entry->addend);
}

/* Without a fault: NULL where the access would not succeed at once. */
void *tlb_vaddr_to_host(CPUArchState *env, abi_ptr addr, MMUAccessType type, int index)
{
    int access = type == MMU_DATA_STORE ? ACCESS_WRITE : type == MMU_INST_FETCH ? ACCESS_FETCH : ACCESS_READ;
    SegTlbEntry *entry = seg_tlb_entry(addr);
    if (tag_of(entry, access) != (addr & SEG_PAGE_MASK) || (access == ACCESS_WRITE && (entry->write & SEG_TAG_CODE))) {
        return NULL;
    }
    return (void *)(addr + entry->addend);
}
