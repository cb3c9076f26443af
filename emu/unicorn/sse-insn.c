/*
 * SSE's floating-point arithmetic and comparisons over the CPU's state. With
 * sse-convert.c they replace those of Unicorn's ops_sse.h that patch 61 takes
 * out.
 */
#include "sse-fast.h"

#define SIMD_EXCEPTION 19

void sse_raise(CPUX86State *env, uint32_t flags, uintptr_t ra)
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
