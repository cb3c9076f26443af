/*
 * The x87's loads and stores. A store that an unmasked exception keeps back
 * leaves memory and stack alone.
 */
#include "x87-stack.h"

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

int64_t x87_load_int(CPUX86State *env, target_ulong ptr, unsigned bits,
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
    x87_from_int(&n, x87_load_int(env, ptr, bits, ra));
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

/* In the CPU's own two steps: a fault of the second leaves the first. */
void x87_store_f80(CPUX86State *env, target_ulong ptr, X87Num n, uintptr_t ra)
{
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
        x87_store_f80(env, ptr, n, ra);
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
        /* in two steps, like x87_store_f80() */
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
