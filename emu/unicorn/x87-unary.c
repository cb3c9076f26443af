/*
 * The x87's instructions on ST(0), or ST(0) and ST(1), that name no operand:
 * roots, remainders, scaling and the transcendental ones.
 */
#include "x87-stack.h"

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
