/*
 * Numbers with 128-bit significands for the x87's transcendental instructions,
 * and how their results are finished.
 */
#ifndef SEG386_X87_BIG_H
#define SEG386_X87_BIG_H

#include "x87.h"
#include "x87-wide.h"

#define LENGTH(a) ((int)(sizeof(a) / sizeof((a)[0])))

/* (-1)^sign * sig * 2^(exp - 127); sig normalised, or all zero for zero. */
typedef struct {
    unsigned sign;
    int exp;
    Wide sig;
} Big;

static inline Big big(unsigned sign, int exp, Wide sig)
{
    Big b = { sign, exp, sig };
    int shift;

    if (!(sig.hi | sig.lo)) {
        b.exp = -(1 << 20);
        return b;
    }
    shift = wide_clz(sig);
    b.sig = wide_shl(sig, shift);
    b.exp -= shift;
    return b;
}

static inline Big big_from_parts(X87Parts p)
{
    return big(p.sign, p.exp - X87_BIAS, wide(p.sig, 0));
}

/* A fraction of 2^128 as a number. */
static inline Big big_from_fraction(unsigned sign, Wide f)
{
    return big(sign, -1, f);
}

static inline Big big_from_int(int n)
{
    return big(n < 0 ? 0x8000 : 0, 63,
               wide((uint64_t)(n < 0 ? -(int64_t)n : n), 0));
}

static inline bool big_is_zero(Big a)
{
    return !a.sig.hi;
}

static inline Big big_negate(Big a)
{
    a.sign ^= 0x8000;
    return a;
}

static inline Big big_mul(Big a, Big b)
{
    return big(a.sign ^ b.sign, a.exp + b.exp + 1, wide_mulhi(a.sig, b.sig));
}

static inline Big big_add(Big a, Big b)
{
    Wide sum;

    if (big_is_zero(b)) {
        return a;
    }
    if (big_is_zero(a) || a.exp < b.exp
        || (a.exp == b.exp && wide_less(a.sig, b.sig))) {
        Big swap = a;
        a = b;
        b = swap;
    }
    if (big_is_zero(b)) {
        return a;
    }
    b.sig = wide_shr_sticky(b.sig, a.exp - b.exp);
    if (a.sign != b.sign) {
        return big(a.sign, a.exp, wide_sub(a.sig, b.sig));
    }
    sum = wide_add(a.sig, b.sig);
    if (wide_less(sum, a.sig)) {
        sum = wide_shr(sum, 1);
        sum.hi |= X87_INTEGER_BIT;
        a.exp++;
    }
    return big(a.sign, a.exp, sum);
}

/* Requires: b is not zero. */
static inline Big big_div(Big a, Big b)
{
    int exp = a.exp - b.exp - 1;
    Wide n = a.sig, rem;
    uint64_t hi, lo;

    if (!wide_less(n, b.sig)) {
        n = wide_shr(n, 1);
        exp++;
    }
    hi = div192by128(n, 0, b.sig, &rem);
    lo = div192by128(rem, 0, b.sig, &rem);
    return big(a.sign ^ b.sign, exp, wide(hi, lo));
}

/* |a| as a fraction of 2^128. Requires: |a| < 1. */
static inline Wide fraction_of(Big a)
{
    int shift = -1 - a.exp;

    return shift > 127 ? wide(0, 0) : wide_shr(a.sig, shift);
}

/* x * (c[0] -/+ x * (c[1] -/+ ...)) in fractions of 2^128. */
static inline Wide series(Wide x, const Wide *c, int count, bool alternating)
{
    Wide sum = wide(0, 0);

    for (int i = count - 1; i >= 0; i--) {
        sum = alternating ? wide_sub(c[i], sum) : wide_add(c[i], sum);
        sum = wide_mulhi(x, sum);
    }
    return sum;
}

/* a * (1 - f), strictly below a in magnitude. */
static inline Big shrink(Big a, Wide f)
{
    Wide cut = wide_mulhi(a.sig, f);

    if (!(cut.hi | cut.lo)) {
        cut.lo = 1;
    }
    return big(a.sign, a.exp, wide_sub(a.sig, cut));
}

/* a * (1 + f) */
static inline Big grow(Big a, Wide f)
{
    Big more = big(a.sign, a.exp, wide_mulhi(a.sig, f));

    return big_add(a, more);
}

/* Rounds an inexact result. */
static inline unsigned finish(X87Num *r, Big a, unsigned cw)
{
    return x87_round(r, a.sign, a.exp + X87_BIAS, a.sig.hi, a.sig.lo | 1,
                     cw | X87_PC_64);
}

/* Marks a result that the unit calls inexact although its value is exact. */
static inline unsigned as_inexact(const X87Num *r, unsigned flags)
{
    return flags | X87_PE | (r->high & 0x7fff ? 0 : X87_UE);
}

/* The operand itself as an inexact result. */
static inline unsigned finish_same(X87Num *r, const X87Num *a, unsigned cw)
{
    X87Parts p = x87_parts(a);
    unsigned flags = x87_round(r, p.sign, p.exp, p.sig, 0, cw | X87_PC_64);

    return as_inexact(r, flags);
}

static inline unsigned exact(X87Num *r, unsigned sign, unsigned exp, uint64_t sig)
{
    r->low = sig;
    r->high = (uint16_t)(sign | exp);
    return 0;
}

static inline unsigned exact_zero(X87Num *r, unsigned sign)
{
    return exact(r, sign, 0, 0);
}

static inline unsigned exact_infinity(X87Num *r, unsigned sign)
{
    return exact(r, sign, X87_EXP_MAX, X87_INTEGER_BIT);
}

static inline unsigned invalid(X87Num *r)
{
    *r = x87_indefinite();
    return X87_IE;
}

#endif
