/*
 * SSE's floating point on bit patterns: results and exceptions as the CPU
 * gives them, from the MXCSR that asks for them. Like x87.h, nothing here
 * knows the emulator around it.
 */
#ifndef SEG386_SSE_H
#define SEG386_SSE_H

#include <stdbool.h>
#include <stdint.h>

enum {
    SSE_IE = 0x01, SSE_DE = 0x02, SSE_ZE = 0x04, SSE_OE = 0x08, SSE_UE = 0x10,
    SSE_PE = 0x20, SSE_DAZ = 0x40,
    SSE_MASKS_SHIFT = 7, SSE_RC_SHIFT = 13, SSE_FTZ = 0x8000,
    SSE_EXCEPTIONS = 0x3f,
    /* Found before a result is computed; unmasked, they hide the later ones. */
    SSE_BEFORE = SSE_IE | SSE_DE | SSE_ZE,
};

/* One instruction's mode, and the exceptions of all its elements. */
typedef struct {
    uint32_t mxcsr;
    uint32_t flags;
} Sse;

typedef enum {
    SSE_LESS = 1, SSE_EQUAL = 2, SSE_GREATER = 4, SSE_UNORDERED = 8,
} SseOrder;

uint32_t sse_add32(uint32_t a, uint32_t b, Sse *s);
uint32_t sse_sub32(uint32_t a, uint32_t b, Sse *s);
uint32_t sse_mul32(uint32_t a, uint32_t b, Sse *s);
uint32_t sse_div32(uint32_t a, uint32_t b, Sse *s);
uint32_t sse_sqrt32(uint32_t a, Sse *s);
uint64_t sse_add64(uint64_t a, uint64_t b, Sse *s);
uint64_t sse_sub64(uint64_t a, uint64_t b, Sse *s);
uint64_t sse_mul64(uint64_t a, uint64_t b, Sse *s);
uint64_t sse_div64(uint64_t a, uint64_t b, Sse *s);
uint64_t sse_sqrt64(uint64_t a, Sse *s);

/* quiet: only a signalling NaN is invalid. */
SseOrder sse_compare32(uint32_t a, uint32_t b, bool quiet, Sse *s);
SseOrder sse_compare64(uint64_t a, uint64_t b, bool quiet, Sse *s);

uint64_t sse_widen(uint32_t a, Sse *s);
uint32_t sse_narrow(uint64_t a, Sse *s);
uint32_t sse_from_int32(int32_t a, Sse *s);
/* chop: truncate whatever the rounding mode. */
int32_t sse_to_int32(uint32_t a, bool chop, Sse *s);
int32_t sse_to_int32_from64(uint64_t a, bool chop, Sse *s);

/* roundps and its kind; mode is their immediate byte. */
uint32_t sse_round32(uint32_t a, unsigned mode, Sse *s);
uint64_t sse_round64(uint64_t a, unsigned mode, Sse *s);

uint32_t sse_rcp(uint32_t a);
uint32_t sse_rsqrt(uint32_t a);

#endif
