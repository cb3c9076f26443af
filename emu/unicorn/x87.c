/*
 * The x87's basic arithmetic, exact to the bit: rounding under precision and
 * rounding control, the four operations, square root, remainders, scaling,
 * comparison, and the conversions to and from the memory formats.
 */
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

X87Num x87_indefinite(void)
{
    return num(0x8000, X87_EXP_MAX, X87_INTEGER_BIT | X87_QUIET_BIT);
}

static inline bool is_normal(const X87Num *a)
{
    return exp_of(a) - 1u < 0x7ffe && a->low >> 63;
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

static unsigned invalid(X87Num *r)
{
    *r = x87_indefinite();
    return X87_IE;
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

/* What an operation on two operands has to know when one is not normal. */
static inline bool has_nan(X87Class a, X87Class b)
{
    return a >= X87_QNAN || b >= X87_QNAN;
}

static inline unsigned denormals(X87Class a, X87Class b)
{
    return a == X87_DENORMAL || b == X87_DENORMAL ? X87_DE : 0;
}

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

/* |a| rounded to an integer by rounding control; false if it needs over 64
 * bits. The status bits PE and C1 go to flags. */
static bool integer_part(uint64_t *r, X87Parts p, unsigned cw, unsigned *flags)
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

unsigned x87_compare(const X87Num *a, const X87Num *b, bool quiet)
{
    X87Class ca = x87_class(a), cb = x87_class(b);
    unsigned flags;
    bool less;

    if (has_nan(ca, cb)) {
        bool silent = quiet && ca != X87_SNAN && cb != X87_SNAN
                      && ca != X87_UNSUPPORTED && cb != X87_UNSUPPORTED;
        return X87_C3 | X87_C2 | X87_C0 | (silent ? 0 : X87_IE);
    }
    flags = denormals(ca, cb);
    if (ca == X87_ZERO && cb == X87_ZERO) {
        return flags | X87_C3;
    }
    if (sign_of(a) != sign_of(b)) {
        return flags | (sign_of(a) ? X87_C0 : 0);
    }
    /* a pseudo-denormal weighs as much as exponent 1 */
    X87Parts pa = x87_parts(a), pb = x87_parts(b);
    if (ca == X87_ZERO || cb == X87_ZERO) {
        less = ca == X87_ZERO;
    } else if (pa.exp == pb.exp && pa.sig == pb.sig) {
        return flags | X87_C3;
    } else {
        less = pa.exp < pb.exp || (pa.exp == pb.exp && pa.sig < pb.sig);
    }
    return flags | (less != (sign_of(a) != 0) ? X87_C0 : 0);
}

unsigned x87_examine(const X87Num *a)
{
    static const uint16_t codes[] = {
        [X87_ZERO] = X87_C3, [X87_DENORMAL] = X87_C3 | X87_C2,
        [X87_NORMAL] = X87_C2, [X87_INFINITY] = X87_C2 | X87_C0,
        [X87_QNAN] = X87_C0, [X87_SNAN] = X87_C0, [X87_UNSUPPORTED] = 0,
    };
    return codes[x87_class(a)] | (sign_of(a) ? X87_C1 : 0);
}

unsigned x87_from_f32(X87Num *r, uint32_t a)
{
    unsigned sign = a >> 16 & 0x8000, exp = a >> 23 & 0xff;
    uint64_t fraction = (uint64_t)(a & 0x7fffff) << 40;

    if (likely_(exp - 1u < 0xfe)) {
        *r = num(sign, exp + X87_BIAS - 127, X87_INTEGER_BIT | fraction);
        return 0;
    }
    if (exp) {
        if (!fraction) {
            *r = infinity(sign);
            return 0;
        }
        *r = num(sign, X87_EXP_MAX, X87_INTEGER_BIT | fraction);
        return fraction & X87_QUIET_BIT ? 0 : X87_IE;
    }
    if (!fraction) {
        *r = num(sign, 0, 0);
        return 0;
    }
    int shift = clz64(fraction);
    *r = num(sign, 1 - shift + X87_BIAS - 127, fraction << shift);
    return X87_DE;
}

unsigned x87_from_f64(X87Num *r, uint64_t a)
{
    unsigned sign = a >> 48 & 0x8000, exp = a >> 52 & 0x7ff;
    uint64_t fraction = (a & 0xfffffffffffffULL) << 11;

    if (likely_(exp - 1u < 0x7fe)) {
        *r = num(sign, exp + X87_BIAS - 1023, X87_INTEGER_BIT | fraction);
        return 0;
    }
    if (exp) {
        if (!fraction) {
            *r = infinity(sign);
            return 0;
        }
        *r = num(sign, X87_EXP_MAX, X87_INTEGER_BIT | fraction);
        return fraction & X87_QUIET_BIT ? 0 : X87_IE;
    }
    if (!fraction) {
        *r = num(sign, 0, 0);
        return 0;
    }
    int shift = clz64(fraction);
    *r = num(sign, 1 - shift + X87_BIAS - 1023, fraction << shift);
    return X87_DE;
}

void x87_from_int(X87Num *r, int64_t a)
{
    unsigned sign = a < 0 ? 0x8000 : 0;
    uint64_t n = a < 0 ? -(uint64_t)a : (uint64_t)a;

    if (n == 0) {
        *r = num(0, 0, 0);
    } else {
        int shift = clz64(n);
        *r = num(sign, X87_BIAS + 63 - shift, n << shift);
    }
}

void x87_from_bcd(X87Num *r, const uint8_t bytes[10])
{
    uint64_t n = 0;

    for (int i = 8; i >= 0; i--) {
        n = n * 100 + (bytes[i] >> 4) * 10 + (bytes[i] & 15);
    }
    x87_from_int(r, (int64_t)n);
    r->high |= (bytes[9] & 0x80) << 8;
}

/* To a format of `bits` significand bits (the leading one included) and
 * `bias`; the memory formats hold it as exponent and fraction joined. */
static unsigned to_ieee(uint64_t *r, const X87Num *a, unsigned bits, int bias,
                        unsigned cw)
{
    X87Class c = x87_class(a);
    unsigned drop = 64 - bits;
    int top = 2 * bias + 1;
    uint64_t infinite = (uint64_t)top << (bits - 1), kept;
    X87Parts p = x87_parts(a);
    unsigned flags = 0;
    int exp;
    bool up;
    Wide w;

    if (c >= X87_QNAN) {
        X87Num q;
        flags = x87_nan1(&q, a);
        *r = infinite | (q.low & ~X87_INTEGER_BIT) >> drop;
        if (q.high & 0x8000) {
            *r |= (uint64_t)(top + 1) << (bits - 1);
        }
        return flags;
    }
    uint64_t sign = p.sign ? (uint64_t)(top + 1) << (bits - 1) : 0;
    if (c == X87_INFINITY || c == X87_ZERO) {
        *r = sign | (c == X87_ZERO ? 0 : infinite);
        return 0;
    }
    exp = p.exp - X87_BIAS + bias;
    w = wide_shr_sticky(wide(p.sig, 0), drop);
    up = rounds_up(p.sign, w.hi & 1, w.lo, cw);
    kept = w.hi + up;
    if (kept >> bits) {
        kept >>= 1;
        exp++;
    }
    if (exp >= top) {
        bool away = (cw & X87_RC_MASK) == X87_RC_NEAREST
                    || (cw & X87_RC_MASK) == (p.sign ? X87_RC_DOWN : X87_RC_UP);
        *r = sign | (away ? infinite : infinite - 1);
        if (!(cw & X87_OE)) {
            return X87_OE;
        }
        return X87_OE | X87_PE | (away ? X87_C1 : 0);
    }
    if (exp >= 1) {
        *r = sign | ((uint64_t)exp << (bits - 1))
             | (kept & ((1ULL << (bits - 1)) - 1));
        return (w.lo ? X87_PE : 0) | (up ? X87_C1 : 0);
    }
    if (!(cw & X87_UE)) {
        return X87_UE;
    }
    exp = p.exp - X87_BIAS + bias;
    w = wide_shr_sticky(wide(p.sig, 0), drop + 1 - exp);
    if (w.lo) {
        flags = X87_UE | X87_PE;
        if (rounds_up(p.sign, w.hi & 1, w.lo, cw)) {
            flags |= X87_C1;
            w.hi++;
        }
    }
    *r = sign | w.hi;
    return flags;
}

unsigned x87_to_f32(uint32_t *r, const X87Num *a, unsigned cw)
{
    uint64_t bits = 0;
    unsigned flags = to_ieee(&bits, a, 24, 127, cw);

    *r = (uint32_t)bits;
    return flags;
}

unsigned x87_to_f64(uint64_t *r, const X87Num *a, unsigned cw)
{
    int exp = (int)exp_of(a) - (X87_BIAS - 1023);

    *r = 0;
    /* what programs do: a normal number that stays normal, nearest */
    if (likely_(a->low >> 63 && exp >= 1 && exp < 0x7fe
                && !(cw & X87_RC_MASK))) {
        uint64_t rest = a->low & 0x7ff, bits = a->low << 1 >> 12;
        unsigned flags = 0;

        bits |= (uint64_t)exp << 52;
        if (rest) {
            flags = X87_PE;
            if (rest > 0x400 || (rest == 0x400 && (bits & 1))) {
                flags |= X87_C1;
                bits++;
            }
        }
        *r = bits | (uint64_t)sign_of(a) << 48;
        return flags;
    }
    return to_ieee(r, a, 53, 1023, cw);
}

unsigned x87_to_int(int64_t *r, const X87Num *a, unsigned bits, unsigned cw)
{
    uint64_t limit = 1ULL << (bits - 1), n = 0;
    X87Parts p = x87_parts(a);
    unsigned flags = 0;

    if (exp_of(a) == X87_EXP_MAX || (!(a->low >> 63) && exp_of(a))
        || !integer_part(&n, p, cw, &flags) || n > limit - !p.sign) {
        *r = -(int64_t)(limit - 1) - 1;
        return X87_IE;
    }
    *r = p.sign ? (int64_t)-n : (int64_t)n;
    return flags;
}

unsigned x87_to_bcd(uint8_t bytes[10], const X87Num *a, unsigned cw)
{
    X87Parts p = x87_parts(a);
    uint64_t n = 0;
    unsigned flags = 0;

    if (exp_of(a) == X87_EXP_MAX || (!(a->low >> 63) && exp_of(a))
        || !integer_part(&n, p, cw, &flags) || n > 999999999999999999ULL) {
        for (int i = 0; i < 7; i++) {
            bytes[i] = 0;
        }
        bytes[7] = 0xc0;
        bytes[8] = bytes[9] = 0xff;
        return X87_IE;
    }
    for (int i = 0; i < 9; i++) {
        unsigned two = n % 100;
        n /= 100;
        bytes[i] = (uint8_t)(two / 10 << 4 | two % 10);
    }
    bytes[9] = p.sign ? 0x80 : 0;
    return flags;
}
