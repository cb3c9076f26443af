/*
 * The interpreter: runs bytecode (tcg/bytecode.h) that tcg/tcg-target.inc.c emitted. TLB hits of loads and stores, jumps between blocks
 * and the look-up of an indirect jump's block are done here; everything else is called.
 */
#include "qemu/osdep.h"
#include "cpu.h"
#include "exec/exec-all.h"
#include "exec/tb-hash.h"
#include "tcg/tcg.h"
#include "uc_priv.h"
#include "seg386.h"
#include "tcg/bytecode.h"

uintptr_t seg_return_address;
int32_t seg_budget;
extern CPUX86State *seg_env;

#define likely_(x) __builtin_expect(!!(x), 1)

/* Operand n as a 32-bit value; L: as the low word of a pair. */
#define W(n) (*(uint32_t *)pc[n])
#define L(n) ((uint64_t)W(n) | (uint64_t)W((n) + 1) << 32)
#define HERE() (seg_return_address = (uintptr_t)(pc + 1))

#define UNALIGNED(type) typedef struct __attribute__((packed)) { type v; } unaligned_##type;
UNALIGNED(uint8_t) UNALIGNED(int8_t) UNALIGNED(uint16_t) UNALIGNED(int16_t) UNALIGNED(uint32_t) UNALIGNED(uint64_t)

/* True where `size` bytes at addr lie in the page of the entry's tag. */
#define HIT(tag, addr, size) likely_((((addr) + (size) - 1) & SEG_PAGE_MASK) == (tag))

static bool compare2(uint64_t a, uint64_t b, TCGCond cond)
{
    switch (cond) {
    case TCG_COND_EQ: return a == b;
    case TCG_COND_NE: return a != b;
    case TCG_COND_LT: return (int64_t)a < (int64_t)b;
    case TCG_COND_GE: return (int64_t)a >= (int64_t)b;
    case TCG_COND_LE: return (int64_t)a <= (int64_t)b;
    case TCG_COND_GT: return (int64_t)a > (int64_t)b;
    case TCG_COND_LTU: return a < b;
    case TCG_COND_GEU: return a >= b;
    case TCG_COND_LEU: return a <= b;
    case TCG_COND_GTU: return a > b;
    default: return cond == TCG_COND_ALWAYS;
    }
}

/* The bytecode of the block that the CPU state asks for, from the cache of recent jumps; NULL: the run loop must find or make it. */
static inline uint32_t *next_block(CPUX86State *env)
{
    CPUState *cpu = env_cpu(env);
    target_ulong pc, cs_base;
    uint32_t flags;
    cpu_get_tb_cpu_state(env, &pc, &cs_base, &flags);
    TranslationBlock *tb = cpu->tb_jmp_cache[tb_jmp_cache_hash_func(cpu->uc, pc)];
    if (likely_(tb && tb->pc == pc && tb->cs_base == cs_base && tb->flags == flags && (tb->cflags & (CF_COUNT_MASK | CF_INVALID)) == 0)) {
        return tb->tc.ptr;
    }
    return NULL;
}

uintptr_t seg_interpret(uint32_t *pc)
{
    for (;;) {
        switch (pc[0]) {
        case SEG_OP_block:
        block: {
            int32_t left = seg_budget - (int32_t)pc[2];
            if (__builtin_expect(left < 0, 0)) {
                return pc[1] | SEG_EXIT_BUDGET;
            }
            seg_budget = left;
            pc += 3;
            break;
        }
        case SEG_OP_goto_tb:
            pc = (uint32_t *)pc[1];
            if (likely_(pc[0] == SEG_OP_block)) {
                goto block;
            }
            break;
        case SEG_OP_goto_next: {
            uint32_t *next = next_block(seg_env);
            if (likely_(next)) {
                pc = next;
                goto block;
            }
            return 0;
        }
        case SEG_OP_exit:
            return pc[1];
        case SEG_OP_movi:
            W(1) = pc[2];
            pc += 3;
            break;
        case SEG_OP_br:
            pc = (uint32_t *)pc[1];
            break;

#define X(name, expression) \
        case SEG_OP_##name: { uint32_t a = W(2), b = W(3); W(1) = (expression); pc += 4; break; } \
        case SEG_OP_##name##_imm: { uint32_t a = W(2), b = pc[3]; W(1) = (expression); pc += 4; break; }
        SEG_BINARY_OPS(X)
#undef X
#define X(name, expression) \
        case SEG_OP_##name: { uint32_t a = W(2); W(1) = (expression); pc += 3; break; }
        SEG_UNARY_OPS(X)
#undef X
#define X(name, cond, test) \
        case SEG_OP_brcond_##name: { uint32_t a = W(1), b = W(2); if (test) pc = (uint32_t *)pc[3]; else pc += 4; break; } \
        case SEG_OP_brcond_##name##_imm: { uint32_t a = W(1), b = pc[2]; if (test) pc = (uint32_t *)pc[3]; else pc += 4; break; } \
        case SEG_OP_setcond_##name: { uint32_t a = W(2), b = W(3); W(1) = (test); pc += 4; break; } \
        case SEG_OP_setcond_##name##_imm: { uint32_t a = W(2), b = pc[3]; W(1) = (test); pc += 4; break; } \
        case SEG_OP_movcond_##name: { uint32_t a = W(2), b = W(3), t = W(4), f = W(5); W(1) = (test) ? t : f; pc += 6; break; }
        SEG_CONDITIONS(X)
#undef X
        case SEG_OP_brcond2: {
            uint64_t a = L(1), b = L(3);
            if (compare2(a, b, pc[5])) pc = (uint32_t *)pc[6]; else pc += 7;
            break;
        }
        case SEG_OP_setcond2: {
            uint64_t a = L(2), b = L(4);
            W(1) = compare2(a, b, pc[6]);
            pc += 7;
            break;
        }
        case SEG_OP_deposit: {
            uint32_t mask = pc[5] << pc[4];
            W(1) = (W(2) & ~mask) | ((W(3) << pc[4]) & mask);
            pc += 6;
            break;
        }
        case SEG_OP_extract:
            W(1) = (W(2) >> pc[3]) & pc[4];
            pc += 5;
            break;
        case SEG_OP_sextract:
            W(1) = (uint32_t)((int32_t)(W(2) << pc[3]) >> pc[4]);
            pc += 5;
            break;
        case SEG_OP_extract2: {
            uint64_t pair = L(2);
            W(1) = (uint32_t)(pair >> pc[4]);
            pc += 5;
            break;
        }
        case SEG_OP_add2: {
            uint64_t r = L(3) + L(5);
            W(1) = (uint32_t)r, W(2) = (uint32_t)(r >> 32);
            pc += 7;
            break;
        }
        case SEG_OP_sub2: {
            uint64_t r = L(3) - L(5);
            W(1) = (uint32_t)r, W(2) = (uint32_t)(r >> 32);
            pc += 7;
            break;
        }
        case SEG_OP_mulu2: {
            uint64_t r = (uint64_t)W(3) * W(4);
            W(1) = (uint32_t)r, W(2) = (uint32_t)(r >> 32);
            pc += 5;
            break;
        }
        case SEG_OP_muls2: {
            uint64_t r = (uint64_t)((int64_t)(int32_t)W(3) * (int32_t)W(4));
            W(1) = (uint32_t)r, W(2) = (uint32_t)(r >> 32);
            pc += 5;
            break;
        }

#define X(name, type) \
        case SEG_OP_##name##_at: W(1) = (uint32_t)((unaligned_##type *)pc[2])->v; pc += 3; break; \
        case SEG_OP_##name: W(1) = (uint32_t)((unaligned_##type *)(W(2) + pc[3]))->v; pc += 4; break;
        SEG_HOST_LOADS(X)
#undef X
#define X(name, type) \
        case SEG_OP_##name##_at: ((unaligned_##type *)pc[2])->v = (type)W(1); pc += 3; break; \
        case SEG_OP_##name: ((unaligned_##type *)(W(2) + pc[3]))->v = (type)W(1); pc += 4; break;
        SEG_HOST_STORES(X)
#undef X

#define X(name, type, size) \
        case SEG_OP_##name: { \
            uint32_t addr = W(2) + pc[3], value; \
            SegTlbEntry *entry = seg_tlb_entry(addr); \
            if (HIT(entry->read, addr, size)) { \
                value = (uint32_t)((unaligned_##type *)(addr + entry->addend))->v; \
            } else { \
                HERE(); \
                value = (uint32_t)(type)seg_load_slow(addr, pc[4]); \
            } \
            W(1) = value; \
            pc += 5; \
            break; \
        }
        SEG_GUEST_LOADS(X)
#undef X
#define X(name, type, size) \
        case SEG_OP_##name: { \
            uint32_t addr = W(2) + pc[3]; \
            SegTlbEntry *entry = seg_tlb_entry(addr); \
            if (HIT(entry->write, addr, size)) { \
                ((unaligned_##type *)(addr + entry->addend))->v = (type)W(1); \
            } else { \
                HERE(); \
                seg_store_slow(addr, (type)W(1), pc[4]); \
            } \
            pc += 5; \
            break; \
        }
        SEG_GUEST_STORES(X)
#undef X
        case SEG_OP_guest_ld64: {
            uint32_t addr = W(3) + pc[4];
            SegTlbEntry *entry = seg_tlb_entry(addr);
            uint64_t value;
            if (HIT(entry->read, addr, 8)) {
                value = ((unaligned_uint64_t *)(addr + entry->addend))->v;
            } else {
                HERE();
                value = seg_load_slow(addr, pc[5]);
            }
            W(1) = (uint32_t)value, W(2) = (uint32_t)(value >> 32);
            pc += 6;
            break;
        }
        case SEG_OP_guest_st64: {
            uint32_t addr = W(3) + pc[4];
            SegTlbEntry *entry = seg_tlb_entry(addr);
            if (HIT(entry->write, addr, 8)) {
                ((unaligned_uint64_t *)(addr + entry->addend))->v = L(1);
            } else {
                HERE();
                seg_store_slow(addr, L(1), pc[5]);
            }
            pc += 6;
            break;
        }
        case SEG_OP_guest_ld_slow:
            HERE();
            W(1) = (uint32_t)seg_load_slow(W(2) + pc[3], pc[4]);
            pc += 5;
            break;
        case SEG_OP_guest_st_slow:
            HERE();
            seg_store_slow(W(2) + pc[3], W(1), pc[4]);
            pc += 5;
            break;
        case SEG_OP_guest_ld64_slow: {
            HERE();
            uint64_t value = seg_load_slow(W(3) + pc[4], pc[5]);
            W(1) = (uint32_t)value, W(2) = (uint32_t)(value >> 32);
            pc += 6;
            break;
        }
        case SEG_OP_guest_st64_slow:
            HERE();
            seg_store_slow(W(3) + pc[4], L(1), pc[5]);
            pc += 6;
            break;

#define U uint32_t
#define Q uint64_t
/* The function is pc[1]; a result's operands come before the arguments' (from pc[2], pc[3] or pc[4]). */
#define CALL_V(name, types, values, words) case SEG_OP_call_##name: HERE(); ((void(*) types)pc[1]) values; pc += 2 + (words); break;
#define CALL_I(name, types, values, words) case SEG_OP_call_##name: { HERE(); U r = ((U(*) types)pc[1]) values; W(2) = r; pc += 3 + (words); break; }
#define CALL_L(name, types, values, words) \
        case SEG_OP_call_##name: { HERE(); Q r = ((Q(*) types)pc[1]) values; W(2) = (U)r, W(3) = (U)(r >> 32); pc += 4 + (words); break; }
        CALL_V(v_, (void), (), 0)
        CALL_V(v_i, (U), (W(2)), 1)
        CALL_V(v_ii, (U, U), (W(2), W(3)), 2)
        CALL_V(v_iii, (U, U, U), (W(2), W(3), W(4)), 3)
        CALL_V(v_iiii, (U, U, U, U), (W(2), W(3), W(4), W(5)), 4)
        CALL_V(v_iiiii, (U, U, U, U, U), (W(2), W(3), W(4), W(5), W(6)), 5)
        CALL_V(v_il, (U, Q), (W(2), L(3)), 3)
        CALL_V(v_iil, (U, U, Q), (W(2), W(3), L(4)), 4)
        CALL_V(v_iiil, (U, U, U, Q), (W(2), W(3), W(4), L(5)), 5)
        CALL_V(v_iiill, (U, U, U, Q, Q), (W(2), W(3), W(4), L(5), L(7)), 7)
        CALL_V(v_iili, (U, U, Q, U), (W(2), W(3), L(4), W(6)), 5)
        CALL_V(v_ill, (U, Q, Q), (W(2), L(3), L(5)), 5)
        CALL_I(i_, (void), (), 0)
        CALL_I(i_i, (U), (W(3)), 1)
        CALL_I(i_ii, (U, U), (W(3), W(4)), 2)
        CALL_I(i_iii, (U, U, U), (W(3), W(4), W(5)), 3)
        CALL_I(i_iiii, (U, U, U, U), (W(3), W(4), W(5), W(6)), 4)
        CALL_I(i_iiiii, (U, U, U, U, U), (W(3), W(4), W(5), W(6), W(7)), 5)
        CALL_I(i_il, (U, Q), (W(3), L(4)), 3)
        CALL_L(l_i, (U), (W(4)), 1)
        CALL_L(l_ii, (U, U), (W(4), W(5)), 2)
        CALL_L(l_iii, (U, U, U), (W(4), W(5), W(6)), 3)
        CALL_L(l_l, (Q), (L(4)), 2)
        CALL_L(l_ll, (Q, Q), (L(4), L(6)), 4)
        CALL_L(l_il, (U, Q), (W(4), L(5)), 3)

        default:
            __builtin_unreachable();
        }
    }
}
