/*
 * SSE's conversions between the floating-point formats and integers over the
 * CPU's state.
 */
#include "sse-fast.h"

/* ---- between the formats */

static inline uint64_t widen(uint32_t a, Sse *m)
{
    return plain32(a) ? u64(f32(a)) : sse_widen(a, m);
}

static inline uint32_t narrow(uint64_t a, Sse *m)
{
    if (is_fast(m) && plain64(a)) {
        uint32_t r = u32((float)f64(a));
        if (safe32(r) || !(a << 1)) {
            return r;
        }
    }
    return sse_narrow(a, m);
}

void helper_cvtps2pd(CPUX86State *env, ZMMReg *d, ZMMReg *s)
{
    Sse m = begin(env);
    uint64_t r0 = widen(s->ZMM_L(0), &m), r1 = widen(s->ZMM_L(1), &m);

    finish(env, &m, GETPC());
    d->ZMM_Q(0) = r0;
    d->ZMM_Q(1) = r1;
}

void helper_cvtpd2ps(CPUX86State *env, ZMMReg *d, ZMMReg *s)
{
    Sse m = begin(env);
    uint32_t r0 = narrow(s->ZMM_Q(0), &m), r1 = narrow(s->ZMM_Q(1), &m);

    finish(env, &m, GETPC());
    d->ZMM_L(0) = r0;
    d->ZMM_L(1) = r1;
    d->ZMM_Q(1) = 0;
}

void helper_cvtss2sd(CPUX86State *env, ZMMReg *d, ZMMReg *s)
{
    Sse m = begin(env);
    uint64_t r = widen(s->ZMM_L(0), &m);

    finish(env, &m, GETPC());
    d->ZMM_Q(0) = r;
}

void helper_cvtsd2ss(CPUX86State *env, ZMMReg *d, ZMMReg *s)
{
    Sse m = begin(env);
    uint32_t r = narrow(s->ZMM_Q(0), &m);

    finish(env, &m, GETPC());
    d->ZMM_L(0) = r;
}

/* ---- from integers */

static inline uint32_t from_int(int32_t a, Sse *m)
{
    if ((uint32_t)a + 0x1000000 <= 0x2000000) {
        return u32((float)a);   /* exact */
    }
    return sse_from_int32(a, m);
}

void helper_cvtdq2ps(CPUX86State *env, ZMMReg *d, ZMMReg *s)
{
    Sse m = begin(env);
    uint32_t r[4];

    for (int i = 0; i < 4; i++) {
        r[i] = from_int(s->ZMM_L(i), &m);
    }
    finish(env, &m, GETPC());
    for (int i = 0; i < 4; i++) {
        d->ZMM_L(i) = r[i];
    }
}

void helper_cvtdq2pd(CPUX86State *env, ZMMReg *d, ZMMReg *s)
{
    int32_t low = s->ZMM_L(0), high = s->ZMM_L(1);

    d->ZMM_Q(0) = u64(low);
    d->ZMM_Q(1) = u64(high);
}

void helper_cvtpi2ps(CPUX86State *env, ZMMReg *d, MMXReg *s)
{
    Sse m = begin(env);
    uint32_t r0 = from_int(s->MMX_L(0), &m), r1 = from_int(s->MMX_L(1), &m);

    finish(env, &m, GETPC());
    d->ZMM_L(0) = r0;
    d->ZMM_L(1) = r1;
}

void helper_cvtpi2pd(CPUX86State *env, ZMMReg *d, MMXReg *s)
{
    d->ZMM_Q(0) = u64((int32_t)s->MMX_L(0));
    d->ZMM_Q(1) = u64((int32_t)s->MMX_L(1));
}

void helper_cvtsi2ss(CPUX86State *env, ZMMReg *d, uint32_t val)
{
    Sse m = begin(env);
    uint32_t r = from_int(val, &m);

    finish(env, &m, GETPC());
    d->ZMM_L(0) = r;
}

void helper_cvtsi2sd(CPUX86State *env, ZMMReg *d, uint32_t val)
{
    d->ZMM_Q(0) = u64((int32_t)val);
}

/* ---- to integers */

static inline int32_t chop64(uint64_t a, Sse *m)
{
    double x = f64(a);

    if (plain64(a) && x > -2147483649.0 && x < 2147483648.0) {
        int32_t n = (int32_t)x;
        m->flags |= n == x ? 0 : SSE_PE;
        return n;
    }
    return sse_to_int32_from64(a, true, m);
}

static inline int32_t chop32(uint32_t a, Sse *m)
{
    float x = f32(a);

    if (plain32(a) && x >= -2147483648.0f && x < 2147483648.0f) {
        int32_t n = (int32_t)x;
        m->flags |= (float)n == x ? 0 : SSE_PE;
        return n;
    }
    return sse_to_int32(a, true, m);
}

static inline int32_t nearest64(uint64_t a, Sse *m)
{
    return sse_to_int32_from64(a, false, m);
}

static inline int32_t nearest32(uint32_t a, Sse *m)
{
    return sse_to_int32(a, false, m);
}

#define TO_INT(t, of32, of64)                                                 \
    void helper_cvt##t##ps2dq(CPUX86State *env, ZMMReg *d, ZMMReg *s)         \
    {                                                                         \
        Sse m = begin(env);                                                   \
        int32_t r[4];                                                         \
        for (int i = 0; i < 4; i++) {                                         \
            r[i] = of32(s->ZMM_L(i), &m);                                     \
        }                                                                     \
        finish(env, &m, GETPC());                                             \
        for (int i = 0; i < 4; i++) {                                         \
            d->ZMM_L(i) = r[i];                                               \
        }                                                                     \
    }                                                                         \
    void helper_cvt##t##pd2dq(CPUX86State *env, ZMMReg *d, ZMMReg *s)         \
    {                                                                         \
        Sse m = begin(env);                                                   \
        int32_t r0 = of64(s->ZMM_Q(0), &m), r1 = of64(s->ZMM_Q(1), &m);       \
        finish(env, &m, GETPC());                                             \
        d->ZMM_L(0) = r0;                                                     \
        d->ZMM_L(1) = r1;                                                     \
        d->ZMM_Q(1) = 0;                                                      \
    }                                                                         \
    void helper_cvt##t##ps2pi(CPUX86State *env, MMXReg *d, ZMMReg *s)         \
    {                                                                         \
        Sse m = begin(env);                                                   \
        int32_t r0 = of32(s->ZMM_L(0), &m), r1 = of32(s->ZMM_L(1), &m);       \
        finish(env, &m, GETPC());                                             \
        d->MMX_L(0) = r0;                                                     \
        d->MMX_L(1) = r1;                                                     \
    }                                                                         \
    void helper_cvt##t##pd2pi(CPUX86State *env, MMXReg *d, ZMMReg *s)         \
    {                                                                         \
        Sse m = begin(env);                                                   \
        int32_t r0 = of64(s->ZMM_Q(0), &m), r1 = of64(s->ZMM_Q(1), &m);       \
        finish(env, &m, GETPC());                                             \
        d->MMX_L(0) = r0;                                                     \
        d->MMX_L(1) = r1;                                                     \
    }                                                                         \
    int32_t helper_cvt##t##ss2si(CPUX86State *env, ZMMReg *s)                 \
    {                                                                         \
        Sse m = begin(env);                                                   \
        int32_t r = of32(s->ZMM_L(0), &m);                                    \
        finish(env, &m, GETPC());                                             \
        return r;                                                             \
    }                                                                         \
    int32_t helper_cvt##t##sd2si(CPUX86State *env, ZMMReg *s)                 \
    {                                                                         \
        Sse m = begin(env);                                                   \
        int32_t r = of64(s->ZMM_Q(0), &m);                                    \
        finish(env, &m, GETPC());                                             \
        return r;                                                             \
    }

TO_INT(, nearest32, nearest64)
TO_INT(t, chop32, chop64)
