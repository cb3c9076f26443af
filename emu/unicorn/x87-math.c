/*
 * The x87's transcendental instructions, computed with 128-bit significands
 * and rounded once, so a result is the correctly rounded one but for about one
 * operand in 2^45. The real unit is within one unit of the last place of it.
 * Trigonometric operands are reduced with the unit's own 66-bit pi, exactly.
 */
#include "x87.h"
#include "x87-wide.h"
#include "x87-tables.h"

#define LENGTH(a) ((int)(sizeof(a) / sizeof((a)[0])))

/* (-1)^sign * sig * 2^(exp - 127); sig normalised, or all zero for zero. */
typedef struct {
    unsigned sign;
    int exp;
    Wide sig;
} Big;

static Big big(unsigned sign, int exp, Wide sig)
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

static Big big_from_parts(X87Parts p)
{
    return big(p.sign, p.exp - X87_BIAS, wide(p.sig, 0));
}

/* A fraction of 2^128 as a number. */
static Big big_from_fraction(unsigned sign, Wide f)
{
    return big(sign, -1, f);
}

static Big big_from_int(int n)
{
    return big(n < 0 ? 0x8000 : 0, 63,
               wide((uint64_t)(n < 0 ? -(int64_t)n : n), 0));
}

static bool big_is_zero(Big a)
{
    return !a.sig.hi;
}

static Big big_negate(Big a)
{
    a.sign ^= 0x8000;
    return a;
}

static Big big_mul(Big a, Big b)
{
    return big(a.sign ^ b.sign, a.exp + b.exp + 1, wide_mulhi(a.sig, b.sig));
}

static Big big_add(Big a, Big b)
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
static Big big_div(Big a, Big b)
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
static Wide fraction_of(Big a)
{
    int shift = -1 - a.exp;

    return shift > 127 ? wide(0, 0) : wide_shr(a.sig, shift);
}

/* x * (c[0] -/+ x * (c[1] -/+ ...)) in fractions of 2^128. */
static Wide series(Wide x, const Wide *c, int count, bool alternating)
{
    Wide sum = wide(0, 0);

    for (int i = count - 1; i >= 0; i--) {
        sum = alternating ? wide_sub(c[i], sum) : wide_add(c[i], sum);
        sum = wide_mulhi(x, sum);
    }
    return sum;
}

/* a * (1 - f), strictly below a in magnitude. */
static Big shrink(Big a, Wide f)
{
    Wide cut = wide_mulhi(a.sig, f);

    if (!(cut.hi | cut.lo)) {
        cut.lo = 1;
    }
    return big(a.sign, a.exp, wide_sub(a.sig, cut));
}

/* a * (1 + f) */
static Big grow(Big a, Wide f)
{
    Big more = big(a.sign, a.exp, wide_mulhi(a.sig, f));

    return big_add(a, more);
}

/* Rounds an inexact result. */
static unsigned finish(X87Num *r, Big a, unsigned cw)
{
    return x87_round(r, a.sign, a.exp + X87_BIAS, a.sig.hi, a.sig.lo | 1,
                     cw | X87_PC_64);
}

/* Marks a result that the unit calls inexact although its value is exact. */
static unsigned as_inexact(const X87Num *r, unsigned flags)
{
    return flags | X87_PE | (r->high & 0x7fff ? 0 : X87_UE);
}

/* The operand itself as an inexact result. */
static unsigned finish_same(X87Num *r, const X87Num *a, unsigned cw)
{
    X87Parts p = x87_parts(a);
    unsigned flags = x87_round(r, p.sign, p.exp, p.sig, 0, cw | X87_PC_64);

    return as_inexact(r, flags);
}

static unsigned exact(X87Num *r, unsigned sign, unsigned exp, uint64_t sig)
{
    r->low = sig;
    r->high = (uint16_t)(sign | exp);
    return 0;
}

static unsigned exact_zero(X87Num *r, unsigned sign)
{
    return exact(r, sign, 0, 0);
}

static unsigned exact_infinity(X87Num *r, unsigned sign)
{
    return exact(r, sign, X87_EXP_MAX, X87_INTEGER_BIT);
}

static unsigned invalid(X87Num *r)
{
    *r = x87_indefinite();
    return X87_IE;
}

/* ------------------------------------------------------------ trigonometry */

/* Below these the unit takes a short cut that shows in the rounding (measured):
 * the first term of the series as it is, or as if just short of it. */
enum {
    SIN_TINY = X87_BIAS - 68,
    TAN_TINY = X87_BIAS - 33,
    ATAN_TINY = -40,
};

static bool is_below(const X87Num *a, int exp)
{
    return (a->high & 0x7fff) < exp;
}

static Big sin_of(Big r)
{
    Wide f = fraction_of(r);

    return shrink(r, series(wide_mulhi(f, f), sin_terms, LENGTH(sin_terms),
                            true));
}

static Big cos_of(Big r)
{
    Wide f = fraction_of(r);
    Big one = big_from_int(1);

    return shrink(one, series(wide_mulhi(f, f), cos_terms, LENGTH(cos_terms),
                              true));
}

/*
 * Takes the nearest multiple of pi/2 off a, leaving |r| <= pi/4, and returns
 * that multiple modulo 4. The unit's pi has 66 bits: 0x3243f6a8885a308d3 in
 * units of 2^-64; so pi/2 is that number of units of 2^-65.
 */
static unsigned reduce(Big *r, X87Parts p)
{
    /* pi/2, moved up so that its top bit is the top bit of two words */
    const Wide pi = wide_shl(wide(0x3, 0x243f6a8885a308d3ULL), 62);
    int exp = p.exp - X87_BIAS;
    Wide n, rem;
    uint64_t q;

    *r = big_from_parts(p);
    if (exp < -2) {
        return 0;
    }
    /* |a| in units of 2^-65, then in the units of the moved pi */
    n = wide_shl(wide(0, p.sig), exp + 2);
    q = div192by128(wide_shr(n, 2), n.lo << 62, pi, &rem);
    if (wide_less(wide_sub(pi, rem), rem)) {
        rem = wide_sub(pi, rem);
        p.sign ^= 0x8000;
        q++;
    }
    /* a unit is now 2^-(65 + 62) */
    *r = big(p.sign, 0, rem);
    return q & 3;
}

/* The cases the four instructions share; true: *flags is the whole answer. */
static bool trig_special(X87Num *r, const X87Num *a, unsigned cw,
                         unsigned *flags)
{
    X87Class c = x87_class(a);

    *flags = 0;
    if (c >= X87_QNAN) {
        *flags = x87_nan1(r, a);
        return true;
    }
    if (c == X87_INFINITY) {
        *flags = invalid(r);
        return true;
    }
    if ((a->high & 0x7fff) >= X87_BIAS + 63) {
        *flags = X87_C2;
        return true;
    }
    if (c == X87_DENORMAL) {
        *flags = X87_DE;
        return (*flags & ~cw) != 0;
    }
    return false;
}

static unsigned quadrant_sin(X87Num *r, Big a, unsigned quadrant, unsigned sign,
                             unsigned cw)
{
    Big s = quadrant & 1 ? cos_of(a) : sin_of(a);

    s.sign ^= sign;
    if (quadrant & 2) {
        s = big_negate(s);
    }
    return finish(r, s, cw);
}

/* reduce() works on |a|'s multiple, so the sign is carried separately. */
static unsigned reduce_magnitude(Big *r, const X87Num *a, unsigned *sign)
{
    X87Parts p = x87_parts(a);

    *sign = p.sign;
    p.sign = 0;
    return reduce(r, p);
}

unsigned x87_sin(X87Num *r, const X87Num *a, unsigned cw)
{
    unsigned flags, sign, quadrant;
    Big x;

    if (trig_special(r, a, cw, &flags)) {
        return flags;
    }
    if (!a->low) {
        *r = *a;
        return flags;
    }
    if (is_below(a, SIN_TINY)) {
        return flags | finish_same(r, a, cw);
    }
    quadrant = reduce_magnitude(&x, a, &sign);
    return flags | quadrant_sin(r, x, quadrant, sign, cw);
}

unsigned x87_cos(X87Num *r, const X87Num *a, unsigned cw)
{
    unsigned flags, sign, quadrant;
    Big x;

    if (trig_special(r, a, cw, &flags)) {
        return flags;
    }
    if (!a->low) {
        return flags | exact(r, 0, X87_BIAS, X87_INTEGER_BIT);
    }
    if (is_below(a, SIN_TINY)) {
        return flags | exact(r, 0, X87_BIAS, X87_INTEGER_BIT) | X87_PE;
    }
    quadrant = reduce_magnitude(&x, a, &sign);
    return flags | quadrant_sin(r, x, quadrant + 1, 0, cw);
}

unsigned x87_sincos(X87Num *s, X87Num *c, const X87Num *a, unsigned cw)
{
    unsigned flags = x87_sin(s, a, cw);

    if ((flags & X87_C2) || (flags & X87_BEFORE & ~cw)) {
        return flags;
    }
    return (flags & ~X87_C1) | x87_cos(c, a, cw);
}

unsigned x87_tan(X87Num *r, const X87Num *a, unsigned cw)
{
    unsigned flags, sign, quadrant;
    Big x, t;

    if (trig_special(r, a, cw, &flags)) {
        return flags;
    }
    if (!a->low) {
        *r = *a;
        return flags;
    }
    if (is_below(a, SIN_TINY)) {
        return flags | finish_same(r, a, cw);
    }
    if (is_below(a, TAN_TINY)) {
        /* the unit is just short of the operand here, not beyond it */
        return flags | finish(r, shrink(big_from_parts(x87_parts(a)),
                                        wide(0, 0)), cw);
    }
    quadrant = reduce_magnitude(&x, a, &sign);
    if (quadrant & 1) {
        t = big_negate(big_div(cos_of(x), sin_of(x)));
    } else {
        t = big_div(sin_of(x), cos_of(x));
    }
    t.sign ^= sign;
    return flags | finish(r, t, cw);
}

/* pi / 2^n */
static Big pi_over(int n)
{
    Big p = big_from_fraction(0, quarter_pi[0]);

    p.exp += 2 - n;
    return p;
}

/* atan(t) for 0 < t <= 1. */
static Big atan_of(Big t)
{
    Big u = t, c, base;
    Wide f;
    int k = 0;

    if (t.exp >= -4) {
        /* the nearest sixteenth */
        k = t.exp >= 0 ? 16 : (int)((t.sig.hi >> (59 - t.exp - 1)) + 1) >> 1;
    }
    if (k) {
        c = big(0, 59, wide(k, 0));     /* k/16 */
        u = big_div(big_add(t, big_negate(c)),
                    big_add(big_from_int(1), big_mul(t, c)));
    }
    if (!big_is_zero(u)) {
        f = fraction_of(u);
        u = shrink(u, series(wide_mulhi(f, f), odd_terms, 13, true));
    }
    if (!k) {
        return u;
    }
    base = big_from_fraction(0, atan_table[k]);
    return big_add(base, u);
}

unsigned x87_atan(X87Num *r, const X87Num *y, const X87Num *x, unsigned cw)
{
    X87Class cy = x87_class(y), cx = x87_class(x);
    unsigned sign = y->high & 0x8000, minus = x->high & 0x8000, flags;
    X87Parts py, px;
    Big a, b, t;
    bool swap;

    if (cy >= X87_QNAN || cx >= X87_QNAN) {
        return x87_nan2(r, y, x);
    }
    flags = cy == X87_DENORMAL || cx == X87_DENORMAL ? X87_DE : 0;
    if (flags & ~cw) {
        return flags;
    }
    if (cy == X87_INFINITY) {
        t = pi_over(1);
        if (cx == X87_INFINITY) {
            t = pi_over(2);
            if (minus) {
                t = big_add(t, pi_over(1));
            }
        }
    } else if (cx == X87_INFINITY || cy == X87_ZERO) {
        if (!minus) {
            return flags | exact_zero(r, sign);
        }
        t = pi_over(0);
    } else if (cx == X87_ZERO) {
        t = pi_over(1);
    } else {
        py = x87_parts(y);
        px = x87_parts(x);
        py.sign = px.sign = 0;
        swap = py.exp > px.exp || (py.exp == px.exp && py.sig > px.sig);
        a = big_from_parts(swap ? px : py);
        b = big_from_parts(swap ? py : px);
        if (!minus && py.exp - px.exp < ATAN_TINY) {
            flags |= x87_div(r, y, x, cw | X87_PC_64);
            return as_inexact(r, flags);
        }
        t = atan_of(big_div(a, b));
        if (swap) {
            t = minus ? big_add(pi_over(1), t)
                      : big_add(pi_over(1), big_negate(t));
        } else if (minus) {
            t = big_add(pi_over(0), big_negate(t));
        }
    }
    t.sign = sign;
    return flags | finish(r, t, cw);
}

/* ------------------------------------------------- exponential, logarithms */

unsigned x87_2xm1(X87Num *r, const X87Num *a, unsigned cw)
{
    X87Class c = x87_class(a);
    X87Parts p;
    unsigned flags = 0;
    Big t;
    Wide f;

    if (c >= X87_QNAN) {
        return x87_nan1(r, a);
    }
    p = x87_parts(a);
    if (c == X87_ZERO) {
        *r = *a;
        return 0;
    }
    if (c == X87_INFINITY) {
        if (p.sign) {
            return exact(r, 0x8000, X87_BIAS, X87_INTEGER_BIT);
        }
        *r = *a;
        return 0;
    }
    if (c == X87_DENORMAL) {
        flags = X87_DE;
        if (flags & ~cw) {
            return flags;
        }
    }
    if (p.exp >= X87_BIAS) {
        if (p.exp == X87_BIAS && p.sig == X87_INTEGER_BIT) {
            exact(r, p.sign, p.sign ? X87_BIAS - 1 : X87_BIAS, X87_INTEGER_BIT);
            return X87_PE;
        }
        /* out of range: the operand stays */
        *r = *a;
        return flags | X87_PE;
    }
    t = big_mul(big_from_parts(p), big_from_fraction(0, ln2[0]));
    f = series(fraction_of(t), exp_terms, LENGTH(exp_terms), p.sign != 0);
    return flags | finish(r, p.sign ? shrink(t, f) : grow(t, f), cw);
}

/* log2((1 + z) / (1 - z)) for |z| <= 0.1716, z not zero */
static Big log2_of_ratio(Big z)
{
    Wide f = fraction_of(z);
    Big scale = big_from_fraction(0, half_log2e[0]);

    scale.exp += 2;
    z = grow(z, series(wide_mulhi(f, f), odd_terms, LENGTH(odd_terms), false));
    return big_mul(z, scale);
}

/* log2(x) for x > 0, x not a power of two */
static Big log2_of(Big x)
{
    int k = x.exp;
    Big one = big_from_int(1), z;

    x.exp = 0;
    if (x.sig.hi >= 0xb504f333f9de6484ULL) {    /* sqrt(2): halve */
        x.exp = -1;
        k++;
    }
    z = big_div(big_add(x, big_negate(one)), big_add(x, one));
    return big_add(big_from_int(k), log2_of_ratio(z));
}

/* y * n for an exact integer logarithm n. */
static unsigned times_integer(X87Num *r, const X87Num *y, int n, unsigned cw)
{
    X87Num k;
    unsigned flags;

    x87_from_int(&k, n);
    flags = x87_mul(r, y, &k, cw | X87_PC_64);
    return as_inexact(r, flags);
}

unsigned x87_yl2x(X87Num *r, const X87Num *y, const X87Num *x, unsigned cw)
{
    X87Class cy = x87_class(y), cx = x87_class(x);
    unsigned sign = y->high & 0x8000, flags;
    X87Parts px;
    Big log;

    if (cy >= X87_QNAN || cx >= X87_QNAN) {
        return x87_nan2(r, y, x);
    }
    px = x87_parts(x);
    if (cx == X87_ZERO) {
        if (cy == X87_ZERO) {
            return invalid(r);
        }
        if (cy == X87_INFINITY) {
            return exact_infinity(r, sign ^ 0x8000);
        }
        exact_infinity(r, sign ^ 0x8000);
        return X87_ZE;
    }
    if (px.sign) {
        return invalid(r);
    }
    if (cx == X87_INFINITY && cy == X87_ZERO) {
        return invalid(r);
    }
    if (cy == X87_INFINITY && px.exp == X87_BIAS && px.sig == X87_INTEGER_BIT) {
        return invalid(r);
    }
    flags = cy == X87_DENORMAL || cx == X87_DENORMAL ? X87_DE : 0;
    if (flags & ~cw) {
        return flags;
    }
    if (cx == X87_INFINITY) {
        return flags | exact_infinity(r, sign);
    }
    if (cy == X87_INFINITY) {
        return flags | exact_infinity(r, px.exp < X87_BIAS ? sign ^ 0x8000
                                                           : sign);
    }
    if (cy == X87_ZERO) {
        return flags | exact_zero(r, px.exp < X87_BIAS ? sign ^ 0x8000 : sign);
    }
    if (px.sig == X87_INTEGER_BIT) {
        if (px.exp == X87_BIAS) {
            return flags | exact_zero(r, sign);
        }
        return flags | times_integer(r, y, px.exp - X87_BIAS, cw);
    }
    log = log2_of(big_from_parts(px));
    return flags | finish(r, big_mul(log, big_from_parts(x87_parts(y))), cw);
}

unsigned x87_yl2xp1(X87Num *r, const X87Num *y, const X87Num *x, unsigned cw)
{
    X87Class cy = x87_class(y), cx = x87_class(x);
    unsigned sign = y->high & 0x8000, flags;
    X87Parts px;
    Big b, sum, log;

    if (cy >= X87_QNAN || cx >= X87_QNAN) {
        return x87_nan2(r, y, x);
    }
    px = x87_parts(x);
    if (cx == X87_INFINITY && (px.sign || cy == X87_ZERO)) {
        return invalid(r);
    }
    if (cx == X87_ZERO && cy == X87_INFINITY) {
        return invalid(r);
    }
    flags = cy == X87_DENORMAL || cx == X87_DENORMAL ? X87_DE : 0;
    if (flags & ~cw) {
        return flags;
    }
    if (cx == X87_INFINITY || cy == X87_INFINITY) {
        return flags | exact_infinity(r, sign ^ px.sign);
    }
    if (cx == X87_ZERO || cy == X87_ZERO) {
        return flags | exact_zero(r, sign ^ px.sign);
    }
    b = big_from_parts(px);
    sum = big_add(big_from_int(1), b);
    if (sum.sign || big_is_zero(sum)) {
        /* out of range: the operand is the result */
        *r = *x;
        return flags | X87_PE;
    }
    if (sum.sig.hi == X87_INTEGER_BIT && !sum.sig.lo && sum.exp) {
        return flags | times_integer(r, y, sum.exp, cw);
    }
    if (px.exp < X87_BIAS - 2) {
        /* x / (x + 2), which keeps every bit of a small x */
        log = log2_of_ratio(big_div(b, big_add(big_from_int(2), b)));
    } else {
        log = log2_of(sum);
    }
    return flags | finish(r, big_mul(log, big_from_parts(x87_parts(y))), cw);
}
