/*
 * The x87's arithmetic, exact to the bit: the four operations and the square
 * root.
 */
#include "x87-parts.h"

static unsigned add_parts(X87Num *r, X87Parts a, X87Parts b, unsigned cw)
{
    Wide x, y;
    int exp, shift;

    if (a.exp < b.exp || (a.exp == b.exp && a.sig < b.sig)) {
        X87Parts swap = a;
        a = b;
        b = swap;
    }
    exp = a.exp;
    shift = a.exp - b.exp;
    if (a.sign == b.sign) {
        uint64_t lo = 0, hi = b.sig;

        if (shift) {
            if (shift < 64) {
                lo = hi << (64 - shift);
                hi >>= shift;
            } else {
                y = wide_shr_sticky(wide(hi, 0), shift);
                hi = 0;
                lo = y.lo;
            }
        }
        hi += a.sig;
        if (hi < a.sig) {
            lo = lo >> 1 | (lo & 1) | hi << 63;
            hi = hi >> 1 | X87_INTEGER_BIT;
            exp++;
        }
        return x87_round(r, a.sign, exp, hi, lo, cw);
    }
    x = wide(a.sig, 0);
    y = wide_shr_sticky(wide(b.sig, 0), shift);
    x = wide_sub(x, y);
    if (!(x.hi | x.lo)) {
        *r = num((cw & X87_RC_MASK) == X87_RC_DOWN ? 0x8000 : 0, 0, 0);
        return 0;
    }
    shift = wide_clz(x);
    x = wide_shl(x, shift);
    return x87_round(r, a.sign, exp - shift, x.hi, x.lo, cw);
}

static unsigned add_slow(X87Num *r, const X87Num *a, const X87Num *b,
                         unsigned flip, unsigned cw)
{
    X87Class ca = x87_class(a), cb = x87_class(b);
    X87Parts pa, pb;
    unsigned flags;

    if (has_nan(ca, cb)) {
        return x87_nan2(r, a, b);
    }
    pa = x87_parts(a);
    pb = x87_parts(b);
    pb.sign ^= flip;
    if (ca == X87_INFINITY && cb == X87_INFINITY) {
        if (pa.sign != pb.sign) {
            return invalid(r);
        }
        *r = infinity(pa.sign);
        return 0;
    }
    flags = denormals(ca, cb);
    if (flags & ~cw) {
        return flags;
    }
    if (ca == X87_INFINITY || cb == X87_INFINITY) {
        *r = infinity(ca == X87_INFINITY ? pa.sign : pb.sign);
        return flags;
    }
    if (ca == X87_ZERO && cb == X87_ZERO) {
        unsigned minus = (cw & X87_RC_MASK) == X87_RC_DOWN ? 0x8000 : 0;
        *r = num(pa.sign == pb.sign ? pa.sign : minus, 0, 0);
        return flags;
    }
    if (ca == X87_ZERO) {
        return flags | x87_round(r, pb.sign, pb.exp, pb.sig, 0, cw);
    }
    if (cb == X87_ZERO) {
        return flags | x87_round(r, pa.sign, pa.exp, pa.sig, 0, cw);
    }
    return flags | add_parts(r, pa, pb, cw);
}

unsigned x87_add(X87Num *r, const X87Num *a, const X87Num *b, unsigned cw)
{
    if (likely_(is_normal(a) && is_normal(b))) {
        X87Parts pa = { sign_of(a), (int)exp_of(a), a->low };
        X87Parts pb = { sign_of(b), (int)exp_of(b), b->low };
        return add_parts(r, pa, pb, cw);
    }
    return add_slow(r, a, b, 0, cw);
}

unsigned x87_sub(X87Num *r, const X87Num *a, const X87Num *b, unsigned cw)
{
    if (likely_(is_normal(a) && is_normal(b))) {
        X87Parts pa = { sign_of(a), (int)exp_of(a), a->low };
        X87Parts pb = { sign_of(b) ^ 0x8000u, (int)exp_of(b), b->low };
        return add_parts(r, pa, pb, cw);
    }
    return add_slow(r, a, b, 0x8000, cw);
}

static unsigned mul_parts(X87Num *r, unsigned sign, X87Parts a, X87Parts b,
                          unsigned cw)
{
    Wide w = mul64(a.sig, b.sig);
    int exp = a.exp + b.exp - X87_BIAS + 1;

    if (!(w.hi >> 63)) {
        w = wide(w.hi << 1 | w.lo >> 63, w.lo << 1);
        exp--;
    }
    return x87_round(r, sign, exp, w.hi, w.lo, cw);
}

unsigned x87_mul(X87Num *r, const X87Num *a, const X87Num *b, unsigned cw)
{
    unsigned sign = (a->high ^ b->high) & 0x8000;
    X87Class ca, cb;
    unsigned flags;

    if (likely_(is_normal(a) && is_normal(b))) {
        X87Parts pa = { 0, (int)exp_of(a), a->low };
        X87Parts pb = { 0, (int)exp_of(b), b->low };
        return mul_parts(r, sign, pa, pb, cw);
    }
    ca = x87_class(a);
    cb = x87_class(b);
    if (has_nan(ca, cb)) {
        return x87_nan2(r, a, b);
    }
    if ((ca == X87_INFINITY && cb == X87_ZERO)
        || (ca == X87_ZERO && cb == X87_INFINITY)) {
        return invalid(r);
    }
    flags = denormals(ca, cb);
    if (flags & ~cw) {
        return flags;
    }
    if (ca == X87_INFINITY || cb == X87_INFINITY) {
        *r = infinity(sign);
        return flags;
    }
    if (ca == X87_ZERO || cb == X87_ZERO) {
        *r = num(sign, 0, 0);
        return flags;
    }
    return flags | mul_parts(r, sign, x87_parts(a), x87_parts(b), cw);
}

static unsigned div_parts(X87Num *r, unsigned sign, X87Parts a, X87Parts b,
                          unsigned cw)
{
    int exp = a.exp - b.exp + X87_BIAS;
    uint64_t hi, lo, rem;

    if (a.sig >= b.sig) {
        /* quotient in [1, 2): one bit of it before the division step */
        uint64_t over = a.sig - b.sig;
        hi = div128by64(over >> 1, over << 63, b.sig, &rem);
        hi |= X87_INTEGER_BIT;
    } else {
        hi = div128by64(a.sig, 0, b.sig, &rem);
        exp--;
    }
    /* rem < b: is the rest of the quotient above, at or below a half? */
    if (rem == 0) {
        lo = 0;
    } else if (rem == b.sig - rem) {
        lo = X87_INTEGER_BIT;
    } else {
        lo = rem > b.sig - rem ? X87_INTEGER_BIT | 1 : 1;
    }
    /* precision control may move these bits down: only stickiness counts */
    return x87_round(r, sign, exp, hi, lo, cw);
}

unsigned x87_div(X87Num *r, const X87Num *a, const X87Num *b, unsigned cw)
{
    unsigned sign = (a->high ^ b->high) & 0x8000;
    X87Class ca, cb;
    unsigned flags;

    if (likely_(is_normal(a) && is_normal(b))) {
        X87Parts pa = { 0, (int)exp_of(a), a->low };
        X87Parts pb = { 0, (int)exp_of(b), b->low };
        return div_parts(r, sign, pa, pb, cw);
    }
    ca = x87_class(a);
    cb = x87_class(b);
    if (has_nan(ca, cb)) {
        return x87_nan2(r, a, b);
    }
    if (ca == cb && (ca == X87_INFINITY || ca == X87_ZERO)) {
        return invalid(r);
    }
    if (cb == X87_ZERO && ca != X87_INFINITY) {
        *r = infinity(sign);
        return X87_ZE;
    }
    flags = denormals(ca, cb);
    if (flags & ~cw) {
        return flags;
    }
    if (ca == X87_INFINITY) {
        *r = infinity(sign);
        return flags;
    }
    if (ca == X87_ZERO || cb == X87_INFINITY) {
        *r = num(sign, 0, 0);
        return flags;
    }
    return flags | div_parts(r, sign, x87_parts(a), x87_parts(b), cw);
}

/* floor(sqrt(n)) for n >= 2^126, and whether something is left over. */
static uint64_t root(Wide n, bool *exact)
{
    /* 53 good bits from the host's square root, the rest by one Newton step */
    double guess = __builtin_sqrt((double)n.hi) * 4294967296.0;
    uint64_t s = guess >= 18446744073709551615.0 ? UINT64_MAX : (uint64_t)guess;
    Wide square = mul64(s, s), rem;
    uint64_t step;

    if (wide_less(n, square)) {
        rem = wide_sub(square, n);
        step = (uint64_t)(((double)rem.hi * 18446744073709551616.0
                           + (double)rem.lo) / (2.0 * (double)s)) + 1;
        s -= step;
    } else {
        rem = wide_sub(n, square);
        step = (uint64_t)(((double)rem.hi * 18446744073709551616.0
                           + (double)rem.lo) / (2.0 * (double)s));
        s = UINT64_MAX - s < step ? UINT64_MAX : s + step;
    }
    for (square = mul64(s, s); wide_less(n, square); square = mul64(s, s)) {
        s--;
    }
    for (;;) {
        /* (s + 1)^2 = s^2 + 2s + 1 must exceed n */
        rem = wide_sub(n, square);
        if (wide_less(rem, wide_add(wide(s >> 63, s << 1), wide(0, 1)))) {
            break;
        }
        s++;
        square = mul64(s, s);
    }
    *exact = !(rem.hi | rem.lo);
    return s;
}

unsigned x87_sqrt(X87Num *r, const X87Num *a, unsigned cw)
{
    X87Class c = x87_class(a);
    X87Parts p;
    unsigned flags = 0;
    bool exact;
    uint64_t s;
    Wide n, rem;

    if (c >= X87_QNAN) {
        return x87_nan1(r, a);
    }
    if (c == X87_ZERO) {
        *r = *a;
        return 0;
    }
    if (sign_of(a)) {
        return invalid(r);
    }
    if (c == X87_INFINITY) {
        *r = *a;
        return 0;
    }
    if (c == X87_DENORMAL) {
        flags = X87_DE;
        if (flags & ~cw) {
            return flags;
        }
    }
    p = x87_parts(a);
    /* an even exponent: n in [2^126, 2^128) */
    n = (p.exp - X87_BIAS) & 1 ? wide(p.sig, 0) : wide(p.sig >> 1, p.sig << 63);
    s = root(n, &exact);
    rem = wide_sub(n, mul64(s, s));
    /* the rest against one half: n - s^2 > s means above (never equal) */
    return flags | x87_round(r, 0, ((p.exp - X87_BIAS) >> 1) + X87_BIAS, s,
                             exact ? 0
                             : wide_less(wide(0, s), rem) ? X87_INTEGER_BIT | 1
                                                          : 1, cw);
}
