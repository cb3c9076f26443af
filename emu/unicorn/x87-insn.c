/*
 * The x87's instructions on registers and memory operands: arithmetic,
 * comparison, moves within the stack, and the transcendental ones. With
 * x87-memory.c and x87-control.c they replace those helpers of Unicorn's
 * fpu_helper.c that patch 60 takes out.
 *
 * A waiting instruction first delivers a pending exception. Then either it
 * completes, or an unmasked exception leaves the destination and the stack as
 * they were, with ES set for the next waiting instruction.
 */
#include "x87-stack.h"

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
    x87_from_int(&b, x87_load_int(env, ptr, 32, ra));
    with_memory(env, &b, 0, op, ptr, ra);
}

void helper_fop_i16(CPUX86State *env, target_ulong ptr, uint32_t op)
{
    uintptr_t ra = GETPC();
    X87Num b;

    begin(env, ra);
    x87_from_int(&b, x87_load_int(env, ptr, 16, ra));
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
