/*
 * SSE's floating-point instructions over the CPU's state: MXCSR's flags,
 * unmasked exceptions, and fast paths for what programs do all day. They
 * replace those of Unicorn's ops_sse.h that patch 61 takes out.
 *
 * An instruction computes all its elements before it writes any register, so
 * that an unmasked exception finds the destination untouched.
 */
#include "qemu/osdep.h"
#include "cpu.h"
#include "exec/exec-all.h"
#include "exec/helper-proto.h"
#include "sse.h"

#define SIMD_EXCEPTION 19

static inline Sse begin(const CPUX86State *env)
{
    Sse m = { env->mxcsr, 0 };
    return m;
}

static void raise_flags(CPUX86State *env, uint32_t flags, uintptr_t ra)
{
    uint32_t unmasked = flags & ~(env->mxcsr >> SSE_MASKS_SHIFT);

    if (unmasked & SSE_BEFORE) {
        flags &= SSE_BEFORE;
    }
    env->mxcsr |= flags;
    if (unlikely(unmasked & SSE_EXCEPTIONS)) {
        raise_exception_ra(env, env->cr[4] & CR4_OSXMMEXCPT_MASK
                                ? SIMD_EXCEPTION : EXCP06_ILLOP, ra);
    }
}

static inline void finish(CPUX86State *env, const Sse *m, uintptr_t ra)
{
    if (unlikely(m->flags)) {
        raise_flags(env, m->flags, ra);
    }
}

/*
 * Fast paths: rounding to nearest, inexact masked and already flagged, normal
 * operands or zeros, and a result that is normal too. Then the host's own
 * arithmetic gives the result, and there is nothing to report.
 */
static inline bool is_fast(const Sse *m)
{
    return (m->mxcsr & (3 << SSE_RC_SHIFT | SSE_PE << SSE_MASKS_SHIFT | SSE_PE))
           == (SSE_PE << SSE_MASKS_SHIFT | SSE_PE);
}

static inline bool plain32(uint32_t a)
{
    return !(a << 1) || (a << 1) - 0x01000000u < 0xfe000000u;
}

static inline bool plain64(uint64_t a)
{
    return !(a << 1) || (a << 1) - (1ULL << 53) < 0x7feULL << 53;
}

/* Not even the smallest normal number, which may have been rounded up to. */
static inline bool safe32(uint32_t r)
{
    return (r << 1) - 0x01000001u < 0xfdffffffu;
}

static inline bool safe64(uint64_t r)
{
    return (r << 1) - ((1ULL << 53) + 1) < (0x7feULL << 53) - 1;
}

static inline float f32(uint32_t a)
{
    float f;
    memcpy(&f, &a, 4);
    return f;
}

static inline uint32_t u32(float f)
{
    uint32_t a;
    memcpy(&a, &f, 4);
    return a;
}

static inline double f64(uint64_t a)
{
    double f;
    memcpy(&f, &a, 8);
    return f;
}

static inline uint64_t u64(double f)
{
    uint64_t a;
    memcpy(&a, &f, 8);
    return a;
}

/* zero_ok: when a zero result is exact. */
#define FAST_BINARY(name, operator, divisor_ok, zero_ok)                      \
    static inline uint32_t name##32(uint32_t a, uint32_t b, Sse *m)           \
    {                                                                         \
        if (is_fast(m) && plain32(a) && plain32(b) && (divisor_ok)) {         \
            uint32_t r = u32(f32(a) operator f32(b));                         \
            if (safe32(r) || (!(r << 1) && (zero_ok))) {                      \
                return r;                                                     \
            }                                                                 \
        }                                                                     \
        return sse_##name##32(a, b, m);                                       \
    }                                                                         \
    static inline uint64_t name##64(uint64_t a, uint64_t b, Sse *m)           \
    {                                                                         \
        if (is_fast(m) && plain64(a) && plain64(b) && (divisor_ok)) {         \
            uint64_t r = u64(f64(a) operator f64(b));                         \
            if (safe64(r) || (!(r << 1) && (zero_ok))) {                      \
                return r;                                                     \
            }                                                                 \
        }                                                                     \
        return sse_##name##64(a, b, m);                                       \
    }

FAST_BINARY(add, +, true, true)
FAST_BINARY(sub, -, true, true)
FAST_BINARY(mul, *, true, !(a << 1) || !(b << 1))
FAST_BINARY(div, /, b << 1, !(a << 1))

static inline uint32_t sqrt32(uint32_t a, Sse *m)
{
    if (is_fast(m) && a - 0x00800000u < 0x7f000000u) {
        return u32(__builtin_sqrtf(f32(a)));
    }
    return sse_sqrt32(a, m);
}

static inline uint64_t sqrt64(uint64_t a, Sse *m)
{
    if (is_fast(m) && a - (1ULL << 52) < 0x7feULL << 52) {
        return u64(__builtin_sqrt(f64(a)));
    }
    return sse_sqrt64(a, m);
}

/* The second operand, unless the first is strictly beyond it. Which ever it is,
 * DAZ makes a zero of a denormal. */
#define MIN_MAX(name, wanted)                                                 \
    static inline uint32_t name##32(uint32_t a, uint32_t b, Sse *m)           \
    {                                                                         \
        uint32_t r = sse_compare32(a, b, false, m) == (wanted) ? a : b;       \
        return m->mxcsr & SSE_DAZ && !(r >> 23 & 0xff) ? r & 1u << 31 : r;    \
    }                                                                         \
    static inline uint64_t name##64(uint64_t a, uint64_t b, Sse *m)           \
    {                                                                         \
        uint64_t r = sse_compare64(a, b, false, m) == (wanted) ? a : b;       \
        return m->mxcsr & SSE_DAZ && !(r >> 52 & 0x7ff) ? r & 1ULL << 63 : r; \
    }

MIN_MAX(min, SSE_LESS)
MIN_MAX(max, SSE_GREATER)

#define COMPARE(name, quiet, orders)                                          \
    static inline uint32_t name##32(uint32_t a, uint32_t b, Sse *m)           \
    {                                                                         \
        return sse_compare32(a, b, quiet, m) & (orders) ? -1 : 0;             \
    }                                                                         \
    static inline uint64_t name##64(uint64_t a, uint64_t b, Sse *m)           \
    {                                                                         \
        return sse_compare64(a, b, quiet, m) & (orders) ? -1 : 0;             \
    }

#define ANY_ORDER (SSE_LESS | SSE_EQUAL | SSE_GREATER)
COMPARE(cmpeq, true, SSE_EQUAL)
COMPARE(cmplt, false, SSE_LESS)
COMPARE(cmple, false, SSE_LESS | SSE_EQUAL)
COMPARE(cmpunord, true, SSE_UNORDERED)
COMPARE(cmpneq, true, SSE_LESS | SSE_GREATER | SSE_UNORDERED)
COMPARE(cmpnlt, false, SSE_EQUAL | SSE_GREATER | SSE_UNORDERED)
COMPARE(cmpnle, false, SSE_GREATER | SSE_UNORDERED)
COMPARE(cmpord, true, ANY_ORDER)

/* The four forms of an instruction; a square root has no first operand. */
#define FORMS(name, of32, of64)                                               \
    void helper_##name##ps(CPUX86State *env, ZMMReg *d, ZMMReg *s)            \
    {                                                                         \
        Sse m = begin(env);                                                   \
        uint32_t r0 = of32(0), r1 = of32(1), r2 = of32(2), r3 = of32(3);      \
        finish(env, &m, GETPC());                                             \
        d->ZMM_L(0) = r0;                                                     \
        d->ZMM_L(1) = r1;                                                     \
        d->ZMM_L(2) = r2;                                                     \
        d->ZMM_L(3) = r3;                                                     \
    }                                                                         \
    void helper_##name##pd(CPUX86State *env, ZMMReg *d, ZMMReg *s)            \
    {                                                                         \
        Sse m = begin(env);                                                   \
        uint64_t r0 = of64(0), r1 = of64(1);                                  \
        finish(env, &m, GETPC());                                             \
        d->ZMM_Q(0) = r0;                                                     \
        d->ZMM_Q(1) = r1;                                                     \
    }                                                                         \
    void helper_##name##ss(CPUX86State *env, ZMMReg *d, ZMMReg *s)            \
    {                                                                         \
        Sse m = begin(env);                                                   \
        uint32_t r = of32(0);                                                 \
        finish(env, &m, GETPC());                                             \
        d->ZMM_L(0) = r;                                                      \
    }                                                                         \
    void helper_##name##sd(CPUX86State *env, ZMMReg *d, ZMMReg *s)            \
    {                                                                         \
        Sse m = begin(env);                                                   \
        uint64_t r = of64(0);                                                 \
        finish(env, &m, GETPC());                                             \
        d->ZMM_Q(0) = r;                                                      \
    }

#define TWO32(name, i) name##32(d->ZMM_L(i), s->ZMM_L(i), &m)
#define TWO64(name, i) name##64(d->ZMM_Q(i), s->ZMM_Q(i), &m)
#define ADD32(i) TWO32(add, i)
#define ADD64(i) TWO64(add, i)
#define SUB32(i) TWO32(sub, i)
#define SUB64(i) TWO64(sub, i)
#define MUL32(i) TWO32(mul, i)
#define MUL64(i) TWO64(mul, i)
#define DIV32(i) TWO32(div, i)
#define DIV64(i) TWO64(div, i)
#define MIN32(i) TWO32(min, i)
#define MIN64(i) TWO64(min, i)
#define MAX32(i) TWO32(max, i)
#define MAX64(i) TWO64(max, i)
#define SQRT32(i) sqrt32(s->ZMM_L(i), &m)
#define SQRT64(i) sqrt64(s->ZMM_Q(i), &m)
FORMS(add, ADD32, ADD64)
FORMS(sub, SUB32, SUB64)
FORMS(mul, MUL32, MUL64)
FORMS(div, DIV32, DIV64)
FORMS(min, MIN32, MIN64)
FORMS(max, MAX32, MAX64)
FORMS(sqrt, SQRT32, SQRT64)

#define CMPEQ32(i) TWO32(cmpeq, i)
#define CMPEQ64(i) TWO64(cmpeq, i)
#define CMPLT32(i) TWO32(cmplt, i)
#define CMPLT64(i) TWO64(cmplt, i)
#define CMPLE32(i) TWO32(cmple, i)
#define CMPLE64(i) TWO64(cmple, i)
#define CMPUNORD32(i) TWO32(cmpunord, i)
#define CMPUNORD64(i) TWO64(cmpunord, i)
#define CMPNEQ32(i) TWO32(cmpneq, i)
#define CMPNEQ64(i) TWO64(cmpneq, i)
#define CMPNLT32(i) TWO32(cmpnlt, i)
#define CMPNLT64(i) TWO64(cmpnlt, i)
#define CMPNLE32(i) TWO32(cmpnle, i)
#define CMPNLE64(i) TWO64(cmpnle, i)
#define CMPORD32(i) TWO32(cmpord, i)
#define CMPORD64(i) TWO64(cmpord, i)
FORMS(cmpeq, CMPEQ32, CMPEQ64)
FORMS(cmplt, CMPLT32, CMPLT64)
FORMS(cmple, CMPLE32, CMPLE64)
FORMS(cmpunord, CMPUNORD32, CMPUNORD64)
FORMS(cmpneq, CMPNEQ32, CMPNEQ64)
FORMS(cmpnlt, CMPNLT32, CMPNLT64)
FORMS(cmpnle, CMPNLE32, CMPNLE64)
FORMS(cmpord, CMPORD32, CMPORD64)

/* ---- comparisons to EFLAGS (the translator says CC_OP_EFLAGS) */

static void set_eflags(CPUX86State *env, SseOrder order, const Sse *m,
                       uintptr_t ra)
{
    finish(env, m, ra);
    CC_SRC = order == SSE_UNORDERED ? CC_Z | CC_P | CC_C
             : order == SSE_LESS ? CC_C : order == SSE_EQUAL ? CC_Z : 0;
}

void helper_ucomiss(CPUX86State *env, ZMMReg *d, ZMMReg *s)
{
    Sse m = begin(env);
    SseOrder order = sse_compare32(d->ZMM_L(0), s->ZMM_L(0), true, &m);

    set_eflags(env, order, &m, GETPC());
}

void helper_comiss(CPUX86State *env, ZMMReg *d, ZMMReg *s)
{
    Sse m = begin(env);
    SseOrder order = sse_compare32(d->ZMM_L(0), s->ZMM_L(0), false, &m);

    set_eflags(env, order, &m, GETPC());
}

void helper_ucomisd(CPUX86State *env, ZMMReg *d, ZMMReg *s)
{
    Sse m = begin(env);
    SseOrder order = sse_compare64(d->ZMM_Q(0), s->ZMM_Q(0), true, &m);

    set_eflags(env, order, &m, GETPC());
}

void helper_comisd(CPUX86State *env, ZMMReg *d, ZMMReg *s)
{
    Sse m = begin(env);
    SseOrder order = sse_compare64(d->ZMM_Q(0), s->ZMM_Q(0), false, &m);

    set_eflags(env, order, &m, GETPC());
}

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

/* ---- approximations */

void helper_rsqrtps(CPUX86State *env, ZMMReg *d, ZMMReg *s)
{
    for (int i = 0; i < 4; i++) {
        d->ZMM_L(i) = sse_rsqrt(s->ZMM_L(i));
    }
}

void helper_rsqrtss(CPUX86State *env, ZMMReg *d, ZMMReg *s)
{
    d->ZMM_L(0) = sse_rsqrt(s->ZMM_L(0));
}

void helper_rcpps(CPUX86State *env, ZMMReg *d, ZMMReg *s)
{
    for (int i = 0; i < 4; i++) {
        d->ZMM_L(i) = sse_rcp(s->ZMM_L(i));
    }
}

void helper_rcpss(CPUX86State *env, ZMMReg *d, ZMMReg *s)
{
    d->ZMM_L(0) = sse_rcp(s->ZMM_L(0));
}

/* ---- SSE3 */

#define HORIZONTAL(name, op)                                                  \
    void helper_##name##ps(CPUX86State *env, ZMMReg *d, ZMMReg *s)            \
    {                                                                         \
        Sse m = begin(env);                                                   \
        uint32_t r0 = op##32(d->ZMM_L(0), d->ZMM_L(1), &m);                   \
        uint32_t r1 = op##32(d->ZMM_L(2), d->ZMM_L(3), &m);                   \
        uint32_t r2 = op##32(s->ZMM_L(0), s->ZMM_L(1), &m);                   \
        uint32_t r3 = op##32(s->ZMM_L(2), s->ZMM_L(3), &m);                   \
        finish(env, &m, GETPC());                                             \
        d->ZMM_L(0) = r0;                                                     \
        d->ZMM_L(1) = r1;                                                     \
        d->ZMM_L(2) = r2;                                                     \
        d->ZMM_L(3) = r3;                                                     \
    }                                                                         \
    void helper_##name##pd(CPUX86State *env, ZMMReg *d, ZMMReg *s)            \
    {                                                                         \
        Sse m = begin(env);                                                   \
        uint64_t r0 = op##64(d->ZMM_Q(0), d->ZMM_Q(1), &m);                   \
        uint64_t r1 = op##64(s->ZMM_Q(0), s->ZMM_Q(1), &m);                   \
        finish(env, &m, GETPC());                                             \
        d->ZMM_Q(0) = r0;                                                     \
        d->ZMM_Q(1) = r1;                                                     \
    }

HORIZONTAL(hadd, add)
HORIZONTAL(hsub, sub)

void helper_addsubps(CPUX86State *env, ZMMReg *d, ZMMReg *s)
{
    Sse m = begin(env);
    uint32_t r0 = SUB32(0), r1 = ADD32(1), r2 = SUB32(2), r3 = ADD32(3);

    finish(env, &m, GETPC());
    d->ZMM_L(0) = r0;
    d->ZMM_L(1) = r1;
    d->ZMM_L(2) = r2;
    d->ZMM_L(3) = r3;
}

void helper_addsubpd(CPUX86State *env, ZMMReg *d, ZMMReg *s)
{
    Sse m = begin(env);
    uint64_t r0 = SUB64(0), r1 = ADD64(1);

    finish(env, &m, GETPC());
    d->ZMM_Q(0) = r0;
    d->ZMM_Q(1) = r1;
}

/* ---- SSE4.1 */

void helper_roundps_xmm(CPUX86State *env, ZMMReg *d, ZMMReg *s, uint32_t mode)
{
    Sse m = begin(env);
    uint32_t r[4];

    for (int i = 0; i < 4; i++) {
        r[i] = sse_round32(s->ZMM_L(i), mode, &m);
    }
    finish(env, &m, GETPC());
    for (int i = 0; i < 4; i++) {
        d->ZMM_L(i) = r[i];
    }
}

void helper_roundpd_xmm(CPUX86State *env, ZMMReg *d, ZMMReg *s, uint32_t mode)
{
    Sse m = begin(env);
    uint64_t r0 = sse_round64(s->ZMM_Q(0), mode, &m);
    uint64_t r1 = sse_round64(s->ZMM_Q(1), mode, &m);

    finish(env, &m, GETPC());
    d->ZMM_Q(0) = r0;
    d->ZMM_Q(1) = r1;
}

void helper_roundss_xmm(CPUX86State *env, ZMMReg *d, ZMMReg *s, uint32_t mode)
{
    Sse m = begin(env);
    uint32_t r = sse_round32(s->ZMM_L(0), mode, &m);

    finish(env, &m, GETPC());
    d->ZMM_L(0) = r;
}

void helper_roundsd_xmm(CPUX86State *env, ZMMReg *d, ZMMReg *s, uint32_t mode)
{
    Sse m = begin(env);
    uint64_t r = sse_round64(s->ZMM_Q(0), mode, &m);

    finish(env, &m, GETPC());
    d->ZMM_Q(0) = r;
}

/* The dot products raise exceptions step by step: products, sums. */
static inline void step(CPUX86State *env, Sse *m, uintptr_t ra)
{
    finish(env, m, ra);
    m->flags = 0;
}

/* All lanes add the same products, but each in an order of its own, which
 * only shows in the NaN that comes out. */
void helper_dpps_xmm(CPUX86State *env, ZMMReg *d, ZMMReg *s, uint32_t mask)
{
    uintptr_t ra = GETPC();
    Sse m = begin(env);
    uint32_t p[4], pair[4], sum[4];

    for (int i = 0; i < 4; i++) {
        p[i] = mask & 0x10 << i ? MUL32(i) : 0;
    }
    step(env, &m, ra);
    for (int i = 0; i < 4; i++) {
        pair[i] = add32(p[i ^ 1], p[i], &m);
    }
    step(env, &m, ra);
    for (int i = 0; i < 4; i++) {
        sum[i] = add32(pair[i], pair[i ^ 2], &m);
    }
    step(env, &m, ra);
    for (int i = 0; i < 4; i++) {
        d->ZMM_L(i) = mask & 1 << i ? sum[i] : 0;
    }
}

void helper_dppd_xmm(CPUX86State *env, ZMMReg *d, ZMMReg *s, uint32_t mask)
{
    uintptr_t ra = GETPC();
    Sse m = begin(env);
    uint64_t p0 = mask & 0x10 ? MUL64(0) : 0;
    uint64_t p1 = mask & 0x20 ? MUL64(1) : 0;
    uint64_t low, high;

    step(env, &m, ra);
    low = add64(p0, p1, &m);
    high = add64(p1, p0, &m);
    step(env, &m, ra);
    d->ZMM_Q(0) = mask & 1 ? low : 0;
    d->ZMM_Q(1) = mask & 2 ? high : 0;
}

/* ---- MXCSR */

void helper_ldmxcsr(CPUX86State *env, uint32_t val)
{
    if (val & ~0xffffu) {
        raise_exception_err_ra(env, EXCP0D_GPF, 0, GETPC());
    }
    env->mxcsr = val;
}

/* ---- operands of 16 bytes */

void helper_check_aligned(CPUX86State *env, target_ulong ptr)
{
    if (unlikely(ptr & 15)) {
        raise_exception_err_ra(env, EXCP0D_GPF, 0, GETPC());
    }
}

/* Before a store in two halves: neither happens when one would fault. */
void helper_check_store16(CPUX86State *env, target_ulong ptr)
{
    if (unlikely((ptr & ~TARGET_PAGE_MASK) > TARGET_PAGE_SIZE - 16)) {
        x87_probe_write(env, ptr, 16, GETPC());
    }
}
