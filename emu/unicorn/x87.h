/*
 * The arithmetic of the x87: numbers in, number and status bits out. Nothing
 * here knows the CPU emulator around it, so the same files are measured
 * natively against the real unit (see docs/CPU.md).
 *
 * Every operation returns bits of the status word: the exceptions it met, and
 * C1 where the significand was rounded up. `cw` is the guest's control word;
 * masked exceptions get the masked response. When an exception that stops the
 * operation before its result (invalid, denormal operand, zero divide) is
 * unmasked, the number written means nothing and the caller drops it.
 */
#ifndef SEG386_X87_H
#define SEG386_X87_H

#include <stdbool.h>
#include <stdint.h>

/* Extended precision as it lies in a register: the same layout as floatx80. */
typedef struct {
    uint64_t low;   /* significand with its integer bit */
    uint16_t high;  /* sign and biased exponent */
} X87Num;

enum {
    X87_IE = 0x0001, X87_DE = 0x0002, X87_ZE = 0x0004, X87_OE = 0x0008,
    X87_UE = 0x0010, X87_PE = 0x0020, X87_SF = 0x0040, X87_ES = 0x0080,
    X87_C0 = 0x0100, X87_C1 = 0x0200, X87_C2 = 0x0400, X87_C3 = 0x4000,
    X87_BUSY = 0x8000,
    X87_CC = X87_C0 | X87_C1 | X87_C2 | X87_C3,
    X87_EXCEPTIONS = 0x3f,
    /* Exceptions met before there is a result: unmasked, they leave it out. */
    X87_BEFORE = X87_IE | X87_DE | X87_ZE,
};

enum {
    X87_PC_MASK = 0x0300, X87_PC_24 = 0x0000, X87_PC_53 = 0x0200,
    X87_PC_64 = 0x0300,
    X87_RC_MASK = 0x0c00, X87_RC_NEAREST = 0x0000, X87_RC_DOWN = 0x0400,
    X87_RC_UP = 0x0800, X87_RC_CHOP = 0x0c00,
};

enum { X87_BIAS = 16383, X87_EXP_MAX = 0x7fff };

#define X87_INTEGER_BIT 0x8000000000000000ULL
#define X87_QUIET_BIT   0x4000000000000000ULL

typedef enum {
    X87_ZERO, X87_DENORMAL, X87_NORMAL, X87_INFINITY, X87_QNAN, X87_SNAN,
    X87_UNSUPPORTED,
} X87Class;

/* A finite number taken apart: significand normalised, so its value is
 * sig * 2^(exp - X87_BIAS - 63). Zero has sig 0. */
typedef struct {
    unsigned sign;
    int exp;
    uint64_t sig;
} X87Parts;

X87Class x87_class(const X87Num *a);
X87Parts x87_parts(const X87Num *a);
X87Num x87_indefinite(void);
unsigned x87_nan1(X87Num *r, const X87Num *a);
unsigned x87_nan2(X87Num *r, const X87Num *a, const X87Num *b);

/* Rounds (-1)^sign * hi.lo * 2^(exp - bias - 63), hi normalised, lo's last bit
 * sticky, to the precision and range that cw asks for. */
unsigned x87_round(X87Num *r, unsigned sign, int exp, uint64_t hi, uint64_t lo,
                   unsigned cw);

unsigned x87_add(X87Num *r, const X87Num *a, const X87Num *b, unsigned cw);
unsigned x87_sub(X87Num *r, const X87Num *a, const X87Num *b, unsigned cw);
unsigned x87_mul(X87Num *r, const X87Num *a, const X87Num *b, unsigned cw);
unsigned x87_div(X87Num *r, const X87Num *a, const X87Num *b, unsigned cw);
unsigned x87_sqrt(X87Num *r, const X87Num *a, unsigned cw);
unsigned x87_rndint(X87Num *r, const X87Num *a, unsigned cw);
unsigned x87_scale(X87Num *r, const X87Num *a, const X87Num *b, unsigned cw);
unsigned x87_xtract(X87Num *exponent, X87Num *significand, const X87Num *a,
                    unsigned cw);
/* Both remainders also return C0 C3 C1 (quotient bits) and C2 (incomplete). */
unsigned x87_rem(X87Num *r, const X87Num *a, const X87Num *b, bool nearest,
                 unsigned cw);

/* The comparison's C3 C2 C0, and its exceptions. */
unsigned x87_compare(const X87Num *a, const X87Num *b, bool quiet);
/* fxam's C3 C2 C1 C0 for a register that is not empty. */
unsigned x87_examine(const X87Num *a);

/* Widening keeps a signalling NaN signalling (IE) and tells of a denormal
 * (DE): a load quiets it, an operand in memory goes into the operation. */
unsigned x87_from_f32(X87Num *r, uint32_t a);
unsigned x87_from_f64(X87Num *r, uint64_t a);
void x87_from_int(X87Num *r, int64_t a);
void x87_from_bcd(X87Num *r, const uint8_t bytes[10]);
unsigned x87_to_f32(uint32_t *r, const X87Num *a, unsigned cw);
unsigned x87_to_f64(uint64_t *r, const X87Num *a, unsigned cw);
/* To a signed integer of 16, 32 or 64 bits. */
unsigned x87_to_int(int64_t *r, const X87Num *a, unsigned bits, unsigned cw);
unsigned x87_to_bcd(uint8_t bytes[10], const X87Num *a, unsigned cw);

/* The transcendental instructions (x87-math.c). C2 with no other bit: the
 * operand was out of range and nothing happened. */
unsigned x87_sin(X87Num *r, const X87Num *a, unsigned cw);
unsigned x87_cos(X87Num *r, const X87Num *a, unsigned cw);
unsigned x87_sincos(X87Num *s, X87Num *c, const X87Num *a, unsigned cw);
unsigned x87_tan(X87Num *r, const X87Num *a, unsigned cw);
unsigned x87_atan(X87Num *r, const X87Num *y, const X87Num *x, unsigned cw);
unsigned x87_2xm1(X87Num *r, const X87Num *a, unsigned cw);
unsigned x87_yl2x(X87Num *r, const X87Num *y, const X87Num *x, unsigned cw);
unsigned x87_yl2xp1(X87Num *r, const X87Num *y, const X87Num *x, unsigned cw);

#endif
