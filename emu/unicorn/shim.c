/*
 * What the host sees of the engine: making the one CPU, register sets that take turns on it, descriptors, FPU images, memory for frames
 * and page tables. emu/unicorn.ts is the only caller.
 */
#include "qemu/osdep.h"
#include "cpu.h"
#include "exec/exec-all.h"
#include "exec/helper-proto.h"
#include "tcg/tcg.h"
#include "accel/tcg/translate-all.h"
#include "uc_priv.h"
#include "seg386.h"

#define EXPORT(name) __attribute__((export_name(#name)))

/* Linux's user selectors in a 32-bit program on a 64-bit kernel, and where its thread areas are. */
#define USER_CS 0x23
#define USER_DS 0x2b
#define FIRST_THREAD_AREA 12
#define THREAD_AREAS 3
#define GDT_ENTRIES 16
#define LDT_ENTRIES 8192

CPUX86State *seg_env;
static struct uc_struct *uc;
static uint64_t gdt[GDT_ENTRIES];

/* A task's registers: the part of CPUX86State that is one task's, then its own descriptors. */
#define STATE_SIZE offsetof(CPUX86State, xmm_t0)
typedef struct RegisterSet {
    CPUX86State state; /* only the first STATE_SIZE bytes are used while the set is not on the CPU */
    uint64_t thread_areas[THREAD_AREAS];
    uint64_t *ldt; /* LDT_ENTRIES of them, or NULL */
} RegisterSet;

static RegisterSet *active;

X86CPU *cpu_x86_init(struct uc_struct *uc);

/* ---- making the CPU */

static uint64_t flat_descriptor(unsigned type)
{
    /* base 0, limit 4 GiB, present, DPL 3, 32 bits */
    return 0x00cf00000000ffffull | (uint64_t)(0xe0 | type | 0x10) << 40;
}

/* What this CPU offers; every bit is emulated and none that is left out is needed by i686 programs. */
static void set_features(CPUX86State *env)
{
    env->cpuid_level = 7;
    env->cpuid_xlevel = 0x80000008;
    env->cpuid_xlevel2 = 0;
    env->cpuid_version = 0x000006f2; /* family 6, model 15 */
    env->features[FEAT_1_EDX] = CPUID_FP87 | CPUID_TSC | CPUID_CX8 | CPUID_CMOV | CPUID_CLFLUSH | CPUID_MMX | CPUID_FXSR | CPUID_SSE | CPUID_SSE2;
    env->features[FEAT_1_ECX] = CPUID_EXT_SSE3 | CPUID_EXT_PCLMULQDQ | CPUID_EXT_SSSE3 | CPUID_EXT_SSE41 | CPUID_EXT_SSE42 | CPUID_EXT_MOVBE | CPUID_EXT_POPCNT | CPUID_EXT_AES;
    /* bit 6: the x87 data pointer is kept for unmasked exceptions only; bit 13: it has no selectors (x87-control.c) */
    env->features[FEAT_7_0_EBX] = CPUID_7_0_EBX_BMI1 | CPUID_7_0_EBX_BMI2 | CPUID_7_0_EBX_ADX | 1 << 6 | 1 << 13;
    env->features[FEAT_7_0_ECX] = 0;
    env->features[FEAT_7_0_EDX] = 0;
    env->features[FEAT_8000_0001_EDX] = CPUID_EXT2_NX;
    env->features[FEAT_8000_0001_ECX] = CPUID_EXT3_ABM;
    env->features[FEAT_XSAVE] = 0;
    env->features[FEAT_6_EAX] = 0;
    static const char vendor[12] = "GenuineIntel", name[48] = "seg386 386-compatible CPU";
    memcpy(&env->cpuid_vendor1, vendor, 4);
    memcpy(&env->cpuid_vendor2, vendor + 4, 4);
    memcpy(&env->cpuid_vendor3, vendor + 8, 4);
    memcpy(env->cpuid_model, name, sizeof(env->cpuid_model));
}


/* Unicorn calls it from x86_cpu_realizefn. */
void cpu_exec_realizefn(CPUState *cpu)
{
    seg_env = cpu->env_ptr;
    CPU_GET_CLASS(cpu)->tcg_initialize(cpu->uc);
    tlb_init(cpu);
}

/* Makes the engine. Returns the address of the state of the set that is on the CPU. */
EXPORT(seg_init) CPUX86State *seg_init(uint32_t code_buffer_size)
{
    void tcg_exec_init(struct uc_struct *, uint32_t);
    uc = calloc(1, sizeof(*uc));
    uc->qemu_real_host_page_size = uc->qemu_host_page_size = SEG_PAGE_SIZE;
    uc->qemu_icache_linesize = 16;
    uc->target_page_size = SEG_PAGE_SIZE;
    uc->target_page_align = SEG_PAGE_SIZE - 1;
    uc->mode = UC_MODE_32;
    uc->arch = UC_ARCH_X86;
    uc->cpu_model = UC_CPU_X86_QEMU32;
    uc->tcg_flush_tlb = tcg_flush_softmmu_tlb;
    uc->init_done = true;
    tcg_exec_init(uc, code_buffer_size);
    tcg_region_init(uc->tcg_ctx);
    X86CPU *cpu = cpu_x86_init(uc);
    seg_env = &cpu->env;
    CPU(cpu)->cluster_index = 0;
    CPU(cpu)->cpu_index = 0;
    set_features(seg_env);

    gdt[USER_CS >> 3] = flat_descriptor(0xa | 1);
    gdt[USER_DS >> 3] = flat_descriptor(0x2 | 1);
    seg_env->cr[0] = CR0_PE_MASK | CR0_MP_MASK | CR0_ET_MASK | CR0_NE_MASK | CR0_WP_MASK | CR0_AM_MASK | CR0_PG_MASK;
    seg_env->cr[4] = CR4_OSFXSR_MASK | CR4_OSXMMEXCPT_MASK;
    /* No task segment, so no I/O port permissions either. */
    memset(&seg_env->tr, 0, sizeof(seg_env->tr));
    seg_env->gdt.base = (uint32_t)(uintptr_t)gdt;
    seg_env->gdt.limit = sizeof(gdt) - 1;
    return seg_env;
}

/* ---- register sets */

/* The state at execve. */
static void reset_state(CPUX86State *env)
{
    memset(env->regs, 0, sizeof(env->regs));
    env->eip = 0;
    cpu_load_eflags(env, 0x202, -1);
    env->cc_op = CC_OP_EFLAGS;
    for (int i = 0; i < 6; i++) {
        bool code = i == R_CS, null = i == R_FS || i == R_GS;
        uint32_t flags = null ? 0 : DESC_G_MASK | DESC_B_MASK | DESC_P_MASK | DESC_S_MASK | DESC_A_MASK | 3 << DESC_DPL_SHIFT | (code ? DESC_CS_MASK | DESC_R_MASK : DESC_W_MASK);
        env->segs[i] = (SegmentCache){ .selector = null ? 0 : code ? USER_CS : USER_DS, .base = 0, .limit = null ? 0 : 0xffffffff, .flags = flags };
    }
    env->hflags = (env->hflags & ~(HF_ADDSEG_MASK | HF_TF_MASK | HF_VM_MASK | HF_IOPL_MASK)) | HF_PE_MASK | HF_CS32_MASK | HF_SS32_MASK | HF_OSFXSR_MASK | HF_MP_MASK | 3;
    cpu_x86_update_segment_checks(env);
    env->fpstt = env->fpus = 0;
    memset(env->fptags, 1, sizeof(env->fptags));
    memset(env->fpregs, 0, sizeof(env->fpregs));
    memset(env->xmm_regs, 0, sizeof(env->xmm_regs));
    env->fpop = env->fpcs = env->fpds = 0;
    env->fpip = env->fpdp = 0;
    cpu_set_fpuc(env, 0x37f);
    cpu_set_mxcsr(env, 0x1f80);
}

static void load_descriptors(RegisterSet *set)
{
    memcpy(gdt + FIRST_THREAD_AREA, set->thread_areas, sizeof(set->thread_areas));
    seg_env->ldt.base = (uint32_t)(uintptr_t)set->ldt;
    seg_env->ldt.limit = set->ldt ? LDT_ENTRIES * 8 - 1 : 0;
    seg_env->ldt.selector = set->ldt ? 0x50 : 0; /* what sldt shows on Linux */
    seg_env->ldt.flags = DESC_P_MASK | 2 << DESC_TYPE_SHIFT;
}

/* Puts a set on the CPU; the one that was there keeps its values. */
EXPORT(seg_activate) void seg_activate(RegisterSet *set)
{
    if (set == active) {
        return;
    }
    if (active) {
        memcpy(&active->state, seg_env, STATE_SIZE);
    }
    SegmentCache table = seg_env->gdt;
    memcpy(seg_env, &set->state, STATE_SIZE);
    seg_env->gdt = table;
    active = set;
    load_descriptors(set);
    cpu_tb_jmp_cache_clear(env_cpu(seg_env));
}

EXPORT(seg_set_create) RegisterSet *seg_set_create(void)
{
    RegisterSet *set = calloc(1, sizeof(*set));
    if (set) {
        memcpy(&set->state, seg_env, STATE_SIZE);
        reset_state(&set->state);
    }
    return set;
}

EXPORT(seg_set_release) void seg_set_release(RegisterSet *set)
{
    if (set == active) {
        active = NULL;
    }
    free(set->ldt);
    free(set);
}

static CPUX86State *state_of(RegisterSet *set)
{
    return set == active ? seg_env : &set->state;
}

EXPORT(seg_set_reset) void seg_set_reset(RegisterSet *set)
{
    reset_state(state_of(set));
    memset(set->thread_areas, 0, sizeof(set->thread_areas));
    free(set->ldt);
    set->ldt = NULL;
    if (set == active) {
        load_descriptors(set);
    }
}

/* 0 where there is no memory for a copy of the local descriptors. */
EXPORT(seg_set_copy) int seg_set_copy(RegisterSet *to, RegisterSet *from)
{
    uint64_t *ldt = NULL;
    if (from->ldt) {
        ldt = malloc(LDT_ENTRIES * 8);
        if (!ldt) {
            return 0;
        }
        memcpy(ldt, from->ldt, LDT_ENTRIES * 8);
    }
    memcpy(state_of(to), state_of(from), STATE_SIZE);
    memcpy(to->thread_areas, from->thread_areas, sizeof(to->thread_areas));
    free(to->ldt);
    to->ldt = ldt;
    if (to == active) {
        load_descriptors(to);
    }
    return 1;
}

/* Where a set's state is now: the CPU's own while it is on it. The general registers are its first eight words, eip the ninth. */
EXPORT(seg_set_state) CPUX86State *seg_set_state(RegisterSet *set) { return state_of(set); }

EXPORT(seg_get_eflags) uint32_t seg_get_eflags(RegisterSet *set)
{
    return cpu_compute_eflags(state_of(set));
}

EXPORT(seg_set_eflags) void seg_set_eflags(RegisterSet *set, uint32_t eflags)
{
    cpu_load_eflags(state_of(set), (eflags & ~(IOPL_MASK | VM_MASK | VIF_MASK | VIP_MASK | NT_MASK)) | IF_MASK | 2 | (eflags & NT_MASK), -1);
    state_of(set)->cc_op = CC_OP_EFLAGS;
}

EXPORT(seg_get_selector) uint32_t seg_get_selector(RegisterSet *set, int segment) { return state_of(set)->segs[segment].selector; }
EXPORT(seg_get_base) uint32_t seg_get_base(RegisterSet *set, int segment) { return state_of(set)->segs[segment].base; }

/* The rules for loading CS outside of a far transfer: a present, 32- or 16-bit, non-conforming or conforming code segment of user level. */
static bool load_code_segment(uint32_t selector)
{
    uint32_t low, high, index = selector & ~7u;
    SegmentCache *table = selector & 4 ? &seg_env->ldt : &seg_env->gdt;
    if ((selector & ~3u) == 0 || (selector & 3) != 3 || index + 7 > table->limit || !table->base) {
        return false;
    }
    memcpy(&low, (void *)(table->base + index), 4);
    memcpy(&high, (void *)(table->base + index + 4), 4);
    unsigned dpl = (high >> DESC_DPL_SHIFT) & 3;
    if (!(high & DESC_P_MASK) || !(high & DESC_S_MASK) || !(high & DESC_CS_MASK) || (!(high & DESC_C_MASK) && dpl != 3)) {
        return false;
    }
    uint32_t limit = (low & 0xffff) | (high & 0xf0000);
    if (high & DESC_G_MASK) {
        limit = limit << 12 | 0xfff;
    }
    cpu_x86_load_seg_cache(seg_env, R_CS, selector, low >> 16 | (high & 0xff) << 16 | (high & 0xff000000), limit, high | DESC_A_MASK);
    return true;
}

/* Loads a segment register of the set, which becomes the active one. 0 where the CPU would fault. */
EXPORT(seg_load_selector) int seg_load_selector(RegisterSet *set, int segment, uint32_t selector)
{
    seg_activate(set);
    if (segment == R_CS) {
        return load_code_segment(selector);
    }
    /* The helper's fault would restore eip and flags of whatever block ran last: we stand behind an instruction, not in one. */
    volatile uint32_t eip = seg_env->eip, cc_op = seg_env->cc_op;
    if (sigsetjmp(uc->jmp_bufs[0], 0)) {
        seg_env->eip = eip;
        seg_env->cc_op = cc_op;
        return 0;
    }
    helper_load_seg(seg_env, segment, selector);
    return 1;
}

/* index 12..14: a thread area; with `local`, 0..8191 of the LDT. Loaded copies are loaded again. 0 where there is no memory. */
EXPORT(seg_set_descriptor) int seg_set_descriptor(RegisterSet *set, int local, uint32_t index, uint32_t low, uint32_t high)
{
    uint64_t value = (uint64_t)high << 32 | low;
    seg_activate(set);
    if (local) {
        if (!set->ldt && !(set->ldt = calloc(LDT_ENTRIES, 8))) {
            return 0;
        }
        set->ldt[index] = value;
    } else {
        set->thread_areas[index - FIRST_THREAD_AREA] = value;
    }
    load_descriptors(set);
    for (int segment = 0; segment < 6; segment++) {
        uint32_t selector = seg_env->segs[segment].selector;
        if (segment != R_CS && selector >> 3 == index && !(selector & 4) == !local && !seg_load_selector(set, segment, selector)) {
            seg_load_selector(set, segment, 0);
        }
    }
    return 1;
}

EXPORT(seg_get_descriptor) uint64_t seg_get_descriptor(RegisterSet *set, int local, uint32_t index)
{
    return !local ? set->thread_areas[index - FIRST_THREAD_AREA] : set->ldt ? set->ldt[index] : 0;
}

/* ---- FPU images */

static uint32_t full_tag(CPUX86State *env, int physical)
{
    floatx80 *value = &env->fpregs[physical].d;
    uint16_t exponent = value->high & 0x7fff;
    if (env->fptags[physical]) {
        return 3;
    }
    if (!exponent && !value->low) {
        return 1;
    }
    return exponent == 0 || exponent == 0x7fff || !(value->low >> 63) ? 2 : 0;
}

static uint16_t status_word(CPUX86State *env)
{
    return (env->fpus & ~0x3800) | (env->fpstt & 7) << 11;
}

EXPORT(seg_save_fx) void seg_save_fx(RegisterSet *set, uint8_t *into)
{
    CPUX86State *env = state_of(set);
    uint16_t words[4] = { env->fpuc, status_word(env), 0, env->fpop & 0x7ff };
    memset(into, 0, 512);
    for (int i = 0; i < 8; i++) {
        words[2] |= !env->fptags[i] << i;
        memcpy(into + 32 + 16 * i, &env->fpregs[(env->fpstt + i) & 7].d.low, 8);
        memcpy(into + 40 + 16 * i, &env->fpregs[(env->fpstt + i) & 7].d.high, 2);
        memcpy(into + 160 + 16 * i, &env->xmm_regs[i], 16);
    }
    memcpy(into, words, 8);
    uint32_t pointers[6] = { env->fpip, env->fpcs, env->fpdp, env->fpds, env->mxcsr, 0xffff };
    memcpy(into + 8, pointers, 24);
}

EXPORT(seg_restore_fx) int seg_restore_fx(RegisterSet *set, const uint8_t *from)
{
    CPUX86State *env = state_of(set);
    uint16_t words[4];
    uint32_t pointers[6];
    memcpy(words, from, 8);
    memcpy(pointers, from + 8, 24);
    if (pointers[4] & ~0xffffu) {
        return 0;
    }
    env->fpus = words[1] & ~0x3800;
    env->fpstt = words[1] >> 11 & 7;
    env->fpop = words[3] & 0x7ff;
    env->fpip = pointers[0], env->fpdp = pointers[2], env->fpcs = env->fpds = 0;
    for (int i = 0; i < 8; i++) {
        env->fptags[i] = !(words[2] >> i & 1);
        memcpy(&env->fpregs[(env->fpstt + i) & 7].d.low, from + 32 + 16 * i, 8);
        memcpy(&env->fpregs[(env->fpstt + i) & 7].d.high, from + 40 + 16 * i, 2);
        memcpy(&env->xmm_regs[i], from + 160 + 16 * i, 16);
    }
    cpu_set_fpuc(env, words[0]);
    cpu_set_mxcsr(env, pointers[4]);
    return 1;
}

/* FSAVE's 108 bytes, 32-bit protected mode. Saving does not initialise the FPU as the instruction does. */
EXPORT(seg_save_fpu) void seg_save_fpu(RegisterSet *set, uint8_t *into)
{
    CPUX86State *env = state_of(set);
    uint32_t tags = 0;
    for (int i = 0; i < 8; i++) {
        tags |= full_tag(env, i) << 2 * i;
        memcpy(into + 28 + 10 * i, &env->fpregs[(env->fpstt + i) & 7].d.low, 8);
        memcpy(into + 36 + 10 * i, &env->fpregs[(env->fpstt + i) & 7].d.high, 2);
    }
    uint32_t words[7] = { 0xffff0000u | env->fpuc, 0xffff0000u | status_word(env), 0xffff0000u | tags, env->fpip, env->fpcs | (uint32_t)(env->fpop & 0x7ff) << 16, env->fpdp, 0xffff0000u | env->fpds };
    memcpy(into, words, 28);
}

EXPORT(seg_restore_fpu) void seg_restore_fpu(RegisterSet *set, const uint8_t *from)
{
    CPUX86State *env = state_of(set);
    uint32_t words[7];
    memcpy(words, from, 28);
    env->fpus = words[1] & 0xffff & ~0x3800;
    env->fpstt = words[1] >> 11 & 7;
    env->fpip = words[3], env->fpcs = words[4] & 0xffff, env->fpop = words[4] >> 16 & 0x7ff, env->fpdp = words[5], env->fpds = words[6] & 0xffff;
    for (int i = 0; i < 8; i++) {
        env->fptags[i] = (words[2] >> 2 * i & 3) == 3;
        memcpy(&env->fpregs[(env->fpstt + i) & 7].d.low, from + 28 + 10 * i, 8);
        memcpy(&env->fpregs[(env->fpstt + i) & 7].d.high, from + 36 + 10 * i, 2);
    }
    cpu_set_fpuc(env, words[0]);
}

/* ---- the trap's particulars, and counters */

EXPORT(seg_trap_vector) int seg_trap_vector(void) { return env_cpu(seg_env)->exception_index; }
EXPORT(seg_trap_error) int seg_trap_error(void) { return seg_env->error_code; }
EXPORT(seg_trap_address) uint32_t seg_trap_address(void) { return seg_env->cr[2]; }
EXPORT(seg_budget_at) int32_t *seg_budget_at(void) { return &seg_budget; }
EXPORT(seg_statistics_at) struct SegStatistics *seg_statistics_at(void)
{
    seg_statistics.blocks_invalidated = uc->tcg_ctx->tb_phys_invalidate_count;
    return &seg_statistics;
}
EXPORT(seg_feature) uint32_t seg_feature(int word) { return seg_env->features[word ? FEAT_1_ECX : FEAT_1_EDX]; }

/* ---- memory */

/* `size` bytes at a multiple of the page size, zeroed when `clear`; 0 where there are none. */
EXPORT(seg_pages_allocate) void *seg_pages_allocate(uint32_t size, int clear)
{
    void *at = memalign(SEG_PAGE_SIZE, size);
    if (at && clear) {
        memset(at, 0, size);
    }
    return at;
}

EXPORT(seg_pages_free) void seg_pages_free(void *at) { free(at); }
EXPORT(seg_code_map_at) uint8_t *seg_code_map_at(void) { return seg_code_map; }

void seg_set_directory(uint32_t *tables);
void seg_tlb_flush_page(uint32_t addr);
void seg_tlb_flush(void);
void seg_frame_changed(uint32_t frame);
EXPORT(seg_use_directory) void seg_use_directory(uint32_t *tables) { seg_set_directory(tables); }
EXPORT(seg_flush_page) void seg_flush_page(uint32_t addr) { seg_tlb_flush_page(addr); }
EXPORT(seg_flush) void seg_flush(void) { seg_tlb_flush(); }
EXPORT(seg_changed) void seg_changed(uint32_t frame) { seg_frame_changed(frame); }
