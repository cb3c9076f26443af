/*
 * The run loop: finds or makes the block for the CPU state, links it to the one before, interprets until something ends the run. Replaces
 * Unicorn's cpu-exec.c. The instruction budget is exact: a block that is longer than what is left is translated again to that length.
 */
#include "qemu/osdep.h"
#include "cpu.h"
#include "exec/exec-all.h"
#include "exec/tb-lookup.h"
#include "tcg/tcg.h"
#include "accel/tcg/translate-all.h"
#include "uc_priv.h"
#include "seg386.h"

extern CPUX86State *seg_env;

/* ---- blocks by physical address */

struct wanted {
    CPUX86State *env;
    tb_page_addr_t page;
    target_ulong pc, cs_base;
    uint32_t flags, cflags;
};

static bool is_wanted(struct uc_struct *uc, const void *block, const void *key)
{
    const TranslationBlock *tb = block;
    const struct wanted *w = key;
    if (tb->pc != w->pc || tb->page_addr[0] != w->page || tb->cs_base != w->cs_base || tb->flags != w->flags || (tb->cflags & (CF_HASH_MASK | CF_INVALID)) != w->cflags) {
        return false;
    }
    return tb->page_addr[1] == -1 || tb->page_addr[1] == get_page_addr_code(w->env, (w->pc & TARGET_PAGE_MASK) + TARGET_PAGE_SIZE);
}

TranslationBlock *tb_htable_lookup(CPUState *cpu, target_ulong pc, target_ulong cs_base, uint32_t flags, uint32_t cflags)
{
    tb_page_addr_t at = get_page_addr_code(seg_env, pc);
    struct wanted w = { seg_env, at & TARGET_PAGE_MASK, pc, cs_base, flags, cflags };
    return qht_lookup_custom(cpu->uc, &cpu->uc->tcg_ctx->tb_ctx.htable, &w, tb_hash_func(at, pc, flags, cflags, 0), is_wanted);
}

static TranslationBlock *find_block(CPUState *cpu, uint32_t cflags)
{
    target_ulong pc, cs_base;
    uint32_t flags;
    cpu_get_tb_cpu_state(seg_env, &pc, &cs_base, &flags);
    TranslationBlock **recent = &cpu->tb_jmp_cache[tb_jmp_cache_hash_func(cpu->uc, pc)], *tb = *recent;
    if (tb && tb->pc == pc && tb->cs_base == cs_base && tb->flags == flags && (tb->cflags & (CF_HASH_MASK | CF_INVALID)) == cflags) {
        return tb;
    }
    tb = tb_htable_lookup(cpu, pc, cs_base, flags, cflags);
    if (!tb) {
        tb = tb_gen_code(cpu, pc, cs_base, flags, cflags);
        seg_statistics.blocks_translated++;
    }
    *recent = tb;
    return tb;
}

/* ---- links between blocks */

void tb_set_jmp_target(TranslationBlock *tb, int n, uintptr_t addr)
{
    *(uintptr_t *)((uintptr_t)tb->tc.ptr + tb->jmp_target_arg[n]) = addr;
}

static void link_blocks(TranslationBlock *from, int n, TranslationBlock *to)
{
    if (from->jmp_dest[n] || (to->cflags & CF_INVALID)) {
        return;
    }
    from->jmp_dest[n] = (uintptr_t)to;
    tb_set_jmp_target(from, n, (uintptr_t)to->tc.ptr);
    from->jmp_list_next[n] = to->jmp_list_head;
    to->jmp_list_head = (uintptr_t)from | n;
}

/* ---- the loop */

enum { TRAP_BUDGET, TRAP_SYSCALL, TRAP_EXCEPTION };

static int run_blocks(CPUState *cpu)
{
    TranslationBlock *last = NULL;
    int slot = 0;
    for (;;) {
        uint32_t cflags = 0;
        if (cpu->cflags_next_tb != -1) {
            /* A store into the running block: that one instruction again, alone. */
            cflags = cpu->cflags_next_tb & CF_COUNT_MASK;
            cpu->cflags_next_tb = -1;
        }
        if (seg_budget == 0) {
            return TRAP_BUDGET;
        }
        TranslationBlock *tb = find_block(cpu, cflags);
        if (tb->icount > seg_budget) {
            tb = find_block(cpu, seg_budget);
            last = NULL;
        }
        /* The second page's mapping can change without the first's: no direct jump to a block on two. */
        if (last && tb->page_addr[1] == -1 && !tb->cflags) {
            link_blocks(last, slot, tb);
        }
        uintptr_t left = seg_interpret(tb->tc.ptr);
        if (left == SEG_EXIT_SYSCALL) {
            return TRAP_SYSCALL;
        }
        last = (TranslationBlock *)(left & ~3u);
        slot = left & 3;
        if (slot == SEG_EXIT_BUDGET) {
            seg_env->eip = last->pc - last->cs_base;
            last = NULL;
        } else if (last && (last->cflags & (CF_COUNT_MASK | CF_INVALID))) {
            last = NULL;
        }
    }
}

/* Runs at most `budget` instructions. Returns why it stopped; seg_budget is what is left. */
__attribute__((export_name("seg_run"))) int seg_run(int budget)
{
    CPUState *cpu = env_cpu(seg_env);
    seg_budget = budget;
    cpu->exception_index = -1;
    if (sigsetjmp(cpu->uc->jmp_bufs[0], 0)) {
        cpu = env_cpu(seg_env);
        if (cpu->exception_index >= 0) {
            /* EXCP_INTERRUPT: the block buffer was flushed in the middle of a translation */
            if (cpu->exception_index != EXCP_INTERRUPT) {
                return TRAP_EXCEPTION;
            }
            cpu->exception_index = -1;
        }
    }
    return run_blocks(cpu);
}
