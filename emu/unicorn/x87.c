/*
 * The x87's numbers: their classes, what becomes of NaNs, and rounding under
 * precision control, rounding control and masked exceptions.
 */
#include "x87-parts.h"

X87Num x87_indefinite(void)
{
    return num(0x8000, X87_EXP_MAX, X87_INTEGER_BIT | X87_QUIET_BIT);
}

X87Class x87_class(const X87Num *a)
{
    unsigned exp = exp_of(a);

    if (exp == 0) {
        return a->low ? X87_DENORMAL : X87_ZERO;
    }
    if (!(a->low >> 63)) {
        return X87_UNSUPPORTED;
    }
    if (exp < X87_EXP_MAX) {
        return X87_NORMAL;
    }
    if (a->low == X87_INTEGER_BIT) {
        return X87_INFINITY;
    }
    return a->low & X87_QUIET_BIT ? X87_QNAN : X87_SNAN;
}

X87Parts x87_parts(const X87Num *a)
{
    X87Parts p = { sign_of(a), (int)exp_of(a), a->low };

    if (p.exp == 0 && p.sig) {
        int shift = clz64(p.sig);
        p.sig <<= shift;
        p.exp = 1 - shift;
    }
    return p;
}

/* One operand that is a NaN or unsupported. */
unsigned x87_nan1(X87Num *r, const X87Num *a)
{
    X87Class c = x87_class(a);

    if (c == X87_UNSUPPORTED) {
        return invalid(r);
    }
    *r = num(sign_of(a), X87_EXP_MAX, a->low | X87_QUIET_BIT);
    return c == X87_SNAN ? X87_IE : 0;
}

/* Two operands, at least one a NaN or unsupported. The x87 prefers a quiet NaN
 * to a signalling one, then the larger significand, then the positive. */
unsigned x87_nan2(X87Num *r, const X87Num *a, const X87Num *b)
{
    X87Class ca = x87_class(a), cb = x87_class(b);
    bool nan_a = ca == X87_QNAN || ca == X87_SNAN;
    bool nan_b = cb == X87_QNAN || cb == X87_SNAN;
    const X87Num *pick;

    if (ca == X87_UNSUPPORTED || cb == X87_UNSUPPORTED) {
        return invalid(r);
    }
    if (!nan_b) {
        pick = a;
    } else if (!nan_a) {
        pick = b;
    } else if (ca != cb) {
        pick = ca == X87_QNAN ? a : b;
    } else if (a->low != b->low) {
        pick = a->low > b->low ? a : b;
    } else {
        pick = sign_of(a) ? b : a;
    }
    *r = num(sign_of(pick), X87_EXP_MAX, pick->low | X87_QUIET_BIT);
    return ca == X87_SNAN || cb == X87_SNAN ? X87_IE : 0;
}

/* Moves the bits of hi that precision control drops into lo. */
static inline uint64_t cut_to_precision(uint64_t *hi, uint64_t *lo,
                                        unsigned cw)
{
    unsigned drop;

    switch (cw & X87_PC_MASK) {
    case X87_PC_24:
        drop = 40;
        break;
    case X87_PC_53:
        drop = 11;
        break;
    default:
        return 1;
    }
    *lo = *hi << (64 - drop) | *lo >> drop | ((*lo << (64 - drop)) != 0);
    *hi = *hi >> drop << drop;
    return 1ULL << drop;
}

static unsigned overflow(X87Num *r, unsigned sign, unsigned cw, uint64_t unit)
{
    bool to_infinity = (cw & X87_RC_MASK) == X87_RC_NEAREST
                       || (cw & X87_RC_MASK) == (sign ? X87_RC_DOWN : X87_RC_UP);

    if (to_infinity) {
        *r = infinity(sign);
        return X87_OE | X87_PE | X87_C1;
    }
    *r = num(sign, X87_EXP_MAX - 1, -unit);
    return X87_OE | X87_PE;
}

static unsigned round_slow(X87Num *r, unsigned sign, int exp, uint64_t hi,
                           uint64_t lo, unsigned cw)
{
    uint64_t whole = hi, rest = lo, unit = cut_to_precision(&hi, &lo, cw);
    unsigned flags = 0;
    int rounded = exp;

    /* first with an exponent without bounds, which decides tininess */
    if (lo) {
        flags = X87_PE;
        if (rounds_up(sign, (hi & unit) != 0, lo, cw)) {
            flags |= X87_C1;
            hi += unit;
            if (hi == 0) {
                hi = X87_INTEGER_BIT;
                rounded++;
            }
        }
    }
    if (rounded >= X87_EXP_MAX) {
        if (cw & X87_OE) {
            return overflow(r, sign, cw, unit);
        }
        rounded -= 0x6000;
        if (rounded >= X87_EXP_MAX) {
            *r = infinity(sign);
            return X87_OE | X87_PE | X87_C1;
        }
        *r = num(sign, rounded, hi);
        return flags | X87_OE;
    }
    if (rounded >= 1) {
        *r = num(sign, rounded, hi);
        return flags;
    }
    if (!(cw & X87_UE)) {
        rounded += 0x6000;
        if (rounded < 1) {
            *r = num(sign, 0, 0);
            return X87_UE | X87_PE;
        }
        *r = num(sign, rounded, hi);
        return flags | X87_UE;
    }

    /* masked underflow: denormalise, then round once */
    Wide w = wide_shr_sticky(wide(whole, rest), 1 - exp);
    hi = w.hi;
    lo = w.lo;
    unit = cut_to_precision(&hi, &lo, cw);
    flags = 0;
    if (lo) {
        flags = X87_UE | X87_PE;
        if (rounds_up(sign, (hi & unit) != 0, lo, cw)) {
            flags |= X87_C1;
            hi += unit;
        }
    }
    *r = num(sign, hi >> 63, hi);
    return flags;
}

unsigned x87_round(X87Num *r, unsigned sign, int exp, uint64_t hi, uint64_t lo,
                   unsigned cw)
{
    if (likely_((cw & (X87_PC_MASK | X87_RC_MASK)) == X87_PC_64
                && (unsigned)exp - 1u < 0x7ffd)) {
        unsigned flags = 0;

        if (lo) {
            flags = X87_PE;
            if (lo > X87_INTEGER_BIT || (lo == X87_INTEGER_BIT && (hi & 1))) {
                flags = X87_PE | X87_C1;
                if (++hi == 0) {
                    hi = X87_INTEGER_BIT;
                    exp++;
                }
            }
        }
        *r = num(sign, exp, hi);
        return flags;
    }
    return round_slow(r, sign, exp, hi, lo, cw);
}
