/*
 * The rest of what Unicorn's CPU expects of a whole machine. A user-mode CPU with one thread has no other CPUs to be atomic against, no
 * I/O ports, no physical address space and no debugger; what it must never reach panics.
 */
#include <malloc.h>
#include <stdlib.h>
#include <stddef.h>
#include <stdint.h>
#include "seg386.h"

#define NEVER(result, name, arguments) result name arguments { seg_host_panic(#name); }

/* Read-modify-write helpers are called only by blocks translated for several threads (CF_PARALLEL), which ours never are. */
#define ATOMIC(name, arguments) NEVER(uint32_t, helper_atomic_##name, arguments)
#define ATOMIC_SIZES(name, arguments) \
    ATOMIC(name##b, arguments) ATOMIC(name##w_le, arguments) ATOMIC(name##w_be, arguments) ATOMIC(name##l_le, arguments) ATOMIC(name##l_be, arguments)
#define FOUR (uint32_t a, uint32_t b, uint32_t c, uint32_t d)
#define FIVE (uint32_t a, uint32_t b, uint32_t c, uint32_t d, uint32_t e)
ATOMIC_SIZES(cmpxchg, FIVE) ATOMIC_SIZES(xchg, FOUR)
#define ATOMIC_OPERATION(op) ATOMIC_SIZES(fetch_##op, FOUR) ATOMIC_SIZES(op##_fetch, FOUR)
ATOMIC_OPERATION(add) ATOMIC_OPERATION(and) ATOMIC_OPERATION(or) ATOMIC_OPERATION(xor)
ATOMIC_OPERATION(smin) ATOMIC_OPERATION(umin) ATOMIC_OPERATION(smax) ATOMIC_OPERATION(umax)

/* Hooks: none is ever installed. */
NEVER(void, helper_uc_tracecode, (uint32_t a, uint32_t b, uint32_t c, uint64_t d))
NEVER(void, helper_uc_traceopcode, (uint32_t a, uint64_t b, uint64_t c, uint32_t d, uint32_t e, uint64_t f))

/* I/O ports: the permission check before each access refuses user mode. */
NEVER(void, cpu_outb, (void *uc, uint32_t port, uint32_t value, uint32_t retaddr))
NEVER(void, cpu_outw, (void *uc, uint32_t port, uint32_t value, uint32_t retaddr))
NEVER(void, cpu_outl, (void *uc, uint32_t port, uint32_t value, uint32_t retaddr))
NEVER(uint32_t, cpu_inb, (void *uc, uint32_t port, uint32_t retaddr))
NEVER(uint32_t, cpu_inw, (void *uc, uint32_t port, uint32_t retaddr))
NEVER(uint32_t, cpu_inl, (void *uc, uint32_t port, uint32_t retaddr))

/* Physical memory: for system management, virtual machines and hardware page tables, which are privileged. */
NEVER(uint32_t, address_space_ldub, (void *uc, void *as, uint64_t addr, uint32_t attrs, void *result))
NEVER(uint32_t, address_space_lduw, (void *uc, void *as, uint64_t addr, uint32_t attrs, void *result))
NEVER(uint32_t, address_space_ldl, (void *uc, void *as, uint64_t addr, uint32_t attrs, void *result))
NEVER(uint64_t, address_space_ldq, (void *uc, void *as, uint64_t addr, uint32_t attrs, void *result))
NEVER(void, address_space_stb, (void *uc, void *as, uint64_t addr, uint32_t value, uint32_t attrs, void *result))
NEVER(void, address_space_stw, (void *uc, void *as, uint64_t addr, uint32_t value, uint32_t attrs, void *result))
NEVER(void, address_space_stl, (void *uc, void *as, uint64_t addr, uint32_t value, uint32_t attrs, void *result))
NEVER(void, address_space_stq, (void *uc, void *as, uint64_t addr, uint64_t value, uint32_t attrs, void *result))
NEVER(void *, cpu_get_address_space, (void *cpu, uint32_t index))
NEVER(int, x86_cpu_tlb_fill, (void *cpu, uint32_t addr, int size, uint32_t access, int index, int probe, uint32_t retaddr))
NEVER(void, x86_cpu_get_memory_mapping, (void *cpu, void *list))

/* Debug registers are privileged. */
NEVER(int, cpu_breakpoint_insert, (void *cpu, uint64_t pc, uint32_t flags, void *breakpoint))
NEVER(int, cpu_watchpoint_insert, (void *cpu, uint64_t addr, uint64_t size, uint32_t flags, void *watchpoint))
NEVER(void, cpu_breakpoint_remove_by_ref, (void *cpu, void *breakpoint))
NEVER(void, cpu_watchpoint_remove_by_ref, (void *cpu, void *watchpoint))
void cpu_breakpoint_remove_all(void *cpu, uint32_t mask) {}
void cpu_watchpoint_remove_all(void *cpu, uint32_t mask) {}

/* CPUID does not offer rdrand: randomness is the host's to give. */
NEVER(int, qemu_guest_getrandom, (void *into, uint32_t size))
NEVER(void, cpu_abort, (void *cpu, const char *format, void *arguments))

/* Making the CPU. */
void page_size_init(void *uc) {}
void cpu_address_space_init(void *cpu, uint32_t index, void *root) {}
void qemu_init_vcpu(void *cpu) {}
void *qemu_memalign(size_t alignment, size_t size) { return memalign(alignment, size); }
int qemu_mprotect_none(void *at, size_t size) { return 0; }
void qemu_vfree(void *at) { free(at); }
uint64_t cpu_get_tsc(void *env) { return seg_host_timestamp(); }

/* Where emscripten's longjmp keeps a second result; without its loader it is a variable of ours. */
static int temp_ret0;
void setTempRet0(int value) { temp_ret0 = value; }
int getTempRet0(void) { return temp_ret0; }
