/*
 * The x87's register stack in the CPU's state: access by position, exceptions
 * into the status word, pushing and popping. Shared by the files of its
 * instructions.
 */
#ifndef SEG386_X87_STACK_H
#define SEG386_X87_STACK_H

#include "qemu/osdep.h"
#include "cpu.h"
#include "exec/exec-all.h"
#include "exec/cpu_ldst.h"
#include "exec/helper-proto.h"
#include "x87.h"

/* An instruction's memory operand, for the data pointer. */
#define NO_OPERAND 0

static inline X87Num *reg(CPUX86State *env, int i)
{
    return (X87Num *)&env->fpregs[(env->fpstt + i) & 7].d;
}

static inline uint8_t *tag(CPUX86State *env, int i)
{
    return &env->fptags[(env->fpstt + i) & 7];
}

static inline void begin(CPUX86State *env, uintptr_t ra)
{
    if (unlikely(env->fpus & X87_ES)) {
        raise_exception_ra(env, EXCP10_COPR, ra);
    }
}

int64_t x87_load_int(CPUX86State *env, target_ulong ptr, unsigned bits,
                     uintptr_t ra);
void x87_store_f80(CPUX86State *env, target_ulong ptr, X87Num n, uintptr_t ra);

/* Sets ES, and the opcode and data pointer of the instruction at `ra`. */
void x87_note_unmasked(CPUX86State *env, target_ulong ptr, uintptr_t ra);

/* Takes an operation's flags into the status word, clearing C1. Returns
 * whether its result is to be stored. */
static inline bool settle(CPUX86State *env, unsigned flags, target_ulong ptr,
                          uintptr_t ra)
{
    unsigned unmasked = flags & ~env->fpuc & X87_EXCEPTIONS;

    env->fpus = (env->fpus & ~X87_C1) | flags;
    if (unlikely(unmasked)) {
        x87_note_unmasked(env, ptr, ra);
        return !(unmasked & X87_BEFORE);
    }
    return true;
}

static inline void pop(CPUX86State *env)
{
    *tag(env, 0) = 1;
    env->fpstt = (env->fpstt + 1) & 7;
}

static inline void set(CPUX86State *env, int i, X87Num value)
{
    *reg(env, i) = value;
    *tag(env, i) = 0;
}

/* Stack underflow on the way to register i. Returns as settle() does. */
static inline bool underflow(CPUX86State *env, int i, target_ulong ptr, uintptr_t ra)
{
    if (!settle(env, X87_IE | X87_SF, ptr, ra)) {
        return false;
    }
    set(env, i, x87_indefinite());
    return true;
}

#endif
