/*
 * Two-word unsigned arithmetic for x87 and SSE: 128-bit values as pairs of
 * 64-bit words, because neither wasm32 nor i386 has a cheap __int128.
 */
#ifndef SEG386_X87_WIDE_H
#define SEG386_X87_WIDE_H

#include <stdint.h>

typedef struct { uint64_t hi, lo; } Wide;

static inline int clz64(uint64_t a)
{
    return __builtin_clzll(a);
}

static inline Wide wide(uint64_t hi, uint64_t lo)
{
    Wide w = { hi, lo };
    return w;
}

static inline Wide wide_add(Wide a, Wide b)
{
    uint64_t lo = a.lo + b.lo;
    return wide(a.hi + b.hi + (lo < a.lo), lo);
}

static inline Wide wide_sub(Wide a, Wide b)
{
    return wide(a.hi - b.hi - (a.lo < b.lo), a.lo - b.lo);
}

static inline int wide_less(Wide a, Wide b)
{
    return a.hi < b.hi || (a.hi == b.hi && a.lo < b.lo);
}

/* Requires: 0 <= n < 128. */
static inline Wide wide_shl(Wide a, unsigned n)
{
    if (n == 0) {
        return a;
    }
    if (n >= 64) {
        return wide(a.lo << (n - 64), 0);
    }
    return wide(a.hi << n | a.lo >> (64 - n), a.lo << n);
}

/* Requires: 0 <= n < 128. */
static inline Wide wide_shr(Wide a, unsigned n)
{
    if (n == 0) {
        return a;
    }
    if (n >= 64) {
        return wide(0, a.hi >> (n - 64));
    }
    return wide(a.hi >> n, a.lo >> n | a.hi << (64 - n));
}

/* As wide_shr for any n >= 0; a lost bit stays visible in the last one. */
static inline Wide wide_shr_sticky(Wide a, unsigned n)
{
    Wide r, back;

    if (n == 0) {
        return a;
    }
    if (n >= 128) {
        return wide(0, (a.hi | a.lo) != 0);
    }
    r = wide_shr(a, n);
    back = wide_shl(r, n);
    r.lo |= back.hi != a.hi || back.lo != a.lo;
    return r;
}

static inline int wide_clz(Wide a)
{
    return a.hi ? clz64(a.hi) : 64 + clz64(a.lo);
}

static inline Wide mul64(uint64_t a, uint64_t b)
{
    uint64_t al = (uint32_t)a, ah = a >> 32;
    uint64_t bl = (uint32_t)b, bh = b >> 32;
    uint64_t ll = al * bl, lh = al * bh, hl = ah * bl;
    uint64_t middle = (ll >> 32) + (uint32_t)lh + (uint32_t)hl;

    return wide(ah * bh + (lh >> 32) + (hl >> 32) + (middle >> 32),
                middle << 32 | (uint32_t)ll);
}

/* floor(a * b / 2^128), up to two units of the last place short. */
static inline Wide wide_mulhi(Wide a, Wide b)
{
    Wide r = mul64(a.hi, b.hi);
    Wide x = mul64(a.hi, b.lo);
    Wide y = mul64(a.lo, b.hi);
    uint64_t low = x.lo + y.lo;
    uint64_t carry = low < x.lo;

    r = wide_add(r, wide(0, x.hi));
    r = wide_add(r, wide(0, y.hi));
    return wide_add(r, wide(0, carry));
}

/* Divides n1:n0 by d. Requires: n1 < d and d's top bit set. */
static inline uint64_t div128by64(uint64_t n1, uint64_t n0, uint64_t d,
                                  uint64_t *rem)
{
    uint64_t dh = d >> 32, dl = (uint32_t)d;
    uint64_t q1, q0, r, n;

    q1 = n1 / dh;
    r = n1 - q1 * dh;
    while (q1 >> 32 || q1 * dl > (r << 32 | n0 >> 32)) {
        q1--;
        r += dh;
        if (r >> 32) {
            break;
        }
    }
    n = (n1 << 32 | n0 >> 32) - q1 * d;
    q0 = n / dh;
    r = n - q0 * dh;
    while (q0 >> 32 || q0 * dl > (r << 32 | (uint32_t)n0)) {
        q0--;
        r += dh;
        if (r >> 32) {
            break;
        }
    }
    *rem = (n << 32 | (uint32_t)n0) - q0 * d;
    return q1 << 32 | q0;
}

/* Divides n:n0 (three words) by d. Requires: n < d and d's top bit set. */
static inline uint64_t div192by128(Wide n, uint64_t n0, Wide d, Wide *rem)
{
    uint64_t r, top;
    uint64_t q = n.hi == d.hi ? UINT64_MAX : div128by64(n.hi, n.lo, d.hi, &r);
    Wide low = mul64(q, d.lo), high = mul64(q, d.hi), rest;

    /* the product's three words are top, low.hi, low.lo */
    low.hi += high.lo;
    top = high.hi + (low.hi < high.lo);
    /* the estimate is at most two too large */
    rest = wide(n.lo, n0);
    while (top > n.hi || (top == n.hi && wide_less(rest, low))) {
        q--;
        top -= wide_less(low, d);
        low = wide_sub(low, d);
    }
    *rem = wide_sub(rest, low);
    return q;
}

#endif
