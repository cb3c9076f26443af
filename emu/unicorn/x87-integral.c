/*
 * The x87's operations on exponent and integer part: rounding to an integer,
 * scaling, taking apart, and the two remainders.
 */
#include "x87-parts.h"

unsigned x87_rndint(X87Num *r, const X87Num *a, unsigned cw)
{
    X87Class c = x87_class(a);
    X87Parts p;
    unsigned flags = 0;
    uint64_t n;
    int shift;

    if (c >= X87_QNAN) {
        return x87_nan1(r, a);
    }
    p = x87_parts(a);
    if (c == X87_INFINITY || c == X87_ZERO || p.exp >= X87_BIAS + 63) {
        *r = *a;
        return 0;
    }
    if (c == X87_DENORMAL) {
        flags = X87_DE;
        if (flags & ~cw) {
            return flags;
        }
    }
    integer_part(&n, p, cw, &flags);
    if (n == 0) {
        *r = num(p.sign, 0, 0);
        return flags;
    }
    shift = clz64(n);
    *r = num(p.sign, X87_BIAS + 63 - shift, n << shift);
    return flags;
}

unsigned x87_scale(X87Num *r, const X87Num *a, const X87Num *b, unsigned cw)
{
    X87Class ca = x87_class(a), cb = x87_class(b);
    X87Parts pa, pb;
    unsigned flags;
    int n;

    if (has_nan(ca, cb)) {
        return x87_nan2(r, a, b);
    }
    pa = x87_parts(a);
    pb = x87_parts(b);
    if (cb == X87_INFINITY) {
        if (pb.sign ? ca == X87_INFINITY : ca == X87_ZERO) {
            return invalid(r);
        }
    }
    flags = denormals(ca, cb);
    if (flags & ~cw) {
        return flags;
    }
    if (cb == X87_INFINITY) {
        *r = pb.sign ? num(pa.sign, 0, 0) : infinity(pa.sign);
        return flags;
    }
    if (ca == X87_INFINITY || ca == X87_ZERO) {
        *r = *a;
        return flags;
    }
    if (cb == X87_ZERO) {
        /* not even an unmasked underflow */
        cw |= X87_UE;
    }
    /* trunc(b), far enough to overflow or underflow whatever a is */
    if (cb == X87_ZERO || pb.exp < X87_BIAS) {
        n = 0;
    } else if (pb.exp >= X87_BIAS + 17) {
        n = 1 << 17;
    } else {
        n = (int)(pb.sig >> (63 - (pb.exp - X87_BIAS)));
    }
    if (pb.sign) {
        n = -n;
    }
    return flags | x87_round(r, pa.sign, pa.exp + n, pa.sig, 0,
                             cw | X87_PC_64);
}

unsigned x87_xtract(X87Num *exponent, X87Num *significand, const X87Num *a,
                    unsigned cw)
{
    X87Class c = x87_class(a);
    X87Parts p;

    if (c >= X87_QNAN) {
        unsigned flags = x87_nan1(exponent, a);
        *significand = *exponent;
        return flags;
    }
    if (c == X87_INFINITY) {
        *exponent = infinity(0);
        *significand = *a;
        return 0;
    }
    if (c == X87_ZERO) {
        *exponent = infinity(0x8000);
        *significand = *a;
        return X87_ZE;
    }
    p = x87_parts(a);
    *significand = num(p.sign, X87_BIAS, p.sig);
    x87_from_int(exponent, p.exp - X87_BIAS);
    (void)cw;
    return c == X87_DENORMAL ? X87_DE : 0;
}

static unsigned quotient_bits(uint64_t q)
{
    return (q & 4 ? X87_C0 : 0) | (q & 2 ? X87_C3 : 0) | (q & 1 ? X87_C1 : 0);
}

/* C1 is a quotient bit here, not a rounding: the result is always exact. */
static unsigned store_rem(X87Num *r, unsigned sign, int exp, uint64_t sig,
                          unsigned cw)
{
    int shift;

    if (sig == 0) {
        *r = num(sign, 0, 0);
        return 0;
    }
    shift = clz64(sig);
    return x87_round(r, sign, exp - shift, sig << shift, 0, cw | X87_PC_64)
           & ~X87_C1;
}

unsigned x87_rem(X87Num *r, const X87Num *a, const X87Num *b, bool nearest,
                 unsigned cw)
{
    X87Class ca = x87_class(a), cb = x87_class(b);
    X87Parts pa, pb;
    unsigned flags;
    uint64_t q, rem;
    int distance, part;

    if (has_nan(ca, cb)) {
        return x87_nan2(r, a, b);
    }
    if (ca == X87_INFINITY || cb == X87_ZERO) {
        return invalid(r);
    }
    flags = denormals(ca, cb);
    if (flags & ~cw) {
        return flags;
    }
    if (ca == X87_ZERO) {
        *r = *a;
        return flags;
    }
    pa = x87_parts(a);
    if (cb == X87_INFINITY) {
        /* not even an unmasked underflow */
        return flags | store_rem(r, pa.sign, pa.exp, pa.sig, cw | X87_UE);
    }
    pb = x87_parts(b);
    distance = pa.exp - pb.exp;
    if (distance < -1 || (distance < 0 && !nearest)) {
        return flags | store_rem(r, pa.sign, pa.exp, pa.sig, cw);
    }
    if (distance == -1) {
        /* the remainder of a half or more of b is nearer to b itself */
        if (pa.sig <= pb.sig) {
            return flags | store_rem(r, pa.sign, pa.exp, pa.sig, cw);
        }
        /* 2b - a in units of a's last place */
        rem = pb.sig - (pa.sig - pb.sig);
        return flags | store_rem(r, pa.sign ^ 0x8000, pa.exp, rem, cw)
               | quotient_bits(1);
    }
    /* take off as many quotient bits as the unit does in one go */
    part = distance < 64 ? distance : 32 + distance % 32;
    q = pa.sig >= pb.sig && part == 0;
    if (part == 0) {
        rem = pa.sig - (q ? pb.sig : 0);
    } else {
        q = div128by64(pa.sig >> (64 - part), pa.sig << part, pb.sig, &rem);
    }
    if (part != distance) {
        return flags | X87_C2
               | store_rem(r, pa.sign, pb.exp + distance - part, rem, cw);
    }
    if (nearest && (rem > pb.sig - rem || (rem == pb.sig - rem && (q & 1)))) {
        rem = pb.sig - rem;
        pa.sign ^= 0x8000;
        q++;
    }
    return flags | quotient_bits(q) | store_rem(r, pa.sign, pb.exp, rem, cw);
}
