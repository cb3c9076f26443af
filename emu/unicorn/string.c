/*
 * rep movs and rep stos in runs: does at once the iterations that need no TLB fill, no page crossing and no attention to code, and leaves
 * at least one to the ordinary path, which deals with faults and ends the loop. Each iteration counts as an instruction, as on the ordinary path.
 */
#include "qemu/osdep.h"
#include "cpu.h"
#include "exec/helper-proto.h"
#include "seg386.h"

/* Iterations that can be done in the page of addr, going up. */
static inline uint32_t room(uint32_t addr, unsigned shift)
{
    return (SEG_PAGE_SIZE - (addr & ~SEG_PAGE_MASK)) >> shift;
}

static inline uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* Takes `count` iterations off ecx and off the budget; the pointers have moved by then. */
static inline void done(CPUX86State *env, uint32_t count)
{
    env->regs[R_ECX] -= count;
    seg_budget -= count;
}

/* How many iterations may be done here at most: one is left, and the budget is not overdrawn. */
static inline uint32_t allowed(CPUX86State *env)
{
    return env->df != 1 || env->regs[R_ECX] < 2 || seg_budget <= 0 ? 0 : least(env->regs[R_ECX] - 1, seg_budget);
}

/* how: the operand size's shift, and from bit 8 the source's segment register. */
void helper_seg_rep_movs(CPUX86State *env, uint32_t how)
{
    unsigned shift = how & 3;
    for (uint32_t count; (count = allowed(env)) != 0;) {
        uint32_t from = env->regs[R_ESI] + env->segs[how >> 8].base, to = env->regs[R_EDI] + env->segs[R_ES].base;
        SegTlbEntry *source = seg_tlb_entry(from), *target = seg_tlb_entry(to);
        count = least(count, least(room(from, shift), room(to, shift)));
        if (!count || source->read != (from & SEG_PAGE_MASK) || target->write != (to & SEG_PAGE_MASK)) {
            return;
        }
        uint8_t *s = (uint8_t *)(from + source->addend), *t = (uint8_t *)(to + target->addend);
        uint32_t size = count << shift;
        if ((uint32_t)(t - s) >= size) {
            memmove(t, s, size); /* apart, or the target is below: as one by one */
        } else {
            for (uint32_t i = 0; i < size; i += 1u << shift) {
                uint32_t element;
                memcpy(&element, s + i, 1u << shift);
                memcpy(t + i, &element, 1u << shift);
            }
        }
        env->regs[R_ESI] += size;
        env->regs[R_EDI] += size;
        done(env, count);
    }
}

void helper_seg_rep_stos(CPUX86State *env, uint32_t how)
{
    unsigned shift = how & 3;
    for (uint32_t count; (count = allowed(env)) != 0;) {
        uint32_t to = env->regs[R_EDI] + env->segs[R_ES].base, value = env->regs[R_EAX];
        SegTlbEntry *target = seg_tlb_entry(to);
        count = least(count, room(to, shift));
        if (!count || target->write != (to & SEG_PAGE_MASK)) {
            return;
        }
        uint8_t *t = (uint8_t *)(to + target->addend);
        uint32_t size = count << shift;
        if (shift == 0 || value == (uint8_t)value * 0x01010101u) {
            memset(t, (uint8_t)value, size);
        } else {
            for (uint32_t i = 0; i < size; i += 1u << shift) {
                memcpy(t + i, &value, 1u << shift);
            }
        }
        env->regs[R_EDI] += size;
        done(env, count);
    }
}
