/*
 * The x87's control: exceptions that are not masked, control, status and tag
 * words, the environment and whole state in memory, and what MMX does to them.
 */
#include "x87-stack.h"

#define FCW_BITS 0x1f3f     /* what a control word can hold; bit 6 reads as 1 */
#define OPCODE_BITS 0x07ff

/* The segment that an operand's addressing form implies. */
static int default_segment(CPUX86State *env, unsigned modrm, target_ulong at,
                           bool wide)
{
    unsigned mod = modrm >> 6, base = modrm & 7;

    if (!wide) {
        return base == 2 || base == 3 || (base == 6 && mod) ? R_SS : R_DS;
    }
    if (base == 4) {
        base = cpu_ldub_code(env, at) & 7;
    }
    return base == R_ESP || (base == R_EBP && mod) ? R_SS : R_DS;
}

/* This CPU keeps the opcode and the data pointer for unmasked exceptions only
 * (CPUID 7 EBX bit 6), and no selectors (bit 13): they are found when needed. */
void x87_note_unmasked(CPUX86State *env, target_ulong ptr, uintptr_t ra)
{
    static const uint8_t prefixes[] = { 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65 };
    bool wide = env->hflags & HF_CS32_MASK;
    int segment = -1;
    target_ulong at;
    unsigned byte, modrm;

    env->fpus |= X87_ES | X87_BUSY;
    cpu_restore_state(env_cpu(env), ra, false);
    at = env->segs[R_CS].base + env->eip;
    for (;;) {
        byte = cpu_ldub_code(env, at++);
        if (byte >= 0xd8 && byte <= 0xdf) {
            break;
        }
        wide ^= byte == 0x67;
        for (int i = 0; i < 6; i++) {
            segment = byte == prefixes[i] ? i : segment;
        }
    }
    modrm = cpu_ldub_code(env, at++);
    env->fpop = (byte & 7) << 8 | modrm;
    if (modrm < 0xc0) {
        if (segment < 0) {
            segment = default_segment(env, modrm, at, wide);
        }
        env->fpdp = (uint32_t)(ptr - env->segs[segment].base);
    }
}

static void update_summary(CPUX86State *env)
{
    env->fpus &= ~(X87_ES | X87_BUSY);
    if (env->fpus & ~env->fpuc & X87_EXCEPTIONS) {
        env->fpus |= X87_ES | X87_BUSY;
    }
}

void update_fp_status(CPUX86State *env)
{
    env->fpuc = (env->fpuc & FCW_BITS) | 0x40;
    update_summary(env);
}

static uint16_t status_word(CPUX86State *env)
{
    return (env->fpus & ~0x3800) | (env->fpstt & 7) << 11;
}

static void set_status_word(CPUX86State *env, uint16_t fpus)
{
    env->fpstt = fpus >> 11 & 7;
    env->fpus = fpus & ~0x3800;
    update_summary(env);
}

uint32_t helper_fnstsw(CPUX86State *env)
{
    return status_word(env);
}

uint32_t helper_fnstcw(CPUX86State *env)
{
    return env->fpuc;
}

void helper_fldcw(CPUX86State *env, target_ulong ptr)
{
    uintptr_t ra = GETPC();

    begin(env, ra);
    cpu_set_fpuc(env, cpu_lduw_data_ra(env, ptr, ra));
}

void helper_fclex(CPUX86State *env)
{
    env->fpus &= 0x7f00;
}

void helper_fwait(CPUX86State *env)
{
    begin(env, GETPC());
}

static void initialise(CPUX86State *env)
{
    env->fpus = 0;
    env->fpstt = 0;
    env->fpop = env->fpcs = env->fpds = 0;
    env->fpip = env->fpdp = 0;
    cpu_set_fpuc(env, 0x37f);
    memset(env->fptags, 1, sizeof(env->fptags));
}

void helper_fninit(CPUX86State *env)
{
    initialise(env);
}

static uint16_t tag_word(CPUX86State *env)
{
    unsigned word = 0;

    for (int i = 0; i < 8; i++) {
        unsigned code = 3;

        if (!env->fptags[i]) {
            X87Class c = x87_class((X87Num *)&env->fpregs[i].d);
            code = c == X87_NORMAL ? 0 : c == X87_ZERO ? 1 : 2;
        }
        word |= code << 2 * i;
    }
    return word;
}

/* The environment: 28 bytes, or 14 with a 16-bit operand size. */
static void store_environment(CPUX86State *env, target_ulong ptr, int data32,
                              uintptr_t ra)
{
    uint32_t words[7] = {
        env->fpuc, status_word(env), tag_word(env), env->fpip,
        data32 ? (env->fpop & OPCODE_BITS) << 16 : 0, env->fpdp, 0,
    };

    for (int i = 0; i < 7; i++) {
        if (!data32) {
            cpu_stw_data_ra(env, ptr + 2 * i, (uint16_t)words[i], ra);
        } else if (i < 3 || i == 6) {
            cpu_stl_data_ra(env, ptr + 4 * i, 0xffff0000 | words[i], ra);
        } else {
            cpu_stl_data_ra(env, ptr + 4 * i, words[i], ra);
        }
    }
}

/* Before the environment or more is read or written, the CPU tries its first
 * word and its last byte: nothing is done in part. */
static void try_reading(CPUX86State *env, target_ulong ptr, int data32,
                        unsigned size, uintptr_t ra)
{
    cpu_lduw_data_ra(env, ptr, ra);
    cpu_lduw_data_ra(env, ptr + 2 * data32, ra);
    cpu_ldub_data_ra(env, ptr + size - 1, ra);
}

static void try_writing(CPUX86State *env, target_ulong ptr, int data32,
                        unsigned size, uintptr_t ra)
{
    x87_probe_write(env, ptr, 2 << data32, ra);
    probe_write(env, ptr + size - 1, 1, cpu_mmu_index(env, false), ra);
}

/* The environment's words in memory, all of them read before any is used. */
typedef struct {
    uint32_t words[7];
} Environment;

static Environment read_environment(CPUX86State *env, target_ulong ptr,
                                    int data32, uintptr_t ra)
{
    Environment e;

    for (int i = 0; i < 7; i++) {
        e.words[i] = data32 ? cpu_ldl_data_ra(env, ptr + 4 * i, ra)
                            : cpu_lduw_data_ra(env, ptr + 2 * i, ra);
    }
    return e;
}

static void load_environment(CPUX86State *env, const Environment *e, int data32)
{
    const uint32_t *words = e->words;

    env->fpus = 0;
    cpu_set_fpuc(env, words[0]);
    set_status_word(env, words[1]);
    for (int i = 0; i < 8; i++) {
        env->fptags[i] = (words[2] >> 2 * i & 3) == 3;
    }
    env->fpip = words[3];
    env->fpop = data32 ? words[4] >> 16 & OPCODE_BITS : 0;
    env->fpdp = words[5];
    env->fpcs = env->fpds = 0;
}

void helper_fstenv(CPUX86State *env, target_ulong ptr, int data32)
{
    uintptr_t ra = GETPC();

    try_writing(env, ptr, data32, 14 << data32, ra);
    store_environment(env, ptr, data32, ra);
    cpu_set_fpuc(env, env->fpuc | X87_EXCEPTIONS);
}

void helper_fldenv(CPUX86State *env, target_ulong ptr, int data32)
{
    uintptr_t ra = GETPC();
    Environment e;

    begin(env, ra);
    try_reading(env, ptr, data32, 14 << data32, ra);
    e = read_environment(env, ptr, data32, ra);
    load_environment(env, &e, data32);
}

void helper_fsave(CPUX86State *env, target_ulong ptr, int data32)
{
    uintptr_t ra = GETPC();

    try_writing(env, ptr, data32, (14 << data32) + 80, ra);
    store_environment(env, ptr, data32, ra);
    ptr += 14 << data32;
    for (int i = 0; i < 8; i++) {
        x87_store_f80(env, ptr + 10 * i, *reg(env, i), ra);
    }
    initialise(env);
}

void helper_frstor(CPUX86State *env, target_ulong ptr, int data32)
{
    uintptr_t ra = GETPC();
    target_ulong registers = ptr + (14 << data32);
    Environment e;
    X87Num n[8];

    begin(env, ra);
    try_reading(env, ptr, data32, (14 << data32) + 80, ra);
    e = read_environment(env, ptr, data32, ra);
    for (int i = 0; i < 8; i++) {
        n[i].low = cpu_ldq_data_ra(env, registers + 10 * i, ra);
        n[i].high = cpu_lduw_data_ra(env, registers + 10 * i + 8, ra);
    }
    load_environment(env, &e, data32);
    for (int i = 0; i < 8; i++) {
        *reg(env, i) = n[i];
    }
}

/* ---- the fxsave image's x87 part: 32 bytes of control and 8 registers */

void x87_save_image(CPUX86State *env, target_ulong ptr, uintptr_t ra)
{
    unsigned tags = 0;

    for (int i = 0; i < 8; i++) {
        tags |= !env->fptags[i] << i;
    }
    cpu_stl_data_ra(env, ptr, env->fpuc | (uint32_t)status_word(env) << 16, ra);
    cpu_stl_data_ra(env, ptr + 4, tags | (env->fpop & OPCODE_BITS) << 16, ra);
    cpu_stq_data_ra(env, ptr + 8, (uint32_t)env->fpip, ra);
    cpu_stq_data_ra(env, ptr + 16, (uint32_t)env->fpdp, ra);
    for (int i = 0; i < 8; i++) {
        cpu_stq_data_ra(env, ptr + 32 + 16 * i, reg(env, i)->low, ra);
        cpu_stq_data_ra(env, ptr + 40 + 16 * i, reg(env, i)->high, ra);
    }
}

void x87_restore_image(CPUX86State *env, target_ulong ptr, uintptr_t ra)
{
    uint32_t control = cpu_ldl_data_ra(env, ptr, ra);
    uint32_t tags = cpu_ldl_data_ra(env, ptr + 4, ra);

    env->fpus = 0;
    cpu_set_fpuc(env, control);
    set_status_word(env, control >> 16);
    env->fpop = tags >> 16 & OPCODE_BITS;
    env->fpip = cpu_ldl_data_ra(env, ptr + 8, ra);
    env->fpdp = cpu_ldl_data_ra(env, ptr + 16, ra);
    env->fpcs = env->fpds = 0;
    for (int i = 0; i < 8; i++) {
        env->fptags[i] = !(tags >> i & 1);
        reg(env, i)->low = cpu_ldq_data_ra(env, ptr + 32 + 16 * i, ra);
        reg(env, i)->high = cpu_lduw_data_ra(env, ptr + 40 + 16 * i, ra);
    }
}

/* ---- MMX shares the registers: before an instruction of it, a pending
 * exception; with it, a stack that is full and starts at register 0 */

void helper_enter_mmx(CPUX86State *env)
{
    begin(env, GETPC());
    env->fpstt = 0;
    memset(env->fptags, 0, sizeof(env->fptags));
}

void helper_emms(CPUX86State *env)
{
    begin(env, GETPC());
    env->fpstt = 0;
    memset(env->fptags, 1, sizeof(env->fptags));
}
