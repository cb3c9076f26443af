/*
 * Small pieces that the files of the x87's arithmetic share: taking numbers
 * apart, and rounding decisions.
 */
#ifndef SEG386_X87_PARTS_H
#define SEG386_X87_PARTS_H

#include "x87.h"
#include "x87-wide.h"

#define likely_(c) __builtin_expect(!!(c), 1)

static inline X87Num num(unsigned sign, unsigned exp, uint64_t sig)
{
    X87Num r = { sig, (uint16_t)(sign | exp) };
    return r;
}

static inline unsigned exp_of(const X87Num *a)
{
    return a->high & 0x7fff;
}

static inline unsigned sign_of(const X87Num *a)
{
    return a->high & 0x8000;
}

static inline X87Num infinity(unsigned sign)
{
    return num(sign, X87_EXP_MAX, X87_INTEGER_BIT);
}

static inline bool is_normal(const X87Num *a)
{
    return exp_of(a) - 1u < 0x7ffe && a->low >> 63;
}

static inline unsigned invalid(X87Num *r)
{
    *r = x87_indefinite();
    return X87_IE;
}

/* What an operation on two operands has to know when one is not normal. */
static inline bool has_nan(X87Class a, X87Class b)
{
    return a >= X87_QNAN || b >= X87_QNAN;
}

static inline unsigned denormals(X87Class a, X87Class b)
{
    return a == X87_DENORMAL || b == X87_DENORMAL ? X87_DE : 0;
}

/* Whether a magnitude with these discarded bits is rounded away from zero. */
static inline bool rounds_up(unsigned sign, bool odd, uint64_t lo, unsigned cw)
{
    switch (cw & X87_RC_MASK) {
    case X87_RC_NEAREST:
        return lo > X87_INTEGER_BIT || (lo == X87_INTEGER_BIT && odd);
    case X87_RC_DOWN:
        return sign && lo;
    case X87_RC_UP:
        return !sign && lo;
    default:
        return false;
    }
}

/* |a| rounded to an integer by rounding control; false if it needs over 64
 * bits. The status bits PE and C1 go to flags. */
static inline bool integer_part(uint64_t *r, X87Parts p, unsigned cw, unsigned *flags)
{
    int shift = X87_BIAS + 63 - p.exp;
    Wide w;

    if (shift < 0) {
        return p.sig == 0;
    }
    w = wide_shr_sticky(wide(p.sig, 0), shift > 127 ? 127 : shift);
    if (w.lo) {
        *flags |= X87_PE;
        if (rounds_up(p.sign, w.hi & 1, w.lo, cw)) {
            *flags |= X87_C1;
            w.hi++;
        }
    }
    *r = w.hi;
    return true;
}

#endif
