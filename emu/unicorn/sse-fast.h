/*
 * What the files of SSE's floating-point instructions share: MXCSR's flags,
 * and the fast paths for what programs do all day.
 *
 * An instruction computes all its elements before it writes any register, so
 * that an unmasked exception finds the destination untouched.
 */
#ifndef SEG386_SSE_FAST_H
#define SEG386_SSE_FAST_H

#include "qemu/osdep.h"
#include "cpu.h"
#include "exec/exec-all.h"
#include "exec/helper-proto.h"
#include "sse.h"

static inline Sse begin(const CPUX86State *env)
{
    Sse m = { env->mxcsr, 0 };
    return m;
}

void sse_raise(CPUX86State *env, uint32_t flags, uintptr_t ra);

static inline void finish(CPUX86State *env, const Sse *m, uintptr_t ra)
{
    if (unlikely(m->flags)) {
        sse_raise(env, m->flags, ra);
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

#endif
