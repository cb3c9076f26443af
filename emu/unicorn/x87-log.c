/*
 * The x87's exponential and logarithms, as exact as its trigonometry.
 */
#include "x87-big.h"
#include "x87-tables.h"

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
