/*
 * SSE's floating point. An operation widens its operands to the x87's format,
 * where it neither overflows nor underflows, computes there truncated with a
 * sticky bit, and rounds once to its own format. Only the helpers' fast paths
 * (sse-insn.c) avoid this.
 */
#include "sse.h"
#include "x87.h"
#include "x87-wide.h"

/* single or double precision */
typedef struct {
    unsigned bits;      /* of the significand, with the leading one */
    unsigned width;
    int bias;
} Format;

static const Format SINGLE = { 24, 32, 127 }, DOUBLE = { 53, 64, 1023 };

/* every exception masked, 64 bits, truncating */
enum { WIDE_CHOP = X87_EXCEPTIONS | X87_PC_64 | X87_RC_CHOP };

static inline uint64_t sign_bit(const Format *f)
{
    return 1ULL << (f->width - 1);
}

static inline uint64_t infinity(const Format *f)
{
    return (uint64_t)(2 * f->bias + 1) << (f->bits - 1);
}

static inline uint64_t quiet_bit(const Format *f)
{
    return 1ULL << (f->bits - 2);
}

static inline uint64_t magnitude(const Format *f, uint64_t a)
{
    return a & (sign_bit(f) - 1);
}

static inline bool is_nan(const Format *f, uint64_t a)
{
    return magnitude(f, a) > infinity(f);
}

static inline bool is_snan(const Format *f, uint64_t a)
{
    return is_nan(f, a) && !(a & quiet_bit(f));
}

static inline bool is_denormal(const Format *f, uint64_t a)
{
    uint64_t m = magnitude(f, a);
    return m && m < 1ULL << (f->bits - 1);
}

static inline uint64_t indefinite(const Format *f)
{
    return sign_bit(f) | infinity(f) | quiet_bit(f);
}

static inline unsigned masked(const Sse *s)
{
    return s->mxcsr >> SSE_MASKS_SHIFT & SSE_EXCEPTIONS;
}

/* MXCSR's rounding control is the control word's, at another place. */
static inline unsigned x87_rounding(const Sse *s)
{
    return (s->mxcsr >> SSE_RC_SHIFT & 3) << 10;
}

/* A denormal operand: zero under DAZ, else an exception unless one of higher
 * rank (`before`) was there. */
static inline uint64_t operand(const Format *f, uint64_t a, unsigned *denormal,
                               const Sse *s)
{
    if (is_denormal(f, a)) {
        if (s->mxcsr & SSE_DAZ) {
            return a & sign_bit(f);
        }
        *denormal = SSE_DE;
    }
    return a;
}

static inline X87Num widen(const Format *f, uint64_t a)
{
    X87Num n;

    if (f->width == 32) {
        x87_from_f32(&n, (uint32_t)a);
    } else {
        x87_from_f64(&n, a);
    }
    return n;
}

/* A NaN among the operands: the first one, quieted. */
static uint64_t nan_result(const Format *f, uint64_t a, uint64_t b, Sse *s)
{
    if (is_snan(f, a) || is_snan(f, b)) {
        s->flags |= SSE_IE;
    }
    return (is_nan(f, a) ? a : b) | quiet_bit(f);
}

static inline bool away(unsigned sign, bool odd, uint64_t rest, const Sse *s)
{
    switch (s->mxcsr >> SSE_RC_SHIFT & 3) {
    case 0:
        return rest > X87_INTEGER_BIT || (rest == X87_INTEGER_BIT && odd);
    case 1:
        return sign && rest;
    case 2:
        return !sign && rest;
    default:
        return false;
    }
}

/* Rounds a wide number, truncated with sticky bit `inexact`, to the format. */
static uint64_t narrow(const Format *f, const X87Num *n, bool inexact, Sse *s)
{
    X87Parts p = x87_parts(n);
    uint64_t sign = p.sign ? sign_bit(f) : 0, kept;
    unsigned drop = 64 - f->bits;
    int exp = p.exp - X87_BIAS + f->bias, start = exp;
    Wide w;

    if (p.exp == X87_EXP_MAX) {
        return sign | infinity(f);
    }
    if (!p.sig) {
        return sign;
    }
    w = wide_shr_sticky(wide(p.sig, inexact), drop);
    kept = w.hi + away(p.sign, w.hi & 1, w.lo, s);
    if (kept >> f->bits) {
        kept >>= 1;
        exp++;
    }
    if (exp > 2 * f->bias) {
        unsigned rc = s->mxcsr >> SSE_RC_SHIFT & 3;
        bool to_infinity = rc == 0 || rc == (p.sign ? 1 : 2);

        s->flags |= SSE_OE;
        if (w.lo || (masked(s) & SSE_OE)) {
            s->flags |= SSE_PE;
        }
        return sign | (to_infinity ? infinity(f) : infinity(f) - 1);
    }
    if (exp >= 1) {
        s->flags |= w.lo ? SSE_PE : 0;
        return sign | ((uint64_t)exp << (f->bits - 1))
               | (kept & ((1ULL << (f->bits - 1)) - 1));
    }
    if (!(masked(s) & SSE_UE)) {
        s->flags |= SSE_UE | (w.lo ? SSE_PE : 0);
        return sign;
    }
    if (s->mxcsr & SSE_FTZ) {
        s->flags |= SSE_UE | SSE_PE;
        return sign;
    }
    w = wide_shr_sticky(wide(p.sig, inexact), drop + 1 - start);
    if (w.lo) {
        s->flags |= SSE_UE | SSE_PE;
        w.hi += away(p.sign, w.hi & 1, w.lo, s);
    }
    return sign | w.hi;
}

typedef unsigned WideOp(X87Num *, const X87Num *, const X87Num *, unsigned);

static inline uint64_t binary(const Format *f, uint64_t a, uint64_t b,
                              WideOp *op, Sse *s)
{
    unsigned denormal = 0, flags;
    X87Num x, y, r;

    if (is_nan(f, a) || is_nan(f, b)) {
        return nan_result(f, a, b, s);
    }
    x = widen(f, operand(f, a, &denormal, s));
    y = widen(f, operand(f, b, &denormal, s));
    flags = op(&r, &x, &y, WIDE_CHOP);
    if (flags & (X87_IE | X87_ZE)) {
        s->flags |= flags & (X87_IE | X87_ZE);
        return flags & X87_IE ? indefinite(f)
                              : (r.high & 0x8000 ? sign_bit(f) : 0) | infinity(f);
    }
    s->flags |= denormal;
    if (!r.low) {
        /* an exact zero's sign depends on the mode that was not asked for */
        unsigned direction = X87_EXCEPTIONS | X87_PC_64 | x87_rounding(s);
        op(&r, &x, &y, direction);
    }
    return narrow(f, &r, flags & X87_PE, s);
}

static inline uint64_t square_root(const Format *f, uint64_t a, Sse *s)
{
    unsigned denormal = 0, flags;
    X87Num x, r;

    if (is_nan(f, a)) {
        return nan_result(f, a, a, s);
    }
    x = widen(f, operand(f, a, &denormal, s));
    flags = x87_sqrt(&r, &x, WIDE_CHOP);
    if (flags & X87_IE) {
        s->flags |= SSE_IE;
        return indefinite(f);
    }
    s->flags |= denormal;
    return narrow(f, &r, flags & X87_PE, s);
}

uint32_t sse_add32(uint32_t a, uint32_t b, Sse *s)
{
    return (uint32_t)binary(&SINGLE, a, b, x87_add, s);
}

uint32_t sse_sub32(uint32_t a, uint32_t b, Sse *s)
{
    return (uint32_t)binary(&SINGLE, a, b, x87_sub, s);
}

uint32_t sse_mul32(uint32_t a, uint32_t b, Sse *s)
{
    return (uint32_t)binary(&SINGLE, a, b, x87_mul, s);
}

uint32_t sse_div32(uint32_t a, uint32_t b, Sse *s)
{
    return (uint32_t)binary(&SINGLE, a, b, x87_div, s);
}

uint32_t sse_sqrt32(uint32_t a, Sse *s)
{
    return (uint32_t)square_root(&SINGLE, a, s);
}

uint64_t sse_add64(uint64_t a, uint64_t b, Sse *s)
{
    return binary(&DOUBLE, a, b, x87_add, s);
}

uint64_t sse_sub64(uint64_t a, uint64_t b, Sse *s)
{
    return binary(&DOUBLE, a, b, x87_sub, s);
}

uint64_t sse_mul64(uint64_t a, uint64_t b, Sse *s)
{
    return binary(&DOUBLE, a, b, x87_mul, s);
}

uint64_t sse_div64(uint64_t a, uint64_t b, Sse *s)
{
    return binary(&DOUBLE, a, b, x87_div, s);
}

uint64_t sse_sqrt64(uint64_t a, Sse *s)
{
    return square_root(&DOUBLE, a, s);
}

static inline SseOrder compare(const Format *f, uint64_t a, uint64_t b,
                               bool quiet, Sse *s)
{
    unsigned denormal = 0;
    bool negative;

    if (is_nan(f, a) || is_nan(f, b)) {
        if (!quiet || is_snan(f, a) || is_snan(f, b)) {
            s->flags |= SSE_IE;
        }
        return SSE_UNORDERED;
    }
    a = operand(f, a, &denormal, s);
    b = operand(f, b, &denormal, s);
    s->flags |= denormal;
    if (a == b || !(magnitude(f, a) | magnitude(f, b))) {
        return SSE_EQUAL;
    }
    negative = a & sign_bit(f);
    if ((a ^ b) & sign_bit(f)) {
        return negative ? SSE_LESS : SSE_GREATER;
    }
    return (a < b) != negative ? SSE_LESS : SSE_GREATER;
}

SseOrder sse_compare32(uint32_t a, uint32_t b, bool quiet, Sse *s)
{
    return compare(&SINGLE, a, b, quiet, s);
}

SseOrder sse_compare64(uint64_t a, uint64_t b, bool quiet, Sse *s)
{
    return compare(&DOUBLE, a, b, quiet, s);
}

/* A NaN changes format by its leading bits. */
static uint64_t convert(const Format *to, const Format *from, uint64_t a, Sse *s)
{
    unsigned denormal = 0;
    X87Num n;

    if (is_nan(from, a)) {
        s->flags |= is_snan(from, a) ? SSE_IE : 0;
        n = widen(from, a);
        return (a & sign_bit(from) ? sign_bit(to) : 0) | infinity(to)
               | quiet_bit(to) | n.low << 1 >> (65 - to->bits);
    }
    n = widen(from, operand(from, a, &denormal, s));
    s->flags |= denormal;
    return narrow(to, &n, false, s);
}

uint64_t sse_widen(uint32_t a, Sse *s)
{
    return convert(&DOUBLE, &SINGLE, a, s);
}

uint32_t sse_narrow(uint64_t a, Sse *s)
{
    return (uint32_t)convert(&SINGLE, &DOUBLE, a, s);
}

uint32_t sse_from_int32(int32_t a, Sse *s)
{
    X87Num n;

    x87_from_int(&n, a);
    return (uint32_t)narrow(&SINGLE, &n, false, s);
}

static int32_t to_int32(const Format *f, uint64_t a, bool chop, Sse *s)
{
    unsigned denormal = 0;
    X87Num n = widen(f, operand(f, a, &denormal, s));
    unsigned cw = X87_EXCEPTIONS | (chop ? X87_RC_CHOP : x87_rounding(s));
    int64_t r;

    s->flags |= x87_to_int(&r, &n, 32, cw) & (X87_IE | X87_PE);
    return (int32_t)r;
}

int32_t sse_to_int32(uint32_t a, bool chop, Sse *s)
{
    return to_int32(&SINGLE, a, chop, s);
}

int32_t sse_to_int32_from64(uint64_t a, bool chop, Sse *s)
{
    return to_int32(&DOUBLE, a, chop, s);
}

static uint64_t round_to_integer(const Format *f, uint64_t a, unsigned mode,
                                 Sse *s)
{
    unsigned denormal = 0, flags, rounding = x87_rounding(s);
    X87Num n, r;

    if (is_nan(f, a)) {
        return nan_result(f, a, a, s);
    }
    if (!(mode & 4)) {
        rounding = (mode & 3) << 10;
    }
    n = widen(f, operand(f, a, &denormal, s));
    flags = x87_rndint(&r, &n, X87_EXCEPTIONS | rounding);
    if (!(mode & 8)) {
        s->flags |= flags & X87_PE;
    }
    return narrow(f, &r, false, s);
}

uint32_t sse_round32(uint32_t a, unsigned mode, Sse *s)
{
    return (uint32_t)round_to_integer(&SINGLE, a, mode, s);
}

uint64_t sse_round64(uint64_t a, unsigned mode, Sse *s)
{
    return round_to_integer(&DOUBLE, a, mode, s);
}

/*
 * The approximations: Intel's tables hold, for each of 2048 (1024 for every
 * other power of two) parts of the range, the value in the part's middle
 * rounded to 12 bits; measured, without an exception.
 */
uint32_t sse_rcp(uint32_t a)
{
    uint32_t sign = a & 0x80000000, exp = a >> 23 & 0xff, middle;

    if (is_nan(&SINGLE, a)) {
        return a | 0x400000;
    }
    if (exp == 0) {
        return sign | 0x7f800000;
    }
    if (exp >= 253) {
        return sign;
    }
    middle = 4097 + 2 * (a >> 12 & 0x7ff);
    return sign | (253 - exp) << 23
           | (((1u << 25) + middle / 2) / middle - 4096) << 11;
}

uint32_t sse_rsqrt(uint32_t a)
{
    uint32_t sign = a & 0x80000000, exp = a >> 23 & 0xff, middle;

    if (is_nan(&SINGLE, a)) {
        return a | 0x400000;
    }
    if (exp == 0) {
        return sign | 0x7f800000;
    }
    if (sign) {
        return 0xffc00000;
    }
    if (exp == 255) {
        return 0;
    }
    middle = (2049 + 2 * (a >> 13 & 0x3ff)) << (exp & 1 ? 0 : 1);
    return (380 - exp) / 2 << 23
           | ((uint32_t)(__builtin_sqrt(137438953472.0 / middle) + 0.5) - 4096)
                 << 11;
}
