/*
 * The x87's comparison, and its conversions from and to the formats that
 * memory has: single, double, integers and packed decimals.
 */
#include "x87-parts.h"

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
