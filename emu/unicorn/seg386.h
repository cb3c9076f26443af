/*
 * What the engine's own C files share: the TLB, the page tables, the instruction budget and the calls between them and Unicorn's
 * translator. One CPU, one thread, user mode (CPL 3) only. A physical address is an address in wasm memory.
 */
#ifndef SEG386_H
#define SEG386_H

#include <stdbool.h>
#include <stdint.h>

#define SEG_PAGE_BITS 12
#define SEG_PAGE_SIZE 4096u
#define SEG_PAGE_MASK 0xfffff000u

/* In a memory operation: alignment is never checked. A mark among TCG's alignments that no target uses. */
#define SEG_MO_ANYWHERE MO_ALIGN_64

/* The only MMU index that blocks use: Unicorn's MMU_USER_IDX. */
#define SEG_USER_MMU_INDEX 1

/* Page table entry: the frame's address and these bits, Linux's PROT_ values. */
#define SEG_PROT_READ 1u
#define SEG_PROT_WRITE 2u
#define SEG_PROT_EXEC 4u

/* The TLB is direct-mapped. A tag is the page's address where the access may go straight to memory, else SEG_TAG_NONE. */
#define SEG_TLB_BITS 10
#define SEG_TLB_SIZE (1u << SEG_TLB_BITS)
#define SEG_TAG_NONE 1u
/* Set in a write tag: the frame holds translated code, which a store must drop first. */
#define SEG_TAG_CODE 2u

typedef struct SegTlbEntry {
    uint32_t read, write, exec; /* tags */
    uint32_t addend;            /* wasm address minus guest address */
} SegTlbEntry;

extern SegTlbEntry seg_tlb[SEG_TLB_SIZE];

/* One byte a frame of wasm memory: 1 where blocks were translated from it. */
extern uint8_t seg_code_map[1u << 20];

/* Instructions left in this run. A block takes its whole count on entry; what a fault leaves undone is given back. */
extern int32_t seg_budget;

/* Where in a block's bytecode the running helper was called: Unicorn's GETPC. */
extern uintptr_t seg_return_address;

static inline SegTlbEntry *seg_tlb_entry(uint32_t addr)
{
    return &seg_tlb[(addr >> SEG_PAGE_BITS) & (SEG_TLB_SIZE - 1)];
}

/* The slow paths of guest loads and stores: TLB miss, page crossing, code page. `oi` is a TCGMemOpIdx; they unwind on a fault. */
uint64_t seg_load_slow(uint32_t addr, uint32_t oi);
void seg_store_slow(uint32_t addr, uint64_t value, uint32_t oi);

/* A byte of the guest's code, and whether the instruction there reads its memory operand to write it back. */
int seg_peek(uint32_t addr);
bool seg_modifies_memory(uint32_t at);

/* Runs bytecode from `pc`; returns the last block's address | exit index, SEG_EXIT_SYSCALL, or a block | SEG_EXIT_BUDGET. */
uintptr_t seg_interpret(uint32_t *pc);
#define SEG_EXIT_BUDGET 3u
#define SEG_EXIT_SYSCALL 4u

/* Imported from the host: fills a page (access 0 read, 1 write, 2 fetch); 0 refuses. */
int seg_host_fault(uint32_t addr, int access);
/* Imported: the time-stamp counter. */
uint64_t seg_host_timestamp(void);
/* Imported: a bug in the engine, which ends the machine. */
void seg_host_panic(const char *text) __attribute__((noreturn));

struct SegStatistics {
    uint32_t blocks_translated, blocks_invalidated, tlb_misses, tlb_flushes;
};
extern struct SegStatistics seg_statistics;

#endif
