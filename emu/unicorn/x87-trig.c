/*
 * The x87's trigonometric instructions, computed with 128-bit significands and
 * rounded once: the correctly rounded result but for about one operand in
 * 2^45, within one unit of the last place of the real unit's. Operands are
 * reduced with the unit's own 66-bit pi, exactly.
 */
#include "x87-big.h"
#include "x87-tables.h"

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
