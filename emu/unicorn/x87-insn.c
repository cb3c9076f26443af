/*
 * The x87 instructions over the CPU's state: the register stack and its tags,
 * the status word, exceptions masked and unmasked, and memory operands. They
 * replace those helpers of Unicorn's fpu_helper.c that patch 60 takes out.
 *
 * A waiting instruction first delivers a pending exception. Then either it
 * completes, or an unmasked exception leaves the destination and the stack as
 * they were, with ES set for the next waiting instruction.
 */
#include "qemu/osdep.h"
#include "cpu.h"
#include "exec/exec-all.h"
#include "exec/cpu_ldst.h"
#include "exec/helper-proto.h"
#include "x87.h"

#define FCW_BITS 0x1f3f     /* what a control word can hold; bit 6 reads as 1 */
#define OPCODE_BITS 0x07ff

/* An instruction's memory operand, for the data pointer. */
#define NO_OPERAND 0

static inline X87Num *reg(CPUX86State *env, int i)
{
    return (X87Num *)&env->fpregs[(env->fpstt + i) & 7].d;
}

static inline uint8_t *tag(CPUX86State *env, int i)
{
    return &env->fptags[(env->fpstt + i) & 7];
}

static inline void begin(CPUX86State *env, uintptr_t ra)
{
    if (unlikely(env->fpus & X87_ES)) {
        raise_exception_ra(env, EXCP10_COPR, ra);
    }
}

static void update_summary(CPUX86State *env)
{
    env->fpus &= ~(X87_ES | X87_BUSY);
    if (env->fpus & ~env->fpuc & X87_EXCEPTIONS) {
        env->fpus |= X87_ES | X87_BUSY;
    }
}

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
static void note_unmasked(CPUX86State *env, target_ulong ptr, uintptr_t ra)
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

/* Takes an operation's flags into the status word, clearing C1. Returns
 * whether its result is to be stored. */
static inline bool settle(CPUX86State *env, unsigned flags, target_ulong ptr,
                          uintptr_t ra)
{
    unsigned unmasked = flags & ~env->fpuc & X87_EXCEPTIONS;

    env->fpus = (env->fpus & ~X87_C1) | flags;
    if (unlikely(unmasked)) {
        note_unmasked(env, ptr, ra);
        return !(unmasked & X87_BEFORE);
    }
    return true;
}

static inline void pop(CPUX86State *env)
{
    *tag(env, 0) = 1;
    env->fpstt = (env->fpstt + 1) & 7;
}

static inline void set(CPUX86State *env, int i, X87Num value)
{
    *reg(env, i) = value;
    *tag(env, i) = 0;
}

static void push(CPUX86State *env, const X87Num *value, unsigned flags,
                 target_ulong ptr, uintptr_t ra)
{
    X87Num indefinite;

    if (unlikely(!*tag(env, 7)) && !(flags & X87_SF)) {
        indefinite = x87_indefinite();
        value = &indefinite;
        flags = X87_IE | X87_SF | X87_C1;
    }
    /* a denormal is loaded even when it is an unmasked exception */
    if (settle(env, flags, ptr, ra) || !(flags & X87_IE)) {
        env->fpstt = (env->fpstt - 1) & 7;
        set(env, 0, *value);
    }
}

/* Stack underflow on the way to register i. Returns as settle() does. */
static bool underflow(CPUX86State *env, int i, target_ulong ptr, uintptr_t ra)
{
    if (!settle(env, X87_IE | X87_SF, ptr, ra)) {
        return false;
    }
    set(env, i, x87_indefinite());
    return true;
}

/* ---- loads */

void helper_fld_f32(CPUX86State *env, target_ulong ptr)
{
    uintptr_t ra = GETPC();
    X87Num n;
    unsigned flags;

    begin(env, ra);
    flags = x87_from_f32(&n, cpu_ldl_data_ra(env, ptr, ra));
    if (flags & X87_IE) {
        n.low |= X87_QUIET_BIT;
    }
    push(env, &n, flags, ptr, ra);
}

void helper_fld_f64(CPUX86State *env, target_ulong ptr)
{
    uintptr_t ra = GETPC();
    X87Num n;
    unsigned flags;

    begin(env, ra);
    flags = x87_from_f64(&n, cpu_ldq_data_ra(env, ptr, ra));
    if (flags & X87_IE) {
        n.low |= X87_QUIET_BIT;
    }
    push(env, &n, flags, ptr, ra);
}

void helper_fld_f80(CPUX86State *env, target_ulong ptr)
{
    uintptr_t ra = GETPC();
    X87Num n;

    begin(env, ra);
    n.low = cpu_ldq_data_ra(env, ptr, ra);
    n.high = cpu_lduw_data_ra(env, ptr + 8, ra);
    push(env, &n, 0, ptr, ra);
}

static int64_t load_int(CPUX86State *env, target_ulong ptr, unsigned bits,
                        uintptr_t ra)
{
    switch (bits) {
    case 16:
        return (int16_t)cpu_lduw_data_ra(env, ptr, ra);
    case 32:
        return (int32_t)cpu_ldl_data_ra(env, ptr, ra);
    default:
        return (int64_t)cpu_ldq_data_ra(env, ptr, ra);
    }
}

void helper_fild(CPUX86State *env, target_ulong ptr, uint32_t bits)
{
    uintptr_t ra = GETPC();
    X87Num n;

    begin(env, ra);
    x87_from_int(&n, load_int(env, ptr, bits, ra));
    push(env, &n, 0, ptr, ra);
}

void helper_fbld(CPUX86State *env, target_ulong ptr)
{
    uintptr_t ra = GETPC();
    uint8_t bytes[10];
    X87Num n;

    begin(env, ra);
    for (int i = 0; i < 10; i++) {
        bytes[i] = cpu_ldub_data_ra(env, ptr + i, ra);
    }
    x87_from_bcd(&n, bytes);
    push(env, &n, 0, ptr, ra);
}

void helper_fld_reg(CPUX86State *env, uint32_t i)
{
    uintptr_t ra = GETPC();
    X87Num n;
    unsigned flags = 0;

    begin(env, ra);
    n = *reg(env, i);
    if (unlikely(*tag(env, i))) {
        n = x87_indefinite();
        flags = X87_IE | X87_SF;
    }
    push(env, &n, flags, NO_OPERAND, ra);
}

/* fld1 fldl2t fldl2e fldpi fldlg2 fldln2 fldz: held with more bits than a
 * register has, so rounding control has a say. */
void helper_fld_const(CPUX86State *env, uint32_t which)
{
    static const struct {
        X87Num down;
        bool nearest_is_up, exact;
    } constants[] = {
        { { 0x8000000000000000ULL, 0x3fff }, false, true },
        { { 0xd49a784bcd1b8afeULL, 0x4000 }, false, false },
        { { 0xb8aa3b295c17f0bbULL, 0x3fff }, true, false },
        { { 0xc90fdaa22168c234ULL, 0x4000 }, true, false },
        { { 0x9a209a84fbcff798ULL, 0x3ffd }, true, false },
        { { 0xb17217f7d1cf79abULL, 0x3ffe }, true, false },
        { { 0, 0 }, false, true },
    };
    uintptr_t ra = GETPC();
    X87Num n;

    begin(env, ra);
    n = constants[which].down;
    switch (env->fpuc & X87_RC_MASK) {
    case X87_RC_NEAREST:
        n.low += constants[which].nearest_is_up;
        break;
    case X87_RC_UP:
        n.low += !constants[which].exact;
        break;
    }
    push(env, &n, 0, NO_OPERAND, ra);
}

/* ---- stores */

/* Exceptions that, unmasked, keep a store from happening. */
static inline bool is_stored(CPUX86State *env, unsigned flags)
{
    return !(flags & ~env->fpuc & (X87_IE | X87_OE | X87_UE));
}

static inline void stored(CPUX86State *env, unsigned flags, bool with_pop,
                          target_ulong ptr, uintptr_t ra)
{
    bool done = is_stored(env, flags);

    settle(env, flags, ptr, ra);
    if (done && with_pop) {
        pop(env);
    }
}

void helper_fst_f32(CPUX86State *env, target_ulong ptr, uint32_t with_pop)
{
    uintptr_t ra = GETPC();
    uint32_t bits = 0xffc00000;
    unsigned flags = X87_IE | X87_SF;

    begin(env, ra);
    if (likely(!*tag(env, 0))) {
        flags = x87_to_f32(&bits, reg(env, 0), env->fpuc);
    }
    if (likely(is_stored(env, flags))) {
        cpu_stl_data_ra(env, ptr, bits, ra);
    }
    stored(env, flags, with_pop, ptr, ra);
}

void helper_fst_f64(CPUX86State *env, target_ulong ptr, uint32_t with_pop)
{
    uintptr_t ra = GETPC();
    uint64_t bits = 0xfff8000000000000ULL;
    unsigned flags = X87_IE | X87_SF;

    begin(env, ra);
    if (likely(!*tag(env, 0))) {
        flags = x87_to_f64(&bits, reg(env, 0), env->fpuc);
    }
    if (likely(is_stored(env, flags))) {
        cpu_stq_data_ra(env, ptr, bits, ra);
    }
    stored(env, flags, with_pop, ptr, ra);
}

/* Raises the fault that a store of `size` bytes (a page at most) would, before
 * any of them is written. */
void x87_probe_write(CPUX86State *env, target_ulong ptr, unsigned size,
                     uintptr_t ra)
{
    target_ulong next = (ptr + size - 1) & TARGET_PAGE_MASK;

    probe_write(env, ptr, 1, cpu_mmu_index(env, false), ra);
    if ((ptr & TARGET_PAGE_MASK) != next) {
        probe_write(env, next, 1, cpu_mmu_index(env, false), ra);
    }
}

static void store_f80(CPUX86State *env, target_ulong ptr, X87Num n,
                      uintptr_t ra)
{
    x87_probe_write(env, ptr, 10, ra);
    cpu_stq_data_ra(env, ptr, n.low, ra);
    cpu_stw_data_ra(env, ptr + 8, n.high, ra);
}

void helper_fstp_f80(CPUX86State *env, target_ulong ptr)
{
    uintptr_t ra = GETPC();
    X87Num n = *reg(env, 0);
    unsigned flags = 0;

    begin(env, ra);
    if (unlikely(*tag(env, 0))) {
        n = x87_indefinite();
        flags = X87_IE | X87_SF;
    }
    if (likely(is_stored(env, flags))) {
        store_f80(env, ptr, n, ra);
    }
    stored(env, flags, true, ptr, ra);
}

enum { FIST_POP = 0x100, FIST_CHOP = 0x200 };

/* how: the integer's bits, with FIST_POP and FIST_CHOP. */
void helper_fist(CPUX86State *env, target_ulong ptr, uint32_t how)
{
    uintptr_t ra = GETPC();
    unsigned bits = how & 0xff, flags = X87_IE | X87_SF;
    unsigned cw = env->fpuc | (how & FIST_CHOP ? X87_RC_CHOP : 0);
    int64_t n = (int64_t)(UINT64_MAX << (bits - 1));

    begin(env, ra);
    if (likely(!*tag(env, 0))) {
        flags = x87_to_int(&n, reg(env, 0), bits, cw);
    }
    if (likely(is_stored(env, flags))) {
        switch (bits) {
        case 16:
            cpu_stw_data_ra(env, ptr, (uint16_t)n, ra);
            break;
        case 32:
            cpu_stl_data_ra(env, ptr, (uint32_t)n, ra);
            break;
        default:
            cpu_stq_data_ra(env, ptr, (uint64_t)n, ra);
            break;
        }
    }
    stored(env, flags, how & FIST_POP, ptr, ra);
}

void helper_fbstp(CPUX86State *env, target_ulong ptr)
{
    uintptr_t ra = GETPC();
    X87Num n = *reg(env, 0);
    unsigned flags = 0;
    uint8_t bytes[10];

    begin(env, ra);
    if (*tag(env, 0)) {
        n = x87_indefinite();
        flags = X87_SF;
    }
    flags |= x87_to_bcd(bytes, &n, env->fpuc);
    if (is_stored(env, flags)) {
        /* the CPU's own two steps: a fault of the second leaves the first */
        uint64_t low = 0;
        for (int i = 7; i >= 0; i--) {
            low = low << 8 | bytes[i];
        }
        cpu_stq_data_ra(env, ptr, low, ra);
        cpu_stw_data_ra(env, ptr + 8, bytes[8] | bytes[9] << 8, ra);
    }
    stored(env, flags, true, ptr, ra);
}

/* Whether a store to memory would happen, or be kept back by an exception. op:
 * the opcode's low three bits and ModRM's middle ones. */
bool x87_will_store(CPUX86State *env, unsigned op)
{
    const X87Num *n = reg(env, 0);
    unsigned flags, cw = env->fpuc | ((op & 7) == 1 ? X87_RC_CHOP : 0);
    uint8_t bytes[10];
    uint32_t single;
    uint64_t wide;
    int64_t integer;

    if (*tag(env, 0)) {
        return env->fpuc & X87_IE;
    }
    switch (op) {
    case 0x0a: case 0x0b:
        flags = x87_to_f32(&single, n, cw);
        break;
    case 0x2a: case 0x2b:
        flags = x87_to_f64(&wide, n, cw);
        break;
    case 0x3e:
        flags = x87_to_bcd(bytes, n, cw);
        break;
    case 0x1f:
        return true;
    case 0x19: case 0x1a: case 0x1b:
        flags = x87_to_int(&integer, n, 32, cw);
        break;
    case 0x39: case 0x3a: case 0x3b:
        flags = x87_to_int(&integer, n, 16, cw);
        break;
    default:
        flags = x87_to_int(&integer, n, 64, cw);
        break;
    }
    return is_stored(env, flags);
}

/* how: 1 pops; 2 is the undocumented form that only pops an empty register. */
void helper_fst_reg(CPUX86State *env, uint32_t i, uint32_t how)
{
    uintptr_t ra = GETPC();
    X87Num n = *reg(env, 0);
    unsigned flags = 0;

    begin(env, ra);
    if (unlikely(*tag(env, 0))) {
        n = x87_indefinite();
        flags = how & 2 ? 0 : X87_IE | X87_SF;
    }
    if (settle(env, flags, NO_OPERAND, ra)) {
        if (!(how & 2) || !*tag(env, 0)) {
            set(env, i, n);
        }
        if (how & 1) {
            pop(env);
        }
    }
}

/* ---- arithmetic on two operands; op is the opcode's: 0 add, 1 mul, 4 sub,
 * 5 subr, 6 div, 7 divr, always of ST(0) and the other operand */

static inline unsigned arithmetic(X87Num *r, uint32_t op, const X87Num *a,
                                  const X87Num *b, unsigned cw)
{
    switch (op) {
    case 0:
        return x87_add(r, a, b, cw);
    case 1:
        return x87_mul(r, a, b, cw);
    case 4:
        return x87_sub(r, a, b, cw);
    case 5:
        return x87_sub(r, b, a, cw);
    case 6:
        return x87_div(r, a, b, cw);
    default:
        return x87_div(r, b, a, cw);
    }
}

/* The condition codes of a comparison whose flags these are. */
static bool settle_compare(CPUX86State *env, unsigned flags, target_ulong ptr,
                           uintptr_t ra)
{
    env->fpus &= ~X87_CC;
    return settle(env, flags, ptr, ra);
}

#define UNORDERED (X87_C3 | X87_C2 | X87_C0)

/* A denormal in memory is no longer one when widened: its flag is added where
 * nothing of higher rank happened. */
static inline unsigned with_denormal(unsigned flags, unsigned widening,
                                     const X87Num *other, unsigned cw)
{
    if (likely(!(widening & X87_DE)) || (flags & (X87_IE | X87_ZE))
        || x87_class(other) >= X87_QNAN) {
        return flags;
    }
    if (!(cw & X87_DE)) {
        flags &= X87_CC & ~X87_C1;
    }
    return flags | X87_DE;
}

/* ST(0) with an operand in memory; op 2 and 3 compare, and pop for 3. */
static inline void with_memory(CPUX86State *env, const X87Num *b,
                               unsigned widening, uint32_t op,
                               target_ulong ptr, uintptr_t ra)
{
    X87Num *a = reg(env, 0), r;
    unsigned flags;
    bool is_compare = (op & 6) == 2;

    if (unlikely(*tag(env, 0))) {
        if (is_compare) {
            if (settle_compare(env, X87_IE | X87_SF | UNORDERED, ptr, ra)
                && op == 3) {
                pop(env);
            }
        } else {
            underflow(env, 0, ptr, ra);
        }
        return;
    }
    if (is_compare) {
        flags = with_denormal(x87_compare(a, b, false), widening, a,
                              env->fpuc);
        if (settle_compare(env, flags, ptr, ra) && op == 3) {
            pop(env);
        }
        return;
    }
    flags = with_denormal(arithmetic(&r, op, a, b, env->fpuc), widening, a,
                          env->fpuc);
    if (settle(env, flags, ptr, ra)) {
        *a = r;
    }
}

void helper_fop_f32(CPUX86State *env, target_ulong ptr, uint32_t op)
{
    uintptr_t ra = GETPC();
    unsigned widening;
    X87Num b;

    begin(env, ra);
    widening = x87_from_f32(&b, cpu_ldl_data_ra(env, ptr, ra));
    with_memory(env, &b, widening, op, ptr, ra);
}

void helper_fop_f64(CPUX86State *env, target_ulong ptr, uint32_t op)
{
    uintptr_t ra = GETPC();
    unsigned widening;
    X87Num b;

    begin(env, ra);
    widening = x87_from_f64(&b, cpu_ldq_data_ra(env, ptr, ra));
    with_memory(env, &b, widening, op, ptr, ra);
}

void helper_fop_i32(CPUX86State *env, target_ulong ptr, uint32_t op)
{
    uintptr_t ra = GETPC();
    X87Num b;

    begin(env, ra);
    x87_from_int(&b, load_int(env, ptr, 32, ra));
    with_memory(env, &b, 0, op, ptr, ra);
}

void helper_fop_i16(CPUX86State *env, target_ulong ptr, uint32_t op)
{
    uintptr_t ra = GETPC();
    X87Num b;

    begin(env, ra);
    x87_from_int(&b, load_int(env, ptr, 16, ra));
    with_memory(env, &b, 0, op, ptr, ra);
}

enum { FOP_TO_STI = 8, FOP_POP = 16 };

/* ST(0) op ST(i), to ST(0) or ST(i). how: the op with FOP_TO_STI, FOP_POP. */
void helper_fop_reg(CPUX86State *env, uint32_t i, uint32_t how)
{
    uintptr_t ra = GETPC();
    int to = how & FOP_TO_STI ? i : 0;
    X87Num r;
    bool stores;

    begin(env, ra);
    if (unlikely(*tag(env, 0) | *tag(env, i))) {
        stores = underflow(env, to, NO_OPERAND, ra);
    } else {
        unsigned flags = arithmetic(&r, how & 7, reg(env, 0), reg(env, i),
                                    env->fpuc);
        stores = settle(env, flags, NO_OPERAND, ra);
        if (stores) {
            *reg(env, to) = r;
        }
    }
    if (stores && (how & FOP_POP)) {
        pop(env);
    }
}

/* ---- comparison */

enum { FCOM_POPS = 3, FCOM_QUIET = 4, FCOM_EFLAGS = 8 };

static unsigned compare_registers(CPUX86State *env, uint32_t i, uint32_t how)
{
    if (unlikely(*tag(env, 0) | *tag(env, i))) {
        return X87_IE | X87_SF | UNORDERED;
    }
    return x87_compare(reg(env, 0), reg(env, i), how & FCOM_QUIET);
}

void helper_fcom_reg(CPUX86State *env, uint32_t i, uint32_t how)
{
    uintptr_t ra = GETPC();

    begin(env, ra);
    if (settle_compare(env, compare_registers(env, i, how), NO_OPERAND, ra)) {
        for (unsigned n = how & FCOM_POPS; n; n--) {
            pop(env);
        }
    }
}

/* Requires: the flags are in CC_SRC already (CC_OP_EFLAGS follows). */
void helper_fcomi_reg(CPUX86State *env, uint32_t i, uint32_t how)
{
    uintptr_t ra = GETPC();
    unsigned flags, eflags;

    begin(env, ra);
    flags = compare_registers(env, i, how);
    if (!(flags & X87_SF)) {
        flags |= env->fpus & X87_C1;    /* which only a stack fault clears */
    }
    /* the flags are set even when the exception is not masked */
    eflags = cpu_cc_compute_all(env, CC_OP)
             & ~(CC_O | CC_S | CC_A | CC_Z | CC_P | CC_C);
    CC_SRC = eflags | (flags & X87_C3 ? CC_Z : 0) | (flags & X87_C2 ? CC_P : 0)
             | (flags & X87_C0 ? CC_C : 0);
    if (settle(env, flags & ~UNORDERED, NO_OPERAND, ra)
        && (how & FCOM_POPS)) {
        pop(env);
    }
}

void helper_ftst(CPUX86State *env)
{
    static const X87Num zero = { 0, 0 };
    uintptr_t ra = GETPC();

    begin(env, ra);
    settle_compare(env, *tag(env, 0)
                   ? X87_IE | X87_SF | UNORDERED
                   : x87_compare(reg(env, 0), &zero, false),
                   NO_OPERAND, ra);
}

void helper_fxam(CPUX86State *env)
{
    unsigned codes;

    begin(env, GETPC());
    codes = *tag(env, 0)
            ? X87_C3 | X87_C0 | (reg(env, 0)->high & 0x8000 ? X87_C1 : 0)
            : x87_examine(reg(env, 0));
    env->fpus = (env->fpus & ~X87_CC) | codes;
}

/* ---- moves within the stack */

void helper_fxch(CPUX86State *env, uint32_t i)
{
    uintptr_t ra = GETPC();
    unsigned flags = 0;
    X87Num a, b;

    begin(env, ra);
    a = *reg(env, 0);
    b = *reg(env, i);
    if (unlikely(*tag(env, 0) | *tag(env, i))) {
        flags = X87_IE | X87_SF;
        a = *tag(env, 0) ? x87_indefinite() : a;
        b = *tag(env, i) ? x87_indefinite() : b;
    }
    if (settle(env, flags, NO_OPERAND, ra)) {
        set(env, 0, b);
        set(env, i, a);
    }
}

void helper_fcmov(CPUX86State *env, uint32_t i, uint32_t condition)
{
    uintptr_t ra = GETPC();

    begin(env, ra);
    if (unlikely(*tag(env, 0) | *tag(env, i))) {
        underflow(env, 0, NO_OPERAND, ra);
        return;
    }
    if (condition) {
        *reg(env, 0) = *reg(env, i);
    }
}

static void set_sign(CPUX86State *env, unsigned keep, unsigned flip,
                     uintptr_t ra)
{
    begin(env, ra);
    if (unlikely(*tag(env, 0))) {
        underflow(env, 0, NO_OPERAND, ra);
        return;
    }
    settle(env, 0, NO_OPERAND, ra);
    reg(env, 0)->high = (reg(env, 0)->high & keep) ^ flip;
}

void helper_fchs(CPUX86State *env)
{
    set_sign(env, 0xffff, 0x8000, GETPC());
}

void helper_fabs(CPUX86State *env)
{
    set_sign(env, 0x7fff, 0, GETPC());
}

/* ffree, and ffreep with the pop */
void helper_ffree(CPUX86State *env, uint32_t i, uint32_t with_pop)
{
    begin(env, GETPC());
    env->fpus &= ~X87_C1;
    *tag(env, i) = 1;
    if (with_pop) {
        pop(env);
    }
}

/* fincstp and fdecstp: by is 1 or -1. */
void helper_fstep(CPUX86State *env, uint32_t by)
{
    begin(env, GETPC());
    env->fpus &= ~X87_C1;
    env->fpstt = (env->fpstt + by) & 7;
}

/* ---- one operand, in place */

typedef unsigned Unary(X87Num *, const X87Num *, unsigned);

static inline void unary(CPUX86State *env, Unary *f, uintptr_t ra)
{
    X87Num r;
    unsigned flags;

    begin(env, ra);
    if (unlikely(*tag(env, 0))) {
        underflow(env, 0, NO_OPERAND, ra);
        return;
    }
    flags = f(&r, reg(env, 0), env->fpuc);
    if (settle(env, flags, NO_OPERAND, ra)) {
        *reg(env, 0) = r;
    }
}

void helper_fsqrt(CPUX86State *env)
{
    unary(env, x87_sqrt, GETPC());
}

void helper_frndint(CPUX86State *env)
{
    unary(env, x87_rndint, GETPC());
}

void helper_f2xm1(CPUX86State *env)
{
    unary(env, x87_2xm1, GETPC());
}

/* The trigonometric ones change nothing but C2 when out of range. */
static void trigonometric(CPUX86State *env, Unary *f, uintptr_t ra)
{
    X87Num r;
    unsigned flags;

    begin(env, ra);
    env->fpus &= ~X87_C2;
    if (unlikely(*tag(env, 0))) {
        underflow(env, 0, NO_OPERAND, ra);
        return;
    }
    flags = f(&r, reg(env, 0), env->fpuc);
    if (settle(env, flags, NO_OPERAND, ra) && !(flags & X87_C2)) {
        *reg(env, 0) = r;
    }
}

void helper_fsin(CPUX86State *env)
{
    trigonometric(env, x87_sin, GETPC());
}

void helper_fcos(CPUX86State *env)
{
    trigonometric(env, x87_cos, GETPC());
}

/* Results for ST(0) and for a push onto it: both or none. Returns true when
 * the stack has no room or no operand, and the answer is given. */
static bool no_room_for_two(CPUX86State *env, uintptr_t ra)
{
    unsigned flags;

    if (likely(!*tag(env, 0) && *tag(env, 7))) {
        return false;
    }
    flags = X87_IE | X87_SF | (*tag(env, 0) ? 0 : X87_C1);
    if (settle(env, flags, NO_OPERAND, ra)) {
        set(env, 0, x87_indefinite());
        env->fpstt = (env->fpstt - 1) & 7;
        set(env, 0, x87_indefinite());
    }
    return true;
}

static void two_results(CPUX86State *env, X87Num first, X87Num second)
{
    *reg(env, 0) = first;
    env->fpstt = (env->fpstt - 1) & 7;
    set(env, 0, second);
}

void helper_fsincos(CPUX86State *env)
{
    uintptr_t ra = GETPC();
    X87Num s, c;
    unsigned flags;

    begin(env, ra);
    env->fpus &= ~X87_C2;
    if (no_room_for_two(env, ra)) {
        return;
    }
    flags = x87_sincos(&s, &c, reg(env, 0), env->fpuc);
    if (settle(env, flags, NO_OPERAND, ra) && !(flags & X87_C2)) {
        two_results(env, s, c);
    }
}

void helper_fptan(CPUX86State *env)
{
    static const X87Num one = { X87_INTEGER_BIT, X87_BIAS };
    uintptr_t ra = GETPC();
    X87Num r;
    unsigned flags;

    begin(env, ra);
    env->fpus &= ~X87_C2;
    if (no_room_for_two(env, ra)) {
        return;
    }
    flags = x87_tan(&r, reg(env, 0), env->fpuc);
    if (settle(env, flags, NO_OPERAND, ra) && !(flags & X87_C2)) {
        /* a NaN comes out twice */
        two_results(env, r, x87_class(&r) >= X87_QNAN ? r : one);
    }
}

void helper_fxtract(CPUX86State *env)
{
    uintptr_t ra = GETPC();
    X87Num exponent, significand;

    begin(env, ra);
    if (no_room_for_two(env, ra)) {
        return;
    }
    if (settle(env, x87_xtract(&exponent, &significand, reg(env, 0),
                               env->fpuc), NO_OPERAND, ra)) {
        two_results(env, exponent, significand);
    }
}

/* ---- ST(0) and ST(1) */

void helper_fscale(CPUX86State *env)
{
    uintptr_t ra = GETPC();
    X87Num r;

    begin(env, ra);
    if (unlikely(*tag(env, 0) | *tag(env, 1))) {
        underflow(env, 0, NO_OPERAND, ra);
        return;
    }
    if (settle(env, x87_scale(&r, reg(env, 0), reg(env, 1), env->fpuc),
               NO_OPERAND, ra)) {
        *reg(env, 0) = r;
    }
}

void helper_frem(CPUX86State *env, uint32_t nearest)
{
    uintptr_t ra = GETPC();
    unsigned flags;
    X87Num r;

    begin(env, ra);
    env->fpus &= ~X87_C2;
    if (unlikely(*tag(env, 0) | *tag(env, 1))) {
        underflow(env, 0, NO_OPERAND, ra);
        return;
    }
    flags = x87_rem(&r, reg(env, 0), reg(env, 1), nearest, env->fpuc);
    if (!(flags & X87_IE) && !(flags & X87_BEFORE & ~env->fpuc)
        && x87_class(&r) < X87_QNAN) {
        env->fpus &= ~(X87_C0 | X87_C3);
    }
    if (settle(env, flags, NO_OPERAND, ra)) {
        *reg(env, 0) = r;
    }
}

typedef unsigned Binary(X87Num *, const X87Num *, const X87Num *, unsigned);

/* f(ST(1), ST(0)) to ST(1), then a pop */
static void binary(CPUX86State *env, Binary *f, uintptr_t ra)
{
    bool stores;
    X87Num r;

    begin(env, ra);
    if (unlikely(*tag(env, 0) | *tag(env, 1))) {
        stores = underflow(env, 1, NO_OPERAND, ra);
    } else {
        unsigned flags = f(&r, reg(env, 1), reg(env, 0), env->fpuc);

        stores = settle(env, flags, NO_OPERAND, ra);
        if (stores) {
            *reg(env, 1) = r;
        }
    }
    if (stores) {
        pop(env);
    }
}

void helper_fpatan(CPUX86State *env)
{
    binary(env, x87_atan, GETPC());
}

void helper_fyl2x(CPUX86State *env)
{
    binary(env, x87_yl2x, GETPC());
}

void helper_fyl2xp1(CPUX86State *env)
{
    binary(env, x87_yl2xp1, GETPC());
}

/* ---- control */

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
        store_f80(env, ptr + 10 * i, *reg(env, i), ra);
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
